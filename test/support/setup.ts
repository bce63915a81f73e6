import { afterEach, beforeEach, vi } from 'vitest'
import { createSocket, type Endpoint, type Socket, type SocketOptions } from '../../src/index.ts'
import { FakeWebSocket } from './fake.ts'

export type News = [type: string, payload: any]

const EVENTS = ['state', 'open', 'text', 'binary', 'close', 'error', 'drop'] as const

/** A fake clock and no sockets before each test; nothing may be left running after it that `close()` should have ended. */
export const fresh = (): void => {
  beforeEach(() => {
    vi.useFakeTimers({ now: 1_000_000 })
    FakeWebSocket.reset()
  })
  afterEach(() => {
    vi.useRealTimers()
    vi.restoreAllMocks()
    vi.unstubAllGlobals()
  })
}

/** A socket over fakes, with everything that its listeners hear. Delays are half of what they could be. */
export const setup = <Binary extends BinaryType = 'arraybuffer'>(
  options: SocketOptions<Binary> = {},
  endpoint: Endpoint = '/feed',
): { socket: Socket<Binary>; log: News[]; heard: (type: string) => any[]; native: () => FakeWebSocket } => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  const log: News[] = []
  const socket = createSocket<Binary>(endpoint, { WebSocket: FakeWebSocket, ...options })
  for (const type of EVENTS) socket.on(type, (payload: unknown) => log.push([type, payload]))
  const heard = (type: string) => log.filter(([name]) => name === type).map(([, payload]) => payload)
  return { socket, log, heard, native: () => FakeWebSocket.last }
}

/** The names of the states that were told, or of the events, in order. */
export const story = (log: News[]): string[] =>
  log.map(([type, payload]) => (type === 'state' ? payload.name : `(${type})`))

/** Lets promises that are settled run. */
export const settled = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0)

/** Freezes what a socket says that it has not sent, and counts how often it is asked. */
export const countLooks = (native: FakeWebSocket): (() => number) => {
  let looks = 0
  const { bufferedAmount } = native
  Object.defineProperty(native, 'bufferedAmount', {
    get: () => {
      looks++
      return bufferedAmount
    },
  })
  return () => looks
}
