// One test file, every engine: the frame that each browser test begins with.
import { afterAll, afterEach, beforeAll, describe, test, vi } from 'vitest'
import { type Engine, engines, type Page } from './engines.ts'
import { type PageOptions, type Site, startSite } from './site.ts'

export interface Rig {
  readonly name: Engine['name']
  readonly engine: Engine
  readonly site: Site
  /** Opens a page of the site in a tab of its own, which is closed after the test. */
  open(options?: PageOptions): Promise<Page>
  /** Ends this after the test, before what was there earlier. */
  keep<Kept extends { close(): unknown } | { stop(): unknown }>(kept: Kept): Kept
}

/** A browser on a busy machine may take its time; no test waits for less than it needs. */
const patience = 60_000

/**
 * Describes the same tests for every engine that is there.
 *
 * ```ts
 * inEveryEngine(rig => {
 *   test('opens', async () => {
 *     const server = rig.keep(await startServer())
 *     const page = await rig.open()
 *     await page.evaluate(url => SteadySocket.createSocket(url), server.url)
 *     …
 * ```
 */
export function inEveryEngine(body: (rig: Rig) => void): void {
  const launchers = engines()
  // A file without a test is an error to vitest. That an engine is missing has been said.
  if (launchers.length === 0) test.skip('no engine here')

  describe.each(launchers)('$name', ({ name, launch }) => {
    vi.setConfig({ testTimeout: patience, hookTimeout: patience * 2 })
    const kept: ({ close(): unknown } | { stop(): unknown })[] = []
    let engine: Engine | undefined
    let site: Site | undefined

    const there = <Thing>(thing: Thing | undefined): Thing => {
      if (thing === undefined) throw new Error('the rig is up only while tests run')
      return thing
    }
    const keep: Rig['keep'] = one => {
      kept.push(one)
      return one
    }

    beforeAll(async () => {
      site = await startSite()
      engine = await launch()
    })
    afterEach(async () => {
      for (const one of kept.splice(0).reverse()) await ('close' in one ? one.close() : one.stop())
    })
    afterAll(async () => {
      await engine?.close()
      await site?.close()
    })

    body({
      name,
      get engine() {
        return there(engine)
      },
      get site() {
        return there(site)
      },
      open: async options => keep(await there(engine).open(there(site).page(options))),
      keep,
    })
  })
}
