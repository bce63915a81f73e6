import type {
  CloseEventData,
  HeartbeatOptions,
  Listener,
  ListenOptions,
  OpenEventData,
  QueueOptions,
  SocketOptions,
  State,
  Stats,
} from '../index.js'

/** The outcome of a message. */
export type Outcome =
  /** The server has acknowledged it. */
  | { readonly status: 'delivered' }
  /** The socket was closed first. The message is in the outbox, from which the next socket sends it. Only with the option `outbox`. */
  | { readonly status: 'stored' }
  /** It was sent, and the session or the socket ended before it was acknowledged. The server may or may not have processed it. */
  | { readonly status: 'unknown' }
  /** The server has not processed it. */
  | {
      readonly status: 'dropped'
      readonly reason: ReliableDropReason
      /** For the reason `'refused'`: the server's answer, `{ name, message }` in this protocol, or what a function of yours has thrown. */
      readonly error?: unknown
    }

/** Why a message was not processed. */
export type ReliableDropReason =
  /** Its `signal` was aborted before it was sent. */
  | 'aborted'
  /** The application has cleared the outbox. */
  | 'cleared'
  /** The socket was closed before it was sent. */
  | 'closed'
  /** Its `ttl` ran out before it was sent. */
  | 'expired'
  /** The queue, or the outbox, was full. */
  | 'overflow'
  /** The server answered with an error. */
  | 'refused'

/** Options for sending a message. */
export interface ReliableSendOptions {
  /**
   * What to do if the session is lost before the message is acknowledged. `'drop'` reports it as `unknown`. `'resend'` sends it in the
   * new session, where the server cannot recognize it: it may be processed twice. Default: `'drop'`.
   */
  onLost?: 'drop' | 'resend'
  /**
   * Whether the outbox stores the message. With `false` it is sent without it: for what is worthless after a crash. A stored message has the
   * `onLost` of its outbox, `'resend'`. Default: `true`, if there is an outbox.
   */
  store?: boolean
  /** Drops the message when aborted, unless it has been sent. Default: none. */
  signal?: AbortSignal
  /** Drops the message if it has not been sent after this many milliseconds. Default: keep it. */
  ttl?: number
}

/** A message from the server, or from a group that this client has joined. */
export type ReliableMessage<Json = unknown> = {
  /** Its number in the session, counted from 1. */
  readonly id: number
  /** Who sent it: the server itself, or a member of a group. Do not trust a message from a group as you trust the server. */
  readonly from: 'server' | 'group'
  /** The group that it was published to, if any. */
  readonly group: string | undefined
  /** The user who published it, if the server sends a user id. */
  readonly userId: string | undefined
} & (
  | { readonly dataType: 'text'; readonly data: string }
  | { readonly dataType: 'binary'; readonly data: ArrayBuffer }
  | { readonly dataType: 'json'; readonly data: Json }
)

/** A message of this client as it was sent, with binary data as an `ArrayBuffer`. */
export interface SentMessage {
  /** The kind of request. */
  readonly type: 'event' | 'sendToGroup' | 'joinGroup' | 'leaveGroup'
  /** Its number. The server uses it to acknowledge the message and to recognize a repetition. Absent in an outbox, until it is sent. */
  readonly ackId?: number
  /** The id of a message from an outbox: the same in all sessions, so that the server recognizes a repetition in another one. */
  readonly messageId?: string
  /** The name of an `event`. */
  readonly event?: string
  /** The group, for all other types. */
  readonly group?: string
  /** The format of `data`. Absent if there is none. */
  readonly dataType?: 'text' | 'binary' | 'json'
  /** The data that was sent. */
  readonly data?: unknown
}

/** The exactly-once guarantee was broken. Between the break and this event nothing is delivered. */
export type Gap =
  /** The session is lost, with every message that the server had not delivered. Their number is unknown. */
  | {
      readonly reason: 'session'
      /** Messages that were sent but not acknowledged, and will not be sent again. Their outcome is `unknown`. */
      readonly unknown: readonly SentMessage[]
      /**
       * Messages that were sent but not acknowledged, and will be sent again. They may be processed twice, unless they have a `messageId`
       * and the server supports that, as `steadysocket/server` does.
       */
      readonly resent: readonly SentMessage[]
    }
  /** The sequence numbers jumped: `missed` messages never arrived, or were not readable. */
  | { readonly reason: 'skipped'; readonly missed: number }

/** Maps each event to its payload. */
export interface ReliableEvents<Json = unknown> {
  /** A message, once and in order. It is acknowledged after its listeners have returned. */
  message: ReliableMessage<Json>
  /** Messages are missing, or may have been processed twice: reload what you show. */
  gap: Gap
  /** A message was not processed. The promise of the message resolves with the same outcome. */
  drop: SentMessage & Extract<Outcome, { status: 'dropped' }>
  /** The outcome of a message from `options.saved` or the outbox: its promise was lost with the page that sent it, or is in another tab. */
  outcome: SentMessage & Outcome
  /** The state has changed. */
  state: ReliableState
  /** The connection is ready, and unacknowledged messages have been sent again. `resumed`: the session is the same as before. */
  open: Omit<OpenEventData, 'url' | 'protocol'> & { readonly resumed: boolean }
  /** An open connection has ended, and was not replaced by a handover. There is one such event for each `open`. */
  close: CloseEventData
  /**
   * An attempt failed (`SocketError`), the server sent a frame that breaks the protocol (`TypeError`), or it reads more slowly because this
   * client sends too much (`Error`).
   */
  error: Error
}

/** The core's state, without the URL, which contains tokens. */
export type ReliableState = Exclude<State, { name: 'open' }> | Omit<Extract<State, { name: 'open' }>, 'url'>

/** A snapshot. `queued` and `queuedBytes` count messages that have not been sent yet; `sent` and `received` count frames. */
export interface ReliableStats extends Omit<Stats, 'reclaimed'> {
  /** Messages that were sent but not acknowledged. */
  readonly inFlight: number
  /** Their bytes. */
  readonly inFlightBytes: number
  /** The number of the last message that was delivered in this session. */
  readonly lastSequenceId: number
}

/** The options of the core, except those that the protocol determines, and the options of reliable sessions. */
export interface ReliableOptions
  extends Omit<
    SocketOptions,
    'protocols' | 'binaryType' | 'prepare' | 'queue' | 'highWaterMark' | 'heartbeat'
  > {
  /** Limits for messages that have not been sent yet. Default: 16 MiB. */
  queue?: Omit<QueueOptions, 'overflow' | 'keepWhenClosed'>
  /** Detects dead connections with the protocol's own ping. `false` for servers that do not answer it. Default: on. */
  heartbeat?: Omit<HeartbeatOptions, 'message' | 'isReply'> | false
  /**
   * The format of the frames, if the server supports it: `protobuf()` of `steadysocket/reliable-protobuf`, for binary data. Each connection has the
   * format that its server selects, and a session can continue on a connection with another format. Default: JSON.
   */
  frames?: FrameFormat | undefined
  /**
   * Stores messages before they are sent, so that they outlive the page: `indexedDbOutbox()` of `steadysocket/outbox`. An outbox belongs to one
   * socket. Default: none.
   */
  outbox?: Outbox | undefined
  /** The text that `save()` returned before the page was reloaded. Use it only once. Default: none, which begins a new session. */
  saved?: string | null | undefined
}

/** A request with binary data that is kept as bytes. Converted to a string, it is the JSON frame. */
export interface PackedRequest {
  /** The number of bytes that count as in flight. */
  readonly size: number
  /** The JSON frame, with the data as base64. */
  toString(): string
  /** The JSON frame, in the text that `save()` returns. */
  toJSON(): string
}

/** A format of frames other than JSON: `protobuf()` of `steadysocket/reliable-protobuf`. */
export interface FrameFormat {
  /** The subprotocol, which is offered before the one for JSON frames. */
  readonly protocol?: string
  /** Prepares data for a request. For binary data, it returns a function that copies the data into a request with the members in `head`, and that must be called at once. For other data, it returns a part of a JSON frame. */
  pack(data: unknown): string | ((head: object) => PackedRequest)
  /** Encodes a JSON frame, or a request from `pack()`, for a connection with this subprotocol. */
  encode(frame: string | PackedRequest, protocol: string | undefined): string | ArrayBuffer
  /** Decodes a frame from the server, in this format or as JSON. Throws if the frame is malformed. */
  decode(data: string | ArrayBuffer): object
  /** Whether this is the server's answer to a ping, in this format or as JSON. */
  isPong(data: string | ArrayBuffer): boolean
}

/** A message on its way into an outbox. */
export interface OutboxMessage {
  /** What was passed to `send()`. */
  readonly data: unknown
  /** The options of `send()`. They are valid. */
  readonly options: ReliableSendOptions
  /** The request with this data as JSON. Throws for data that cannot be sent. */
  write(data: unknown): string
}

/** A socket, as its outbox uses it. */
export interface OutboxSocket {
  /**
   * Sends a request that `write()` has returned, in the order of the calls. It is dropped if it has not been sent after `ttl` milliseconds
   * (default: keep it), or when `signal` is aborted (default: none). If it resolves with `unknown`, or with the reason `'closed'` or
   * `'aborted'`, the message should stay in the outbox.
   */
  send(text: string, id: string, options: { ttl?: number; signal?: AbortSignal }): Promise<Outcome>
  /** Tells the application the outcome of a message. `isOwn`: whether a promise of this page resolves with it. */
  report(text: string, id: string, outcome: Outcome, isOwn: boolean): void
  /** Tells the application of a failure of the outbox. */
  error(error: Error): void
  /** Adds a listener for the states of the socket. */
  on(type: 'state', listener: (state: OutboxSocket['state']) => unknown): () => void
  /** The current state. */
  readonly state: { readonly name: State['name']; readonly cause?: unknown }
}

/** Stores messages before they are sent. */
export interface Outbox {
  /** Called once, by the socket. Returns the function that accepts the messages of `send()` and `publish()`. */
  attach(socket: OutboxSocket): (message: OutboxMessage) => Promise<Outcome>
  /** Returns the messages that are not stored yet, as a value for JSON, for the text of the socket's `save()`. Default: none. */
  save?(): unknown
  /** Called once, after `attach()`, with what `save()` returned on an earlier page. */
  restore?(saved: unknown): void
}

/** A WebSocket on which each message arrives once and in order, in both directions. Its methods do not depend on `this`. */
export interface ReliableSocket<Json = unknown> {
  /**
   * Sends an event to the server. The promise resolves with the outcome, if necessary after an outage. It rejects at once, and only for
   * invalid arguments: with a `TypeError`, or with the error of `JSON.stringify()`.
   * Strings are sent as text, `ArrayBuffer`s and views as binary, everything else as JSON. `event`: its name; default: `'message'`.
   */
  send(data: unknown, options?: ReliableSendOptions & { event?: string }): Promise<Outcome>
  /** Sends a message to all members of a group, like `send()`. `noEcho`: not to this client. Default: false. */
  publish(
    group: string,
    data: unknown,
    options?: ReliableSendOptions & { noEcho?: boolean },
  ): Promise<Outcome>
  /** Joins a group, in this session and all later ones. Rejects with a `TypeError` for an invalid name. */
  join(group: string): Promise<Outcome>
  /** Leaves a group, in this session and all later ones. Rejects with a `TypeError` for an invalid name. */
  leave(group: string): Promise<Outcome>
  /**
   * Adds a listener and returns a function that removes it. Adding the same listener twice has no effect. Throws a `TypeError` for an
   * unknown event.
   */
  on<Type extends keyof ReliableEvents>(
    type: Type,
    listener: Listener<ReliableEvents<Json>[Type]>,
    options?: ListenOptions,
  ): () => void
  /** Like `on()`, for the next event only. */
  once<Type extends keyof ReliableEvents>(
    type: Type,
    listener: Listener<ReliableEvents<Json>[Type]>,
    options?: ListenOptions,
  ): () => void
  /** Removes a listener. Removing one that was never added has no effect. Throws a `TypeError` for an unknown event. */
  off<Type extends keyof ReliableEvents>(type: Type, listener: Listener<ReliableEvents<Json>[Type]>): void
  /** Connects now if there is no connection. Throws a `SyntaxError` for a malformed URL. */
  connect(): void
  /** Replaces the current connection. The session continues. After `close()`, it connects again, usually with a new session, after a gap. */
  reconnect(cause?: unknown): void
  /**
   * Moves the session to another connection without an interruption, as the core's `handover()` does. There are no `close` and `open` events,
   * unless the server has lost the session.
   */
  handover(cause?: unknown): Promise<void>
  /**
   * Closes the socket without waiting: messages that were sent but not acknowledged resolve with `unknown`, all others are dropped. To wait for
   * the acknowledgements, await the promises first. The session ends with the connection, if the server supports that, unless `save()` was called
   * since the connection opened. Throws for invalid codes and reasons as the core's `close()` does.
   */
  close(code?: number, reason?: string): void
  /** The current state: the same object until the next `state` event. */
  readonly state: ReliableState
  /** The session's public id; `undefined` until there is one. */
  readonly connectionId: string | undefined
  /** Counts: a new object each time. */
  readonly stats: ReliableStats
  /**
   * The session and its unacknowledged messages as text, to continue after a reload: call it in `pagehide`, and pass the result to
   * `options.saved`. It contains a secret: keep it in `sessionStorage`.
   */
  save(): string
}
