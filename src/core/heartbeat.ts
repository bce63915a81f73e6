import type { Data } from './data.js'

/** How to find out that a connection is dead: it is given up after `interval + timeout` without a message. */
export interface HeartbeatOptions {
  /** Milliseconds of silence after which the peer is asked for a sign of life. Default: 25,000. */
  interval?: number
  /** Milliseconds that it then has, before the connection counts as dead. Default: 10,000. */
  timeout?: number
  /**
   * What to ask with: a message that the server answers, for pages cannot send ping frames. Default: nothing; then only silence is
   * watched, for servers that beat by themselves.
   */
  message?: Data | (() => Data)
  /** Which messages are answers: they are not handed on, and `latency` is measured from them. Default: none. */
  isReply?: (data: any) => boolean
}

export interface Heartbeat {
  /** A message came: says whether it was a reply, which nobody else is to hear. */
  heard(event: { readonly data: unknown; readonly timeStamp?: number }): boolean
  /** Doubts the connection: asks at once, with a short deadline. Without a `message` there is nothing to ask with. */
  probe(): void
  stop(): void
}

interface Body {
  /** Sends the message. */
  ask(): void
  isReply(data: unknown): unknown
  /** No sign of life: the connection is dead. */
  dead(): void
  measured(latency: number): void
}

/** How late a timer must be for the process to have slept, and how long a probed peer has, in milliseconds. */
const LATE = 1_000
const PROBE = 3_000

/** Watches one open connection. Two clocks: silence in the events' own time, lateness by the wall clock, which sees sleep. */
export const createHeartbeat = (
  { interval, timeout, message }: HeartbeatOptions & { interval: number; timeout: number },
  { ask, isReply, dead, measured }: Body,
): Heartbeat => {
  const clock = () => performance.now()
  let seen = clock()
  let asked: number | undefined
  /** Questions asked since the last sign of life. */
  let unanswered = 0
  let due = 0
  let timer: ReturnType<typeof setTimeout>

  const wait = (delay: number) => {
    clearTimeout(timer)
    due = Date.now() + delay
    // More than 2^31 milliseconds would fire at once.
    timer = delay > 1e9 ? setTimeout(wait, 1e9, delay - 1e9) : setTimeout(check, delay)
  }

  const question = (deadline: number) => {
    wait(deadline)
    unanswered++
    if (message === undefined) return
    asked = clock()
    ask()
  }

  const check = () => {
    const silent = clock() - seen
    if (!unanswered && silent < interval) return wait(interval - silent)
    // A late timer has no right to kill: the process slept, or the page is hidden and its timers are throttled. So it
    // asks once more; but only once, or the dead connection of a hidden page would never be noticed.
    if (unanswered > (Date.now() - due > LATE ? 1 : 0)) return dead()
    question(timeout)
  }

  wait(interval)

  return {
    heard({ data, timeStamp }) {
      // Event times count from the start of the page. Some sockets that are no browser's have none, or another clock's.
      seen = (timeStamp as number) < 1e11 ? (timeStamp as number) : clock()
      // Only once a question: from here on, silence is counted anew.
      if (unanswered) wait(interval)
      unanswered = 0
      if (!isReply(data)) return false
      if (asked !== undefined) measured(seen - asked)
      asked = undefined
      return true
    },
    probe() {
      if (message === undefined) return
      // No doubt moves the promised bound: a deadline that runs stays where it is sooner, and none goes beyond it. Where
      // it has passed, the process slept.
      const running = unanswered && due - Date.now()
      const promised = interval + timeout - (clock() - seen)
      if (!running || running < 0 || running > PROBE)
        question(promised > 0 ? Math.min(PROBE, promised) : PROBE)
    },
    stop: () => clearTimeout(timer),
  }
}
