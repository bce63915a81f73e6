/** What `CallProtocol.read` calls: one function for each thing that a message can say. */
export interface Incoming {
  /** The result of the call or subscription with this id. */
  result(id: unknown, result: unknown): void
  /** The call or subscription with this id has failed. The error becomes the `cause` of a `CallError`. */
  error(id: unknown, error: unknown): void
  /** An item of a subscription. `gap`: the server says that earlier ones are missing. */
  item(key: unknown, item: unknown, gap?: boolean): void
  /** The server has ended a subscription, if there is an error because of it. */
  end(key: unknown, error?: unknown): void
  /**
   * The server calls this page. Resolves with the result of the handler. Rejects with a `CallError`: `UNEXPECTED` if there is no handler, `INVALID`
   * for parameters that do not match their schema, `SERVER_ERROR` if the handler wants to answer with the error that is its `cause`, and
   * `HANDLER_FAILED` if it failed otherwise.
   */
  call(name: string, params: unknown): Promise<any>
  /** The message breaks the protocol. Returns whether this page handles calls, and so whether the server may wait for an answer. */
  invalid(): boolean
}

/**
 * How calls and subscriptions are written down. The functions make and read frames: values that `calls()` encodes as JSON or with a codec.
 * Only `call` and `read` are required.
 */
export interface CallProtocol {
  /** The frame of a call. Without an id: of a notification, which the server does not answer. */
  call(id: number | undefined, name: string, params: unknown): unknown
  /** The frame that makes a subscription. */
  subscribe?(id: number, name: string, params: unknown): unknown
  /** The frame that ends a subscription. `id` is that of this request, `key` that of the subscription's items. */
  unsubscribe?(id: number, name: string, key: unknown): unknown
  /**
   * The key that the items of a subscription have, according to the server's reply. Without this function, the server does not confirm
   * subscriptions, and the key is the id of the request.
   */
  key?(result: unknown, name: string): unknown
  /**
   * Reads a frame of the server, and says what it contains by calling the functions of `incoming`. Returns the frame to answer with, or a promise
   * for it, or `undefined`. The frame is `undefined` if the message could not be decoded. If this function throws, the message is `MALFORMED`.
   */
  read(frame: any, incoming: Incoming): unknown
}
