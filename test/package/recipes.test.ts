// Recipes whose behaviour depends on time, run as the documentation shows them.
import { readFileSync } from 'node:fs'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import type { Calls } from '../../src/calls.ts'
import { backoff, type Socket } from '../../src/index.ts'
import type { FakeServer } from '../../src/testing.ts'
import { eventually } from '../support/eventually.ts'
import { fakeNetwork } from '../support/network.ts'
import { root } from './pieces.ts'
import { runPiece as run } from './run-piece.ts'

let server: FakeServer
beforeEach(() => {
  server = fakeNetwork()
})

const urls = () => server.connections.map(({ socket }) => new URL(socket.url).search)

test('the banner of README.md appears after two seconds, follows the attempts, and disappears when the connection is back', async () => {
  const banner = vi.fn()
  vi.stubGlobal('banner', banner)
  const chance = vi.spyOn(Math, 'random').mockReturnValue(0.999)
  onTestFinished(() => chance.mockRestore())
  const { view } = await run<{ view: AbortController }>('README.md', 'onOutage', 'view')
  await vi.advanceTimersByTimeAsync(1_000)
  // An outage that is too short.
  server.latest.drop()
  await vi.advanceTimersByTimeAsync(60_000)
  expect(banner).not.toHaveBeenCalled()

  server.refuse()
  server.latest.drop()
  await vi.advanceTimersByTimeAsync(1_999)
  expect(banner).not.toHaveBeenCalled()
  await vi.advanceTimersByTimeAsync(1)
  const offline = expect.stringMatching(/^Offline\. Next attempt at \d/)
  expect(banner.mock.calls).toEqual([[offline]])
  await vi.advanceTimersByTimeAsync(4_000)
  expect(banner.mock.calls).toEqual([[offline], ['Connecting'], [offline]])
  server.accept()
  await vi.advanceTimersByTimeAsync(6_000)
  expect(banner.mock.calls.slice(3)).toEqual([['Connecting'], ['']])

  banner.mockClear()
  server.latest.close(1008, 'signed out')
  await vi.advanceTimersByTimeAsync(2_000)
  expect(banner.mock.calls).toEqual([['Closed: signed out']])
  view.abort()
})

test('the recipe for tokens replaces an expired token at once, but not again and again', async () => {
  let token = 0
  vi.stubGlobal('fetch', async () => new Response(`t${++token}`))
  const { socket } = await run<{ socket: Socket }>('demo/docs/tokens.md', 'context.attempt === 1', 'socket')
  await vi.advanceTimersByTimeAsync(0)
  expect(socket.state.name).toBe('open')
  await vi.advanceTimersByTimeAsync(60_000)
  server.latest.close(4401)
  await vi.advanceTimersByTimeAsync(1)
  expect(urls()).toEqual(['?token=t1', '?token=t2'])
  server.latest.close(4401)
  await vi.advanceTimersByTimeAsync(60_000)
  expect(urls()).toEqual(['?token=t1', '?token=t2'])
  expect(socket.state.name).toBe('closed')
})

describe('the recipe for tokens in the URL', () => {
  const start = async () => {
    let token = 0
    vi.stubGlobal('fetch', async () => new Response(`t${++token}`))
    const piece = ['demo/docs/tokens.md', 'context.attempt === 1', 'socket'] as const
    const { socket } = await run<{ socket: Socket }>(...piece)
    await vi.advanceTimersByTimeAsync(0)
    onTestFinished(() => socket.close())
    return socket
  }
  /** Loses a connection that has lasted for a minute, and waits for the next one. */
  const lose = async () => {
    await vi.advanceTimersByTimeAsync(60_000)
    server.latest.drop()
    while (server.clients.length === 0) await vi.advanceTimersByTimeAsync(10)
  }
  const reject = async () => {
    server.latest.close(4401)
    await vi.advanceTimersByTimeAsync(1)
  }

  test('tries another token at once if the first one after a lost connection is rejected, whenever that happens', async () => {
    const socket = await start()
    for (const attempts of [3, 5]) {
      await lose()
      await reject()
      expect([socket.state.name, server.attempts]).toEqual(['open', attempts])
    }
  })

  test('tries another token at once after a failed attempt, too, and when a connection ends that had lasted', async () => {
    const socket = await start()
    await vi.advanceTimersByTimeAsync(60_000)
    server.refuse()
    server.latest.drop()
    await vi.advanceTimersByTimeAsync(30_000)
    server.accept()
    while (server.clients.length === 0) await vi.advanceTimersByTimeAsync(10)
    const { attempts } = server
    await reject()
    expect([socket.state.name, server.attempts]).toEqual(['open', attempts + 1])
    // The new token was accepted, and expires later, while the connection is open.
    await vi.advanceTimersByTimeAsync(60_000)
    await reject()
    expect([socket.state.name, server.attempts]).toEqual(['open', attempts + 2])
  })

  test('gives up when two tokens in a row are rejected after a lost connection, and tries again after connect()', async () => {
    const socket = await start()
    await lose()
    await reject()
    await reject()
    expect(socket.state).toMatchObject({ name: 'closed', cause: { close: { code: 4401 } } })
    expect(server.attempts).toBe(3)
    socket.connect()
    await vi.advanceTimersByTimeAsync(0)
    await reject()
    expect([socket.state.name, server.attempts]).toEqual(['open', 5])
  })

  test('does not send again the messages that were queued when a connection with a rejected token opened', async () => {
    const socket = await start()
    await vi.advanceTimersByTimeAsync(60_000)
    server.latest.drop()
    expect(socket.send('hello')).toBe('queued')
    const dropped = vi.fn()
    socket.on('drop', dropped)
    while (server.clients.length === 0) await vi.advanceTimersByTimeAsync(10)
    expect(server.latest.received).toEqual(['hello'])
    await reject()
    expect([socket.state.name, server.latest.received]).toEqual(['open', []])
    expect(dropped).not.toHaveBeenCalled()
  })
})

test('the recipe for tokens stops trying when the user is signed out', async () => {
  vi.stubGlobal('fetch', async () => new Response('', { status: 401 }))
  const { socket } = await run<{ socket: Socket }>('demo/docs/tokens.md', 'context.attempt === 1', 'socket')
  await vi.advanceTimersByTimeAsync(60_000)
  expect(socket.state.name).toBe('closed')
  expect(server.attempts).toBe(0)
})

describe('the client of the guide to topics', () => {
  type Made = {
    socket: Socket
    subscribe(topic: string, onMessage: (text: string, gap: boolean) => void): () => void
  }
  const start = async () => {
    const made = await run<Made>('demo/docs/resubscribe.md', 'const subscriptions', 'socket, subscribe')
    await vi.advanceTimersByTimeAsync(0)
    return made
  }
  const asked = () =>
    server.latest.received.flatMap(data => (typeof data === 'string' ? JSON.parse(data) : []))

  test('requests each topic once on each connection, with the last number that has arrived', async () => {
    const { socket, subscribe } = await start()
    const leave = subscribe('news', () => {})
    subscribe('sport', () => {})
    expect(asked()).toEqual([{ subscribe: 'news' }, { subscribe: 'sport' }])
    server.latest.send('{"topic":"sport","number":7}').send('{"topic":"sport","number":8,"text":"a"}')

    server.latest.drop()
    leave()
    subscribe('weather', () => {})()
    subscribe('chess', () => {})
    await vi.advanceTimersByTimeAsync(10_000)
    expect(asked()).toEqual([{ subscribe: 'sport', after: 8 }, { subscribe: 'chess' }])
    socket.close()
  })

  test('replaces a request that is still queued when its connection is lost', async () => {
    const { socket, subscribe } = await start()
    server.latest.freeze('up')
    socket.send(new Uint8Array(2 ** 21))
    subscribe('news', () => {})
    server.latest.drop()
    await vi.advanceTimersByTimeAsync(10_000)
    expect(asked().filter(({ subscribe }) => subscribe)).toEqual([{ subscribe: 'news' }])
    socket.close()
  })

  test('passes on each message once, and reports where some are missing', async () => {
    const { socket, subscribe } = await start()
    const heard: [string, boolean][] = []
    subscribe('news', (...message) => heard.push(message))
    const send = (number: number, text?: string) =>
      server.latest.send(JSON.stringify({ topic: 'news', number, text }))
    send(4)
    send(5, 'a')
    send(5, 'a')
    send(6, 'b')
    send(9, 'c')
    server.latest.send('{"topic":"other","number":1,"text":"x"}')
    expect(heard).toEqual([
      ['a', false],
      ['b', false],
      ['c', true],
    ])
    socket.close()
  })
})

test('the status appears after two seconds, counts down, and disappears when the connection is back', async () => {
  const { createSocket } = await import('../../src/index.ts')
  type Show = (socket: Socket, ...elements: object[]) => () => void
  const { showStatus } = await run<{ showStatus: Show }>('demo/docs/status.md', 'showStatus', 'showStatus')
  const socket = createSocket('wss://push.test', {
    retry: ({ cause }) => (cause.close?.code === 1008 ? false : 5_000),
  })
  const [status, countdown] = [{ textContent: '' }, { textContent: '' }]
  const again = { hidden: true, onclick: () => {} }
  const stop = showStatus(socket, status, countdown, again)
  const texts = () => [status.textContent, countdown.textContent]
  await vi.advanceTimersByTimeAsync(0)
  server.latest.drop()
  await vi.advanceTimersByTimeAsync(1_999)
  expect(texts()).toEqual(['', ''])
  expect(again.hidden).toBe(true)
  await vi.advanceTimersByTimeAsync(1)
  expect(texts()).toEqual(['Offline.', 'Next attempt in 3 s.'])
  expect(again.hidden).toBe(false)
  await vi.advanceTimersByTimeAsync(1_000)
  expect(texts()).toEqual(['Offline.', 'Next attempt in 2 s.'])
  server.hang()
  await vi.advanceTimersByTimeAsync(2_000)
  expect(texts()).toEqual(['Connecting …', ''])
  server.latest.refuse()
  server.accept()
  await vi.advanceTimersByTimeAsync(0)
  const { attempts } = server
  again.onclick()
  await vi.advanceTimersByTimeAsync(0)
  expect(server.attempts).toBe(attempts + 1)
  expect(texts()).toEqual(['', ''])
  expect(again.hidden).toBe(true)
  server.latest.close(1008, 'Sign in.')
  await vi.advanceTimersByTimeAsync(2_000)
  expect(texts()).toEqual(['Disconnected. Sign in.', ''])
  stop()
  socket.close()
  expect(vi.getTimerCount()).toBe(0)
})

test('the recipe for a shared worker forwards messages to the connected pages, and sends the messages that they post', async () => {
  const page = () => ({ postMessage: vi.fn(), onmessage: (_: { data: unknown }) => {} })
  vi.stubGlobal('onconnect', undefined)
  const { socket } = await run<{ socket: Socket }>('demo/docs/workers.md', 'onconnect', 'socket')
  const [first, second] = [page(), page()]
  for (const port of [first, second]) {
    ;(globalThis as any).onconnect({ ports: [port] })
    port.onmessage({ data: 'here' })
  }
  second.onmessage({ data: { send: 'hello' } })
  await vi.advanceTimersByTimeAsync(0)
  expect(server.latest.received).toEqual(['hello'])
  server.latest.send('one')
  second.onmessage({ data: 'away' })
  server.latest.send('two')
  expect(first.postMessage.mock.calls).toEqual([['one'], ['two']])
  expect(second.postMessage.mock.calls).toEqual([['one']])
  socket.close()
})

test('the client does what the table of close codes says', () => {
  const rows = [
    ...readFileSync(`${root}demo/docs/closing.md`, 'utf8').matchAll(/^\| (\d.*?) \|.*\| (.*?) \|$/gm),
  ]
  expect(rows.length).toBeGreaterThan(6)
  for (const [, codes = '', does = ''] of rows) {
    const reason = codes.includes('retry-after') ? 'retry-after=7' : ''
    for (const [, from, to = from] of codes.matchAll(/(\d{4})(?:–(\d{4}))?/g)) {
      for (const code of [from, to].map(Number)) {
        const cause = { code: 'CONNECTION_LOST', close: { code, reason } }
        const wait = backoff({ random: () => 0.999 })({ attempt: 1, cause, uptime: 9_000, elapsed: 0 })
        const expected = does.startsWith('gives up')
          ? false
          : does.startsWith('waits')
            ? expect.toSatisfy((ms: number) => ms > 7_000 && ms <= 12_000)
            : /spread|likewise/.test(does)
              ? expect.toSatisfy((ms: number) => ms > 1_900 && ms <= 5_000)
              : expect.toSatisfy((ms: number) => ms > 0 && ms <= 1_900)
        expect({ code, wait }).toEqual({ code, wait: expected })
      }
    }
  }
})

test('the guide to calls begins with lines that call, subscribe, and subscribe again first on each connection', async () => {
  type Made = { api: Calls; order: unknown; stop(): void }
  const shown = vi.fn()
  vi.stubGlobal('show', shown)
  const running = run<Made>('demo/docs/calls.md', "api.call('order.place', { qty: 3 })\n", 'api, order, stop')
  const asked = () => server.latest.received.map(text => JSON.parse(text as string))
  const answer = (method: string, result: unknown) => {
    const { id } = asked().findLast(frame => frame.method === method)
    return server.latest.send(JSON.stringify({ jsonrpc: '2.0', id, result }))
  }
  await eventually(() => expect(server.attempts).toBe(1))
  await vi.advanceTimersByTimeAsync(0)
  expect(asked()).toMatchObject([{ method: 'order.place', params: { qty: 3 } }])
  answer('order.place', { id: 7 })
  const { api, order, stop } = await running
  expect(order).toEqual({ id: 7 })
  answer('subscribe', 'n')
  const item = (key: string, result: string) =>
    JSON.stringify({ jsonrpc: '2.0', method: 'subscription', params: { subscription: key, result } })
  server.latest.send(item('n', 'one')).drop()
  api.call('balance').catch(() => {})
  await vi.advanceTimersByTimeAsync(10_000)
  expect(asked()).toMatchObject([{ method: 'subscribe', params: ['news'] }, { method: 'balance' }])
  answer('subscribe', 'm').send(item('m', 'two'))
  expect(shown.mock.calls).toEqual([
    ['one', false],
    ['two', true],
  ])
  stop()
  expect(asked().at(-1)).toMatchObject({ method: 'unsubscribe', params: ['m'] })
  api.socket.close()
})

test('the recipe that authenticates before calls sends the token first, and then subscriptions and calls', async () => {
  vi.stubGlobal('fetchToken', async () => 't1')
  const entry = await import('../../src/calls.ts')
  const { createSocket } = await import('../../src/index.ts')
  for (const [name, value] of Object.entries({ ...entry, createSocket })) vi.stubGlobal(name, value)
  const { api } = await run<{ api: Calls }>('demo/docs/calls.md', 'not authenticated', 'api')
  api.call('balance').catch(() => {})
  api.subscribe('news', undefined, () => {})
  await vi.advanceTimersByTimeAsync(0)
  expect(server.latest.received).toEqual(['{"token":"t1"}'])
  server.latest.send('ok')
  await vi.advanceTimersByTimeAsync(0)
  expect(server.latest.received.slice(1).map(text => JSON.parse(text as string).method)).toEqual([
    'subscribe',
    'balance',
  ])
  api.socket.close()
})

test('the recipe for rate limits sends messages that were queued during an outage in order, five per second', async () => {
  type Made = { socket: Socket; send(text: string): void }
  const { socket, send } = await run<Made>('demo/docs/rate-limits.md', 'PER_SECOND', 'socket, send')
  await vi.advanceTimersByTimeAsync(0)
  server.latest.freeze('up')
  const texts = Array.from({ length: 30 }, (_, at) => `${at}`)
  for (const text of texts.slice(0, 20)) send(text)
  await vi.advanceTimersByTimeAsync(2_000)
  server.latest.drop()
  for (const text of texts.slice(20)) send(text)
  while (server.connections.length < 2) await vi.advanceTimersByTimeAsync(10)
  for (let second = 0; second < 7; second++) {
    const before = server.latest.received.length
    await vi.advanceTimersByTimeAsync(1_000)
    expect(server.latest.received.length - before).toBeLessThanOrEqual(5)
  }
  expect(server.latest.received).toEqual(texts)
  socket.close()
})

test('in React Native the connection is closed in the background, and opened again when the app is active', async () => {
  let change = (_: string) => {}
  const remove = vi.fn()
  vi.stubGlobal('AppState', {
    addEventListener: (_: string, listener: typeof change) => {
      change = listener
      return { remove }
    },
  })
  const { socket } = await run<{ socket: Socket }>('demo/docs/react-native.md', 'AppState', 'socket')
  await vi.advanceTimersByTimeAsync(0)
  change('inactive')
  expect(socket.state.name).toBe('open')
  change('background')
  await vi.advanceTimersByTimeAsync(600_000)
  expect([socket.state.name, server.attempts]).toEqual(['waiting', 1])
  change('active')
  await vi.advanceTimersByTimeAsync(300)
  expect([socket.state.name, server.attempts]).toEqual(['open', 2])
  socket.close()
  await vi.advanceTimersByTimeAsync(0)
  expect(remove).toHaveBeenCalledTimes(1)
})

test('in Electron the connection is opened again when the machine resumes', async () => {
  const monitor = new Map<string, () => void>()
  vi.stubGlobal('powerMonitor', {
    on: (event: string, listener: () => void) => monitor.set(event, listener),
    off: (event: string) => monitor.delete(event),
  })
  const { socket } = await run<{ socket: Socket }>('demo/docs/electron.md', 'powerMonitor', 'socket')
  await vi.advanceTimersByTimeAsync(0)
  monitor.get('suspend')?.()
  await vi.advanceTimersByTimeAsync(600_000)
  expect([socket.state.name, server.attempts]).toEqual(['waiting', 1])
  monitor.get('resume')?.()
  await vi.advanceTimersByTimeAsync(300)
  expect(socket.state.name).toBe('open')
  socket.close()
  await vi.advanceTimersByTimeAsync(0)
  expect(monitor.size).toBe(0)
})

test('a module that is replaced closes its socket', async () => {
  const dispose = vi.fn()
  vi.stubGlobal('hot', { dispose })
  const { socket } = await run<{ socket: Socket }>(
    'demo/docs/hot-reloading.md',
    'dispose(() => socket.close())',
    'socket',
  )
  await vi.advanceTimersByTimeAsync(0)
  dispose.mock.calls[0]?.[0]()
  await vi.advanceTimersByTimeAsync(0)
  expect([socket.state.name, server.clients.length]).toEqual(['closed', 0])
})

test('a module that is replaced passes its socket on, without its listeners', async () => {
  const data: { socket?: Socket } = {}
  const load = async () => {
    const [dispose, show] = [vi.fn(), vi.fn()]
    vi.stubGlobal('hot', { data, dispose })
    vi.stubGlobal('show', show)
    const piece = ['demo/docs/hot-reloading.md', 'data.socket = socket', 'socket'] as const
    const { socket } = await run<{ socket: Socket }>(...piece, {
      'show(text)': 'ownShow(text)',
      'const update': 'const ownShow = show\nconst update',
    })
    await vi.advanceTimersByTimeAsync(0)
    return { socket, show, replace: () => dispose.mock.calls[0]?.[0](data) }
  }
  const first = await load()
  first.replace()
  const second = await load()
  server.latest.send('one')
  expect([first.show.mock.calls, second.show.mock.calls]).toEqual([[], [['one']]])
  expect([server.attempts, first.socket === second.socket]).toEqual([1, true])
  second.socket.close()
})
