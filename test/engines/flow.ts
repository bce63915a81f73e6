// Sockets in a page with numbered messages in both directions, while their connections replace each other, and the account of it.
import type * as Package from '../../src/index.ts'
import type { TestServer } from '../interop/ws.ts'
import type { Page } from './page.ts'

/** What the script tag brings. It exists in the page, not here. */
declare const SteadySocket: typeof Package

/** A native socket. Times are ticks of the page: a busy machine makes them longer, as it does everything else in the page. */
export interface FlowNative {
  readonly made: number
  opened?: number
  /** When the package has called `close()`. */
  left?: number
}

export interface FlowRecord {
  /** The number of the first message that was sent since the last harvest, and of the next one. */
  readonly from: number
  readonly to: number
  /** Numbers of our own messages that came back, and of the server's, in the order in which the listeners received them. */
  readonly echoes: readonly number[]
  readonly pushes: readonly number[]
  readonly opens: readonly { readonly seamless: boolean }[]
  readonly closes: readonly { readonly code: number; readonly cause: string; readonly willRetry: boolean }[]
  readonly errors: readonly string[]
  readonly drops: number
  /** The longest time between two messages, in milliseconds, for each call of `rotate()`. */
  readonly silences: readonly number[]
  /** The most native sockets beside the first that were in use when a message reached the listeners. */
  readonly beside: number
}

export interface FlowOptions {
  /** The number of the first message. Default: 0. */
  from?: number
  /** Tells messages of the server apart by themselves, with the option `handover.id`. */
  id?: true
  /** The message with which the server announces its end, for the option `handover.when`. */
  when?: string
}

/** What the page has as `flows`, one for each call of `startFlow()`; `flow` is the last. */
export interface Flow {
  readonly socket: Package.Socket
  readonly natives: readonly FlowNative[]
  /** How many ticks of 10 ms the page has had. */
  readonly tick: number
  /** How many `open` events there were. */
  readonly opened: number
  /** Sends one message, and returns what `send()` did. */
  send(): string
  /** Sends a message every so many milliseconds until `stop()`. */
  stream(period: number): void
  stop(): void
  /** Moves to another connection, and waits until so many milliseconds after it. */
  rotate(pause: number): Promise<void>
  /** Dispatches the event with which a browser reports that the network is back. */
  wake(): void
  pause(ms: number): Promise<void>
  /** Resolves when this is true: asked after each event and each tick. */
  until(condition: () => boolean): Promise<void>
  /** Resolves when a push with this number or a higher one has arrived. */
  heard(push: number): Promise<void>
  /** Resolves when the echo of the last message has arrived. */
  answered(): Promise<void>
  harvest(): string
}

declare const flow: Flow

/** In the page: starts a socket with the default options. */
export function startFlow(address: string, { from = 0, id, when }: FlowOptions = {}) {
  const looks = new Set<() => void>()
  const natives: FlowNative[] = []
  const fresh = () => ({
    from: next,
    echoes: [] as number[],
    pushes: [] as number[],
    opens: [] as object[],
    closes: [] as object[],
    errors: [] as string[],
    drops: 0,
    silences: [] as number[],
    beside: 0,
  })
  let next = from
  let record = fresh()
  let tick = 0
  let opened = 0
  let lastEcho = -1
  let lastPush = -1
  let lastMessage = 0
  let longest = 0
  let streaming: ReturnType<typeof setInterval> | undefined

  const look = () => {
    for (const one of looks) one()
  }
  setInterval(() => {
    tick++
    look()
  }, 10)

  class Noted extends WebSocket {
    readonly note: FlowNative = { made: tick }
    constructor(url: string, protocols?: string | string[]) {
      super(url, protocols)
      natives.push(this.note)
      this.addEventListener('open', () => {
        this.note.opened = tick
      })
    }
    override close(code?: number, reason?: string) {
      this.note.left ??= tick
      super.close(code, reason)
    }
  }

  const socket = SteadySocket.createSocket(address, {
    WebSocket: Noted,
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
    if (lastMessage) longest = Math.max(longest, now - lastMessage)
    lastMessage = now
    const isPush = data.startsWith('push ')
    if (isPush) lastPush = number
    else lastEcho = number
    record[isPush ? 'pushes' : 'echoes'].push(number)
    record.beside = Math.max(record.beside, natives.filter(({ left }) => left === undefined).length - 1)
    look()
  })
  socket.on('open', ({ seamless }) => {
    opened++
    record.opens.push({ seamless })
    look()
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
      const look = () => {
        if (!condition()) return
        looks.delete(look)
        resolve()
      }
      looks.add(look)
      look()
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
      longest = 0
      await socket.handover()
      await pause(ms)
      record.silences.push(longest)
    },
    wake: () => void dispatchEvent(new Event('online')),
    pause,
    until,
    heard: push => until(() => lastPush >= push),
    answered: () => until(() => lastEcho === next - 1),
    harvest() {
      const json = JSON.stringify({ ...record, to: next })
      record = fresh()
      return json
    },
  }
  const { flows = [] } = globalThis as { flows?: Flow[] }
  Object.assign(globalThis, { flow: made, flows: [...flows, made] })
  return until(() => opened > 0)
}

/** All that the page has written down since the last time. */
export const harvest = async (page: Page): Promise<FlowRecord> =>
  JSON.parse(await page.evaluate(() => flow.harvest()))

/** The number in one of our own messages. */
export const numberIn = (data: string | Buffer): number => Number(String(data).slice('message '.length))

/** The numbers that have arrived at a server, in the order of their arrival. */
export const arrivals = ({ received }: TestServer): number[] => received.map(({ data }) => numberIn(data))

export interface Account {
  readonly lost: readonly number[]
  readonly doubled: readonly number[]
  /** Those that came after a later one. */
  readonly late: readonly number[]
}

/** Nothing lost, nothing doubled, everything in order. */
export const whole: Account = { lost: [], doubled: [], late: [] }

/** Compares the numbers from `from` up to `to`, without it, with those that have arrived. */
export function account(from: number, to: number, arrived: readonly number[]): Account {
  const there = new Set<number>()
  const doubled: number[] = []
  const late: number[] = []
  let last = -1
  for (const number of arrived) {
    if (there.has(number)) doubled.push(number)
    else if (number < last) late.push(number)
    last = Math.max(last, number)
    there.add(number)
  }
  const lost: number[] = []
  for (let number = from; number < to; number++) if (!there.has(number)) lost.push(number)
  return { lost, doubled, late }
}

/**
 * In the page: a socket of the engine's own runs errands to another server. `errands` says how long the slowest took, in milliseconds, and
 * since when one is under way.
 */
export function runErrands(address: string) {
  const errands = { slowest: 0, since: Infinity }
  const socket = new WebSocket(address)
  const go = () => {
    errands.since = performance.now()
    socket.send('errand')
  }
  socket.onopen = go
  socket.onmessage = () => {
    errands.slowest = Math.max(errands.slowest, performance.now() - errands.since)
    errands.since = Infinity
    setTimeout(go, 5)
  }
  Object.assign(globalThis, { errands })
}
