import { type Connection, openConnection } from './connection.js'
import type { Emitter } from './emitter.js'
import { type CloseInfo, SocketError } from './errors.js'
import type { Handover } from './handover.js'
import type { Heartbeat, StartHeartbeat } from './heartbeat.js'
import type { PrepareConnection } from './prepare.js'
import type { Queue } from './queue.js'
import type { State } from './states.js'
import type { Endpoint, SocketEvents, SocketOptions, Stats } from './types.js'

/** The counts of a socket, which `stats` shows. */
export type Counts = { -readonly [Name in keyof Stats]: Stats[Name] }

type Attempt = {
  readonly attempt: number
  readonly cause?: SocketError | undefined
  /** Whether the last attempt exceeded its deadline. */
  readonly isSlow?: boolean
}

/** Starts an attempt. Throws what the platform throws for a fixed endpoint. */
export type Dial = (context: Attempt) => Connection

/** Opens the connections of a socket, one after the other, and connects the open one with the queue, the heartbeat and the listeners. */
export interface Connector extends Partial<Handover> {
  /** The current attempt or connection. */
  connection(): Connection | undefined
  /** Its native socket. */
  native(): WebSocket | undefined
  /** The address of the last attempt, or an empty string before the first. */
  url(): string
  /** The heartbeat of the open connection, if there are both. */
  heartbeat(): Heartbeat | undefined
  dial: Dial
  /** Passes a message to the listeners. */
  report(data: unknown): void
  /** Passes a message to the heartbeat, and then to the listeners, unless it is a reply. */
  receive(event: MessageEvent): void
  /** Starts an attempt. Throws what the platform throws for a fixed endpoint. */
  start(context: Attempt): void
  /** Continues with another attempt or connection. */
  adopt(next: Connection): void
  /**
   * Reports the connection as open, and sends and receives through it. `onLate` is called if a timer was so late that the process must have been
   * suspended. It returns whether the heartbeat has sent a ping.
   */
  attach(
    state: Extract<State, { name: 'open' }>,
    last: State,
    seamless?: boolean,
    listener?: (event: MessageEvent) => void,
    onLate?: () => boolean | undefined,
  ): void
  /** Sends the queued messages, and starts the closing handshake. `setDeadline` limits how long it may take. */
  close(code: number | undefined, reason: string | undefined, setDeadline: (delay: number) => void): void
  /**
   * Abandons the connection, if there is one, and queues again what was certainly not sent. If the connection was open, reports how it ended.
   * Returns its close information, if it has closed.
   */
  end(last: State, cause: SocketError, delay?: number): CloseInfo | undefined
}

/** The close information of a connection that the browser has not reported as closed. */
// https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5
const NO_CLOSE_FRAME = { code: 1006, reason: '', wasClean: false }

const UNHANDLED_BINARY = "no listener for 'binary': a server that passes text on must send it as text"

export const createConnector = (
  endpoint: Endpoint,
  options: SocketOptions<any>,
  emit: Emitter<SocketEvents<any>>['emit'],
  defer: Emitter<SocketEvents<any>>['defer'],
  queue: Queue,
  counts: Counts,
  onOpen: (native: WebSocket) => void,
  onFailed: (cause: SocketError) => void,
  startHeartbeat?: StartHeartbeat,
  prepare?: PrepareConnection,
): Connector => {
  const {
    // Chromium delays attempts by up to 5 s after many failures: a shorter timeout ends some that have not even started.
    // https://source.chromium.org/chromium/chromium/src/+/main:services/network/websocket_throttler.cc
    connectTimeout = 10_000,
    closeTimeout = 3_000,
    heartbeat: heartbeatOptions,
  } = options
  let connection: Connection | undefined
  let heartbeat: Heartbeat | undefined
  let deadline = 0
  let lastUrl = ''
  let isBinaryReported = false
  /** What the heartbeats remember from one connection to the next. */
  const memory = { timeouts: 0 }

  const native = () => connection?.native
  const url = () => native()?.url ?? lastUrl

  const stopHeartbeat = () => {
    heartbeat?.stop()
    heartbeat = undefined
  }

  const report = (data: unknown) => {
    counts.received++
    if (typeof data === 'string') emit('text', data)
    else if (!emit('binary', data as ArrayBuffer | Blob) && !isBinaryReported) {
      isBinaryReported = true
      emit('error', new SocketError('UNHANDLED_BINARY', data, undefined, UNHANDLED_BINARY))
    }
    if (counts.queued) defer(queue.flush)
  }

  const receive = (event: MessageEvent) => {
    if (!heartbeat?.onMessage(event)) report(event.data)
  }

  const dial: Dial = context => {
    counts.attempts++
    // Twice as long as the last one, up to a minute, if the last attempt exceeded its deadline.
    deadline =
      context.isSlow || context.cause?.code === 'CONNECT_TIMEOUT'
        ? Math.max(connectTimeout, Math.min(deadline * 2, 60_000))
        : connectTimeout
    return openConnection(endpoint, options, context, deadline, prepare)
  }

  const adopt = (next: Connection) => {
    connection = Object.assign(next, { onReady: () => onOpen(next.native as WebSocket), onFailed })
  }

  return {
    connection: () => connection,
    native,
    url,
    heartbeat: () => heartbeat,
    dial,
    report,
    receive,

    start: context => adopt(dial(context)),
    adopt,

    attach({ attempt, url, protocol }, _, seamless = false, listener = receive, onLate) {
      emit('open', { attempt, url, protocol, reconnected: counts.connections++ > 0, seamless })
      const onTimeout = () => onFailed(new SocketError('UNRESPONSIVE'))
      const socket = native() as WebSocket
      queue.attach(socket)
      if (heartbeatOptions) {
        heartbeat = startHeartbeat?.(heartbeatOptions, queue, socket, onTimeout, counts, memory, onLate)
      }
      socket.onmessage = listener
      connection?.unread.splice(0).forEach(listener)
      defer(queue.flush)
    },

    close(code, reason, setDeadline) {
      const socket = native()
      stopHeartbeat()
      // First, because `close()` of the `ws` package throws for a code of the wrong type. A native socket that has closed is about to report it.
      setDeadline(socket?.readyState === 3 ? 0 : closeTimeout)
      queue.flush(true)
      // A reason needs a code. Without one Chromium would throw here, and others would lose the reason.
      // https://websockets.spec.whatwg.org/#dom-websocket-close
      socket?.close(code ?? (reason === undefined ? undefined : 1000), reason)
    },

    end(last, cause, delay) {
      stopHeartbeat()
      lastUrl = url()
      const [close, unsent] = connection?.abandon() ?? []
      connection = undefined
      queue.detach(unsent, close?.code)
      if (last.name === 'open' || last.name === 'closing') {
        emit('close', { ...(close ?? NO_CLOSE_FRAME), cause, willRetry: delay !== undefined, delay })
      }
      return close
    },
  }
}
