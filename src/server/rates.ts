// Limits for what clients may send, and for their connections: per connection, user and address.

/** An amount that may be sent each second. A burst may have as much as one second's amount. */
export interface Rate {
  /** Frames of all kinds, pings and acknowledgements included. Default: no limit. */
  readonly messages?: number
  /** Bytes of frames. Default: no limit. */
  readonly bytes?: number
}

/** The limit for a connection, for a user and for an address. Clients without a user id are not limited by user. */
export interface PerClient<Limit> {
  /** For each connection. Default: no limit. */
  readonly connection?: Limit
  /** For all connections of a user together. Default: no limit. */
  readonly user?: Limit
  /** For all connections from an address together. Default: no limit. */
  readonly address?: Limit
}

/** A limit that a client has exceeded. */
export interface Limit {
  /** Which limit: that of the connection, of the user, or of the address. */
  readonly who: keyof PerClient<unknown>
  /** The id of the user, or the address. `''` for a connection. */
  readonly name: string
  /** The unit that was exceeded. */
  readonly unit: keyof Rate
  /** The number that is allowed each second. */
  readonly rate: number
}

/** The limit in words, for the client. */
export const describeLimit = ({ who, unit, rate }: Limit): string =>
  `this ${who} sends more than ${rate} ${unit} per second, and its frames are read more slowly`

/** Counts what was sent, and computes how long to wait. The balance may be negative, because what was read already is handled. */
class Bucket {
  readonly who: Limit['who']
  readonly name: string
  readonly rate: Required<Rate>
  /** What may still be sent now. */
  private readonly left: Record<keyof Rate, number>
  private last: number
  /** The number of open connections that use it. */
  users = 0
  /** The limit that the last wait is due to. */
  unit: keyof Rate = 'messages'

  constructor(who: Limit['who'], name: string, { messages = Infinity, bytes = Infinity }: Rate, now: number) {
    this.who = who
    this.name = name
    this.rate = { messages, bytes }
    this.left = { messages, bytes }
    this.last = now
  }

  /** Returns after how many milliseconds the next frame may be read. */
  take(bytes: number, now: number): number {
    this.refill(now)
    this.left.messages -= 1
    this.left.bytes -= bytes
    const forMessages = this.wait('messages')
    const forBytes = this.wait('bytes')
    this.unit = forMessages < forBytes ? 'bytes' : 'messages'
    return Math.max(forMessages, forBytes)
  }

  /** Whether it can be deleted without any effect. */
  isFull(now: number): boolean {
    this.refill(now)
    return this.left.messages >= this.rate.messages && this.left.bytes >= this.rate.bytes
  }

  private wait(unit: keyof Rate): number {
    // Without a limit, the balance is never negative.
    return this.left[unit] < 0 ? Math.ceil((-this.left[unit] / this.rate[unit]) * 1_000) : 0
  }

  private refill(now: number): void {
    const seconds = Math.max(0, now - this.last) / 1_000
    this.last = now
    for (const unit of ['messages', 'bytes'] as const) {
      const rate = this.rate[unit]
      // Without a limit there is nothing to compute: Infinity minus Infinity is not a number.
      if (rate < Infinity) this.left[unit] = Math.min(rate, this.left[unit] + seconds * rate)
    }
  }
}

/** A connection that was accepted. */
export interface Pass {
  /** A frame has arrived. Returns after how many milliseconds the next one may be read. */
  take(bytes: number): number
  /** The limit that the last wait is due to. */
  readonly limit: Limit
  /** The connection has ended. */
  leave(): void
}

export class Gate {
  private readonly rates: PerClient<Rate>
  private readonly max: PerClient<number>
  /** By kind and name. */
  private readonly buckets = new Map<string, Bucket>()

  constructor(rates: PerClient<Rate>, max: PerClient<number>) {
    this.rates = rates
    this.max = max
  }

  /** Returns `undefined` if the user or the address has too many connections. */
  enter(user: string, address: string): Pass | undefined {
    const now = Date.now()
    const shared: [string, Bucket][] = []
    for (const [kind, name] of [
      ['user', user],
      ['address', address],
    ] as const) {
      if (!name) continue
      const key = `${kind} ${name}`
      const bucket = this.buckets.get(key) ?? new Bucket(kind, name, this.rates[kind] ?? {}, now)
      if (bucket.users >= (this.max[kind] ?? Infinity)) return undefined
      shared.push([key, bucket])
    }
    for (const [key, bucket] of shared) {
      this.buckets.set(key, bucket)
      bucket.users++
    }
    const own = new Bucket('connection', '', this.rates.connection ?? {}, now)
    const all = [own, ...shared.map(([, bucket]) => bucket)]
    let slowest = own
    return {
      take: bytes => {
        let longest = 0
        for (const bucket of all) {
          const wait = bucket.take(bytes, Date.now())
          if (wait <= longest) continue
          longest = wait
          slowest = bucket
        }
        return longest
      },
      get limit() {
        const { who, name, unit, rate } = slowest
        return { who, name, unit, rate: rate[unit] }
      },
      leave: () => {
        for (const [, bucket] of shared) bucket.users--
      },
    }
  }

  /** Forgets users and addresses without connections. A negative balance is kept, because a new connection would otherwise clear it. */
  sweep(): void {
    const now = Date.now()
    for (const [key, bucket] of this.buckets) {
      if (!bucket.users && bucket.isFull(now)) this.buckets.delete(key)
    }
  }
}
