// Encodes and decodes the wire format of Protocol Buffers, as far as the frames use it. https://protobuf.dev/programming-guides/encoding/

/** An encoded message in pieces, so that large data is copied only once, by `join()`. */
export type Pieces = ArrayLike<number>[]

/** Bytes in an `ArrayBuffer`. Since TypeScript 5.7, `Uint8Array` has a type parameter for this. */
export type Bytes = Uint8Array & { readonly buffer: ArrayBuffer }

// Created when they are first needed: importing a module has no effect.
let encoder: TextEncoder | undefined
let decoder: TextDecoder | undefined

/** The wire types: the three low bits of a tag. */
const VARINT = 0
const FIXED64 = 1
const LENGTH = 2
const FIXED32 = 5

/** The largest tag: field numbers have 29 bits. */
const MAX_TAG = 4_294_967_295

const varint = (value: number): number[] => {
  const bytes: number[] = []
  // Bitwise operators would truncate the value to 32 bits.
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) + 128)
  bytes.push(value)
  return bytes
}

/** Encodes a field with bytes or with an embedded message. */
export const bytes = (field: number, pieces: Pieces): Pieces => {
  const size = pieces.reduce((sum, { length }) => sum + length, 0)
  return [[...varint(field * 8 + LENGTH), ...varint(size)], ...pieces]
}

/** Encodes a field with an unsigned integer up to 2^53 - 1. The field is omitted if there is no value. */
export const uint = (field: number, value: number | undefined): Pieces =>
  value === undefined ? [] : [[...varint(field * 8 + VARINT), ...varint(value)]]

/** Encodes a field with a string. The field is omitted if there is no value. Lone surrogates become U+FFFD, as in `WebSocket.send()`. */
export const text = (field: number, value: string | undefined): Pieces => {
  if (value === undefined) return []
  encoder ??= new TextEncoder()
  return bytes(field, [encoder.encode(value)])
}

export const join = (pieces: Pieces): Bytes => {
  const joined = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const piece of pieces) {
    joined.set(piece, at)
    at += piece.length
  }
  return joined
}

/** Throws a `SyntaxError` that does not quote the frame, because a frame may contain secrets. */
const fail = (why: string): never => {
  throw new SyntaxError(`not Protocol Buffers: ${why}`)
}

/** Decodes UTF-8. Throws a `TypeError` for bytes that are not UTF-8. */
export const utf8 = (value: Uint8Array): string => {
  decoder ??= new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  return decoder.decode(value)
}

/** Receives the fields of a message in order. `tag`: eight times the field number, plus the wire type, which is 0 for numbers and 2 for bytes. */
export interface Visitor {
  /** A number. If it is larger than 2^53 - 1, it may be inexact. */
  number?(tag: number, value: number): void
  /** Bytes, a string, or an embedded message, as a view of the memory of the message. */
  bytes?(tag: number, value: Uint8Array): void
}

/**
 * Decodes a message. A tag contains the wire type, so a field whose type is not the expected one has an unknown tag, and is ignored. Throws a
 * `SyntaxError` for a malformed message, and for groups, which proto3 does not support.
 */
export const read = (message: Uint8Array, visitor: Visitor): void => {
  let at = 0
  const next = () => {
    let value = 0
    for (let bit = 0; bit < 70 && at < message.length; bit += 7) {
      const byte = message[at++] as number
      value += (byte % 128) * 2 ** bit
      if (byte < 128) return value
    }
    return fail('the end of a number is missing')
  }
  while (at < message.length) {
    const tag = next()
    const type = tag % 8
    if (tag < 8 || tag > MAX_TAG) fail('an invalid field number')
    if (type === VARINT) {
      // Read even if the visitor has no use for it.
      const value = next()
      visitor.number?.(tag, value)
    } else {
      const size =
        type === LENGTH ? next() : type === FIXED64 ? 8 : type === FIXED32 ? 4 : fail('an invalid type')
      const end = at + size
      if (end > message.length) fail('the end of a field is missing')
      if (type === LENGTH) visitor.bytes?.(tag, message.subarray(at, end))
      at = end
    }
  }
}
