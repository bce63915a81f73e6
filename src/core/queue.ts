import { byteLength, copyData, type Data } from './data.js'
import type { DropReason, QueueOptions, SendOptions, SocketOptions } from './types.js'

/** The part of a native socket that messages pass through. */
export interface NativeSocket {
  readonly readyState: number
  /** Missing in React Native and in some test doubles. */
  readonly bufferedAmount?: number
  send(data: any): void
}

/** The counts of a socket that its queue keeps. */
export interface QueueCounts {
  queued: number
  queuedBytes: number
  sent: number
  reclaimed: number
}

/** The messages of a socket that wait for a connection. */
export interface Queue {
  /** Sends a message, or keeps it, or drops it. */
  push(data: Data, options?: SendOptions): 'sent' | 'queued' | 'dropped'
  /** Sends what waits, in order. With `all`, even if the browser's buffer is full. */
  flush(all?: boolean): void
  /** Sends ahead of everything that waits, for heartbeats. */
  write(data: Data): void
  /** Sends through this native socket from now on. */
  attach(native: NativeSocket): void
  /**
   * The connection is gone. `unsent` is the number of bytes that certainly never left, or `undefined` if nobody knows. `code` is the
   * close code.
   */
  detach(unsent: number | undefined, code: number | undefined): void
  /** Drops everything that waits. */
  clear(): void
}

/** The part that keeps messages while they cannot be sent. */
export type CreateQueue = (
  options: SocketOptions<any>,
  counts: QueueCounts,
  drop: (data: Data, reason: DropReason) => 'dropped',
) => Queue

/** Enough for most of a day of two messages a second, of a hundred bytes each, and no danger to a phone. */
const MAX_BYTES = 2 ** 24

/** The limits with their defaults. */
export const limitsOf = ({
  maxMessages = Infinity,
  maxBytes = MAX_BYTES,
}: QueueOptions = {}): { maxMessages: number; maxBytes: number } => ({ maxMessages, maxBytes })

/** The queue of the bare core: first in, first out, with a limit of bytes. Messages that the browser has accepted are gone. */
export const createQueue: CreateQueue = ({ queue }, counts, drop) => {
  const { maxMessages, maxBytes } = limitsOf(queue)
  let waiting: Data[] = []
  let native: NativeSocket | undefined

  const isOpen = () => native?.readyState === 1

  const send = (data: Data) => {
    ;(native as NativeSocket).send(data)
    counts.sent++
  }

  /** Empties the queue from its front for as long as the condition holds. By index, because `shift()` is slow on long arrays. */
  const drain = (isWanted: () => boolean, use: (data: Data) => void) => {
    let used = 0
    while (used < waiting.length && isWanted()) {
      const data = waiting[used++] as Data
      counts.queued--
      counts.queuedBytes -= byteLength(data)
      use(data)
    }
    waiting = waiting.slice(used)
  }

  const flush = () => drain(isOpen, send)

  return {
    push(data, options) {
      if (options) {
        throw new TypeError(`send() takes options only with the part 'delivery': assemble({ delivery })`)
      }
      if (!counts.queued && isOpen()) {
        send(data)
        return 'sent'
      }
      const size = byteLength(data)
      if (counts.queued >= maxMessages || counts.queuedBytes + size > maxBytes) return drop(data, 'overflow')
      waiting.push(copyData(data))
      counts.queued++
      counts.queuedBytes += size
      return 'queued'
    },
    flush,
    write(data) {
      if (isOpen()) native?.send(data)
    },
    attach(socket) {
      native = socket
    },
    detach() {
      native = undefined
    },
    clear: () =>
      drain(
        () => true,
        data => drop(data, 'closed'),
      ),
  }
}
