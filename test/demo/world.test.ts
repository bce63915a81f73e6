// The demo's world: in memory it outlives the node, in Redis it is one for several processes, any of which may be killed.
import { once } from 'node:events'
import { afterEach, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { createTally } from '../../demo/page/tally.js'
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

const come = async (demo: Demo, path: string): Promise<Visitor> => {
  const visitor = await visit(demo, path)
  cleanups.push(() => visitor.socket.terminate())
  return visitor
}

/** A stroke or a clear of the pad. */
const stroke = (x: number): Buffer => {
  const frame = Buffer.alloc(12)
  frame[0] = 2
  frame.writeUInt16BE(x, 4)
  return frame
}
const clear = Buffer.from([3, 0, 0, 0])
const places = (frames: Buffer[]): number[] =>
  frames
    .filter(([kind]) => kind === 2)
    .flatMap(frame => Array.from({ length: frame.length / 12 }, (_, at) => frame.readUInt16BE(at * 12 + 4)))

test('the demo in memory keeps messages, read marks and drawings over a restart of its node', async () => {
  const demo = await start()
  const feed = await come(demo, 'feed')
  feed.say({ type: 'push', n: 1, text: 'before', from: 'Ada' })
  const { id } = await feed.hears(({ body }) => body === 'before')
  feed.say({ type: 'seen', id, from: 'Grace' })
  await feed.hears(({ kind }) => kind === 'seen')
  const pad = await come(demo, 'live')
  const other = await come(demo, 'live')
  pad.say(stroke(7))
  await other.until(() => places(other.frames)[0] === 7)

  const gone = new Promise(resolve => feed.socket.on('close', resolve))
  expect(await press(demo, 'restart?seconds=1')).toEqual([
    200,
    'The server is restarting, and will be back in 1 s.\n',
  ])
  expect(await gone).toBe(1012)
  const back = async (path: string): Promise<Visitor> => come(demo, path).catch(() => back(path))
  expect(await (await back('feed')).hears(({ body }) => body === 'before')).toMatchObject({ id, seen: 1 })
  const late = await back('live')
  await late.until(() => places(late.frames)[0] === 7)
})

test('the demo freezes the connection of one numbered stream and leaves the others', async () => {
  const demo = await start()
  const asleep = await come(demo, 'plain?id=the-sleeper')
  const awake = await come(demo, 'plain?id=somebody-else')
  await asleep.until(() => asleep.texts.length > 1)
  expect(await press(demo, 'sleep?id=the-sleeper')).toEqual([200, '1 connection was frozen.\n'])
  const more = async () => {
    const { length } = awake.texts
    await awake.until(() => awake.texts.length > length + 5)
  }
  await more() // What had left the proxy has arrived.
  const { length } = asleep.texts
  await more()
  expect(asleep.texts).toHaveLength(length)
  // A new connection of the same stream works.
  const second = await come(demo, 'plain?id=the-sleeper')
  await second.until(() => second.texts.length > 1)
  expect(await press(demo, 'sleep')).toEqual([400, 'There is no connection with this id.\n'])
})

test('the demo announces a deploy on the numbered streams that it names, and then closes their connections', async () => {
  const demo = await start()
  const visitors = [
    await come(demo, 'plain?id=deployed-1'),
    await come(demo, 'plain?id=deployed-2'),
    await come(demo, 'plain?id=another-one'),
  ] as const
  for (const { until, texts } of visitors) await until(() => texts.length > 1)
  const codes = visitors.slice(0, 2).map(({ socket }) => once(socket, 'close'))
  const count = 'connections were told that the server is going away.\n'
  expect(await press(demo, 'deploy?id=deployed-1&id=deployed-2')).toEqual([200, `2 ${count}`])
  for (const { hears } of visitors.slice(0, 2)) await hears(({ kind }) => kind === 'deploy')
  for (const [code] of await Promise.all(codes)) expect(code).toBe(1012)
  const [, , other] = visitors
  expect([other.socket.readyState, other.texts.some(({ kind }) => kind)]).toEqual([WebSocket.OPEN, false])
  expect(await press(demo, 'deploy')).toEqual([400, 'There is no connection with this id.\n'])
})

test('the demo carries out an order at once, replies when the work is done, and cuts and refuses one client on request', async () => {
  const demo = await start()
  const one = await come(demo, 'rpc?id=the-customer')
  const other = await come(demo, 'rpc?id=somebody-else')
  const call = (id: number, method: string, params: object) =>
    other.say({ jsonrpc: '2.0', id, method, params })
  one.say({ jsonrpc: '2.0', id: 1, method: 'order', params: { batch: 'b', work: 0 } })
  expect(await one.hears(({ id }) => id === 1)).toEqual({ jsonrpc: '2.0', id: 1, result: 'done' })
  one.say({ jsonrpc: '2.0', id: 2, method: 'order', params: { batch: 'b', work: null } })
  one.say({ jsonrpc: '2.0', id: 3, method: 'order', params: { batch: 'b', work: 5_001 } })
  expect((await one.hears(({ id }) => id === 3)).error.code).toBe(-32602)
  call(1, 'count', { batch: 'b' })
  expect((await other.hears(({ id }) => id === 1)).result).toBe(2)
  call(2, 'constructor', {})
  expect((await other.hears(({ id }) => id === 2)).error.code).toBe(-32601)

  const gone = once(one.socket, 'close')
  expect(await press(demo, 'away?id=the-customer&seconds=10')).toEqual([200, '1 connection was reset.\n'])
  expect((await gone)[0]).toBe(1006)
  await expect(visit(demo, 'rpc?id=the-customer')).rejects.toThrow('503')
  call(3, 'count', { batch: 'b' })
  expect((await other.hears(({ id }) => id === 3)).result).toBe(2)
  // No longer refused.
  expect(await press(demo, 'away?id=the-customer')).toEqual([200, '0 connections were reset.\n'])
  await come(demo, 'rpc?id=the-customer')
  expect((await press(demo, 'away?id=nobody-here&seconds=10'))[0]).toBe(400)
  expect(one.texts.some(({ id }) => id === 2)).toBe(false)
})

const hasOne = hasRedis()

describe.skipIf(!hasOne)('the demo with two processes and one Redis', () => {
  let serial = 0
  /** The environment that makes processes nodes of the same world. */
  const together = async (): Promise<NodeJS.ProcessEnv> => {
    const redis = await startRedis()
    cleanups.push(() => redis.stop())
    return { REDIS_URL: redis.url, WORLD: `test-${process.pid}-${serial++}` }
  }
  const startTwo = async (): Promise<[Demo, Demo]> => {
    const env = await together()
    return Promise.all([start(env), start(env)])
  }

  test('shows a message from one node on the other, also to new visitors, and counts the visitors of both', async () => {
    const [here, there] = await startTwo()
    const one = await come(here, 'feed')
    const other = await come(there, 'feed')
    await one.hears(({ kind, count }) => kind === 'visitors' && count === 2)
    await one.hears(({ kind, nodes }) => kind === 'nodes' && nodes.length === 2)

    one.say({ type: 'push', n: 1, text: 'hello', from: 'Ada' })
    const { id } = await other.hears(({ body }) => body === 'hello')
    expect(await one.hears(({ body }) => body === 'hello')).toMatchObject({ id, from: 'Ada', n: 1 })
    other.say({ type: 'seen', id, from: 'Grace' })
    expect(await one.hears(({ kind }) => kind === 'seen')).toMatchObject({ id, count: 1 })
    const picture = Buffer.from([0xff, 0xd8, 0xff, 1, 2, 3])
    one.say(picture)
    await other.until(() => other.frames.at(-1)?.equals(picture))

    const late = await come(there, 'feed')
    expect(await late.hears(({ body }) => body === 'hello')).toMatchObject({ id, seen: 1 })
    await late.until(() => late.frames[0]?.equals(picture))
    await late.hears(({ kind, count }) => kind === 'visitors' && count === 3)
    // Told after what is history.
    const at = (isIt: (message: any) => boolean) => late.texts.findIndex(isIt)
    expect(at(({ kind }) => kind === 'visitors')).toBeGreaterThan(at(({ body }) => body === 'hello'))
  })

  test('has the same market on both, sends strokes to everyone but their author, and shows new visitors the drawing', async () => {
    const [here, there] = await startTwo()
    const one = await come(here, 'live')
    const other = await come(there, 'live')
    const ticks = ({ texts }: Visitor): string[] =>
      texts.filter(({ kind }) => kind === 'tick').map(({ prices }) => `${prices}`)
    await other.until(() => ticks(other).length > 4)
    const common = ticks(other)
    // What was on its way when the second one came only one of them has heard.
    await one.until(() => ticks(one).includes(common[3] as string))
    expect(ticks(one).join()).toContain(common.slice(1, 4).join())

    for (const x of [1, 2, 3]) one.say(stroke(x))
    await other.until(() => places(other.frames).length === 3)
    expect(places(other.frames)).toEqual([1, 2, 3])
    const late = await come(there, 'live')
    await late.until(() => places(late.frames).length === 3)
    other.say(clear)
    other.say(stroke(4))
    await one.until(() => places(one.frames).length === 1)
    expect(one.frames.map(([kind]) => kind)).toEqual([3, 2])
    const latest = await come(here, 'live')
    await latest.until(() => places(latest.frames).length)
    expect(places(latest.frames)).toEqual([4])
  })

  test('answers invalid messages with an error, which nobody else receives', async () => {
    const [here, there] = await startTwo()
    const one = await come(here, 'feed')
    const other = await come(there, 'feed')
    const complaint = async (visitor: Visitor, message: object | Buffer) => {
      const known = visitor.texts.length
      visitor.say(message)
      return (await visitor.until(() => visitor.texts.slice(known).find(({ kind }) => kind === 'error')))
        .message
    }
    expect(await complaint(one, Buffer.from('{'))).toContain('Binary messages are pictures')
    expect(await complaint(one, { type: 'push', n: 0, text: 'x' })).toContain('n must be')
    expect(await complaint(one, { type: 'push', n: 1, text: ' ' })).toContain('text must be')
    expect(await complaint(one, { type: 'push', n: 1, text: 'x'.repeat(501) })).toContain('500 characters')
    expect(await complaint(one, { type: 'push', n: 1, text: 'x', from: '<b>' })).toContain('from must be')
    expect(await complaint(one, { type: 'nonsense' })).toContain("expected 'push'")
    expect(await complaint(one, { type: 'push', text: 'x'.repeat(17_000) })).toContain('16384 bytes')
    const pad = await come(here, 'live')
    expect(await complaint(pad, Buffer.from([2, 0]))).toContain('no frame of the pad')
    expect(await complaint(pad, { type: 'quote', symbol: 'WAVE' })).toContain('expected')
    one.say({ type: 'push', n: 1, text: 'good' })
    await other.hears(({ body }) => body === 'good')
    expect(other.texts.filter(({ from }) => from)).toHaveLength(1)
  })

  test('loses, repeats and reorders nothing of the reliable stream, in either direction, while nodes are killed or isolated in turn', async () => {
    const env = await together()
    const demos = [await start(env), await start(env)]
    let current = 0
    const down = createTally()
    const fates: string[] = []
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
      fates.push(down.note(data.n))
      up = data.up
      socket.send(++sent)
      look()
    })

    await until(() => fates.length > 20)
    for (let kills = 1; kills <= 3; kills++) {
      const victim = current
      current = 1 - victim
      await demos[victim]?.kill()
      await until(() => resumed.length === kills + 1)
      const heard = fates.length
      demos[victim] = await start(env)
      await until(() => fates.length > heard + 20)
    }
    // Half-open: the node that it leaves holds the session for its own still, and sends on, for all it knows.
    for (let moves = 4; moves <= 6; moves++) {
      const left = current
      current = 1 - left
      await press(demos[left] as Demo, 'freeze')
      await until(() => resumed.length === moves + 1)
      const heard = fates.length
      await until(() => fates.length > heard + 5)
    }
    const last = sent
    await until(() => up.last >= last)
    expect(up).toMatchObject({ lost: 0, twice: 0, late: 0, arrived: up.last })
    expect(down.counts).toMatchObject({ lost: 0, twice: 0, late: 0 })
    expect(new Set(fates)).toEqual(new Set(['arrived']))
    expect(resumed).toEqual([false, true, true, true, true, true, true])
    expect(gaps).toEqual([])
  })

  test('counts numbers in Redis as in memory, and counts a message once even if its handler runs twice', async () => {
    const { REDIS_URL, WORLD } = await together()
    const world = await createWorld({ REDIS_URL, WORLD })
    cleanups.push(() => world.close())
    const inRedis = await world.stream('abcdefgh')
    const inMemory = await createMemoryWorld().stream('abcdefgh')
    const random = createRandom(1)
    for (let at = 0; at < 300; at++) {
      const n = Math.max(1, at + random.below(18) - 9)
      await inMemory.note(n)
      await inRedis.note(n, `message ${at}`)
      // Its node died before the mark that it was handled was stored.
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
