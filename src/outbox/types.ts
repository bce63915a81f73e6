import type { Emitter } from '../index.js'
import type { Outbox, SentMessage } from '../reliable.js'

/** A message in an outbox's storage. */
export interface OutboxRecord {
  /** Its position in the order of all messages of the storage, across tabs and reloads. Assigned by the storage. */
  readonly key: number
  /** Its id, which the server uses to recognize a repetition. */
  readonly id: string
  /** The id of the page that stored it. */
  readonly page: string
  /** When it was stored, as `Date.now()`. */
  readonly time: number
  /** When it expires; `null`: never. */
  readonly expires: number | null
  /** The message as JSON, or the result of `encode`. */
  readonly body: string | Uint8Array
  /** The bytes of `body`. */
  readonly size: number
}

/** How much a storage may hold. */
export interface OutboxLimits {
  /** The maximum number of messages. If it is exceeded, `send()` resolves with the reason `'overflow'`. Default: 10,000. */
  maxMessages?: number
  /** The maximum size of all messages, in bytes. Default: 16 MiB. */
  maxBytes?: number
}

/**
 * Where an outbox stores messages. All tabs with the same storage see the same messages. Each method is one step, which is complete when its
 * promise resolves. If a method rejects, the outbox reports it, and continues without the storage.
 */
export interface OutboxStorage {
  /** Identifies the storage: tabs with the same name take turns in sending its messages. */
  readonly name: string
  /** Opens the storage, again if it was lost. Call `onLost` if something other than the outbox has closed the storage, and may have deleted it. */
  open(onLost: (cause?: unknown) => void): Promise<void>
  /** Stores messages in this order. Resolves with their keys, which increase, and with `undefined` for each message that exceeds the limits. */
  add(
    records: readonly Omit<OutboxRecord, 'key'>[],
    limits: Required<OutboxLimits>,
  ): Promise<readonly (number | undefined)[]>
  /** Resolves with messages whose keys are higher, lowest key first. */
  list(after: number, limit: number): Promise<readonly OutboxRecord[]>
  /** Deletes messages. Ignores keys that do not exist. */
  remove(keys: readonly number[]): Promise<void>
  /** Deletes all messages. */
  clear(): Promise<void>
}

/** A message that is in the outbox. */
export type PendingMessage = Omit<SentMessage, 'ackId' | 'messageId' | 'type'> & {
  /** Its id. */
  readonly id: string
  /** When it was stored, as `Date.now()`. */
  readonly time: number
  /** The kind of request. Absent if `decode` failed. */
  readonly type?: SentMessage['type']
}

/** Something prevents the outbox from storing or reading messages. Messages of this page are still sent. */
export interface OutboxProblem {
  /**
   * The kind of problem:
   *
   * - `'unavailable'`: the storage cannot be opened. There is no IndexedDB, the page may not use it, or the database is corrupt.
   * - `'newer'`: the database was written by a newer version of this package.
   * - `'closed'`: the browser or another page has closed the database, for example because the user deletes the data of the site.
   * - `'quota'`: the browser allows no more data.
   * - `'failed'`: the storage failed for another reason.
   * - `'codec'`: `encode` or `decode` failed, or did not settle within 30 seconds.
   * - `'unlocked'`: there are no Web Locks, so several tabs may send the same message. Servers that recognize its id process it once.
   */
  readonly reason: 'unavailable' | 'newer' | 'closed' | 'quota' | 'failed' | 'codec' | 'unlocked'
  /** What happened, and what it means. */
  readonly message: string
  /** The error of the platform or of the application's function, if there is one. */
  readonly cause: unknown
  /**
   * The messages of this page that are not stored at the moment: they are sent from memory, and are lost if the page is closed before that. For
   * `'codec'`: the messages that cannot be read. They stay in the storage. If the storage was deleted, messages of earlier pages are lost, and
   * are not listed.
   */
  readonly messages: readonly PendingMessage[]
}

/** Maps each event to its payload. */
export interface OutboxEvents {
  /** Something prevents the outbox from storing or reading. Without a listener, the socket emits an `error` event. */
  problem: OutboxProblem
}

/** Options of `createOutbox()`. */
export interface OutboxOptions extends OutboxLimits {
  /** Changes what is stored, for example encrypts it. Default: no change. */
  encode?: ((bytes: Uint8Array) => Uint8Array | PromiseLike<Uint8Array>) | undefined
  /** Reverses `encode`. Default: no change. */
  decode?: ((bytes: Uint8Array) => Uint8Array | PromiseLike<Uint8Array>) | undefined
}

/** Options of `indexedDbOutbox()`. */
export interface IndexedDbOutboxOptions extends OutboxOptions {
  /**
   * The user whose messages the outbox stores. Each user has a database of their own, so that no user sends the messages of another user.
   * Default: no user.
   */
  user?: string | undefined
  /**
   * `'strict'`: a message counts as stored when the operating system has written it to the disk. This takes some milliseconds, and the message
   * survives a crash of the computer. `'relaxed'`: the message survives a crash of the browser. Default: `'relaxed'`.
   */
  durability?: 'strict' | 'relaxed' | undefined
}

/** An outbox, for the option `outbox` of `createReliableSocket()`. Its methods do not depend on `this`. */
export interface StoredOutbox extends Outbox {
  /**
   * Resolves with the messages that have no final outcome yet: those of this page, other tabs, and earlier pages. Rejects if the storage cannot
   * be read.
   */
  pending(): Promise<readonly PendingMessage[]>
  /**
   * Deletes all messages of this user, in all tabs. Call it when the user signs out. Pending promises of `send()`, in this page and in other
   * tabs, resolve with the reason `'cleared'`. Messages that were sent but not acknowledged may have been processed. Rejects if the messages
   * cannot be deleted from the storage.
   */
  clear(): Promise<void>
  /** Adds a listener and returns a function that removes it. Throws a `TypeError` for an unknown event. */
  on: Emitter<OutboxEvents>['on']
  /** Like `on()`, for the next event only. */
  once: Emitter<OutboxEvents>['once']
  /** Removes a listener. */
  off: Emitter<OutboxEvents>['off']
}
