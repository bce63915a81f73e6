// The contract of a store. All nodes that serve the same sessions share one store; each node opens it once.

/** The limits that a store enforces. Durations are in milliseconds. */
export interface StoreLimits {
  /** How long a session outlives its connection. */
  readonly sessionTimeout: number
  /** A session with more unacknowledged messages is ended. */
  readonly maxUnacknowledged: number
  /** The same limit, in bytes of frames. */
  readonly maxUnacknowledgedBytes: number
  /** The number of groups that a session may be in. */
  readonly maxGroups: number
  /** The number of processed message ids that a session remembers. */
  readonly dedupeWindow: number
  /** How long the store remembers the `messageId` of a processed message. */
  readonly idTimeout: number
  /** The number of these ids that it remembers for each owner. The oldest is forgotten first. */
  readonly maxIds: number
}

/** The id that a message keeps across sessions. */
export interface MessageKey {
  /** Whose ids it belongs to: ids of different owners are unrelated. */
  readonly owner: string
  /** The id: letters, digits, `-` and `_`. */
  readonly id: string
}

/** What is known of a message that is to be processed. */
export type Reservation =
  /** It was not processed, and until `release()` no other session can reserve it. */
  | 'reserved'
  /** It was processed before. */
  | 'processed'
  /** Another session is processing it. */
  | 'busy'

/**
 * A message as a store keeps it: a JSON frame as text, or a message with binary data. A store that keeps text converts it with `String(frame)`, and
 * may return that text later.
 */
export type StoredFrame = string | BinaryFrame

/** A message with binary data, which can be converted to a JSON frame. It must not be changed. */
export interface BinaryFrame {
  /** The number of bytes that the JSON frame would have. */
  readonly size: number
  /** The JSON frame, with the data as base64. */
  toString(): string
}

/** A change to sessions. Effects that are committed together all happen, or none does. */
export type Effect =
  | { readonly kind: 'send'; readonly session: string; readonly frame: StoredFrame }
  | {
      readonly kind: 'publish'
      /** The name of the group. `''` is the group of all sessions, and a name that begins with U+0000 that of a user. */
      readonly group: string
      readonly frame: StoredFrame
      /** A session that does not receive the message. */
      readonly except?: string | undefined
      /** Refuses the commit unless the session of the claim is in the group. */
      readonly membersOnly?: boolean
    }
  | { readonly kind: 'join' | 'leave'; readonly session: string; readonly group: string }

/** The client's message that a commit belongs to. */
export interface Claim {
  /** The session's id. */
  readonly session: string
  /** The epoch of the session that the node holds. */
  readonly epoch: number
  /** Stored with the effects, so that a repetition is recognized. Absent for a message without acknowledgement. */
  readonly ackId?: number | undefined
  /** Stored with the effects, so that a repetition in another session is recognized. It has been reserved for this session. */
  readonly message?: MessageKey | undefined
  /** Refuses the commit as `busy`, rather than end the session of a connected member of a group that is too far behind. Default: no. */
  readonly patient?: boolean
}

/** The outcome of a commit. Nothing has changed unless it is `done`. */
export type CommitOutcome =
  | 'done'
  /** The `ackId` or the message was committed before. */
  | 'duplicate'
  /** The session has ended, or another connection has taken it over. */
  | 'lost'
  /** A message for members only, from a session that is not in the group. */
  | 'forbidden'
  /** The session is in as many groups as it may be. */
  | 'full'
  /** A patient commit would end the session of a connected member of a group. */
  | 'busy'

/** The result of a commit. */
export interface Committed {
  /** Whether the effects were applied. */
  readonly outcome: CommitOutcome
  /** Describes the last effect: the number of sessions it reached or, for a `send`, of messages that the session has not acknowledged. */
  readonly count: number
}

/** The state of a session, as the node that takes it over receives it. */
export interface Lease {
  /** Increases with every owner. A node with an older epoch cannot change the session any more. */
  readonly epoch: number
  /** The number of the newest message. */
  readonly sequenceId: number
  /** The number of the newest acknowledged message. */
  readonly acknowledged: number
  /** The ids of processed messages, oldest first. */
  readonly handled: readonly number[]
}

/** A notification to a node about one of its sessions. */
export type StoreEvent =
  /** There are messages for a session that this node holds. `message` is the newest of them: it need not be read if the node has all others. */
  | { readonly kind: 'messages'; readonly session: string; readonly message?: StoredMessage | undefined }
  /** Another node holds the session now. */
  | { readonly kind: 'moved'; readonly session: string; readonly epoch: number }
  /** The session has ended. */
  | {
      readonly kind: 'ended'
      readonly session: string
      /** The user's id, `''` for a user without a name. */
      readonly userId: string
      readonly code: number
      readonly reason: string
    }
  /** The store may lose sessions. Reported to `onError`. */
  | { readonly kind: 'warning'; readonly message: string }

/** What can happen to a session while it is being resumed. */
export type MissedEvent = Extract<StoreEvent, { kind: 'moved' | 'ended' }>

/** A message that the client has not acknowledged. */
export interface StoredMessage {
  /** Its number in the session, from 1. */
  readonly sequenceId: number
  /** The frame without the number. */
  readonly frame: StoredFrame
}

/** A session in a group. */
export interface Member {
  /** Its id. */
  readonly id: string
  /** The id of its user, `''` for a user without a name. */
  readonly userId: string
  /** Whether it has a connection, on whichever node. */
  readonly isConnected: boolean
}

/** The progress of a session. */
export interface Progress {
  /** The number of its newest message. */
  readonly sequenceId: number
  /** The number of the last message that its client has acknowledged. */
  readonly acknowledged: number
}

/** A session to begin. */
export interface NewSession {
  /** Its id. */
  readonly id: string
  /** The digest of its token. */
  readonly token: string
  /** The id of its user, `''` for a user without a name. */
  readonly userId: string
  /** The groups that it begins in. */
  readonly groups: readonly string[]
}

/**
 * A store, as one node uses it. Each method is one atomic step. Steps happen in the order of the calls. The methods are called unbound: a
 * store around another one can spread the other's node and replace single methods.
 */
export interface StoreNode {
  /**
   * Begins a session with epoch 1, held by this node, in its groups, in the group of all sessions, and in that of its user. Resolves with
   * `false` if the store has no room.
   */
  create(session: NewSession): Promise<boolean>
  /**
   * Takes over a session, for the user who began it, with a token that its client may hold. Valid tokens are the newest one that the client
   * is known to have received, and every later one: of two attempts, the later may arrive first. The token that the client sent invalidates
   * older ones, and `next` is added. If `groups` are given, the session joins them, and leaves the groups that it was given when it began or
   * was last resumed.
   */
  resume(
    id: string,
    token: string,
    next: string,
    userId: string,
    groups?: readonly string[],
  ): Promise<Lease | undefined>
  /** The client has received the newest token. Invalidates all others. */
  confirm(id: string, epoch: number): Promise<void>
  /** Applies all effects or none. With a claim, the same step marks the message as processed. */
  commit(effects: readonly Effect[], claim?: Claim): Promise<Committed>
  /**
   * Reserves a message for a session. A session can always reserve again what it has reserved: it may be on another node by now. A commit
   * with the message ends the reservation. Without this method, the server remembers ids only as long as sessions.
   */
  reserve?(message: MessageKey, session: string): Promise<Reservation>
  /** Ends the reservation, if it belongs to this session: the message was refused. */
  release?(message: MessageKey, session: string): Promise<void>
  /** Unacknowledged messages after a number, oldest first. Resolves with `undefined` if the epoch is not the current one. */
  read(id: string, epoch: number, after: number, limit: number): Promise<readonly StoredMessage[] | undefined>
  /** Deletes all messages up to this number. */
  acknowledge(id: string, epoch: number, sequenceId: number): Promise<void>
  /** Keeps connected sessions alive. Resolves, for each, with the number of its newest message, or -1 if the session is lost. */
  touch(held: readonly { readonly id: string; readonly epoch: number }[]): Promise<readonly number[]>
  /** The connection has ended: the session expires after `timeout` milliseconds, by default `sessionTimeout`. */
  detach(id: string, epoch: number, timeout?: number): Promise<void>
  /** The sessions in a group. Those that have been disconnected for the longest time come first. */
  members(group: string): Promise<readonly Member[]>
  /** Resolves with `undefined` if there is no such session. */
  progress(id: string): Promise<Progress | undefined>
  /** Ends a session, on whichever node it is. Resolves with `false` if there is no such session. */
  end(id: string, code: number, reason: string): Promise<boolean>
  /** This node stops using the store. The sessions that it held stay in the store. */
  close(): Promise<void>
}

/** The group of a user's sessions. No name of the application or of a client begins with this character. */
export const userGroup = (userId: string): string => `\0${userId}`

/** Keeps sessions. Several nodes may share the storage behind it. */
export interface Store {
  /**
   * Opens the store for one node. `onEvent` is called with events about the sessions of this node. An event can be lost: `touch`
   * reports the same facts later.
   */
  open(limits: StoreLimits, onEvent: (event: StoreEvent) => void): Promise<StoreNode>
}

/** The number of tokens that a store remembers between the one that was shown and the newest. */
export const MAX_LATER = 6

/** The close reason of a session that the store has lost a part of. */
export const INCOMPLETE = 'the store has lost a part of the session'

/** The store went back to an older state, for example after a failover to a replica that lagged behind, or the client sent an invalid number. */
export const OUTDATED = 'the client has received messages that the store does not have'

/**
 * The reason in the close frame of a session that has ended in the store. A client whose session the store has lost did nothing wrong: with this
 * reason it begins another one, however often that happens.
 */
export const closeReasonOf = (reason: string): string =>
  reason === INCOMPLETE || reason === OUTDATED ? 'retry-after=0' : reason

/** The close code of a session whose client was too slow: the client may begin a new one. */
// https://www.iana.org/assignments/websocket/websocket.xhtml#close-code-number
export const TRY_AGAIN_LATER = 1013

/** The close reason of a session whose client was too slow. */
export const SLOW = 'slow consumer: too much is unacknowledged'
