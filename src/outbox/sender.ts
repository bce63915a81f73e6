import type { OutboxSocket, Outcome } from '../reliable.js'
import { bytesOf } from './codec.js'

/** How many messages can be unacknowledged at a time. The others wait in the storage. */
const WINDOW = 256
const WINDOW_BYTES = 2 ** 20

/** A message to be sent. */
export interface Item {
  readonly id: string
  readonly expires: number | null
  /** Its key, if it is stored. */
  readonly key?: number | undefined
  readonly text: string
}

/** Passes messages to the socket, until they have an outcome. */
export interface Sender {
  readonly hasRoom: boolean
  has(id: string): boolean
  send(item: Item): void
  /** Cancels the message, unless it was already sent. */
  withdraw(id: string): void
  /** Drops a message that was withdrawn and that no other tab sends, unless it was already sent. */
  cancel(item: Item): void
  /** The message has its outcome. */
  forget(id: string): void
  /** Takes back messages that have not been sent yet: another tab sends them, or they are dropped. */
  withdrawAll(isStored: (item: Item) => boolean): void
}

/** Whether this outcome is final. After any other outcome, the message stays in the outbox. */
const isFinal = (outcome: Outcome, isStored: boolean, isWithdrawn: boolean) => {
  if (outcome.status !== 'dropped') return outcome.status === 'delivered' || !isStored
  if (outcome.reason === 'aborted') return isWithdrawn
  return !isStored || outcome.reason !== 'closed'
}

export const createSender = (
  socket: OutboxSocket,
  settle: (item: Item, outcome: Outcome) => void,
  onRoom: () => void,
): Sender => {
  const inFlight = new Map<string, { item: Item; controller: AbortController; size: number }>()
  const withdrawn = new Set<string>()
  let bytes = 0

  const pass = async (item: Item) => {
    const { id, text, expires, key } = item
    const controller = new AbortController()
    const size = bytesOf(text).length
    inFlight.set(id, { item, controller, size })
    bytes += size
    const { signal } = controller
    const ttl = expires === null ? {} : { ttl: expires - Date.now() }
    let outcome: Outcome
    try {
      outcome = await socket.send(text, id, { signal, ...ttl })
    } catch (error) {
      // A function of the application has failed, or the storage is damaged: the message would fail again each time.
      socket.error(error as Error)
      outcome = { status: 'dropped', reason: 'refused', error: error as Error }
    }
    inFlight.delete(id)
    bytes -= size
    if (isFinal(outcome, key !== undefined, withdrawn.delete(id))) settle(item, outcome)
    onRoom()
  }

  /** Drops a message if it was withdrawn and not sent. Returns whether it was dropped. */
  const cancel = (item: Item) => {
    const isWithdrawn = !inFlight.has(item.id) && withdrawn.delete(item.id)
    if (isWithdrawn) settle(item, { status: 'dropped', reason: 'aborted' })
    return isWithdrawn
  }

  return {
    get hasRoom() {
      // A larger message is sent alone.
      return !inFlight.size || (inFlight.size < WINDOW && bytes < WINDOW_BYTES)
    },
    has: id => inFlight.has(id),
    send(item) {
      if (inFlight.has(item.id) || cancel(item)) return
      if (item.expires !== null && item.expires <= Date.now())
        settle(item, { status: 'dropped', reason: 'expired' })
      else pass(item)
    },
    cancel,
    withdraw(id) {
      withdrawn.add(id)
      inFlight.get(id)?.controller.abort()
    },
    forget: id => void withdrawn.delete(id),
    withdrawAll(which) {
      for (const { item, controller } of inFlight.values()) if (which(item)) controller.abort()
    },
  }
}
