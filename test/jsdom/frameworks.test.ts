// The components of demo/docs/frameworks.md, built by Vite and mounted.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { afterAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import type { FakeServer } from '../../src/testing.ts'
import { buildCode, type Framework, importCode } from '../frameworks/load.ts'
import { piecesIn, pieceWith, root } from '../package/pieces.ts'
import { fakeNetwork } from '../support/network.ts'

const GUIDE = 'demo/docs/frameworks.md'
const FRAME = 16

/** A component in a page. */
interface Mounted {
  perform(job: () => unknown): Promise<void>
  unmount(): void
}

type Mount = (target: Element) => Promise<Mounted>

const folder = `${root}.tmp/guide-${process.pid}/`
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** How each framework mounts the component `Component`, and performs a job and waits for the changes. */
const HOW: Record<Framework, { component: string; ending: string; mount: string }> = {
  react: {
    component: 'react-component.tsx',
    ending: 'tsx',
    mount: `
      import { act, createElement, StrictMode } from 'react'
      import { createRoot } from 'react-dom/client'
      export const mount = async target => {
        const root = createRoot(target)
        const perform = job => act(async () => void job())
        await perform(() => root.render(createElement(StrictMode, null, createElement(Component))))
        return { perform, unmount: () => act(() => root.unmount()) }
      }`,
  },
  vue: {
    component: 'Component.vue',
    ending: 'ts',
    mount: `
      import { createApp, nextTick } from 'vue'
      export const mount = async target => {
        const app = createApp(Component)
        app.mount(target)
        const perform = async job => {
          job()
          await nextTick()
        }
        return { perform, unmount: () => app.unmount() }
      }`,
  },
  svelte: {
    component: 'Component.svelte',
    ending: 'ts',
    mount: `
      import { flushSync, mount as begin, unmount } from 'svelte'
      export const mount = async target => {
        const app = begin(Component, { target })
        const perform = async job => {
          flushSync()
          job()
          flushSync()
        }
        return { perform, unmount: () => unmount(app) }
      }`,
  },
  solid: {
    component: 'solid-component.tsx',
    ending: 'tsx',
    mount: `
      import { createComponent, render } from 'solid-js/web'
      export const mount = async target => {
        const unmount = render(() => createComponent(Component, {}), target)
        return { perform: async job => void job(), unmount }
      }`,
  },
}

/** Builds a sample of the guide. `name`: the name of the component, if it is not the default export. */
const build = (framework: Framework, piece: string, name?: string): string => {
  const { component, ending, mount } = HOW[framework]
  mkdirSync(folder, { recursive: true })
  writeFileSync(folder + component, piece)
  const imported = name ? `{ ${name} as Component }` : 'Component'
  writeFileSync(`${folder}${framework}-main.${ending}`, `import ${imported} from './${component}'\n${mount}`)
  return buildCode(`${folder}${framework}-main.${ending}`, '--development')
}

let server: FakeServer
let target: Element
beforeEach(() => {
  vi.useRealTimers()
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true)
  target = document.createElement('div')
})

const start = async (code: string) => {
  const { mount } = await importCode<{ mount: Mount }>(code)
  server = fakeNetwork()
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true)
  const { perform, unmount } = await mount(target)
  return { perform, unmount, advance: (ms: number) => perform(() => vi.advanceTimersByTime(ms)) }
}
/** The paragraphs, and each line of preformatted text. */
const paragraphs = () =>
  [...target.querySelectorAll('p, pre')].flatMap(({ localName, textContent }) =>
    localName === 'p' ? textContent?.trim() : (textContent?.match(/.+/g) ?? []),
  )

const [vuePiece, sveltePiece] = ['vue', 'svelte'].map(language => piecesIn(language)[0]?.code ?? '')
const FEEDS: [Framework, string, string?][] = [
  ['react', pieceWith(GUIDE, "from 'steadysocket/react'"), 'Feed'],
  ['vue', vuePiece as string],
  ['svelte', sveltePiece as string],
  ['solid', pieceWith(GUIDE, "from 'steadysocket/solid'"), 'Feed'],
]

test.each(FEEDS)(
  'the guide’s component for %s shows state and text, and closes its socket when it is unmounted',
  async (framework, piece, name) => {
    const { perform, advance, unmount } = await start(build(framework, piece, name))
    await advance(0)
    expect(paragraphs()).toEqual(['open'])
    expect(server.attempts).toBe(1)
    await perform(() => server.latest.send('one').send('two'))
    await advance(FRAME)
    expect(paragraphs()).toEqual(['open', 'one', 'two'])
    await perform(() => server.latest.drop())
    expect(paragraphs()).toEqual(['waiting', 'one', 'two'])
    await advance(10_000)
    expect(paragraphs()).toEqual(['open', 'one', 'two'])
    unmount()
    vi.advanceTimersByTime(1_000)
    expect(server.clients).toEqual([])
    vi.advanceTimersByTime(60_000)
    expect(server.attempts).toBe(2)
  },
)

describe('the guide for React', () => {
  test('shows the latest value and a value that is reduced from all messages, typed by a schema', async () => {
    const code = build('react', pieceWith(GUIDE, 'export function Prices'), 'Prices')
    const { perform, advance, unmount } = await start(code)
    await advance(0)
    for (const [symbol, bid] of [
      ['EURUSD', 1.1],
      ['GBPUSD', 1.3],
      ['EURUSD', 1.2],
    ]) {
      await perform(() => server.latest.send(JSON.stringify({ symbol, bid })))
      await advance(FRAME)
    }
    expect(paragraphs()).toEqual(['EURUSD: 1.2', 'EURUSD 1.2 GBPUSD 1.3'])
    await perform(() => target.querySelector('button')?.click())
    expect(server.latest.received).toEqual(['{"subscribe":"EURUSD"}'])
    unmount()
  })

  test('shares one connection through a hook, and reports invalid messages to its listener only', async () => {
    const piece = `${pieceWith(GUIDE, 'export function usePrices')}
      export const Two = () => [<Latest key="1" />, <Latest key="2" />]`
    const { perform, advance, unmount } = await start(build('react', piece, 'Two'))
    const [warn, onerror] = [vi.spyOn(console, 'warn').mockReturnValue(), vi.fn()]
    onTestFinished(() => warn.mockRestore())
    window.addEventListener('error', onerror)
    onTestFinished(() => window.removeEventListener('error', onerror))
    await advance(0)
    await perform(() => server.latest.send('{"symbol":"EURUSD","bid":1.1}').send('{"bid":2}'))
    await advance(FRAME)
    expect(paragraphs()).toEqual(['open 1.1', 'open 1.1'])
    expect(server.attempts).toBe(1)
    expect(warn.mock.calls.map(([text]) => text)).toEqual(['{"bid":2}', '{"bid":2}'])
    expect(onerror).not.toHaveBeenCalled()
    await advance(25_000)
    expect(server.latest.received).toEqual(['ping'])
    await perform(() => server.latest.send('pong'))
    expect(warn).toHaveBeenCalledTimes(2)
    unmount()
  })

  test('has a test of its first component that passes', async () => {
    mkdirSync(folder, { recursive: true })
    writeFileSync(`${folder}Feed.tsx`, pieceWith(GUIDE, "from 'steadysocket/react'"))
    const piece = pieceWith(GUIDE, 'createFakeServer')
    const [, names = ''] = /^import (\{.*\}) from 'vitest'$/m.exec(piece) ?? []
    const file = `${folder}feed-test.tsx`
    writeFileSync(file, piece.replace(`import ${names} from 'vitest'`, `const ${names} = globalThis.runner`))
    const prepare = vi.fn<(job: () => void) => void>()
    const cleanUp = vi.fn<(job: () => void) => void>()
    const tests = vi.fn<(name: string, job: () => void) => void>()
    vi.stubGlobal('runner', { vi, expect, beforeEach: prepare, afterEach: cleanUp, test: tests })
    await importCode(buildCode(file, '--development'))
    expect(tests).toHaveBeenCalledTimes(2)
    for (const [, job] of tests.mock.calls) {
      prepare.mock.calls[0]?.[0]()
      job()
      cleanUp.mock.calls[0]?.[0]()
    }
  })

  test('calls the endpoint function once for each attempt, and connects anew for another user', async () => {
    let tokens = 0
    vi.stubGlobal('fetchToken', async () => ++tokens)
    const piece = `${pieceWith(GUIDE, 'export const useFeed')}
      import { useState } from 'react'
      export const Users = () => {
        const [user, setUser] = useState('ada')
        useFeed(user)
        return <button onClick={() => setUser('bob')}>{user}</button>
      }`
    const { perform, advance, unmount } = await start(build('react', piece, 'Users'))
    await perform(() => vi.advanceTimersByTimeAsync(0))
    await advance(0)
    await perform(() => target.querySelector('button')?.click())
    await perform(() => vi.advanceTimersByTimeAsync(0))
    await advance(1_000)
    expect(server.connections.map(({ socket }) => new URL(socket.url).search)).toEqual([
      '?token=1',
      '?token=2',
    ])
    expect(server.clients).toHaveLength(1)
    unmount()
  })

  test('shows a banner in an outage of more than two seconds', async () => {
    const code = build('react', pieceWith(GUIDE, 'export function Banner'), 'Banner')
    const { perform, advance, unmount } = await start(code)
    await advance(10_000)
    server.hang()
    await perform(() => server.latest.drop())
    await advance(1_999)
    expect(paragraphs()).toEqual([])
    await advance(1)
    expect(paragraphs()).toEqual([expect.stringMatching(/^Offline since \d/)])
    server.accept()
    await advance(60_000)
    expect(paragraphs()).toEqual([])
    unmount()
  })

  test('shows a reliable socket that was created outside, and does not close it', async () => {
    const code = build('react', pieceWith(GUIDE, 'export function Orders'), 'Orders')
    const { advance, unmount } = await start(code)
    await advance(10_000)
    expect([paragraphs(), server.attempts]).toEqual([['closed,'], 0])
    unmount()
  })
})

const MIGRATION = 'demo/docs/migrate-react-use-websocket.md'

test.each([
  ['before', 'OldChat'],
  ['after', 'Chat'],
])(
  'the component %s the migration from react-use-websocket shows state and messages, and sends',
  async (_, name) => {
    // The default export of a CommonJS package depends on the bundler.
    const piece = pieceWith(MIGRATION, `export function ${name}()`).replace(
      'import useWebSocket, { ReadyState }',
      "import * as library from 'react-use-websocket'\nconst useWebSocket = library.default.default ?? library.default\nimport { ReadyState }",
    )
    const code = build('react', piece, name)
    const { perform, advance, unmount } = await start(code)
    await perform(() => vi.advanceTimersByTimeAsync(0))
    await advance(0)
    expect(paragraphs()).toEqual(['open'])
    await perform(() => server.latest.send('{"text":"one"}').send('pong').send('{"text":"two"}'))
    await advance(FRAME)
    expect(paragraphs()).toEqual(['open', 'one', 'two'])
    await perform(() => target.querySelector('button')?.click())
    expect(server.latest.received).toEqual(['{"text":"hello"}'])
    await perform(() => server.latest.drop())
    expect(paragraphs()[0]).toBe('offline')
    await advance(10_000)
    await perform(() => vi.advanceTimersByTimeAsync(0))
    expect(paragraphs()[0]).toBe('open')
    unmount()
  },
)

test('the guide’s component for the status counts down to the next attempt, which its button starts at once', async () => {
  const code = build('react', pieceWith('demo/docs/status.md', 'export function Status'), 'Status')
  const { perform, advance, unmount } = await start(code)
  const texts = () => paragraphs().map(text => text?.replace(/\d/, 'N'))
  await advance(10_000)
  expect(texts()).toEqual([''])
  server.refuse()
  await perform(() => server.latest.drop())
  await advance(2_000)
  while (!texts()[0]?.startsWith('Offline')) await advance(50)
  expect(texts()).toEqual(['Offline. Next attempt in N s. Try now'])
  server.accept()
  await perform(() => target.querySelector('button')?.click())
  await advance(0)
  expect(texts()).toEqual([''])
  unmount()
})
