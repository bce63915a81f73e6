import { once } from 'node:events'
import net from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { type Connection, type FaultProxy, startProxy } from './proxy.ts'
import { createWatch } from './watch.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** What one end of a TCP connection has seen so far; `until` waits for a sight, not for a time. */
function observe(socket: net.Socket) {
  const { look, until } = createWatch()
  const seen = {
    socket,
    bytes: Buffer.alloc(0),
    ended: false,
    closed: false,
    error: '',
    until,
  }
  const note = (change: () => void) => {
    change()
    look()
  }
  socket.on('data', data => note(() => (seen.bytes = Buffer.concat([seen.bytes, data]))))
  socket.on('end', () => note(() => (seen.ended = true)))
  socket.on('close', () => note(() => (seen.closed = true)))
  socket.on('error', (error: NodeJS.ErrnoException) => note(() => (seen.error = error.code ?? error.message)))
  cleanups.push(() => socket.destroy())
  return seen
}

type End = ReturnType<typeof observe>

/** A server that takes connections, with a proxy before it. */
async function rig() {
  const ends: End[] = []
  const news = new Set<() => void>()
  const server = net.createServer({ allowHalfOpen: true }, socket => {
    ends.push(observe(socket))
    for (const check of news) check()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(() => server.close())
  const proxy = await startProxy({ port: (server.address() as net.AddressInfo).port })
  cleanups.push(() => proxy.close())

  const arrival = (n: number) =>
    new Promise<End>(resolve => {
      const check = () => {
        const end = ends[n - 1]
        if (end && news.delete(check)) resolve(end)
      }
      news.add(check)
      check()
    })
  return { proxy, ends, arrival }
}

const dial = (proxy: FaultProxy) =>
  observe(net.connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true }))

/** One connection through the proxy: its client's end, its server's end, and the proxy's handle on it. */
async function pair() {
  const { proxy, arrival } = await rig()
  const client = dial(proxy)
  const server = await arrival(1)
  return { proxy, client, server, connection: proxy.connections[0] as Connection }
}

/** A round trip through the event loops of both ends, by way of something that is not frozen. */
async function settle() {
  const { client, server } = await pair()
  client.socket.write('?')
  await server.until(() => server.bytes.length === 1)
  server.socket.write('!')
  await client.until(() => client.bytes.length === 1)
}

const pattern = (length: number) =>
  Buffer.from(Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 255))

test('forwards both ways, and the end of each side', async () => {
  const { proxy, client, server, connection } = await pair()
  const sent = pattern(3_000_000)
  client.socket.write(sent)
  await server.until(() => server.bytes.length === sent.length)
  expect(server.bytes.equals(sent)).toBe(true)
  server.socket.write('hello')
  await client.until(() => client.bytes.length === 5)
  expect(connection.forwarded).toEqual({ up: sent.length, down: 5 })

  client.socket.end()
  await server.until(() => server.ended)
  server.socket.end('still')
  await client.until(() => client.closed)
  expect(client.bytes.toString()).toBe('hellostill')
  await connection.closed
  expect(proxy.connections).toEqual([])
  expect(proxy.count).toBe(1)
})

test('counts connections as they come', async () => {
  const { proxy } = await rig()
  const third = proxy.accepted(3)
  dial(proxy)
  await proxy.accepted(1)
  dial(proxy)
  dial(proxy)
  await third
  await proxy.accepted(2)
  expect(proxy.connections.map(({ number }) => number)).toEqual([1, 2, 3])
})

test('a frozen connection forwards nothing, and all of it in order when it thaws', async () => {
  const { client, server, connection } = await pair()
  connection.freeze()
  client.socket.write('one ')
  client.socket.write('two ')
  server.socket.write('news')
  client.socket.end('three')
  await settle()
  expect(server.bytes.length + client.bytes.length).toBe(0)
  expect(server.ended).toBe(false)

  connection.thaw('up')
  await server.until(() => server.ended)
  expect(server.bytes.toString()).toBe('one two three')
  expect(client.bytes.length).toBe(0)
  connection.thaw()
  await client.until(() => client.bytes.length === 4)
})

test('freezes one direction and leaves the other', async () => {
  const { client, server, connection } = await pair()
  connection.freeze('down')
  server.socket.write('unheard')
  client.socket.write('heard')
  await server.until(() => server.bytes.length === 5)
  expect(client.bytes.length).toBe(0)
})

test('freezes all connections and those to come, until the thaw', async () => {
  const { proxy, ends, arrival } = await rig()
  const before = dial(proxy)
  const first = await arrival(1)
  proxy.freeze()
  const after = dial(proxy)
  before.socket.write('a')
  after.socket.write('b')
  await proxy.accepted(2)
  await settle()
  expect(first.bytes.length).toBe(0)
  expect(ends.length).toBe(1)

  proxy.thaw()
  await first.until(() => first.bytes.length === 1)
  const second = await arrival(2)
  await second.until(() => second.bytes.length === 1)
})

test('makes the sender feel a freeze: 64 MiB do not fit', async () => {
  const { client, server, connection } = await pair()
  connection.freeze('up')
  const chunk = Buffer.alloc(1024 * 1024)
  for (let i = 0; i < 64; i++) client.socket.write(chunk)
  await settle()
  await settle()
  const stuck = client.socket.writableLength
  expect(stuck).toBeGreaterThan(32 * chunk.length)
  expect(server.bytes.length).toBe(0)

  connection.reset()
  await client.until(() => client.closed)
  expect(server.bytes.length).toBe(0)
})

test('resets a frozen connection; what was held never arrives', async () => {
  const { client, server, connection } = await pair()
  connection.freeze()
  client.socket.write('lost')
  await settle()
  connection.reset()
  await client.until(() => client.closed)
  await server.until(() => server.closed)
  expect([client.error, server.error]).toEqual(['ECONNRESET', 'ECONNRESET'])
  expect(server.bytes.length).toBe(0)
})

test('passes a reset on, and holds it back while frozen', async () => {
  const { client, server, connection } = await pair()
  connection.freeze('up')
  client.socket.resetAndDestroy()
  await client.until(() => client.closed)
  await settle()
  expect(server.closed).toBe(false)
  connection.thaw('up')
  await server.until(() => server.closed)
  expect(server.error).toBe('ECONNRESET')
})

test('ends towards the client, who can go on sending', async () => {
  const { client, server, connection } = await pair()
  server.socket.write('last words')
  await client.until(() => client.bytes.length === 10)
  connection.end()
  await client.until(() => client.ended)
  server.socket.write('unheard')
  client.socket.end('reply')
  await server.until(() => server.ended)
  expect(server.bytes.toString()).toBe('reply')
  expect(client.bytes.toString()).toBe('last words')
})

test('cuts after exactly so many bytes', async () => {
  const { client, server, connection } = await pair()
  connection.cutAfter(70_001, 'up')
  client.socket.write(pattern(200_000))
  await client.until(() => client.closed)
  // A reset that comes right behind unread data can look like an end.
  await server.until(() => server.closed || server.ended)
  expect(server.bytes.equals(pattern(200_000).subarray(0, 70_001))).toBe(true)
})

test('cuts each new connection after so many bytes, until that is lifted', async () => {
  const { proxy, arrival } = await rig()
  proxy.cutAfter(2, 'down')
  for (const n of [1, 2]) {
    const client = dial(proxy)
    const server = await arrival(n)
    server.socket.write('abc')
    await client.until(() => client.closed || client.ended)
    expect(client.bytes.toString()).toBe('ab')
  }
  proxy.cutAfter(Infinity, 'down')
  const client = dial(proxy)
  const server = await arrival(3)
  server.socket.write('abc')
  await client.until(() => client.bytes.length === 3)
})

test('refuses at accept, and again lets in', async () => {
  const { proxy, ends, arrival } = await rig()
  proxy.refuse(true)
  const refused = dial(proxy)
  await refused.until(() => refused.closed)
  expect(refused.error).toBe('ECONNRESET')
  expect([proxy.count, ends.length]).toEqual([0, 0])
  proxy.refuse(false)
  dial(proxy)
  await arrival(1)
})

test('stops listening, keeps what is connected, and listens again on the same port', async () => {
  const { proxy, client, server } = await pair()
  await proxy.listen(false)
  const refused = dial(proxy)
  await refused.until(() => refused.closed)
  expect(refused.error).toBe('ECONNREFUSED')
  client.socket.write('still here')
  await server.until(() => server.bytes.length === 10)
  await proxy.listen(true)
  dial(proxy)
  await proxy.accepted(2)
})

test('hangs: accepts, and the server hears nothing before the thaw', async () => {
  const { proxy, ends, arrival } = await rig()
  proxy.hang(true)
  const client = dial(proxy)
  client.socket.write('GET /')
  await proxy.accepted(1)
  await settle()
  expect(ends.length).toBe(0)
  proxy.hang(false)
  proxy.connections[0]?.thaw()
  const server = await arrival(1)
  await server.until(() => server.bytes.length === 5)
})

test('resets the client when the server refuses', async () => {
  const closed = net.createServer().listen(0, '127.0.0.1')
  await once(closed, 'listening')
  const { port } = closed.address() as net.AddressInfo
  closed.close()
  const proxy = await startProxy({ port })
  cleanups.push(() => proxy.close())
  const client = dial(proxy)
  await client.until(() => client.closed)
  expect(client.error).toBe('ECONNRESET')
})

test('delays every byte and keeps the order, also when the delay shrinks', async () => {
  const { client, server, connection } = await pair()
  connection.delay(80)
  const start = performance.now()
  client.socket.write('a')
  await settle()
  connection.delay(0)
  client.socket.end('b')
  await server.until(() => server.ended)
  expect(performance.now() - start).toBeGreaterThanOrEqual(79)
  expect(server.bytes.toString()).toBe('ab')
})

test('delay does not limit the rate: megabytes in flight arrive complete', async () => {
  const { client, server, connection } = await pair()
  connection.delay(5)
  const sent = pattern(8_000_000)
  client.socket.end(sent)
  await server.until(() => server.ended)
  expect(server.bytes.equals(sent)).toBe(true)
})

test('throttles, complete and in order', async () => {
  const { client, server, connection } = await pair()
  connection.throttle(100_000)
  const start = performance.now()
  const sent = pattern(20_000)
  client.socket.end(sent)
  await server.until(() => server.ended)
  expect(performance.now() - start).toBeGreaterThanOrEqual(175)
  expect(server.bytes.equals(sent)).toBe(true)
})

test('a close leaves nothing behind, whatever the weather', async () => {
  const { proxy, client, server, connection } = await pair()
  proxy.delay(60_000)
  client.socket.write('never')
  proxy.freeze('down')
  await settle()
  await proxy.close()
  await connection.closed
  await client.until(() => client.closed)
  await server.until(() => server.closed)
  expect(server.bytes.length).toBe(0)
})
