import { type DBSchema, type IDBPDatabase, type IDBPObjectStore, openDB } from 'idb'
import type { OutboxLimits, OutboxRecord, OutboxStorage } from './types.js'

const VERSION = 1

interface Total {
  messages: number
  bytes: number
}

interface Schema extends DBSchema {
  messages: { key: number; value: OutboxRecord }
  /** One record with the totals, so that limits can be checked without reading all messages. */
  total: { key: number; value: Total }
}

type ObjectStore<Name extends 'messages' | 'total'> = IDBPObjectStore<
  Schema,
  ('messages' | 'total')[],
  Name,
  'readwrite'
>
type Messages = ObjectStore<'messages'>
type Totals = ObjectStore<'total'>

const NONE: Total = { messages: 0, bytes: 0 }

/** Stores messages in a database of IndexedDB. */
export const indexedDbStorage = (name: string, durability: 'strict' | 'relaxed'): OutboxStorage => {
  let database: IDBPDatabase<Schema>
  let lose: (cause?: unknown) => void

  /** A connection can be closed without an event, or before the event is fired. */
  const guard = <Value>(step: () => Value): Value => {
    try {
      return step()
    } catch (error) {
      if ((error as Error).name === 'InvalidStateError') lose(error)
      throw error
    }
  }

  /** Runs one transaction. Rejects with the reason why it was aborted. */
  const transact = async <Value>(
    step: (messages: Messages, totals: Totals) => Promise<Value>,
  ): Promise<Value> => {
    const change = guard(() => database.transaction(['messages', 'total'], 'readwrite', { durability }))
    const work = step(change.objectStore('messages'), change.objectStore('total'))
    work.catch(() => {
      try {
        change.abort()
      } catch {
        // It was aborted already.
      }
    })
    await change.done.catch(async reason => {
      // The errors of single requests are more specific, unless the requests were aborted because of this error.
      if (reason?.name === 'AbortError') await work
      throw reason
    })
    return work
  }

  return {
    name,

    async open(onLost) {
      let isLost = false
      const loseThis = (cause?: unknown) => {
        if (isLost) return
        isLost = true
        onLost(cause)
      }
      const opened = await openDB<Schema>(name, VERSION, {
        upgrade(made) {
          made.createObjectStore('messages', { keyPath: 'key', autoIncrement: true })
          made.createObjectStore('total')
        },
        // Another page wants to delete the database, or to upgrade it to a newer version. It has to wait as long as this connection is open.
        blocking() {
          opened.close()
          loseThis()
        },
        // For example, because the user has deleted the site's data.
        terminated: () => loseThis(),
      })
      database = opened
      lose = loseThis
    },

    add: (records, { maxMessages, maxBytes }: Required<OutboxLimits>) =>
      transact(async (messages, totals) => {
        const total = { ...((await totals.get(0)) ?? NONE) }
        const keys = records.map(async record => {
          if (total.messages >= maxMessages || total.bytes + record.size > maxBytes) return undefined
          total.messages++
          total.bytes += record.size
          // Without a key: the database assigns it.
          return messages.add(record as OutboxRecord)
        })
        const stored = Promise.all([Promise.all(keys), totals.put(total, 0)])
        // Does not wait for the results, so that a page that is left at once has stored its messages.
        totals.transaction.commit?.()
        const [added] = await stored
        return added
      }),

    async list(after, limit) {
      const range = IDBKeyRange.lowerBound(after, true)
      return guard(() => database.getAll('messages', range, limit < Infinity ? limit : undefined))
    },

    remove: keys =>
      transact(async (messages, totals) => {
        const found = await Promise.all(keys.map(key => messages.get(key)))
        const total = { ...((await totals.get(0)) ?? NONE) }
        const deleted = found.map(async record => {
          if (!record) return
          total.messages--
          total.bytes -= record.size
          await messages.delete(record.key)
        })
        await Promise.all([...deleted, totals.put(total, 0)])
      }),

    clear: () =>
      transact(async (messages, totals) => {
        await Promise.all([messages.clear(), totals.clear()])
      }),
  }
}
