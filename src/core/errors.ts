/** The kinds of failures. The list is closed, so a `switch` over it can be exhaustive. */
export type SocketErrorCode =
  /** `close()` was called, or `signal` was aborted (`cause` is its reason). */
  | 'CLOSED'
  /**
   * A connection that was open or was being prepared has ended (`close` is its close frame; `cause` is the error of the platform, if it reports
   * one, as `ws` does for frames that are invalid or too large).
   */
  | 'CONNECTION_LOST'
  /**
   * The handshake failed. Browsers do not say why: refused, DNS, TLS, 401, 403 and 429 all look the same. `ws`, Bun and Deno do: in `cause`
   * and in the message.
   */
  | 'CONNECTION_REFUSED'
  /** There was no connection within `connectTimeout`. */
  | 'CONNECT_TIMEOUT'
  /** The endpoint or protocols function failed, or the platform rejected its result (`cause` is the error). */
  | 'ENDPOINT_FAILED'
  /**
   * A second connection replaced the connection (`cause` is the argument of `handover()`, or the message for which `handover.when` returned
   * true).
   */
  | 'HANDOVER'
  /** There is no `WebSocket` on this platform. */
  | 'NO_WEBSOCKET'
  /** The page entered the back/forward cache, was frozen, or was hidden for `hiddenFor` milliseconds. */
  | 'PAGE_HIDDEN'
  /** `prepare` failed (`cause` is the error). */
  | 'PREPARE_FAILED'
  /** `reconnect()` was called (`cause` is its argument). */
  | 'RECONNECT_REQUESTED'
  /** `retry` failed, so the socket gave up (`cause` is the error). */
  | 'RETRY_FAILED'
  /**
   * A binary message arrived while `binary` had no listener (`cause` is its data). Reported once for each socket. Many servers forward text
   * messages as binary by mistake.
   */
  | 'UNHANDLED_BINARY'
  /** The peer did not answer the heartbeat in time. */
  | 'UNRESPONSIVE'

/** How a connection ended, according to its close frame. */
// https://websockets.spec.whatwg.org/#the-closeevent-interface
export interface CloseInfo {
  /** The close code. 1005: a close frame without a code. 1006: no close frame. */
  readonly code: number
  /** The reason in the close frame, or an empty string. */
  readonly reason: string
  /** Whether the browser considers the closing handshake complete. Browsers differ here, so rely on `code`. */
  readonly wasClean: boolean
}

/** Why an attempt or a connection ended. Outages cause no other class of errors. */
export class SocketError extends Error {
  /** The kind of failure. */
  declare readonly code: SocketErrorCode
  /** The underlying error, from a function of the application or from the platform. */
  declare readonly cause: unknown
  /** The close frame, if the browser reported a close; code 1006 if there was no frame. */
  declare readonly close: CloseInfo | undefined

  /** Sockets create these errors. Public for tests and for `retry` functions. `detail` ends the message. */
  constructor(
    code: SocketErrorCode,
    cause?: unknown,
    close?: CloseInfo,
    detail: unknown = close ? `${close.code} ${close.reason}`.trim() : cause === undefined ? '' : 'see cause',
  ) {
    super(detail ? `${code}: ${detail}` : code)
    this.name = 'SocketError'
    this.code = code
    this.cause = cause
    this.close = close
    // V8 retains the closures of a stack that was never read. They refer to the native socket of the attempt, whose own cause refers
    // to the previous attempt: 4 kB for each reconnection. Reading the stack once releases them.
    this.stack
  }
}
