// Sets up real connections for the tests: our client over each WebSocket class of Node, servers, and a proxy between them.
// Everything is closed after each test. Tests wait for events of the socket, the server or the proxy, never for a period of time.
import { afterEach, describe, expect } from 'vitest'
import * as ws from 'ws'
import {
  createSocket,
  type Endpoint,
  type Socket,
  type SocketEvents,
  type SocketOptions,
} from '../../src/index.ts'
import { type Peer, type ServerOptions, startServer, type TestServer } from '../interop/ws.ts'
import { type FaultProxy, startProxy } from '../support/proxy.ts'
import { createWatch } from '../support/watch.ts'

export type LoggedEvent<Binary extends BinaryType> = {
  [Type in keyof SocketEvents]: [type: Type, payload: SocketEvents<Binary>[Type]]
}[keyof SocketEvents]

/** One of our sockets, and a log of its events. */
export interface Client<Binary extends BinaryType = 'arraybuffer'> {
  readonly socket: Socket<Binary>
  readonly log: LoggedEvent<Binary>[]
  /** All native sockets that it created. The test fails if two of them were connecting or open at the same time. */
  readonly natives: readonly WebSocket[]
  /** The payloads of all events of this type so far. */
  events<Type extends keyof SocketEvents>(type: Type): SocketEvents<Binary>[Type][]
  /** Resolves as soon as `holds()` returns a truthy value. It is called now, and after every event of the socket. */
  until(holds: () => unknown): Promise<unknown>
  /** Resolves when the socket is in this state. */
  in(name: Socket['state']['name']): Promise<unknown>
}

type Constructor = NonNullable<SocketOptions['WebSocket']>

const cleanups: (() => unknown)[] = []
const EVENTS = ['state', 'open', 'text', 'binary', 'close', 'error', 'drop'] as const

/** Runs the job after the test. The last one added runs first. */
export const cleanup = (job: () => unknown): void => {
  cleanups.push(job)
}

const record = <Binary extends BinaryType>(socket: Socket<Binary>, natives: WebSocket[]): Client<Binary> => {
  const log: LoggedEvent<Binary>[] = []
  let mostUsable = 0
  const { look, until } = createWatch()
  for (const type of EVENTS) {
    socket.on(type, (payload: any) => {
      log.push([type, payload])
      mostUsable = Math.max(mostUsable, natives.filter(({ readyState }) => readyState < 2).length)
      look()
    })
  }
  cleanups.unshift(() => expect(mostUsable, 'native sockets usable at once').toBeLessThan(2))
  return {
    socket,
    log,
    natives,
    events: type => log.filter(([name]) => name === type).map(([, payload]) => payload as any),
    until,
    in: name => until(() => socket.state.name === name),
  }
}

export const start = async (options?: ServerOptions): Promise<TestServer> => {
  const server = await startServer(options)
  cleanup(() => server.stop())
  return server
}

/** Starts a proxy in front of the server on this port. */
export const proxied = async (port: number): Promise<FaultProxy> => {
  const proxy = await startProxy({ port })
  cleanup(() => proxy.close())
  return proxy
}

/** Calls a function for each message that the server receives. */
export const onMessage = (server: TestServer, reply: (peer: Peer, data: string | Buffer) => void): void => {
  let handled = 0
  void server.until(() => {
    while (handled < server.received.length) {
      const { connection, data } = server.received[handled++] as (typeof server.received)[0]
      reply(server.connections[connection - 1] as Peer, data)
    }
    return false
  })
}

/**
 * Starts a timer, and returns a function that tells whether it has fired. A busy machine delays all timers of this process, but does not change
 * their order, so the test can compare a timer of the package with this one.
 */
export const startTimer = (ms: number): (() => boolean) => {
  let fired = false
  const timer = setTimeout(() => {
    fired = true
  }, ms)
  cleanup(() => clearTimeout(timer))
  return () => fired
}

/** Returns the numbers at the beginning of messages. */
export const numbers = (messages: readonly unknown[]): number[] =>
  messages.map(message => Number.parseInt(String(message), 10))

/** `[from, from + 1, …, to - 1]` */
export const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, i) => from + i)

/** Returns the numbers that are not greater than the one before: messages that arrived twice or out of order. */
export const outOfOrder = (list: readonly number[]): number[] =>
  list.filter((number, i) => i > 0 && number <= (list[i - 1] as number))

/** Creates a socket, and closes it after the test. */
export type Connect = <Binary extends BinaryType = 'arraybuffer'>(
  endpoint: Endpoint,
  options?: SocketOptions<Binary>,
) => Client<Binary>

/** The major version of Node. */
const node = Number.parseInt(process.versions.node, 10)

/** Whether the class fires only an error event, and no close event, after a failed handshake, as the global class of Node 22 does. */
export const lacksCloseEvent = (WebSocket: Constructor): boolean =>
  node < 24 && WebSocket === globalThis.WebSocket

/** Runs the tests with the class of `ws` and, if there is one, with the global `WebSocket` of Node. */
export const overEachWebSocket = (
  tests: (connect: Connect, WebSocket: Constructor, name: string) => void,
): void => {
  const classes: [string, Constructor][] = [['ws', ws.WebSocket]]
  if (node >= 22) classes.push(['the global WebSocket', globalThis.WebSocket])

  describe.each(classes)('over %s', (name, WebSocket) => {
    afterEach(async () => {
      for (const job of cleanups.splice(0).reverse()) await job()
    })
    tests(
      (endpoint, options) => {
        const natives: globalThis.WebSocket[] = []
        const Base = options?.WebSocket ?? WebSocket
        class Counted extends Base {
          constructor(url: string, protocols?: string[]) {
            super(url, protocols)
            natives.push(this as unknown as globalThis.WebSocket)
          }
        }
        const client = record(createSocket(endpoint, { ...options, WebSocket: Counted }), natives)
        // After the test, the socket must be able to close, whatever the test did.
        cleanup(() => client.socket.close())
        cleanups.unshift(() => client.in('closed'))
        return client
      },
      WebSocket,
      name,
    )
  })
}
