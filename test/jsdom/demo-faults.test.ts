// The experiments of the demo's page, in jsdom: what cannot be provoked with a real server.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'

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
  'nodes',
  'node-list',
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

describe('the list of nodes', () => {
  const start = async () => {
    let answer = (_: Response) => {}
    vi.stubGlobal('fetch', () => new Promise<Response>(resolve => (answer = resolve)))
    const socket = createSocketStub()
    vi.resetModules()
    const { createFaults } = await import('../../demo/page/faults.js' as string)
    const { showNodes } = await import('../../demo/page/nodes.js' as string)
    const streams = { sockets: [socket], tallies: () => ({ plain: 0, reliable: 0 }) }
    const faults = createFaults(socket, streams, (text: string) => nodes.answer(text))
    const nodes = showNodes(socket, faults.tell)
    const show = (here: string, ...names: string[]) => nodes.show({ nodes: names, here, canBeKilled: true })
    show('2', '1', '2', '3')
    return { socket, show, answer: (text: string) => answer(new Response(text)) }
  }
  const listed = () => [...document.querySelectorAll('#node-list li')].map(item => item.textContent)

  test('no longer contains a node as soon as the server has killed it, and marks none while the page is disconnected', async () => {
    const { socket, show, answer } = await start()
    expect(listed()).toEqual(['1', '2, which serves this page', '3'])
    document.getElementById('fault-kill')?.click()
    answer('Node 2 was killed. It restarts in a few seconds.')
    await vi.advanceTimersByTimeAsync(0)
    expect(listed()).toEqual(['1', '3'])
    socket.become('waiting')
    await vi.advanceTimersByTimeAsync(1_000)
    socket.become('open')
    show('3', '1', '3')
    expect(listed()).toEqual(['1', '3, which serves this page'])
    // The result of the experiment says more than that the node has ended.
    await vi.advanceTimersByTimeAsync(5_000)
    expect(happened()).toMatch(/^Kill a node: detected after/)
    socket.become('waiting')
    expect(listed()).toEqual(['1', '3'])
  })

  test('reports that the node that served the page has ended without a button of this page', async () => {
    const { socket, show } = await start()
    socket.become('waiting')
    socket.become('open')
    show('1', '1', '2', '3')
    expect(happened()).toBe('')
    socket.become('waiting')
    socket.become('open')
    show('3', '2', '3')
    expect(happened()).toBe('Node 1 has ended. Node 3 serves this page now.')
  })
})
