// Processes one request of a session: runs the handler, stores its effects, answers.
import type { EncodedData } from '../reliable/frames.js'
import type { ReplyFrame } from './format.js'
import { ackFrame, invokeResponse, type Request, type Waiting } from './frames.js'
import type { Host } from './host.js'
import { delay, PATIENCE } from './patience.js'
import { Refusal, type Task } from './requests.js'
import type { CommitOutcome, Effect, MessageKey, StoreNode } from './store.js'

/** The part of its session that a processor uses. */
export interface ProcessorOwner {
  readonly id: string
  readonly userId: string | undefined
  readonly epoch: number
  readonly store: StoreNode
  /** Whether this node still holds the session. */
  readonly isActive: boolean
  /** `data`: the data of an answer to an invocation. */
  write(frame: ReplyFrame, data?: EncodedData | ''): void
  /** Writes everything that the store has for the session. */
  flush(): Promise<void>
  /** Ends the session. */
  end(code: number, reason: string): void
  /** Another node holds the session. */
  lose(): void
  onStoreError(error: unknown): void
}

/** How long a notification of the store may take. */
const NOTIFICATION_TIMEOUT = 50

const DUPLICATE = { name: 'Duplicate', message: 'this message has been handled' }

/** The outcomes of requests as labels of a metric, by the name of the error. All others are the application's. */
const OUTCOMES: Readonly<Record<string, string>> = {
  Duplicate: 'duplicate',
  Timeout: 'timeout',
  BadRequest: 'refused',
  TooLarge: 'refused',
  Forbidden: 'refused',
  NotFound: 'refused',
  TooManyGroups: 'refused',
}

/** The answers to requests that the store refuses. */
const REFUSED: { readonly [Outcome in CommitOutcome]?: { name: string; message: string } } = {
  forbidden: { name: 'Forbidden', message: 'not a member of the group' },
  full: { name: 'TooManyGroups', message: 'leave another group first' },
  duplicate: DUPLICATE,
}

export class Processor {
  private readonly owner: ProcessorOwner
  private readonly host: Host
  /** The ids of processed requests, oldest first. */
  private readonly handled: Set<number>

  constructor(owner: ProcessorOwner, host: Host, handled: readonly number[]) {
    this.owner = owner
    this.host = host
    this.handled = new Set(handled)
  }

  async process(request: Waiting): Promise<void> {
    const { ackId } = request
    if (request.type === 'endSession') return this.owner.end(1000, 'ended by the client')
    if (ackId !== undefined && this.handled.has(ackId)) return this.answer(request, DUPLICATE)
    const message = this.keyOf(request)
    if (message) {
      const reservation = await this.reserve(message)
      if (reservation === 'lost') return
      if (reservation === 'processed') {
        if (ackId !== undefined) this.remember(ackId)
        return this.answer(request, DUPLICATE)
      }
    }
    const isCommitted = await this.run(request, message)
    // A commit has ended the reservation.
    if (message && !isCommitted)
      await this.owner.store.release?.(message, this.owner.id).catch(this.host.report)
  }

  /** Resolves with whether the effects were stored. */
  private async run(request: Request, message: MessageKey | undefined): Promise<boolean> {
    const { ackId } = request
    let task: Task
    try {
      task = await this.host.runRequest(this.owner, request)
    } catch (error) {
      this.answer(request, this.describe(error))
      return false
    }
    try {
      if (!this.owner.isActive) return false
      const outcome = await this.commit(task.effects, ackId, message)
      if (outcome === 'lost') {
        // If the store has ended the session, its notification reaches the client with the reason.
        await new Promise(resolve => setTimeout(resolve, NOTIFICATION_TIMEOUT))
        if (this.owner.isActive) this.owner.lose()
        return false
      }
      if (ackId !== undefined && (outcome === 'done' || outcome === 'duplicate')) this.remember(ackId)
      this.answer(request, REFUSED[outcome], task.result)
      if (task.close) {
        await this.owner.flush()
        this.owner.end(task.close.code, task.close.reason)
      }
      return outcome === 'done'
    } catch (error) {
      this.owner.onStoreError(error)
      return false
    } finally {
      task.release()
    }
  }

  /** The id that the message keeps across sessions. Users have ids of their own, so that nobody can use up those of another user. */
  private keyOf(request: Waiting): MessageKey | undefined {
    const id = 'messageId' in request ? request.messageId : undefined
    if (id === undefined || !this.owner.store.reserve) return undefined
    const { userId } = this.owner
    // Without users, 64 memories, so that they can be larger.
    return { id, owner: userId === undefined ? `?${id[0]}` : `=${userId}` }
  }

  /** Waits while another session processes the same message: that of a page that has crashed, for example. */
  private async reserve(message: MessageKey): Promise<'reserved' | 'processed' | 'lost'> {
    const start = Date.now()
    try {
      while (this.owner.isActive) {
        const reservation = await this.owner.store.reserve?.(message, this.owner.id)
        if (reservation === 'reserved' || reservation === 'processed') return reservation
        await delay(Date.now() - start)
      }
    } catch (error) {
      this.owner.onStoreError(error)
    }
    return 'lost'
  }

  /** The error as the client may see it. */
  private describe(error: unknown): { name: string; message: string } {
    if (error instanceof Refusal) return { name: error.name, message: error.message }
    this.host.report(error)
    const name = error instanceof Error ? String(error.name) : 'Error'
    // To clients, this name means success. And the message may contain information that is not meant for them.
    return { name: name === DUPLICATE.name ? 'Error' : name, message: 'the message was not handled' }
  }

  /**
   * Stores the effects together with the record that the request was processed. If a member of a group is too far behind, waits for a while:
   * a client that publishes is slowed down by the group's slowest connected member.
   */
  private async commit(
    effects: readonly Effect[],
    ackId: number | undefined,
    message: MessageKey | undefined,
  ): Promise<CommitOutcome> {
    const start = Date.now()
    for (;;) {
      const waited = Date.now() - start
      const patient = waited < PATIENCE
      const claim = { session: this.owner.id, epoch: this.owner.epoch, ackId, message, patient }
      const { outcome } = await this.owner.store.commit(effects, claim)
      if (outcome === 'busy' && this.owner.isActive) {
        await delay(waited)
        continue
      }
      // A new connection to this node may be the reason. In this case, nothing was stored, and this node can claim the message again.
      if (outcome === 'lost') await this.host.resuming.get(this.owner.id)
      if (outcome !== 'lost' || !this.owner.isActive || claim.epoch === this.owner.epoch) return outcome
    }
  }

  private answer(
    request: Request,
    error?: { name: string; message: string },
    result?: EncodedData | '',
  ): void {
    const { type, ackId } = request
    const invocationId = 'invocationId' in request ? request.invocationId : undefined
    const { stats, metrics } = this.host
    if (error?.name === DUPLICATE.name) stats.duplicates++
    else stats[error ? 'failed' : 'received']++
    metrics.count('requests', type, error ? (OUTCOMES[error.name] ?? 'failed') : 'done')
    if (ackId !== undefined) this.owner.write(ackFrame(ackId, error))
    if (invocationId !== undefined) {
      this.owner.write(invokeResponse(invocationId, error), error ? '' : result)
    }
  }

  private remember(ackId: number): void {
    this.handled.add(ackId)
    for (const oldest of this.handled) {
      if (this.handled.size <= this.host.dedupeWindow) break
      this.handled.delete(oldest)
    }
  }
}
