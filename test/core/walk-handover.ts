// What the random walk knows about handovers, from outside: which connection is the one in use, whether another one is being prepared beside
// it, and whether messages have to wait. Section 8 of the design.
import type { PageEvent, Socket, SocketError, SocketOptions, State } from '../../src/index.ts'
import type { Native, Settings } from './walk-model.ts'

export interface HandoverSettings {
  maxAge?: number | undefined
  /** Messages that begin with `leaving` announce the end of the connection. */
  when?: 'announces' | 'throws' | undefined
  id?: 'number' | 'throws' | undefined
  wake?: 'handover' | 'reconnect' | undefined
}

/** What these handovers ask of the walk. */
interface World {
  readonly settings: Settings
  readonly socket: Socket
  readonly natives: readonly Native[]
  /** The attempts and connections that the page's functions know, and that have not ended. */
  readonly scopes: ReadonlySet<AbortSignal>
  must(holds: unknown, text: string): void
}

/** A message for the application, in the order in which it has to arrive there. */
interface Arrival {
  readonly native: Native
  readonly data: unknown
  readonly time: number
  /** Whether it may be left out, or must be, because the other connection has brought it. */
  double: 'yes' | 'perhaps' | 'no'
}

interface Call {
  readonly opens: number
  readonly isClosed: boolean
  outcome: 'resolved' | SocketError | undefined
}

/** How many milliseconds of a minute in which nothing arrived in a hidden page. */
const LONG = 60_000
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
  official: Native | undefined
  /** The connection of the next `close` event. */
  ending: Native | undefined
  /** Whether the connection may be dead. */
  isDoubted = false
  /** Whether messages wait although the connection is open, and since when. */
  isHeld = false
  private heldSince = 0
  /** The second connection: nothing is planned, an attempt is due at a time that was set or at none, or there is an attempt. */
  private trying: 'nothing' | 'later' | 'never' | 'attempt' = 'nothing'
  /** A timer of the heartbeat may fire late, which means doubt. */
  private isJumped = false
  /** The present connection took over from one that was open. */
  private takeover: { former: Native; until: number; isRead: boolean } | undefined
  private hasTried = false
  /** The server has announced the end of the present connection. */
  private isAnnounced = false
  /** While the page is hidden: since when nothing has arrived. */
  private quietSince: number | undefined
  private readonly calls: Call[] = []
  private readonly errors: unknown[] = []
  readonly arrivals: Arrival[] = []
  private hasIdThrown = false
  opens = 0

  /** What the settings wish of handovers. */
  readonly wishes: HandoverSettings

  constructor(world: World) {
    this.world = world
    this.wishes = world.settings.handover || {}
  }

  options(react: (occasion: 'id' | 'when') => void): SocketOptions['handover'] {
    const { maxAge, when, id, wake } = this.wishes
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

  /** From now on, an identity may be unknown, also that of the message that is being passed on. */
  private onIdThrown(): void {
    this.hasIdThrown = true
    const last = this.arrivals.at(-1)
    if (last?.double === 'yes') last.double = 'perhaps'
  }

  private get now(): number {
    return performance.now()
  }

  private get isOpen(): boolean {
    return this.world.socket?.state.name === 'open'
  }

  /** The native sockets to which the socket listens: the one in use, and the second one. */
  get currents(): Native[] {
    return this.world.natives.filter(native => native.current)
  }

  get second(): Native | undefined {
    return this.isOpen ? this.currents.find(native => native !== this.official) : undefined
  }

  /** The connection that was replaced and is still read. */
  get late(): Native | undefined {
    return this.world.natives.find(native => native.isLate)
  }

  /** Whether doubt leads to anything. */
  private get isOn(): boolean {
    const { handover, retry } = this.world.settings
    return handover !== false && retry !== 'never'
  }

  /** Whether the heartbeat can ask. */
  private get canAsk(): boolean {
    const { heartbeat } = this.world.settings
    return !!heartbeat && heartbeat.message !== 'none'
  }

  /** Whether there is an attempt beside the open connection, or a connection that results from it. */
  private get hasAttempt(): boolean {
    if (!this.isOpen) return false
    if (this.world.settings.endpoint === 'fixed') return !!this.second
    return [...this.world.scopes].filter(({ aborted }) => !aborted).length > 1
  }

  /** Whether the first connection is being closed, and was asked to be so by the handover. */
  private get isClosingFirst(): boolean {
    return this.isOpen && this.official?.replacedAt !== undefined
  }

  private get isReady(): boolean {
    return this.second?.readyAt !== undefined
  }

  /** Whether nothing is known to be in progress. */
  get isQuiet(): boolean {
    return !this.isDoubted && this.trying === 'nothing' && !this.hasAttempt && !this.isClosingFirst
  }

  /** Whether it is open if messages have to wait: a late timer means doubt, or an attempt has failed and that was not reported yet. */
  get isUnclear(): boolean {
    return this.isJumped || (this.trying === 'attempt' && !this.hasAttempt)
  }

  private hold(isHeld: boolean): void {
    if (isHeld && !this.isHeld) this.heldSince = this.now
    this.isHeld = isHeld
  }

  // What happens

  /** A clock that is set forward makes timers of the heartbeat late. */
  jump(time: number): void {
    if (time > 0 && this.isOpen && this.isOn && this.world.settings.heartbeat) this.isJumped = true
  }

  /** Before the socket is told of a page event. */
  news(news: PageEvent, isHidden: boolean): void {
    if (news === 'wake') this.doubt()
    if (news !== 'hidden' && news !== 'visible') return
    const isQuiet = !isHidden && this.quietSince !== undefined && this.now - this.quietSince >= LONG
    this.quietSince = isHidden ? this.now : undefined
    if (isQuiet) this.doubt()
  }

  private doubt(): void {
    if (!this.isOn || !this.isOpen || this.isReady || this.isClosingFirst) return
    this.begin()
    this.isDoubted = true
    this.hold(true)
    if (!this.canAsk && !this.hasAttempt) this.trying = 'later'
  }

  /** A second connection is wanted: the time in which the last one was read is over. */
  private begin(): void {
    this.takeover = undefined
  }

  /** An attempt begins. */
  dialled(): void {
    if (!this.isOpen) return
    this.begin()
    this.hasTried = true
    this.trying = 'attempt'
    this.hold(this.isDoubted)
  }

  /** A native socket is open, and what prepares it is done. */
  ready(native: Native): void {
    if (!native.current || native.ended || native.readyState !== 1) return
    native.readyAt = this.now
    if (this.isOpen && native !== this.official) this.hold(true)
  }

  /** A message arrives at the page. Returns whether it waits until its connection is the one in use. */
  arrived(native: Native, data: unknown, isReply: boolean): void {
    if (native === this.official && native.current && this.isOpen) {
      if (this.isDoubted && !this.isReady) {
        this.isDoubted = false
        this.trying = 'nothing'
        this.hold(false)
      }
    } else if (native.current) {
      if (!isReply) native.inbox.push(data)
      return
    } else if (!native.isLate) return
    if (this.quietSince !== undefined) this.quietSince = this.now
    if (!isReply) this.pass(native, data)
  }

  /** A message is passed to the application, unless it is a double. */
  private pass(native: Native, data: unknown): void {
    if (native === this.official && /^leaving/.test(`${data}`)) this.isAnnounced = !!this.wishes.when
    this.arrivals.push({ native, data, time: this.now, double: this.doubleOf(native, data) })
  }

  private passUnread(native: Native): void {
    for (const data of native.inbox) {
      const place = native.taken.indexOf(data)
      if (place < 0) this.pass(native, data)
      else native.taken.splice(place, 1)
    }
  }

  private doubleOf(native: Native, data: unknown): Arrival['double'] {
    const { id } = this.wishes
    const identity = identityOf(data)
    if (!id || identity === undefined) return 'no'
    const same = this.arrivals.filter(arrival => identityOf(arrival.data) === identity)
    const others = same.filter(arrival => arrival.native !== native)
    if (!others.length) return 'no'
    if (this.hasIdThrown || same.length > others.length) return 'perhaps'
    return others.some(other => this.overlaps(native, other)) ? 'yes' : 'perhaps'
  }

  /** Whether the message has arrived, and arrives now, while there are two connections. */
  private overlaps(native: Native, other: Arrival): boolean {
    const { takeover, official } = this
    if (!takeover || !official) return false
    const isPair = [native, other.native].every(one => one === takeover.former || one === official)
    return isPair && other.time > official.started && this.now < takeover.until
  }

  /** The socket has reported a state. */
  entered(last: State, next: State): void {
    const { must } = this.world
    const former = this.official
    const [current] = this.currents
    this.ending = former
    if ('cause' in next) this.errors.push(next.cause)
    if (next.name === 'open') {
      this.opens++
      this.takeover = undefined
      this.openedAt = this.now
      this.isAnnounced = false
      if (last.name === 'open' && former && current) {
        const isRead = this.isDoubted && !former.ended && former.replacedAt === undefined && former.isPeerOpen
        this.takeover = { former, until: this.now + current.handshake, isRead }
        const { heartbeat } = this.world.settings
        const isGivenUp =
          this.isDoubted ||
          this.isJumped ||
          (heartbeat && this.now - former.lastLife >= Math.min(heartbeat.timeout, 3_000)) ||
          this.now - (former.replacedAt ?? Infinity) >= this.world.settings.closeTimeout
        must(former.ended || isGivenUp, 'a connection that lives was replaced before it was closed')
        must(current.readyAt !== undefined, 'a connection took over that was not ready')
      }
      this.official = current
      if (this.quietSince !== undefined) this.quietSince = this.now
      if (current) this.passUnread(current)
    } else if (next.name === 'closing') {
      if (current !== former) {
        must(former?.replacedAt !== undefined, 'the second connection is closed in place of the first')
        must(current?.readyAt !== undefined, 'a connection is closed that was not ready')
        this.official = current
      }
    } else this.official = undefined
    if (next.name === 'connecting' && last.name === 'open') {
      must(
        this.trying === 'attempt' || former?.replacedAt !== undefined || this.isJumped,
        'connecting without a wait, and without a second connection',
      )
    }
    this.seamless = next.name === 'open' ? this.isSeamless(former, last) : undefined
    this.isDoubted = this.isJumped = false
    this.hold(false)
    this.hasTried = this.hasAttempt
    this.trying = this.hasAttempt ? 'attempt' : 'nothing'
    if (this.hasAttempt) this.begin()
  }

  /** What the `open` event has to say, if that is known. */
  seamless: boolean | undefined

  private isSeamless(former: Native | undefined, last: State): boolean | undefined {
    const { official } = this
    if (last.name !== 'open' || former?.replacedAt === undefined) return false
    // The server may have closed it before it knew of the second connection.
    if (former.ended?.code !== 1000 || !['', 'handover'].includes(former.ended.reason)) return false
    if (this.isDoubted || this.isJumped) return undefined
    return (official?.readyAt as number) <= former.endedAt
  }

  /** The `error` event. */
  failed(error: SocketError, last: State): void {
    this.errors.push(error)
    if (last.name !== 'open' || error.code === 'UNHANDLED_BINARY') return
    const { retry } = this.world.settings
    // It follows the error of the attempt.
    const isRetryFailed = error.code === 'RETRY_FAILED'
    if (isRetryFailed) this.trying = 'attempt'
    this.world.must(this.trying === 'attempt' || this.isJumped, 'an error without an attempt')
    if (this.isClosingFirst) {
      this.trying = 'nothing'
      return
    }
    const isFinal =
      isRetryFailed ||
      /throws|never/.test(retry) ||
      (retry === 'default' && error.code === 'CONNECTION_LOST' && FINAL.includes(error.close?.code ?? 0))
    this.trying = isFinal ? 'nothing' : retry === 'when called' ? 'never' : 'later'
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

  // What must be true

  /** `hasPassed`: timers have had time to fire. */
  check(): void {
    const { world, currents, late, second, official, now } = this
    const { must, natives, socket, settings } = world
    const { name } = socket.state
    const most = name === 'open' ? 2 : +(name === 'connecting' || name === 'closing')
    must(currents.length <= most, `${currents.length} connections while ${name}`)
    const usable = natives.filter(({ readyState }) => readyState < 2)
    must(usable.length <= most, `${usable.length} usable sockets while ${name}`)
    must(
      usable.every(native => native.current || native.isLate),
      'a usable socket that nobody listens to',
    )
    must(
      natives.every(native => native.current || native.isLate || native.onmessage === null),
      'a listener for messages on a socket that was abandoned',
    )
    if (/open|closing/.test(name)) must(official && currents[0] === official, `no socket while ${name}`)
    this.checkLate(late)
    if (name !== 'open' || !official) return
    const isUncertain = this.isJumped
    if (this.trying === 'attempt') must(this.hasAttempt || isUncertain, 'the second connection has vanished')
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
      must(time <= Math.max(settings.connectTimeout, 60_000), `a second connection opens for ${time} ms`)
    }
    if (official.replacedAt !== undefined) {
      const time = now - official.replacedAt
      must(time <= settings.closeTimeout, `the first connection has been closing for ${time} ms`)
    }
    if (this.isHeld && !this.canAsk) {
      const longest = JITTER + 60_000 + Math.max(30_000, settings.closeTimeout)
      must(
        now - this.heldSince <= longest || isUncertain,
        `messages have waited for ${now - this.heldSince} ms`,
      )
    }
    const maxAge = this.wishes.maxAge ?? Infinity
    const age = now - this.openedAt
    const isWanted =
      this.isDoubted ||
      isUncertain ||
      this.isAnnounced ||
      age >= maxAge * 0.9 ||
      this.calls.some(({ outcome }) => !outcome)
    must(isWanted || (this.trying === 'nothing' && !this.hasAttempt), 'a second connection for no reason')
    must(age <= maxAge || this.hasTried || this.isDoubted || isUncertain, `a connection of ${age} ms`)
  }

  /** When the present state began. */
  openedAt = 0

  /** What was replaced because it seemed dead is read for as long as the handshake of the second one took, and then closed. */
  private checkLate(late: Native | undefined): void {
    const { takeover, now } = this
    const { must, natives } = this.world
    must(natives.filter(native => native.isLate).length < 2, 'two sockets that were replaced are read')
    if (late) {
      must(
        this.isOpen && takeover?.former === late,
        'a socket is read that was not replaced, or something else has begun',
      )
      must(!takeover || now <= takeover.until, 'a socket that was replaced is read for too long')
    } else if (this.isOpen && takeover?.isRead)
      must(now >= takeover.until, 'a socket that was replaced is not read any more')
  }

  /** Every promise is settled once the socket has settled. */
  checkCalls(): void {
    const { socket, must } = this.world
    const { state } = socket
    const open = this.calls.filter(({ outcome }) => !outcome).length
    const isOver = state.name === 'closed' && state.cause
    if (isOver || (state.name === 'open' && this.isQuiet && !this.isJumped))
      must(!open, `${open} calls of handover() are open while ${state.name}`)
    for (const { isClosed, outcome } of this.calls)
      must(
        !isClosed || (outcome as SocketError | undefined)?.code === 'CLOSED',
        'handover() of a closed socket',
      )
  }

  /** How many timers there have to be for handovers, and how many there may be. */
  timers(): [least: number, most: number] {
    if (!this.isOpen) return [0, 0]
    const { takeover, now, second } = this
    const maxAge = this.wishes.maxAge ?? Infinity
    const age = now - this.openedAt
    const isAging: [number, number] =
      maxAge === Infinity || age > maxAge ? [0, 0] : age < maxAge * 0.9 ? [1, 1] : [0, 1]
    const attempt = +(this.hasAttempt && !(this.isReady && !second?.ended))
    const later = +(this.trying === 'later')
    const first = +(this.isReady || this.isClosingFirst)
    // What the first connection has brought is remembered for a while.
    const overlap: [number, number] =
      !takeover || now > takeover.until + (this.wishes.id ? MAX_SKEW : 0)
        ? [0, 0]
        : [+(now < takeover.until), 1]
    const known = attempt + later + first
    return this.isJumped
      ? [isAging[0] + attempt, isAging[1] + overlap[1] + known + 1]
      : [isAging[0] + overlap[0] + known, isAging[1] + overlap[1] + known]
  }

  /** How many attempts and connections may have a lifetime. */
  get lifetimes(): number {
    const { name } = this.world.socket.state
    if (/closed|waiting/.test(name)) return 0
    return name === 'open' && (this.trying === 'attempt' || this.isJumped) ? 2 : 1
  }

  /** Compares what the application heard with what arrived. */
  checkHeard(heard: readonly unknown[]): void {
    const rest = [...heard]
    for (const { data, double } of this.arrivals) {
      if (double === 'yes') continue
      if (rest[0] === data) rest.shift()
      else if (double === 'no') {
        this.world.must(
          false,
          `heard ${heard} instead of ${this.arrivals.map(({ data, double }) => `${data} (${double})`)}`,
        )
        return
      }
    }
    this.world.must(
      !rest.length,
      `heard ${rest} as well, after ${this.arrivals.map(({ data, double }) => `${data} (${double})`)}`,
    )
  }
}
