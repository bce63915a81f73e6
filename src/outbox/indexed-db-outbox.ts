import { checkOptions } from './checks.js'
import { createOutbox } from './create.js'
import { indexedDbStorage } from './indexed-db.js'
import type { IndexedDbOutboxOptions, StoredOutbox } from './types.js'

/**
 * Creates an outbox that stores its messages in IndexedDB, so that they survive a reload, a crash of the browser, and days without a network.
 *
 * ```ts
 * const outbox = indexedDbOutbox('orders', { user: 'ann' })
 * const socket = createReliableSocket('wss://push.example.com/feed', { outbox })
 * const { status } = await socket.send({ buy: 3 }, { event: 'order' })
 * ```
 *
 * Outboxes with the same `name` and user, in any tab, share their messages. Throws a `TypeError` for invalid arguments.
 */
export const indexedDbOutbox = (name: string, options: IndexedDbOutboxOptions = {}): StoredOutbox => {
  checkOptions('indexedDbOutbox', options, ['user', 'durability'])
  const { user = '', durability = 'relaxed', ...limits } = options
  if (typeof name !== 'string' || !name) throw new TypeError('indexedDbOutbox needs a name')
  // If objects were allowed, all users would share one outbox, because each object is converted to the same string.
  if (typeof user !== 'string') throw new TypeError('user must be a string')
  if (durability !== 'relaxed' && durability !== 'strict')
    throw new TypeError("durability must be 'relaxed' or 'strict'")
  const database = `steadysocket-outbox:${[name, user].map(encodeURIComponent).join(':')}`
  return createOutbox(indexedDbStorage(database, durability), limits)
}
