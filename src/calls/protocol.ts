/** The functions that `CallProtocol.read` calls: one for each kind of message. */
export interface Incoming {
  /** The result of the call or subscription with this id. */
  result(id: unknown, result: unknown): void
  /** The call or subscription with this id has failed. The error becomes the `cause` of a `CallError`. */
  error(id: unknown, error: unknown): void
  /** An item of a subscription. `gap`: the server says that earlier ones are missing. */
  item(key: unknown, item: unknown, gap?: boolean): void
  /** The server has ended a subscription, because of this error if there is one. */
  end(key: unknown, error?: unknown): void
  /**
   * The server calls this page. Resolves with the result of the handler. Rejects with a `CallError`: `UNEXPECTED` if there is no handler,
   * `INVALID` for parameters that do not match their schema, `SERVER_ERROR` if the answer is to be the error's `cause`, and `HANDLER_FAILED`
   * if the handler failed otherwise, or if `maxCalls` handlers are running.
   */
  call(name: string, params: unknown): Promise<any>
  /** The message breaks the protocol. Returns whether this page handles calls: if so, the server may be waiting for an answer. */
  invalid(): boolean
}

/**
 * The format of calls and subscriptions. The functions create and read frames: values that `calls()` encodes as JSON or with a codec. Only `call`
 * and `read` are required.
 */
export interface CallProtocol {
  /** Returns the frame of a call or, without an id, of a notification, which the server does not answer. */
  call(id: number | undefined, name: string, params: unknown): unknown
  /** Returns the frame that subscribes. */
  subscribe?(id: number, name: string, params: unknown): unknown
  /** Returns the frame that unsubscribes. `id` is the id of this request, `key` the key of the subscription's items. */
  unsubscribe?(id: number, name: string, key: unknown): unknown
  /**
   * Returns the key of a subscription's items, given the server's reply. Without this function, the server does not confirm
   * subscriptions, and the key is the id of the request.
   */
  key?(result: unknown, name: string): unknown
  /**
   * Reads a frame of the server, and reports its contents by calling the functions of `incoming`. Returns the frame to answer with, a promise
   * for it, or `undefined`. The frame is `undefined` if the message could not be decoded. If this function throws, the message is
   * `MALFORMED`.
   */
  read(frame: any, incoming: Incoming): unknown
}
