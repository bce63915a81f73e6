// Numbered messages in both directions over sockets of a page whose connections are replaced, and a check for losses.
import type * as Package from '../../src/index.ts'
import type { TestServer } from '../interop/ws.ts'
import type { Page } from './page.ts'

/** The global of the UMD bundle, in the page. */
declare const SteadySocket: typeof Package

/** A native socket. Times are counted in ticks of the page, which a busy machine delays like everything else in the page. */
export interface FlowNative {
  readonly made: number
  opened?: number
  /** When the package called `close()`. */
  closeCalled?: number
}

export interface FlowRecord {
  /** The number of the first message of this record, and of the first message after it. */
  readonly from: number
  readonly to: number
  /** The numbers of echoes and of the server's own messages, in the order in which the listeners received them. */
  readonly echoes: readonly number[]
  readonly pushes: readonly number[]
  readonly opens: readonly { readonly seamless: boolean }[]
  readonly closes: readonly { readonly code: number; readonly cause: string; readonly willRetry: boolean }[]
  readonly errors: readonly string[]
  readonly drops: number
  /** The longest time between two messages, in milliseconds, for each call of `rotate()`. */
  readonly silences: readonly number[]
  /** The largest number of additional native sockets in use when a message reached the listeners. */
  readonly additional: number
}

export interface FlowOptions {
  /** The number of the first message. Default: 0. */
  from?: number
  /** Uses the text of a message as its id, with the option `handover.id`. */
  id?: true
  /** The message with which the server announces that it will stop, for the option `handover.when`. */
  when?: string
}

/** Each call of `startFlow()` adds one of these to the global array `flows` of the page. The global `flow` is the last. */
export interface Flow {
  readonly socket: Package.Socket
  readonly natives: readonly FlowNative[]
  /** The number of ticks of 10 ms since the start. */
  readonly tick: number
  /** The number of `open` events. */
  readonly opened: number
  /** Sends one message. Returns the result of `send()`. */
  send(): string
  /** Sends a message every `period` milliseconds until `stop()`. */
  stream(period: number): void
  stop(): void
  /** Calls `handover()`, then waits for `pause` milliseconds. */
  rotate(pause: number): Promise<void>
  /** Dispatches an `online` event. */
  wake(): void
  pause(ms: number): Promise<void>
  /** Resolves when the condition is true. It is evaluated after each event and each tick. */
  until(condition: () => boolean): Promise<void>
  /** Resolves when the message of the server with this number or a higher one has arrived. */
  pushed(push: number): Promise<void>
  /** Resolves when the echo of the last message has arrived. */
  echoed(): Promise<void>
  /** Returns the record as JSON, and starts a new one. */
  takeRecord(): string
}

declare const flow: Flow

/** In the page: starts a socket with the default options. */
export function startFlow(address: string, { from = 0, id, when }: FlowOptions = {}) {
  const checks = new Set<() => void>()
  const natives: FlowNative[] = []
  const emptyRecord = () => ({
    from: next,
    echoes: [] as number[],
    pushes: [] as number[],
    opens: [] as object[],
    closes: [] as object[],
    errors: [] as string[],
    drops: 0,
    silences: [] as number[],
    additional: 0,
  })
  let next = from
  let record = emptyRecord()
  let tick = 0
  let opened = 0
  let lastEcho = -1
  let lastPush = -1
  let lastMessage = 0
  let longestSilence = 0
  let streaming: ReturnType<typeof setInterval> | undefined

  const check = () => {
    for (const one of checks) one()
  }
  setInterval(() => {
    tick++
    check()
  }, 10)

  class RecordedWebSocket extends WebSocket {
    readonly times: FlowNative = { made: tick }
    constructor(url: string, protocols?: string | string[]) {
      super(url, protocols)
      natives.push(this.times)
      this.addEventListener('open', () => {
        this.times.opened = tick
      })
    }
    override close(code?: number, reason?: string) {
      this.times.closeCalled ??= tick
      super.close(code, reason)
    }
  }

  const socket = SteadySocket.createSocket(address, {
    WebSocket: RecordedWebSocket,
    ...((id || when) && {
      handover: {
        ...(id && { id: (data: string) => data }),
        ...(when !== undefined && { when: (data: string) => data === when }),
      },
    }),
  })
  socket.on('text', data => {
    const number = Number(data.slice(data.indexOf(' ')))
    // The announcement has no number.
    if (Number.isNaN(number)) return
    const now = performance.now()
    if (lastMessage) longestSilence = Math.max(longestSilence, now - lastMessage)
    lastMessage = now
    const isPush = data.startsWith('push ')
    if (isPush) lastPush = number
    else lastEcho = number
    record[isPush ? 'pushes' : 'echoes'].push(number)
    record.additional = Math.max(
      record.additional,
      natives.filter(({ closeCalled }) => closeCalled === undefined).length - 1,
    )
    check()
  })
  socket.on('open', ({ seamless }) => {
    opened++
    record.opens.push({ seamless })
    check()
  })
  socket.on('close', ({ code, cause, willRetry }) => {
    record.closes.push({ code, cause: cause.code, willRetry })
  })
  socket.on('error', ({ code }) => record.errors.push(code))
  socket.on('drop', () => {
    record.drops++
  })

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
  const pause = (ms: number) => new Promise<void>(resolve => setTimeout(resolve, ms))

  const made: Flow = {
    socket,
    natives,
    get tick() {
      return tick
    },
    get opened() {
      return opened
    },
    send: () => socket.send(`message ${next++}`),
    stream(period) {
      streaming = setInterval(() => made.send(), period)
    },
    stop: () => clearInterval(streaming),
    async rotate(ms) {
      longestSilence = 0
      await socket.handover()
      await pause(ms)
      record.silences.push(longestSilence)
    },
    wake: () => void dispatchEvent(new Event('online')),
    pause,
    until,
    pushed: push => until(() => lastPush >= push),
    echoed: () => until(() => lastEcho === next - 1),
    takeRecord() {
      const json = JSON.stringify({ ...record, to: next })
      record = emptyRecord()
      return json
    },
  }
  const { flows = [] } = globalThis as { flows?: Flow[] }
  Object.assign(globalThis, { flow: made, flows: [...flows, made] })
  return until(() => opened > 0)
}

/** Takes the record of the page. */
export const takeRecord = async (page: Page): Promise<FlowRecord> =>
  JSON.parse(await page.evaluate(() => flow.takeRecord()))

/** Returns the number of one of our messages. */
export const numberIn = (data: string | Buffer): number => Number(String(data).slice('message '.length))

/** Returns the numbers that have arrived at a server, in the order of arrival. */
export const arrivals = ({ received }: TestServer): number[] => received.map(({ data }) => numberIn(data))

export interface Delivery {
  readonly lost: readonly number[]
  readonly doubled: readonly number[]
  /** The numbers that arrived after a higher one. */
  readonly late: readonly number[]
}

/** Nothing lost, nothing doubled, everything in order. */
export const complete: Delivery = { lost: [], doubled: [], late: [] }

/** Compares the numbers from `from` (inclusive) to `to` (exclusive) with those that have arrived. */
export function compareDelivery(from: number, to: number, arrived: readonly number[]): Delivery {
  const seen = new Set<number>()
  const doubled: number[] = []
  const late: number[] = []
  let last = -1
  for (const number of arrived) {
    if (seen.has(number)) doubled.push(number)
    else if (number < last) late.push(number)
    last = Math.max(last, number)
    seen.add(number)
  }
  const lost: number[] = []
  for (let number = from; number < to; number++) if (!seen.has(number)) lost.push(number)
  return { lost, doubled, late }
}

/**
 * In the page: measures round trips of a native socket to another server. `roundTrips` has the longest time in milliseconds, and the start of the
 * current one.
 */
export function measureRoundTrips(address: string) {
  const roundTrips = { slowest: 0, since: Infinity }
  const socket = new WebSocket(address)
  const go = () => {
    roundTrips.since = performance.now()
    socket.send('round trip')
  }
  socket.onopen = go
  socket.onmessage = () => {
    roundTrips.slowest = Math.max(roundTrips.slowest, performance.now() - roundTrips.since)
    roundTrips.since = Infinity
    setTimeout(go, 5)
  }
  Object.assign(globalThis, { roundTrips })
}
