import type { Data } from '../common/data.js'
import { guard } from '../common/report.js'
import { createTimer } from '../common/timers.js'
import type { NativeSocket, Queue } from './queue.js'

/**
 * Options for detecting dead connections. A connection is abandoned after `interval + timeout` milliseconds without a message from the
 * server.
 */
export interface HeartbeatOptions {
  /**
   * Milliseconds from one `message` to the next. `message` is sent even while other messages are exchanged, because many servers and proxies
   * close a connection on which they have received nothing for some time. Default: 25,000.
   */
  interval?: number | undefined
  /**
   * Milliseconds to wait for any message after `interval` milliseconds without one, before the connection counts as dead. The time starts
   * when the browser has sent everything ahead of `message`. It doubles, up to 60,000, each time that it runs out on consecutive connections.
   * Default: 10,000.
   */
  timeout?: number | undefined
  /**
   * A message that the server answers, because pages cannot send ping frames. Default: none. Without it, the heartbeat sends nothing, and only
   * detects that no messages arrive, which suits servers that send regularly.
   *
   * @example
   * ```ts
   * createSocket('wss://push.example.com/feed', {
   *   heartbeat: { message: () => JSON.stringify({ type: 'ping', at: Date.now() }) },
   * })
   * ```
   */
  message?: Data | (() => Data) | undefined
  /**
   * Recognizes the answers. They are not passed to the listeners, and `latency` is measured with them. Default: no message is an answer.
   *
   * @example
   * ```ts
   * createSocket('wss://push.example.com/feed', {
   *   heartbeat: { message: 'ping', isReply: data => data === 'pong' },
   * })
   * ```
   */
  isReply?: ((data: any) => boolean) | undefined
}

/** Watches one open connection. */
export interface Heartbeat {
  /** Call it for every message. Returns whether the message was a reply, which must not be passed to the listeners. */
  onMessage(event: { readonly data: unknown; readonly timeStamp?: number }): boolean
  /** Pings at once, with a short deadline. Returns whether it did: without a `message` it cannot. */
  probe(): boolean
  stop(): void
}

/** The type of the part `heartbeat`. */
export type StartHeartbeat = (
  options: HeartbeatOptions,
  queue: Pick<Queue, 'write' | 'left'>,
  native: Pick<NativeSocket, 'bufferedAmount'>,
  /** Called when the connection is dead. */
  onTimeout: () => void,
  counts: { latency: number | undefined },
  /** The same object for all connections of a socket. `timeouts` counts the consecutive dead connections. */
  memory: { timeouts: number },
  /** Called if a timer was so late that the process must have been suspended. Returns whether it has probed the connection. */
  onLate?: () => boolean | undefined,
) => Heartbeat

/** The longest that `timeout` grows to, in milliseconds. */
const MAX_TIMEOUT = 60_000

/** If a timer is this late, in milliseconds, the process was suspended. */
const LATE = 1_000

/** If a timer is this late in a visible page, in milliseconds, the machine was asleep, and the network may have changed. */
const SLEPT = 5_000

/** How long a probed peer has to answer, in milliseconds. */
const PROBE_TIMEOUT = 3_000

/**
 * The part for the option `heartbeat`. It measures silence by the timestamps of events, and the lateness of timers by the wall clock, because
 * only the wall clock advances while the machine is asleep.
 */
export const heartbeat: StartHeartbeat = (
  {
    // Proxies close silent connections, most of them after 60 s: within that time there are two messages.
    // https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_read_timeout
    interval = 25_000,
    // Many round trips of a bad mobile connection. Together with the interval, a dead connection is detected after 35 s; socket.io needs 45 s.
    timeout = 10_000,
    message,
    isReply,
  },
  queue,
  native,
  onTimeout,
  counts,
  memory,
  onLate,
) => {
  const now = () => performance.now()
  const patience = Math.max(timeout, Math.min(timeout * 2 ** memory.timeouts, MAX_TIMEOUT))
  const setTimer = createTimer()
  let lastMessage = now()
  let lastPing = now()
  let pingSent: number | undefined
  /** How many bytes had been sent at the last check, and how many of those ahead of the ping had not. */
  let left = 0
  let ahead = 0
  /** How many pings have been sent since the last message. */
  let unanswered = 0
  let due = 0

  const wait = (delay: number) => {
    due = Date.now() + delay
    setTimer(delay, check)
  }

  const sendMessage = () => {
    lastPing = now()
    if (message === undefined) return
    pingSent = lastPing
    guard(() => queue.write(typeof message === 'function' ? message() : message))
  }

  const ping = (deadline: number) => {
    wait(deadline)
    unanswered++
    left = queue.left()
    ahead = native.bufferedAmount ?? 0
    sendMessage()
  }

  /** Whether bytes ahead of the ping were sent since the last check: if so, the connection is slow, but not dead. */
  const isLeaving = () => {
    const moved = queue.left() - left
    const wasBehind = ahead > 0
    left += moved
    ahead -= moved
    return wasBehind && moved > 0
  }

  const check = () => {
    if (Date.now() - due > SLEPT && onLate?.()) return
    const silent = now() - lastMessage
    const sincePing = now() - lastPing
    if (!unanswered && silent < interval) {
      const isDue = sincePing >= interval
      // First, because a message function may close the socket, which stops the timer.
      wait(interval - (isDue ? silent : Math.max(silent, sincePing)))
      return isDue && sendMessage()
    }
    if (unanswered && isLeaving()) return wait(patience)
    // A late timer proves nothing: the process was suspended, or the page is hidden and its timers are throttled. So ping once more, but
    // only once. Otherwise the dead connection of a hidden page would never be detected.
    if (unanswered > (Date.now() - due > LATE ? 1 : 0)) {
      memory.timeouts++
      return onTimeout()
    }
    ping(patience)
  }

  wait(interval)

  return {
    onMessage({ data, timeStamp }) {
      // Event times count from the start of the page. Sockets other than the browser's have none, or use another clock.
      lastMessage = (timeStamp as number) < 1e11 ? (timeStamp as number) : now()
      // Restarted only after a ping: a timer for every message would be expensive.
      if (unanswered) {
        wait(interval)
        unanswered = memory.timeouts = 0
      }
      if (!isReply || !guard(isReply, data)) return false
      if (pingSent !== undefined) counts.latency = Math.max(0, lastMessage - pingSent)
      // An answer ends the series of dead connections, even if there is never any silence.
      pingSent = undefined
      memory.timeouts = 0
      return true
    },
    probe() {
      if (message === undefined) return false
      // A probe may shorten the deadline, never extend it past `interval + timeout`. If that time has passed, the process slept.
      const left = unanswered && due - Date.now()
      const promised = interval + patience - (now() - lastMessage)
      if (left <= 0 || left > PROBE_TIMEOUT)
        ping(promised > 0 ? Math.min(PROBE_TIMEOUT, promised) : PROBE_TIMEOUT)
      return true
    },
    stop: () => setTimer(),
  }
}
