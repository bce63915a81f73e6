// What the client and the server of this package have in addition to Azure's protocol, over real connections.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { createReliableSocket } from '../../src/reliable.ts'
import { createReliableServer, memoryStore } from '../../src/server.ts'
import { cleanUp, cleanup } from '../support/cleanup.ts'
import { eventually } from '../support/eventually.ts'
import { startNode } from './server-rig.ts'

cleanUp()

const connect = async (url: string) => {
  const socket = createReliableSocket(url, { WebSocket: WebSocket as never, retry: () => 10, wake: false })
  cleanup(() => socket.close())
  await new Promise(resolve => socket.once('open', resolve))
  return socket
}

test('the URL of no request contains a token, while a session is resumed and while handshakes fail', async () => {
  const urls: string[] = []
  const http = createServer()
  const wss = new WebSocketServer({ noServer: true })
  let isRefusing = false
  http.on('upgrade', (request, line, head) => {
    urls.push(request.url as string)
    if (isRefusing) line.end('HTTP/1.1 503 Service Unavailable\r\n\r\n')
    else wss.handleUpgrade(request, line, head, socket => wss.emit('connection', socket, request))
  })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const server = createReliableServer(wss)
  cleanup(async () => {
    await server.close({ timeout: 0 })
    http.close()
  })
  const socket = await connect(`ws://127.0.0.1:${(http.address() as AddressInfo).port}/feed?room=1`)
  const id = socket.connectionId
  for (let i = 0; i < 3; i++) {
    const opened = new Promise(resolve => socket.once('open', resolve))
    socket.reconnect()
    expect(await opened).toMatchObject({ resumed: true })
  }
  isRefusing = true
  const failed = new Promise(resolve => socket.once('error', resolve))
  socket.reconnect()
  await failed
  isRefusing = false
  expect(await new Promise(resolve => socket.once('open', resolve))).toMatchObject({ resumed: true })
  expect(socket.connectionId).toBe(id)
  expect(urls.length).toBeGreaterThanOrEqual(6)
  expect([...new Set(urls)]).toEqual(['/feed?room=1'])
})

test('close() ends the session on the server at once, after the messages that were sent before', async () => {
  const heard: unknown[] = []
  const ends: unknown[] = []
  const { url, server } = await startNode({
    onMessage: ({ data }) => void heard.push(data),
    onEnd: (_, close) => void ends.push(close),
  })
  const socket = await connect(url)
  for (let i = 0; i < 100; i++) socket.send(i)
  socket.close()
  await eventually(() => expect(ends).toEqual([{ code: 1000, reason: 'ended by the client' }]))
  expect(heard).toHaveLength(100)
  expect(await server.broadcast('anyone?')).toBe(0)
})

test('drain() moves a client to another node, without a gap and without a moment in which it is not connected', async () => {
  const store = memoryStore()
  const heard: unknown[] = []
  const options = { store, onMessage: ({ data }: { data: unknown }) => void heard.push(data) }
  const nodes = [await startNode(options), await startNode(options)] as const
  let target = nodes[0]
  const socket = createReliableSocket(async () => target.url, { WebSocket: WebSocket as never, wake: false })
  cleanup(() => socket.close())
  await new Promise(resolve => socket.once('open', resolve))
  const states: string[] = []
  const received: unknown[] = []
  socket.on('state', ({ name }) => states.push(name))
  socket.on('gap', gap => states.push(`gap ${gap.reason}`))
  socket.on('message', ({ data }) => received.push(data))
  const id = socket.connectionId as string
  // A load balancer does this when the first node is not ready any more.
  target = nodes[1]
  const drained = nodes[0].server.drain({ over: 0 })
  const sent = Array.from({ length: 100 }, (_, i) => socket.send(i))
  for (let i = 0; i < 100; i++) {
    await nodes[1].server.send(id, i)
    await new Promise(setImmediate)
  }
  await drained
  expect(await Promise.all(sent)).toEqual(sent.map(() => ({ status: 'delivered' })))
  await eventually(() => expect(received).toHaveLength(100))
  const numbers = Array.from({ length: 100 }, (_, i) => i)
  expect([received, heard]).toEqual([numbers, numbers])
  expect(states.filter(name => name !== 'open')).toEqual([])
  expect(nodes.map(({ server }) => server.stats.connections)).toEqual([0, 1])
  expect(socket.connectionId).toBe(id)
})
