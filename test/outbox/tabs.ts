// Tabs in one process: with IndexedDB, locks and page events, as browsers have them.
import * as fake from 'fake-indexeddb'
import { IDBFactory } from 'fake-indexeddb'
import { expect, vi } from 'vitest'
import { WebSocket } from 'ws'
import {
  type IndexedDbOutboxOptions,
  indexedDbOutbox,
  type OutboxProblem,
  type StoredOutbox,
} from '../../src/outbox.ts'
import {
  createReliableSocket,
  type Outcome,
  type ReliableOptions,
  type ReliableSocket,
} from '../../src/reliable.ts'
import { memoryStore } from '../../src/server.ts'
import { startNode } from '../interop/server-rig.ts'
import { cleanup } from '../support/cleanup.ts'
import { eventually } from '../support/eventually.ts'

// The classes stay when a test is over: a transaction may still be running.
for (const [name, value] of Object.entries(fake)) {
  if (name.startsWith('IDB')) Object.assign(globalThis, { [name]: value })
}

const PlatformChannel = BroadcastChannel

interface Held {
  readonly name: string
  start(): void
}

/** Web Locks, as far as the package uses them. */
// https://w3c.github.io/web-locks/
class Locks {
  private readonly queues = new Map<string, Held[]>()

  async request(
    name: string,
    { signal, ifAvailable }: { signal: AbortSignal; ifAvailable: boolean | undefined },
    run: (lock?: object | null) => unknown,
  ): Promise<void> {
    const queue = this.queues.get(name) ?? []
    if (ifAvailable && queue.length) return void (await run(null))
    this.queues.set(name, queue)
    await new Promise<void>((resolve, reject) => {
      const held: Held = { name, start: resolve }
      queue.push(held)
      if (queue.length === 1) resolve()
      signal.addEventListener('abort', () => {
        if (queue.indexOf(held) > 0) queue.splice(queue.indexOf(held), 1)
        reject(signal.reason)
      })
    })
    await run({ name })
    queue.shift()
    queue[0]?.start()
  }
}

export interface Tab {
  readonly outbox: StoredOutbox
  readonly socket: ReliableSocket
  readonly problems: OutboxProblem[]
  /** Messages of other pages whose outcome this tab has told. */
  readonly outcomes: (Outcome & { data?: unknown })[]
  readonly errors: Error[]
  /** The browser fires this event at the page. */
  fire(type: 'pagehide' | 'pageshow' | 'freeze' | 'resume'): void
  /** The tab crashes: nothing of it runs any more, and its lock is free. */
  crash(): void
}

export interface Browser {
  readonly indexedDB: IDBFactory
  open(url: string, options?: IndexedDbOutboxOptions & { name?: string }, more?: ReliableOptions): Tab
}

/** A browser: what its tabs store remains when they are gone. */
export const startBrowser = ({ hasLocks = true }: { hasLocks?: boolean } = {}): Browser => {
  const indexedDB = new IDBFactory()
  const locks = new Locks()
  vi.stubGlobal('indexedDB', indexedDB)
  cleanup(() => vi.unstubAllGlobals())

  return {
    indexedDB,
    open(url, { name = 'orders', ...options } = {}, more = {}) {
      const page = new EventTarget()
      let isCrashed = false
      const channels: BroadcastChannel[] = []
      class Channel extends PlatformChannel {
        constructor(name: string) {
          super(name)
          channels.push(this)
        }
        override postMessage(message: unknown) {
          if (!isCrashed) super.postMessage(message)
        }
      }
      const held: AbortController[] = []
      const mine = {
        request(
          name: string,
          { signal, ifAvailable }: { signal?: AbortSignal; ifAvailable?: boolean },
          run: (lock?: object | null) => unknown,
        ) {
          const crash = new AbortController()
          held.push(crash)
          const signals = [crash.signal, ...(signal ? [signal] : [])]
          return locks.request(name, { signal: AbortSignal.any(signals), ifAvailable }, lock =>
            Promise.race([
              run(lock),
              new Promise<void>(free => crash.signal.addEventListener('abort', () => free())),
            ]),
          )
        },
      }
      vi.stubGlobal('navigator', hasLocks ? { locks: mine } : {})
      vi.stubGlobal('BroadcastChannel', Channel)
      vi.stubGlobal('addEventListener', page.addEventListener.bind(page))
      vi.stubGlobal('document', page)
      const natives: WebSocket[] = []
      class Native extends WebSocket {
        constructor(...args: ConstructorParameters<typeof WebSocket>) {
          super(...args)
          natives.push(this)
        }
      }
      const outbox = indexedDbOutbox(name, options)
      const problems: OutboxProblem[] = []
      outbox.on('problem', problem => problems.push(problem))
      const socket = createReliableSocket(url, {
        WebSocket: Native as never,
        retry: () => !isCrashed && 10,
        wake: false,
        outbox,
        ...more,
      })
      vi.stubGlobal('document', undefined)
      const errors: Error[] = []
      const outcomes: Tab['outcomes'] = []
      socket.on('error', error => errors.push(error))
      socket.on('outcome', outcome => outcomes.push(outcome))
      const end = () => {
        isCrashed = true
        socket.close()
        for (const channel of channels) channel.close()
      }
      cleanup(end)
      return {
        outbox,
        socket,
        problems,
        outcomes,
        errors,
        fire: type => void page.dispatchEvent(new Event(type)),
        crash() {
          isCrashed = true
          for (const native of natives) native.terminate()
          for (const channel of channels.splice(0)) channel.close()
          for (const controller of held) controller.abort()
        },
      }
    },
  }
}

/** A server that writes down what its handler is called with. `gate`: handlers wait for it. */
export const startServer = async (gate: { wait?: Promise<unknown> | undefined } = {}) => {
  const handled: unknown[] = []
  const ids: (string | undefined)[] = []
  const store = memoryStore()
  const start = () =>
    startNode({
      store,
      authorize: ({ url }) => url?.slice(1).split('?')[0] || true,
      async onMessage({ data, id }) {
        await gate.wait
        if (data === 'refuse me') throw Object.assign(new Error('no'), { name: 'Refused' })
        handled.push(data)
        ids.push(id)
      },
      onError: () => {},
    })
  return { ...(await start()), start, handled, ids }
}

export const until = (check: () => unknown) => eventually(async () => expect(await check()).toBeTruthy(), 5)
