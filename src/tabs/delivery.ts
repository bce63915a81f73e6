import type { Socket } from '../index.js'
import type { Tab } from './hub.js'
import type { Entry, HubMessage } from './protocol.js'

interface Item {
  readonly tab: Tab
  readonly entry: Entry
}

/** How often to check whether the browser's buffer has room again, in milliseconds. */
const POLL = 20

/** Stands for all tabs that ended together with an earlier hub. */
const GONE: Tab = { id: '', ready: 0, hasBeenOpen: false, isGone: true, last: 0, sent: 0, unwatch() {} }

/** The messages of all tabs, on their way to the server. */
export interface Delivery {
  add(tab: Tab, entry: Entry): void
  adopt(entries: Iterable<Entry>): void
  cancel(tab: Tab, id: number, reason: string): void
  /** Sends what can be sent. `isLast`: the socket will be closed next, and then sends what it has queued. */
  flush(isLast?: boolean): void
  clear(): void
  /** The messages of tabs that have ended. */
  orphans(): Entry[]
}

/** Creates the delivery of a hub. */
export const createDelivery = (
  socket: () => Socket<any> | undefined,
  connection: () => number,
  post: (message: HubMessage, to?: string) => void,
): Delivery => {
  let queue = new Set<Item>()
  /** The messages that the socket has queued because the browser's buffer is full, in order. */
  const handed: Item[] = []
  let timer: ReturnType<typeof setTimeout> | undefined

  const drop = ({ tab, entry }: Item, reason: string) => {
    const { id, data, volatile } = entry
    if (!tab.isGone) post({ type: 'dropped', id, reason, data: volatile && data }, tab.id)
  }

  const flush = (isLast?: boolean) => {
    const target = socket()
    if (!target) return
    const changed = new Set<Tab>()
    const report = ({ tab, entry }: Item) => {
      tab.sent = entry.id
      changed.add(tab)
    }
    const isOpen = target.state.name === 'open'
    if (isOpen) {
      for (const item of queue) {
        const { tab, entry } = item
        // As long as the tab does not know about the connection, it relies on its messages not being sent.
        if (!tab.isGone && tab.ready !== connection()) continue
        if (target.queued) break
        queue.delete(item)
        if (entry.expires && entry.expires < Date.now()) drop(item, 'expired')
        else if (target.send(entry.data) === 'sent') report(item)
        else handed.push(item)
      }
    }
    // A socket without a connection drops what it has queued.
    if (isLast && !isOpen) queue = new Set([...handed.splice(0), ...queue])
    const left = isLast ? 0 : target.queued
    while (handed.length > left) report(handed.shift() as Item)
    for (const tab of changed) if (!tab.isGone) post({ type: 'sent', id: tab.sent }, tab.id)
    clearTimeout(timer)
    if (target.queued && isOpen && !isLast) timer = setTimeout(() => flush(), POLL)
  }

  const adopt = (entries: Iterable<Entry>) => {
    for (const entry of entries) queue.add({ tab: GONE, entry })
    flush()
  }

  return {
    flush,
    adopt,
    add(tab, entry) {
      // The tab has posted it again to a hub that already has it.
      if (entry.id <= tab.last) return
      tab.last = entry.id
      const item = { tab, entry }
      if (!entry.volatile) {
        queue.add(item)
        return flush()
      }
      const isNext = tab.ready === connection() && ![...queue].some(other => other.tab === tab)
      if (!isNext || socket()?.send(entry.data, { volatile: true }) !== 'sent') drop(item, 'volatile')
    },
    cancel(tab, id, reason) {
      const isMeant = (item: Item) => item.tab === tab && item.entry.id === id
      if (handed.some(isMeant)) return
      // If the message was sent, the tab has been told, and ignores this.
      post({ type: 'dropped', id, reason }, tab.id)
      for (const item of queue) if (isMeant(item)) queue.delete(item)
    },
    clear() {
      queue.clear()
      handed.length = 0
      clearTimeout(timer)
    },
    orphans: () => [...queue].filter(({ tab }) => tab.isGone).map(({ entry }) => entry),
  }
}
