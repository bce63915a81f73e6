// What the application holds: the server and its counts.
import type { DataType } from '../reliable/frames.js'
import type { Session } from './options.js'

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

/** Reliable sessions over a `WebSocketServer`. Its methods can be used unbound. */
export interface ReliableServer {
  /**
   * Sends to one session, on whichever node it is. Resolves, when the message is stored, with the number of messages that the session
   * has not acknowledged: pace by it. 0 means that there is no such session, or that it could not keep up and was ended. Rejects with a
   * `TypeError` for data that cannot be sent, with a `RangeError` for more than `maxUnacknowledgedBytes`, and with the store's error: the
   * message may then be stored or not.
   */
  send(session: string | Session, data: unknown, dataType?: DataType): Promise<number>
  /** Sends to all members of a group, except for `except`. Resolves with their number. `dataType` and rejections are as in `send`. */
  publish(
    group: string,
    data: unknown,
    options?: { dataType?: DataType; except?: string | Session },
  ): Promise<number>
  /** Sends to all sessions. Resolves with their number. Rejects as `send` does. */
  broadcast(data: unknown, dataType?: DataType): Promise<number>
  /** Ends a session, on whichever node it is. Resolves with whether it existed. Rejects where `Session.close` throws. */
  end(session: string | Session, code?: number, reason?: string): Promise<boolean>
  /** Counts: a new object each time. */
  readonly stats: ServerStats
  /**
   * Shuts down: lets running handlers finish (for `timeout` milliseconds, default 5,000), closes every connection with 1012, and asks
   * clients to come back after `retryAfter` seconds (default: 1). Sessions stay in the store. The `WebSocketServer` stays open; closing
   * it is up to you.
   */
  close(options?: { retryAfter?: number; timeout?: number }): Promise<void>
}
