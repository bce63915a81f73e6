import type { Connection } from './connection.js'
import type { Emitter } from './emitter.js'
import { SocketError } from './errors.js'
import { askRetry, type Retry } from './retry.js'
import { createTimer } from './timers.js'
import type { SocketEvents } from './types.js'

/** Starts an attempt. Throws what the platform throws for a fixed endpoint. */
export type Dial = (
  context: { readonly attempt: number; readonly cause?: SocketError | undefined },
  onReady: () => void,
  onFailed: (cause: SocketError) => void,
) => Connection

/** The second connection, beside one that is open. */
export interface Successor {
  /** Starts an attempt after `delay` milliseconds, and others after it for as long as `retry` allows. */
  start(cause: SocketError, delay?: number): void
  /** The attempt, or the connection that results from it, if there is one. */
  connection(): Connection | undefined
  isReady(): boolean
  /** Leaves the connection to the caller. */
  take(): Connection | undefined
  /** Abandons it, and makes no other. */
  stop(): void
}

/** Makes the second connection, and makes it again if it fails. */
export const createSuccessor = (
  dial: Dial,
  retry: Retry | false,
  emit: Emitter<SocketEvents<any>>['emit'],
  defer: Emitter<SocketEvents<any>>['defer'],
  url: () => string,
  onDial: () => void,
  onReady: (next: Connection) => void,
  /** An attempt has failed. With `final` there is no other. */
  onFailed: (final: SocketError | undefined) => void,
): Successor => {
  const setTimer = createTimer()
  let next: Connection | undefined
  let isReady = false
  let failures = 0
  let since = 0
  let why: SocketError

  const take = () => {
    const taken = next
    setTimer()
    next = undefined
    isReady = false
    return taken
  }

  const stop = () => {
    take()?.abandon()
  }

  const fail = (cause: SocketError) => {
    const attempt = ++failures
    stop()
    defer(() => {
      // In the meantime, a listener may have started another one, or none may be wanted any more.
      if (next || attempt !== failures) return
      const elapsed = Math.max(0, Date.now() - since)
      const [delay, error] = askRetry(retry, { attempt, cause, uptime: 0, elapsed, url: url() })
      emit('error', cause)
      if (error) emit('error', error)
      if (delay !== false) setTimer(delay, attemptNext)
      onFailed(delay === false ? (error ?? cause) : undefined)
    })
  }

  const attemptNext = () => {
    onDial()
    try {
      next = dial(
        { attempt: failures, cause: why },
        () => {
          isReady = true
          const ready = next
          defer(() => ready && ready === next && onReady(ready))
        },
        fail,
      )
    } catch (error) {
      fail(new SocketError('ENDPOINT_FAILED', error))
    }
  }

  return {
    start(cause, delay) {
      stop()
      why = cause
      failures = 0
      since = Date.now()
      if (delay) setTimer(delay, attemptNext)
      else attemptNext()
    },
    connection: () => next,
    isReady: () => isReady,
    take,
    stop() {
      failures = 0
      stop()
    },
  }
}
