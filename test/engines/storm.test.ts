// Injects random faults during traffic in both directions. In the end, there must be one connection, and every message is accounted for.
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
  checkDelivery,
  merge,
  startTraffic,
  type Traffic,
  type TrafficRecord,
  takeRecord,
} from './traffic.ts'

declare const traffic: Traffic

const { STORM_SEED } = process.env
const SOAK = effort === 'soak'
/** The duration in milliseconds: one minute in Chromium, and ten minutes in each engine for `soak`. */
const length = SOAK ? 600_000 : 60_000

/** Seeds that have failed, each with the name of the bug. */
const knownSeeds: { readonly seed: number; readonly name: string }[] = []

interface Context {
  readonly server: TestServer
  readonly proxy: FaultProxy
  readonly page: Page
  /** Returns a random integer below the limit. */
  below(limit: number): number
  one<Thing>(things: readonly Thing[]): Thing
}

/** Injects a fault. May return a function that ends it. */
type Fault = (context: Context) => unknown

const anyDirection = ({ one }: Context) => one<Direction | 'both'>(['up', 'down', 'both'])

const faults: Record<string, Fault> = {
  reset: ({ proxy }) => proxy.reset(),
  end: ({ proxy }) => proxy.end(),
  freeze(context) {
    const direction = anyDirection(context)
    context.proxy.freeze(direction)
    return () => context.proxy.thaw(direction)
  },
  // Freezes only the current connection, so that the next one works. The old connection thaws while the new one is open.
  halfOpen(context) {
    const connection = context.proxy.connections[0]
    connection?.freeze(anyDirection(context))
    return () => connection?.thaw()
  },
  freezeAndReset({ proxy }) {
    const all: readonly Connection[] = proxy.connections
    for (const connection of all) connection.freeze()
    return () => {
      for (const connection of all) connection.reset()
    }
  },
  delay(context) {
    const direction = anyDirection(context)
    context.proxy.delay(context.below(150), direction)
    return () => context.proxy.delay(0, direction)
  },
  throttle(context) {
    context.proxy.throttle(1_000 + context.below(200_000))
    return () => context.proxy.throttle(Infinity)
  },
  cut(context) {
    const direction = context.one<Direction>(['up', 'down'])
    context.proxy.cutAfter(context.below(20_000), direction)
    return () => context.proxy.cutAfter(Infinity, direction)
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
  reconnect: ({ page }) => page.evaluate(() => traffic.socket.reconnect('storm')),
  reconnectTwice: ({ page }) =>
    page.evaluate(() => {
      traffic.socket.reconnect()
      traffic.socket.reconnect()
    }),
  closeAndConnect: ({ page, one }) =>
    page.evaluate(
      (code?: number) => {
        traffic.socket.close(code)
        traffic.socket.connect()
      },
      ...one<[code?: number]>([[], [1000], [4000]]),
    ),
  closeThenConnect({ page }) {
    const closed = page.evaluate(() => traffic.socket.close())
    return async () => {
      await closed
      await page.evaluate(() => traffic.socket.connect())
    }
  },
  flood: ({ page }) => page.evaluate(() => void traffic.send(40, 64 * 1024)),
  // More than the buffers of the browser and the operating system hold.
  async floodAndReset({ page, proxy }) {
    const all: readonly Connection[] = proxy.connections
    for (const connection of all) connection.freeze()
    await page.evaluate(() => void traffic.send(120, 64 * 1024))
    return () => {
      for (const connection of all) connection.reset()
    }
  },
}

const clearFaults = async ({ proxy, server }: Context) => {
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

/** Returns the heap size and the number of listeners of the page after garbage collection. Only in Chromium. */
async function memoryUse(page: Page) {
  if (!page.cdp) return undefined
  // A task that has not run yet may still refer to a closed connection.
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

/** In the page, before anything else: keeps track of the active timers. */
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
      // WebKitWebDriver sets a timer of ten minutes in the page for each script that it runs.
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

// One engine is enough, except for `soak`.
const only = SOAK ? undefined : 'chromium'

inEveryEngine(rig => {
  async function runFaults(seed: number) {
    const { below, of } = createRandom(seed)
    const server = rig.keep(await startServer())
    const proxy = rig.keep(await startProxy({ port: server.port }))
    const page = await rig.open()
    const context: Context = { server, proxy, page, below, one: things => of(things) as never }
    const records: TrafficRecord[] = []
    const arrived: Arrival[] = []
    /** Called repeatedly, because the server would otherwise keep too much data. */
    const collect = () => {
      arrived.push(...arrivals(server))
      server.clear()
    }
    const faultCounts: Record<string, number> = {}
    await page.cdp?.('Performance.enable')
    await page.evaluate(watchTimers)

    await page.evaluate(startTraffic, proxy.url('/echo'), {
      backoff: { base: 50, max: 300, spread: 100 },
      heartbeat: { interval: 400, timeout: 300 },
      connectTimeout: 1_000,
      minUptime: 200,
      queue: { maxBytes: 2 ** 21 },
    })
    await page.evaluate(async () => {
      // Connects again if the server has closed the connection with a final code.
      traffic.socket.on('state', state => {
        if (state.name === 'closed' && state.cause?.code !== 'CLOSED') setTimeout(traffic.socket.connect, 50)
      })
      await traffic.until('open', 1)
    })
    let pushed = 0
    const pushing = setInterval(() => server.push(`push ${++pushed}`), 10)
    rig.keep({ stop: () => clearInterval(pushing) })
    await page.evaluate(() => traffic.stream(5, [10, 10, 10, 300, 5_000]))
    await page.evaluate(() => traffic.until('echo', 20))
    records.push(await takeRecord(page))
    const before = await memoryUse(page)

    const names = Object.keys(faults)
    const end = performance.now() + length
    while (performance.now() < end) {
      const undos: (() => unknown)[] = []
      // Up to three faults at a time, because other tests cover single faults.
      for (let left = 1 + below(3); left > 0; left--) {
        const name = context.one(names)
        faultCounts[name] = (faultCounts[name] ?? 0) + 1
        const undo = await (faults[name] as Fault)(context)
        if (typeof undo === 'function') undos.push(undo as () => unknown)
        await new Promise(resolve => setTimeout(resolve, below(2) * below(300)))
      }
      await new Promise(resolve => setTimeout(resolve, below(800)))
      for (const undo of undos) await undo()
      // Half of the time, waits until the connection has recovered.
      if (below(2)) {
        await clearFaults(context)
        await page.evaluate(() => traffic.until('echo', traffic.count('echo') + 5))
      }
      collect()
    }

    await clearFaults(context)
    await page.evaluate(() => traffic.until('echo', traffic.count('echo') + 5))
    await page.evaluate(() => {
      traffic.stop()
      return traffic.echoed(traffic.send(1, 10))
    })
    clearInterval(pushing)
    // All abandoned connections are closed, in the page and at the server.
    await server.until(() => server.clients.length === 1)
    await page.evaluate(() => traffic.poll(() => traffic.live === 1))
    expect(server.clients.length).toBe(1)
    expect(await page.evaluate(() => traffic.socket.state.name)).toBe('open')

    collect()
    records.push(await takeRecord(page))
    const record = merge(records)
    const { unknown, ...delivery } = checkDelivery(record, arrived)
    expect(record.closes.length).toBe(record.opens.length - 1)
    expect(record.opens.length).toBe(record.stats.connections)
    let after = await memoryUse(page)
    // A busy machine collects garbage later, but leaks are never collected.
    for (let left = 10; before && after && left > 0 && after.listeners - before.listeners > 2; left--) {
      await page.evaluate(() => traffic.echoed(traffic.send(1, 10)))
      after = await memoryUse(page)
    }
    const waiting = await page.evaluate(() => timers.size)
    await page.evaluate(() => traffic.socket.close())
    await server.until(() => server.clients.length === 0)
    // The recording of `unsent` uses a timer, too.
    await page.evaluate(() =>
      traffic.untilTrue(() => traffic.natives.every(({ unsent }) => unsent.length === 2)),
    )
    expect(await page.evaluate(() => traffic.live)).toBe(0)
    const left = await page.evaluate(() => timers.size)

    const { attempts, connections } = record.stats
    const { order: _, ...counts } = delivery
    console.log(`${rig.name}, seed ${seed}, ${length / 1_000} s:`, {
      ...counts,
      unknown: unknown.length,
      attempts,
      connections,
      'received from the server': record.pushes.length,
      'heap before': before?.heap,
      'heap after': after?.heap,
      'listeners before': before?.listeners,
      'listeners after': after?.listeners,
      'timers while open': waiting,
      'timers after close()': left,
      faults: Object.values(faultCounts).reduce((sum, times) => sum + times),
    })
    // The timer of the heartbeat, and the timer that checks a buffer that is not empty.
    expect(waiting).toBeLessThanOrEqual(2)
    expect(left).toBe(0)
    if (before && after) {
      expect(after.listeners - before.listeners).toBeLessThanOrEqual(2)
      expect(after.heap - before.heap).toBeLessThan(500_000)
    }
  }

  const seed = Number(STORM_SEED ?? (SOAK ? Math.floor(Math.random() * 1e9) : 20_261_121))
  test(
    `a socket survives random faults, and every message is accounted for (seed ${seed})`,
    { timeout: length + patience },
    () => runFaults(seed),
  )

  if (SOAK) {
    for (const { seed, name } of knownSeeds) test(name, { timeout: length + patience }, () => runFaults(seed))
  }
}, only)
