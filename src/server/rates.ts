// How much clients may send, and how many connections they may have: for each connection, user and address.

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

/** Counts what was sent, and computes how long to wait. A debt is allowed: what has been read already is handled. */
class Bucket {
  private readonly rate: Required<Rate>
  private messages: number
  private bytes: number
  private last: number
  /** The number of open connections that use it. */
  users = 0

  constructor({ messages = Infinity, bytes = Infinity }: Rate, now: number) {
    this.rate = { messages, bytes }
    this.messages = messages
    this.bytes = bytes
    this.last = now
  }

  /** Returns after how many milliseconds the next frame may be read. */
  take(bytes: number, now: number): number {
    this.refill(now)
    this.messages -= 1
    this.bytes -= bytes
    // Without a limit there is no debt.
    const debts = [
      this.messages < 0 ? -this.messages / this.rate.messages : 0,
      this.bytes < 0 ? -this.bytes / this.rate.bytes : 0,
    ]
    return Math.ceil(Math.max(...debts) * 1_000)
  }

  /** Whether nothing would change if it were forgotten. */
  isFull(now: number): boolean {
    this.refill(now)
    return this.messages >= this.rate.messages && this.bytes >= this.rate.bytes
  }

  private refill(now: number): void {
    const seconds = Math.max(0, now - this.last) / 1_000
    this.last = now
    const { messages, bytes } = this.rate
    // Without a limit there is nothing to compute: Infinity minus Infinity is not a number.
    if (messages < Infinity) this.messages = Math.min(messages, this.messages + seconds * messages)
    if (bytes < Infinity) this.bytes = Math.min(bytes, this.bytes + seconds * bytes)
  }
}

/** A connection that was let in. */
export interface Pass {
  /** A frame has arrived. Returns after how many milliseconds the next one may be read. */
  take(bytes: number): number
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
      const bucket = this.buckets.get(key) ?? new Bucket(this.rates[kind] ?? {}, now)
      if (bucket.users >= (this.max[kind] ?? Infinity)) return undefined
      shared.push([key, bucket])
    }
    for (const [key, bucket] of shared) {
      this.buckets.set(key, bucket)
      bucket.users++
    }
    const all = [new Bucket(this.rates.connection ?? {}, now), ...shared.map(([, bucket]) => bucket)]
    return {
      take: bytes => all.reduce((wait, bucket) => Math.max(wait, bucket.take(bytes, Date.now())), 0),
      leave: () => {
        for (const [, bucket] of shared) bucket.users--
      },
    }
  }

  /** Forgets users and addresses without connections. A debt is kept, because a new connection would otherwise clear it. */
  sweep(): void {
    const now = Date.now()
    for (const [key, bucket] of this.buckets) {
      if (!bucket.users && bucket.isFull(now)) this.buckets.delete(key)
    }
  }
}
