import type { Data } from '../common/data.js'
import type { SocketError } from './errors.js'
import type { HandoverOptions } from './handover.js'
import type { HeartbeatOptions } from './heartbeat.js'
import type { PageEventSource } from './page.js'
import type { Retry } from './retry.js'

/** The argument of an endpoint or protocols function. */
export interface AttemptContext {
  /** The number of consecutive attempts that failed before this one. */
  readonly attempt: number
  /** Why the previous attempt or connection ended, if there was one. */
  readonly cause: SocketError | undefined
  /** Aborted when the attempt, or the connection that resulted from it, has ended. */
  readonly signal: AbortSignal
}

/** The types of binary messages. Defined here, because programs for servers may not include the DOM library. */
// https://websockets.spec.whatwg.org/#enumdef-binarytype
export type BinaryType = 'arraybuffer' | 'blob'

type PerAttempt<Value> = Value | ((context: AttemptContext) => Value | PromiseLike<Value>)

/**
 * The URL to connect to: fixed, or a function that is called for every attempt. If it is missing, or if the function returns nothing, this
 * causes a `TypeError` instead of a connection to `/undefined`. The browser resolves relative URLs, from Chrome 125, Firefox 124 and Safari 17.3
 * on.
 */
// https://websockets.spec.whatwg.org/#dom-websocket-websocket
export type Endpoint = PerAttempt<string | URL>

/** A new connection, as `prepare` sees it before anything else may use it. */
export interface PreparedConnection<Binary extends BinaryType = 'arraybuffer'> {
  /**
   * Sends a message ahead of all queued messages. Throws a `TypeError` for data that a WebSocket cannot send, and after `prepare` is done or
   * the connection has ended.
   */
  send(data: Data): void
  /** Resolves with the next message from the server. Rejects when the connection is lost. */
  receive(): Promise<string | BinaryMessage<Binary>>
  /** The URL, as the browser resolved it. */
  readonly url: string
  /** The subprotocol that the server selected, or an empty string. */
  readonly protocol: string
  /** Aborted when the connection has ended. */
  readonly signal: AbortSignal
}

/** The type of binary messages, according to `binaryType`. */
// https://websockets.spec.whatwg.org/#dom-websocket-binarytype
export type BinaryMessage<Binary extends BinaryType> = Binary extends 'blob' ? Blob : ArrayBuffer

/**
 * Options for one message.
 *
 * @example
 * ```ts
 * socket.send(price, { key: 'EURUSD' }) // replaces a queued message with the same key
 * socket.send(cursor, { volatile: true }) // sent now or dropped
 * socket.send(question, { ttl: 5_000 }) // dropped after five seconds in the queue
 * socket.send(draft, { signal }) // dropped from the queue when aborted
 * ```
 */
export interface SendOptions {
  /** Drop the message if it has not been sent after this many milliseconds. Default: `Infinity`. */
  ttl?: number | undefined
  /**
   * Replace an older message with the same key that is still queued. The new one goes to the end of the queue. Keys are compared like those
   * of a `Map`. Default: none.
   */
  key?: unknown
  /** Drop the message if it cannot be sent at once. Default: false. */
  volatile?: boolean | undefined
  /** Drop the message when this signal is aborted, as long as it has not been sent. Default: none. */
  signal?: AbortSignal | undefined
}

/** Limits for queued messages. A message beyond them causes a `drop` event with the reason `'overflow'`. */
export interface QueueOptions {
  /** How many messages may be queued. Default: `Infinity`, because `maxBytes` limits the memory. */
  maxMessages?: number | undefined
  /** How many bytes may be queued. Default: 16 MiB. */
  maxBytes?: number | undefined
  /**
   * Which messages to drop when the queue is full: the new one (`'reject'`; `send()` then returns `'dropped'`), or as many of the oldest as
   * necessary (`'drop-oldest'`). Default: `'reject'`.
   */
  overflow?: 'reject' | 'drop-oldest' | undefined
  /**
   * Keep queued messages when the socket is closed, and let `send()` queue more until the next `connect()`. Use it for views that are
   * unmounted and mounted again. Aborting `signal` still drops all messages. Default: false.
   */
  keepWhenClosed?: boolean | undefined
}

/**
 * Options of a socket. Durations are in milliseconds. Unknown options and invalid values throw a `TypeError`.
 *
 * @example
 * ```ts
 * const view = new AbortController()
 * const socket = createSocket('wss://push.example.com/feed', {
 *   heartbeat: { message: 'ping', isReply: data => data === 'pong' },
 *   prepare: ({ send }) => send(JSON.stringify({ subscribe: 'news' })),
 *   signal: view.signal,
 * })
 * ```
 */
export interface SocketOptions<Binary extends BinaryType = 'arraybuffer'> {
  /**
   * Subprotocols to offer: fixed, or a function that is called for every attempt. Default: none.
   *
   * @example
   * ```ts
   * createSocket('wss://push.example.com/feed', {
   *   protocols: async ({ signal }) => ['v1.feed', `token.${await fetchToken(signal)}`],
   * })
   * ```
   */
  protocols?: PerAttempt<string | string[] | undefined>
  /**
   * The type of binary messages, on every connection and in the `binary` event. Default: `'arraybuffer'`, because a Blob can only be read
   * asynchronously, and messages that are read that way can overtake each other.
   *
   * @example
   * ```ts
   * const socket = createSocket('wss://push.example.com/pictures', { binaryType: 'blob' })
   * socket.on('binary', blob => {
   *   image.src = URL.createObjectURL(blob)
   * })
   * ```
   */
  binaryType?: Binary | undefined
  /**
   * Connect at once, as the platform's `WebSocket` does. With `false`, wait for `connect()`. Default: true.
   *
   * @example
   * ```ts
   * const socket = createSocket('wss://push.example.com/feed', { autoConnect: false })
   * socket.send('hello') // queued
   * socket.connect()
   * ```
   */
  autoConnect?: boolean | undefined
  /**
   * The delay before the next attempt. With `false`, the socket does not reconnect. Default: `backoff()`.
   *
   * @example
   * ```ts
   * const retry = backoff({ attempts: 10 })
   * createSocket('wss://push.example.com/feed', {
   *   // 4000 means in this application that the user has signed in elsewhere.
   *   retry: context => context.cause.close?.code !== 4000 && retry(context),
   * })
   * ```
   */
  retry?: Retry | false | undefined
  /** A connection that ends sooner counts as a failed attempt. Default: 5,000. */
  minUptime?: number | undefined
  /**
   * The time from the start of an attempt to `open`. It doubles, up to 60,000, after each attempt that exceeded it. Default: 10,000.
   */
  connectTimeout?: number | undefined
  /** How long `close()` waits for the closing handshake. Default: 3,000. */
  closeTimeout?: number | undefined
  /**
   * Runs on every new connection, before `open` and before anything else is sent, for example to authenticate or to subscribe again. Messages
   * that it does not `receive()` are passed to the listeners after `open`. If it throws, the attempt fails. Default: none.
   *
   * @example
   * ```ts
   * createSocket('wss://push.example.com/feed', {
   *   async prepare({ send, receive, signal }) {
   *     send(JSON.stringify({ token: await fetchToken(signal) }))
   *     if ((await receive()) !== 'ok') throw new Error('the token was not accepted')
   *   },
   * })
   * ```
   */
  prepare?: ((connection: PreparedConnection<Binary>) => unknown) | undefined
  /**
   * Limits for queued messages. Default: 16 MiB. With `false`, no message outlives its connection: without a connection, `send()` drops
   * the message, and when a connection ends, its unsent messages are dropped. The reason is `'disconnected'`.
   *
   * @example
   * ```ts
   * const socket = createSocket('wss://push.example.com/feed', {
   *   queue: { maxMessages: 1_000, overflow: 'drop-oldest' },
   * })
   * socket.on('drop', ({ data, reason }) => console.warn('not sent:', reason, data))
   * ```
   */
  queue?: QueueOptions | false | undefined
  /** How many bytes the browser may buffer. Further messages stay in the queue. Default: 1 MiB. */
  highWaterMark?: number | undefined
  /**
   * Detects dead connections. Default: off, because the server must understand the message.
   *
   * @example
   * ```ts
   * createSocket('wss://push.example.com/feed', {
   *   heartbeat: { interval: 25_000, timeout: 10_000, message: 'ping', isReply: data => data === 'pong' },
   * })
   * ```
   */
  heartbeat?: HeartbeatOptions | undefined
  /**
   * How to replace a connection while it is open. With `false`, a connection that may be dead after the page or the network came back is
   * not replaced. Default: `{}`.
   *
   * @example
   * ```ts
   * createSocket('wss://push.example.com/feed', {
   *   // A gateway ends each connection after an hour.
   *   handover: { maxAge: 3_500_000, id: data => JSON.parse(data).id },
   * })
   * ```
   */
  handover?: HandoverOptions | false | undefined
  /**
   * The source of page and network events. `false` disables them. Default: `browserEvents`. `createBrowserEvents({ hiddenFor: 300_000 })`
   * also closes the connection of a page that has been hidden for five minutes.
   *
   * @example
   * ```ts
   * createSocket('wss://push.example.com/feed', { wake: createBrowserEvents({ hiddenFor: 300_000 }) })
   * ```
   */
  wake?: PageEventSource | false | undefined
  /**
   * Aborting this signal closes the socket permanently. Default: none.
   *
   * @example
   * ```ts
   * const view = new AbortController()
   * createSocket('wss://push.example.com/feed', { signal: view.signal })
   * view.abort() // when the view is removed
   * ```
   */
  signal?: AbortSignal | undefined
  /**
   * The constructor of native sockets. Default: `globalThis.WebSocket` at the time of use.
   *
   * @example
   * ```ts
   * import { WebSocket } from 'ws'
   *
   * createSocket('wss://push.example.com/feed', { WebSocket }) // Node 20 has no global one
   * ```
   */
  WebSocket?: (new (url: any, protocols?: any) => any) | undefined
}
