// What sessions are kept in. A store is shared by all nodes that serve the same sessions; each node opens it once.

/** What a store has to observe. Durations in milliseconds. */
export interface StoreLimits {
  /** How long a session outlives its connection. */
  readonly keepMs: number
  /** A session with more unacknowledged messages than this is ended. */
  readonly maxUnacked: number
  /** The same, in bytes of frames. */
  readonly maxUnackedBytes: number
  /** How many groups a session may be in. */
  readonly maxGroups: number
  /** How many ids of handled messages are remembered. */
  readonly dedupeWindow: number
}

/** Something to be done to sessions. Effects that are committed together all happen, or none. */
export type Effect =
  | { readonly kind: 'send'; readonly session: string; readonly frame: string }
  | {
      readonly kind: 'publish'
      /** `''`: all sessions. */
      readonly group: string
      readonly frame: string
      /** The session that shall not get it. */
      readonly except?: string | undefined
      /** The commit is refused unless its session is in the group. */
      readonly membersOnly?: boolean
    }
  | { readonly kind: 'join' | 'leave'; readonly session: string; readonly group: string }

/** On whose behalf: a client's message, handled by the node that holds this epoch of the session. */
export interface Claim {
  /** The session's id. */
  readonly session: string
  /** The epoch that the node holds. */
  readonly epoch: number
  /** Remembered with the effects. Absent: a message that wants no acknowledgement. */
  readonly ackId?: number | undefined
}

/** What became of a commit. Only after `done` has anything changed. */
export type Outcome =
  | 'done'
  /** The `ackId` had been committed before. */
  | 'duplicate'
  /** The session is gone, or another connection has taken it over. */
  | 'lost'
  /** A message for members only, from a session that is not in the group. */
  | 'forbidden'
  /** The session is in as many groups as it may. */
  | 'full'

/** What a commit has come to. */
export interface Committed {
  /** Whether it was done. */
  readonly outcome: Outcome
  /** Of the last effect: how many sessions it reached; of a `send`, how many messages that one has not acknowledged now. */
  readonly count: number
}

/** A session as its new owner finds it. */
export interface Lease {
  /** Counts the owners. Who holds an older one can change nothing any more. */
  readonly epoch: number
  /** The number of the newest message. */
  readonly sequenceId: number
  /** The number of the newest message that was acknowledged. */
  readonly acknowledged: number
  /** Ids of messages that were handled, oldest first. */
  readonly handled: readonly number[]
}

/** What a node is told of its sessions. */
export type StoreNews =
  /** There are messages for a session that this node holds. */
  | { readonly kind: 'messages'; readonly session: string }
  /** Another node holds the session now. */
  | { readonly kind: 'moved'; readonly session: string; readonly epoch: number }
  /** The session is gone. */
  | { readonly kind: 'ended'; readonly session: string; readonly code: number; readonly reason: string }

/** A message that waits to be acknowledged. */
export interface StoredMessage {
  /** Its number in the session, from 1. */
  readonly sequenceId: number
  /** What goes out, but for the number. */
  readonly frame: string
}

/** A store, as one node uses it. Each method is one atomic step, and steps are taken in the order of the calls. */
export interface StoreNode {
  /**
   * Begins a session by the name of `id` for `userId` (`''`: nobody by name), in `groups`, held by this node with epoch 1. `token` is
   * the digest of its token. `false`: there is no room.
   */
  create(session: {
    readonly id: string
    readonly token: string
    readonly userId: string
    readonly groups: readonly string[]
  }): Promise<boolean>
  /**
   * Takes a session over: for its own user, by a token that its client may have. That is the newest which is seen to have arrived,
   * and each that was made after it, for of two attempts the later can be the first to get here. Those older than the one that
   * is shown are void, and `next` is added.
   */
  resume(id: string, token: string, next: string, userId: string): Promise<Lease | undefined>
  /** The client is seen to have the newest token: the others are worth nothing from here on. */
  confirm(id: string, epoch: number): Promise<void>
  /** Does all of it or nothing; with a claim together with the mark that the message was handled. */
  commit(effects: readonly Effect[], claim?: Claim): Promise<Committed>
  /** Unacknowledged messages after a number, the oldest first; `undefined`: the epoch is not the present one. */
  read(id: string, epoch: number, after: number, limit: number): Promise<readonly StoredMessage[] | undefined>
  /** Frees all messages up to this number. */
  acknowledge(id: string, epoch: number, sequenceId: number): Promise<void>
  /** Keeps sessions alive that are connected. For each: the number of its newest message, or -1 if it is lost. */
  touch(held: readonly { readonly id: string; readonly epoch: number }[]): Promise<readonly number[]>
  /** The connection is gone: the session's time runs. */
  detach(id: string, epoch: number): Promise<void>
  /** Ends a session, wherever it is. `false`: there was none. */
  end(id: string, code: number, reason: string): Promise<boolean>
  /** This node is done. What it held stays in the store. */
  close(): Promise<void>
}

/** Where sessions are kept. Several nodes may share what is behind it. */
export interface Store {
  /** Begins to use it as one node. `hear` is called with what concerns sessions of this node. News can be lost: `touch` tells the same, later. */
  open(limits: StoreLimits, hear: (news: StoreNews) => void): Promise<StoreNode>
}

/** So many tokens between the one that was shown and the newest are remembered. */
export const MAX_LATER = 6

/** How both stores say why they ended a session that did not keep up. */
export const SLOW = 'slow consumer: too much is unacknowledged'
