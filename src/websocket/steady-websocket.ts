import {
  type CloseInfo,
  createSocket,
  type Endpoint,
  type Socket,
  type SocketError,
  type SocketOptions,
} from '../index.js'

/** The core's options; `protocols` and `binaryType` have their usual places. */
export interface SteadyWebSocketOptions extends Omit<SocketOptions, 'protocols' | 'binaryType'> {}

/** The platform's event, and whether another connection will follow. */
export interface SteadyCloseEvent extends CloseEvent {
  /**
   * False: this was the last `close` of this socket, unless `reconnect()` is called. Always there; optional so that handlers
   * of this event are handlers of the platform's.
   */
  readonly willReconnect?: boolean
}

/** The platform's event, which says nothing; and what happened. */
export interface SteadyErrorEvent extends Event {
  /** What failed. Absent where a connection broke that was open: the `close` that follows says how. */
  readonly error?: SocketError
  /** That error's message. */
  readonly message?: string
}

interface Events {
  open: Event
  message: MessageEvent
  error: SteadyErrorEvent
  close: SteadyCloseEvent
}

type Handler<Type extends keyof Events> = ((this: WebSocket, event: Events[Type]) => any) | null

/** A `WebSocket` that stays up. All that the platform's has, and what is listed here. */
export interface SteadyWebSocket
  extends Omit<WebSocket, `on${keyof Events}` | 'addEventListener' | 'removeEventListener'> {
  /** Ready: after `prepare`, before what waits is sent. Once for each connection. */
  onopen: Handler<'open'>
  /** A message; `data` is as `binaryType` says. */
  onmessage: Handler<'message'>
  /** An attempt failed, or a connection broke. */
  onerror: Handler<'error'>
  /** A connection that was open has ended, or the socket has for good. */
  onclose: Handler<'close'>
  /** As the platform's. */
  // https://dom.spec.whatwg.org/#dom-eventtarget-addeventlistener
  addEventListener<Type extends keyof Events>(
    type: Type,
    listener: (this: SteadyWebSocket, event: Events[Type]) => any,
    options?: boolean | AddEventListenerOptions,
  ): void
  /** As the platform's, for events of any name. */
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void
  /** As the platform's. */
  removeEventListener<Type extends keyof Events>(
    type: Type,
    listener: (this: SteadyWebSocket, event: Events[Type]) => any,
    options?: boolean | EventListenerOptions,
  ): void
  /** As the platform's, for events of any name. */
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void
  /** The socket underneath: its state, what was dropped and why, its statistics. */
  readonly socket: Socket<BinaryType>
  /** Gives up the present connection or wait, and connects anew, also after `close()`. */
  reconnect(cause?: unknown): void
}

interface SteadyWebSocketConstructor {
  /**
   * Connects at once. Throws what the platform throws for a malformed URL or subprotocol.
   *
   * ```ts
   * const socket = new SteadyWebSocket('wss://push.example.com/feed', 'v2.feed', { heartbeat: { message: 'ping' } })
   * ```
   *
   * With `retry: false` it behaves as the platform's own, with its patience too: no deadlines but the browser's, and
   * nothing closes it when the page is put away.
   */
  new (
    url: Endpoint,
    protocols?: SocketOptions['protocols'],
    options?: SteadyWebSocketOptions,
  ): SteadyWebSocket
  readonly prototype: SteadyWebSocket
  readonly CONNECTING: 0
  readonly OPEN: 1
  readonly CLOSING: 2
  readonly CLOSED: 3
}

/** What an instance keeps to itself. */
interface Inner {
  socket: Socket<BinaryType>
  /** The newest native socket. */
  native?: WebSocket
  binaryType: BinaryType
  /** Not reconnecting: nothing waits, as on the platform. */
  readonly plain: boolean
  /** What `readyState` is while an end is told, or about to be. */
  ending?: number | undefined
  /** The `on…` attributes. */
  readonly handlers: Record<string, unknown>
  /** Who listens; 0 stands for those who may leave by themselves, or listen in another phase. */
  readonly listening: Record<string, Set<unknown>>
  /** Calls the `on…` attribute, in the place among the listeners that it took when it was set. */
  handleEvent(event: Event): void
}

const insides = new WeakMap<object, Inner>()

/** For a member that is used on something else this ends in a TypeError, as on the platform. */
const inside = (self: object) => insides.get(self) as Inner

/** The native socket, once it is past sending and no other will follow. */
const over = ({ native, plain, socket }: Inner) =>
  (native?.readyState as number) > 1 && (plain || /^clos/.test(socket.state.name)) ? native : undefined

const needsArgument = ({ length }: ArrayLike<unknown>) => {
  if (!length) throw new TypeError('1 argument required')
}

/** Dispatches an event, if somebody listens. */
const tell = (self: EventTarget, type: string, fields: Record<string, unknown> = {}, kind = 'Event') => {
  if (!inside(self).listening[type]?.size) return
  // Node has no CloseEvent before version 23.
  const event = new ((globalThis as any)[kind] ?? Event)(type, fields)
  for (const name in fields) if (!(name in event)) event[name] = fields[name]
  self.dispatchEvent(event)
}

/** Tells of a failure, of an end, or of both; the socket is CLOSED meanwhile. */
const tellEnd = (
  self: EventTarget,
  failure?: Record<string, unknown> | false,
  end?: CloseInfo,
  willReconnect = false,
) => {
  const inner = inside(self)
  inner.ending = 3
  if (failure) tell(self, 'error', failure)
  if (end) tell(self, 'close', { ...end, willReconnect }, 'CloseEvent')
  inner.ending = undefined
}

/** What there was before this class was put in its place. */
const { WebSocket: Platform } = globalThis

const findNative = () => {
  const { WebSocket: Now } = globalThis
  return Now && 'reconnect' in Now.prototype ? Platform : Now
}

/** The platform has no deadlines of ours, takes all it is given, and leaves the page's life to itself. */
const PLATFORM = {
  wake: false,
  connectTimeout: Infinity,
  closeTimeout: Infinity,
  highWaterMark: Infinity,
} as const

// The members are added below, for the platform's are enumerable.
const Steady = class extends EventTarget {
  constructor(url: Endpoint, protocols?: SocketOptions['protocols'], options: SteadyWebSocketOptions = {}) {
    // biome-ignore lint/complexity/noArguments: what is absent is not the same as what is undefined
    needsArgument(arguments)
    super()
    const { WebSocket: Native = findNative(), retry } = options
    const plain = retry === false
    const handlers: Inner['handlers'] = {}
    let failed = false
    let origin = ''
    const inner = {
      plain,
      handlers,
      binaryType: 'blob',
      listening: {},
      handleEvent: event => {
        const handler = handlers[event.type]
        if (typeof handler === 'function' && handler.call(this, event) === false) event.preventDefault()
      },
    } as Inner
    insides.set(this, inner)

    const socket = createSocket<BinaryType>(url, {
      ...(plain && PLATFORM),
      ...options,
      protocols,
      WebSocket:
        Native &&
        class {
          constructor(where: string | URL, offered?: string | string[]) {
            const native: WebSocket = new Native(where, offered)
            native.addEventListener('open', () => {
              native.binaryType = inner.binaryType
            })
            native.addEventListener('error', () => {
              failed = true
            })
            failed = false
            inner.native = native
            // biome-ignore lint/correctness/noConstructorReturn: the platform's own, seen from outside
            return native
          }
        },
    })
    inner.socket = socket
    let last: string = socket.state.name

    const hear = (data: unknown) => tell(this, 'message', { data, origin }, 'MessageEvent')
    socket.on('text', hear)
    socket.on('binary', hear)
    socket.on('open', ({ url }) => {
      origin = new URL(url).origin
      tell(this, 'open')
    })
    socket.on('error', error => tellEnd(this, { error, message: error.message }))
    socket.on('close', end => tellEnd(this, failed && {}, end, end.willRetry))
    socket.on('state', state => {
      const from = last
      last = state.name
      inner.ending = undefined
      // The end of a connection that was open has been told.
      if (state.name !== 'closed' || !/connecting|waiting/.test(from)) return
      const { code, close = LOST } = state.cause as SocketError
      const asked = code === 'CLOSED'
      const end = () => {
        if (socket.state === state) tellEnd(this, asked && from === 'connecting' && {}, close)
      }
      if (!asked) return end()
      // The platform then keeps the news until the caller is done.
      inner.ending = 2
      setTimeout(end)
    })
  }
}

/** How a connection ends that never was. https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5 */
const LOST: CloseInfo = { code: 1006, reason: '', wasClean: false }

const members = {
  get url(): string {
    return inside(this).socket.url
  },
  get readyState(): number {
    const { ending, socket, native } = inside(this)
    const { name } = socket.state
    // Of an open one the peer may have begun the closing handshake.
    return ending ?? (name === 'open' ? native?.readyState : { closing: 2, closed: 3 }[name as 'closed']) ?? 0
  },
  get bufferedAmount(): number {
    const inner = inside(this)
    return (over(inner) ?? inner.socket).bufferedAmount
  },
  get protocol(): string {
    return inside(this).native?.protocol ?? ''
  },
  get extensions(): string {
    return inside(this).native?.extensions ?? ''
  },
  get binaryType(): BinaryType {
    return inside(this).binaryType
  },
  // What is not in the enumeration is ignored. https://webidl.spec.whatwg.org/#dfn-attribute-setter
  set binaryType(value) {
    const inner = inside(this)
    if (/^(blob|arraybuffer)$/.test(value)) inner.binaryType = `${value}`
    if (inner.native) inner.native.binaryType = inner.binaryType
  },
  get socket(): Socket<BinaryType> {
    return inside(this).socket
  },
  addEventListener(...given: Parameters<EventTarget['addEventListener']>): void {
    const [type, listener, options] = given
    EventTarget.prototype.addEventListener.apply(this as any, given)
    const { listening } = inside(this)
    listening[type] ??= new Set()
    listening[type].add(options ? 0 : listener)
  },
  removeEventListener(...given: Parameters<EventTarget['removeEventListener']>): void {
    const [type, listener, options] = given
    EventTarget.prototype.removeEventListener.apply(this as any, given)
    if (!options) inside(this).listening[type]?.delete(listener)
  },
  send(data: any): void {
    // biome-ignore lint/complexity/noArguments: what is absent is not the same as what is undefined
    needsArgument(arguments)
    const inner = inside(this)
    const { plain, socket } = inner
    // What is not binary is text. https://webidl.spec.whatwg.org/#es-union
    if (!ArrayBuffer.isView(data) && !/(Buffer|Blob|File)]/.test({}.toString.call(data))) data = `${data}`
    if (plain && !this.readyState) throw new DOMException('still connecting', 'InvalidStateError')
    // Lost, and counted all the same. https://websockets.spec.whatwg.org/#dom-websocket-send
    over(inner)?.send(data)
    socket.send(data)
  },
  close(...[code, reason]: [code?: number, reason?: string]): void {
    const inner = inside(this)
    const { socket } = inner
    // Rounded half to even, as doubles are. https://webidl.spec.whatwg.org/#abstract-opdef-converttoint
    const number = code === undefined ? code : +code + 2 ** 52 - 2 ** 52
    socket.close(number, reason === undefined ? reason : `${reason}`)
    // While listeners are being told of something the core waits until all have heard.
    if (this.readyState < 2) inner.ending = 2
  },
  reconnect(cause?: unknown): void {
    inside(this).socket.reconnect(cause)
  },
}

const constants: PropertyDescriptorMap = {}
for (const [value, name] of ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'].entries()) {
  constants[name] = { value, enumerable: true }
}
const shape: PropertyDescriptorMap = {
  ...constants,
  ...Object.getOwnPropertyDescriptors(members),
  [Symbol.toStringTag]: { value: 'WebSocket', configurable: true },
}
for (const type of ['open', 'message', 'error', 'close']) {
  Object.assign(
    shape,
    Object.getOwnPropertyDescriptors({
      // https://html.spec.whatwg.org/multipage/webappapis.html#event-handler-idl-attributes
      get [`on${type}`](): unknown {
        return inside(this).handlers[type] ?? null
      },
      set [`on${type}`](value: unknown) {
        const inner = inside(this)
        const self = this as unknown as EventTarget
        // https://webidl.spec.whatwg.org/#LegacyTreatNonObjectAsNull
        const handler = /^(object|function)$/.test(typeof value) ? value : null
        inner.handlers[type] = handler
        if (handler) self.addEventListener(type, inner)
        else self.removeEventListener(type, inner)
      },
    }),
  )
}
Object.defineProperties(Steady.prototype, shape)
Object.defineProperties(Steady, {
  ...constants,
  name: { value: 'WebSocket', configurable: true },
  length: { value: 1, configurable: true },
})

/** A drop-in for `WebSocket` that stays up. */
export const SteadyWebSocket: SteadyWebSocketConstructor = Steady as unknown as SteadyWebSocketConstructor
