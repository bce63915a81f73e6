// Detects what an engine can do, which depends on its version, its driver and the machine. A test names the capability that it needs, not a
// version. Each capability is tried once per run.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startServer } from '../interop/ws.ts'
import { startProxy } from '../support/proxy.ts'
import { runFolder } from '../support/run.ts'
import type { Engine, Page } from './page.ts'
import type { Site } from './site.ts'

/** What a probe gets: its own page, and a function that closes or stops things after the probe. */
interface ProbeContext {
  readonly site: Site
  readonly page: Page
  keep<Kept extends { close(): unknown } | { stop(): unknown }>(kept: Kept): Kept
}

/** Opens a WebSocket of the engine, as the global variable `socket` of the page. */
const openSocket = (page: Page, url: string) =>
  page.evaluate(
    (url: string) =>
      new Promise<void>(resolve => {
        const socket = new WebSocket(url)
        socket.onopen = () => resolve()
        Object.assign(window, { socket })
      }),
    url,
  )

/** Each probe resolves with whether the capability works. If it throws, the capability does not work, and the error is the reason. */
const probes = {
  async 'network emulation'({ page }: ProbeContext) {
    if (!page.offline) throw new Error('its driver has no such command')
    await page.offline(true)
    const offline = await page.evaluate(() => !navigator.onLine)
    await page.offline(false)
    return offline && (await page.evaluate(() => navigator.onLine))
  },

  'sending while offline': async ({ page, keep }: ProbeContext) => {
    if (!page.offline) throw new Error('its driver has no such command')
    const server = keep(await startServer())
    await openSocket(page, `${server.url}/echo`)
    await page.offline(true)
    const isAnswered = await page.evaluate(() => {
      const { socket } = window as unknown as { socket: WebSocket }
      socket.send('ping')
      return new Promise<boolean>(resolve => {
        socket.onmessage = () => resolve(true)
        setTimeout(resolve, 3_000, false)
      })
    })
    await page.offline(false)
    return isAnswered
  },

  /** Registers a module service worker that imports the package. */
  'module service workers': ({ page, site }: ProbeContext) =>
    page.evaluate(
      async (script: string) => {
        const { serviceWorker } = navigator
        const registration = await serviceWorker.register(script, { type: 'module', scope: '/probe/' })
        const worker = (registration.installing ??
          registration.waiting ??
          registration.active) as ServiceWorker
        const state = await new Promise<string>(resolve => {
          const check = () => /activated|redundant/.test(worker.state) && resolve(worker.state)
          worker.onstatechange = check
          check()
        })
        await registration.unregister()
        return state === 'activated'
      },
      site.script('/probe.js', "import '/dist/index.js'"),
    ),

  async 'freezing a page'({ page }: ProbeContext) {
    if (!page.cdp) throw new Error('its driver has no such command')
    await page.evaluate(() =>
      document.addEventListener('freeze', () => Object.assign(window, { frozen: true })),
    )
    await page.hide()
    await page.cdp('Page.setWebLifecycleState', { state: 'frozen' })
    await page.cdp('Page.setWebLifecycleState', { state: 'active' })
    return page.evaluate(() => 'frozen' in window)
  },

  'keeping a page with an open socket in the back/forward cache': async (context: ProbeContext) => {
    const server = context.keep(await startServer())
    await context.page.evaluate(
      (url: string) =>
        new Promise<void>(resolve => {
          const socket = new WebSocket(url)
          socket.onopen = () => resolve()
          addEventListener('pagehide', () => socket.close())
          Object.assign(window, { kept: true })
        }),
      `${server.url}/sink`,
    )
    return isKept(context)
  },

  'keeping a page that is connecting in the back/forward cache': async (context: ProbeContext) => {
    const server = context.keep(await startServer())
    const proxy = context.keep(await startProxy({ port: server.port }))
    proxy.hang(true)
    await context.page.evaluate((url: string) => {
      const socket = new WebSocket(url)
      addEventListener('pagehide', () => socket.close())
      Object.assign(window, { kept: true })
    }, proxy.url('/sink'))
    await proxy.accepted(1)
    return isKept(context)
  },

  /** Whether `bufferedAmount` counts what the operating system has not accepted. In WebKit, it counts what the browser's network process has not accepted. */
  'an accurate bufferedAmount': async ({ page, keep }: ProbeContext) => {
    const server = keep(await startServer())
    const proxy = keep(await startProxy({ port: server.port }))
    await openSocket(page, proxy.url('/sink'))
    proxy.freeze()
    return page.evaluate(() => {
      const { socket } = window as unknown as { socket: WebSocket }
      // More than the buffers of the operating system hold.
      for (let i = 0; i < 300; i++) socket.send(new Uint8Array(65_536))
      return new Promise<boolean>(resolve => {
        let last = -1
        let same = 0
        const timer = setInterval(() => {
          same = socket.bufferedAmount === last ? same + 1 : 0
          last = socket.bufferedAmount
          if (last > 0 && same < 20) return
          clearInterval(timer)
          resolve(last > 0)
        }, 10)
      })
    })
  },

  /** Whether these codes reach the page, instead of failing the connection. */
  'close codes 1012 and 1013': async ({ page, keep }: ProbeContext) => {
    const server = keep(await startServer())
    return page.evaluate(
      (url: string) =>
        new Promise<boolean>(resolve => {
          new WebSocket(`${url}/close?code=1013`).onclose = ({ code }) => resolve(code === 1013)
        }),
      server.url,
    )
  },

  'opening windows from a script': ({ page }: ProbeContext) =>
    page.evaluate(() => {
      const opened = window.open('about:blank')
      opened?.close()
      return opened !== null
    }),

  'the DevTools protocol': async ({ page }: ProbeContext) => {
    if (!page.cdp) throw new Error('its driver does not speak it')
    await page.cdp('Page.enable')
    return true
  },
} satisfies Record<string, (context: ProbeContext) => Promise<boolean>>

export type Capability = keyof typeof probes

async function isKept({ page, site }: ProbeContext): Promise<boolean> {
  await page.goto(site.page())
  await page.back()
  return page.evaluate(() => 'kept' in window)
}

interface Finding {
  readonly works: boolean
  /** The message of the error, if there was one. */
  readonly reason?: string
}

async function probe(capability: Capability, engine: Engine, site: Site): Promise<Finding> {
  const kept: ({ close(): unknown } | { stop(): unknown })[] = []
  const keep: ProbeContext['keep'] = resource => {
    kept.push(resource)
    return resource
  }
  try {
    const page = keep(await engine.open(site.page({ scripts: [] })))
    return { works: await probes[capability]({ site, page, keep }) }
  } catch (error) {
    // The first line, without locations in the source of the driver.
    const [reason = ''] = (error as Error).message.split(/\n| \w+@\w+:\/\//)
    return { works: false, reason }
  } finally {
    for (const resource of kept.reverse()) await ('close' in resource ? resource.close() : resource.stop())
  }
}

/** Returns whether the engine has the capability. The first test of the run that asks tries it; the result is stored for the others. */
export async function detectCapability(capability: Capability, engine: Engine, site: Site): Promise<Finding> {
  const file = join(runFolder(), `${engine.name} ${capability.replaceAll('/', ' ')}.json`)
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8'))
  const finding = await probe(capability, engine, site)
  // Other processes may read the file at any time, so it must appear complete.
  const draft = `${file}.${process.pid}`
  writeFileSync(draft, JSON.stringify(finding))
  renameSync(draft, file)
  return finding
}

/** Returns the reason for which a test is skipped. */
export const skipReason = (capability: Capability, { name, version }: Engine, { reason }: Finding): string =>
  `${name} ${version} lacks ${capability}${reason ? ` (${reason.slice(0, 120)})` : ''}`
