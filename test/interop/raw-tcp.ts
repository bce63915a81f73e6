// Sends bytes on a TCP connection, without a WebSocket client.
import { connect, type Socket } from 'node:net'
import fc from 'fast-check'
import { PROTOCOL } from './server-rig.ts'

/** Encodes a frame, whose fields may have forbidden values. https://datatracker.ietf.org/doc/html/rfc6455#section-5.2 */
export const frame = ({
  fin = true,
  reserved = 0,
  opcode = 1,
  masked = true,
  payload = Buffer.from('x'),
  length = payload.length,
}: {
  fin?: boolean
  reserved?: number
  opcode?: number
  masked?: boolean
  payload?: Buffer
  length?: number
} = {}): Buffer => {
  const first = (fin ? 0x80 : 0) | (reserved << 4) | opcode
  const bit = masked ? 0x80 : 0
  const head =
    length < 126
      ? Buffer.from([first, bit | length])
      : Buffer.concat([Buffer.from([first, bit | 127]), Buffer.alloc(8)])
  if (length >= 126) head.writeBigUInt64BE(BigInt(length), 2)
  return Buffer.concat([head, masked ? Buffer.alloc(4) : Buffer.alloc(0), payload])
}

export const handshake = (headers: Record<string, string> = {}, line = 'GET / HTTP/1.1'): Buffer =>
  Buffer.from(
    [
      line,
      ...Object.entries({
        Host: '127.0.0.1',
        Upgrade: 'websocket',
        Connection: 'Upgrade',
        'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
        'Sec-WebSocket-Version': '13',
        ...headers,
      }).map(([name, value]) => `${name}: ${value}`),
      '',
      '',
    ].join('\r\n'),
  )

export const RELIABLE: Record<string, string> = { 'Sec-WebSocket-Protocol': PROTOCOL }

/** Writes the parts one after the other, and then closes the connection. Resolves when it is closed. */
export const speak = async (
  port: number,
  parts: readonly Buffer[],
  cut: 'end' | 'reset' = 'end',
): Promise<void> => {
  const socket: Socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.resume()
  const closed = new Promise<void>(resolve => socket.once('close', () => resolve()))
  await new Promise(resolve => socket.once('connect', resolve).once('close', resolve))
  for (const part of parts) {
    socket.write(part)
    await new Promise(setImmediate)
  }
  if (cut === 'reset') socket.resetAndDestroy()
  else {
    socket.end()
    // A server that waits for more data would not close the connection.
    const timer = setTimeout(() => socket.destroy(), 50)
    await closed
    clearTimeout(timer)
  }
  await closed
}

/** Bytes before, during and after a handshake. */
export interface RawSpeech {
  readonly before: readonly Buffer[]
  readonly hands: readonly Buffer[]
  readonly after: readonly Buffer[]
  readonly inOnePacket: boolean
  readonly cut: 'end' | 'reset'
}

const noise = fc.uint8Array({ maxLength: 200 }).map(bytes => Buffer.from(bytes))
const anyFrame = fc
  .record({
    fin: fc.boolean(),
    reserved: fc.oneof({ arbitrary: fc.constant(0), weight: 3 }, fc.nat(7)),
    opcode: fc.oneof({ arbitrary: fc.constantFrom(0, 1, 2, 8, 9, 10), weight: 4 }, fc.nat(15)),
    masked: fc.oneof({ arbitrary: fc.constant(true), weight: 4 }, fc.constant(false)),
    payload: fc.oneof(
      noise,
      fc
        .constantFrom('{"type":"ping"}', '{"type":"sequenceAck","sequenceId":9}', '{', '[]')
        .map(text => Buffer.from(text)),
    ),
    length: fc.oneof({ arbitrary: fc.constant(undefined), weight: 6 }, fc.nat(2 ** 31)),
  })
  .map(({ length, ...fields }) => frame(length === undefined ? fields : { ...fields, length }))
const anyHandshake = fc.oneof(
  { arbitrary: fc.constant(handshake()), weight: 3 },
  { arbitrary: fc.constant(handshake(RELIABLE)), weight: 4 },
  fc.constantFrom(
    handshake({ 'Sec-WebSocket-Version': '99' }),
    handshake({ 'Sec-WebSocket-Key': '' }),
    handshake({ 'Sec-WebSocket-Protocol': ',,' }),
    handshake({
      ...RELIABLE,
      'Sec-WebSocket-Extensions': 'permessage-deflate; server_max_window_bits=99',
    }),
    handshake({ ...RELIABLE, Origin: 'null' }),
    handshake(RELIABLE, 'POST / HTTP/1.1'),
    handshake(RELIABLE, 'GET /?awps_connection_id=%ff&awps_reconnection_token=%00 HTTP/1.1'),
    handshake(RELIABLE, 'GET http://[ HTTP/1.1'),
  ),
  fc
    .tuple(fc.nat(200), noise)
    .map(([at, bytes]) => Buffer.concat([handshake(RELIABLE).subarray(0, at), bytes])),
)
/** A generator of data that a client may send on a TCP connection. */
export const rawSpeech: fc.Arbitrary<RawSpeech> = fc.record({
  before: fc.oneof({ arbitrary: fc.constant([]), weight: 8 }, fc.array(noise, { maxLength: 2 })),
  hands: fc.oneof({ arbitrary: anyHandshake.map(one => [one]), weight: 8 }, fc.constant([])),
  after: fc.array(fc.oneof({ arbitrary: anyFrame, weight: 5 }, noise), { maxLength: 6 }),
  inOnePacket: fc.boolean(),
  cut: fc.constantFrom('end' as const, 'reset' as const),
})

/** Sends it. */
export const speakRaw = (
  port: number,
  { before, hands, after, inOnePacket, cut }: RawSpeech,
): Promise<void> => {
  const parts = [...before, ...hands, ...after]
  return speak(port, inOnePacket ? [Buffer.concat(parts)] : parts, cut)
}
