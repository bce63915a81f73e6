// What an engine can do depends on its version, on its driver, and on the machine. No test knows a version: it says what it needs, and
// that is tried, once a run.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startServer } from '../interop/ws.ts'
import { startProxy } from '../support/proxy.ts'
import { runFolder } from '../support/run.ts'
import type { Engine, Page } from './page.ts'
import type { Site } from './site.ts'

/** What a probe has: a page of its own, and a way to have things ended after it. */
interface Bench {
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

/** Each says whether it works. One that throws says that it does not, and why. */
const probes = {
  async 'network emulation'({ page }: Bench) {
    if (!page.offline) throw new Error('its driver has no such command')
    await page.offline(true)
    const offline = await page.evaluate(() => !navigator.onLine)
    await page.offline(false)
    return offline && (await page.evaluate(() => navigator.onLine))
  },

  'sending while offline': async ({ page, keep }: Bench) => {
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

  /** In a worker that is a module, the class that the package gives its users. */
  'module service workers': ({ page, site }: Bench) =>
    page.evaluate(
      async (script: string) => {
        const { serviceWorker } = navigator
        const registration = await serviceWorker.register(script, { type: 'module', scope: '/probe/' })
        const worker = (registration.installing ??
          registration.waiting ??
          registration.active) as ServiceWorker
        const state = await new Promise<string>(resolve => {
          const look = () => /activated|redundant/.test(worker.state) && resolve(worker.state)
          worker.onstatechange = look
          look()
        })
        await registration.unregister()
        return state === 'activated'
      },
      site.script('/probe.js', "import '/dist/index.js'"),
    ),

  async 'freezing a page'({ page }: Bench) {
    if (!page.cdp) throw new Error('its driver has no such command')
    await page.evaluate(() =>
      document.addEventListener('freeze', () => Object.assign(window, { frozen: true })),
    )
    await page.hide()
    await page.cdp('Page.setWebLifecycleState', { state: 'frozen' })
    await page.cdp('Page.setWebLifecycleState', { state: 'active' })
    return page.evaluate(() => 'frozen' in window)
  },

  'keeping a page with an open socket in the back/forward cache': async (bench: Bench) => {
    const server = bench.keep(await startServer())
    await bench.page.evaluate(
      (url: string) =>
        new Promise<void>(resolve => {
          const socket = new WebSocket(url)
          socket.onopen = () => resolve()
          addEventListener('pagehide', () => socket.close())
          Object.assign(window, { kept: true })
        }),
      `${server.url}/sink`,
    )
    return isKept(bench)
  },

  'keeping a page that is connecting in the back/forward cache': async (bench: Bench) => {
    const server = bench.keep(await startServer())
    const proxy = bench.keep(await startProxy({ port: server.port }))
    proxy.hang(true)
    await bench.page.evaluate((url: string) => {
      const socket = new WebSocket(url)
      addEventListener('pagehide', () => socket.close())
      Object.assign(window, { kept: true })
    }, proxy.url('/sink'))
    await proxy.accepted(1)
    return isKept(bench)
  },

  /** `bufferedAmount` counts what the system has not taken, rather than what another process of the browser has not. */
  'telling what has not left': async ({ page, keep }: Bench) => {
    const server = keep(await startServer())
    const proxy = keep(await startProxy({ port: server.port }))
    await openSocket(page, proxy.url('/sink'))
    proxy.freeze()
    return page.evaluate(() => {
      const { socket } = window as unknown as { socket: WebSocket }
      // More than all buffers of the system hold.
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

  /** Rather than taking them for broken frames. */
  'telling close codes 1012 and 1013': async ({ page, keep }: Bench) => {
    const server = keep(await startServer())
    return page.evaluate(
      (url: string) =>
        new Promise<boolean>(resolve => {
          new WebSocket(`${url}/close?code=1013`).onclose = ({ code }) => resolve(code === 1013)
        }),
      server.url,
    )
  },

  'windows that a script opens': ({ page }: Bench) =>
    page.evaluate(() => {
      const opened = window.open('about:blank')
      opened?.close()
      return opened !== null
    }),

  'the DevTools protocol': async ({ page }: Bench) => {
    if (!page.cdp) throw new Error('its driver does not speak it')
    await page.cdp('Page.enable')
    return true
  },
} satisfies Record<string, (bench: Bench) => Promise<boolean>>

export type Capability = keyof typeof probes

async function isKept({ page, site }: Bench): Promise<boolean> {
  await page.goto(site.page())
  await page.back()
  return page.evaluate(() => 'kept' in window)
}

interface Finding {
  readonly works: boolean
  /** Of the driver or the page, if there was one. */
  readonly said?: string
}

async function probe(capability: Capability, engine: Engine, site: Site): Promise<Finding> {
  const kept: ({ close(): unknown } | { stop(): unknown })[] = []
  const keep: Bench['keep'] = one => {
    kept.push(one)
    return one
  }
  try {
    const page = keep(await engine.open(site.page({ scripts: [] })))
    return { works: await probes[capability]({ site, page, keep }) }
  } catch (error) {
    // Of the first line, without where in the driver's own source it comes from.
    const [said = ''] = (error as Error).message.split(/\n| \w+@\w+:\/\//)
    return { works: false, said }
  } finally {
    for (const one of kept.reverse()) await ('close' in one ? one.close() : one.stop())
  }
}

/** Whether this engine can do that. Tried by the first test of the run that asks. */
export async function find(capability: Capability, engine: Engine, site: Site): Promise<Finding> {
  const file = join(runFolder(), `${engine.name} ${capability.replaceAll('/', ' ')}.json`)
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8'))
  const finding = await probe(capability, engine, site)
  // Another process may read it at any time: it is there whole or not at all.
  const draft = `${file}.${process.pid}`
  writeFileSync(draft, JSON.stringify(finding))
  renameSync(draft, file)
  return finding
}

/** Why a test that needs this is skipped. */
export const without = (capability: Capability, { name, version }: Engine, { said }: Finding): string =>
  `${name} ${version} lacks ${capability}${said ? ` (${said.slice(0, 120)})` : ''}`
