// The format of frames that a page passes to `createReliableSocket()`.
import { isBuffer } from '../common/data.js'
import {
  check,
  decode,
  encode,
  encodeAs,
  encodeData,
  isPong,
  type RequestFrame,
  toBase64,
  viewOf,
} from '../reliable/frames.js'
import type { FrameFormat, PackedRequest } from '../reliable.js'
import { PROTOBUF, splitFrame } from './data.js'
import { readServerFrame } from './messages.js'
import { writeRequest } from './requests.js'
import type { Bytes } from './wire.js'

/** The first byte of the frame `pong`. No other frame begins with it. */
const PONG = 34

/** A request with binary data. The data is copied when the request is created. `save()`, and conversion to a string, result in the JSON frame. */
class BinaryRequest implements PackedRequest {
  readonly encoded: Bytes
  private readonly head: object
  private readonly length: number

  constructor(head: object, data: Uint8Array) {
    this.head = head
    this.length = data.length
    this.encoded = writeRequest(head, { dataType: 'binary', data })
  }

  get size(): number {
    return this.encoded.length
  }

  toString(): string {
    const data = this.encoded.subarray(this.size - this.length)
    return encode(this.head as RequestFrame, encodeAs('binary', toBase64(data)))
  }

  toJSON(): string {
    return `${this}`
  }
}

/**
 * Sends and receives frames as Protocol Buffers, which contain binary data without base64. In JSON frames, binary data is base64, which is a third
 * larger, and slow to encode. The subprotocol is `protobuf.reliable.webpubsub.azure.v1`. If the server does not select it, the frames are JSON.
 *
 * ```ts
 * import { createReliableSocket } from 'steadysocket/reliable'
 * import { protobuf } from 'steadysocket/reliable-protobuf'
 *
 * const socket = createReliableSocket('wss://push.example.com/feed', { frames: protobuf() })
 * ```
 */
export const protobuf = (): FrameFormat => ({
  protocol: PROTOBUF,
  pack(data) {
    if (!isBuffer(data)) return encodeData(data)
    return head => new BinaryRequest(head, viewOf(data))
  },
  encode(frame, protocol) {
    if (protocol !== PROTOBUF) return `${frame}`
    if (frame instanceof BinaryRequest) return frame.encoded.buffer
    const { head, data } = splitFrame(frame as string)
    return writeRequest(head, data).buffer
  },
  decode: data => (typeof data === 'string' ? decode(data) : check(readServerFrame(new Uint8Array(data)))),
  isPong: data => (typeof data === 'string' ? isPong(data) : new Uint8Array(data)[0] === PONG),
})
