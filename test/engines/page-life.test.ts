// What happens to a page happens to its socket: the page is left and returned to, frozen, hidden, cut off the network,
// and told another time.
import { describe, expect, test } from 'vitest'
import type * as Package from '../../src/index.ts'
import { startServer, type TestServer } from '../interop/ws.ts'
import { type FaultProxy, startProxy } from '../support/proxy.ts'
import type { Page } from './page.ts'
import { inEveryEngine, type Rig } from './rig.ts'

/** What the script tag brings. It exists in the page, not here. */
declare const SteadySocket: typeof Package

/** What `begin` leaves in the page. */
declare const socket: Package.Socket
declare const diary: Diary

type Entry = readonly [what: string, at: number, detail?: unknown]

interface Diary {
  readonly entries: Entry[]
  /** The moments at which a native socket was made. */
  readonly dials: number[]
  /** Resolves as soon as this many such entries are there, with the last of them. */
  until(what: string, count: number): Promise<Entry>
}

interface Wishes {
  /** The delay before every next attempt; the package's own policy without it. */
  retry?: number
  /** Every so often a ping, which /echo answers. */
  heartbeat?: { interval: number; timeout: number }
}

/** Six minutes reach the throttling to one timer a minute, which Chromium begins after five. */
const soak = Boolean(process.env.SOAK)

const hour = 3_600_000

/** Machine and browser are busy: what the design promises, and this on top of it. */
const noise = 500

/**
 * In the page: makes a socket and a diary, as globals. All moments are those of the wall clock, which page and test share.
 * What is sent in `pagehide` is sent by two listeners: one that hears it before the package does, and one after.
 */
function begin(url: string, { retry, heartbeat }: Wishes) {
  const now = Date.now.bind(Date)
  const entries: Entry[] = []
  const dials: number[] = []
  const checks = new Set<() => void>()
  const note = (what: string, detail?: unknown) => {
    entries.push([what, now(), detail])
    for (const check of checks) check()
  }
  const until = (what: string, count: number) =>
    new Promise<Entry>(resolve => {
      const check = () => {
        const found = entries.filter(([name]) => name === what)
        if (found.length < count) return
        checks.delete(check)
        resolve(found[count - 1] as Entry)
      }
      checks.add(check)
      check()
    })
  const native = WebSocket
  class Dialled extends native {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols)
      dials.push(now())
    }

    override send(data: string | BufferSource | Blob) {
      super.send(data)
      if (data === 'ping') note('ping')
    }
  }

  addEventListener('pagehide', event => {
    // A page that is not kept can still be asked from the next one.
    sessionStorage.setItem('left', String(now()))
    note('pagehide', event.persisted)
    if (socket.state.name === 'open') note('in pagehide, early', socket.send('in pagehide, early'))
  })
  const socket = SteadySocket.createSocket(url, {
    WebSocket: Dialled,
    ...(retry !== undefined && { retry: () => retry }),
    ...(heartbeat && {
      heartbeat: { ...heartbeat, message: 'ping', isReply: (data: unknown) => data === 'ping' },
    }),
  })
  addEventListener('pagehide', () => note('in pagehide', socket.send('in pagehide')))
  addEventListener('pageshow', event => {
    if (!event.persisted) return
    note('pageshow')
    note('in pageshow', socket.send('in pageshow'))
  })
  document.addEventListener('freeze', () => note('freeze', socket.send('in freeze')))
  document.addEventListener('resume', () => note('resume', socket.send('in resume')))
  document.addEventListener('visibilitychange', () => note(document.visibilityState))
  addEventListener('online', () => note('online'))
  addEventListener('offline', () => note('offline'))
  socket.on('state', state => note(state.name, 'delay' in state ? state.delay : undefined))
  socket.on('close', ({ code, cause, delay }) => note('close', [code, cause.code, delay]))
  socket.on('drop', ({ reason }) => note('drop', reason))
  socket.on('text', text => note(`text ${text}`))
  Object.assign(window, { socket, diary: { entries, dials, until } })
}

const until = (page: Page, what: string, count = 1) =>
  page.evaluate((what: string, count: number) => diary.until(what, count), what, count)

const entries = (page: Page) => page.evaluate(() => diary.entries)
const named = (all: readonly Entry[], ...names: string[]) => all.filter(([what]) => names.includes(what))
const texts = (server: TestServer) => server.received.map(({ data }) => data.toString())

/** When the server hears the next connection end. */
const heardClose = (server: TestServer) => server.next('close').then(peer => ({ peer, at: Date.now() }))

const report = (rig: Rig, what: string, numbers: Record<string, number | string>) =>
  console.log(
    `${rig.name}: ${what}:`,
    Object.entries(numbers)
      .map(([name, value]) => `${name} ${typeof value === 'number' ? `${Math.round(value)} ms` : value}`)
      .join(', '),
  )

async function meet(
  rig: Rig,
  path: string,
  wishes: Wishes = {},
): Promise<{ server: TestServer; page: Page }> {
  const server = rig.keep(await startServer())
  const page = await rig.open()
  await page.evaluate(begin, server.url + path, wishes)
  await until(page, 'open')
  return { server, page }
}

/** With a line that can be cut. */
async function meetByProxy(
  rig: Rig,
  address: (proxy: FaultProxy) => string,
  wishes: Wishes = {},
): Promise<{ server: TestServer; proxy: FaultProxy; page: Page }> {
  const server = rig.keep(await startServer())
  const proxy = rig.keep(await startProxy({ port: server.port }))
  const page = await rig.open()
  await page.evaluate(begin, address(proxy), wishes)
  await until(page, 'open')
  return { server, proxy, page }
}

inEveryEngine(rig => {
  describe('a page that is left and returned to', () => {
    // In Chromium a page that is put into the cache is frozen there, and says so.
    const meanwhile = [
      'in pagehide',
      ...(rig.name === 'chromium' ? ['in freeze', 'in resume'] : []),
      'in pageshow',
    ]

    test('closes at once, opens within a second of the return, and keeps queue and listeners', async () => {
      const { server, page } = await meet(rig, '/sink')
      await page.evaluate(() => void socket.send('before'))
      const closed = heardClose(server)
      await page.goto(rig.site.page())
      const { at, peer } = await closed
      const left = Number(await page.evaluate(() => sessionStorage.getItem('left')))
      expect(at - left).toBeLessThan(1_000)
      // Firefox takes what is sent in `pagehide`, and sends it or not.
      const heard = texts(server).filter(text => rig.name !== 'firefox' || text === 'before')
      expect(heard).toEqual(rig.name === 'firefox' ? ['before'] : ['before', 'in pagehide, early'])

      await page.back()
      if (rig.name === 'firefox') {
        // It does not keep a page that had an open socket, however that is closed: NOTES.md. The page begins anew.
        expect(await page.evaluate('typeof socket')).toBe('undefined')
        await page.evaluate(begin, `${server.url}/sink`, {})
        await until(page, 'open')
        expect(server.clients.length).toBe(1)
        return report(rig, 'left', {
          'close heard after': at - left,
          'close code': `${peer.closed?.code}`,
          received: `${texts(server)}`,
          'not kept': 'reloaded',
        })
      }
      const [, shown] = await until(page, 'pageshow')
      const [, opened] = await until(page, 'open', 2)
      expect(opened - shown).toBeLessThan(1_000)
      report(rig, 'left', { 'close heard after': at - left, 'open after pageshow': opened - shown })

      await server.until(() => texts(server).includes('in pageshow'))
      server.push('welcome back')
      await until(page, 'text welcome back')
      expect(texts(server)).toEqual(['before', 'in pagehide, early', ...meanwhile])
      expect(server.received.map(({ connection }) => connection)).toEqual([1, 1, ...meanwhile.map(() => 2)])
      expect(server.clients.length).toBe(1)
      const all = await entries(page)
      expect(
        named(all, 'pagehide', 'in pagehide, early', 'in pagehide').map(([, , detail]) => detail),
      ).toEqual([true, 'sent', 'queued'])
      // Each open has one close, also when the browser tells it late, and nothing is reported as lost.
      expect(named(all, 'open', 'close', 'drop').map(([what]) => what)).toEqual(['open', 'close', 'open'])
      expect(await page.evaluate(() => diary.dials.length)).toBe(2)
    })

    test.each(['waits for its next attempt', 'is in the middle of an attempt'])(
      'that %s opens within a second of the return, and sends what waited',
      async when => {
        const server = rig.keep(await startServer())
        const proxy = rig.keep(await startProxy({ port: server.port }))
        if (when.startsWith('waits')) server.refuse(503)
        else proxy.hang(true)
        const page = await rig.open()
        await page.evaluate(begin, proxy.url('/sink'), { retry: 600_000 })
        if (when.startsWith('waits')) await until(page, 'waiting')
        else await proxy.accepted(1)
        await page.evaluate(() => [socket.send('first'), socket.send('second')])
        await page.goto(rig.site.page())
        server.refuse(false)
        proxy.hang(false)
        const dialled = proxy.count
        await page.back()
        if ((await page.evaluate('typeof socket')) === 'undefined') {
          expect(`${rig.name} ${when}`).toBe('firefox is in the middle of an attempt')
          expect(server.connections.length).toBe(0)
          return report(rig, `left while it ${when}`, { 'not kept': 'reloaded' })
        }
        const [, shown] = await until(page, 'pageshow')
        const [, opened] = await until(page, 'open')
        expect(opened - shown).toBeLessThan(1_000)
        report(rig, `left while it ${when}`, { 'open after pageshow': opened - shown })
        await server.until(() => texts(server).includes('in pageshow'))
        expect(texts(server)).toEqual(['first', 'second', ...meanwhile])
        expect(proxy.count).toBe(dialled + 1)
        expect(server.connections.length).toBe(1)
      },
    )

    test('again and again has one connection each time, and sends nothing twice', async ({ skip }) => {
      if (rig.name === 'firefox') return skip('Firefox does not keep a page that had an open socket')
      const { server, page } = await meet(rig, '/sink')
      const each = 2 + meanwhile.length
      for (let visit = 1; visit <= 5; visit++) {
        await page.evaluate((visit: number) => void socket.send(`visit ${visit}`), visit)
        await page.goto(rig.site.page())
        await page.back()
        await until(page, 'open', visit + 1)
        await server.until(() => server.clients.length === 1 && server.received.length === visit * each)
      }
      const visit = (number: number) => [`visit ${number}`, 'in pagehide, early', ...meanwhile]
      expect(texts(server)).toEqual([1, 2, 3, 4, 5].flatMap(visit))
      expect(server.connections.length).toBe(6)
      expect(named(await entries(page), 'drop')).toEqual([])
    })
  })

  test('a frozen page has no connection, and is back when it resumes', async ({ skip }) => {
    const { server, page } = await meet(rig, '/sink')
    if (!page.cdp) return skip('only Chromium can be told to freeze a page')
    await page.evaluate(() => void socket.send('before'))
    await page.hide()
    await until(page, 'hidden')
    const closed = heardClose(server)
    const asked = Date.now()
    await page.cdp('Page.setWebLifecycleState', { state: 'frozen' })
    const { at } = await closed
    expect(at - asked).toBeLessThan(1_000)
    await page.cdp('Page.setWebLifecycleState', { state: 'active' })
    const [, frozen] = await until(page, 'freeze')
    const [, resumed] = await until(page, 'resume')
    const [, opened] = await until(page, 'open', 2)
    // The page is still hidden, where a timer may fire a second late.
    expect(opened - resumed).toBeLessThan(300 + 1_000 + noise)
    await page.show()
    await server.until(() => texts(server).includes('in resume'))
    server.push('welcome back')
    await until(page, 'text welcome back')
    expect(texts(server)).toEqual(['before', 'in freeze', 'in resume'])
    expect(server.received.map(({ connection }) => connection)).toEqual([1, 2, 2])
    const all = await entries(page)
    expect(named(all, 'open', 'close', 'drop').map(([what]) => what)).toEqual(['open', 'close', 'open'])
    expect(named(all, 'close')[0]?.[2]).toEqual([1006, 'PAGE_HIDDEN', null])
    expect(server.clients.length).toBe(1)
    report(rig, 'frozen', { 'close heard after': at - frozen, 'open after resume': opened - resumed })
  })

  // WebKit throttles from the first second on, and no further.
  const hidden = soak ? 360_000 : rig.name === 'webkit' ? 4_000 : 12_000
  test(
    'a hidden page keeps its healthy connection, and sends at full pace',
    async () => {
      const { server, page } = await meet(rig, '/echo', { heartbeat: { interval: 1_000, timeout: 500 } })
      await page.hide()
      await until(page, 'hidden')
      const since = Date.now()
      const pings = () => server.received.length
      // Ten a second while the page is visible: shows how far timers are throttled here.
      await page.evaluate(() => {
        const ticks: number[] = []
        const tick = () => ticks.push(Date.now()) && setTimeout(tick, 100)
        tick()
        Object.assign(window, { ticks })
      })
      await server.until(() => Date.now() - since >= hidden)
      const gaps = await page.evaluate(() => {
        const { ticks } = window as unknown as { ticks: number[] }
        return ticks.slice(6).map((at, i) => at - (ticks[i + 5] as number))
      })
      const gap = Math.max(...gaps)
      expect(gap).toBeGreaterThan(800)
      if (soak && rig.name === 'chromium') expect(gap).toBeGreaterThan(50_000)
      const beats = pings()

      const sink = rig.keep(await startServer())
      const size = 65_536
      const count = 320
      const before = Date.now()
      const results = await page.evaluate(
        async (url: string, size: number, count: number) => {
          const socket = SteadySocket.createSocket(url, { queue: { maxBytes: Infinity } })
          await new Promise(resolve => socket.on('open', resolve))
          const message = new Uint8Array(size)
          const results: Record<string, number> = {}
          for (let i = 0; i < count; i++) {
            new DataView(message.buffer).setUint32(0, i)
            const result = socket.send(message)
            results[result] = (results[result] ?? 0) + 1
          }
          return results
        },
        `${sink.url}/sink`,
        size,
        count,
      )
      await sink.until(() => sink.received.length === count)
      const took = Date.now() - before
      expect(await page.evaluate(() => document.visibilityState)).toBe('hidden')
      expect(results).toEqual({ sent: count })
      expect(took).toBeLessThan(5_000)
      expect(sink.received.map(({ data }) => (data as Buffer).readUint32BE(0))).toEqual(
        Array.from({ length: count }, (_, i) => i),
      )

      await page.show()
      await until(page, 'visible')
      expect(server.connections.length).toBe(1)
      expect(server.clients.length).toBe(1)
      expect(named(await entries(page), 'close', 'waiting')).toEqual([])
      report(rig, `hidden for ${hidden / 1_000} s`, {
        'longest gap between timers of 100 ms': gap,
        pings: `${beats}`,
        '20 MiB': took,
      })
    },
    hidden + 60_000,
  )

  // Emulated, as far as the browser's own network is concerned. `localhost` itself is exempt: it needs no network. This
  // name leads there as well, in every browser, and does not look it.
  // https://www.rfc-editor.org/rfc/rfc6761#section-6.3
  const far = (port: number, path = '') => `ws://push.localhost:${port}${path}`

  test('offline, nothing is dialled; online, at once', async ({ skip }) => {
    const { server, proxy, page } = await meetByProxy(rig, proxy => far(proxy.port, '/sink'), { retry: 50 })
    if (!page.offline) return skip('WebKitWebDriver cannot take a page off the network')
    await page.offline(true)
    await until(page, 'offline')
    proxy.reset()
    const [, , delay] = await until(page, 'waiting')
    expect(delay).toBeGreaterThanOrEqual(30_000)
    await page.evaluate(() => socket.send('while offline'))

    // The same policy towards an address that needs no network does not stop. Some attempts of that are the time in which
    // there is none of ours. Not many: Firefox delays them more and more.
    const alone = Date.now()
    await page.evaluate(
      (url: string, attempts: number) =>
        new Promise<void>(resolve => {
          const other = SteadySocket.createSocket(url, { retry: () => 50 })
          other.on('error', () => {
            if (other.stats.attempts < attempts) return
            other.close()
            resolve()
          })
        }),
      `ws://127.0.0.1:${server.port}/sink`,
      4,
    )
    const took = Date.now() - alone
    expect(await page.evaluate(() => [diary.dials.length, socket.state.name])).toEqual([1, 'waiting'])
    expect(proxy.count).toBe(1)

    await page.offline(false)
    const [, online] = await until(page, 'online')
    const [, opened] = await until(page, 'open', 2)
    const dials = await page.evaluate(() => diary.dials)
    expect(dials.length).toBe(2)
    expect((dials[1] as number) - online).toBeLessThan(300 + noise)
    await server.until(() => server.received.length > 0)
    expect(texts(server)).toEqual(['while offline'])
    expect(server.clients.length).toBe(1)
    report(rig, 'online again', {
      'four attempts elsewhere': took,
      'dial after': (dials[1] as number) - online,
      'open after': opened - online,
    })
  })

  test('a wait that has begun is longer offline, and over online', async ({ skip }) => {
    const server = rig.keep(await startServer())
    server.refuse(503)
    const page = await rig.open()
    if (!page.offline) return skip('WebKitWebDriver cannot take a page off the network')
    await page.evaluate(begin, far(server.port), { retry: 5_000 })
    await until(page, 'waiting')
    await page.offline(true)
    const [, , delay] = await until(page, 'waiting', 2)
    expect(delay).toBe(30_000)
    server.refuse(false)
    await page.offline(false)
    const [, online] = await until(page, 'online')
    const [, opened] = await until(page, 'open')
    expect(opened - online).toBeLessThan(300 + 2 * noise)
    expect(await page.evaluate(() => diary.dials.length)).toBe(2)
  })

  test('an open connection that survives being offline is asked, and kept', async ({ skip }) => {
    const heartbeat = { interval: 60_000, timeout: 10_000 }
    const { server, page } = await meet(rig, '/echo', { heartbeat })
    if (!page.offline) return skip('WebKitWebDriver cannot take a page off the network')
    await page.offline(true)
    const [, offline] = await until(page, 'offline')
    const [, asked] = await until(page, 'ping')
    expect(asked - offline).toBeLessThan(noise)
    // In Chromium's emulation the question stays under way until the network is back.
    if (rig.name === 'firefox') await server.until(() => server.received.length > 0)
    else expect(server.received.length).toBe(0)
    await page.offline(false)
    const [, online] = await until(page, 'online')
    await page.evaluate(() => void socket.send('still there'))
    await until(page, 'text still there')
    expect(texts(server)).toContain('ping')
    const all = await entries(page)
    // Asked anew where the answer had come.
    if (rig.name === 'firefox') expect(named(all, 'ping').some(([, at]) => at >= online)).toBe(true)
    expect(await page.evaluate(() => socket.latency)).toBeGreaterThanOrEqual(0)
    expect(server.connections.length).toBe(1)
    expect(named(all, 'close', 'waiting', 'text ping')).toEqual([])
    report(rig, 'offline with an open connection', { 'asked after': asked - offline })
  })

  describe.each([
    ['forward', hour],
    ['back', -hour],
  ])('a clock that jumps an hour %s', (_, jump) => {
    /** In the page. */
    const shift = (jump: number) => {
      const real = Date.now.bind(Date)
      Date.now = () => real() + jump
    }

    test('ends no healthy connection, and saves no dead one', async () => {
      const interval = 200
      const timeout = 600
      const { server, proxy, page } = await meetByProxy(rig, proxy => proxy.url('/echo'), {
        retry: 0,
        heartbeat: { interval, timeout },
      })
      await server.until(() => server.received.length >= 2)
      await page.evaluate(shift, jump)
      const asked = server.received.length
      await server.until(() => server.received.length >= asked + 4)
      expect(server.connections.length).toBe(1)
      expect(named(await entries(page), 'close', 'waiting')).toEqual([])

      for (const connection of proxy.connections) connection.freeze()
      const frozen = Date.now()
      const [, noticed, detail] = await until(page, 'close')
      expect(detail).toEqual([1006, 'UNRESPONSIVE', 0])
      expect(noticed - frozen).toBeLessThan(interval + timeout + noise)
      await until(page, 'open', 2)
      report(rig, `clock ${jump / hour} h, then silence`, { 'noticed after': noticed - frozen })
    })

    test('does not keep the next attempt from coming', async () => {
      const server = rig.keep(await startServer())
      server.refuse(503)
      const page = await rig.open()
      await page.evaluate(begin, server.url, { retry: 600 })
      const [, waiting] = await until(page, 'waiting')
      await page.evaluate(shift, jump)
      server.refuse(false)
      const [, opened] = await until(page, 'open', 1)
      expect(opened - waiting).toBeGreaterThan(500)
      expect(opened - waiting).toBeLessThan(600 + 2 * noise)
    })

    test('does not keep a page that comes to the front from dialling at once', async () => {
      const server = rig.keep(await startServer())
      server.refuse(503)
      const page = await rig.open()
      await page.evaluate(begin, server.url, { retry: 600_000 })
      await until(page, 'waiting')
      await page.hide()
      await until(page, 'hidden')
      await page.evaluate(shift, jump)
      server.refuse(false)
      await page.show()
      const [, visible] = await until(page, 'visible')
      const [, opened] = await until(page, 'open')
      expect(opened - visible).toBeLessThan(300 + 2 * noise)
    })
  })
})
