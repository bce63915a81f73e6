import { beforeEach, describe, expect, test, vi } from 'vitest'
import { socketStore } from '../../src/frameworks/sockets.ts'
import { createSocket } from '../../src/index.ts'
import type { FakeServer } from '../../src/testing.ts'
import { fakeNetwork } from '../support/network.ts'

let server: FakeServer
let n = 0
/** Another address in each test: what is shared is shared by the whole page. */
let url: string

beforeEach(() => {
  server = fakeNetwork()
  url = `wss://push.example.com/${++n}`
  vi.stubGlobal('window', globalThis)
})

const socketFor = (...args: Parameters<typeof socketStore>) => socketStore(...args)[1]()

describe('a shared socket', () => {
  test('is the same for the same address, as a string or as a URL', () => {
    const socket = socketFor(url)
    expect(socketFor(url)).toBe(socket)
    expect(socketFor(new URL(url))).toBe(socket)
    expect(socketFor(`${url}/other`)).not.toBe(socket)
  })

  test('is the same for the same key, whatever the address, with the endpoint and options of the first', async () => {
    const [listen, get] = socketStore(async () => `${url}?first`, { key: url, protocols: 'v1' })
    expect(socketFor(async () => `${url}?second`, { key: url })).toBe(get())
    expect(socketFor(url)).toBe(get())
    expect(socketFor(async () => url, { key: `${url} of another user` })).not.toBe(get())
    listen(() => {})
    await vi.advanceTimersByTimeAsync(0)
    expect(server.latest.socket.url).toBe(`${url}?first`)
    expect(server.latest.protocols).toEqual(['v1'])
  })

  test('does not connect before it has a user, and connects once for all', () => {
    const [listen] = socketStore(url)
    vi.advanceTimersByTime(60_000)
    expect(server.attempts).toBe(0)
    listen(() => {})
    listen(() => {})
    socketStore(url)[0](() => {})
    vi.advanceTimersByTime(60_000)
    expect(server.attempts).toBe(1)
  })

  test('sets no timer as long as nobody uses it', () => {
    socketStore(url)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('is closed a second after its last user has left, however often users came and went before', () => {
    const [listen] = socketStore(url)
    const leave = listen(() => {})
    vi.advanceTimersByTime(0)
    leave()
    vi.advanceTimersByTime(500)
    const leaveAgain = listen(() => {})
    vi.advanceTimersByTime(400)
    leaveAgain()
    vi.advanceTimersByTime(999)
    expect(server.clients).toHaveLength(1)
    vi.advanceTimersByTime(1)
    expect(server.clients).toEqual([])
    vi.advanceTimersByTime(3_000)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('sends what was queued before it is closed', () => {
    const [listen, get] = socketStore(url)
    const leave = listen(() => {})
    get().send('one' as never)
    vi.advanceTimersByTime(0)
    get().send('two' as never)
    leave()
    vi.advanceTimersByTime(2_000)
    expect(server.latest.received).toEqual(['one', 'two'])
  })

  test('is another one after it was closed', () => {
    const [listen, get] = socketStore(url)
    listen(() => {})()
    vi.advanceTimersByTime(2_000)
    expect(socketFor(url)).not.toBe(get())
  })

  test('is found again when a view that kept it uses it again', () => {
    const [listen, get] = socketStore(url)
    listen(() => {})()
    vi.advanceTimersByTime(2_000)
    listen(() => {})
    vi.advanceTimersByTime(0)
    expect(get().state.name).toBe('open')
    expect(socketFor(url)).toBe(get())
  })

  test('waits for connect() with autoConnect: false, and is closed all the same', () => {
    const [listen, get] = socketStore(url, { autoConnect: false })
    const leave = listen(() => {})
    vi.advanceTimersByTime(10_000)
    expect(server.attempts).toBe(0)
    get().connect()
    vi.advanceTimersByTime(0)
    expect(server.clients).toHaveLength(1)
    leave()
    vi.advanceTimersByTime(1_000)
    expect(server.clients).toEqual([])
  })

  test('throws for a malformed address when it is to connect, and again the next time', () => {
    const [listen] = socketStore('https://[')
    expect(() => listen(() => {})).toThrow()
    expect(() => listen(() => {})).toThrow()
    expect(vi.getTimerCount()).toBe(0)
  })

  test('throws at once for an unknown option', () => {
    expect(() => socketStore(url, { retries: 3 } as object)).toThrow(/no option 'retries'/)
  })
})

test.each([
  ['undefined, as for a variable of the environment that is not set', undefined],
  ['null', null],
  ['a function without a key', () => 'wss://push.example.com/feed'],
  ['a promise', Promise.resolve('wss://push.example.com/feed')],
  ['a number', 7],
])('useSocket() rejects %s, and says what it needs', (_, endpoint) => {
  expect(() => socketStore(endpoint)).toThrow(new TypeError('useSocket() needs an address or a key'))
})

test('a socket that is passed in is neither connected nor closed', () => {
  const socket = createSocket(url, { autoConnect: false })
  const [listen, get] = socketStore(socket)
  expect(get()).toBe(socket)
  const leave = listen(() => {})
  vi.advanceTimersByTime(10_000)
  expect(server.attempts).toBe(0)
  socket.connect()
  vi.advanceTimersByTime(0)
  leave()
  vi.advanceTimersByTime(10_000)
  expect(socket.state.name).toBe('open')
})

test('on a server, nothing is shared between requests, and nothing is kept', () => {
  vi.stubGlobal('window', undefined)
  expect(socketFor(url)).not.toBe(socketFor(url))
  expect(socketFor(url).state).toEqual({ name: 'closed' })
  expect([server.attempts, vi.getTimerCount()]).toEqual([0, 0])
})
