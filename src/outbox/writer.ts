import type { Codec } from './codec.js'
import type { PageMessage, PageMessages } from './page-messages.js'
import type { Store } from './store.js'
import type { OutboxRecord } from './types.js'

/** How many messages are stored in one step. */
const BATCH = 256

export interface WriterOwner {
  /** Messages have been stored, and have their keys. */
  onStored(): void
  /** There are too many messages. */
  onOverflow(message: PageMessage): void
  /** `encode` failed. */
  onCodec(message: PageMessage, cause: unknown): void
}

/** Stores messages in the order in which they were sent. */
export interface Writer {
  add(message: PageMessage, text: string | Promise<string>): void
  /** Resolves when each message that was added has been stored, or could not be stored. */
  done(): Promise<void>
}

interface Task {
  readonly message: PageMessage
  readonly text: string | Promise<string>
}

/**
 * `unstored` gets the messages that are not stored, because the storage or `encode` failed. `remove` deletes a message that already has its outcome
 * when it is stored.
 */
export const createWriter = (
  page: string,
  store: Store,
  codec: Codec,
  pageMessages: PageMessages,
  unstored: Set<PageMessage>,
  remove: (key: number) => unknown,
  { onStored, onOverflow, onCodec }: WriterOwner,
): Writer => {
  const tasks: Task[] = []
  let running: Promise<void> | undefined

  /** Whether the message still waits for its outcome. */
  const isPending = ({ id }: PageMessage) => pageMessages.has(id)

  const encode = async ({ message, text }: Task): Promise<Omit<OutboxRecord, 'key'> | undefined> => {
    try {
      // If a Blob cannot be read, `accept()` has already rejected the promise.
      message.text = await text
    } catch {
      return undefined
    }
    try {
      const { id, time, expires } = message
      return { id, page, time, expires, ...(await codec.encode(message.text)) }
    } catch (error) {
      onCodec(message, error)
      unstored.add(message)
      return undefined
    }
  }

  /** Finds the keys of messages that are still stored, after the storage was closed and opened again. */
  const findKeys = async (messages: readonly PageMessage[]) => {
    if (!messages.some(({ wasStored }) => wasStored)) return new Map<string, number>()
    const records = (await store.list(0, Infinity)) ?? []
    return new Map(records.map(({ id, key }) => [id, key]))
  }

  const write = async (batch: readonly Task[]) => {
    const encoded = await Promise.all(
      batch
        .filter(({ message }) => isPending(message))
        .map(async task => [task.message, await encode(task)] as const),
    )
    const keys = await findKeys(batch.map(({ message }) => message))
    const open = encoded.filter(([message, record]) => {
      message.key = keys.get(message.id)
      return record && message.key === undefined && isPending(message)
    })
    if (open.length) {
      const added = await store.add(open.map(([, record]) => record as OutboxRecord))
      open.forEach(([message], i) => {
        const key = added?.[i]
        if (!added) unstored.add(message)
        else if (key === undefined) onOverflow(message)
        else {
          message.key = key
          if (!isPending(message)) remove(key)
        }
      })
    }
    onStored()
  }

  const run = async () => {
    while (tasks.length) await write(tasks.splice(0, BATCH))
    running = undefined
  }

  return {
    add(message, text) {
      tasks.push({ message, text })
      // In a microtask, so that the messages of one task are stored in one step.
      running ??= Promise.resolve().then(run)
    },
    async done() {
      while (running) await running
    },
  }
}
