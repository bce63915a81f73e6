import { reportSafely } from '../common/report.js'
import type { Outbox, OutboxSocket } from '../reliable.js'

/** Attaches an outbox to a socket that has no events for outcomes. Only the promises report the outcomes. */
export const attachTo = (
  outbox: Outbox,
  socket: Pick<OutboxSocket, 'on' | 'state'>,
  send: OutboxSocket['send'],
): ReturnType<Outbox['attach']> =>
  outbox.attach({
    on: socket.on,
    get state() {
      return socket.state
    },
    send,
    report() {},
    error: reportSafely,
  })
