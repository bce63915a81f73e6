// drain(): a node moves its clients to other nodes before it shuts down.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { memoryStore, type ReliableServerOptions } from '../../src/server.ts'
import type { FakeServer, FakeSocket } from './fake.ts'
import { ack, event, recovery, startFake } from './start.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

/** The milliseconds that a client has to move. */
const PATIENCE = 5_000

const crowd = async (wss: FakeServer, size: number) => {
  const clients: FakeSocket[] = []
  for (let i = 0; i < size; i++) clients.push(await wss.connect())
  for (const client of clients) await client.until(() => !client.isPaused)
  return clients
}
const gone = (clients: FakeSocket[]) => clients.filter(({ end }) => end).length

describe('drain()', () => {
  test('closes the connections with 1012, one after the other, and keeps the sessions', async () => {
    const store = memoryStore()
    const { wss, server } = startFake({ store })
    const clients = await crowd(wss, 20)
    const drained = server.drain({ over: 10_000 })
    await vi.advanceTimersByTimeAsync(PATIENCE)
    const counts: number[] = []
    for (let second = 0; second < 10; second++) {
      await vi.advanceTimersByTimeAsync(1_000)
      counts.push(gone(clients))
    }
    await vi.advanceTimersByTimeAsync(100)
    await drained
    // 19 pauses between 20 clients.
    expect(counts).toEqual([2, 4, 6, 8, 10, 12, 14, 16, 18, 20])
    for (const { end } of clients) expect(end).toEqual({ code: 1012, reason: 'retry-after=0' })
    const next = startFake({ store })
    const back = await next.wss.connect(recovery(clients[0] as FakeSocket))
    expect(back.frames[0].event).toBe('connected')
  })

  test.each([-3_600_000, 3_600_000])(
    'takes as long as it should if the clock is set by %i ms meanwhile',
    async ms => {
      const { wss, server } = startFake()
      const clients = await crowd(wss, 20)
      const drained = server.drain({ over: 20_000 })
      await vi.advanceTimersByTimeAsync(5_000)
      vi.setSystemTime(Date.now() + ms)
      await vi.advanceTimersByTimeAsync(6_000)
      expect(gone(clients)).toBe(6)
      await vi.advanceTimersByTimeAsync(15_000)
      expect(gone(clients)).toBe(20)
      await drained
    },
  )

  test('closes the connections in a random order, so that clients that connected together are not closed together', async () => {
    const { wss, server } = startFake()
    const clients = await crowd(wss, 20)
    const order: number[] = []
    for (const [i, client] of clients.entries()) client.on('close', () => order.push(i))
    const drained = server.drain({ over: 2_000 })
    await vi.advanceTimersByTimeAsync(PATIENCE + 3_000)
    await drained
    expect(order).toHaveLength(20)
    expect(order).not.toEqual(clients.map((_, i) => i))
  })

  test('refuses new connections with 1012 at once, and the server is no longer ready', async () => {
    const { wss, server } = startFake()
    await crowd(wss, 2)
    expect(await server.ready()).toBe(true)
    const drained = server.drain({ over: 1_000 })
    expect(await server.ready()).toBe(false)
    expect((await wss.connect()).end).toEqual({ code: 1012, reason: 'retry-after=1' })
    await vi.advanceTimersByTimeAsync(PATIENCE + 2_000)
    await drained
  })

  test('asks clients to move, and serves them until they have', async () => {
    const store = memoryStore()
    const options = { store, onMessage: () => {} }
    const [a, b] = [startFake(options), startFake(options)]
    const [client] = (await crowd(a.wss, 1)) as [FakeSocket]
    const drained = a.server.drain({ over: 0 })
    await vi.advanceTimersByTimeAsync(100)
    expect(client.frames.at(-1)).toMatchObject({
      type: 'system',
      event: 'draining',
      message: expect.any(String),
    })
    client.say(event('x', 1))
    expect((await ack(client, 1)).success).toBe(true)
    const next = await b.wss.connect(recovery(client))
    expect(next.frames[0].connectionId).toBe(client.frames[0].connectionId)
    await vi.advanceTimersByTimeAsync(10_000)
    await drained
    expect(client.end?.code).not.toBe(1012)
    expect(next.end).toBeUndefined()
    expect(a.server.stats.connections).toBe(0)
  })

  test('closes a client that has not moved after 5 seconds', async () => {
    const { wss, server } = startFake()
    const [client] = (await crowd(wss, 1)) as [FakeSocket]
    const drained = server.drain({ over: 0 })
    await vi.advanceTimersByTimeAsync(4_900)
    expect(client.end).toBeUndefined()
    await vi.advanceTimersByTimeAsync(200)
    expect(client.end).toEqual({ code: 1012, reason: 'retry-after=0' })
    await drained
  })

  test('lets the running handler finish, and acknowledges its message, before the connection is closed', async () => {
    let finish = () => {}
    const options: ReliableServerOptions = {
      onMessage: () => new Promise<void>(resolve => (finish = resolve)),
    }
    const { wss, server } = startFake(options)
    const [client] = (await crowd(wss, 1)) as [FakeSocket]
    client.say(event('x', 1))
    const drained = server.drain({ over: 0 })
    await vi.advanceTimersByTimeAsync(PATIENCE + 1_000)
    expect(client.end).toBeUndefined()
    finish()
    expect((await ack(client, 1)).success).toBe(true)
    await vi.advanceTimersByTimeAsync(0)
    expect((await client.until(() => client.end)).code).toBe(1012)
    await drained
  })

  test('ends with close(), which closes all remaining connections', async () => {
    const { wss, server } = startFake()
    const clients = await crowd(wss, 10)
    const drained = server.drain({ over: 60_000 })
    await vi.advanceTimersByTimeAsync(PATIENCE + 1_000)
    expect(gone(clients)).toBe(1)
    const closed = server.close({ retryAfter: 7 })
    await vi.advanceTimersByTimeAsync(PATIENCE + 5_000)
    await Promise.all([drained, closed])
    expect(gone(clients)).toBe(10)
    expect(clients.filter(({ end }) => end?.reason === 'retry-after=7')).toHaveLength(9)
  })

  test('drains once for all callers, and rejects for an invalid duration', async () => {
    const { wss, server } = startFake()
    const clients = await crowd(wss, 3)
    const all = [server.drain({ over: 100 }), server.drain({ over: 100_000 })]
    await vi.advanceTimersByTimeAsync(PATIENCE + 1_000)
    await Promise.all(all)
    expect(gone(clients)).toBe(3)
    for (const over of [-1, Number.NaN, 2 ** 31])
      await expect(server.drain({ over })).rejects.toThrow(TypeError)
  })
})

describe('ready()', () => {
  test('is false while the store cannot be opened, or does not answer, and after close()', async () => {
    let isAway = true
    const memory = memoryStore()
    const { server } = startFake({
      store: {
        open: async (...args) => {
          if (isAway) throw new Error('away')
          const node = await memory.open(...args)
          return { ...node, progress: id => (isAway ? new Promise(() => {}) : node.progress(id)) }
        },
      },
    })
    expect(await server.ready()).toBe(false)
    isAway = false
    expect(await server.ready()).toBe(true)
    isAway = true
    const asked = server.ready()
    await vi.advanceTimersByTimeAsync(1_000)
    expect(await asked).toBe(false)
    isAway = false
    const closed = server.close({ timeout: 0 })
    await vi.advanceTimersByTimeAsync(5_000)
    await closed
    expect(await server.ready()).toBe(false)
  })
})
