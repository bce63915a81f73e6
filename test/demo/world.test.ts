// The state of the demo: in memory, it survives a restart of the node; in Redis, several processes share it, and any of them may be killed.
import { once } from 'node:events'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { createTally } from '../../demo/page/tally.js'
import { createPresence } from '../../demo/server/presence.mjs'
import { createMemoryWorld, createWorld } from '../../demo/server/world.mjs'
import { createReliableSocket } from '../../src/reliable.ts'
import { hasRedis, startRedis } from '../interop/redis.ts'
import { createRandom } from '../support/random.ts'
import { createWatch } from '../support/watch.ts'
import { type Demo, press, startDemo, type Visitor, visit } from './start.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const job of cleanups.splice(0).reverse()) await job()
})

const start = async (env?: NodeJS.ProcessEnv): Promise<Demo> => {
  const demo = await startDemo('server.mjs', env)
  cleanups.push(() => demo.kill())
  return demo
}

const connect = async (demo: Demo, path: string): Promise<Visitor> => {
  const visitor = await visit(demo, path)
  cleanups.push(() => visitor.socket.terminate())
  return visitor
}

/** A frame of the pad with one stroke. */
const stroke = (x: number): Buffer => {
  const frame = Buffer.alloc(12)
  frame[0] = 2
  frame.writeUInt16BE(x, 4)
  return frame
}
const clear = Buffer.from([3, 0, 0, 0])
const strokePositions = (frames: Buffer[]): number[] =>
  frames
    .filter(([kind]) => kind === 2)
    .flatMap(frame => Array.from({ length: frame.length / 12 }, (_, at) => frame.readUInt16BE(at * 12 + 4)))

test('a node whose process has ended is no longer listed, even if its last report comes late, until it starts again', () => {
  vi.useFakeTimers()
  cleanups.push(() => vi.useRealTimers())
  const world: any = createMemoryWorld()
  const changed = vi.fn()
  const presence = createPresence(world, '1', changed)
  cleanups.push(presence.stop)
  const report = (visitors: number) => world.nodes.append({ node: '2', visitors, at: Date.now() })
  report(3)
  expect([presence.nodes, presence.visitors]).toEqual([['1', '2'], 3])
  const late = { node: '2', visitors: 3, at: Date.now() }
  vi.advanceTimersByTime(10)
  changed.mockClear()
  presence.end('2')
  expect([presence.nodes, presence.visitors, changed.mock.calls.length]).toEqual([['1'], 0, 1])
  world.nodes.append(late)
  expect(presence.nodes).toEqual(['1'])
  vi.advanceTimersByTime(10)
  report(0)
  expect(presence.nodes).toEqual(['1', '2'])
})

test('the demo in memory keeps messages, read marks and drawings across a restart of its node', async () => {
  const demo = await start()
  const feed = await connect(demo, 'feed')
  feed.send({ type: 'push', n: 1, text: 'before', from: 'Ada' })
  const { id } = await feed.receives(({ body }) => body === 'before')
  feed.send({ type: 'seen', id, from: 'Grace' })
  await feed.receives(({ kind }) => kind === 'seen')
  const pad = await connect(demo, 'live')
  const other = await connect(demo, 'live')
  pad.send(stroke(7))
  await other.until(() => strokePositions(other.frames)[0] === 7)

  const closed = new Promise(resolve => feed.socket.on('close', resolve))
  expect(await press(demo, 'restart?seconds=1')).toEqual([
    200,
    'The server is restarting, and will be back in 1 s.\n',
  ])
  expect(await closed).toBe(1012)
  const reconnect = async (path: string): Promise<Visitor> => connect(demo, path).catch(() => reconnect(path))
  expect(await (await reconnect('feed')).receives(({ body }) => body === 'before')).toMatchObject({
    id,
    seen: 1,
  })
  const late = await reconnect('live')
  await late.until(() => strokePositions(late.frames)[0] === 7)
})

test('the demo freezes the connection of the requested numbered stream and no other', async () => {
  const demo = await start()
  const frozen = await connect(demo, 'plain?id=the-sleeper')
  const active = await connect(demo, 'plain?id=somebody-else')
  await frozen.until(() => frozen.texts.length > 1)
  expect(await press(demo, 'sleep?id=the-sleeper')).toEqual([200, '1 connection was frozen.\n'])
  const more = async () => {
    const { length } = active.texts
    await active.until(() => active.texts.length > length + 5)
  }
  await more() // Messages that the proxy had already forwarded have arrived.
  const { length } = frozen.texts
  await more()
  expect(frozen.texts).toHaveLength(length)
  // A new connection of the same stream works.
  const second = await connect(demo, 'plain?id=the-sleeper')
  await second.until(() => second.texts.length > 1)
  expect(await press(demo, 'sleep')).toEqual([400, 'There is no connection with this id.\n'])
})

test('the demo announces a deploy on the requested numbered streams, and then closes their connections', async () => {
  const demo = await start()
  const visitors = [
    await connect(demo, 'plain?id=deployed-1'),
    await connect(demo, 'plain?id=deployed-2'),
    await connect(demo, 'plain?id=another-one'),
  ] as const
  for (const { until, texts } of visitors) await until(() => texts.length > 1)
  const codes = visitors.slice(0, 2).map(({ socket }) => once(socket, 'close'))
  const count = 'connections were told that the server is going away.\n'
  expect(await press(demo, 'deploy?id=deployed-1&id=deployed-2')).toEqual([200, `2 ${count}`])
  for (const { receives } of visitors.slice(0, 2)) await receives(({ kind }) => kind === 'deploy')
  for (const [code] of await Promise.all(codes)) expect(code).toBe(1012)
  const [, , other] = visitors
  expect([other.socket.readyState, other.texts.some(({ kind }) => kind)]).toEqual([WebSocket.OPEN, false])
  expect(await press(demo, 'deploy')).toEqual([400, 'There is no connection with this id.\n'])
})

test('the demo carries out an order at once, replies when the work is done, and resets and refuses one client on request', async () => {
  const demo = await start()
  const one = await connect(demo, 'rpc?id=the-customer')
  const other = await connect(demo, 'rpc?id=somebody-else')
  const call = (id: number, method: string, params: object) =>
    other.send({ jsonrpc: '2.0', id, method, params })
  one.send({ jsonrpc: '2.0', id: 1, method: 'order', params: { batch: 'b', work: 0 } })
  expect(await one.receives(({ id }) => id === 1)).toEqual({ jsonrpc: '2.0', id: 1, result: 'done' })
  one.send({ jsonrpc: '2.0', id: 2, method: 'order', params: { batch: 'b', work: null } })
  one.send({ jsonrpc: '2.0', id: 3, method: 'order', params: { batch: 'b', work: 5_001 } })
  expect((await one.receives(({ id }) => id === 3)).error.code).toBe(-32602)
  call(1, 'count', { batch: 'b' })
  expect((await other.receives(({ id }) => id === 1)).result).toBe(2)
  call(2, 'constructor', {})
  expect((await other.receives(({ id }) => id === 2)).error.code).toBe(-32601)

  const closed = once(one.socket, 'close')
  expect(await press(demo, 'away?id=the-customer&seconds=10')).toEqual([200, '1 connection was reset.\n'])
  expect((await closed)[0]).toBe(1006)
  await expect(visit(demo, 'rpc?id=the-customer')).rejects.toThrow('503')
  call(3, 'count', { batch: 'b' })
  expect((await other.receives(({ id }) => id === 3)).result).toBe(2)
  // No longer refused.
  expect(await press(demo, 'away?id=the-customer')).toEqual([200, '0 connections were reset.\n'])
  await connect(demo, 'rpc?id=the-customer')
  expect((await press(demo, 'away?id=nobody-here&seconds=10'))[0]).toBe(400)
  expect(one.texts.some(({ id }) => id === 2)).toBe(false)
})

const hasOne = hasRedis()

describe.skipIf(!hasOne)('the demo with two processes and one Redis', () => {
  let serial = 0
  /** Returns environment variables with which several processes share their state. */
  const sharedEnvironment = async (): Promise<NodeJS.ProcessEnv> => {
    const redis = await startRedis()
    cleanups.push(() => redis.stop())
    return { REDIS_URL: redis.url, WORLD: `test-${process.pid}-${serial++}` }
  }
  const startTwo = async (): Promise<[Demo, Demo]> => {
    const env = await sharedEnvironment()
    return Promise.all([start(env), start(env)])
  }

  test('shows a message from one node on the other, also to new visitors, and counts the visitors of both', async () => {
    const [here, there] = await startTwo()
    const one = await connect(here, 'feed')
    const other = await connect(there, 'feed')
    await one.receives(({ kind, count }) => kind === 'visitors' && count === 2)
    await one.receives(({ kind, nodes }) => kind === 'nodes' && nodes.length === 2)

    one.send({ type: 'push', n: 1, text: 'hello', from: 'Ada' })
    const { id } = await other.receives(({ body }) => body === 'hello')
    expect(await one.receives(({ body }) => body === 'hello')).toMatchObject({ id, from: 'Ada', n: 1 })
    other.send({ type: 'seen', id, from: 'Grace' })
    expect(await one.receives(({ kind }) => kind === 'seen')).toMatchObject({ id, count: 1 })
    const picture = Buffer.from([0xff, 0xd8, 0xff, 1, 2, 3])
    one.send(picture)
    await other.until(() => other.frames.at(-1)?.equals(picture))

    const late = await connect(there, 'feed')
    expect(await late.receives(({ body }) => body === 'hello')).toMatchObject({ id, seen: 1 })
    await late.until(() => late.frames[0]?.equals(picture))
    await late.receives(({ kind, count }) => kind === 'visitors' && count === 3)
    // The number of visitors is sent after the history.
    const at = (matches: (message: any) => boolean) => late.texts.findIndex(matches)
    expect(at(({ kind }) => kind === 'visitors')).toBeGreaterThan(at(({ body }) => body === 'hello'))
  })

  test('has the same prices on both nodes, sends strokes to everyone but their author, and shows new visitors the drawing', async () => {
    const [here, there] = await startTwo()
    const one = await connect(here, 'live')
    const other = await connect(there, 'live')
    const ticks = ({ texts }: Visitor): string[] =>
      texts.filter(({ kind }) => kind === 'tick').map(({ prices }) => `${prices}`)
    await other.until(() => ticks(other).length > 4)
    const common = ticks(other)
    // Only one of them may have received the tick that was in flight when the second one connected.
    await one.until(() => ticks(one).includes(common[3] as string))
    expect(ticks(one).join()).toContain(common.slice(1, 4).join())

    for (const x of [1, 2, 3]) one.send(stroke(x))
    await other.until(() => strokePositions(other.frames).length === 3)
    expect(strokePositions(other.frames)).toEqual([1, 2, 3])
    const late = await connect(there, 'live')
    await late.until(() => strokePositions(late.frames).length === 3)
    other.send(clear)
    other.send(stroke(4))
    await one.until(() => strokePositions(one.frames).length === 1)
    expect(one.frames.map(([kind]) => kind)).toEqual([3, 2])
    const latest = await connect(here, 'live')
    await latest.until(() => strokePositions(latest.frames).length)
    expect(strokePositions(latest.frames)).toEqual([4])
  })

  test('answers invalid messages with an error, which no other client receives', async () => {
    const [here, there] = await startTwo()
    const one = await connect(here, 'feed')
    const other = await connect(there, 'feed')
    const errorFor = async (visitor: Visitor, message: object | Buffer) => {
      const before = visitor.texts.length
      visitor.send(message)
      return (await visitor.until(() => visitor.texts.slice(before).find(({ kind }) => kind === 'error')))
        .message
    }
    expect(await errorFor(one, Buffer.from('{'))).toContain('Binary messages are pictures')
    expect(await errorFor(one, { type: 'push', n: 0, text: 'x' })).toContain('n must be')
    expect(await errorFor(one, { type: 'push', n: 1, text: ' ' })).toContain('text must be')
    expect(await errorFor(one, { type: 'push', n: 1, text: 'x'.repeat(501) })).toContain('500 characters')
    expect(await errorFor(one, { type: 'push', n: 1, text: 'x', from: '<b>' })).toContain('from must be')
    expect(await errorFor(one, { type: 'nonsense' })).toContain("expected 'push'")
    expect(await errorFor(one, { type: 'push', text: 'x'.repeat(17_000) })).toContain('16384 bytes')
    const pad = await connect(here, 'live')
    expect(await errorFor(pad, Buffer.from([2, 0]))).toContain('no frame of the pad')
    expect(await errorFor(pad, { type: 'quote', symbol: 'WAVE' })).toContain('expected')
    one.send({ type: 'push', n: 1, text: 'good' })
    await other.receives(({ body }) => body === 'good')
    expect(other.texts.filter(({ from }) => from)).toHaveLength(1)
  })

  test('loses, repeats and reorders nothing of the reliable stream, in either direction, while nodes are killed or isolated in turn', async () => {
    const env = await sharedEnvironment()
    const demos = [await start(env), await start(env)]
    let current = 0
    const down = createTally()
    const outcomes: string[] = []
    const resumed: boolean[] = []
    let sent = 0
    let up: any
    const { look, until } = createWatch()
    const socket = createReliableSocket(
      () => `${(demos[current] as Demo).url.replace('http', 'ws')}reliable?id=abcdefgh`,
      { WebSocket, wake: false, retry: () => 10, heartbeat: { interval: 200, timeout: 300 } },
    )
    cleanups.push(() => socket.close())
    const gaps: unknown[] = []
    socket.on('gap', gap => gaps.push(gap))
    socket.on('open', open => {
      resumed.push(open.resumed)
      look()
    })
    socket.on('message', ({ data }: any) => {
      outcomes.push(down.note(data.n))
      up = data.up
      socket.send(++sent)
      look()
    })

    await until(() => outcomes.length > 20)
    for (let kills = 1; kills <= 3; kills++) {
      const killed = current
      current = 1 - killed
      await demos[killed]?.kill()
      await until(() => resumed.length === kills + 1)
      const before = outcomes.length
      demos[killed] = await start(env)
      await until(() => outcomes.length > before + 20)
    }
    // Half-open connections: the node that the client leaves still holds the session, and continues to send.
    for (let moves = 4; moves <= 6; moves++) {
      const left = current
      current = 1 - left
      await press(demos[left] as Demo, 'freeze')
      await until(() => resumed.length === moves + 1)
      const before = outcomes.length
      await until(() => outcomes.length > before + 5)
    }
    const last = sent
    await until(() => up.last >= last)
    expect(up).toMatchObject({ lost: 0, twice: 0, late: 0, arrived: up.last })
    expect(down.counts).toMatchObject({ lost: 0, twice: 0, late: 0 })
    expect(new Set(outcomes)).toEqual(new Set(['arrived']))
    expect(resumed).toEqual([false, true, true, true, true, true, true])
    expect(gaps).toEqual([])
  })

  test('counts numbers in Redis as in memory, and counts a message once even if its handler runs twice', async () => {
    const { REDIS_URL, WORLD } = await sharedEnvironment()
    const world = await createWorld({ REDIS_URL, WORLD })
    cleanups.push(() => world.close())
    const inRedis = await world.stream('abcdefgh')
    const inMemory = await createMemoryWorld().stream('abcdefgh')
    const random = createRandom(1)
    for (let at = 0; at < 300; at++) {
      const n = Math.max(1, at + random.below(18) - 9)
      await inMemory.note(n)
      await inRedis.note(n, `message ${at}`)
      // As if the node had died before it stored that the message was handled.
      if (at % 7 === 0) await inRedis.note(n, `message ${at}`)
      expect(inRedis.counts).toEqual(inMemory.counts)
    }
    const later = await world.stream('abcdefgh')
    expect([later.counts, later.since]).toEqual([inRedis.counts, inRedis.since])
    expect(await later.base('one')).toBe(await inRedis.base('one'))
  })

  test('reports that Redis does not answer, and exits', async () => {
    const started = startDemo('server.mjs', { REDIS_URL: 'redis://127.0.0.1:1' })
    await expect(started.then(({ kill }) => kill())).rejects.toThrow('Redis does not answer at REDIS_URL')
  })
})
