// Recipes whose point is what happens over time, run as the documents have them.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { transformSync } from 'esbuild'
import { afterAll, beforeEach, expect, test, vi } from 'vitest'
import { backoff, type Socket } from '../../src/index.ts'
import type { FakeServer } from '../../src/testing.ts'
import { fakeNetwork } from '../support/network.ts'
import { pieceWith, root } from './pieces.ts'

const folder = `${root}.tmp/recipes-${process.pid}/`

/** Runs a piece of a document, and gives what it has made. */
async function run<Made>(file: string, words: string, names: string): Promise<Made> {
  const { code } = transformSync(`${pieceWith(file, words).replace(/^export /gm, '')}\nexport { ${names} }`, {
    loader: 'ts',
  })
  mkdirSync(folder, { recursive: true })
  const path = `${folder}${Math.random().toString(36).slice(2)}.mjs`
  writeFileSync(path, code)
  return import(/* @vite-ignore */ path)
}

let server: FakeServer
beforeEach(() => {
  server = fakeNetwork()
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const urls = () => server.connections.map(({ socket }) => new URL(socket.url).search)

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

test('the recipe for tokens stops trying when the user is signed out', async () => {
  vi.stubGlobal('fetch', async () => new Response('', { status: 401 }))
  const { socket } = await run<{ socket: Socket }>('demo/docs/tokens.md', 'context.attempt === 1', 'socket')
  await vi.advanceTimersByTimeAsync(60_000)
  expect(socket.state.name).toBe('closed')
  expect(server.attempts).toBe(0)
})

test('the recipe for resubscribing sends the present subscriptions first on each connection, and then what changed', async () => {
  type Made = { socket: Socket; subscribe(topic: string): () => void }
  const { socket, subscribe } = await run<Made>('demo/docs/resubscribe.md', 'topics.add', 'socket, subscribe')
  const asked = () => server.latest.received.map(text => JSON.parse(text as string))
  await vi.advanceTimersByTimeAsync(0)
  const leave = subscribe('news')
  subscribe('sport')
  expect(asked()).toEqual([{ subscribe: 'news' }, { subscribe: 'sport' }])

  server.latest.drop()
  leave()
  subscribe('weather')()
  subscribe('chess')
  const reasons: string[] = []
  socket.on('drop', ({ reason }) => reasons.push(reason))
  await vi.advanceTimersByTimeAsync(10_000)
  expect(asked().slice(0, 2)).toEqual([{ subscribe: 'sport' }, { subscribe: 'chess' }])
  expect(asked().slice(2)).toEqual([
    { unsubscribe: 'news' },
    { unsubscribe: 'weather' },
    { subscribe: 'chess' },
  ])
  socket.close()
})

test('the recipe for missed messages sends the last id, and shows no message twice', async () => {
  const shown: string[] = []
  vi.stubGlobal('show', (text: string) => shown.push(text))
  const { createSocket } = await import('../../src/index.ts')
  vi.stubGlobal('createSocket', createSocket)
  const { socket } = await run<{ socket: Socket }>('demo/docs/resubscribe.md', 'let last = 0', 'socket')
  await vi.advanceTimersByTimeAsync(0)
  server.latest.send('{"id":1,"headline":"a"}').send('{"id":2,"headline":"b"}').drop()
  await vi.advanceTimersByTimeAsync(10_000)
  expect(server.latest.received).toEqual(['{"subscribe":"news","after":2}'])
  server.latest.send('{"id":2,"headline":"b"}').send('{"id":3,"headline":"c"}')
  expect(shown).toEqual(['a', 'b', 'c'])
  socket.close()
})

test('the recipe for a shared worker forwards messages to the pages that are there, and sends what they post', async () => {
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
  expect(rows.length).toBeGreaterThan(7)
  for (const [, codes = '', does = ''] of rows) {
    const reason = codes.includes('retry-after') ? 'retry-after=7' : ''
    for (const [, from, to = from] of codes.matchAll(/(\d{4})(?:–(\d{4}))?/g)) {
      for (const code of [from, to].map(Number)) {
        const cause = { code: 'CONNECTION_LOST', close: { code, reason } }
        const wait = backoff({ random: () => 0.999 })({ attempt: 1, cause, uptime: 9_000, elapsed: 0 })
        const expected = does.startsWith('gives up')
          ? false
          : does.startsWith('waits')
            ? expect.toSatisfy((ms: number) => ms > 7_000 && ms <= 20_000)
            : /spread|likewise/.test(does)
              ? expect.toSatisfy((ms: number) => ms > 5_000 && ms <= 13_000)
              : expect.toSatisfy((ms: number) => ms > 0 && ms <= 1_900)
        expect({ code, wait }).toEqual({ code, wait: expected })
      }
    }
  }
})
