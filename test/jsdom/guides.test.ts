// The guides about pages, in jsdom.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { beforeEach, expect, test, vi } from 'vitest'
import { WebSocketServer } from 'ws'
import type { PageEventSource, Socket } from '../../src/index.ts'
import type { FakeServer } from '../../src/testing.ts'
import { pieceWith } from '../package/pieces.ts'
import { runPiece as run } from '../package/run-piece.ts'
import { fakeNetwork } from '../support/network.ts'

let server: FakeServer
let hidden = false
beforeEach(() => {
  server = fakeNetwork()
  hidden = false
  vi.spyOn(document, 'hidden', 'get').mockImplementation(() => hidden)
  vi.spyOn(document, 'visibilityState', 'get').mockImplementation(() => (hidden ? 'hidden' : 'visible'))
})

const become = (next: boolean) => {
  hidden = next
  document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))
}

test('the guide to hidden tabs closes the connection after five minutes, until the page is shown again', async () => {
  const { socket } = await run<{ socket: Socket }>('demo/docs/hidden-tabs.md', 'hiddenFor', 'socket')
  await vi.advanceTimersByTimeAsync(0)
  become(true)
  await vi.advanceTimersByTimeAsync(299_999)
  expect(socket.state.name).toBe('open')
  await vi.advanceTimersByTimeAsync(1)
  expect(socket.state).toMatchObject({ name: 'waiting', delay: Infinity })
  become(false)
  await vi.advanceTimersByTimeAsync(300)
  expect([socket.state.name, server.attempts]).toEqual(['open', 2])
  socket.close()
})

test('the guide to hidden tabs sends once on each connection whether the page is hidden', async () => {
  const { createSocket } = await import('../../src/index.ts')
  const socket = createSocket('wss://push.test')
  vi.stubGlobal('socket', socket)
  const added = vi.spyOn(document, 'addEventListener')
  await run('demo/docs/hidden-tabs.md', 'sendRate', 'sendRate')
  await vi.advanceTimersByTimeAsync(0)
  become(true)
  expect(server.latest.received).toEqual(['{"rate":"full"}', '{"rate":"slow"}'])
  server.latest.drop()
  become(false)
  await vi.advanceTimersByTimeAsync(10_000)
  expect(server.latest.received).toEqual(['{"rate":"full"}'])
  socket.close()
  for (const [type, listener] of added.mock.calls) document.removeEventListener(type, listener)
})

test('the guide to the status has elements for its function, and passes them to it', async () => {
  const { createSocket } = await import('../../src/index.ts')
  const socket = createSocket('wss://push.test', { retry: () => 5_000 })
  const { showStatus } = await run<{ showStatus: unknown }>(
    'demo/docs/status.md',
    'function showStatus',
    'showStatus',
  )
  document.body.innerHTML = pieceWith('demo/docs/status.md', '<button')
  vi.stubGlobal('socket', socket)
  vi.stubGlobal('showStatus', showStatus)
  await run('demo/docs/status.md', 'getElementById', 'find')
  const text = () => document.body.textContent?.replace(/\s+/g, ' ').trim()
  const button = document.querySelector('button')
  await vi.advanceTimersByTimeAsync(0)
  expect([text(), button?.hidden]).toEqual(['Try now', true])
  server.latest.drop()
  await vi.advanceTimersByTimeAsync(2_000)
  expect([text(), button?.hidden]).toEqual(['Offline. Next attempt in 3 s. Try now', false])
  button?.click()
  await vi.advanceTimersByTimeAsync(0)
  expect([text(), button?.hidden]).toEqual(['Try now', true])
  socket.close()
})

test('the own WebSocket of jsdom reaches a reliable server that accepts its origin, and no other, as the guide to testing says', async () => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
  const { createReliableSocket } = await import('../../src/reliable.ts')
  const { createReliableServer } = await import('../../src/server.ts')
  const outcomeWith = async (options: { origins?: string[] }) => {
    const wss = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    await once(wss, 'listening')
    const server = createReliableServer(wss, { onMessage: () => {}, ...options })
    const socket = createReliableSocket(`ws://127.0.0.1:${(wss.address() as AddressInfo).port}/`)
    const outcome = await socket.send('hello', { event: 'order' })
    socket.close()
    await server.close()
    wss.close()
    return outcome
  }
  expect(await outcomeWith({ origins: [location.origin] })).toEqual({ status: 'delivered' })
  expect(await outcomeWith({})).toMatchObject({ status: 'dropped', reason: 'closed' })
})

test('the guide to Electron reports to a window that the machine was suspended, and the events of the page', async () => {
  const listeners = new Set<() => void>()
  vi.stubGlobal('desktop', {
    onResume(listener: () => void) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  })
  const { windowEvents } = await run<{ windowEvents: PageEventSource }>(
    'demo/docs/electron.md',
    'windowEvents',
    'windowEvents',
  )
  const report = vi.fn()
  const stop = windowEvents(report)
  for (const listener of listeners) listener()
  become(true)
  expect(report.mock.calls).toEqual([['wake'], ['hidden']])
  stop()
  become(false)
  expect([report.mock.calls.length, listeners.size]).toEqual([2, 0])
})
