import { afterEach, beforeEach, vi } from 'vitest'
import { createSocket, type Endpoint, type Socket, type SocketOptions } from '../../src/index.ts'
import { createFakeServer, type FakeMessage, type FakePeer, type FakeServer } from '../../src/testing.ts'

export type News = [type: string, payload: any]

const EVENTS = ['state', 'open', 'text', 'binary', 'close', 'error', 'drop'] as const

/** Where the sockets of a test lead: to one that answers no handshake by itself. */
export let server: FakeServer

/** A fake clock and a server of its own for each test; nothing may be left running after it that `close()` should have ended. */
export const fresh = (): void => {
  beforeEach(() => {
    vi.useFakeTimers({ now: 1_000_000 })
    server = createFakeServer({ base: 'http://page.test/' })
    server.hang()
  })
  afterEach(() => {
    vi.useRealTimers()
    vi.restoreAllMocks()
    vi.unstubAllGlobals()
  })
}

/** A socket over fakes, with everything that its listeners hear, and the newest of the peers that they lead to. Delays are half of what they could be. */
export const setup = <Binary extends BinaryType = 'arraybuffer'>(
  options: SocketOptions<Binary> = {},
  endpoint: Endpoint = '/feed',
): { socket: Socket<Binary>; log: News[]; heard: (type: string) => any[]; native: () => FakePeer } => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  const log: News[] = []
  const socket = createSocket<Binary>(endpoint, { WebSocket: server.WebSocket, ...options })
  for (const type of EVENTS) socket.on(type, (payload: unknown) => log.push([type, payload]))
  const heard = (type: string) => log.filter(([name]) => name === type).map(([, payload]) => payload)
  return { socket, log, heard, native: () => server.latest }
}

/** The names of the states that were told, or of the events, in order. */
export const story = (log: News[]): string[] =>
  log.map(([type, payload]) => (type === 'state' ? payload.name : `(${type})`))

/** Lets promises that are settled run. */
export const settled = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0)

/** All that the page has sent through this connection, whether or not it has left. */
export const sent = ({ received, unsent }: FakePeer): FakeMessage[] => [...received, ...unsent]

/** Freezes what a socket says that it has not sent, and counts how often it is asked. */
export const countLooks = (
  { socket }: FakePeer,
  bufferedAmount: number = socket.bufferedAmount,
): (() => number) => {
  const looks = vi.spyOn(socket, 'bufferedAmount', 'get').mockReturnValue(bufferedAmount)
  return () => looks.mock.calls.length
}
