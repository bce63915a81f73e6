// Calls and subscriptions in real browsers, through resets, cuts, freezes and restarts of the server. The log of the server shows which calls were executed.
import { test } from 'vitest'
import { startCallsServer } from '../interop/calls-server.ts'
import { callMany, judge, startFaults } from '../interop/calls-traffic.ts'
import { startProxy } from '../support/proxy.ts'
import { createRandom } from '../support/random.ts'
import { byEffort } from '../support/run.ts'
import { inEveryEngine } from './rig.ts'

const COUNT = byEffort(500, 2_000, 100_000)

/** Globals of the page, set by `load`. */
declare const entries: Parameters<typeof callMany>[0]
declare const run: typeof callMany

/** A string, because the test runner would transform an import in a function. */
const load = `Promise.all([import('/dist/index.js'), import('/dist/calls.js')]).then(all => {
  globalThis.entries = Object.assign({}, ...all)
  globalThis.run = ${callMany}
})`

/** In the page: makes the calls. Afterwards it waits for the number of the last item, which `finish` gives. */
const start = (url: string, count: number) => {
  const page = globalThis as any
  page.done = new Promise<void>(done => {
    page.traffic = run(
      entries,
      url,
      count,
      50,
      3,
      {},
      () =>
        new Promise<number>(finish => {
          page.finish = finish
          done()
        }),
    )
  })
}

inEveryEngine(rig => {
  test(`${COUNT} calls through faults of every kind: none hangs, none is executed twice by default, and every outcome is true`, async () => {
    const random = createRandom(16)
    const server = rig.keep(await startCallsServer(() => random.below(4)))
    const proxy = rig.keep(await startProxy({ port: server.port }))
    const page = await rig.open({ scripts: [] })
    await page.evaluate(load)
    const faults = startFaults(server, proxy, random, 200)
    await page.evaluate(start, proxy.url(), COUNT)
    await page.evaluate('globalThis.done')
    await faults.stop()
    const traffic = await page.evaluate((last: number) => {
      const { finish, traffic } = globalThis as any
      finish(last)
      return traffic as ReturnType<typeof callMany>
    }, server.items)
    const tally = judge(traffic, server)
    console.info(
      `${rig.name}: ${traffic.outcomes.length} calls over ${traffic.opens} connections, ${traffic.handovers} handovers`,
      tally,
      faults.counts,
    )
  })
})
