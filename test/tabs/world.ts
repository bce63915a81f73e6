// A browser with tabs, without a browser: channels, Web Locks and the events of pages, each tab with a server of its own.
import { IDBFactory } from 'fake-indexeddb'
import { afterEach, beforeEach, vi } from 'vitest'
import type { Channel, Platform } from '../../src/tabs/platform.ts'
import { createTabsSocketIn } from '../../src/tabs/tabs.ts'
import type { TabsEvents, TabsSocketOptions } from '../../src/tabs.ts'
import { createFakeServer, type FakeServer } from '../../src/testing.ts'

interface Request {
  readonly owner: object
  readonly mode: string
  isHeld: boolean
  hold(): void
}

/** Lets all tasks run that are due. */
export const settle = (ms = 0): Promise<unknown> => vi.advanceTimersByTimeAsync(ms)

/** A fake clock for each test. */
export const fresh = (): void => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
    vi.unstubAllGlobals()
  })
}

export const createWorld = () => {
  const channels = new Map<Channel, { name: string; owner: object }>()
  const locks = new Map<string, Request[]>()
  const stored = new Map<string, string>()
  /** What processes that are suspended will do next. */
  const suspended = new Map<object, (() => unknown)[]>()
  vi.stubGlobal('indexedDB', new IDBFactory())
  vi.stubGlobal('localStorage', {
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, value: string) => void stored.set(key, value),
  })

  // https://w3c.github.io/web-locks/#algorithm-process-lock-request-queue
  const grant = (name: string) => {
    for (const request of locks.get(name) ?? []) {
      const held = (locks.get(name) ?? []).filter(({ isHeld }) => isHeld)
      if (request.isHeld || suspended.has(request.owner)) continue
      if (held.length && !(request.mode === 'shared' && held.every(({ mode }) => mode === 'shared'))) return
      request.isHeld = true
      request.hold()
    }
  }

  const placeOf = (owner: object): Platform => ({
    isShared: true,
    open(name) {
      let isClosed = false
      const channel: Channel = {
        onmessage: null,
        postMessage(message) {
          // https://html.spec.whatwg.org/multipage/web-messaging.html#dom-broadcastchannel-postmessage
          if (isClosed) throw new DOMException('the channel is closed', 'InvalidStateError')
          // The process of its owner was killed.
          if (!channels.has(channel)) return
          for (const [other, { name: otherName, owner: otherOwner }] of channels) {
            if (other === channel || otherName !== name) continue
            const data = structuredClone(message)
            const receive = () => channels.has(other) && other.onmessage?.({ data })
            queueMicrotask(() => {
              const waiting = suspended.get(otherOwner)
              if (waiting) waiting.push(receive)
              else receive()
            })
          }
        },
        close() {
          isClosed = true
          channels.delete(channel)
        },
      }
      channels.set(channel, { name, owner })
      return channel
    },
    async held() {
      world.onQuery()
      return [...locks].flatMap(([name, requests]) => (requests.some(({ isHeld }) => isHeld) ? [name] : []))
    },
    lock(name, hold, mode) {
      const request = { owner, mode: mode ?? 'exclusive', isHeld: false, hold }
      locks.set(name, [...(locks.get(name) ?? []), request])
      queueMicrotask(() => grant(name))
      return () => {
        locks.set(
          name,
          (locks.get(name) ?? []).filter(other => other !== request),
        )
        queueMicrotask(() => grant(name))
      }
    },
  })

  const world = {
    placeOf,
    /** A tab asks which locks are held. */
    onQuery() {},
    /** Ends everything of an owner without any event, as SIGKILL of its process does. */
    kill(owner: object) {
      for (const [channel, { owner: other }] of channels) if (other === owner) channels.delete(channel)
      for (const [name, requests] of locks) {
        locks.set(
          name,
          requests.filter(request => request.owner !== owner),
        )
        queueMicrotask(() => grant(name))
      }
    },
    /** Opens a tab, in which `make` creates a socket. */
    open<Made>(make: (platform: Platform, page: object) => Made) {
      const owner = {}
      return {
        made: make(placeOf(owner), {}),
        kill: () => world.kill(owner),
        /** Lets the process of the tab run no more, until the returned function is called. */
        suspend() {
          suspended.set(owner, [])
          return () => {
            const tasks = suspended.get(owner) ?? []
            suspended.delete(owner)
            for (const task of tasks) task()
            for (const name of locks.keys()) grant(name)
          }
        },
      }
    },
    /** Opens a tab with a socket. */
    tab(options: TabsSocketOptions & { endpoint?: any } = {}) {
      const owner = {}
      const window = new EventTarget()
      const document = new EventTarget()
      const page = {
        document,
        addEventListener: window.addEventListener.bind(window),
        removeEventListener: window.removeEventListener.bind(window),
      }
      const server: FakeServer = createFakeServer()
      const { endpoint = 'wss://push.test/feed', ...rest } = options
      const socket = createTabsSocketIn(placeOf(owner), page, endpoint, {
        WebSocket: server.WebSocket,
        ...rest,
      })
      const log: [type: string, payload: any][] = []
      for (const type of [
        'state',
        'open',
        'text',
        'binary',
        'close',
        'error',
        'drop',
        'gap',
        'sharing',
        'conflict',
      ] as const) {
        socket.on(type as keyof TabsEvents, payload => log.push([type, payload]))
      }
      const dispatch = (target: EventTarget, type: string, persisted: boolean) =>
        target.dispatchEvent(Object.assign(new Event(type), { persisted }))
      return {
        socket,
        server,
        /** The payloads of all events of this type. */
        heard: (type: keyof TabsEvents) =>
          log.filter(([name]) => name === type).map(([, payload]) => payload),
        types: () => log.map(([type]) => type),
        kill: () => world.kill(owner),
        hide: (persisted = true) => dispatch(window, 'pagehide', persisted),
        show: () => dispatch(window, 'pageshow', true),
        freeze: () => document.dispatchEvent(new Event('freeze')),
        resume: () => document.dispatchEvent(new Event('resume')),
      }
    },
    /** Opens tabs one after the other. */
    async tabs(count: number, options?: TabsSocketOptions & { endpoint?: any }) {
      const all = []
      for (let i = 0; i < count; i++) {
        all.push(world.tab(options))
        await settle()
      }
      return all as [Tab, Tab, Tab, ...Tab[]]
    },
  }
  type Tab = ReturnType<typeof world.tab>
  return world
}
