/** The bytes of binary data, which are not copied. None of anything else. */
export const bytesOf = (data: any): Uint8Array => {
  const { buffer = data, byteOffset, byteLength } = data
  return new Uint8Array(buffer, byteOffset, byteLength)
}
