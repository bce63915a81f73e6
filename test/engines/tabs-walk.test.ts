// A random walk over many tabs that share a connection: they are closed, reloaded, cached, frozen, crashed, and signed out, while all of
// them send and receive. No message arrives twice, and each tab that is left has a verdict on each of its messages.

import { once } from 'node:events'
import { writeSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import type * as Reliable from '../../src/reliable.ts'
import { createReliableServer } from '../../src/server.ts'
import type * as Tabs from '../../src/tabs.ts'
import { startServer } from '../interop/ws.ts'
import { createRandom } from '../support/random.ts'
import { byEffort, effort } from '../support/run.ts'
import { createWatch } from '../support/watch.ts'
import type { Page } from './page.ts'
import { inEveryEngine, type Rig } from './rig.ts'

/** The entry `tabs`, a global of the page. */
declare const SteadyTabs: typeof Tabs & typeof Reliable

/** Globals of the page, set by `begin`. */
declare const walk: {
  readonly socket: Tabs.TabsSocket
  readonly sent: string[]
  readonly drops: Record<string, string>
  silence: number
  /** Messages of the server that arrived twice, or are missing although no gap was reported. */
  readonly faults: string[]
  send(count: number): void
  /** Resolves when this message has arrived. */
  heard(tick: number): Promise<void>
  settled(): Promise<void>
}

const WORKER = '/dist/steadysocket.tabs-worker.js'

const TABS = byEffort(3, 3, 20)
const ROUNDS = byEffort(4, 5, 170)

/** In the page. */
function begin(name: string, url: string, worker: string | undefined, isReliable: boolean) {
  const sent: string[] = []
  const drops: Record<string, string> = {}
  const faults: string[] = []
  const checks = new Set<() => void>()
  let last = 0
  let tick = 0
  const until = (holds: () => boolean) =>
    new Promise<void>(resolve => {
      const check = () => {
        if (!holds()) return
        checks.delete(check)
        resolve()
      }
      checks.add(check)
      check()
    })
  const look = () => {
    for (const check of checks) check()
  }
  const onTick = (text: string) => {
    const now = Date.now()
    if (last) walk.silence = Math.max(walk.silence, now - last)
    last = now
    const next = Number(text)
    if (isReliable && tick && next !== tick + 1) faults.push(`${next} after ${tick}`)
    tick = next
    look()
  }
  const onDrop = (text: string, reason: string) => {
    drops[text] = reason
    look()
  }
  const createReliable = () => {
    const { reliableSocketOver, shareSession } = SteadyTabs
    const socket = reliableSocketOver(shareSession({ key: 'walk', worker }))(url)
    socket.on('message', ({ data }) => onTick(String(data)))
    socket.on('gap', () => {
      tick = 0
    })
    const send = (text: string) =>
      void socket.send(text, { event: 'walk' }).then(({ status }) => {
        if (status !== 'delivered') onDrop(text, status)
        look()
      })
    return { socket, send, left: () => socket.stats.queued + socket.stats.inFlight }
  }
  const createPlain = () => {
    const socket = SteadyTabs.createTabsSocket(url, { ...(worker && { worker }), key: 'walk' })
    socket.on('text', onTick)
    socket.on('state', ({ name }) => {
      if (name === 'closed') socket.connect()
    })
    socket.on('drop', ({ data, reason }) => onDrop(String(data), reason))
    return { socket, send: (text: string) => void socket.send(text), left: () => socket.queued }
  }
  const { socket, send, left } = isReliable ? createReliable() : createPlain()
  ;(socket as Tabs.TabsSocket).on('state', look)
  const timer = setInterval(look, 100)
  const walk = {
    ...{ socket, sent, drops, faults, timer, silence: 0 },
    send(count: number) {
      for (let i = 0; i < count; i++) {
        const text = `${name} ${sent.length}`
        sent.push(text)
        send(text)
      }
    },
    heard: (wanted: number) => until(() => tick >= wanted),
    settled: () => until(() => left() === 0 && socket.state.name === 'open'),
  }
  for (const type of ['pagehide', 'freeze', 'pageshow', 'resume']) {
    const onEvent = () => {
      last = 0
    }
    addEventListener(type, onEvent, true)
  }
  Object.assign(window, { walk })
}

/** A server that records what arrives, and can tell all clients something. */
const startPlain = async (rig: Rig) => {
  const server = rig.keep(await startServer())
  return {
    url: `${server.url}/sink`,
    push: (text: string) => server.push(text),
    received: () => server.received.map(({ data }) => `${data}`),
    until: (text: string) => server.until(() => server.received.some(({ data }) => data === text)),
    connections: () => server.connections.length,
    clients: () => server.clients.length,
  }
}

const startReliable = async (rig: Rig): ReturnType<typeof startPlain> => {
  const wss = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(wss, 'listening')
  const received: string[] = []
  const watch = createWatch()
  let connections = 0
  wss.on('connection', () => connections++)
  const server = createReliableServer(wss, {
    // The page has another origin, because of its port.
    origins: () => true,
    onMessage({ data }) {
      received.push(String(data))
      watch.look()
    },
  })
  rig.keep({
    async stop() {
      await server.close({ timeout: 0 })
      wss.close()
    },
  })
  return {
    url: `ws://127.0.0.1:${(wss.address() as AddressInfo).port}/`,
    push: text => void server.broadcast(text),
    received: () => received,
    until: text => watch.until(() => received.includes(text)),
    connections: () => connections,
    clients: () => wss.clients.size,
  }
}

type Step = 'close' | 'reload' | 'cache' | 'freeze' | 'crash' | 'sign out'

const take = async (rig: Rig, worker: string | undefined, isReliable: boolean) => {
  const random = createRandom(Number(process.env.SEED ?? 7))
  const server = await (isReliable ? startReliable : startPlain)(rig)
  const steps: Step[] = ['close', 'reload', 'cache']
  if (!isReliable) steps.push('sign out')
  if (await rig.can('freezing a page')) steps.push('freeze')
  if (await rig.can('the DevTools protocol')) steps.push('crash')
  let tick = 0
  let made = 0
  const timer = setInterval(() => {
    tick++
    server.push(`${tick}`)
  }, 20)
  rig.keep({ stop: () => clearInterval(timer) })
  const load = async (page: Page) => {
    await page.evaluate(`Promise.all([import('/dist/tabs.js'), import('/dist/reliable.js')]).then(all => {
      globalThis.SteadyTabs = Object.assign({}, ...all)
    })`)
    await page.evaluate(begin, `tab${made++}`, server.url, worker, isReliable)
  }
  const create = async () => {
    const page = await rig.engine.open(rig.site.page({ scripts: [] }))
    // The walk may have closed it.
    rig.keep({ stop: () => page.close().catch(() => {}) })
    await load(page)
    return page
  }
  /** Each message of a tab that is left, with the reason if it was dropped. */
  const faults: string[] = []
  const verdicts = new Map<string, string | undefined>()
  const collect = async (page: Page) => {
    const { sent, drops } = await page.evaluate(() => ({ sent: walk.sent, drops: walk.drops }))
    faults.push(...(await page.evaluate(() => walk.faults)))
    for (const text of sent) verdicts.set(text, drops[text])
  }
  const pages: Page[] = []
  for (let i = 0; i < TABS; i++) pages.push(await create())
  const silences: [Step, number][] = []

  const perform = async (step: Step, page: Page): Promise<Page> => {
    if (step === 'sign out') await page.evaluate(() => walk.socket.signOut())
    else if (step === 'close') {
      await page.close()
      return create()
    } else if (step === 'crash') {
      page.cdp?.('Page.crash').catch(() => {})
      return create()
    } else if (step === 'freeze') {
      await page.hide()
      await page.cdp?.('Page.setWebLifecycleState', { state: 'frozen' })
      await page.cdp?.('Page.setWebLifecycleState', { state: 'active' })
      await page.show()
    } else {
      await page.goto(rig.site.page({ scripts: [] }))
      if (step === 'cache') await page.back()
      if (!(await page.evaluate(() => 'walk' in window))) await load(page)
    }
    return page
  }

  for (let round = 0; round < ROUNDS; round++) {
    const step = random.of(steps) as Step
    const index = random.below(pages.length)
    const [page] = pages.splice(index, 1) as [Page]
    const others = [...pages]
    for (const other of others) {
      await other.evaluate(() => {
        walk.silence = 0
        walk.send(2)
      })
    }
    await page.evaluate(() => walk.send(2))
    const performed = perform(step, page)
    for (const other of others) await other.evaluate(() => walk.send(2))
    pages.push(await performed)
    const now = tick + 1
    for (const other of pages) await other.evaluate((now: number) => walk.heard(now), now)
    const measured = await Promise.all(others.map(other => other.evaluate(() => walk.silence)))
    silences.push([step, Math.max(...measured)])
  }
  for (const page of pages) {
    await page.evaluate(() => walk.settled())
    await collect(page)
  }
  const counts = new Map<string, number>()
  // Whatever was sent before the last message of a tab has arrived with it.
  await pages[0]?.evaluate(() => walk.send(1))
  const end = (await pages[0]?.evaluate(() => walk.sent[walk.sent.length - 1])) as string
  await server.until(end)
  for (const text of server.received()) counts.set(text, (counts.get(text) ?? 0) + 1)
  const [connections, clients] = [server.connections(), server.clients()]
  return { counts, verdicts, silences, faults, connections, clients }
}

/** Shown with `npx vitest --silent=false`. */
const report = (
  engine: string,
  name: string,
  silences: [Step, number][],
  dropped: [string, string | undefined][],
  more: object,
) => {
  const reasons: Record<string, number> = {}
  for (const [, reason] of dropped) reasons[String(reason)] = (reasons[String(reason)] ?? 0) + 1
  const times = [...new Set(silences.map(([step]) => step))].map(step => {
    const all = silences.filter(([name]) => name === step).map(([, ms]) => ms)
    all.sort((a, b) => a - b)
    return `${step}: ${all.length} times, median ${all[all.length >> 1]} ms, longest ${all.at(-1)} ms`
  })
  writeSync(2, `${engine} ${name} ${JSON.stringify({ ...more, reasons, times })}\n`)
}

inEveryEngine(rig => {
  const all = [
    ['a connection that is held by a tab', undefined, false],
    ['a reliable session that is held by a shared worker', WORKER, true],
    ['a connection that is held by a shared worker', WORKER, false],
    ['a reliable session that is held by a tab', undefined, true],
  ] as const
  describe.each(all.slice(0, byEffort(2, 2, 4)))('%s', (name, worker, isReliable) => {
    test('repeats no message, and loses none without a verdict, whatever happens to the tabs', {
      timeout: byEffort(60_000, 200_000, 1_200_000),
    }, async () => {
      const { counts, verdicts, silences, faults, connections, clients } = await take(rig, worker, isReliable)
      const twice = [...counts].filter(([, count]) => count > 1)
      const dropped = [...verdicts].filter(([, reason]) => reason)
      const unaccounted = [...verdicts].filter(([text, reason]) => !reason && !counts.has(text))
      if (effort === 'soak') {
        report(rig.name, name, silences, dropped, {
          ...{ arrived: counts.size, connections, twice, unaccounted, faults },
        })
      }
      expect(twice).toEqual([])
      expect(clients).toBe(1)
      expect(dropped.filter(([text, reason]) => reason !== 'unknown' && counts.has(text))).toEqual([])
      // A verdict of a reliable session is `unknown` if the session was lost, because a tab without it was the first to join the next hub.
      if (isReliable) expect({ faults, unaccounted }).toEqual({ faults: [], unaccounted: [] })
      // A bare WebSocket does not know what arrived when its process crashed.
      else if (!silences.some(([step]) => step === 'crash')) expect(unaccounted).toEqual([])
    })
  })
})
