import { onAbort } from './abort.js'
import { createTimer } from './timers.js'

/** Calls `drop` when the `ttl` of a message has passed or its `signal` is aborted. Returns a function that stops watching both. */
export const watchExpiry = (
  ttl: number | undefined,
  signal: AbortSignal | undefined,
  drop: (reason: 'expired' | 'aborted') => void,
): (() => void) => {
  const setTimer = createTimer()
  setTimer(ttl, () => drop('expired'))
  const unwatchSignal = signal && onAbort(signal, () => drop('aborted'))
  return () => {
    setTimer()
    unwatchSignal?.()
  }
}
