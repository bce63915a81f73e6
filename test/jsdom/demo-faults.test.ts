// The experiments of the demo's page, in jsdom: what cannot be provoked with a real server.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'

const ids = [
  'duplicate',
  'close-form',
  'code',
  'faults',
  'result',
  'experiments',
  'expect',
  'happened',
  'noticed',
  'back',
  'waited',
  'returned',
  'fault-lost-plain',
  'fault-lost-reliable',
  'announcer',
]

/** What the demo's page uses of a socket. */
const createSocketStub = () => {
  const listeners: ((state: { name: string }) => void)[] = []
  const socket = {
    state: { name: 'open' },
    on: (_: string, listener: (typeof listeners)[number]) => listeners.push(listener),
    send: () => 'queued',
    become(name: string) {
      socket.state = { name }
      for (const listener of listeners) listener(socket.state)
    },
  }
  return socket
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] })
  document.body.innerHTML = ids.map(id => `<p id="${id}"></p>`).join('')
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

/** Presses the button that resets all connections. `answer()` is the server's response to that. */
const cut = async () => {
  let answer = (_: Response) => {}
  vi.stubGlobal('fetch', () => new Promise<Response>(resolve => (answer = resolve)))
  const socket = createSocketStub()
  vi.resetModules()
  const { createFaults } = (await import('../../demo/page/faults.js' as string)) as {
    createFaults: (socket: object, options: object) => object
  }
  createFaults(socket, { sockets: [socket], tallies: () => ({ plain: 0, reliable: 0 }) })
  document.getElementById('fault-cut')?.click()
  return { socket, answer }
}
const happened = () => document.getElementById('happened')?.textContent
const report = /^Cut: .*Lost from the streams: plain 0, reliable 0\.$/

test('an experiment ends also when the connection is back before the page looks for the first time', async () => {
  const { socket } = await cut()
  socket.become('waiting')
  socket.become('open')
  await vi.advanceTimersByTimeAsync(5_000)
  expect(happened()).toMatch(report)
})

test('an answer of the server that comes after an experiment does not replace its result', async () => {
  const { socket, answer } = await cut()
  socket.become('waiting')
  await vi.advanceTimersByTimeAsync(1_000)
  socket.become('open')
  await vi.advanceTimersByTimeAsync(5_000)
  expect(happened()).toMatch(report)
  answer(new Response('13 connections were reset.'))
  await vi.advanceTimersByTimeAsync(0)
  expect(happened()).toMatch(report)
})
