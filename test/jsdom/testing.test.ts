// The fake server in jsdom, where its events must be instances of the page's classes.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createSocket } from '../../src/index.ts'
import { createFakeServer, record } from '../../src/testing.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

test('in a page, the fake server’s sockets and events are of the page’s classes', () => {
  const server = createFakeServer()
  const socket = new server.WebSocket('/feed', 'v1')
  expect(socket).toBeInstanceOf(window.EventTarget)
  expect(`${socket}`).toBe('[object WebSocket]')
  const events: Event[] = []
  for (const type of ['open', 'message', 'error', 'close']) {
    socket.addEventListener(type, event => events.push(event))
  }
  server.latest.accept().send('x').drop()
  expect(events.map(({ type }) => type)).toEqual(['open', 'message', 'error', 'close'])
  for (const event of events) expect(event).toBeInstanceOf(window.Event)
  expect(events[1]).toBeInstanceOf(window.MessageEvent)
  expect(events[3]).toBeInstanceOf(window.CloseEvent)
  expect(events.map(({ target }) => target)).toEqual([socket, socket, socket, socket])
  expect(events.map(({ timeStamp }) => timeStamp)).toEqual(Array(4).fill(performance.now()))
})

test('in a page, the fake server’s relative URLs are relative to the document', () => {
  const server = createFakeServer()
  expect(new server.WebSocket('/feed').url).toBe(`${location.origin.replace('http', 'ws')}/feed`)
  const base = document.createElement('base')
  base.href = 'https://other.test/a/'
  document.head.append(base)
  expect(new server.WebSocket('feed').url).toBe('wss://other.test/a/feed')
  base.remove()
})

test('in a page, the fake server’s bytes arrive as the page’s Blob or ArrayBuffer', () => {
  const server = createFakeServer()
  const socket = new server.WebSocket('/feed')
  const data: unknown[] = []
  socket.onmessage = event => data.push(event.data)
  server.latest.accept().send(Uint8Array.of(1, 2))
  socket.binaryType = 'arraybuffer'
  server.latest.send(Uint8Array.of(1, 2))
  expect(data[0]).toBeInstanceOf(window.Blob)
  expect(data[1]).toBeInstanceOf(ArrayBuffer)
  const blob = new window.Blob(['12345'])
  socket.send(blob)
  expect([socket.bufferedAmount, server.latest.received]).toEqual([5, [blob]])
})

test('in a page, a socket over the fake server disconnects on pagehide and reconnects on pageshow', () => {
  const server = createFakeServer()
  const socket = createSocket('/feed', { WebSocket: server.WebSocket })
  const log = record(socket)
  vi.advanceTimersByTime(0)
  window.dispatchEvent(new Event('pagehide'))
  expect(server.latest.closed).toEqual({ code: 1005, reason: '' })
  window.dispatchEvent(new Event('pageshow'))
  vi.advanceTimersByTime(301)
  expect(log.events.filter(({ type }) => type === 'state').map(({ name }) => name)).toEqual([
    'open',
    'waiting',
    'waiting',
    'connecting',
    'open',
  ])
  expect(server.attempts).toBe(2)
})
