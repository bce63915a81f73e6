// Runs the tests of a file in every engine that is installed.
import { afterAll, afterEach, beforeAll, beforeEach, describe, type TestContext, test, vi } from 'vitest'
import { type Capability, detectCapability, skipReason } from './capabilities.ts'
import { type Engine, engines, type Page } from './engines.ts'
import { type PageOptions, type Site, startSite } from './site.ts'

export interface Rig {
  readonly name: Engine['name']
  readonly engine: Engine
  readonly site: Site
  /** Opens a page of the site in a tab of its own, which is closed after the test. */
  open(options?: PageOptions): Promise<Page>
  /** Closes or stops this after the test. The last one added is ended first. */
  keep<Kept extends { close(): unknown } | { stop(): unknown }>(kept: Kept): Kept
  /** Whether the engine can do this. To be called before the test opens a page, because it may open one itself. */
  can(capability: Capability): Promise<boolean>
  /** Skips the test in an engine that cannot do this, and reports the reason. To be called before the test opens a page. */
  needs(capability: Capability): Promise<void>
}

/** The timeout of a test. It only ends tests that hang, so it is long enough for a busy machine. */
export const patience = 600_000

/** How long to wait for the state of a page after a failure. The page may no longer respond. */
const snapshotTimeout = 5_000

/** In the page: returns what it shows, and the globals of the tests, for the report of a failure. */
const snapshot = () => {
  const { pageLog, traffic, demo } = globalThis as any
  return {
    url: location.href,
    visibility: document.visibilityState,
    text: document.body?.innerText.slice(0, 1_500),
    pageLog: pageLog?.entries.slice(-30),
    traffic: traffic && {
      state: traffic.socket.state,
      stats: traffic.socket.stats,
      natives: traffic.natives.length,
    },
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

/** Keeps track of the open pages, for the report of a failure. */
function trackPages(engine: Engine, pages: Set<Page>): Engine {
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
 * Describes the same tests for every engine that is installed, or for `only` one of them.
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
  // vitest reports a file without tests as an error.
  if (launchers.length === 0) test('has an engine', ({ skip }) => skip(`no ${only ?? 'engine'} here`))

  describe.each(launchers)('$name', ({ name, launch }) => {
    vi.setConfig({ testTimeout: patience, hookTimeout: patience })
    const kept: ({ close(): unknown } | { stop(): unknown })[] = []
    const pages = new Set<Page>()
    let engine: Engine | undefined
    let site: Site | undefined
    let context: TestContext | undefined

    const running = <Thing>(thing: Thing | undefined): Thing => {
      if (thing === undefined) throw new Error('the engine runs only during tests')
      return thing
    }
    const keep: Rig['keep'] = one => {
      kept.push(one)
      return one
    }
    const detect = (capability: Capability) => detectCapability(capability, running(engine), running(site))

    beforeAll(async () => {
      site = await startSite()
      engine = trackPages(await launch(), pages)
    })
    beforeEach(one => {
      context = one
    })
    afterEach(async ({ task }) => {
      if (task.result?.state === 'fail') {
        for (const page of pages) {
          const shown = await within(snapshotTimeout, page.evaluate(snapshot), 'The page does not answer.')
          console.error(`${name} ${engine?.version} showed`, JSON.stringify(shown, null, 1))
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
        return running(engine)
      },
      get site() {
        return running(site)
      },
      open: async options => keep(await running(engine).open(running(site).page(options))),
      keep,
      can: async capability => (await detect(capability)).works,
      async needs(capability) {
        const finding = await detect(capability)
        if (!finding.works) running(context).skip(skipReason(capability, running(engine), finding))
      },
    })
  })
}
