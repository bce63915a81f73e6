// What a page is not allowed to do: under a strict Content-Security-Policy, and as an `https:` page.
import { describe, expect, test } from 'vitest'
import type * as Package from '../../src/index.ts'
import { hasNginx, startNginx } from '../interop/nginx.ts'
import { startServer } from '../interop/ws.ts'
import { makeCertificate } from '../support/certificate.ts'
import { startProxy } from '../support/proxy.ts'
import type { Page } from './page.ts'
import { inEveryEngine, type Rig } from './rig.ts'
import { startSite, umd } from './site.ts'

/** What the script tag brings. It exists in the page, not here. */
declare const SteadySocket: typeof Package

/** What `app` leaves in the page. */
declare const story: {
  readonly entries: unknown[][]
  until(what: string, count: number): Promise<unknown[][]>
}

/**
 * In the page, as a script of its own: what DevTools evaluate may do things that the policy forbids. The address comes in
 * the script's own.
 */
function app() {
  const entries: unknown[][] = []
  const checks = new Set<() => void>()
  const note = (...words: unknown[]) => {
    entries.push(words)
    for (const check of checks) check()
  }
  const until = (what: string, count: number) =>
    new Promise<unknown[][]>(resolve => {
      const check = () => {
        if (entries.filter(([word]) => word === what).length < count) return
        checks.delete(check)
        resolve(entries)
      }
      checks.add(check)
      check()
    })
  Object.assign(window, { story: { entries, until } })
  document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) => {
    // The site's pages have an icon, which is not the package's doing.
    if (effectiveDirective !== 'img-src') note('violation', effectiveDirective)
  })
  const url = new URL((document.currentScript as HTMLScriptElement).src).searchParams.get('url') as string
  const socket = SteadySocket.createSocket(url, { retry: () => 50 })
  socket.on('open', ({ reconnected }) => {
    note('open', reconnected)
    if (reconnected) return
    socket.send('héllo 😀')
    socket.send(Uint8Array.of(1, 2, 255))
  })
  socket.on('text', text => note('text', text))
  socket.on('binary', bytes => note('binary', ...new Uint8Array(bytes)))
  socket.on('close', () => note('close', socket.send('from the queue')))
  socket.on('error', ({ code }) => note('error', code))
}

const echoed = [
  ['open', false],
  ['text', 'héllo 😀'],
  ['binary', 1, 2, 255],
]

/** The strictest policy under which there can be a WebSocket at all. */
const strict = (connect: string) => `default-src 'none'; script-src 'self'; connect-src ${connect}`

interface Refusal {
  /** What came out of `createSocket`. */
  readonly thrown: string | null
  /** What the socket was left with. */
  readonly state: string
  readonly cause: string | undefined
  readonly attempts: number
  readonly errors: string[]
}

/**
 * In the page: connects to an address that it must not, given as such or by a function, with three attempts after the first,
 * until the socket has given up.
 */
async function offend(url: string, byFunction: boolean): Promise<Refusal> {
  const retry = SteadySocket.backoff({ attempts: 3, base: 20, max: 20 })
  const socket = SteadySocket.createSocket(byFunction ? () => url : url, { retry, autoConnect: false })
  const errors: string[] = []
  const end = new Promise<void>(resolve =>
    socket.on('state', ({ name }) => {
      if (name === 'closed' || name === 'open') resolve()
    }),
  )
  socket.on('error', error => errors.push(error.code))
  let thrown: string | null = null
  try {
    socket.connect()
  } catch (error) {
    thrown = (error as Error).name
  }
  await end
  const { state } = socket
  return {
    thrown,
    state: state.name,
    cause: 'cause' in state ? state.cause?.code : undefined,
    attempts: socket.stats.attempts,
    errors,
  }
}

/**
 * The constructor throws: it would be the same the next time, so a fixed address is given up at once, and the caller hears it.
 * A function may have a better one the next time.
 */
async function isThrown(page: Page, url: string, name: string) {
  expect(await page.evaluate(offend, url, false)).toMatchObject({
    thrown: name,
    state: 'closed',
    cause: 'ENDPOINT_FAILED',
    attempts: 1,
    errors: ['ENDPOINT_FAILED'],
  })
  expect(await page.evaluate(offend, url, true)).toMatchObject({
    thrown: null,
    state: 'closed',
    cause: 'ENDPOINT_FAILED',
    attempts: 4,
    errors: Array(4).fill('ENDPOINT_FAILED'),
  })
}

/** The browser refuses as if the server had: tried again as the policy says, and no attempt waits for its deadline. */
async function isRefused(page: Page, url: string) {
  for (const byFunction of [false, true]) {
    expect(await page.evaluate(offend, url, byFunction)).toMatchObject({
      thrown: null,
      state: 'closed',
      cause: 'CONNECTION_REFUSED',
      attempts: 4,
      errors: Array(4).fill('CONNECTION_REFUSED'),
    })
  }
}

/** In the page: what becomes of the engine's own socket at this address: the name of what its constructor throws, or `open`, or `error`. */
const bare = (url: string) =>
  new Promise<string>(resolve => {
    try {
      const socket = new WebSocket(url)
      socket.onopen = () => {
        resolve('open')
        socket.close()
      }
      socket.onerror = () => resolve('error')
    } catch (error) {
      resolve((error as Error).name)
    }
  })

/** The address is forbidden. Some engines say so from the constructor, which the standard does not know, others by an event. */
async function isForbidden(page: Page, url: string, names: readonly string[]) {
  const how = await page.evaluate(bare, url)
  expect([...names, 'error']).toContain(how)
  if (how === 'error') await isRefused(page, url)
  else await isThrown(page, url, how)
}

async function openSecure(rig: Rig, url: string, csp: string): Promise<Page> {
  const site = rig.keep(await startSite({ tls: makeCertificate() }))
  site.script('/app.js', `(${app})()`)
  return rig.keep(
    await rig.engine.open(site.page({ scripts: [umd, `/app.js?url=${encodeURIComponent(url)}`], csp })),
  )
}

inEveryEngine(rig => {
  describe('a strict Content-Security-Policy', () => {
    test.each([umd, umd.replace('.js', '.min.js')])('lets %s do all it does', async bundle => {
      const server = rig.keep(await startServer())
      const proxy = rig.keep(await startProxy({ port: server.port }))
      rig.site.script('/app.js', `(${app})()`)
      const page = await rig.open({
        scripts: [bundle, `/app.js?url=${encodeURIComponent(proxy.url('/echo'))}`],
        csp: strict(`ws://127.0.0.1:${proxy.port}`),
      })
      expect(await page.evaluate(() => story.until('binary', 1))).toEqual(echoed)
      proxy.reset()
      expect(await page.evaluate(() => story.until('text', 2))).toEqual([
        ...echoed,
        ['close', 'queued'],
        ['open', true],
        ['text', 'from the queue'],
      ])
    })

    test('that forbids the address ends in a clear state, after a bounded number of attempts', async () => {
      const server = rig.keep(await startServer())
      const page = await rig.open({ csp: strict('ws://127.0.0.1:1') })
      // Firefox throws an exception of its own, which is no DOMException; Chromium fires `error` and never `close`.
      await isForbidden(page, server.url, ['SecurityError', 'NS_ERROR_CONTENT_BLOCKED'])
      expect(server.handshakes).toBe(0)
    })
  })

  describe('an https: page', () => {
    test('that is given a ws: address gets a clear error, after a bounded number of attempts', async () => {
      const site = rig.keep(await startSite({ tls: makeCertificate() }))
      const page = rig.keep(await rig.engine.open(site.page()))
      expect(await page.evaluate(() => location.protocol)).toBe('https:')
      // A name that nobody has: it is not even looked up.
      const url = 'ws://push.test/feed'
      await isForbidden(page, url, ['SecurityError'])

      // An engine may make an exception for the machine itself, as all but WebKit do.
      const server = rig.keep(await startServer())
      const open = (await page.evaluate(bare, server.url)) === 'open'
      if (open) expect((await page.evaluate(offend, server.url, false)).state).toBe('open')
      else await isRefused(page, server.url)
      expect(server.handshakes).toBe(open ? 2 : 0)
    })

    test.runIf(hasNginx())(
      'talks wss: through nginx, under a strict policy, also after its restart',
      async () => {
        const server = rig.keep(await startServer())
        const nginx = rig.keep(await startNginx({ port: server.port }))
        const page = await openSecure(rig, `${nginx.secureUrl}/echo`, strict(nginx.secureUrl))
        expect(await page.evaluate(() => story.until('binary', 1))).toEqual(echoed)
        server.terminateAll()
        expect(await page.evaluate(() => story.until('text', 2))).toEqual([
          ...echoed,
          ['close', 'queued'],
          ['open', true],
          ['text', 'from the queue'],
        ])
        expect(server.clients.length).toBe(1)
      },
    )
  })
})
