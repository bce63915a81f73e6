// Many tabs share one connection, which a real server counts while tabs are closed, reloaded, frozen, and put into the back/forward cache.
import { describe, expect, test } from 'vitest'
import type * as Tabs from '../../src/tabs.ts'
import { startServer, type TestServer } from '../interop/ws.ts'
import { byEffort } from '../support/run.ts'
import type { Page } from './page.ts'
import { inEveryEngine, type Rig } from './rig.ts'

/** The module, in the page. */
declare const SteadyTabs: typeof Tabs

/** Globals of the page, set by `begin`. */
declare const tab: {
  readonly socket: Tabs.TabsSocket
  readonly log: [type: string, payload: any, at: number][]
  until(type: string, count: number): Promise<any>
}

const MANY = byEffort(5, 5, 20)

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

const open = async (
  rig: Rig,
  url: string,
  options: { worker?: string; key?: string },
  csp?: string,
): Promise<Page> => {
  const page = await rig.open({ scripts: [], ...(csp && { csp }) })
  await page.evaluate(
    "import('/dist/tabs.js').then(module => void Object.assign(window, { SteadyTabs: module }))",
  )
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

    test(`is the only one of ${MANY} tabs`, async () => {
      const server = rig.keep(await startServer())
      const pages: Page[] = []
      for (let i = 0; i < MANY; i++) pages.push(await open(rig, `${server.url}/sink`, options))
      tell(server, 'to all')
      for (const page of pages) expect(await heard(page, 'text', 1)).toBe('to all')
      expect(await pages[0]?.evaluate(() => tab.socket.sharing.tabs)).toBe(MANY)
      expect(server.connections).toHaveLength(1)
    })

    test('is available to the other tabs while one is in the back/forward cache', async () => {
      const server = rig.keep(await startServer())
      const [one, two] = [
        await open(rig, `${server.url}/sink`, options),
        await open(rig, `${server.url}/sink`, options),
      ]
      await one.goto(rig.site.page({ scripts: [] }))
      if (!isWorker) await heard(two, 'open', 2)
      await two.evaluate(() => tab.socket.send('from two'))
      await server.until(() => server.received.length === 1)
      tell(server, 'for both')
      await heard(two, 'text', 1)
      await one.back()
      if (!(await one.evaluate(() => 'tab' in window))) return
      await heard(one, 'open', 2)
      if (isWorker) expect(await heard(one, 'text', 1)).toBe('for both')
      else expect(await heard(one, 'gap', 1)).toEqual({ replayed: 0 })
      expect(server.clients).toHaveLength(1)
    })

    test('survives the crash of the first tab', async () => {
      await rig.needs('the DevTools protocol')
      const server = rig.keep(await startServer())
      const [one, two] = [
        await open(rig, `${server.url}/sink`, options),
        await open(rig, `${server.url}/sink`, options),
      ]
      one.cdp?.('Page.crash').catch(() => {})
      await server.until(() => server.connections.length === 2 || isWorker)
      if (!isWorker) await heard(two, 'open', 2)
      // In some versions, the worker runs in the process that has crashed. What is sent until the second tab knows that, is dropped as unknown.
      await two.evaluate(() => {
        tab.socket.on('drop', ({ data }) => tab.socket.send(data))
        tab.socket.send('still here')
      })
      await server.until(() => server.received.some(({ data }) => data === 'still here'))
      expect(server.received).toHaveLength(1)
    })

    test('is given up by a tab that is frozen', async () => {
      await rig.needs('freezing a page')
      const server = rig.keep(await startServer())
      const [one, two] = [
        await open(rig, `${server.url}/sink`, options),
        await open(rig, `${server.url}/sink`, options),
      ]
      await one.hide()
      await one.cdp?.('Page.setWebLifecycleState', { state: 'frozen' })
      if (!isWorker) await heard(two, 'open', 2)
      tell(server, 'while frozen')
      expect(await heard(two, 'text', 1)).toBe('while frozen')
      await one.cdp?.('Page.setWebLifecycleState', { state: 'active' })
      await heard(one, 'open', 2)
      if (isWorker) expect(await heard(one, 'text', 1)).toBe('while frozen')
      expect(server.clients).toHaveLength(1)
    })
  })

  test('a tab holds the connection if the worker cannot be loaded, or is forbidden', async () => {
    const server = rig.keep(await startServer())
    const missing = await open(rig, `${server.url}/sink`, { worker: '/nothing.js', key: 'missing' })
    expect(await holder(missing)).toBe('this tab')
    const csp = "worker-src 'none'"
    const forbidden = await open(rig, `${server.url}/sink`, { worker: WORKER, key: 'forbidden' }, csp)
    expect(await holder(forbidden)).toBe('this tab')
  })

  test('a message is claimed by one of the tabs, also after all have been closed', async () => {
    const server = rig.keep(await startServer())
    const pages = [await open(rig, `${server.url}/sink`, {}), await open(rig, `${server.url}/sink`, {})]
    // Tabs in different processes see each other's changes of localStorage late, so that several of fifty were claimed twice.
    const claim = (page: Page) =>
      page.evaluate(async () => {
        let count = 0
        for (let id = 0; id < 50; id++) count += Number(await tab.socket.claim(`news ${id}`))
        return count
      })
    const [one, two] = await Promise.all(pages.map(claim))
    expect((one as number) + (two as number)).toBe(50)
    await pages[0]?.goto(rig.site.page({ scripts: [] }))
    await pages[1]?.goto(rig.site.page({ scripts: [] }))
    expect(await claim(await open(rig, `${server.url}/sink`, {}))).toBe(0)
  })

  test('signing out closes the sockets of all tabs, also of one in the back/forward cache', async () => {
    const server = rig.keep(await startServer())
    const pages: Page[] = []
    for (let i = 0; i < 3; i++) pages.push(await open(rig, `${server.url}/sink`, {}))
    const [one, two, three] = pages as [Page, Page, Page]
    await three.goto(rig.site.page({ scripts: [] }))
    await two.evaluate(() => tab.socket.signOut())
    await heard(one, 'close', 1)
    await server.until(() => server.clients.length === 0)
    await three.back()
    if (!(await three.evaluate(() => 'tab' in window))) return
    expect(await three.evaluate(() => tab.socket.state.name)).toBe('closed')
    expect(server.connections).toHaveLength(1)
  })
})
