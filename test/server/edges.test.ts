// Race conditions and unusual arguments.
import { describe, expect, test, vi } from 'vitest'
import { memoryStore, type Session, type Store, type StoreEvent } from '../../src/server.ts'
import { eventually } from '../support/eventually.ts'
import { FakeServer } from './fake.ts'
import { ack, event, recovery, startFake } from './start.ts'

describe('sessionTimeout', () => {
  test('of more than a timer can hold throws a TypeError', () => {
    expect(() => startFake({ sessionTimeout: 2 ** 31 })).toThrow(TypeError)
    startFake({ sessionTimeout: 2 ** 31 - 1 })
  })
})

describe('a node whose process was suspended', () => {
  test('does not close its connections: their clients still have time to answer', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'Date'] })
    try {
      const { wss } = startFake({ sessionTimeout: 10_000 })
      const [alive, dead] = [await wss.connect(), await wss.connect('/', false)]
      await vi.advanceTimersByTimeAsync(2_500)
      vi.setSystemTime(Date.now() + 60_000)
      await vi.advanceTimersByTimeAsync(2_500)
      expect([alive.end, dead.end]).toEqual([undefined, undefined])
      await vi.advanceTimersByTimeAsync(15_000)
      expect(alive.end).toBeUndefined()
      expect(dead.end?.code).toBe(1006)
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('a session that the store has lost', () => {
  test.each([
    'the store has lost a part of the session',
    'the client has received messages that the store does not have',
  ])('is closed with retry-after=0, so that its client never gives up (%s)', async message => {
    const memory = memoryStore()
    let report: ((event: StoreEvent) => void) | undefined
    const store: Store = {
      open(limits, onEvent) {
        report = onEvent
        return memory.open(limits, onEvent)
      },
    }
    const onEnd = vi.fn()
    const { wss } = startFake({ store, onEnd })
    const client = await wss.connect()
    const session = client.frames[0].connectionId
    report?.({ kind: 'ended', session, userId: '', code: 1008, reason: message })
    expect(await client.until(() => client.end)).toEqual({ code: 1008, reason: 'retry-after=0' })
    expect(client.frames.at(-1)).toMatchObject({ event: 'disconnected', message })
    // The application learns the reason.
    expect(onEnd.mock.calls[0]?.[1]).toEqual({ code: 1008, reason: message })
  })
})

describe('a session that two clients resume at the same time', () => {
  /** A store whose answer to `resume` arrives after its notifications. */
  const late = (store: Store, wait: () => Promise<void>): Store => ({
    open: async (limits, onEvent) => {
      const node = await store.open(limits, onEvent)
      return {
        ...node,
        resume: async (...args) => {
          const lease = await node.resume(...args)
          await wait()
          return lease
        },
      }
    },
  })

  test('keeps one connection, even if the notification arrives before the answer of the store', async () => {
    const store = memoryStore()
    let answer: (() => void) | undefined
    const a = startFake({ store: late(store, () => new Promise(resolve => (answer = resolve))) })
    const b = startFake({ store })
    const first = await b.wss.connect()
    first.terminate()
    await first.until(() => first.end)
    const slow = a.wss.connect(recovery(first))
    await eventually(() => expect(answer).toBeDefined())
    const quick = await b.wss.connect(recovery(first))
    answer?.()
    const lost = await slow
    await lost.until(() => lost.end)
    expect(quick.end).toBeUndefined()
    expect(a.server.stats.connections).toBe(0)
  })

  test('is not served if it has ended before the answer of the store', async () => {
    const store = memoryStore()
    let answer: (() => void) | undefined
    const a = startFake({ store: late(store, () => new Promise(resolve => (answer = resolve))) })
    const b = startFake({ store })
    const first = await b.wss.connect()
    const connecting = a.wss.connect(recovery(first))
    await eventually(() => expect(answer).toBeDefined())
    await b.server.end(first.frames[0].connectionId, 4000, 'bye')
    answer?.()
    const client = await connecting
    expect(await client.until(() => client.end)).toMatchObject({ code: 4000 })
  })
})

describe('a name with half of a surrogate pair', () => {
  test.each(['\ud800', 'a\udc00b'])('%j is refused, as two of them would be one in Redis', async group => {
    let session: Session | undefined
    const { wss, server } = startFake({
      onJoin: () => true,
      onConnect: one => {
        session = one
      },
    })
    const client = await wss.connect()
    await client.until(() => !client.isPaused)
    client.say(JSON.stringify({ type: 'joinGroup', group, ackId: 1 }))
    expect((await ack(client, 1)).error.name).toBe('BadRequest')
    expect(() => session?.join(group)).toThrow(TypeError)
    await expect(server.publish(group, 'x')).rejects.toThrow(TypeError)
  })

  test('is not confused with a name that contains a whole pair', async () => {
    const { wss } = startFake({ onJoin: () => true })
    const client = await wss.connect()
    await client.until(() => !client.isPaused)
    client.say(JSON.stringify({ type: 'joinGroup', group: '💡', ackId: 1 }))
    expect((await ack(client, 1)).success).toBe(true)
  })
})

describe('a client that connects after close()', () => {
  test('is closed with 1012, so that it comes back, if no other listener serves it', async () => {
    const wss = new FakeServer()
    const { server } = startFake({}, wss)
    await server.close()
    expect((await wss.connect()).end?.code).toBe(1012)
    const next = startFake({}, wss)
    expect((await wss.connect()).frames[0].event).toBe('connected')
    await next.server.close()
    wss.on('connection', () => {})
    let isServed = false
    wss.connect().then(() => (isServed = true))
    await new Promise(setImmediate)
    expect(isServed).toBe(false)
  })
})

describe('data whose toJSON() returns undefined', () => {
  test('throws a TypeError instead of breaking the frame', async () => {
    const { wss, server } = startFake()
    const client = await wss.connect()
    const data = { toJSON: () => undefined }
    await expect(server.send(client.frames[0].connectionId, data)).rejects.toThrow(TypeError)
  })
})

describe('an acknowledgement of messages that were never sent', () => {
  test('ends the session, because the store has lost the messages, or the client sends a wrong number', async () => {
    const { wss, server } = startFake()
    const client = await wss.connect()
    await client.until(() => !client.isPaused)
    await server.send(client.frames[0].connectionId, 'x')
    await client.until(() => client.frames.length === 2)
    client.say('{"type":"sequenceAck","sequenceId":2}')
    expect(await client.until(() => client.end)).toEqual({
      code: 1008,
      reason: 'the client has received messages that the store does not have',
    })
  })

  test('does not end the session if they were sent on an earlier connection', async () => {
    const { wss, server } = startFake()
    const first = await wss.connect()
    const [{ connectionId: id }] = first.frames
    for (const n of [1, 2, 3]) await server.send(id, n)
    await first.until(() => first.frames.length === 4)
    const next = await wss.connect(recovery(first))
    next.say('{"type":"sequenceAck","sequenceId":3}')
    next.say(event('x', 1))
    await ack(next, 1)
    expect(next.end).toBeUndefined()
  })
})

describe('a store that went back to an older state', () => {
  const aged = () => {
    let lost = 0
    let fire: (event: StoreEvent) => void = () => {}
    const memory = memoryStore()
    const store: Store = {
      open: async (limits, onEvent) => {
        fire = onEvent
        const node = await memory.open(limits, onEvent)
        return {
          ...node,
          touch: async held => (await node.touch(held)).map(newest => newest - lost),
        }
      },
    }
    return { store, fire: (event: StoreEvent) => fire(event), lose: (count: number) => (lost = count) }
  }

  test('ends the session, and the client is notified before anything else arrives', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'Date'] })
    try {
      const { store, lose } = aged()
      const { wss, server } = startFake({ store })
      const client = await wss.connect()
      const [{ connectionId: id }] = client.frames
      for (const n of [1, 2, 3]) await server.send(id, n)
      await client.until(() => client.frames.length === 4)
      lose(2)
      await vi.advanceTimersByTimeAsync(6_000)
      expect((await client.until(() => client.end)).code).toBe(1008)
      expect(client.frames.at(-1)).toMatchObject({ event: 'disconnected' })
    } finally {
      vi.useRealTimers()
    }
  })

  test('is not assumed when messages are sent while the store is queried', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'Date'] })
    try {
      const memory = memoryStore()
      let answer: (() => void) | undefined
      const store: Store = {
        open: async (limits, onEvent) => {
          const node = await memory.open(limits, onEvent)
          return {
            ...node,
            touch: async held => {
              const newest = await node.touch(held)
              await new Promise<void>(resolve => (answer = resolve))
              return newest
            },
          }
        },
      }
      const { wss, server } = startFake({ store })
      const client = await wss.connect()
      await vi.advanceTimersByTimeAsync(5_000)
      await eventually(() => expect(answer).toBeDefined())
      await server.send(client.frames[0].connectionId, 'x')
      await client.until(() => client.frames.length === 2)
      answer?.()
      await new Promise(setImmediate)
      expect(client.end).toBeUndefined()
    } finally {
      vi.useRealTimers()
    }
  })

  test('is visible in the connected frame, which has the number of the newest message', async () => {
    const { wss, server } = startFake()
    const first = await wss.connect()
    const [{ connectionId: id, sequenceId }] = first.frames
    expect(sequenceId).toBe(0)
    for (const n of [1, 2, 3]) await server.send(id, n)
    expect((await wss.connect(recovery(first))).frames[0].sequenceId).toBe(3)
  })
})
