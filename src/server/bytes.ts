/** Node's own way with bytes: many times as fast as what browsers have as well, which tells for large messages. */
// https://nodejs.org/api/buffer.html
declare const Buffer: {
  byteLength(text: string): number
  from(data: ArrayBufferLike, start: number, length: number): { toString(encoding: 'base64'): string }
}

/** How many bytes a text has as UTF-8. */
export const byteLength = (text: string): number => Buffer.byteLength(text)

/** Bytes as text that JSON can carry. */
export const base64 = ({ buffer, byteOffset, byteLength }: Uint8Array): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString('base64')
