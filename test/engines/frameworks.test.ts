// Apps in each framework, as Vite builds and serves them: the app of test/frameworks, with a burst of messages, and the one to be copied.
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'vite'
import { afterAll, describe, expect, test } from 'vitest'
import { type Demo, fetchApp, startDemo } from '../demo/start.ts'
import type { App, AppProps, View } from '../frameworks/apps/contract.ts'
import { appFile, buildCode, type Framework, frameworks, renderOnServer } from '../frameworks/load.ts'
import { startServer } from '../interop/ws.ts'
import { root } from '../package/pieces.ts'
import { compose, loads, refuse, shows } from './demo-page.ts'
import type { Page } from './page.ts'
import { inEveryEngine } from './rig.ts'

/** What the page keeps. It exists in the page, not here. */
declare const stage: {
  app: App
  view: View
  target: Element
  /** How often the lines were rendered in each frame. */
  frames: number[]
}

/** In the page: makes room for the app, and watches how often it renders. */
const prepare = (app: App) => {
  const renders: Record<string, number> = {}
  const frames: number[] = []
  const target = document.createElement('div')
  document.body.append(target)
  Object.assign(globalThis, { renders, stage: { app, target, frames } })
  let before = 0
  const watch = () => {
    const now = renders['a lines'] ?? 0
    frames.push(now - before)
    before = now
    requestAnimationFrame(watch)
  }
  watch()
}

const codes = new Map<Framework, string>()
const codeOf = (name: Framework) => {
  const code = codes.get(name) ?? buildCode(appFile(name), '--built')
  codes.set(name, code)
  return code
}

const folder = `${root}demo/recipes/spa/`

/** Counts the app's own connections, in front of its first script. */
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

/** One for all engines: the four apps are built together, when the first of them is asked for. */
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

    test('shows all of 10,000 messages in one burst, and renders at most once a frame', async () => {
      const server = rig.keep(await startServer())
      const page = await open()
      await mount(page, { feeds: [{ id: 'a', url: server.url, limit: 3 }] })
      await shows(page, '#a .state', '^open$')
      // The renders of the states before.
      await page.evaluate(`new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))`)
      await page.evaluate('void stage.frames.splice(0)')
      const [connection] = server.connections
      for (let n = 1; n <= 10_000; n++) connection?.send(`${n}`)
      await shows(page, '#a .total', '^10000$')
      await shows(page, '#a .lines', '^9998,9999,10000$')
      const frames = await page.evaluate(() => stage.frames)
      expect(Math.max(...frames)).toBe(1)
    })

    test('has one connection for two views, also when one is replaced, and none when all are gone', async () => {
      const server = rig.keep(await startServer())
      const page = await open()
      const feed = (id: string) => ({ id, url: server.url })
      await mount(page, { feeds: [feed('a'), feed('b')] })
      await shows(page, '#b .state', '^open$')
      await update(page, { feeds: [] })
      await update(page, { feeds: [feed('c')] })
      await shows(page, '#c .state', '^open$')
      server.connections[0]?.send('hello')
      await shows(page, '#c .lines', '^hello$')
      expect(server.handshakes).toBe(1)
      await update(page, { feeds: [] })
      await server.until(() => server.clients.length === 0)
      expect(server.handshakes).toBe(1)
    })

    test('takes over what a server has rendered, without making it again', async () => {
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
      await shows(page, '#a .state', '^open$')
      server.connections[0]?.send('hello')
      await shows(page, '#a .lines', '^hello$')
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
  ])('the app to be copied for %s', (name, file) => {
    test('shows notifications, sends, and keeps its connection when its file is saved', async () => {
      const copy = `${root}.tmp/spa-copy-${name}-${process.pid}/`
      cpSync(folder, copy, { recursive: true })
      try {
        const vite = await createServer({ ...settings, root: copy, server: { port: 0 } })
        rig.keep(await vite.listen())
        const page = rig.keep(await rig.engine.open(`${vite.resolvedUrls?.local[0]}${name}/`))
        await shows(page, 'ul', '\\w')
        await shows(page, '[role=status]', '^$')
        await page.evaluate('void (window.before = true)')
        const code = readFileSync(`${copy}${name}/${file}`, 'utf8')
        // Again and again, because Vite may not have reached the page yet. Each time something else: Vue ignores a change of white space.
        let saved = 0
        const saving = setInterval(() => {
          const edited = code.replace('<h1>Notifications', `<h1>News ${++saved}`)
          writeFileSync(`${copy}${name}/${file}`, edited)
        }, 1_000)
        await shows(page, 'h1', '^News \\d+$').finally(() => clearInterval(saving))
        // Likewise, because Vite may replace the component once more.
        await page.evaluate(
          () => void setInterval(() => document.querySelector<HTMLElement>('form button')?.click(), 500),
        )
        await shows(page, 'ul', 'YouHello\\d')
        expect(await page.evaluate('[window.before, window.handshakes]')).toEqual([true, 1])
      } finally {
        rmSync(copy, { recursive: true, force: true })
      }
    })
  })

  test('the apps to be copied, as the demo builds and serves them, show pictures, count down, and send what was queued', async () => {
    const { url } = await startedDemo()
    // Until the apps are built, a page that reloads itself is in their place.
    await fetchApp(`${url}spa/`)
    const open = async (name: string) => {
      const page = rig.keep(await rig.engine.open(`${url}spa/${name}/`))
      await shows(page, 'ul', '\\w')
      await loads(page, '.picture')
      // There is a history of six. Watched for from before, because the server goes on notifying.
      await shows(page, '.bell', '^\\s*([6-9]|\\d\\d)')
      const isRead = shows(page, '.bell', '^\\s*[1-5]?\\s*unread')
      await page.evaluate(() => document.querySelector<HTMLElement>('.bell')?.click())
      await isRead
      await compose(page, `from ${name}`)
      await shows(page, 'ul', `Youfrom ${name}\\d`)
      return page
    }
    const names = ['react', 'vue', 'svelte', 'solid']
    const pages = await Promise.all(names.map(open))
    await refuse(url, 60)
    await Promise.all(
      pages.map(async page => {
        await shows(page, '[role=status]', '^Offline, next try in \\d s$')
        await compose(page, 'while offline')
        await shows(page, '#sent-2', 'while offlinequeued')
      }),
    )
    await refuse(url, 1)
    await Promise.all(
      pages.map(async page => {
        await shows(page, 'ul', 'Youwhile offline\\d')
        await shows(page, '[role=status]', '^$')
        expect(await page.evaluate("document.getElementById('sent-2')")).toBe(null)
      }),
    )
  })
})
