// Sends numbered messages from a page, records what happens to each, and checks the records afterwards.
import { expect } from 'vitest'
import type * as Package from '../../src/index.ts'
import type { TestServer } from '../interop/ws.ts'
import type { Page } from './page.ts'

/** The global of the UMD bundle, in the page. */
declare const SteadySocket: typeof Package

type EventType = 'open' | 'close' | 'error' | 'drop' | 'echo' | 'push'

/** What the page recorded of one native socket. Times are milliseconds of `performance.now()`. */
export interface NativeRecord {
  /** 0 for the first native socket. */
  readonly number: number
  /** The numbers of the messages passed to its `send()`, in order. */
  readonly handed: number[]
  /** Its `bufferedAmount` in its `close` event, and one macrotask later. */
  readonly unsent: number[]
  made: number
  /** Set if it was silent for `margin` longer than `heartbeat` allows, according to timers of the page. */
  overdue?: true
  /** When the last message arrived. */
  lastMessage: number
  closed?: number
  code?: number
}

export interface TrafficRecord {
  /** The number of the next message, which is not part of this record. */
  readonly next: number
  /** What `send()` returned, by message number. */
  readonly results: readonly ('sent' | 'queued' | 'dropped')[]
  readonly drops: readonly { readonly number: number; readonly reason: string }[]
  readonly natives: readonly NativeRecord[]
  /** The echoes that reached the listeners, and the newest native socket at that time. */
  readonly echoes: readonly (readonly [native: number, number: number])[]
  /** The server's own messages that reached the listeners, and the newest native socket at that time. */
  readonly pushes: readonly (readonly [native: number, number: number])[]
  readonly opens: readonly { readonly at: number; readonly attempt: number }[]
  readonly closes: readonly {
    readonly at: number
    readonly code: number
    readonly cause: string
    readonly willRetry: boolean
    readonly delay?: number
    /** Set if no attempt was made until `margin` after the delay, according to a timer of the page. */
    readonly overdue?: true
  }[]
  readonly errors: readonly string[]
  readonly stats: Package.Stats
}

/** Options that can be serialized as JSON. */
export interface TrafficOptions
  extends Pick<Package.SocketOptions, 'connectTimeout' | 'minUptime' | 'highWaterMark'> {
  backoff?: Omit<Package.BackoffOptions, 'random'>
  /** Sends `ping`, to which the echo is the reply. */
  heartbeat?: { interval: number; timeout: number }
  queue?: Package.QueueOptions
  wake?: false
  /** How late something may be before it is `overdue`. A timer of the page measures it, because a busy machine delays all timers of the page alike. */
  margin?: number
}

/** The global `traffic` of the page. */
export interface Traffic {
  readonly socket: Package.Socket
  readonly natives: readonly NativeRecord[]
  /** The number of native sockets that were created and are not closed. */
  readonly live: number
  /** Sends numbered messages of this size. Returns the number of the last. */
  send(count: number, bytes: number): number
  /** Sends a message every `period` milliseconds until `stop()`, which returns the number of the last. */
  stream(period: number, bytes: readonly number[]): void
  stop(): number
  /** Resolves once there have been `count` events of this type since the start. */
  until(type: EventType, count: number): Promise<void>
  /** Resolves once the condition is true. It is evaluated now and after every event. */
  untilTrue(condition: () => boolean): Promise<void>
  /** The number of events of this type since the start. */
  count(type: EventType): number
  /** Resolves once the echo of this message has arrived. */
  echoed(number: number): Promise<void>
  /** Resolves once the condition is true. It is evaluated every 5 ms, for changes without an event. */
  poll(condition: () => boolean): Promise<void>
  /** Returns the record as JSON, and starts a new one. */
  takeRecord(): string
}

declare const traffic: Traffic

/** In the page: creates a socket and the global `traffic`. */
export function startTraffic(
  address: string,
  { backoff, heartbeat, margin, ...options }: TrafficOptions = {},
) {
  const notClosed = <Type extends { closed?: number }>(all: Type[]) =>
    all.filter(one => one.closed === undefined)
  const numberOf = (data: string | ArrayBuffer) =>
    typeof data === 'string' ? Number.parseInt(data, 10) : new DataView(data).getUint32(0)
  const counts: Record<EventType, number> = { open: 0, close: 0, error: 0, drop: 0, echo: 0, push: 0 }
  const checks = new Set<() => void>()
  const emptyRecord = () => ({
    results: [] as string[],
    drops: [] as object[],
    echoes: [] as number[][],
    pushes: [] as number[][],
    opens: [] as object[],
    closes: [] as object[],
    errors: [] as string[],
  })
  let record = emptyRecord()
  let natives: NativeRecord[] = []
  let made = 0
  let live = 0
  let next = 0
  let lastEcho = -1
  let timer: ReturnType<typeof setInterval> | undefined
  const stopWatching = new Map<number, () => void>()

  const notify = (type: EventType) => {
    counts[type]++
    for (const check of checks) check()
  }

  // The query tells the server which of the native sockets this is.
  class Recorded extends WebSocket {
    readonly record: NativeRecord
    #sent = 0
    /** How many bytes had been transmitted at the last check. */
    #transmitted = 0
    /** How many bytes were sent before the last ping. */
    #beforePing = 0
    #watch: ReturnType<typeof setInterval> | undefined
    constructor(url: string, protocols?: string | string[]) {
      super(`${url}?native=${made}`, protocols)
      const own: NativeRecord = {
        number: made,
        handed: [],
        unsent: [],
        made: performance.now(),
        lastMessage: 0,
      }
      made++
      live++
      natives.push(own)
      this.record = own
      this.addEventListener('message', ({ timeStamp }) => {
        own.lastMessage = timeStamp
        if (heartbeat && margin !== undefined) this.watch(heartbeat, margin)
      })
      this.addEventListener('close', ({ code }) => {
        live--
        own.closed = performance.now()
        own.code = code
        own.unsent.push(this.bufferedAmount)
        setTimeout(() => {
          own.unsent.push(this.bufferedAmount)
          for (const check of checks) check()
        })
      })
    }
    override send(data: any) {
      const number = numberOf(data)
      if (number >= 0) this.record.handed.push(number)
      else {
        this.#transmitted = this.#sent - this.bufferedAmount
        this.#beforePing = this.#sent
      }
      this.#sent += typeof data === 'string' ? data.length : data.byteLength
      super.send(data)
    }
    /**
     * Checks, beginning with a message, whether the connection stays silent for longer than `heartbeat` allows. Counts ticks instead of time,
     * because a busy machine skips ticks. If bytes before the ping are transmitted, the connection is alive, and the heartbeat starts another
     * timeout at the end of this one.
     */
    watch({ interval, timeout }: { interval: number; timeout: number }, margin: number) {
      const period = 20
      const ticks = (time: number) => (time + margin) / period
      let silentTicks = 0
      let stillTicks = Number.POSITIVE_INFINITY
      this.#beforePing = 0
      this.unwatch()
      this.#watch = setInterval(() => {
        const before = this.#transmitted
        this.#transmitted = this.#sent - this.bufferedAmount
        stillTicks = this.#transmitted > before && before < this.#beforePing ? 0 : stillTicks + 1
        if (++silentTicks < ticks(interval + timeout) || stillTicks < ticks(2 * timeout)) return
        this.record.overdue = true
        this.unwatch()
      }, period)
      stopWatching.set(this.record.number, () => this.unwatch())
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
  const onMessage = (data: string | ArrayBuffer) => {
    const pushed = typeof data === 'string' && data.startsWith('push ')
    const number = numberOf(pushed ? data.slice(5) : data)
    record[pushed ? 'pushes' : 'echoes'].push([made - 1, number])
    if (!pushed) lastEcho = number
    notify(pushed ? 'push' : 'echo')
  }
  socket.on('text', onMessage)
  socket.on('binary', onMessage)
  socket.on('open', ({ attempt }) => {
    record.opens.push({ at: performance.now(), attempt })
    notify('open')
  })
  socket.on('close', ({ code, cause, willRetry, delay }) => {
    const close: TrafficRecord['closes'][number] = {
      ...{ at: performance.now(), code, cause: cause.code, willRetry },
      ...(delay !== undefined && { delay }),
    }
    record.closes.push(close)
    if (delay !== undefined && margin !== undefined) {
      const before = made
      // A closed connection need not be watched.
      stopWatching.get(made - 1)?.()
      setTimeout(() => made === before && Object.assign(close, { overdue: true }), delay + margin)
    }
    notify('close')
  })
  socket.on('error', ({ code }) => {
    record.errors.push(code)
    notify('error')
  })
  socket.on('drop', ({ data, reason }) => {
    record.drops.push({ number: numberOf(data as string), reason })
    notify('drop')
  })

  // Alternates between text and binary. Text is padded, binary data begins with the number.
  const message = (number: number, bytes: number) => {
    if (number % 2) return `${number} `.padEnd(bytes, 'x')
    const buffer = new ArrayBuffer(Math.max(4, bytes))
    new DataView(buffer).setUint32(0, number)
    return buffer
  }
  const sendOne = (bytes: number) => {
    const number = next++
    // Reserves the place first, because `send()` may dispatch a drop event.
    record.results.push('')
    const index = record.results.length - 1
    const own = record
    own.results[index] = socket.send(message(number, bytes))
  }
  const until = (condition: () => boolean) =>
    new Promise<void>(resolve => {
      const check = () => {
        if (!condition()) return
        checks.delete(check)
        resolve()
      }
      checks.add(check)
      check()
    })

  const traffic: Traffic = {
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
    untilTrue: until,
    count: type => counts[type],
    echoed: number => until(() => lastEcho === number),
    poll: condition =>
      new Promise(resolve => {
        const poll = setInterval(() => {
          if (!condition()) return
          clearInterval(poll)
          resolve()
        }, 5)
      }),
    takeRecord() {
      const json = JSON.stringify({ next, ...record, natives, stats: socket.stats })
      record = emptyRecord()
      natives = notClosed(natives)
      return json
    },
  }
  Object.assign(globalThis, { traffic })
}

/** Takes the record of the page. */
export const takeRecord = async (page: Page): Promise<TrafficRecord> =>
  JSON.parse(await page.evaluate(() => traffic.takeRecord()))

/** Merges consecutive records of one page. */
export function merge(records: readonly TrafficRecord[]): TrafficRecord {
  const all = <Field extends keyof TrafficRecord>(field: Field) =>
    records.flatMap(record => record[field] as readonly unknown[]) as never
  const natives: NativeRecord[] = []
  // A native socket that stays open is also in later records, with all its messages.
  for (const record of records)
    record.natives.forEach(native => {
      natives[native.number] = native
    })
  return {
    ...(records.at(-1) as TrafficRecord),
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

/** Returns the number of a message, `NaN` for messages without a number. */
export const numberIn = (data: string | Buffer) =>
  typeof data === 'string' ? Number.parseInt(data, 10) : data.readUInt32BE(0)

/** The number of a message that arrived, and the native socket that sent it. */
export type Arrival = readonly [native: number, number: number]

/** Returns all numbers that have arrived at the server, in the order of arrival. */
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

export interface Delivery {
  readonly sent: number
  readonly arrived: number
  /** The messages that were passed to a native socket and did not arrive. A client cannot detect these losses. */
  readonly unknown: readonly number[]
  /** The number of `drop` events. */
  readonly dropped: number
  readonly reclaimed: number
  /** All numbers in the order of arrival, over all connections. */
  readonly order: readonly number[]
}

/**
 * Checks that each message arrived once, or caused a drop event, or was lost after it was passed to a native socket. To be called when all
 * messages have arrived and the old connections are closed.
 */
export function checkDelivery(record: TrafficRecord, arrived: readonly Arrival[]): Delivery {
  const order = arrived.map(([, number]) => number)
  const dropped = new Set(record.drops.map(({ number }) => number))
  const there = new Set(order)

  expect(repeated(order), 'arrived twice').toEqual([])
  expect(repeated(record.drops.map(({ number }) => number)), 'dropped twice').toEqual([])
  expect(
    order.filter(number => dropped.has(number)),
    'dropped, but arrived',
  ).toEqual([])
  const through = record.natives.map(() => [] as number[])
  for (const [native, number] of arrived) through[native]?.push(number)
  through.forEach((numbers, native) => {
    // Only the last messages of a connection can be lost.
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
    'lost without a drop event, though never passed to a native socket',
  ).toEqual([])
  expect(
    record.results.flatMap((result, number) => (result === 'dropped' && !dropped.has(number) ? number : [])),
    'dropped without an event',
  ).toEqual([])

  const { stats } = record
  expect(stats.queued).toBe(0)
  expect(stats.dropped).toBe(dropped.size)
  // A message that was sent and not reclaimed has arrived or is unknown.
  expect(stats.sent - stats.reclaimed).toBe(order.length + unknown.length)

  // Incoming messages: each once, in order, and only through the connection that was current.
  const echoes = record.echoes.map(([, number]) => number)
  expect(repeated(echoes), 'echo received twice').toEqual([])
  expect(echoes.filter(number => !there.has(number))).toEqual([])
  for (const [native, number] of record.echoes) {
    if (!handedTo[native]?.has(number)) expect.fail(`echo of ${number} from an old socket`)
  }
  const pushes = record.pushes.map(([, number]) => number)
  expect(repeated(pushes), 'push received twice').toEqual([])
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
