// Many reconnections leak neither sockets nor memory.
import { expect, test } from 'vitest'
import type * as Package from '../../src/index.ts'
import { startServer } from '../interop/ws.ts'
import { effort } from '../support/run.ts'
import type { Page } from './page.ts'
import { inEveryEngine, patience } from './rig.ts'

/** The global of the UMD bundle, in the page. */
declare const SteadySocket: typeof Package

const SOAK = effort === 'soak'
const cycles = SOAK ? 10_000 : 300

interface Cycling {
  /** Runs more cycles. */
  run(cycles: number): Promise<void>
  /** The number of native sockets that were created and are not closed. */
  readonly live: () => number
  readonly state?: () => string
  close?(): void
}
declare const ours: Cycling
declare const plain: Cycling

/**
 * In the page: creates `ours`, a socket that alternates between `reconnect()` and a connection that the server drops.
 */
function startOurs(url: string) {
  let made = 0
  let closed = 0
  const onClose = () => closed++
  class Counted extends WebSocket {
    constructor(url: string, protocols?: string | string[]) {
      super(url, protocols)
      made++
      this.addEventListener('close', onClose)
    }
  }
  let left = 0
  let done = () => {}
  const socket = SteadySocket.createSocket(() => `${url}${left > 0 && made % 2 ? '/drop' : '/echo'}`, {
    retry: () => 0,
    WebSocket: Counted,
    heartbeat: { message: 'ping' },
  })
  socket.on('open', ({ url }) => {
    if (left <= 0) return done()
    left--
    // The server drops the other connections.
    if (url.endsWith('/echo')) socket.reconnect()
  })
  const ours: Cycling = {
    run: cycles =>
      new Promise(resolve => {
        left = cycles
        done = resolve
        socket.reconnect()
      }),
    live: () => made - closed,
    state: () => socket.state.name,
    close: socket.close,
  }
  Object.assign(window, { ours })
}

/** In the page: creates `plain`, which does the same with native sockets, one after the other. */
function startPlain(url: string) {
  let live = 0
  const plain: Cycling = {
    run: cycles =>
      new Promise(resolve => {
        const cycle = (left: number) => {
          if (!left) return resolve()
          const native = new WebSocket(`${url}${left % 2 ? '/drop' : '/echo'}`)
          live++
          native.onopen = () => {
            if (left % 2 === 0) native.close()
          }
          native.onclose = () => {
            live--
            cycle(left - 1)
          }
        }
        cycle(cycles)
      }),
    live: () => live,
  }
  Object.assign(window, { plain })
}

async function heap(page: Page) {
  if (!page.cdp) return 0
  for (let i = 0; i < 3; i++) await page.cdp('HeapProfiler.collectGarbage')
  const { usedSize } = (await page.cdp('Runtime.getHeapUsage')) as { usedSize: number }
  return usedSize
}

inEveryEngine(rig => {
  test(`${cycles} reconnections leave one native socket, and the heap does not grow`, {
    timeout: patience + cycles * 60,
  }, async () => {
    const server = rig.keep(await startServer())
    const page = await rig.open()
    await page.evaluate(startOurs, server.url)
    await page.evaluate(startPlain, server.url)
    const measure = async (run: (cycles: number) => Promise<void>) => {
      // The first run is not measured, because it includes compilation.
      await page.evaluate(run, 50)
      const before = await heap(page)
      const since = performance.now()
      await page.evaluate(run, cycles)
      const time = (performance.now() - since) / cycles
      return { bytes: ((await heap(page)) - before) / cycles, time }
    }
    const own = await measure(cycles => ours.run(cycles))
    // The share of the engine.
    const native = SOAK ? await measure(cycles => plain.run(cycles)) : undefined

    await server.until(() => server.clients.length === 1)
    expect(await page.evaluate(() => [ours.live(), plain.live(), ours.state?.()])).toEqual([1, 0, 'open'])
    await page.evaluate(() => ours.close?.())
    await server.until(() => server.clients.length === 0)
    const format = ({ bytes, time }: typeof own) => `${bytes.toFixed(1)} B, ${time.toFixed(1)} ms per cycle`
    console.log(
      `${rig.name}, ${cycles} reconnections: ${format(own)}${native ? `; native: ${format(native)}` : ''}`,
    )
    // With a few hundred cycles, the measurement is mostly noise of the engine.
    if (native) expect(own.bytes - native.bytes).toBeLessThanOrEqual(20)
    else expect(own.bytes).toBeLessThan(500)
  })
}, 'chromium')
