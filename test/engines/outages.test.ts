// Connections end in many ways. After each, the socket must open again, messages must arrive once and in order, and losses are counted.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startServer, type TestServer } from '../interop/ws.ts'
import { type FaultProxy, startProxy } from '../support/proxy.ts'
import type { Page } from './page.ts'
import { inEveryEngine, type Rig } from './rig.ts'
import {
  arrivals,
  checkDelivery,
  type Delivery,
  inOrder,
  startTraffic,
  type Traffic,
  type TrafficOptions,
  type TrafficRecord,
  takeRecord,
} from './traffic.ts'

declare const traffic: Traffic

interface Context {
  readonly rig: Rig
  readonly server: TestServer
  readonly proxy: FaultProxy
  readonly page: Page
}

interface Outage {
  readonly name: string
  readonly options?: TrafficOptions
  begin(context: Context): unknown
  /** Ends the outage. Called after the close event in the page. */
  end?(context: Context): unknown
  /** The expected code of the close event. Default: 1006. */
  code?(rig: Rig): Promise<number>
}

/** Shorter delays than the default, which is for many clients of the same server. */
const fastBackoff = { base: 50, max: 200, spread: 100 }

/** WebKitGTK reports these codes as 1006, without the reason. See NOTES.md. */
const unreported = [1012, 1013]
const reportedCode = (code: number) => async (rig: Rig) =>
  unreported.includes(code) && !(await rig.can('close codes 1012 and 1013')) ? 1006 : code

const untilFailed = (page: Page, times: number) =>
  page.evaluate((times: number) => traffic.until('error', times), times)

const outages: Outage[] = [
  { name: 'a reset', begin: ({ proxy }) => proxy.reset() },
  { name: 'an end without a close frame', begin: ({ proxy }) => proxy.end() },
  ...[1000, 1001, 1011, 1012, 4000].map(code => ({
    name: `close ${code}`,
    begin: ({ server }: Context) => server.closeAll(code, 'come back'),
    code: reportedCode(code),
  })),
  {
    name: 'close 1013, retry-after=1',
    begin: ({ server }) => server.closeAll(1013, 'retry-after=1'),
    code: reportedCode(1013),
  },
  {
    name: 'a server that restarts on its port',
    begin: ({ server }) => server.stop(),
    async end({ server, page }) {
      await untilFailed(page, 1)
      await server.restart()
    },
  },
  {
    name: 'a closed port',
    async begin({ proxy }) {
      await proxy.listen(false)
      proxy.reset()
    },
    async end({ proxy, page }) {
      await untilFailed(page, 2)
      await proxy.listen(true)
    },
  },
  {
    name: 'handshakes answered with 503',
    begin({ server }) {
      server.refuse(503)
      server.terminateAll()
    },
    async end({ server, page }) {
      await untilFailed(page, 2)
      server.refuse(false)
    },
  },
  {
    name: 'a handshake that hangs',
    options: { connectTimeout: 500 },
    begin({ proxy }) {
      proxy.hang(true)
      proxy.reset()
    },
    async end({ proxy, page }) {
      await untilFailed(page, 1)
      proxy.hang(false)
    },
  },
]

/** The number of messages to wait for before and after an outage. */
const ENOUGH = 25

async function connect(rig: Rig, page: Page, options?: TrafficOptions): Promise<Context> {
  const server = rig.keep(await startServer())
  const proxy = rig.keep(await startProxy({ port: server.port }))
  // Without a delay there would hardly ever be messages in flight, and nothing to lose.
  proxy.delay(20, 'up')
  await page.evaluate(startTraffic, proxy.url('/echo'), { backoff: fastBackoff, ...options })
  rig.keep({ close: () => page.evaluate(() => traffic.socket.close()) })
  await page.evaluate(() => traffic.stream(2, [10, 10, 10, 200, 3_000]))
  await server.until(() => server.received.length >= ENOUGH)
  return { rig, server, proxy, page }
}

/** Waits until the new connection has echoed some messages, stops, and waits for the last echo. */
async function finish({ server, page }: Context) {
  await page.evaluate(async (ENOUGH: number) => {
    await traffic.until('echo', traffic.count('echo') + ENOUGH)
    traffic.stop()
    await traffic.echoed(traffic.send(1, 10))
  }, ENOUGH)
  await server.until(() => server.clients.length === 1)
}

inEveryEngine(rig => {
  const head = 'outage,code,failures,sent,arrived,reclaimed,unknown,ms without,of it dialling'.split(',')
  const rows: string[][] = []
  const addRow = (name: string, record: TrafficRecord, { sent, arrived, reclaimed, unknown }: Delivery) => {
    const [close] = record.closes
    const opened = record.opens[1]?.at as number
    const without = opened - (close?.at as number)
    // The last native socket alone, from its creation until it is open.
    const dialling = opened - (record.natives.at(-1)?.made as number)
    const counts = [close?.code, record.errors.length, sent, arrived, reclaimed, unknown.length]
    rows.push([name, ...[...counts, Math.round(without), Math.round(dialling)].map(String)])
  }
  let page: Page

  // The tests share one page, because opening a page takes longer than an outage.
  beforeAll(async () => {
    // Detected before the page is opened, because it opens a page itself.
    await rig.can('close codes 1012 and 1013')
    page = await rig.engine.open(rig.site.page())
  })

  test.each(outages)(
    'opens again after $name, and loses only messages that the browser reported as sent',
    async outage => {
      const code = (await outage.code?.(rig)) ?? 1006
      const context = await connect(rig, page, outage.options)
      const { server } = context
      await outage.begin(context)
      await page.evaluate(() => traffic.until('close', 1))
      await outage.end?.(context)
      await page.evaluate(() => traffic.until('open', 2))
      await finish(context)

      const record = await takeRecord(page)
      const delivery = checkDelivery(record, arrivals(server))
      const { order, unknown } = delivery
      // One outage causes at most one gap. All messages sent while there was no connection have arrived.
      expect(inOrder(order)).toBe(true)
      expect(unknown).toEqual(unknown.map((_, i) => (unknown[0] as number) + i))
      expect(unknown.filter(number => record.results[number] !== 'sent')).toEqual([])
      expect(record.results).toContain('queued')
      expect(delivery.dropped).toBe(0)

      const [close] = record.closes
      expect(record.closes).toEqual([
        expect.objectContaining({
          code,
          cause: 'CONNECTION_LOST',
          willRetry: true,
        }),
      ])
      const gap = (record.opens[1]?.at as number) - (close?.at as number)
      if (outage.name.includes('retry-after') && close?.code === 1013) {
        expect(close.delay).toBeGreaterThanOrEqual(1_000)
        expect(gap).toBeGreaterThanOrEqual(1_000)
      }
      addRow(outage.name, record, delivery)
    },
  )

  test.each([1008, 4401])(
    'after close code %i the socket stays closed until connect(), and every loss is reported',
    async code => {
      const context = await connect(rig, page)
      const { server } = context
      server.closeAll(code, 'not you')
      await page.evaluate(async () => {
        await traffic.until('close', 1)
        await traffic.until('drop', traffic.count('drop') + 20)
      })
      expect(await page.evaluate(() => [traffic.socket.state.name, traffic.socket.queued])).toEqual([
        'closed',
        0,
      ])
      await server.until(() => server.clients.length === 0)
      await page.evaluate(() => traffic.socket.connect())
      await page.evaluate(() => traffic.until('open', 2))
      await finish(context)

      const record = await takeRecord(page)
      const delivery = checkDelivery(record, arrivals(server))
      expect(inOrder(delivery.order)).toBe(true)
      expect(new Set(record.drops.map(({ reason }) => reason))).toEqual(new Set(['closed']))
      expect(record.closes).toEqual([expect.objectContaining({ code, willRetry: false })])
      addRow(`close ${code}, connect() (dropped: ${delivery.dropped})`, record, delivery)
    },
  )

  afterAll(() => {
    const lines = [head, ...rows].map(([name = '', ...cells]) =>
      [name.padEnd(38), ...cells.map((cell, i) => cell.padStart(head[i + 1]?.length ?? 0))].join('  '),
    )
    if (rows.length) console.log(`${rig.name}\n${lines.join('\n')}`)
  })
})
