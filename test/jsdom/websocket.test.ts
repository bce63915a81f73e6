import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createFakeServer } from '../../src/testing.ts'
import { SteadyWebSocket } from '../../src/websocket.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

test('in a page, the events of the drop-in class are of the page’s classes', () => {
  const server = createFakeServer()
  server.hang()
  const socket = new SteadyWebSocket('/feed', [], { WebSocket: server.WebSocket, retry: false })
  const heard: Event[] = []
  for (const type of ['open', 'message', 'error', 'close']) socket.addEventListener(type, e => heard.push(e))
  server.latest.accept().send('hello').drop()
  expect(socket).toBeInstanceOf(window.EventTarget)
  const kinds = [window.Event, window.MessageEvent, window.Event, window.CloseEvent]
  expect(heard.map(event => event.constructor)).toEqual(kinds)
  expect(heard.at(-1)).toMatchObject({ code: 1006, wasClean: false, willReconnect: false })
})

test('without reconnection, the drop-in class keeps the connection on pagehide', () => {
  const server = createFakeServer()
  server.hang()
  const make = (options: object) => {
    const socket = new SteadyWebSocket('/feed', [], { WebSocket: server.WebSocket, ...options })
    server.latest.accept()
    return socket
  }
  const plain = make({ retry: false })
  const steady = make({})
  window.dispatchEvent(new Event('pagehide'))
  expect([plain.readyState, steady.readyState]).toEqual([1, 0])
  plain.close()
  steady.close()
})
