// Time that passes when it is told to, for all in this process that use the global timers. What waits for minutes is seen in
// milliseconds, and in the same order on every machine.

import { syncBuiltinESMExports } from 'node:module'
import timers from 'node:timers'

/** The process's own timers, for those who wait for the network. */
export const real = { setTimeout: globalThis.setTimeout, now: performance.now.bind(performance) }

/** What `setTimeout` returns in Node: some libraries call `unref`, the server of socket.io `refresh`. */
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

/** More than this at one moment is a library that spins. */
const MOST_AT_ONCE = 10_000

/** Puts its own time in the place of the global timers and clocks, for good. */
export const installClock = () => {
  const RealDate = Date
  const epoch = RealDate.UTC(2030, 0, 1)
  const waiting = new Map()
  let now = 0
  let ids = 0

  const start = (repeat, [job, delay, ...given]) => {
    // Longer than 2^31 milliseconds is at once, as in browsers and in Node.
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
  // The server of socket.io takes its own from the module.
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

  /** The next to fire: the earliest, and of those the first that was set. */
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
    /** Goes to that time and fires what is due by then. */
    goTo(time) {
      let count = 0
      for (let due = next(); due && due.timer.at <= time; due = next()) {
        now = Math.max(now, due.timer.at)
        if (due.timer.every) due.timer.at += due.timer.every
        else waiting.delete(due.id)
        if (++count > MOST_AT_ONCE) throw new Error(`spins: ${count} timers at once`)
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
