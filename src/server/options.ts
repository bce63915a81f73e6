// The options of the server, and the arguments of its handlers.
import type { DataType } from '../reliable/frames.js'
import type { LimitStep } from './flood.js'
import type { Payload } from './frames.js'
import type { Origins, RequestLike } from './origin.js'
import type { Limit, PerClient, Rate } from './rates.js'
import type { Store } from './store.js'

/** A client's session. It outlives connections and represents the same client on every node. */
export interface Session {
  /** The id of the session: the protocol's `connectionId`. */
  readonly id: string
  /** The user's id, as `authorize` returned it. */
  readonly userId: string | undefined
  /**
   * Sends a message: exactly once, in the order of the calls. Strings are sent as text, bytes as binary, everything else as JSON. With the
   * `dataType` `'json'`, a string is sent as JSON, too. Throws a `TypeError` for data that cannot be sent, and a `RangeError` for more than
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
   * Ends the session permanently: at once or, in `onMessage`, when the handler is done and its messages are written. After the default code,
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
   * The same for every repetition of this message, and different for all other messages of the user, on every node. A message from an outbox
   * keeps it across sessions. Store it together with your own effects to apply them once. Absent if the client wants no acknowledgement.
   */
  readonly id: string | undefined
  /** Aborted when the handler has taken longer than `handlerTimeout`. */
  readonly signal: AbortSignal
}

/** The result of `authorize`: `true` for a client without a user id, a user's id, or an object with the id and the groups. */
export type Authorization =
  | boolean
  | string
  | {
      /** The user's id. */
      readonly userId?: string
      /**
       * The groups of the session. When the session is resumed, it leaves those that are no longer listed here; it stays in groups that it
       * has joined in another way.
       */
      readonly groups?: readonly string[]
    }

/** Describes a client that exceeds a rate. */
export interface LimitEvent extends Limit {
  /**
   * `'slowed'`: its frames are read more slowly. `'warned'`: its frames have waited for a second, and the client was notified. `'closed'`:
   * its frames have waited for ten seconds, and its connection is closed with 1013.
   */
  readonly step: LimitStep
}

type Eventually<Value> = Value | PromiseLike<Value>

/** Handlers, permissions and limits. Durations are in milliseconds. */
export interface ReliableServerOptions<Request extends RequestLike = RequestLike> {
  /**
   * Handles an event from a client. The session's next event and the acknowledgement wait until the handler is done. If it fails, the
   * client receives the error's name, and nothing that was sent or published through `session` happens. Default: events are refused.
   */
  onMessage?: (message: ClientMessage, session: Session) => unknown
  /**
   * Answers an invocation, which `invokeEvent()` of Azure's client sends. The answer is the value that this function returns, or the value of the
   * promise. It is encoded as by `Session.send`; `null` and `undefined` mean an answer without data. Apart from that, this works like `onMessage`.
   * An invocation belongs to its connection: if the connection ends, the client cannot know whether the invocation was handled.
   * `createReliableSocket` does not send invocations. Default: invocations are refused.
   */
  onInvoke?: (message: ClientMessage, session: Session) => unknown
  /** A session has begun or was resumed. The server reads nothing from the connection until this is done. Default: nothing. */
  onConnect?: (session: Session, context: { readonly resumed: boolean; readonly request: Request }) => unknown
  /**
   * A session has lost its connection, and no other one has taken its place. It can be resumed within `sessionTimeout`, or within ten seconds
   * if the client has closed the connection with 1000. Default: nothing.
   */
  onDisconnect?: (session: Session, close: { readonly code: number; readonly reason: string }) => unknown
  /**
   * A session has ended: the application or the client ended it, the client broke the protocol or was too slow, or the session has expired.
   * Called on the node that held it last or, with sessions in Redis, on another node if that one no longer runs. Default: nothing.
   */
  onEnd?: (
    session: { readonly id: string; readonly userId: string | undefined },
    close: { readonly code: number; readonly reason: string },
  ) => unknown
  /** Whether a client may join a group. Default: no. */
  onJoin?: (group: string, session: Session) => Eventually<boolean>
  /**
   * Whether a client may publish to a group. Even then it must be a member. The message contains the id of the client's user, or `''`
   * if it has none. Default: no.
   */
  onPublish?: (group: string, message: Payload, session: Session) => Eventually<boolean>
  /**
   * Identifies the user of each connection; `false` refuses it. Only the user who began a session can resume it. Default: everyone may
   * connect, without a user id.
   */
  authorize?: (request: Request) => Eventually<Authorization>
  /**
   * The pages that may connect. Default: `https:` pages of the host that they connect to, `http:` pages only if that host is `localhost` or an
   * IP address, and programs other than browsers.
   */
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
  /**
   * How long the server remembers the ids of processed messages from clients with an outbox, so that it processes none twice, even if the
   * client's page or a node crashes. Default: a week. It should be as long as an outbox may keep messages.
   */
  idTimeout?: number
  /**
   * The number of these ids that are remembered for each user. Beyond it, the oldest is forgotten. Clients without a user id share 64 such
   * memories. Default: 10,000.
   */
  maxIds?: number
  /**
   * How long `onMessage`, `onInvoke`, `onJoin`, `onPublish`, `onConnect` and `authorize` may take. A request that takes longer is refused with the name
   * `Timeout`, and nothing that was sent through its `session` happens. A connection that takes longer is closed with 1011. Default: 60,000.
   */
  handlerTimeout?: number
  /** How long a session outlives its connection, and how long a silent connection counts as alive. Default: 60,000. */
  sessionTimeout?: number
  /**
   * How much clients may send each second: per connection, per user and per address. A client that sends more is read more slowly. After a
   * second, it is sent a `limited` frame that names the limit. After ten seconds, a client that sends without waiting for answers is closed
   * with 1013, and may come back after five. Its session is kept. `false`: no limits. Default: 2,000 frames and 16 MiB per connection.
   */
  rates?: PerClient<Rate> | false
  /** How many connections a user and an address may have on this node; others are closed with 1013. Default: any number. */
  maxConnections?: Omit<PerClient<number>, 'connection'>
  /**
   * How many sessions a user may have on all nodes, and an address on this node. For a new one, the session that has been without a connection
   * for the longest is ended. If all have a connection, the new one is closed with 1013. Default: any number.
   */
  maxSessions?: Omit<PerClient<number>, 'connection'>
  /** The address of a client, for `rates`, `maxConnections` and `maxSessions`. Default: the `remoteAddress` of the request's socket. */
  address?: (request: Request) => string
  /**
   * Called with every frame of a client before it is handled. `type` is that of the protocol's frame; `'bad'` for a request that is refused as
   * malformed, `'invalid'` for a frame that ends the session, and `'WebSocket ping'` or `'WebSocket pong'`. Default: nothing.
   */
  onFrame?: (
    frame: { readonly type: string; readonly bytes: number },
    session: { readonly id: string; readonly userId: string | undefined },
  ) => void
  /** Called when a client exceeds a rate. The first argument describes the rate. Default: nothing. */
  onLimit?: (limit: LimitEvent, session: { readonly id: string; readonly userId: string | undefined }) => void
  /** Receives errors of your functions, of the store and of the `WebSocketServer`. Default: `console.error`. */
  onError?: (error: unknown) => void
}
