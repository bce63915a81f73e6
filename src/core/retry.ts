import { checkNumber, rejectUnknown } from '../common/checks.js'
import { SocketError } from './errors.js'
import { isLocal } from './network.js'

/** The argument of a `retry` function. */
export interface RetryContext {
  /** The number of the next attempt in the current series. 1 after a connection that lasted at least `minUptime`. */
  readonly attempt: number
  /** Why the last attempt or connection ended. */
  readonly cause: {
    readonly code: string
    readonly close?: { code: number; reason: string } | undefined
    readonly cause?: unknown
  }
  /** How long the lost connection lasted, in milliseconds. 0 if it never opened. */
  readonly uptime: number
  /** For how many milliseconds there has been no connection that lasted at least `minUptime`. */
  readonly elapsed: number
  /** The address of the attempt or connection that has ended. */
  readonly url?: string
}

/**
 * Returns the number of milliseconds to wait before the next attempt, or `false` to give up. If it throws or returns anything else, the
 * socket is closed with `RETRY_FAILED`.
 */
export type Retry = (context: RetryContext) => number | false

/**
 * The delay before the next attempt, or `false` to give up. `since`: when the last connection was lost. If `retry` itself failed, there is an
 * error, which is reported.
 */
export const askRetry = (
  retry: Retry | false,
  since: number,
  context: Omit<RetryContext, 'elapsed'>,
  emit: (type: 'error', error: SocketError) => void,
): [delay: number | false, error?: SocketError] => {
  try {
    const delay = retry ? retry({ ...context, elapsed: Math.max(0, Date.now() - since) }) : false
    if (delay !== false) checkNumber('The delay of retry', delay)
    return [delay]
  } catch (error) {
    const failed = new SocketError('RETRY_FAILED', error)
    emit('error', failed)
    return [false, failed]
  }
}

/** Options of `backoff()`. Throws a `TypeError` unless all numbers are at least 0. */
// The defaults were chosen with test/bench/herd.mjs: 10,000 clients, and a server that accepts 500 of them a second.
export interface BackoffOptions {
  /**
   * The longest first wait in milliseconds. It doubles with every further attempt. Default: 1,900. With full jitter, the median wait is less
   * than a second, and after a crash, 8 % of all clients come back in the busiest tenth of a second. With other libraries, whose waits are
   * shorter, it is 10 to 100 %.
   */
  base?: number | undefined
  /**
   * The longest wait in milliseconds, before jitter. Default: 5,500. With it, 99 % of 10,000 clients are back after 21 s on a server that accepts
   * 500 clients per second; the ideal is 20 s. With `max: 10_000` it takes 23 s, and with `max: 30_000` 35 s.
   */
  max?: number | undefined
  /** The number of consecutive attempts before giving up. Default: `Infinity`, because outages end, and a page may stay open. */
  attempts?: number | undefined
  /**
   * The number of milliseconds over which clients come back to a server that shut down or failed (1001, 1011, 1012, 1013): many at first,
   * then fewer and fewer, so that the server has capacity for clients that it had to refuse. In a private network, they come back within 100
   * ms instead. Default: 5,000. The median wait is then 1.5 s, and 1 % of clients wait for more than 4.5 s. Of 10,000 clients, 4.7 % come
   * back in the busiest tenth of a second. With 13,000 it is 2.8 %, and the median wait is 3.8 s. With a median of 1.5 s, no distribution can
   * achieve less than 3.3 %.
   */
  spread?: number | undefined
  /** Returns a random number from 0 up to 1. Default: `Math.random`. */
  random?: (() => number) | undefined
}

/** The longest first wait and the longest wait, in milliseconds. */
const BASE = 1_900
const MAX = 5_500

/** Close codes after which another attempt would fail as well: protocol errors, and refusals of this client. */
// https://www.iana.org/assignments/websocket/websocket.xhtml#close-code-number
const FINAL = [1002, 1003, 1007, 1008, 1009, 1010, 3000, 3003]

/** The temporary ones among 44xx, which are read like HTTP's 4xx: request timeout, too early, too many requests. */
const TEMPORARY = [4408, 4425, 4429]

/**
 * Codes with which a server closes the connections of all its clients at once. 1006 is not among them: a connection that ends without a close
 * frame has mostly ended for one client only. If not, the later waits spread the clients.
 */
const SERVER_AWAY = [1001, 1011, 1012, 1013]

/** Losses that affect this client only: no other client comes back at the same time. */
const CLIENT_ONLY = ['UNRESPONSIVE', 'RECONNECT_REQUESTED', 'PAGE_HIDDEN', 'HANDOVER']

/** Only a close frame on an open connection is final. Some platforms report a refused handshake as 1002. */
const isFinal = ({ code, close }: RetryContext['cause']) => {
  const closeCode = (code === 'CONNECTION_LOST' && close?.code) || 0
  return (
    FINAL.includes(closeCode) || (closeCode >= 4400 && closeCode < 4500 && !TEMPORARY.includes(closeCode))
  )
}

/** The retry policy without the part `backoff`: exponential backoff with full jitter. It gives up after final close codes. */
export const jitter =
  (): Retry =>
  ({ attempt, cause }) =>
    !isFinal(cause) && Math.random() * Math.min(MAX, BASE * 2 ** (attempt - 1))

/**
 * Exponential backoff, capped first, then with full jitter. With other kinds of jitter, clients need fewer attempts, but come in waves, with a
 * peak of 2.6 to 2.9 times the mean instead of 2.0. The first wait depends on the cause. Gives up after close codes after which the next
 * attempt would fail as well: 1002, 1003, 1007 to 1010, 3000, 3003 and 4400 to 4499, except 4408, 4425 and 4429. After 1012 or 1013
 * with the reason `retry-after=SECONDS` it waits that long, and up to `spread` more. Throws a `TypeError` unless all numbers are at
 * least 0.
 *
 * ```ts
 * const socket = createSocket('wss://push.example.com/feed', { retry: backoff({ max: 30_000, attempts: 10 }) })
 * ```
 */
// https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
export const backoff = ({
  base = BASE,
  max = MAX,
  attempts = Infinity,
  spread = 5_000,
  random = Math.random,
  ...unknown
}: BackoffOptions = {}): Retry => {
  for (const value of [base, max, attempts, spread]) {
    checkNumber('An option of backoff()', value)
  }
  rejectUnknown('backoff', unknown, 'base, max, attempts, spread and random')
  return ({ attempt, cause, url = '' }) => {
    const { code, close: { code: closeCode = 0, reason = '' } = {} } = cause
    if (attempt > attempts || isFinal(cause)) return false
    const chance = random()
    // The smaller of two random numbers: dense at first, sparse at the end.
    const spreadOut = spread * (1 - Math.sqrt(1 - chance))
    const retryAfter = (closeCode === 1012 || closeCode === 1013) && /^retry-after=(\d+)$/.exec(reason)
    if (retryAfter) return Number(retryAfter[1]) * 1_000 + spreadOut
    // Earlier failures do not make a caller of reconnect() wait longer.
    if (attempt > 1 && code !== 'RECONNECT_REQUESTED')
      return chance * Math.min(max, base * 2 ** Math.min(attempt - 1, 99))
    // A server in a private network has few clients, and a developer waits for it.
    if (code === 'CONNECTION_LOST' && SERVER_AWAY.includes(closeCode))
      return isLocal(url) ? chance * 100 : spreadOut
    return chance * (CLIENT_ONLY.includes(code) ? 300 : base)
  }
}
