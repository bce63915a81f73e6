// The socket when its page enters the back/forward cache and returns, is frozen, hidden or offline, and when the clock changes.
import { describe, expect, test } from 'vitest'
import type * as Package from '../../src/index.ts'
import { startServer, type TestServer } from '../interop/ws.ts'
import { type FaultProxy, startProxy } from '../support/proxy.ts'
import { effort } from '../support/run.ts'
import { FAR_HOST } from './far.ts'
import type { Page } from './page.ts'
import { inEveryEngine, type Rig } from './rig.ts'

/** The global of the UMD bundle, in the page. */
declare const SteadySocket: typeof Package

/** Globals of the page, set by `begin`. */
declare const socket: Package.Socket
declare const pageLog: PageLog

type Entry = readonly [what: string, at: number, detail?: unknown]

interface PageLog {
  readonly entries: Entry[]
  /** When native sockets were created. */
  readonly attempts: number[]
  /** Resolves with the last of `count` entries of this kind, as soon as there are so many. */
  until(what: string, count: number): Promise<Entry>
  /** From now on, adds an entry `${ms} ms after ${what}`, with the index of that entry, this long after each entry of this kind. */
  mark(what: string, ms: number): void
  /** Opens a native socket to this echo server. From then on, it sends a message whenever the heartbeat sends a ping. */
  compare(url: string): Promise<void>
  /** Resolves with the longest time, in milliseconds, that this native socket waited for an echo, once all have arrived. */
  longestReply(): Promise<number>
}

interface PageOptions {
  /** The delay before each attempt. Default: the policy of the package. */
  retry?: number
  /** Sends a ping, to which `/echo` replies. */
  heartbeat?: { interval: number; timeout: number }
  /** After this many milliseconds, a hidden page closes its connection. */
  hiddenFor?: number
}

/** Hides a page for six minutes, because Chromium throttles timers to one per minute after five. */
const soak = effort === 'soak'

const hour = 3_600_000

/**
 * Is added to the time limits of the package, which are measured by a timer of the same page. A busy machine delays all timers of a page, but
 * does not change their order.
 */
const margin = 500

/**
 * In the page: creates a socket and a log, as globals. Times are those of the system clock, which page and test share. Two listeners of
 * `pagehide` send a message: one that runs before the listener of the package, and one after.
 */
function begin(url: string, { retry, heartbeat, hiddenFor }: PageOptions, margin: number) {
  const now = Date.now.bind(Date)
  const entries: Entry[] = []
  const attempts: number[] = []
  const checks = new Set<() => void>()
  const marks = new Map<string, number>()
  const note = (what: string, detail?: unknown) => {
    entries.push([what, now(), detail])
    const ms = marks.get(what)
    const index = entries.length - 1
    if (ms !== undefined) setTimeout(() => note(`${ms} ms after ${what}`, index), ms)
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
  class RecordedWebSocket extends native {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols)
      attempts.push(now())
      note('attempt')
      // Detects silence as the heartbeat should: after a message, waits for the interval and the timeout, each with a small margin.
      if (!heartbeat) return
      let silence: ReturnType<typeof setTimeout>
      const restart = () => {
        clearTimeout(silence)
        silence = setTimeout(
          () => {
            silence = setTimeout(note, heartbeat.timeout + margin / 2, 'silent for too long')
          },
          heartbeat.interval + margin / 2,
        )
      }
      this.addEventListener('message', restart)
      this.addEventListener('close', () => clearTimeout(silence))
    }

    override send(data: string | BufferSource | Blob) {
      super.send(data)
      if (data !== 'ping') return
      note('ping')
      pingsSent++
      nativeSocket?.send(String(now()))
    }
  }

  let nativeSocket: WebSocket | undefined
  let pingsSent = 0
  let longest = 0
  const compare = (url: string) =>
    new Promise<void>(resolve => {
      const opening = new native(url)
      opening.addEventListener('open', () => {
        nativeSocket = opening
        pingsSent = 0
        resolve()
      })
      opening.addEventListener('message', ({ data }) => {
        longest = Math.max(longest, now() - Number(data))
        note('native reply')
      })
    })
  const longestReply = async () => {
    if (pingsSent > 0) await until('native reply', pingsSent)
    return longest
  }

  addEventListener('pagehide', event => {
    // The next page can read it if this page is not kept.
    sessionStorage.setItem('left', String(now()))
    note('pagehide', event.persisted)
    if (socket.state.name === 'open') note('in pagehide, early', socket.send('in pagehide, early'))
  })
  const socket = SteadySocket.createSocket(url, {
    WebSocket: RecordedWebSocket,
    ...(retry !== undefined && { retry: () => retry }),
    ...(hiddenFor !== undefined && { wake: SteadySocket.createBrowserEvents({ hiddenFor }) }),
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
  SteadySocket.onOutage(socket, { grace: 0 }, ({ away }) => note(away ? 'away' : 'not away'))
  const mark = (what: string, ms: number) => marks.set(what, ms)
  Object.assign(window, { socket, pageLog: { entries, attempts, until, mark, compare, longestReply } })
}

const until = (page: Page, what: string, count = 1) =>
  page.evaluate((what: string, count: number) => pageLog.until(what, count), what, count)

const entries = (page: Page) => page.evaluate(() => pageLog.entries)
const named = (all: readonly Entry[], ...names: string[]) => all.filter(([what]) => names.includes(what))
const mark = (page: Page, what: string, ms: number) =>
  page.evaluate((what: string, ms: number) => pageLog.mark(what, ms), what, ms)

const texts = (server: TestServer) => server.received.map(({ data }) => data.toString())

/** Expects this number of attempts by this time after an entry, according to a timer of the page: see `margin`. */
async function expectAttempts(page: Page, count: number, ms: number, what: string) {
  const all = await entries(page)
  const mark = `${ms} ms after ${what}`
  const end = all.findIndex(([name]) => name === mark)
  expect(named(end < 0 ? all : all.slice(0, end), 'attempt').length, `attempts by ${mark}`).toBe(count)
}

/** Resolves with the time at which the server sees the next connection close. */
const nextClose = (server: TestServer) => server.next('close').then(peer => ({ peer, at: Date.now() }))

const report = (rig: Rig, what: string, numbers: Record<string, number | string>) =>
  console.log(
    `${rig.name}: ${what}:`,
    Object.entries(numbers)
      .map(([name, value]) => `${name} ${typeof value === 'number' ? `${Math.round(value)} ms` : value}`)
      .join(', '),
  )

async function openPage(
  rig: Rig,
  path: string,
  options: PageOptions = {},
): Promise<{ server: TestServer; page: Page }> {
  const server = rig.keep(await startServer())
  const page = await rig.open()
  await page.evaluate(begin, server.url + path, options, margin)
  await until(page, 'open')
  return { server, page }
}

/** Opens a page whose socket is connected through a proxy. */
async function openPageThroughProxy(
  rig: Rig,
  address: (proxy: FaultProxy) => string,
  options: PageOptions = {},
): Promise<{ server: TestServer; proxy: FaultProxy; page: Page }> {
  const server = rig.keep(await startServer())
  const proxy = rig.keep(await startProxy({ port: server.port }))
  const page = await rig.open()
  await page.evaluate(begin, address(proxy), options, margin)
  await until(page, 'open')
  return { server, proxy, page }
}

inEveryEngine(rig => {
  describe('a page that the user leaves and returns to', () => {
    /** The messages that a kept page sends from `pagehide` on. Chromium also freezes and resumes such a page. */
    const laterMessages = async (page: Page) => {
      const frozen = named(await entries(page), 'freeze').length > 0
      return ['in pagehide', ...(frozen ? ['in freeze', 'in resume'] : []), 'in pageshow']
    }
    const KEEPS_OPEN_SOCKET = 'keeping a page with an open socket in the back/forward cache'
    const KEEPS_CONNECTING_SOCKET = 'keeping a page that is connecting in the back/forward cache'

    test('closes at once, opens within a second of the return, and keeps queue and listeners', async () => {
      const kept = await rig.can(KEEPS_OPEN_SOCKET)
      const { server, page } = await openPage(rig, '/sink')
      await mark(page, 'pageshow', 1_000)
      await page.evaluate(() => void socket.send('before'))
      const closed = nextClose(server)
      await page.goto(rig.site.page())
      // The connection closes while the page is in the cache.
      const { at, peer } = await closed
      const left = Number(await page.evaluate(() => sessionStorage.getItem('left')))
      // An engine that does not keep the page may or may not send messages of `pagehide`.
      const received = texts(server).filter(text => kept || text === 'before')
      expect(received).toEqual(kept ? ['before', 'in pagehide, early'] : ['before'])

      await page.back()
      if (!kept) {
        // Firefox does not keep the page, however the socket is closed. See NOTES.md. The page is loaded again.
        expect(await page.evaluate('typeof socket')).toBe('undefined')
        await page.evaluate(begin, `${server.url}/sink`, {}, margin)
        await until(page, 'open')
        expect(server.clients.length).toBe(1)
        return report(rig, 'left', {
          'close seen after': at - left,
          'close code': `${peer.closed?.code}`,
          received: `${texts(server)}`,
          'not kept': 'reloaded',
        })
      }
      const [, shown] = await until(page, 'pageshow')
      const [, opened] = await until(page, 'open', 2)
      await expectAttempts(page, 2, 1_000, 'pageshow')
      report(rig, 'left', { 'close seen after': at - left, 'open after pageshow': opened - shown })

      await server.until(() => texts(server).includes('in pageshow'))
      server.push('welcome back')
      await until(page, 'text welcome back')
      const later = await laterMessages(page)
      expect(texts(server)).toEqual(['before', 'in pagehide, early', ...later])
      expect(server.received.map(({ connection }) => connection)).toEqual([1, 1, ...later.map(() => 2)])
      expect(server.clients.length).toBe(1)
      const all = await entries(page)
      expect(
        named(all, 'pagehide', 'in pagehide, early', 'in pagehide').map(([, , detail]) => detail),
      ).toEqual([true, 'sent', 'queued'])
      // Each open event has one close event, even if the browser reports it late, and there is no drop event.
      expect(named(all, 'open', 'close', 'drop').map(([what]) => what)).toEqual(['open', 'close', 'open'])
      expect(await page.evaluate(() => pageLog.attempts.length)).toBe(2)
    })

    test.each(['waits for its next attempt', 'is in the middle of an attempt'])(
      'that %s opens within a second of the return, and sends the queued messages',
      async when => {
        const kept = when.startsWith('waits') || (await rig.can(KEEPS_CONNECTING_SOCKET))
        const server = rig.keep(await startServer())
        const proxy = rig.keep(await startProxy({ port: server.port }))
        if (when.startsWith('waits')) server.refuse(503)
        else proxy.hang(true)
        const page = await rig.open()
        await page.evaluate(begin, proxy.url('/sink'), { retry: 600_000 }, margin)
        if (when.startsWith('waits')) await until(page, 'waiting')
        else await proxy.accepted(1)
        await mark(page, 'pageshow', 1_000)
        await page.evaluate(() => [socket.send('first'), socket.send('second')])
        await page.goto(rig.site.page())
        server.refuse(false)
        proxy.hang(false)
        const attemptsBefore = proxy.count
        await page.back()
        if (!kept) {
          expect(await page.evaluate('typeof socket')).toBe('undefined')
          expect(server.connections.length).toBe(0)
          return report(rig, `left while it ${when}`, { 'not kept': 'reloaded' })
        }
        const [, shown] = await until(page, 'pageshow')
        const [, opened] = await until(page, 'open')
        await expectAttempts(page, 2, 1_000, 'pageshow')
        report(rig, `left while it ${when}`, { 'open after pageshow': opened - shown })
        await server.until(() => texts(server).includes('in pageshow'))
        expect(texts(server)).toEqual(['first', 'second', ...(await laterMessages(page))])
        expect(proxy.count).toBe(attemptsBefore + 1)
        expect(server.connections.length).toBe(1)
      },
    )

    test('several times has one connection each time, and sends nothing twice', async () => {
      await rig.needs(KEEPS_OPEN_SOCKET)
      const { server, page } = await openPage(rig, '/sink')
      for (let visit = 1; visit <= 5; visit++) {
        await page.evaluate((visit: number) => void socket.send(`visit ${visit}`), visit)
        await page.goto(rig.site.page())
        await page.back()
        await until(page, 'open', visit + 1)
        const each = 2 + (await laterMessages(page)).length
        await server.until(() => server.clients.length === 1 && server.received.length === visit * each)
      }
      const later = await laterMessages(page)
      const visit = (number: number) => [`visit ${number}`, 'in pagehide, early', ...later]
      expect(texts(server)).toEqual([1, 2, 3, 4, 5].flatMap(visit))
      expect(server.connections.length).toBe(6)
      expect(named(await entries(page), 'drop')).toEqual([])
    })
  })

  test('a frozen page has no connection, and connects again when it resumes', async () => {
    await rig.needs('freezing a page')
    const { server, page } = await openPage(rig, '/sink')
    // The page is still hidden then, so a timer may fire a second late.
    const limit = 300 + 1_000 + margin
    await mark(page, 'resume', limit)
    await page.evaluate(() => void socket.send('before'))
    await page.hide()
    await until(page, 'hidden')
    const closed = nextClose(server)
    await page.cdp?.('Page.setWebLifecycleState', { state: 'frozen' })
    // The connection closes while the page is frozen.
    const { at } = await closed
    await page.cdp?.('Page.setWebLifecycleState', { state: 'active' })
    const [, frozen] = await until(page, 'freeze')
    const [, resumed] = await until(page, 'resume')
    const [, opened] = await until(page, 'open', 2)
    await expectAttempts(page, 2, limit, 'resume')
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
    report(rig, 'frozen', { 'close seen after': at - frozen, 'open after resume': opened - resumed })
  })

  // Chromium throttles after ten seconds, and again after five minutes.
  const hidden = soak ? 360_000 : 12_000
  test('a page that is hidden for longer than hiddenFor has no connection, and connects again when it is visible', async () => {
    const { server, page } = await openPage(rig, '/sink', { hiddenFor: 1_000 })
    const limit = 300 + margin
    await mark(page, 'visible', limit)
    await page.evaluate(() => void socket.send('before'))
    const closed = nextClose(server)
    await page.hide()
    const [, hidden] = await until(page, 'hidden')
    // The connection closes while the page is hidden.
    const { at } = await closed
    await until(page, 'close')
    await page.evaluate(() => {
      // An `online` event must not make a hidden page connect.
      dispatchEvent(new Event('online'))
      return socket.send('while hidden')
    })
    await page.show()
    const [, shown] = await until(page, 'visible')
    const [, opened] = await until(page, 'open', 2)
    await expectAttempts(page, 2, limit, 'visible')
    await server.until(() => texts(server).includes('while hidden'))
    server.push('welcome back')
    await until(page, 'text welcome back')
    expect(server.received.map(({ connection }) => connection)).toEqual([1, 2])
    const all = await entries(page)
    expect(named(all, 'open', 'close', 'drop').map(([what]) => what)).toEqual(['open', 'close', 'open'])
    expect(named(all, 'close')[0]?.[2]).toEqual([1006, 'PAGE_HIDDEN', null])
    // onOutage() reports nothing in a hidden page.
    const order = named(all, 'open', 'away', 'hidden', 'close', 'visible').map(([what]) => what)
    expect(order.slice(order.indexOf('open'), order.indexOf('visible'))).toEqual(['open', 'hidden', 'close'])
    expect(server.clients.length).toBe(1)
    report(rig, 'hidden', { 'close seen after': at - hidden, 'open after visible': opened - shown })
  })

  test(
    'a hidden page keeps its healthy connection, and sends at full speed',
    async () => {
      const timeout = 500
      const { server, page } = await openPage(rig, '/echo', { heartbeat: { interval: 1_000, timeout } })
      const nativeSocket = rig.keep(await startServer())
      await page.evaluate((url: string) => pageLog.compare(url), `${nativeSocket.url}/echo`)
      await page.hide()
      await until(page, 'hidden')
      const since = Date.now()
      const pings = () => server.received.length
      // Runs ten times per second in a visible page, and shows how much timers are throttled in a hidden one.
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
      const pingCount = pings()

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
      // Everything is sent in one task, without a timer, so throttled timers do not delay it.
      expect(results).toEqual({ sent: count })
      expect(sink.received.map(({ data }) => (data as Buffer).readUint32BE(0))).toEqual(
        Array.from({ length: count }, (_, i) => i),
      )

      await page.show()
      await until(page, 'visible')
      // On a busy machine, a reply can take longer than the timeout. The native socket, which sends at the same times, shows it.
      const longest = await page.evaluate(() => pageLog.longestReply())
      const closes = named(await entries(page), 'close')
      if (longest < timeout) expect(closes).toEqual([])
      expect(closes.map(([, , detail]) => detail)).toEqual(
        closes.map(() => [1006, 'UNRESPONSIVE', expect.any(Number)]),
      )
      await server.until(() => server.connections.length === 1 + closes.length)
      report(rig, `hidden for ${hidden / 1_000} s`, {
        'longest gap between timers of 100 ms': gap,
        pings: `${pingCount}`,
        'longest reply to a native socket': longest,
        '20 MiB': took,
      })
    },
    hidden + 60_000,
  )

  // The browser emulates being offline. The package exempts addresses of this machine and of private networks, because they need no internet
  // access. The engines resolve this name to this machine, but the package cannot know it.
  const far = (port: number, path = '') => `ws://${FAR_HOST}:${port}${path}`

  test('a socket does not connect while the page is offline, and connects at once when it is online', async () => {
    await rig.needs('network emulation')
    const { server, proxy, page } = await openPageThroughProxy(rig, proxy => far(proxy.port, '/sink'), {
      retry: 50,
    })
    const limit = 300 + margin
    await mark(page, 'online', limit)
    await page.offline?.(true)
    await until(page, 'offline')
    proxy.reset()
    const [, , delay] = await until(page, 'waiting')
    expect(delay).toBeGreaterThanOrEqual(30_000)
    await page.evaluate(() => socket.send('while offline'))

    // A socket with the same policy and a local address continues to connect. While it makes some attempts, ours must make none. Only a few,
    // because Firefox delays them more and more.
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
    expect(await page.evaluate(() => [pageLog.attempts.length, socket.state.name])).toEqual([1, 'waiting'])
    expect(proxy.count).toBe(1)

    await page.offline?.(false)
    const [, online] = await until(page, 'online')
    const [, opened] = await until(page, 'open', 2)
    const attempts = await page.evaluate(() => pageLog.attempts)
    expect(attempts.length).toBe(2)
    await expectAttempts(page, 2, limit, 'online')
    await server.until(() => server.received.length > 0)
    expect(texts(server)).toEqual(['while offline'])
    await server.until(() => server.clients.length === 1)
    report(rig, 'online again', {
      'four attempts elsewhere': took,
      'attempt after': (attempts[1] as number) - online,
      'open after': opened - online,
    })
  })

  test('the delay before an attempt is extended when the page goes offline, and ends when it is online', async () => {
    await rig.needs('network emulation')
    const server = rig.keep(await startServer())
    server.refuse(503)
    const page = await rig.open()
    await page.evaluate(begin, far(server.port), { retry: 25_000 }, margin)
    const limit = 300 + margin
    await mark(page, 'online', limit)
    await until(page, 'waiting')
    await page.offline?.(true)
    const [, , delay] = await until(page, 'waiting', 2)
    expect(delay).toBe(30_000)
    server.refuse(false)
    await page.offline?.(false)
    await until(page, 'open')
    await expectAttempts(page, 2, limit, 'online')
    expect(await page.evaluate(() => pageLog.attempts.length)).toBe(2)
  })

  test('an open connection that survives being offline is probed and kept', async () => {
    await rig.needs('network emulation')
    const isSending = await rig.can('sending while offline')
    const heartbeat = { interval: 60_000, timeout: 10_000 }
    const { server, page } = await openPage(rig, '/echo', { heartbeat })
    await mark(page, 'offline', margin)
    await page.offline?.(true)
    const [, offline] = await until(page, 'offline')
    const [, pinged] = await until(page, 'ping')
    const order = (await entries(page)).map(([what]) => what)
    expect(order.slice(0, order.indexOf('ping'))).not.toContain(`${margin} ms after offline`)
    // Some engines send the ping only when the network is back.
    if (isSending) await server.until(() => server.received.length > 0)
    else expect(server.received.length).toBe(0)
    expect(named(await entries(page), 'ping').length).toBe(1)
    await page.offline?.(false)
    await until(page, 'online')
    await page.evaluate(() => void socket.send('still there'))
    await until(page, 'text still there')
    expect(texts(server)).toContain('ping')
    const all = await entries(page)
    // Another ping is sent if the first was answered.
    if (isSending) expect(named(all, 'ping').length).toBe(2)
    expect(await page.evaluate(() => socket.latency)).toBeGreaterThanOrEqual(0)
    expect(server.connections.length).toBe(1)
    expect(named(all, 'close', 'waiting', 'text ping')).toEqual([])
    report(rig, 'offline with an open connection', { 'ping after': pinged - offline })
  })

  describe.each([
    ['forward', hour],
    ['back', -hour],
  ])('a clock that jumps an hour %s', (_, jump) => {
    /** In the page: changes the clock. */
    const shift = (jump: number) => {
      const real = Date.now.bind(Date)
      Date.now = () => real() + jump
    }

    test('closes no healthy connection, and keeps no dead one', async () => {
      const interval = 200
      const timeout = 2_000
      const { server, proxy, page } = await openPageThroughProxy(rig, proxy => proxy.url('/echo'), {
        retry: 0,
        heartbeat: { interval, timeout },
      })
      await server.until(() => server.received.length >= 2)
      await page.evaluate(shift, jump)
      const pingsBefore = server.received.length
      await server.until(() => server.received.length >= pingsBefore + 4)
      expect(server.connections.length).toBe(1)
      expect(named(await entries(page), 'close', 'waiting')).toEqual([])

      for (const connection of proxy.connections) connection.freeze()
      const frozen = Date.now()
      const [, noticed, detail] = await until(page, 'close')
      expect(detail).toEqual([1006, 'UNRESPONSIVE', 0])
      expect(named(await entries(page), 'silent for too long')).toEqual([])
      await until(page, 'open', 2)
      report(rig, `clock ${jump / hour} h, then silence`, { 'noticed after': noticed - frozen })
    })

    test('does not prevent the next attempt', async () => {
      const server = rig.keep(await startServer())
      server.refuse(503)
      const page = await rig.open()
      await page.evaluate(begin, server.url, { retry: 600 }, margin)
      const limit = 600 + margin
      await mark(page, 'waiting', limit)
      await until(page, 'waiting')
      await page.evaluate(shift, jump)
      server.refuse(false)
      await until(page, 'open', 1)
      // On a busy machine there may have been more attempts meanwhile. The last delay counts.
      const all = await entries(page)
      const index = all.findLastIndex(([what]) => what === 'waiting')
      const after = all.slice(index)
      const dial = after.findIndex(([what]) => what === 'attempt')
      expect((after[dial]?.[1] as number) - (after[0]?.[1] as number)).toBeGreaterThan(500)
      const late = after
        .slice(0, dial)
        .filter(([what, , of]) => what === `${limit} ms after waiting` && of === index)
      expect(late).toEqual([])
    })

    test('does not prevent a page that becomes visible from connecting at once', async () => {
      const server = rig.keep(await startServer())
      server.refuse(503)
      const page = await rig.open()
      await page.evaluate(begin, server.url, { retry: 600_000 }, margin)
      await until(page, 'waiting')
      const limit = 300 + margin
      await mark(page, 'visible', limit)
      await page.hide()
      await until(page, 'hidden')
      await page.evaluate(shift, jump)
      server.refuse(false)
      await page.show()
      await until(page, 'open')
      await expectAttempts(page, 2, limit, 'visible')
    })
  })
})
