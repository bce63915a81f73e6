import { once } from 'node:events'
import { afterEach, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { type ServerOptions, startServer, type TestServer } from './ws.ts'

const servers: TestServer[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop()
})

async function start(options?: ServerOptions) {
  const server = await startServer(options)
  servers.push(server)
  return server
}

/** Connects a client that records its messages and its end from the beginning. */
function dial(url: string, protocols: string[] = [], options = {}) {
  const socket = new WebSocket(url, protocols, options)
  const messages: unknown[] = []
  socket.on('message', (data: Buffer, binary) => messages.push(binary ? data : data.toString()))
  socket.on('error', () => {})
  const opened = new Promise(resolve => socket.on('open', resolve))
  const closed = new Promise<{ code: number; reason: string }>(resolve =>
    socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() })),
  )
  return { socket, messages, opened, closed }
}

test('the test server echoes text and binary messages, and records them with their senders', async () => {
  const server = await start()
  const first = dial(`${server.url}/echo`)
  const second = dial(server.url)
  await server.until(() => server.connections.length === 2)
  await Promise.all([first.opened, second.opened])
  first.socket.send('héllo')
  await once(first.socket, 'message')
  second.socket.send(Buffer.from([1, 2, 3]))
  await once(second.socket, 'message')
  expect(first.messages).toEqual(['héllo'])
  expect(second.messages).toEqual([Buffer.from([1, 2, 3])])
  expect(server.received.map(({ data }) => data)).toEqual(['héllo', Buffer.from([1, 2, 3])])

  server.clear()
  expect([server.received.length, server.connections.length]).toEqual([0, 2])
})

test('the test server broadcasts only to the clients of /broadcast', async () => {
  const server = await start()
  const clients = [
    dial(`${server.url}/broadcast`),
    dial(`${server.url}/broadcast`),
    dial(`${server.url}/sink`),
  ]
  await Promise.all(clients.map(({ opened }) => opened))
  clients[0]?.socket.send('to all')
  await once(clients[1]?.socket as WebSocket, 'message')
  server.push('from the server')
  await once(clients[2]?.socket as WebSocket, 'message')
  expect(clients[1]?.messages[0]).toBe('to all')
  expect(clients[2]?.messages).toEqual(['from the server'])
})

test('the test server sends one message in several frames', async () => {
  const server = await start()
  const client = dial(server.url)
  await client.opened
  server.push('and a', 'happy new', 'year!')
  await once(client.socket, 'message')
  expect(client.messages).toEqual(['and ahappy newyear!'])
})

test.each([
  ['/close?code=4001&reason=x', { code: 4001, reason: 'x' }],
  ['/close', { code: 1005, reason: '' }],
  ['/drop', { code: 1006, reason: '' }],
])('the test server opens and ends a connection at once on %s', async (path, end) => {
  const server = await start()
  const client = dial(server.url + path)
  await client.opened
  expect(await client.closed).toEqual(end)
  await server.until(() => server.connections[0]?.closed !== undefined)
})

test('the test server can refuse handshakes, answer them with garbage, or not answer, and counts them', async () => {
  const server = await start()
  server.refuse(503)
  const refused = new WebSocket(server.url)
  const [error] = await once(refused, 'error')
  expect(error.message).toContain('503')
  server.refuse(false)
  const [parse] = await once(new WebSocket(`${server.url}/garbage`), 'error')
  expect(parse.message).toContain('Parse Error')
  const hanging = dial(`${server.url}/hang`)
  await server.until(() => server.handshakes === 3)
  expect(hanging.socket.readyState).toBe(WebSocket.CONNECTING)
  await server.stop()
  expect((await hanging.closed).code).toBe(1006)
})

test('the test server can answer a handshake late', async () => {
  const server = await start()
  server.slowHandshake(50)
  const before = performance.now()
  await dial(server.url).opened
  expect(performance.now() - before).toBeGreaterThanOrEqual(49)
})

test('the test server selects the first subprotocol that it knows', async () => {
  const server = await start({ protocols: ['v2', 'v1'] })
  const known = dial(server.url, ['v0', 'v1', 'v2'])
  await known.opened
  expect(known.socket.protocol).toBe('v1')
  const unknown = dial(server.url, ['v9'])
  expect((await unknown.closed).code).toBe(1006)
})

test('the test server compresses messages if the option is set', async () => {
  const server = await start({ perMessageDeflate: true })
  const client = dial(server.url)
  await client.opened
  expect(client.socket.extensions).toContain('permessage-deflate')
  server.push('a'.repeat(1000))
  await once(client.socket, 'message')
  expect(client.messages).toEqual(['a'.repeat(1000)])
})

test('the test server closes all connections with a code, or cuts them', async () => {
  const server = await start()
  const clients = [dial(server.url), dial(server.url)]
  await Promise.all(clients.map(({ opened }) => opened))
  server.closeAll(1012, 'restart')
  for (const { closed } of clients) expect(await closed).toEqual({ code: 1012, reason: 'restart' })
  const cut = dial(server.url)
  await cut.opened
  server.terminateAll()
  expect((await cut.closed).code).toBe(1006)
})

test('the test server can ignore everything, even a close frame', async () => {
  const server = await start()
  const client = dial(`${server.url}/silent`)
  await client.opened
  client.socket.close()
  const other = dial(server.url)
  await other.opened
  other.socket.send('round trip')
  await once(other.socket, 'message')
  expect(client.socket.readyState).toBe(WebSocket.CLOSING)
  client.socket.terminate()
})

test('the test server restarts on the same port', async () => {
  const server = await start()
  const before = dial(server.url)
  await before.opened
  await server.stop()
  expect((await before.closed).code).toBe(1006)
  const [error] = await once(new WebSocket(server.url), 'error')
  expect(error.code).toBe('ECONNREFUSED')
  await server.restart()
  const connected = server.next('connection')
  await dial(server.url).opened
  expect((await connected).number).toBe(2)
  await server.restart()
  await dial(server.url).opened
})
