// What the random walk does to calls and subscriptions, and what must be true. The server's own log is the judge: what has arrived, on which
// connection, and what was answered.
import { expect, vi } from 'vitest'
import { type Again, type CallError, type Calls, calls, jsonRpc } from '../../src/calls.ts'
import { createSocket, type Socket } from '../../src/index.ts'
import { createFakeServer, type FakePeer } from '../../src/testing.ts'

export type Step =
  // The page.
  | { do: 'call'; again: Again; timeout?: number | undefined; mortal: boolean }
  | { do: 'abort'; which: number }
  | { do: 'subscribe'; name: string; cursor: boolean }
  | { do: 'stop'; which: number }
  | { do: 'say' | 'reconnect' | 'connect' | 'close' | 'hand over' }
  // The server and the network.
  | { do: 'open' | 'open and drop' | 'drop' | 'freeze' | 'thaw' }
  | { do: 'end'; code: number }
  | { do: 'leave'; bytes: number }
  | { do: 'answer'; which: number; fails: boolean }
  | { do: 'confirm'; which: number; refuses: boolean }
  | { do: 'push'; which: number }
  | { do: 'garble'; text: string }
  | { do: 'pass'; time: number }

export interface Settings {
  /** Whether subscriptions are made in `prepare`. */
  isPrepared: boolean
  /** Whether frames are bytes. */
  isBinary: boolean
  queue: false | { maxMessages: number; overflow: 'reject' | 'drop-oldest' }
  highWaterMark: number
}

interface Call {
  readonly number: number
  readonly again: Again
  readonly abort: AbortController
  outcomes: string[]
}

interface Listener {
  readonly name: string
  readonly cursor: boolean
  readonly identity: string
  readonly heard: string[]
  readonly expected: string[]
  isStopped: boolean
  stop: () => void
}

/** A subscription from its first listener to its last. */
interface Topic {
  /** Its first parameter, by which the server knows it. */
  readonly number: number
  wasMade: boolean
  hasGap: boolean
  last: number | undefined
}

const settled = () => vi.advanceTimersByTimeAsync(0)

const decoder = new TextDecoder()
const parse = (data: unknown) => {
  const text = typeof data === 'string' ? data : decoder.decode(data as Uint8Array)
  return text.startsWith('{') ? JSON.parse(text) : { method: 'noise' }
}
const codec = {
  encode: (frame: unknown) => new TextEncoder().encode(JSON.stringify(frame)),
  decode: (data: ArrayBuffer) => JSON.parse(decoder.decode(data)),
}

export class Walk {
  readonly socket: Socket
  private readonly api: Calls<any>
  private readonly settings: Settings
  private readonly server = createFakeServer({ base: 'http://page.test/' })
  private readonly calls: Call[] = []
  private readonly listeners: Listener[] = []
  private readonly topics = new Map<string, Topic>()
  /** What the server has confirmed, by connection and key: the identity, and the number of the topic. */
  private readonly keys = new Map<FakePeer, Map<string, [identity: string, number: number]>>()
  /** Items that were sent on a connection before it was the page's. */
  private readonly early = new Map<FakePeer, [identity: string, number: number, item: number][]>()
  /** The connections that were made while another one was open. */
  private readonly wasBeside = new Set<FakePeer>()
  /** The connection that is open for the page. */
  private current: FakePeer | undefined
  private readonly answered = new Map<number, string[]>()
  private readonly done = new Set<unknown>()
  private readonly refused = new Set<unknown>()
  private readonly errors: CallError[] = []
  private readonly ends: string[] = []
  private closeCode = 0
  /** What listeners have noticed: what they throw does not end the walk. */
  private readonly faults: string[] = []
  private garbled = 0
  private items = 0
  private numbers = 0

  constructor(settings: Settings) {
    this.settings = settings
    const { isPrepared, isBinary, queue, highWaterMark } = settings
    this.server.hang()
    const options = {
      WebSocket: this.server.WebSocket,
      wake: false,
      retry: () => 100,
      queue,
      highWaterMark,
    } as const
    // Listens before the calls do, so that it sees what was sent in `prepare` alone.
    const create = (more: object = {}) => {
      const socket = createSocket('/rpc', { ...options, ...more })
      socket.on('open', ({ seamless }) => this.onOpen(seamless && this.closeCode === 1000))
      socket.on('close', ({ code }) => {
        this.closeCode = code
      })
      return socket
    }
    this.api = calls(
      isPrepared ? prepare => create({ prepare }) : create(),
      jsonRpc(),
      isBinary ? { codec } : {},
    )
    this.socket = this.api.socket as Socket
    this.api.on('error', error => this.errors.push(error))
    this.socket.on('close', () => {
      this.current = undefined
    })
  }

  async take(step: Step): Promise<void> {
    await this.act(step)
    await settled()
    this.check()
  }

  /** Everything works again, and every call ends in time. */
  async finish(): Promise<void> {
    for (let round = 0; round < 3; round++) {
      await this.act({ do: 'connect' })
      for (const peer of this.server.clients) peer.thaw('up')
      // A closing handshake on a frozen connection does not end.
      for (const peer of this.server.connections) if (peer.socket.readyState === 2) peer.drop()
      await vi.advanceTimersByTimeAsync(400)
      await this.act({ do: 'open' })
      await settled()
      for (let i = 0; i < 200 && (this.unanswered().length || this.unconfirmed().length); i++) {
        await this.act({ do: 'confirm', which: 0, refuses: false })
        await this.act({ do: 'answer', which: 0, fails: false })
        await settled()
      }
      await this.finishHandover()
    }
    this.check()
    const live = this.live()
    if (this.socket.state.name === 'open') {
      const subscribed = this.subscribed(this.current as FakePeer)
      // In a queue that is full there is no room for what ends a subscription, either.
      const isBounded = this.settings.queue && this.settings.queue.maxMessages < Infinity
      if (isBounded) expect(subscribed).toEqual(expect.arrayContaining(live))
      else expect(subscribed, 'what is subscribed on the connection').toEqual(live)
      const open = this.calls.filter(({ outcomes }) => !outcomes.length)
      expect(open, 'calls without an outcome').toEqual([])
    }
    this.socket.close()
    await vi.advanceTimersByTimeAsync(100_000)
    this.check()
    const wrong = this.calls.filter(({ outcomes }) => outcomes.length !== 1)
    expect(wrong, 'calls without one outcome').toEqual([])
    expect(vi.getTimerCount(), 'timers').toBe(0)
  }

  /** Lets the first connection of a handover be read, for as long as the second's handshake took, and be closed. Meanwhile, messages wait. */
  private async finishHandover(): Promise<void> {
    for (let waits = 0; waits < 30 && (this.server.clients.length > 1 || this.socket.queued); waits++)
      await vi.advanceTimersByTimeAsync(500)
  }

  private get peer(): FakePeer | undefined {
    return this.server.connections.at(-1)
  }

  /** The connection, if it is open for the page and the server. */
  private get line(): FakePeer | undefined {
    return this.current?.socket.readyState === 1 ? this.current : undefined
  }

  private live(): string[] {
    return [
      ...new Set(this.listeners.filter(({ isStopped }) => !isStopped).map(({ identity }) => identity)),
    ].sort()
  }

  private keyOf(peer: FakePeer, id: unknown): string {
    return `${this.server.connections.indexOf(peer)}:${id}`
  }

  /** What has arrived on all open connections and has no reply yet. */
  private waiting(...wanted: string[]): [peer: FakePeer, frame: any][] {
    return this.server.clients
      .flatMap(peer => peer.received.map(data => [peer, parse(data)] as [FakePeer, any]))
      .filter(([peer, { method, id }]) => wanted.includes(method) && !this.done.has(this.keyOf(peer, id)))
  }

  private unanswered() {
    return this.waiting('do')
  }

  private unconfirmed() {
    return this.waiting('subscribe', 'unsubscribe')
  }

  /** The subscriptions that are there by the server's log of a connection. */
  private subscribed(peer: FakePeer): string[] {
    const all: string[] = []
    const byId = new Map<string, string>()
    for (const { method, id, params } of peer.received.map(parse)) {
      if (method === 'subscribe' && !this.refused.has(this.keyOf(peer, id))) {
        all.push(params[0])
        byId.set(`k${id}`, params[0])
      } else if (method === 'unsubscribe') all.splice(all.indexOf(byId.get(params[0]) as string), 1)
    }
    return all.sort()
  }

  private reply(line: FakePeer, frame: object) {
    line.send(this.settings.isBinary ? codec.encode(frame) : JSON.stringify(frame))
  }

  private onOpen(isSeamless: boolean) {
    const peer = this.server.connections.findLast(({ socket }) => socket.readyState === 1) as FakePeer
    this.current = peer
    const sent = [...peer.received, ...peer.unsent].map(parse)
    const made = sent.filter(({ method }) => method === 'subscribe').map(({ params }) => params[1].number)
    for (const identity of this.live()) {
      const topic = this.topics.get(identity) as Topic
      const continues =
        (identity.endsWith('cursor') && topic.last !== undefined) ||
        (isSeamless && made.includes(topic.number))
      if (topic.wasMade && !continues) topic.hasGap = true
      topic.wasMade = true
    }
    for (const early of this.early.get(peer) ?? []) this.expect(...early)
    if (!this.settings.isPrepared) return
    // Nothing but what was prepared has been sent: every subscription, and the calls that may be made twice.
    const wanted = this.live().map(identity => this.topics.get(identity)?.number)
    // During a handover, some may have been added, stopped or refused since then.
    if (!this.wasBeside.has(peer) && `${made.sort()}` !== `${wanted.sort()}`)
      this.faults.push(`prepare made ${made}, and not ${wanted}`)
    for (const { method, params } of sent) {
      if (method === 'do' && this.calls[params[0]]?.again !== 'always')
        this.faults.push(`prepare sent call ${params}`)
    }
  }

  private async act(step: Step): Promise<void> {
    const { socket, peer, line } = this
    switch (step.do) {
      case 'call':
        return this.call(step)
      case 'abort':
        return this.calls.at(step.which % (this.calls.length || 1))?.abort.abort()
      case 'subscribe':
        return this.subscribe(step)
      case 'stop': {
        const some = this.listeners.filter(({ isStopped }) => !isStopped)
        const listener = some[step.which % (some.length || 1)]
        if (!listener) return
        listener.isStopped = true
        if (!this.live().includes(listener.identity)) this.topics.delete(listener.identity)
        return listener.stop()
      }
      case 'say':
        return void socket.send('noise')
      case 'hand over':
        void socket.handover().catch(() => {})
        await vi.advanceTimersByTimeAsync(150)
        return
      case 'reconnect':
      case 'connect':
        return socket[step.do]()
      case 'close':
        return socket.close()
      case 'open':
      case 'open and drop':
        if (socket.state.name === 'waiting') await vi.advanceTimersByTimeAsync(100)
        if (this.peer?.socket.readyState !== 0) return
        if (socket.state.name === 'open') this.wasBeside.add(this.peer)
        this.peer.accept()
        if (step.do === 'open and drop') this.peer.drop()
        return
      case 'drop':
        if (peer && peer.socket.readyState < 3) peer.drop()
        return
      case 'end':
        if (line) line.thaw('down').close(step.code)
        return
      case 'freeze':
      case 'thaw':
        if (peer && peer.socket.readyState < 2) peer[step.do]('up')
        return
      case 'leave':
        if (line?.unsent.length) line.drain(Math.min(step.bytes, line.socket.bufferedAmount))
        return
      case 'pass':
        return void (await vi.advanceTimersByTimeAsync(step.time))
      case 'garble':
        if (!line) return
        line.send(step.text)
        this.garbled++
        return
      default:
        this.serve(step)
    }
  }

  private call({ again, timeout, mortal }: Extract<Step, { do: 'call' }>) {
    const number = this.calls.length
    const abort = new AbortController()
    const call: Call = { number, again, abort, outcomes: [] }
    this.calls.push(call)
    const options = {
      again,
      ...(timeout !== undefined && { timeout }),
      ...(mortal && { signal: abort.signal }),
    }
    this.api.call('do', [number], options).then(
      result => call.outcomes.push(`result ${result}`),
      error =>
        call.outcomes.push(
          error.code === 'SERVER_ERROR' ? `error ${error.cause.code}` : (error.code ?? `${error}`),
        ),
    )
  }

  private subscribe({ name, cursor }: Extract<Step, { do: 'subscribe' }>) {
    const identity = cursor ? `${name}-cursor` : name
    const heard: string[] = []
    const listener: Listener = {
      name,
      cursor,
      identity,
      heard,
      expected: [],
      isStopped: false,
      stop: () => {},
    }
    const topic = this.topics.get(identity) ?? {
      number: ++this.numbers,
      wasMade: !!this.current,
      hasGap: false,
      last: undefined,
    }
    this.topics.set(identity, topic)
    this.listeners.push(listener)
    listener.stop = this.api.subscribe(
      identity,
      cursor ? (last: any) => ({ number: topic.number, after: last ?? null }) : { number: topic.number },
      (item, { gap }) => heard.push(`${item}${gap ? '!' : ''}`),
      {
        key: identity,
        onEnd: error => {
          this.ends.push(error?.code as string)
          listener.isStopped = true
          this.topics.delete(identity)
        },
      },
    )
  }

  private serve(step: Extract<Step, { do: 'answer' | 'confirm' | 'push' }>) {
    if (step.do === 'push') return this.push(step.which)
    const some = step.do === 'answer' ? this.unanswered() : this.unconfirmed()
    const [peer, frame] = some[step.which % (some.length || 1)] ?? []
    if (!peer) return
    const { id, method, params } = frame
    this.done.add(this.keyOf(peer, id))
    if (step.do === 'answer') {
      const outcome = step.fails ? `error ${id}` : `result ${id}`
      this.answered.set(params[0], [...(this.answered.get(params[0]) ?? []), outcome])
      this.reply(peer, { jsonrpc: '2.0', id, ...(step.fails ? { error: { code: id } } : { result: id }) })
    } else if (method === 'subscribe' && step.refuses) {
      this.refused.add(this.keyOf(peer, id))
      this.reply(peer, { jsonrpc: '2.0', id, error: { code: 1 } })
    } else {
      const keys = this.keys.get(peer) ?? new Map()
      if (method === 'subscribe') this.keys.set(peer, keys.set(`k${id}`, [params[0], params[1].number]))
      else keys.delete(params[0])
      this.reply(peer, { jsonrpc: '2.0', id, result: `k${id}` })
    }
  }

  /** Sends an item. During a handover, those of the next connection come when it is open. */
  private push(which: number) {
    const some = this.server.clients.flatMap(peer =>
      [...(this.keys.get(peer) ?? [])].map(([key, topic]) => ({ peer, key, topic })),
    )
    const { peer, key, topic } = some[which % (some.length || 1)] ?? {}
    if (!peer || !topic) return
    const item = ++this.items
    if (peer === this.current) this.expect(...topic, item)
    else this.early.set(peer, [...(this.early.get(peer) ?? []), [...topic, item]])
    this.reply(peer, { jsonrpc: '2.0', method: 'item', params: { subscription: key, result: item } })
  }

  private expect(identity: string, number: number, item: number) {
    const topic = this.topics.get(identity)
    // The page has ended that one.
    if (topic?.number !== number) return
    for (const listener of this.listeners) {
      if (listener.identity === identity && !listener.isStopped)
        listener.expected.push(`${item}${topic.hasGap ? '!' : ''}`)
    }
    topic.hasGap = false
    topic.last = item
  }

  private check() {
    const { connections } = this.server
    expect(this.faults).toEqual([])
    for (const { number, again, outcomes } of this.calls) {
      const isThis = (frame: any) => frame.method === 'do' && frame.params[0] === number
      const arrived = connections.flatMap(({ received }) => received.map(parse).filter(isThis)).length
      const sent = arrived + connections.flatMap(({ unsent }) => unsent.map(parse).filter(isThis)).length
      const [outcome] = outcomes
      const what = `call ${number} (${again}), ${outcome}`
      expect(outcomes.length, `${what}: outcomes`).toBeLessThan(2)
      const given = connections.filter(peer =>
        [...peer.received, ...peer.unsent].map(parse).some(isThis),
      ).length
      if (again === 'never') expect(given, `${what}: connections`).toBeLessThan(2)
      if (again !== 'always') expect(arrived, `${what}: arrived`).toBeLessThan(2)
      if (outcome === 'NOT_SENT') expect(arrived, `${what}: arrived`).toBe(0)
      if (outcome === 'UNKNOWN' || outcome === 'TIMEOUT') expect(sent, `${what}: sent`).toBeGreaterThan(0)
      if (outcome?.includes(' ')) expect(this.answered.get(number), what).toContain(outcome)
      expect(outcome ?? 'UNKNOWN', what).toMatch(/^(result \d+|error \d+|NOT_SENT|UNKNOWN|TIMEOUT)$/)
    }
    for (const peer of connections) {
      const numbers = [...peer.received, ...peer.unsent]
        .map(parse)
        .filter(({ method }) => method === 'do')
        .map(({ params }) => params[0])
        // What a handover has lost is sent again when the next connection is open, behind what waits.
        .filter(number => !this.wasBeside.size || this.calls[number]?.again !== 'always')
      if (this.settings.isPrepared)
        expect(numbers, 'the order on a connection').toEqual([...numbers].sort((a, b) => a - b))
    }
    for (const { heard, expected, identity } of this.listeners) expect(heard, identity).toEqual(expected)
    for (const { code } of this.errors) expect(['UNEXPECTED', 'MALFORMED']).toContain(code)
    expect(this.errors.filter(({ code }) => code === 'MALFORMED').length).toBeLessThanOrEqual(this.garbled)
    for (const code of this.ends) expect(['SERVER_ERROR', 'NOT_SENT']).toContain(code)
  }
}
