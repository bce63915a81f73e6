import { byteLength, type Data } from '../common/data.js'
import { createBacklog } from './backlog.js'
import { type ConditionalMessage, createMessage } from './conditions.js'
import { isHidden } from './page.js'
import { type CreateQueue, MAX_BYTES, type NativeSocket } from './queue.js'
import type { DropReason, SendOptions } from './types.js'

/** How often a native socket with a backlog is checked, in milliseconds. The interval doubles each time that nothing was sent. */
const POLL = 10
const SLOWEST_POLL = 1_000

// Enough for 400 Mbit/s at a round trip of 20 ms. Whatever the browser has buffered can be lost with the connection.
const HIGH_WATER_MARK = 2 ** 20

/**
 * The part that tracks which messages the browser has sent. It sends the unsent tail of a lost connection again, limits the browser's buffer to
 * `highWaterMark`, and serves the options of `send()` and `queue.overflow`.
 */
export const delivery: CreateQueue = ({ queue, highWaterMark = HIGH_WATER_MARK }, counts, drop) => {
  const { maxMessages = Infinity, maxBytes = MAX_BYTES, overflow } = queue || {}
  const dropOldest = overflow === 'drop-oldest'
  const [keys, addSent, addWaiting, advance, dropWaiting, forget, reclaim, list] = createBacklog(counts, drop)
  let native: NativeSocket | undefined
  /** How many bytes were passed to the native socket, and how many of them the browser had not sent at the last reading. */
  let written = 0
  let buffered = 0
  /** Whether messages are held back, although the connection is open. */
  let isHeld = false
  /** The timer of the next check of the buffer. */
  let timer: ReturnType<typeof setTimeout> | undefined

  /** A native socket without `bufferedAmount` counts as one with an empty buffer. */
  const read = () => native?.bufferedAmount ?? 0

  /** How many bytes were sent, if the given number was not. */
  const left = (unsent = read()) => written - unsent

  const isOpen = () => native?.readyState === 1

  const canSend = (all?: boolean) => {
    if ((isHeld && !all) || !isOpen()) return false
    buffered = read()
    // Timers are throttled in a hidden page: waiting for one would be worse than a full buffer.
    return all || buffered <= highWaterMark || isHidden()
  }

  /** Passes data to the native socket. Call it only after `canSend()`. */
  const write = (data: Data) => {
    const before = buffered
    ;(native as NativeSocket).send(data)
    buffered = read()
    written += buffered - before
  }

  const send = (data: Data) => {
    write(data)
    counts.sent++
    return written
  }

  // The platform has no event for an empty buffer.
  const poll = (delay = POLL) => {
    // Without a closure, which would be an object for each message.
    if (forget(left(buffered))) timer ??= setTimeout(checkBuffer, delay, delay)
  }

  const flush = (all?: boolean, delay?: number) => {
    while (counts.queued && canSend(all)) advance('expired', send)
    // A listener for `drop` may have ended the connection.
    if (isOpen()) poll(delay)
  }

  const checkBuffer = (delay: number) => {
    timer = undefined
    const before = buffered
    buffered = read()
    flush(false, buffered < before ? POLL : Math.min(delay * 2, SLOWEST_POLL))
  }

  const isOver = (messages: number, bytes: number) => messages > maxMessages || bytes > maxBytes

  /** Whether there is no room for a message of this size, not counting an older message that it replaces. */
  const isFull = (size: number, older: ConditionalMessage | undefined) => {
    if (dropOldest) return isOver(1, size)
    if (older) return isOver(0, counts.queuedBytes + size - byteLength(older.data as Data))
    return isOver(counts.queued + 1, counts.queuedBytes + size)
  }

  /** Adds a message that cannot be sent now, or drops it. */
  const enqueue = (data: Data, options: SendOptions | undefined) => {
    if (options?.volatile) return drop(data, 'volatile')
    if (queue === false && !isOpen()) return drop(data, 'disconnected')
    const size = byteLength(data)
    const older = keys.get(options?.key)
    if (isFull(size, older)) return drop(data, 'overflow')
    addWaiting(createMessage(data, options), size)
    // Last, because a listener for `drop` may send, too.
    if (older) dropWaiting(older, 'replaced')
    while (dropOldest && isOver(counts.queued, counts.queuedBytes)) advance('overflow')
    forget(left())
    return 'queued'
  }

  const attach = (socket?: NativeSocket) => {
    isHeld = false
    native = socket
    // Data that `prepare` has sent comes before everything else.
    written = buffered = read()
  }

  const clear = (reason: DropReason = 'closed') => {
    while (counts.queued) advance(reason)
    forget(left())
  }

  return {
    left,

    push(data, options) {
      if (options?.signal?.aborted) return drop(data, 'aborted')
      if (counts.queued || !canSend()) return enqueue(data, options)
      // Copied first: data that cannot be copied must not be sent.
      const message = createMessage(data, options)
      addSent(message, send(data))
      poll()
      return 'sent'
    },

    flush,

    write(data) {
      // A closed native socket counts what it is given as unsent, which would be mistaken for the end of a message.
      if (canSend(true)) write(data)
    },

    hold(value) {
      isHeld = value
      flush()
    },

    attach,

    detach(unsent = 0, code) {
      clearTimeout(timer)
      timer = undefined
      forget(left(unsent))
      attach()
      reclaim(code === 1009)
      if (queue === false) clear('disconnected')
    },

    clear,
    list,
  }
}
