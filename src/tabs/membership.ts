import { SocketError } from '../index.js'
import type { createCalls } from './functions.js'
import type { Link } from './link.js'
import type { SendQueue } from './send-queue.js'
import type { View } from './view.js'

/** How a tab joins a shared connection, and leaves it. */
export interface Membership {
  /** Joins the other tabs, unless it has joined already. */
  enter(): void
  /** The page is frozen, enters the back/forward cache, or is unloaded. `isAway`: it may come back. */
  sleep(isAway: boolean): void
  /** Closes this tab's socket. `isAll`: those of the other tabs are closed, too. */
  close(code?: number, reason?: string, isAll?: boolean): void
}

/** `setLast` stores the position in the messages of the hub, for a tab that comes back, or deletes it. */
export const createMembership = (
  view: View,
  sendQueue: SendQueue,
  link: Link,
  calls: ReturnType<typeof createCalls>,
  setLast: (isAway: boolean) => void,
): Membership => {
  const leave = (cause: SocketError) => {
    calls.lose(cause)
    view.setSharing({ holder: undefined, tabs: 0 })
  }
  return {
    enter() {
      if (link.isOpen) return
      const { state } = view.snapshot
      const { cause } = state
      if (state.name !== 'connecting') view.end(cause, { name: 'connecting', attempt: 0, cause }, 1006)
      link.open()
    },
    sleep(isAway) {
      if (!link.isOpen) return
      if (isAway) setLast(true)
      sendQueue.leave()
      sendQueue.handOver(link.close(sendQueue.entries()))
      const cause = new SocketError('PAGE_HIDDEN')
      leave(cause)
      view.end(cause, { name: 'waiting', attempt: 0, delay: Infinity, until: Infinity, cause }, 1000)
    },
    close(code = 1005, reason, isAll) {
      if (view.snapshot.state.name === 'closed') return
      // If there is a connection, what is queued is sent first.
      if (isAll || !view.isOpen) sendQueue.clear('closed')
      const cause = new SocketError('CLOSED')
      link.close(sendQueue.entries())
      link.adopt([])
      sendQueue.forget()
      setLast(false)
      leave(cause)
      view.end(cause, { name: 'closed', cause }, code, reason)
    },
  }
}
