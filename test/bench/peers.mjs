// The libraries that do what ours does, each behind the same few functions. For Node and, bundled, for a page.
//
// Half of them take no constructor but the global `WebSocket`, at every attempt. Where one is given, `connect` puts it there
// for them and leaves it there: in one process, give all peers the same class (`takesClass` says who could do without).
//
// `best` stands for the best that the library's own options can do in a hard outage; else its defaults are used. Patience is
// alike where it can be set: short waits at first, never more than five seconds, spread at random. That is what our own
// defaults do.
//
// `options` are handed to the library after all others, under its own names.
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

/** What a CommonJS module is for, however deep Node or a bundler puts it. */
const unwrap = module => (module.default ? unwrap(module.default) : module)
const Reconnecting = unwrap(reconnecting)
const Sturdy = unwrap(sturdy)
const sockette = unwrap(one)
const { ArrayQueue, ExponentialBackoff, WebsocketBuilder } = builder.WebsocketBuilder
  ? builder
  : unwrap(builder)

const STATES = ['connecting', 'open', 'closing', 'closed']
const stateOf = socket => STATES[socket?.readyState] ?? 'connecting'

const install = WebSocket => {
  if (WebSocket) globalThis.WebSocket = WebSocket
}

/** At most five seconds, and at random between half of it and all: for those that take a function. */
const spread = attempt => Math.min(5_000, 500 * 2 ** attempt) * (0.5 + Math.random() / 2)

/** Listeners and handle of what has the platform's `addEventListener`. */
const likeThePlatform = (socket, hear, more) => {
  const on = (type, listener) => {
    const heard = type === 'message' ? ({ data }) => listener(data) : listener
    socket.addEventListener(type, heard)
    return () => socket.removeEventListener(type, heard)
  }
  for (const type of Object.keys(hear)) if (hear[type]) on(type, hear[type])
  return {
    socket,
    on,
    send: data => socket.send(data),
    close: (code, reason) => socket.close(code, reason),
    state: () => stateOf(socket),
    ...more,
  }
}

/** The same where listeners are options, one for each event. The native socket is known from its events only. */
const handlers = (hear, binaryType, seen) => ({
  open(event) {
    seen(event.target)
    if (binaryType) event.target.binaryType = binaryType
    hear.open?.(event)
  },
  message: ({ data }) => hear.message?.(data),
  close: event => hear.close?.(event),
  error: event => hear.error?.(event),
})

/** What is left out keeps the library's default. */
const only = options =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined && value !== null))

export const peers = [
  {
    name: 'native WebSocket',
    reconnects: false,
    queues: false,
    takesClass: true,
    connect(url, { WebSocket, binaryType, hear = {} } = {}) {
      const socket = new (WebSocket ?? globalThis.WebSocket)(url)
      if (binaryType) socket.binaryType = binaryType
      return likeThePlatform(socket, hear)
    },
  },
  {
    name: 'steadysocket',
    ours: true,
    reconnects: true,
    queues: true,
    takesClass: true,
    // Its defaults are its best: there is nothing to set for an outage that is seen. For one that is not, `options` can
    // bring a heartbeat, whose message the server must understand.
    connect(url, { WebSocket, binaryType, hear = {}, options } = {}) {
      const socket = createSocket(url, { ...only({ WebSocket, binaryType }), ...options })
      const on = (type, listener) => {
        if (type !== 'message') return socket.on(type, listener)
        const offs = [socket.on('text', listener), socket.on('binary', listener)]
        return () => {
          for (const off of offs) off()
        }
      }
      for (const type of Object.keys(hear)) if (hear[type]) on(type, hear[type])
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
    connect(url, { WebSocket, binaryType, hear = {}, options } = {}) {
      const socket = new SteadyWebSocket(url, undefined, { ...only({ WebSocket }), ...options })
      if (binaryType) socket.binaryType = binaryType
      return likeThePlatform(socket, hear, { reconnect: () => socket.reconnect() })
    },
  },
  {
    name: 'reconnecting-websocket',
    reconnects: true,
    queues: true,
    takesClass: true,
    connect(url, { WebSocket, best, binaryType, hear = {}, options } = {}) {
      const socket = new Reconnecting(url, undefined, {
        ...only({ WebSocket }),
        // Its own first wait is drawn once for all sockets of a page, from 1 to 5 s, and the longest is 10 s.
        ...(best && { minReconnectionDelay: 250 + Math.random() * 250, maxReconnectionDelay: 5_000 }),
        ...options,
      })
      if (binaryType) socket.binaryType = binaryType
      return likeThePlatform(socket, hear, { reconnect: () => socket.reconnect() })
    },
  },
  {
    name: 'partysocket',
    reconnects: true,
    queues: true,
    takesClass: true,
    connect(url, { WebSocket, best, binaryType, hear = {}, options } = {}) {
      const socket = new Party(url, undefined, {
        ...only({ WebSocket }),
        // Its own first wait is 3 s for everybody, and the longest 10 s.
        ...(best && { minReconnectionDelay: 250 + Math.random() * 250, maxReconnectionDelay: 5_000 }),
        ...options,
      })
      if (binaryType) socket.binaryType = binaryType
      return likeThePlatform(socket, hear, { reconnect: () => socket.reconnect() })
    },
  },
  {
    name: '@nktkas/rews',
    reconnects: true,
    queues: true,
    connect(url, { WebSocket, best, binaryType, hear = {}, options } = {}) {
      install(WebSocket)
      // Its own waits begin at 75 ms already, and go up to 10 s.
      const reconnectionDelay = attempt => Math.min(2 ** attempt * 150, 5_000) * (0.5 + Math.random() / 2)
      const socket = new Rews(url, { ...(best && { reconnectionDelay }), ...options })
      if (binaryType) socket.binaryType = binaryType
      return likeThePlatform(socket, hear, { reconnect: () => socket.reconnect() })
    },
  },
  {
    name: 'sturdy-websocket',
    reconnects: true,
    queues: true,
    takesClass: true,
    connect(url, { WebSocket, best, binaryType, hear = {}, options } = {}) {
      const socket = new Sturdy(url, {
        ...only({ wsConstructor: WebSocket }),
        // Its own are 1 s and 30 s; the first attempt after a loss is at once. It has nothing random.
        ...(best && { minReconnectDelay: 500, maxReconnectDelay: 5_000 }),
        ...options,
      })
      if (binaryType) socket.binaryType = binaryType
      const { close, open, ...rest } = hear
      const handle = likeThePlatform(socket, rest, { reconnect: () => socket.reconnect() })
      // `open` and `close` it has once in a life; between them it goes `down` and is `reopen`ed. Down without an event: the
      // attempt took too long.
      for (const type of ['open', 'reopen']) if (open) handle.on(type, open)
      if (close) handle.on('down', event => close(event ?? { code: 1006, reason: '', wasClean: false }))
      // Its own `readyState` says that it is open until it is given up.
      return { ...handle, state: () => (socket.isClosed ? 'closed' : stateOf(socket.ws)) }
    },
  },
  {
    name: 'robust-websocket',
    reconnects: true,
    queues: false,
    connect(url, { WebSocket, best, binaryType, hear = {}, options } = {}) {
      install(WebSocket)
      // Its own gives up after the third attempt, and at once after 1000, 1008 and 1011.
      // It is asked when the network comes back as well. https://github.com/appuri/robust-websocket/issues/8
      const shouldReconnect = ({ type }, { attempts }) => (type === 'online' ? 0 : spread(attempts))
      shouldReconnect.handle1000 = true
      const socket = new robust(url, null, {
        ...(best && { shouldReconnect }),
        // They are events of the page, of which Node has none.
        ignoreConnectivityEvents: typeof globalThis.addEventListener !== 'function',
        ...options,
        automaticOpen: false,
      })
      if (binaryType) socket.binaryType = binaryType
      const handle = likeThePlatform(socket, hear)
      socket.open()
      return handle
    },
  },
  {
    name: 'websocket-ts',
    // Both only if it is told how.
    reconnects: true,
    queues: true,
    connect(url, { WebSocket, best, binaryType, hear = {}, options } = {}) {
      install(WebSocket)
      const set = handlers(hear, binaryType, () => {})
      const made = new WebsocketBuilder(url)
      // Nothing of it is random. `withInstantReconnect` makes not only the first attempt after a loss at once, but every one.
      // https://github.com/jjxxs/websocket-ts/blob/master/src/websocket.ts, scheduleConnectionRetryIfNeeded
      if (best) {
        made
          .withBackoff(options?.backoff ?? new ExponentialBackoff(500, 3))
          .withInstantReconnect(options?.instantReconnect ?? false)
          .withBuffer(options?.buffer ?? new ArrayQueue())
      }
      const socket = made
        .onOpen((_, event) => set.open(event))
        .onMessage((_, event) => set.message(event))
        .onClose((_, event) => set.close(event))
        .onError((_, event) => set.error(event))
        .build()
      if (binaryType) socket.binaryType = binaryType
      const on = (type, listener) => {
        const heard = (_, event) => listener(type === 'message' ? event.data : event)
        socket.addEventListener(type, heard)
        return () => socket.removeEventListener(type, heard)
      }
      return { ...likeThePlatform(socket, {}), on }
    },
  },
  {
    name: 'sockette',
    reconnects: true,
    queues: false,
    // One second between attempts is its default, and as good as any for it: the wait is fixed and never random. After 1000,
    // 1001 and 1005 it does not try again, whatever it is told.
    connect(url, { WebSocket, binaryType, hear = {}, options } = {}) {
      install(WebSocket)
      let native
      const { open, message, close, error } = handlers(hear, binaryType, socket => {
        native = socket
      })
      const set = { onopen: open, onmessage: message, onclose: close, onerror: error }
      const socket = sockette(url, { ...set, ...options })
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
    /** No option: what comes after is lost in silence. */
    queueLimit: 100,
    connect(url, { WebSocket, best, binaryType, hear = {}, options } = {}) {
      const socket = new Iso(url, {
        ...only({ ws: WebSocket }),
        // Its own gives up after three attempts, and after 1008 and 1011.
        ...(best && {
          retry: { forever: true, minTimeout: 500, maxTimeout: 5_000, factor: 2, randomize: true },
          shouldRetry: () => true,
        }),
        ...options,
      })
      if (binaryType) socket.binaryType = binaryType
      return likeThePlatform(socket, hear)
    },
  },
  {
    name: 'rxjs webSocket',
    package: 'rxjs',
    // Only with `best`.
    reconnects: true,
    queues: true,
    takesClass: true,
    connect(url, { WebSocket, best, binaryType, hear = {}, options } = {}) {
      let native
      const socket = webSocket({
        url,
        ...only({ WebSocketCtor: WebSocket, binaryType }),
        // As they are, where its own would be JSON.
        serializer: data => data,
        deserializer: ({ data }) => data,
        openObserver: {
          next(event) {
            native = event.target
            hear.open?.(event)
          },
        },
        closeObserver: { next: event => hear.close?.(event) },
        ...options,
      })
      // A connection that breaks is an error of the stream, one that is closed its end: there is an operator for each.
      const stream = best
        ? socket.pipe(
            retry({ delay: (_, count) => timer(spread(count - 1)), resetOnSuccess: true }),
            repeat({ delay: () => timer(spread(0)) }),
          )
        : socket
      const error = event => hear.error?.(event)
      const listening = stream.subscribe({ next: data => hear.message?.(data), error })
      return {
        socket,
        on(type, listener) {
          if (type !== 'message') throw new TypeError('an observable has values and an end')
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
    // Speaks to its own server only, which must hand on and send `message` events.
    protocol: 'socket.io',
    reconnects: true,
    queues: true,
    // In Node it brings its own class, in a page it takes the page's: `WebSocket` is not for it.
    connect(url, { best, hear = {}, options } = {}) {
      const socket = io(url, {
        forceNew: true,
        transports: ['websocket'],
        // Its own: 1 s at first, 5 s at most, spread by half, and 20 s for an attempt.
        ...(best && { reconnectionDelay: 500, timeout: 10_000 }),
        ...options,
      })
      const names = { open: 'connect', close: 'disconnect', error: 'connect_error' }
      const on = (type, listener) => {
        const name = names[type] ?? type
        const heard = type === 'close' ? reason => listener({ reason }) : listener
        socket.on(name, heard)
        return () => socket.off(name, heard)
      }
      for (const type of Object.keys(hear)) if (hear[type]) on(type, hear[type])
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
