// Whatever a client sends ends in an answer or a close, never in a crash, and harms nobody else.
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { type ReliableOptions, type ReliableServer, reliable } from '../../src/server.ts'
import { byEffort } from '../support/run.ts'
import { FakeServer, type FakeSocket } from './fake.ts'
import { cleanUp, dial, join, startNode } from './rig.ts'

cleanUp()

const RUNS = Number(process.env.RUNS ?? byEffort(1_000, 5_000))

const id = fc.oneof(
  fc.nat(50),
  fc.integer(),
  fc.double(),
  fc.constantFrom(Number.MAX_SAFE_INTEGER, -1, 2 ** 53, 1e308, null, '1', [], {}, true, undefined),
)
const word = fc.oneof(
  fc.constantFrom(
    'event',
    'joinGroup',
    'leaveGroup',
    'sendToGroup',
    'sequenceAck',
    'ping',
    'ack',
    'system',
    'message',
  ),
  fc.constantFrom(
    'json',
    'text',
    'binary',
    'protobuf',
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    '',
  ),
  fc.string(),
  fc.string({ unit: 'binary', maxLength: 2_000 }),
)
const value = fc.oneof(
  word,
  id,
  fc.jsonValue({ maxDepth: 6 }),
  fc.constant('AAEC'),
  fc.constant('*not base64*'),
)
const often = <T>(first: fc.Arbitrary<T>, then: fc.Arbitrary<unknown>) =>
  fc.oneof({ arbitrary: first, weight: 4 }, { arbitrary: then, weight: 1 })

/** Nearly a frame. */
const frame = fc.record(
  {
    type: often(word, value),
    event: often(word, value),
    group: often(fc.constantFrom('g', 'h'), value),
    dataType: often(fc.constantFrom('json', 'text', 'binary'), value),
    data: value,
    ackId: often(fc.nat(30), id),
    sequenceId: often(fc.nat(30), id),
    noEcho: often(fc.boolean(), value),
  },
  { requiredKeys: ['type'] },
)
const good = fc.oneof(
  fc.record({
    type: fc.constant('event'),
    event: word,
    dataType: fc.constant('json'),
    data: fc.jsonValue(),
    ackId: fc.nat(30),
  }),
  fc.record({
    type: fc.constantFrom('joinGroup', 'leaveGroup'),
    group: fc.constantFrom('g', 'h'),
    ackId: fc.nat(30),
  }),
  fc.record({
    type: fc.constant('sendToGroup'),
    group: fc.constant('g'),
    dataType: fc.constant('text'),
    data: fc.string(),
    ackId: fc.nat(30),
  }),
  fc.record({ type: fc.constant('sequenceAck'), sequenceId: fc.nat(30) }),
)
const nest = fc
  .tuple(fc.constantFrom(['[', ']'], ['{"a":', '}']), fc.nat(20_000), fc.nat(20_000))
  .map(
    ([[open = '', close = ''], up, down]) => open.repeat(up) + (open === '[' ? '' : '1') + close.repeat(down),
  )
const poison = fc.constantFrom(
  '{"__proto__":{"type":"ping"}}',
  '{"type":"event","event":"e","dataType":"json","data":{"__proto__":{"polluted":1}},"ackId":1}',
  '{"type":"event","event":"e","dataType":"json","data":[{"\\u005f_proto\\u005f_":{"polluted":1}}],"ackId":2}',
  '{"type":"ping","type":"event"}',
  '{"type":"event","event":"e","dataType":"json","data":{"constructor":{"prototype":{"polluted":1}}},"ackId":3}',
  '{"type":"event","event":"e","dataType":"text","data":"x","ackId":123456789012345678901234567890}',
  '{"type":"event","event":"e","dataType":"text","data":"x","ackId":1e999}',
  '{"type":"sequenceAck","sequenceId":-0}',
  '{"type":"sequenceAck","sequenceId":9007199254740991}',
  '\ufeff{"type":"ping"}',
  'null',
  '[]',
  '""',
  '',
)
const text = fc.oneof(
  { arbitrary: frame.map(one => JSON.stringify(one)), weight: 8 },
  { arbitrary: good.map(one => JSON.stringify(one)), weight: 6 },
  { arbitrary: fc.tuple(good, fc.nat(80)).map(([one, at]) => JSON.stringify(one).slice(0, at)), weight: 1 },
  {
    arbitrary: fc
      .tuple(good, fc.nat(80), fc.string({ maxLength: 3 }))
      .map(
        ([one, at, bit]) => `${JSON.stringify(one).slice(0, at)}${bit}${JSON.stringify(one).slice(at + 1)}`,
      ),
    weight: 2,
  },
  { arbitrary: fc.string({ unit: 'binary' }), weight: 1 },
  { arbitrary: fc.json({ maxDepth: 20 }), weight: 1 },
  { arbitrary: nest, weight: 1 },
  { arbitrary: poison, weight: 2 },
)
const speech = fc.array(
  fc.oneof({ arbitrary: text, weight: 30 }, { arbitrary: fc.uint8Array(), weight: 1 }),
  {
    minLength: 1,
    maxLength: 12,
  },
)

/** What an application can rely on. */
const audit: NonNullable<ReliableOptions['onMessage']> = ({ event, dataType, data }, session) => {
  if (typeof event !== 'string' || !event || event.length > 1_024) throw new Error('no name')
  if (dataType === 'text' && typeof data !== 'string') throw new Error('no text')
  if (dataType === 'binary' && !(data instanceof Uint8Array)) throw new Error('no bytes')
  session.send(data ?? 'nothing')
}

describe('on any speech', () => {
  let wss: FakeServer
  let server: ReliableServer
  let neighbour: FakeSocket
  const errors: unknown[] = []
  const unhandled: unknown[] = []
  const note = (error: unknown) => unhandled.push(error)

  beforeAll(async () => {
    process.on('unhandledRejection', note)
    wss = new FakeServer()
    server = reliable(wss, {
      onMessage: audit,
      onJoin: () => true,
      onError: error => errors.push(error),
      keepMs: 60_000,
    })
    neighbour = await wss.connect()
  })
  afterAll(async () => {
    await server.close()
    process.off('unhandledRejection', note)
  })

  test(`the server answers or closes, and knows no error of its own: ${RUNS} runs`, async () => {
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
          // Every request that can be answered is, in the end.
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

        // Meanwhile, next door.
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
    // The generator reaches both ends.
    expect([closed > runs / 20, answered > runs / 20]).toEqual([true, true])
    expect(server.stats.connections).toBe(1)
  }, 120_000)
})

describe('over a real socket', () => {
  test('bytes and text of any kind leave the server and its other clients well: 500 runs', async () => {
    const { url, errors } = await startNode({ onMessage: audit, onJoin: () => true })
    const neighbour = await join(url)
    let n = 0
    await fc.assert(
      fc.asyncProperty(speech, async words => {
        const peer = await join(url)
        for (const one of words) peer.raw(one)
        peer.raw('{"type":"ping"}')
        await peer.get(({ type }) => type === 'pong').catch(() => expect(peer.end?.code).toBe(1008))
        peer.socket.terminate()
        neighbour.say('still there?', ++n)
        expect((await neighbour.ack(n)).success).toBe(true)
        neighbour.send({ type: 'sequenceAck', sequenceId: n })
      }),
      { numRuns: 500 },
    )
    expect(errors).toEqual([])
  }, 120_000)

  test.each([
    [
      'an id that has lost digits',
      '{"type":"event","event":"e","dataType":"text","data":"x","ackId":9007199254740993}',
    ],
    ['an infinite id', '{"type":"sequenceAck","sequenceId":1e999}'],
    [
      'a name that changes prototypes',
      '{"type":"event","event":"e","dataType":"json","data":{"__proto__":{}},"ackId":1}',
    ],
    [
      'that name in disguise',
      '{"type":"event","event":"e","dataType":"json","data":{"__pro\\u0074o__":{}},"ackId":1}',
    ],
    [
      'an abyss',
      `{"type":"event","event":"e","dataType":"json","data":${'['.repeat(50_000)}${']'.repeat(50_000)},"ackId":1}`,
    ],
    ['no JSON', 'hello'],
    ['no object', '[1]'],
    ['an unknown frame', '{"type":"invoke","invocationId":"1"}'],
    ['bytes', new Uint8Array([1, 2, 3])],
    ['a frame in bytes', new TextEncoder().encode('{"type":"ping"}')],
  ])('%s ends the session with a reason', async (_, data) => {
    const { url, server, errors } = await startNode({ onMessage: audit })
    const peer = await join(url)
    peer.raw(data)
    const end = await peer.closed()
    expect(end.code).toBe(1008)
    expect(peer.frames.at(-1)).toMatchObject({ event: 'disconnected', message: end.reason })
    expect(server.stats.violations).toBe(1)
    expect((await (await dial(peer.recovery)).closed()).code).toBe(1008)
    expect(errors).toEqual([])
  })

  test('brackets in a text are no depth, whatever else is in it', async () => {
    const { url } = await startNode({ onMessage: ({ data }, session) => session.send(data) })
    const peer = await join(url)
    const texts = ['['.repeat(500), `"${'{'.repeat(500)}`, `\\"${'['.repeat(500)}\\`]
    for (const [i, text] of texts.entries()) peer.say(text, i)
    expect((await peer.got(3)).map(({ data }) => data)).toEqual(texts)
  })

  test('what can be answered is answered, and the session goes on', async () => {
    const { url } = await startNode({ onMessage: audit, onJoin: () => true })
    const peer = await join(url)
    const bad = [
      { type: 'event', dataType: 'text', data: 'x' },
      { type: 'event', event: 'x'.repeat(1_025), dataType: 'text', data: 'x' },
      { type: 'event', event: 'e', dataType: 'xml', data: 'x' },
      { type: 'event', event: 'e', dataType: 'text', data: 1 },
      { type: 'event', event: 'e', dataType: 'text' },
      { type: 'event', event: 'e', dataType: 'binary', data: '***' },
      { type: 'joinGroup', group: '' },
      { type: 'joinGroup', group: 7 },
      { type: 'sendToGroup', group: 'g', dataType: 'text', data: 'x', noEcho: 'yes' },
      { type: 'invoke' },
    ]
    for (const [i, frame] of bad.entries()) {
      peer.send({ ...frame, ackId: i })
      expect((await peer.ack(i)).error).toMatchObject({ name: 'BadRequest', message: expect.any(String) })
    }
    expect(peer.end).toBeUndefined()
  })

  test('a message that is too large ends the session, whoever measures it', async () => {
    const { url } = await startNode({ onMessage: audit, maxMessageBytes: 1_000 })
    const peer = await join(url)
    peer.say('x'.repeat(1_000), 1)
    expect(await peer.closed()).toEqual({ code: 1009, reason: 'a message of over 1000 bytes' })
    const other = await join(url)
    other.raw('x'.repeat(2 ** 22 + 1))
    expect((await other.closed()).code).toBe(1009)
  })
})

describe('bounds', () => {
  const servers: ReliableServer[] = []
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.close({ timeout: 0 })
  })
  const start = async (options: ReliableOptions) => {
    const wss = new FakeServer()
    const server = reliable(wss, options)
    servers.push(server)
    return { server, wss, socket: await wss.connect() }
  }
  const event = (ackId: number, data = 'x') =>
    JSON.stringify({ type: 'event', event: 'e', dataType: 'text', data, ackId })

  test.each([
    ['256 messages', 256, 'x'],
    ['1 MiB', 11, 'x'.repeat(100_000)],
  ])('a client that asks faster than it is served is read no further than %s', async (_, limit, data) => {
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
      await vi.waitFor(() => expect(heard).toBe(i), { interval: 1 })
      next()
      await socket.until(() => socket.frames.some(({ ackId }) => ackId === i))
    }
    expect(socket.isPaused).toBe(false)
    expect(heard).toBe(limit)
  })

  test('a client that asks and does not read the answers is ended', async () => {
    const { server, socket } = await start({ maxUnackedBytes: 1_000 })
    await socket.until(() => !socket.isPaused)
    socket.bufferedAmount = 2 ** 20 + 1_001
    socket.say('{"type":"ping"}')
    expect((await socket.until(() => socket.end)).code).toBe(1008)
    expect(server.stats.slow).toBe(1)
  })

  test('ids of handled messages are forgotten beyond the window', async () => {
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
