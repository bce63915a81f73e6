import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { peerPolicies } from './peer-policies.mjs'

/** The value of all random numbers. With 0.5, wrong jitter could go unnoticed. */
const RANDOM = 0.3
const ATTEMPTS = 8

// One of the libraries uses a random number when it is loaded.
const random = vi.spyOn(Math, 'random').mockReturnValue(RANDOM)
const { peers } = await import('./peers.mjs')
random.mockRestore()

const created: Fake[] = []

/** A WebSocket that the test controls. */
class Fake extends EventTarget {
  static CONNECTING = 0
  static OPEN = 1
  static CLOSING = 2
  static CLOSED = 3
  OPEN = 1
  readyState = 0
  bufferedAmount = 0
  binaryType = 'blob'
  readonly at = Date.now()
  readonly url: string
  constructor(url: string) {
    super()
    this.url = url
    for (const type of ['open', 'message', 'error', 'close']) {
      this.addEventListener(type, event => (this as any)[`on${type}`]?.(event))
    }
    created.push(this)
  }
  send() {}
  close() {}
  open() {
    this.readyState = 1
    this.dispatchEvent(new Event('open'))
    this.dispatchEvent(new MessageEvent('message', { data: 'x' }))
  }
  end(code: number) {
    this.readyState = 3
    if (code === 1006) this.dispatchEvent(new Event('error'))
    const wasClean = code !== 1006
    this.dispatchEvent(new CloseEvent('close', { code, reason: '', wasClean }))
  }
}

type Peer = (typeof peers)[number]

/** The delays of the library itself: after a long connection that ended with this code, and after each failed attempt. */
const waitsOf = async (peer: Peer, best: boolean, code: number) => {
  created.length = 0
  const options = { WebSocket: Fake, best, listeners: { error() {} } } as any
  peer.connect('ws://server.test', options)
  const waits: (number | false)[] = []
  const nextSocket = async () => {
    await vi.advanceTimersByTimeAsync(0)
    // A library may have other timers, but none that repeats forever.
    for (let step = 0; step < 30 && !created.length && vi.getTimerCount(); step++) {
      await vi.advanceTimersToNextTimerAsync()
      await vi.advanceTimersByTimeAsync(0)
    }
    return created.shift()
  }
  let socket = await nextSocket()
  socket?.open()
  await vi.advanceTimersByTimeAsync(20_000)
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const lost = Date.now()
    socket?.end(attempt === 1 ? code : 1006)
    socket = await nextSocket()
    waits.push(socket ? socket.at - lost : false)
    if (!socket) break
  }
  return waits
}

/** The delays according to the policy of the simulation. */
const waitsByPolicy = (policy: (random: () => number) => any, code: number) => {
  const retry = policy(() => RANDOM)
  const waits: (number | false)[] = []
  for (let attempt = 1; attempt <= ATTEMPTS && waits.at(-1) !== false; attempt++) {
    const cause =
      attempt === 1
        ? { code: 'CONNECTION_LOST', close: { code, reason: '' } }
        : { code: 'CONNECTION_REFUSED', close: { code: 1006, reason: '' } }
    waits.push(retry({ attempt, cause, uptime: 0, elapsed: 0 }))
  }
  return waits
}

beforeEach(() => {
  vi.useFakeTimers()
  vi.spyOn(Math, 'random').mockReturnValue(RANDOM)
})

afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

/** Timers have whole milliseconds, and libraries round in different ways. */
const alike = (real: (number | false)[], policy: (number | false)[]) => {
  const rounded = policy.map(wait => wait !== false && Math.floor(wait))
  for (const [at, wait] of real.entries()) {
    if (wait === false || rounded[at] === false) continue
    if (Math.abs(wait - (rounded[at] ?? Infinity)) <= 1) rounded[at] = wait
  }
  expect(real).toEqual(rounded)
}

describe.each([1006, 1001, 1012, 1000])('after a loss with %i', code => {
  for (const peer of peers.filter(({ protocol }) => !protocol)) {
    const { byDefault, best } = (peerPolicies as any)[peer.name] ?? {}
    if (byDefault) {
      test(`${peer.name} retries after the delays of its policy`, async () => {
        alike(await waitsOf(peer, false, code), waitsByPolicy(byDefault, code))
      })
    }
    if (best) {
      test(`${peer.name} with its best options retries after the delays of its policy`, async () => {
        alike(await waitsOf(peer, true, code), waitsByPolicy(best, code))
      })
    }
  }
})

test('socket.io-client waits for the delays of its policy', () => {
  for (const [best, policy] of [
    [false, peerPolicies['socket.io-client'].byDefault],
    [true, peerPolicies['socket.io-client'].best],
  ] as const) {
    const peer = peers.find(({ protocol }) => protocol === 'socket.io') as Peer
    const { socket } = peer.connect('http://server.test', {
      best,
      options: { autoConnect: false },
    } as any) as any
    const waits = Array.from({ length: ATTEMPTS }, () => socket.io.backoff.duration())
    expect(waits).toEqual(waitsByPolicy(policy, 1006))
  }
})

test('every library that reconnects has a policy, except for the drop-in class, whose policy is that of steadysocket', () => {
  const missing = peers.map(({ name }) => name).filter(name => !(name in peerPolicies))
  expect(missing).toEqual(['steadysocket/websocket'])
})
