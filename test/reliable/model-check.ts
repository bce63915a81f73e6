// Checks the guarantees of reliable sessions. It sees only the frames on the network, the calls of the applications, and their events and results.
import type { Gap, Outcome } from '../../src/reliable.ts'
import type { Item, Link, Watch, Way } from './model-network.ts'

type Frame = Record<string, any>

export interface Sent {
  readonly n: number
  readonly page: number
  readonly onLost: 'drop' | 'resend'
  readonly refuse: boolean
  outcome: Outcome | { status: 'left' } | undefined
  /** Whether it was sent on a connection. */
  flew: boolean
  /** How the gap reported it. */
  told: 'unknown' | 'resent' | undefined
  /** Whether its socket was closed while it was in flight. */
  closed: boolean
}

interface Pushed {
  readonly m: number
  readonly node: number
  readonly session: string
  /** The result of the server: the number of unacknowledged messages, or 0 if it was not accepted. */
  count: number | 'failed' | undefined
}

interface Invocation {
  readonly n: number
  readonly node: number
  readonly at: number
  done: boolean
  /** The connection that the node had then for the session, as far as the frames show. */
  readonly link: number
}

/** A session, as its frames show it. */
interface Session {
  readonly id: string
  readonly begun: number
  /** The frames of messages by number. */
  readonly messages: Map<number, string>
  /** Echoes, by the number of the message that they answer. */
  readonly echoes: Map<number, number>
  /** The last that was echoed. */
  newest: number
  /** The `ackId`s that a node received, and those that it handled. */
  readonly arrived: Set<number>
  readonly handled: Map<string, Invocation[]>
  /** The message of the application for each `ackId`. */
  readonly names: Map<number, number>
  /** When each `ackId` was first answered. */
  readonly answered: Map<number, number>
  /** The highest number whose acknowledgement by the client has reached a node. */
  acked: number
  /** The highest number that was written. */
  top: number
  /** The connections that nodes have for it, newest last. */
  links: Link[]
  /** The newest of all its connections. */
  latest: Link | undefined
  /** When nodes last knew of a connection for it. */
  alive: number
  over: boolean
  /** The newest connection for which a node resumed it. */
  readonly taken: Map<number, number>
  /** The tokens that were sent to clients, oldest first. */
  readonly tokens: string[]
  /** The token with which it was last resumed. It is valid until the store knows that a newer one has arrived. */
  shown: string | null
}

/** A connection, as its frames show it. */
interface Line {
  session: Session | undefined
  /** The session that the client asked to resume. */
  readonly wanted: string | null
  readonly shown: string | null
  readonly dialled: number
  /** Whether the first frame of the node was written, and whether it was read. */
  written: boolean
  greeted: boolean
  /** The number of the last written message. */
  number: number
  /** The messages that must be sent again on this connection before new ones, oldest first. */
  owed: string[]
  highest: number
  acked: number
  /** The `ackId`s that the node received while this was its newest connection of the session. */
  readonly heard: Set<number>
}

const WINDOW = 256
const WINDOW_BYTES = 2 ** 20

export const TOTALS = {
  runs: 0,
  connections: 0,
  resumed: 0,
  sessions: 0,
  deaths: 0,
  shutdowns: 0,
  losses: 0,
  troubles: 0,
  reloads: 0,
  sent: 0,
  delivered: 0,
  dropped: 0,
  stored: 0,
  unknown: 0,
  pushed: 0,
  heard: 0,
  echoes: 0,
  gaps: 0,
  resent: 0,
  duplicates: 0,
  virtual: 0,
  cuts: {} as Record<string, number>,
}

export class Check implements Watch {
  readonly faults: string[] = []
  readonly story: string[] = []
  readonly sessions = new Map<string, Session>()
  readonly said = new Map<number, Sent>()
  readonly pushed = new Map<number, Pushed>()
  private readonly lines = new Map<Link, Line>()
  private readonly deaths = new Map<number, number[]>()
  private readonly troubles = new Map<number, number[]>()
  private lost = -1
  private lastHandled = new Map<string, number>()

  // The state of the client, which outlives a reload.
  private page = 0
  session: Session | undefined
  token: string | undefined
  /** The messages that were sent in this session and are not acknowledged, by `ackId`. */
  private unacked = new Map<number, string>()
  /** The requests that joined its groups. */
  private readonly joined = new Map<string, [ackId: number, text: string]>()
  /** The requests that joined them again in a new session. Until they are acknowledged, they may exceed the window. */
  private readonly rejoined = new Set<number>()
  private last = 0
  /** Whether the client has read that its session is lost, so that the next event must be the gap. */
  private mustGap = false
  private link: Link | undefined
  readonly delivered: { session: string; id: number; data: Frame }[] = []

  private readonly limits: { sessionTimeout: number; maxUnacknowledged: number }
  private readonly inFlight: () => { inFlight: number; inFlightBytes: number }

  constructor(
    limits: { sessionTimeout: number; maxUnacknowledged: number },
    inFlight: () => { inFlight: number; inFlightBytes: number },
  ) {
    this.limits = limits
    this.inFlight = inFlight
  }

  must(holds: unknown, what: string): void {
    if (holds) return
    this.faults.push(what)
    this.tell(`FAULT ${what}`)
  }

  tell(what: string): void {
    this.story.push(`${String(Date.now() - 1_000_000).padStart(7)}  ${what}`)
  }

  /** The current connection or attempt of the client. */
  get current(): Link | undefined {
    return this.link
  }

  // Frames on the network

  dialled(link: Link): void {
    TOTALS.connections++
    const { id: wanted, token } = link.client.shown
    this.lines.set(link, {
      session: undefined,
      dialled: Date.now(),
      wanted,
      shown: token,
      written: false,
      greeted: false,
      number: 0,
      owed: [],
      highest: 0,
      acked: 0,
      heard: new Set(),
    })
    this.tell(`#${link.index} dials${wanted ? ` for ${wanted.slice(0, 4)}` : ''}`)
    if (link.page !== this.page) return
    this.link = link
    this.must(wanted === (this.session?.id ?? null), `#${link.index} asks for ${wanted}`)
    this.must(token === (this.token ?? null), `#${link.index} shows a token that is not the newest it has`)
  }

  cut(link: Link, what: string): void {
    TOTALS.cuts[what] = (TOTALS.cuts[what] ?? 0) + 1
    this.tell(`#${link.index} breaks: ${what}`)
  }

  sentUp(link: Link, text: string): void {
    const line = this.lines.get(link) as Line
    const frame = JSON.parse(text)
    const { ackId, sequenceId, type } = frame
    this.tell(`#${link.index} > ${brief(frame)}`)
    if (link.page !== this.page) return
    this.must(link === this.link, `#${link.index} is no more, and is sent ${type}`)
    this.must(line.greeted, `${type} before connected`)
    if (type === 'sequenceAck') {
      this.must(sequenceId <= this.last, `${sequenceId} is acknowledged, ${this.last} was delivered`)
      // A message that is sent again must be identical.
      this.must(sequenceId >= line.acked, `${sequenceId} is acknowledged after ${line.acked}`)
      line.acked = sequenceId
    } else if (type === 'endSession') {
      // It counts from its arrival.
      ;(line.session as Session).over = true
    } else if (type !== 'ping') {
      const next = line.owed.shift()
      if (next !== undefined) this.must(text === next, `${brief(frame)} instead of ${next}, which is owed`)
      else {
        this.must(!this.unacked.has(ackId), `${ackId} is sent twice on one connection`)
        this.must(ackId > line.highest, `${ackId} after ${line.highest}`)
      }
      line.highest = ackId
      this.unacked.set(ackId, text)
      const { data } = frame
      if (data) {
        const sent = this.said.get(data.n) as Sent
        const { status = 'left' } = sent.outcome ?? {}
        this.must(status === 'left', `${data.n} is sent, and was ${status}`)
        sent.flew = true
      }
      const bytes = [...this.unacked.values()].reduce((sum, { length }) => sum + length, 0)
      this.checkWindow(this.unacked.size, bytes)
    }
  }

  sentDown(link: Link, text: string): void {
    const line = this.lines.get(link) as Line
    const frame = JSON.parse(text)
    const { type, event, sequenceId, connectionId, reconnectionToken } = frame
    this.tell(`#${link.index}   < ${brief(frame)}`)
    if (!line.written) {
      line.written = true
      this.must(type === 'system', `the first frame is ${brief(frame)}`)
    }
    if (event === 'connected') {
      this.must(!line.session, 'connected twice on one connection')
      this.must(!line.wanted || line.wanted === connectionId, 'a resumed session has another id')
      const session = this.sessionOf(connectionId)
      this.must(line.wanted || !session.links.length, 'two sessions have the same id')
      this.must(!session.tokens.includes(reconnectionToken), 'a token that was used before')
      const { node } = link.server as { node: number }
      session.links.push(link)
      session.latest = link
      session.taken.set(node, link.index)
      session.tokens.push(reconnectionToken)
      session.shown = line.shown
      line.session = session
      if (line.wanted) TOTALS.resumed++
      else TOTALS.sessions++
    } else if (type === 'message') {
      const session = line.session as Session
      this.must(session, 'a message before connected')
      // Only messages that the client has acknowledged may be left out, including those that it has acknowledged on this connection.
      const isNext = sequenceId === line.number + 1
      this.must(sequenceId > line.number, `${sequenceId} after ${line.number}`)
      this.must(
        (line.number && isNext) || sequenceId <= session.acked + 1,
        `${sequenceId} after ${line.number}, ${session.acked} was acknowledged`,
      )
      line.number = sequenceId
      const body = text.replace(/^.*?,/, '')
      const known = session.messages.get(sequenceId)
      if (known === undefined) {
        this.must(sequenceId === session.top + 1, `${sequenceId} is new after ${session.top}`)
        session.top = sequenceId
        session.messages.set(sequenceId, body)
        const { n } = frame.data
        if (n !== undefined) {
          TOTALS.echoes++
          this.must(!session.echoes.has(n), `${n} was carried out twice`)
          this.must(n > session.newest, `${n} was carried out after ${session.newest}`)
          session.newest = n
          session.echoes.set(n, sequenceId)
        }
      } else this.must(known === body, `${sequenceId} is not what it was`)
      const open = session.top - session.acked
      this.must(open <= this.limits.maxUnacknowledged, `${open} unacknowledged`)
    } else if (type === 'ack') {
      const { ackId, success, error } = frame
      const session = line.session as Session
      if (!session.answered.has(ackId)) session.answered.set(ackId, Date.now())
      this.must(session.arrived.has(ackId), `an answer to ${ackId}, which was not sent`)
      const n = session.names.get(ackId)
      if (n === undefined) return
      const all = session.handled.get(`${session.id}:${ackId}`) ?? []
      const { refuse } = this.said.get(n) as Sent
      this.must(
        all.some(({ done }) => done),
        `${n} is answered, but was not handled`,
      )
      if (error?.name === 'Duplicate') TOTALS.duplicates++
      this.must((success || error.name === 'Duplicate') === !refuse, `${n}: ${error?.name ?? 'success'}`)
    }
  }

  sentClose(link: Link, code: number, reason: string): void {
    const { session, wanted } = this.lines.get(link) as Line
    this.tell(`#${link.index}   < close ${code} ${reason}`)
    // The session of a slow consumer ends, too, but its client may begin a new one.
    if (code !== 1008 && code !== 1013) return
    if (session) {
      session.over = true
      this.must(/^slow/.test(reason), `a session with a connection was ended: ${reason}`)
    } else if (wanted && code === 1008) this.checkRefusal(wanted, link)
  }

  /** A client with its newest token may be refused only if the session does not exist any more. */
  private checkRefusal(id: string, link: Link): void {
    const session = this.sessions.get(id)
    if (!session || session.over || link !== this.link) return
    const rest = session.links.some(other => other === session.latest) ? 0 : Date.now() - session.alive
    // The store knew of it a little earlier.
    const gone =
      this.lost >= session.begun - 10_000 ||
      rest >= this.limits.sessionTimeout ||
      this.limits.maxUnacknowledged < 1_000
    this.must(gone, `${id} is refused, and should be there: ${rest} ms without a connection`)
  }

  sent(link: Link, way: Way, item: Item): void {
    if (item.kind === 'close') this.sentClose(link, item.code, item.reason)
    else if (item.kind !== 'text') return
    else if (way === 'up') this.sentUp(link, item.text)
    else this.sentDown(link, item.text)
  }

  arrived(link: Link, way: Way, item: Item): void {
    if (way === 'up') {
      if (item.kind === 'text') this.arrivedUp(link, JSON.parse(item.text))
    } else if (item.kind === 'close') {
      this.tell(`#${link.index} <   close ${item.code}`)
      if (link === this.link && item.code === 1008 && this.session) this.mustGap = true
    } else if (item.kind === 'text') this.arrivedDown(link, item.text)
  }

  private arrivedUp(link: Link, frame: Frame): void {
    const { session, heard } = this.lines.get(link) as Line
    this.must(session || frame.type === 'ping', 'the client sent a frame before connected')
    if (!session) return
    this.tell(`#${link.index}   > ${brief(frame)}`)
    const { ackId, sequenceId, data } = frame
    if (frame.type === 'sequenceAck') session.acked = Math.max(session.acked, sequenceId)
    if (ackId === undefined) return
    session.arrived.add(ackId)
    const { node } = link.server as { node: number }
    const newest = session.links.filter(other => other.server?.node === node).at(-1)
    if (newest === link) heard.add(ackId)
    if (data) session.names.set(ackId, data.n)
  }

  private arrivedDown(link: Link, text: string): void {
    const line = this.lines.get(link) as Line
    const frame = JSON.parse(text)
    this.tell(`#${link.index} <   ${brief(frame)}`)
    if (link !== this.link || link.page !== this.page) return
    const { type, event, connectionId, reconnectionToken, ackId } = frame
    if (event === 'connected') {
      line.greeted = true
      if (this.session && this.session.id !== connectionId) this.mustGap = true
      else {
        line.owed = [...this.unacked].sort(([one], [other]) => one - other).map(([, text]) => text)
        TOTALS.resent += line.owed.length
      }
      // If a gap must be reported, frames may be sent only after it.
      this.next = [this.sessionOf(connectionId), reconnectionToken]
      if (!this.mustGap) this.enter()
    } else if (type === 'ack') {
      const text = this.unacked.get(ackId)
      if (!text) return
      this.unacked.delete(ackId)
      const { type, group } = JSON.parse(text)
      if (type === 'joinGroup') this.joined.set(group, [ackId, text])
      if (type === 'leaveGroup') this.joined.delete(group)
    }
  }

  private next: [Session, string] | undefined
  private enter(): void {
    if (!this.next) return
    ;[this.session, this.token] = this.next
    this.next = undefined
  }

  ended(link: Link): void {
    const session = this.lines.get(link)?.session
    if (!session) return
    // A replaced connection of the session stays open for a moment, and does not keep the session alive.
    if (link === session.latest) session.alive = Date.now()
    session.links = session.links.filter(other => other !== link)
  }

  private sessionOf(id: string): Session {
    const known = this.sessions.get(id)
    if (known) return known
    const session: Session = {
      id,
      begun: Date.now(),
      messages: new Map(),
      echoes: new Map(),
      newest: 0,
      arrived: new Set(),
      handled: new Map(),
      names: new Map(),
      answered: new Map(),
      acked: 0,
      top: 0,
      links: [],
      latest: undefined,
      alive: Date.now(),
      over: false,
      taken: new Map(),
      tokens: [],
      shown: null,
    }
    this.sessions.set(id, session)
    return session
  }

  // Calls, results and events of the client

  begin(page: number): void {
    this.page = page
    this.link = undefined
    this.tell(`page ${page}`)
  }

  calls(sent: Sent): void {
    TOTALS.sent++
    this.said.set(sent.n, sent)
    this.tell(`send ${sent.n}`)
  }

  settles(n: number, page: number, outcome: Outcome): void {
    if (page !== this.page) return
    this.must(!this.said.get(n)?.outcome, `${n} is settled twice`)
    this.ends(n, outcome)
  }

  private ends(n: number, outcome: Outcome): void {
    const sent = this.said.get(n) as Sent
    sent.outcome = outcome
    this.tell(`${n} is ${outcome.status}${outcome.status === 'dropped' ? `, ${outcome.reason}` : ''}`)
    TOTALS[outcome.status]++
    if (outcome.status === 'unknown') {
      this.must(
        sent.told === 'unknown' || sent.closed,
        `the outcome of ${n} is unknown, but no gap reported it`,
      )
    }
  }

  /** The events of the client. */
  hears(page: number, type: string, payload: any): void {
    if (page !== this.page) return
    if (type === 'message') {
      const { id, data } = payload
      TOTALS.heard++
      this.tell(`hears ${id}: ${JSON.stringify(data)}`)
      this.must(!this.mustGap, `${id} is delivered before the gap`)
      this.must(id === this.last + 1, `${id} is delivered after ${this.last}`)
      this.last = id
      const { session } = this
      this.must(session?.messages.get(id)?.includes(JSON.stringify(data)), `${id} is not what was sent`)
      this.delivered.push({ session: session?.id as string, id, data })
    } else if (type === 'gap') this.hearsGap(payload)
    else if (type === 'outcome') {
      // The promises of a page that was left do not matter.
      const { n } = payload.data ?? {}
      if (n === undefined) return
      this.must(
        this.said.get(n)?.outcome?.status === 'left',
        `${n} has an outcome event, although its page was not left`,
      )
      this.ends(n, payload)
    } else if (type === 'open') {
      this.tell('open')
      this.must(!this.mustGap, 'open before the gap')
      this.must(
        payload.resumed === (this.lines.get(this.link as Link)?.wanted === this.session?.id),
        'resumed',
      )
    } else if (type === 'state' && payload.name === 'closed') {
      this.tell('closed')
      for (const [ackId, text] of this.unacked) {
        const { type, data } = JSON.parse(text)
        if (/^(join|leave)/.test(type)) continue
        this.unacked.delete(ackId)
        if (data) (this.said.get(data.n) as Sent).closed = true
      }
    } else if (type === 'error' && payload instanceof TypeError) this.must(false, `error: ${payload.message}`)
  }

  private hearsGap(gap: Gap): void {
    TOTALS.gaps++
    this.tell(`gap: ${gap.reason}`)
    this.must(gap.reason !== 'skipped', 'numbers were skipped')
    if (gap.reason === 'skipped') return
    this.must(this.mustGap, 'a gap, although the session is not lost')
    const numbers = (list: readonly { data?: unknown }[]) => list.flatMap(({ data }: any) => data?.n ?? [])
    const expected = [...this.unacked].sort(([one], [other]) => one - other)
    const named = expected.map(([, text]) => JSON.parse(text)).filter(({ data }) => data)
    for (const kind of ['unknown', 'resent'] as const) {
      const wish = kind === 'unknown' ? 'drop' : 'resend'
      const list = named.filter(({ data }) => (this.said.get(data.n) as Sent).onLost === wish)
      this.must(
        `${numbers(gap[kind])}` === `${numbers(list)}`,
        `the gap names ${numbers(gap[kind])} as ${kind} instead of ${numbers(list)}`,
      )
      for (const n of numbers(gap[kind])) (this.said.get(n) as Sent).told = kind
    }
    this.mustGap = false
    this.session = this.token = undefined
    this.last = 0
    const keep = new Set(gap.resent.map(({ ackId }) => ackId))
    const again = [...this.joined.values(), ...expected.filter(([ackId]) => keep.has(ackId))]
    again.sort(([one], [other]) => one - other)
    for (const [ackId] of this.joined.values()) this.rejoined.add(ackId)
    this.joined.clear()
    this.unacked = new Map(again)
    const line = this.link && this.lines.get(this.link)
    if (this.next && line) line.owed = again.map(([, text]) => text)
    this.enter()
  }

  // Calls and results of the server

  handles(id: string, n: number, node: number): Invocation {
    const [name = '', ackId] = id.split(':')
    const session = this.sessions.get(name) as Session
    this.tell(`node ${node} handles ${n}`)
    const sent = this.said.get(n) as Sent
    const call: Invocation = {
      n,
      node,
      at: Date.now(),
      done: false,
      link: session.taken.get(node) ?? -1,
    }
    const all = session.handled.get(id) ?? []
    session.handled.set(id, [...all, call])
    for (const { node: before, at, link: held } of all) {
      const between = (list: readonly number[] = []) => list.some(time => time >= at)
      // Another node may have resumed the session for a connection that broke before a frame was sent. Then the first call has no effects.
      // With a slow store, this may even be an older connection: a node that is shutting down resumes a session after its successor.
      const moved = [...this.lines].some(
        ([link, { wanted }]) =>
          wanted === name && link.index !== held && link.server !== undefined && link.server.node !== node,
      )
      this.must(
        sent.refuse || before !== node || moved || between(this.troubles.get(node)),
        `${n} is handled again by node ${node} without a reason`,
      )
    }
    const came = [...this.lines].some(
      ([link, { session: of, heard }]) =>
        of === session && link.server?.node === node && heard.has(Number(ackId)),
    )
    // A node that resumes the session later knows of it.
    const answered = session.answered.get(Number(ackId)) ?? Infinity
    const newest = session.links.filter(link => link.server?.node === node).at(-1)
    const known = newest && (this.lines.get(newest) as Line).dialled > answered
    this.must(sent.refuse || !known, `${n} is handled again, and had been answered before this connection`)
    this.must(came, `${n} is handled, and came only on a connection that is no more the session's`)
    if (!all.length) {
      const before = this.lastHandled.get(name) ?? 0
      this.must(n > before, `${n} is handled after ${before}`)
      this.lastHandled.set(name, n)
    }
    return call
  }

  pushes(pushed: Pushed): void {
    TOTALS.pushed++
    this.pushed.set(pushed.m, pushed)
    this.tell(`node ${pushed.node} pushes ${pushed.m}`)
  }

  pushSettles(m: number, count: number | 'failed'): void {
    const pushed = this.pushed.get(m) as Pushed
    this.tell(`push ${m}: ${count}`)
    pushed.count = count
    if (count === 'failed') return
    this.must(count <= this.limits.maxUnacknowledged, `${count} unacknowledged`)
  }

  died(node: number): void {
    TOTALS.deaths++
    this.tell(`node ${node} dies`)
    this.deaths.set(node, [...(this.deaths.get(node) ?? []), Date.now()])
  }

  troubled(node: number): void {
    this.tell(`the store fails node ${node}`)
    this.troubles.set(node, [...(this.troubles.get(node) ?? []), Date.now()])
  }

  /** Whether the store ever failed a node. */
  get hadTrouble(): boolean {
    return this.troubles.size > 0
  }

  storeLost(): void {
    TOTALS.losses++
    this.tell('the store is lost')
    this.lost = Date.now()
    for (const session of this.sessions.values()) session.over = true
  }

  everyStep(): void {
    const { inFlight, inFlightBytes } = this.inFlight()
    this.checkWindow(inFlight, inFlightBytes)
  }

  private checkWindow(count: number, bytes: number): void {
    const onTop = [...this.rejoined].flatMap(ackId => this.unacked.get(ackId) ?? [])
    const size = count - onTop.length
    const rest = bytes - onTop.join('').length
    this.must(size <= WINDOW && (size <= 1 || rest <= WINDOW_BYTES), `${count} in flight, ${bytes} bytes`)
  }

  // The end of a run

  /** Checks that all guarantees were kept. */
  final(): void {
    const final = this.session
    const handled = new Map<number, Set<string>>()
    const done = new Set<number>()
    for (const { handled: all } of this.sessions.values()) {
      for (const [id, calls] of all) {
        for (const { n, done: ready } of calls) {
          handled.set(n, (handled.get(n) ?? new Set()).add(id))
          if (ready) done.add(n)
        }
      }
    }
    for (const { n, outcome, onLost, refuse, flew, told } of this.said.values()) {
      const ids = handled.get(n) ?? new Set()
      const name = `${n} (${onLost}) is ${outcome?.status}`
      this.must(outcome, `${n} never settled`)
      if (ids.size > 1) this.must(told === 'resent' && onLost === 'resend', `${name}, handled as ${[...ids]}`)
      if (outcome?.status === 'delivered') {
        this.must(done.has(n), `${name}, and was not handled`)
        this.must(!refuse, `${name}, and was refused`)
      } else if (outcome?.status === 'dropped') {
        if (outcome.reason === 'refused') this.must(refuse, `${name}, and was not refused`)
        else this.must(!flew && !ids.size, `${name}, and was sent`)
      } else
        this.must(outcome?.status !== 'left', `${n} was carried over to another page, and has no outcome`)
      // If it was handled in the last session, its echo must have arrived, once.
      const echoed = final && [...ids].some(id => id.startsWith(`${final.id}:`))
      if (echoed && outcome?.status === 'delivered') this.must(final.echoes.has(n), `${name}, no echo`)
      if (refuse && final) this.must(!final.echoes.has(n), `${name}, and has an echo`)
    }
    // Whether the messages of the last session arrive once and in order is checked when they arrive.
    if (final) this.must(this.last === final.top, `${final.top} were written, ${this.last} delivered`)
    const count = new Map<number, number>()
    const order = new Map<string, number>()
    for (const { session, data } of this.delivered) {
      const { m } = data
      if (m === undefined) continue
      count.set(m, (count.get(m) ?? 0) + 1)
      const { node } = this.pushed.get(m) as Pushed
      const key = `${session} ${node}`
      this.must(m > (order.get(key) ?? 0), `${m} was delivered after ${order.get(key)}`)
      order.set(key, m)
    }
    for (const { m, session, node, count: answer } of this.pushed.values()) {
      const times = count.get(m) ?? 0
      this.must(times <= 1, `push ${m} was delivered ${times} times`)
      const died = this.deaths.has(node)
      this.must(answer !== undefined || died, `push ${m} never settled`)
      if (answer === 0) this.must(!times, `push ${m} was not accepted, but was delivered`)
      if (typeof answer === 'number' && answer > 0 && session === final?.id)
        this.must(times === 1, `push ${m} was accepted, and delivered ${times} times`)
    }
  }
}

const brief = (frame: Frame): string => {
  const { type, event, ackId, sequenceId, data, success, error, connectionId } = frame
  if (type === 'system') return `${event} ${connectionId?.slice(0, 4) ?? frame.message}`
  const what = data ? ` ${JSON.stringify({ ...data, fill: undefined })}` : ''
  const number = ackId ?? sequenceId ?? ''
  return `${type} ${number}${what}${success === undefined ? '' : ` ${error?.name ?? success}`}`
}
