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

/** What may become of one message. */
export interface SendOptions {
  /** Drop the message if it is still here after so many milliseconds. Default: keep it. */
  ttl?: number
  /**
   * Take the place of an older message with the same key that is still queued; the new one goes to the end.
   * Keys are compared as those of a `Map` are. Default: none.
   */
  key?: unknown
  /** Now or never: drop it where it would have to wait. Default: false. */
  volatile?: boolean
  /** Drop it when this signal is aborted, as long as it is still here. Default: none. */
  signal?: AbortSignal
}

/** Limits of what waits. What does not fit is told by a `drop` event with the reason `'overflow'`. */
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
  readonly bufferedAmount?: number
  send(data: any): void
}

/** The limits with their defaults, and how much the browser may have before nothing more is handed over. */
type Limits = QueueOptions & { maxMessages: number; maxBytes: number; highWaterMark: number }

/** A message with wishes. One without is kept as its bare data, which spares an object a message. */
interface Kept<Data> {
  /** Gone once dropped; the place in the line stays until it is passed. */
  data: Data | undefined
  readonly options: SendOptions
  readonly expires: number
  unwatch?: () => void
}

/** How many messages wait and their bytes, how many the browser was given, and how many of those came back. */
interface Counts {
  queued: number
  queuedBytes: number
  sent: number
  reclaimed: number
}

export interface Queue<Data> {
  /** Hands a message to the browser, or keeps it, or drops it. */
  push(data: Data, options?: SendOptions): 'sent' | 'queued' | 'dropped'
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
export const createQueue = <Data>(
  { maxMessages, maxBytes, overflow, highWaterMark }: Limits,
  counts: Counts,
  drop: (data: Data, reason: DropReason) => 'dropped',
  /** Whether timers are throttled, so that waiting for one would cost more than a full buffer. */
  isHidden: () => boolean,
  byteLength: (data: Data) => number,
  /** The data as it is now: a message outlives the call that brought it, and the caller may reuse its buffer. */
  copy: (data: Data) => Data,
): Queue<Data> => {
  const items: (Data | Kept<Data> | undefined)[] = []
  /** Of a message that waits: its bytes. Of one handed over: how much had been written once it was. */
  const marks: number[] = []
  let head = 0
  let middle = 0
  let end = 0
  const keys = new Map<unknown, Kept<Data>>()
  /** The first message in the line, if the last connection that carried it was closed with 1009. */
  let suspect: Data | undefined

  let wire: Wire | undefined
  let written = 0
  let buffered = 0
  let timer: ReturnType<typeof setTimeout> | undefined

  const keptAt = (place: number): Kept<Data> | undefined => {
    const item = items[place] as Kept<Data> | undefined
    return item?.options && item
  }
  /** The message at this place, if there still is one. */
  const dataAt = (place: number): Data | undefined => {
    const kept = keptAt(place)
    return kept ? kept.data : (items[place] as Data | undefined)
  }

  /** How much the wire has. React Native's and some that tests use do not say: then it has nothing. */
  const load = () => wire?.bufferedAmount ?? 0

  const append = (data: Data, options: SendOptions | undefined, mark: number) => {
    // It outlives the call, which may reuse the buffer. Volatile ones are never sent again.
    const mine = options?.volatile ? data : copy(data)
    items[end] = options ? { data: mine, options, expires: Date.now() + (options.ttl ?? Infinity) } : mine
    marks[end++] = mark
  }

  /** Counts the message at this place among those that wait, and sees to its wishes. */
  const enter = (place: number, size: number) => {
    const kept = keptAt(place)
    marks[place] = size
    counts.queued++
    counts.queuedBytes += size
    if (!kept) return
    const { key, ttl, signal } = kept.options
    const abort = () => lapse(kept, 'aborted')
    const expiry =
      (ttl as number) < 1e9 ? setTimeout(lapse, kept.expires - Date.now(), kept, 'expired') : undefined
    if (key !== undefined) keys.set(key, kept)
    signal?.addEventListener('abort', abort)
    kept.unwatch = () => {
      clearTimeout(expiry)
      signal?.removeEventListener('abort', abort)
      if (keys.get(key) === kept) keys.delete(key)
    }
  }

  const leave = (size: number, kept: Kept<Data> | undefined) => {
    counts.queued--
    counts.queuedBytes -= size
    kept?.unwatch?.()
  }

  /** Drops a message with wishes out of those that wait. */
  const lapse = (kept: Kept<Data>, reason: DropReason) => {
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

  /** Drops a message that has just been taken, or taken back. */
  const discard = (data: Data, reason: DropReason, place = middle - 1) => {
    items[place] = undefined
    drop(data, reason)
  }

  /** Lets go of all that was handed over but the last `unsent` bytes, and of empty places once they are the most. */
  const trim = (unsent = load()) => {
    while (head < middle && (marks[head] as number) <= written - unsent) items[head++] = suspect = undefined
    const live = middle - head + counts.queued
    if (!live) head = middle = end = 0
    if (items.length <= SLACK + 2 * live) return
    let kept = 0
    let handed = 0
    for (let place = head; place < end; place++) {
      if (dataAt(place) === undefined) continue
      if (place < middle) handed++
      items[kept] = items[place]
      marks[kept++] = marks[place] as number
    }
    head = 0
    middle = handed
    items.length = marks.length = end = kept
  }

  const room = (all?: boolean) => {
    if (wire?.readyState !== 1) return false
    buffered = load()
    return all || buffered <= highWaterMark || isHidden()
  }

  /** Whether there is no room for a message of so many bytes, or only in the place of an older one. */
  const isFull = (size: number, older: Kept<Data> | undefined) =>
    older
      ? counts.queuedBytes + size - byteLength(older.data as Data) > maxBytes
      : counts.queued >= maxMessages || counts.queuedBytes + size > maxBytes

  /** Gives a message to the wire: only where there was room a moment ago, for the load is known from then. */
  const write = (data: Data) => {
    const before = buffered
    ;(wire as Wire).send(data)
    buffered = load()
    written += buffered - before
  }

  const drain = (all?: boolean) => {
    while (counts.queued && room(all)) {
      const data = take()
      const kept = keptAt(middle - 1)
      // Its timer may be late: the process slept, or the page is hidden.
      if (kept && kept.expires < Date.now()) discard(data, 'expired')
      else {
        write(data)
        counts.sent++
        marks[middle - 1] = written
      }
    }
    trim()
  }

  // The platform has no event for an empty buffer.
  const poll = (delay = POLL) => {
    if (!timer && wire && end) timer = setTimeout(look, delay, delay)
  }

  const look = (delay: number) => {
    const before = buffered
    buffered = load()
    const moved = buffered < before
    timer = undefined
    drain()
    poll(moved ? POLL : Math.min(delay * 2, SLOWEST_POLL))
  }

  return {
    push(data, options) {
      if (options?.signal?.aborted) return drop(data, 'aborted')
      if (!counts.queued && room()) {
        end = middle
        trim(buffered)
        // Copied first: what cannot be copied is not sent either.
        append(data, options, 0)
        write(data)
        counts.sent++
        middle = end
        marks[middle - 1] = written
        poll()
        return 'sent'
      }
      if (options?.volatile) return drop(data, 'volatile')

      const size = byteLength(data)
      const older = keys.get(options?.key)
      const never = size > maxBytes || !maxMessages
      if (never || (overflow === 'reject' && isFull(size, older))) return drop(data, 'overflow')
      append(data, options, size)
      enter(end - 1, size)
      // Last, for a listener that hears of a drop may send in its turn.
      if (older?.data !== undefined) lapse(older, 'replaced')
      while (overflow !== 'reject' && (counts.queued > maxMessages || counts.queuedBytes > maxBytes)) {
        discard(take(), 'overflow')
      }
      trim()
      return 'queued'
    },

    flush(all) {
      drain(all)
      poll()
    },

    write(data) {
      // What a socket that has ended is given counts as unsent, and would be taken for the end of a message.
      if (room(true)) write(data)
    },

    attach(native) {
      wire = native
      // What `prepare` sent is ahead of everything.
      written = buffered = load()
    },

    detach(unsent, code) {
      clearTimeout(timer)
      wire = timer = undefined
      trim(unsent)
      for (let place = middle - 1; place >= head; place--) {
        const data = dataAt(place)
        if (data === undefined) continue
        const kept = keptAt(place)
        const { volatile, signal, key } = kept?.options ?? {}
        let reason: DropReason | false | undefined =
          (volatile && 'volatile') ||
          (signal?.aborted && 'aborted') ||
          ((kept?.expires as number) <= Date.now() && 'expired') ||
          (keys.has(key) && 'replaced')
        // Only the first can be the one that the server choked on.
        if (code === 1009 && place === head) {
          if (data === suspect) reason = 'too-big'
          suspect = data
        }
        counts.reclaimed++
        if (reason) discard(data, reason, place)
        else enter(place, byteLength(data))
      }
      middle = head
      written = 0
    },

    clear() {
      while (counts.queued) discard(take(), 'closed')
      trim()
    },
  }
}
