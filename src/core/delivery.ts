import { createBacklog } from './backlog.js'
import { type ConditionalMessage, createMessage } from './conditions.js'
import { byteLength, type Data } from './data.js'
import { isHidden } from './page.js'
import { type CreateQueue, MAX_BYTES, type NativeSocket, type QueueCounts } from './queue.js'
import type { DropReason, SendOptions } from './types.js'

/** How often a native socket with a backlog is checked, in milliseconds. The interval doubles each time that nothing was sent. */
const POLL = 10
const SLOWEST_POLL = 1_000

// Enough for 400 Mbit/s at a round trip of 20 ms. Whatever the browser has buffered can be lost with the connection.
const HIGH_WATER_MARK = 2 ** 20

interface Limits {
  readonly maxMessages: number
  readonly maxBytes: number
  readonly dropOldest: boolean
}

/** Whether there is no room for a message of this size, not counting an older message that it replaces. */
const isFull = (
  { maxMessages, maxBytes, dropOldest }: Limits,
  { queued, queuedBytes }: QueueCounts,
  size: number,
  older: ConditionalMessage | undefined,
) => {
  if (dropOldest) return size > maxBytes || !maxMessages
  if (!older) return queued >= maxMessages || queuedBytes + size > maxBytes
  return queuedBytes + size - byteLength(older.data as Data) > maxBytes
}

/**
 * The part that tracks which messages the browser has sent. It sends the unsent tail of a lost connection again, limits the browser's buffer to
 * `highWaterMark`, and serves the options of `send()` and `queue.overflow`.
 */
export const delivery: CreateQueue = ({ queue, highWaterMark = HIGH_WATER_MARK }, counts, drop) => {
  const { maxMessages = Infinity, maxBytes = MAX_BYTES, overflow } = queue || {}
  const limits = { maxMessages, maxBytes, dropOldest: overflow === 'drop-oldest' }
  const [keys, addSent, addWaiting, advance, dropWaiting, forget, reclaim, list] = createBacklog(counts, drop)
  let native: NativeSocket | undefined
  /** All bytes passed to this native socket, and those that were still buffered at the last check. */
  let written = 0
  let buffered = 0
  /** Whether messages are held back, although the connection is open. */
  let isHeld = false
  /** The timer of the next check of the buffer. */
  let timer: ReturnType<typeof setTimeout> | undefined

  /** A native socket without `bufferedAmount` counts as one with an empty buffer. */
  const readBuffered = () => native?.bufferedAmount ?? 0

  const hasRoom = (all?: boolean) => {
    if (native?.readyState !== 1) return false
    buffered = readBuffered()
    // Timers are throttled in a hidden page: waiting for one would be worse than a full buffer.
    return all || (!isHeld && (buffered <= highWaterMark || isHidden()))
  }

  /** Passes data to the native socket. Call it only after `hasRoom()`, which reads the buffered amount. */
  const write = (data: Data) => {
    const before = buffered
    ;(native as NativeSocket).send(data)
    buffered = readBuffered()
    written += buffered - before
  }

  const send = (data: Data) => {
    write(data)
    counts.sent++
    return written
  }

  const forgetSent = (unsent = readBuffered()) => forget(written - unsent)

  const drain = (all?: boolean) => {
    while (counts.queued && hasRoom(all)) advance('expired', send)
  }

  // The platform has no event for an empty buffer.
  const poll = (delay = POLL) => {
    if (native && forgetSent(buffered)) timer ??= setTimeout(checkBuffer, delay, delay)
  }

  const flush = (all?: boolean) => {
    drain(all)
    poll()
  }

  const checkBuffer = (delay: number) => {
    const before = buffered
    timer = undefined
    buffered = readBuffered()
    const moved = buffered < before
    drain()
    poll(moved ? POLL : Math.min(delay * 2, SLOWEST_POLL))
  }

  /** Adds a message that cannot be sent now, or drops it. */
  const enqueue = (data: Data, options: SendOptions | undefined) => {
    if (options?.volatile) return drop(data, 'volatile')
    if (queue === false && native?.readyState !== 1) return drop(data, 'disconnected')
    const size = byteLength(data)
    const older = keys.get(options?.key)
    if (isFull(limits, counts, size, older)) return drop(data, 'overflow')
    addWaiting(createMessage(data, options), size)
    // Last, because a listener for `drop` may send, too.
    if (older) dropWaiting(older, 'replaced')
    while (limits.dropOldest && (counts.queued > maxMessages || counts.queuedBytes > maxBytes))
      advance('overflow')
    forgetSent()
    return 'queued'
  }

  const clear = (reason: DropReason = 'closed') => {
    while (counts.queued) advance(reason)
    forgetSent()
  }

  return {
    left: () => written - readBuffered(),

    push(data, options) {
      if (options?.signal?.aborted) return drop(data, 'aborted')
      if (counts.queued || !hasRoom()) return enqueue(data, options)
      // Copied first: data that cannot be copied must not be sent.
      const message = createMessage(data, options)
      addSent(message, send(data))
      poll()
      return 'sent'
    },

    flush,

    write(data) {
      // A closed native socket counts what it is given as unsent, which would be mistaken for the end of a message.
      if (hasRoom(true)) write(data)
    },

    hold(value) {
      isHeld = value
      if (!value) flush()
    },

    attach(socket) {
      native = socket
      isHeld = false
      // Whatever `prepare` sent is ahead of everything.
      written = buffered = readBuffered()
    },

    detach(unsent = 0, code) {
      clearTimeout(timer)
      native = timer = undefined
      forgetSent(unsent)
      reclaim(code === 1009)
      written = 0
      if (queue === false) clear('disconnected')
    },

    clear,
    list,
  }
}
