// Runs the scripts with the settings of one node.
import type { RedisLink } from './redis-client.js'
import { LIBRARY } from './redis-library.js'
import { SCRIPTS } from './redis-scripts.js'

export type Script = keyof typeof SCRIPTS

/** The replicas that must have confirmed a change before it counts as stored. */
export interface Replicas {
  /** Their number. */
  count: number
  /** How long to wait for them, in milliseconds. Default: 1,000. */
  timeout?: number
}

/** After how many milliseconds a script is tried again that had to wait for other nodes. */
const PAUSE = 20

const hex = (bytes: ArrayBuffer): string =>
  Array.from(new Uint8Array(bytes), byte => byte.toString(16).padStart(2, '0')).join('')

/** Whether Redis refused a script because it has forgotten it. */
export const isForgotten = (error: unknown): boolean =>
  String((error as Error).message).startsWith('NOSCRIPT')

/** Whether it is not known yet if Redis has lost something: every node has to check first. */
export const mustWait = (answer: unknown): boolean =>
  String(Array.isArray(answer) ? answer[0] : answer) === 'wait'

const replaced = (): Error =>
  new Error('the connection to Redis was replaced before replicas had confirmed a change')

/** The place of the last commit that Redis has confirmed, and which it must still have. */
class Confirmed {
  private readonly patience: number
  private place = 0
  private era = ''
  private since = 0

  /** `ttl`: after this many milliseconds without a commit or a renewal, Redis deletes the place. */
  constructor(ttl: number) {
    this.patience = ttl / 2
  }

  /** The place and the era in which it was confirmed. The place is 0 if Redis may have forgotten it. */
  get last(): string {
    return `${Date.now() - this.since < this.patience ? this.place : 0} ${this.era}`
  }

  /** Redis has answered a request of that moment: it remembers the place since then. */
  renew(moment: number): void {
    this.since = Math.max(this.since, moment)
  }

  /** Redis has confirmed the commit with this place, which was requested at that moment. */
  confirm(moment: number, place: number, era: string): void {
    this.renew(moment)
    if (place < this.place) return
    this.place = place
    this.era = era
  }
}

export class ScriptRunner {
  readonly confirmed: Confirmed
  private readonly link: RedisLink
  private readonly key: string
  private readonly settings: readonly string[]
  private readonly replicas: Replicas | undefined
  private readonly hashes = new Map<Script, string>()
  private waiting: Promise<string> | undefined
  private next: Promise<string> | undefined
  /** Called when Redis waits for this node's check. */
  onWait: () => void = () => {}

  /** The first two settings are the prefix and how long keys live. */
  constructor(
    link: RedisLink,
    settings: readonly [string, number, ...(string | number)[]],
    replicas?: Replicas,
  ) {
    this.link = link
    this.key = `${settings[0]}e`
    this.settings = settings.map(String)
    this.confirmed = new Confirmed(settings[1])
    this.replicas = replicas
  }

  async prepare(): Promise<void> {
    for (const script of Object.keys(SCRIPTS) as Script[]) {
      const text = new TextEncoder().encode(LIBRARY + SCRIPTS[script])
      this.hashes.set(script, hex(await crypto.subtle.digest('SHA-1', text)))
    }
  }

  /** Runs a script, and repeats it until all nodes have checked whether Redis has lost something. */
  async run(script: Script, ...args: (string | number)[]): Promise<unknown> {
    for (;;) {
      const answer = await this.runOnce(script, args)
      if (!mustWait(answer)) return answer
      await this.pause()
    }
  }

  /** Resolves when it is time to try again. */
  pause(): Promise<void> {
    this.onWait()
    return new Promise(resolve => setTimeout(resolve, PAUSE))
  }

  /** Rejects if Redis does not know the script: it has restarted, or another Redis has taken its place. */
  runLoaded(script: Script, ...args: (string | number)[]): Promise<unknown> {
    return this.evaluate('EVALSHA', this.hashes.get(script) as string, args)
  }

  runText(script: Script, ...args: (string | number)[]): Promise<unknown> {
    return this.evaluate('EVAL', LIBRARY + SCRIPTS[script], args)
  }

  /**
   * Resolves when the required number of replicas have all changes that were confirmed until now. One command serves all callers. `run`: the
   * Redis that confirmed them. Rejects if another one has replaced it, because that one may lack these changes.
   */
  async replicated(run?: string): Promise<void> {
    const { replicas, waiting = Promise.resolve('') } = this
    if (!replicas) return
    this.next ??= waiting
      .catch(() => {})
      .then(() => {
        this.next = undefined
        this.waiting = this.waitFor(replicas)
        return this.waiting
      })
    const found = await this.next
    if (run !== undefined && run !== found) throw replaced()
  }

  private async runOnce(script: Script, args: readonly (string | number)[]): Promise<unknown> {
    try {
      return await this.runLoaded(script, ...args)
    } catch (error) {
      if (!isForgotten(error)) throw error
      return this.runText(script, ...args)
    }
  }

  private evaluate(command: string, script: string, args: readonly (string | number)[]): Promise<unknown> {
    const all = [...this.settings, this.confirmed.last, ...args].map(String)
    return this.link.send(this.key, [command, script, '1', this.key, ...all])
  }

  /** Resolves with the Redis whose replicas have confirmed everything. */
  private async waitFor({ count, timeout = 1_000 }: Replicas): Promise<string> {
    const send = await (this.link.pin as NonNullable<RedisLink['pin']>)(this.key)
    const ask = (...command: string[]) => send(command)
    // WAIT covers the changes of its own connection. A connection that was just made has no changes, so WAIT would prove nothing.
    const [before, , first, answer, after, last] = await Promise.all([
      ask('CLIENT', 'ID'),
      ask('PEXPIRE', this.key, this.settings[1] as string),
      this.run('which', '', 0),
      ask('WAIT', `${count}`, `${timeout}`),
      ask('CLIENT', 'ID'),
      this.run('which', '', 0),
    ])
    if (Number(answer) < count)
      throw new Error(`only ${answer} of ${count} replicas have confirmed a change within ${timeout} ms`)
    if (String(before) !== String(after) || String(first) !== String(last)) throw replaced()
    return String(first)
  }
}
