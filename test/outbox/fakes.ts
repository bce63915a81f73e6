// A socket and a storage in the hands of the test.
import {
  createOutbox,
  type OutboxOptions,
  type OutboxProblem,
  type OutboxRecord,
  type OutboxStorage,
  type StoredOutbox,
} from '../../src/outbox.ts'
import type { OutboxSocket, Outcome } from '../../src/reliable.ts'

interface Sent {
  readonly id: string
  readonly data: unknown
  answer(outcome?: Outcome): void
}

/** A socket that is open, and sends nothing anywhere: the test answers each message. */
export class FakeSocket implements OutboxSocket {
  /** What waits for an answer, in order. */
  readonly sent: Sent[] = []
  /** All data that was ever passed on, in order. */
  readonly data: unknown[] = []
  readonly reported: { data: unknown; outcome: Outcome; isOwn: boolean }[] = []
  readonly errors: Error[] = []
  state: OutboxSocket['state'] = { name: 'open' }
  #listeners = new Set<(state: OutboxSocket['state']) => unknown>()

  on(_: 'state', listener: (state: OutboxSocket['state']) => unknown): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  change(state: OutboxSocket['state']): void {
    this.state = state
    for (const listener of this.#listeners) listener(state)
    if (state.name === 'closed' && state.cause)
      for (const { answer } of [...this.sent]) answer({ status: 'unknown' })
  }

  send(text: string, id: string, { signal }: { signal?: AbortSignal }): Promise<Outcome> {
    const { data } = JSON.parse(text)
    this.data.push(data)
    return new Promise(resolve => {
      const sent: Sent = {
        id,
        data,
        answer: (outcome = { status: 'delivered' }) => {
          if (this.sent.includes(sent)) this.sent.splice(this.sent.indexOf(sent), 1)
          resolve(outcome)
        },
      }
      this.sent.push(sent)
      signal?.addEventListener('abort', () => sent.answer({ status: 'dropped', reason: 'aborted' }))
    })
  }

  report(text: string, _: string, outcome: Outcome, isOwn: boolean): void {
    this.reported.push({ data: JSON.parse(text).data, outcome, isOwn })
  }

  error(error: Error): void {
    this.errors.push(error)
  }
}

/** A storage in memory, the smallest that keeps the contract. It outlives outboxes, as a file does. */
export class MemoryStorage implements OutboxStorage {
  readonly name = 'memory'
  readonly records = new Map<number, OutboxRecord>()
  #last = 0
  /** Each step asks this first, which may throw. */
  before: (step: 'open' | 'add' | 'list' | 'remove' | 'clear') => unknown = () => {}
  opened = 0
  lose: (cause?: unknown) => void = () => {}

  async open(onLost: (cause?: unknown) => void): Promise<void> {
    this.opened++
    this.lose = onLost
    await this.before('open')
  }

  async add(
    records: readonly Omit<OutboxRecord, 'key'>[],
    { maxMessages, maxBytes }: { maxMessages: number; maxBytes: number },
  ): Promise<(number | undefined)[]> {
    await this.before('add')
    return records.map(record => {
      const bytes = [...this.records.values()].reduce((sum, { size }) => sum + size, 0)
      if (this.records.size >= maxMessages || bytes + record.size > maxBytes) return undefined
      const key = ++this.#last
      this.records.set(key, { ...record, key })
      return key
    })
  }

  async list(after: number, limit: number): Promise<OutboxRecord[]> {
    await this.before('list')
    return [...this.records.values()].filter(({ key }) => key > after).slice(0, limit)
  }

  async remove(keys: readonly number[]): Promise<void> {
    await this.before('remove')
    for (const key of keys) this.records.delete(key)
  }

  async clear(): Promise<void> {
    await this.before('clear')
    this.records.clear()
  }
}

export interface Attached {
  readonly outbox: StoredOutbox
  readonly socket: FakeSocket
  readonly storage: MemoryStorage
  readonly problems: OutboxProblem[]
  send(data: unknown, options?: { ttl?: number; signal?: AbortSignal }): Promise<Outcome>
}

/** An outbox at work over fakes. Without Web Locks, as in Node. */
export const attach = (
  options: OutboxOptions = {},
  storage: MemoryStorage = new MemoryStorage(),
  socket: FakeSocket = new FakeSocket(),
): Attached => {
  const outbox = createOutbox(storage, options)
  const problems: OutboxProblem[] = []
  outbox.on('problem', problem => {
    if (problem.reason !== 'unlocked') problems.push(problem)
  })
  const keep = outbox.attach(socket)
  return {
    outbox,
    socket,
    storage,
    problems,
    send: async (data, options = {}) =>
      keep({
        data,
        options,
        write: data => {
          if (data instanceof ArrayBuffer)
            return JSON.stringify({
              type: 'event',
              dataType: 'binary',
              data: Buffer.from(data).toString('base64'),
            })
          const json = JSON.stringify(data)
          if (json === undefined) throw new TypeError('not JSON')
          return `{"type":"event","event":"e","dataType":"json","data":${json}}`
        },
      }),
  }
}
