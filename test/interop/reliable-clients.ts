// Adapters that give all clients of the protocol the same interface.
import { WebPubSubClient } from '@azure/web-pubsub-client'
import { WebSocket } from 'ws'
import { createReliableSocket } from '../../src/reliable.ts'

export interface Talker {
  /** What was received, in order: data, `[group, data]`, and `'LOST'` if the client reported that its session is lost. */
  readonly heard: unknown[]
  readonly id: string | undefined
  /** The data with which another client can resume the session. */
  readonly secret: { readonly id: string; readonly token: string }
  /** These resolve with the outcome. `id` is for clients that otherwise cannot send a message exactly once. */
  send(data: unknown, how?: { event?: string; id?: number }): Promise<string>
  publish(group: string, data: unknown, how?: { noEcho?: boolean; id?: number }): Promise<string>
  join(group: string): Promise<string>
  leave(group: string): Promise<string>
  close(): void
}

export interface Manner {
  /** Whether failed messages are sent again. Default: true. */
  readonly persistent?: boolean
  /** The milliseconds between pings, and until a connection without an answer is abandoned. */
  readonly ping?: { readonly interval: number; readonly timeout: number }
}

export interface ClientKind {
  readonly name: string
  /** Whether each message is processed once. Otherwise, this requires that the sender gives it an `id`. */
  readonly once: boolean
  /** Whether messages arrive at the server in the order in which they were sent, including those that were sent again. */
  readonly inOrder: boolean
  /** Whether it detects a dead connection, and reconnects without waiting for its closing handshake. */
  readonly noticesDeath: boolean
  connect(url: string, manner?: Manner): Promise<Talker>
}

const connectOurs = async (url: string, { ping }: Manner = {}): Promise<Talker> => {
  const socket = createReliableSocket(url, {
    WebSocket: WebSocket as never,
    retry: () => 20,
    ...(ping && { heartbeat: ping }),
  })
  const heard: unknown[] = []
  socket.on('message', ({ group, data }) => heard.push(group ? [group, data] : data))
  socket.on('gap', () => heard.push('LOST'))
  await new Promise(resolve => socket.once('open', resolve))
  const word = async (promise: ReturnType<typeof socket.send>) => {
    const outcome = await promise
    return outcome.status === 'dropped' ? outcome.reason : outcome.status
  }
  return {
    heard,
    get id() {
      return socket.connectionId
    },
    get secret() {
      return JSON.parse(socket.save()).session
    },
    send: (data, { event = 'echo' } = {}) => word(socket.send(data, { event })),
    publish: (group, data, { noEcho = false } = {}) => word(socket.publish(group, data, { noEcho })),
    join: group => word(socket.join(group)),
    leave: group => word(socket.leave(group)),
    close: () => socket.close(),
  }
}

const typeOf = (data: unknown) =>
  typeof data === 'string' ? 'text' : data instanceof ArrayBuffer ? 'binary' : 'json'

const connectReference = async (url: string, { persistent = true, ping }: Manner = {}): Promise<Talker> => {
  const client = new WebPubSubClient(url, {
    messageRetryOptions: { maxRetries: persistent ? 10_000 : 0, retryDelayInMs: 20, mode: 'Fixed' },
    ...(ping && { keepAliveIntervalInMs: ping.interval, keepAliveTimeoutInMs: ping.timeout }),
  })
  const heard: unknown[] = []
  let id: string | undefined
  let closed = false
  const connected = new Promise<void>(resolve => {
    client.on('connected', ({ connectionId }) => {
      id = connectionId
      resolve()
    })
  })
  client.on('server-message', ({ message }) => heard.push(message.data))
  client.on('group-message', ({ message }) => heard.push([message.group, message.data]))
  client.on('disconnected', () => closed || heard.push('LOST'))
  await client.start()
  await connected
  const word = (promise: Promise<unknown>) =>
    promise.then(
      () => 'delivered',
      ({ errorDetail }) => (errorDetail ? 'refused' : 'unknown'),
    )
  const named = (id: number | undefined) => (id === undefined ? {} : { ackId: id })
  return {
    heard,
    get id() {
      return id
    },
    get secret() {
      const { _connectionId: id, _reconnectionToken: token } = client as any
      return { id, token }
    },
    send: (data, { event = 'echo', id } = {}) =>
      word(client.sendEvent(event, data as any, typeOf(data), named(id))),
    publish: (group, data, { noEcho = false, id } = {}) =>
      word(client.sendToGroup(group, data as any, typeOf(data), { noEcho, ...named(id) })),
    join: group => word(client.joinGroup(group)),
    leave: group => word(client.leaveGroup(group)),
    close() {
      closed = true
      client.stop()
    },
  }
}

export const clientKinds: readonly ClientKind[] = [
  { name: 'ours', once: true, inOrder: true, noticesDeath: true, connect: connectOurs },
  {
    name: '@azure/web-pubsub-client',
    once: false,
    inOrder: false,
    noticesDeath: false,
    connect: connectReference,
  },
]
