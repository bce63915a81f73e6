// Defects that a hostile tester has found: each of these tests has failed.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createSocket } from '../../src/index.ts'
import { createOutbox, overSocket } from '../../src/outbox.ts'
import { createFakeServer } from '../../src/testing.ts'
import { attach, MemoryStorage } from './fakes.ts'

const rejections: unknown[] = []
const note = (reason: unknown) => void rejections.push(reason)
beforeEach(() => {
  vi.useFakeTimers()
  rejections.length = 0
  process.on('unhandledRejection', note)
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
  process.off('unhandledRejection', note)
})
const settle = (ms = 0) => vi.advanceTimersByTimeAsync(ms)
/** Lets Node report rejections that nobody handles. */
const report = async () => {
  vi.useRealTimers()
  for (let i = 0; i < 3; i++) await new Promise(resolve => setImmediate(resolve))
  return rejections
}

const fail = () => {
  throw new Error('encode')
}

test.each([
  ['throws', fail],
  ['returns no message', (): any => undefined],
])(
  'a message for which the encode of overSocket() %s is refused, and does not block the others',
  async (_, encodeBad) => {
    const server = createFakeServer()
    const socket = createSocket('wss://push.test/feed', { WebSocket: server.WebSocket })
    const orders = overSocket(socket, createOutbox(new MemoryStorage()), {
      encode: (data, id) => (data === 'bad' ? encodeBad() : JSON.stringify({ id, data })),
      acknowledged: text => JSON.parse(text).ack,
    })
    await settle()
    const bad = vi.fn()
    const good = vi.fn()
    orders.send('bad').then(bad, bad)
    orders.send('good').then(good, good)
    await settle(100)
    for (const text of server.latest.received)
      server.latest.send(JSON.stringify({ ack: JSON.parse(text as string).id }))
    await settle(100)
    expect(good).toHaveBeenCalled()
    expect.soft(bad).toHaveBeenCalled()
    expect.soft(await report()).toEqual([])
  },
)

test('a message is sent when a step of the storage never answers', async () => {
  const { send, storage, socket } = attach()
  storage.before = step => (step === 'add' ? new Promise(() => {}) : undefined)
  const done = vi.fn()
  send('a').then(done, done)
  await settle(60_000)
  expect(socket.data).toEqual(['a'])
})

test('a message of a newer version in another tab drops nothing', async () => {
  const name = 'versions'
  vi.stubGlobal('navigator', {
    locks: { request: (_: string, __: any, hold: any) => Promise.resolve().then(hold) },
  })
  const { send, socket } = attach({}, Object.assign(new MemoryStorage(), { name }) as MemoryStorage)
  socket.change({ name: 'open' })
  const done = vi.fn()
  send('a').then(done, done)
  vi.useRealTimers()
  const channel = new BroadcastChannel(name)
  await new Promise(resolve => setTimeout(resolve, 30))
  channel.postMessage({ kind: 'news' })
  await new Promise(resolve => setTimeout(resolve, 50))
  channel.close()
  expect(done.mock.calls).toEqual([])
  socket.change({ name: 'closed', cause: new Error('closed') } as any)
})

test('an invalid signal is an error at once, and nothing is kept', async () => {
  const { send, outbox } = attach()
  await expect(send('a', { signal: {} as any })).rejects.toThrow(TypeError)
  expect(await outbox.pending()).toEqual([])
})

test('a message that is sent while clear() waits for the storage has an outcome', async () => {
  const { send, outbox, socket, storage } = attach()
  socket.change({ name: 'waiting' })
  await settle(10_000)
  let go = () => {}
  storage.before = step => {
    if (step === 'add')
      return new Promise<void>(resolve => {
        go = resolve
      })
    return undefined
  }
  send('old')
  await settle()
  const cleared = outbox.clear()
  storage.before = () => {}
  const outcome = send('new')
  go()
  await cleared
  socket.change({ name: 'open' })
  await settle(1_000)
  for (const { answer } of socket.sent) answer()
  expect(await Promise.race([outcome, settle(1_000).then(() => 'none')])).toEqual({
    status: 'dropped',
    reason: 'cleared',
  })
})

test.each([undefined, null, 'orders.db', {}, { name: 'orders' }, { ...new MemoryStorage(), name: 7 }])(
  'createOutbox(%j) throws a TypeError at once, because this is not a storage',
  storage => {
    expect(() => createOutbox(storage as any)).toThrow(TypeError)
    expect(() => createOutbox(storage as any)).toThrow('createOutbox needs an OutboxStorage')
  },
)

const never = () => new Promise<never>(() => {})
const contains = (bytes: Uint8Array, text: string) => new TextDecoder().decode(bytes).includes(text)

test('an encode function that never settles is reported, and its message is sent from memory, in order', async () => {
  const encode = (bytes: Uint8Array) => (contains(bytes, 'stuck') ? never() : bytes)
  const { send, socket, problems } = attach({ encode, decode: bytes => bytes })
  for (const data of ['before', 'stuck', 'after']) send(data)
  await settle(60_000)
  expect(problems).toMatchObject([{ reason: 'codec', messages: [{ data: 'stuck' }] }])
  expect(socket.data).toEqual(['before', 'stuck', 'after'])
})

test('a message for which encode fails keeps its place when the window is full', async () => {
  const encode = (bytes: Uint8Array) => (contains(bytes, 'bad') ? fail() : bytes)
  const { send, socket } = attach({ encode, decode: bytes => bytes })
  const large = 'x'.repeat(2 ** 19)
  const all = [`${large}1`, `${large}2`, 'bad', 'last']
  for (const data of all) send(data)
  await settle(100)
  expect(socket.data).not.toContain('last')
  while (socket.sent.length) {
    socket.sent[0]?.answer()
    await settle()
  }
  expect(socket.data).toEqual(all)
})

test('a decode function that never settles is reported, and the later messages are sent', async () => {
  const identity = (bytes: Uint8Array) => bytes
  const first = attach({ encode: identity, decode: identity })
  first.socket.change({ name: 'connecting' })
  await settle(10_000)
  for (const data of ['before', 'stuck', 'after']) first.send(data)
  await settle()
  expect(first.socket.data).toEqual([])
  const decode = (bytes: Uint8Array) => (contains(bytes, 'stuck') ? never() : bytes)
  const second = attach({ encode: identity, decode }, first.storage)
  await settle(60_000)
  expect(second.socket.data).toEqual(['before', 'after'])
  expect(second.problems).toMatchObject([{ reason: 'codec', messages: [{ id: expect.any(String) }] }])
})
