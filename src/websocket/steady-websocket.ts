import { createSocket, type Endpoint, type Socket, type SocketOptions } from '../index.js'
import { forwardEvents } from './events.js'
import { callHandler, handlerAttribute } from './handlers.js'
import { internals as allInternals, type Internals } from './internals.js'
import { members, requireArgument } from './members.js'
import type {
  AddOptions,
  AnyListener,
  Events,
  RemoveOptions,
  SteadyWebSocketOptions,
  WebSocketInit,
} from './types.js'

type Handler<Type extends keyof Events> = ((this: WebSocket, event: Events[Type]) => any) | null

/** A `WebSocket` that reconnects. It has all members of the platform's `WebSocket`, and those below. */
export interface SteadyWebSocket
  extends Omit<WebSocket, `on${keyof Events}` | 'addEventListener' | 'removeEventListener'> {
  /** Called for each connection, after `prepare` and before queued messages are sent. */
  onopen: Handler<'open'>
  /** Called for each message. The type of binary `data` depends on `binaryType`. */
  onmessage: Handler<'message'>
  /** Called when an attempt fails or a connection breaks. */
  onerror: Handler<'error'>
  /** Called when an attempt has failed, when a connection has ended, and when the socket is closed permanently. */
  onclose: Handler<'close'>
  /** Adds a listener, as on the platform's `WebSocket`. */
  // https://dom.spec.whatwg.org/#dom-eventtarget-addeventlistener
  addEventListener<Type extends keyof Events>(
    type: Type,
    listener: (this: SteadyWebSocket, event: Events[Type]) => any,
    options?: AddOptions,
  ): void
  /** Adds a listener for an event of any name. */
  addEventListener(type: string, listener: AnyListener, options?: AddOptions): void
  /** Removes a listener, as on the platform's `WebSocket`. */
  removeEventListener<Type extends keyof Events>(
    type: Type,
    listener: (this: SteadyWebSocket, event: Events[Type]) => any,
    options?: RemoveOptions,
  ): void
  /** Removes a listener for an event of any name. */
  removeEventListener(type: string, listener: AnyListener, options?: RemoveOptions): void
  /** The underlying socket, with its state, statistics and `drop` events. */
  readonly socket: Socket<'arraybuffer' | 'blob'>
  /** Abandons the current connection, or stops waiting, and connects again, even after `close()`. The events follow in a later task. */
  reconnect(cause?: unknown): void
  /**
   * Replaces the connection without an interruption, as `handover()` of the underlying socket does. The events are `close` with the code 1000
   * and `open`.
   */
  handover(cause?: unknown): Promise<void>
}

/** A class with the constructor and the constants of the platform's `WebSocket`. */
export interface SteadyWebSocketConstructor {
  /**
   * Connects at once. Throws what the platform throws for a malformed URL or subprotocol.
   *
   * ```ts
   * const socket = new SteadyWebSocket('wss://push.example.com/feed', 'v2.feed', { heartbeat: { message: 'ping' } })
   * ```
   *
   * With `retry: false`, it behaves like the platform's class: it does not reconnect, has only the browser's deadlines, and does not react to
   * the page's lifecycle.
   */
  new (
    url: Endpoint,
    protocols?: SocketOptions['protocols'] | WebSocketInit,
    options?: SteadyWebSocketOptions,
  ): SteadyWebSocket
  /** The prototype of the instances. */
  readonly prototype: SteadyWebSocket
  /** The `readyState` during an attempt, and while waiting for the next one. */
  readonly CONNECTING: 0
  /** The `readyState` of an open connection. */
  readonly OPEN: 1
  /** The `readyState` during the closing handshake. */
  readonly CLOSING: 2
  /** The `readyState` after the end, and during the `error` and `close` events of every connection or attempt that ends. */
  readonly CLOSED: 3
}

/** The settings under which the core behaves as the platform: no deadlines, no limits, no reaction to the page's lifecycle. */
const PLATFORM = {
  wake: false,
  handover: false,
  connectTimeout: Infinity,
  closeTimeout: Infinity,
  highWaterMark: Infinity,
} as const

/** A constructor for the core, which makes native sockets and keeps the newest. */
const trackNative = (Native: typeof WebSocket, internals: Internals) =>
  class {
    constructor(url: string | URL, protocols?: string | string[]) {
      const native = new Native(url, protocols)
      native.addEventListener('open', () => {
        native.binaryType = internals.binaryType
      })
      native.addEventListener('error', () => {
        internals.hasFailed = true
      })
      internals.hasFailed = false
      internals.native = native
      // biome-ignore lint/correctness/noConstructorReturn: the core works with the native socket itself
      return native
    }
  }

const constants: PropertyDescriptorMap = {}
for (const [value, name] of ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'].entries()) {
  constants[name] = { value, enumerable: true }
}

/**
 * Creates the drop-in class from any function that creates sockets: one that is assembled from the parts of `steadysocket/core`, or one that
 * sets options of your own.
 *
 * ```ts
 * import { assemble, heartbeat } from 'steadysocket/core'
 * import { webSocketOver } from 'steadysocket/websocket'
 *
 * const SmallSocket = webSocketOver(assemble({ heartbeat }))
 * ```
 */
export const webSocketOver = (
  createSocket: (
    endpoint: Endpoint,
    options: SocketOptions<'arraybuffer' | 'blob'>,
  ) => Socket<'arraybuffer' | 'blob'>,
): SteadyWebSocketConstructor => {
  /** The global class that this one replaced, if it has replaced one. */
  const { WebSocket: Platform } = globalThis

  const Class = class extends EventTarget {
    constructor(
      url: Endpoint,
      protocols?: SocketOptions['protocols'] | WebSocketInit,
      given?: SteadyWebSocketOptions,
    ) {
      // biome-ignore lint/complexity/noArguments: a missing argument is not the same as undefined
      requireArgument(arguments)
      super()
      // The platform ignores further arguments, whatever they are.
      const options = given && typeof given === 'object' ? given : {}
      const { WebSocket: Current } = globalThis
      const isReplaced = Current && 'reconnect' in Current.prototype
      const { WebSocket: Native = isReplaced ? Platform : Current, retry } = options
      const isPlain = retry === false
      const internals = {
        isPlain,
        binaryType: 'blob',
        handlers: {},
        // Without a prototype, because an event may be called 'constructor'.
        listeners: Object.create(null),
        handleEvent: event => callHandler(this, event),
      } as Internals
      allInternals.set(this, internals)
      // The platform takes anything else for a string, `null` too.
      internals.socket = createSocket(typeof url === 'function' ? url : `${url}`, {
        ...(isPlain && PLATFORM),
        ...options,
        // The core passes an options object on as it is.
        protocols: protocols as SocketOptions['protocols'],
        WebSocket: Native && trackNative(Native as typeof WebSocket, internals),
      })
      forwardEvents(this, internals)
    }
  }
  Object.defineProperties(Class.prototype, {
    ...constants,
    ...Object.getOwnPropertyDescriptors(members),
    ...handlerAttribute('open'),
    ...handlerAttribute('message'),
    ...handlerAttribute('error'),
    ...handlerAttribute('close'),
    [Symbol.toStringTag]: { value: 'WebSocket', configurable: true },
  })
  Object.defineProperties(Class, {
    ...constants,
    name: { value: 'WebSocket', configurable: true },
    length: { value: 1, configurable: true },
  })
  return Class as unknown as SteadyWebSocketConstructor
}

/** A drop-in replacement for `WebSocket` that reconnects. */
export const SteadyWebSocket: SteadyWebSocketConstructor = /* @__PURE__ */ webSocketOver(createSocket)
