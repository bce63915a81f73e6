// The components of demo/docs/frameworks.md, compiled by their frameworks and mounted.
import { execFileSync } from 'node:child_process'
import { compile } from 'svelte/compiler'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { compileScript, parse } from 'vue/compiler-sfc'
import type { Socket } from '../../src/index.ts'
import type { FakeServer } from '../../src/testing.ts'
import { piecesIn, pieceWith, root } from '../package/pieces.ts'
import { fakeNetwork } from '../support/network.ts'

/** Puts the component into an element, and returns how to take it out. */
type Mount = (target: Element) => () => void

interface Mounting {
  mount: Mount
  settled(): Promise<void>
}

interface Framework {
  /** A module of the component, and of how to mount it and to wait for what changed. */
  module(code: string): string
}

const frameworks: Record<'vue' | 'svelte', Framework> = {
  vue: {
    module: code => `
      ${compileScript(parse(code).descriptor, { id: 'feed', inlineTemplate: true, genDefaultAs: 'Feed' }).content}
      import { createApp, nextTick } from 'vue'
      export const mount = target => {
        const app = createApp(Feed)
        app.mount(target)
        return () => app.unmount()
      }
      export const settled = nextTick
    `,
  },
  svelte: {
    module: code => `
      ${compile(code, { name: 'Feed', generate: 'client' }).js.code}
      import { flushSync, mount as begin, unmount } from 'svelte'
      export const mount = target => {
        const view = begin(Feed, { target })
        return () => unmount(view)
      }
      export const settled = async () => flushSync()
    `,
  },
}

/** Bundles a module for browsers with the package as it was built, and imports it. In a process of its own: esbuild does not run in jsdom. */
function load<Module>(
  input: string,
  environment: 'production' | 'development' = 'production',
): Promise<Module> {
  const options = [
    '--bundle',
    '--format=esm',
    '--conditions=browser',
    '--loader=tsx',
    '--jsx=automatic',
    `--define:process.env.NODE_ENV="${environment}"`,
  ]
  const text = execFileSync('node_modules/.bin/esbuild', options, {
    cwd: root,
    input,
    encoding: 'utf8',
    maxBuffer: 2 ** 24,
  })
  // The remark makes it a module of its own each time.
  return import(/* @vite-ignore */ `data:text/javascript,${encodeURIComponent(`${text}//${Math.random()}`)}`)
}

let server: FakeServer
beforeEach(() => {
  server = fakeNetwork()
})

test.each(['vue', 'svelte'] as const)(
  'the guide’s component for %s shows state and text, and closes its socket with its view',
  async name => {
    const [piece] = piecesIn(name)
    vi.useRealTimers()
    const { mount, settled } = await load<Mounting>(frameworks[name].module(piece?.code ?? ''))
    vi.useFakeTimers()
    const target = document.createElement('div')
    const shown = async () => {
      await settled()
      return [...target.querySelectorAll('p')].map(({ textContent }) => textContent)
    }
    const unmount = mount(target)
    expect(await shown()).toEqual(['connecting'])
    vi.advanceTimersByTime(0)
    expect(await shown()).toEqual(['open'])
    server.latest.send('one').send('two')
    expect(await shown()).toEqual(['open', 'one', 'two'])
    server.latest.drop()
    expect(await shown()).toEqual(['waiting', 'one', 'two'])
    vi.advanceTimersByTime(2_000)
    expect(await shown()).toEqual(['open', 'one', 'two'])
    unmount()
    vi.advanceTimersByTime(0)
    expect(server.clients).toEqual([])
    vi.advanceTimersByTime(60_000)
    expect(server.attempts).toBe(2)
  },
)

describe('the guide’s hook for React', () => {
  /** In development, where strict mode mounts every component twice. */
  const loadReact = async () => {
    vi.useRealTimers()
    vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true)
    const module = await load<Mounting & { socket: Socket }>(
      `${pieceWith('demo/docs/frameworks.md', 'useSocket')}
      import { act, StrictMode } from 'react'
      import { createRoot } from 'react-dom/client'
      function Greeter() {
        useSocket()
        useEffect(() => {
          socket.send('hello')
        }, [])
        return <Feed />
      }
      export const mount = target => {
        const root = createRoot(target)
        act(() => root.render(<StrictMode><Greeter /></StrictMode>))
        return () => act(() => root.unmount())
      }
      export const settled = () => act(async () => {})`,
      'development',
    )
    vi.useFakeTimers()
    const drops: string[] = []
    module.socket.on('drop', ({ reason }) => drops.push(reason))
    const target = document.createElement('div')
    const shown = async () => {
      await module.settled()
      return [...target.querySelectorAll('p')].map(({ textContent }) => textContent)
    }
    return { ...module, drops, shown, mount: (element: Element = target) => module.mount(element) }
  }

  test('makes one handshake in strict mode, and shows state and text', async () => {
    const { mount, shown } = await loadReact()
    const unmount = mount()
    expect(await shown()).toEqual(['connecting'])
    vi.advanceTimersByTime(0)
    server.latest.send('one').send('two')
    expect(await shown()).toEqual(['open', 'one', 'two'])
    expect(server.attempts).toBe(1)
    unmount()
  })

  test('keeps the socket open until the last component is unmounted', async () => {
    const { mount } = await loadReact()
    const [first, second] = [mount(), mount(document.createElement('div'))]
    vi.advanceTimersByTime(0)
    first()
    vi.advanceTimersByTime(1_000)
    expect(server.clients).toHaveLength(1)
    second()
    vi.advanceTimersByTime(1_000)
    expect(server.clients).toEqual([])
    expect(server.attempts).toBe(1)
  })

  test('keeps the connection when a component is replaced by another', async () => {
    const { mount } = await loadReact()
    const unmount = mount()
    vi.advanceTimersByTime(0)
    unmount()
    const again = mount()
    vi.advanceTimersByTime(1_000)
    expect([server.attempts, server.clients.length]).toEqual([1, 1])
    again()
  })

  test('loses no message that a component sends in an effect, at the first mount and later', async () => {
    const { mount, drops } = await loadReact()
    mount()()
    vi.advanceTimersByTime(1_000)
    drops.length = 0
    const unmount = mount()
    vi.advanceTimersByTime(1_000)
    expect(server.latest.received).toContain('hello')
    expect(drops).toEqual([])
    unmount()
  })
})

test('the guide’s banner for React appears in an outage of more than two seconds, and nothing is left of it when it is unmounted', async () => {
  vi.useRealTimers()
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true)
  const { socket, mount, settled } = await load<Mounting & { socket: Socket }>(
    `${pieceWith('demo/docs/frameworks.md', 'useState<Outage>')}
    import { createSocket } from 'steadysocket'
    import { act, StrictMode } from 'react'
    import { createRoot } from 'react-dom/client'
    export const socket = createSocket('wss://push.example.com/feed', { autoConnect: false, retry: () => 5_000 })
    export const mount = target => {
      const root = createRoot(target)
      act(() => root.render(<StrictMode><Banner /></StrictMode>))
      return () => act(() => root.unmount())
    }
    export const settled = () => act(async () => {})`,
    'development',
  )
  vi.useFakeTimers()
  const target = document.createElement('div')
  const unmount = mount(target)
  socket.connect()
  vi.advanceTimersByTime(10_000)
  server.latest.drop()
  vi.advanceTimersByTime(1_999)
  await settled()
  expect(target.textContent).toBe('')
  vi.advanceTimersByTime(1)
  await settled()
  expect(target.textContent).toMatch(/^Offline since \d/)
  vi.advanceTimersByTime(3_100)
  await settled()
  expect(target.textContent).toBe('')
  server.latest.drop()
  unmount()
  // That of the next attempt.
  expect(vi.getTimerCount()).toBe(1)
  socket.close()
})
