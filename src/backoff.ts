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

/** Says how many milliseconds to wait before the next attempt, or `false` to give up. */
export type Retry = (context: RetryContext) => number | false

export interface BackoffOptions {
  /** The longest wait before the second attempt in a row, in milliseconds; it doubles from there. Default: 1,000. */
  base?: number
  /** The longest wait of all, in milliseconds, before jitter. Default: 10,000. */
  max?: number
  /** Give up after so many failures in a row. Default: never. */
  attempts?: number
  /** Over how many milliseconds a loss that may have hit every client at once is spread. Default: 4,000. */
  spread?: number
  /** A random number from 0 up to 1. Default: `Math.random`. */
  random?: () => number
}

/** Close codes after which the next attempt would fare no better: the protocol's own, and refusals of this client. */
// https://www.iana.org/assignments/websocket/websocket.xhtml#close-code-number
const FINAL = /^\w+ (100[23789]|1010|300[03]|44(?!08|25|29)..) /

/** Connections lost to a server that went away or a network that broke: it may have happened to every client at once. */
const SHARED = /^CONNECTION_LOST 10(01|06|12|13) /

/** Losses that are this client's alone: nobody else is on the way, and somebody is looking at the page. */
const ALONE = /^(UNRESPONSIVE|RECONNECT_REQUESTED|PAGE_HIDDEN)/

/** Somebody asked for it, which is no failure, whatever came before. */
const ASKED = /^RECONNECT_REQUESTED/

const RETRY_AFTER = /^\w+ 101[23] retry-after=(\d+)$/

/**
 * Exponential backoff, capped first, then with full jitter, which needs the fewest attempts of a crowd.
 * The first wait follows the cause. Gives up on close codes that say that the next attempt will fare no better.
 */
// https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
export const backoff = ({
  base = 1_000,
  max = 10_000,
  attempts = Infinity,
  spread = 4_000,
  random = Math.random,
}: BackoffOptions = {}): Retry => {
  return ({ attempt, cause }) => {
    const story = `${cause.code} ${cause.close?.code} ${cause.close?.reason}`
    if (attempt > attempts || FINAL.test(story)) return false
    const hint = RETRY_AFTER.exec(story)
    if (hint) return Number(hint[1]) * 1_000 + random() * spread
    if (attempt > 1 && !ASKED.test(story)) return random() * Math.min(max, base * 2 ** (attempt - 1))
    return random() * (ALONE.test(story) ? 300 : SHARED.test(story) ? spread : base)
  }
}
