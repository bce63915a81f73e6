/** What `send()` takes, as the platform's does. */
// https://websockets.spec.whatwg.org/#dom-websocket-send
export type Data = string | ArrayBuffer | ArrayBufferView | Blob

/** Throws for what no WebSocket can carry, shared memory included. Tags, because a page may have several realms. */
export const check = (data: Data): void => {
  if (
    typeof data !== 'string' &&
    !/ (ArrayBuffer|Blob|File)]/.test({}.toString.call(ArrayBuffer.isView(data) ? data.buffer : data))
  ) {
    throw new TypeError('send() takes a string, ArrayBuffer, view or Blob')
  }
}

/** The bytes of a message on the wire, without framing: for text those of its UTF-8. */
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

/** The message as it is now, whatever becomes of the caller's buffer. Strings and Blobs cannot change. */
export const copy = (data: Data): Data => {
  if (typeof data === 'string' || 'size' in data) return data
  // Of a view the part that it shows; a buffer is all of itself.
  const { buffer = data, byteOffset = 0, byteLength } = data as ArrayBufferView
  return (buffer as ArrayBuffer).slice(byteOffset, byteOffset + byteLength)
}
