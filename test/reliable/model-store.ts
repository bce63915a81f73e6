// One store for all nodes, as with Redis. Each node has a connection to it, on which requests and answers have a latency and keep their order, and
// a second one for notifications, which may be lost. The store itself is a memory store.
import {
  memoryStore,
  type Store,
  type StoreEvent,
  type StoreLimits,
  type StoreNode,
} from '../../src/server.ts'
import { mix, pick } from './model-network.ts'

const METHODS = [
  'create',
  'resume',
  'confirm',
  'commit',
  'read',
  'acknowledge',
  'touch',
  'detach',
  'end',
  'close',
] as const

type Job = { run(): void; give(): void; at: number }

/** A queue of jobs in order, each with a delay. */
class Pipe {
  private readonly queue: Job[] = []
  private timer: ReturnType<typeof setTimeout> | undefined
  private clear = 0

  push(delay: number, run: () => void, give: () => void = () => {}): void {
    this.clear = Math.max(this.clear, Date.now() + delay)
    this.queue.push({ run, give, at: this.clear })
    if (!this.timer) this.schedule()
  }

  private schedule(): void {
    const [first] = this.queue
    this.timer = first && setTimeout(() => this.step(), Math.max(0, first.at - Date.now()))
  }

  private step(): void {
    this.queue.shift()?.run()
    this.schedule()
  }

  /** Discards the jobs, except for this many at the beginning. */
  end(count = 0): void {
    clearTimeout(this.timer)
    for (const { run } of this.queue.splice(0).slice(0, count)) run()
    this.timer = undefined
  }
}

export class StoreLine implements Store {
  private readonly questions = new Pipe()
  private readonly answers = new Pipe()
  private readonly news = new Pipe()
  private handle: StoreNode | undefined
  private limits: StoreLimits | undefined
  private hear: (news: StoreEvent) => void = () => {}
  private asked = 0
  private told = 0
  private dead = false
  /** Which part of the next request is lost: the request, or its answer. */
  trouble: 'question' | 'answer' | undefined

  private readonly shared: SharedStore
  private readonly index: number
  /** Called when a request fails. */
  private readonly failed: () => void

  constructor(shared: SharedStore, index: number, failed: () => void) {
    this.shared = shared
    this.index = index
    this.failed = failed
  }

  async open(limits: StoreLimits, hear: (news: StoreEvent) => void): Promise<StoreNode> {
    this.limits = limits
    this.hear = hear
    await this.attach()
    const node = Object.fromEntries(METHODS.map(name => [name, (...args: unknown[]) => this.ask(name, args)]))
    return node as unknown as StoreNode
  }

  /** Opens the store, or the one that has replaced it. */
  async attach(): Promise<void> {
    if (this.dead || !this.limits) return
    const { inner } = this.shared
    this.handle = await inner.open(this.limits, news => {
      if (this.dead || this.shared.inner !== inner) return
      const delay = this.shared.delay(this.index, 3, ++this.told)
      // Redis discards notifications for clients that it cannot reach.
      if (this.shared.loses(this.index, this.told)) return
      this.news.push(delay, () => this.hear(news))
    })
  }

  private ask(name: (typeof METHODS)[number], args: unknown[]): Promise<unknown> {
    // There is no node any more.
    if (this.dead) return new Promise(() => {})
    const { trouble } = this
    this.trouble = undefined
    const place = ++this.asked
    return new Promise((resolve, reject) => {
      const fail = () => {
        this.failed()
        reject(new Error('the store is not reachable'))
      }
      if (trouble) this.failed()
      const run = () => {
        const answer = trouble === 'question' ? undefined : this.call(name, args)
        if (trouble) this.expire(name, args, answer)
        if (this.dead) return
        this.answers.push(this.shared.delay(this.index, 2, place), () => (trouble ? fail() : resolve(answer)))
      }
      this.questions.push(this.shared.delay(this.index, 1, place), run)
    })
  }

  /** In Redis, a session that no node holds expires. The memory store has no such rule, because it cannot fail. */
  private async expire(name: string, args: any[], answer: Promise<any> | undefined): Promise<void> {
    const [first, second] = args
    const { handle } = this
    const wait = (id: string, epoch: number) =>
      setTimeout(() => handle?.detach(id, epoch), this.limits?.sessionTimeout)
    if (name === 'detach') wait(first, second)
    else if (answer && name === 'create') wait(first.id, 1)
    else if (answer && name === 'resume') wait(first, (await answer)?.epoch ?? 0)
  }

  private call(name: (typeof METHODS)[number], args: unknown[]): Promise<unknown> {
    return (this.handle as any)[name](...args)
  }

  /** The node is killed. This many of its requests in flight still arrive. */
  die(count: number): void {
    this.dead = true
    this.questions.end(count)
    this.answers.end()
    this.news.end()
    // In Redis, the timeout of the sessions has already been running.
    this.handle?.close()
  }
}

export class SharedStore {
  inner: Store = memoryStore()
  /** From now on, it is fast, and nothing is lost. */
  calm = false
  private readonly lines: StoreLine[] = []

  private readonly seed: number
  private readonly latency: readonly number[]
  private readonly lossy: boolean

  constructor(seed: number, latency: readonly number[], lossy: boolean) {
    this.seed = seed
    this.latency = latency
    this.lossy = lossy
  }

  line(index: number, failed: () => void): StoreLine {
    const line = new StoreLine(this, index, failed)
    this.lines.push(line)
    return line
  }

  delay(...place: number[]): number {
    return this.calm ? 1 : pick(this.latency, mix(this.seed, ...place))
  }

  loses(...place: number[]): boolean {
    return this.lossy && !this.calm && mix(this.seed, ...place, 9) % 4 === 0
  }

  /** Loses all data. */
  lose(): void {
    this.inner = memoryStore()
    for (const line of this.lines) line.attach()
  }
}
