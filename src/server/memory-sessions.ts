// The sessions of the memory store, which all nodes in this process share.
import type { StoredFrame, StoreEvent } from './store.js'
import { startTimer } from './timers.js'

/** Receives the events of one node's sessions. */
export type Listener = (event: StoreEvent) => void

export interface StoredSession {
  readonly id: string
  readonly userId: string
  readonly groups: Set<string>
  /** The groups that it was given when it began or was last resumed. */
  granted: readonly string[]
  /** The ids of processed messages, oldest first. */
  readonly handled: Set<number>
  /** By number, in order. */
  readonly backlog: Map<number, { readonly frame: StoredFrame; readonly size: number }>
  bytes: number
  /** The client holds one of these. The oldest comes first; whether the later ones arrived is not known. */
  tokens: string[]
  epoch: number
  sequenceId: number
  acknowledged: number
  /** The listener of the node that holds the session. */
  owner: Listener | undefined
  /** Runs while nothing is connected. */
  expiry: ReturnType<typeof setTimeout> | undefined
  /** When the last connection ended. */
  left: number
}

/** Everything that nodes in this process share. */
export class Sessions {
  readonly byId: Map<string, StoredSession> = new Map()
  readonly members: Map<string, Set<string>> = new Map()

  join(session: StoredSession, group: string): void {
    const ids = this.members.get(group) ?? new Set()
    this.members.set(group, ids.add(session.id))
    session.groups.add(group)
  }

  leave(session: StoredSession, group: string): void {
    const ids = this.members.get(group)
    ids?.delete(session.id)
    if (!ids?.size) this.members.delete(group)
    session.groups.delete(group)
  }

  end(session: StoredSession, code: number, reason: string): void {
    clearTimeout(session.expiry)
    this.byId.delete(session.id)
    for (const group of session.groups) this.leave(session, group)
    session.owner?.({ kind: 'ended', session: session.id, userId: session.userId, code, reason })
  }

  /** Starts the timeout. */
  expire(session: StoredSession, timeout: number): void {
    clearTimeout(session.expiry)
    session.left = Date.now()
    session.expiry = startTimer(() => this.end(session, 1008, 'the session has expired'), timeout)
  }

  /** The session, if the epoch is the current one. */
  held(id: string, epoch: number): StoredSession | undefined {
    const session = this.byId.get(id)
    return session?.epoch === epoch ? session : undefined
  }
}

/** Remembers the id of a processed message. */
export const remember = (handled: Set<number>, ackId: number, window: number): void => {
  handled.add(ackId)
  for (const oldest of handled) {
    if (handled.size <= window) break
    handled.delete(oldest)
  }
}
