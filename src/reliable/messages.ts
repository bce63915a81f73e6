import { decodeData, type FrameData, type RequestFrame } from './frames.js'
import type { Outcome, PackedRequest, SentMessage } from './types.js'

/** A message of this client, from `send()` to its outcome. Everything except the functions can be saved. */
export interface Message {
  readonly ackId: number
  /** The id that it keeps across sessions. An outbox keeps such a message, and decides what becomes of it. */
  readonly messageId?: string | undefined
  /** The JSON frame, or an object that becomes one when it is converted to a string. */
  readonly frame: string | PackedRequest
  /** The bytes of the frame. */
  readonly size: number
  readonly onLost: 'drop' | 'resend'
  /**
   * The time at which it expires; `Infinity`, and `null` in saved text, mean never. It is checked again before the message is sent,
   * because timers are late after the process was suspended, and while the page is hidden.
   */
  readonly expires: number | null
  readonly type: RequestFrame['type']
  /** The name of its event or group. */
  readonly name: string
  /** Reports the outcome, the first time. */
  report?: ((outcome: Outcome) => void) | undefined
  /** Stops watching `ttl` and `signal`. */
  unwatch?(): void
}

/** Messages by their `ackId`, oldest first, and the sum of their sizes. */
export type MessageList = Map<number, Message> & { bytes: number }

export const addTo = (list: MessageList, message: Message): void => {
  list.set(message.ackId, message)
  list.bytes += message.size
}

export const removeFrom = (list: MessageList, { ackId, size }: Message): void => {
  if (list.delete(ackId)) list.bytes -= size
}

export const listOf = (messages: readonly Message[] = []): MessageList => {
  const list = Object.assign(new Map<number, Message>(), { bytes: 0 })
  for (const message of messages) addTo(list, message)
  return list
}

/** The message for the application. */
export const describe = ({ frame }: Pick<Message, 'frame'>): SentMessage => {
  const message: SentMessage = JSON.parse(frame as string)
  return message.dataType ? { ...message, data: decodeData(message as FrameData) } : message
}
