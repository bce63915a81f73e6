// Real sockets for the tests: a client of ours over each WebSocket there is here, servers, and a proxy between them.
// Everything is ended after each test, and everything waits for events: of the socket, of the server, of the proxy.
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

export type News<Binary extends BinaryType> = {
  [Type in keyof SocketEvents]: [type: Type, payload: SocketEvents<Binary>[Type]]
}[keyof SocketEvents]

/** One of our sockets, and all that its listeners heard. */
export interface Client<Binary extends BinaryType = 'arraybuffer'> {
  readonly socket: Socket<Binary>
  readonly log: News<Binary>[]
  /** Every native socket that it made. No two of them are ever usable at once, or the test fails. */
  readonly natives: readonly WebSocket[]
  heard<Type extends keyof SocketEvents>(type: Type): SocketEvents<Binary>[Type][]
  /** Resolves as soon as `holds()` is true: asked now, and after every event of the socket. */
  until(holds: () => unknown): Promise<unknown>
  /** Resolves when the state has this name. */
  in(name: Socket['state']['name']): Promise<unknown>
}

type Constructor = NonNullable<SocketOptions['WebSocket']>

const cleanups: (() => unknown)[] = []
const EVENTS = ['state', 'open', 'text', 'binary', 'close', 'error', 'drop'] as const

/** Has this ended after the test, before what was kept earlier. */
export const atEnd = (cleanup: () => unknown): void => {
  cleanups.push(cleanup)
}

const follow = <Binary extends BinaryType>(socket: Socket<Binary>, natives: WebSocket[]): Client<Binary> => {
  const log: News<Binary>[] = []
  let most = 0
  const { look, until } = createWatch()
  for (const type of EVENTS) {
    socket.on(type, (payload: any) => {
      log.push([type, payload])
      most = Math.max(most, natives.filter(({ readyState }) => readyState < 2).length)
      look()
    })
  }
  cleanups.unshift(() => expect(most, 'native sockets usable at once').toBeLessThan(2))
  return {
    socket,
    log,
    natives,
    heard: type => log.filter(([name]) => name === type).map(([, payload]) => payload as any),
    until,
    in: name => until(() => socket.state.name === name),
  }
}

export const start = async (options?: ServerOptions): Promise<TestServer> => {
  const server = await startServer(options)
  atEnd(() => server.stop())
  return server
}

/** A proxy before the server of this port. */
export const proxied = async (port: number): Promise<FaultProxy> => {
  const proxy = await startProxy({ port })
  atEnd(() => proxy.close())
  return proxy
}

/** Gives the server a tongue: it answers each message as it comes. */
export const answer = (server: TestServer, reply: (peer: Peer, data: string | Buffer) => void): void => {
  let heard = 0
  void server.until(() => {
    while (heard < server.received.length) {
      const { connection, data } = server.received[heard++] as (typeof server.received)[0]
      reply(server.connections[connection - 1] as Peer, data)
    }
    return false
  })
}

/**
 * Whether so many milliseconds have passed, by a timer of this process. However busy the machine is, a timer that was to come earlier does come
 * earlier: what the package does by timers of its own can be compared with this one.
 */
export const alarm = (ms: number): (() => boolean) => {
  let rung = false
  const timer = setTimeout(() => {
    rung = true
  }, ms)
  atEnd(() => clearTimeout(timer))
  return () => rung
}

/** The numbers that the messages of a test begin with. */
export const numbers = (messages: readonly unknown[]): number[] =>
  messages.map(message => Number.parseInt(String(message), 10))

/** `[from, from + 1, …, to - 1]` */
export const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, i) => from + i)

/** The numbers that are not bigger than the one before: those that came twice or too late. */
export const disorder = (list: readonly number[]): number[] =>
  list.filter((number, i) => i > 0 && number <= (list[i - 1] as number))

export type Rig = <Binary extends BinaryType = 'arraybuffer'>(
  endpoint: Endpoint,
  options?: SocketOptions<Binary>,
) => Client<Binary>

/** The major version of Node that runs this. */
const node = Number.parseInt(process.versions.node, 10)

/** Node 22's own class fires no close event after a failed handshake, only error. Node 24's does. */
export const isMute = (WebSocket: Constructor): boolean => node < 24 && WebSocket === globalThis.WebSocket

/** Repeats the tests over the class of `ws` and, where there is one, over the runtime's own. */
export const overEach = (tests: (connect: Rig, WebSocket: Constructor, name: string) => void): void => {
  const classes: [string, Constructor][] = [['ws', ws.WebSocket]]
  if (node >= 22) classes.push(['the global WebSocket', globalThis.WebSocket])

  describe.each(classes)('over %s', (name, WebSocket) => {
    afterEach(async () => {
      for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
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
        const client = follow(createSocket(endpoint, { ...options, WebSocket: Counted }), natives)
        // Nothing that a test does may keep a socket from closing.
        atEnd(() => client.socket.close())
        cleanups.unshift(() => client.in('closed'))
        return client
      },
      WebSocket,
      name,
    )
  })
}
