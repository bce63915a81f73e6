// Defects that a hostile tester has found: each of these tests has failed.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { findPlatform } from '../../src/tabs/platform.ts'
import { createTabsSocketIn } from '../../src/tabs/tabs.ts'
import { createFakeServer } from '../../src/testing.ts'
import { createWorld, fresh, settle } from './world.ts'

fresh()

const rejections: unknown[] = []
const note = (reason: unknown) => void rejections.push(reason)
beforeEach(() => {
  rejections.length = 0
  process.on('unhandledRejection', note)
})
afterEach(() => {
  process.off('unhandledRejection', note)
})

/** Lets Node report rejections that nobody handles. */
const report = async () => {
  vi.useRealTimers()
  for (let i = 0; i < 2; i++) await new Promise(resolve => setImmediate(resolve))
  return rejections
}

/** Ends the connection of a hub, and lets no other one open. */
const cut = async ({ server }: ReturnType<ReturnType<typeof createWorld>['tab']>) => {
  server.hang()
  server.latest.drop()
  await settle()
}

test('a tab that was signed out by another tab stays closed when its page is hidden and shown', async () => {
  const [one, two] = await createWorld().tabs(2)
  one.socket.signOut()
  await settle(10)
  two.hide()
  await settle(10)
  two.show()
  await settle(1_000)
  expect(two.socket.state.name).toBe('closed')
  expect(two.server.attempts).toBe(0)
})

test('the messages of tabs that ended with a hub are sent by the next hub only', async () => {
  const [one, two, three, four] = await createWorld().tabs(4)
  await cut(one)
  four?.socket.send('orphan')
  await settle()
  four?.kill()
  await settle()
  one.hide(false)
  await settle(100)
  expect(two.server.latest.received).toEqual(['orphan'])
  two.kill()
  await settle(100)
  expect(three.server.latest.received).toEqual([])
})

test('no hub starts in a tab that was closed before its worker failed', async () => {
  let fail = () => {}
  vi.stubGlobal('SharedWorker', class {})
  const world = createWorld()
  const { socket } = world.tab({
    worker: () => ({
      port: { start() {}, postMessage() {} },
      addEventListener(_, listener) {
        fail = listener
      },
    }),
  })
  await settle()
  socket.close()
  fail()
  await settle(100)
  const other = world.tab()
  await settle(100)
  expect(other.socket.sharing.holder).toBe('this tab')
})

test('connect() and reconnect() cause no unhandled rejection when the socket is closed', async () => {
  const { socket } = createWorld().tab()
  socket.connect()
  await settle()
  socket.reconnect('test')
  socket.close()
  expect(await report()).toEqual([])
})

test('messages that wait for the buffer are not lost when the hub leaves without a connection', async () => {
  const [one, two] = await createWorld().tabs(2, { highWaterMark: 10 })
  one.server.latest.freeze()
  one.socket.send('x'.repeat(20))
  one.socket.send('waits')
  await settle(100)
  await cut(one)
  one.hide(false)
  await settle(100)
  expect(two.server.latest.received).toEqual(['waits'])
  expect(one.heard('drop')).toEqual([])
})

test('drop-oldest drops no more messages than necessary', async () => {
  const [one, two] = await createWorld().tabs(2, { queue: { maxMessages: 2, overflow: 'drop-oldest' } })
  await cut(one)
  for (const text of ['a', 'b', 'c', 'd']) two.socket.send(text)
  await settle()
  expect(two.heard('drop').map(({ data, reason }) => [data, reason])).toEqual([
    ['a', 'overflow'],
    ['b', 'overflow'],
  ])
})

test('a message that was aborted while the hub ended is not sent by the next hub', async () => {
  const [one, two] = await createWorld().tabs(2)
  await cut(one)
  const scope = new AbortController()
  two.socket.send('aborted', { signal: scope.signal })
  await settle()
  one.kill()
  scope.abort()
  await settle(1_000)
  expect(two.heard('drop')).toEqual([{ data: 'aborted', reason: 'aborted' }])
  expect(two.server.latest.received).toEqual([])
})

test.each([
  ['denied', () => new DOMException('denied', 'SecurityError')],
  ['absent', () => new ReferenceError('indexedDB is not defined')],
])('claim() remembers the ids of this tab when the database is %s', async (key, makeError) => {
  const { socket } = createWorld().tab({ key })
  vi.stubGlobal('indexedDB', {
    open() {
      throw makeError()
    },
  })
  expect(await socket.claim('a')).toBe(true)
  expect(await socket.claim('a')).toBe(false)
})

test('claim() remembers the ids of this tab when the database never answers', async () => {
  const { socket } = createWorld().tab({ key: 'silent' })
  vi.stubGlobal('indexedDB', { open: () => ({}) })
  const claims = Promise.all([socket.claim('a'), socket.claim('a')])
  await settle(6_000)
  expect(await claims).toEqual([true, false])
})

test('a filter that throws for a message that was kept does not stop the tab', async () => {
  const { queueMicrotask: queue } = globalThis
  const errors: unknown[] = []
  vi.stubGlobal('queueMicrotask', (job: () => void) =>
    queue(() => {
      try {
        job()
      } catch (error) {
        errors.push(error)
      }
    }),
  )
  const [one, two] = await createWorld().tabs(2, {
    filter(data) {
      if (data === 'bad') throw new Error('filter')
      return true
    },
  })
  two.hide()
  await settle()
  one.server.latest.send('bad').send('good')
  await settle()
  two.show()
  await settle()
  two.socket.send('still sends')
  await settle()
  expect(two.heard('text')).toEqual(['good'])
  expect(one.server.latest.received).toEqual(['still sends'])
  expect(errors).toHaveLength(2)
})

test('a tab that may not use locks has a connection of its own', async () => {
  const request = () => Promise.reject(new DOMException('denied', 'SecurityError'))
  vi.stubGlobal('navigator', { locks: { request } })
  const server = createFakeServer()
  const { WebSocket } = server
  const socket = createTabsSocketIn(findPlatform(), {}, 'wss://push.test/feed', { WebSocket })
  socket.send('hello')
  await settle(100)
  expect(socket.sharing).toEqual({ holder: 'none', tabs: 1 })
  expect(server.latest.received).toEqual(['hello'])
  socket.close()
})

test('a retry that cannot be copied to another tab is an error at once', () => {
  expect(() => createWorld().tab({ retry: { random: () => 0.5 } as object })).toThrow(TypeError)
})

test('handover() rejects when the socket is closed before it is open', async () => {
  const { socket } = createWorld().tab({ autoConnect: false })
  const outcome = expect(socket.handover()).rejects.toMatchObject({ code: 'CLOSED' })
  socket.close()
  await outcome
})
