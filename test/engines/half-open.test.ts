// Half-open connections, which are open and transmit nothing, must be detected in time and replaced at once, and cause no later event.
import { afterAll, expect, test } from 'vitest'
import { startServer } from '../interop/ws.ts'
import { type Connection, type Direction, startProxy } from '../support/proxy.ts'
import { byEffort } from '../support/run.ts'
import { inEveryEngine } from './rig.ts'
import { arrivals, checkDelivery, startTraffic, type Traffic, takeRecord } from './traffic.ts'

declare const traffic: Traffic

const interval = 300
const timeout = 700
/** How late something may be. A timer of the page measures it, so the test does not depend on the load of the machine. */
const margin = 200
const runs = byEffort(1, 1, 20)

interface Silence {
  readonly name: string
  readonly direction: Direction | 'both'
  /** How many messages are sent after the connection has frozen. */
  readonly messages: number
  readonly bytes: number
}

const silences: Silence[] = [
  { name: 'a connection frozen in both directions', direction: 'both', messages: 5, bytes: 10 },
  // With data in the browser's buffer, the browser would never fire a `close` event.
  {
    name: 'a connection frozen in both directions with full buffers',
    direction: 'both',
    messages: 96,
    bytes: 64 * 1024,
  },
  { name: 'a connection frozen in the direction to the client', direction: 'down', messages: 5, bytes: 10 },
]

const median = (times: readonly number[]) => [...times].sort((a, b) => a - b)[times.length >> 1] as number
const summary = (times: readonly number[]) =>
  [Math.min(...times), median(times), Math.max(...times)]
    .map(time => `${Math.round(time)}`.padStart(5))
    .join('')

/** In the page: measures the longest round trip of a native socket to another server. */
function measureRoundTrips(url: string) {
  const roundTrips = { slowest: 0 }
  const socket = new WebSocket(url)
  let since = performance.now()
  const go = () => {
    since = performance.now()
    socket.send('round trip')
  }
  socket.onopen = go
  socket.onmessage = () => {
    roundTrips.slowest = Math.max(roundTrips.slowest, performance.now() - since)
    setTimeout(go, 20)
  }
  Object.assign(globalThis, { roundTrips })
}
declare const roundTrips: { slowest: number }

/** In the page: sends ten messages and waits for their echoes. Repeats it if the connection is closed meanwhile. */
async function exchange() {
  for (let received = false; !received; ) {
    const closes = traffic.count('close')
    received = await Promise.race([
      traffic.echoed(traffic.send(10, 10)).then(() => true),
      traffic.until('close', closes + 1).then(() => false),
    ])
  }
}

inEveryEngine(rig => {
  const rows: string[] = []

  test.each(silences)('$name is detected in time and replaced, and causes no later event', async silence => {
    const detected: number[] = []
    const replaced: number[] = []
    const attempted: number[] = []
    let late = 0
    const page = await rig.open()
    const elsewhere = rig.keep(await startServer())
    await page.evaluate(measureRoundTrips, `${elsewhere.url}/echo`)
    for (let run = 0; run < runs; run++) {
      await page.evaluate(() => {
        roundTrips.slowest = 0
      })
      const server = rig.keep(await startServer())
      const proxy = rig.keep(await startProxy({ port: server.port }))
      await page.evaluate(startTraffic, proxy.url('/echo'), {
        heartbeat: { interval, timeout },
        highWaterMark: 1e9,
        margin,
      })
      await page.evaluate(() => traffic.echoed(traffic.send(10, 10)))
      const old = proxy.connections[0] as Connection
      const [oldPeer] = server.clients
      old.freeze(silence.direction)
      await page.evaluate(({ messages, bytes }: Silence) => void traffic.send(messages, bytes), silence)
      await page.evaluate(() => traffic.until('open', 2))
      // The package has not waited for the `close` event of the browser.
      const waited = await page.evaluate(() => traffic.natives[0]?.closed !== undefined)
      expect(waited, 'the old socket has closed').toBe(false)
      expect(server.clients).toContain(oldPeer)
      await page.evaluate(exchange)
      const before = server.received.length

      // The old connection thaws, with everything that was in flight and a message from the server.
      oldPeer?.send('push 1')
      old.thaw()
      await page.evaluate(() => traffic.untilTrue(() => traffic.natives[0]?.unsent.length === 2))
      await server.until(() => server.clients.length === 1 && server.clients[0] !== oldPeer)
      await old.closed
      late += server.received.length - before
      await page.evaluate(exchange)
      const record = await takeRecord(page)
      await page.evaluate(() => traffic.socket.close())
      await server.until(() => server.clients.length === 0)

      // A busy machine can delay a healthy connection beyond the timeout. The native socket shows it, and the run is repeated.
      if (record.closes.length > 1 && (await page.evaluate(() => roundTrips.slowest)) >= timeout / 2) {
        run--
        continue
      }
      const { unknown } = checkDelivery(record, arrivals(server))
      // The old connection delivered its messages late, and only once.
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
      expect([first?.overdue, close?.overdue], 'detected late, next attempt late').toEqual([
        undefined,
        undefined,
      ])
      detected.push((close?.at as number) - (first?.lastMessage as number))
      attempted.push((second?.made as number) - (close?.at as number))
      replaced.push((record.opens[1]?.at as number) - (close?.at as number))
    }
    // Not early, except for the difference between the clocks of events and scripts.
    expect(Math.min(...detected)).toBeGreaterThanOrEqual(interval + timeout - 5)
    rows.push(
      `${silence.name.padEnd(40)} ${summary(detected)} ${summary(attempted)} ${summary(replaced)}  ${late / runs}`,
    )
  })

  afterAll(() => {
    if (!rows.length) return
    const head = `${'min, median, max in ms'.padEnd(40)}        detected          attempt             open  late`
    console.log(
      `${rig.name}, interval + timeout = ${interval + timeout} ms, ${runs} runs\n${head}\n${rows.join('\n')}`,
    )
  })
})
