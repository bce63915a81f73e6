import { afterEach, beforeEach, vi } from 'vitest'
import { createSocket, type Endpoint, type Socket, type SocketOptions } from '../../src/index.ts'
import { createFakeServer, type FakeMessage, type FakePeer, type FakeServer } from '../../src/testing.ts'

export type LoggedEvent = [type: string, payload: any]

const EVENTS = ['state', 'open', 'text', 'binary', 'close', 'error', 'drop'] as const

/** The server that the sockets of a test connect to. It answers no handshake until the test accepts it. */
export let server: FakeServer

/** Gives each test a fake clock and a new fake server. */
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

/**
 * Creates a socket that connects to the fake server. Returns it with a log of its events, a function for the payloads of one type of event, and
 * a function for the server's end of the newest connection. `Math.random()` returns 0.5, so delays are half of their maximum.
 */
export const setup = <Binary extends BinaryType = 'arraybuffer'>(
  options: SocketOptions<Binary> = {},
  endpoint: Endpoint = '/feed',
): { socket: Socket<Binary>; log: LoggedEvent[]; heard: (type: string) => any[]; native: () => FakePeer } => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  const log: LoggedEvent[] = []
  const socket = createSocket<Binary>(endpoint, { WebSocket: server.WebSocket, ...options })
  for (const type of EVENTS) socket.on(type, (payload: unknown) => log.push([type, payload]))
  const heard = (type: string) => log.filter(([name]) => name === type).map(([, payload]) => payload)
  return { socket, log, heard, native: () => server.latest }
}

/** Waits until the next attempt is due, and accepts its handshake. */
export const reopen = (): FakePeer => {
  vi.advanceTimersByTime(10_000)
  return server.latest.accept()
}

/** The log as strings: the name of each new state, and the types of other events in parentheses. */
export const story = (log: LoggedEvent[]): string[] =>
  log.map(([type, payload]) => (type === 'state' ? payload.name : `(${type})`))

/** Runs the reactions of promises that are settled. */
export const settled = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0)

/** Everything that the page has sent through this connection, whether or not the server has received it. */
export const sent = ({ received, unsent }: FakePeer): FakeMessage[] => [...received, ...unsent]

/** Sets the `bufferedAmount` of a native socket to a constant, and counts how often it is read. */
export const countLooks = (
  { socket }: FakePeer,
  bufferedAmount: number = socket.bufferedAmount,
): (() => number) => {
  const reads = vi.spyOn(socket, 'bufferedAmount', 'get').mockReturnValue(bufferedAmount)
  return () => reads.mock.calls.length
}
