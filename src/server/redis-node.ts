// The Redis store, as one node uses it. Every method runs one script, repeatedly until everything is done.
import { delay, PATIENCE } from './patience.js'
import { Acknowledgements } from './redis-acknowledgements.js'
import { Order } from './redis-order.js'
import { isForgotten, mustWait, type ScriptRunner } from './redis-runner.js'
import type { KnownSessions } from './redis-sessions.js'
import {
  type CommitOutcome,
  type Effect,
  type Member,
  type Reservation,
  type StoredMessage,
  type StoreNode,
  userGroup,
} from './store.js'

/** An effect as the four arguments that the script expects. */
const argumentsOf = (effect: Effect): string[] => {
  if (effect.kind === 'send') return ['send', effect.session, '', String(effect.frame)]
  if (effect.kind === 'publish') {
    const kind = effect.membersOnly ? 'members' : 'publish'
    return [kind, effect.group, effect.except ?? '', String(effect.frame)]
  }
  return [effect.kind, effect.group, effect.session, '']
}

const forgotten = (): Error => new Error('Redis no longer has the outcome of this commit')

export interface RedisNodeParts {
  readonly name: string
  readonly scripts: ScriptRunner
  readonly sessions: KnownSessions
  readonly maxSessions: number | undefined
  readonly sessionTimeout: number
  readonly idTimeout: number
  readonly maxIds: number
  /** Stops receiving notices. */
  unsubscribe(): unknown
}

// Its methods are properties, so that a store around this one can spread it.
export class RedisNode implements StoreNode {
  private readonly parts: RedisNodeParts
  private readonly scripts: ScriptRunner
  private readonly order = new Order()
  private readonly acknowledgements: Acknowledgements
  private checking: Promise<void> | undefined

  constructor(parts: RedisNodeParts) {
    this.parts = parts
    this.scripts = parts.scripts
    this.acknowledgements = new Acknowledgements(parts.scripts)
    this.scripts.onWait = () => void this.check().catch(() => {})
  }

  /** Compares this node's records with Redis. Rejects if Redis does not answer: operations that depend on this repeat it. */
  check(): Promise<void> {
    this.checking ??= this.sendParts().finally(() => {
      this.checking = undefined
    })
    return this.checking
  }

  readonly create: StoreNode['create'] = async ({ id, token, userId, groups }) => {
    const { maxSessions = '', sessions } = this.parts
    const made = await this.scripts.run(
      'create',
      id,
      1,
      token,
      userId,
      maxSessions,
      userId && userGroup(userId),
      ...groups,
    )
    if (made !== 1) return false
    sessions.begin(id, 1, 0)
    await this.scripts.replicated()
    return true
  }

  readonly resume: StoreNode['resume'] = async (id, token, next, userId, groups) => {
    await this.acknowledgements.settle(id)
    const lease = await this.scripts.run(
      'resume',
      id,
      0,
      token,
      userId,
      next,
      groups ? 1 : 0,
      ...(groups ?? []),
    )
    if (!lease) return undefined
    const [epoch, sequenceId, acknowledged, handled, rest] = lease as [
      number,
      number,
      number,
      unknown[],
      number,
    ]
    this.parts.sessions.begin(id, epoch, sequenceId)
    // The previous node died in the middle of a publication that was already marked as processed.
    if (rest) await this.fan(id)
    await this.scripts.replicated()
    return { epoch, sequenceId, acknowledged, handled: handled.map(Number) }
  }

  readonly confirm: StoreNode['confirm'] = async (id, epoch) => {
    await this.scripts.run('confirm', id, epoch)
  }

  readonly commit: StoreNode['commit'] = async (effects, claim) => {
    this.acknowledgements.flush()
    const { session = '', epoch = 0, ackId = '', patient = false, message } = claim ?? {}
    const { idTimeout, maxIds } = this.parts
    const place = this.order.take()
    const job = session || `${this.parts.name}.${place}`
    const moment = Date.now()
    try {
      const [outcome, count, run, era] = await this.place(place, (script, force) =>
        this.scripts[script](
          'commit',
          ...[session, epoch, ackId, patient ? 1 : 0, place, force, job],
          ...[message?.id ?? '', message?.owner ?? '', idTimeout, maxIds],
          ...effects.flatMap(argumentsOf),
        ),
      )
      if (outcome === 'unknown') throw forgotten()
      let reached = count
      if (outcome === 'more' && claim) {
        this.order.done(place)
        reached = await this.fan(job, { place, patience: patient ? PATIENCE : 0 })
      } else if (outcome === 'more') reached = await this.fan(job, { place, passes: true })
      await this.scripts.replicated(run)
      this.scripts.confirmed.confirm(moment, place, era)
      return { outcome: outcome === 'more' ? 'done' : (outcome as CommitOutcome), count: reached }
    } finally {
      this.order.done(place)
    }
  }

  readonly reserve: NonNullable<StoreNode['reserve']> = async ({ id, owner }, session) =>
    String(await this.scripts.run('reserve', session, 0, id, owner)) as Reservation

  readonly release: NonNullable<StoreNode['release']> = async ({ id, owner }, session) => {
    await this.scripts.run('release', session, 0, id, owner)
  }

  readonly read: StoreNode['read'] = async (id, epoch, after, limit) => {
    this.acknowledgements.flush()
    const found = (await this.scripts.run('read', id, epoch, after, limit)) as unknown[] | null
    if (!found) return undefined
    const messages: StoredMessage[] = []
    for (let i = 0; i < found.length; i += 2) {
      messages.push({ sequenceId: Number(found[i]), frame: String(found[i + 1]) })
    }
    this.parts.sessions.see(id, messages[messages.length - 1]?.sequenceId ?? 0)
    return messages
  }

  readonly acknowledge: StoreNode['acknowledge'] = (id, epoch, sequenceId) =>
    this.acknowledgements.add(id, epoch, sequenceId)

  readonly touch: StoreNode['touch'] = async held => {
    const newest: number[] = []
    const { sessions } = this.parts
    // In parts, so that no script keeps Redis busy for long. The script may stop earlier.
    do {
      const part = held.slice(newest.length, newest.length + 200).flatMap(({ id, epoch }) => [id, epoch])
      const moment = Date.now()
      newest.push(...((await this.scripts.run('touch', '', 0, ...part)) as number[]))
      this.scripts.confirmed.renew(moment)
    } while (newest.length < held.length)
    // There may be any number of them, so other operations go first.
    for (let i = 0; i < 100 && Number(await this.scripts.run('sweep', '', 0)) > 0; i++);
    sessions.sweep()
    return newest
  }

  readonly detach: StoreNode['detach'] = async (id, epoch, timeout = this.parts.sessionTimeout) => {
    this.acknowledgements.flush()
    this.parts.sessions.detach(id, epoch)
    await this.scripts.run('detach', id, epoch, timeout)
  }

  readonly members: StoreNode['members'] = async group => {
    const found: (Member & { readonly till: number })[] = []
    let cursor = '-'
    // In parts, so that no script keeps Redis busy for long.
    for (;;) {
      const part = (await this.scripts.run('members', '', 0, group, cursor)) as unknown[]
      for (let i = 1; i < part.length; i += 4) {
        const [id, userId, away, till] = part.slice(i, i + 4).map(String)
        found.push({ id, userId, isConnected: away !== '1', till: Number(till) } as Member & { till: number })
      }
      cursor = String(part[0])
      if (!cursor) break
    }
    return found
      .sort((a, b) => Number(a.isConnected) - Number(b.isConnected) || a.till - b.till)
      .map(({ id, userId, isConnected }) => ({ id, userId, isConnected }))
  }

  readonly progress: StoreNode['progress'] = async id => {
    this.acknowledgements.flush()
    const found = (await this.scripts.run('progress', id, 0)) as unknown[] | null
    return found ? { sequenceId: Number(found[0]), acknowledged: Number(found[1]) } : undefined
  }

  readonly end: StoreNode['end'] = async (id, code, reason) => {
    this.acknowledgements.flush()
    const ended = (await this.scripts.run('end', id, 0, `${code} ${reason}`)) === 1
    await this.scripts.replicated()
    return ended
  }

  readonly close: StoreNode['close'] = async () => {
    this.acknowledgements.flush()
    // Other nodes need no longer wait for this one. If Redis is unreachable, this node's entry expires later.
    const left = this.scripts.run('close', '', 0).catch(() => {})
    await Promise.race([left, new Promise(resolve => setTimeout(resolve, 500))])
    await this.parts.unsubscribe()
  }

  /** Runs a commit when everything before it has run. Resolves with the outcome, the count, the Redis that gave them, and its era. */
  private async place(
    place: number,
    run: (script: 'runLoaded' | 'runText', force: number) => Promise<unknown>,
  ): Promise<[string, number, string, string]> {
    let answer = await run('runLoaded', 0).catch(error => {
      if (!isForgotten(error)) throw error
      return ['early']
    })
    if (mustWait(answer) || String((answer as unknown[])[0]) === 'early') {
      await this.order.turn(place)
      for (;;) {
        answer = await run('runText', 1)
        if (!mustWait(answer)) break
        await this.scripts.pause()
      }
    }
    const [outcome, count, which, era] = answer as [unknown, number, unknown, unknown]
    return [String(outcome), count, String(which), String(era)]
  }

  /** Applies the remaining effects of a commit, in parts. Resolves with the count of the last effect. */
  private async fan(
    job: string,
    { place = 0, patience = 0, passes = false }: { place?: number; patience?: number; passes?: boolean } = {},
  ): Promise<number> {
    let start = Date.now()
    for (;;) {
      const waited = Date.now() - start
      const answer = await this.scripts.run('fan', job, 0, waited < patience ? 1 : 0, place, passes ? 1 : 0)
      const [status, count] = answer as [unknown, number]
      if (String(status) === 'busy') await delay(waited)
      else if (String(status) === 'more') start = Date.now()
      else if (String(status) === 'unknown') throw forgotten()
      else return count
    }
  }

  private async sendParts(): Promise<void> {
    const parts = [...this.parts.sessions.parts()]
    for (const [i, part] of parts.entries()) {
      await this.scripts.run('check', '', 0, i === parts.length - 1 ? 1 : 0, ...part)
    }
  }
}
