// Messages to clients, as stores keep them: without their numbers, which differ from session to session.
import { encodeAs, type FrameHead, type MessageFrame } from '../reliable/frames.js'
import { base64, byteLength } from './bytes.js'
import type { Payload } from './frames.js'
import type { BinaryFrame, StoredFrame } from './store.js'

type StoredHead = Omit<FrameHead<MessageFrame>, 'sequenceId'>

/** A message with binary data, which is encoded as base64 only for stores and connections that need text. */
export class BinaryMessage implements BinaryFrame {
  readonly head: StoredHead
  readonly data: Uint8Array
  readonly size: number
  private text: string | undefined

  constructor(head: StoredHead, data: Uint8Array) {
    this.head = head
    this.data = data
    // The same limits apply in every store, and to every connection.
    this.size = byteLength(frameOf(head, encodeAs('binary', ''))) + Math.ceil(data.length / 3) * 4
  }

  /** The JSON frame. Encoded once for all sessions that receive it. */
  toString(): string {
    this.text ??= frameOf(this.head, encodeAs('binary', base64(this.data)))
    return this.text
  }

  toJSON(): string {
    return this.toString()
  }
}

const frameOf = (head: StoredHead, data: string): string => `${JSON.stringify(head).slice(0, -1)}${data}}`

/** The bytes that a message counts. */
export const sizeOf = (frame: StoredFrame): number =>
  typeof frame === 'string' ? byteLength(frame) : frame.size

/**
 * A message for a client, without its sequence number. Binary data is copied. Throws a `RangeError` for more than `max` bytes, because such a
 * message would end every session, and throws the errors of JSON.stringify.
 */
export const writeMessage = (
  { dataType, data }: Payload,
  from: { group: string; fromUserId?: string | undefined } | undefined,
  max: number = Infinity,
): StoredFrame => {
  const head: StoredHead = { type: 'message', from: from ? 'group' : 'server', ...from }
  const frame =
    dataType === 'binary'
      ? new BinaryMessage(head, new Uint8Array(data))
      : frameOf(head, encodeAs(dataType, data))
  // A character has up to three bytes. Only a long text is worth measuring.
  const isLong = typeof frame !== 'string' || frame.length * 3 > max
  if (isLong && sizeOf(frame) > max) {
    throw new RangeError(`a message of ${sizeOf(frame)} bytes is larger than maxUnacknowledgedBytes, ${max}`)
  }
  return frame
}
