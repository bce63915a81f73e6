// A connection that is there and carries nothing any more: noticed in time, replaced at once, never heard of again.
import { afterAll, expect, test } from 'vitest'
import { startServer } from '../interop/ws.ts'
import { type Connection, type Direction, startProxy } from '../support/proxy.ts'
import { byEffort } from '../support/run.ts'
import { inEveryEngine } from './rig.ts'
import { arrivals, harvest, settle, startTalk, type Talk } from './talk.ts'

declare const talk: Talk

const interval = 300
const timeout = 700
/** A timer of the page says whether something was later than this, so that the machine may be as busy as it likes. */
const margin = 200
const runs = byEffort(1, 1, 20)

interface Silence {
  readonly name: string
  readonly direction: Direction | 'both'
  /** How much is handed to the browser after the line has gone silent. */
  readonly messages: number
  readonly bytes: number
}

const silences: Silence[] = [
  { name: 'nothing moves', direction: 'both', messages: 5, bytes: 10 },
  // With data in the browser's buffer its own `close` event would never come.
  { name: 'nothing moves, and the buffers are full', direction: 'both', messages: 96, bytes: 64 * 1024 },
  { name: 'the server hears and is not heard', direction: 'down', messages: 5, bytes: 10 },
]

const median = (times: readonly number[]) => [...times].sort((a, b) => a - b)[times.length >> 1] as number
const summary = (times: readonly number[]) =>
  [Math.min(...times), median(times), Math.max(...times)]
    .map(time => `${Math.round(time)}`.padStart(5))
    .join('')

/** In the page: how long the slowest of many errands took, which a socket of the engine's own runs to another server and back. */
function runErrands(url: string) {
  const errands = { slowest: 0 }
  const socket = new WebSocket(url)
  let since = performance.now()
  const go = () => {
    since = performance.now()
    socket.send('errand')
  }
  socket.onopen = go
  socket.onmessage = () => {
    errands.slowest = Math.max(errands.slowest, performance.now() - since)
    setTimeout(go, 20)
  }
  Object.assign(globalThis, { errands })
}
declare const errands: { slowest: number }

/** In the page: ten messages and their echoes; again if the connection was given up meanwhile. */
async function converse() {
  for (let heard = false; !heard; ) {
    const closes = talk.count('close')
    heard = await Promise.race([
      talk.heard(talk.send(10, 10)).then(() => true),
      talk.until('close', closes + 1).then(() => false),
    ])
  }
}

inEveryEngine(rig => {
  const rows: string[] = []

  test.each(silences)(
    '$name: detected in time and replaced, and the old connection causes no later event',
    async silence => {
      const noticed: number[] = []
      const replaced: number[] = []
      const dialled: number[] = []
      let late = 0
      const page = await rig.open()
      const elsewhere = rig.keep(await startServer())
      await page.evaluate(runErrands, `${elsewhere.url}/echo`)
      for (let run = 0; run < runs; run++) {
        await page.evaluate(() => {
          errands.slowest = 0
        })
        const server = rig.keep(await startServer())
        const proxy = rig.keep(await startProxy({ port: server.port }))
        await page.evaluate(startTalk, proxy.url('/echo'), {
          heartbeat: { interval, timeout },
          highWaterMark: 1e9,
          margin,
        })
        await page.evaluate(() => talk.heard(talk.send(10, 10)))
        const old = proxy.connections[0] as Connection
        const [oldPeer] = server.clients
        old.freeze(silence.direction)
        await page.evaluate(({ messages, bytes }: Silence) => void talk.send(messages, bytes), silence)
        await page.evaluate(() => talk.until('open', 2))
        // By now the browser's own `close` event has not come: nobody has waited for it.
        const waited = await page.evaluate(() => talk.natives[0]?.closed !== undefined)
        expect(waited, 'the old socket has closed').toBe(false)
        expect(server.clients).toContain(oldPeer)
        await page.evaluate(converse)
        const before = server.received.length

        // The old peer comes back to life, with all that was on the way, and speaks.
        oldPeer?.send('push 1')
        old.thaw()
        await page.evaluate(() => talk.holds(() => talk.natives[0]?.unsent.length === 2))
        await server.until(() => server.clients.length === 1 && server.clients[0] !== oldPeer)
        await old.closed
        late += server.received.length - before
        await page.evaluate(converse)
        const record = await harvest(page)
        await page.evaluate(() => talk.socket.close())
        await server.until(() => server.clients.length === 0)

        // A healthy connection was taken for a dead one as well, and rightly so: the engine's own socket waited for as long. Once more.
        if (record.closes.length > 1 && (await page.evaluate(() => errands.slowest)) >= timeout / 2) {
          run--
          continue
        }
        const { unknown } = settle(record, arrivals(server))
        // The old connection did not die in the end: what it had been given arrived, late, and once.
        expect(unknown).toEqual([])
        expect(record.stats.reclaimed).toBe(0)
        expect(record.pushes).toEqual([])
        expect(record.echoes.filter(([native]) => native === 0).length).toBe(10)
        expect(record.closes).toEqual([
          expect.objectContaining({ code: 1006, cause: 'UNRESPONSIVE', willRetry: true }),
        ])
        expect(record.opens.length).toBe(2)
        expect(record.errors).toEqual([])

        const [close] = record.closes
        const [first, second] = record.natives
        expect(close?.delay).toBeLessThanOrEqual(300)
        expect([first?.overdue, close?.overdue], 'noticed late, dialled late').toEqual([undefined, undefined])
        noticed.push((close?.at as number) - (first?.life as number))
        dialled.push((second?.made as number) - (close?.at as number))
        replaced.push((record.opens[1]?.at as number) - (close?.at as number))
      }
      // Not before it is due, but for what the clocks of events and of scripts are apart.
      expect(Math.min(...noticed)).toBeGreaterThanOrEqual(interval + timeout - 5)
      rows.push(
        `${silence.name.padEnd(40)} ${summary(noticed)} ${summary(dialled)} ${summary(replaced)}  ${late / runs}`,
      )
    },
  )

  afterAll(() => {
    if (!rows.length) return
    const head = `${'min, median, max in ms'.padEnd(40)}         noticed          dialled             open  late`
    console.log(
      `${rig.name}, interval + timeout = ${interval + timeout} ms, ${runs} runs\n${head}\n${rows.join('\n')}`,
    )
  })
})
