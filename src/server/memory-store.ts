import { MessageIds } from './memory-ids.js'
import { type Listener, remember, Sessions, type StoredSession } from './memory-sessions.js'
import { sizeOf } from './message.js'
import { checkMaxSessions, checkOptionNames } from './names.js'
import {
  type CommitOutcome,
  type Effect,
  MAX_LATER,
  SLOW,
  type Store,
  type StoredFrame,
  type StoredMessage,
  type StoreLimits,
  type StoreNode,
  TRY_AGAIN_LATER,
  userGroup,
} from './store.js'

/** Options of `memoryStore`. */
export interface MemoryStoreOptions {
  /** The number of sessions. Further clients are asked to come back later (1013). Default: 100,000. */
  maxSessions?: number
}

// Its methods are properties, so that a store around this one can spread it.
class MemoryNode implements StoreNode {
  private readonly sessions: Sessions
  private readonly ids: MessageIds
  private readonly limits: StoreLimits & Required<MemoryStoreOptions>
  private readonly listener: Listener

  constructor(
    sessions: Sessions,
    ids: MessageIds,
    limits: StoreLimits & Required<MemoryStoreOptions>,
    listener: Listener,
  ) {
    this.sessions = sessions
    this.ids = ids
    this.limits = limits
    this.listener = listener
  }

  readonly create: StoreNode['create'] = async ({ id, token, userId, groups }) => {
    const { byId } = this.sessions
    if (byId.size >= this.limits.maxSessions) return false
    const session: StoredSession = {
      id,
      userId,
      groups: new Set(),
      granted: groups,
      handled: new Set(),
      backlog: new Map(),
      bytes: 0,
      tokens: [token],
      epoch: 1,
      sequenceId: 0,
      acknowledged: 0,
      owner: this.listener,
      expiry: undefined,
      left: 0,
    }
    byId.set(id, session)
    for (const group of ['', ...groups]) this.sessions.join(session, group)
    if (userId) this.sessions.join(session, userGroup(userId))
    return true
  }

  readonly resume: StoreNode['resume'] = async (id, token, next, userId, groups) => {
    const session = this.sessions.byId.get(id)
    if (!session || session.userId !== userId) return undefined
    const [shown, ...later] = session.tokens.slice(session.tokens.indexOf(token))
    if (shown !== token) return undefined
    clearTimeout(session.expiry)
    session.expiry = undefined
    const { owner } = session
    session.tokens = [token, ...later.slice(-MAX_LATER), next]
    session.epoch++
    session.owner = this.listener
    if (groups) {
      for (const group of session.granted) if (!groups.includes(group)) this.sessions.leave(session, group)
      for (const group of groups) this.sessions.join(session, group)
      session.granted = groups
    }
    if (owner !== this.listener) owner?.({ kind: 'moved', session: id, epoch: session.epoch })
    const { epoch, sequenceId, acknowledged, handled } = session
    return { epoch, sequenceId, acknowledged, handled: [...handled] }
  }

  readonly confirm: StoreNode['confirm'] = async (id, epoch) => {
    const session = this.sessions.held(id, epoch)
    if (session) session.tokens = session.tokens.slice(-1)
  }

  readonly commit: StoreNode['commit'] = async (effects, claim) => {
    const by = claim && this.sessions.held(claim.session, claim.epoch)
    if (claim && !by) return { outcome: 'lost', count: 0 }
    const { ackId, message } = claim ?? {}
    if (ackId !== undefined && by?.handled.has(ackId)) return { outcome: 'duplicate', count: 0 }
    if (message && this.ids.has(message)) return { outcome: 'duplicate', count: 0 }
    const objection = this.objection(effects, by)
    if (objection) return { outcome: objection, count: 0 }
    if (claim?.patient && this.isBusy(effects)) return { outcome: 'busy', count: 0 }
    if (ackId !== undefined && by) remember(by.handled, ackId, this.limits.dedupeWindow)
    if (message) this.ids.add(message, this.limits)
    let count = 0
    for (const effect of effects) count = this.apply(effect)
    return { outcome: 'done', count }
  }

  readonly reserve: NonNullable<StoreNode['reserve']> = async (message, session) =>
    this.ids.reserve(message, session)

  readonly release: NonNullable<StoreNode['release']> = async (message, session) =>
    this.ids.release(message, session)

  readonly read: StoreNode['read'] = async (id, epoch, after, limit) => {
    const session = this.sessions.held(id, epoch)
    if (!session) return undefined
    const first = Math.max(after, session.acknowledged) + 1
    const last = Math.min(session.sequenceId, first + limit - 1)
    const found: StoredMessage[] = []
    for (let sequenceId = first; sequenceId <= last; sequenceId++) {
      found.push({ sequenceId, frame: session.backlog.get(sequenceId)?.frame as StoredFrame })
    }
    return found
  }

  readonly acknowledge: StoreNode['acknowledge'] = async (id, epoch, sequenceId) => {
    const session = this.sessions.held(id, epoch)
    if (!session) return
    const last = Math.min(sequenceId, session.sequenceId)
    while (session.acknowledged < last) {
      session.bytes -= session.backlog.get(++session.acknowledged)?.size as number
      session.backlog.delete(session.acknowledged)
    }
  }

  readonly touch: StoreNode['touch'] = async list => {
    return list.map(({ id, epoch }) => this.sessions.held(id, epoch)?.sequenceId ?? -1)
  }

  readonly detach: StoreNode['detach'] = async (id, epoch, timeout = this.limits.sessionTimeout) => {
    const session = this.sessions.held(id, epoch)
    if (session) this.sessions.expire(session, timeout)
  }

  readonly members: StoreNode['members'] = async group =>
    [...(this.sessions.members.get(group) ?? [])]
      .map(id => this.sessions.byId.get(id) as StoredSession)
      .map(({ id, userId, expiry, left }) => ({ id, userId, isConnected: expiry === undefined, left }))
      .sort((a, b) => Number(a.isConnected) - Number(b.isConnected) || a.left - b.left)
      .map(({ id, userId, isConnected }) => ({ id, userId, isConnected }))

  readonly progress: StoreNode['progress'] = async id => {
    const session = this.sessions.byId.get(id)
    return session && { sequenceId: session.sequenceId, acknowledged: session.acknowledged }
  }

  readonly end: StoreNode['end'] = async (id, code, reason) => {
    const session = this.sessions.byId.get(id)
    if (session) this.sessions.end(session, code, reason)
    return !!session
  }

  readonly close: StoreNode['close'] = async () => {
    for (const session of this.sessions.byId.values()) {
      if (session.owner !== this.listener) continue
      session.owner = undefined
      this.sessions.expire(session, this.limits.sessionTimeout)
    }
  }

  /** The reason to refuse the effects, if there is one. */
  private objection(effects: readonly Effect[], by: StoredSession | undefined): CommitOutcome | undefined {
    const joins = new Map<string, Set<string>>()
    for (const effect of effects) {
      if (effect.kind === 'publish' && effect.membersOnly && !by?.groups.has(effect.group)) return 'forbidden'
      if (effect.kind !== 'join') continue
      const { groups: before, userId } = this.sessions.byId.get(effect.session) ?? {}
      const groups = joins.get(effect.session) ?? new Set(before)
      joins.set(effect.session, groups.add(effect.group))
      // Every session is in one more group, that of all sessions, or in two, with that of its user.
      if (groups.size > this.limits.maxGroups + (userId ? 2 : 1)) return 'full'
    }
    return undefined
  }

  /** Whether a publication would end the session of a connected member. */
  private isBusy(effects: readonly Effect[]): boolean {
    const { maxUnacknowledged, maxUnacknowledgedBytes } = this.limits
    const added = new Map<string, { count: number; bytes: number }>()
    for (const effect of effects) {
      if (effect.kind !== 'publish') continue
      const size = sizeOf(effect.frame)
      for (const id of this.sessions.members.get(effect.group) ?? []) {
        const session = this.sessions.byId.get(id)
        if (id === effect.except || !session || session.expiry !== undefined) continue
        const { count, bytes } = added.get(id) ?? { count: 0, bytes: 0 }
        const isOver =
          session.backlog.size + count >= maxUnacknowledged ||
          session.bytes + bytes + size > maxUnacknowledgedBytes
        if (isOver) return true
        added.set(id, { count: count + 1, bytes: bytes + size })
      }
    }
    return false
  }

  /** Returns the number that `Committed.count` describes. */
  private apply(effect: Effect): number {
    if (effect.kind === 'send') return this.deliver(effect.session, effect.frame, sizeOf(effect.frame))
    if (effect.kind === 'publish') {
      // Measured once for all sessions that receive the frame, and kept for when it is deleted.
      const size = sizeOf(effect.frame)
      let count = 0
      for (const id of [...(this.sessions.members.get(effect.group) ?? [])]) {
        if (id !== effect.except && this.deliver(id, effect.frame, size)) count++
      }
      return count
    }
    const session = this.sessions.byId.get(effect.session)
    if (!session) return 0
    if (effect.kind === 'join') this.sessions.join(session, effect.group)
    else this.sessions.leave(session, effect.group)
    return 1
  }

  /** Returns the number of unacknowledged messages, or 0 if the session does not exist or has been ended. */
  private deliver(id: string, frame: StoredFrame, size: number): number {
    const session = this.sessions.byId.get(id)
    if (!session) return 0
    const bytes = session.bytes + size
    const { maxUnacknowledged, maxUnacknowledgedBytes } = this.limits
    if (session.backlog.size >= maxUnacknowledged || bytes > maxUnacknowledgedBytes) {
      this.sessions.end(session, TRY_AGAIN_LATER, SLOW)
      return 0
    }
    session.bytes = bytes
    session.backlog.set(++session.sequenceId, { frame, size })
    session.owner?.({
      kind: 'messages',
      session: id,
      message: { sequenceId: session.sequenceId, frame },
    })
    return session.backlog.size
  }
}

/** Keeps sessions in this process: they survive lost connections and end with the process. Throws a `TypeError` for invalid options. */
export const memoryStore = (options: MemoryStoreOptions = {}): Store => {
  checkOptionNames('memoryStore', options, ['maxSessions'])
  const { maxSessions = 100_000 } = options
  checkMaxSessions('memoryStore', maxSessions)
  const sessions = new Sessions()
  const ids = new MessageIds()
  return {
    open: async (limits, listener) => new MemoryNode(sessions, ids, { ...limits, maxSessions }, listener),
  }
}
