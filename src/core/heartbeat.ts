import type { Data } from './data.js'
import { guard } from './emitter.js'
import { createTimer } from './timers.js'

/** How to detect a dead connection: it is given up after `interval + timeout` milliseconds without a message. */
export interface HeartbeatOptions {
  /** Milliseconds of silence before `message` is sent. Default: 25,000. */
  interval?: number | undefined
  /** Milliseconds to wait for any message after that, before the connection counts as dead. Default: 10,000. */
  timeout?: number | undefined
  /**
   * A message that the server answers, because pages cannot send ping frames. Default: none. Without it the heartbeat only watches for
   * silence, which suits servers that send regularly.
   */
  message?: Data | (() => Data) | undefined
  /** Recognizes the answers. They do not reach the listeners, and `latency` is measured from them. Default: none is one. */
  isReply?: ((data: any) => boolean) | undefined
}

/** Watches one open connection. */
export interface Heartbeat {
  /** Call it for every message. Returns whether it was a reply, which no listener must see. */
  onMessage(event: { readonly data: unknown; readonly timeStamp?: number }): boolean
  /** Checks the connection at once, with a short deadline. Without a `message` it does nothing. */
  probe(): void
  stop(): void
}

/** The part for the option `heartbeat`. */
export type StartHeartbeat = (
  options: HeartbeatOptions,
  /** Sends ahead of the queue. */
  send: (data: Data) => void,
  /** The peer is silent: the connection is dead. */
  onTimeout: () => void,
  counts: { latency: number | undefined },
) => Heartbeat

// Proxies cut connections that are silent, most of them after 60 s: this leaves time for a second message.
// https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_read_timeout
const INTERVAL = 25_000

// Many round trips of a bad mobile connection. With the interval, a dead connection is noticed after 35 s; socket.io needs 45 s.
const TIMEOUT = 10_000

/** A timer that is this late, in milliseconds, means that the process slept. */
const LATE = 1_000

/** How long a probed peer has to answer, in milliseconds. */
const PROBE_TIMEOUT = 3_000

/**
 * The part for the option `heartbeat`. Silence is measured in the events' own time, lateness by the wall clock, because only that one
 * advances while the machine sleeps.
 */
export const heartbeat: StartHeartbeat = (
  { interval = INTERVAL, timeout = TIMEOUT, message, isReply },
  send,
  onTimeout,
  counts,
) => {
  const now = () => performance.now()
  const setTimer = createTimer()
  let lastMessage = now()
  let pingSent: number | undefined
  /** How many pings have been sent since the last message. */
  let unanswered = 0
  let due = 0

  const wait = (delay: number) => {
    due = Date.now() + delay
    setTimer(delay, check)
  }

  const ping = (deadline: number) => {
    wait(deadline)
    unanswered++
    if (message === undefined) return
    pingSent = now()
    guard(() => send(typeof message === 'function' ? message() : message))
  }

  const check = () => {
    const silent = now() - lastMessage
    if (!unanswered && silent < interval) return wait(interval - silent)
    // A late timer proves nothing: the process slept, or the page is hidden and its timers are throttled. So ping once more, but
    // only once, or the dead connection of a hidden page would never be noticed.
    if (unanswered > (Date.now() - due > LATE ? 1 : 0)) return onTimeout()
    ping(timeout)
  }

  wait(interval)

  return {
    onMessage({ data, timeStamp }) {
      // Event times count from the start of the page. Sockets other than the browser's have none, or use another clock.
      lastMessage = (timeStamp as number) < 1e11 ? (timeStamp as number) : now()
      // Restarted only after a ping: a timer for every message would be expensive.
      if (unanswered) wait(interval)
      unanswered = 0
      if (!isReply || !guard(isReply, data)) return false
      if (pingSent !== undefined) counts.latency = lastMessage - pingSent
      pingSent = undefined
      return true
    },
    probe() {
      if (message === undefined) return
      // A probe may shorten the deadline, never extend it past `interval + timeout`. If that time has passed, the process slept.
      const left = unanswered && due - Date.now()
      const promised = interval + timeout - (now() - lastMessage)
      if (!left || left < 0 || left > PROBE_TIMEOUT)
        ping(promised > 0 ? Math.min(PROBE_TIMEOUT, promised) : PROBE_TIMEOUT)
    },
    stop: () => setTimer(),
  }
}
