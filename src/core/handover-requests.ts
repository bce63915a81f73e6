import type { Connection } from './connection.js'
import type { Emitter } from './emitter.js'
import { SocketError } from './errors.js'
import type { Input, State } from './states.js'
import type { SocketEvents } from './types.js'

/** The calls of `handover()` that have not been settled, oldest first. */
export type Requests = readonly [
  /** `handover()`: plans a handover, or connects if there is no connection. */
  request: (cause?: unknown) => Promise<void>,
  /** An attempt has begun. It serves the calls that were made before it. Returns the attempt. */
  serve: (attempt: Connection) => Connection,
  /** Resolves (0) or rejects (1) the calls that the attempt serves, or the given number of calls. */
  settle: (at: 0 | 1, cause?: SocketError, count?: number) => void,
  /** Plans another handover for the calls that were made during the last one. */
  planAgain: () => void,
]

export const createRequests = (
  /** Whether an attempt calls functions of the application after its native socket was created. */
  isPrepared: boolean,
  defer: Emitter<SocketEvents<any>>['defer'],
  state: () => State,
  step: (input: Input) => void,
  plan: (cause: unknown, isRequest: boolean) => void,
): Requests => {
  const waiting: [resolve: () => void, reject: (reason: SocketError) => void][] = []
  /** How many of them the current attempt serves: those that were made before it began, or all of them if the attempt cannot be out of date. */
  let served = 0
  /** The cause that was passed to the last call. */
  let newest: unknown

  return [
    cause => {
      const promise = new Promise<void>((...waiter) =>
        defer(() => {
          const { name } = state()
          if (name === 'closed' || name === 'closing') return waiter[1](new SocketError('CLOSED'))
          waiting.push(waiter)
          newest = cause
          if (name === 'open') plan(cause, true)
          else step({ type: 'connect' })
        }),
      )
      // An event reports the failure, too, so callers may ignore the promise.
      promise.catch(() => {})
      return promise
    },

    attempt => {
      // If the attempt calls no functions of the application, its native socket exists already.
      served = isPrepared || !attempt.native ? waiting.length : Infinity
      return attempt
    },

    (at, cause, count = served) => {
      for (const waiter of waiting.splice(0, count)) waiter[at](cause as SocketError)
    },

    () => {
      served = 0
      if (waiting.length) plan(newest, true)
    },
  ]
}
