import type { SocketError, SocketOptions } from '../index.js'

/** The options of `createSocket()`, except `protocols` and `binaryType`: these are set as on the platform's `WebSocket`. */
export interface SteadyWebSocketOptions extends Omit<SocketOptions, 'protocols' | 'binaryType'> {}

/** An options object in the place of `protocols`. It is passed to the native constructor as it is. */
// https://github.com/whatwg/websockets/pull/76
export interface WebSocketInit {
  /** The subprotocols to offer. Default: none. */
  protocols?: string | string[] | undefined
  /** The address space of the server, for the browser's local network access checks. Default: the browser decides. */
  targetAddressSpace?: 'public' | 'local' | 'loopback' | undefined
}

/** A `CloseEvent` that also says whether the socket will reconnect. */
// https://websockets.spec.whatwg.org/#the-closeevent-interface
export interface SteadyCloseEvent extends CloseEvent {
  /**
   * `false` if this is the last `close` event, unless `reconnect()` is called. Always set; declared optional so that a handler for this
   * event is also a handler for the platform's.
   */
  readonly willReconnect?: boolean
}

/** The platform's `error` event, with the reason for the failure. */
export interface SteadyErrorEvent extends Event {
  /**
   * Why the attempt or the connection failed. Always set; declared optional so that a handler for this event is also a handler for the
   * platform's.
   */
  readonly error?: SocketError
  /** The message of `error`. */
  readonly message?: string
}

/** The events of a `WebSocket` by name. */
export interface Events {
  open: Event
  message: MessageEvent
  error: SteadyErrorEvent
  close: SteadyCloseEvent
}

// Derived from EventTarget, because TypeScript has the DOM's own names for them only with `lib: dom`.

/** A listener for an event of any name: a function, or an object with `handleEvent()`. */
export type AnyListener = Parameters<EventTarget['addEventListener']>[1]

/** The options of `addEventListener()`. */
export type AddOptions = Parameters<EventTarget['addEventListener']>[2]

/** The options of `removeEventListener()`. */
export type RemoveOptions = Parameters<EventTarget['removeEventListener']>[2]
