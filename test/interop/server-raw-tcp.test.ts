// Bytes on a TCP connection, without a WebSocket client. Whatever they are, the process does not crash.
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { createReliableServer } from '../../src/server.ts'
import { cleanUp } from '../support/cleanup.ts'
import { frame, handshake, RELIABLE, rawSpeech, speak, speakRaw } from './raw-tcp.ts'
import { join, startNode } from './server-rig.ts'

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
    await fc.assert(
      fc.asyncProperty(rawSpeech, speech => speakRaw(port, speech)),
      { numRuns: RUNS },
    )
    neighbour.say('still here', 1)
    expect((await neighbour.ack(1)).success).toBe(true)
    expect(unhandled).toEqual([])
    expect(errors).toEqual([])
    // The generator also opens sessions.
    expect(server.stats.created).toBeGreaterThan(RUNS / 20)
  })
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
