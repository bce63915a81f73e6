// Nodes of a reliable server, and a client that sends exactly the frames of the test.
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, describe } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import {
  createReliableServer,
  memoryStore,
  type ReliableServer,
  type ReliableServerOptions,
  redisStore,
  type Store,
  type StoreNode,
} from '../../src/server.ts'
import { cleanup } from '../support/cleanup.ts'
import { createWatch } from '../support/watch.ts'
import { type Client, connectRedis, hasRedis, type Redis, startRedis } from './redis.ts'

export const PROTOCOL = 'json.reliable.webpubsub.azure.v1'

export interface Node {
  readonly port: number
  readonly url: string
  readonly wss: WebSocketServer
  readonly server: ReliableServer
  /** The errors that were reported to `onError`. */
  readonly errors: unknown[]
}

export const startNode = async (
  options: ReliableServerOptions<IncomingMessage> = {},
  more: object = {},
): Promise<Node> => {
  const wss = new WebSocketServer({ port: 0, host: '127.0.0.1', maxPayload: 2 ** 22, ...more })
  await once(wss, 'listening')
  const errors: unknown[] = []
  const server = createReliableServer(wss, { onError: error => errors.push(error), ...options })
  const { port } = wss.address() as AddressInfo
  cleanup(async () => {
    await server.close({ timeout: 0 })
    for (const client of wss.clients) client.terminate()
    wss.close()
  })
  return { port, url: `ws://127.0.0.1:${port}`, wss, server, errors }
}

export interface Peer {
  readonly socket: WebSocket
  /** All frames, parsed. */
  readonly frames: any[]
  /** The numbered messages. */
  readonly messages: any[]
  /** Set when it is closed. */
  readonly end: { code: number; reason: string } | undefined
  readonly id: string
  readonly token: string
  send(frame: unknown): void
  raw(data: string | Uint8Array): void
  /** Sends an event of text and waits for nothing. */
  say(text: string, ackId?: number): void
  /** Resolves with the first frame, past or future, for which the function returns true. */
  get(holds: (frame: any) => boolean): Promise<any>
  ack(ackId: number): Promise<any>
  /** Resolves with that many numbered messages. */
  got(count: number): Promise<any[]>
  closed(): Promise<{ code: number; reason: string }>
  /** The URL that resumes the session. */
  readonly recovery: string
}

/** Connects. Resolves when the socket is open, or was refused. */
export const dial = async (
  url: string,
  options: object = {},
  protocols: string[] = [PROTOCOL],
): Promise<Peer> => {
  const socket = new WebSocket(url, protocols, options)
  const frames: any[] = []
  const messages: any[] = []
  const { look, until: see } = createWatch()
  let end: Peer['end']
  socket.on('error', () => {})
  socket.on('message', data => {
    const frame = JSON.parse(String(data))
    frames.push(frame)
    if (frame.type === 'message') messages.push(frame)
    look()
  })
  socket.on('close', (code, reason) => {
    end = { code, reason: String(reason) }
    look()
  })
  const until = <Value>(find: () => Value | undefined): Promise<Value> =>
    see(() => {
      const found = find()
      if (!found && end) throw new Error(`closed: ${end.code} ${end.reason}`)
      return found
    })
  const connected = () => frames.find(({ event }) => event === 'connected') ?? {}
  cleanup(() => socket.terminate())
  const peer: Peer = {
    socket,
    frames,
    messages,
    get end() {
      return end
    },
    get id() {
      return connected().connectionId
    },
    get token() {
      return connected().reconnectionToken
    },
    send: frame => socket.send(JSON.stringify(frame)),
    raw: data => socket.send(data),
    say: (data, ackId) => peer.send({ type: 'event', event: 'say', dataType: 'text', data, ackId }),
    get: holds => until(() => frames.find(holds)),
    ack: ackId => peer.get(frame => frame.type === 'ack' && frame.ackId === ackId),
    got: count => until(() => (messages.length >= count ? messages : undefined)),
    closed: () => until(() => end),
    get recovery() {
      const address = new URL(url)
      address.searchParams.set('awps_connection_id', peer.id)
      address.searchParams.set('awps_reconnection_token', peer.token)
      return address.href
    },
  }
  await new Promise(resolve => socket.once('open', resolve).once('close', resolve))
  return peer
}

/** Connects, and waits for the session. */
export const join = async (url: string, options?: object): Promise<Peer> => {
  const peer = await dial(url, options)
  await peer.get(({ event }) => event === 'connected')
  return peer
}

/** Cuts the connection, and resumes the session on the same node or another one. */
export const comeBack = async (peer: Peer, to?: string): Promise<Peer> => {
  peer.socket.terminate()
  await peer.closed()
  const { search } = new URL(peer.recovery)
  return join(to ? `${to}/${search}` : peer.recovery)
}

/**
 * A client that sends numbers, keeps each until it is acknowledged, and records every reply. It connects to `next()` whenever it has lost its
 * connection. Rejects if its session is lost, or if the numbers of the replies are not consecutive.
 */
export const talk = (next: () => string, total: number): Promise<{ replies: number[]; losses: number }> => {
  const replies: number[] = []
  const unacknowledged: number[] = []
  let sent = 0
  let id = ''
  let token = ''
  let last = 0
  let losses = 0
  const WINDOW = 64
  return new Promise<{ replies: number[]; losses: number }>((resolve, reject) => {
    const connect = () => {
      const query = id ? `?awps_connection_id=${id}&awps_reconnection_token=${token}` : ''
      const socket = new WebSocket(`${next()}/${query}`, PROTOCOL)
      const say = (n: number) =>
        socket.send(JSON.stringify({ type: 'event', event: 'n', dataType: 'json', data: n, ackId: n }))
      const more = () => {
        while (sent < total && unacknowledged.length < WINDOW) {
          unacknowledged.push(++sent)
          say(sent)
        }
      }
      socket.on('error', () => {})
      socket.on('message', raw => {
        const frame = JSON.parse(String(raw))
        if (frame.event === 'connected') {
          if (id && frame.connectionId !== id) reject(new Error('another session'))
          id = frame.connectionId
          token = frame.reconnectionToken
          for (const n of unacknowledged) say(n)
          more()
        } else if (frame.type === 'ack') {
          if (!frame.success && frame.error.name !== 'Duplicate') reject(new Error(JSON.stringify(frame)))
          const at = unacknowledged.indexOf(frame.ackId)
          if (at >= 0) unacknowledged.splice(at, 1)
          more()
        } else if (frame.type === 'message') {
          if (frame.sequenceId <= last) return
          if (frame.sequenceId !== last + 1) reject(new Error(`${last} then ${frame.sequenceId}`))
          last = frame.sequenceId
          replies.push(frame.data)
          if (last % 50 === 0 || last === total)
            socket.send(JSON.stringify({ type: 'sequenceAck', sequenceId: last }))
          if (replies.length >= total && !unacknowledged.length) socket.close()
        }
        if (replies.length >= total && !unacknowledged.length) resolve({ replies, losses })
      })
      socket.on('close', (code, reason) => {
        if (replies.length >= total && !unacknowledged.length) return
        if (code === 1008) reject(new Error(`refused: ${reason}`))
        losses++
        setTimeout(connect, 10)
      })
    }
    connect()
  })
}

export interface Stores {
  /** Returns a store for one more node, with the same sessions as the other stores of this test. */
  next(): Store
  /** A client of Redis, if the sessions are in Redis. */
  client(): Client
}

/** A store of which a test changes some methods. */
export const altered = (store: Store, change: (node: StoreNode) => Partial<StoreNode>): Store => ({
  open: async (limits, onEvent) => {
    const node = await store.open(limits, onEvent)
    return { ...node, ...change(node) }
  },
})

let serial = 0

/** The same tests for every kind of store. */
export const forEachStore = (tests: (stores: Stores, kind: 'memory' | 'redis') => void): void => {
  describe('with sessions in memory', () => {
    let store: Store
    afterEach(() => {
      store = memoryStore()
    })
    store = memoryStore()
    tests({ next: () => store, client: () => Promise.reject(new Error('no Redis')) as never }, 'memory')
  })
  describe.runIf(hasRedis())('with sessions in Redis', () => {
    withRedis(stores => tests(stores, 'redis'))
  })
}

/** Starts a Redis for these tests, with different keys for each. */
export const withRedis = (tests: (stores: Stores) => void): void => {
  let redis: Redis
  let client: Client
  let prefix: string
  beforeAll(async () => {
    redis = await startRedis()
    client = await connectRedis(redis.url)
    prefix = `test-${process.pid}-${serial++}:`
  })
  afterEach(() => {
    prefix = `test-${process.pid}-${serial++}:`
  })
  afterAll(async () => {
    client.destroy()
    await redis.stop()
  })
  tests({ next: () => redisStore(client, { prefix, warn: false }), client: () => client })
}
