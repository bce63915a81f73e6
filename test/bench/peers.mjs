// Adapters that give this package and similar libraries the same functions. For Node and, bundled, for a page.
//
// Half of the libraries always use the global `WebSocket`. For these, `connect()` replaces the global with the given class, and leaves it there.
// So within one process, pass the same class to all libraries. Those with `takesClass` accept the class as an option.
//
// `best` sets the library's best options for a long outage. Otherwise, its defaults are used. The delays are the same where they can be set: short at
// first, at most five seconds, and random, like the defaults of this package.
//
// `options` are passed to the library after all others, with the library's own names.
import './platform.mjs'
import { ReconnectingWebSocket as Rews } from '@nktkas/rews'
import { WS as Iso } from 'iso-websocket'
import Party from 'partysocket/ws'
import * as reconnecting from 'reconnecting-websocket'
import robust from 'robust-websocket'
import { repeat, retry, timer } from 'rxjs'
import { webSocket } from 'rxjs/webSocket'
import { io } from 'socket.io-client'
import * as one from 'sockette'
import * as sturdy from 'sturdy-websocket'
import * as builder from 'websocket-ts'
import { createSocket } from '../../dist/index.js'
import { SteadyWebSocket } from '../../dist/websocket.js'

/** Returns the default export of a CommonJS module, at whatever depth Node or a bundler puts it. */
const unwrap = module => (module.default ? unwrap(module.default) : module)
const Reconnecting = unwrap(reconnecting)
const Sturdy = unwrap(sturdy)
const sockette = unwrap(one)
const { ArrayQueue, ExponentialBackoff, WebsocketBuilder } = builder.WebsocketBuilder
  ? builder
  : unwrap(builder)

const STATES = ['connecting', 'open', 'closing', 'closed']
const stateOf = socket => STATES[socket?.readyState] ?? 'connecting'

const installGlobally = WebSocket => {
  if (WebSocket) globalThis.WebSocket = WebSocket
}

/** The delay for libraries that accept a function: at most five seconds, random between half of the value and the whole. */
const jitteredDelay = attempt => Math.min(5_000, 500 * 2 ** attempt) * (0.5 + Math.random() / 2)

/** Adds the listeners to an object with `addEventListener()`, and returns the functions of a client. */
const wrapEventTarget = (socket, listeners, more) => {
  const on = (type, listener) => {
    const wrapped = type === 'message' ? ({ data }) => listener(data) : listener
    socket.addEventListener(type, wrapped)
    return () => socket.removeEventListener(type, wrapped)
  }
  for (const type of Object.keys(listeners)) if (listeners[type]) on(type, listeners[type])
  return {
    socket,
    on,
    send: data => socket.send(data),
    close: (code, reason) => socket.close(code, reason),
    state: () => stateOf(socket),
    ...more,
  }
}

/** Handlers for libraries that accept one listener per event as an option. `seen()` receives the native socket from its `open` event. */
const handlers = (listeners, binaryType, seen) => ({
  open(event) {
    seen(event.target)
    if (binaryType) event.target.binaryType = binaryType
    listeners.open?.(event)
  },
  message: ({ data }) => listeners.message?.(data),
  close: event => listeners.close?.(event),
  error: event => listeners.error?.(event),
})

/** Removes properties without a value, so that the library uses its defaults. */
const definedOnly = options =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined && value !== null))

export const peers = [
  {
    name: 'native WebSocket',
    reconnects: false,
    queues: false,
    takesClass: true,
    connect(url, { WebSocket, binaryType, listeners = {} } = {}) {
      const socket = new (WebSocket ?? globalThis.WebSocket)(url)
      if (binaryType) socket.binaryType = binaryType
      return wrapEventTarget(socket, listeners)
    },
  },
  {
    name: 'steadysocket',
    ours: true,
    reconnects: true,
    queues: true,
    takesClass: true,
    // The defaults are the best options for an outage that the browser detects. For others, `options` can contain a heartbeat, whose message the
    // server must understand.
    connect(url, { WebSocket, binaryType, listeners = {}, options } = {}) {
      const socket = createSocket(url, { ...definedOnly({ WebSocket, binaryType }), ...options })
      const on = (type, listener) => {
        if (type !== 'message') return socket.on(type, listener)
        const offs = [socket.on('text', listener), socket.on('binary', listener)]
        return () => {
          for (const off of offs) off()
        }
      }
      for (const type of Object.keys(listeners)) if (listeners[type]) on(type, listeners[type])
      return {
        socket,
        on,
        send: socket.send,
        close: socket.close,
        reconnect: socket.reconnect,
        handover: socket.handover,
        state: () => socket.state.name,
      }
    },
  },
  {
    name: 'steadysocket/websocket',
    ours: true,
    reconnects: true,
    queues: true,
    takesClass: true,
    connect(url, { WebSocket, binaryType, listeners = {}, options } = {}) {
      const socket = new SteadyWebSocket(url, undefined, { ...definedOnly({ WebSocket }), ...options })
      if (binaryType) socket.binaryType = binaryType
      return wrapEventTarget(socket, listeners, { reconnect: () => socket.reconnect() })
    },
  },
  {
    name: 'reconnecting-websocket',
    reconnects: true,
    queues: true,
    takesClass: true,
    connect(url, { WebSocket, best, binaryType, listeners = {}, options } = {}) {
      const socket = new Reconnecting(url, undefined, {
        ...definedOnly({ WebSocket }),
        // By default, the first delay is 1 to 5 s, random but the same for all sockets of a page, and the longest is 10 s.
        ...(best && { minReconnectionDelay: 250 + Math.random() * 250, maxReconnectionDelay: 5_000 }),
        ...options,
      })
      if (binaryType) socket.binaryType = binaryType
      return wrapEventTarget(socket, listeners, { reconnect: () => socket.reconnect() })
    },
  },
  {
    name: 'partysocket',
    reconnects: true,
    queues: true,
    takesClass: true,
    connect(url, { WebSocket, best, binaryType, listeners = {}, options } = {}) {
      const socket = new Party(url, undefined, {
        ...definedOnly({ WebSocket }),
        // By default, the first delay is 3 s, without randomness, and the longest is 10 s.
        ...(best && { minReconnectionDelay: 250 + Math.random() * 250, maxReconnectionDelay: 5_000 }),
        ...options,
      })
      if (binaryType) socket.binaryType = binaryType
      return wrapEventTarget(socket, listeners, { reconnect: () => socket.reconnect() })
    },
  },
  {
    name: '@nktkas/rews',
    reconnects: true,
    queues: true,
    connect(url, { WebSocket, best, binaryType, listeners = {}, options } = {}) {
      installGlobally(WebSocket)
      // By default, the first delay is at least 75 ms, and the longest is 10 s.
      const reconnectionDelay = attempt => Math.min(2 ** attempt * 150, 5_000) * (0.5 + Math.random() / 2)
      const socket = new Rews(url, { ...(best && { reconnectionDelay }), ...options })
      if (binaryType) socket.binaryType = binaryType
      return wrapEventTarget(socket, listeners, { reconnect: () => socket.reconnect() })
    },
  },
  {
    name: 'sturdy-websocket',
    reconnects: true,
    queues: true,
    takesClass: true,
    connect(url, { WebSocket, best, binaryType, listeners = {}, options } = {}) {
      const socket = new Sturdy(url, {
        ...definedOnly({ wsConstructor: WebSocket }),
        // The defaults are 1 s and 30 s. The first attempt after a loss starts without delay. The delays are not random.
        ...(best && { minReconnectDelay: 500, maxReconnectDelay: 5_000 }),
        ...options,
      })
      if (binaryType) socket.binaryType = binaryType
      const { close, open, ...rest } = listeners
      const handle = wrapEventTarget(socket, rest, { reconnect: () => socket.reconnect() })
      // It dispatches `open` and `close` only once, and `down` and `reopen` for the connections in between. `down` has no event object if an
      // attempt timed out.
      for (const type of ['open', 'reopen']) if (open) handle.on(type, open)
      if (close) handle.on('down', event => close(event ?? { code: 1006, reason: '', wasClean: false }))
      // Its `readyState` is OPEN until it has given up.
      return { ...handle, state: () => (socket.isClosed ? 'closed' : stateOf(socket.ws)) }
    },
  },
  {
    name: 'robust-websocket',
    reconnects: true,
    queues: false,
    connect(url, { WebSocket, best, binaryType, listeners = {}, options } = {}) {
      installGlobally(WebSocket)
      // By default, it gives up after the third attempt, and at once after 1000, 1008 and 1011.
      // It also calls this function when the network is back. https://github.com/appuri/robust-websocket/issues/8
      const shouldReconnect = ({ type }, { attempts }) => (type === 'online' ? 0 : jitteredDelay(attempts))
      shouldReconnect.handle1000 = true
      const socket = new robust(url, null, {
        ...(best && { shouldReconnect }),
        // Node has no such events.
        ignoreConnectivityEvents: typeof globalThis.addEventListener !== 'function',
        ...options,
        automaticOpen: false,
      })
      if (binaryType) socket.binaryType = binaryType
      const handle = wrapEventTarget(socket, listeners)
      socket.open()
      return handle
    },
  },
  {
    name: 'websocket-ts',
    // It does both only if it is configured.
    reconnects: true,
    queues: true,
    connect(url, { WebSocket, best, binaryType, listeners = {}, options } = {}) {
      installGlobally(WebSocket)
      const callbacks = handlers(listeners, binaryType, () => {})
      const socketBuilder = new WebsocketBuilder(url)
      // The delays are not random. With `withInstantReconnect`, every attempt starts without delay, not only the first after a loss.
      // https://github.com/jjxxs/websocket-ts/blob/master/src/websocket.ts, scheduleConnectionRetryIfNeeded
      if (best) {
        socketBuilder
          .withBackoff(options?.backoff ?? new ExponentialBackoff(500, 3))
          .withInstantReconnect(options?.instantReconnect ?? false)
          .withBuffer(options?.buffer ?? new ArrayQueue())
      }
      const socket = socketBuilder
        .onOpen((_, event) => callbacks.open(event))
        .onMessage((_, event) => callbacks.message(event))
        .onClose((_, event) => callbacks.close(event))
        .onError((_, event) => callbacks.error(event))
        .build()
      if (binaryType) socket.binaryType = binaryType
      const on = (type, listener) => {
        const wrapped = (_, event) => listener(type === 'message' ? event.data : event)
        socket.addEventListener(type, wrapped)
        return () => socket.removeEventListener(type, wrapped)
      }
      return { ...wrapEventTarget(socket, {}), on }
    },
  },
  {
    name: 'sockette',
    reconnects: true,
    queues: false,
    // The delay between attempts is fixed and not random. The default of one second is used, because no other value would be better. It never reconnects
    // after 1000, 1001 and 1005.
    connect(url, { WebSocket, binaryType, listeners = {}, options } = {}) {
      installGlobally(WebSocket)
      let native
      const { open, message, close, error } = handlers(listeners, binaryType, socket => {
        native = socket
      })
      const callbacks = { onopen: open, onmessage: message, onclose: close, onerror: error }
      const socket = sockette(url, { ...callbacks, ...options })
      return {
        socket,
        send: data => socket.send(data),
        close: (code, reason) => socket.close(code, reason),
        reconnect: () => socket.reconnect(),
        state: () => stateOf(native),
      }
    },
  },
  {
    name: 'iso-websocket',
    reconnects: true,
    queues: true,
    takesClass: true,
    /** It has no option for this limit. Further messages are lost without a report. */
    queueLimit: 100,
    connect(url, { WebSocket, best, binaryType, listeners = {}, options } = {}) {
      const socket = new Iso(url, {
        ...definedOnly({ ws: WebSocket }),
        // By default, it gives up after three attempts, and after 1008 and 1011.
        ...(best && {
          retry: { forever: true, minTimeout: 500, maxTimeout: 5_000, factor: 2, randomize: true },
          shouldRetry: () => true,
        }),
        ...options,
      })
      if (binaryType) socket.binaryType = binaryType
      return wrapEventTarget(socket, listeners)
    },
  },
  {
    name: 'rxjs webSocket',
    package: 'rxjs',
    // It reconnects only with `best`.
    reconnects: true,
    queues: true,
    takesClass: true,
    connect(url, { WebSocket, best, binaryType, listeners = {}, options } = {}) {
      let native
      const socket = webSocket({
        url,
        ...definedOnly({ WebSocketCtor: WebSocket, binaryType }),
        // By default, it converts messages to JSON and from JSON.
        serializer: data => data,
        deserializer: ({ data }) => data,
        openObserver: {
          next(event) {
            native = event.target
            listeners.open?.(event)
          },
        },
        closeObserver: { next: event => listeners.close?.(event) },
        ...options,
      })
      // A lost connection is an error of the observable, and a closed one completes it. Each needs its own operator.
      const stream = best
        ? socket.pipe(
            retry({ delay: (_, count) => timer(jitteredDelay(count - 1)), resetOnSuccess: true }),
            repeat({ delay: () => timer(jitteredDelay(0)) }),
          )
        : socket
      const error = event => listeners.error?.(event)
      const listening = stream.subscribe({ next: data => listeners.message?.(data), error })
      return {
        socket,
        on(type, listener) {
          if (type !== 'message') throw new TypeError('an observable emits only messages')
          const one = stream.subscribe({ next: listener, error() {} })
          return () => one.unsubscribe()
        },
        send: data => socket.next(data),
        close: (code, reason) => {
          if (code !== undefined) socket.error({ code, reason })
          else socket.complete()
          listening.unsubscribe()
        },
        state: () => stateOf(native),
      }
    },
  },
  {
    name: 'socket.io-client',
    // It needs a socket.io server, which must send and receive `message` events.
    protocol: 'socket.io',
    reconnects: true,
    queues: true,
    // In Node, it has its own WebSocket class. In a page, it uses the global one. It does not accept another class.
    connect(url, { best, listeners = {}, options } = {}) {
      const socket = io(url, {
        forceNew: true,
        transports: ['websocket'],
        // By default, the first delay is 1 s, the longest is 5 s, with a randomness of 50 %, and the timeout of an attempt is 20 s.
        ...(best && { reconnectionDelay: 500, timeout: 10_000 }),
        ...options,
      })
      const names = { open: 'connect', close: 'disconnect', error: 'connect_error' }
      const on = (type, listener) => {
        const name = names[type] ?? type
        const wrapped = type === 'close' ? reason => listener({ reason }) : listener
        socket.on(name, wrapped)
        return () => socket.off(name, wrapped)
      }
      for (const type of Object.keys(listeners)) if (listeners[type]) on(type, listeners[type])
      return {
        socket,
        on,
        send: data => socket.send(data),
        close: () => socket.close(),
        reconnect: () => socket.disconnect().connect(),
        state: () => (socket.connected ? 'open' : socket.active ? 'connecting' : 'closed'),
      }
    },
  },
]
