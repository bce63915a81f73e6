import { watchExpiry } from '../common/expiry.js'
import type { Data, QueueOptions, SendOptions } from '../index.js'
import type { Entry, HubMessage, TabMessage } from './protocol.js'

interface Unsent extends Entry {
  size: number
  readonly key: unknown
  /** Whether it was posted to the hub. */
  isPosted: boolean
  /** Whether the hub may have sent it without reporting this. */
  mayBeSent: boolean
  /** Why the hub was asked to drop it. It no longer counts towards the limits. */
  reason?: string
  unwatch?: () => void
}

/** The messages of this tab that the hub has not reported as sent. */
export interface SendQueue {
  /** The number of messages, and their bytes. */
  readonly size: number
  readonly bytes: number
  list(): Data[]
  /** The messages, in the form in which the hub gets them. */
  entries(): Entry[]
  push(data: Data, size: number, options: SendOptions): 'queued' | 'dropped'
  /** Drops a message that is not in the queue. */
  reject(data: Data, reason: string): 'dropped'
  /** The hub has sent the messages up to this one. Returns how many. */
  sent(id: number): number
  /** The hub has dropped a message. */
  drop(message: HubMessage & { type: 'dropped' }): void
  /** Drops all messages: with this reason if it is certain that they were not sent, otherwise with `'unknown'`. */
  clear(reason: string): void
  /** The tab knows that there is a connection, or that there is none. */
  setOpen(isOpen: boolean): void
  /** There is a new hub: posts all messages to it. */
  repost(): void
  /** The hub will send all messages that it has, while this tab is away. */
  leave(): void
  /** The hub was in this tab, and has ended. */
  handOver(result: { sent: number; isTaken: boolean } | undefined): void
  /** The hub has all messages, and this tab ends. */
  forget(): void
  /** The hub has ended. Unless it has posted `bye`, the outcome of some messages is unknown. */
  lose(isPlanned: boolean): void
}

/** The message in the form that is sent to the hub. */
const entryOf = ({ id, data, expires }: Unsent): Entry => ({ id, data, expires })

/** Keeps each message until the hub has reported its outcome. */
export const createSendQueue = (
  { maxMessages = Infinity, maxBytes = 2 ** 24, overflow }: QueueOptions,
  post: (message: TabMessage) => boolean,
  onDrop: (data: Data, reason: any) => void,
): SendQueue => {
  const unsent = new Map<number, Unsent>()
  let next = 0
  let bytes = 0
  /** The number of messages that the hub was asked to drop. */
  let leaving = 0
  let isOpen = false

  const remove = (entry: Unsent) => {
    unsent.delete(entry.id)
    if (entry.reason) leaving--
    bytes -= entry.size
    entry.unwatch?.()
  }
  const drop = (entry: Unsent, reason: string) => {
    remove(entry)
    onDrop(entry.data, reason)
  }
  /** Only the hub knows whether it has sent the message. */
  const cancel = (entry: Unsent, reason: string) => {
    if (!entry.isPosted) drop(entry, reason)
    else if (!entry.reason) {
      entry.reason = reason
      leaving++
      bytes -= entry.size
      entry.size = 0
      post({ type: 'cancel', id: entry.id, reason })
    }
  }
  const send = (entry: Unsent) => {
    entry.isPosted = post({ type: 'send', ...entryOf(entry) })
    entry.mayBeSent = isOpen
  }
  const reject: SendQueue['reject'] = (data, reason) => {
    onDrop(data, reason)
    return 'dropped'
  }
  const sendQueue: SendQueue = {
    reject,
    get size() {
      return unsent.size
    },
    get bytes() {
      return bytes
    },
    list: () => [...unsent.values()].map(({ data }) => data),
    entries: () => [...unsent.values()].map(entryOf),
    push(data, size, options) {
      const { ttl, key, signal } = options
      if (signal?.aborted) return reject(data, 'aborted')
      if (options.volatile) {
        if (!isOpen || !post({ type: 'send', id: next++, data, volatile: true }))
          return reject(data, 'volatile')
        return 'queued'
      }
      for (const entry of key === undefined ? [] : unsent.values()) {
        if (entry.key === key) cancel(entry, 'replaced')
      }
      const isFull = () => unsent.size - leaving >= maxMessages || (bytes + size > maxBytes && bytes > 0)
      if (overflow === 'drop-oldest') {
        for (const entry of unsent.values()) {
          if (!isFull()) break
          cancel(entry, 'overflow')
        }
      } else if (isFull() || size > maxBytes) return reject(data, 'overflow')
      const expires = ttl === undefined ? undefined : Date.now() + ttl
      const entry: Unsent = {
        ...{ id: next++, data, size, key, expires },
        ...{ isPosted: false, mayBeSent: false },
      }
      unsent.set(entry.id, entry)
      bytes += size
      entry.unwatch = watchExpiry(ttl, signal, reason => cancel(entry, reason))
      send(entry)
      return 'queued'
    },
    sent(id) {
      let count = 0
      for (const entry of unsent.values()) {
        if (entry.id > id) break
        remove(entry)
        count++
      }
      return count
    },
    drop({ id, reason, data }) {
      const entry = unsent.get(id)
      if (entry) drop(entry, reason)
      else if (data !== undefined) onDrop(data, reason)
    },
    clear(reason) {
      for (const entry of unsent.values()) drop(entry, entry.mayBeSent ? 'unknown' : reason)
    },
    setOpen(next) {
      isOpen = next
      for (const entry of unsent.values()) entry.mayBeSent = next
    },
    repost() {
      for (const entry of unsent.values()) send(entry)
    },
    leave() {
      isOpen = false
      for (const entry of unsent.values()) entry.mayBeSent = entry.isPosted
    },
    handOver(result) {
      if (!result) return
      sendQueue.sent(result.sent)
      if (result.isTaken) sendQueue.forget()
      else sendQueue.lose(true)
    },
    forget() {
      for (const entry of unsent.values()) remove(entry)
    },
    lose(isPlanned) {
      isOpen = false
      for (const entry of unsent.values()) {
        entry.isPosted = false
        if (entry.mayBeSent && !isPlanned) drop(entry, 'unknown')
        else if (entry.reason) drop(entry, entry.reason)
      }
    },
  }
  return sendQueue
}
