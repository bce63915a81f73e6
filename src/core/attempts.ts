import type { Connection } from './connection.js'
import type { Dial } from './connector.js'
import type { Emitter } from './emitter.js'
import { SocketError } from './errors.js'
import type { SocketEvents } from './types.js'

/** The attempts to open a second connection, one after the other. */
export type Attempts = readonly [
  /** The second connection, or the attempt to make it. */
  next: () => Connection | undefined,
  /** Starts an attempt. */
  start: (cause: SocketError) => void,
  /** Returns the second connection, and leaves it to the caller. */
  take: () => Connection | undefined,
  /** Abandons the second connection, and counts failures from the beginning. */
  reset: () => void,
]

export const createAttempts = (
  emit: Emitter<SocketEvents<any>>['emit'],
  defer: Emitter<SocketEvents<any>>['defer'],
  dial: Dial,
  onReady: () => void,
  /** An attempt has failed, and the failure has been reported. */
  onFailed: (cause: SocketError, failures: number) => void,
): Attempts => {
  let next: Connection | undefined
  let failures = 0
  let isSlow = false

  const take = () => {
    const taken = next
    next = undefined
    return taken
  }

  const fail = (cause: SocketError) => {
    const attempt = ++failures
    isSlow = cause.code === 'CONNECT_TIMEOUT'
    take()?.abandon()
    defer(() => {
      // In the meantime, a listener may have closed the socket, or the first connection may have been lost.
      if (attempt !== failures) return
      emit('error', cause)
      onFailed(cause, attempt)
    })
  }

  const start = (cause: SocketError) => {
    try {
      next = dial({ attempt: failures, cause, isSlow }, onReady, fail)
    } catch (error) {
      fail(new SocketError('ENDPOINT_FAILED', error))
    }
  }

  const reset = () => {
    failures = 0
    take()?.abandon()
  }

  return [() => next, start, take, reset]
}
