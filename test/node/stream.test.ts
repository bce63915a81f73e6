// Streams 200 MB through a real connection in each direction. Memory use must not grow with the amount.
import { createHash } from 'node:crypto'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { createSocket } from '../../src/index.ts'
import { readable, when, writable } from '../../src/stream.ts'
import { startServer, type TestServer } from '../interop/ws.ts'
import { type Connection, type FaultProxy, startProxy } from '../support/proxy.ts'
import { byEffort } from '../support/run.ts'

// Hashing 200 MB takes a while on a busy machine.

const CHUNK = 64 * 1024
const COUNT = byEffort(800, 3_200)
const HIGH_WATER_MARK = 2 ** 20
/** `bufferedAmount` of `ws` includes the frame header. */
const FRAME_HEADER = 14

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const start = async () => {
  const server: TestServer = await startServer()
  cleanups.push(() => server.stop())
  const proxy: FaultProxy = await startProxy({ port: server.port })
  cleanups.push(() => proxy.close())
  const socket = createSocket(proxy.url('/sink'), { WebSocket, retry: () => 10 })
  cleanups.push(() => socket.close())
  await when(socket, 'open')
  return { server, proxy, socket, connection: proxy.connections[0] as Connection }
}

/** Returns a chunk of which each word has the same value. */
const chunk = (number: number) =>
  Buffer.alloc(CHUNK, new Uint8Array(Uint32Array.of(number * 2_654_435_761).buffer))

setFlagsFromString('--expose-gc')
const gc: () => void = runInNewContext('gc')
/** Runs twice, because buffers are freed in the background, and the second run waits for the first. */
const collect = () => {
  gc()
  gc()
}

/** Measures the memory in use. `most` is the highest sample, relative to the first. */
const watchMemory = () => {
  const most = { heapUsed: 0, arrayBuffers: 0 }
  collect()
  const first = process.memoryUsage()
  return {
    most,
    sample() {
      collect()
      const now = process.memoryUsage()
      for (const name of ['heapUsed', 'arrayBuffers'] as const) {
        most[name] = Math.max(most[name], now[name] - first[name])
      }
    },
    summary: () =>
      `JS heap +${(most.heapUsed / 1e6).toFixed(1)} MB, buffers +${(most.arrayBuffers / 1e6).toFixed(1)} MB`,
  }
}

test('piping 200 MB through a connection that stalls keeps the buffer within its bound', async () => {
  const { server, socket, connection } = await start()
  const memory = watchMemory()
  const sent = createHash('sha256')
  const arrived = createHash('sha256')
  let most = 0
  let number = 0
  let total = 0

  const sample = () => {
    most = Math.max(most, socket.bufferedAmount)
    if (number % 100 === 0) memory.sample()
  }
  const source = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        sample()
        if (number === COUNT) return controller.close()
        const data = chunk(number++)
        sent.update(data)
        controller.enqueue(data)
        // The server receives nothing from here on, until the writer has to wait.
        if (number === COUNT / 4) connection.freeze()
      },
    },
    { highWaterMark: 0 },
  )
  const stalled = new Promise<void>(resolve => {
    let last = -1
    let same = 0
    const timer = setInterval(() => {
      sample()
      same = number === last ? same + 1 : 0
      last = number
      if (number < COUNT / 4 || same < 20) return
      clearInterval(timer)
      resolve()
    }, 10)
  })
  const received = server.until(() => {
    for (const { data } of server.received) {
      arrived.update(data)
      total += data.length
    }
    server.clear()
    return total === COUNT * CHUNK
  })
  const piped = source.pipeTo(writable(socket))
  await stalled
  expect(socket.bufferedAmount).toBeGreaterThan(HIGH_WATER_MARK)
  expect(number).toBeLessThan(COUNT)
  connection.thaw()
  await piped
  // The stream has closed the socket only after everything was sent.
  expect(socket.bufferedAmount).toBe(0)
  await received
  expect(arrived.digest('hex')).toBe(sent.digest('hex'))
  expect(most).toBeGreaterThan(HIGH_WATER_MARK)
  expect(most).toBeLessThanOrEqual(HIGH_WATER_MARK + CHUNK + FRAME_HEADER)
  expect(socket.stats).toMatchObject({ dropped: 0, connections: 1 })
  // Client, proxy and server are all in this process.
  expect(memory.most.arrayBuffers).toBeLessThan(total / 10)
  console.log(`${(total / 1e6).toFixed(0)} MB out: bufferedAmount up to ${most}; ${memory.summary()}`)
})

test('reading 200 MB with a fast reader buffers almost nothing', async () => {
  const { server, socket } = await start()
  const memory = watchMemory()
  const sent = createHash('sha256')
  const arrived = createHash('sha256')
  let number = 0
  let total = 0
  // A WebSocket has no backpressure for incoming messages, so the reader asks for more.
  const push = () => {
    for (let i = 0; i < 16 && number < COUNT; i++) {
      const data = chunk(number++)
      sent.update(data)
      server.push(data)
    }
  }
  server.until(() => {
    for (const _ of server.received) push()
    server.clear()
    return number === COUNT
  })
  let read = 0
  const sink = new WritableStream<string | ArrayBuffer>({
    write(data) {
      arrived.update(new Uint8Array(data as ArrayBuffer))
      total += CHUNK
      if (++read % 16 === 0) socket.send('more')
      if (read % 100 === 0) memory.sample()
      if (read === COUNT) socket.close()
    },
  })
  const piped = readable(socket, { highWaterMark: 32 * CHUNK }).pipeTo(sink)
  socket.send('more')
  socket.send('more')
  await piped
  expect(total).toBe(COUNT * CHUNK)
  expect(arrived.digest('hex')).toBe(sent.digest('hex'))
  expect(memory.most.arrayBuffers).toBeLessThan(total / 10)
  console.log(`${(total / 1e6).toFixed(0)} MB in: ${memory.summary()}`)
})
