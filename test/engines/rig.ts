// One test file, every engine: the frame that each browser test begins with.
import { afterAll, afterEach, beforeAll, beforeEach, describe, type TestContext, test, vi } from 'vitest'
import { type Capability, find, without } from './capabilities.ts'
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
  /** Whether the engine can do this, for tests that expect one thing or another. Before a page is open: it opens one itself. */
  can(capability: Capability): Promise<boolean>
  /** Skips the test in an engine that cannot do this, and says so. Likewise before a page is open. */
  needs(capability: Capability): Promise<void>
}

/** No assertion, only what ends a run that hangs: a browser on a busy machine may take its time. */
export const patience = 300_000

/** What is left of a page that does not answer any more. */
const answer = 5_000

/** In the page: what there is to see, and what the tests keep in globals. */
const look = () => {
  const { diary, talk, demo } = globalThis as any
  return {
    url: location.href,
    visibility: document.visibilityState,
    text: document.body?.innerText.slice(0, 1_500),
    diary: diary?.entries.slice(-30),
    talk: talk && { state: talk.socket.state, stats: talk.socket.stats, natives: talk.natives.length },
    demo: demo?.sockets.map(({ state }: any) => state),
  }
}

const within = <Result>(ms: number, result: Promise<Result>, otherwise: string) => {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<string>(resolve => {
    timer = setTimeout(resolve, ms, otherwise)
  })
  return Promise.race([result.catch(String), late]).finally(() => clearTimeout(timer))
}

/** Remembers the pages that are open, for the report of a failure. */
function watched(engine: Engine, pages: Set<Page>): Engine {
  return {
    ...engine,
    async open(...where) {
      const page = await engine.open(...where)
      const { close } = page
      pages.add(page)
      page.close = () => {
        pages.delete(page)
        return close()
      }
      return page
    },
  }
}

/**
 * Describes the same tests for every engine that is there, or for one where one will do.
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
export function inEveryEngine(body: (rig: Rig) => void, only?: Engine['name']): void {
  const launchers = engines(only)
  // A file without a test is an error to vitest.
  if (launchers.length === 0) test('has an engine', ({ skip }) => skip(`no ${only ?? 'engine'} here`))

  describe.each(launchers)('$name', ({ name, launch }) => {
    vi.setConfig({ testTimeout: patience, hookTimeout: patience })
    const kept: ({ close(): unknown } | { stop(): unknown })[] = []
    const pages = new Set<Page>()
    let engine: Engine | undefined
    let site: Site | undefined
    let context: TestContext | undefined

    const there = <Thing>(thing: Thing | undefined): Thing => {
      if (thing === undefined) throw new Error('the rig is up only while tests run')
      return thing
    }
    const keep: Rig['keep'] = one => {
      kept.push(one)
      return one
    }
    const ask = (capability: Capability) => find(capability, there(engine), there(site))

    beforeAll(async () => {
      site = await startSite()
      engine = watched(await launch(), pages)
    })
    beforeEach(one => {
      context = one
    })
    afterEach(async ({ task }) => {
      if (task.result?.state === 'fail') {
        for (const page of pages) {
          const seen = await within(answer, page.evaluate(look), 'The page does not answer.')
          console.error(`${name} ${engine?.version} showed`, JSON.stringify(seen, null, 1))
        }
      }
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
      can: async capability => (await ask(capability)).works,
      async needs(capability) {
        const finding = await ask(capability)
        if (!finding.works) there(context).skip(without(capability, there(engine), finding))
      },
    })
  })
}
