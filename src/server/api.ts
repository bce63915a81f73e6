// The server as the application uses it, and its counts.
import type { DataType } from '../reliable/frames.js'
import type { Session } from './options.js'
import type { Member } from './store.js'

/** Counts since the server was created, except for `connections`. */
export interface ServerStats {
  /** Reliable connections that are open now on this node. */
  readonly connections: number
  /** Sessions begun. */
  readonly created: number
  /** Sessions resumed. */
  readonly resumed: number
  /** Connections refused: by origin or authorization, for an unknown or expired session, or for the wrong token. */
  readonly refused: number
  /** Sessions ended because a frame broke the protocol. */
  readonly violations: number
  /** Sessions ended because the client received or acknowledged too slowly. */
  readonly slow: number
  /** Connections closed because the client sent more than its rate for too long. Their sessions were kept. */
  readonly limited: number
  /** Client requests processed. */
  readonly received: number
  /** Client requests answered with an error. */
  readonly failed: number
  /** Repeated client requests that were not processed again. */
  readonly duplicates: number
  /** Numbered messages written to connections, repetitions included. */
  readonly sent: number
}

/** All sessions of a user, on all nodes, including those that are disconnected at the moment. */
export interface User {
  /** The user's id, as `authorize` returned it. */
  readonly id: string
  /** Resolves with the sessions. Those that have been disconnected for the longest time come first. */
  sessions(): Promise<readonly Member[]>
  /** Sends to all sessions, as `ReliableServer.send` does. Resolves with their number. */
  send(data: unknown, dataType?: DataType): Promise<number>
  /**
   * Adds all sessions to a group. Resolves with the number of sessions that were added: those that are in `maxGroups` groups are not. Sessions
   * that begin later are not added.
   */
  join(group: string): Promise<number>
  /** Removes all sessions from a group. Resolves with their number. */
  leave(group: string): Promise<number>
  /** Ends all sessions. Resolves with their number. Rejects if `Session.close` would throw. */
  end(code?: number, reason?: string): Promise<number>
}

/** Reliable sessions over a `WebSocketServer`. Its methods do not depend on `this`. */
export interface ReliableServer {
  /**
   * Sends to one session, on whichever node it is. When the message is stored, resolves with the number of messages that the session has not
   * acknowledged; use it to limit how fast you send. 0 means that there is no such session, or that it exceeded a limit and was ended.
   * Rejects with a `TypeError` for data that cannot be sent, with a `RangeError` for more than `maxUnacknowledgedBytes`, and with the error
   * of the store: the message may then be stored or not.
   */
  send(session: string | Session, data: unknown, dataType?: DataType): Promise<number>
  /**
   * Sends as `send` does. Resolves with `true` when the client has acknowledged the message, or with `false` if the session ended before
   * that. Clients acknowledge within a second or, after an outage, when they are connected again. Rejects as `send` does, and with the reason
   * of `signal`: the message may then arrive or not. `dataType` is as in `send`.
   */
  deliver(
    session: string | Session,
    data: unknown,
    options?: { dataType?: DataType; signal?: AbortSignal },
  ): Promise<boolean>
  /** Sends to all members of a group, except for `except`. Resolves with their number. `dataType` and rejections are as in `send`. */
  publish(
    group: string,
    data: unknown,
    options?: { dataType?: DataType; except?: string | Session },
  ): Promise<number>
  /** Sends to all sessions. Resolves with their number. Rejects as `send` does. */
  broadcast(data: unknown, dataType?: DataType): Promise<number>
  /** Returns an object that stands for all sessions of a user. Throws a `TypeError` for an empty id. */
  user(id: string): User
  /** Resolves with the sessions in a group or, without a group, with all sessions, on all nodes. With Redis, large groups take a long time. */
  members(group?: string): Promise<readonly Member[]>
  /** Ends a session, on whichever node it is. Resolves with whether it existed. Rejects if `Session.close` would throw. */
  end(session: string | Session, code?: number, reason?: string): Promise<boolean>
  /** Counts: a new object each time. */
  readonly stats: ServerStats
  /** Counts and times of this node as text, in the format that Prometheus reads: `text/plain; version=0.0.4`. */
  metrics(): string
  /** Resolves with whether this node can accept clients: the store answers, and neither `drain()` nor `close()` was called. Never rejects. */
  ready(): Promise<boolean>
  /**
   * Moves the clients to other nodes before a shutdown, one after the other over `over` milliseconds (default: 30,000). New connections are
   * closed with 1012 at once. Each client is asked to connect to another node; `createReliableSocket` does so before it closes the connection
   * to this one. If a client has not moved within five seconds, its connection is closed with 1012 when its running handler is done. Resolves
   * when no connection is left; then call `close()`. Rejects with a `TypeError` for an invalid number.
   */
  drain(options?: { over?: number }): Promise<void>
  /**
   * Shuts down: lets running handlers finish (for `timeout` milliseconds, default 5,000), closes every connection with 1012, and asks
   * clients to come back after `retryAfter` seconds (default: 1). Sessions stay in the store. The `WebSocketServer` stays open; closing
   * it is up to you.
   */
  close(options?: { retryAfter?: number; timeout?: number }): Promise<void>
}
