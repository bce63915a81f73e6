// A socket in a page that talks in numbers and writes down what became of each, and the test that settles the accounts.
import { expect } from 'vitest'
import type * as Package from '../../src/index.ts'
import type { TestServer } from '../interop/ws.ts'
import type { Page } from './page.ts'

/** What the script tag brings. It exists in the page, not here. */
declare const SteadySocket: typeof Package

type Told = 'open' | 'close' | 'error' | 'drop' | 'echo' | 'push'

/** One native socket, as the page saw it. Times are milliseconds of `performance.now()`. */
export interface NativeRecord {
  /** 0 for the first. */
  readonly number: number
  /** The numbers handed to it, in order. */
  readonly handed: number[]
  /** Its `bufferedAmount` in its own `close` event, and one macrotask later. */
  readonly unsent: number[]
  made: number
  /** That it was silent for longer than `heartbeat` allows, and `margin` on top of it, by timers of the page. */
  overdue?: true
  /** When the last message came in, ours and others alike. */
  life: number
  closed?: number
  code?: number
}

export interface TalkRecord {
  /** The first number that is not recorded here. */
  readonly next: number
  /** What `send()` answered, by number. */
  readonly results: readonly ('sent' | 'queued' | 'dropped')[]
  readonly drops: readonly { readonly number: number; readonly reason: string }[]
  readonly natives: readonly NativeRecord[]
  /** Echoes of our own numbers that reached the listeners, and which native socket was the newest then. */
  readonly echoes: readonly (readonly [native: number, number: number])[]
  /** Numbers of the server's own that reached the listeners, likewise. */
  readonly pushes: readonly (readonly [native: number, number: number])[]
  readonly opens: readonly { readonly at: number; readonly attempt: number }[]
  readonly closes: readonly {
    readonly at: number
    readonly code: number
    readonly cause: string
    readonly willRetry: boolean
    readonly delay?: number
    /** That no attempt had been made when the delay was over, and `margin` on top of it, by a timer of the page. */
    readonly overdue?: true
  }[]
  readonly errors: readonly string[]
  readonly stats: Package.Stats
}

/** Options that travel as JSON. */
export interface TalkOptions
  extends Pick<Package.SocketOptions, 'connectTimeout' | 'minUptime' | 'highWaterMark'> {
  backoff?: Omit<Package.BackoffOptions, 'random'>
  /** Asks with `ping`, to which an echo is the answer. */
  heartbeat?: { interval: number; timeout: number }
  queue?: Package.QueueOptions
  wake?: false
  /** How late something may be before it is `overdue`. A timer says so: a busy machine makes both late, and never the longer one earlier. */
  margin?: number
}

/** What the page has as `talk`. */
export interface Talk {
  readonly socket: Package.Socket
  readonly natives: readonly NativeRecord[]
  /** Native sockets made and not yet closed. */
  readonly live: number
  /** Sends so many numbered messages of so many bytes; resolves to the number of the last. */
  send(count: number, bytes: number): number
  /** Sends one every so many milliseconds until `stop()`, which resolves to the number of the last. */
  stream(period: number, bytes: readonly number[]): void
  stop(): number
  /** Resolves once so many such events have been told since the start. */
  until(type: Told, count: number): Promise<void>
  /** The same for whatever else may be looked at: asked now and after every event. */
  holds(condition: () => boolean): Promise<void>
  count(type: Told): number
  /** Resolves once this number has come back. */
  heard(number: number): Promise<void>
  /** Asks every few milliseconds, for what no event tells. */
  polled(condition: () => boolean): Promise<void>
  /** All that was written down, as JSON, and forgets it. */
  harvest(): string
}

declare const talk: Talk

/** In the page: starts a socket, and makes `talk` of it. */
export function startTalk(address: string, { backoff, heartbeat, margin, ...options }: TalkOptions = {}) {
  const kept = <Type extends { closed?: number }>(all: Type[]) => all.filter(one => one.closed === undefined)
  const numberOf = (data: string | ArrayBuffer) =>
    typeof data === 'string' ? Number.parseInt(data, 10) : new DataView(data).getUint32(0)
  const counts: Record<Told, number> = { open: 0, close: 0, error: 0, drop: 0, echo: 0, push: 0 }
  const looks = new Set<() => void>()
  const fresh = () => ({
    results: [] as string[],
    drops: [] as object[],
    echoes: [] as number[][],
    pushes: [] as number[][],
    opens: [] as object[],
    closes: [] as object[],
    errors: [] as string[],
  })
  let record = fresh()
  let natives: NativeRecord[] = []
  let made = 0
  let live = 0
  let next = 0
  let lastEcho = -1
  let timer: ReturnType<typeof setInterval> | undefined
  const silences = new Map<number, () => void>()

  const tell = (type: Told) => {
    counts[type]++
    for (const look of looks) look()
  }

  // The server learns from the address which of the native sockets this is.
  class Recorded extends WebSocket {
    readonly record: NativeRecord
    #given = 0
    /** How many bytes had left at the last look. */
    #left = 0
    /** How many bytes are ahead of the last ping. */
    #ahead = 0
    #watch: ReturnType<typeof setInterval> | undefined
    constructor(url: string, protocols?: string | string[]) {
      super(`${url}?native=${made}`, protocols)
      const own: NativeRecord = { number: made, handed: [], unsent: [], made: performance.now(), life: 0 }
      made++
      live++
      natives.push(own)
      this.record = own
      this.addEventListener('message', ({ timeStamp }) => {
        own.life = timeStamp
        if (heartbeat && margin !== undefined) this.watch(heartbeat, margin)
      })
      this.addEventListener('close', ({ code }) => {
        live--
        own.closed = performance.now()
        own.code = code
        own.unsent.push(this.bufferedAmount)
        setTimeout(() => {
          own.unsent.push(this.bufferedAmount)
          for (const look of looks) look()
        })
      })
    }
    override send(data: any) {
      const number = numberOf(data)
      if (number >= 0) this.record.handed.push(number)
      else {
        this.#left = this.#given - this.bufferedAmount
        this.#ahead = this.#given
      }
      this.#given += typeof data === 'string' ? data.length : data.byteLength
      super.send(data)
    }
    /**
     * Looks, from a message on, whether the connection outlives what `heartbeat` allows. Ticks are counted, because a busy machine loses them.
     * Bytes ahead of the ping that leave are a sign of life. They are seen at the end of one timeout, and start another.
     */
    watch({ interval, timeout }: { interval: number; timeout: number }, margin: number) {
      const period = 20
      const ticks = (time: number) => (time + margin) / period
      let silent = 0
      let still = Number.POSITIVE_INFINITY
      this.#ahead = 0
      this.unwatch()
      this.#watch = setInterval(() => {
        const before = this.#left
        this.#left = this.#given - this.bufferedAmount
        still = this.#left > before && before < this.#ahead ? 0 : still + 1
        if (++silent < ticks(interval + timeout) || still < ticks(2 * timeout)) return
        this.record.overdue = true
        this.unwatch()
      }, period)
      silences.set(this.record.number, () => this.unwatch())
    }
    unwatch() {
      clearInterval(this.#watch)
    }
  }

  const socket = SteadySocket.createSocket(address, {
    ...options,
    ...(backoff && { retry: SteadySocket.backoff(backoff) }),
    ...(heartbeat && { heartbeat: { ...heartbeat, message: 'ping', isReply: data => data === 'ping' } }),
    WebSocket: Recorded,
  })
  const hear = (data: string | ArrayBuffer) => {
    const pushed = typeof data === 'string' && data.startsWith('push ')
    const number = numberOf(pushed ? data.slice(5) : data)
    record[pushed ? 'pushes' : 'echoes'].push([made - 1, number])
    if (!pushed) lastEcho = number
    tell(pushed ? 'push' : 'echo')
  }
  socket.on('text', hear)
  socket.on('binary', hear)
  socket.on('open', ({ attempt }) => {
    record.opens.push({ at: performance.now(), attempt })
    tell('open')
  })
  socket.on('close', ({ code, cause, willRetry, delay }) => {
    const close: TalkRecord['closes'][number] = {
      ...{ at: performance.now(), code, cause: cause.code, willRetry },
      ...(delay !== undefined && { delay }),
    }
    record.closes.push(close)
    if (delay !== undefined && margin !== undefined) {
      const before = made
      // What is over is not watched any more.
      silences.get(made - 1)?.()
      setTimeout(() => made === before && Object.assign(close, { overdue: true }), delay + margin)
    }
    tell('close')
  })
  socket.on('error', ({ code }) => {
    record.errors.push(code)
    tell('error')
  })
  socket.on('drop', ({ data, reason }) => {
    record.drops.push({ number: numberOf(data as string), reason })
    tell('drop')
  })

  // Text and binary in turn. Text is padded, binary begins with its number.
  const message = (number: number, bytes: number) => {
    if (number % 2) return `${number} `.padEnd(bytes, 'x')
    const buffer = new ArrayBuffer(Math.max(4, bytes))
    new DataView(buffer).setUint32(0, number)
    return buffer
  }
  const sendOne = (bytes: number) => {
    const number = next++
    // Its place is taken before: a drop is told from within `send()`.
    record.results.push('')
    const place = record.results.length - 1
    const own = record
    own.results[place] = socket.send(message(number, bytes))
  }
  const until = (condition: () => boolean) =>
    new Promise<void>(resolve => {
      const look = () => {
        if (!condition()) return
        looks.delete(look)
        resolve()
      }
      looks.add(look)
      look()
    })

  const talk: Talk = {
    socket,
    get natives() {
      return natives
    },
    get live() {
      return live
    },
    send(count, bytes) {
      for (let i = 0; i < count; i++) sendOne(bytes)
      return next - 1
    },
    stream(period, bytes) {
      clearInterval(timer)
      timer = setInterval(() => sendOne(bytes[next % bytes.length] as number), period)
    },
    stop() {
      clearInterval(timer)
      return next - 1
    },
    until: (type, count) => until(() => counts[type] >= count),
    holds: until,
    count: type => counts[type],
    heard: number => until(() => lastEcho === number),
    polled: condition =>
      new Promise(resolve => {
        const poll = setInterval(() => {
          if (!condition()) return
          clearInterval(poll)
          resolve()
        }, 5)
      }),
    harvest() {
      const json = JSON.stringify({ next, ...record, natives, stats: socket.stats })
      record = fresh()
      natives = kept(natives)
      return json
    },
  }
  Object.assign(globalThis, { talk })
}

/** All that the page has written down. */
export const harvest = async (page: Page): Promise<TalkRecord> =>
  JSON.parse(await page.evaluate(() => talk.harvest()))

/** Several harvests of one talk, as one. */
export function merge(records: readonly TalkRecord[]): TalkRecord {
  const all = <Field extends keyof TalkRecord>(field: Field) =>
    records.flatMap(record => record[field] as readonly unknown[]) as never
  const natives: NativeRecord[] = []
  // A native socket that lived on is in the later ones as well, with all that it was handed.
  for (const record of records)
    record.natives.forEach(native => {
      natives[native.number] = native
    })
  return {
    ...(records.at(-1) as TalkRecord),
    results: all('results'),
    drops: all('drops'),
    echoes: all('echoes'),
    pushes: all('pushes'),
    opens: all('opens'),
    closes: all('closes'),
    errors: all('errors'),
    natives,
  }
}

/** The number in a message that arrived, `NaN` for others. */
export const numberIn = (data: string | Buffer) =>
  typeof data === 'string' ? Number.parseInt(data, 10) : data.readUInt32BE(0)

/** A number that arrived, and through which native socket. */
export type Arrival = readonly [native: number, number: number]

/** All numbers that have arrived, in the order of arrival. */
export function arrivals({ received, connections }: TestServer): Arrival[] {
  const natives = new Map(connections.map(({ number, query }) => [number, Number(query.get('native'))]))
  return received.flatMap(({ connection, data }): Arrival[] => {
    const number = numberIn(data)
    return number >= 0 ? [[natives.get(connection) as number, number]] : []
  })
}

export const inOrder = (numbers: readonly number[]) =>
  numbers.every((number, i) => i === 0 || number > (numbers[i - 1] as number))
const repeated = (numbers: readonly number[]) => {
  const seen = new Set<number>()
  return numbers.filter(number => seen.has(number) || !seen.add(number))
}

export interface Account {
  readonly sent: number
  readonly arrived: number
  /** Handed to the browser, and never seen again: the losses that a client cannot know of. */
  readonly unknown: readonly number[]
  /** Told as `drop`. */
  readonly dropped: number
  readonly reclaimed: number
  /** In the order of arrival, over all connections. */
  readonly order: readonly number[]
}

/**
 * Settles the account of a whole talk: each number has arrived, or was told as dropped, or was handed to a browser that
 * lost it; none twice. To be called once all is quiet.
 */
export function settle(record: TalkRecord, arrived: readonly Arrival[]): Account {
  const order = arrived.map(([, number]) => number)
  const dropped = new Set(record.drops.map(({ number }) => number))
  const there = new Set(order)

  expect(repeated(order), 'arrived twice').toEqual([])
  expect(repeated(record.drops.map(({ number }) => number)), 'dropped twice').toEqual([])
  expect(
    order.filter(number => dropped.has(number)),
    'dropped, and arrived all the same',
  ).toEqual([])
  const through = record.natives.map(() => [] as number[])
  for (const [native, number] of arrived) through[native]?.push(number)
  through.forEach((numbers, native) => {
    // Nothing is missing in the middle: a connection that was lost has lost its end.
    expect(numbers, `through native socket ${native}`).toEqual(
      record.natives[native]?.handed.slice(0, numbers.length),
    )
    expect(inOrder(numbers), `in order through native socket ${native}`).toBe(true)
  })
  record.natives.forEach(({ handed }, native) => {
    expect(inOrder(handed), `handed in order to native socket ${native}`).toBe(true)
  })

  const handedTo = record.natives.map(({ handed }) => new Set(handed))
  const handed = new Set(record.natives.flatMap(({ handed }) => handed))
  const unknown = record.results.map((_, number) => number).filter(n => !there.has(n) && !dropped.has(n))
  expect(
    unknown.filter(number => !handed.has(number)),
    'vanished without a word',
  ).toEqual([])
  expect(
    record.results.flatMap((result, number) => (result === 'dropped' && !dropped.has(number) ? number : [])),
    'dropped without an event',
  ).toEqual([])

  const { stats } = record
  expect(stats.queued).toBe(0)
  expect(stats.dropped).toBe(dropped.size)
  // What was handed over and did not come back has arrived, or nobody knows.
  expect(stats.sent - stats.reclaimed).toBe(order.length + unknown.length)

  // What came in: each once, in order, and only through the connection that was the present one.
  const echoes = record.echoes.map(([, number]) => number)
  expect(repeated(echoes), 'echo heard twice').toEqual([])
  expect(echoes.filter(number => !there.has(number))).toEqual([])
  for (const [native, number] of record.echoes) {
    if (!handedTo[native]?.has(number)) expect.fail(`echo of ${number} from an old socket`)
  }
  const pushes = record.pushes.map(([, number]) => number)
  expect(repeated(pushes), 'push heard twice').toEqual([])
  expect(inOrder(pushes), 'pushes in order').toBe(true)

  return {
    sent: record.results.length,
    arrived: order.length,
    unknown,
    dropped: dropped.size,
    reclaimed: stats.reclaimed,
    order,
  }
}
