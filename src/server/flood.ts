// Distinguishes a client that floods the server from one that is merely busy.
import { randomName } from './token.js'

/** A client is warned when its frames have waited for so many milliseconds, and closed when they have waited for this long. */
const WARN_AFTER = 1_000
const CLOSE_AFTER = 10_000

/** A client that waits for answers has no more on its way: 256 requests of 1 MiB, and a few pings and acknowledgements among them. */
const WINDOW = 256 + 64
const WINDOW_BYTES = 2 ** 20

/** What happened to a client that sends more than its rate. */
export type LimitStep = 'slowed' | 'warned' | 'closed'

/**
 * Measures what a client sends until it answers a ping. Its answer comes after everything that was on its way, so that nobody who
 * waits for answers can have sent more than that.
 */
export class FloodProbe {
  /** The data of the ping, which no client can know before. */
  readonly data: string = randomName()
  private readonly maxMessageBytes: number
  private messages = 0
  private bytes = 0
  private waited = 0
  private isWarned = false

  constructor(maxMessageBytes: number) {
    this.maxMessageBytes = maxMessageBytes
  }

  /** A frame has arrived. */
  count(bytes: number): void {
    this.messages++
    this.bytes += bytes
  }

  /** The next frame waits for so many milliseconds. Returns what the waits before have led to. */
  wait(ms: number): LimitStep | undefined {
    const { waited } = this
    this.waited += ms
    const isFlood = this.messages > WINDOW || this.bytes > WINDOW_BYTES + 2 * this.maxMessageBytes
    if (waited >= CLOSE_AFTER && isFlood) return 'closed'
    if (waited < WARN_AFTER || this.isWarned) return undefined
    this.isWarned = true
    return 'warned'
  }
}
