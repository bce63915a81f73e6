/** Node's `Buffer` handles large messages many times as fast as the functions that browsers have too. */
// https://nodejs.org/api/buffer.html
declare const Buffer: {
  byteLength(text: string): number
  from(data: ArrayBufferLike, start: number, length: number): { toString(encoding: 'base64'): string }
  from(text: string, encoding: 'base64'): Uint8Array
}

/** The number of bytes of a text in UTF-8. */
export const byteLength = (text: string): number => Buffer.byteLength(text)

/** Bytes as text that JSON can carry. */
export const base64 = ({ buffer, byteOffset, byteLength }: Uint8Array): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString('base64')

/** Decodes base64 that this server has encoded. */
export const bytesOf = (text: string): Uint8Array => Buffer.from(text, 'base64')
