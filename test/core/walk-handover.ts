// The part of the model of the random walk that concerns handovers. It derives from the outside which connection is the current one, whether a second
// one is being prepared, and whether messages must be held back.
import type { PageEvent, Socket, SocketError, SocketOptions, State } from '../../src/index.ts'
import type { Native, Settings } from './walk-model.ts'

export interface HandoverSettings {
  maxAge?: number | undefined
  /** Messages that begin with `leaving` announce the end of the connection. */
  when?: 'announces' | 'throws' | undefined
  id?: 'number' | 'throws' | undefined
  wake?: 'handover' | 'reconnect' | undefined
}

/** The part of the walk that this file uses. */
interface World {
  readonly settings: Settings
  readonly socket: Socket
  readonly natives: readonly Native[]
  /** The signals that the page's functions have received. */
  readonly scopes: ReadonlySet<AbortSignal>
  must(holds: unknown, text: string): void
}

/** A message for the application. Arrivals are in the order in which the application must receive them. */
interface Arrival {
  readonly native: Native
  readonly data: unknown
  readonly time: number
  /** Whether it is a duplicate of a message on the other connection, which must not be emitted, or may be one. */
  duplicate: 'yes' | 'perhaps' | 'no'
}

interface Call {
  readonly opens: number
  readonly isClosed: boolean
  outcome: 'resolved' | SocketError | undefined
}

/** The milliseconds without a message in a hidden page after which the connection is in doubt. */
const QUIET_TIME = 60_000
const JITTER = 300
const MAX_SKEW = 5_000
/** The close codes of the walk after which `backoff()` gives up. */
const FINAL = [1008, 1009, 4401]

/** The number in a text message. Both connections can bring the same one. */
export const identityOf = (data: unknown): string | undefined =>
  typeof data === 'string' ? data.split(' ')[1] : undefined

export class Handovers {
  private readonly world: World
  /** The connection that the socket reports as open, or that it is closing. */
  currentNative: Native | undefined
  /** The connection to which the next `close` event belongs. */
  ending: Native | undefined
  /** Whether the connection may be dead. */
  isDoubted = false
  /** Whether messages are held back although the connection is open, and since when. */
  isHeld = false
  private heldSince = 0
  /** The second connection: none is planned, an attempt is scheduled, `retry` returned Infinity, or there is an attempt. */
  private secondPhase: 'nothing' | 'later' | 'never' | 'attempt' = 'nothing'
  /** Whether a timer of the heartbeat may fire late, which puts the connection in doubt. */
  private hasClockJumped = false
  /** Set if the current connection replaced an open one. */
  private replacement: { former: Native; until: number; isRead: boolean } | undefined
  private hasTried = false
  /** Whether the server has announced the end of the current connection. */
  private isAnnounced = false
  /** While the page is hidden: the time of the last message. */
  private quietSince: number | undefined
  private readonly calls: Call[] = []
  private readonly errors: unknown[] = []
  readonly arrivals: Arrival[] = []
  private hasIdThrown = false
  opens = 0

  /** The option `handover`. */
  readonly settings: HandoverSettings

  constructor(world: World) {
    this.world = world
    this.settings = world.settings.handover || {}
  }

  options(react: (occasion: 'id' | 'when') => void): SocketOptions['handover'] {
    const { maxAge, when, id, wake } = this.settings
    return (
      this.world.settings.handover && {
        ...(maxAge && { maxAge }),
        ...(wake && { wake }),
        ...(when && {
          when: (data: unknown) => {
            react('when')
            return /^leaving/.test(`${data}`)
          },
        }),
        ...(id && {
          id: (data: unknown) => {
            try {
              react('id')
            } catch (error) {
              this.onIdThrown()
              throw error
            }
            return identityOf(data)
          },
        }),
      }
    )
  }

  /** From now on, the socket may not know the identity of a message, including the one that is being emitted. */
  private onIdThrown(): void {
    this.hasIdThrown = true
    const last = this.arrivals.at(-1)
    if (last?.duplicate === 'yes') last.duplicate = 'perhaps'
  }

  private get now(): number {
    return performance.now()
  }

  private get isOpen(): boolean {
    return this.world.socket?.state.name === 'open'
  }

  /** The native sockets to which the socket listens: the current one, and the second one. */
  get currents(): Native[] {
    return this.world.natives.filter(native => native.current)
  }

  get second(): Native | undefined {
    return this.isOpen ? this.currents.find(native => native !== this.currentNative) : undefined
  }

  /** The connection that was replaced and is still read. */
  get late(): Native | undefined {
    return this.world.natives.find(native => native.isLate)
  }

  /** Whether doubt has an effect. */
  private get hasEffect(): boolean {
    const { handover, retry } = this.world.settings
    return handover !== false && retry !== 'never'
  }

  /** Whether the heartbeat can ping. */
  private get canPing(): boolean {
    const { heartbeat } = this.world.settings
    return !!heartbeat && heartbeat.message !== 'none'
  }

  /** Whether there is an attempt beside the open connection, or a connection that results from it. */
  private get hasAttempt(): boolean {
    if (!this.isOpen) return false
    if (this.world.settings.endpoint === 'fixed') return !!this.second
    return [...this.world.scopes].filter(({ aborted }) => !aborted).length > 1
  }

  /** Whether a handover is closing the first connection. */
  private get isClosingFirst(): boolean {
    return this.isOpen && this.currentNative?.replacedAt !== undefined
  }

  private get isReady(): boolean {
    return this.second?.readyAt !== undefined
  }

  /** Whether nothing is known to be in progress. */
  get isQuiet(): boolean {
    return !this.isDoubted && this.secondPhase === 'nothing' && !this.hasAttempt && !this.isClosingFirst
  }

  /** Whether the model does not know if messages are held back: a timer may be late, or an attempt has failed and was not reported yet. */
  get isUnclear(): boolean {
    return this.hasClockJumped || (this.secondPhase === 'attempt' && !this.hasAttempt)
  }

  private hold(isHeld: boolean): void {
    if (isHeld && !this.isHeld) this.heldSince = this.now
    this.isHeld = isHeld
  }

  // Events

  /** The wall clock was changed. If it was set forward, timers of the heartbeat are late. */
  jump(time: number): void {
    if (time > 0 && this.isOpen && this.hasEffect && this.world.settings.heartbeat) this.hasClockJumped = true
  }

  /** Called before the socket receives a page event. */
  beforePageEvent(event: PageEvent, isHidden: boolean): void {
    if (event === 'wake') this.doubt()
    if (event !== 'hidden' && event !== 'visible') return
    const isQuiet = !isHidden && this.quietSince !== undefined && this.now - this.quietSince >= QUIET_TIME
    this.quietSince = isHidden ? this.now : undefined
    if (isQuiet) this.doubt()
  }

  private doubt(): void {
    if (!this.hasEffect || !this.isOpen || this.isReady || this.isClosingFirst) return
    this.planSecond()
    this.isDoubted = true
    this.hold(true)
    if (!this.canPing && !this.hasAttempt) this.secondPhase = 'later'
  }

  /** A second connection is planned, so the one that was replaced before is no longer read. */
  private planSecond(): void {
    this.replacement = undefined
  }

  /** An attempt has started. */
  attemptStarted(): void {
    if (!this.isOpen) return
    this.planSecond()
    this.hasTried = true
    this.secondPhase = 'attempt'
    this.hold(this.isDoubted)
  }

  /** A native socket is open, and `prepare` has finished. */
  ready(native: Native): void {
    if (!native.current || native.ended || native.readyState !== 1) return
    native.readyAt = this.now
    if (this.isOpen && native !== this.currentNative) this.hold(true)
  }

  /** A message has arrived on a native socket. */
  arrived(native: Native, data: unknown, isReply: boolean): void {
    if (native === this.currentNative && native.current && this.isOpen) {
      if (this.isDoubted && !this.isReady) {
        this.isDoubted = false
        this.secondPhase = 'nothing'
        this.hold(false)
      }
    } else if (native.current) {
      if (!isReply) native.inbox.push(data)
      return
    } else if (!native.isLate) return
    if (this.quietSince !== undefined) this.quietSince = this.now
    if (!isReply) this.pass(native, data)
  }

  /** The application must receive this message, unless it is a duplicate. */
  private pass(native: Native, data: unknown): void {
    if (native === this.currentNative && /^leaving/.test(`${data}`)) this.isAnnounced = !!this.settings.when
    this.arrivals.push({ native, data, time: this.now, duplicate: this.duplicateOf(native, data) })
  }

  private passUnread(native: Native): void {
    for (const data of native.inbox) {
      const place = native.taken.indexOf(data)
      if (place < 0) this.pass(native, data)
      else native.taken.splice(place, 1)
    }
  }

  private duplicateOf(native: Native, data: unknown): Arrival['duplicate'] {
    const { id } = this.settings
    const identity = identityOf(data)
    if (!id || identity === undefined) return 'no'
    const same = this.arrivals.filter(arrival => identityOf(arrival.data) === identity)
    const others = same.filter(arrival => arrival.native !== native)
    if (!others.length) return 'no'
    if (this.hasIdThrown || same.length > others.length) return 'perhaps'
    return others.some(other => this.overlaps(native, other)) ? 'yes' : 'perhaps'
  }

  /** Whether both copies of the message have arrived while there were two connections. */
  private overlaps(native: Native, other: Arrival): boolean {
    const { replacement, currentNative } = this
    if (!replacement || !currentNative) return false
    const isPair = [native, other.native].every(one => one === replacement.former || one === currentNative)
    return isPair && other.time > currentNative.started && this.now < replacement.until
  }

  /** The socket has emitted a state event. */
  entered(last: State, next: State): void {
    const { must } = this.world
    const former = this.currentNative
    const [current] = this.currents
    this.ending = former
    if ('cause' in next) this.errors.push(next.cause)
    if (next.name === 'open') {
      this.opens++
      this.replacement = undefined
      this.openedAt = this.now
      this.isAnnounced = false
      if (last.name === 'open' && former && current) {
        const isRead = this.isDoubted && !former.ended && former.replacedAt === undefined && former.isPeerOpen
        this.replacement = { former, until: this.now + current.handshake, isRead }
        const { heartbeat } = this.world.settings
        const isGivenUp =
          this.isDoubted ||
          this.hasClockJumped ||
          (heartbeat && this.now - former.lastLife >= Math.min(heartbeat.timeout, 3_000)) ||
          this.now - (former.replacedAt ?? Infinity) >= this.world.settings.closeTimeout
        must(former.ended || isGivenUp, 'a working connection was replaced before it was closed')
        must(current.readyAt !== undefined, 'a connection became the current one before it was ready')
      }
      this.currentNative = current
      if (this.quietSince !== undefined) this.quietSince = this.now
      if (current) this.passUnread(current)
    } else if (next.name === 'closing') {
      if (current !== former) {
        must(former?.replacedAt !== undefined, 'the second connection is closed instead of the first')
        must(current?.readyAt !== undefined, 'a connection that was not ready is closed')
        this.currentNative = current
      }
    } else this.currentNative = undefined
    if (next.name === 'connecting' && last.name === 'open') {
      must(
        this.secondPhase === 'attempt' || former?.replacedAt !== undefined || this.hasClockJumped,
        'connecting without a delay, and without a second connection',
      )
    }
    this.seamless = next.name === 'open' ? this.isSeamless(former, last) : undefined
    this.isDoubted = this.hasClockJumped = false
    this.hold(false)
    this.hasTried = this.hasAttempt
    this.secondPhase = this.hasAttempt ? 'attempt' : 'nothing'
    if (this.hasAttempt) this.planSecond()
  }

  /** The expected value of `seamless` in the `open` event, if the model knows it. */
  seamless: boolean | undefined

  private isSeamless(former: Native | undefined, last: State): boolean | undefined {
    const { currentNative } = this
    if (last.name !== 'open' || former?.replacedAt === undefined) return false
    // The server may have closed it before it knew of the second connection.
    if (former.ended?.code !== 1000 || !['', 'handover'].includes(former.ended.reason)) return false
    if (this.isDoubted || this.hasClockJumped) return undefined
    return (currentNative?.readyAt as number) <= former.endedAt
  }

  /** The `error` event. */
  failed(error: SocketError, last: State): void {
    this.errors.push(error)
    if (last.name !== 'open' || error.code === 'UNHANDLED_BINARY') return
    const { retry } = this.world.settings
    // This error follows the error of the attempt.
    const isRetryFailed = error.code === 'RETRY_FAILED'
    if (isRetryFailed) this.secondPhase = 'attempt'
    this.world.must(this.secondPhase === 'attempt' || this.hasClockJumped, 'an error without an attempt')
    if (this.isClosingFirst) {
      this.secondPhase = 'nothing'
      return
    }
    const isFinal =
      isRetryFailed ||
      /throws|never/.test(retry) ||
      (retry === 'default' && error.code === 'CONNECTION_LOST' && FINAL.includes(error.close?.code ?? 0))
    this.secondPhase = isFinal ? 'nothing' : retry === 'when called' ? 'never' : 'later'
    this.hold(false)
    if (!isFinal) return
    this.isDoubted = false
  }

  /** A call of `handover()`. */
  call(): void {
    const { socket } = this.world
    const call: Call = { opens: this.opens, isClosed: /clos/.test(socket.state.name), outcome: undefined }
    this.calls.push(call)
    socket.handover('wanted').then(
      () => {
        call.outcome = 'resolved'
        this.world.must(this.opens > call.opens, 'handover() resolved without another connection')
      },
      error => {
        call.outcome = error
        const isKnown = error.code === 'CLOSED' || this.errors.includes(error)
        this.world.must(isKnown, `handover() rejected with ${error}`)
      },
    )
  }

  // The properties that must hold

  check(): void {
    const { world, currents, late, second, currentNative, now } = this
    const { must, natives, socket, settings } = world
    const { name } = socket.state
    const most = name === 'open' ? 2 : +(name === 'connecting' || name === 'closing')
    must(currents.length <= most, `${currents.length} connections while ${name}`)
    const usable = natives.filter(({ readyState }) => readyState < 2)
    must(usable.length <= most, `${usable.length} usable sockets while ${name}`)
    must(
      usable.every(native => native.current || native.isLate),
      'a usable socket without listeners',
    )
    must(
      natives.every(native => native.current || native.isLate || native.onmessage === null),
      'a message listener on a socket that was abandoned',
    )
    if (/open|closing/.test(name))
      must(currentNative && currents[0] === currentNative, `no socket while ${name}`)
    this.checkLate(late)
    if (name !== 'open' || !currentNative) return
    const isUncertain = this.hasClockJumped
    if (this.secondPhase === 'attempt')
      must(this.hasAttempt || isUncertain, 'the second connection does not exist any more')
    if (second?.readyAt !== undefined) {
      must(!this.isDoubted || isUncertain, 'a dead connection was not replaced')
      const left = this.isClosingFirst || now - second.readyAt <= Math.max(second.handshake, 100)
      must(
        left,
        `the first connection is still read, ${now - second.readyAt} ms after the second one was ready`,
      )
    }
    if (second && second.readyAt === undefined) {
      const time = now - second.started
      must(
        time <= Math.max(settings.connectTimeout, 60_000),
        `a second connection has been connecting for ${time} ms`,
      )
    }
    if (currentNative.replacedAt !== undefined) {
      const time = now - currentNative.replacedAt
      must(time <= settings.closeTimeout, `the first connection has been closing for ${time} ms`)
    }
    if (this.isHeld && !this.canPing) {
      const longest = JITTER + 60_000 + Math.max(30_000, settings.closeTimeout)
      must(
        now - this.heldSince <= longest || isUncertain,
        `messages have been held back for ${now - this.heldSince} ms`,
      )
    }
    const maxAge = this.settings.maxAge ?? Infinity
    const age = now - this.openedAt
    const isWanted =
      this.isDoubted ||
      isUncertain ||
      this.isAnnounced ||
      age >= maxAge * 0.9 ||
      this.calls.some(({ outcome }) => !outcome)
    must(
      isWanted || (this.secondPhase === 'nothing' && !this.hasAttempt),
      'a second connection without a reason',
    )
    must(age <= maxAge || this.hasTried || this.isDoubted || isUncertain, `the connection is ${age} ms old`)
  }

  /** When the current connection became the current one. */
  openedAt = 0

  /** A connection that was replaced because it seemed dead is read for as long as the handshake of the second one took, and then closed. */
  private checkLate(late: Native | undefined): void {
    const { replacement, now } = this
    const { must, natives } = this.world
    must(natives.filter(native => native.isLate).length < 2, 'two replaced sockets are read')
    if (late) {
      must(
        this.isOpen && replacement?.former === late,
        'a socket is still read that was not replaced, or not last',
      )
      must(!replacement || now <= replacement.until, 'a replaced socket is read for too long')
    } else if (this.isOpen && replacement?.isRead)
      must(now >= replacement.until, 'a replaced socket is not read for long enough')
  }

  /** When no handover is in progress, all promises of `handover()` are settled. */
  checkCalls(): void {
    const { socket, must } = this.world
    const { state } = socket
    const open = this.calls.filter(({ outcome }) => !outcome).length
    const isOver = state.name === 'closed' && state.cause
    if (isOver || (state.name === 'open' && this.isQuiet && !this.hasClockJumped))
      must(!open, `${open} calls of handover() are pending while ${state.name}`)
    for (const { isClosed, outcome } of this.calls)
      must(
        !isClosed || (outcome as SocketError | undefined)?.code === 'CLOSED',
        'handover() of a closed socket was not rejected with CLOSED',
      )
  }

  /** The minimum and the maximum number of timers for handovers. */
  timers(): [least: number, most: number] {
    if (!this.isOpen) return [0, 0]
    const { replacement, now, second } = this
    const maxAge = this.settings.maxAge ?? Infinity
    const age = now - this.openedAt
    const isAging: [number, number] =
      maxAge === Infinity || age > maxAge ? [0, 0] : age < maxAge * 0.9 ? [1, 1] : [0, 1]
    const attempt = +(this.hasAttempt && !(this.isReady && !second?.ended))
    const later = +(this.secondPhase === 'later')
    const first = +(this.isReady || this.isClosingFirst)
    // The identities of messages of the first connection are kept for a while.
    const overlap: [number, number] =
      !replacement || now > replacement.until + (this.settings.id ? MAX_SKEW : 0)
        ? [0, 0]
        : [+(now < replacement.until), 1]
    const known = attempt + later + first
    return this.hasClockJumped
      ? [isAging[0] + attempt, isAging[1] + overlap[1] + known + 1]
      : [isAging[0] + overlap[0] + known, isAging[1] + overlap[1] + known]
  }

  /** The maximum number of attempts and connections whose signal is not aborted. */
  get maxSignals(): number {
    const { name } = this.world.socket.state
    if (/closed|waiting/.test(name)) return 0
    return name === 'open' && (this.secondPhase === 'attempt' || this.hasClockJumped) ? 2 : 1
  }

  /** Compares the messages that the application received with the arrivals. */
  checkReceived(received: readonly unknown[]): void {
    const rest = [...received]
    for (const { data, duplicate } of this.arrivals) {
      if (duplicate === 'yes') continue
      if (rest[0] === data) rest.shift()
      else if (duplicate === 'no') {
        this.world.must(
          false,
          `received ${received} instead of ${this.arrivals.map(({ data, duplicate }) => `${data} (${duplicate})`)}`,
        )
        return
      }
    }
    this.world.must(
      !rest.length,
      `also received ${rest}, after ${this.arrivals.map(({ data, duplicate }) => `${data} (${duplicate})`)}`,
    )
  }
}
