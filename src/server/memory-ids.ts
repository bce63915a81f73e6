// The ids of processed messages that the memory store remembers longer than sessions, by owner.
import type { MessageKey, Reservation, StoreLimits } from './store.js'

interface OwnIds {
  /** When each message was processed, by id, oldest first. */
  readonly times: Map<string, number>
  readonly newest: number
}

export class MessageIds {
  /** By owner. The owner of the newest id comes last. */
  private readonly processed = new Map<string, OwnIds>()
  /** The sessions that process a message now. */
  private readonly reserved = new Map<string, string>()

  has({ owner, id }: MessageKey): boolean {
    return !!this.processed.get(owner)?.times.has(id)
  }

  reserve(message: MessageKey, session: string): Reservation {
    if (this.has(message)) return 'processed'
    const key = keyOf(message)
    if ((this.reserved.get(key) ?? session) !== session) return 'busy'
    this.reserved.set(key, session)
    return 'reserved'
  }

  release(message: MessageKey, session: string): void {
    const key = keyOf(message)
    if (this.reserved.get(key) === session) this.reserved.delete(key)
  }

  add(message: MessageKey, { idTimeout, maxIds }: StoreLimits): void {
    const { owner, id } = message
    const now = Date.now()
    this.reserved.delete(keyOf(message))
    const times = this.processed.get(owner)?.times ?? new Map<string, number>()
    this.processed.delete(owner)
    this.processed.set(owner, { times: times.set(id, now), newest: now })
    for (const [oldest, time] of times) {
      if (times.size <= maxIds && time > now - idTimeout) break
      times.delete(oldest)
    }
    for (const [oldest, { newest }] of this.processed) {
      if (newest > now - idTimeout) break
      this.processed.delete(oldest)
    }
  }
}

/** An id has no `:`. */
const keyOf = ({ owner, id }: MessageKey): string => `${id}:${owner}`
