import { guard } from '../common/report.js'
import { createTimer } from '../common/timers.js'
import type { Connection } from './connection.js'
import type { Dial } from './connector.js'
import type { Emitter } from './emitter.js'
import { SocketError } from './errors.js'
import { askRetry, type Retry } from './retry.js'
import type { SocketEvents } from './types.js'

/**
 * `doubt`: the first connection may be dead, and messages are held back while a second one is being prepared. `dead`: the second one was ready
 * before anything arrived on the first. `plan`: a second one is being prepared. `drain`: it is ready, messages are held back, and the first one
 * is still read. `close`: the first one is being closed.
 */
export type Phase = 'doubt' | 'dead' | 'plan' | 'drain' | 'close' | undefined

/** Prepares the second connection, and ends the first one. */
export type Successor = readonly [
  phase: () => Phase,
  /** The second connection, or the attempt to make it. */
  next: () => Connection | undefined,
  /** Why there is a second connection. */
  cause: () => SocketError,
  /** Replaces the first connection, unless this is already in progress. `isRequest`: later attempts receive this cause. */
  plan: (cause?: unknown, isRequest?: boolean) => void,
  /** The first connection stays, unless there is another reason to replace it. */
  stay: () => void,
  /** Returns the second connection, which from now on belongs to the caller. */
  take: () => Connection | undefined,
  /** Abandons the second connection. */
  reset: () => void,
  /** Replaces the first connection, unless a message arrives on it. `isAsked`: the heartbeat has sent a ping, and decides instead. */
  doubt: (
    isAsked: boolean | undefined,
    isPossible: boolean,
    whileOffline?: (delay: number) => number,
  ) => void,
]

/** Clients that wake up together start their attempts spread over this many milliseconds. */
const JITTER = 300

/** The first connection is read for at least this many milliseconds after the second is ready. */
const MIN_DRAIN = 100

export const createSuccessor = (
  closeTimeout: number,
  retry: Retry | false,
  emit: Emitter<SocketEvents<any>>['emit'],
  defer: Emitter<SocketEvents<any>>['defer'],
  dial: Dial,
  first: () => WebSocket,
  /** Holds messages back, or sends those that were held back. */
  hold: (isHeld: boolean) => void,
  /** A second connection is planned or exists, or there is only the first one again. */
  onChange: (hasSecond: boolean) => void,
  /** There will be no second connection, unless another one is planned now. */
  onFailed: (cause: SocketError) => void,
  lose: (cause: SocketError, again?: boolean) => void,
): Successor => {
  const setTimer = createTimer()
  let phase: Phase
  let next: Connection | undefined
  let why: SocketError
  /** Lengthens a delay while the browser reports that there is no network. */
  let adjust: ((delay: number) => number) | undefined
  let since = 0
  let failures = 0
  let isSlow = false
  /** Set if the first connection is to be replaced even if it still works. */
  let wish: SocketError | undefined

  const abandon = () => {
    next?.abandon()
    next = undefined
  }

  const reset = () => {
    phase = wish = undefined
    failures = 0
    setTimer()
    abandon()
  }

  const stay = () => {
    const again = wish
    reset()
    onChange(false)
    hold(false)
    wish = again
    move()
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
    abandon()
    defer(() => {
      // In the meantime, a listener may have closed the socket, or the first connection may have been lost.
      if (attempt !== failures) return
      emit('error', cause)
      // The timer goes on: it limits the closing handshake of the first connection.
      if (phase === 'close') return
      const [delay, error] = askRetry(retry, since, { attempt, cause, uptime: 0, url: first().url }, emit)
      if (phase === 'drain') phase = 'plan'
      hold(false)
      if (delay !== false) return setTimer(delay, start)
      wish = undefined
      stay()
      onFailed(error ?? cause)
    })
  }

  // Deferred, because the endpoint function may call methods of the socket.
  const start = (isLate?: boolean) =>
    defer(() => {
      if (!phase) return
      // The end of being offline is a wake-up, which calls `doubt()`. The browser can be wrong about the network.
      const isDoubt = phase === 'doubt'
      const wait = isDoubt && !isLate && adjust?.(0)
      if (wait) return setTimer(wait, () => start(true))
      hold(isDoubt)
      why = wish ?? why
      try {
        next = Object.assign(dial({ attempt: failures, cause: why, isSlow }), { onReady, onFailed: fail })
      } catch (error) {
        fail(new SocketError('ENDPOINT_FAILED', error))
      }
    })

  const begin = (name: Phase) => {
    phase = name
    since = Date.now()
    onChange(true)
  }

  const move = () => {
    if (!wish || phase) return
    begin('plan')
    start()
  }

  return [
    () => phase,
    () => next,
    () => why,

    (cause, isRequest) => {
      if (isRequest || !wish) wish = new SocketError('HANDOVER', cause)
      move()
    },

    stay,

    () => {
      const taken = next
      next = undefined
      setTimer()
      return taken
    },

    reset,

    (isAsked, isPossible, whileOffline) => {
      adjust = whileOffline
      if (!phase) {
        why = new SocketError('HANDOVER', undefined, undefined, 'it may be dead')
        begin('doubt')
      }
      if (phase !== 'plan' && phase !== 'doubt') return
      phase = 'doubt'
      hold(true)
      if (isAsked || next) return
      if (isPossible) setTimer(Math.random() * JITTER, start)
      else lose(why, true)
    },
  ]
}
