import type { Data, Emitter, PreparedConnection, SendOptions, Socket } from '../index.js'
import type { CallError } from './errors.js'
import type { CallSchema, ContractEntry } from './schema.js'

/** The schemas of calls and subscriptions by name. If passed only as a type, nothing is validated at run time. */
export interface Contract {
  /** The schemas of one name. */
  readonly [name: string]: ContractEntry
}

type NameOf<All extends Contract> = keyof All & string

// In brackets, so that a schema that may be missing does not count as one.
type InputOf<Schema> = [Schema] extends [CallSchema<infer Input, any>] ? Input : unknown

type OutputOf<Schema> = [Schema] extends [CallSchema<any, infer Output>] ? Output : unknown

/** Parameters that may be undefined can be left out. */
type Arguments<Params, Options> = undefined extends Params
  ? [params?: Params, options?: Options]
  : [params: Params, options?: Options]

/** Whether a call is sent again when its connection ends before the reply. */
export type Again =
  /** No: it fails with `NOT_SENT` or `UNKNOWN`. While there is no connection, it is queued. */
  | 'never'
  /** Only if it certainly did not arrive; otherwise it fails with `UNKNOWN`. The server carries it out at most once. */
  | 'unsent'
  /** Yes. The server may carry it out twice. */
  | 'always'

/** Options for one call. */
export interface CallOptions {
  /**
   * The milliseconds after which the call fails: with `NOT_SENT` if it is still queued, otherwise with `TIMEOUT`. Default: the option of
   * `calls()`.
   */
  timeout?: number | undefined
  /** Whether the call is sent again when its connection ends before the reply. Default: `'unsent'`. */
  again?: Again | undefined
  /** Aborting this signal ends the call: with `NOT_SENT` if it is still queued, otherwise with `UNKNOWN`. Default: none. */
  signal?: AbortSignal | undefined
}

/** Options for one listener of a subscription. */
export interface SubscribeOptions {
  /**
   * Listeners with the same key share a subscription, which has the parameters of the first of them. Default: the name together with the first
   * parameters, as JSON.
   */
  key?: unknown
  /**
   * Called when the subscription ends for another reason than that the page unsubscribes: with an error if the server refused it, or it could not
   * be sent. Default: the error causes an `error` event.
   */
  onEnd?: ((error: CallError | undefined) => unknown) | undefined
}

/** A binary encoding, such as MessagePack or CBOR: the same as for `steadysocket/json`. */
export interface CallCodec {
  /** Encodes a frame as a message. */
  readonly encode: (frame: any) => string | ArrayBuffer | ArrayBufferView
  /** Decodes a binary message. Text is always JSON. */
  readonly decode: (data: ArrayBuffer) => unknown
}

/** Options for calls and subscriptions. Unknown options and invalid values throw a `TypeError`. */
export interface CallsOptions<All extends Contract = Contract> {
  /** The schemas by name, for values that are sent and received. Default: none, and all values are `unknown`. */
  contract?: All | undefined
  /** Replaces JSON. Default: none. */
  codec?: CallCodec | undefined
  /** The default of each call. Default: 30,000. */
  timeout?: number | undefined
  /** The default of each call. Default: `'unsent'`. */
  again?: Again | undefined
  /** How many calls may be pending, in each direction. Further ones fail at once. Default: 1,000. */
  maxCalls?: number | undefined
  /** How many bytes of binary data and characters of text the pending calls may have. Further calls fail at once. Default: 16 MiB. */
  maxBytes?: number | undefined
  /** How many subscriptions there may be. Beyond that, `subscribe()` throws. Default: 1,000. */
  maxSubscriptions?: number | undefined
}

/** The events and their payloads. */
export interface CallsEvents {
  /**
   * An error that belongs to no call of this page: a frame that breaks the protocol, a reply or an item that belongs to no call or
   * subscription, an item that does not match its schema, or a handler that failed.
   */
  error: CallError
}

/** The members of a socket that `calls()` uses. */
export interface CallSocket
  extends Pick<Socket, 'on' | 'once' | 'off' | 'queuedMessages' | 'connect' | 'close'> {
  /** Sends a message, or queues it until there is a connection. Aborting `signal` drops the message while it is queued. */
  send(data: Data, options?: Pick<SendOptions, 'signal'>): 'sent' | 'queued' | 'dropped'
  /**
   * Adds a listener that is called when messages from the server are missing, although the connection has not ended. From then on,
   * `queuedMessages()` returns only messages that were certainly not sent before. For sockets whose messages are numbered.
   */
  onSkipped?(listener: () => unknown): unknown
  /** The current state. */
  readonly state: { readonly name: string }
  /** Counts. Only the number of dropped messages is used. */
  readonly stats: { readonly dropped: number }
}

/** A socket, or a function that makes one with this `prepare`, so that subscriptions are made before it is open. */
export type SocketSource<Made> =
  | Made
  | ((prepare: (connection: PreparedConnection<any>) => Promise<void>) => Made)

/** Calls, subscriptions and handlers over a socket. The methods do not depend on `this`. */
export interface Calls<All extends Contract = Contract, Made = Socket<'arraybuffer' | 'blob'>> {
  /**
   * Calls the server. Resolves with the result; rejects with a `CallError`, or with a `TypeError` for arguments that cannot be sent. The promise
   * always settles, unless `timeout` is `Infinity` and the server never answers.
   */
  call<Name extends NameOf<All>>(
    name: Name,
    ...args: Arguments<InputOf<All[Name]['params']>, CallOptions>
  ): Promise<OutputOf<All[Name]['result']>>
  /** Sends a call that the server does not answer. Returns what the socket's `send()` returns, and throws for arguments that cannot be sent. */
  notify<Name extends NameOf<All>>(
    name: Name,
    ...args: Arguments<InputOf<All[Name]['params']>, SendOptions>
  ): 'sent' | 'queued' | 'dropped'
  /**
   * Adds a listener to a subscription, and returns a function that removes it. The first listener subscribes, and removing the last one
   * unsubscribes. On each later connection, the page subscribes again. If the parameters are a function, it receives the last item, so that the
   * server can continue after it. `gap` is true if items may be missing before this one. Throws a `CallError` with the code `NOT_SENT` for
   * parameters that do not match their schema, and beyond `maxSubscriptions`.
   */
  subscribe<Name extends NameOf<All>>(
    name: Name,
    params:
      | InputOf<All[Name]['params']>
      | ((last: OutputOf<All[Name]['event']> | undefined) => InputOf<All[Name]['params']>),
    listener: (item: OutputOf<All[Name]['event']>, info: { readonly gap: boolean }) => unknown,
    options?: SubscribeOptions,
  ): () => void
  /**
   * Adds a handler for the server's calls of this name, and returns a function that removes it. The reply is the value that the handler returns,
   * or that its promise resolves with. Throws a `TypeError` if there is already a handler.
   */
  handle<Name extends NameOf<All>>(
    name: Name,
    handler: (
      params: OutputOf<All[Name]['params']>,
    ) => InputOf<All[Name]['result']> | PromiseLike<InputOf<All[Name]['result']>>,
  ): () => void
  /** Adds a listener and returns a function that removes it. Throws a `TypeError` for an unknown event. */
  on: Emitter<CallsEvents>['on']
  /** Removes a listener. */
  off: Emitter<CallsEvents>['off']
  /** The socket. */
  readonly socket: Made
}
