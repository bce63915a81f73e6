// What a client of a WebSocket server sends over a plain TCP socket.

export const RELIABLE = 'json.reliable.webpubsub.azure.v1'

/** The request of a handshake. https://datatracker.ietf.org/doc/html/rfc6455#section-4.1 */
export const handshake = (path = '/', protocol = '') =>
  [
    `GET ${path} HTTP/1.1`,
    'Host: 127.0.0.1',
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Version: 13',
    ...(protocol ? [`Sec-WebSocket-Protocol: ${protocol}`] : []),
    '\r\n',
  ].join('\r\n')

/** One frame of a client, masked with zeros. https://datatracker.ietf.org/doc/html/rfc6455#section-5.2 */
export const frame = (content, opcode = 1) => {
  const payload = Buffer.from(content)
  const { length } = payload
  const head =
    length < 126
      ? Buffer.from([0x80 | opcode, 0x80 | length])
      : Buffer.alloc(10, Buffer.from([0x80 | opcode, 0xff]))
  if (length >= 126) head.writeBigUInt64BE(BigInt(length), 2)
  return Buffer.concat([head, Buffer.alloc(4), payload])
}
