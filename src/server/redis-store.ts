import { delay, PATIENCE } from './patience.js'
import { LIBRARY } from './redis-library.js'
import { SCRIPTS } from './redis-scripts.js'
import type {
  CommitOutcome,
  Effect,
  Store,
  StoredMessage,
  StoreEvent,
  StoreLimits,
  StoreNode,
} from './store.js'
import { randomName } from './token.js'

/** The methods of a second connection to Redis that the store calls. */
export interface RedisSubscriber {
  connect(): Promise<unknown>
  subscribe(channel: string, listener: (message: string) => unknown): Promise<unknown>
  on(event: 'error', listener: (error: Error) => void): unknown
  destroy(): void
}

/** The methods of a client of the `redis` package that the store calls. */
export interface RedisClient {
  sendCommand(args: string[]): Promise<unknown>
  on(event: 'error', listener: (error: Error) => void): unknown
  duplicate(): RedisSubscriber
}

/** Options of `redisStore`. */
export interface RedisStoreOptions {
  /** The beginning of every key and channel. Servers with the same prefix serve the same sessions. Default: `'steadysocket:'`. */
  prefix?: string
  /** The number of sessions of all nodes together. Further clients are asked to come back later (1013). Default: no limit. */
  maxSessions?: number
}

interface RedisNodeSettings extends RedisStoreOptions {
  readonly sessionTimeout: number
}

type Script = keyof typeof SCRIPTS

/** An effect as the four arguments that the script expects. */
const argumentsOf = (effect: Effect): string[] => {
  if (effect.kind === 'send') return ['send', effect.session, '', effect.frame]
  if (effect.kind === 'publish') {
    const kind = effect.membersOnly ? 'members' : 'publish'
    return [kind, effect.group, effect.except ?? '', effect.frame]
  }
  return [effect.kind, effect.group, effect.session, '']
}

/**
 * Keeps the commits of a node in the order of the calls. They are sent without waiting for each other, and usually run in that order. A
 * Redis that has forgotten its scripts refuses some of them while it may already run later ones: those have to wait.
 */
class Order {
  private next = 1
  /** The places of commits that have not been answered, the first one first. */
  private readonly open = new Set<number>()
  private readonly waiting = new Map<number, () => void>()

  take(): number {
    this.open.add(this.next)
    return this.next++
  }

  /** Resolves when everything before this place is done, one way or the other. */
  async turn(place: number): Promise<void> {
    if (this.first !== place) await new Promise<void>(resolve => this.waiting.set(place, resolve))
  }

  done(place: number): void {
    this.open.delete(place)
    const { first } = this
    if (first === undefined) return
    this.waiting.get(first)?.()
    this.waiting.delete(first)
  }

  private get first(): number | undefined {
    return this.open.values().next().value
  }
}

const isMissing = (error: unknown): boolean => String((error as Error).message).startsWith('NOSCRIPT')

/** Runs the scripts with the settings of one node. */
class ScriptRunner {
  private readonly client: RedisClient
  private readonly settings: readonly string[]
  private readonly hashes = new Map<Script, string>()

  constructor(client: RedisClient, settings: readonly (string | number)[]) {
    this.client = client
    this.settings = settings.map(String)
  }

  async load(): Promise<void> {
    const load = async (script: Script) => {
      const hash = await this.client.sendCommand(['SCRIPT', 'LOAD', LIBRARY + SCRIPTS[script]])
      this.hashes.set(script, String(hash))
    }
    await Promise.all((Object.keys(SCRIPTS) as Script[]).map(load))
  }

  async run(script: Script, ...args: (string | number)[]): Promise<unknown> {
    try {
      return await this.runLoaded(script, ...args)
    } catch (error) {
      if (!isMissing(error)) throw error
      return this.runText(script, ...args)
    }
  }

  /** Rejects if Redis does not know the script: it has restarted, or another Redis has taken its place. */
  runLoaded(script: Script, ...args: (string | number)[]): Promise<unknown> {
    const hash = this.hashes.get(script) as string
    return this.client.sendCommand(['EVALSHA', hash, '0', ...this.settings, ...args.map(String)])
  }

  runText(script: Script, ...args: (string | number)[]): Promise<unknown> {
    const text = LIBRARY + SCRIPTS[script]
    return this.client.sendCommand(['EVAL', text, '0', ...this.settings, ...args.map(String)])
  }
}

// Its methods are properties, so that a store around this one can spread it.
class RedisNode implements StoreNode {
  private readonly name: string
  private readonly scripts: ScriptRunner
  private readonly subscriber: RedisSubscriber
  private readonly settings: RedisNodeSettings
  private readonly order = new Order()

  constructor(name: string, scripts: ScriptRunner, subscriber: RedisSubscriber, settings: RedisNodeSettings) {
    this.name = name
    this.settings = settings
    this.scripts = scripts
    this.subscriber = subscriber
  }

  readonly create: StoreNode['create'] = async ({ id, token, userId, groups }) => {
    const { maxSessions = '' } = this.settings
    const made = await this.scripts.run('create', id, 1, token, userId, this.name, maxSessions, ...groups)
    return made === 1
  }

  readonly resume: StoreNode['resume'] = async (id, token, next, userId) => {
    const lease = await this.scripts.run('resume', id, 0, token, userId, this.name, next)
    if (!lease) return undefined
    const [epoch, sequenceId, acknowledged, handled, rest] = lease as [
      number,
      number,
      number,
      unknown[],
      number,
    ]
    // The node before has died in the middle of a publication, which has been marked as processed.
    if (rest) await this.fan(id)
    return { epoch, sequenceId, acknowledged, handled: handled.map(Number) }
  }

  readonly confirm: StoreNode['confirm'] = async (id, epoch) => {
    await this.scripts.run('confirm', id, epoch)
  }

  readonly commit: StoreNode['commit'] = async (effects, claim) => {
    const { session = '', epoch = 0, ackId = '', patient = false } = claim ?? {}
    const head = [session, epoch, ackId, patient ? 1 : 0, this.name]
    const tail = effects.flatMap(argumentsOf)
    const place = this.order.take()
    const job = session || `${this.name}.${place}`
    try {
      let answer = await this.scripts.runLoaded('commit', ...head, place, 0, job, ...tail).catch(error => {
        if (!isMissing(error)) throw error
        return ['early']
      })
      if (String((answer as unknown[])[0]) === 'early') {
        await this.order.turn(place)
        answer = await this.scripts.runText('commit', ...head, place, 1, job, ...tail)
      }
      const [outcome, count] = answer as [unknown, number]
      if (String(outcome) !== 'more') return { outcome: String(outcome) as CommitOutcome, count }
      if (!claim) return { outcome: 'done', count: await this.fan(job, { place }) }
      this.order.done(place)
      return { outcome: 'done', count: await this.fan(job, { patience: patient ? PATIENCE : 0 }) }
    } finally {
      this.order.done(place)
    }
  }

  /** Applies what a commit has left to do, in parts. Resolves with the count of the last effect. */
  private async fan(
    job: string,
    { place = 0, patience = 0 }: { place?: number; patience?: number } = {},
  ): Promise<number> {
    const lane = place ? this.name : ''
    let start = Date.now()
    for (;;) {
      const waited = Date.now() - start
      const answer = await this.scripts.run('fan', job, 0, waited < patience ? 1 : 0, lane, place)
      const [status, count] = answer as [unknown, number]
      if (String(status) === 'done') return count
      if (String(status) === 'busy') await delay(waited)
      else start = Date.now()
    }
  }

  readonly read: StoreNode['read'] = async (id, epoch, after, limit) => {
    const found = (await this.scripts.run('read', id, epoch, after, limit)) as unknown[] | null
    if (!found) return undefined
    const messages: StoredMessage[] = []
    for (let i = 0; i < found.length; i += 2) {
      messages.push({ sequenceId: Number(found[i]), frame: String(found[i + 1]) })
    }
    return messages
  }

  readonly acknowledge: StoreNode['acknowledge'] = async (id, epoch, sequenceId) => {
    await this.scripts.run('acknowledge', id, epoch, sequenceId)
  }

  readonly touch: StoreNode['touch'] = async held => {
    const newest: number[] = []
    // In parts, so that no script keeps Redis busy for long.
    for (let i = 0; i < held.length; i += 200) {
      const part = held.slice(i, i + 200).flatMap(({ id, epoch }) => [id, epoch])
      newest.push(...((await this.scripts.run('touch', ...part)) as number[]))
    }
    // As many as there are, but others come first.
    for (let i = 0; i < 100 && Number(await this.scripts.run('sweep')) > 0; i++);
    return newest
  }

  readonly detach: StoreNode['detach'] = async (id, epoch, timeout = this.settings.sessionTimeout) => {
    await this.scripts.run('detach', id, epoch, timeout)
  }

  readonly end: StoreNode['end'] = async (id, code, reason) => {
    return (await this.scripts.run('end', id, 0, `${code} ${reason}`)) === 1
  }

  readonly close: StoreNode['close'] = async () => {
    this.subscriber.destroy()
  }
}

const openNode = async (
  client: RedisClient,
  options: RedisStoreOptions,
  limits: StoreLimits,
  onEvent: (event: StoreEvent) => void,
): Promise<StoreNode> => {
  const { prefix = 'steadysocket:' } = options
  const name = randomName()
  const subscriber = client.duplicate()
  // It reconnects by itself, and `touch` reports the events that were lost meanwhile.
  subscriber.on('error', () => {})
  await subscriber.connect()
  const scripts = new ScriptRunner(client, [
    prefix,
    // A connected session is touched several times within this span. A session whose node dies is kept for at least `sessionTimeout`.
    2 * limits.sessionTimeout,
    limits.maxUnacknowledged,
    limits.maxUnacknowledgedBytes,
    limits.maxGroups,
    limits.dedupeWindow,
  ])
  try {
    await subscriber.subscribe(`${prefix}n:${name}`, line => onEvent(JSON.parse(line) as StoreEvent))
    await scripts.load()
  } catch (error) {
    subscriber.destroy()
    throw error
  }
  return new RedisNode(name, scripts, subscriber, { ...options, sessionTimeout: limits.sessionTimeout })
}

/**
 * Keeps sessions in one Redis (6.2 or newer, not a Cluster), so that clients may resume on any node. The client must be connected, and
 * you close it yourself. The store adds an `'error'` listener to it, without which a lost connection would end the process, and opens a
 * second connection for notifications, with the client's `duplicate()`.
 */
export const redisStore = (client: RedisClient, options: RedisStoreOptions = {}): Store => {
  // Without a listener, the first lost connection to Redis would end the process. Errors that matter are those of the commands.
  client.on('error', () => {})
  return { open: (limits, onEvent) => openNode(client, options, limits, onEvent) }
}
