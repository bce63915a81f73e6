import type { Emitter } from '../index.js'
import { decodeData, encode, type MessageFrame } from './frames.js'
import type { ReliableEvents, ReliableMessage } from './types.js'

/** When to acknowledge: this many milliseconds after the first message, or at once after this many messages or characters. */
const ACK_DELAY = 1_000
const ACK_COUNT = 300
/** Servers limit bytes too: 64 messages of 64 KiB each second would be all that `steadysocket/server` sends by default. */
const ACK_LENGTH = 2 ** 19

/** The messages from the server. */
export interface Incoming {
  /** The number of the last message that was delivered. */
  readonly last: number
  /** Delivers a message, unless it was delivered before. `message`: its encoded frame. Throws for data that is malformed. */
  receive(frame: MessageFrame, message: string | ArrayBuffer): void
  /** Acknowledges everything that was delivered. */
  acknowledge(send: (frame: string) => void): void
  /** Acknowledges now what would be acknowledged later, if there is a connection, and stops the timer. */
  flush(): void
  /** The session is lost: the next one counts from 1. */
  loseSession(): void
}

/** Delivers each message from the server once, in the order of the sequence numbers, then acknowledges it. */
export const createIncoming = (
  last = 0,
  emit: Emitter<ReliableEvents>['emit'],
  /** Passes a frame to the connection, if there is one. */
  transmit: (frame: string) => unknown,
): Incoming => {
  let count = 0
  let length = 0
  let timer: ReturnType<typeof setTimeout> | undefined

  const stop = () => {
    clearTimeout(timer)
    timer = undefined
    count = length = 0
  }

  // If it does not arrive, the session is resumed, which begins with the next one.
  const acknowledge = (send = transmit) => {
    stop()
    send(encode({ type: 'sequenceAck', sequenceId: last }))
  }

  return {
    acknowledge,

    receive(frame, message) {
      const { sequenceId, dataType, from, fromUserId } = frame
      if (sequenceId > last) {
        const data = frame.data instanceof ArrayBuffer ? frame.data : decodeData(frame)
        const group = frame.group ?? undefined
        const missed = sequenceId - last - 1
        if (missed) emit('gap', { reason: 'skipped', missed })
        last = sequenceId
        emit('message', {
          id: last,
          // A message with a group never counts as one from the server.
          from: from === 'group' || group !== undefined ? 'group' : 'server',
          group,
          userId: fromUserId ?? undefined,
          dataType,
          data,
        } as ReliableMessage)
        length += typeof message === 'string' ? message.length : message.byteLength
        if (++count >= ACK_COUNT || length >= ACK_LENGTH) return acknowledge()
      }
      timer ??= setTimeout(acknowledge, ACK_DELAY)
    },

    flush() {
      if (timer) acknowledge()
    },

    loseSession() {
      last = 0
      stop()
    },

    get last() {
      return last
    },
  }
}
