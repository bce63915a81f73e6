import type { Connection } from './connection.js'
import type { Dial } from './connector.js'
import { type Emitter, guard } from './emitter.js'
import { SocketError } from './errors.js'
import { askRetry, type Retry } from './retry.js'
import { createTimer } from './timers.js'
import type { SocketEvents } from './types.js'

/**
 * `doubt`: the first connection may be dead, and messages wait while a second one is being prepared. `dead`: that one was ready before
 * anything arrived. `plan`: a second one is being prepared. `drain`: it is ready, messages wait, and the first one is read. `close`: the
 * first one is being closed.
 */
export type Phase = 'doubt' | 'dead' | 'plan' | 'drain' | 'close' | undefined

/** Prepares the second connection, and ends the first one. */
export interface Successor {
  phase(): Phase
  /** The second connection, or the attempt to make it. */
  next(): Connection | undefined
  /** Why there is a second connection. */
  cause(): SocketError
  /** Moves to a second connection, unless that is being done. */
  plan(cause?: unknown): void
  /** Moves to a second connection unless something arrives on the first one. `isAsked`: the heartbeat has asked, so it decides. */
  doubt(isAsked: boolean | undefined, isPossible: boolean): void
  /** The first connection stays, unless there is another reason to replace it. */
  stay(): void
  /** Leaves the second connection to the caller. */
  take(): Connection | undefined
  /** Abandons the second connection. */
  reset(): void
}

/** Clients that wake up together are kept apart by up to so many milliseconds. */
const JITTER = 300

/** The first connection is read for at least so many milliseconds after the second is ready. */
const MIN_DRAIN = 100

export const createSuccessor = (
  closeTimeout: number,
  retry: Retry | false,
  emit: Emitter<SocketEvents<any>>['emit'],
  defer: Emitter<SocketEvents<any>>['defer'],
  dial: Dial,
  first: () => WebSocket,
  /** Makes messages wait, or sends those that do. */
  hold: (isHeld: boolean) => void,
  /** The first connection is not the only one any more, or it is again. */
  onChange: (hasSecond: boolean) => void,
  /** There will be no second connection. */
  onFailed: (cause: SocketError) => void,
  lose: (cause: SocketError, again?: boolean) => void,
): Successor => {
  const setTimer = createTimer()
  let phase: Phase
  let next: Connection | undefined
  let why: SocketError
  let failures = 0
  let isSlow = false
  let since = 0
  /** Why a second connection is wanted even if the first one lives. */
  let wish: readonly [cause: unknown] | undefined

  const take = () => {
    const taken = next
    setTimer()
    next = undefined
    return taken
  }

  const reset = () => {
    phase = undefined
    wish = undefined
    failures = 0
    take()?.abandon()
  }

  const stay = () => {
    const again = wish
    reset()
    onChange(false)
    hold(false)
    if (again) plan(again[0])
  }

  const closeFirst = () => {
    phase = 'close'
    setTimer(closeTimeout, () => lose(why))
    guard(() => first().close(1000, 'handover'))
  }

  const onReady = () => {
    const isDead = phase === 'doubt'
    phase = isDead ? 'dead' : 'drain'
    hold(true)
    // The reply to the last message needs a round trip and the server's time. The handshake took a round trip, or two or three without HTTP/2.
    if (isDead) lose(why)
    else setTimer(Math.max((next as Connection).handshake, MIN_DRAIN), closeFirst)
  }

  const fail = (cause: SocketError) => {
    const attempt = ++failures
    isSlow = cause.code === 'CONNECT_TIMEOUT'
    // Its timer stays: in phase `close` it limits the closing handshake of the first connection.
    next?.abandon()
    next = undefined
    defer(() => {
      // In the meantime, a listener may have closed the socket, or the first connection may have been lost.
      if (attempt !== failures) return
      emit('error', cause)
      if (phase === 'close') return
      const elapsed = Math.max(0, Date.now() - since)
      const [delay, error] = askRetry(retry, { attempt, cause, uptime: 0, elapsed, url: first().url })
      if (error) emit('error', error)
      if (phase === 'drain') phase = 'plan'
      hold(false)
      if (delay !== false) return setTimer(delay, start)
      wish = undefined
      onFailed(error ?? cause)
      stay()
    })
  }

  // Deferred, because the endpoint function may call methods of the socket.
  const start = () =>
    defer(() => {
      if (!phase) return
      hold(phase === 'doubt')
      try {
        next = dial({ attempt: failures, cause: why, isSlow }, onReady, fail)
      } catch (error) {
        fail(new SocketError('ENDPOINT_FAILED', error))
      }
    })

  const begin = (name: Phase, cause: SocketError) => {
    phase = name
    why = cause
    since = Date.now()
    onChange(true)
  }

  const plan = (cause?: unknown) => {
    wish ??= [cause]
    if (phase) return
    begin('plan', new SocketError('HANDOVER', cause))
    start()
  }

  return {
    phase: () => phase,
    next: () => next,
    cause: () => why,
    plan,
    stay,
    take,
    reset,

    doubt(isAsked, isPossible) {
      if (!phase) begin('doubt', new SocketError('HANDOVER', undefined, undefined, 'it may be dead'))
      if (phase !== 'plan' && phase !== 'doubt') return
      phase = 'doubt'
      hold(true)
      if (isAsked || next) return
      if (isPossible) setTimer(Math.random() * JITTER, start)
      else lose(why, true)
    },
  }
}
