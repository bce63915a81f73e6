// Messages to clients, as stores keep them: without their numbers, which differ from session to session.
import { MAX_HEAD, messageFields, messageHead } from '../protobuf/messages.js'
import { join } from '../protobuf/wire.js'
import { type EncodedData, encodeAs, type FrameHead, type MessageFrame } from '../reliable/frames.js'
import { base64, byteLength } from './bytes.js'
import type { Payload } from './frames.js'
import type { BinaryFrame, StoredFrame } from './store.js'

type StoredHead = Omit<FrameHead<MessageFrame>, 'sequenceId'>

/**
 * A message with binary data, which is encoded as base64 only for stores and connections that need text. The data is copied only once, into the
 * frame of Protocol Buffers, because copying a large message takes longer than everything else that is done with it.
 */
export class BinaryMessage implements BinaryFrame {
  readonly size: number
  private readonly head: StoredHead
  private readonly length: number
  /** Room for the number, then the fields. The data is at the end. */
  private readonly bytes: Uint8Array
  /** The number that `bytes` contains. */
  private number: number | undefined
  private text: string | undefined

  constructor(head: StoredHead, data: Uint8Array) {
    this.head = head
    this.length = data.length
    // The size of the JSON frame, so that the same limits apply in every store and to every connection.
    this.size = byteLength(frameOf(head, encodeAs('binary', ''))) + Math.ceil(data.length / 3) * 4
    this.bytes = join([new Uint8Array(MAX_HEAD), ...messageFields(head, { dataType: 'binary', data })])
  }

  /** The frame of Protocol Buffers with this number. */
  numbered(sequenceId: number): Uint8Array {
    const head = messageHead(sequenceId, this.bytes.length - MAX_HEAD)
    // Other sessions have other numbers, but the number in `bytes` must not change, because the network may still be sending it.
    if (this.number !== undefined && this.number !== sequenceId) {
      return join([head, this.bytes.subarray(MAX_HEAD)])
    }
    this.number = sequenceId
    const start = MAX_HEAD - head.length
    this.bytes.set(head, start)
    return this.bytes.subarray(start)
  }

  /** The JSON frame. Encoded once for all sessions that receive it. */
  toString(): string {
    const data = this.bytes.subarray(this.bytes.length - this.length)
    this.text ??= frameOf(this.head, encodeAs('binary', base64(data)))
    return this.text
  }

  toJSON(): string {
    return this.toString()
  }
}

/** The data of a frame, as text. */
export const encodePayload = ({ dataType, data }: Payload): EncodedData =>
  encodeAs(dataType, dataType === 'binary' ? base64(data) : data)

const frameOf = (head: StoredHead, data: string): string => `${JSON.stringify(head).slice(0, -1)}${data}}`

/** The size of a message in bytes, for the limits. */
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
    dataType === 'binary' ? new BinaryMessage(head, data) : frameOf(head, encodeAs(dataType, data))
  // A character has up to three bytes. Only a long text is worth measuring.
  const isLong = typeof frame !== 'string' || frame.length * 3 > max
  if (isLong && sizeOf(frame) > max) {
    throw new RangeError(`a message of ${sizeOf(frame)} bytes is larger than maxUnacknowledgedBytes, ${max}`)
  }
  return frame
}
