/** The kinds of failures of calls and subscriptions. The list is closed, so a `switch` over it can be exhaustive. */
export type CallErrorCode =
  /** A handler of this page failed (`cause` is the error). The server was told so. */
  | 'HANDLER_FAILED'
  /**
   * A value from the server does not match its schema (`cause` is the list of issues): a result, whose call was carried out; an item; or the
   * parameters of a call.
   */
  | 'INVALID'
  /** The server sent a message that the protocol does not allow (`cause` is the error, if there is one). */
  | 'MALFORMED'
  /** The call did not leave this page, so it was certainly not carried out (`cause` is the reason, if there is one). */
  | 'NOT_SENT'
  /** The server answered with an error (`cause` is that error, in the form that the protocol gives it). */
  | 'SERVER_ERROR'
  /** The call was sent, and no reply came in time. It may have been carried out, or may still be. */
  | 'TIMEOUT'
  /** The server sent a reply, an item or a call that nobody waits for (`cause` is its id, key or name). */
  | 'UNEXPECTED'
  /** The call was sent, and ended without a reply. It may have been carried out. */
  | 'UNKNOWN'

/** Why a call or a subscription ended, or what was wrong with a message from the server. */
export class CallError extends Error {
  /** The kind of failure. */
  declare readonly code: CallErrorCode
  /** The underlying error or reason, or the server's error. */
  declare readonly cause: unknown

  /** Calls create these errors. A handler throws one with the code `SERVER_ERROR` to answer with the error that is its cause. */
  constructor(code: CallErrorCode, cause?: any) {
    super(cause === undefined ? code : `${code}: ${cause?.message ?? cause}`)
    this.name = 'CallError'
    this.code = code
    this.cause = cause
  }
}
