// The model of the random walk: its steps, and the properties that must hold after each step. The model tracks every message. It derives only from
// the fake sockets which messages the browser has, which ones it has sent, and which ones the socket must queue again.
import { vi } from 'vitest'
import {
  type AttemptContext,
  createSocket,
  type PageEvent,
  type PageEventSource,
  type PreparedConnection,
  type Socket,
  type SocketOptions,
} from '../../src/index.ts'
import { createFakeServer, type FakePeer, type FakeServer } from '../../src/testing.ts'
import { type HandoverSettings, Handovers } from './walk-handover.ts'

export type Kind = 'text' | 'bytes' | 'blob'

export interface MessageSpec {
  kind: Kind
  size: number
  ttl?: number | undefined
  key?: string | undefined
  volatile?: boolean | undefined
  /** The index of an AbortSignal of the walk. */
  signal?: number | undefined
}

/** An action of the page, at any time or inside a listener. */
export type Action =
  | ({ do: 'send' } & MessageSpec)
  | { do: 'connect' | 'reconnect' | 'handover' | 'listen' | 'throw' | 'abort life' }
  | { do: 'close'; code?: number | undefined }
  | { do: 'abort'; signal: number }

export type Step =
  | Action
  // The server.
  | { do: 'accept' | 'refuse' }
  | { do: 'begin close'; which?: Which | undefined }
  // The page connects, and the server accepts.
  | { do: 'open' }
  | {
      do: 'drop'
      code: number
      reason?: string | undefined
      stale?: number | undefined
      which?: Which | undefined
    }
  | { do: 'deliver'; what: 'text' | 'bytes' | 'pong' | 'leaving'; which?: Which | undefined }
  // The server sends the same message on all connections, one after the other.
  | { do: 'broadcast'; reversed: boolean; again: boolean }
  | { do: 'answers'; yes: boolean; which?: Which | undefined }
  // The network.
  | { do: 'flow'; yes: boolean; which?: Which | undefined }
  | { do: 'leave'; bytes: number; which?: Which | undefined }
  // Events of the page, and the clocks.
  | { do: 'page event'; event: PageEvent; online: boolean }
  | { do: 'pass'; time: number }
  | { do: 'jump'; time: number }
  // Pending promises of the page's functions resolve.
  | { do: 'release' }
  | { do: 'abandoned'; which: number; what: 'open' | 'message' | 'close' | 'backlog' }
  | { do: 'when'; on: Occasion; call: Action }
  | { do: 'misuse'; how: number }

/** The connection of a step, if it is not the current one: the second one, or the one that was replaced and is still read. */
export type Which = 'second' | 'late'

export const OCCASIONS = [
  ...(['state', 'open', 'text', 'binary', 'close', 'error', 'drop'] as const),
  // The functions that the page passes as options.
  ...(['retry', 'endpoint', 'prepare', 'heartbeat', 'id', 'when'] as const),
] as const
export type Occasion = (typeof OCCASIONS)[number]
const EVENTS = OCCASIONS.slice(0, 7) as ('state' | 'open' | 'text' | 'binary' | 'close' | 'error' | 'drop')[]

/** What the page's functions do at the first call, the second, and so on, repeatedly. */
export type EndpointDoes = 'answer' | 'throw' | 'reject' | 'hang' | 'malformed'
export type PrepareDoes = 'return' | 'send' | 'receive' | 'reject' | 'hang'

export interface Settings {
  endpoint: 'fixed' | EndpointDoes[]
  prepare?: PrepareDoes[] | undefined
  retry: 'default' | 'never' | 'throws' | 'always' | 'when called'
  heartbeat?: Heartbeat | undefined
  handover: HandoverSettings | false
  queue: { maxMessages: number; maxBytes: number; overflow: 'reject' | 'drop-oldest' }
  highWaterMark: number
  minUptime: number
  connectTimeout: number
  closeTimeout: number
  autoConnect: boolean
  /** Whether there is a source of page events. */
  hasPageEvents: boolean
  /** Whether the socket has a signal. */
  hasSignal: boolean
  /** The seed of `Math.random()`. */
  seed: number
}

export interface Heartbeat {
  interval: number
  timeout: number
  message: 'fixed' | 'function' | 'throws' | 'none'
  hides: boolean
}

interface Message {
  readonly id: number
  readonly bytes: number
  readonly how: MessageSpec
  readonly signal: Signal | undefined
  /** When it was sent, by the wall clock and by the monotonic clock. */
  readonly wall: number
  readonly time: number
  outcome: string | undefined
  /** The last native socket to which it was passed, and its index among the messages of that socket. */
  native: Native | undefined
  place: number
  reason: string | undefined
}

/** An AbortController, and the listeners of its signal. */
interface Signal {
  readonly controller: AbortController
  readonly listeners: Set<unknown>
}

/** An error that the test throws on purpose. */
class DeliberateError extends Error {}

/** Removes properties that are `undefined`. */
export const withoutUndefined = <Value extends object>(value: Value): Lean<Value> =>
  Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as Lean<Value>
type Lean<Value> = { [Name in keyof Value]: Exclude<Value[Name], undefined> }

/** The longest interval between two checks of `bufferedAmount`, in milliseconds. */
const SLOWEST_POLL = 1_000

const realTask = globalThis.setImmediate
/** Waits for all microtasks, and for reports of unhandled rejections. */
const settled = () => new Promise<void>(resolve => realTask(resolve))

/** The ids of Blobs, which cannot be read synchronously, and of buffers, which are reused. */
const known = new WeakMap<object, number>()

const makeData = (
  id: number,
  { kind, size }: MessageSpec,
): { data: string | Uint8Array | Blob; bytes: number } => {
  // Three bytes per character, so that lengths in characters and in bytes differ.
  if (kind === 'text') return { data: `#${id} ${'€'.repeat(size)}`, bytes: `#${id} `.length + size * 3 }
  const whole = new Uint8Array(size + 6)
  whole.set([id >> 8, id & 255], 2)
  const data = kind === 'bytes' ? whole.subarray(2, size + 4) : new Blob([whole])
  known.set(data, id)
  return { data, bytes: data instanceof Blob ? data.size : data.byteLength }
}

/** The id of a message, according to its present content. */
const idOf = (data: unknown): number | undefined => {
  if (typeof data === 'string') return data[0] === '#' ? Number.parseInt(data.slice(1), 10) : undefined
  if (data instanceof Blob) return known.get(data)
  const bytes = ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data as ArrayBuffer)
  return (bytes[0] as number) * 256 + (bytes[1] as number)
}

const makeSignal = (): Signal => {
  const controller = new AbortController()
  const { signal } = controller
  const listeners = new Set<unknown>()
  const { addEventListener, removeEventListener } = signal
  signal.addEventListener = (type: string, listener: any) => {
    listeners.add(listener)
    addEventListener.call(signal, type, listener)
  }
  signal.removeEventListener = (type: string, listener: any) => {
    listeners.delete(listener)
    removeEventListener.call(signal, type, listener)
  }
  return { controller, listeners }
}

/** Creates a class of native sockets that connect to the walk's server, and record what the model needs. */
const createNativeClass = (walk: Walk, server: FakeServer) =>
  class Native extends server.WebSocket {
    /** The server's side. */
    readonly peer: FakePeer = server.latest
    /** The ids of the sent messages. Heartbeats and messages of `prepare` have none. */
    readonly ids: (number | undefined)[] = []
    /** The messages that arrived before this was the current connection, and those of them that `prepare` received. */
    readonly inbox: unknown[] = []
    readonly taken: unknown[] = []
    lastLife = 0
    /** When it was created, how long its handshake took, and when `prepare` had finished. */
    readonly started = performance.now()
    handshake = 0
    readyAt: number | undefined
    /** When a handover closed it. */
    replacedAt: number | undefined
    /** When its buffer was last seen to shrink, and its size at the last check. */
    lastLeft = -Infinity
    private buffered = 0
    /** The bytes that were sent after it had closed. They count in `bufferedAmount`, and are never sent. */
    sentAfterClose = 0
    opened = false
    answers: boolean = walk.answers
    /** Whether `close()` was called. */
    isClosing = false
    /** Whether the peer can still send a close frame. */
    isPeerOpen = false
    /** The close event, if the socket under test was still listening. After it, the unsent messages are known. */
    ended: { code: number; reason: string } | undefined
    endedAt = 0
    private timers = 0

    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols)
      if (!walk.flowing) this.peer.freeze('up')
      // These listeners run before those of the socket under test.
      this.addEventListener('open', () => {
        this.lastLife = performance.now()
        this.handshake = this.lastLife - this.started
        walk.opened(this)
      })
      this.addEventListener('message', ({ data }) => {
        if (data === 'abandoned') return
        this.lastLife = performance.now()
        walk.handovers.arrived(this, data, !!walk.settings.heartbeat?.hides && /^pong/.test(`${data}`))
      })
      this.addEventListener('close', ({ code, reason }) => {
        this.timers = 0
        this.endedAt = performance.now()
        if (this.current) this.ended = { code, reason }
      })
      walk.natives.push(this)
      if (walk.settings.endpoint === 'fixed') walk.attemptStarted()
    }

    /** Whether the socket under test listens to its close event. */
    get current(): boolean {
      return this.onclose !== null
    }

    /** Whether the socket under test has replaced it, and still reads its messages. */
    get isLate(): boolean {
      return !this.current && this.onmessage !== null
    }

    /** Whether the message with this index is reclaimed: the close event was received, and the message was not completely sent by then. */
    returned(place: number): boolean {
      return !!this.ended && !this.current && place >= this.peer.received.length
    }

    /** Checks whether the buffer has shrunk since the last check. */
    watchBuffer(): void {
      if (this.bufferedAmount < this.buffered) this.lastLeft = performance.now()
      this.buffered = this.bufferedAmount
    }

    /** The bytes that a frozen connection holds back. */
    private get backlog(): number {
      return this.peer.unsent.length && this.bufferedAmount - this.sentAfterClose
    }

    /** The number of timers of the fake itself: for its answer to `close()`, and for the end of the task in which bytes are sent. */
    get tasks(): number {
      const leaving = this.bufferedAmount - this.sentAfterClose - this.backlog
      return this.timers + +(leaving > 0)
    }

    override send(data: any): void {
      const before = this.bufferedAmount
      const isOpen = this.readyState === 1
      if (isOpen) this.ids.push(walk.handed(this, idOf(data), data))
      else if (idOf(data) !== undefined) walk.fault(`message ${idOf(data)} was sent on a closed socket`)
      super.send(data)
      if (!isOpen) this.sentAfterClose += this.bufferedAmount - before
    }

    override close(code?: number, reason?: string): void {
      this.isClosing ||= this.readyState < 2
      if (reason === 'handover') this.replacedAt ??= performance.now()
      if (!this.answers && this.readyState === 1) this.peer.freeze('down')
      const before = vi.getTimerCount()
      super.close(code, reason)
      this.timers += vi.getTimerCount() - before
    }

    accept(): void {
      this.isPeerOpen = true
      this.peer.accept()
    }

    /** The peer sends a close frame, and does not receive the answer. */
    beginClose(): void {
      this.peer.freeze('up').close(1001)
      this.isPeerOpen = false
    }

    /** `stale`: the number of bytes that were sent before the end, although `bufferedAmount` shows this only in the next task. */
    end(code = 1006, reason = '', stale = 0): void {
      if (this.readyState === 3) return
      if (code !== 1006 && this.isPeerOpen) this.peer.close(code, reason).thaw('down')
      if (this.readyState < 3) this.peer.drop()
      this.peer.drain(Math.min(stale, this.backlog))
    }

    leave(bytes = Infinity): void {
      if (this.readyState < 3) this.peer.drain(Math.min(bytes, this.backlog))
    }
  }

export type Native = InstanceType<ReturnType<typeof createNativeClass>>

/** The states that may follow each state. */
const FOLLOWS: Record<string, string> = {
  closed: 'connecting closed',
  connecting: 'open waiting closed',
  open: 'open connecting waiting closed closing',
  waiting: 'connecting waiting closed',
  closing: 'connecting closed',
}

/** One socket under test, the steps that are performed on it, and the state of the model. */
export class Walk {
  readonly settings: Settings
  readonly socket: Socket
  readonly natives: Native[] = []
  readonly handovers: Handovers
  flowing = true
  answers = true
  /** Whether the walk is finishing: the page's functions and the server work without faults. */
  private isFinishing = false

  private readonly messages: Message[] = []
  private readonly signals = [makeSignal(), makeSignal()]
  private readonly usedSignals: Signal[] = []
  private readonly lifetime = makeSignal()
  private readonly hanging: (() => void)[] = []
  private readonly reactions = new Map<Occasion, Action[]>()
  private readonly faults: string[] = []
  private readonly reported: unknown[] = []
  private endpoints = 0
  private preparations = 0
  private watches = 0
  private reportPageEvent: ((event: PageEvent) => void) | undefined

  /** The events that each of three listeners received. The last one was added later, and missed this many. */
  private readonly logs: [string, any][][] = [[], [], []]
  private missed = 0
  private receivedStates: any[]
  private since = 0
  private receivedMessages: unknown[] = []
  private receiving = 0
  /** The number of attempts. */
  private attempts = 0
  /** The native socket whose `open` event is being dispatched. */
  private opening: Native | undefined
  /** The signals that the page's functions have received. */
  readonly scopes = new Set<AbortSignal>()
  /** When there was last something to send. */
  private busyAt = 0
  /** The number of connections that were abandoned as dead. */
  private deadConnections = 0
  /** Since when messages have been queued although they could be sent. */
  private stuckSince = Infinity
  private inbound = 0
  private overtakings: [Message, Message][] = []
  private reacted = 0
  /** Whether the message function of the heartbeat is running. Doubt begins after it, because it depends on whether there is a ping. */
  private isPinging = false
  private jumped = false
  private readonly noopListener = () => {}
  private hasNoopListeners = false

  constructor(settings: Settings) {
    this.settings = settings
    vi.useFakeTimers({ now: 1_000_000 })
    vi.stubGlobal('navigator', { onLine: true })
    vi.stubGlobal('document', { visibilityState: 'visible' })
    vi.stubGlobal('reportError', (error: unknown) => this.reported.push(error))
    let random = settings.seed
    // https://en.wikipedia.org/wiki/Linear_congruential_generator
    Math.random = () => {
      random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0
      return random / 2 ** 32
    }

    const { endpoint, prepare, retry: _, heartbeat, hasPageEvents, hasSignal, seed: __, ...plain } = settings
    const server = createFakeServer({ base: 'http://page.test/' })
    server.hang()
    this.handovers = new Handovers(this)
    this.socket = createSocket(endpoint === 'fixed' ? '/feed' : this.endpoint, {
      ...plain,
      WebSocket: createNativeClass(this, server),
      wake: hasPageEvents && this.wake,
      handover: this.handovers.options(occasion => {
        const { when, id } = this.handovers.settings
        this.react(occasion)
        if ((occasion === 'id' ? id : when) === 'throws') throw new DeliberateError(occasion)
      }),
      ...this.retry(),
      ...(hasSignal && { signal: this.lifetime.controller.signal }),
      ...(heartbeat && { heartbeat: this.heartbeat(heartbeat) }),
      ...(prepare && { prepare: this.prepare }),
    } as SocketOptions)
    this.receivedStates = [this.socket.state]
    for (const type of EVENTS) this.socket.on(type, (payload: any) => this.onEvent(type, payload))
    for (const type of EVENTS) this.socket.on(type, () => this.react(type))
    this.listen(1)
  }

  private readonly endpoint = ({ signal }: AttemptContext): string | Promise<string> => {
    const { endpoint } = this.settings
    this.scopes.add(signal)
    this.attemptStarted()
    this.react('endpoint')
    const does = this.isFinishing ? 'answer' : endpoint[this.endpoints++ % endpoint.length]
    if (does === 'throw') throw new Error('no token')
    if (does === 'reject') return Promise.reject(undefined)
    if (does === 'hang') return new Promise(resolve => this.hanging.push(() => resolve('/feed?late')))
    return does === 'malformed' ? 'http://[malformed' : Promise.resolve('/feed')
  }

  private readonly prepare = (connection: PreparedConnection): unknown => {
    const native = this.opening as Native
    const done = this.prepareWith(native, connection)
    Promise.resolve(done).then(
      () => this.handovers.ready(native),
      () => {},
    )
    return done
  }

  private prepareWith(native: Native, { send, receive, signal }: PreparedConnection): unknown {
    const { prepare = [] } = this.settings
    this.scopes.add(signal)
    this.react('prepare')
    const does = this.isFinishing ? 'return' : prepare[this.preparations++ % prepare.length]
    if (does === 'return') return undefined
    if (does === 'reject') return Promise.reject(new Error('refused'))
    send('hello')
    if (does === 'send') return undefined
    if (does === 'hang') return new Promise<void>(resolve => this.hanging.push(resolve))
    const take = async () => {
      this.receiving++
      native.taken.push(await receive().finally(() => this.receiving--))
    }
    return take().then(() => {
      send('thanks')
      return take()
    })
  }

  private retry(): Pick<SocketOptions, 'retry'> {
    const { retry } = this.settings
    if (retry === 'default') return {}
    if (retry === 'never') return { retry: false }
    return {
      retry: () => {
        this.react('retry')
        if (retry === 'throws') throw new DeliberateError(retry)
        return retry === 'always' ? 1_000 : Infinity
      },
    }
  }

  private heartbeat({
    interval,
    timeout,
    message,
    hides,
  }: Heartbeat): NonNullable<SocketOptions['heartbeat']> {
    const ask = () => {
      this.isPinging = true
      try {
        this.react('heartbeat')
      } finally {
        this.isPinging = false
      }
      if (message === 'throws') throw new DeliberateError('heartbeat')
      return 'ping'
    }
    return {
      interval,
      timeout,
      ...(message !== 'none' && { message: message === 'fixed' ? 'ping' : ask }),
      ...(hides && { isReply: (data: unknown) => /^pong/.test(`${data}`) }),
    }
  }

  private readonly wake: PageEventSource = reportPageEvent => {
    this.watches++
    this.reportPageEvent = reportPageEvent
    return () => {
      this.watches--
      this.reportPageEvent = undefined
    }
  }

  fault(text: string): void {
    this.faults.push(text)
  }

  readonly must = (holds: unknown, text: string): void => {
    if (!holds) this.fault(text)
  }

  /** The native socket of the current connection. A second one is always newer. */
  private get current(): Native | undefined {
    return this.natives.find(native => native.current)
  }

  private target(which: Which | undefined): Native | undefined {
    return which ? this.handovers[which] : this.current
  }

  /** An attempt has started. */
  attemptStarted(): void {
    this.attempts++
    this.handovers.attemptStarted()
  }

  /** A native socket is open, and the socket under test does not know it yet. */
  opened(native: Native): void {
    this.opening = native
    if (!this.settings.prepare) this.handovers.ready(native)
  }

  /** Whether a message must be in the queue, as far as the model knows. */
  private waits({ outcome, reason, native, place }: Message): boolean {
    return outcome !== 'dropped' && !reason && (!native || native.returned(place))
  }

  // The events that listeners receive

  private listen(index: number) {
    for (const type of EVENTS) this.socket.on(type, (payload: any) => this.logs[index]?.push([type, payload]))
  }

  private onEvent(type: (typeof EVENTS)[number], payload: any): void {
    const [log = []] = this.logs
    log.push([type, payload])
    const last = this.receivedStates.at(-1)
    if (type === 'state') {
      this.handovers.entered(last, payload)
      this.onState(last, payload)
    } else if (type === 'text' || type === 'binary') this.receivedMessages.push(payload)
    else if (type === 'drop') this.onDrop(payload)
    else if (type === 'open') {
      const [before] = log.at(-2) ?? []
      const isReplaced = this.receivedStates.at(-2)?.name === 'open'
      this.must(
        before === (isReplaced ? 'close' : 'state') && last.name === 'open',
        'open was not emitted right after its state event',
      )
      const { seamless } = this.handovers
      this.must(seamless === undefined || payload.seamless === seamless, `seamless is not ${seamless}`)
    } else if (type === 'close') {
      // Reclaimed messages that cannot be sent again are dropped in between.
      const [before] = log.slice(0, -1).findLast(([type]) => type !== 'drop') ?? []
      const previous = this.receivedStates.at(-2)
      this.must(
        before === 'state' && /open|closing/.test(previous.name),
        'close was not emitted right after its state event',
      )
      this.must(payload.willRetry === (last.name !== 'closed'), 'willRetry of the close event is wrong')
      const delay = last.name === 'waiting' ? last.delay : last.name === 'closed' ? undefined : 0
      this.must(payload.delay === delay, `delay of the close event is ${payload.delay}, not ${delay}`)
      const native = this.handovers.ending as Native
      const { code, reason } = native.ended ?? { code: 1006, reason: '' }
      this.must(
        payload.code === code && payload.reason === reason,
        `code of the close event is ${payload.code}, not ${code}`,
      )
      const { code: why } = payload.cause
      if (!native.ended)
        this.must(
          /UNRESP|RECONN|HIDDEN|CLOSED|RETRY|HANDOVER/.test(why),
          `a working connection was abandoned: ${why}`,
        )
      // If the retry function throws, its error replaces the cause.
      if (/UNRESPONSIVE|RETRY_FAILED|HANDOVER/.test(why)) this.deadConnections++
      if (why === 'UNRESPONSIVE') {
        const { timeout } = this.settings.heartbeat as { timeout: number }
        const silence = performance.now() - native.lastLife
        this.must(silence >= Math.min(timeout, 3_000), `abandoned ${silence} ms after the last message`)
      }
    }
    if (type === 'error') this.handovers.failed(payload, last)
  }

  private onState(last: any, next: any): void {
    this.must(FOLLOWS[last.name]?.split(' ').includes(next.name), `${next.name} followed ${last.name}`)
    const { attempt, cause } = next
    if (next.name === 'connecting') {
      const expected = last.name === 'waiting' ? last.attempt : +(last.name === 'open')
      this.must(attempt === expected, `connecting ${attempt}`)
    }
    if (next.name === 'open') {
      const expected = last.name === 'open' ? 0 : last.attempt
      this.must(attempt === expected, `open ${attempt} after ${last.attempt}`)
      this.must(next.since === Date.now(), `open since ${next.since}`)
      const { current } = this
      if (current) current.opened = true
      else this.fault('open without a connection')
    }
    if (next.name === 'waiting') {
      const sleeps = cause.code === 'PAGE_HIDDEN'
      // The uptime is 0 if the clock was set back.
      const short = last.name === 'open' && Math.max(0, Date.now() - last.since) < this.settings.minUptime
      const expected =
        last.name === 'open' ? (sleeps ? 0 : short ? last.attempt + 1 : 1) : last.attempt + +!sleeps
      if (last.name !== 'waiting') this.must(attempt === expected, `waiting ${attempt}, not ${expected}`)
      else this.must(attempt === last.attempt, 'attempt changed while waiting')
    }
    this.since = performance.now()
    this.receivedStates.push(next)
  }

  private onDrop({ data, reason }: { data: any; reason: string }): void {
    const message = this.messages.find(({ id }) => id === (known.get(data) ?? idOf(data)))
    if (!message) {
      this.fault(`an unknown message was dropped: ${reason}`)
      return
    }
    const { how, signal, time, wall } = message
    const { ttl = Infinity, key } = how
    const name = `message ${message.id}`
    this.must(!message.reason, `${name} was dropped twice: ${message.reason}, ${reason}`)
    message.reason = reason
    this.busyAt = performance.now()
    const may: Record<string, unknown> = {
      expired: performance.now() - time >= ttl || Date.now() - wall >= ttl,
      replaced: key && this.messages.some(({ id, how }) => id > message.id && how.key === key),
      volatile: how.volatile,
      aborted: signal?.controller.signal.aborted,
      // A queued message is dropped for a newer one only with `drop-oldest`.
      overflow: message.outcome !== 'queued' || this.settings.queue.overflow === 'drop-oldest',
      closed: /clos/.test(this.socket.state.name),
      'too-big': this.tooBigCount(message) > 1,
    }
    this.must(may[reason], `${name} was dropped with the wrong reason: ${reason}`)
    this.must(
      !message.native || message.native.returned(message.place),
      `${name} was sent, and dropped: ${reason}`,
    )
  }

  /** The number of connections that were closed with 1009 while this was their first unsent message. */
  private tooBigCount({ id }: Message): number {
    return this.natives.filter(
      ({ ended, ids, peer }) =>
        ended?.code === 1009 &&
        ids.find((one, place) => one !== undefined && place >= peer.received.length) === id,
    ).length
  }

  // Messages that are passed to native sockets

  /** Called when a message is sent on an open native socket. */
  handed(native: Native, id: number | undefined, data: unknown): number | undefined {
    const state = this.socket.state.name
    const { handovers } = this
    if (id === undefined) {
      if (data === 'ping')
        this.must(native === this.current && state === 'open', 'a ping was sent on another connection')
      else this.must(!native.opened, 'prepare sent a message after open')
      return undefined
    }
    const message = this.messages[id]
    if (!message) {
      this.fault(`message ${id} was never sent: its data changed`)
      return undefined
    }
    const name = `message ${id}`
    const { how, native: before, outcome, reason, signal, wall } = message
    this.must(native === this.current && /open|closing/.test(state), `${name} was sent while ${state}`)
    if (state === 'open' && native === handovers.currentNative)
      this.must(!handovers.isHeld || handovers.isUnclear || this.isPinging, `${name} was sent in doubt`)
    this.must(
      !before || before.returned(message.place),
      `${name} was sent again although it may have been sent before`,
    )
    this.must(!reason, `${name} was sent after it was dropped: ${reason}`)
    this.must(!signal?.controller.signal.aborted, `${name} was sent after it was aborted`)
    this.must(!how.volatile || !outcome, `${name} was queued, but was volatile`)
    this.must(
      !outcome || !(Date.now() - wall > (how.ttl ?? Infinity)),
      `${name} was sent after it had expired`,
    )
    this.must(this.tooBigCount(message) < 2, `${name} was sent again after two closes with 1009`)
    const previous = native.ids.findLast(one => one !== undefined) ?? -1
    this.must(previous < id, `${name} was sent after message ${previous}`)
    // Older queued messages must be dropped by the end of this step.
    for (const older of this.messages) {
      if (older === message) break
      if (this.waits(older)) this.overtakings.push([older, message])
    }
    this.busyAt = performance.now()
    message.native = native
    message.place = native.ids.length
    return id
  }

  // Actions of the page

  private react(occasion: Occasion): void {
    if (this.isFinishing) return
    const call = this.reactions.get(occasion)?.shift()
    if (!call) return
    this.reacted++
    if (call.do === 'throw') throw new DeliberateError(occasion)
    this.act(call, true)
  }

  private act(action: Action, inside = false): void {
    const { socket } = this
    switch (action.do) {
      case 'send':
        this.send(action, inside)
        return
      case 'abort': {
        const { controller } = this.signals[action.signal] as Signal
        this.usedSignals.push(this.signals[action.signal] as Signal)
        this.signals[action.signal] = makeSignal()
        controller.abort()
        return
      }
      case 'abort life':
        if (this.settings.hasSignal) this.lifetime.controller.abort()
        break
      case 'close':
        socket.close(action.code)
        break
      case 'connect':
      case 'reconnect':
        socket[action.do]()
        break
      case 'handover':
        this.handovers.call()
        break
      case 'listen':
        this.hasNoopListeners = !this.hasNoopListeners
        for (const type of EVENTS) socket[this.hasNoopListeners ? 'on' : 'off'](type, this.noopListener)
    }
    if (inside || this.reacted) return
    const { name, cause } = socket.state as { name: string; cause?: unknown }
    const ended = this.lifetime.controller.signal.aborted
    if (action.do === 'handover' && name === 'open')
      this.must(!this.handovers.isQuiet || this.handovers.isUnclear, 'handover() had no effect')
    const expected = {
      close: /clos/,
      'abort life': this.settings.hasSignal ? /clos/ : /./,
      connect: ended ? /clos/ : /open|connecting/,
      reconnect: ended ? /clos/ : /waiting|connecting/,
      handover: ended || cause ? /clos|connecting/ : /clos|open|connecting/,
      listen: /./,
      throw: /./,
    }[action.do]
    this.must(expected.test(name), `${name} after ${action.do}`)
  }

  private send(how: MessageSpec, inside: boolean): void {
    const { socket } = this
    const id = this.messages.length
    const { data, bytes } = makeData(id, how)
    const { ttl, key, volatile } = how
    const signal = how.signal === undefined ? undefined : this.signals[how.signal]
    const options = withoutUndefined({ ttl, key, volatile, signal: signal?.controller.signal })
    const message: Message = {
      ...{ id, bytes, how, signal, wall: Date.now(), time: performance.now() },
      ...{ outcome: undefined, native: undefined, place: -1, reason: undefined },
    }
    const expected = this.expectDrop(message)
    const direct = this.writable && !socket.queued
    // Reclaimed messages may exceed the limit. The model does not know whether another message with the same key then fits.
    const { maxMessages, maxBytes } = this.settings.queue
    const unclear =
      this.handovers.isUnclear ||
      (how.key && (socket.queued > maxMessages || socket.stats.queuedBytes > maxBytes))
    const { reacted } = this
    this.messages.push(message)
    const outcome = socket.send(data, Object.keys(options).length ? options : undefined)
    message.outcome = outcome
    const name = `message ${id}`
    // The actions of a listener may have changed the result.
    if (this.reacted === reacted) {
      this.must(
        (outcome === 'sent') === !!message.native,
        `send() returned ${outcome} for ${name}, which is wrong`,
      )
      if (direct && !expected && !this.handovers.isUnclear)
        this.must(outcome === 'sent', `${name} is ${outcome}, not sent`)
      // With a ttl of 0, a message is sent at once or dropped.
      const late = how.ttl === 0 && message.reason === 'expired' && outcome === 'dropped'
      if (!inside && !late && !unclear) {
        this.must(message.reason === expected, `${name} was dropped: ${message.reason}, not ${expected}`)
        this.must((outcome === 'dropped') === !!expected, `${name} is ${outcome}: ${expected}`)
      }
    }
    // The caller reuses the buffer. The browser has copied its data.
    if (outcome !== 'dropped' && !how.volatile && data instanceof Uint8Array) data.fill(255)
  }

  /** Whether a message could be passed to the browser now, if no other one were queued. */
  private get writable(): boolean {
    const { current, socket, settings } = this
    return (
      socket.state.name === 'open' &&
      current?.readyState === 1 &&
      !this.handovers.isHeld &&
      (current.bufferedAmount <= settings.highWaterMark || document.visibilityState === 'hidden')
    )
  }

  /** The reason for which a message that is sent now must be dropped, if any. */
  private expectDrop({ bytes, how, signal }: Message): string | undefined {
    const { socket, settings } = this
    const { name, cause } = socket.state as { name: string; cause?: unknown }
    const { maxMessages, maxBytes, overflow } = settings.queue
    if (name === 'closing' || (name === 'closed' && cause)) return 'closed'
    if (signal?.controller.signal.aborted) return 'aborted'
    if (this.writable && !socket.queued) return undefined
    if (how.volatile) return 'volatile'
    const older = how.key && this.messages.find(one => one.how.key === how.key && this.waits(one))
    const { queuedBytes } = socket.stats
    const [count, size] = older
      ? [socket.queued - 1, queuedBytes - older.bytes]
      : [socket.queued, queuedBytes]
    const fits = (count: number, size: number) => count < maxMessages && size + bytes <= maxBytes
    return fits(count, size) || (overflow === 'drop-oldest' && fits(0, 0)) ? undefined : 'overflow'
  }

  private misuse(how: number): void {
    const { socket } = this
    const calls: [() => unknown, string][] = [
      [() => socket.close(1001), 'InvalidAccessError'],
      [() => socket.close(2999, 'why'), 'InvalidAccessError'],
      [() => socket.close(4000, '€'.repeat(42)), 'SyntaxError'],
      [() => socket.send(undefined as any), 'TypeError'],
      [() => socket.send('x', { ttl: Number.NaN }), 'TypeError'],
      [() => socket.on('nothing' as any, () => {}), 'TypeError'],
    ]
    const [call, expected] = calls[how] as (typeof calls)[0]
    const facts = () => JSON.stringify([socket.state, socket.stats, this.logs[0]?.length])
    const before = facts()
    let thrown: any
    try {
      call()
    } catch (error) {
      thrown = error
    }
    this.must(thrown?.name === expected, `${call} threw ${thrown}`)
    this.must(facts() === before, `${call} changed something`)
  }

  // Steps

  private perform(step: Step): void {
    const { current } = this
    switch (step.do) {
      case 'accept':
        this.natives.find(({ current, readyState }) => current && readyState === 0)?.accept()
        return
      case 'open':
        if (/waiting|closed/.test(this.socket.state.name)) this.socket.connect()
        this.perform({ do: 'accept' })
        return
      case 'refuse':
        this.natives.find(({ current, readyState }) => current && readyState === 0)?.end()
        return
      case 'begin close': {
        const target = this.target(step.which)
        if (target?.readyState === 1) target.beginClose()
        return
      }
      case 'drop': {
        const { code, reason, stale } = step
        const target = this.target(step.which)
        if (target && target.readyState > 0) target.end(code, reason, stale)
        return
      }
      case 'deliver': {
        const target = this.target(step.which)
        if (target?.readyState !== 1) return
        this.deliver(target, step.what)
        if (step.what !== 'leaving' || this.reacted || this.socket.state.name !== 'open') return
        if (target === this.current && this.handovers.settings.when === 'announces')
          this.must(
            !this.handovers.isQuiet || this.handovers.isUnclear,
            'the server announced its shutdown, and no handover started',
          )
        return
      }
      case 'broadcast': {
        const n = step.again ? Math.max(0, this.inbound - 1) : this.inbound++
        const { late, second } = this.handovers
        const targets = [late, current, second].filter(native => native?.readyState === 1)
        for (const target of step.reversed ? targets.reverse() : targets)
          if (target?.readyState === 1) target.peer.send(`text ${n}`)
        return
      }
      case 'answers': {
        const target = this.target(step.which)
        if (!step.which) this.answers = step.yes
        if (target) target.answers = step.yes
        return
      }
      case 'flow': {
        const target = this.target(step.which)
        if (!step.which) this.flowing = step.yes
        target?.peer[step.yes ? 'thaw' : 'freeze']('up')
        return
      }
      case 'leave':
        this.target(step.which)?.leave(step.bytes)
        return
      case 'page event':
        this.dispatchPageEvent(step)
        return
      case 'jump':
        this.jumped = true
        this.handovers.jump(step.time)
        vi.setSystemTime(Date.now() + step.time)
        return
      case 'release':
        for (const end of this.hanging.splice(0)) end()
        return
      case 'abandoned':
        this.actOnAbandoned(step)
        return
      case 'when':
        this.reactions.set(step.on, [...(this.reactions.get(step.on) ?? []), step.call])
        return
      case 'misuse':
        this.misuse(step.how)
        return
      case 'pass':
      case 'throw':
        return
      default:
        this.act(step)
    }
  }

  private dispatchPageEvent({ event, online }: Extract<Step, { do: 'page event' }>): void {
    const { visibilityState } = document
    const wasWaiting = this.socket.state.name === 'waiting'
    const seen = event === 'hidden' || event === 'visible' ? event : visibilityState
    vi.stubGlobal('navigator', { onLine: online })
    vi.stubGlobal('document', { visibilityState: seen })
    const listening = !!this.reportPageEvent
    if (listening) this.handovers.beforePageEvent(event, seen === 'hidden')
    this.reportPageEvent?.(event)
    if (!listening || this.reacted) return
    const { name, delay, until } = this.socket.state as { name: string; delay?: number; until: number }
    if (event === 'sleep') this.must(name === 'closed' || delay === Infinity, `${name} while asleep`)
    if (!/wake|visible/.test(event) || !online || !wasWaiting || name !== 'waiting') return
    this.must(until - Date.now() <= 300, `waiting for ${until - Date.now()} ms after waking`)
  }

  private deliver(native: Native, what: Extract<Step, { do: 'deliver' }>['what']): void {
    const n = this.inbound++
    native.peer.send(what === 'bytes' ? Uint8Array.of(n).buffer : `${what} ${n}`)
  }

  /** An event of an abandoned native socket. */
  private actOnAbandoned({ which, what }: Extract<Step, { do: 'abandoned' }>): void {
    const abandoned = this.natives.filter(native => !native.current && !native.isLate)
    const socket = abandoned[which % abandoned.length]
    // A socket opens only once.
    if (!socket || (what === 'open' && socket.readyAt !== undefined)) return
    if (what === 'backlog') socket.leave()
    else if (what === 'close') socket.end(1000, 'late')
    else {
      // A real socket could not do this.
      Object.defineProperty(socket, 'readyState', { value: 1, configurable: true })
      socket.dispatchEvent(
        what === 'open' ? new Event('open') : new MessageEvent(what, { data: 'abandoned' }),
      )
      Reflect.deleteProperty(socket, 'readyState')
    }
  }

  private async pass(time: number): Promise<void> {
    let over = false
    let rounds = 0
    setTimeout(() => {
      over = true
    }, time)
    while (!over) {
      if (rounds++ > 5_000) throw new Error(`an endless loop of timers: ${this.socket.state.name}`)
      vi.advanceTimersToNextTimer()
      await settled()
    }
  }

  /** Performs a step, and checks the properties. */
  async take(step: Step): Promise<void> {
    const final = this.over
    const eventCount = this.logs[0]?.length
    this.reacted = 0
    this.perform(step)
    await settled()
    if (step.do === 'pass') await this.pass(step.time)
    if (final && !this.reacted && !/connect|open|send/.test(step.do)) {
      this.must(
        this.logs[0]?.length === eventCount,
        `an event was emitted after the socket was closed for good, by ${step.do}`,
      )
    }
    this.check(step.do === 'pass' && step.time > 0)
    // The third listener is added after some events.
    if (!this.missed && eventCount && eventCount > 2) {
      this.missed = this.logs[0]?.length ?? 0
      this.listen(2)
    }
  }

  /** Whether the socket is closed, and not only because `connect()` was not called yet. */
  private get over(): boolean {
    const { state } = this.socket
    return state.name === 'closed' && !!state.cause
  }

  // The properties that must hold after each step

  private check(passed: boolean): void {
    this.checkEvents()
    this.checkSockets(passed)
    this.checkMessages()
    this.checkTimers()
    this.checkListeners()
    this.checkLiveness()
    this.handovers.check()
    this.handovers.checkCalls()
    const strange = this.reported.find(error => !(error instanceof DeliberateError))
    if (strange) throw strange
    if (this.faults.length) throw new Error(this.faults.join('\n'))
  }

  /** All listeners receive the same events in the same order, and they match the native sockets. */
  private checkEvents(): void {
    const [first = [], second = [], third = []] = this.logs
    const same = (a: [string, any], b: [string, any] | undefined) => a[0] === b?.[0] && a[1] === b[1]
    this.must(first.length === second.length, 'the second listener received fewer or more events')
    this.must(
      first.every((event, i) => same(event, second[i])),
      'the second listener received other events',
    )
    if (this.missed)
      this.must(
        first.length === third.length + this.missed,
        'the third listener received fewer or more events',
      )
    this.must(
      third.every((event, i) => same(event, first[i + this.missed])),
      'the third listener received other events',
    )
    this.must(
      this.socket.state === this.receivedStates.at(-1),
      'the state is not that of the last state event',
    )
    const count = (type: string) => first.filter(([name]) => name === type).length
    const { connections, received, attempts, dropped } = this.socket.stats
    const open = /open|closing/.test(this.socket.state.name)
    this.must(count('open') - count('close') === +open, `${count('open')} open, ${count('close')} close`)
    this.must(connections === count('open'), `${connections} connections`)
    this.must(received === count('text') + count('binary'), `${received} received`)
    this.must(dropped === count('drop'), `${dropped} dropped`)
    this.must(attempts === this.attempts, `${attempts} attempts, not ${this.attempts}`)
    this.handovers.checkReceived(this.receivedMessages)
  }

  /** Ended connections leave nothing behind. `walk-handover.ts` checks how many connections there may be. */
  private checkSockets(passed: boolean): void {
    const { name } = this.socket.state
    // A connection that is being replaced cannot send any more, and the second one may not be open yet.
    if (name === 'closing' && this.current?.isClosing && this.current.replacedAt === undefined)
      this.must(!this.socket.queued, 'the socket is closing before its queue is empty')
    const lives = [...this.scopes].filter(({ aborted }) => !aborted).length
    const may = this.handovers.maxSignals
    this.must(lives <= may, `${lives} signals that are not aborted while ${name}`)
    this.must(this.receiving <= may, `receive() is pending while ${name}`)
    // `bufferedAmount` is read twice, in separate tasks. Then the socket must react to the end.
    const ended = this.handovers.currents.some(native => native.ended)
    if (passed) this.must(!ended, `still ${name} although the native socket has ended`)
  }

  /** Each message was sent, is queued, or was dropped with an event. Reclaimed messages are queued again. */
  private checkMessages(): void {
    const { messages, socket, current } = this
    for (const [older, newer] of this.overtakings)
      this.must(older.reason, `message ${newer.id} overtook message ${older.id}`)
    this.overtakings = []
    const waiting = messages.filter(message => this.waits(message))
    const { queued, queuedBytes, sent, reclaimed, latency } = socket.stats
    const numbers = waiting.map(({ id }) => id)
    this.must(queued === waiting.length, `${queued} queued, but [${numbers}] are neither sent nor dropped`)
    this.must(socket.queuedMessages().length === queued, 'queuedMessages() differs from the count')
    const bytes = waiting.reduce((sum, message) => sum + message.bytes, 0)
    this.must(queuedBytes === bytes, `${queuedBytes} bytes queued, not ${bytes}`)
    this.must(socket.queued === queued && socket.latency === latency, 'stats differ from the socket')
    const buffered = bytes + (current?.bufferedAmount ?? 0)
    this.must(socket.bufferedAmount === buffered, `${socket.bufferedAmount} buffered, not ${buffered}`)
    let handed = 0
    let back = 0
    for (const native of this.natives) {
      native.ids.forEach((id, place) => {
        if (id === undefined) return
        handed++
        if (native.returned(place)) back++
      })
    }
    this.must(sent === handed, `${sent} sent, not ${handed}`)
    this.must(reclaimed === back, `${reclaimed} reclaimed, not ${back}`)
    this.must(latency === undefined || latency >= 0, `a latency of ${latency}`)
    const keys = waiting.flatMap(({ how }) => how.key ?? [])
    this.must(new Set(keys).size === keys.length, 'two messages with the same key are queued')
    for (const { id, outcome, reason, how, time, wall, signal } of messages) {
      if (outcome === 'dropped') this.must(reason, `message ${id} was dropped without an event`)
      if (!numbers.includes(id)) continue
      const { ttl = Infinity } = how
      this.must(!how.volatile, `message ${id} is volatile, and is queued`)
      this.must(!signal?.controller.signal.aborted, `message ${id} was aborted, and is queued`)
      const expired = performance.now() - time > ttl && Date.now() - wall > ttl
      this.must(!expired || this.jumped, `message ${id} has expired, and is queued`)
    }
  }

  /** There is one timer for the state, one for the heartbeat, one for each message that can expire, and one while the buffer is checked. */
  private checkTimers(): void {
    const { socket, settings, current } = this
    const { state } = socket
    const owed =
      (state.name === 'connecting'
        ? 1
        : state.name === 'waiting'
          ? +(state.delay < Infinity)
          : +!!current?.ended) +
      +(state.name === 'closing') +
      +(state.name === 'open' && !!settings.heartbeat) +
      this.messages.filter(message => message.how.ttl !== undefined && this.waits(message)).length
    const others = this.natives.reduce((sum, { tasks }) => sum + tasks, 0)
    const timers = vi.getTimerCount() - others
    // The buffer is checked while it is not empty, and for a moment after that.
    const now = performance.now()
    if (current?.bufferedAmount || socket.queued) this.busyAt = now
    const [least, most] = this.handovers.timers()
    const polls = +(/open|closing/.test(state.name) && now - this.busyAt <= SLOWEST_POLL)
    this.must(
      timers >= owed + least && timers <= owed + most + polls,
      `${timers} timers while ${state.name}, not ${owed} + ${least} to ${owed} + ${most} + ${polls}`,
    )
  }

  /** Listeners are removed when they are no longer needed. */
  private checkListeners(): void {
    const { settings, watches, lifetime, messages, socket } = this
    const waiting = messages.filter(message => this.waits(message))
    for (const signal of [...this.signals, ...this.usedSignals]) {
      const users = waiting.filter(message => message.signal === signal).length
      const { size } = signal.listeners
      this.must(size === Math.min(users, 1), `${size} listeners on a signal of ${users} messages`)
    }
    if (settings.hasPageEvents) {
      const expected = +(socket.state.name !== 'closed')
      this.must(watches === expected, `${watches} listeners for page events while ${socket.state.name}`)
    }
    if (settings.hasSignal) {
      const { size } = lifetime.listeners
      this.must(size === +!this.over, `${size} listeners on the signal while ${socket.state.name}`)
    }
  }

  /** No state, no silence and no wait in the queue lasts longer than allowed. */
  private checkLiveness(): void {
    const { settings, socket, since, current } = this
    const { state } = socket
    const stay = performance.now() - since
    const longest = {
      closed: Infinity,
      open: Infinity,
      waiting: (state as { delay: number }).delay + 1,
      connecting: Math.max(settings.connectTimeout, 60_000),
      closing: settings.closeTimeout,
    }[state.name]
    this.must(stay <= longest, `${state.name} for ${stay} ms, not ${longest}`)
    const now = performance.now()
    this.stuckSince = this.writable && socket.queued ? Math.min(this.stuckSince, now) : Infinity
    this.must(now - this.stuckSince <= SLOWEST_POLL, `${socket.queued} queued messages could have been sent`)
    if (state.name !== 'open' || !settings.heartbeat || !current) return
    const { interval, timeout } = settings.heartbeat
    current.watchBuffer()
    const lifetime = Math.max(current.lastLife, since)
    const silence = performance.now() - Math.max(lifetime, current.lastLeft)
    // The timeout doubles after each dead connection in a row. The model does not know which of them were in a row, so it counts all.
    const patience = Math.max(timeout, Math.min(timeout * 2 ** this.deadConnections, 60_000))
    // When a timeout ends and bytes have been sent meanwhile, another timeout starts, even if that was in the same millisecond as the last message. If
    // a timer is late by the wall clock, the heartbeat pings once more.
    const bound = interval + patience * (current.lastLeft >= lifetime ? 2 : 1) + (this.jumped ? Infinity : 0)
    this.must(silence <= bound, `${silence} ms of silence, not ${bound}`)
  }

  /** Without further faults, the socket must open, the queue must become empty, and `close()` must leave nothing behind. */
  async finish(): Promise<void> {
    const { socket } = this
    this.isFinishing = true
    this.flowing = this.answers = true
    const ended = this.lifetime.controller.signal.aborted
    await this.take({ do: 'release' })
    await this.take({ do: 'page event', event: 'wake', online: true })
    await this.take({ do: 'pass', time: this.settings.closeTimeout + 1 })
    if (socket.state.name !== 'open' && !ended) socket.reconnect()
    for (let i = 0; i < 200 && !ended && !(socket.state.name === 'open' && !socket.queued); i++) {
      if (/waiting|closed/.test(socket.state.name)) socket.connect()
      await settled()
      const { current } = this
      if (current?.readyState === 2) current.end()
      if (this.settings.seed % 2 && this.current?.readyState === 1)
        await this.take({ do: 'deliver', what: 'text' })
      await this.take({ do: 'accept' })
      await this.take({ do: 'flow', yes: true })
      // If bytes have been sent, the timeout of the heartbeat may start again, for up to a minute.
      await this.take({ do: 'pass', time: i < 20 ? 200 : 1_000 })
    }
    if (!ended) {
      if (socket.state.name !== 'open' || socket.queued)
        throw new Error(`without further faults: ${socket.state.name}, ${socket.queued} queued`)
    }
    socket.close()
    await this.take({ do: 'pass', time: this.settings.closeTimeout + 1 })
    if (!this.over) throw new Error(`close() did not close: ${socket.state.name}`)
    const arrived = new Map<number, number>()
    for (const native of this.natives) {
      native.leave()
      for (const id of native.ids.slice(0, native.peer.received.length))
        if (id !== undefined) arrived.set(id, (arrived.get(id) ?? 0) + 1)
    }
    for (const [id, times] of arrived)
      if (times > 1) throw new Error(`message ${id} was delivered ${times} times`)
  }
}
