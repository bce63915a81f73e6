// Tests apps in each framework, as Vite builds and serves them: the app of test/frameworks, and the example app in demo/recipes.
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'vite'
import { afterAll, describe, expect, test } from 'vitest'
import { type Demo, fetchApp, startDemo } from '../demo/start.ts'
import type { App, AppProps, View } from '../frameworks/apps/contract.ts'
import { appFile, buildCode, type Framework, frameworks, renderOnServer } from '../frameworks/load.ts'
import { startServer } from '../interop/ws.ts'
import { root } from '../package/pieces.ts'
import { refuseConnections, sendWithForm, waitForImage, waitForText } from './demo-page.ts'
import type { Page } from './page.ts'
import { inEveryEngine } from './rig.ts'

/** A global of the page. */
declare const stage: {
  app: App
  view: View
  target: Element
  /** How often the lines were rendered in each frame; once less for each second that the frame took. */
  frames: number[]
}

/** In the page: creates an element for the app, and counts its renders in each frame. */
const prepare = (app: App) => {
  const renders: Record<string, number> = {}
  const frames: number[] = []
  const target = document.createElement('div')
  document.body.append(target)
  Object.assign(globalThis, { renders, stage: { app, target, frames } })
  let before = 0
  let last = performance.now()
  const countRenders = () => {
    const now = performance.now()
    const count = renders['a lines'] ?? 0
    // A page without frames renders once a second. On a busy machine, the next frame may take longer than that.
    frames.push(count - before - Math.floor((now - last) / 1_000))
    before = count
    last = now
    requestAnimationFrame(countRenders)
  }
  countRenders()
}

const codes = new Map<Framework, string>()
const codeOf = (name: Framework) => {
  const code = codes.get(name) ?? buildCode(appFile(name), '--built')
  codes.set(name, code)
  return code
}

const folder = `${root}demo/recipes/spa/`

/** Counts the connections of the app. Runs before its first script. */
const counter = {
  name: 'counter',
  transformIndexHtml: () => [
    {
      tag: 'script',
      injectTo: 'head-prepend' as const,
      children: `window.handshakes = 0
        window.WebSocket = class extends WebSocket {
          constructor(url, ...more) {
            super(url, ...more)
            if (String(url).endsWith('/feed')) handshakes++
          }
        }`,
    },
  ],
}
const settings = {
  configFile: `${folder}vite.config.mjs`,
  logLevel: 'error' as const,
  plugins: [counter],
}

/** All engines share one demo, which builds the four apps when the first of them is requested. */
let demo: Promise<Demo> | undefined
const startedDemo = () => {
  demo ??= startDemo()
  return demo
}
afterAll(async () => (await demo)?.stop())

inEveryEngine(rig => {
  describe.each(frameworks)('an app in %s', name => {
    const open = async () => {
      const script = rig.site.script(`/${name}.js`, codeOf(name))
      const page = await rig.open()
      await page.evaluate(`import('${script}').then(${prepare})`)
      return page
    }
    const mount = (page: Page, props: AppProps) =>
      page.evaluate(async props => {
        stage.view = await stage.app.mount(stage.target, props)
      }, props)
    const update = (page: Page, props: AppProps) => page.evaluate(props => stage.view.update(props), props)

    test('shows all of 10,000 messages in one burst, and renders at most once per frame', async () => {
      const server = rig.keep(await startServer())
      const page = await open()
      await mount(page, { feeds: [{ id: 'a', url: server.url, limit: 3 }] })
      await waitForText(page, '#a .state', '^open$')
      // Ignores the renders of earlier states.
      await page.evaluate(`new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))`)
      await page.evaluate('void stage.frames.splice(0)')
      const [connection] = server.connections
      for (let n = 1; n <= 10_000; n++) connection?.send(`${n}`)
      await waitForText(page, '#a .total', '^10000$')
      await waitForText(page, '#a .lines', '^9998,9999,10000$')
      const frames = await page.evaluate(() => stage.frames)
      expect(Math.max(...frames)).toBe(1)
    })

    test('has one connection for two views, also when one is replaced, and none when all are unmounted', async () => {
      const server = rig.keep(await startServer())
      const page = await open()
      const feed = (id: string) => ({ id, url: server.url })
      await mount(page, { feeds: [feed('a'), feed('b')] })
      await waitForText(page, '#b .state', '^open$')
      // In one step: on a busy machine, two steps may be further apart than the second for which an unused socket stays open.
      await page.evaluate(
        async (none, other) => {
          await stage.view.update(none)
          while (document.querySelector('#b')) await new Promise(requestAnimationFrame)
          await stage.view.update(other)
        },
        { feeds: [] },
        { feeds: [feed('c')] },
      )
      await waitForText(page, '#c .state', '^open$')
      server.connections[0]?.send('hello')
      await waitForText(page, '#c .lines', '^hello$')
      expect(server.handshakes).toBe(1)
      await update(page, { feeds: [] })
      await server.until(() => server.clients.length === 0)
      expect(server.handshakes).toBe(1)
    })

    test('hydrates HTML from server-side rendering without rendering it again', async () => {
      const server = rig.keep(await startServer())
      const props = { feeds: [{ id: 'a', url: server.url }] }
      const { html, script } = renderOnServer(name, props)
      expect(server.handshakes).toBe(0)
      const page = await open()
      await page.evaluate(
        (html, script) => {
          stage.target.innerHTML = html
          Object.assign(globalThis, { section: document.querySelector('section'), complaints: [] })
          for (const level of ['error', 'warn'] as const) {
            console[level] = (...words) => (globalThis as any).complaints.push(words.map(String))
          }
          const tag = document.createElement('script')
          tag.textContent = script
          document.head.append(tag)
        },
        html,
        /<script>(.*?)<\/script>/s.exec(script)?.[1] ?? '',
      )
      expect(await page.evaluate('document.querySelector(".state").textContent')).toBe('closed')
      await page.evaluate(async props => {
        stage.view = await stage.app.hydrate(stage.target, props)
      }, props)
      await waitForText(page, '#a .state', '^open$')
      server.connections[0]?.send('hello')
      await waitForText(page, '#a .lines', '^hello$')
      expect(await page.evaluate('section === document.querySelector("section")')).toBe(true)
      expect(await page.evaluate('complaints')).toEqual([])
      expect(server.handshakes).toBe(1)
    })
  })
  describe.each([
    ['react', 'App.tsx'],
    ['vue', 'App.vue'],
    ['svelte', 'App.svelte'],
    ['solid', 'App.tsx'],
  ])('the example app for %s', (name, file) => {
    test('shows notifications, sends, and keeps its connection when its file is saved', async () => {
      const copy = `${root}.tmp/spa-copy-${name}-${process.pid}/`
      cpSync(folder, copy, { recursive: true })
      try {
        const vite = await createServer({ ...settings, root: copy, server: { port: 0 } })
        rig.keep(await vite.listen())
        const page = rig.keep(await rig.engine.open(`${vite.resolvedUrls?.local[0]}${name}/`))
        await waitForText(page, 'ul', '\\w')
        await waitForText(page, '[role=status]', '^$')
        await page.evaluate('void (window.before = true)')
        const code = readFileSync(`${copy}${name}/${file}`, 'utf8')
        // Repeated, because Vite may not have connected to the page yet. Each time with other text, because Vue ignores changes of white space.
        let saved = 0
        const saving = setInterval(() => {
          const edited = code.replace('<h1>Notifications', `<h1>News ${++saved}`)
          writeFileSync(`${copy}${name}/${file}`, edited)
        }, 1_000)
        await waitForText(page, 'h1', '^News \\d+$').finally(() => clearInterval(saving))
        // Repeated, because Vite may replace the component once more.
        await page.evaluate(
          () => void setInterval(() => document.querySelector<HTMLElement>('form button')?.click(), 500),
        )
        await waitForText(page, 'ul', 'YouHello\\d')
        expect(await page.evaluate('[window.before, window.handshakes]')).toEqual([true, 1])
      } finally {
        rmSync(copy, { recursive: true, force: true })
      }
    })
  })

  test('the example apps, as the demo builds and serves them, show pictures, count down, and send queued messages', async () => {
    const { url } = await startedDemo()
    // Until the apps are built, a page that reloads itself is in their place.
    await fetchApp(`${url}spa/`)
    const open = async (name: string) => {
      const page = rig.keep(await rig.engine.open(`${url}spa/${name}/`))
      await waitForText(page, 'ul', '\\w')
      await waitForImage(page, '.picture')
      // The history has six messages. Begins to wait before the click, because the server continues to send.
      await waitForText(page, '.bell', '^\\s*([6-9]|\\d\\d)')
      const isRead = waitForText(page, '.bell', '^\\s*[1-5]?\\s*unread')
      await page.evaluate(() => document.querySelector<HTMLElement>('.bell')?.click())
      await isRead
      await sendWithForm(page, `from ${name}`)
      await waitForText(page, 'ul', `Youfrom ${name}\\d`)
      return page
    }
    const names = ['react', 'vue', 'svelte', 'solid']
    const pages = await Promise.all(names.map(open))
    await refuseConnections(url, 60)
    await Promise.all(
      pages.map(async page => {
        await waitForText(page, '[role=status]', '^Offline, next try in \\d s$')
        await sendWithForm(page, 'while offline')
        await waitForText(page, '#sent-2', 'while offlinequeued')
      }),
    )
    await refuseConnections(url, 1)
    await Promise.all(
      pages.map(async page => {
        await waitForText(page, 'ul', 'Youwhile offline\\d')
        await waitForText(page, '[role=status]', '^$')
        expect(await page.evaluate("document.getElementById('sent-2')")).toBe(null)
      }),
    )
  })
})
