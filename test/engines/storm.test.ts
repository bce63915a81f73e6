// All faults at random, and traffic both ways. In the end one connection, and an account that comes out even.
import { expect, test } from 'vitest'
import { startServer, type TestServer } from '../interop/ws.ts'
import { type Connection, type Direction, type FaultProxy, startProxy } from '../support/proxy.ts'
import { createRandom } from '../support/random.ts'
import { effort } from '../support/run.ts'
import type { Page } from './page.ts'
import { inEveryEngine, patience } from './rig.ts'
import {
  type Arrival,
  arrivals,
  harvest,
  merge,
  settle,
  startTalk,
  type Talk,
  type TalkRecord,
} from './talk.ts'

declare const talk: Talk

const { STORM_SEED } = process.env
const SOAK = effort === 'soak'
/** How long, in milliseconds: two minutes in Chromium with every test run, ten in each engine where there is time. */
const length = SOAK ? 600_000 : 120_000

/** Seeds that failed once, each with the name of what it showed. */
const known: { readonly seed: number; readonly name: string }[] = []

interface Sky {
  readonly server: TestServer
  readonly proxy: FaultProxy
  readonly page: Page
  /** A whole number below. */
  below(limit: number): number
  one<Thing>(things: readonly Thing[]): Thing
}

/** What can happen; what is returned undoes it. */
type Fault = (sky: Sky) => unknown

const anyDirection = ({ one }: Sky) => one<Direction | 'both'>(['up', 'down', 'both'])

const faults: Record<string, Fault> = {
  reset: ({ proxy }) => proxy.reset(),
  end: ({ proxy }) => proxy.end(),
  freeze(sky) {
    const direction = anyDirection(sky)
    sky.proxy.freeze(direction)
    return () => sky.proxy.thaw(direction)
  },
  // The same for one connection alone, so that its heir is well: the old peer comes back to life beside it.
  halfOpen(sky) {
    const connection = sky.proxy.connections[0]
    connection?.freeze(anyDirection(sky))
    return () => connection?.thaw()
  },
  freezeAndReset({ proxy }) {
    const all: readonly Connection[] = proxy.connections
    for (const connection of all) connection.freeze()
    return () => {
      for (const connection of all) connection.reset()
    }
  },
  delay(sky) {
    const direction = anyDirection(sky)
    sky.proxy.delay(sky.below(150), direction)
    return () => sky.proxy.delay(0, direction)
  },
  throttle(sky) {
    sky.proxy.throttle(1_000 + sky.below(200_000))
    return () => sky.proxy.throttle(Infinity)
  },
  cut(sky) {
    const direction = sky.one<Direction>(['up', 'down'])
    sky.proxy.cutAfter(sky.below(20_000), direction)
    return () => sky.proxy.cutAfter(Infinity, direction)
  },
  refuse({ proxy }) {
    proxy.refuse(true)
    proxy.reset()
    return () => proxy.refuse(false)
  },
  async closePort({ proxy }) {
    await proxy.listen(false)
    proxy.reset()
    return () => proxy.listen(true)
  },
  hang({ proxy }) {
    proxy.hang(true)
    proxy.reset()
    return () => {
      proxy.hang(false)
      proxy.thaw()
    }
  },
  status({ server, one }) {
    server.refuse(one([401, 429, 500, 503]))
    server.terminateAll()
    return () => server.refuse(false)
  },
  slowHandshake({ server, proxy, below }) {
    server.slowHandshake(below(300))
    proxy.reset()
    return () => server.slowHandshake(0)
  },
  close({ server, one }) {
    server.closeAll(one([1000, 1001, 1003, 1008, 1011, 1012, 1013, 3000, 4000, 4401, 4429]), 'storm')
  },
  retryAfter: ({ server }) => server.closeAll(1013, 'retry-after=0'),
  terminate: ({ server }) => server.terminateAll(),
  restart: ({ server }) => server.restart(),
  async stop({ server }) {
    await server.stop()
    return () => server.restart()
  },
  reconnect: ({ page }) => page.evaluate(() => talk.socket.reconnect('storm')),
  reconnectTwice: ({ page }) =>
    page.evaluate(() => {
      talk.socket.reconnect()
      talk.socket.reconnect()
    }),
  closeAndConnect: ({ page, one }) =>
    page.evaluate(
      (code?: number) => {
        talk.socket.close(code)
        talk.socket.connect()
      },
      ...one<[code?: number]>([[], [1000], [4000]]),
    ),
  closeThenConnect({ page }) {
    const closed = page.evaluate(() => talk.socket.close())
    return async () => {
      await closed
      await page.evaluate(() => talk.socket.connect())
    }
  },
  flood: ({ page }) => page.evaluate(() => void talk.send(40, 64 * 1024)),
  // More than the browser and the system will take: something is left when it ends, and something does not fit at all.
  async floodAndReset({ page, proxy }) {
    const all: readonly Connection[] = proxy.connections
    for (const connection of all) connection.freeze()
    await page.evaluate(() => void talk.send(120, 64 * 1024))
    return () => {
      for (const connection of all) connection.reset()
    }
  },
}

const calm = async ({ proxy, server }: Sky) => {
  await proxy.listen(true)
  proxy.refuse(false)
  proxy.hang(false)
  proxy.delay(0)
  proxy.throttle(Infinity)
  for (const direction of ['up', 'down'] as const) proxy.cutAfter(Infinity, direction)
  server.refuse(false)
  server.slowHandshake(0)
  proxy.thaw()
}

/** What Chromium holds of the page, once the garbage is gone. */
async function footprint(page: Page) {
  if (!page.cdp) return undefined
  // A connection that has just ended may be held by a task that has not run.
  for (let i = 0; i < 3; i++) await page.cdp('HeapProfiler.collectGarbage')
  const { usedSize } = (await page.cdp('Runtime.getHeapUsage')) as { usedSize: number }
  const { metrics } = (await page.cdp('Performance.getMetrics')) as {
    metrics: { name: string; value: number }[]
  }
  return {
    heap: usedSize,
    listeners: metrics.find(({ name }) => name === 'JSEventListeners')?.value as number,
  }
}

/** In the page, before anything else: counts the timers that are set. */
function watchTimers() {
  const timers = new Set<unknown>()
  const { setTimeout: set, clearTimeout: clear } = window
  Object.assign(window, {
    timers,
    setTimeout(job: (...args: unknown[]) => void, delay?: number, ...args: unknown[]) {
      const timer = set(() => {
        timers.delete(timer)
        job(...args)
      }, delay)
      // WebKitWebDriver guards each script that it runs with a timer in the page, of ten minutes.
      if (delay !== 600_000) timers.add(timer)
      return timer
    },
    clearTimeout(timer: number) {
      timers.delete(timer)
      clear(timer)
    },
  })
}
declare const timers: Set<unknown>

// One engine will do, but where there is time.
const only = SOAK ? undefined : 'chromium'

inEveryEngine(rig => {
  async function storm(seed: number) {
    const { below, of } = createRandom(seed)
    const server = rig.keep(await startServer())
    const proxy = rig.keep(await startProxy({ port: server.port }))
    const page = await rig.open()
    const sky: Sky = { server, proxy, page, below, one: things => of(things) as never }
    const records: TalkRecord[] = []
    const arrived: Arrival[] = []
    /** What the server keeps is large in the end. */
    const collect = () => {
      arrived.push(...arrivals(server))
      server.clear()
    }
    const told: Record<string, number> = {}
    await page.cdp?.('Performance.enable')
    await page.evaluate(watchTimers)

    await page.evaluate(startTalk, proxy.url('/echo'), {
      backoff: { base: 50, max: 300, spread: 100 },
      heartbeat: { interval: 400, timeout: 300 },
      connectTimeout: 1_000,
      minUptime: 200,
      queue: { maxBytes: 2 ** 21 },
    })
    await page.evaluate(async () => {
      // What the server ended for good begins anew, a little later.
      talk.socket.on('state', state => {
        if (state.name === 'closed' && state.cause?.code !== 'CLOSED') setTimeout(talk.socket.connect, 50)
      })
      await talk.until('open', 1)
    })
    let pushed = 0
    const pushing = setInterval(() => server.push(`push ${++pushed}`), 10)
    rig.keep({ stop: () => clearInterval(pushing) })
    await page.evaluate(() => talk.stream(5, [10, 10, 10, 300, 5_000]))
    await page.evaluate(() => talk.until('echo', 20))
    records.push(await harvest(page))
    const before = await footprint(page)

    const names = Object.keys(faults)
    const end = performance.now() + length
    while (performance.now() < end) {
      const undone: (() => unknown)[] = []
      // Up to three at a time: what each does is known, what they do together is not.
      for (let left = 1 + below(3); left > 0; left--) {
        const name = sky.one(names)
        told[name] = (told[name] ?? 0) + 1
        const undo = await (faults[name] as Fault)(sky)
        if (typeof undo === 'function') undone.push(undo as () => unknown)
        await new Promise(resolve => setTimeout(resolve, below(2) * below(300)))
      }
      await new Promise(resolve => setTimeout(resolve, below(800)))
      for (const undo of undone) await undo()
      // Half of the time the next fault does not wait until all is well.
      if (below(2)) {
        await calm(sky)
        await page.evaluate(() => talk.until('echo', talk.count('echo') + 5))
      }
      collect()
    }

    await calm(sky)
    await page.evaluate(() => talk.until('echo', talk.count('echo') + 5))
    await page.evaluate(() => {
      talk.stop()
      return talk.heard(talk.send(1, 10))
    })
    clearInterval(pushing)
    // All that was given up has come to its end, here and there.
    await server.until(() => server.clients.length === 1)
    await page.evaluate(() => talk.polled(() => talk.live === 1))
    expect(server.clients.length).toBe(1)
    expect(await page.evaluate(() => talk.socket.state.name)).toBe('open')

    collect()
    records.push(await harvest(page))
    const record = merge(records)
    const { unknown, ...account } = settle(record, arrived)
    expect(record.closes.length).toBe(record.opens.length - 1)
    expect(record.opens.length).toBe(record.stats.connections)
    let after = await footprint(page)
    // A busy machine collects later what it has let go of. What leaks is never collected.
    for (let left = 10; before && after && left > 0 && after.listeners - before.listeners > 2; left--) {
      await page.evaluate(() => talk.heard(talk.send(1, 10)))
      after = await footprint(page)
    }
    const waiting = await page.evaluate(() => timers.size)
    await page.evaluate(() => talk.socket.close())
    await server.until(() => server.clients.length === 0)
    // Our own second reading is a timer, too.
    await page.evaluate(() => talk.holds(() => talk.natives.every(({ unsent }) => unsent.length === 2)))
    expect(await page.evaluate(() => talk.live)).toBe(0)
    const left = await page.evaluate(() => timers.size)

    const { attempts, connections } = record.stats
    const { order: _, ...counts } = account
    console.log(`${rig.name}, seed ${seed}, ${length / 1_000} s:`, {
      ...counts,
      unknown: unknown.length,
      attempts,
      connections,
      'heard from the server': record.pushes.length,
      'heap before': before?.heap,
      'heap after': after?.heap,
      'listeners before': before?.listeners,
      'listeners after': after?.listeners,
      'timers while open': waiting,
      'timers after close()': left,
      faults: Object.values(told).reduce((sum, times) => sum + times),
    })
    // The heartbeat's, and that of a buffer that has not yet been seen empty.
    expect(waiting).toBeLessThanOrEqual(2)
    expect(left).toBe(0)
    if (before && after) {
      expect(after.listeners - before.listeners).toBeLessThanOrEqual(2)
      expect(after.heap - before.heap).toBeLessThan(500_000)
    }
  }

  const seed = Number(STORM_SEED ?? (SOAK ? Math.floor(Math.random() * 1e9) : 20_261_121))
  test(
    `survives a storm of faults, and accounts for every message (seed ${seed})`,
    { timeout: length + patience },
    () => storm(seed),
  )

  if (SOAK) {
    for (const { seed, name } of known) test(name, { timeout: length + patience }, () => storm(seed))
  }
}, only)
