// The functions for each framework, in apps that do the same: test/frameworks/apps.
import { rmSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import type { FakeServer } from '../../src/testing.ts'
import type { App, FeedProps, View } from '../frameworks/apps/contract.ts'
import { appFile, buildCode, frameworks, importCode, renderOnServer } from '../frameworks/load.ts'
import { root } from '../package/pieces.ts'
import { fakeNetwork } from '../support/network.ts'

const A: FeedProps = { id: 'a', url: 'wss://push.example.com/a' }
const FRAME = 16

describe.each(frameworks)('in %s', name => {
  let code: string
  let app: App
  let server: FakeServer
  let renders: Record<string, number>
  const views: View[] = []

  beforeAll(() => {
    code = buildCode(appFile(name), '--development')
  })
  beforeEach(async () => {
    // Frameworks store the timer functions when they are loaded, so the fake ones must be installed before.
    vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true)
    app = await importCode<App>(code)
    server = fakeNetwork()
    renders = {}
    vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true)
    vi.stubGlobal('renders', renders)
  })
  afterEach(async () => {
    for (const view of views.splice(0)) await view.unmount()
    document.body.replaceChildren()
  })
  afterAll(() => rmSync(`${root}.tmp/server-${name}-${process.pid}`, { recursive: true, force: true }))

  /** In strict mode, React calls each component twice for one render. */
  const once = name === 'react' ? 2 : 1

  const mount = async (...feeds: FeedProps[]) => {
    const target = document.createElement('div')
    document.body.append(target)
    const view = await app.mount(target, { feeds })
    views.push(view)
    return {
      perform: view.perform,
      show: (...feeds: FeedProps[]) => view.update({ feeds }),
      advance: (ms: number) => view.perform(() => vi.advanceTimersByTime(ms)),
      unmount: () => {
        views.splice(views.indexOf(view), 1)
        return view.unmount()
      },
    }
  }
  const text = (id: string, place: string) => document.querySelector(`#${id} .${place}`)?.textContent
  const urls = () => server.connections.map(({ socket }) => socket.url)

  describe('useSocket()', () => {
    test('makes one connection for all views of an address, with one handshake', async () => {
      const { advance } = await mount(A, { ...A, id: 'b' })
      expect(server.attempts).toBe(1)
      await advance(0)
      expect([text('a', 'state'), text('b', 'state')]).toEqual(['open', 'open'])
      await advance(60_000)
      expect([server.attempts, server.clients.length]).toEqual([1, 1])
    })

    test('closes the connection a moment after the last view was unmounted', async () => {
      const { advance, show } = await mount(A, { ...A, id: 'b' })
      await advance(0)
      await show(A)
      await advance(10_000)
      expect(server.clients).toHaveLength(1)
      await show()
      await advance(999)
      expect(server.clients).toHaveLength(1)
      await advance(1)
      expect(server.clients).toEqual([])
      await advance(60_000)
      expect(server.attempts).toBe(1)
      expect(vi.getTimerCount()).toBe(0)
    })

    test('keeps the connection when a view is replaced repeatedly', async () => {
      const { advance, show } = await mount(A)
      await advance(0)
      for (const id of ['b', 'c', 'd']) {
        await show()
        await advance(900)
        await show({ ...A, id })
        expect(text(id, 'state')).toBe('open')
        await advance(300)
      }
      expect([server.attempts, server.clients.length]).toEqual([1, 1])
    })

    test('connects again when a view is mounted after the connection was closed', async () => {
      const { advance, show } = await mount(A)
      await advance(0)
      await show()
      await advance(5_000)
      await show(A)
      await advance(0)
      expect(text('a', 'state')).toBe('open')
      expect([server.attempts, server.clients.length]).toEqual([2, 1])
    })

    test('connects again when a view is mounted after the server has ended the connection for good', async () => {
      const { advance, show, perform } = await mount(A)
      await advance(0)
      await perform(() => server.latest.close(4401))
      await advance(0)
      expect(text('a', 'state')).toBe('closed')
      await show()
      await show(A)
      await advance(0)
      expect(text('a', 'state')).toBe('open')
    })

    test('changes to another socket with the address, and closes the first a moment later', async () => {
      const { advance, show } = await mount(A)
      await advance(0)
      server.latest.send('one')
      await advance(FRAME)
      expect([text('a', 'lines'), text('a', 'total')]).toEqual(['one', '1'])
      await show({ ...A, url: 'wss://push.example.com/b' })
      await advance(0)
      expect(urls()).toEqual([A.url, 'wss://push.example.com/b'])
      expect([text('a', 'state'), text('a', 'lines'), text('a', 'total')]).toEqual(['open', '', '0'])
      await advance(1_000)
      expect(server.clients).toHaveLength(1)
      server.latest.send('two')
      await advance(FRAME)
      expect([text('a', 'lines'), text('a', 'total')]).toEqual(['two', '1'])
    })

    test('has no connection to an address that differs in its query', async () => {
      const { advance } = await mount(A, { id: 'b', url: `${A.url}?user=2` })
      await advance(0)
      expect(urls()).toEqual([A.url, `${A.url}?user=2`])
    })
  })

  describe('useSocketState()', () => {
    test('renders nothing unless the selected part changes', async () => {
      const { advance, perform } = await mount(A)
      await advance(0)
      await advance(6_000)
      expect(text('a', 'light')).toBe('true')
      await perform(() => server.latest.drop())
      expect([text('a', 'state'), text('a', 'light')]).toEqual(['waiting', 'false'])
      const before = renders['a light']
      server.hang()
      await advance(2_000)
      expect(text('a', 'state')).toBe('connecting')
      expect(renders['a light']).toBe(before)
    })
  })

  describe('useMessages()', () => {
    test('receives all of 10,000 messages in one task, and renders once in the next frame', async () => {
      const { advance, perform } = await mount({ ...A, limit: 3 })
      await advance(0)
      await advance(FRAME)
      renders['a lines'] = 0
      await perform(() => {
        for (let n = 1; n <= 10_000; n++) server.latest.send(`${n}`)
      })
      expect([renders['a lines'], text('a', 'total')]).toEqual([0, '0'])
      await advance(FRAME)
      expect(text('a', 'total')).toBe('10000')
      expect(text('a', 'lines')).toBe('9998,9999,10000')
      expect(renders['a lines']).toBe(once)
      await advance(60_000)
      expect(renders['a lines']).toBe(once)
    })

    test('keeps the last 100 messages, in order, by default', async () => {
      const { advance, perform } = await mount(A)
      await advance(0)
      const all = Array.from({ length: 250 }, (_, n) => `${n}`)
      for (const part of [all.slice(0, 90), all.slice(90, 130), all.slice(130)]) {
        await perform(() => {
          for (const line of part) server.latest.send(line)
        })
        await advance(FRAME)
      }
      expect(text('a', 'lines')).toBe(`${all.slice(-100)}`)
      expect(text('a', 'total')).toBe('250')
    })

    test('renders all views in the same frame', async () => {
      const { advance, perform } = await mount(A, { ...A, id: 'b' })
      await advance(0)
      await perform(() => server.latest.send('one'))
      await advance(10)
      await perform(() => server.latest.send('two'))
      await advance(FRAME - 10)
      expect([text('a', 'lines'), text('b', 'lines')]).toEqual(['one,two', 'one,two'])
    })

    test('shows messages in a hidden page, where there are no frames, once a second', async () => {
      const { advance, perform } = await mount(A)
      await advance(0)
      vi.stubGlobal('requestAnimationFrame', () => 0)
      renders['a lines'] = 0
      for (let n = 0; n < 10; n++) {
        await perform(() => server.latest.send(`${n}`))
        await advance(99)
      }
      expect(renders['a lines']).toBe(0)
      await advance(10)
      expect(text('a', 'lines')).toBe('0,1,2,3,4,5,6,7,8,9')
      expect(renders['a lines']).toBe(once)
    })

    test('receives no more messages when its view is unmounted', async () => {
      const { advance, show, perform } = await mount(A, { ...A, id: 'b' })
      await advance(0)
      await perform(() => server.latest.send('one'))
      await show({ ...A, id: 'b' })
      await advance(FRAME)
      const before = renders['a lines']
      await perform(() => server.latest.send('two'))
      await advance(FRAME)
      expect(text('b', 'lines')).toBe('one,two')
      expect(renders['a lines']).toBe(before)
    })

    test('shows no messages of the previous socket, even if a frame was requested', async () => {
      const { advance, show, perform } = await mount(A)
      await advance(0)
      await perform(() => server.latest.send('of a'))
      await show({ ...A, url: 'wss://push.example.com/b' })
      await advance(FRAME)
      expect([text('a', 'lines'), text('a', 'total')]).toEqual(['', '0'])
    })

    test('continues after a reconnection', async () => {
      const { advance, perform } = await mount(A)
      await advance(0)
      await perform(() => server.latest.send('one').drop())
      await advance(10_000)
      await perform(() => server.latest.send('two'))
      await advance(FRAME)
      expect(text('a', 'lines')).toBe('one,two')
    })
  })

  test('useOutage() reports an outage that lasts longer than the grace period, and its end', async () => {
    const { advance, perform } = await mount(A)
    await advance(0)
    await advance(6_000)
    server.hang()
    await perform(() => server.latest.drop())
    await advance(1_999)
    expect(text('a', 'outage')).toBe('')
    await advance(1)
    expect(text('a', 'outage')).toBe('away, connecting')
    server.accept()
    await advance(60_000)
    expect([text('a', 'state'), text('a', 'outage')]).toEqual(['open', ''])
  })

  test('useSend() sends on the current socket, and queues without a connection', async () => {
    const { advance, show, perform } = await mount(A)
    const press = () => perform(() => document.querySelector('button')?.click())
    await press()
    await advance(0)
    expect(server.latest.received).toEqual(['hello'])
    await show({ ...A, url: 'wss://push.example.com/b' })
    await press()
    await advance(0)
    expect(urls().at(-1)).toBe('wss://push.example.com/b')
    expect(server.connections.map(({ received }) => received)).toEqual([['hello'], ['hello']])
  })

  describe('on a server', () => {
    test('no connection is opened, and the page hydrates the rendered HTML', async () => {
      const props = { feeds: [{ ...A, limit: 5 }] }
      const { html, script, attempts, timers } = renderOnServer(name, props)
      expect([attempts, timers]).toEqual([0, []])
      const target = document.createElement('div')
      target.innerHTML = html
      document.body.append(target)
      expect([text('a', 'state'), text('a', 'lines'), text('a', 'total')]).toEqual(['closed', '', '0'])
      const section = document.querySelector('section')

      // A socket that is open already, because another part of the page was hydrated earlier.
      const other = document.createElement('div')
      const first = await app.mount(other, { feeds: [{ ...A, id: 'z' }] })
      views.push(first)
      await first.perform(() => vi.advanceTimersByTime(0))
      const warnings: unknown[] = []
      for (const level of ['error', 'warn'] as const) {
        vi.spyOn(console, level).mockImplementation((...words) => warnings.push(words))
      }
      // biome-ignore lint/security/noGlobalEval: the script of the framework, as a page would run it
      globalThis.eval(/<script>(.*?)<\/script>/s.exec(script)?.[1] ?? '')
      const view = await app.hydrate(target, props)
      views.push(view)
      vi.restoreAllMocks()
      expect(warnings).toEqual([])
      expect(document.querySelector('section')).toBe(section)
      await view.perform(() => vi.advanceTimersByTime(0))
      expect(text('a', 'state')).toBe('open')
      expect(server.attempts).toBe(1)
      await view.perform(() => server.latest.send('one'))
      await view.perform(() => vi.advanceTimersByTime(FRAME))
      expect(text('a', 'lines')).toBe('one')
    })
  })
})
