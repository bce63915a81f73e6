// Distinguishes a client that floods the server from one that is merely busy.
import { randomName } from './token.js'

/** How many milliseconds a client's frames must have waited before it is warned, and before its connection is closed. */
const WARN_AFTER = 1_000
const CLOSE_AFTER = 10_000

/** A client that waits for answers has at most this much in flight: 256 requests of 1 MiB, and a few pings and acknowledgements. */
const WINDOW = 256 + 64
const WINDOW_BYTES = 2 ** 20

/** What happened to a client that sends more than its rate. */
export type LimitStep = 'slowed' | 'warned' | 'closed'

/**
 * Measures what a client sends until it answers a ping. The answer arrives after everything that was in flight, so a client that waits for
 * answers cannot have sent more than that.
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

  /** The next frame waits for this many milliseconds. Returns the result of the waits so far. */
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
