import type { Data } from '../common/data.js'
import type { Emitter } from './emitter.js'
import type { CloseInfo, SocketError } from './errors.js'
import type { BinaryMessage, BinaryType, SendOptions } from './options.js'
import type { State } from './states.js'

export type {
  AttemptContext,
  BinaryMessage,
  BinaryType,
  Endpoint,
  PreparedConnection,
  QueueOptions,
  SendOptions,
  SocketOptions,
} from './options.js'

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

/**
 * A WebSocket that reconnects. Its methods do not depend on `this`.
 *
 * @example
 * ```ts
 * const socket = createSocket('wss://push.example.com/feed')
 * socket.on('state', state => show(state.name))
 * socket.on('text', text => show(text))
 * socket.on('drop', ({ data, reason }) => console.warn('not sent:', reason, data))
 * socket.send('hello') // 'sent', 'queued' or 'dropped'
 * socket.close()
 * ```
 */
// `out`: a socket of Blobs is not one of ArrayBuffers, which TypeScript cannot tell through the conditional type.
export interface Socket<out Binary extends BinaryType = 'arraybuffer'> {
  /**
   * Adds a listener and returns a function that removes it. Adding the same listener twice has no effect. Throws a `TypeError` for an
   * unknown event, for a listener that is not a function, and for an unknown option.
   *
   * @example
   * ```ts
   * const stop = socket.on('text', text => show(text))
   * stop()
   * socket.on('close', ({ code, willRetry }) => console.log(code, willRetry), { signal })
   * ```
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
   *
   * @example
   * ```ts
   * if (socket.send(JSON.stringify({ buy: 3 })) === 'queued') show('You are offline. The order will be sent later.')
   * ```
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
   *
   * @example
   * ```ts
   * socket.reconnect(new Error('another account'), 4000, 'switching accounts')
   * ```
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
   *
   * @example
   * ```ts
   * await socket.handover('the token expires soon')
   * ```
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
   * @example
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
