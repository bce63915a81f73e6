// What a case of the standard's suite has in its hands. All of it runs in the page, or in a worker.
import type { Heard } from '../../interop/handshake.ts'
import type { Engine } from '../engines.ts'

/** The class under test, and how to watch it. */
export interface Under {
  /** The class as it is. To make a socket, `make` is better: it switches reconnection off where there is any. */
  readonly WebSocket: typeof WebSocket
  /** `new WebSocket(…)` with whatever it is given. The socket is closed when the case is over. */
  make(...args: any[]): WebSocket
  readonly worker: boolean
  /** The messages of errors that nobody caught. What a case leaves here is part of its result. */
  readonly uncaught: string[]
  /** An address of the server: `?` and what it shall do, see test/interop/handshake.ts. */
  url(query?: string): string
  /** The same on a port of its own: Firefox makes a port that has failed wait. */
  lonely(query?: string): Promise<string>
  /** An address at which nobody listens. */
  readonly closed: string
  /** A name that no other connection has. */
  id(): string
  /** What the server heard on that connection, once that has ended. */
  heard(id: string): Promise<Heard>
  /** Has the server go on with the connection of that name, which waits to be told. */
  go(id: string): Promise<unknown>
  /** The next event of that type. */
  next(target: EventTarget, type: 'open' | 'error'): Promise<Event>
  next(target: EventTarget, type: 'message'): Promise<MessageEvent>
  next(target: EventTarget, type: 'close'): Promise<CloseEvent>
  /** A socket that is open. */
  open(query?: string, protocols?: string | string[]): Promise<WebSocket>
  /** All its events from now on, with its `readyState` in them: `open 1`, `message 1 hello`, `close 3 1000 bye clean`. */
  story(socket: WebSocket): string[]
  /** The story of a socket until its `close`, and of what comes after that. */
  end(socket: WebSocket): Promise<string[]>
  /** Resolves when all that was on its way has come: a whole other connection has come and gone. */
  rest(): Promise<void>
  /** A macrotask later. */
  task(): Promise<void>
  /** What it threw: `TypeError`, `DOMException SyntaxError 12`, or `nothing`. */
  thrown(work: () => unknown): string
  /** A value in words, so that it survives JSON: `undefined`, `'text'`, `ArrayBuffer 0a0b`, `Blob 0a0b`. */
  said(value: unknown): Promise<string>
  /** In a page: an empty frame with the same scripts, its window and its own class. */
  frame(): Promise<{ frame: HTMLIFrameElement; window: Window & typeof globalThis; under: Under }>
  /** In a page: a worker with the same scripts that runs this one, in which `make` is; and the first that it says. */
  spawn(script: string): Promise<{ worker: Worker; said: Promise<unknown> }>
  hex(bytes: ArrayBuffer): string
}

export interface Case {
  /** Runs in the page, knows nothing of the file that it stands in, and returns what JSON can carry. */
  readonly run: (under: Under, given: any) => unknown
  /** What `run` needs of the file that it stands in. */
  readonly given?: unknown
  /** What the standard says; deviations.ts has what engines do instead. Without it only the class is compared with the engine's own. */
  readonly standard?: unknown
  /** Where ours does something else than the engine's own, and why that is as it is. Of an engine in deviations.ts: while that deviates. */
  readonly differs?: Partial<Record<Engine['name'] | 'all', string>>
  /** Not in workers. */
  readonly page?: true
  /** The files of the Web Platform Tests under `websockets/` whose assertions this carries. */
  readonly wpt?: readonly string[]
}

export type Cases = Readonly<Record<string, Case>>

/** Where the class under test is to be found, as an expression. */
export type Subject = 'WebSocket' | 'SteadySocket.WebSocket'

export interface Verdict {
  readonly title: string
  readonly result: unknown
}

type Global = typeof globalThis & { cases: Cases; SteadySocket?: any }

/** In the page: makes what the cases are given, of the class that `subject` names in that global. */
export function equip(
  server: string,
  closed: string,
  subject: Subject,
  realm: any,
): Under & { tidy(): Promise<void> } {
  const { setTimeout, DOMException } = realm as Global
  const native = realm.native as typeof WebSocket
  const own = subject === 'WebSocket'
  const Class: any = own ? native : realm.SteadySocket.WebSocket
  const made: WebSocket[] = []
  const frames: HTMLIFrameElement[] = []
  const workers: Worker[] = []
  const ws = server.replace('http', 'ws')
  const words = (event: Event, socket: WebSocket) => {
    const { code, reason, wasClean, data } = event as any
    const text = typeof data === 'string' ? data : String(data)
    const more = event.type === 'message' ? ` ${text}` : ''
    const end = event.type === 'close' ? ` ${code} ${reason} ${wasClean ? 'clean' : 'unclean'}` : ''
    return `${event.type} ${socket.readyState}${more}${end}`.replace('  ', ' ')
  }
  const hex = (buffer: ArrayBuffer) =>
    Array.from(new realm.Uint8Array(buffer), (byte: number) => byte.toString(16).padStart(2, '0')).join('')

  const under: Under & { tidy(): Promise<void> } = {
    WebSocket: Class,
    make(...args) {
      // Reconnection is the third argument; before it, `undefined` is as good as nothing.
      const socket =
        own || args.length === 0 ? new Class(...args) : new Class(args[0], args[1], { retry: false })
      made.push(socket)
      return socket
    },
    uncaught: [],
    worker: typeof realm.document === 'undefined',
    url: (query = '') => `${ws}/${query}`,
    async lonely(query = '') {
      const port = await (await realm.fetch(`${server}/port`)).text()
      return `${ws.replace(/:\d+$/, '')}:${port}/${query}`
    },
    closed,
    id: () => `${Math.random()}`,
    go: id => realm.fetch(`${server}/go?id=${id}`),
    heard: async id => (await realm.fetch(`${server}/heard?id=${id}`)).json(),
    next: (target: EventTarget, type: string) =>
      new realm.Promise((resolve: any) => target.addEventListener(type, resolve, { once: true })),
    async open(query, protocols) {
      const socket = under.make(under.url(query), protocols)
      await under.next(socket, 'open')
      return socket
    },
    story(socket) {
      const told: string[] = []
      for (const type of ['open', 'message', 'error', 'close']) {
        socket.addEventListener(type, (event: any) => told.push(words(event, socket)))
      }
      return told
    },
    async end(socket) {
      const told = under.story(socket)
      await under.next(socket, 'close')
      await under.rest()
      return told
    },
    async rest() {
      const other = new native(under.url())
      await new realm.Promise((resolve: any) => (other.onopen = resolve))
      other.close()
      await new realm.Promise((resolve: any) => (other.onclose = resolve))
    },
    task: () => new realm.Promise((resolve: any) => setTimeout(resolve)),
    thrown(work) {
      try {
        work()
      } catch (error: any) {
        if (error instanceof DOMException) return `DOMException ${error.name} ${(error as any).code}`
        return String(error?.name ?? error)
      }
      return 'nothing'
    },
    async said(value) {
      if (value instanceof realm.ArrayBuffer) return `ArrayBuffer ${hex(value as any)}`
      if (value instanceof realm.Blob) return `Blob ${hex(await new realm.Response(value).arrayBuffer())}`
      return typeof value === 'string' ? `'${value}'` : String(value)
    },
    async frame() {
      const frame = document.createElement('iframe')
      const loaded = new Promise(resolve => (frame.onload = resolve))
      // A page of the same site that has the same scripts.
      frame.src = location.href
      document.body.append(frame)
      await loaded
      frames.push(frame)
      const window = frame.contentWindow as any
      window.native = window.WebSocket
      return { frame, window, under: window.equip(server, closed, subject, window) }
    },
    async spawn(script) {
      const sources = Array.from(document.scripts, ({ src }) => JSON.stringify(src)).filter(
        src => src !== '""',
      )
      const text = `self.native = WebSocket
        importScripts(${sources})
        const { make } = equip(${[server, closed, subject].map(word => JSON.stringify(word))}, self)
        ${script}`
      const address = URL.createObjectURL(new Blob([text], { type: 'text/javascript' }))
      const worker = new Worker(address)
      workers.push(worker)
      return { worker, said: new Promise(resolve => (worker.onmessage = ({ data }) => resolve(data))) }
    },
    hex,
    async tidy() {
      for (const socket of made) under.thrown(() => socket.close())
      // Chromium delays a connection while there are many others. One engine never closes what it did not let begin.
      for (let i = 0; i < 100 && made.some(({ readyState }) => readyState !== 3); i++) await under.task()
      made.length = 0
      for (const frame of frames.splice(0)) frame.remove()
      for (const worker of workers.splice(0)) worker.terminate()
    },
  }
  return under
}

/** In the page: runs cases one after the other. */
export async function perform(
  server: string,
  closed: string,
  subject: Subject,
  titles: string[],
): Promise<Verdict[]> {
  const realm = globalThis as Global & { native?: typeof WebSocket; equip: typeof equip }
  realm.native ??= WebSocket
  const verdicts: Verdict[] = []
  for (const title of titles) {
    const under = realm.equip(server, closed, subject, realm)
    // What ends a case that hangs. Six seconds on an idle machine, and more on a busy one: each tenth of a second is an errand to the server.
    let over = false
    const patience = async () => {
      for (let errands = 0; errands < 60 && !over; errands++) {
        await new Promise(resolve => setTimeout(resolve, 100))
        await realm.fetch(`${server}/errand`)
      }
      return '"nothing, for 6 s"'
    }
    // As JSON, for what is still told when the sockets are closed is no result.
    const report = (event: Event) => {
      event.preventDefault()
      under.uncaught.push(`${(event as ErrorEvent).error?.message}`)
    }
    realm.addEventListener('error', report)
    const run = async () =>
      JSON.stringify(await realm.cases[title]?.run(under, realm.cases[title]?.given)) ?? 'null'
    const failed = (error: unknown) => JSON.stringify(`threw ${error}`)
    const returned = JSON.parse(await Promise.race([run().catch(failed), patience()]))
    over = true
    await under.tidy()
    realm.removeEventListener('error', report)
    const result = under.uncaught.length ? { returned, uncaught: under.uncaught } : returned
    verdicts.push({ title, result })
  }
  return verdicts
}

/** The script that brings the cases to a page or a worker. */
export function source(cases: Cases): string {
  const entries = Object.entries(cases).map(
    ([title, { run, given = null }]) =>
      `${JSON.stringify(title)}: { run: ${run}, given: ${JSON.stringify(given)} }`,
  )
  // Strict, as modules are, in which the cases are written: assigning what is read-only throws.
  return `'use strict'\n${equip}\n${perform}\nself.cases = {\n${entries.join(',\n')}\n}`
}
