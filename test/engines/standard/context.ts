// The context of the cases of the standard. It runs in a page or in a worker.
import type { Heard } from '../../interop/handshake.ts'
import type { Engine } from '../engines.ts'

/** The class under test, and functions to use and observe it. */
export interface CaseContext {
  /** The class itself. To create a socket, use `make`, which disables reconnection of our class. */
  readonly WebSocket: typeof WebSocket
  /** Calls `new WebSocket(…)` with these arguments. The socket is closed after the case. */
  make(...args: any[]): WebSocket
  readonly worker: boolean
  /** The messages of uncaught errors. Those that remain here after the case are part of its result. */
  readonly uncaught: string[]
  /** Returns a URL of the server. The query says what the server does, see test/interop/handshake.ts. */
  url(query?: string): string
  /** Like `url`, with a new port, because Firefox delays connections to a port that has failed. */
  urlOfNewPort(query?: string): Promise<string>
  /** A URL that refuses connections. */
  readonly closed: string
  /** Returns a unique name for a connection. */
  id(): string
  /** Resolves with what the server received on the connection of that name, once it has ended. */
  received(id: string): Promise<Heard>
  /** Makes the server proceed with the connection of that name, which waits for it. */
  proceed(id: string): Promise<unknown>
  /** Resolves with the next event of that type. */
  next(target: EventTarget, type: 'open' | 'error'): Promise<Event>
  next(target: EventTarget, type: 'message'): Promise<MessageEvent>
  next(target: EventTarget, type: 'close'): Promise<CloseEvent>
  /** Creates a socket, and resolves with it when it is open. */
  open(query?: string, protocols?: string | string[]): Promise<WebSocket>
  /** Returns an array to which all further events are added, with the `readyState`: `open 1`, `message 1 hello`, `close 3 1000 bye clean`. */
  events(socket: WebSocket): string[]
  /** Resolves with the events of a socket until its `close`, and any that follow. */
  eventsUntilClose(socket: WebSocket): Promise<string[]>
  /** Resolves when another connection has been opened and closed. Events that were pending before have been fired by then. */
  otherConnection(): Promise<void>
  /** Resolves one macrotask later. */
  task(): Promise<void>
  /** Returns what the function throws: `TypeError`, `DOMException SyntaxError 12`, or `nothing`. */
  thrown(work: () => unknown): string
  /** Describes a value as a string that can be serialized as JSON: `undefined`, `'text'`, `ArrayBuffer 0a0b`, `Blob 0a0b`. */
  describe(value: unknown): Promise<string>
  /** In a page: adds a frame with the same scripts. Resolves with the frame, its window and its context. */
  frame(): Promise<{ frame: HTMLIFrameElement; window: Window & typeof globalThis; context: CaseContext }>
  /** In a page: starts a worker with the same scripts and this one, which can use `make`. `firstMessage` is its first message. */
  spawn(script: string): Promise<{ worker: Worker; firstMessage: Promise<unknown> }>
  hex(bytes: ArrayBuffer): string
}

export interface Case {
  /** Runs in the page, so it cannot use anything from its file. Its result must be serializable as JSON. */
  readonly run: (context: CaseContext, given: any) => unknown
  /** A value of the file that is passed to `run`. */
  readonly given?: unknown
  /** The result according to the standard; deviations.ts has the exceptions. If it is missing, our class is only compared with that of the engine. */
  readonly standard?: unknown
  /** The engines from which our class differs, and how. For an engine in deviations.ts, only as long as that deviates. */
  readonly differs?: Partial<Record<Engine['name'] | 'all', string>>
  /** Not in workers. */
  readonly page?: true
  /** The files of the Web Platform Tests under `websockets/` whose assertions the case covers. */
  readonly wpt?: readonly string[]
}

export type Cases = Readonly<Record<string, Case>>

/** The class under test, as an expression. */
export type Subject = 'WebSocket' | 'SteadySocket.WebSocket'

export interface CaseResult {
  readonly title: string
  readonly result: unknown
}

type Global = typeof globalThis & { cases: Cases; SteadySocket?: any }

/** In the page: creates the context of a case, with the class that `subject` names in the global object `realm`. */
export function createContext(
  server: string,
  closed: string,
  subject: Subject,
  realm: any,
): CaseContext & { cleanUp(): Promise<void> } {
  const { setTimeout, DOMException } = realm as Global
  const native = realm.native as typeof WebSocket
  const isNative = subject === 'WebSocket'
  const Class: any = isNative ? native : realm.SteadySocket.WebSocket
  const made: WebSocket[] = []
  const frames: HTMLIFrameElement[] = []
  const workers: Worker[] = []
  const ws = server.replace('http', 'ws')
  const format = (event: Event, socket: WebSocket) => {
    const { code, reason, wasClean, data } = event as any
    const text = typeof data === 'string' ? data : String(data)
    const more = event.type === 'message' ? ` ${text}` : ''
    const end = event.type === 'close' ? ` ${code} ${reason} ${wasClean ? 'clean' : 'unclean'}` : ''
    return `${event.type} ${socket.readyState}${more}${end}`.replace('  ', ' ')
  }
  const hex = (buffer: ArrayBuffer) =>
    Array.from(new realm.Uint8Array(buffer), (byte: number) => byte.toString(16).padStart(2, '0')).join('')

  const context: CaseContext & { cleanUp(): Promise<void> } = {
    WebSocket: Class,
    make(...args) {
      // The third argument disables reconnection. Passing `undefined` for the others is the same as omitting them.
      const socket =
        isNative || args.length === 0 ? new Class(...args) : new Class(args[0], args[1], { retry: false })
      made.push(socket)
      return socket
    },
    uncaught: [],
    worker: typeof realm.document === 'undefined',
    url: (query = '') => `${ws}/${query}`,
    async urlOfNewPort(query = '') {
      const port = await (await realm.fetch(`${server}/port`)).text()
      return `${ws.replace(/:\d+$/, '')}:${port}/${query}`
    },
    closed,
    id: () => `${Math.random()}`,
    proceed: id => realm.fetch(`${server}/go?id=${id}`),
    received: async id => (await realm.fetch(`${server}/heard?id=${id}`)).json(),
    next: (target: EventTarget, type: string) =>
      new realm.Promise((resolve: any) => target.addEventListener(type, resolve, { once: true })),
    async open(query, protocols) {
      const socket = context.make(context.url(query), protocols)
      await context.next(socket, 'open')
      return socket
    },
    events(socket) {
      const events: string[] = []
      for (const type of ['open', 'message', 'error', 'close']) {
        socket.addEventListener(type, (event: any) => events.push(format(event, socket)))
      }
      return events
    },
    async eventsUntilClose(socket) {
      const events = context.events(socket)
      await context.next(socket, 'close')
      await context.otherConnection()
      return events
    },
    async otherConnection() {
      const other = new native(context.url())
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
    async describe(value) {
      if (value instanceof realm.ArrayBuffer) return `ArrayBuffer ${hex(value as any)}`
      if (value instanceof realm.Blob) return `Blob ${hex(await new realm.Response(value).arrayBuffer())}`
      return typeof value === 'string' ? `'${value}'` : String(value)
    },
    async frame() {
      const frame = document.createElement('iframe')
      const loaded = new Promise(resolve => (frame.onload = resolve))
      // Loads the same page, which has the same scripts.
      frame.src = location.href
      document.body.append(frame)
      await loaded
      frames.push(frame)
      const window = frame.contentWindow as any
      window.native = window.WebSocket
      return { frame, window, context: window.createContext(server, closed, subject, window) }
    },
    async spawn(script) {
      const sources = Array.from(document.scripts, ({ src }) => JSON.stringify(src)).filter(
        src => src !== '""',
      )
      const text = `self.native = WebSocket
        importScripts(${sources})
        const { make } = createContext(${[server, closed, subject].map(word => JSON.stringify(word))}, self)
        ${script}`
      const address = URL.createObjectURL(new Blob([text], { type: 'text/javascript' }))
      const worker = new Worker(address)
      workers.push(worker)
      return {
        worker,
        firstMessage: new Promise(resolve => (worker.onmessage = ({ data }) => resolve(data))),
      }
    },
    hex,
    async cleanUp() {
      for (const socket of made) context.thrown(() => socket.close())
      // Chromium delays a connection while there are many others. One engine never closes a connection that it has blocked.
      for (let i = 0; i < 100 && made.some(({ readyState }) => readyState !== 3); i++) await context.task()
      made.length = 0
      for (const frame of frames.splice(0)) frame.remove()
      for (const worker of workers.splice(0)) worker.terminate()
    },
  }
  return context
}

/** In the page: runs cases one after another. */
export async function runCases(
  server: string,
  closed: string,
  subject: Subject,
  titles: string[],
): Promise<CaseResult[]> {
  const realm = globalThis as Global & { native?: typeof WebSocket; createContext: typeof createContext }
  realm.native ??= WebSocket
  const results: CaseResult[] = []
  for (const title of titles) {
    const context = realm.createContext(server, closed, subject, realm)
    // Ends a case that hangs, after six seconds on an idle machine. On a busy machine it takes longer, because it waits for sixty requests.
    let ended = false
    const timeLimit = async () => {
      for (let requests = 0; requests < 60 && !ended; requests++) {
        await new Promise(resolve => setTimeout(resolve, 100))
        await realm.fetch(`${server}/errand`)
      }
      return '"nothing, for 6 s"'
    }
    // Serialized now, because events that are fired when the sockets are closed do not count.
    const report = (event: Event) => {
      event.preventDefault()
      context.uncaught.push(`${(event as ErrorEvent).error?.message}`)
    }
    realm.addEventListener('error', report)
    const run = async () =>
      JSON.stringify(await realm.cases[title]?.run(context, realm.cases[title]?.given)) ?? 'null'
    const failed = (error: unknown) => JSON.stringify(`threw ${error}`)
    const returned = JSON.parse(await Promise.race([run().catch(failed), timeLimit()]))
    ended = true
    await context.cleanUp()
    realm.removeEventListener('error', report)
    const result = context.uncaught.length ? { returned, uncaught: context.uncaught } : returned
    results.push({ title, result })
  }
  return results
}

/** Returns the script that defines the cases in a page or a worker. */
export function source(cases: Cases): string {
  const entries = Object.entries(cases).map(
    ([title, { run, given = null }]) =>
      `${JSON.stringify(title)}: { run: ${run}, given: ${JSON.stringify(given)} }`,
  )
  // In strict mode, as in the modules with the cases, in which assigning to a read-only property throws.
  return `'use strict'\n${createContext}\n${runCases}\nself.cases = {\n${entries.join(',\n')}\n}`
}
