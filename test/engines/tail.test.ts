// When a connection ends, the messages that were certainly not sent according to `bufferedAmount` are sent again. No message arrives twice.
import { afterAll, expect, test } from 'vitest'
import { startServer, type TestServer } from '../interop/ws.ts'
import { type Connection, startProxy } from '../support/proxy.ts'
import { byEffort } from '../support/run.ts'
import type { Page } from './page.ts'
import { inEveryEngine, type Rig } from './rig.ts'
import {
  arrivals,
  checkDelivery,
  inOrder,
  startTraffic,
  type Traffic,
  type TrafficOptions,
  takeRecord,
} from './traffic.ts'

declare const traffic: Traffic

const count = 300
const size = 64 * 1024
const runs = byEffort(1, 3, 30)
/** Passes all messages to the native socket at once. */
const allAtOnce: TrafficOptions = { backoff: { base: 20, spread: 20 }, highWaterMark: 1e9 }
/** The default high-water mark, and a queue that is large enough for all messages. */
const paced: TrafficOptions = { backoff: { base: 20, spread: 20 }, queue: { maxBytes: 2 ** 25 } }

/**
 * Freezes the connection of a page and sends messages until all buffers are full. `isAccurate` is false if `bufferedAmount` does not show it, as
 * in WebKit at times. The package then cannot know what was not sent, and must not send anything again.
 */
async function fillBuffers(rig: Rig, server: TestServer, page: Page, options: TrafficOptions) {
  const proxy = rig.keep(await startProxy({ port: server.port }))
  await page.evaluate(startTraffic, proxy.url('/sink'), options)
  await page.evaluate(() => traffic.until('open', 1))
  const connection = proxy.connections[0] as Connection
  connection.freeze()
  const unsentBytes = await page.evaluate(
    async (count: number, size: number) => {
      traffic.send(count, size)
      // The buffers of the operating system are full when `bufferedAmount` has not changed in twenty checks.
      let last = -1
      let same = 0
      await traffic.poll(() => {
        const { bufferedAmount } = traffic.socket
        same = bufferedAmount === last ? same + 1 : 0
        last = bufferedAmount
        return same === 20
      })
      return traffic.socket.bufferedAmount
    },
    count,
    size,
  )
  return { connection, isAccurate: unsentBytes > (count * size) / 2 }
}

/**
 * Waits for the next connection and one more message over it, closes, and checks the delivery. With `mayStayOpen`, the old connection may also have
 * stayed open and delivered everything: Chromium 156 closes the connections of a page that was frozen, Chromium 150 does not.
 */
async function recover(server: TestServer, page: Page, mayStayOpen = false) {
  const stillOpen = await page.evaluate(async (mayStayOpen: boolean) => {
    const stillOpen = () =>
      mayStayOpen &&
      traffic.count('close') === 0 &&
      traffic.socket.state.name === 'open' &&
      traffic.socket.bufferedAmount === 0
    await traffic.poll(() => traffic.count('open') === 2 || stillOpen())
    const same = traffic.count('open') === 1
    traffic.send(1, 10)
    return same
  }, mayStayOpen)
  await server.until(() => server.received.some(({ data }) => data.length < size))
  // The second value of `unsent` may be recorded one macrotask later.
  if (!stillOpen) await page.evaluate(() => traffic.untilTrue(() => traffic.natives[0]?.unsent.length === 2))
  await page.evaluate(() => traffic.socket.close())
  await server.until(() => server.clients.length === 0)
  const record = await takeRecord(page)
  const delivery = checkDelivery(record, arrivals(server))
  const [first, second] = record.natives
  return {
    ...delivery,
    stillOpen,
    unsent: first?.unsent as number[],
    handed: first?.handed.length ?? 0,
    sentAgain: second?.handed,
  }
}

inEveryEngine(rig => {
  const rows: (string | number)[][] = []
  const addRow = (
    what: string,
    { unsent, reclaimed, unknown, arrived }: Awaited<ReturnType<typeof recover>>,
  ) => rows.push([what, ...unsent, reclaimed, unknown.length, arrived - 1])

  test(`messages that were certainly not sent are sent again after a reset, once and in order, ${runs} times`, async () => {
    const server = rig.keep(await startServer())
    const page = await rig.open()
    for (let run = 1; run <= runs; run++) {
      server.clear()
      const { connection, isAccurate } = await fillBuffers(rig, server, page, allAtOnce)
      connection.reset()
      const delivery = await recover(server, page)
      addRow('reset', delivery)
      const { unsent, reclaimed, sentAgain, handed, order } = delivery
      expect(handed).toBe(count)
      // A message counts as unsent if at least one byte of it is in the buffer.
      expect(reclaimed).toBe(Math.ceil(Math.min(...unsent) / size))
      expect(inOrder(order)).toBe(true)
      expect(sentAgain).toEqual(Array.from({ length: reclaimed + 1 }, (_, i) => count - reclaimed + i))
      // The buffers of the operating system hold about 4 of the 20 MB.
      if (isAccurate) expect(reclaimed).toBeGreaterThan(count / 2)
    }
  })

  test('messages queued because of the high-water mark are sent after those that are sent again', async () => {
    const server = rig.keep(await startServer())
    const page = await rig.open()
    const { connection, isAccurate } = await fillBuffers(rig, server, page, paced)
    connection.reset()
    const delivery = await recover(server, page)
    addRow('reset, paced', delivery)
    const { unsent, reclaimed, sentAgain, handed, order } = delivery
    expect(inOrder(order)).toBe(true)
    expect(reclaimed).toBe(Math.ceil(Math.min(...unsent) / size))
    expect(sentAgain?.length).toBe(count - handed + reclaimed + 1)
    if (isAccurate) expect(handed).toBeLessThan(count / 2)
  })

  /**
   * Waits until nothing more arrives during twenty round trips of another page. The test cannot wait for a number of messages, because some that
   * the page regards as sent may be in a process that needs the page to continue.
   */
  async function untilQuiet(server: TestServer) {
    const other = rig.keep(await startServer())
    const page = await rig.open()
    for (let unchanged = 0, last = -1; unchanged < 20; ) {
      await page.evaluate(
        (url: string) =>
          new Promise<void>(resolve => {
            const socket = new WebSocket(url)
            socket.onopen = () => socket.send('round trip')
            socket.onmessage = () => socket.close()
            socket.onclose = () => resolve()
          }),
        other.url,
      )
      const { length } = server.received
      unchanged = length === last ? unchanged + 1 : 0
      last = length
    }
  }

  /** Fills the buffers, freezes the page, thaws the connection, runs `meanwhile`, and shows the page again. */
  async function freezePage(
    server: TestServer,
    page: Page,
    options: TrafficOptions,
    meanwhile: (frozenConnection: Connection) => unknown,
  ) {
    const { connection: frozenConnection } = await fillBuffers(rig, server, page, options)
    await page.hide()
    await page.cdp?.('Page.setWebLifecycleState', { state: 'frozen' })
    frozenConnection.thaw()
    await untilQuiet(server)
    await meanwhile(frozenConnection)
    await page.cdp?.('Page.setWebLifecycleState', { state: 'active' })
    await page.show()
    return recover(server, page, true)
  }

  test(`a page that is frozen while its messages are transmitted sends nothing twice, ${runs} times`, async () => {
    await rig.needs('freezing a page')
    const server = rig.keep(await startServer())
    const page = await rig.open()
    for (let run = 1; run <= runs; run++) {
      server.clear()
      // Chromium may close the connections of a frozen page when it resumes. In every other run, the connection is reset before.
      const reset = run % 2 === 1
      const delivery = await freezePage(
        server,
        page,
        { ...allAtOnce, wake: false },
        async frozenConnection => {
          if (!reset) return
          frozenConnection.reset()
          await frozenConnection.closed
        },
      )
      addRow(reset ? 'frozen, reset, thawed' : 'frozen, thawed', delivery)
      const { unsent, reclaimed, order, stillOpen, unknown } = delivery
      expect(inOrder(order)).toBe(true)
      if (stillOpen) {
        expect([reset, reclaimed, unknown.length]).toEqual([false, 0, 0])
        continue
      }
      expect(reclaimed).toBe(Math.ceil(Math.min(...unsent) / size))
      // Without the reset, more bytes may be transmitted before the connection ends.
      if (reset) expect(reclaimed).toBeGreaterThan(count / 2)
    }
  })

  test('a page that closes its connection when it is frozen sends nothing twice', async () => {
    await rig.needs('freezing a page')
    const server = rig.keep(await startServer())
    // The abandoned connection still delivers its messages, possibly after the new connection has opened.
    addRow('frozen, as by default', await freezePage(server, await rig.open(), allAtOnce, () => {}))
  })

  afterAll(() => {
    if (!rows.length) return
    const heads = ['', 'bufferedAmount', 'one task later', 'reclaimed', 'unknown', `arrived of ${count}`]
    const lines = [heads, ...rows].map(([name, ...cells]) =>
      [`${name}`.padEnd(22), ...cells.map((cell, i) => `${cell}`.padStart(heads[i + 1]?.length ?? 0))].join(
        '  ',
      ),
    )
    console.log(`${rig.name}, ${count} messages of ${size} bytes\n${lines.join('\n')}`)
  })
})
