// Large streams in both directions through real browsers. All data must arrive unchanged, and the page must buffer little of it.
import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import type * as Package from '../../src/index.ts'
import type * as Streams from '../../src/stream.ts'
import { startServer, type TestServer } from '../interop/ws.ts'
import { type Connection, startProxy } from '../support/proxy.ts'
import { byEffort } from '../support/run.ts'
import type { Page } from './page.ts'
import { inEveryEngine, type Rig } from './rig.ts'

/** Globals of the page: the UMD bundle, and the entry `stream`. */
declare const SteadySocket: typeof Package
declare const streams: typeof Streams

const size = 64 * 1024
const mark = 2 ** 20
/** The number of chunks: 200 MB for `soak`, fewer otherwise. */
const count = byEffort(400, 800, 3_200)
/** How many chunks the server sends for each request. */
const portion = 16

/** In the page, and here: returns the words of a chunk, which depend on its number. */
function words(number: number, size: number) {
  const all = new Uint32Array(size / 4)
  let word = number + 1
  for (let i = 0; i < all.length; i++) {
    word = Math.imul(word, 1_664_525) + 1_013_904_223
    all[i] = word
  }
  return all
}

async function open(rig: Rig) {
  const page = await rig.open()
  await page.evaluate(`import('/dist/stream.min.js').then(all => { globalThis.streams = all })`)
  await page.evaluate(`globalThis.words = ${words}`)
  return page
}

/** Samples the memory use of the page, in MB. Only in Chromium. */
function watchMemory({ cdp }: Page) {
  const samples: number[] = []
  let last = Promise.resolve()
  const sample = async () => {
    if (!cdp) return
    // Runs twice, because buffers are freed in the background, and the second run waits for the first.
    for (let i = 0; i < 2; i++) await cdp('HeapProfiler.collectGarbage')
    const usage = (await cdp('Runtime.getHeapUsage')) as Record<'usedSize' | 'backingStorageSize', number>
    samples.push((usage.usedSize + usage.backingStorageSize) / 1e6)
  }
  return {
    /** Takes a sample after the previous ones, and does not wait for it. */
    sample() {
      last = last.then(sample)
    },
    async done() {
      await last
      return samples.length ? `, JS heap and buffers ${samples.map(one => one.toFixed(1)).join(' ')} MB` : ''
    },
  }
}

/** Removes the messages that the server receives and passes them to `each`, until there have been `total()`. */
async function drain(server: TestServer, total: () => number, each: (data: Buffer, number: number) => void) {
  let number = 0
  await server.until(() => {
    for (const { data } of server.received) each(data as Buffer, number++)
    server.clear()
    return number === total()
  })
}

inEveryEngine(rig => {
  const report = (what: string, since: number, more: string) =>
    console.log(
      `${rig.name}: ${((count * size) / 1e6).toFixed(0)} MB ${what} in ${((performance.now() - since) / 1e3).toFixed(1)} s${more}`,
    )

  test('a file is piped through a connection that freezes for a while, with little buffered at a time', async () => {
    const isAccurate = await rig.can('an accurate bufferedAmount')
    const server = rig.keep(await startServer())
    const proxy = rig.keep(await startProxy({ port: server.port }))
    const page = await open(rig)
    const memory = watchMemory(page)
    await page.evaluate(async (url: string) => {
      const socket = SteadySocket.createSocket(url)
      Object.assign(globalThis, { socket })
      await streams.when(socket, 'open')
    }, proxy.url('/sink'))
    const connection = proxy.connections[0] as Connection
    const arrived = createHash('sha256')
    const expected = createHash('sha256')
    // The buffers of the operating system may hold 4 or 40 MB, so the file is as long as it takes until the writer has to wait. If bufferedAmount
    // is not accurate, the writer never waits, and the file has a fixed length.
    let total = isAccurate ? Number.POSITIVE_INFINITY : count
    const all = () => total
    const received = drain(server, all, (data, number) => {
      arrived.update(data)
      expected.update(new Uint8Array(words(number, size).buffer))
      if (number % (count / 8) === 0) memory.sample()
      if (number === count / 4) connection.freeze('up')
    })
    const since = performance.now()
    const piped = page.evaluate(
      async (count: number | null, size: number) => {
        const { socket, words } = globalThis as unknown as {
          socket: Package.Socket
          words: (number: number, size: number) => Uint32Array
        }
        let number = 0
        let most = 0
        Object.assign(globalThis, { total: count })
        const sample = () => {
          most = Math.max(most, socket.bufferedAmount)
          return number
        }
        Object.assign(globalThis, { sample })
        const file = new ReadableStream({
          pull(controller) {
            sample()
            if (number === (globalThis as unknown as { total: number | null }).total) controller.close()
            else controller.enqueue(words(number++, size))
          },
        })
        await file.pipeTo(streams.writable(socket))
        return { most, left: socket.bufferedAmount, stats: socket.stats }
      },
      isAccurate ? null : count,
      size,
    )
    await server.until(() => server.received.length === 0 && connection.forwarded.up > (count / 4) * size)
    // Waits until the writer waits, and no more chunks are pulled from the source.
    const stalledAt = await page.evaluate(
      (mark: number | null, count: number) =>
        new Promise<number>(resolve => {
          const { sample, socket } = globalThis as unknown as { sample: () => number; socket: Package.Socket }
          let last = -1
          let same = 0
          const timer = setInterval(() => {
            const number = sample()
            same = number === last ? same + 1 : 0
            last = number
            // On a busy machine the number can also stay the same for a while. The writer waits only if the buffer exceeds the mark.
            const waits = same >= 20 && (mark === null || socket.bufferedAmount > mark)
            if (!waits && !(mark === null && number >= count)) return
            clearInterval(timer)
            resolve(number)
          }, 20)
        }),
      isAccurate ? mark : null,
      count,
    )
    if (isAccurate) {
      total = Math.max(count, stalledAt + portion)
      await page.evaluate((total: number) => void Object.assign(globalThis, { total }), total)
    }
    connection.thaw()
    const { most, left, stats } = await piped
    await received
    expect(arrived.digest('hex')).toBe(expected.digest('hex'))
    expect(stats).toMatchObject({ dropped: 0, connections: 1 })
    expect(left).toBe(0)
    report(
      'out',
      since,
      `, ${stalledAt} of ${total} pulled when it stalled, bufferedAmount up to ${most}${await memory.done()}`,
    )
    if (isAccurate) {
      expect(stalledAt).toBeLessThan(total)
      expect(most).toBeGreaterThan(mark)
      expect(most).toBeLessThanOrEqual(mark + size)
    }
  })

  test('a fast reader reads incoming messages as a stream, and nothing accumulates', async () => {
    const server = rig.keep(await startServer())
    const page = await open(rig)
    const memory = watchMemory(page)
    let number = 0
    server.until(() => {
      for (const _ of server.received) {
        for (let i = 0; i < portion && number < count; i++) {
          if (number % (count / 8) === 0) memory.sample()
          server.push(new Uint8Array(words(number++, size).buffer))
        }
      }
      server.clear()
      return number === count
    })
    const since = performance.now()
    const wrong = await page.evaluate(
      async (url: string, count: number, size: number, portion: number) => {
        const { words } = globalThis as unknown as { words: (number: number, size: number) => Uint32Array }
        const socket = SteadySocket.createSocket(url)
        const stream = streams.readable(socket, { highWaterMark: 2 * portion * (size + 64) })
        let number = 0
        const wrong: number[] = []
        const sink = new WritableStream<string | ArrayBuffer>({
          write(data) {
            const expected = words(number, size)
            const real = new Uint32Array(data as ArrayBuffer)
            if (real.length !== expected.length || real.some((word, i) => word !== expected[i]))
              wrong.push(number)
            if (++number % portion === 0) socket.send('more')
            if (number === count) socket.close()
          },
        })
        socket.send('more')
        socket.send('more')
        await stream.pipeTo(sink)
        return [number, ...wrong]
      },
      `${server.url}/sink`,
      count,
      size,
      portion,
    )
    expect(wrong).toEqual([count])
    report('in', since, await memory.done())
  })

  test('a hidden page continues to write, highWaterMark bytes at a time', async () => {
    const server = rig.keep(await startServer())
    const page = await open(rig)
    const some = 64
    await page.evaluate(async (url: string) => {
      const socket = SteadySocket.createSocket(url)
      Object.assign(globalThis, { socket })
      await streams.when(socket, 'open')
    }, `${server.url}/sink`)
    await page.hide()
    const since = performance.now()
    await page.evaluate(
      async (some: number, size: number) => {
        const { socket } = globalThis as unknown as { socket: Package.Socket }
        const writer = streams.writable(socket).getWriter()
        for (let number = 0; number < some; number++) await writer.write(new Uint8Array(size))
        await writer.close()
      },
      some,
      size,
    )
    console.log(
      `${rig.name}, hidden: ${some * size} bytes in ${((performance.now() - since) / 1e3).toFixed(1)} s`,
    )
    await page.show()
    await server.until(() => server.received.length === some)
  })
})
