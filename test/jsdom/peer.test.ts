// A page with a server of mock-socket, as in the tests of an application.
import { Server, WebSocket } from 'mock-socket'
import { afterEach, expect, test } from 'vitest'
import { createSocket, type Socket } from '../../src/index.ts'

const url = 'ws://push.test/feed'
let server: Server | undefined
let socket: Socket | undefined

const serve = () => {
  server = new Server(url, { mock: false })
  // mock-socket dispatches `open` before the server listens, so the server sends the first message. It has no `bufferedAmount`.
  server.on('connection', peer => {
    peer.on('message', data => peer.send(`echo ${data}`))
    peer.send('welcome')
  })
  return server
}

const next = (type: 'open' | 'close' | 'text') =>
  new Promise<any>(resolve => (socket as Socket).once(type, resolve))

afterEach(() => {
  socket?.close()
  server?.stop()
})

test('a socket over mock-socket gets answers, and reconnects after the server goes away', async () => {
  serve()
  socket = createSocket(url, { WebSocket, retry: () => 10 })
  expect(await next('text')).toBe('welcome')
  expect(socket.send('first')).toBe('sent')
  expect(await next('text')).toBe('echo first')

  const closed = next('close')
  server?.clients()[0]?.close({ code: 1012, reason: 'deploy', wasClean: true })
  expect(await closed).toMatchObject({ code: 1012, reason: 'deploy', willRetry: true, delay: 10 })
  expect(await next('text')).toBe('welcome')
})

test('a socket over mock-socket disconnects on pagehide and reconnects on pageshow', async () => {
  serve()
  socket = createSocket(url, { WebSocket })
  await next('open')
  const closed = next('close')
  window.dispatchEvent(new Event('pagehide'))
  expect(await closed).toMatchObject({ delay: Infinity, cause: { code: 'PAGE_HIDDEN' } })
  window.dispatchEvent(new Event('pageshow'))
  expect(await next('open')).toMatchObject({ reconnected: true })
})
