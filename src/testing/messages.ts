import type { FakeMessage } from './types.js'

/** The kind of an object, also of one that comes from another realm. */
export const tagOf = (value: unknown): string => ({}).toString.call(value).slice(8, -1)

export const isBlob = (value: unknown): value is Blob => {
  const { size, type, slice } = Object(value)
  return size >= 0 && typeof type === 'string' && typeof slice === 'function'
}

export const wellFormed = (text: string): string =>
  new TextDecoder('utf-8', { ignoreBOM: true }).decode(new TextEncoder().encode(text))

export const byteLength = (message: FakeMessage): number => {
  if (typeof message === 'string') return new TextEncoder().encode(message).length
  return 'size' in message ? message.size : message.length
}

/** A snapshot of what is sent, converted as on the platform: other values become text. */
// https://websockets.spec.whatwg.org/#dom-websocket-send
export const toMessage = (data: unknown): FakeMessage => {
  if (typeof data === 'string') return wellFormed(data)
  if (isBlob(data)) return data
  const { buffer = data, byteOffset = 0, byteLength = 0 } = (data ?? {}) as ArrayBufferView
  if (tagOf(buffer) === 'ArrayBuffer') {
    // A buffer that was transferred is empty, but a view of it would throw.
    return byteLength
      ? new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength).slice()
      : new Uint8Array()
  }
  if (ArrayBuffer.isView(data)) throw new TypeError('send(): shared memory cannot be sent, copy it first')
  return wellFormed(`${data}`)
}
