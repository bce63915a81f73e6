/** The kinds of failures of calls and subscriptions. The list is closed, so a `switch` over it can be exhaustive. */
export type CallErrorCode =
  /** A handler of this page failed (`cause` is the error), or too many are running (`'maxCalls'`). The server received an error as the reply. */
  | 'HANDLER_FAILED'
  /**
   * A value from the server does not match its schema (`cause` is the list of issues): an item, the parameters of a call, or the result of a
   * call, which the server has carried out.
   */
  | 'INVALID'
  /** The server sent a message that the protocol does not allow (`cause` is the error, if there is one). */
  | 'MALFORMED'
  /** The call was never sent, so the server has not carried it out (`cause` is the reason, if there is one). */
  | 'NOT_SENT'
  /** The server answered with an error (`cause` is that error, in the form that the protocol defines). */
  | 'SERVER_ERROR'
  /** The call was sent, and no reply arrived in time. The server may have carried it out, or may still do so. */
  | 'TIMEOUT'
  /** The server sent a reply, an item or a call for which there is no call, subscription or handler (`cause` is its id, key or name). */
  | 'UNEXPECTED'
  /** The call was sent, and ended without a reply. The server may have carried it out. */
  | 'UNKNOWN'

/** Why a call or a subscription ended, or what was wrong with a message from the server. */
export class CallError extends Error {
  /** The kind of failure. */
  declare readonly code: CallErrorCode
  /** The underlying error or reason, or the server's error. */
  declare readonly cause: unknown

  /** Calls create these errors. A handler throws one with the code `SERVER_ERROR` to answer with the error that is its cause. */
  constructor(code: CallErrorCode, cause?: any) {
    let text = ''
    try {
      // Of several issues, the first.
      if (cause !== undefined) text = `: ${String(cause?.message ?? cause?.[0]?.message ?? cause)}`
    } catch {
      // Not every value can be text, and the server chooses its errors.
    }
    super(code + text)
    this.name = 'CallError'
    this.code = code
    this.cause = cause
  }
}
