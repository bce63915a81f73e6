import { guard } from './emitter.js'
import { createTimer } from './timers.js'

/** The time during which two connections are open. */
export interface Overlap {
  start(): void
  /** Whether messages must be compared. */
  isActive(): boolean
  /** Whether the same message has arrived on the other connection. */
  isDouble(native: WebSocket, data: unknown): boolean
  /**
   * The second connection has replaced the first, which, if given, is read for this many milliseconds. After that, the second one can still bring
   * what the first one has brought.
   */
  endIn(delay: number, first: WebSocket | false): void
  end(): void
}

/** On a busy machine, a message can arrive so many milliseconds later on one connection than on the other. */
const MAX_SKEW = 5_000

/** Recognizes messages that arrive on both connections, with the option `id`. */
export const createOverlap = (id: ((data: any) => unknown) | undefined, onEnd: () => void): Overlap => {
  const setTimer = createTimer()
  /** The connection on which each identity was seen first. */
  let seen: Map<unknown, WebSocket> | undefined
  let late: WebSocket | false | undefined

  const leave = () => {
    if (late) {
      late.onmessage = null
      late.close()
    }
    late = undefined
  }

  const end = () => {
    setTimer()
    leave()
    seen = undefined
  }

  return {
    end,
    start() {
      // After a handover that follows another one at once, the present connection may still bring what the last one has brought.
      const known = seen ?? new Map()
      end()
      if (id) seen = known
    },
    isActive: () => !!seen,
    isDouble(native, data) {
      const identity = seen && guard(id as (data: unknown) => unknown, data)
      if (identity === undefined) return false
      const first = seen?.get(identity) ?? native
      seen?.set(identity, first)
      return first !== native
    },
    endIn(delay, first) {
      late = first
      setTimer(delay, () => {
        leave()
        setTimer(seen && MAX_SKEW, () => {
          end()
          onEnd()
        })
      })
    },
  }
}
