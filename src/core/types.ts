import type { Data } from './data.js'
import type { Emitter } from './emitter.js'
import type { CloseInfo, SocketError } from './errors.js'
import type { HandoverOptions } from './handover.js'
import type { HeartbeatOptions } from './heartbeat.js'
import type { PageEventSource } from './page.js'
import type { Retry } from './retry.js'
import type { State } from './states.js'

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
 * The address to connect to: fixed, or a function that is called for every attempt. If it is missing, or the function returns nothing, there is a
 * `TypeError` instead of a connection to `/undefined`. The browser resolves relative URLs, from Chrome 125, Firefox 124 and Safari 17.3 on.
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
  /** The address, as the browser resolved it. */
  readonly url: string
  /** The subprotocol that the server selected, or an empty string. */
  readonly protocol: string
  /** Aborted when the connection has ended. */
  readonly signal: AbortSignal
}

/** The type of binary messages, according to `binaryType`. */
// https://websockets.spec.whatwg.org/#dom-websocket-binarytype
export type BinaryMessage<Binary extends BinaryType> = Binary extends 'blob' ? Blob : ArrayBuffer

/** Why a message will not be sent. */
export type DropReason =
  /** The queue is full. */
  | 'overflow'
  /** Its `ttl` has passed. */
  | 'expired'
  /** A newer message has the same `key`. */
  | 'replaced'
  /** It was `volatile`, and could not be sent at once. */
  | 'volatile'
  /** Its `signal` was aborted. */
  | 'aborted'
  /** The socket was closed. */
  | 'closed'
  /** There is no connection, or it has ended, and `queue` is `false`. */
  | 'disconnected'
  /** Two consecutive connections were closed with 1009 because of it. */
  | 'too-big'
  /**
   * Of `createTabsSocket()`: the holder of the connection has crashed, or another tab has signed out, before the holder reported whether it had
   * sent the message.
   */
  | 'unknown'

/** Options for one message. */
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

/** Options of a socket. Durations are in milliseconds. Unknown options and invalid values throw a `TypeError`. */
export interface SocketOptions<Binary extends BinaryType = 'arraybuffer'> {
  /** Subprotocols to offer: fixed, or a function that is called for every attempt. Default: none. */
  protocols?: PerAttempt<string | string[] | undefined>
  /**
   * The type of binary messages, on every connection and in the `binary` event. Default: `'arraybuffer'`, because a Blob can only be read
   * asynchronously, and messages that are read that way can overtake each other.
   */
  binaryType?: Binary | undefined
  /** Connect at once, as the platform's `WebSocket` does. With `false`, wait for `connect()`. Default: true. */
  autoConnect?: boolean | undefined
  /** The delay before the next attempt. With `false`, the socket does not reconnect. Default: `backoff()`. */
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
   */
  prepare?: ((connection: PreparedConnection<Binary>) => unknown) | undefined
  /**
   * Limits for queued messages. Default: 16 MiB. With `false`, no message outlives its connection: without a connection, `send()` drops
   * the message, and when a connection ends, its unsent messages are dropped. The reason is `'disconnected'`.
   */
  queue?: QueueOptions | false | undefined
  /** How many bytes the browser may buffer. Further messages stay in the queue. Default: 1 MiB. */
  highWaterMark?: number | undefined
  /** Detects dead connections. Default: off, because the server must understand the message. */
  heartbeat?: HeartbeatOptions | undefined
  /**
   * How to replace a connection while it is open. With `false`, a connection that may be dead after the page or the network came back is
   * not replaced. Default: `{}`.
   */
  handover?: HandoverOptions | false | undefined
  /**
   * The source of page and network events. `false` disables them. Default: `browserEvents`. `createBrowserEvents({ hiddenFor: 300_000 })`
   * also closes the connection of a page that has been hidden for five minutes.
   */
  wake?: PageEventSource | false | undefined
  /** Aborting this signal closes the socket permanently. Default: none. */
  signal?: AbortSignal | undefined
  /** The constructor of native sockets. Default: `globalThis.WebSocket` at the time of use. */
  WebSocket?: (new (url: any, protocols?: any) => any) | undefined
}

/** The end of a connection that was open. The code is 1006 if the connection was abandoned. */
export interface CloseEventData extends CloseInfo {
  /** Why it ended. */
  readonly cause: SocketError
  /** Whether the socket will reconnect by itself. */
  readonly willRetry: boolean
  /** Milliseconds until the next attempt. `Infinity`: until the page wakes up. `undefined`: there is no further attempt. */
  readonly delay: number | undefined
}

/** A connection that is ready. */
export interface OpenEventData {
  /** The number of consecutive attempts that failed before this one. */
  readonly attempt: number
  /** The address, as the browser resolved it. */
  readonly url: string
  /** The subprotocol that the server selected, or an empty string. */
  readonly protocol: string
  /** Whether there was an open connection before. */
  readonly reconnected: boolean
  /**
   * Whether this connection was ready before the previous one ended, and the previous one was read until this socket closed it with the code
   * 1000, as `handover()` does. If the server sends its messages to all open connections of a client, none is missing then, unless one was
   * delayed on the previous connection for longer than it was read. If the server closed the previous connection, this is `false`, because
   * the server may have closed it before it knew of this one.
   */
  readonly seamless: boolean
}

/** The events of a socket, with the payload of each. */
export interface SocketEvents<Binary extends BinaryType = 'arraybuffer'> {
  /** The state has changed. */
  state: State
  /** The connection is ready: after `prepare`, and before queued messages are sent. */
  open: OpenEventData
  /** A text message. */
  text: string
  /** A binary message, of the type given by `binaryType`. */
  binary: BinaryMessage<Binary>
  /** A connection that was open has ended. There is one such event for each `open`. */
  close: CloseEventData
  /** An attempt or `retry` has failed. */
  error: SocketError
  /** A message will not be sent. */
  drop: { readonly data: Data; readonly reason: DropReason }
}

/** Counts since the socket was created. */
export interface Stats {
  /** Attempts to connect. */
  readonly attempts: number
  /** Attempts that led to `open`. */
  readonly connections: number
  /** Messages that the browser has accepted. */
  readonly sent: number
  /** Messages that reached the listeners. */
  readonly received: number
  /** Messages that the browser had not sent when their connection ended, and that are sent again. */
  readonly reclaimed: number
  /** Messages that will not be sent: one for each `drop` event. */
  readonly dropped: number
  /** Messages that are queued. */
  readonly queued: number
  /** The bytes of the queued messages. */
  readonly queuedBytes: number
  /** The round trip of the last heartbeat in milliseconds, or `undefined` before the first. */
  readonly latency: number | undefined
}

/** A WebSocket that reconnects. Its methods do not depend on `this`. */
// `out`: a socket of Blobs is not one of ArrayBuffers, which TypeScript cannot tell through the conditional type.
export interface Socket<out Binary extends BinaryType = 'arraybuffer'> {
  /**
   * Adds a listener and returns a function that removes it. Adding the same listener twice has no effect. Throws a `TypeError` for an
   * unknown event, for a listener that is not a function, and for an unknown option.
   */
  on: Emitter<SocketEvents<Binary>>['on']
  /** Like `on()`, for the next event only. */
  once: Emitter<SocketEvents<Binary>>['once']
  /** Removes a listener. Removing one that was never added has no effect. Throws a `TypeError` for an unknown event. */
  off: Emitter<SocketEvents<Binary>>['off']
  /**
   * Sends a message, in the order of the calls. Returns `'sent'` if the browser has accepted it, `'queued'` if it was queued, and
   * `'dropped'` if it will not be sent; a `drop` event gives the reason. Binary data is copied. Throws a `TypeError` for data that a
   * WebSocket cannot send, and for an invalid `ttl`.
   */
  send(data: Data, options?: SendOptions): 'sent' | 'queued' | 'dropped'
  /**
   * Connects now, unless there is a connection. Throws the platform's error for a malformed URL, and a `SocketError` with the code
   * `NO_WEBSOCKET` if the platform has no WebSocket. Has no effect after `signal` was aborted.
   */
  connect(): void
  /**
   * Abandons the current connection, or stops waiting, and connects again, even after `close()`. `cause` becomes the `cause` of the
   * `SocketError` in the events. `code` and `reason` are sent in the close frame, so that the server can distinguish this from a final close; a
   * reason without a code is sent with 1000. Throws a `SocketError` with the code `NO_WEBSOCKET` if the platform has no WebSocket, and for an
   * invalid code or reason as `close()` does.
   */
  reconnect(cause?: unknown, code?: number, reason?: string): void
  /**
   * Replaces the connection without an interruption, for example with a fresh token: opens a second connection, runs `prepare` on it, and then
   * closes the first. Before the first is closed, messages are queued for a moment. The events are `close` and `open`, and `state.name` stays
   * `open`. The endpoint function receives a `SocketError` whose `cause` is the argument. If the second connection fails, the first one is kept,
   * an `error` event reports the failure, and `retry` decides when to try again. Resolves when the new connection is open; rejects with a
   * `SocketError` if `retry` gives up, or if the socket is closed. If there is no connection, it connects at once, and resolves when that
   * connection is open. If the endpoint, `protocols` or `prepare` is a function that an attempt in progress has already called, that attempt is
   * completed, and then another handover begins. Throws a `TypeError` if the part `handover` is missing.
   */
  handover(cause?: unknown): Promise<void>
  /**
   * Closes the socket, which then does not reconnect. If there is a connection, queued messages are sent first. Throws an
   * `InvalidAccessError` for a code other than 1000 and 3000 to 4999, and a `SyntaxError` for a reason of more than 123 bytes, as the
   * platform does:
   * https://websockets.spec.whatwg.org/#dom-websocket-close
   */
  close(code?: number, reason?: string): void
  /** The current state: the same object until the next `state` event. */
  readonly state: State
  /** The number of queued messages. */
  readonly queued: number
  /**
   * The queued messages, in order. While listeners for `close` run, these include the messages of the lost connection that the browser has
   * certainly not sent. If the socket reconnects, it sends all of them. Any other message may or may not have arrived. Binary data is not
   * copied here, so do not change it.
   *
   * ```ts
   * socket.on('close', () => {
   *   const waiting = new Set(socket.queuedMessages())
   *   for (const call of calls) if (!waiting.has(call.text)) call.reject(new Error('It may have been carried out'))
   * })
   * ```
   */
  queuedMessages(): Data[]
  /** The number of bytes that have not been sent: those in the queue, and those in the browser's buffer. */
  readonly bufferedAmount: number
  /** The round trip of the last heartbeat in milliseconds, or `undefined` before the first. */
  readonly latency: number | undefined
  /** The address of the last attempt, or an empty string before the first. */
  readonly url: string
  /** The subprotocol that the server selected, or an empty string. */
  readonly protocol: string
  /** Counts since the socket was created: a new object each time. */
  readonly stats: Stats
}
