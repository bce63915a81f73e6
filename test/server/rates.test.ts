// Rate limits: a client that sends too much is read more slowly, and other clients are not affected.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { LimitEvent, PerClient, Rate } from '../../src/server.ts'
import { FakeServer, type FakeSocket } from './fake.ts'
import { ack, event, recovery, startFake } from './start.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
})
afterEach(() => {
  vi.useRealTimers()
})

const PING = '{"type":"ping"}'
const pongs = ({ frames }: FakeSocket) => frames.filter(({ type }) => type === 'pong').length

describe('a client that sends more than its rate', () => {
  test('is not read until its next frame is due, and loses nothing', async () => {
    const { wss } = startFake({ rates: { connection: { messages: 100 } } })
    const [flood, bystander] = [await wss.connect(), await wss.connect()]
    for (const client of [flood, bystander]) await client.until(() => !client.isPaused)
    for (let i = 0; i < 250; i++) flood.say(PING)
    expect([flood.isPaused, pongs(flood)]).toEqual([true, 101])
    bystander.say(PING)
    expect(pongs(bystander)).toBe(1)
    await vi.advanceTimersByTimeAsync(500)
    expect(pongs(flood)).toBeGreaterThanOrEqual(145)
    expect(pongs(flood)).toBeLessThanOrEqual(152)
    await vi.advanceTimersByTimeAsync(1_500)
    expect([flood.isPaused, pongs(flood)]).toEqual([false, 250])
  })

  test('is measured by bytes too', async () => {
    const { wss } = startFake({ rates: { connection: { bytes: 1_000 } }, onMessage: () => {} })
    const client = await wss.connect()
    await client.until(() => !client.isPaused)
    client.say(event('x'.repeat(3_000), 1))
    expect(client.isPaused).toBe(true)
    expect((await ack(client, 1)).success).toBe(true)
    client.say(PING)
    await vi.advanceTimersByTimeAsync(1_900)
    expect(pongs(client)).toBe(0)
    await vi.advanceTimersByTimeAsync(300)
    expect(pongs(client)).toBe(1)
  })

  test('is slowed down with its pings of the WebSocket protocol as well', async () => {
    const { wss } = startFake({ rates: { connection: { messages: 10 } } })
    const client = await wss.connect()
    await client.until(() => !client.isPaused)
    for (let i = 0; i < 20; i++) client.emit('ping', Buffer.alloc(4))
    expect(client.isPaused).toBe(true)
  })

  test('is slowed down for unsolicited pongs as well', async () => {
    const { wss } = startFake({ rates: { connection: { messages: 10 } } })
    const client = await wss.connect()
    await client.until(() => !client.isPaused)
    for (let i = 0; i < 20; i++) client.emit('pong', Buffer.alloc(4))
    expect(client.isPaused).toBe(true)
  })

  test('is slowed down even for frames that arrived in the same packet as the one that exceeded the limit', async () => {
    const { wss } = startFake({ rates: { connection: { messages: 100 } } })
    const client = await wss.connect()
    await client.until(() => !client.isPaused)
    // `ws` reads the rest of the packet, although it is paused.
    for (let i = 0; i < 250; i++) client.emit('message', Buffer.from(PING), false)
    expect(pongs(client)).toBe(101)
    await vi.advanceTimersByTimeAsync(500)
    expect(pongs(client)).toBeGreaterThanOrEqual(145)
    expect(pongs(client)).toBeLessThanOrEqual(152)
    expect(client.isPaused).toBe(true)
    await vi.advanceTimersByTimeAsync(1_000)
    expect([client.isPaused, pongs(client)]).toEqual([false, 250])
  })

  test('has everything handled that arrived before it closed the connection', async () => {
    const handled: unknown[] = []
    const { wss } = startFake({
      rates: { connection: { messages: 10 } },
      onMessage: ({ data }) => void handled.push(data),
    })
    const client = await wss.connect()
    await client.until(() => !client.isPaused)
    for (let i = 0; i < 30; i++) client.emit('message', Buffer.from(event(i, i)), false)
    client.close(1000)
    await client.until(() => client.end)
    await vi.advanceTimersByTimeAsync(0)
    expect(handled).toEqual(Array.from({ length: 30 }, (_, i) => i))
  })

  test('shares the rate of its user and of its address with its other connections, also when they are new', async () => {
    for (const rates of [{ user: { messages: 10 } }, { address: { messages: 10 } }]) {
      const { wss } = startFake({ rates, authorize: () => 'ada', address: () => '::1' })
      const first = await wss.connect()
      await first.until(() => !first.isPaused)
      for (let i = 0; i < 30; i++) first.say(PING)
      first.terminate()
      await first.until(() => first.end)
      const next = await wss.connect()
      await next.until(() => !next.isPaused)
      next.say(PING)
      expect(next.isPaused).toBe(true)
    }
  })

  test('is limited to 2,000 frames per second by default, and not limited with rates: false', async () => {
    for (const [rates, read] of [
      [undefined, 2_001],
      [false, 3_000],
    ] as const) {
      const { wss } = startFake(rates === undefined ? {} : { rates })
      const client = await wss.connect()
      await client.until(() => !client.isPaused)
      for (let i = 0; i < 3_000; i++) client.say(PING)
      expect(pongs(client)).toBe(read)
    }
  })

  test('does not lose its session for being silent while it is not read', async () => {
    const { wss } = startFake({ rates: { connection: { bytes: 10 } }, onMessage: () => {} })
    const client = await wss.connect()
    await client.until(() => !client.isPaused)
    client.alive = false
    client.say(event('x'.repeat(2_000), 1))
    await vi.advanceTimersByTimeAsync(90_000)
    expect(client.end).toBeUndefined()
  })
})

describe('a client that continues to send too much', () => {
  const flood = async (rates: PerClient<Rate>, frames = 10_000) => {
    const steps: LimitEvent[] = []
    const started = startFake({
      rates,
      authorize: () => 'ada',
      address: () => '::1',
      onLimit: limit => void steps.push(limit),
    })
    const client = await started.wss.connect()
    await client.until(() => !client.isPaused)
    for (let i = 0; i < frames; i++) client.say(PING)
    return { ...started, client, steps }
  }
  const limited = ({ frames }: FakeSocket) => frames.filter(({ event }) => event === 'limited')

  test('is slowed down, then warned, and then closed with a retry-after time, and keeps its session', async () => {
    const { wss, server, client, steps } = await flood({ connection: { messages: 100 } })
    expect(steps.map(({ step }) => step)).toEqual(['slowed'])
    await vi.advanceTimersByTimeAsync(2_000)
    const message =
      'this connection sends more than 100 messages per second, and its frames are read more slowly'
    expect(limited(client)).toEqual([{ type: 'system', event: 'limited', message }])
    expect(client.end).toBeUndefined()
    await vi.advanceTimersByTimeAsync(10_000)
    expect(client.end).toEqual({ code: 1013, reason: 'retry-after=5' })
    expect(client.frames.at(-1)).toEqual({ type: 'system', event: 'disconnected', message })
    const limit = { who: 'connection', name: '', unit: 'messages', rate: 100 }
    expect(steps).toEqual(['slowed', 'warned', 'closed'].map(step => ({ ...limit, step })))
    expect(server.stats.limited).toBe(1)
    expect((await wss.connect(recovery(client))).frames[0].connectionId).toBe(client.frames[0].connectionId)
  })

  test.each([
    ['user', 'ada', { user: { messages: 50 } }, 'messages', 50],
    ['address', '::1', { address: { bytes: 1_000 } }, 'bytes', 1_000],
  ] as const)('is told that the limit of its %s is exceeded', async (who, name, rates, unit, rate) => {
    const { client, steps } = await flood(rates)
    await vi.advanceTimersByTimeAsync(2_000)
    expect(steps.map(limit => limit.step)).toEqual(['slowed', 'warned'])
    expect(steps[1]).toMatchObject({ who, name, unit, rate })
    expect(limited(client)[0].message).toMatch(`this ${who} sends more than ${rate} ${unit} per second`)
  })

  test('does not keep the process alive: none of the timers that slow it down or close it does', async () => {
    const start = vi.spyOn(globalThis, 'setTimeout')
    const { client } = await flood({ connection: { messages: 100 } })
    await vi.advanceTimersByTimeAsync(12_000)
    expect(client.end).toBeDefined()
    const timers = start.mock.results.map(({ value }) => value as NodeJS.Timeout)
    expect(timers.length).toBeGreaterThan(2)
    expect(timers.filter(timer => timer.hasRef())).toEqual([])
  })

  test('is no longer read once it is closed, even if it does not answer the close frame', async () => {
    const { client } = await flood({ connection: { messages: 100 } })
    const cut = vi.spyOn(client, 'terminate')
    client.close = () => {}
    await vi.advanceTimersByTimeAsync(12_000)
    expect(client.frames.at(-1).event).toBe('disconnected')
    const { unread } = client
    expect(unread).toBeGreaterThan(8_000)
    await vi.advanceTimersByTimeAsync(2_000)
    expect([client.isPaused, client.unread]).toEqual([true, unread])
    expect(cut).toHaveBeenCalled()
  })

  test('is not closed while it waits for answers: it has at most 256 requests in flight', async () => {
    const steps: string[] = []
    const { wss } = startFake({
      rates: { connection: { messages: 10 } },
      onMessage: () => {},
      onLimit: ({ step }) => void steps.push(step),
    })
    const client = await wss.connect()
    await client.until(() => !client.isPaused)
    let next = 0
    const say = () => client.say(event(next, next++))
    const acks = () => client.frames.filter(({ type }) => type === 'ack').length
    for (let i = 0; i < 256; i++) say()
    for (let second = 0; second < 60; second++) {
      const before = acks()
      await vi.advanceTimersByTimeAsync(1_000)
      for (let i = before; i < acks(); i++) say()
    }
    expect(client.end).toBeUndefined()
    expect(acks()).toBeGreaterThan(590)
    expect(steps).not.toContain('closed')
    expect(steps).toContain('warned')
  })

  test('is closed at once if a packet holds more than fits, as a compressed one can', async () => {
    const { wss } = startFake({ rates: { connection: { messages: 1 } }, maxMessageBytes: 1_000 })
    const client = await wss.connect()
    await client.until(() => !client.isPaused)
    const large = Buffer.from(event('x'.repeat(20_000), 1))
    for (let i = 0; i < 100; i++) client.emit('message', large, false)
    await vi.advanceTimersByTimeAsync(0)
    expect(client.end).toEqual({ code: 1013, reason: 'retry-after=5' })
    expect((await wss.connect(recovery(client))).frames[0].connectionId).toBe(client.frames[0].connectionId)
  })

  test('has the error of an onLimit that throws reported', async () => {
    const { wss, errors } = startFake({
      rates: { connection: { messages: 1 } },
      onLimit: () => {
        throw new Error('oops')
      },
    })
    const client = await wss.connect()
    await client.until(() => !client.isPaused)
    for (let i = 0; i < 5; i++) client.say(PING)
    await vi.advanceTimersByTimeAsync(0)
    expect(errors).toEqual([new Error('oops')])
  })
})

describe('pings of the WebSocket protocol', () => {
  test('that arrive together get one answer, to the last of them', async () => {
    const wss = Object.assign(new FakeServer(), { options: { autoPong: true } })
    const { server } = startFake({}, wss)
    expect(wss.options.autoPong).toBe(false)
    const client = Object.assign(await wss.connect(), { pong: vi.fn() })
    for (const data of ['a', 'b', 'c']) client.emit('ping', Buffer.from(data))
    await vi.advanceTimersByTimeAsync(0)
    expect(client.pong.mock.calls).toEqual([[Buffer.from('c')]])
    client.emit('ping', Buffer.from('d'))
    await vi.advanceTimersByTimeAsync(0)
    expect(client.pong.mock.calls).toHaveLength(2)
    await server.close()
    expect(wss.options.autoPong).toBe(true)
  })

  test('are not answered as long as the client does not read', async () => {
    const wss = Object.assign(new FakeServer(), { options: { autoPong: true } })
    startFake({}, wss)
    const client = Object.assign(await wss.connect(), { pong: vi.fn() })
    client.bufferedAmount = 2 ** 22
    client.emit('ping', Buffer.from('a'))
    await vi.advanceTimersByTimeAsync(0)
    expect(client.pong).not.toHaveBeenCalled()
    client.bufferedAmount = 0
    client.emit('ping', Buffer.from('b'))
    await vi.advanceTimersByTimeAsync(0)
    expect(client.pong.mock.calls).toEqual([[Buffer.from('b')]])
  })

  test('are not answered if the application has turned that off', async () => {
    const wss = Object.assign(new FakeServer(), { options: { autoPong: false } })
    startFake({}, wss)
    const client = Object.assign(await wss.connect(), { pong: vi.fn() })
    client.emit('ping', Buffer.alloc(0))
    await vi.advanceTimersByTimeAsync(0)
    expect(client.pong).not.toHaveBeenCalled()
  })
})

test('a client that continues to send after it was refused is disconnected after 1,000 frames', async () => {
  const { wss } = startFake()
  const client = await wss.connect()
  await client.until(() => !client.isPaused)
  const cut = vi.spyOn(client, 'terminate')
  // A client that does not answer the close frame.
  client.close = () => {}
  client.say('nonsense')
  for (let i = 0; i < 1_000; i++) client.say(PING)
  expect(cut).not.toHaveBeenCalled()
  client.say(PING)
  expect(cut).toHaveBeenCalled()
})

describe('the number of connections', () => {
  test.each(['user', 'address'] as const)('of one %s is limited by maxConnections', async kind => {
    let name = 'ada'
    const { wss, server } = startFake({
      maxConnections: { [kind]: 2 },
      authorize: () => (kind === 'user' ? name : true),
      address: () => (kind === 'address' ? name : ''),
    })
    const [first] = [await wss.connect(), await wss.connect()]
    expect((await wss.connect()).end).toEqual({ code: 1013, reason: 'too many connections' })
    expect(server.stats.refused).toBe(1)
    name = 'bob'
    expect((await wss.connect()).end).toBeUndefined()
    name = 'ada'
    first.terminate()
    await first.until(() => first.end)
    expect((await wss.connect()).end).toBeUndefined()
  })
})

describe('onFrame', () => {
  test('sees every frame of a client, and its failure is reported', async () => {
    const seen: unknown[] = []
    const { wss, errors } = startFake({
      authorize: () => 'ada',
      onMessage: () => {},
      onFrame: ({ type, bytes }, { userId }) => {
        seen.push([type, bytes, userId])
        if (type === 'event') throw new Error('oops')
      },
    })
    const client = await wss.connect()
    await client.until(() => !client.isPaused)
    client.say(PING)
    client.say('{"type":"sequenceAck","sequenceId":0}')
    client.say(event(1, 1))
    expect((await ack(client, 1)).success).toBe(true)
    client.say('{"type":"joinGroup","ackId":2}')
    client.emit('ping', Buffer.alloc(5))
    client.say('nonsense')
    expect(seen).toEqual([
      ['WebSocket pong', 0, 'ada'],
      ['ping', 15, 'ada'],
      ['sequenceAck', 37, 'ada'],
      ['event', 65, 'ada'],
      ['bad', 30, 'ada'],
      ['WebSocket ping', 5, 'ada'],
      ['invalid', 8, 'ada'],
    ])
    expect(errors).toEqual([new Error('oops')])
  })
})

test.each([
  { rates: { connection: { messages: 0 } } },
  { rates: { user: { bytes: -1 } } },
  { rates: { address: { messages: Number.NaN } } },
  { maxConnections: { user: 0 } },
  { maxConnections: { address: 1.5 } },
])('the server throws a TypeError for %j', options => {
  expect(() => startFake(options as any)).toThrow(TypeError)
})

test.each([
  [{ rates: { conection: {} } }, "rates has no option 'conection'. Did you mean 'connection'?"],
  [{ rates: { user: { message: 5 } } }, "rates.user has no option 'message'. Did you mean 'messages'?"],
  [{ rates: { address: 100 } }, 'rates.address must be an object'],
  [{ rates: true }, 'rates must be an object'],
  [{ maxConnections: { users: 5 } }, "maxConnections has no option 'users'. Did you mean 'user'?"],
  [{ rates: { everything: {} } }, "rates has no option 'everything'. It has connection, user, address."],
  [{ maxConnections: 5 }, 'maxConnections must be an object'],
])('the server throws for %j a TypeError that says what is wrong', (options, message) => {
  expect(() => startFake(options as any)).toThrow(new TypeError(message))
})
