// `npm run site`, and the links of the site.
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { posix } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { pages } from '../../demo/docs/.vitepress/pages.mjs'
import { findingsOnPages, loadAxe } from '../engines/axe.ts'
import { waitForText } from '../engines/demo-page.ts'
import { engines } from '../engines/engines.ts'
import { root } from './built.ts'

const folder = `${root}.tmp/site-test-${process.pid}`
const html = new Map<string, string>()

beforeAll(async () => {
  await promisify(execFile)(process.execPath, ['demo/docs/.vitepress/build.mjs', folder], { cwd: root })
  for (const path of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (path.endsWith('.html'))
      html.set(path.replaceAll('\\', '/'), readFileSync(`${folder}/${path}`, 'utf8'))
  }
}, 900_000)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const valuesOf = (text: string, ...names: string[]) =>
  [...text.matchAll(new RegExp(` (?:${names.join('|')})="([^"]*)"`, 'g'))].map(([, value = '']) => value)

/** The file that a link of a page leads to. */
const targetOf = (page: string, path: string) => {
  if (!path) return page
  const target = posix.join('/', path.startsWith('/') ? '' : posix.dirname(page), path).slice(1)
  return target === '' || target.endsWith('/') ? `${target}index.html` : target
}

describe('the site', () => {
  test('has a page for each document', () => {
    const expected = [...pages.values()].map((page: string) => page.replace(/\.md$/, '.html'))
    expect([...html.keys()].sort()).toEqual([...expected, '404.html'].sort())
  })

  test('has no link, picture or script with a missing target', () => {
    const ids = new Map([...html].map(([page, text]) => [page, new Set(valuesOf(text, 'id'))]))
    let links = 0
    const broken = [...html].flatMap(([page, text]) =>
      valuesOf(text, 'href', 'src').flatMap(link => {
        if (/^(https?:|data:|mailto:)/.test(link)) return []
        links++
        const [path = '', anchor] = link.split('#')
        // Links to pages may omit `.html`.
        const target = targetOf(page, decodeURIComponent(path))
        const file = [target, `${target}.html`].find(
          file => existsSync(`${folder}/${file}`) && statSync(`${folder}/${file}`).isFile(),
        )
        if (!file) return [`${page}: ${link}`]
        return anchor && html.has(file) && !ids.get(file)?.has(decodeURIComponent(anchor))
          ? [`${page}: ${link}`]
          : []
      }),
    )
    expect(links).toBeGreaterThan(1_000)
    expect(broken).toEqual([])
  })

  test('shows the animation of the demo, and the measurements and the comparison as charts', () => {
    expect(html.get('index.html')).toMatch(/<img src="[^"]*outage\.[\w-]*\.?webp"/)
    const charts = (page: string) => html.get(page)?.match(/<figure class="chart"/g)?.length
    const measured = readdirSync(`${root}test/bench/results`).filter(name => name.endsWith('.svg'))
    expect([charts('measurements/index.html'), charts('comparison.html')]).toEqual([measured.length, 1])
  })

  test('searches its own pages', () => {
    const index = readdirSync(`${folder}/assets/chunks`).find(name => /^@localSearchIndexroot\./.test(name))
    expect(readFileSync(`${folder}/assets/chunks/${index}`, 'utf8')).toMatch(/retry-after/)
  })

  test('shows the braces of templates as they are written', () => {
    expect(html.get('guides/angular.html')).toContain('{{ feed.state().name }}')
  })
})

/** Serves the site. */
const serve = async () => {
  const types = {
    html: 'text/html; charset=utf-8',
    css: 'text/css',
    js: 'text/javascript',
    webp: 'image/webp',
  }
  const server = createServer(({ url = '/' }, response) => {
    const path = decodeURIComponent(new URL(url, 'http://localhost').pathname)
    if (!existsSync(folder + path)) return response.writeHead(404).end()
    const type = types[posix.extname(path).slice(1) as keyof typeof types] ?? 'application/octet-stream'
    response.setHeader('content-type', type).end(readFileSync(folder + path))
  })
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

describe.each(engines('chromium'))('the site in $name', ({ launch }) => {
  test('has no accessibility finding on any page, in light and dark', async () => {
    const url = await serve()
    const engine = await launch()
    onTestFinished(() => engine.close())
    // Only with scripts does the page for unknown addresses have any content.
    const unknown = '404.html'
    for (const first of ['index.html', unknown]) {
      const others = first === unknown ? [] : [...html.keys()].filter(page => page !== unknown)
      const page = await engine.open(url + first)
      await waitForText(page, 'main', '\\w')
      await loadAxe(page)
      expect(await findingsOnPages(page, others)).toEqual([])
    }
  }, 300_000)
})
