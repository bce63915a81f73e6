import type { Data } from './data.js'

/** Why a message will not be sent. */
export type DropReason =
  /** The queue is full. */
  | 'overflow'
  /** Its `ttl` ran out. */
  | 'expired'
  /** A newer message has its `key`. */
  | 'replaced'
  /** It was `volatile`, and could not be sent at once. */
  | 'volatile'
  /** Its `signal` was aborted. */
  | 'aborted'
  /** The socket was closed for good. */
  | 'closed'
  /** Two connections in a row were closed with 1009 over it. */
  | 'too-big'

export interface SendOptions {
  /** Drop the message if it is still here after so many milliseconds. Default: keep it. */
  ttl?: number
  /** Take the place of an older message with the same key that is still queued; the new one goes to the end. */
  key?: unknown
  /** Now or never: drop it where it would have to wait. Default: false. */
  volatile?: boolean
  /** Drop it when this signal is aborted, as long as it is still here. */
  signal?: AbortSignal
}

export interface QueueOptions {
  /** How many messages may wait. Default: any number. */
  maxMessages?: number
  /** How many bytes may wait. Default: 16 MiB. */
  maxBytes?: number
  /** What goes when the queue is full: the new message, or as many of the oldest as it takes. Default: `'reject'`. */
  overflow?: 'reject' | 'drop-oldest'
}

/** The part of a native socket that messages go through. */
export interface Wire {
  readonly readyState: number
  readonly bufferedAmount: number
  send(data: any): void
}

/** The limits with their defaults, and how much the browser may have before nothing more is handed over. */
type Limits = QueueOptions & { maxMessages: number; maxBytes: number; highWaterMark: number }

/** A message with wishes. One without is kept as its bare data, which spares an object a message. */
interface Kept {
  /** Gone once dropped; the place in the line stays until it is passed. */
  data: Data | undefined
  readonly options: SendOptions
  readonly expires: number
  /** How many connections were closed with 1009 over it. */
  strikes: number
  unwatch?: () => void
}

interface Surroundings {
  /** Whether timers are throttled, so that waiting for one would cost more than a full buffer. */
  isHidden: () => boolean
  byteLength: (data: Data) => number
  /** The data as it is now: a message outlives the call that brought it, and the caller may reuse its buffer. */
  copy: (data: Data) => Data
  drop: (data: Data, reason: DropReason) => void
  /** How many messages the browser was given, and how many of those came back. */
  counts: { sent: number; reclaimed: number }
}

export interface Queue {
  /** How many messages wait, and their bytes. */
  count: number
  bytes: number
  /** Hands a message to the browser, or keeps it, or drops it; `closed`: there will be no connection for it. */
  push(data: Data, options?: SendOptions, closed?: boolean): 'sent' | 'queued' | 'dropped'
  /** Hands over what waits, in order, as far as the mark allows; `all`: without regard for it. */
  flush(all?: boolean): void
  /** Sends past the line, for heartbeats. */
  write(data: Data): void
  /** Sends through this wire from now on. */
  attach(wire: Wire): void
  /**
   * The wire is gone. `unsent`: how many bytes certainly never left, whose messages wait again; without it nobody
   * knows, and nothing comes back. `code`: how the connection was closed.
   */
  detach(unsent?: number, code?: number): void
  /** Drops all that waits. */
  clear(): void
}

/** How often a wire with something on it is looked at, in milliseconds; half as often each time that nothing moved. */
const POLL = 10
const SLOWEST_POLL = 1_000

/** More empty places than this are worth tidying away. */
const SLACK = 1_024

/**
 * All messages that are not known to have left, in one line: first those that the browser has, then those that wait.
 * Two flat arrays, and where the parts begin: handing over and taking back move a boundary, never a message.
 */
export const createQueue = (
  { maxMessages, maxBytes, overflow, highWaterMark }: Limits,
  { isHidden, byteLength, copy, drop, counts }: Surroundings,
): Queue => {
  let items: (Data | Kept | undefined)[] = []
  /** Of a message that waits: its bytes. Of one handed over: how much had been written once it was. */
  let marks: number[] = []
  let head = 0
  let middle = 0
  let end = 0
  const keys = new Map<unknown, Kept>()

  let wire: Wire | undefined
  let written = 0
  let buffered = 0
  let timer: ReturnType<typeof setTimeout> | undefined

  const keptAt = (index: number): Kept | undefined => {
    const item = items[index]
    return typeof item === 'object' && 'options' in item ? item : undefined
  }
  /** The message at this place, if there still is one. */
  const dataAt = (index: number): Data | undefined => {
    const item = items[index]
    return typeof item === 'object' && 'options' in item ? item.data : item
  }

  const keep = (data: Data, options: SendOptions): Kept => ({
    data,
    options,
    expires: Date.now() + (options.ttl ?? Infinity),
    strikes: 0,
  })

  const append = (item: Data | Kept, mark: number) => {
    items[end] = item
    marks[end++] = mark
  }

  /** Counts a message among those that wait, and sees to its wishes. */
  const enter = (size: number, kept: Kept | undefined) => {
    queue.count++
    queue.bytes += size
    if (!kept) return
    const { key, ttl, signal } = kept.options
    const expiry =
      (ttl as number) < 1e9 ? setTimeout(lapse, kept.expires - Date.now(), kept, 'expired') : undefined
    const abort = () => lapse(kept, 'aborted')
    if (key !== undefined) keys.set(key, kept)
    signal?.addEventListener('abort', abort)
    kept.unwatch = () => {
      clearTimeout(expiry)
      signal?.removeEventListener('abort', abort)
      if (keys.get(key) === kept) keys.delete(key)
    }
  }

  const leave = (size: number, kept: Kept | undefined) => {
    queue.count--
    queue.bytes -= size
    kept?.unwatch?.()
  }

  /** Drops a message with wishes out of those that wait. */
  const lapse = (kept: Kept, reason: DropReason) => {
    const data = kept.data as Data
    kept.data = undefined
    leave(byteLength(data), kept)
    drop(data, reason)
  }

  /** Makes the first message that waits the last that was handed over. */
  const take = (): Data => {
    while (dataAt(middle) === undefined) marks[middle++] = written
    leave(marks[middle] as number, keptAt(middle))
    marks[middle] = written
    return dataAt(middle++) as Data
  }

  const dropFirst = (reason: DropReason) => {
    const data = take()
    items[middle - 1] = undefined
    drop(data, reason)
  }

  /** Lets go of all that was handed over but the last `unsent` bytes, and of empty places once they are the most. */
  const trim = (unsent: number) => {
    while (head < middle && (marks[head] as number) <= written - unsent) items[head++] = undefined
    const live = middle - head + queue.count
    if (!live) {
      head = middle = end = 0
      if (items.length > SLACK) [items, marks] = [[], []]
    } else if (end - live > SLACK + live) {
      const stays = (_: unknown, place: number) => place >= head && place < end && dataAt(place) !== undefined
      const places = items.map((_, place) => place).filter(stays)
      middle = places.filter(place => place < middle).length
      items = places.map(place => items[place])
      marks = places.map(place => marks[place] as number)
      head = 0
      end = places.length
    }
  }

  const room = () => {
    if (wire?.readyState !== 1) return false
    buffered = wire.bufferedAmount
    return buffered <= highWaterMark || isHidden()
  }

  const write = (data: Data) => {
    const native = wire as Wire
    const before = native.bufferedAmount
    native.send(data)
    buffered = native.bufferedAmount
    written += buffered - before
  }

  const drain = (all?: boolean) => {
    while (queue.count && (all ? wire?.readyState === 1 : room())) {
      const data = take()
      const place = middle - 1
      // Its timer may be late: the process slept, or the page is hidden.
      if ((keptAt(place)?.expires as number) <= Date.now()) {
        items[place] = undefined
        drop(data, 'expired')
      } else {
        counts.sent++
        write(data)
        marks[place] = written
      }
    }
    trim(wire ? wire.bufferedAmount : 0)
  }

  // The platform has no event for an empty buffer.
  const poll = (delay: number) => {
    if (timer || !wire || (head === middle && !queue.count)) return
    timer = setTimeout(() => {
      const moved = (wire as Wire).bufferedAmount < buffered
      timer = undefined
      drain()
      poll(moved ? POLL : Math.min(delay * 2, SLOWEST_POLL))
    }, delay)
  }

  const refuse = (data: Data, reason: DropReason) => {
    drop(data, reason)
    return 'dropped' as const
  }

  const queue: Queue = {
    count: 0,
    bytes: 0,

    push(data, options, closed) {
      if (closed) return refuse(data, 'closed')
      if (options?.signal?.aborted) return refuse(data, 'aborted')
      if (!queue.count && room()) {
        end = middle
        trim(buffered)
        write(data)
        counts.sent++
        // It may have to be sent again, long after the caller has reused the buffer. Not so what is volatile.
        const mine = options?.volatile ? data : copy(data)
        append(options ? keep(mine, options) : mine, written)
        middle = end
        poll(POLL)
        return 'sent'
      }
      if (options?.volatile) return refuse(data, 'volatile')

      const size = byteLength(data)
      const fits = (count: number, bytes: number) => count < maxMessages && bytes + size <= maxBytes
      for (;;) {
        const older = keys.get(options?.key)
        if (
          older
            ? fits(queue.count - 1, queue.bytes - byteLength(older.data as Data))
            : fits(queue.count, queue.bytes)
        ) {
          if (older) lapse(older, 'replaced')
          break
        }
        if (overflow !== 'drop-oldest' || !fits(0, 0)) return refuse(data, 'overflow')
        dropFirst('overflow')
      }
      const mine = copy(data)
      const kept = options && keep(mine, options)
      append(kept ?? mine, size)
      enter(size, kept)
      trim(wire ? wire.bufferedAmount : 0)
      return 'queued'
    },

    flush(all) {
      drain(all)
      poll(POLL)
    },

    write,

    attach(native) {
      wire = native
      // What `prepare` sent is ahead of everything.
      written = buffered = native.bufferedAmount
    },

    detach(unsent, code) {
      clearTimeout(timer)
      wire = timer = undefined
      trim(unsent ?? 0)
      for (let place = middle - 1; place >= head; place--) {
        const data = dataAt(place)
        if (data === undefined) continue
        let kept = keptAt(place)
        // Only the first can be the one that the server choked on.
        if (code === 1009 && place === head) {
          kept ??= keep(data, {})
          kept.strikes++
          items[place] = kept
        }
        const reason: DropReason | false | undefined =
          kept &&
          ((kept.strikes > 1 && 'too-big') ||
            (kept.options.volatile && 'volatile') ||
            (kept.options.signal?.aborted && 'aborted') ||
            (kept.expires <= Date.now() && 'expired') ||
            (keys.has(kept.options.key) && 'replaced'))
        marks[place] = byteLength(data)
        enter(marks[place] as number, kept)
        counts.reclaimed++
        if (reason) lapse(kept as Kept, reason)
      }
      middle = head
      written = 0
    },

    clear() {
      while (queue.count) dropFirst('closed')
      trim(0)
    },
  }
  return queue
}
