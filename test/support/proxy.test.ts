import { once } from 'node:events'
import net from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { type Connection, type FaultProxy, startProxy } from './proxy.ts'
import { createWatch } from './watch.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** Records what one end of a TCP connection receives. `until` waits for a condition on the record. */
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
  const update = (change: () => void) => {
    change()
    look()
  }
  socket.on('data', data => update(() => (seen.bytes = Buffer.concat([seen.bytes, data]))))
  socket.on('end', () => update(() => (seen.ended = true)))
  socket.on('close', () => update(() => (seen.closed = true)))
  socket.on('error', (error: NodeJS.ErrnoException) =>
    update(() => (seen.error = error.code ?? error.message)),
  )
  cleanups.push(() => socket.destroy())
  return seen
}

type End = ReturnType<typeof observe>

/** Starts a server, and a proxy in front of it. */
async function rig() {
  const ends: End[] = []
  const waiting = new Set<() => void>()
  const server = net.createServer({ allowHalfOpen: true }, socket => {
    ends.push(observe(socket))
    for (const check of waiting) check()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(() => server.close())
  const proxy = await startProxy({ port: (server.address() as net.AddressInfo).port })
  cleanups.push(() => proxy.close())

  const serverEnd = (n: number) =>
    new Promise<End>(resolve => {
      const check = () => {
        const end = ends[n - 1]
        if (end && waiting.delete(check)) resolve(end)
      }
      waiting.add(check)
      check()
    })
  return { proxy, ends, serverEnd }
}

const connect = (proxy: FaultProxy) =>
  observe(net.connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true }))

/** Opens one connection through the proxy. Returns both ends and the proxy's handle. */
async function pair() {
  const { proxy, serverEnd } = await rig()
  const client = connect(proxy)
  const server = await serverEnd(1)
  return { proxy, client, server, connection: proxy.connections[0] as Connection }
}

/** Waits for a round trip over another connection, which is not frozen. */
async function roundTrip() {
  const { client, server } = await pair()
  client.socket.write('?')
  await server.until(() => server.bytes.length === 1)
  server.socket.write('!')
  await client.until(() => client.bytes.length === 1)
}

const pattern = (length: number) =>
  Buffer.from(Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 255))

test('the proxy forwards data in both directions, and the FIN of each side', async () => {
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

test('the proxy numbers connections in the order in which it accepts them', async () => {
  const { proxy } = await rig()
  const third = proxy.accepted(3)
  connect(proxy)
  await proxy.accepted(1)
  connect(proxy)
  connect(proxy)
  await third
  await proxy.accepted(2)
  expect(proxy.connections.map(({ number }) => number)).toEqual([1, 2, 3])
})

test('a frozen connection of the proxy forwards nothing, and forwards everything in order after the thaw', async () => {
  const { client, server, connection } = await pair()
  connection.freeze()
  client.socket.write('one ')
  client.socket.write('two ')
  server.socket.write('news')
  client.socket.end('three')
  await roundTrip()
  expect(server.bytes.length + client.bytes.length).toBe(0)
  expect(server.ended).toBe(false)

  connection.thaw('up')
  await server.until(() => server.ended)
  expect(server.bytes.toString()).toBe('one two three')
  expect(client.bytes.length).toBe(0)
  connection.thaw()
  await client.until(() => client.bytes.length === 4)
})

test('the proxy can freeze one direction of a connection without the other', async () => {
  const { client, server, connection } = await pair()
  connection.freeze('down')
  server.socket.write('unheard')
  client.socket.write('heard')
  await server.until(() => server.bytes.length === 5)
  expect(client.bytes.length).toBe(0)
})

test('the proxy can freeze all current and future connections until the thaw', async () => {
  const { proxy, ends, serverEnd } = await rig()
  const before = connect(proxy)
  const first = await serverEnd(1)
  proxy.freeze()
  const after = connect(proxy)
  before.socket.write('a')
  after.socket.write('b')
  await proxy.accepted(2)
  await roundTrip()
  expect(first.bytes.length).toBe(0)
  expect(ends.length).toBe(1)

  proxy.thaw()
  await first.until(() => first.bytes.length === 1)
  const second = await serverEnd(2)
  await second.until(() => second.bytes.length === 1)
})

test('a freeze of the proxy stops the sender once the buffers are full: 64 MiB do not fit', async () => {
  const { client, server, connection } = await pair()
  connection.freeze('up')
  const chunk = Buffer.alloc(1024 * 1024)
  for (let i = 0; i < 64; i++) client.socket.write(chunk)
  await roundTrip()
  await roundTrip()
  const stuck = client.socket.writableLength
  expect(stuck).toBeGreaterThan(32 * chunk.length)
  expect(server.bytes.length).toBe(0)

  connection.reset()
  await client.until(() => client.closed)
  expect(server.bytes.length).toBe(0)
})

test('a reset of a frozen connection discards the data that the proxy holds', async () => {
  const { client, server, connection } = await pair()
  connection.freeze()
  client.socket.write('lost')
  await roundTrip()
  connection.reset()
  await client.until(() => client.closed)
  await server.until(() => server.closed)
  expect([client.error, server.error]).toEqual(['ECONNRESET', 'ECONNRESET'])
  expect(server.bytes.length).toBe(0)
})

test('the proxy forwards a reset, and delays it while the connection is frozen', async () => {
  const { client, server, connection } = await pair()
  connection.freeze('up')
  client.socket.resetAndDestroy()
  await client.until(() => client.closed)
  await roundTrip()
  expect(server.closed).toBe(false)
  connection.thaw('up')
  await server.until(() => server.closed)
  expect(server.error).toBe('ECONNRESET')
})

test('end() sends a FIN to the client, which can continue to send', async () => {
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

test('cutAfter() resets a connection after exactly the given number of bytes', async () => {
  const { client, server, connection } = await pair()
  connection.cutAfter(70_001, 'up')
  client.socket.write(pattern(200_000))
  await client.until(() => client.closed)
  // A reset that follows unread data immediately can look like a FIN.
  await server.until(() => server.closed || server.ended)
  expect(server.bytes.equals(pattern(200_000).subarray(0, 70_001))).toBe(true)
})

test('cutAfter() of the proxy applies to each new connection until it is lifted', async () => {
  const { proxy, serverEnd } = await rig()
  proxy.cutAfter(2, 'down')
  for (const n of [1, 2]) {
    const client = connect(proxy)
    const server = await serverEnd(n)
    server.socket.write('abc')
    await client.until(() => client.closed || client.ended)
    expect(client.bytes.toString()).toBe('ab')
  }
  proxy.cutAfter(Infinity, 'down')
  const client = connect(proxy)
  const server = await serverEnd(3)
  server.socket.write('abc')
  await client.until(() => client.bytes.length === 3)
})

test('refuse() resets new connections until it is turned off', async () => {
  const { proxy, ends, serverEnd } = await rig()
  proxy.refuse(true)
  const refused = connect(proxy)
  await refused.until(() => refused.closed)
  expect(refused.error).toBe('ECONNRESET')
  expect([proxy.count, ends.length]).toEqual([0, 0])
  proxy.refuse(false)
  connect(proxy)
  await serverEnd(1)
})

test('listen(false) refuses new connections and keeps open ones, and listen(true) opens the same port again', async () => {
  const { proxy, client, server } = await pair()
  await proxy.listen(false)
  const refused = connect(proxy)
  await refused.until(() => refused.closed)
  expect(refused.error).toBe('ECONNREFUSED')
  client.socket.write('still here')
  await server.until(() => server.bytes.length === 10)
  await proxy.listen(true)
  connect(proxy)
  await proxy.accepted(2)
})

test('hang() accepts connections, and connects them to the server only after the thaw', async () => {
  const { proxy, ends, serverEnd } = await rig()
  proxy.hang(true)
  const client = connect(proxy)
  client.socket.write('GET /')
  await proxy.accepted(1)
  await roundTrip()
  expect(ends.length).toBe(0)
  proxy.hang(false)
  proxy.connections[0]?.thaw()
  const server = await serverEnd(1)
  await server.until(() => server.bytes.length === 5)
})

test('the proxy resets the client if the server refuses the connection', async () => {
  const closed = net.createServer().listen(0, '127.0.0.1')
  await once(closed, 'listening')
  const { port } = closed.address() as net.AddressInfo
  closed.close()
  const proxy = await startProxy({ port })
  cleanups.push(() => proxy.close())
  const client = connect(proxy)
  await client.until(() => client.closed)
  expect(client.error).toBe('ECONNRESET')
})

test('delay() delays every byte and keeps the order, even if the delay is reduced meanwhile', async () => {
  const { client, server, connection } = await pair()
  connection.delay(80)
  const start = performance.now()
  client.socket.write('a')
  await roundTrip()
  connection.delay(0)
  client.socket.end('b')
  await server.until(() => server.ended)
  expect(performance.now() - start).toBeGreaterThanOrEqual(79)
  expect(server.bytes.toString()).toBe('ab')
})

test('delay() does not limit the rate: megabytes in flight arrive complete', async () => {
  const { client, server, connection } = await pair()
  connection.delay(5)
  const sent = pattern(8_000_000)
  client.socket.end(sent)
  await server.until(() => server.ended)
  expect(server.bytes.equals(sent)).toBe(true)
})

test('throttle() limits the rate, and all data arrives in order', async () => {
  const { client, server, connection } = await pair()
  connection.throttle(100_000)
  const start = performance.now()
  const sent = pattern(20_000)
  client.socket.end(sent)
  await server.until(() => server.ended)
  expect(performance.now() - start).toBeGreaterThanOrEqual(175)
  expect(server.bytes.equals(sent)).toBe(true)
})

test('close() ends all connections, whatever faults are in force', async () => {
  const { proxy, client, server, connection } = await pair()
  proxy.delay(60_000)
  client.socket.write('never')
  proxy.freeze('down')
  await roundTrip()
  await proxy.close()
  await connection.closed
  await client.until(() => client.closed)
  await server.until(() => server.closed)
  expect(server.bytes.length).toBe(0)
})
