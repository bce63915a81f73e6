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
  | { do: 'say' | 'reconnect' | 'connect' | 'close' }
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

/** What the server and the page have in common about a subscription, by its identity. */
interface Topic {
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
  /** The identities of what the server has confirmed, by connection and key. */
  private readonly keys = new Map<FakePeer, Map<string, string>>()
  private readonly answered = new Map<number, string>()
  private readonly done = new Set<unknown>()
  private readonly refused = new Set<unknown>()
  private readonly errors: CallError[] = []
  private readonly ends: string[] = []
  private isOpen = false
  private garbled = 0
  private items = 0

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
    this.api = calls(
      isPrepared ? prepare => createSocket('/rpc', { ...options, prepare }) : createSocket('/rpc', options),
      jsonRpc(),
      isBinary ? { codec } : {},
    )
    this.socket = this.api.socket as Socket
    this.api.on('error', error => this.errors.push(error))
    this.socket.on('open', () => this.onOpen())
    this.socket.on('close', () => {
      this.isOpen = false
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
      await this.act({ do: 'thaw' })
      // A closing handshake on a frozen connection does not end.
      if (this.peer?.socket.readyState === 2) this.peer.drop()
      await vi.advanceTimersByTimeAsync(200)
      await this.act({ do: 'open' })
      await settled()
      for (let i = 0; i < 200 && (this.unanswered().length || this.unconfirmed().length); i++) {
        await this.act({ do: 'confirm', which: 0, refuses: false })
        await this.act({ do: 'answer', which: 0, fails: false })
        await settled()
      }
    }
    this.check()
    const live = this.live()
    if (this.socket.state.name === 'open') {
      const subscribed = this.subscribed(this.peer as FakePeer)
      // In a queue that is full there is no room for what ends a subscription, either.
      const isBounded = this.settings.queue && this.settings.queue.maxMessages < Infinity
      if (isBounded) expect(subscribed).toEqual(expect.arrayContaining(live))
      else expect(subscribed, 'what is subscribed on the connection').toEqual(live)
      expect(
        this.calls.filter(({ outcomes }) => !outcomes.length),
        'calls without an outcome',
      ).toEqual([])
    }
    this.socket.close()
    await vi.advanceTimersByTimeAsync(100_000)
    this.check()
    expect(
      this.calls.filter(({ outcomes }) => outcomes.length !== 1),
      'calls without one outcome',
    ).toEqual([])
    expect(vi.getTimerCount(), 'timers').toBe(0)
  }

  private get peer(): FakePeer | undefined {
    return this.server.connections.at(-1)
  }

  /** The connection, if it is open for the page and the server. */
  private get line(): FakePeer | undefined {
    return this.isOpen && this.peer?.socket.readyState === 1 ? this.peer : undefined
  }

  private live(): string[] {
    return [
      ...new Set(this.listeners.filter(({ isStopped }) => !isStopped).map(({ identity }) => identity)),
    ].sort()
  }

  private received(method: string): { id: number; params: any }[] {
    return (this.line?.received ?? []).map(parse).filter(frame => frame.method === method)
  }

  private keyOf(peer: FakePeer, frame: unknown): string {
    return `${this.server.connections.indexOf(peer)}:${JSON.stringify(frame)}`
  }

  private unanswered() {
    const line = this.line
    return line ? this.received('do').filter(frame => !this.done.has(this.keyOf(line, frame.id))) : []
  }

  private unconfirmed() {
    const line = this.line
    return line
      ? [...this.received('subscribe'), ...this.received('unsubscribe')].filter(
          frame => !this.done.has(this.keyOf(line, frame.id)),
        )
      : []
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

  private onOpen() {
    this.isOpen = true
    for (const identity of this.live()) {
      const topic = this.topics.get(identity) as Topic
      const continues = identity.endsWith('cursor') && topic.last !== undefined
      if (topic.wasMade && !continues) topic.hasGap = true
      topic.wasMade = true
    }
    const peer = this.peer as FakePeer
    this.keys.set(peer, new Map())
    if (!this.settings.isPrepared) return
    // Nothing but what was prepared has been sent: every subscription, and the calls that may be made twice.
    const sent = [...peer.received, ...peer.unsent].map(parse)
    expect(
      sent
        .filter(({ method }) => method === 'subscribe')
        .map(({ params }) => params[0])
        .sort(),
      'subscriptions in prepare',
    ).toEqual(this.live())
    for (const { method, params } of sent) {
      if (method !== 'subscribe') expect(this.calls[params[0]]?.again, 'a call in prepare').toBe('always')
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
      case 'reconnect':
      case 'connect':
        return socket[step.do]()
      case 'close':
        return socket.close()
      case 'open':
      case 'open and drop':
        if (socket.state.name === 'waiting') await vi.advanceTimersByTimeAsync(100)
        if (this.peer?.socket.readyState !== 0) return
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
        if (line) this.serve(step, line)
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
    if (!this.topics.has(identity))
      this.topics.set(identity, { wasMade: this.isOpen, hasGap: false, last: undefined })
    this.listeners.push(listener)
    listener.stop = this.api.subscribe(
      identity,
      cursor ? (last: any) => ({ after: last ?? null }) : undefined,
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

  private serve(step: Extract<Step, { do: 'answer' | 'confirm' | 'push' }>, line: FakePeer) {
    if (step.do === 'answer') {
      const some = this.unanswered()
      const frame = some[step.which % (some.length || 1)]
      if (!frame) return
      const { id, params } = frame
      this.done.add(this.keyOf(line, id))
      this.answered.set(params[0], step.fails ? `error ${id}` : `result ${id}`)
      this.reply(line, {
        jsonrpc: '2.0',
        id,
        ...(step.fails ? { error: { code: id, message: '' } } : { result: id }),
      })
    } else if (step.do === 'confirm') {
      const some = this.unconfirmed()
      const frame = some[step.which % (some.length || 1)] as any
      if (!frame) return
      this.done.add(this.keyOf(line, frame.id))
      const refuses = step.refuses && frame.method === 'subscribe'
      if (frame.method === 'subscribe' && !refuses) this.keys.get(line)?.set(`k${frame.id}`, frame.params[0])
      if (refuses) this.refused.add(this.keyOf(line, frame.id))
      const outcome = refuses ? { error: { code: 1, message: '' } } : { result: `k${frame.id}` }
      this.reply(line, { jsonrpc: '2.0', id: frame.id, ...outcome })
    } else {
      const some = [...(this.keys.get(line) ?? [])]
      const [key, identity] = some[step.which % (some.length || 1)] ?? []
      if (!key || !identity) return
      const item = ++this.items
      // Those that the page has ended, or made anew, get nothing of the old one.
      const newest = some.filter(([, other]) => other === identity).at(-1)?.[0] === key
      const topic = this.topics.get(identity)
      if (newest && topic && this.live().includes(identity)) this.expect(identity, topic, item, line, key)
      this.reply(line, { jsonrpc: '2.0', method: 'item', params: { subscription: key, result: item } })
    }
  }

  private expect(identity: string, topic: Topic, item: number, line: FakePeer, key: string) {
    // The page has ended this one already, and has made another one that the server has not confirmed.
    const sent = [...line.received, ...line.unsent].map(parse)
    if (sent.some(({ method, params }) => method === 'unsubscribe' && params[0] === key)) return
    for (const listener of this.listeners) {
      if (listener.identity === identity && !listener.isStopped)
        listener.expected.push(`${item}${topic.hasGap ? '!' : ''}`)
    }
    topic.hasGap = false
    topic.last = item
  }

  private check() {
    const { connections } = this.server
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
      if (outcome?.includes(' ')) expect(outcome, what).toBe(this.answered.get(number))
      expect(outcome ?? 'UNKNOWN', what).toMatch(/^(result \d+|error \d+|NOT_SENT|UNKNOWN|TIMEOUT)$/)
    }
    for (const peer of connections) {
      const numbers = [...peer.received, ...peer.unsent]
        .map(parse)
        .filter(({ method }) => method === 'do')
        .map(({ params }) => params[0])
      if (this.settings.isPrepared)
        expect(numbers, 'the order on a connection').toEqual([...numbers].sort((a, b) => a - b))
    }
    for (const { heard, expected, identity } of this.listeners) expect(heard, identity).toEqual(expected)
    for (const { code } of this.errors) expect(['UNEXPECTED', 'MALFORMED']).toContain(code)
    expect(this.errors.filter(({ code }) => code === 'MALFORMED').length).toBeLessThanOrEqual(this.garbled)
    for (const code of this.ends) expect(['SERVER_ERROR', 'NOT_SENT']).toContain(code)
  }
}
