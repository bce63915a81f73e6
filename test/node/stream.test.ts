// 200 MB through a real connection, both ways: what is in memory stays as it is.
import { createHash } from 'node:crypto'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { createSocket } from '../../src/index.ts'
import { readable, when, writable } from '../../src/stream.ts'
import { startServer, type TestServer } from '../interop/ws.ts'
import { type Connection, type FaultProxy, startProxy } from '../support/proxy.ts'
import { byEffort } from '../support/run.ts'

// Hashing so much takes its time on a busy machine.
vi.setConfig({ testTimeout: 120_000 })

const CHUNK = 64 * 1024
const COUNT = byEffort(800, 3_200)
const MARK = 2 ** 20
/** The class of `ws` counts frames with their headers. */
const HEADER = 14

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
  return { server, proxy, socket, line: proxy.connections[0] as Connection }
}

/** The same number in each word of it. */
const chunk = (number: number) =>
  Buffer.alloc(CHUNK, new Uint8Array(Uint32Array.of(number * 2_654_435_761).buffer))

setFlagsFromString('--expose-gc')
const gc: () => void = runInNewContext('gc')
/** Twice, for buffers are let go of in the background, and the second waits for the first. */
const collect = () => {
  gc()
  gc()
}

/** How much is really held, the most that was seen, above what there was at first. */
const memory = () => {
  const most = { heapUsed: 0, arrayBuffers: 0 }
  collect()
  const first = process.memoryUsage()
  return {
    most,
    look() {
      collect()
      const now = process.memoryUsage()
      for (const name of ['heapUsed', 'arrayBuffers'] as const) {
        most[name] = Math.max(most[name], now[name] - first[name])
      }
    },
    say: () =>
      `JS heap +${(most.heapUsed / 1e6).toFixed(1)} MB, buffers +${(most.arrayBuffers / 1e6).toFixed(1)} MB`,
  }
}

test('piping 200 MB through a connection that stalls keeps the buffer within its bound', async () => {
  const { server, socket, line } = await start()
  const seen = memory()
  const sent = createHash('sha256')
  const arrived = createHash('sha256')
  let most = 0
  let number = 0
  let total = 0

  const look = () => {
    most = Math.max(most, socket.bufferedAmount)
    if (number % 100 === 0) seen.look()
  }
  const source = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        look()
        if (number === COUNT) return controller.close()
        const data = chunk(number++)
        sent.update(data)
        controller.enqueue(data)
        // Nothing is read from here on, until the writer has to wait for it.
        if (number === COUNT / 4) line.freeze()
      },
    },
    { highWaterMark: 0 },
  )
  const stalled = new Promise<void>(resolve => {
    let last = -1
    let same = 0
    const timer = setInterval(() => {
      look()
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
  expect(socket.bufferedAmount).toBeGreaterThan(MARK)
  expect(number).toBeLessThan(COUNT)
  line.thaw()
  await piped
  // Closed, it has nothing left.
  expect(socket.bufferedAmount).toBe(0)
  await received
  expect(arrived.digest('hex')).toBe(sent.digest('hex'))
  expect(most).toBeGreaterThan(MARK)
  expect(most).toBeLessThanOrEqual(MARK + CHUNK + HEADER)
  expect(socket.stats).toMatchObject({ dropped: 0, connections: 1 })
  // Client, proxy and server are all in this process.
  expect(seen.most.arrayBuffers).toBeLessThan(total / 10)
  console.log(`${(total / 1e6).toFixed(0)} MB out: bufferedAmount up to ${most}; ${seen.say()}`)
})

test('reading 200 MB with a fast reader buffers almost nothing', async () => {
  const { server, socket } = await start()
  const seen = memory()
  const sent = createHash('sha256')
  const arrived = createHash('sha256')
  let number = 0
  let total = 0
  // A WebSocket cannot be held back: the reader asks for more.
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
      if (read % 100 === 0) seen.look()
      if (read === COUNT) socket.close()
    },
  })
  const piped = readable(socket, { highWaterMark: 32 * CHUNK }).pipeTo(sink)
  socket.send('more')
  socket.send('more')
  await piped
  expect(total).toBe(COUNT * CHUNK)
  expect(arrived.digest('hex')).toBe(sent.digest('hex'))
  expect(seen.most.arrayBuffers).toBeLessThan(total / 10)
  console.log(`${(total / 1e6).toFixed(0)} MB in: ${seen.say()}`)
})
