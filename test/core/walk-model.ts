// What the random walk does to a socket, and what must be true after each of its steps. The model keeps a ledger of
// every message: it knows from the fake sockets alone what was handed over, what left, and what has to come back.
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

export interface Parcel {
  kind: Kind
  size: number
  ttl?: number | undefined
  key?: string | undefined
  volatile?: boolean | undefined
  /** Which of the signals at hand. */
  signal?: number | undefined
}

/** What the page does, at any time, also inside a listener. */
export type Action =
  | ({ do: 'send' } & Parcel)
  | { do: 'connect' | 'reconnect' | 'handover' | 'listen' | 'throw' | 'abort life' }
  | { do: 'close'; code?: number | undefined }
  | { do: 'abort'; signal: number }

export type Step =
  | Action
  // The server.
  | { do: 'accept' | 'refuse' }
  | { do: 'begin close'; which?: Which | undefined }
  // The page calls, and the server answers.
  | { do: 'open' }
  | {
      do: 'drop'
      code: number
      reason?: string | undefined
      stale?: number | undefined
      which?: Which | undefined
    }
  | { do: 'deliver'; what: 'text' | 'bytes' | 'pong' | 'leaving'; which?: Which | undefined }
  // A server that sends the same message to all connections, one after the other.
  | { do: 'broadcast'; reversed: boolean; again: boolean }
  | { do: 'answers'; yes: boolean; which?: Which | undefined }
  // The network.
  | { do: 'flow'; yes: boolean; which?: Which | undefined }
  | { do: 'leave'; bytes: number; which?: Which | undefined }
  // The page's surroundings.
  | { do: 'news'; news: PageEvent; online: boolean }
  | { do: 'pass'; time: number }
  | { do: 'jump'; time: number }
  // What the page's own functions left hanging ends after all.
  | { do: 'release' }
  | { do: 'ghost'; which: number; what: 'open' | 'message' | 'close' | 'backlog' }
  | { do: 'when'; on: Occasion; call: Action }
  | { do: 'misuse'; how: number }

/** The connection that a step concerns, if not the one in use: the one beside it, or the one that was replaced and is still read. */
export type Which = 'second' | 'late'

export const OCCASIONS = [
  ...(['state', 'open', 'text', 'binary', 'close', 'error', 'drop'] as const),
  // The page's functions may call back as well.
  ...(['retry', 'endpoint', 'prepare', 'heartbeat', 'id', 'when'] as const),
] as const
export type Occasion = (typeof OCCASIONS)[number]
const EVENTS = OCCASIONS.slice(0, 7) as ('state' | 'open' | 'text' | 'binary' | 'close' | 'error' | 'drop')[]

/** What the page's functions do at the first call, at the second, and round again. */
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
  /** Whether there is a source of wakefulness, and a signal that ends it all. */
  wakes: boolean
  mortal: boolean
  /** Of all that is left to chance. */
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
  readonly how: Parcel
  readonly signal: Signal | undefined
  /** When it was sent, by the clock that jumps and by the one that does not. */
  readonly wall: number
  readonly time: number
  outcome: string | undefined
  /** The last native socket that had it, and its place among all that this one was given. */
  native: Native | undefined
  place: number
  reason: string | undefined
}

/** A signal that knows who listens. */
interface Signal {
  readonly controller: AbortController
  readonly listeners: Set<unknown>
}

/** What only a fault in the test's own listeners looks like. */
class Deliberate extends Error {}

/** Without what is not there. */
export const lean = <Value extends object>(value: Value): Lean<Value> =>
  Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as Lean<Value>
type Lean<Value> = { [Name in keyof Value]: Exclude<Value[Name], undefined> }

/** How long the buffer of the browser may be left alone, in milliseconds. */
const SLOWEST_POLL = 1_000

const realTask = globalThis.setImmediate
/** Lets everything run that waits for nothing but promises, reports of unhandled rejections included. */
const settled = () => new Promise<void>(resolve => realTask(resolve))

/** Blobs cannot be read at once, and buffers are used again: they are known by identity. */
const known = new WeakMap<object, number>()

const makeData = (
  id: number,
  { kind, size }: Parcel,
): { data: string | Uint8Array | Blob; bytes: number } => {
  // Three bytes a character: a length in characters would not do.
  if (kind === 'text') return { data: `#${id} ${'€'.repeat(size)}`, bytes: `#${id} `.length + size * 3 }
  const whole = new Uint8Array(size + 6)
  whole.set([id >> 8, id & 255], 2)
  const data = kind === 'bytes' ? whole.subarray(2, size + 4) : new Blob([whole])
  known.set(data, id)
  return { data, bytes: data instanceof Blob ? data.size : data.byteLength }
}

/** Which message this is: by what is in it now, whatever object it is in. */
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

/** The class of native sockets that lead to the walk's server, and write down what the walk has to know. */
const recording = (walk: Walk, server: FakeServer) =>
  class Native extends server.WebSocket {
    /** The other end. */
    readonly peer: FakePeer = server.latest
    /** Of what was sent: which message; heartbeats and what `prepare` sent have no number. */
    readonly ids: (number | undefined)[] = []
    /** What arrived before the connection was the one in use, and is for the application; what `prepare` took. */
    readonly inbox: unknown[] = []
    readonly taken: unknown[] = []
    lastLife = 0
    /** When it was made, how long its handshake took, and when it was ready to be used. */
    readonly started = performance.now()
    handshake = 0
    readyAt: number | undefined
    /** When a handover has closed it. */
    replacedAt: number | undefined
    /** When bytes were last seen to leave its buffer, and what was in there at the last look. */
    lastLeft = -Infinity
    private buffered = 0
    /** How much it was given after its time: such bytes count in `bufferedAmount`, and never leave. */
    clogged = 0
    opened = false
    answers: boolean = walk.answers
    /** The page called `close()`. */
    isClosing = false
    /** The peer can still send a close frame. */
    isPeerOpen = false
    /** Its real close event was heard: how it ended, and so what of it certainly never left. */
    ended: { code: number; reason: string } | undefined
    endedAt = 0
    private timers = 0

    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols)
      if (!walk.flowing) this.peer.freeze('up')
      // Before the socket under test, which hears the same.
      this.addEventListener('open', () => {
        this.lastLife = performance.now()
        this.handshake = this.lastLife - this.started
        walk.opened(this)
      })
      this.addEventListener('message', ({ data }) => {
        if (data === 'ghost') return
        this.lastLife = performance.now()
        walk.handovers.arrived(this, data, !!walk.settings.heartbeat?.hides && /^pong/.test(`${data}`))
      })
      this.addEventListener('close', ({ code, reason }) => {
        this.timers = 0
        this.endedAt = performance.now()
        if (this.current) this.ended = { code, reason }
      })
      walk.natives.push(this)
      if (walk.settings.endpoint === 'fixed') walk.dialled()
    }

    /** Whether the socket under test still listens to it. */
    get current(): boolean {
      return this.onclose !== null
    }

    /** Whether the socket under test has replaced it, and still reads what it brings. */
    get isLate(): boolean {
      return !this.current && this.onmessage !== null
    }

    /** Whether the message at this place came back: the real end was heard, and its last byte had not left by then. */
    returned(place: number): boolean {
      return !!this.ended && !this.current && place >= this.peer.received.length
    }

    /** Notices whether bytes have left the buffer since the last look. */
    watchBuffer(): void {
      if (this.bufferedAmount < this.buffered) this.lastLeft = performance.now()
      this.buffered = this.bufferedAmount
    }

    /** How much a frozen line has not taken. */
    private get backlog(): number {
      return this.peer.unsent.length && this.bufferedAmount - this.clogged
    }

    /** How many timers are its own: for its answer to `close()`, and for the end of the task in which something left. */
    get tasks(): number {
      const leaving = this.bufferedAmount - this.clogged - this.backlog
      return this.timers + +(leaving > 0)
    }

    override send(data: any): void {
      const before = this.bufferedAmount
      const isOpen = this.readyState === 1
      if (isOpen) this.ids.push(walk.handed(this, idOf(data), data))
      else if (idOf(data) !== undefined) walk.fault(`message ${idOf(data)} went to a closed socket`)
      super.send(data)
      if (!isOpen) this.clogged += this.bufferedAmount - before
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

    /** The peer says goodbye, and the answer does not get through. */
    beginClose(): void {
      this.peer.freeze('up').close(1001)
      this.isPeerOpen = false
    }

    /** `stale`: so many bytes left before the end, but `bufferedAmount` shows it only in the next task. */
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

export type Native = InstanceType<ReturnType<typeof recording>>

/** Which states may follow which: section 2 of the design, as a reader would draw it. */
const FOLLOWS: Record<string, string> = {
  closed: 'connecting closed',
  connecting: 'open waiting closed',
  open: 'open connecting waiting closed closing',
  waiting: 'connecting waiting closed',
  closing: 'connecting closed',
}

/** One socket, all that happens to it, and what the model knows of it. */
export class Walk {
  readonly settings: Settings
  readonly socket: Socket
  readonly natives: Native[] = []
  readonly handovers: Handovers
  flowing = true
  answers = true
  /** From here on everything works, so that all ends well. */
  private benign = false

  private readonly messages: Message[] = []
  private readonly signals = [makeSignal(), makeSignal()]
  private readonly retired: Signal[] = []
  private readonly life = makeSignal()
  private readonly hanging: (() => void)[] = []
  private readonly reactions = new Map<Occasion, Action[]>()
  private readonly faults: string[] = []
  private readonly reported: unknown[] = []
  private endpoints = 0
  private preparations = 0
  private watches = 0
  private tell: ((news: PageEvent) => void) | undefined

  /** What each listener heard; the last one came later, and missed so many. */
  private readonly stories: [string, any][][] = [[], [], []]
  private missed = 0
  private heardStates: any[]
  private since = 0
  private heard: unknown[] = []
  private receiving = 0
  /** How many attempts there were. */
  private dials = 0
  /** Whose `open` event is being dispatched. */
  private opening: Native | undefined
  /** The lifetimes that the page's functions were told of. */
  readonly scopes = new Set<AbortSignal>()
  /** When there was last something to send, and since when something waits although it could be sent. */
  private busy = 0
  /** How many connections were given up as dead. */
  private dead = 0
  private stuck = Infinity
  private inbound = 0
  private overtaken: [Message, Message][] = []
  private reacted = 0
  /** The message function of the heartbeat runs. Doubt begins after it, because it depends on whether there is a ping. */
  private isPinging = false
  private jumped = false
  private readonly churn = () => {}
  private churning = false

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

    const { endpoint, prepare, retry: _, heartbeat, wakes, mortal, seed: __, ...plain } = settings
    const server = createFakeServer({ base: 'http://page.test/' })
    server.hang()
    this.handovers = new Handovers(this)
    this.socket = createSocket(endpoint === 'fixed' ? '/feed' : this.endpoint, {
      ...plain,
      WebSocket: recording(this, server),
      wake: wakes && this.wake,
      handover: this.handovers.options(occasion => {
        const { when, id } = this.handovers.wishes
        this.react(occasion)
        if ((occasion === 'id' ? id : when) === 'throws') throw new Deliberate(occasion)
      }),
      ...this.retry(),
      ...(mortal && { signal: this.life.controller.signal }),
      ...(heartbeat && { heartbeat: this.heartbeat(heartbeat) }),
      ...(prepare && { prepare: this.prepare }),
    } as SocketOptions)
    this.heardStates = [this.socket.state]
    for (const type of EVENTS) this.socket.on(type, (payload: any) => this.hear(type, payload))
    for (const type of EVENTS) this.socket.on(type, () => this.react(type))
    this.listen(1)
  }

  private readonly endpoint = ({ signal }: AttemptContext): string | Promise<string> => {
    const { endpoint } = this.settings
    this.scopes.add(signal)
    this.dialled()
    this.react('endpoint')
    const does = this.benign ? 'answer' : endpoint[this.endpoints++ % endpoint.length]
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
    const does = this.benign ? 'return' : prepare[this.preparations++ % prepare.length]
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
        if (retry === 'throws') throw new Deliberate(retry)
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
      if (message === 'throws') throw new Deliberate('heartbeat')
      return 'ping'
    }
    return {
      interval,
      timeout,
      ...(message !== 'none' && { message: message === 'fixed' ? 'ping' : ask }),
      ...(hides && { isReply: (data: unknown) => /^pong/.test(`${data}`) }),
    }
  }

  private readonly wake: PageEventSource = tell => {
    this.watches++
    this.tell = tell
    return () => {
      this.watches--
      this.tell = undefined
    }
  }

  fault(text: string): void {
    this.faults.push(text)
  }

  readonly must = (holds: unknown, text: string): void => {
    if (!holds) this.fault(text)
  }

  /** The native socket in use: a second one is made later. */
  private get current(): Native | undefined {
    return this.natives.find(native => native.current)
  }

  private target(which: Which | undefined): Native | undefined {
    return which ? this.handovers[which] : this.current
  }

  /** An attempt begins. */
  dialled(): void {
    this.dials++
    this.handovers.dialled()
  }

  /** A native socket is open, and the socket under test does not know it yet. */
  opened(native: Native): void {
    this.opening = native
    if (!this.settings.prepare) this.handovers.ready(native)
  }

  /** Whether a message is in the queue, by all that can be known. */
  private waits({ outcome, reason, native, place }: Message): boolean {
    return outcome !== 'dropped' && !reason && (!native || native.returned(place))
  }

  // What listeners hear

  private listen(index: number) {
    for (const type of EVENTS)
      this.socket.on(type, (payload: any) => this.stories[index]?.push([type, payload]))
  }

  private hear(type: (typeof EVENTS)[number], payload: any): void {
    const [story = []] = this.stories
    story.push([type, payload])
    const last = this.heardStates.at(-1)
    if (type === 'state') {
      this.handovers.entered(last, payload)
      this.hearState(last, payload)
    } else if (type === 'text' || type === 'binary') this.heard.push(payload)
    else if (type === 'drop') this.hearDrop(payload)
    else if (type === 'open') {
      const [before] = story.at(-2) ?? []
      const isReplaced = this.heardStates.at(-2)?.name === 'open'
      this.must(
        before === (isReplaced ? 'close' : 'state') && last.name === 'open',
        'open was told apart from its state',
      )
      const { seamless } = this.handovers
      this.must(seamless === undefined || payload.seamless === seamless, `seamless is not ${seamless}`)
    } else if (type === 'close') {
      // What came back and cannot be sent again is dropped in between.
      const [before] = story.slice(0, -1).findLast(([type]) => type !== 'drop') ?? []
      const previous = this.heardStates.at(-2)
      this.must(
        before === 'state' && /open|closing/.test(previous.name),
        'close was told apart from its state',
      )
      this.must(payload.willRetry === (last.name !== 'closed'), 'close told of a retry that is none')
      const delay = last.name === 'waiting' ? last.delay : last.name === 'closed' ? undefined : 0
      this.must(payload.delay === delay, `close told of a delay of ${payload.delay}, not ${delay}`)
      const native = this.handovers.ending as Native
      const { code, reason } = native.ended ?? { code: 1006, reason: '' }
      this.must(payload.code === code && payload.reason === reason, `close told ${payload.code}, not ${code}`)
      const { code: why } = payload.cause
      if (!native.ended)
        this.must(
          /UNRESP|RECONN|HIDDEN|CLOSED|RETRY|HANDOVER/.test(why),
          `a living connection was left: ${why}`,
        )
      // A retry that fails takes the place of the cause.
      if (/UNRESPONSIVE|RETRY_FAILED|HANDOVER/.test(why)) this.dead++
      if (why === 'UNRESPONSIVE') {
        const { timeout } = this.settings.heartbeat as { timeout: number }
        const silence = performance.now() - native.lastLife
        this.must(silence >= Math.min(timeout, 3_000), `given up ${silence} ms after a sign of life`)
      }
    }
    if (type === 'error') this.handovers.failed(payload, last)
  }

  private hearState(last: any, next: any): void {
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
      // A clock that was set back makes no uptime less than none.
      const short = last.name === 'open' && Math.max(0, Date.now() - last.since) < this.settings.minUptime
      const expected =
        last.name === 'open' ? (sleeps ? 0 : short ? last.attempt + 1 : 1) : last.attempt + +!sleeps
      if (last.name !== 'waiting') this.must(attempt === expected, `waiting ${attempt}, not ${expected}`)
      else this.must(attempt === last.attempt, 'a wait changed its attempt')
    }
    this.since = performance.now()
    this.heardStates.push(next)
  }

  private hearDrop({ data, reason }: { data: any; reason: string }): void {
    const message = this.messages.find(({ id }) => id === (known.get(data) ?? idOf(data)))
    if (!message) {
      this.fault(`something unknown was dropped: ${reason}`)
      return
    }
    const { how, signal, time, wall } = message
    const { ttl = Infinity, key } = how
    const name = `message ${message.id}`
    this.must(!message.reason, `${name} was dropped twice: ${message.reason}, ${reason}`)
    message.reason = reason
    this.busy = performance.now()
    const may: Record<string, unknown> = {
      expired: performance.now() - time >= ttl || Date.now() - wall >= ttl,
      replaced: key && this.messages.some(({ id, how }) => id > message.id && how.key === key),
      volatile: how.volatile,
      aborted: signal?.controller.signal.aborted,
      // What waits goes only for newer messages' sake where the page wants it so.
      overflow: message.outcome !== 'queued' || this.settings.queue.overflow === 'drop-oldest',
      closed: /clos/.test(this.socket.state.name),
      'too-big': this.strikes(message) > 1,
    }
    this.must(may[reason], `${name} was dropped for no reason: ${reason}`)
    this.must(
      !message.native || message.native.returned(message.place),
      `${name} was sent, and dropped: ${reason}`,
    )
  }

  /** On how many connections that were closed with 1009 it was the first that had not left. */
  private strikes({ id }: Message): number {
    return this.natives.filter(
      ({ ended, ids, peer }) =>
        ended?.code === 1009 &&
        ids.find((one, place) => one !== undefined && place >= peer.received.length) === id,
    ).length
  }

  // What native sockets are given

  /** Called as a message goes to a native socket that is open. */
  handed(native: Native, id: number | undefined, data: unknown): number | undefined {
    const state = this.socket.state.name
    const { handovers } = this
    if (id === undefined) {
      if (data === 'ping') this.must(native === this.current && state === 'open', 'a ping elsewhere')
      else this.must(!native.opened, 'prepare came late')
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
    if (state === 'open' && native === handovers.official)
      this.must(!handovers.isHeld || handovers.isUnclear || this.isPinging, `${name} was sent in doubt`)
    this.must(!before || before.returned(message.place), `${name} was sent again although it may have left`)
    this.must(!reason, `${name} was sent after it was dropped: ${reason}`)
    this.must(!signal?.controller.signal.aborted, `${name} was sent after it was aborted`)
    this.must(!how.volatile || !outcome, `${name} waited, but was volatile`)
    this.must(
      !outcome || !(Date.now() - wall > (how.ttl ?? Infinity)),
      `${name} was sent after it had expired`,
    )
    this.must(this.strikes(message) < 2, `${name} was too big, twice`)
    const previous = native.ids.findLast(one => one !== undefined) ?? -1
    this.must(previous < id, `${name} was sent after message ${previous}`)
    // Those that it passes by must turn out to be dropped.
    for (const older of this.messages) {
      if (older === message) break
      if (this.waits(older)) this.overtaken.push([older, message])
    }
    this.busy = performance.now()
    message.native = native
    message.place = native.ids.length
    return id
  }

  // What the page does

  private react(occasion: Occasion): void {
    if (this.benign) return
    const call = this.reactions.get(occasion)?.shift()
    if (!call) return
    this.reacted++
    if (call.do === 'throw') throw new Deliberate(occasion)
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
        this.retired.push(this.signals[action.signal] as Signal)
        this.signals[action.signal] = makeSignal()
        controller.abort()
        return
      }
      case 'abort life':
        if (this.settings.mortal) this.life.controller.abort()
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
        this.churning = !this.churning
        for (const type of EVENTS) socket[this.churning ? 'on' : 'off'](type, this.churn)
    }
    if (inside || this.reacted) return
    const { name, cause } = socket.state as { name: string; cause?: unknown }
    const ended = this.life.controller.signal.aborted
    if (action.do === 'handover' && name === 'open')
      this.must(!this.handovers.isQuiet || this.handovers.isUnclear, 'handover() had no effect')
    const expected = {
      close: /clos/,
      'abort life': this.settings.mortal ? /clos/ : /./,
      connect: ended ? /clos/ : /open|connecting/,
      reconnect: ended ? /clos/ : /waiting|connecting/,
      handover: ended || cause ? /clos|connecting/ : /clos|open|connecting/,
      listen: /./,
      throw: /./,
    }[action.do]
    this.must(expected.test(name), `${name} after ${action.do}`)
  }

  private send(how: Parcel, inside: boolean): void {
    const { socket } = this
    const id = this.messages.length
    const { data, bytes } = makeData(id, how)
    const { ttl, key, volatile } = how
    const signal = how.signal === undefined ? undefined : this.signals[how.signal]
    const wishes = lean({ ttl, key, volatile, signal: signal?.controller.signal })
    const message: Message = {
      ...{ id, bytes, how, signal, wall: Date.now(), time: performance.now() },
      ...{ outcome: undefined, native: undefined, place: -1, reason: undefined },
    }
    const expected = this.expectDrop(message)
    const direct = this.writable && !socket.queued
    // What came back may be more than may wait. Whether another one with its key then fits is open.
    const { maxMessages, maxBytes } = this.settings.queue
    const unclear =
      this.handovers.isUnclear ||
      (how.key && (socket.queued > maxMessages || socket.stats.queuedBytes > maxBytes))
    const { reacted } = this
    this.messages.push(message)
    const outcome = socket.send(data, Object.keys(wishes).length ? wishes : undefined)
    message.outcome = outcome
    const name = `message ${id}`
    // What a listener did meanwhile may have changed the answer.
    if (this.reacted === reacted) {
      this.must((outcome === 'sent') === !!message.native, `${name} is ${outcome}, or is it?`)
      if (direct && !expected && !this.handovers.isUnclear)
        this.must(outcome === 'sent', `${name} is ${outcome}, not sent`)
      // No time at all: now, or never.
      const late = how.ttl === 0 && message.reason === 'expired' && outcome === 'dropped'
      if (!inside && !late && !unclear) {
        this.must(message.reason === expected, `${name} was dropped: ${message.reason}, not ${expected}`)
        this.must((outcome === 'dropped') === !!expected, `${name} is ${outcome}: ${expected}`)
      }
    }
    // The caller uses the buffer again. The browser has read what it was given.
    if (outcome !== 'dropped' && !how.volatile && data instanceof Uint8Array) data.fill(255)
  }

  /** Whether a message could go to the browser now, if none waited. */
  private get writable(): boolean {
    const { current, socket, settings } = this
    return (
      socket.state.name === 'open' &&
      current?.readyState === 1 &&
      !this.handovers.isHeld &&
      (current.bufferedAmount <= settings.highWaterMark || document.visibilityState === 'hidden')
    )
  }

  /** Why a message that is sent now must be dropped, if it must. */
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
    const facts = () => JSON.stringify([socket.state, socket.stats, this.stories[0]?.length])
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

  // What happens to it

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
        if (target === this.current && this.handovers.wishes.when === 'announces')
          this.must(
            !this.handovers.isQuiet || this.handovers.isUnclear,
            'the end was announced, and nothing happened',
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
      case 'news':
        this.news(step)
        return
      case 'jump':
        this.jumped = true
        this.handovers.jump(step.time)
        vi.setSystemTime(Date.now() + step.time)
        return
      case 'release':
        for (const end of this.hanging.splice(0)) end()
        return
      case 'ghost':
        this.haunt(step)
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

  private news({ news, online }: Extract<Step, { do: 'news' }>): void {
    const { visibilityState } = document
    const wasWaiting = this.socket.state.name === 'waiting'
    const seen = news === 'hidden' || news === 'visible' ? news : visibilityState
    vi.stubGlobal('navigator', { onLine: online })
    vi.stubGlobal('document', { visibilityState: seen })
    const listening = !!this.tell
    if (listening) this.handovers.news(news, seen === 'hidden')
    this.tell?.(news)
    if (!listening || this.reacted) return
    const { name, delay, until } = this.socket.state as { name: string; delay?: number; until: number }
    if (news === 'sleep') this.must(name === 'closed' || delay === Infinity, `${name} while asleep`)
    if (!/wake|visible/.test(news) || !online || !wasWaiting || name !== 'waiting') return
    this.must(until - Date.now() <= 300, `waiting for ${until - Date.now()} ms after waking`)
  }

  private deliver(native: Native, what: Extract<Step, { do: 'deliver' }>['what']): void {
    const n = this.inbound++
    native.peer.send(what === 'bytes' ? Uint8Array.of(n).buffer : `${what} ${n}`)
  }

  /** An abandoned socket stirs. */
  private haunt({ which, what }: Extract<Step, { do: 'ghost' }>): void {
    const abandoned = this.natives.filter(native => !native.current && !native.isLate)
    const ghost = abandoned[which % abandoned.length]
    // No socket opens twice.
    if (!ghost || (what === 'open' && ghost.readyAt !== undefined)) return
    if (what === 'backlog') ghost.leave()
    else if (what === 'close') ghost.end(1000, 'late')
    else {
      // More than a real one could do.
      Object.defineProperty(ghost, 'readyState', { value: 1, configurable: true })
      ghost.dispatchEvent(what === 'open' ? new Event('open') : new MessageEvent(what, { data: 'ghost' }))
      Reflect.deleteProperty(ghost, 'readyState')
    }
  }

  private async pass(time: number): Promise<void> {
    let over = false
    let rounds = 0
    setTimeout(() => {
      over = true
    }, time)
    while (!over) {
      if (rounds++ > 5_000) throw new Error(`timers that do not end: ${this.socket.state.name}`)
      vi.advanceTimersToNextTimer()
      await settled()
    }
  }

  /** One step, and all that must be true after it. */
  async take(step: Step): Promise<void> {
    const final = this.over
    const told = this.stories[0]?.length
    this.reacted = 0
    this.perform(step)
    await settled()
    if (step.do === 'pass') await this.pass(step.time)
    if (final && !this.reacted && !/connect|open|send/.test(step.do)) {
      this.must(this.stories[0]?.length === told, `something was told after the end, by ${step.do}`)
    }
    this.check(step.do === 'pass' && step.time > 0)
    // Late enough for something to have happened.
    if (!this.missed && told && told > 2) {
      this.missed = this.stories[0]?.length ?? 0
      this.listen(2)
    }
  }

  /** Closed, and not only because nobody has said `connect()` yet. */
  private get over(): boolean {
    const { state } = this.socket
    return state.name === 'closed' && !!state.cause
  }

  // What must be true whenever nothing is going on

  private check(passed: boolean): void {
    this.checkStory()
    this.checkSockets(passed)
    this.checkLedger()
    this.checkTimers()
    this.checkListeners()
    this.checkLiveness()
    this.handovers.check()
    this.handovers.checkCalls()
    const strange = this.reported.find(error => !(error instanceof Deliberate))
    if (strange) throw strange
    if (this.faults.length) throw new Error(this.faults.join('\n'))
  }

  /** All listeners hear one story, and it is the one that the native sockets tell. */
  private checkStory(): void {
    const [first = [], second = [], third = []] = this.stories
    const same = (a: [string, any], b: [string, any] | undefined) => a[0] === b?.[0] && a[1] === b[1]
    this.must(first.length === second.length, 'the second listener heard less or more')
    this.must(
      first.every((news, i) => same(news, second[i])),
      'the second listener heard another story',
    )
    if (this.missed) this.must(first.length === third.length + this.missed, 'the third heard less or more')
    this.must(
      third.every((news, i) => same(news, first[i + this.missed])),
      'the third listener heard another story',
    )
    this.must(this.socket.state === this.heardStates.at(-1), 'the state is not the one that was told last')
    const count = (type: string) => first.filter(([name]) => name === type).length
    const { connections, received, attempts, dropped } = this.socket.stats
    const open = /open|closing/.test(this.socket.state.name)
    this.must(count('open') - count('close') === +open, `${count('open')} open, ${count('close')} close`)
    this.must(connections === count('open'), `${connections} connections`)
    this.must(received === count('text') + count('binary'), `${received} received`)
    this.must(dropped === count('drop'), `${dropped} dropped`)
    this.must(attempts === this.dials, `${attempts} attempts, ${this.dials} dials`)
    this.handovers.checkHeard(this.heard)
  }

  /** What belonged to connections that have ended is over. How many there may be is checked with the handovers. */
  private checkSockets(passed: boolean): void {
    const { name } = this.socket.state
    // A connection that is being replaced cannot send any more, and there may be no other one yet.
    if (name === 'closing' && this.current?.isClosing && this.current.replacedAt === undefined)
      this.must(!this.socket.queued, 'closed before what waited was sent')
    const lives = [...this.scopes].filter(({ aborted }) => !aborted).length
    const may = this.handovers.lifetimes
    this.must(lives <= may, `${lives} lifetimes while ${name}`)
    this.must(this.receiving <= may, `receive() hangs while ${name}`)
    // Its bytes are read twice, a task apart; then it must be let go.
    const ended = this.handovers.currents.some(native => native.ended)
    if (passed) this.must(!ended, `still ${name} on a socket that has ended`)
  }

  /** Each message was sent, or waits, or was dropped with an event; what came back waits again, and nothing else does. */
  private checkLedger(): void {
    const { messages, socket, current } = this
    for (const [older, newer] of this.overtaken)
      this.must(older.reason, `message ${newer.id} overtook message ${older.id}`)
    this.overtaken = []
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
    this.must(new Set(keys).size === keys.length, 'two messages with one key wait')
    for (const { id, outcome, reason, how, time, wall, signal } of messages) {
      if (outcome === 'dropped') this.must(reason, `message ${id} was dropped in silence`)
      if (!numbers.includes(id)) continue
      const { ttl = Infinity } = how
      this.must(!how.volatile, `message ${id} is volatile, and waits`)
      this.must(!signal?.controller.signal.aborted, `message ${id} was aborted, and waits`)
      const expired = performance.now() - time > ttl && Date.now() - wall > ttl
      this.must(!expired || this.jumped, `message ${id} has expired, and waits`)
    }
  }

  /** One for the state, one for the heartbeat, one for each message that can expire, one while the buffer is watched. */
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
    // The buffer is polled while there is, or a moment ago was, something in it.
    const now = performance.now()
    if (current?.bufferedAmount || socket.queued) this.busy = now
    const [least, most] = this.handovers.timers()
    const polls = +(/open|closing/.test(state.name) && now - this.busy <= SLOWEST_POLL)
    this.must(
      timers >= owed + least && timers <= owed + most + polls,
      `${timers} timers while ${state.name}, not ${owed} + ${least} to ${owed} + ${most} + ${polls}`,
    )
  }

  /** Nobody is listened to for longer than there is a reason. */
  private checkListeners(): void {
    const { settings, watches, life, messages, socket } = this
    const waiting = messages.filter(message => this.waits(message))
    for (const signal of [...this.signals, ...this.retired]) {
      const users = waiting.filter(message => message.signal === signal).length
      const { size } = signal.listeners
      this.must(size === Math.min(users, 1), `${size} listeners on a signal of ${users} messages`)
    }
    if (settings.wakes) {
      const expected = +(socket.state.name !== 'closed')
      this.must(watches === expected, `${watches} watches while ${socket.state.name}`)
    }
    if (settings.mortal) {
      const { size } = life.listeners
      this.must(size === +!this.over, `${size} listeners on the signal while ${socket.state.name}`)
    }
  }

  /** Nothing lasts for longer than it may. */
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
    this.stuck = this.writable && socket.queued ? Math.min(this.stuck, now) : Infinity
    this.must(now - this.stuck <= SLOWEST_POLL, `${socket.queued} could have been sent`)
    if (state.name !== 'open' || !settings.heartbeat || !current) return
    const { interval, timeout } = settings.heartbeat
    current.watchBuffer()
    const life = Math.max(current.lastLife, since)
    const silence = performance.now() - Math.max(life, current.lastLeft)
    // The timeout doubles after each dead connection in a row. The model does not know which of them were in a row, so it counts all.
    const patience = Math.max(timeout, Math.min(timeout * 2 ** this.dead, 60_000))
    // Bytes that leave are noticed when a timeout ends, which starts another one: also those that left in the same millisecond in which
    // the last message came. A timer that is late by the wall clock asks once more.
    const bound = interval + patience * (current.lastLeft >= life ? 2 : 1) + (this.jumped ? Infinity : 0)
    this.must(silence <= bound, `${silence} ms of silence, not ${bound}`)
  }

  /** The world turns kind: the socket must come back, all that waits must leave, and `close()` must leave nothing behind. */
  async finish(): Promise<void> {
    const { socket } = this
    this.benign = true
    this.flowing = this.answers = true
    const ended = this.life.controller.signal.aborted
    await this.take({ do: 'release' })
    await this.take({ do: 'news', news: 'wake', online: true })
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
      // A heartbeat that has seen bytes leave waits for up to a minute more.
      await this.take({ do: 'pass', time: i < 20 ? 200 : 1_000 })
    }
    if (!ended) {
      if (socket.state.name !== 'open' || socket.queued)
        throw new Error(`in a kind world: ${socket.state.name}, ${socket.queued} queued`)
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
