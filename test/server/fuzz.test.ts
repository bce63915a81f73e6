// Whatever a client sends, the server answers or closes the connection. It never crashes, and other clients are not affected.
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createReliableServer, type ReliableServer, type ReliableServerOptions } from '../../src/server.ts'
import { eventually } from '../support/eventually.ts'
import { byEffort } from '../support/run.ts'
import { FakeServer, type FakeSocket } from './fake.ts'
import { audit, speech } from './speech.ts'

const RUNS = Number(process.env.RUNS ?? byEffort(1_000, 5_000))

describe('the server, whatever a client sends', () => {
  let wss: FakeServer
  let server: ReliableServer
  let neighbour: FakeSocket
  const errors: unknown[] = []
  const unhandled: unknown[] = []
  const note = (error: unknown) => unhandled.push(error)

  beforeAll(async () => {
    process.on('unhandledRejection', note)
    wss = new FakeServer()
    server = createReliableServer(wss, {
      onMessage: audit,
      onJoin: () => true,
      onPublish: () => true,
      onError: error => errors.push(error),
      sessionTimeout: 60_000,
    })
    neighbour = await wss.connect()
  })
  afterAll(async () => {
    await server.close()
    process.off('unhandledRejection', note)
  })

  test(`answers or closes the session, without an error of its own: ${RUNS} runs`, async () => {
    let runs = 0
    let closed = 0
    let answered = 0
    let sequence = 0
    await fc.assert(
      fc.asyncProperty(speech, async words => {
        runs++
        const socket = await wss.connect()
        for (const one of words) socket.say(one)
        socket.say('{"type":"ping"}')
        await socket.until(() => socket.end || socket.frames.some(({ type }) => type === 'pong'))
        if (socket.readyState !== 1) {
          await socket.until(() => socket.end)
          closed++
          expect(socket.end?.code).toBe(1008)
          expect(socket.end?.reason).not.toBe('')
          expect(socket.frames.at(-1)).toMatchObject({ type: 'system', event: 'disconnected' })
        } else {
          // Every request with a valid ackId is answered at the end.
          socket.say('{"type":"leaveGroup","group":"last","ackId":9007199254740991}')
          await socket.until(() => socket.frames.some(({ ackId }) => ackId === Number.MAX_SAFE_INTEGER))
          answered++
        }
        for (const { type, ackId, success, error } of socket.frames) {
          if (type !== 'ack') continue
          expect(Number.isSafeInteger(ackId)).toBe(true)
          if (!success) expect([typeof error.name, typeof error.message]).toEqual(['string', 'string'])
        }
        const numbers = socket.frames
          .filter(({ type }) => type === 'message')
          .map(({ sequenceId }) => sequenceId)
        expect(numbers).toEqual(numbers.map((_, i) => i + 1))
        socket.terminate()

        // Another client is still served.
        sequence++
        neighbour.say(
          JSON.stringify({ type: 'event', event: 'e', dataType: 'json', data: sequence, ackId: sequence }),
        )
        await neighbour.until(() =>
          neighbour.frames.some(({ type, data }) => type === 'message' && data === sequence),
        )
        neighbour.say(JSON.stringify({ type: 'sequenceAck', sequenceId: sequence }))
        neighbour.frames.length = 0
      }),
      { numRuns: RUNS },
    )
    expect(errors).toEqual([])
    expect(unhandled).toEqual([])
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
    expect(neighbour.end).toBeUndefined()
    // The generator causes both outcomes.
    expect([closed > runs / 20, answered > runs / 20]).toEqual([true, true])
    expect(server.stats.connections).toBe(1)
  })
})

describe('the limits of the server', () => {
  const servers: ReliableServer[] = []
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.close({ timeout: 0 })
  })
  const start = async (options: ReliableServerOptions) => {
    const wss = new FakeServer()
    const server = createReliableServer(wss, options)
    servers.push(server)
    return { server, wss, socket: await wss.connect() }
  }
  const event = (ackId: number, data = 'x') =>
    JSON.stringify({ type: 'event', event: 'e', dataType: 'text', data, ackId })

  test.each([
    ['256 messages', 256, 'x'],
    ['1 MiB', 11, 'x'.repeat(100_000)],
  ])(
    'a client that sends requests faster than they are handled is not read beyond %s',
    async (_, limit, data) => {
      let next = () => {}
      let heard = 0
      const { socket } = await start({
        onMessage: () => {
          heard++
          return new Promise<void>(resolve => {
            next = resolve
          })
        },
      })
      await socket.until(() => !socket.isPaused)
      for (let i = 1; i < limit; i++) socket.say(event(i, data))
      expect(socket.isPaused).toBe(false)
      socket.say(event(limit, data))
      expect(socket.isPaused).toBe(true)
      for (let i = 1; i <= limit; i++) {
        await eventually(() => expect(heard).toBe(i), 1)
        next()
        await socket.until(() => socket.frames.some(({ ackId }) => ackId === i))
      }
      expect(socket.isPaused).toBe(false)
      expect(heard).toBe(limit)
    },
  )

  test('a client that sends requests without reading the answers loses its session', async () => {
    const { server, socket } = await start({ maxUnacknowledgedBytes: 1_000 })
    await socket.until(() => !socket.isPaused)
    socket.bufferedAmount = 2 ** 20 + 1_001
    socket.say('{"type":"ping"}')
    expect((await socket.until(() => socket.end)).code).toBe(1013)
    expect(server.stats.slow).toBe(1)
  })

  test('a client that comes back while its requests are handled is not read beyond the limit either', async () => {
    const { wss, socket: first } = await start({ onMessage: () => new Promise(() => {}) })
    await first.until(() => !first.isPaused)
    for (let i = 1; i <= 256; i++) first.say(event(i))
    expect(first.isPaused).toBe(true)
    let [{ connectionId: id, reconnectionToken: token }] = first.frames
    for (let i = 1; i <= 3; i++) {
      const next = await wss.connect(`/?awps_connection_id=${id}&awps_reconnection_token=${token}`)
      token = next.frames[0].reconnectionToken
      for (let j = 0; j < 100; j++) next.say(event(i * 1_000 + j))
      await new Promise(setImmediate)
      expect([next.isPaused, next.unread]).toEqual([true, 100])
      expect(next.end).toBeUndefined()
    }
  })

  test('a client that does not read gets no more messages than its connection buffers', async () => {
    const { server, socket } = await start({})
    await socket.until(() => !socket.isPaused)
    const [{ connectionId: id }] = socket.frames
    socket.bufferedAmount = 2 ** 20
    for (let n = 1; n <= 20; n++) await server.send(id, n)
    await new Promise(setImmediate)
    const written = () => socket.frames.filter(({ type }) => type === 'message').map(({ data }) => data)
    expect(written()).toEqual([1])
    socket.drain()
    await socket.until(() => written().length === 20)
    expect(written()).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
  })

  test('a client that comes back while the old connection is full gets everything on the new one', async () => {
    const { server, wss, socket: first } = await start({})
    await first.until(() => !first.isPaused)
    const [{ connectionId: id, reconnectionToken: token }] = first.frames
    first.bufferedAmount = 2 ** 20
    for (let n = 1; n <= 20; n++) await server.send(id, n)
    await new Promise(setImmediate)
    const next = await wss.connect(`/?awps_connection_id=${id}&awps_reconnection_token=${token}`)
    await next.until(() => next.frames.filter(({ type }) => type === 'message').length === 20)
  })

  test('message ids outside of dedupeWindow are forgotten', async () => {
    let handled = 0
    const { socket } = await start({ onMessage: () => void handled++, dedupeWindow: 10 })
    await socket.until(() => !socket.isPaused)
    for (let i = 1; i <= 11; i++) {
      socket.say(event(i))
      await socket.until(() => socket.frames.some(({ ackId }) => ackId === i))
    }
    socket.frames.length = 0
    socket.say(event(2))
    expect((await socket.until(() => socket.frames[0])).error.name).toBe('Duplicate')
    socket.frames.length = 0
    socket.say(event(1))
    expect((await socket.until(() => socket.frames[0])).success).toBe(true)
    expect(handled).toBe(12)
  })
})
