import { byteLength, copyData, type Data } from '../common/data.js'
import type { DropReason, SendOptions, SocketOptions } from './types.js'

/** The members of a native socket that are needed to send. */
export interface NativeSocket {
  readonly readyState: number
  /** Missing in React Native and in some test doubles. */
  readonly bufferedAmount?: number
  send(data: any): void
}

/** The counts of a socket that its queue updates. */
export interface QueueCounts {
  queued: number
  queuedBytes: number
  sent: number
  reclaimed: number
}

/** The queued messages of a socket. */
export interface Queue {
  /** Sends, queues or drops a message. */
  push(data: Data, options?: SendOptions): 'sent' | 'queued' | 'dropped'
  /** Sends the queued messages, in order. With `all`, even if the browser's buffer is full. */
  flush(all?: boolean): void
  /** Sends ahead of the queued messages, for heartbeats. */
  write(data: Data): void
  /** Holds messages back although the connection is open, or sends those that were held back. Absent without the part `delivery`. */
  hold?(isHeld: boolean): void
  /** Sends through this native socket from now on. */
  attach(native: NativeSocket): void
  /**
   * The connection has ended. `unsent` is the number of bytes that were certainly not sent, or `undefined` if it is unknown. `code` is the
   * close code.
   */
  detach(unsent: number | undefined, code: number | undefined): void
  /** Drops all queued messages. */
  clear(reason?: DropReason): void
  /** The queued messages, in order. */
  list(): Data[]
  /** How many bytes were sent on the current connection, counted from any fixed number. */
  left(): number
}

/** The part that stores messages while they cannot be sent. */
export type CreateQueue = (
  options: SocketOptions<any>,
  counts: QueueCounts,
  drop: (data: Data, reason: DropReason) => 'dropped',
) => Queue

/** Two messages a second of a hundred bytes fill it in most of a day. A phone has enough memory for it. */
export const MAX_BYTES = 16_777_216

/** The error for an option whose part is absent. */
export const missing = (user: string, part: string): TypeError =>
  new TypeError(`${user} needs the part '${part}' of steadysocket/core: pass it to assemble()`)

/** The queue without the part `delivery`: first in, first out, with a limit in bytes. It forgets messages that the browser has accepted. */
export const createQueue: CreateQueue = ({ queue }, counts, drop) => {
  const { maxMessages = Infinity, maxBytes = MAX_BYTES } = queue || {}
  let waiting: Data[] = []
  let native: NativeSocket | undefined
  /** All bytes passed to native sockets. */
  let written = 0

  const isOpen = () => native?.readyState === 1
  const buffered = () => native?.bufferedAmount ?? 0

  const write = (data: Data) => {
    const before = buffered()
    native?.send(data)
    written += buffered() - before
  }

  const send = (data: Data) => {
    write(data)
    counts.sent++
  }

  const drain = (use: (data: Data) => void) => {
    const messages = waiting
    waiting = []
    counts.queued = counts.queuedBytes = 0
    messages.forEach(use)
  }

  return {
    left: () => written - buffered(),
    push(data, options) {
      if (options) throw missing('An option of send()', 'delivery')
      if (!counts.queued && isOpen()) {
        send(data)
        return 'sent'
      }
      if (queue === false) return drop(data, 'disconnected')
      const size = byteLength(data)
      if (counts.queued >= maxMessages || counts.queuedBytes + size > maxBytes) return drop(data, 'overflow')
      waiting.push(copyData(data))
      counts.queued++
      counts.queuedBytes += size
      return 'queued'
    },
    flush() {
      if (isOpen()) drain(send)
    },
    write(data) {
      if (isOpen()) write(data)
    },
    attach(socket) {
      native = socket
    },
    detach() {
      native = undefined
    },
    clear: () => drain(data => drop(data, 'closed')),
    list: () => [...waiting],
  }
}
