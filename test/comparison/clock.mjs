// A fake clock that replaces the global timers of this process. Minutes pass in milliseconds, and timers fire in the same order on every
// machine.

import { syncBuiltinESMExports } from 'node:module'
import timers from 'node:timers'

/** The real timers, to wait for the network. */
export const real = { setTimeout: globalThis.setTimeout, now: performance.now.bind(performance) }

/** The object that `setTimeout` returns in Node. Some libraries call `unref()`, and the server of socket.io calls `refresh()`. */
class Timer {
  constructor(id, refresh) {
    this.id = id
    this.refresh = () => {
      refresh()
      return this
    }
  }
  ref() {
    return this
  }
  unref() {
    return this
  }
  hasRef() {
    return true
  }
  [Symbol.toPrimitive]() {
    return this.id
  }
}

/** If more timers than this fire at the same moment, the library is in an endless loop. */
const MOST_AT_ONCE = 10_000

/** Replaces the global timers and clocks permanently. */
export const installClock = () => {
  const RealDate = Date
  const epoch = RealDate.UTC(2030, 0, 1)
  const waiting = new Map()
  let now = 0
  let ids = 0

  const start = (repeat, [job, delay, ...given]) => {
    // A delay of 2^31 milliseconds or more means 1 ms, as in browsers and in Node.
    const wait = delay >= 1 && delay < 2 ** 31 ? Math.trunc(delay) : 1
    const id = ++ids
    const arm = () => {
      waiting.set(id, { at: now + wait, every: repeat ? wait : undefined, job: () => job(...given) })
    }
    arm()
    return new Timer(id, arm)
  }
  const stop = timer => {
    waiting.delete(timer instanceof Timer ? timer.id : Number(timer))
  }

  const mine = {
    setTimeout: (...given) => start(false, given),
    setInterval: (...given) => start(true, given),
    clearTimeout: stop,
    clearInterval: stop,
  }
  // The server of socket.io imports timers from the module.
  Object.assign(timers, mine)
  syncBuiltinESMExports()
  Object.assign(globalThis, mine, {
    Date: class extends RealDate {
      constructor(...given) {
        super(...(given.length ? given : [epoch + now]))
      }
      static now() {
        return epoch + now
      }
    },
  })
  performance.now = () => now

  /** The next timer to fire: the earliest, and of several with the same time, the first that was set. */
  const next = () => {
    let found
    for (const [id, timer] of waiting) if (!found || timer.at < found.timer.at) found = { id, timer }
    return found
  }

  return {
    get now() {
      return now
    },
    /** When the next timer is due. */
    next: () => next()?.timer.at,
    /** Advances to this time, and fires the timers that are due by then. */
    goTo(time) {
      let count = 0
      for (let due = next(); due && due.timer.at <= time; due = next()) {
        now = Math.max(now, due.timer.at)
        if (due.timer.every) due.timer.at += due.timer.every
        else waiting.delete(due.id)
        if (++count > MOST_AT_ONCE) throw new Error(`endless loop: ${count} timers at the same moment`)
        try {
          due.timer.job()
        } catch (error) {
          queueMicrotask(() => {
            throw error
          })
        }
      }
      now = Math.max(now, time)
    },
  }
}
