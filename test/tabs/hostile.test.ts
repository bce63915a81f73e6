// Defects that a hostile tester has found: each of these tests has failed.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { AttemptContext } from '../../src/index.ts'
import type { Tab } from '../../src/tabs/hub.ts'
import { findPlatform } from '../../src/tabs/platform.ts'
import { createRequests } from '../../src/tabs/requests.ts'
import { createTabsSocketIn } from '../../src/tabs/tabs.ts'
import { serveTabs } from '../../src/tabs-worker.ts'
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

const unclonable = [
  ['a function', () => {}],
  ['a symbol', Symbol('why')],
  ['an event', Object.assign(new Event('click'), { view: () => {} })],
  ['an object without a prototype', Object.assign(Object.create(null), { do() {} })],
  ['an object that cannot be converted to a string', { toString: () => ({}) }],
] as const

test.each(unclonable)('reconnect() and handover() act when their cause is %s', async (_, cause) => {
  const [one, two] = await createWorld().tabs(2)
  two.socket.reconnect(cause)
  await settle(5_000)
  expect(one.server.attempts).toBe(2)
  expect(two.heard('close')).toMatchObject([{ cause: { code: 'RECONNECT_REQUESTED' } }])
  const handover = two.socket.handover(cause)
  await settle(5_000)
  await handover
  expect(one.server.attempts).toBe(3)
})

test('a tab that was forgotten because too many tabs are away repeats no message and gets a gap', async () => {
  const world = createWorld()
  const [one, two] = await world.tabs(2)
  two.socket.send('once')
  two.hide()
  await settle()
  for (let i = 0; i < 200; i++) {
    const { hide } = world.tab()
    await settle()
    hide()
  }
  one.server.latest.send('missed')
  await settle()
  two.show()
  await settle()
  expect(one.server.latest.received).toEqual(['once'])
  expect(two.heard('text')).toEqual([])
  expect(two.heard('gap')).toEqual([{ missed: undefined, replayed: 0 }])
  expect(two.heard('drop')).toEqual([{ data: 'once', reason: 'unknown' }])
})

test('more than fifty tabs can be away, and each gets what it missed', async () => {
  const tabs = await createWorld().tabs(61)
  const [one, ...others] = tabs
  for (const other of others) {
    other.socket.send('once')
    other.hide()
  }
  await settle()
  one.server.latest.send('missed')
  await settle()
  for (const other of others) other.show()
  await settle()
  expect(one.server.latest.received).toHaveLength(60)
  for (const { heard } of others)
    expect([heard('text'), heard('gap'), heard('drop')]).toEqual([['missed'], [], []])
})

test('a tab that is frozen after the end of one hub and before the welcome of the next gets a gap', async () => {
  const [one, two, three] = await createWorld().tabs(3)
  two.socket.on('state', ({ name }) => {
    if (name === 'connecting') two.freeze()
  })
  one.hide(false)
  await settle()
  three.server.latest.send('missed')
  await settle()
  two.resume()
  await settle()
  expect(two.socket.state.name).toBe('open')
  expect(two.heard('gap')).toEqual([{ missed: undefined, replayed: 0 }])
})

test('a tab that is frozen again before it is welcomed gets what it missed', async () => {
  const [one, two] = await createWorld().tabs(2)
  two.freeze()
  await settle()
  one.server.latest.send('missed')
  two.resume()
  two.freeze()
  await settle()
  two.resume()
  await settle()
  expect(two.heard('text')).toEqual(['missed'])
  expect(two.heard('gap')).toEqual([])
})

test('a volatile message that the hub drops causes a drop event in its tab', async () => {
  const [one, two] = await createWorld().tabs(2, { highWaterMark: 10 })
  one.server.latest.freeze()
  two.socket.send('x'.repeat(20))
  await settle()
  two.socket.send('waits')
  expect(two.socket.send('volatile', { volatile: true })).toBe('queued')
  await settle(100)
  expect(two.heard('drop')).toEqual([{ data: 'volatile', reason: 'volatile' }])
  expect(two.socket.stats).toMatchObject({ dropped: 1, queued: 1 })
})

describe('a shared worker of another version', () => {
  test('that does not answer is replaced by a tab, and a conflict event reports this', async () => {
    const world = createWorld()
    vi.stubGlobal('SharedWorker', class {})
    const worker = () => ({
      port: {
        start() {},
        postMessage(message: any) {
          const name = message.name ?? message
          world.placeOf(worker).lock(`${name} hub`, () => {})
        },
      },
      addEventListener() {},
    })
    const [one, two] = await world.tabs(2, { worker })
    await settle(5_000)
    expect(one.socket.sharing).toEqual({ holder: 'this tab', tabs: 2 })
    expect([one, two].map(({ heard }) => heard('conflict'))).toEqual([[['worker']], [['worker']]])
    one.kill()
    await settle(100)
    expect(two.socket.sharing).toEqual({ holder: 'this tab', tabs: 1 })
  })

  test('requests no lock', async () => {
    let message: any
    const worker = () => ({
      port: {
        start() {},
        postMessage(posted: unknown) {
          message = posted
        },
      },
      addEventListener() {},
    })
    vi.stubGlobal('SharedWorker', class {})
    createWorld().tab({ worker })
    await settle()
    const locks: string[] = []
    const request = async (name: string) => void locks.push(name)
    vi.stubGlobal('navigator', { locks: { request } })
    vi.stubGlobal('addEventListener', (_: string, listener: (event: unknown) => void) => {
      const port: any = {}
      listener({ ports: [port] })
      const { name } = message
      for (const data of [name, { name }, { name, hub: 'hub 0' }, message]) port.onmessage({ data })
    })
    serveTabs()
    expect(locks).toHaveLength(1)
  })
})

test('the signal of an endpoint function is aborted when its connection has ended', async () => {
  const signals: AbortSignal[] = []
  const [one] = await createWorld().tabs(2, {
    key: 'feed',
    endpoint: ({ signal }: AttemptContext) => {
      signals.push(signal)
      return 'wss://push.test/feed'
    },
  })
  expect(signals.map(({ aborted }) => aborted)).toEqual([false])
  one.server.latest.drop()
  await settle()
  expect(signals[0]?.aborted).toBe(true)
})

test('no tab is asked for an attempt that has ended', async () => {
  const post = vi.fn()
  const tabs = new Map([['one', { id: 'one' } as Tab]])
  const endpoint = createRequests(tabs, post, async () => true).caller('endpoint')
  const signal = AbortSignal.abort()
  const ended = vi.fn()
  endpoint({ attempt: 0, cause: undefined, signal }).catch(ended)
  await settle()
  expect(ended).toHaveBeenCalled()
  expect(post).not.toHaveBeenCalled()
})

test('a closed socket has no listener on its signal', async () => {
  const listeners = new Set<unknown>()
  const { signal } = new AbortController()
  const add = signal.addEventListener.bind(signal)
  const remove = signal.removeEventListener.bind(signal)
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    listeners.add(args[1])
    add(...args)
  }
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    listeners.delete(args[1])
    remove(...args)
  }
  const { socket } = createWorld().tab({ signal })
  await settle()
  expect(listeners.size).toBe(1)
  socket.close()
  expect(listeners.size).toBe(0)
  socket.connect()
  await settle()
  socket.signOut()
  expect(listeners.size).toBe(0)
})
