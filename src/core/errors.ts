/** Why something failed. A closed list: a `switch` over it can be exhaustive. */
export type SocketErrorCode =
  /** `close()` was called, or `signal` was aborted (`cause`: its reason). */
  | 'CLOSED'
  /** A connection that was open, or being prepared, ended (`close`: how). */
  | 'CONNECTION_LOST'
  /** The handshake failed. Browsers do not say why: refused, DNS, TLS, 401, 403, 429 all look the same. */
  | 'CONNECTION_REFUSED'
  /** No connection within `connectTimeout`. */
  | 'CONNECT_TIMEOUT'
  /** The endpoint or protocols function failed, or the platform refused what it gave (`cause`: why). */
  | 'ENDPOINT_FAILED'
  /** There is no `WebSocket` here. */
  | 'NO_WEBSOCKET'
  /** The page was put away (back/forward cache, frozen). */
  | 'PAGE_HIDDEN'
  /** `prepare` failed (`cause`: why). */
  | 'PREPARE_FAILED'
  /** `reconnect()` was called (`cause`: what it was given). */
  | 'RECONNECT_REQUESTED'
  /** `retry` failed, which ends the retrying (`cause`: why). */
  | 'RETRY_FAILED'
  /** The peer gave no sign of life within the time of `heartbeat`. */
  | 'UNRESPONSIVE'

/** How a connection ended, as its close frame said. */
// https://websockets.spec.whatwg.org/#the-closeevent-interface
export interface CloseInfo {
  /** 1005: a close frame without a code. 1006: no close frame. */
  readonly code: number
  /** What the frame gave as a reason; `''`: nothing. */
  readonly reason: string
  /** Whether both sides said goodbye, as the browser saw it. Browsers differ: go by `code`. */
  readonly wasClean: boolean
}

/** What ended an attempt or a connection. The only class of error that comes from an outage. */
export class SocketError extends Error {
  /** What happened. */
  declare readonly code: SocketErrorCode
  /** What really happened: the error of a user's function or of the platform. */
  declare readonly cause: unknown
  /** The close frame, or 1006, where the browser reported a close. */
  declare readonly close: CloseInfo | undefined

  /** Made here; public for tests and for a `retry` of your own. `detail` ends the message. */
  constructor(
    code: SocketErrorCode,
    cause?: unknown,
    close?: CloseInfo,
    detail: unknown = close ? `${close.code} ${close.reason}` : cause === undefined ? '' : 'see cause',
  ) {
    super(detail ? `${code}: ${detail}` : code)
    this.name = 'SocketError'
    this.code = code
    this.cause = cause
    this.close = close
    // V8 keeps the closures of a stack that nobody has read, and they lead to the native socket of the attempt,
    // whose own cause leads to the attempt before: 4 kB a reconnection. Reading it once lets go of them.
    this.stack
  }
}
