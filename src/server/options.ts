// The interface of the server for the application.
import type { DataType } from '../reliable/frames.js'
import type { Payload } from './frames.js'
import type { Origins, RequestLike } from './origin.js'
import type { PerClient, Rate } from './rates.js'
import type { Store } from './store.js'

/** A client's session. It outlives connections and represents the same client on every node. */
export interface Session {
  /** The id of the session: the protocol's `connectionId`. */
  readonly id: string
  /** The user's id, as `authorize` returned it. */
  readonly userId: string | undefined
  /**
   * Sends a message: exactly once, in the order of the calls. Strings are sent as text, bytes as binary, everything else as JSON. With the
   * `dataType` `'json'` a string is sent as JSON too. Throws a `TypeError` for data that cannot be sent, and a `RangeError` for more than
   * `maxUnacknowledgedBytes`.
   *
   * In `onMessage` the message is held until the handler is done. It is then stored in the same step that marks the client's message as
   * processed: both or neither. A failure of the store is reported to `onError`.
   */
  send(data: unknown, dataType?: DataType): void
  /**
   * Sends to all members of a group; `noEcho` excludes this session (default: false). `dataType` is as in `send`. In `onMessage` the
   * message is held, as with `send`.
   */
  publish(group: string, data: unknown, options?: { dataType?: DataType; noEcho?: boolean }): void
  /** Joins a group. In `onMessage` this is held, as with `send`. */
  join(group: string): void
  /** Leaves a group. In `onMessage` this is held, as with `send`. */
  leave(group: string): void
  /**
   * Ends the session for good: at once or, in `onMessage`, when the handler is done and its messages are written. After the default code,
   * 1008, the client does not resume the session. Throws a `RangeError` for a code that is not 1000, 1008 or 3000 to 4999, and for a
   * reason of more than 120 bytes.
   */
  close(code?: number, reason?: string): void
}

/** A message from a client. */
export type ClientMessage = Payload & {
  /** The name of the event. */
  readonly event: string
  /**
   * The same for every repetition of this message, and different for all other messages, on every node. Store it together with your
   * own effects to apply them once. Absent if the client wants no acknowledgement.
   */
  readonly id: string | undefined
}

/** The result of `authorize`: `true` for a user without a name, a user's id, or an object with the groups of a new session. */
export type Authorization =
  | boolean
  | string
  | {
      /** The user's id. */
      readonly userId?: string
      /** The groups that a new session begins in. */
      readonly groups?: readonly string[]
    }

type Eventually<Value> = Value | PromiseLike<Value>

/** Handlers, permissions and limits. Durations are in milliseconds. */
export interface ReliableServerOptions<Request extends RequestLike = RequestLike> {
  /**
   * Handles an event from a client. The session's next event and the acknowledgement wait until the handler is done. If it fails, the
   * client receives the error's name, and nothing that was sent or published through `session` happens. Default: events are refused.
   */
  onMessage?: (message: ClientMessage, session: Session) => unknown
  /** A session has begun or was resumed. The server reads nothing from the connection until this is done. Default: nothing. */
  onConnect?: (session: Session, context: { readonly resumed: boolean; readonly request: Request }) => unknown
  /**
   * A session has lost its connection, and no other one has taken its place. It can be resumed within `sessionTimeout`, or within ten seconds
   * if the client has closed the connection with 1000. Default: nothing.
   */
  onDisconnect?: (session: Session, close: { readonly code: number; readonly reason: string }) => unknown
  /**
   * A session has ended: the application or the client ended it, its client broke the protocol or did not keep up, or it has expired. Called on
   * the node that held it last, if that is still there. Default: nothing.
   */
  onEnd?: (
    session: { readonly id: string; readonly userId: string | undefined },
    close: { readonly code: number; readonly reason: string },
  ) => unknown
  /** Whether a client may join a group. Default: no. */
  onJoin?: (group: string, session: Session) => Eventually<boolean>
  /**
   * Whether a client may publish to a group. Even then it must be a member. The members' messages carry the id of its user, or `''` if
   * it has no name. Default: no.
   */
  onPublish?: (group: string, message: Payload, session: Session) => Eventually<boolean>
  /**
   * Identifies the user of each connection; `false` refuses it. Only the user who began a session can resume it. Default: everyone may
   * connect, without a name.
   */
  authorize?: (request: Request) => Eventually<Authorization>
  /** The pages that may connect. Default: pages of the host that they connect to, and programs other than browsers. */
  origins?: Origins<Request>
  /** Keeps the sessions. Default: `memoryStore()`. */
  store?: Store
  /**
   * A session with more unacknowledged messages is ended with 1013, and its client begins a new one. A client that publishes waits up to
   * three seconds for connected members that are that far behind. Default: 1,000. At 200 messages a second that covers an outage of five
   * seconds; after a restart, clients come back within five seconds.
   */
  maxUnacknowledged?: number
  /** A session with more bytes of unacknowledged messages is ended. Default: 4 MiB. */
  maxUnacknowledgedBytes?: number
  /**
   * The largest message that a client may send, in bytes; larger ones are refused with the name `TooLarge`. Unless you set `maxPayload` of
   * your `WebSocketServer`, it becomes twice this. Default: 1 MiB.
   */
  maxMessageBytes?: number
  /** The number of groups that a session may be in. Default: 256. */
  maxGroups?: number
  /** The number of processed message ids that a session remembers. Default: 4,096. */
  dedupeWindow?: number
  /** How long a session outlives its connection, and how long a silent connection counts as alive. Default: 60,000. */
  sessionTimeout?: number
  /**
   * How much clients may send each second: per connection, per user and per address. A client that sends more is read more slowly. `false`: no
   * limits. Default: 2,000 frames and 16 MiB per connection.
   */
  rates?: PerClient<Rate> | false
  /** How many connections a user and an address may have on this node; others are closed with 1013. Default: any number. */
  maxConnections?: Omit<PerClient<number>, 'connection'>
  /** The address of a client, for `rates` and `maxConnections`. Default: the `remoteAddress` of the request's socket. */
  address?: (request: Request) => string
  /** Called with every frame of a client before it is handled, pings and acknowledgements included. Default: nothing. */
  onFrame?: (
    frame: { readonly type: string; readonly bytes: number },
    session: { readonly id: string; readonly userId: string | undefined },
  ) => void
  /** Receives errors of your functions, of the store and of the `WebSocketServer`. Default: `console.error`. */
  onError?: (error: unknown) => void
}

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

/** The options that are numbers. `ReliableServerOptions` documents them. */
export interface Limits {
  readonly maxUnacknowledged: number
  readonly maxUnacknowledgedBytes: number
  readonly maxMessageBytes: number
  readonly maxGroups: number
  readonly dedupeWindow: number
  readonly sessionTimeout: number
}

const DEFAULTS: Limits = {
  maxUnacknowledged: 1_000,
  maxUnacknowledgedBytes: 2 ** 22,
  maxMessageBytes: 2 ** 20,
  maxGroups: 256,
  dedupeWindow: 4_096,
  sessionTimeout: 60_000,
}

const DEFAULT_RATES: PerClient<Rate> = { connection: { messages: 2_000, bytes: 2 ** 24 } }

/** All options, which the compiler compares with the interface. */
const NAMES: Record<keyof ReliableServerOptions, true> = {
  onMessage: true,
  onConnect: true,
  onDisconnect: true,
  onEnd: true,
  onJoin: true,
  onPublish: true,
  authorize: true,
  origins: true,
  store: true,
  maxUnacknowledged: true,
  maxUnacknowledgedBytes: true,
  maxMessageBytes: true,
  maxGroups: true,
  dedupeWindow: true,
  sessionTimeout: true,
  rates: true,
  maxConnections: true,
  address: true,
  onFrame: true,
  onError: true,
}

/** Throws a `TypeError` for an option that does not exist: with `authorise` everybody would be let in. */
export const checkNames = (options: object): void => {
  for (const name of Object.keys(options)) {
    if (!Object.keys(NAMES).includes(name))
      throw new TypeError(`createReliableServer has no option '${name}'`)
  }
}

/** Throws a `TypeError` for an invalid rate. */
export const resolveRates = (rates: PerClient<Rate> | false | undefined): PerClient<Rate> => {
  if (rates === false) return {}
  const all: PerClient<Rate> = { ...DEFAULT_RATES, ...rates }
  for (const rate of Object.values(all) as (Rate | undefined)[]) {
    for (const value of Object.values(rate ?? {})) {
      if (!(value > 0))
        throw new TypeError('rates: each limit must be a number > 0, in messages or bytes per second')
    }
  }
  return all
}

/** Throws a `TypeError` for an invalid number of connections. */
export const checkMaxConnections = (max: PerClient<number>): void => {
  for (const value of Object.values(max)) {
    if (value !== Infinity && !(Number.isSafeInteger(value) && value > 0))
      throw new TypeError('maxConnections: each limit must be an integer >= 1')
  }
}

/** Throws a `TypeError` for an invalid limit. */
export const resolveLimits = (options: Partial<Limits>): Limits => {
  const limits: Record<keyof Limits, number> = { ...DEFAULTS }
  for (const name of Object.keys(DEFAULTS) as (keyof Limits)[]) {
    const { [name]: value = DEFAULTS[name] } = options
    if (!Number.isSafeInteger(value) || value < 1) throw new TypeError(`${name} must be an integer >= 1`)
    limits[name] = value
  }
  // A timer with more fires at once.
  if (limits.sessionTimeout >= 2 ** 31)
    throw new TypeError('sessionTimeout must be at most 2,147,483,647 ms (24 days)')
  return limits
}

/** Throws a `RangeError` for a close code or reason that an endpoint may not send. */
// https://datatracker.ietf.org/doc/html/rfc6455#section-7.4
export const checkClose = (code: number, reason: string): void => {
  const isAllowed =
    Number.isInteger(code) && (code === 1000 || code === 1008 || (code >= 3000 && code < 5000))
  if (!isAllowed) throw new RangeError('the close code of a session must be 1000, 1008, or from 3000 to 4999')
  if (new TextEncoder().encode(reason).length > 120)
    throw new RangeError('the close reason must be at most 120 bytes')
}
