import { createBacklog } from './backlog.js'
import { createMessage } from './conditions.js'
import { byteLength, copyData, type Data } from './data.js'
import { isHidden } from './page.js'
import { type CreateQueue, limitsOf, type NativeSocket } from './queue.js'
import { createTimer } from './timers.js'
import type { SendOptions } from './types.js'

/**
 * The most bytes that the browser is given at a time. Enough for 400 Mbit/s at a round trip of 20 ms. Whatever the browser has buffered
 * can be lost with the connection.
 */
const HIGH_WATER_MARK = 2 ** 20

/** How often a native socket with a backlog is checked, in milliseconds. The interval doubles each time that nothing has left. */
const POLL = 10
const SLOWEST_POLL = 1_000

/**
 * The part that knows what has left: it sends the unsent tail of a lost connection again, paces by `highWaterMark`, and serves the
 * options of `send()` and `queue.overflow`.
 */
export const delivery: CreateQueue = ({ queue: limits, highWaterMark = HIGH_WATER_MARK }, counts, drop) => {
  const { maxMessages, maxBytes } = limitsOf(limits)
  const dropOldest = limits?.overflow === 'drop-oldest'
  const backlog = createBacklog(counts, drop)
  const setTimer = createTimer()
  let native: NativeSocket | undefined
  /** All bytes given to this native socket, and those that it still had at the last look. */
  let written = 0
  let buffered = 0
  /** The time until the next look at the buffer, or 0 if none is due. */
  let interval = 0

  /** Native sockets that do not say how much they have buffered have nothing. */
  const readBuffered = () => native?.bufferedAmount ?? 0

  const hasRoom = (all?: boolean) => {
    if (native?.readyState !== 1) return false
    buffered = readBuffered()
    // Timers are throttled in a hidden page: waiting for one would cost more than a full buffer.
    return all || buffered <= highWaterMark || isHidden()
  }

  /** Gives data to the native socket. Only after `hasRoom()`, which has read its buffer. */
  const write = (data: Data) => {
    const before = buffered
    ;(native as NativeSocket).send(data)
    buffered = readBuffered()
    written += buffered - before
  }

  const forgetSent = (unsent = readBuffered()) => backlog.forgetSent(written - unsent)

  // The message outlives this call, and the caller may reuse its buffer. Volatile messages are never sent again.
  const keep = (data: Data, options: SendOptions | undefined) =>
    createMessage(options?.volatile ? data : copyData(data), options)

  const drain = (all?: boolean) => {
    while (counts.queued && hasRoom(all)) {
      backlog.advance((data, expires = Infinity) => {
        // Its timer may be late: the process slept, or the page is hidden.
        if (expires < Date.now()) return 'expired'
        write(data)
        counts.sent++
        return written
      })
    }
    return forgetSent()
  }

  // The platform has no event for an empty buffer.
  const poll = (delay = POLL) => {
    if (interval || !native) return
    interval = delay
    setTimer(delay, checkBuffer)
  }

  const checkBuffer = () => {
    const last = interval
    const before = buffered
    interval = 0
    buffered = readBuffered()
    const moved = buffered < before
    if (drain()) poll(moved ? POLL : Math.min(last * 2, SLOWEST_POLL))
  }

  /** Whether there is no room for a message of this size, apart from the place of an older one that it replaces. */
  const isFull = (size: number, replaced: Data | undefined) =>
    replaced === undefined
      ? counts.queued >= maxMessages || counts.queuedBytes + size > maxBytes
      : counts.queuedBytes + size - byteLength(replaced) > maxBytes

  return {
    push(data, options) {
      if (options?.signal?.aborted) return drop(data, 'aborted')
      if (!counts.queued && hasRoom()) {
        // Copied first: what cannot be copied must not be sent.
        const message = keep(data, options)
        forgetSent(buffered)
        write(data)
        counts.sent++
        backlog.addSent(message, written)
        poll()
        return 'sent'
      }
      if (options?.volatile) return drop(data, 'volatile')

      const size = byteLength(data)
      const older = backlog.keys.get(options?.key)
      const never = size > maxBytes || !maxMessages
      if (never || (!dropOldest && isFull(size, older?.data))) return drop(data, 'overflow')
      backlog.addWaiting(keep(data, options), size)
      // Last, because a listener for `drop` may send, too.
      if (older?.data !== undefined) backlog.dropWaiting(older, 'replaced')
      while (dropOldest && (counts.queued > maxMessages || counts.queuedBytes > maxBytes)) {
        backlog.advance(() => 'overflow')
      }
      forgetSent()
      return 'queued'
    },

    flush(all) {
      if (drain(all)) poll()
    },

    write(data) {
      // A closed native socket counts what it is given as unsent, which would be mistaken for the end of a message.
      if (hasRoom(true)) write(data)
    },

    attach(socket) {
      native = socket
      // Whatever `prepare` sent is ahead of everything.
      written = buffered = readBuffered()
    },

    detach(unsent = 0, code) {
      setTimer()
      interval = 0
      native = undefined
      backlog.forgetSent(written - unsent)
      backlog.reclaim(code === 1009)
      written = 0
    },

    clear() {
      while (counts.queued) backlog.advance(() => 'closed')
      forgetSent()
    },
  }
}
