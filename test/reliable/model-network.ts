// A simulated network between real clients and real nodes: frames have a latency, and connections break where the plan says so. It uses fake
// timers.
import { EventEmitter } from 'node:events'
import type { WebSocketLike } from '../../src/server.ts'

export const PROTOCOL = 'json.reliable.webpubsub.azure.v1'

/** Up: from the client to the node. */
export type Way = 'up' | 'down'

export type Item =
  | { readonly kind: 'open' | 'ping' | 'pong' | 'reset' }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'close'; readonly code: number; readonly reason: string }

/**
 * How a connection breaks. `reset`: data in flight is lost, and the two ends learn of it at different times. `late`: the client learns of it at
 * once, and the data that it sent still arrives, perhaps after its next connection. `deaf`: the same in the other direction. `silent`: nothing
 * arrives any more, and neither end learns of it.
 */
export type How = 'reset' | 'late' | 'deaf' | 'silent'

/** Where a connection breaks: at the frame with this number in one direction. The answer to the handshake is the first frame of `down`. */
export interface Fate {
  readonly way: Way
  readonly at: number
  /** `inside`: only half of the frame arrives, so it is lost. */
  readonly when: 'before' | 'inside' | 'after'
  readonly how: How
}

/** The observer of all frames. */
export interface Watch {
  dialled(link: Link): void
  sent(link: Link, way: Way, item: Item): void
  arrived(link: Link, way: Way, item: Item): void
  /** The node has closed its end. */
  ended(link: Link): void
  cut(link: Link, what: string): void
}

/** A random number that depends only on its arguments, so that a shrunk plan keeps the delays of the other frames. */
export const mix = (...numbers: number[]): number => {
  let hash = 0x9e3779b9
  for (const number of numbers) {
    hash = Math.imul(hash ^ number, 0x85ebca6b)
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
    hash ^= hash >>> 16
  }
  return hash >>> 0
}

export const pick = <Value>(list: readonly Value[], hash: number): Value => list[hash % list.length] as Value

class Lane {
  dead = false
  /** After a lost frame, only the end of the connection arrives. */
  private broken = false
  private readonly queue: { item: Item; at: number }[] = []
  private timer: ReturnType<typeof setTimeout> | undefined
  private sent = 0
  private met = 0
  private clear = 0

  private readonly link: Link
  private readonly way: Way

  constructor(link: Link, way: Way) {
    this.link = link
    this.way = way
  }

  send(item: Item): void {
    if (this.dead || (this.broken && item.kind !== 'reset')) return
    const { network, index } = this.link
    this.clear = Math.max(this.clear, Date.now() + network.delay(index, +(this.way === 'up'), this.sent++))
    this.queue.push({ item, at: this.clear })
    if (!this.timer) this.schedule()
  }

  /** Delays all data in flight. */
  hold(time: number): void {
    for (const entry of this.queue) entry.at += time
    this.clear = Math.max(this.clear, Date.now()) + time
    this.schedule()
  }

  die(): void {
    this.dead = true
    clearTimeout(this.timer)
  }

  private schedule(): void {
    clearTimeout(this.timer)
    this.timer = undefined
    const first = this.queue[0]
    if (first && !this.dead) this.timer = setTimeout(() => this.step(), Math.max(0, first.at - Date.now()))
  }

  private step(): void {
    const { link, way } = this
    const { item } = this.queue.shift() as { item: Item }
    const { fate } = link
    const counts = item.kind === 'text' || item.kind === 'open'
    const meets = counts && fate?.way === way && fate.at === this.met
    if (counts) this.met++
    const what = () => `${fate?.when} ${kindOf(item)}, ${fate?.how}`
    if (meets && fate?.when !== 'after') {
      this.broken = true
      this.queue.length = 0
      link.cut(fate?.how as How, what())
    } else {
      link.deliver(way, item)
      if (meets) link.cut(fate?.how as How, what())
    }
    this.timer = undefined
    this.schedule()
  }
}

const kindOf = (item: Item): string => {
  if (item.kind !== 'text') return item.kind === 'open' ? 'the handshake' : item.kind
  const { type, event } = JSON.parse(item.text)
  return type === 'system' ? event : type
}

/** One connection. */
export class Link {
  readonly up = new Lane(this, 'up')
  readonly down = new Lane(this, 'down')
  server: NodeEnd | undefined
  private over = false

  readonly network: Network
  readonly index: number
  readonly client: ClientEnd
  readonly page: number
  fate: Fate | undefined

  constructor(network: Network, index: number, client: ClientEnd, page: number, fate: Fate | undefined) {
    this.network = network
    this.index = index
    this.client = client
    this.page = page
    this.fate = fate
  }

  get watch(): Watch {
    return this.network.watch
  }

  deliver(way: Way, item: Item): void {
    if (way === 'down') this.client.receive(item)
    else this.server?.receive(item)
  }

  cut(how: How, what: string): void {
    if (this.over) return
    this.over = true
    const { up, down, client, server, network, index } = this
    this.watch.cut(this, what)
    if (how !== 'late') up.die()
    if (how !== 'deaf') down.die()
    const soon = (n: number) => pick([0, 3, 50, 400, 3_000], mix(network.seed, index, n))
    if (how === 'reset') {
      setTimeout(() => client.reset(), soon(7))
      setTimeout(() => server?.reset(), soon(8))
    } else if (how === 'late') {
      // Each event is dispatched in a task of its own.
      setTimeout(() => client.reset(), 0)
      up.hold(soon(9))
      up.send({ kind: 'reset' })
    } else if (how === 'deaf') {
      server?.reset()
      down.send({ kind: 'reset' })
    }
  }
}

/** The node's end: a WebSocket with the API of the package `ws`. */
export class NodeEnd extends EventEmitter implements WebSocketLike {
  readonly protocol = PROTOCOL
  readonly bufferedAmount = 0
  readyState = 1
  private gone = false
  private isPaused = false
  private pausedAt = 0
  private begun = false
  private readonly held: Item[] = []
  private timer: ReturnType<typeof setTimeout> | undefined

  private readonly link: Link
  readonly node: number

  constructor(link: Link, node: number) {
    super()
    this.link = link
    this.node = node
  }

  send(text: string): void {
    if (this.readyState === 1) this.write({ kind: 'text', text })
  }

  ping(): void {
    if (this.readyState === 1) this.write({ kind: 'ping' })
  }

  private write(item: Item): void {
    if (this.gone) return
    this.link.watch.sent(this.link, 'down', item)
    this.link.down.send(item)
  }

  close(code = 1005, reason = ''): void {
    if (this.readyState > 1) return
    this.write({ kind: 'close', code, reason })
    this.readyState = 2
    // The time for which `ws` waits for the close frame of the other end.
    this.timer = setTimeout(() => this.terminate(), 30_000)
  }

  terminate(): void {
    if (this.readyState === 3) return
    this.readyState = 2
    this.link.down.send({ kind: 'reset' })
    // `ws` still emits the messages that it has read.
    if (mix(this.link.index, 3) % 2) for (const item of this.held.splice(0)) this.handle(item)
    setTimeout(() => this.end(1006, ''), 0)
  }

  pause(): void {
    if (!this.isPaused) this.pausedAt = Date.now()
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
    while (!this.isPaused && this.held.length) this.handle(this.held.shift() as Item)
  }

  receive(item: Item): void {
    if (this.gone) return
    this.link.watch.arrived(this.link, 'up', item)
    if (item.kind === 'reset') this.reset()
    // `ws` still emits the other messages of the same packet.
    else if (this.isPaused && !(this.begun && this.pausedAt === Date.now())) this.held.push(item)
    else this.handle(item)
  }

  private handle(item: Item): void {
    if (this.gone) return
    if (item.kind === 'text') {
      this.begun = true
      this.emit('message', item.text, false)
    } else if (item.kind === 'pong') this.emit('pong')
    else if (item.kind === 'close') {
      if (this.readyState === 1) this.write(item)
      this.end(item.code, item.reason)
    }
  }

  reset(): void {
    if (!this.gone && this.listenerCount('error')) this.emit('error', new Error('ECONNRESET'))
    this.end(1006, '')
  }

  private end(code: number, reason: string): void {
    if (this.gone) return
    this.forget()
    this.readyState = 3
    this.emit('close', code, reason)
  }

  /** Its node was killed: no code of it runs any more. */
  forget(): void {
    if (this.gone) return
    this.gone = true
    clearTimeout(this.timer)
    this.link.up.die()
    this.link.watch.ended(this.link)
  }
}

/** The client's end: a WebSocket with the API of browsers. */
export class ClientEnd {
  static readonly network: Network
  static readonly page: number
  onopen: ((event: any) => void) | null = null
  onmessage: ((event: any) => void) | null = null
  onclose: ((event: any) => void) | null = null
  onerror: ((event: any) => void) | null = null
  readyState = 0
  protocol = ''
  readonly bufferedAmount = 0
  readonly url: string
  readonly protocols: readonly string[]
  readonly link: Link
  /** Whether the page was left. */
  private dead = false
  private timer: ReturnType<typeof setTimeout> | undefined

  constructor(url: string | URL, protocols: string | string[] = PROTOCOL) {
    this.url = String(url)
    this.protocols = [protocols].flat()
    const { network, page } = new.target
    this.link = network.dial(this, page)
  }

  send(text: string): void {
    if (this.readyState === 0) throw new DOMException('still connecting', 'InvalidStateError')
    if (this.dead) return
    this.link.watch.sent(this.link, 'up', { kind: 'text', text })
    if (this.readyState === 1) this.link.up.send({ kind: 'text', text })
  }

  close(code = 1005, reason = ''): void {
    if (this.readyState > 1) return
    const opened = this.readyState === 1
    this.readyState = 2
    if (this.dead) return
    if (opened) {
      this.link.up.send({ kind: 'close', code, reason })
      this.timer = setTimeout(() => this.end(1006), 30_000)
    } else {
      this.link.up.send({ kind: 'reset' })
      setTimeout(() => this.end(1006), 0)
    }
  }

  receive(item: Item): void {
    if (this.readyState === 3 || this.dead) return
    if (item.kind === 'ping') this.link.up.send({ kind: 'pong' })
    else if (item.kind === 'reset') this.reset()
    else if (item.kind === 'open') {
      if (this.readyState !== 0) return
      this.readyState = 1
      this.protocol = PROTOCOL
      this.fire('open')
    } else if (item.kind === 'text') {
      if (this.readyState !== 1) return
      this.link.watch.arrived(this.link, 'down', item)
      const { isPlain } = this.link.network
      // Simulates a server with only Azure's protocol.
      this.fire('message', { data: isPlain ? item.text.replace(/,"features":\[.*?\]/, '') : item.text })
    } else if (item.kind === 'close') {
      this.link.watch.arrived(this.link, 'down', item)
      if (this.readyState === 1) this.link.up.send(item)
      this.end(item.code, item.reason, true)
    }
  }

  reset(): void {
    this.end(1006)
  }

  end(code: number, reason = '', wasClean = false): void {
    if (this.readyState === 3 || this.dead) return
    this.readyState = 3
    clearTimeout(this.timer)
    this.link.down.die()
    if (!wasClean) this.fire('error')
    this.fire('close', { code, reason, wasClean })
  }

  /** The session to resume, and the token, from the URL or a subprotocol. */
  get shown(): { id: string | null; token: string | null } {
    const query = new URL(this.url).searchParams
    const [, id, token] = this.protocols.find(name => name.startsWith('resume.'))?.split('.') ?? []
    return {
      id: id ?? query.get('awps_connection_id'),
      token: token ?? query.get('awps_reconnection_token'),
    }
  }

  /** The page is left: no code of it runs any more, but messages in flight may still arrive. */
  leave(): void {
    if (this.dead || this.readyState === 3) return
    this.dead = true
    clearTimeout(this.timer)
    this.link.down.die()
    this.link.cut(
      pick(['reset', 'late', 'silent'], mix(this.link.network.seed, this.link.index)),
      'page gone',
    )
  }

  private fire(type: 'open' | 'message' | 'close' | 'error', event: object = {}): void {
    this[`on${type}`]?.({ type, timeStamp: performance.now(), ...event })
  }
}

const bound = (network: Network, page: number) =>
  class extends ClientEnd {
    static override readonly network: Network = network
    static override readonly page: number = page
  }

/** The interface of a node that accepts connections. */
export interface Listening {
  readonly index: number
  accept(end: NodeEnd, url: string, protocols: readonly string[]): void
}

export class Network {
  readonly links: Link[] = []
  /** From now on, no connection breaks. */
  calm = false

  readonly seed: number
  /** Whether clients get only the features of Azure's protocol. */
  readonly isPlain: boolean
  private readonly latency: readonly number[]
  private readonly fates: readonly (Fate | 'refused' | undefined)[]
  readonly watch: Watch
  private readonly nodes: () => readonly Listening[]

  constructor(
    seed: number,
    latency: readonly number[],
    fates: readonly (Fate | 'refused' | undefined)[],
    watch: Watch,
    nodes: () => readonly Listening[],
  ) {
    this.seed = seed
    this.isPlain = seed % 3 === 0
    this.latency = latency
    this.fates = fates
    this.watch = watch
    this.nodes = nodes
  }

  delay(...place: number[]): number {
    return this.calm ? 1 : pick(this.latency, mix(this.seed, ...place))
  }

  /** The `WebSocket` class of a page. */
  socketOf(page: number): typeof WebSocket {
    return bound(this, page) as unknown as typeof WebSocket
  }

  dial(client: ClientEnd, page: number): Link {
    const index = this.links.length
    const fate = this.calm ? undefined : this.fates[index]
    const link = new Link(this, index, client, page, fate === 'refused' ? undefined : fate)
    this.links.push(link)
    this.watch.dialled(link)
    setTimeout(
      () => {
        const nodes = this.nodes()
        if (!nodes.length || fate === 'refused') return client.reset()
        if (client.readyState === 3) return
        const node = pick(nodes, mix(this.seed, index, 5))
        link.server = new NodeEnd(link, node.index)
        link.down.send({ kind: 'open' })
        node.accept(link.server, client.url, client.protocols)
      },
      this.delay(index, 2, 0),
    )
    return link
  }
}
