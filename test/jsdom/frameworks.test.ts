// The components of demo/docs/frameworks.md, compiled by their frameworks and mounted. (React's are compiled with their types, in
// test/package/documents.test.ts: there is no renderer of React here.)
import { execFileSync } from 'node:child_process'
import { compile } from 'svelte/compiler'
import { beforeEach, expect, test, vi } from 'vitest'
import { compileScript, parse } from 'vue/compiler-sfc'
import type { FakeServer } from '../../src/testing.ts'
import { piecesIn, root } from '../package/pieces.ts'
import { fakeNetwork } from '../support/network.ts'

/** Puts the component into an element, and returns how to take it out. */
type Mount = (target: Element) => () => void

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

/** As a bundler for browsers makes it, with the package as it was built. In a process of its own: esbuild will not run in jsdom. */
function load(input: string): Promise<{ mount: Mount; settled(): Promise<void> }> {
  const options = [
    '--bundle',
    '--format=esm',
    '--conditions=browser',
    '--loader=ts',
    '--define:process.env.NODE_ENV="production"',
  ]
  const text = execFileSync('node_modules/.bin/esbuild', options, { cwd: root, input, encoding: 'utf8' })
  return import(/* @vite-ignore */ `data:text/javascript,${encodeURIComponent(text)}`)
}

let server: FakeServer
beforeEach(() => {
  server = fakeNetwork()
})

test.each(['vue', 'svelte'] as const)(
  'the component for %s shows state and text, and leaves with its view',
  async name => {
    const [piece] = piecesIn(name)
    vi.useRealTimers()
    const { mount, settled } = await load(frameworks[name].module(piece?.code ?? ''))
    vi.useFakeTimers()
    const target = document.createElement('div')
    const shown = async () => {
      await settled()
      return [...target.querySelectorAll('p')].map(({ textContent }) => textContent)
    }
    const leave = mount(target)
    expect(await shown()).toEqual(['connecting'])
    vi.advanceTimersByTime(0)
    expect(await shown()).toEqual(['open'])
    server.latest.send('one').send('two')
    expect(await shown()).toEqual(['open', 'one', 'two'])
    server.latest.drop()
    expect(await shown()).toEqual(['waiting', 'one', 'two'])
    vi.advanceTimersByTime(2_000)
    expect(await shown()).toEqual(['open', 'one', 'two'])
    leave()
    vi.advanceTimersByTime(0)
    expect(server.clients).toEqual([])
    vi.advanceTimersByTime(60_000)
    expect(server.attempts).toBe(2)
  },
)
