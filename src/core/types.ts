import type { Data } from './data.js'
import type { Listener, ListenOptions } from './emitter.js'
import type { CloseInfo, SocketError } from './errors.js'
import type { HeartbeatOptions } from './heartbeat.js'
import type { Wake } from './page.js'
import type { DropReason, QueueOptions, SendOptions } from './queue.js'
import type { Retry } from './retry.js'
import type { State } from './states.js'

/** What an endpoint or protocols function is told about the attempt that it is called for. */
export interface AttemptContext {
  /** How many attempts failed before this one in a row. */
  readonly attempt: number
  /** Why the last attempt or connection ended, if there was one. */
  readonly cause: SocketError | undefined
  /** Aborted when the attempt is over, or the connection made by it. */
  readonly signal: AbortSignal
}

type PerAttempt<Value> = Value | ((context: AttemptContext) => Value | PromiseLike<Value>)

/** Where to connect to: fixed, or asked for at every attempt. */
// https://websockets.spec.whatwg.org/#dom-websocket-websocket
export type Endpoint = PerAttempt<string | URL>

/** A new connection, before anybody else may use it. */
export interface Connection<Binary extends BinaryType = 'arraybuffer'> {
  /** Sends ahead of everything that waits. Throws a `TypeError` for what no WebSocket can carry. */
  send(data: Data): void
  /** Takes the next inbound message. Rejects when the connection is lost. */
  receive(): Promise<string | BinaryMessage<Binary>>
  /** Where it leads, as the browser resolved it. */
  readonly url: string
  /** The subprotocol that the server selected; `''`: none. */
  readonly protocol: string
  /** Aborted when the connection is over. */
  readonly signal: AbortSignal
}

/** How binary messages arrive: as `binaryType` says. */
// https://websockets.spec.whatwg.org/#dom-websocket-binarytype
export type BinaryMessage<Binary extends BinaryType> = Binary extends 'blob' ? Blob : ArrayBuffer

/** How to connect, and to stay connected. All durations are in milliseconds. What makes no sense is a `TypeError`. */
export interface SocketOptions<Binary extends BinaryType = 'arraybuffer'> {
  /** Subprotocols to offer: fixed, or asked for at every attempt. Default: none. */
  protocols?: PerAttempt<string | string[] | undefined>
  /** How binary messages arrive, on every connection. It sets the type of the `binary` event. Default: `'arraybuffer'`. */
  binaryType?: Binary
  /** Connect at once, as the platform does, or wait for `connect()`. Default: true. */
  autoConnect?: boolean
  /** How long to wait before the next attempt, or `false` to give up; `false`: never try again. Default: `backoff()`. */
  retry?: Retry | false
  /** A connection that is lost sooner counts as one more failure in a row. Default: 5,000. */
  minUptime?: number
  /** From the start of an attempt to `open`. Doubles, up to 60,000, while attempts run into it. Default: 10,000. */
  connectTimeout?: number
  /** How long `close()` waits for the closing handshake before it lets go. Default: 3,000. */
  closeTimeout?: number
  /**
   * Runs on every new connection, before `open` and before anything else is sent: to authenticate, to resubscribe.
   * What it does not `receive()` reaches the listeners after `open`. If it fails, so did the attempt. Default: nothing.
   */
  prepare?: (connection: Connection<Binary>) => unknown
  /** Limits of what waits. Default: 16 MiB. */
  queue?: QueueOptions
  /** Hand no message to the browser while it has more than so many bytes to send. Default: 1 MiB. */
  highWaterMark?: number
  /** Notices dead connections. Default: off, for the message must be one that the server understands. */
  heartbeat?: HeartbeatOptions
  /** Where to learn that the page or network came back; `false`: nowhere. Default: `pageWake`. */
  wake?: Wake | false
  /** Closes for good when aborted. Default: none. */
  signal?: AbortSignal
  /** The native socket's constructor. Default: `globalThis.WebSocket`, at the moment of use. */
  WebSocket?: new (
    url: any,
    protocols?: any,
  ) => any
}

/** The end of a connection that was open. A connection that had to be abandoned has code 1006. */
export interface CloseEventData extends CloseInfo {
  /** What ended it. */
  readonly cause: SocketError
  /** Whether another attempt will follow by itself. */
  readonly willRetry: boolean
  /** Milliseconds to the next attempt; `Infinity`: when the page wakes; `undefined`: there will be none. */
  readonly delay: number | undefined
}

/** A connection that is ready. */
export interface OpenEventData {
  /** How many attempts failed before this one in a row. */
  readonly attempt: number
  /** Where it leads, as the browser resolved it. */
  readonly url: string
  /** The subprotocol that the server selected; `''`: none. */
  readonly protocol: string
  /** Whether there was an open connection before. */
  readonly reconnected: boolean
}

/** Each event and what its listeners are called with. */
export interface SocketEvents<Binary extends BinaryType = 'arraybuffer'> {
  /** Every transition, once. */
  state: State
  /** Ready: after `prepare`, before what waits is sent. */
  open: OpenEventData
  /** A text message. */
  text: string
  /** A binary message, as `binaryType` says. */
  binary: BinaryMessage<Binary>
  /** A connection that was open has ended: one for each `open`. */
  close: CloseEventData
  /** An attempt failed, or `retry` did. */
  error: SocketError
  /** A message will not be sent. */
  drop: { readonly data: Data; readonly reason: DropReason }
}

/** A snapshot. Counts are since the socket was made. */
export interface Stats {
  /** Attempts to connect. */
  readonly attempts: number
  /** Attempts that led to `open`. */
  readonly connections: number
  /** Messages handed to the browser. */
  readonly sent: number
  /** Messages that reached the listeners. */
  readonly received: number
  /** Messages that came back from the browser unsent when their connection ended, to be sent again. */
  readonly reclaimed: number
  /** Messages that will not be sent: one for each `drop` event. */
  readonly dropped: number
  /** Messages that wait. */
  readonly queued: number
  /** Their bytes. */
  readonly queuedBytes: number
  /** The last heartbeat's round trip in milliseconds; `undefined` before there was one. */
  readonly latency: number | undefined
}

/** A WebSocket that stays up. Its methods can be passed about unbound. */
// `out`: a socket of Blobs is not one of ArrayBuffers. TypeScript does not see that by itself through the conditional type.
export interface Socket<out Binary extends BinaryType = 'arraybuffer'> {
  /** Listens, and returns how to stop. The same listener twice is one. Throws a `TypeError` for an event that there is not. */
  on<Type extends keyof SocketEvents>(
    type: Type,
    listener: Listener<SocketEvents<Binary>[Type]>,
    options?: ListenOptions,
  ): () => void
  /** Listens for the next one only, otherwise as `on()`. */
  once<Type extends keyof SocketEvents>(
    type: Type,
    listener: Listener<SocketEvents<Binary>[Type]>,
    options?: ListenOptions,
  ): () => void
  /** Listens no more. A listener that was not there is no mistake. */
  off<Type extends keyof SocketEvents>(type: Type, listener: Listener<SocketEvents<Binary>[Type]>): void
  /**
   * Sends a message now (`'sent'`: the browser has it) or when there is a connection (`'queued'`), in the order of the
   * calls; or never (`'dropped'`, and a `drop` event says why). Throws a `TypeError` for what no WebSocket can carry, and for
   * a `ttl` that is not a number from 0 up. Binary data is copied.
   */
  send(data: Data, options?: SendOptions): 'sent' | 'queued' | 'dropped'
  /**
   * Connects now if there is no connection. Throws what the platform throws for a malformed URL, and `NO_WEBSOCKET` where there is
   * none. After `signal` was aborted it does nothing.
   */
  connect(): void
  /**
   * Gives up the present connection or wait, and connects anew, also after `close()`. Its events have `cause` as the cause of
   * their error. Throws `NO_WEBSOCKET` where there is none.
   */
  reconnect(cause?: unknown): void
  /**
   * Closes for good; what waits is sent first if there is a connection.
   * Throws an `InvalidAccessError` for a code that is not 1000 or 3000 to 4999, and a `SyntaxError` for a reason of more than
   * 123 bytes, as the platform does: https://websockets.spec.whatwg.org/#dom-websocket-close
   */
  close(code?: number, reason?: string): void
  /** Where it is: the same object until the next `state` event. */
  readonly state: State
  /** How many messages wait. */
  readonly queued: number
  /** Bytes not yet sent: those that wait and those that the browser has. */
  readonly bufferedAmount: number
  /** The last heartbeat's round trip in milliseconds; `undefined` before there was one. */
  readonly latency: number | undefined
  /** Where the last attempt went; empty before there was one. */
  readonly url: string
  /** The subprotocol that the server selected; `''`: none, or no connection. */
  readonly protocol: string
  /** Counts since the socket was made: a new object each time. */
  readonly stats: Stats
}
