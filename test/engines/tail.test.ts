// The unsent tail: what `bufferedAmount` proves unsent when a connection ends is sent again, nothing else, nothing twice.
import { afterAll, expect, test } from 'vitest'
import { startServer, type TestServer } from '../interop/ws.ts'
import { type Connection, startProxy } from '../support/proxy.ts'
import { byEffort } from '../support/run.ts'
import type { Page } from './page.ts'
import { inEveryEngine, type Rig } from './rig.ts'
import { arrivals, harvest, inOrder, settle, startTalk, type Talk, type TalkOptions } from './talk.ts'

declare const talk: Talk

const count = 300
const size = 64 * 1024
const runs = byEffort(1, 3, 30)
/** All is handed over at once, so that the browser has the whole of it. */
const allAtOnce: TalkOptions = { backoff: { base: 20, spread: 20 }, highWaterMark: 1e9 }
/** As it is by default, with room for all of it in the queue. */
const paced: TalkOptions = { backoff: { base: 20, spread: 20 }, queue: { maxBytes: 2 ** 25 } }

/**
 * A page with a connection over which nothing moves, and the bytes that have not left by the page's own account: WebKit calls everything sent at
 * times, and then there is nothing to prove, and nothing may be sent again.
 */
async function stall(rig: Rig, server: TestServer, page: Page, options: TalkOptions) {
  const proxy = rig.keep(await startProxy({ port: server.port }))
  await page.evaluate(startTalk, proxy.url('/sink'), options)
  await page.evaluate(() => talk.until('open', 1))
  const connection = proxy.connections[0] as Connection
  connection.freeze()
  const stuck = await page.evaluate(
    async (count: number, size: number) => {
      talk.send(count, size)
      // Until the system's buffers are full: the browser's has not moved in twenty looks.
      let last = -1
      let same = 0
      await talk.polled(() => {
        const { bufferedAmount } = talk.socket
        same = bufferedAmount === last ? same + 1 : 0
        last = bufferedAmount
        return same === 20
      })
      return talk.socket.bufferedAmount
    },
    count,
    size,
  )
  return { connection, isTold: stuck > (count * size) / 2 }
}

/**
 * The connection has ended, or may have lived on and delivered all: waits for the next one, for one more message over it, and settles. An
 * engine may end the connections of a page that it froze, as Chromium 156 does, or not, as 150 did not.
 */
async function recover(server: TestServer, page: Page, mayLive = false) {
  const lives = await page.evaluate(async (mayLive: boolean) => {
    const lives = () =>
      mayLive &&
      talk.count('close') === 0 &&
      talk.socket.state.name === 'open' &&
      talk.socket.bufferedAmount === 0
    await talk.polled(() => talk.count('open') === 2 || lives())
    const same = talk.count('open') === 1
    talk.send(1, 10)
    return same
  }, mayLive)
  await server.until(() => server.received.some(({ data }) => data.length < size))
  // The readings are taken by now, but for one macrotask at most.
  if (!lives) await page.evaluate(() => talk.holds(() => talk.natives[0]?.unsent.length === 2))
  await page.evaluate(() => talk.socket.close())
  await server.until(() => server.clients.length === 0)
  const record = await harvest(page)
  const account = settle(record, arrivals(server))
  const [first, second] = record.natives
  return {
    ...account,
    lives,
    unsent: first?.unsent as number[],
    handed: first?.handed.length ?? 0,
    again: second?.handed,
  }
}

inEveryEngine(rig => {
  const rows: (string | number)[][] = []
  const note = (what: string, { unsent, reclaimed, unknown, arrived }: Awaited<ReturnType<typeof recover>>) =>
    rows.push([what, ...unsent, reclaimed, unknown.length, arrived - 1])

  test(`messages that were certainly not sent arrive after a reset, once and in order, ${runs} times`, async () => {
    const server = rig.keep(await startServer())
    const page = await rig.open()
    for (let run = 1; run <= runs; run++) {
      server.clear()
      const { connection, isTold } = await stall(rig, server, page, allAtOnce)
      connection.reset()
      const account = await recover(server, page)
      note('reset', account)
      const { unsent, reclaimed, again, handed, order } = account
      expect(handed).toBe(count)
      // A message with a single byte left in the buffer counts whole.
      expect(reclaimed).toBe(Math.ceil(Math.min(...unsent) / size))
      expect(inOrder(order)).toBe(true)
      expect(again).toEqual(Array.from({ length: reclaimed + 1 }, (_, i) => count - reclaimed + i))
      // The system's buffers hold some four megabytes of the twenty. An engine that calls everything sent reclaims what it has not come to yet.
      if (isTold) expect(reclaimed).toBeGreaterThan(count / 2)
    }
  })

  test('messages queued behind the high-water mark follow it', async () => {
    const server = rig.keep(await startServer())
    const page = await rig.open()
    const { connection, isTold } = await stall(rig, server, page, paced)
    connection.reset()
    const account = await recover(server, page)
    note('reset, paced', account)
    const { unsent, reclaimed, again, handed, order } = account
    expect(inOrder(order)).toBe(true)
    expect(reclaimed).toBe(Math.ceil(Math.min(...unsent) / size))
    expect(again?.length).toBe(count - handed + reclaimed + 1)
    if (isTold) expect(handed).toBeLessThan(count / 2)
  })

  /**
   * Nothing more arrives, though the browser has had the time: another page of it has run so many errands meanwhile. A number of messages to
   * wait for there is not, as some of what the page calls sent may be with a process that needs the page to go on.
   */
  async function quiet(server: TestServer) {
    const other = rig.keep(await startServer())
    const page = await rig.open()
    for (let calm = 0, last = -1; calm < 20; ) {
      await page.evaluate(
        (url: string) =>
          new Promise<void>(resolve => {
            const socket = new WebSocket(url)
            socket.onopen = () => socket.send('errand')
            socket.onmessage = () => socket.close()
            socket.onclose = () => resolve()
          }),
        other.url,
      )
      const { length } = server.received
      calm = length === last ? calm + 1 : 0
      last = length
    }
  }

  /** Stalls, freezes the page, lets the line go on, and shows the page again when `meanwhile` is over. */
  async function sleep(
    server: TestServer,
    page: Page,
    options: TalkOptions,
    meanwhile: (line: Connection) => unknown,
  ) {
    const { connection: line } = await stall(rig, server, page, options)
    await page.hide()
    await page.cdp?.('Page.setWebLifecycleState', { state: 'frozen' })
    line.thaw()
    await quiet(server)
    await meanwhile(line)
    await page.cdp?.('Page.setWebLifecycleState', { state: 'active' })
    await page.show()
    return recover(server, page, true)
  }

  test(`nothing is sent twice by a page that was frozen while messages left, ${runs} times`, async () => {
    await rig.needs('freezing a page')
    const server = rig.keep(await startServer())
    const page = await rig.open()
    for (let run = 1; run <= runs; run++) {
      server.clear()
      // Chromium may end the connections of a page that it freezes, at the thaw; unless the line has done so before.
      const reset = run % 2 === 1
      const account = await sleep(server, page, { ...allAtOnce, wake: false }, async line => {
        if (!reset) return
        line.reset()
        await line.closed
      })
      note(reset ? 'frozen, reset, thawed' : 'frozen, thawed', account)
      const { unsent, reclaimed, order, lives, unknown } = account
      expect(inOrder(order)).toBe(true)
      if (lives) {
        expect([reset, reclaimed, unknown.length]).toEqual([false, 0, 0])
        continue
      }
      expect(reclaimed).toBe(Math.ceil(Math.min(...unsent) / size))
      // Over a line that goes on, more may leave between the thaw and the end of the connection.
      if (reset) expect(reclaimed).toBeGreaterThan(count / 2)
    }
  })

  test('nothing is sent twice by a page that closes when it is frozen', async () => {
    await rig.needs('freezing a page')
    const server = rig.keep(await startServer())
    // Given up, the old connection still delivers what it has, and may well do so after the new one has begun.
    note('frozen, as by default', await sleep(server, await rig.open(), allAtOnce, () => {}))
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
