// Limits the sessions of a user and of an address. For a new session, those that have been disconnected for the longest time are ended.
import type { PerClient } from './rates.js'
import { type StoreNode, TRY_AGAIN_LATER, userGroup } from './store.js'

/** A session of an address, as this node knows it. */
interface Known {
  readonly address: string
  /** When it has expired, unless it is resumed. `Infinity` while it has a connection. */
  expires: number
}

export class Room {
  private readonly max: PerClient<number>
  private readonly sessionTimeout: number
  /** By session, in the order in which they began or lost their connections. */
  private readonly known = new Map<string, Known>()
  /** The last pending request, by user and by address: they run one after the other. */
  private readonly turns = new Map<string, Promise<unknown>>()

  constructor(max: PerClient<number>, sessionTimeout: number) {
    this.max = max
    this.sessionTimeout = sessionTimeout
  }

  /**
   * Makes room for one more session, and begins it with `create`. If all sessions have a connection, resolves with the limit that was reached.
   */
  async begin<Session>(
    store: StoreNode,
    userId: string,
    address: string,
    create: () => Promise<Session>,
  ): Promise<Session | 'user' | 'address'> {
    const { user = Infinity, address: perAddress = Infinity } = this.max
    return this.inTurn(user < Infinity && userId ? `user ${userId}` : '', () =>
      this.inTurn(perAddress < Infinity && address ? `address ${address}` : '', async () => {
        const isRoom = !userId || user === Infinity || (await this.makeRoomForUser(store, userId, user))
        if (!isRoom) return 'user'
        if (address && perAddress < Infinity && !(await this.makeRoomAt(store, address, perAddress)))
          return 'address'
        return create()
      }),
    )
  }

  /** A session has a connection to this node, from this address. */
  enter(id: string, address: string): void {
    if (this.max.address === undefined || !address) return
    this.known.delete(id)
    this.known.set(id, { address, expires: Infinity })
  }

  /** A session has lost its connection. */
  leave(id: string): void {
    const known = this.known.get(id)
    if (!known) return
    this.known.delete(id)
    this.known.set(id, { ...known, expires: Date.now() + this.sessionTimeout })
  }

  /** A session has ended, or is on another node. */
  forget(id: string): void {
    this.known.delete(id)
  }

  /** Deletes expired entries. */
  sweep(): void {
    const now = Date.now()
    for (const [id, { expires }] of this.known) if (expires <= now) this.known.delete(id)
  }

  private async makeRoomForUser(store: StoreNode, userId: string, max: number): Promise<boolean> {
    const members = await store.members(userGroup(userId))
    const idle = members.filter(({ isConnected }) => !isConnected).map(({ id }) => id)
    return this.end(store, idle, members.length - max + 1, 'user')
  }

  private async makeRoomAt(store: StoreNode, address: string, max: number): Promise<boolean> {
    this.sweep()
    const all = [...this.known].filter(([, known]) => known.address === address)
    const idle = all.filter(([, { expires }]) => expires < Infinity).map(([id]) => id)
    return this.end(store, idle, all.length - max + 1, 'address')
  }

  /** Ends this many sessions, if there are enough. */
  private async end(store: StoreNode, idle: readonly string[], count: number, who: string): Promise<boolean> {
    if (count > idle.length) return false
    const reason = `too many sessions of this ${who}`
    await Promise.all(idle.slice(0, Math.max(0, count)).map(id => store.end(id, TRY_AGAIN_LATER, reason)))
    for (const id of idle.slice(0, Math.max(0, count))) this.forget(id)
    return true
  }

  /** Begins when all earlier requests with the same key are done. */
  private async inTurn<Result>(key: string, work: () => Promise<Result>): Promise<Result> {
    if (!key) return work()
    const result = (this.turns.get(key) ?? Promise.resolve()).then(work)
    const turn = result.catch(() => {})
    this.turns.set(key, turn)
    try {
      return await result
    } finally {
      if (this.turns.get(key) === turn) this.turns.delete(key)
    }
  }
}
