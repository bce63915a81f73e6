// A random walk over many tabs that share a connection: they are closed, reloaded, cached, frozen, crashed, and signed out, while all of
// them send and receive. No message arrives twice, and each tab that is left has a verdict on each of its messages.
import { describe, expect, test } from 'vitest'
import type * as Tabs from '../../src/tabs.ts'
import { startServer } from '../interop/ws.ts'
import { createRandom } from '../support/random.ts'
import { byEffort, effort } from '../support/run.ts'
import type { Page } from './page.ts'
import { inEveryEngine, type Rig } from './rig.ts'

/** The module, in the page. */
declare const SteadyTabs: typeof Tabs

/** What `begin` leaves in the page. */
declare const walk: {
  readonly socket: Tabs.TabsSocket
  readonly sent: string[]
  readonly drops: Record<string, string>
  silence: number
  send(count: number): void
  /** Resolves when this message has arrived. */
  heard(tick: number): Promise<void>
  settled(): Promise<void>
}

const TABS = byEffort(3, 3, 20)
const ROUNDS = byEffort(4, 6, 170)

/** In the page. */
function begin(name: string, url: string, worker: string | undefined) {
  const socket = SteadyTabs.createTabsSocket(url, { ...(worker && { worker }), key: 'walk' })
  const sent: string[] = []
  const drops: Record<string, string> = {}
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
  socket.on('text', text => {
    const now = Date.now()
    if (last) walk.silence = Math.max(walk.silence, now - last)
    last = now
    tick = Number(text)
    look()
  })
  socket.on('state', ({ name }) => {
    if (name === 'closed') socket.connect()
    look()
  })
  socket.on('drop', ({ data, reason }) => {
    drops[String(data)] = reason
    look()
  })
  const walk = {
    ...{ socket, sent, drops, silence: 0 },
    send(count: number) {
      for (let i = 0; i < count; i++) {
        const text = `${name} ${sent.length}`
        sent.push(text)
        socket.send(text)
      }
    },
    heard: (wanted: number) => until(() => tick >= wanted),
    settled: () => until(() => socket.queued === 0 && socket.state.name === 'open'),
  }
  for (const type of ['pagehide', 'freeze', 'pageshow', 'resume']) {
    addEventListener(
      type,
      () => {
        last = 0
      },
      true,
    )
  }
  Object.assign(window, { walk })
}

type Step = 'close' | 'reload' | 'cache' | 'freeze' | 'crash' | 'sign out'

const take = async (rig: Rig, url: string, worker: string | undefined) => {
  const random = createRandom(Number(process.env.SEED ?? 7))
  const server = rig.keep(await startServer())
  const steps: Step[] = ['close', 'reload', 'cache', 'sign out']
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
    await page.evaluate(
      "import('/dist/tabs.js').then(module => void Object.assign(window, { SteadyTabs: module }))",
    )
    await page.evaluate(begin, `tab${made++}`, `${server.url}${url}`, worker)
  }
  const create = async () => {
    const page = await rig.engine.open(rig.site.page({ scripts: [] }))
    // The walk may have closed it.
    rig.keep({ stop: () => page.close().catch(() => {}) })
    await load(page)
    return page
  }
  /** Each message of a tab that is left, with the reason if it was dropped. */
  const verdicts = new Map<string, string | undefined>()
  const collect = async (page: Page) => {
    const { sent, drops } = await page.evaluate(() => ({ sent: walk.sent, drops: walk.drops }))
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
  // What the server has been sent before this has arrived.
  await pages[0]?.evaluate(() => walk.socket.send('the end'))
  await server.until(() => server.received.some(({ data }) => data === 'the end'))
  const counts = new Map<string, number>()
  for (const { data } of server.received) counts.set(`${data}`, (counts.get(`${data}`) ?? 0) + 1)
  return {
    counts,
    verdicts,
    silences,
    connections: server.connections.length,
    clients: server.clients.length,
  }
}

inEveryEngine(rig => {
  describe.each([
    ['a tab', undefined],
    ['a shared worker', '/dist/steadysocket.tabs-worker.js'],
  ] as const)('a connection that is held by %s', (_, worker) => {
    test(
      'repeats no message, and loses none without a verdict, whatever happens to the tabs',
      async () => {
        const { counts, verdicts, silences, connections, clients } = await take(rig, '/sink', worker)
        const twice = [...counts].filter(([, count]) => count > 1)
        const arrived = [...verdicts].filter(([text]) => counts.has(text))
        const dropped = [...verdicts].filter(([, reason]) => reason)
        const unaccounted = [...verdicts].filter(([text, reason]) => !reason && !counts.has(text))
        if (effort === 'soak') {
          const worst = (step: Step) => {
            const times = silences.filter(([name]) => name === step).map(([, ms]) => ms)
            times.sort((a, b) => a - b)
            return `${step}: ${times.length}, median ${times[times.length >> 1]} ms, longest ${times.at(-1)} ms`
          }
          console.log(
            rig.name,
            worker ?? 'tab',
            JSON.stringify({
              ...{ arrived: arrived.length, connections, twice, unaccounted },
              dropped: dropped.reduce<Record<string, number>>((all, [, reason]) => {
                const name = String(reason)
                return Object.assign(all, { [name]: (all[name] ?? 0) + 1 })
              }, {}),
              silences: [...new Set(silences.map(([step]) => step))].map(worst),
            }),
          )
        }
        expect(twice).toEqual([])
        expect(clients).toBe(1)
        expect(dropped.filter(([text, reason]) => reason !== 'unknown' && counts.has(text))).toEqual([])
        // A bare WebSocket does not know what arrived when its process crashed.
        if (!silences.some(([step]) => step === 'crash')) expect(unaccounted).toEqual([])
      },
      byEffort(60_000, 120_000, 1_200_000),
    )
  })
})
