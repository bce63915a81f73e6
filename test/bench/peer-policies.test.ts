import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { peerPolicies } from './peer-policies.mjs'

/** What all draw: a number that is not in the middle, so that half and half would show. */
const CHANCE = 0.3
const ATTEMPTS = 8

// One of them draws when it is loaded.
const random = vi.spyOn(Math, 'random').mockReturnValue(CHANCE)
const { peers } = await import('./peers.mjs')
random.mockRestore()

const made: Fake[] = []

/** A socket that does what the test says. */
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
    made.push(this)
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

/** The waits of the library itself: after a connection that lasted and ended with this code, and after each attempt that failed. */
const waitsOf = async (peer: Peer, best: boolean, code: number) => {
  made.length = 0
  const options = { WebSocket: Fake, best, hear: { error() {} } } as any
  peer.connect('ws://server.test', options)
  const waits: (number | false)[] = []
  const nextSocket = async () => {
    await vi.advanceTimersByTimeAsync(0)
    // A library has other timers too, but none of them is for ever.
    for (let step = 0; step < 30 && !made.length && vi.getTimerCount(); step++) {
      await vi.advanceTimersToNextTimerAsync()
      await vi.advanceTimersByTimeAsync(0)
    }
    return made.shift()
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

/** The same by the policy of the simulation. */
const waitsByPolicy = (policy: (random: () => number) => any, code: number) => {
  const retry = policy(() => CHANCE)
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
  vi.spyOn(Math, 'random').mockReturnValue(CHANCE)
})

afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

/** Timers have whole milliseconds, and a library may round the other way. */
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
      test(`${peer.name} tries again when its policy says`, async () => {
        alike(await waitsOf(peer, false, code), waitsByPolicy(byDefault, code))
      })
    }
    if (best) {
      test(`${peer.name} at its best tries again when its policy says`, async () => {
        alike(await waitsOf(peer, true, code), waitsByPolicy(best, code))
      })
    }
  }
})

test('socket.io-client waits as its policy says', () => {
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

test('every peer that can be simulated is', () => {
  const missing = peers.map(({ name }) => name).filter(name => !(name in peerPolicies))
  // The drop-in's policy is ours.
  expect(missing).toEqual(['steadysocket/websocket'])
})
