import type { Connection } from './connection.js'
import { guard } from './emitter.js'
import { SocketError } from './errors.js'
import type { HandoverOptions } from './handover.js'
import type { Successor } from './successor.js'
import { createTimer } from './timers.js'

/**
 * `doubt`: the connection may be dead, and messages wait. `plan`: a second one is being prepared. `drain`: it is ready, messages wait, and
 * the first one is read. `close`: the first one is being closed.
 */
export type Phase = 'doubt' | 'plan' | 'drain' | 'close' | undefined

/** The steps from one connection to the next. */
export interface Phases {
  phase(): Phase
  /** Why there is a second connection. */
  cause(): SocketError
  /** Opens a second connection, closes the first one when it is ready, and moves. */
  plan(cause?: unknown): void
  /** Opens a second connection, unless the heartbeat has asked, and moves when it is ready. Messages wait. */
  doubt(isAsked?: boolean): void
  /** A message has arrived on the first connection. */
  onLife(): void
  /** An attempt begins. */
  onDial(): void
  /** The second connection is ready. */
  onReady(next: Connection): void
  /** The second connection has failed. With `final`, there is no other one. */
  onFailed(final: SocketError | undefined): void
  /** Ends what is in progress. */
  reset(): void
}

/** Clients that wake up together are kept apart by up to so many milliseconds. */
const JITTER = 300

export const createPhases = (
  { wake }: HandoverOptions,
  closeTimeout: number,
  successor: () => Successor,
  native: () => WebSocket,
  /** The time with two connections begins, or ends with the first one. */
  onChange: (isOpen: boolean) => void,
  /** Makes messages wait, or sends those that do. */
  hold: (isHeld: boolean) => void,
  lose: (cause: SocketError, again?: boolean) => void,
): Phases => {
  const setTimer = createTimer()
  let phase: Phase
  let why: SocketError
  let isPlanned = false

  const reset = () => {
    phase = undefined
    isPlanned = false
    setTimer()
    successor().stop()
  }

  const plan = (cause?: unknown) => {
    isPlanned = true
    if (phase) return
    phase = 'plan'
    why = new SocketError('HANDOVER', cause)
    onChange(true)
    successor().start(why)
  }

  /** The first connection stays, unless there is another reason to replace it. */
  const stay = () => {
    const again = isPlanned
    reset()
    onChange(false)
    hold(false)
    if (again) plan(why.cause)
  }

  const closeFirst = () => {
    phase = 'close'
    setTimer(closeTimeout, () => lose(why))
    guard(() => native().close(1000, 'handover'))
  }

  return {
    phase: () => phase,
    cause: () => why,
    plan,
    reset,

    doubt(isAsked) {
      if (phase === 'drain' || phase === 'close') return
      const isNew = !phase
      phase = 'doubt'
      if (isNew) onChange(true)
      hold(true)
      if (isAsked || successor().connection()) return
      why = new SocketError('HANDOVER', undefined, undefined, 'the connection may be dead')
      if (wake === 'reconnect') lose(why, true)
      else successor().start(why, Math.random() * JITTER)
    },

    onLife() {
      if (phase === 'doubt') stay()
    },

    onDial() {
      if (phase === 'doubt') hold(true)
    },

    onReady({ handshake }) {
      if (phase === 'doubt') return lose(why)
      phase = 'drain'
      hold(true)
      // The reply to the last message needs a round trip. The handshake took at least two.
      setTimer(handshake / 2, closeFirst)
    },

    onFailed(final) {
      if (phase === 'close') return
      if (phase === 'drain') phase = 'plan'
      setTimer()
      hold(false)
      if (!final) return
      isPlanned = false
      stay()
    },
  }
}
