// Bytes on a TCP connection, without any WebSocket client between: whatever they are, the process survives them.
import { connect, type Socket } from 'node:net'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { createReliableServer } from '../../src/server.ts'
import { cleanUp } from '../support/cleanup.ts'
import { join, PROTOCOL, startNode } from './server-rig.ts'

cleanUp()

const RUNS = Number(process.env.RUNS ?? 1_000)

const unhandled: unknown[] = []
const note = (error: unknown) => unhandled.push(error)

beforeAll(() => {
  process.on('uncaughtException', note)
})
afterEach(() => {
  unhandled.length = 0
})
afterAll(() => {
  process.off('uncaughtException', note)
})

/** A frame as bytes: each field may be what the standard forbids. https://datatracker.ietf.org/doc/html/rfc6455#section-5.2 */
const frame = ({
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

const handshake = (headers: Record<string, string> = {}, line = 'GET / HTTP/1.1'): Buffer =>
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

const RELIABLE = { 'Sec-WebSocket-Protocol': PROTOCOL }

/** Writes the parts one after the other, then cuts the connection. Resolves when it is gone. */
const speak = async (port: number, parts: readonly Buffer[], cut: 'end' | 'reset' = 'end'): Promise<void> => {
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
    // A server that waits for more would wait for ever.
    const timer = setTimeout(() => socket.destroy(), 50)
    await closed
    clearTimeout(timer)
  }
  await closed
}

describe('a TCP client cannot end the process', () => {
  const FORBIDDEN: [string, Buffer][] = [
    ['a reserved bit', frame({ reserved: 2 })],
    ['no mask', frame({ masked: false })],
    ['an unknown opcode', frame({ opcode: 3 })],
    ['an announced length over maxPayload', frame({ length: 2 ** 30 })],
    ['text that is not UTF-8', frame({ payload: Buffer.from([0xff, 0xfe]) })],
    ['a fragmented ping', frame({ opcode: 9, fin: false })],
    ['a continuation of nothing', frame({ opcode: 0 })],
    ['a close frame with one byte', frame({ opcode: 8, payload: Buffer.from([3]) })],
  ]

  test.each(
    FORBIDDEN.flatMap(([name, bytes]) =>
      (
        [
          ['without a subprotocol', {}],
          ['with another subprotocol', { 'Sec-WebSocket-Protocol': 'chat' }],
          ['with the reliable subprotocol', RELIABLE],
        ] as [string, Record<string, string>][]
      ).map(([offer, headers]) => [name, offer, bytes, headers] as const),
    ),
  )('with a frame with %s, %s, in the packet of the handshake or after it', async (_, __, bytes, headers) => {
    const { port, url, errors } = await startNode()
    await speak(port, [Buffer.concat([handshake(headers), bytes])])
    await speak(port, [handshake(headers), bytes])
    await speak(port, [handshake(headers), frame(), bytes], 'reset')
    expect((await join(url)).id).toBeTruthy()
    expect(unhandled).toEqual([])
    expect(errors).toEqual([])
  })

  test('with a forbidden frame while an application without error listeners serves the other subprotocols', async () => {
    const { port, url, wss } = await startNode()
    wss.on('connection', socket => socket.on('message', () => {}))
    await speak(port, [handshake({ 'Sec-WebSocket-Protocol': 'chat' }), frame({ reserved: 7 })])
    expect((await join(url)).id).toBeTruthy()
    expect(unhandled).toEqual([])
  })

  test('with a forbidden frame after the reliable server was closed', async () => {
    const { port, server } = await startNode()
    await server.close()
    for (const headers of [{}, RELIABLE]) await speak(port, [handshake(headers), frame({ opcode: 3 })])
    expect(unhandled).toEqual([])
  })

  test(`with any bytes before, during or after the handshake: ${RUNS} runs`, async () => {
    const { port, url, server, errors } = await startNode({
      onMessage: () => {},
      onJoin: () => true,
      onPublish: () => true,
    })
    const neighbour = await join(url)
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
    const speech = fc.record({
      before: fc.oneof({ arbitrary: fc.constant([]), weight: 8 }, fc.array(noise, { maxLength: 2 })),
      hands: fc.oneof({ arbitrary: anyHandshake.map(one => [one]), weight: 8 }, fc.constant([])),
      after: fc.array(fc.oneof({ arbitrary: anyFrame, weight: 5 }, noise), { maxLength: 6 }),
      inOnePacket: fc.boolean(),
      cut: fc.constantFrom('end' as const, 'reset' as const),
    })
    await fc.assert(
      fc.asyncProperty(speech, async ({ before, hands, after, inOnePacket, cut }) => {
        const parts = [...before, ...hands, ...after]
        await speak(port, inOnePacket ? [Buffer.concat(parts)] : parts, cut)
      }),
      { numRuns: RUNS },
    )
    neighbour.say('still here', 1)
    expect((await neighbour.ack(1)).success).toBe(true)
    expect(unhandled).toEqual([])
    expect(errors).toEqual([])
    // The generator reaches the inside of sessions.
    expect(server.stats.created).toBeGreaterThan(RUNS / 20)
  }, 300_000)
})

test('an error of the WebSocketServer itself is reported to onError and does not end the process', async () => {
  const { port } = await startNode()
  const errors: any[] = []
  const second = new WebSocketServer({ port, host: '127.0.0.1' })
  const server = createReliableServer(second, { onError: error => errors.push(error) })
  await new Promise(resolve => second.once('error', resolve))
  expect(errors.map(({ code }) => code)).toEqual(['EADDRINUSE'])
  await server.close({ timeout: 0 })
})
