import { byteLength } from './bytes.js'
import {
  type Committed,
  type Effect,
  MAX_LATER,
  type Outcome,
  SLOW,
  type Store,
  type StoreLimits,
  type StoreNews,
} from './store.js'

type Hear = (news: StoreNews) => void

interface Kept {
  readonly id: string
  readonly userId: string
  readonly groups: Set<string>
  readonly handled: Set<number>
  /** By number, in order. */
  readonly backlog: Map<number, { readonly frame: string; readonly size: number }>
  bytes: number
  /** The client has one of these, the oldest first: of the later ones nobody knows whether they arrived. */
  tokens: string[]
  epoch: number
  sequenceId: number
  acknowledged: number
  hear: Hear | undefined
  timer: ReturnType<typeof setTimeout> | undefined
}

/** How much a memory store takes. */
export interface MemoryStoreOptions {
  /** So many sessions at most; further clients are told to come back later (1013). Default: 100,000. */
  maxSessions?: number
}

/** Keeps sessions in this process: they survive lost connections, and end with the process. */
export const memoryStore = ({ maxSessions = 100_000 }: MemoryStoreOptions = {}): Store => {
  const sessions = new Map<string, Kept>()
  const members = new Map<string, Set<string>>()

  const join = (session: Kept, group: string) => {
    const set = members.get(group) ?? new Set()
    members.set(group, set.add(session.id))
    session.groups.add(group)
  }

  const leave = (session: Kept, group: string) => {
    const set = members.get(group)
    set?.delete(session.id)
    if (!set?.size) members.delete(group)
    session.groups.delete(group)
  }

  const end = (session: Kept, code: number, reason: string) => {
    clearTimeout(session.timer)
    sessions.delete(session.id)
    for (const group of session.groups) leave(session, group)
    session.hear?.({ kind: 'ended', session: session.id, code, reason })
  }

  /** The session's time runs. It does not keep the process alive: the session would end with that all the same. */
  const expire = (session: Kept, keepMs: number) => {
    clearTimeout(session.timer)
    session.timer = setTimeout(() => end(session, 1008, 'the session has expired'), keepMs)
    ;(session.timer as { unref?: () => void }).unref?.()
  }

  const held = (id: string, epoch: number): Kept | undefined => {
    const session = sessions.get(id)
    return session?.epoch === epoch ? session : undefined
  }

  const open = async (limits: StoreLimits, hear: Hear) => {
    // The size is counted once for all sessions that get the frame, and kept for when it is freed.
    const deliver = (id: string, frame: string, size: number): number => {
      const session = sessions.get(id)
      if (!session) return 0
      const bytes = session.bytes + size
      if (session.backlog.size >= limits.maxUnacked || bytes > limits.maxUnackedBytes) {
        end(session, 1008, SLOW)
        return 0
      }
      session.bytes = bytes
      session.backlog.set(++session.sequenceId, { frame, size })
      session.hear?.({ kind: 'messages', session: id })
      return session.backlog.size
    }

    const apply = (effect: Effect): number => {
      if (effect.kind === 'send') return deliver(effect.session, effect.frame, byteLength(effect.frame))
      if (effect.kind === 'publish') {
        const size = byteLength(effect.frame)
        let count = 0
        for (const id of [...(members.get(effect.group) ?? [])]) {
          if (id !== effect.except && deliver(id, effect.frame, size)) count++
        }
        return count
      }
      const session = sessions.get(effect.session)
      if (!session) return 0
      const change = effect.kind === 'join' ? join : leave
      change(session, effect.group)
      return 1
    }

    /** What speaks against the effects. One group more for each session: the one of all. */
    const objection = (effects: readonly Effect[], by: Kept | undefined): Outcome | undefined => {
      const joins = new Map<string, Set<string>>()
      for (const effect of effects) {
        if (effect.kind === 'publish' && effect.membersOnly && !by?.groups.has(effect.group))
          return 'forbidden'
        if (effect.kind !== 'join') continue
        const groups = joins.get(effect.session) ?? new Set(sessions.get(effect.session)?.groups)
        joins.set(effect.session, groups.add(effect.group))
        if (groups.size > limits.maxGroups + 1) return 'full'
      }
      return undefined
    }

    return {
      async create({
        id,
        token,
        userId,
        groups,
      }: {
        id: string
        token: string
        userId: string
        groups: readonly string[]
      }) {
        if (sessions.size >= maxSessions) return false
        const session: Kept = {
          id,
          userId,
          groups: new Set(),
          handled: new Set(),
          backlog: new Map(),
          bytes: 0,
          tokens: [token],
          epoch: 1,
          sequenceId: 0,
          acknowledged: 0,
          hear,
          timer: undefined,
        }
        sessions.set(id, session)
        for (const group of ['', ...groups]) join(session, group)
        return true
      },
      async resume(id: string, token: string, next: string, userId: string) {
        const session = sessions.get(id)
        if (!session || session.userId !== userId) return undefined
        const [shown, ...later] = session.tokens.slice(session.tokens.indexOf(token))
        if (shown !== token) return undefined
        clearTimeout(session.timer)
        const { hear: before } = session
        const tokens = [token, ...later.slice(-MAX_LATER), next]
        Object.assign(session, { tokens, epoch: session.epoch + 1, hear })
        if (before !== hear) before?.({ kind: 'moved', session: id, epoch: session.epoch })
        const { epoch, sequenceId, acknowledged, handled } = session
        return { epoch, sequenceId, acknowledged, handled: [...handled] }
      },
      async confirm(id: string, epoch: number) {
        const session = held(id, epoch)
        if (session) session.tokens = session.tokens.slice(-1)
      },
      async commit(
        effects: readonly Effect[],
        claim?: { session: string; epoch: number; ackId?: number | undefined },
      ): Promise<Committed> {
        const by = claim && held(claim.session, claim.epoch)
        if (claim && !by) return { outcome: 'lost', count: 0 }
        const ackId = claim?.ackId
        if (ackId !== undefined && by?.handled.has(ackId)) return { outcome: 'duplicate', count: 0 }
        const objected = objection(effects, by)
        if (objected) return { outcome: objected, count: 0 }
        if (ackId !== undefined && by) {
          const { handled } = by
          handled.add(ackId)
          for (const oldest of handled) {
            if (handled.size <= limits.dedupeWindow) break
            handled.delete(oldest)
          }
        }
        let count = 0
        for (const effect of effects) count = apply(effect)
        return { outcome: 'done', count }
      },
      async read(id: string, epoch: number, after: number, limit: number) {
        const session = held(id, epoch)
        if (!session) return undefined
        const found = []
        for (
          let n = Math.max(after, session.acknowledged) + 1;
          n <= session.sequenceId && found.length < limit;
          n++
        ) {
          found.push({ sequenceId: n, frame: session.backlog.get(n)?.frame as string })
        }
        return found
      },
      async acknowledge(id: string, epoch: number, sequenceId: number) {
        const session = held(id, epoch)
        if (!session) return
        const last = Math.min(sequenceId, session.sequenceId)
        while (session.acknowledged < last) {
          session.bytes -= session.backlog.get(++session.acknowledged)?.size as number
          session.backlog.delete(session.acknowledged)
        }
      },
      async touch(list: readonly { id: string; epoch: number }[]) {
        return list.map(({ id, epoch }) => held(id, epoch)?.sequenceId ?? -1)
      },
      async detach(id: string, epoch: number) {
        const session = held(id, epoch)
        if (session) expire(session, limits.keepMs)
      },
      async end(id: string, code: number, reason: string) {
        const session = sessions.get(id)
        if (session) end(session, code, reason)
        return !!session
      },
      async close() {
        for (const session of sessions.values()) {
          if (session.hear !== hear) continue
          session.hear = undefined
          expire(session, limits.keepMs)
        }
      },
    }
  }

  return { open }
}
