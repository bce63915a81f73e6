import { onAbort } from '../common/abort.js'
import { isEnded } from '../common/ended.js'
import { createEmitter } from '../index.js'
import type { OutboxMessage, OutboxSocket, Outcome } from '../reliable.js'
import { checkOptions, checkStorage } from './checks.js'
import { createCodec, describe } from './codec.js'
import { createDelivery, type Delivery } from './delivery.js'
import { createId, type PageMessage, type PageMessages } from './page-messages.js'
import { createStore } from './store.js'
import type { OutboxEvents, OutboxOptions, OutboxProblem, OutboxStorage, StoredOutbox } from './types.js'

const MESSAGES: Record<OutboxProblem['reason'], string> = {
  unavailable: 'The storage of the outbox cannot be opened. Messages are sent, but not stored',
  newer: 'A newer version of this page has changed the storage of the outbox. Reload the page',
  closed: 'The storage of the outbox was closed, and may have been deleted',
  quota: 'The browser does not allow the outbox to store more. Messages are sent, but not stored',
  failed: 'The storage of the outbox failed. Messages are sent, but not stored',
  codec: 'encode or decode of the outbox failed',
  unlocked: 'There are no Web Locks here: several tabs may send the same message of the outbox',
}

/**
 * Creates an outbox that stores its messages in a storage of your own: a file, SQLite, or memory in tests. Throws a `TypeError` for an invalid
 * storage or option.
 *
 * ```ts
 * const outbox = createOutbox(sqliteStorage('orders.db'))
 * const socket = createReliableSocket('wss://push.example.com/feed', { outbox })
 * ```
 */
export const createOutbox = (storage: OutboxStorage, options: OutboxOptions = {}): StoredOutbox => {
  checkStorage(storage)
  checkOptions('createOutbox', options)
  const { maxMessages = 10_000, maxBytes = 2 ** 24 } = options
  const { on, once, off, emit } = createEmitter<OutboxEvents>(['problem'])
  const codec = createCodec(options)
  const pageMessages: PageMessages = new Map()
  let socket: OutboxSocket | undefined
  let delivery: Delivery | undefined

  const describeOwn = (message: PageMessage) => describe(message, message.text || undefined)

  const report = (reason: OutboxProblem['reason'], cause: unknown, messages?: OutboxProblem['messages']) => {
    const unstored = [...pageMessages.values()].filter(({ key }) => key === undefined)
    const problem: OutboxProblem = {
      reason,
      message: MESSAGES[reason],
      cause,
      messages: messages ?? unstored.map(describeOwn),
    }
    // Without a listener, the problem would go unnoticed.
    if (!emit('problem', problem)) socket?.error(Object.assign(new Error(problem.message), { cause }))
  }

  const store = createStore(
    storage,
    { maxMessages, maxBytes },
    {
      onLost(cause) {
        delivery?.restore()
        report('closed', cause)
      },
      onFailure: report,
    },
  )

  const pending = async () => {
    await delivery?.done()
    const stored = await store.all()
    const ids = new Set(stored.map(({ id }) => id))
    const others = [...pageMessages.values()].filter(({ id }) => !ids.has(id))
    const read = stored.map(async record => {
      const text =
        pageMessages.get(record.id)?.text ?? (await codec.decode(record.body).catch(() => undefined))
      return describe(record, text)
    })
    return [...(await Promise.all(read)), ...others.map(describeOwn)]
  }

  return {
    attach(given) {
      if (socket) throw new TypeError('An outbox belongs to one socket: create another outbox')
      socket = given
      const made = createDelivery(storage.name, given, pageMessages, store, codec, report)
      delivery = made
      return message => accept(message, given, pageMessages, made)
    },
    // With `encode`, the application does not want its messages to be anywhere as they are.
    save: () => (options.encode ? undefined : saveUnstored(storage.name, pageMessages)),
    restore: saved => restoreUnstored(saved as Saved, storage.name, pageMessages, delivery as Delivery),
    pending,
    async clear() {
      // Also drops what is sent while this waits: it would be deleted from the storage without an outcome.
      do await delivery?.clear()
      while (pageMessages.size)
      await store.clear()
      delivery?.announce()
    },
    on,
    once,
    off,
  }
}

/** The messages that are not stored yet, in the text that `save()` of the socket returns. */
interface Saved {
  readonly name: string
  readonly messages: readonly Pick<PageMessage, 'id' | 'time' | 'expires' | 'text'>[]
}

const saveUnstored = (name: string, pageMessages: PageMessages): Saved => ({
  name,
  messages: [...pageMessages.values()]
    // Without a text, it is a Blob that has not been read yet.
    .filter(({ key, text }) => key === undefined && text)
    .map(({ id, time, expires, text }) => ({ id, time, expires, text })),
})

/** Stores the messages that an earlier page could not store. If it could after all, the server recognizes their ids. */
const restoreUnstored = (saved: Saved, name: string, pageMessages: PageMessages, delivery: Delivery) => {
  // Another outbox may be that of another user.
  if (saved.name !== name) return
  for (const given of saved.messages) {
    const message: PageMessage = { ...given, isRestored: true, resolve() {}, unwatch() {} }
    pageMessages.set(message.id, message)
    delivery.add(message, message.text)
  }
}

/** Whether the data must be read before it can be encoded. */
const isBlob = (data: any): data is Blob => data?.size >= 0 && typeof data.arrayBuffer === 'function'

const accept = (
  { data, options: { ttl = Infinity, signal }, write }: OutboxMessage,
  socket: OutboxSocket,
  pageMessages: PageMessages,
  delivery: Delivery,
): Promise<Outcome> =>
  new Promise<Outcome>((resolve, reject) => {
    const text = isBlob(data) ? data.arrayBuffer().then(write) : write(data)
    const time = Date.now()
    const id = createId()
    // Throws if `signal` is not an `AbortSignal`, before anything is stored.
    const unwatch = signal && onAbort(signal, () => delivery.withdraw(id))
    const message: PageMessage = {
      id,
      time,
      expires: ttl < Infinity ? time + ttl : null,
      text: typeof text === 'string' ? text : '',
      resolve,
      unwatch: () => unwatch?.(),
    }
    if (typeof text !== 'string') {
      text.catch(error => {
        pageMessages.delete(id)
        reject(error)
      })
    }
    pageMessages.set(id, message)
    const isTooLate = isEnded(socket.state)
    if (isTooLate || signal?.aborted) {
      const reason = isTooLate ? 'closed' : 'aborted'
      Promise.resolve(text).then(
        text => {
          message.text = text
          delivery.settle(id, { status: 'dropped', reason })
        },
        () => {},
      )
      return
    }
    delivery.add(message, text)
  })
