/** What a `retry` function is told. */
export interface RetryContext {
  /** Which attempt in a row the next one will be; 1 after a connection that lasted. */
  readonly attempt: number
  /** Why there is a need for it. */
  readonly cause: { readonly code: string; readonly close?: { code: number; reason: string } | undefined }
  /** How long the lost connection lasted, in milliseconds; 0 if it never opened. */
  readonly uptime: number
  /** How long there has been no connection, in milliseconds. */
  readonly elapsed: number
}

/**
 * Says how many milliseconds to wait before the next attempt, or `false` to give up. If it throws, or returns anything else, the
 * socket is closed with `RETRY_FAILED`.
 */
export type Retry = (context: RetryContext) => number | false

// The defaults were set with test/bench/herd.mjs: 10,000 clients and a server that takes back 500 of them a second.
/** How `backoff()` waits. A number that is negative or none is a `TypeError`. */
export interface BackoffOptions {
  /**
   * The longest first wait, in milliseconds; it doubles from there. Default: 1,900, of which full jitter makes a median
   * under a second for a client that is alone. Peers that wait for less have 10 to 100 % of a fleet in one tenth of a second,
   * after a crash, where ours has 8.
   */
  base?: number
  /**
   * The longest that a wait grows to, in milliseconds, before jitter. Default: 5,500. The server has 99 % of its clients back after
   * 21 s, where the ideal is 20; with 10,000 it takes 23 s, with 30,000 it takes 35.
   */
  max?: number
  /** How many times in a row to try again before giving up. Default: for ever, as an outage ends, and a page may stay open. */
  attempts?: number
  /**
   * Over how many milliseconds clients come back to a server that said that it goes away (1001, 1012, 1013): many at
   * first, then fewer and fewer, which leaves room for those it had to refuse. Default: 13,000, so that no tenth of a
   * second sees more than 3 % of them. The price is a median of 3.8 s for each of them, where others take a tenth of a second, all
   * at once.
   */
  spread?: number
  /** A random number from 0 up to 1. Default: `Math.random`. */
  random?: () => number
}

/** Close codes after which the next attempt would fare no better: the protocol's own, and refusals of this client. */
// https://www.iana.org/assignments/websocket/websocket.xhtml#close-code-number
const FINAL = /^\w+ (100[23789]|1010|300[03]|44(?!08|25|29)..) /

/**
 * Connections to a server that went away: it happened to every client at once. Not so 1006: a connection that breaks
 * without a word has mostly broken for one client alone, and if not, the waits after the first keep them apart.
 */
const SHARED = /^CONNECTION_LOST 10(01|12|13) /

/** Losses that are this client's alone: nobody else is on the way, and somebody is looking at the page. */
const ALONE = /^(UNRESPONSIVE|RECONNECT_REQUESTED|PAGE_HIDDEN)/

/** Somebody asked for it, which is no failure, whatever came before. */
const ASKED = /^RECONNECT_REQUESTED/

const RETRY_AFTER = /^\w+ 101[23] retry-after=(\d+)$/

/**
 * Exponential backoff, capped first, then with full jitter: others need fewer attempts, but come in waves, with a peak of
 * 2.6 to 2.9 times the mean instead of 2.0. The first wait follows the cause. Gives up on close codes that say that the
 * next attempt will fare no better: 1002, 1003, 1007 to 1010, 3000, 3003 and 4400 to 4499, but not 4408, 4425 and 4429. After 1012
 * or 1013 with the reason `retry-after=SECONDS` it waits so long, and up to `spread` more. Throws a `TypeError` for what is not a
 * number from 0 up.
 *
 * ```ts
 * const socket = createSocket('wss://push.example.com/feed', { retry: backoff({ max: 30_000, attempts: 10 }) })
 * ```
 */
// https://www.iana.org/assignments/websocket/websocket.xhtml#close-code-number
// https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
export const backoff = ({
  base = 1_900,
  max = 5_500,
  attempts = Infinity,
  spread = 13_000,
  random = Math.random,
}: BackoffOptions = {}): Retry => {
  for (const value of [base, max, attempts, spread]) {
    if (!(value >= 0)) throw new TypeError('backoff() takes numbers from 0 up')
  }
  return ({ attempt, cause }) => {
    const story = `${cause.code} ${cause.close?.code} ${cause.close?.reason}`
    if (attempt > attempts || FINAL.test(story)) return false
    const hint = RETRY_AFTER.exec(story)
    const chance = random()
    // The smaller of two draws: dense at first, thin at the end.
    const thinned = spread * (1 - Math.sqrt(1 - chance))
    if (hint) return Number(hint[1]) * 1_000 + thinned
    if (attempt > 1 && !ASKED.test(story))
      return chance * Math.min(max, base * 2 ** Math.min(attempt - 1, 99))
    return SHARED.test(story) ? thinned : chance * (ALONE.test(story) ? 300 : base)
  }
}
