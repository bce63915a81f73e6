import { rejectUnknown } from '../common/checks.js'
import { watchExpiry } from '../common/expiry.js'
import type { Emitter } from '../index.js'
import { type AckFrame, type EncodedData, encode } from './frames.js'
import { addTo, describe, listOf, type Message, type MessageList, removeFrom } from './messages.js'
import type {
  FrameFormat,
  Outcome,
  PackedRequest,
  ReliableDropReason,
  ReliableEvents,
  ReliableSendOptions,
  ReliableStats,
} from './types.js'

/** How much may be sent and not acknowledged. A larger message is sent alone. */
const WINDOW = 256
const WINDOW_BYTES = 2 ** 20

/** The messages to the server in the text that `save()` returns. */
export interface SavedOutgoing {
  readonly next?: number
  readonly joined?: [group: string, message: Message][]
  readonly sent?: Message[]
  readonly waiting?: Message[]
}

/** The members of a request, but for its data, in the order in which they are sent, before its `ackId`. */
export type RequestHead =
  | { type: 'event'; event: string }
  | { type: 'sendToGroup'; group: string; noEcho: boolean | undefined }
  | { type: 'joinGroup' | 'leaveGroup'; group: string }

/** A frame that is not yet encoded for a connection. */
export type Frame = string | PackedRequest

/** The data of a request, as a part of a JSON frame, or as bytes. */
export type RequestData = EncodedData | string | ReturnType<FrameFormat['pack']> | undefined

/** The messages to the server. */
export interface Outgoing {
  /**
   * Sends a message, now or later. `name`: of its event or group. Rejects for invalid arguments. `messageId`: of a message that an outbox
   * keeps. Its `data` is the whole request, without the opening brace.
   */
  send(
    head: RequestHead,
    name: string,
    options: ReliableSendOptions,
    data?: RequestData,
    messageId?: string,
  ): Promise<Outcome>
  /** Sends queued messages as far as the window allows. */
  flush(): void
  /** Processes the server's answer to a message. */
  receive(frame: AckFrame): void
  /** Sends the unacknowledged messages again, on a new connection, before all others. */
  resend(send: (frame: Frame) => void): void
  /** The session is lost: reports the messages whose outcome is unknown, and keeps the others for the next session. */
  loseSession(): void
  /** The socket was closed permanently. */
  close(): void
  stats(): Pick<ReliableStats, 'dropped' | 'queued' | 'queuedBytes' | 'inFlight' | 'inFlightBytes'>
  save(): SavedOutgoing
}

type Emit = Emitter<ReliableEvents>['emit']

type Drop = (message: Message, reason: ReliableDropReason) => void

const unkept = (list: MessageList) => [...list.values()].filter(({ messageId }) => !messageId)

/** Throws a `TypeError` for invalid arguments of `send()`. */
export const checkSend = (
  name: unknown,
  { onLost = 'drop', ttl = Infinity, signal: _, store: __, ...unknown }: ReliableSendOptions,
): void => {
  rejectUnknown('send', unknown, 'event, noEcho, onLost, ttl, signal and store')
  const isValid = typeof name === 'string' && name && ttl >= 0 && (onLost === 'drop' || onLost === 'resend')
  if (!isValid) throw new TypeError("Use a name, a ttl from 0, and onLost 'drop' or 'resend'")
}

const frameOf = (
  head: RequestHead,
  ackId: number,
  data: RequestData,
  messageId: string | undefined,
): Frame => {
  const members = { ...head, ackId }
  // The id comes first, so that it can be removed for servers that do not support it.
  if (messageId) return `{"messageId":"${messageId}","ackId":${ackId},${data}`
  return typeof data === 'function' ? data(members) : encode(members, data as EncodedData)
}

/** Whether a message of this size has to wait for acknowledgements of those that were sent. */
const isFull = (sent: MessageList, size: number) =>
  sent.size > 0 && (sent.size >= WINDOW || sent.bytes + size > WINDOW_BYTES)

/**
 * Sends messages to the server in the order of `ackId`, and keeps each until it is acknowledged. `transmit` passes a frame to the
 * connection, and returns `false` if no connection accepts it now.
 */
export const createOutgoing = (
  saved: SavedOutgoing,
  maxMessages: number,
  maxBytes: number,
  emit: Emit,
  transmit: (frame: Frame) => boolean,
  isClosed: () => boolean,
): Outgoing => {
  // One encoder: in Node, making one takes longer than encoding a short message.
  const encoder = new TextEncoder()
  const waiting = listOf(saved.waiting)
  let sent = listOf(saved.sent)
  /** The messages that joined the groups of this session: sent again in each new session. */
  const joined = new Map<string, Message>(saved.joined)
  // Never the number of another message, even if the saved text is old: the server would treat it as a repetition.
  let next = saved.next ? Math.max(saved.next, Date.now() * 1_000) : 1
  let dropped = 0

  // Their promises were lost with the page that sent them.
  for (const message of [...sent.values(), ...waiting.values()])
    message.report = outcome => emit('outcome', { ...describe(message), ...outcome })

  const finish = (message: Message, outcome: Outcome) => {
    message.unwatch?.()
    message.report?.(outcome)
    // One that joins a group is sent again in each new session.
    message.report = undefined
    if (outcome.status !== 'dropped' || message.messageId) return
    dropped++
    emit('drop', { ...describe(message), ...outcome })
  }

  const drop: Drop = (message, reason) => {
    removeFrom(waiting, message)
    finish(message, { status: 'dropped', reason })
  }

  const flush = () => {
    for (const message of waiting.values()) {
      const { frame, size, expires } = message
      if (expires && expires < Date.now()) drop(message, 'expired')
      else {
        if (isFull(sent, size) || !transmit(frame)) break
        removeFrom(waiting, message)
        addTo(sent, message)
        message.unwatch?.()
      }
    }
  }

  return {
    flush,

    send: (head, name, options, data, messageId) =>
      new Promise<Outcome>(report => {
        checkSend(name, options)
        const { onLost = 'drop', signal, ttl = Infinity } = options
        const ackId = next++
        const frame = frameOf(head, ackId, data, messageId)
        const size = (frame as PackedRequest).size ?? encoder.encode(frame as string).length
        const expires = Date.now() + ttl
        const { type } = head
        const message: Message = { ackId, messageId, frame, size, onLost, expires, type, name, report }
        if (signal?.aborted) return drop(message, 'aborted')
        if (isClosed()) return drop(message, 'closed')
        message.unwatch = watchExpiry(ttl, signal, reason => drop(message, reason))
        addTo(waiting, message)
        flush()
        if (!messageId && waiting.has(ackId) && (waiting.size > maxMessages || waiting.bytes > maxBytes)) {
          drop(message, 'overflow')
        }
      }),

    receive({ ackId, success, error }) {
      const message = sent.get(ackId)
      if (!message) return
      const isDone = success || error?.name === 'Duplicate'
      removeFrom(sent, message)
      if (isDone && message.type === 'joinGroup') joined.set(message.name, message)
      if (isDone && message.type === 'leaveGroup') joined.delete(message.name)
      finish(message, isDone ? { status: 'delivered' } : { status: 'dropped', reason: 'refused', error })
      flush()
    },

    resend(send) {
      for (const { frame } of sent.values()) send(frame)
    },

    loseSession() {
      const unacknowledged = [...sent.values()]
      const unknown = unacknowledged.filter(({ onLost }) => onLost === 'drop')
      const resent = unacknowledged.filter(({ onLost }) => onLost === 'resend')
      // In the order of `ackId`: a server may treat a lower one as a repetition.
      sent = listOf([...joined.values(), ...resent].sort((one, other) => one.ackId - other.ackId))
      joined.clear()
      emit('gap', { reason: 'session', unknown: unknown.map(describe), resent: resent.map(describe) })
      for (const message of unknown) finish(message, { status: 'unknown' })
    },

    close() {
      for (const message of sent.values()) {
        // A membership lasts longer than a connection: it is sent again after `connect()`.
        if (message.type !== 'joinGroup' && message.type !== 'leaveGroup') removeFrom(sent, message)
        finish(message, { status: 'unknown' })
      }
      for (const message of waiting.values()) drop(message, 'closed')
    },

    stats: () => ({
      dropped,
      queued: waiting.size,
      queuedBytes: waiting.bytes,
      inFlight: sent.size,
      inFlightBytes: sent.bytes,
    }),

    // The outbox keeps its messages itself.
    save: () => ({ next, joined: [...joined], sent: unkept(sent), waiting: unkept(waiting) }),
  }
}
