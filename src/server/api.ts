// What the application holds: the server and its counts.
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
  /** Sessions ended because the client did not keep up. */
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

/** All sessions of a user, on all nodes. Those that are disconnected at the moment are among them. */
export interface User {
  /** The user's id, as `authorize` returned it. */
  readonly id: string
  /** Resolves with the sessions. Those that have been without a connection for the longest come first. */
  sessions(): Promise<readonly Member[]>
  /** Sends to all sessions, as `ReliableServer.send` does. Resolves with their number. */
  send(data: unknown, dataType?: DataType): Promise<number>
  /** Adds all sessions to a group. Resolves with their number, without those that are in `maxGroups` groups. Sessions that begin later are not added. */
  join(group: string): Promise<number>
  /** Removes all sessions from a group. Resolves with their number. */
  leave(group: string): Promise<number>
  /** Ends all sessions. Resolves with their number. Rejects where `Session.close` throws. */
  end(code?: number, reason?: string): Promise<number>
}

/** Reliable sessions over a `WebSocketServer`. Its methods can be used unbound. */
export interface ReliableServer {
  /**
   * Sends to one session, on whichever node it is. Resolves, when the message is stored, with the number of messages that the session
   * has not acknowledged: pace by it. 0 means that there is no such session, or that it could not keep up and was ended. Rejects with a
   * `TypeError` for data that cannot be sent, with a `RangeError` for more than `maxUnacknowledgedBytes`, and with the store's error: the
   * message may then be stored or not.
   */
  send(session: string | Session, data: unknown, dataType?: DataType): Promise<number>
  /**
   * Sends as `send` does, and resolves when the client has acknowledged the message: with `true`, or with `false` if the session ended before.
   * Clients acknowledge within a second, and when they come back after an outage. Rejects where `send` does, and with the reason of `signal`:
   * the message may then arrive or not.
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
  /** All sessions of a user as one address. Throws a `TypeError` for an empty id. */
  user(id: string): User
  /** Resolves with the sessions in a group or, without a group, with all sessions, of all nodes. Large groups take long with Redis. */
  members(group?: string): Promise<readonly Member[]>
  /** Ends a session, on whichever node it is. Resolves with whether it existed. Rejects where `Session.close` throws. */
  end(session: string | Session, code?: number, reason?: string): Promise<boolean>
  /** Counts: a new object each time. */
  readonly stats: ServerStats
  /** Counts and times of this node as text, in the format that Prometheus reads: `text/plain; version=0.0.4`. */
  metrics(): string
  /** Resolves with whether clients can be sent to this node: the store answers, and neither `drain()` nor `close()` was called. Never rejects. */
  ready(): Promise<boolean>
  /**
   * Lets the clients go before a shutdown, one after the other over `over` milliseconds (default: 30,000). New connections are closed with 1012
   * at once. A client that supports it is asked to connect to another node first, and its connection ends when it has. All others are closed with
   * 1012. Running handlers finish first. Resolves when nobody is left; call `close()` then. Rejects with a `TypeError` for an invalid number.
   */
  drain(options?: { over?: number }): Promise<void>
  /**
   * Shuts down: lets running handlers finish (for `timeout` milliseconds, default 5,000), closes every connection with 1012, and asks
   * clients to come back after `retryAfter` seconds (default: 1). Sessions stay in the store. The `WebSocketServer` stays open; closing
   * it is up to you.
   */
  close(options?: { retryAfter?: number; timeout?: number }): Promise<void>
}
