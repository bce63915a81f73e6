// The requests of one session: processed one after the other, in the order of arrival, across connections.
import type { Waiting } from './frames.js'

const MAX_MESSAGES = 256
const MAX_BYTES = 2 ** 20

interface Item {
  readonly request: Waiting
  readonly bytes: number
}

/** The part of its session that an inbox uses. */
export interface InboxOwner {
  processRequest(request: Waiting): Promise<void>
  /** Whether this node still holds the session. */
  readonly isActive: boolean
  /** The inbox is full, and reading must pause, or it has room again. */
  onFull(isFull: boolean): void
}

export class Inbox {
  private readonly owner: InboxOwner
  /** The queued requests. The first one is being processed. */
  private readonly queue: Item[] = []
  /** The ids of the requests in the queue. */
  private readonly pending = new Set<number>()
  private bytes = 0
  private stopped = false
  private running: Promise<void> | undefined

  constructor(owner: InboxOwner) {
    this.owner = owner
  }

  /** How many requests wait, the one that is being processed included. */
  get size(): number {
    return this.queue.length
  }

  /** Whether a request is being processed. */
  get isBusy(): boolean {
    return !!this.running
  }

  /** Whether requests are no longer accepted. */
  get isStopped(): boolean {
    return this.stopped
  }

  /** Whether reading must pause. */
  get isFull(): boolean {
    return this.queue.length >= MAX_MESSAGES || this.bytes >= MAX_BYTES
  }

  /** Accepts a request. Returns `false` for a repetition of a request that is queued or being processed: both get one answer. */
  add(request: Waiting, bytes: number): boolean {
    const { ackId } = request
    if (ackId !== undefined) {
      if (this.pending.has(ackId)) return false
      this.pending.add(ackId)
    }
    this.queue.push({ request, bytes })
    this.bytes += bytes
    this.running ??= this.run()
    if (this.isFull) this.owner.onFull(true)
    return true
  }

  /** Drops an invocation that the client no longer waits for, unless it is being processed. */
  cancel(invocationId: string): void {
    const position = this.queue.findIndex(
      ({ request }) => 'invocationId' in request && request.invocationId === invocationId,
    )
    if (position > 0) this.bytes -= this.queue.splice(position, 1)[0]?.bytes ?? 0
  }

  /** Drops the queued requests. */
  clear(): void {
    this.queue.length = 0
  }

  /** Begins no further request. Resolves when the current one is done. */
  async stop(): Promise<void> {
    this.stopped = true
    await this.running
  }

  private async run() {
    for (let next = this.queue[0]; next && this.owner.isActive && !this.stopped; next = this.queue[0]) {
      await this.owner.processRequest(next.request)
      // The queue was cleared if the session was lost meanwhile.
      if (this.queue[0] === next) this.queue.shift()
      this.bytes -= next.bytes
      if (next.request.ackId !== undefined) this.pending.delete(next.request.ackId)
      const hasRoom = this.queue.length < MAX_MESSAGES / 2 && this.bytes < MAX_BYTES / 2
      if (hasRoom && !this.stopped) this.owner.onFull(false)
    }
    this.running = undefined
  }
}
