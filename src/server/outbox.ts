// The messages of one session to its client: read from the store by number, written to the current connection, and acknowledged.
import type { Lease, StoredMessage, StoreNode } from './store.js'

const BATCH = 100
/** How long the end of a session waits until earlier messages are written. */
const FLUSH_TIMEOUT = 1_000

/** The part of its session that an outbox uses. */
export interface OutboxOwner {
  readonly id: string
  readonly epoch: number
  readonly store: StoreNode
  /** Whether this node still holds the session. */
  readonly isActive: boolean
  /** Writes to the current connection. `done` is called when the message has left this process. */
  writeMessage(message: StoredMessage, done?: () => void): void
  /** Whether messages must wait until the connection has sent what it has. */
  readonly isBackedUp: boolean
  /** A numbered message was written. */
  onSent(): void
  /** The client is known to have received `connected`, and with it the newest token. */
  onConfirmed(): void
  /** The client has acknowledged everything up to this number. */
  onAcknowledged(sequenceId: number): void
  onStoreError(error: unknown): void
}

/** The position in the session's messages on one connection. */
interface Cursor {
  /** The last number that was written to this connection. */
  sent: number
  /** Messages with higher numbers were first sent on this connection: acknowledging one proves that `connected` was received. */
  readonly newest: number
  /** The last number that the client acknowledged. */
  acknowledged: number
}

export class Outbox {
  private readonly owner: OutboxOwner
  /** Absent while there is no connection. */
  private cursor: Cursor | undefined
  /** `again`: there may be more messages than the read that is under way returns. */
  private reading: 'no' | 'once' | 'again' = 'no'
  private running: Promise<void> = Promise.resolve()
  private isAcknowledging = false
  /** Ends the wait for the connection. */
  private wake: () => void = () => {}

  constructor(owner: OutboxOwner) {
    this.owner = owner
  }

  /** The last number that was written to the current connection. */
  get sent(): number {
    return this.cursor?.sent ?? 0
  }

  /** How many messages were written to the current connection that the client has not acknowledged. */
  get unacknowledged(): number {
    return this.cursor ? this.cursor.sent - this.cursor.acknowledged : 0
  }

  /** Whether a message with this number was sent, on this connection or an earlier one. */
  knows(sequenceId: number): boolean {
    const { sent = 0, newest = 0 } = this.cursor ?? {}
    return sequenceId <= Math.max(sent, newest)
  }

  /** Begins with all unacknowledged messages, on a new connection. */
  start({ sequenceId, acknowledged }: Lease): void {
    this.cursor = { sent: acknowledged, newest: sequenceId, acknowledged }
    this.wake()
  }

  /** There is no connection to write to. */
  stop(): void {
    this.cursor = undefined
    this.wake()
  }

  /** Writes new messages, if there are any. `message`: the newest, if it is known. If it is the only new one, nothing is read. */
  pump(message?: StoredMessage): Promise<void> {
    if (message && this.writeNext(message)) return this.running
    if (this.reading === 'no') this.running = this.run()
    else this.reading = 'again'
    return this.running
  }

  /** Returns whether this message needs no further work. */
  private writeNext(message: StoredMessage): boolean {
    const { cursor } = this
    const { sequenceId } = message
    if (!cursor || sequenceId <= cursor.sent) return true
    if (this.reading !== 'no' || sequenceId !== cursor.sent + 1 || this.owner.isBackedUp) return false
    cursor.sent = sequenceId
    this.owner.onSent()
    this.owner.writeMessage(message)
    return true
  }

  private async run(): Promise<void> {
    try {
      do {
        this.reading = 'once'
        if (this.cursor && (await this.writeBatch(this.cursor))) this.reading = 'again'
      } while (this.cursor && (this.reading as string) === 'again')
    } catch (error) {
      this.owner.onStoreError(error)
    }
    this.reading = 'no'
  }

  /** Resolves when everything that the store has now is written, or when the time is up: the client may not read. */
  async flush(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined
    const late = new Promise<void>(resolve => {
      timer = setTimeout(resolve, FLUSH_TIMEOUT)
    })
    await Promise.race([this.running.then(() => this.pump()), late])
    clearTimeout(timer)
  }

  /** Resolves with whether there may be more. */
  private async writeBatch(cursor: Cursor): Promise<boolean> {
    const { id, epoch, store } = this.owner
    const messages = await store.read(id, epoch, cursor.sent, BATCH)
    // While the store was read, a new connection may have replaced this one. It begins at its own position.
    if (cursor !== this.cursor) return true
    for (const message of messages ?? []) {
      if (cursor !== this.cursor) return true
      cursor.sent = message.sequenceId
      await this.write(message)
    }
    return messages?.length === BATCH
  }

  /** Resolves when the next message may be written: messages that the network cannot send yet stay in the store. */
  private write(message: StoredMessage): Promise<void> | undefined {
    this.owner.onSent()
    if (!this.owner.isBackedUp) {
      this.owner.writeMessage(message)
      return undefined
    }
    return new Promise(resolve => {
      this.wake = resolve
      this.owner.writeMessage(message, resolve)
    })
  }

  /** The client has processed all messages up to this number. One step at a time; of several waiting, the highest includes the others. */
  async acknowledge(sequenceId: number): Promise<void> {
    const cursor = this.cursor
    if (!cursor || sequenceId <= cursor.acknowledged) return
    cursor.acknowledged = sequenceId
    this.owner.onAcknowledged(sequenceId)
    if (sequenceId > cursor.newest) this.owner.onConfirmed()
    if (this.isAcknowledging) return
    this.isAcknowledging = true
    try {
      let latest = cursor
      let done: number
      let epoch: number
      do {
        done = latest.acknowledged
        epoch = this.owner.epoch
        await this.owner.store.acknowledge(this.owner.id, epoch, done)
        latest = this.cursor ?? latest
        // A session that was resumed meanwhile has another epoch, and the store has ignored the older one.
      } while ((latest.acknowledged !== done || this.owner.epoch !== epoch) && this.owner.isActive)
    } catch (error) {
      this.owner.onStoreError(error)
    }
    this.isAcknowledging = false
  }
}
