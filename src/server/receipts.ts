// Waits until clients have acknowledged messages, on whichever node their sessions are.
import type { Progress, StoreNode } from './store.js'

/** How often the store is queried about sessions on other nodes. Clients acknowledge within a second. */
const INTERVAL = 250

interface Wait {
  readonly sequenceId: number
  readonly resolve: (isAcknowledged: boolean) => void
  readonly reject: (error: unknown) => void
}

export class Receipts {
  private readonly openStore: () => Promise<StoreNode>
  /** By session. */
  private readonly waits = new Map<string, Set<Wait>>()
  private timer: ReturnType<typeof setTimeout> | undefined

  constructor(openStore: () => Promise<StoreNode>) {
    this.openStore = openStore
  }

  /**
   * Resolves with `true` when the client has acknowledged the message with this number, or with `false` when its session has ended. Rejects
   * with the reason of the signal, or with the error of the store.
   */
  async wait(id: string, { sequenceId, acknowledged }: Progress, signal?: AbortSignal): Promise<boolean> {
    if (sequenceId <= acknowledged) return true
    if (signal?.aborted) throw signal.reason
    const waits = this.waits.get(id) ?? new Set()
    this.waits.set(id, waits)
    let wait: Wait | undefined
    let abort = () => {}
    try {
      return await new Promise<boolean>((resolve, reject) => {
        wait = { sequenceId, resolve, reject }
        waits.add(wait)
        abort = () => reject(signal?.reason)
        signal?.addEventListener('abort', abort)
        this.schedule()
      })
    } finally {
      signal?.removeEventListener('abort', abort)
      waits.delete(wait as Wait)
      if (!waits.size) this.waits.delete(id)
    }
  }

  /** The client of a session of this node has acknowledged everything up to this number. */
  onAcknowledged(id: string, acknowledged: number): void {
    for (const wait of this.waits.get(id) ?? []) if (wait.sequenceId <= acknowledged) wait.resolve(true)
  }

  /** The session has ended. */
  onEnded(id: string): void {
    for (const wait of this.waits.get(id) ?? []) wait.resolve(false)
  }

  /** The server is closed. */
  close(): void {
    clearTimeout(this.timer)
    const error = new Error('the server was closed before the client acknowledged the message')
    for (const waits of this.waits.values()) for (const wait of waits) wait.reject(error)
  }

  private schedule(): void {
    this.timer ??= setTimeout(async () => {
      await Promise.all([...this.waits.keys()].map(id => this.ask(id)))
      this.timer = undefined
      if (this.waits.size) this.schedule()
    }, INTERVAL)
  }

  private async ask(id: string): Promise<void> {
    try {
      const progress = await (await this.openStore()).progress(id)
      if (progress) this.onAcknowledged(id, progress.acknowledged)
      else this.onEnded(id)
    } catch (error) {
      for (const wait of this.waits.get(id) ?? []) wait.reject(error)
    }
  }
}
