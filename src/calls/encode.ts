import type { Data } from '../index.js'
import type { CallCodec } from './types.js'

/** The bytes of binary data, which are not copied. Empty for other data. */
export const bytesOf = (data: any): Uint8Array => {
  const { buffer = data, byteOffset, byteLength } = data
  return new Uint8Array(buffer, byteOffset, byteLength)
}

/** Encodes a frame as a message. Throws for one that cannot be encoded. */
export type Encode = (frame: unknown) => Data

export const createEncode =
  (codec: CallCodec | undefined): Encode =>
  frame => {
    const data = codec ? codec.encode(frame) : JSON.stringify(frame)
    if (data === undefined) throw new TypeError('The frame cannot be encoded')
    // A codec may use its buffer again.
    return typeof data === 'string' ? data : (bytesOf(data).slice() as Uint8Array<ArrayBuffer>)
  }
