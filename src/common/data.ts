/** Everything that `send()` accepts, as on the platform's `WebSocket`. */
// https://websockets.spec.whatwg.org/#dom-websocket-send
export type Data = string | ArrayBuffer | ArrayBufferView | Blob

/** Recognized by its members, because Blobs of happy-dom and React Native have no tag. */
const isBlob = (data: any) => data?.size >= 0 && typeof data.slice === 'function'

/** Compared by tag, because a page may have objects from several realms. Shared memory has another one. */
export const isBuffer = (data: any): data is ArrayBuffer | ArrayBufferView =>
  ({}).toString.call(ArrayBuffer.isView(data) ? data.buffer : data) === '[object ArrayBuffer]'

/** Throws a `TypeError` for anything that a WebSocket cannot send, including shared memory. */
export const checkData = (data: Data): void => {
  if (typeof data !== 'string' && !isBlob(data) && !isBuffer(data)) {
    throw new TypeError('send() needs a string, an ArrayBuffer, a view of one, or a Blob')
  }
}

/** The number of bytes of a message on the wire, without framing. Text is counted in UTF-8. */
export const byteLength = (data: Data): number => {
  if (typeof data !== 'string') return 'size' in data ? data.size : data.byteLength
  let bytes = data.length
  for (let i = 0; i < data.length; i++) {
    const point = data.codePointAt(i) as number
    if (point > 0x7f) bytes += point > 0x7ff ? 2 : 1
    if (point > 0xffff) i++
  }
  return bytes
}

/** A copy that does not change when the caller reuses its buffer. Strings and Blobs are immutable. */
export const copyData = (data: Data): Data => {
  if (typeof data === 'string' || 'size' in data) return data
  // A view is copied as far as it shows its buffer; a buffer is copied as a whole.
  const { buffer = data, byteOffset = 0, byteLength } = data as ArrayBufferView
  return (buffer as ArrayBuffer).slice(byteOffset, byteOffset + byteLength)
}
