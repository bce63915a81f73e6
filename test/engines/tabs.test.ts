// Many tabs, one connection: counted at a real server, while tabs are closed, reloaded, frozen, and put into the back/forward cache.
import { describe, expect, test } from 'vitest'
import type * as Tabs from '../../src/tabs.ts'
import { startServer, type TestServer } from '../interop/ws.ts'
import type { Page } from './page.ts'
import { inEveryEngine, type Rig } from './rig.ts'

/** The module, in the page. */
declare const SteadyTabs: typeof Tabs

/** What `begin` leaves in the page. */
declare const tab: {
  readonly socket: Tabs.TabsSocket
  readonly log: [type: string, payload: any, at: number][]
  until(type: string, count: number): Promise<any>
}

const WORKER = '/dist/steadysocket.tabs-worker.js'

/** In the page: opens a socket, and keeps all its events. */
async function begin(url: string, options: { worker?: string; key?: string }) {
  const log: [string, any, number][] = []
  const checks = new Set<() => void>()
  const socket = SteadyTabs.createTabsSocket(url, options)
  for (const type of ['state', 'open', 'text', 'close', 'error', 'drop', 'gap', 'sharing'] as const) {
    socket.on(type, (payload: any) => {
      log.push([type, JSON.parse(JSON.stringify(payload)), Date.now()])
      for (const check of checks) check()
    })
  }
  const until = (type: string, count: number) =>
    new Promise<any>(resolve => {
      const check = () => {
        const found = log.filter(([name]) => name === type)
        if (found.length < count) return
        checks.delete(check)
        resolve(found[count - 1]?.[1])
      }
      checks.add(check)
      check()
    })
  Object.assign(window, { tab: { socket, log, until } })
  await until('open', 1)
}

const open = async (rig: Rig, url: string, options: { worker?: string; key?: string }): Promise<Page> => {
  const page = await rig.open({ scripts: [] })
  await page.evaluate("import('/dist/tabs.js').then(module => void Object.assign(window, { SteadyTabs: module }))")
  await page.evaluate(begin, url, options)
  return page
}

const holder = (page: Page) => page.evaluate(() => tab.socket.sharing.holder)
const heard = (page: Page, type: string, count: number) =>
  page.evaluate((type: string, count: number) => tab.until(type, count), type, count)
const tell = (server: TestServer, text: string) => {
  for (const client of server.clients) client.send(text)
}

inEveryEngine(rig => {
  describe.each([
    ['a shared worker', { worker: WORKER }],
    ['a tab', {}],
  ] as const)('a connection that is held by %s', (name, options) => {
    const isWorker = name === 'a shared worker'

    test('is shared by several tabs', async () => {
      const server = rig.keep(await startServer())
      const pages: Page[] = []
      for (let i = 0; i < 4; i++) pages.push(await open(rig, `${server.url}/echo`, options))
      expect(server.connections).toHaveLength(1)
      expect(await holder(pages[0] as Page)).toBe(isWorker ? 'worker' : 'this tab')
      expect(await holder(pages[3] as Page)).toBe(isWorker ? 'worker' : 'another tab')
      await pages[1]?.evaluate(() => tab.socket.send('from the second tab'))
      for (const page of pages) expect(await heard(page, 'text', 1)).toBe('from the second tab')
      for (let left = 1; left <= 2; left++) {
        // The holder, if it is a tab.
        await pages.shift()?.evaluate(() => location.assign('about:blank'))
        for (const page of isWorker ? [] : pages) await heard(page, 'open', left + 1)
      }
      tell(server, 'still there')
      for (const page of pages) expect(await heard(page, 'text', 2)).toBe('still there')
      expect(server.clients).toHaveLength(1)
      expect(server.connections).toHaveLength(isWorker ? 1 : 3)
    })
  })
})
