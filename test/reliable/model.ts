// Real clients and real nodes of reliable sessions, with a simulated network and store. A plan determines their faults, and when nodes are
// killed.
import { EventEmitter } from 'node:events'
import fc from 'fast-check'
import { vi } from 'vitest'
import { createReliableSocket, type ReliableSocket } from '../../src/reliable.ts'
import {
  type ClientMessage,
  createReliableServer,
  type ReliableServer,
  type Session,
} from '../../src/server.ts'
import { Check, type Sent, TOTALS } from './model-check.ts'
import {
  type ClientEnd,
  type Fate,
  type How,
  type Listening,
  mix,
  Network,
  type NodeEnd,
  pick,
  type Way,
} from './model-network.ts'
import { SharedStore, type StoreLine } from './model-store.ts'

/** `slow`: the handler takes some time; `refused`: it throws; `fleeting`: the message has a short ttl. */
export type Kind = 'plain' | 'slow' | 'refused' | 'big' | 'fleeting'

export type Step =
  | { do: 'send'; count: number; onLost: 'drop' | 'resend'; kind: Kind }
  | { do: 'push'; count: number }
  | { do: 'pass'; time: number }
  | { do: 'cut'; how: How }
  | { do: 'hold'; way: Way; time: number }
  | { do: 'die'; node: number; asked: number; silent: boolean }
  | { do: 'shutdown'; node: number }
  | { do: 'trouble'; node: number; lost: 'question' | 'answer' }
  | { do: 'start' | 'reconnect' | 'reload' | 'lose' | 'restart' | 'replay' | 'join' | 'leave' }

export interface Plan {
  readonly seed: number
  readonly nodes: number
  /** The latency of frames and of the store. */
  readonly latency: 'none' | 'short' | 'long'
  readonly lossyNews: boolean
  readonly sessionTimeout: number
  readonly maxUnacknowledged: number
  /** Whether the client retries at a constant interval, or with the default policy. */
  readonly stubborn: boolean
  readonly fates: readonly (Fate | 'refused' | undefined)[]
  readonly steps: readonly Step[]
}

const LATENCY = {
  none: [0],
  short: [0, 0, 1, 5, 20],
  long: [0, 1, 20, 80, 300, 900],
}

const how = fc.constantFrom<How[]>('reset', 'late', 'deaf', 'silent')
const way = fc.constantFrom<Way[]>('up', 'down')
const to = <Name extends Step['do']>(name: Name) => fc.constant(name)

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      do: to('send'),
      count: fc.oneof(
        { weight: 60, arbitrary: fc.integer({ min: 1, max: 5 }) },
        { weight: 1, arbitrary: fc.constantFrom(40, 300) },
      ),
      onLost: fc.constantFrom<('drop' | 'resend')[]>('drop', 'drop', 'resend'),
      kind: fc.oneof(
        {
          weight: 11,
          arbitrary: fc.constantFrom<Kind[]>('plain', 'plain', 'plain', 'slow', 'refused', 'fleeting'),
        },
        { weight: 1, arbitrary: fc.constant<Kind>('big') },
      ),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: to('push'),
      count: fc.oneof(
        { weight: 60, arbitrary: fc.integer({ min: 1, max: 5 }) },
        { weight: 1, arbitrary: fc.constantFrom(30, 350) },
      ),
    }),
  },
  {
    weight: 14,
    arbitrary: fc.record({
      do: to('pass'),
      time: fc.constantFrom(1, 20, 20, 300, 300, 1_100, 1_100, 4_000, 20_000),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: to('cut'), how }) },
  { weight: 2, arbitrary: fc.record({ do: to('hold'), way, time: fc.constantFrom(100, 1_000, 5_000) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: to('die'), node: fc.nat(2), asked: fc.nat(3), silent: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ do: to('shutdown'), node: fc.nat(2) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: to('trouble'),
      node: fc.nat(2),
      lost: fc.constantFrom<('question' | 'answer')[]>('question', 'answer'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('reconnect' as const, 'start' as const, 'join' as const, 'leave' as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom('reload' as const, 'lose' as const, 'restart' as const, 'replay' as const),
    }),
  },
)

const fate = fc.oneof(
  { weight: 2, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.constant('refused' as const) },
  {
    weight: 5,
    arbitrary: fc.record({
      way,
      at: fc.oneof(fc.nat(3), fc.nat(12)),
      when: fc.constantFrom<Fate['when'][]>('before', 'inside', 'after'),
      how,
    }),
  },
)

export const plans: fc.Arbitrary<Plan> = fc.record({
  seed: fc.nat(2 ** 31 - 1),
  nodes: fc.integer({ min: 1, max: 3 }),
  latency: fc.constantFrom<Plan['latency'][]>('none', 'short', 'short', 'long'),
  lossyNews: fc.boolean(),
  sessionTimeout: fc.constantFrom(60_000, 60_000, 9_000),
  maxUnacknowledged: fc.constantFrom(1_000, 1_000, 1_000, 25),
  stubborn: fc.boolean(),
  fates: fc.array(fate, { maxLength: 8 }),
  steps: fc.array(step, { minLength: 1, maxLength: 30, size: 'max' }),
})

/** Waits for all microtasks. The real function is saved before the timers are replaced. */
const breathe = globalThis.setImmediate
export const settled = (): Promise<void> => new Promise(resolve => breathe(resolve))

/** A replacement for `Math.random()`. */
const random = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  return mix(seed) / 2 ** 32
}

/** A node, until it is killed. */
class Node implements Listening {
  alive = true
  readonly wss = Object.assign(new EventEmitter(), { options: {} })
  readonly server: ReliableServer
  readonly errors: unknown[] = []
  readonly index: number
  readonly line: StoreLine
  private readonly timers: ReturnType<typeof setInterval>[] = []
  private readonly ends: NodeEnd[] = []

  constructor(
    index: number,
    line: StoreLine,
    limits: { sessionTimeout: number; maxUnacknowledged: number },
    onMessage: (message: ClientMessage, session: Session, node: Node) => unknown,
  ) {
    this.index = index
    this.line = line
    const { setInterval: real } = globalThis
    // Timers end with the node.
    globalThis.setInterval = ((job: () => void, time: number) => {
      const timer = real(job, time)
      this.timers.push(timer)
      return timer
    }) as typeof setInterval
    this.server = createReliableServer(this.wss, {
      ...limits,
      // A handler of a killed node never ends. Otherwise, its time limit would make the node continue with the next request.
      handlerTimeout: Infinity,
      store: line,
      onMessage: (message, session) => onMessage(message, session, this),
      onJoin: () => true,
      onError: error => this.errors.push(error),
    })
    globalThis.setInterval = real
  }

  accept(end: NodeEnd, url: string, protocols: readonly string[]): void {
    this.ends.push(end)
    const { pathname, search } = new URL(url)
    const headers = { 'sec-websocket-protocol': protocols.join(', ') }
    this.wss.emit('connection', end, { url: pathname + search, headers })
  }

  /** Kills the node: no code of it runs any more. */
  die(asked: number): NodeEnd[] {
    this.alive = false
    for (const timer of this.timers) clearInterval(timer)
    this.line.die(asked)
    this.wss.removeAllListeners()
    for (const end of this.ends) {
      end.forget()
      end.removeAllListeners()
    }
    return this.ends
  }
}

const MOST_NODES = 3

export class World {
  readonly check: Check
  private readonly network: Network
  private readonly store: SharedStore
  readonly nodes: Node[] = []
  private socket: ReliableSocket<any>
  private page = -1
  /** Whether the client should be in the group. */
  private member = false
  private count = 0

  readonly plan: Plan

  constructor(plan: Plan) {
    this.plan = plan
    TOTALS.runs++
    const { seed, latency, lossyNews, sessionTimeout, maxUnacknowledged, fates, nodes } = plan
    const next = random(seed)
    vi.spyOn(Math, 'random').mockImplementation(next)
    vi.spyOn(crypto, 'getRandomValues').mockImplementation(<Bytes>(bytes: Bytes) => {
      for (let i = 0; i < (bytes as Uint8Array).length; i++) (bytes as Uint8Array)[i] = next() * 256
      return bytes
    })
    // The real implementation is asynchronous in real time. Tokens need not be secret here.
    vi.spyOn(crypto.subtle, 'digest').mockImplementation(
      async (_, data) => (data as Uint8Array).slice().buffer,
    )
    this.check = new Check({ sessionTimeout, maxUnacknowledged }, () => this.socket.stats)
    this.network = new Network(seed, LATENCY[latency], fates, this.check, () => this.living)
    this.store = new SharedStore(seed, LATENCY[latency], lossyNews)
    for (let i = 0; i < nodes; i++) this.start()
    this.socket = this.open(null)
  }

  private get living(): Node[] {
    return this.nodes.filter(({ alive }) => alive)
  }

  private start(): void {
    if (this.living.length >= MOST_NODES) return
    const index = this.nodes.length
    const { sessionTimeout, maxUnacknowledged } = this.plan
    const line = this.store.line(index, () => this.check.troubled(index))
    this.nodes.push(new Node(index, line, { sessionTimeout, maxUnacknowledged }, this.handle))
  }

  private open(saved: string | null): ReliableSocket<any> {
    const page = ++this.page
    this.check.begin(page)
    const socket = createReliableSocket<any>('wss://model.test/feed', {
      WebSocket: this.network.socketOf(page),
      heartbeat: { interval: 5_000, timeout: 3_000 },
      saved,
      ...(this.plan.stubborn && { retry: () => 200 }),
    })
    for (const type of ['message', 'gap', 'outcome', 'state', 'open', 'error'] as const) {
      socket.on(type, (payload: unknown) => this.check.hears(page, type, payload))
    }
    return socket
  }

  /** The handler of the nodes, which echoes messages. */
  private readonly handle = async (
    { id, data }: ClientMessage,
    session: Session,
    node: Node,
  ): Promise<void> => {
    const { n, kind } = data as { n: number; kind: string }
    const call = this.check.handles(id as string, n, node.index)
    if (kind === 'slow') {
      session.send({ n })
      await new Promise(resolve => setTimeout(resolve, pick([1, 30, 700], mix(this.plan.seed, n))))
      // The node was killed meanwhile.
      if (!node.alive) return new Promise(() => {})
    } else session.send({ n })
    call.done = true
    if (kind === 'refused') throw new Error('no')
  }

  async take(step: Step): Promise<void> {
    const { check, network, living } = this
    const link = check.current
    const node = 'node' in step && living.length ? pick(living, step.node) : undefined
    check.tell(`-- ${JSON.stringify(step)}`)
    if (step.do === 'send')
      for (let i = 0; i < (step.kind === 'big' ? Math.min(5, step.count) : step.count); i++) this.send(step)
    else if (step.do === 'push') for (let i = 0; i < step.count; i++) this.push()
    else if (step.do === 'pass') return this.pass(step.time)
    else if (step.do === 'cut') link?.cut(step.how, `any time, ${step.how}`)
    else if (step.do === 'hold') link?.[step.way].hold(step.time)
    else if (step.do === 'start') this.start()
    else if (step.do === 'join' || step.do === 'leave') {
      this.member = step.do === 'join'
      this.socket[step.do]('group')
    } else if (step.do === 'reconnect') this.socket.reconnect()
    else if (step.do === 'restart') {
      this.socket.close()
      await this.pass(10)
      this.reopen()
    } else if (step.do === 'reload') {
      TOTALS.reloads++
      await this.reload()
    } else if (step.do === 'lose') {
      this.store.lose()
      check.storeLost()
    } else if (step.do === 'replay') await this.replay(this.check.session?.shown)
    else if (step.do === 'trouble' && node) {
      TOTALS.troubles++
      node.line.trouble = step.lost
    } else if (step.do === 'die' && node) {
      check.died(node.index)
      for (const { link } of node.die(step.asked) as any[]) {
        link.cut(step.silent ? 'silent' : pick(['reset', 'deaf'], mix(network.seed, link.index)), 'node died')
      }
    } else if (step.do === 'shutdown' && node) {
      TOTALS.shutdowns++
      // Clients that still connect to this node are told to reconnect.
      const closed = node.server.close({ retryAfter: 1 }).catch(() => check.tell('it failed to close'))
      closed.then(() => {
        if (!node.alive) return
        check.died(node.index)
        TOTALS.deaths--
        for (const { link } of node.die(99) as any[]) link.cut('deaf', 'node stopped')
      })
    }
    await settled()
    check.everyStep()
    this.look()
  }

  private look(): void {
    const { faults } = this.check
    if (faults.length) throw new Error(`${faults[0]}\n${this.check.story.slice(-300).join('\n')}`)
  }

  private send({ onLost, kind }: Extract<Step, { do: 'send' }>): void {
    const n = ++this.count
    const sent: Sent = {
      n,
      page: this.page,
      onLost,
      refuse: kind === 'refused',
      outcome: undefined,
      flew: false,
      told: undefined,
      closed: false,
    }
    this.check.calls(sent)
    const { page } = this
    const fill = kind === 'big' ? 'x'.repeat(300_000) : undefined
    this.socket
      .send({ n, kind, fill }, kind === 'fleeting' ? { onLost, ttl: 500 } : { onLost })
      .then(outcome => this.check.settles(n, page, outcome))
  }

  private push(): void {
    const { check, living } = this
    const session = check.session?.id
    if (!session || !living.length) return
    const m = ++this.count
    const { index, server } = pick(living, mix(this.plan.seed, m, 1))
    check.pushes({ m, node: index, session, count: undefined })
    server.send(session, { m }).then(
      count => check.pushSettles(m, count),
      () => check.pushSettles(m, 'failed'),
    )
  }

  /** Another page continues the session. */
  private async reload(): Promise<void> {
    const { socket, check, network, page } = this
    const saved = socket.save()
    for (const link of network.links) if (link.page === page) link.client.leave()
    for (const sent of check.said.values()) sent.outcome ??= { status: 'left' }
    this.socket = this.open(saved)
    socket.close()
  }

  /** Connects with an older token of the session. */
  async replay(newer: string | null | undefined): Promise<void> {
    const { check, network } = this
    const { session } = check
    const token = session?.tokens[session.tokens.indexOf(newer as string) - 1]
    if (!session || !token) return
    const url = `wss://model.test/feed?awps_connection_id=${session.id}&awps_reconnection_token=${token}`
    const Foreign = network.socketOf(-1) as unknown as typeof ClientEnd
    const thief = new Foreign(url)
    let heard = ''
    thief.onmessage = ({ data }) => {
      heard += data
    }
    await this.pass(12_000)
    check.must(!heard.includes('reconnectionToken'), 'an old token was accepted')
    thief.close()
  }

  async pass(time: number): Promise<void> {
    let over = false
    TOTALS.virtual += time
    setTimeout(() => {
      over = true
    }, time)
    await settled()
    for (let rounds = 0; !over; rounds++) {
      if (rounds > 20_000) throw new Error('an endless loop of timers')
      vi.advanceTimersToNextTimer()
      await settled()
      this.look()
    }
  }

  private reopen(): void {
    this.socket.connect()
    // Requests to join and leave groups stay in effect, but unsent messages are dropped.
    this.socket[this.member ? 'join' : 'leave']('group')
  }

  private get isQuiet(): boolean {
    const { state, stats } = this.socket
    return state.name === 'open' && !stats.inFlight && !stats.queued
  }

  /** From now on, nothing breaks, and everything must finish. */
  async finish(): Promise<void> {
    const { check, network } = this
    network.calm = this.store.calm = true
    for (const link of network.links) link.fate = undefined
    for (const node of this.nodes) node.line.trouble = undefined
    this.start()
    // This is longer than the timeout of a handshake, and than the time to detect a half-open connection. It waits as long as messages are handled,
    // because hundreds of slow ones take minutes.
    let left = Infinity
    for (let idle = 0, i = 0; idle < 30; idle++, i++) {
      if (this.socket.state.name === 'closed') this.reopen()
      await this.pass(5_000)
      const { inFlight, queued } = this.socket.stats
      if (inFlight + queued < left) idle = 0
      left = Math.min(left, inFlight + queued)
      if (i > 4 && this.isQuiet) break
    }
    const { state, stats } = this.socket
    check.must(
      this.isQuiet,
      `long after the last fault: ${state.name}, ${stats.inFlight} in flight, ${stats.queued} queued`,
    )
    await this.pass(3_000)
    this.look()
    check.final()
    this.look()
    await this.leaveNothing()
    this.look()
  }

  private async leaveNothing(): Promise<void> {
    const { check, socket } = this
    const [node] = this.living
    // All messages except for this one are acknowledged.
    const { session } = check
    const m = ++this.count
    check.pushes({ m, node: node?.index as number, session: session?.id as string, count: undefined })
    const open = node?.server.send(session?.id as string, { m })
    await this.pass(3_000)
    check.must((await open) === 1, `${await open} unacknowledged, after all is quiet`)
    const members = node?.server.publish('group', { m })
    await this.pass(100)
    check.must((await members) === +this.member, `${await members} in the group, instead of ${+this.member}`)
    // If the store does not know that the newest token has arrived, the one before is still valid.
    if (!check.hadTrouble) await this.replay(check.token)
    check.must(socket.state.name === 'open', 'a connection with an old token affected the session')
    socket.close()
    await this.pass(2 * this.plan.sessionTimeout + 40_000)
    const left = node?.server.broadcast({})
    await this.pass(3_000)
    check.must((await left) === 0, `${await left} sessions are left`)
    for (const { server, alive } of this.nodes) if (alive) server.close()
    await this.pass(10_000)
    // The remaining timers may belong only to connections of nodes.
    check.must(vi.getTimerCount() === 0, `${vi.getTimerCount()} timers are left`)
    const { connections } = (node as Node).server.stats
    check.must(connections === 0, `${connections} connections are left`)
  }
}

/** Runs a plan. */
export const play = async (plan: Plan): Promise<World> => {
  vi.clearAllTimers()
  vi.setSystemTime(1_000_000)
  const world = new World(plan)
  for (const step of plan.steps) await world.take(step)
  await world.finish()
  for (const { delivered } of [world.check]) TOTALS.delivered += 0 * delivered.length
  return world
}
