// Connections end in many ways. After each of them: open again, what was sent in order and once, the losses counted.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startServer, type TestServer } from '../interop/ws.ts'
import { type FaultProxy, startProxy } from '../support/proxy.ts'
import type { Page } from './page.ts'
import { inEveryEngine, type Rig } from './rig.ts'
import {
  type Account,
  arrivals,
  harvest,
  inOrder,
  settle,
  startTalk,
  type Talk,
  type TalkOptions,
  type TalkRecord,
} from './talk.ts'

declare const talk: Talk

interface Scene {
  readonly rig: Rig
  readonly server: TestServer
  readonly proxy: FaultProxy
  readonly page: Page
}

interface Outage {
  readonly name: string
  readonly options?: TalkOptions
  begin(scene: Scene): unknown
  /** Once the page knows of the loss. */
  end?(scene: Scene): unknown
  /** The code that the page is told. Default: 1006. */
  code?(rig: Rig): Promise<number>
}

/** The patience of a test, where the default is that of a page with a crowd of others behind the same server. */
const quick = { base: 50, max: 200, spread: 100 }

/** WebKitGTK tells these as 1006, and without their reason. See NOTES.md. */
const untold = [1012, 1013]
const told = (code: number) => async (rig: Rig) =>
  untold.includes(code) && !(await rig.can('telling close codes 1012 and 1013')) ? 1006 : code

const failed = (page: Page, times: number) =>
  page.evaluate((times: number) => talk.until('error', times), times)

const outages: Outage[] = [
  { name: 'a reset', begin: ({ proxy }) => proxy.reset() },
  { name: 'an end without a close frame', begin: ({ proxy }) => proxy.end() },
  ...[1000, 1001, 1011, 1012, 4000].map(code => ({
    name: `close ${code}`,
    begin: ({ server }: Scene) => server.closeAll(code, 'come back'),
    code: told(code),
  })),
  {
    name: 'close 1013, retry-after=1',
    begin: ({ server }) => server.closeAll(1013, 'retry-after=1'),
    code: told(1013),
  },
  {
    name: 'a server that restarts on its port',
    begin: ({ server }) => server.stop(),
    async end({ server, page }) {
      await failed(page, 1)
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
      await failed(page, 2)
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
      await failed(page, 2)
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
      await failed(page, 1)
      proxy.hang(false)
    },
  },
]

/** How many messages make a talk, before an outage and after it. */
const enough = 25

async function meet(rig: Rig, page: Page, options?: TalkOptions): Promise<Scene> {
  const server = rig.keep(await startServer())
  const proxy = rig.keep(await startProxy({ port: server.port }))
  // A short line loses nothing: there is hardly ever anything on it.
  proxy.delay(20, 'up')
  await page.evaluate(startTalk, proxy.url('/echo'), { backoff: quick, ...options })
  rig.keep({ close: () => page.evaluate(() => talk.socket.close()) })
  await page.evaluate(() => talk.stream(2, [10, 10, 10, 200, 3_000]))
  await server.until(() => server.received.length >= enough)
  return { rig, server, proxy, page }
}

/** Goes on until the new connection has carried some messages to and fro, and the last of all has come back. */
async function talkToTheEnd({ server, page }: Scene) {
  await page.evaluate(async (enough: number) => {
    await talk.until('echo', talk.count('echo') + enough)
    talk.stop()
    await talk.heard(talk.send(1, 10))
  }, enough)
  await server.until(() => server.clients.length === 1)
}

inEveryEngine(rig => {
  const head = 'outage,code,failures,sent,arrived,reclaimed,unknown,ms without,of it dialling'.split(',')
  const rows: string[][] = []
  const note = (name: string, record: TalkRecord, { sent, arrived, reclaimed, unknown }: Account) => {
    const [close] = record.closes
    const opened = record.opens[1]?.at as number
    const without = opened - (close?.at as number)
    // The last native socket alone: from its making to its opening.
    const dialling = opened - (record.natives.at(-1)?.made as number)
    const counts = [close?.code, record.errors.length, sent, arrived, reclaimed, unknown.length]
    rows.push([name, ...[...counts, Math.round(without), Math.round(dialling)].map(String)])
  }
  let page: Page

  // One for all: opening a page takes longer than an outage.
  beforeAll(async () => {
    // Found out while there is no page that another one could hide.
    await rig.can('telling close codes 1012 and 1013')
    page = await rig.engine.open(rig.site.page())
  })

  test.each(outages)(
    'opens again after $name, and loses only messages that the browser reported as sent',
    async outage => {
      const code = (await outage.code?.(rig)) ?? 1006
      const scene = await meet(rig, page, outage.options)
      const { server } = scene
      await outage.begin(scene)
      await page.evaluate(() => talk.until('close', 1))
      await outage.end?.(scene)
      await page.evaluate(() => talk.until('open', 2))
      await talkToTheEnd(scene)

      const record = await harvest(page)
      const account = settle(record, arrivals(server))
      const { order, unknown } = account
      // One loss, and so one gap at most; what was sent while there was no connection came through whole.
      expect(inOrder(order)).toBe(true)
      expect(unknown).toEqual(unknown.map((_, i) => (unknown[0] as number) + i))
      expect(unknown.filter(number => record.results[number] !== 'sent')).toEqual([])
      expect(record.results).toContain('queued')
      expect(account.dropped).toBe(0)

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
      note(outage.name, record, account)
    },
  )

  test.each([1008, 4401])(
    'close %i ends it; connect() begins anew, and nothing is lost unsaid',
    async code => {
      const scene = await meet(rig, page)
      const { server } = scene
      server.closeAll(code, 'not you')
      await page.evaluate(async () => {
        await talk.until('close', 1)
        await talk.until('drop', talk.count('drop') + 20)
      })
      expect(await page.evaluate(() => [talk.socket.state.name, talk.socket.queued])).toEqual(['closed', 0])
      await server.until(() => server.clients.length === 0)
      await page.evaluate(() => talk.socket.connect())
      await page.evaluate(() => talk.until('open', 2))
      await talkToTheEnd(scene)

      const record = await harvest(page)
      const account = settle(record, arrivals(server))
      expect(inOrder(account.order)).toBe(true)
      expect(new Set(record.drops.map(({ reason }) => reason))).toEqual(new Set(['closed']))
      expect(record.closes).toEqual([expect.objectContaining({ code, willRetry: false })])
      note(`close ${code}, connect() (dropped: ${account.dropped})`, record, account)
    },
  )

  afterAll(() => {
    const lines = [head, ...rows].map(([name = '', ...cells]) =>
      [name.padEnd(38), ...cells.map((cell, i) => cell.padStart(head[i + 1]?.length ?? 0))].join('  '),
    )
    if (rows.length) console.log(`${rig.name}\n${lines.join('\n')}`)
  })
})
