// A server that is the test, WebSockets that lead to it, and a recorder. Events come in the standard's order:
// https://websockets.spec.whatwg.org/#feedback-from-the-protocol

/** A message as the peer got it: text well-formed, bytes as a copy, a Blob as it is, for it cannot be read at once. */
export type FakeMessage = string | Uint8Array | Blob

/** `up` is from the page to the peer, `down` from the peer to the page. */
export type Direction = 'up' | 'down' | 'both'

/** A close frame. 1005 stands for one without a code, 1006 for none at all. */
export interface CloseFrame {
  /** Any number: a fake may send what no page could. */
  readonly code: number
  /** `''`: none. */
  readonly reason: string
}

/**
 * The server's end of one connection, or of an attempt at one. Whatever is called here takes effect before the call returns,
 * events included, as if a task of the network ran: no timer has to pass. What cannot be, as `send()` before `accept()`,
 * throws an `Error` that says so.
 */
export interface FakePeer {
  /** The page's end. */
  readonly socket: WebSocket
  /** The subprotocols that the page offers. */
  readonly protocols: readonly string[]
  /** What has arrived from the page, in order. A message counts once its last byte is here. */
  readonly received: readonly FakeMessage[]
  /** What the page has sent and the line has not taken, in order: a frozen line takes nothing. */
  readonly unsent: readonly FakeMessage[]
  /** How the connection ended as a server hears it: the page's close frame, or 1006. Absent before. */
  readonly closed: CloseFrame | undefined
  /**
   * Answers the handshake. Default for the subprotocol: the first of the page's that the server knows. `''`: none, which is the
   * end of an attempt that offers any. If the page has given up in the meantime, nothing happens.
   */
  accept(protocol?: string): this
  /** Fails the handshake. A page cannot tell how: `error`, then `close` with 1006. */
  refuse(): this
  /** Sends a message. The page's `binaryType` decides how it gets bytes. */
  send(data: string | ArrayBuffer | ArrayBufferView): this
  /** Sends a close frame, with any code, or with none. The page answers, and its connection ends cleanly. */
  close(code?: number, reason?: string): this
  /** Cuts the connection, or the attempt, as a reset does: `error`, then `close` with 1006. Nothing on its way arrives. */
  drop(): this
  /**
   * From here on nothing passes, and nobody is told: a half-open connection. `bufferedAmount` grows, a closing handshake does not
   * end. What the peer sends waits for `thaw()`. Default: both directions.
   */
  freeze(direction?: Direction): this
  /** Everything passes again, first what waited, in order. Default: both directions. */
  thaw(direction?: Direction): this
  /**
   * A frozen line takes so many bytes of what the page has sent; all by default. Also after the end, for Chromium can show late
   * what had left before.
   */
  drain(bytes?: number): this
}

/** What the server knows and does by itself. */
export interface FakeServerOptions {
  /** The subprotocols that the server knows. Default: all, so that it selects the page's first. */
  protocols?: readonly string[]
  /** What relative URLs are relative to. Default: the address of the document or worker. Node has none. */
  base?: string | URL
  /** Called in a task of its own with each message that has arrived, so that the server can answer. Default: nothing. */
  message?: (data: FakeMessage, peer: FakePeer) => void
}

/** A server and the network before it: a world of its own, which shares nothing with others. */
export interface FakeServer {
  /** The constructor to give to what is tested. Its sockets lead here, whatever their URL. */
  readonly WebSocket: typeof WebSocket
  /** One for each WebSocket that was made, oldest first, whatever became of it. */
  readonly connections: readonly FakePeer[]
  /** The newest of them. Throws if there is none. */
  readonly latest: FakePeer
  /** Those that are open. */
  readonly clients: readonly FakePeer[]
  /** How many WebSockets were made. */
  readonly attempts: number
  /** Accepts handshakes: at once those that wait, and from now on each in the task after its `new WebSocket()`. The default. */
  accept(): void
  /** Refuses handshakes, likewise. */
  refuse(): void
  /** Leaves handshakes that come from now on to wait, for the `accept()` or `refuse()` of their peer or of the server. */
  hang(): void
}

/** What the peer needs of the page's end. */
interface Page {
  readonly socket: WebSocket
  readonly offered: readonly string[]
  readonly origin: string
}

/** What the page's end needs of the rest. */
interface Line {
  readonly peer: FakePeer
  /** Answers the handshake as the server does now, if it waits. */
  shakeHands(): void
  readonly readyState: 0 | 1 | 2 | 3
  readonly protocol: string
  readonly bufferedAmount: number
  send(data: unknown): void
  close(code: number | undefined, reason: string): void
}

const STATES = ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'] as const
const EVENTS = ['open', 'message', 'error', 'close'] as const

/** https://www.rfc-editor.org/rfc/rfc2616#section-2.2 */
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/

const tagOf = (value: unknown) => ({}).toString.call(value).slice(8, -1)

const wellFormed = (text: string) =>
  new TextDecoder('utf-8', { ignoreBOM: true }).decode(new TextEncoder().encode(text))

const byteLength = (message: FakeMessage) =>
  typeof message === 'string'
    ? new TextEncoder().encode(message).length
    : 'size' in message
      ? message.size
      : message.length

/** What is sent as it is now, converted as the platform does: what is no data is text. */
const toMessage = (data: unknown): FakeMessage => {
  if (tagOf(data) === 'Blob' || tagOf(data) === 'File') return data as Blob
  const { buffer = data, byteOffset = 0, byteLength = 0 } = (data ?? {}) as ArrayBufferView
  if (tagOf(buffer) === 'ArrayBuffer') {
    // A buffer that was transferred is empty, but must not be touched.
    return byteLength
      ? new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength).slice()
      : new Uint8Array()
  }
  if (ArrayBuffer.isView(data)) throw new TypeError('shared memory cannot be sent')
  return wellFormed(`${data}`)
}

/** https://websockets.spec.whatwg.org/#get-a-url-record */
const parse = (url: unknown, base: string | URL | undefined): URL => {
  let record: URL
  try {
    record = new URL(`${url}`, base)
  } catch {
    const hint = base === undefined ? ' (to what is it relative? See the option `base`)' : ''
    throw new DOMException(`Invalid URL: ${url}${hint}`, 'SyntaxError')
  }
  record.protocol = record.protocol.replace(/^http/, 'ws')
  if (!/^wss?:$/.test(record.protocol))
    throw new DOMException(`A WebSocket has no URL of ${record.protocol}`, 'SyntaxError')
  if (record.href.includes('#'))
    throw new DOMException(`A WebSocket's URL has no fragment: ${url}`, 'SyntaxError')
  return record
}

/** https://websockets.spec.whatwg.org/#dom-websocket-websocket */
const parseProtocols = (protocols: unknown): readonly string[] => {
  const list = typeof protocols === 'object' && protocols && Symbol.iterator in protocols
  const offered = list ? Array.from(protocols as Iterable<unknown>, String) : [`${protocols}`]
  const wrong = offered.find((name, place) => !TOKEN.test(name) || offered.indexOf(name) < place)
  if (wrong !== undefined)
    throw new DOMException(`Not a subprotocol, or given twice: '${wrong}'`, 'SyntaxError')
  return offered
}

type Handler = (this: EventTarget, event: Event) => unknown

/** An attribute as `onopen`. A handler has the place among the listeners at which it was first set. */
// https://html.spec.whatwg.org/multipage/webappapis.html#event-handler-attributes
const eventHandler = (type: string): PropertyDescriptor => {
  const handlers = new WeakMap<EventTarget, { call: Handler; listener: Handler }>()
  return {
    enumerable: true,
    configurable: true,
    get(this: EventTarget) {
      return handlers.get(this)?.call ?? null
    },
    set(this: EventTarget, call: unknown) {
      const old = handlers.get(this)
      if (typeof call !== 'function') {
        handlers.delete(this)
        if (old) this.removeEventListener(type, old.listener)
      } else if (old) old.call = call as Handler
      else {
        const handler = { call: call as Handler, listener: (event: Event) => handler.call.call(this, event) }
        handlers.set(this, handler)
        this.addEventListener(type, handler.listener)
      }
    },
  }
}

/** One connection: what its two ends can do, and what is on its way between them. */
const createLine = (
  { socket, offered, origin }: Page,
  { protocols, message }: FakeServerOptions,
  /** What becomes of handshakes at this moment. */
  policy: () => 'accept' | 'refuse' | 'hang',
): Line => {
  let readyState: Line['readyState'] = 0
  let protocol = ''
  /** Whether the server has answered the handshake. */
  let answered = false
  let opened = false
  const frozen = { up: false, down: false }
  /** What the peer sent and the frozen line holds. */
  const held: (() => void)[] = []

  const received: FakeMessage[] = []
  const unsent: FakeMessage[] = []
  /** How much the page had sent with each of the unsent messages. */
  const ends: number[] = []
  let sent = 0
  let buffered = 0
  /** What has left in the present task, which the page sees in the next. */
  let leaving = 0
  /** What was sent after the end, and so never leaves. */
  let discarded = 0

  /** The page's close frame; when it has arrived, `closed`. The peer's, once it has arrived. */
  let goodbye: CloseFrame | undefined
  let closed: CloseFrame | undefined
  let farewell: CloseFrame | undefined
  let hasSaidFarewell = false

  let timer: ReturnType<typeof setTimeout> | undefined
  let taskEnd: ReturnType<typeof setTimeout> | undefined

  // Looked up at each use: fake timers may come and go.
  const later = (task: () => void) => {
    clearTimeout(timer)
    timer = setTimeout(task, 0)
  }

  const fire = (event: Event) => {
    // By the clock of the moment, fake or not: whoever measures silence compares the two.
    socket.dispatchEvent(Object.defineProperty(event, 'timeStamp', { value: performance.now() }))
  }

  /** A new task begins: `bufferedAmount` no longer counts what has left. */
  // https://websockets.spec.whatwg.org/#dom-websocket-bufferedamount
  const beginTask = () => {
    clearTimeout(taskEnd)
    taskEnd = undefined
    leaving = 0
  }

  const take = (bytes: number) => {
    buffered -= bytes
    while (unsent.length && (ends[0] as number) <= sent - buffered) {
      const data = unsent.shift() as FakeMessage
      ends.shift()
      received.push(data)
      if (message) setTimeout(() => readyState < 3 && !hasSaidFarewell && message(data, peer), 0)
    }
  }

  const end = (code: number, reason: string, wasClean: boolean) => {
    clearTimeout(timer)
    beginTask()
    readyState = 3
    answered = true
    if (opened) closed ??= { code: 1006, reason: '' }
    const how = { code, reason, wasClean }
    if (!wasClean) fire(new Event('error'))
    // Node has it only from version 23.
    fire(
      typeof CloseEvent === 'function'
        ? new CloseEvent('close', how)
        : Object.assign(new Event('close'), how),
    )
  }

  const cut = () => end(farewell?.code ?? 1006, farewell?.reason ?? '', false)

  /** Carries something from the peer to the page. */
  const pass = (arrive: () => void) => {
    if (frozen.down) held.push(arrive)
    else arrive()
  }

  const sendFarewell = (frame: CloseFrame) => {
    hasSaidFarewell = true
    pass(() => {
      farewell = frame
      if (readyState > 1) return
      readyState = 2
      goodbye = frame
    })
  }

  /** Moves the closing handshake on as far as the line allows. */
  // https://www.rfc-editor.org/rfc/rfc6455#section-7.1
  const hangUp = () => {
    if (goodbye && !frozen.up) closed ??= goodbye
    if (closed && !hasSaidFarewell && !frozen.down) sendFarewell(closed)
    if (closed && farewell && readyState < 3) end(farewell.code, farewell.reason, true)
  }

  /** The script asks for something that cannot be. */
  const must = (holds: boolean, call: string, why: string) => {
    if (!holds) throw new Error(`${call}: ${why}; the page's socket is ${STATES[readyState]}`)
  }

  const answer = (call: string) => {
    must(!answered, call, 'the handshake is over')
    answered = true
    if (!readyState) clearTimeout(timer)
  }

  const mustBeOpen = (call: string) => {
    must(opened, call, 'there is no connection, accept() the handshake first')
    must(readyState < 3, call, 'the connection has ended')
    must(!hasSaidFarewell, call, 'the peer has sent its close frame')
    beginTask()
  }

  const change = (direction: Direction, yes: boolean) => {
    beginTask()
    if (direction !== 'down') frozen.up = yes
    if (direction !== 'up') frozen.down = yes
  }

  const peer: FakePeer = {
    socket,
    protocols: offered,
    received,
    unsent,
    get closed() {
      return closed
    },

    accept(name) {
      const selected = name ?? offered.find(one => !protocols || protocols.includes(one)) ?? ''
      must(!selected || offered.includes(selected), 'accept()', `the page does not offer '${selected}'`)
      answer('accept()')
      pass(() => {
        if (readyState) return
        // A server that selects none of those that it is offered:
        // https://websockets.spec.whatwg.org/#concept-websocket-establish
        if (offered.length && !selected) return cut()
        readyState = 1
        opened = true
        protocol = selected
        fire(new Event('open'))
      })
      return peer
    },

    refuse() {
      answer('refuse()')
      pass(() => !readyState && cut())
      return peer
    },

    send(data) {
      const what = toMessage(data)
      mustBeOpen('send()')
      if (typeof what !== 'string' && 'size' in what)
        throw new TypeError('send(): a Blob cannot be read at once, send its bytes')
      pass(() => {
        // https://websockets.spec.whatwg.org/#feedback-from-the-protocol
        if (readyState !== 1) return
        let payload: unknown = what
        if (typeof what !== 'string') {
          payload = socket.binaryType === 'blob' ? new Blob([what as BlobPart]) : what.buffer
        }
        fire(new MessageEvent('message', { data: payload, origin }))
      })
      return peer
    },

    close(code, reason = '') {
      const frame = { code: code ?? 1005, reason }
      must(frame.code !== 1006, 'close(1006)', 'no frame has this code, drop() the connection')
      must(
        byteLength(reason) < (code ? 124 : 1),
        'close()',
        'a reason needs a code, and has at most 123 bytes',
      )
      mustBeOpen('close()')
      sendFarewell(frame)
      hangUp()
      return peer
    },

    drop() {
      must(readyState < 3, 'drop()', 'the connection has ended')
      cut()
      return peer
    },

    freeze(direction = 'both') {
      change(direction, true)
      return peer
    },

    thaw(direction = 'both') {
      change(direction, false)
      if (!frozen.up && readyState < 3) take(buffered)
      while (held.length && !frozen.down) held.shift()?.()
      hangUp()
      return peer
    },

    drain(bytes = buffered) {
      must(
        bytes >= 0 && bytes <= buffered,
        `drain(${bytes})`,
        `the page has ${buffered} bytes on a frozen line`,
      )
      beginTask()
      take(bytes)
      return peer
    },
  }

  const shakeHands = () => {
    const call = policy()
    if (call !== 'hang' && !answered && !readyState) peer[call]()
  }

  if (policy() !== 'hang') later(shakeHands)

  return {
    peer,
    shakeHands,
    get readyState() {
      return readyState
    },
    get protocol() {
      return protocol
    },
    get bufferedAmount() {
      return buffered + leaving + discarded
    },

    send(data) {
      const what = toMessage(data)
      if (!readyState) throw new DOMException('send(): still connecting', 'InvalidStateError')
      const bytes = byteLength(what)
      if (readyState > 1) {
        discarded += bytes
        return
      }
      unsent.push(what)
      sent += bytes
      ends.push(sent)
      buffered += bytes
      if (frozen.up) return
      take(buffered)
      leaving += bytes
      if (bytes) taskEnd ??= setTimeout(beginTask, 0)
    },

    close(code, reason) {
      if (readyState > 1) return
      readyState = 2
      if (!opened) later(cut)
      else {
        goodbye = code === undefined ? { code: 1005, reason: '' } : { code, reason }
        if (frozen.up) return
        closed = goodbye
        if (!frozen.down) later(hangUp)
      }
    },
  }
}

/**
 * A server for tests, and the WebSockets that lead to it.
 *
 * ```ts
 * const server = createFakeServer()
 * const socket = createSocket('wss://push.example.com/feed', { WebSocket: server.WebSocket })
 * vi.advanceTimersByTime(0)
 * server.latest.send('hello')
 * server.latest.close(1012, 'deploy')
 * ```
 *
 * What the page's own calls set off comes in a later task, made by the `setTimeout` of the moment, so that fake timers drive it.
 * What the test does with a peer takes effect at once. Messages pass at once; `bufferedAmount` counts them until the
 * task is over.
 */
export const createFakeServer = ({ base, ...options }: FakeServerOptions = {}): FakeServer => {
  const lines: Line[] = []
  const connections: FakePeer[] = []
  let policy: 'accept' | 'refuse' | 'hang' = 'accept'

  class FakeWebSocket extends EventTarget {
    readonly #line: Line
    readonly #url: string
    #binaryType: BinaryType = 'blob'

    constructor(url: string | URL, protocols: string | string[] = []) {
      super()
      const { href, origin } = parse(url, base ?? globalThis.document?.baseURI ?? globalThis.location?.href)
      const offered = parseProtocols(protocols)
      this.#url = href
      const socket = this as unknown as WebSocket
      this.#line = createLine({ socket, offered, origin }, options, () => policy)
      lines.push(this.#line)
      connections.push(this.#line.peer)
    }

    get url() {
      return this.#url
    }
    get readyState() {
      return this.#line.readyState
    }
    get bufferedAmount() {
      return this.#line.bufferedAmount
    }
    get protocol() {
      return this.#line.protocol
    }
    get extensions() {
      return ''
    }
    get binaryType() {
      return this.#binaryType
    }
    set binaryType(type) {
      if (type === 'blob' || type === 'arraybuffer') this.#binaryType = type
    }
    get [Symbol.toStringTag]() {
      return 'WebSocket'
    }

    send(...args: unknown[]) {
      if (!args.length) throw new TypeError('send() takes a message')
      this.#line.send(args[0])
    }

    // https://websockets.spec.whatwg.org/#dom-websocket-close
    close(code?: number, reason = '') {
      if (code !== undefined && code !== 1000 && !(code >= 3000 && code < 5000)) {
        throw new DOMException(`close(${code}): 1000 or 3000 to 4999`, 'InvalidAccessError')
      }
      if (byteLength(wellFormed(reason)) > 123) {
        throw new DOMException('close(): a reason has at most 123 bytes', 'SyntaxError')
      }
      this.#line.close(code, wellFormed(reason))
    }
  }

  for (const [value, name] of STATES.entries()) {
    for (const owner of [FakeWebSocket, FakeWebSocket.prototype]) {
      Object.defineProperty(owner, name, { value, enumerable: true })
    }
  }
  for (const type of EVENTS) Object.defineProperty(FakeWebSocket.prototype, `on${type}`, eventHandler(type))

  const shake = (how: 'accept' | 'refuse') => () => {
    policy = how
    // A copy: a page that hears of it may try again at once.
    for (const line of [...lines]) line.shakeHands()
  }

  return {
    WebSocket: FakeWebSocket as unknown as typeof WebSocket,
    connections,
    get latest() {
      const latest = connections[connections.length - 1]
      if (!latest) throw new Error('latest: no WebSocket was made with the constructor of this server')
      return latest
    },
    get clients() {
      return connections.filter(({ socket }) => socket.readyState === 1)
    },
    get attempts() {
      return connections.length
    },
    accept: shake('accept'),
    refuse: shake('refuse'),
    hang() {
      policy = 'hang'
    },
  }
}

/** What was recorded: the event's name and its facts, as data that can be compared, printed, and sent as JSON. */
export interface RecordedEvent {
  /** The event's name. */
  readonly type: string
  /** Its facts. */
  readonly [fact: string]: unknown
}

/** What `record()` writes down. */
export interface Recording {
  /** Everything since `record()`, in order; yours to empty, or to add remarks to. */
  readonly events: RecordedEvent[]
  /** Listens no more. */
  stop(): void
}

/** What can be recorded: a SteadySocket, or anything with the events of a WebSocket. */
export type Recordable =
  | { on(type: any, listener: (payload: any) => void): () => void }
  | Pick<EventTarget, 'addEventListener' | 'removeEventListener'>

const SOCKET_EVENTS = ['state', 'open', 'text', 'binary', 'close', 'error', 'drop'] as const

/** Data as data: bytes as numbers, of a Blob, which cannot be read at once, its size and type, of an error its code. */
const plain = (value: any): unknown => {
  const tag = tagOf(value)
  if (tag === 'Blob' || tag === 'File') return { size: value.size, type: value.type }
  if (tag === 'ArrayBuffer') return [...new Uint8Array(value)]
  if (ArrayBuffer.isView(value)) return [...(toMessage(value) as Uint8Array)]
  return value instanceof Error ? ((value as { code?: unknown }).code ?? value.name) : value
}

/** The facts of a SteadySocket's event, but for those that differ from run to run. */
const factsOf = (payload: any): object => {
  if (payload instanceof Error) return { code: plain(payload) }
  if (tagOf(payload) !== 'Object') return { data: plain(payload) }
  const { since: _, until: __, ...facts } = payload
  return Object.fromEntries(Object.entries(facts).map(([name, value]) => [name, plain(value)]))
}

/**
 * Writes down every event of a SteadySocket, of a WebSocket, or of what has the events of one.
 *
 * ```ts
 * const log = record(socket)
 * server.refuse()
 * vi.advanceTimersByTime(0)
 * expect(log.events.slice(0, 1)).toEqual([{ type: 'error', code: 'CONNECTION_REFUSED' }])
 * ```
 *
 * Of a SteadySocket: what its events carry, without the clock's `since` and `until`. Of a WebSocket: `readyState` in the
 * listener, and `data` or `code`, `reason`, `wasClean`. Bytes are numbers, a Blob is its `size` and `type`, an error its `code`.
 */
export const record = (target: Recordable): Recording => {
  const events: RecordedEvent[] = []
  const stops: (() => void)[] = []
  // First: some WebSockets have `on` as well.
  if ('addEventListener' in target) {
    for (const type of EVENTS) {
      const hear = (event: any) => {
        const { readyState } = target as { readyState?: number }
        const { data, code, reason, wasClean } = event
        if (type === 'message') events.push({ type, readyState, data: plain(data) })
        else if (type === 'close') events.push({ type, readyState, code, reason, wasClean })
        else events.push({ type, readyState })
      }
      target.addEventListener(type, hear)
      stops.push(() => target.removeEventListener(type, hear))
    }
  } else if ('on' in target) {
    for (const type of SOCKET_EVENTS) {
      stops.push(target.on(type, payload => events.push({ type, ...factsOf(payload) })))
    }
  } else throw new TypeError('record() takes a socket: something with `on` or `addEventListener`')
  return {
    events,
    stop() {
      for (const stop of stops.splice(0)) stop()
    },
  }
}
