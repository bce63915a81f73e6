// A page, and a peer that mock-socket plays: what a user's own tests do with the SDK.
import { Server, WebSocket } from 'mock-socket'
import { afterEach, expect, test } from 'vitest'
import { createSocket, type Socket } from '../../src/index.ts'

const url = 'ws://push.test/feed'
let server: Server | undefined
let socket: Socket | undefined

const serve = () => {
  server = new Server(url, { mock: false })
  // It plays `open` to the page before the peer listens, so the peer speaks first. It has no `bufferedAmount`.
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

test('a socket over mock-socket disconnects when the page is put away and reconnects when it is shown', async () => {
  serve()
  socket = createSocket(url, { WebSocket })
  await next('open')
  const closed = next('close')
  window.dispatchEvent(new Event('pagehide'))
  expect(await closed).toMatchObject({ delay: Infinity, cause: { code: 'PAGE_HIDDEN' } })
  window.dispatchEvent(new Event('pageshow'))
  expect(await next('open')).toMatchObject({ reconnected: true })
})
