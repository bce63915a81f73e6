// The package under a strict Content-Security-Policy, and in an `https:` page.
import { describe, expect, test } from 'vitest'
import type * as Package from '../../src/index.ts'
import { hasNginx, startNginx } from '../interop/nginx.ts'
import { startServer } from '../interop/ws.ts'
import { makeCertificate } from '../support/certificate.ts'
import { startProxy } from '../support/proxy.ts'
import type { Page } from './page.ts'
import { inEveryEngine, type Rig } from './rig.ts'
import { startSite, umd } from './site.ts'

/** The global of the UMD bundle, in the page. */
declare const SteadySocket: typeof Package

/** A global of the page, set by `app`. */
declare const log: {
  readonly entries: unknown[][]
  until(what: string, count: number): Promise<unknown[][]>
}

/**
 * In the page, loaded as a script, because code that DevTools evaluate may do things that the policy forbids. The query of the script's URL has
 * the address of the server.
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
  Object.assign(window, { log: { entries, until } })
  document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) => {
    // Ignores the icon of the page.
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

/** The strictest policy that allows a WebSocket. */
const strict = (connect: string) => `default-src 'none'; script-src 'self'; connect-src ${connect}`

interface Refusal {
  /** The name of the error that `connect()` threw. */
  readonly thrown: string | null
  /** The final state of the socket. */
  readonly state: string
  readonly cause: string | undefined
  readonly attempts: number
  readonly errors: string[]
}

/**
 * In the page: connects to a forbidden address, which is passed as a string or by a function. Resolves when the socket has opened, or has given up
 * after three more attempts.
 */
async function connectTo(url: string, byFunction: boolean): Promise<Refusal> {
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
 * Expects that the constructor throws. With a fixed address, another attempt would throw as well, so `connect()` throws and the socket gives up. A
 * function may return another address, so the socket tries again.
 */
async function expectThrow(page: Page, url: string, name: string) {
  expect(await page.evaluate(connectTo, url, false)).toMatchObject({
    thrown: name,
    state: 'closed',
    cause: 'ENDPOINT_FAILED',
    attempts: 1,
    errors: ['ENDPOINT_FAILED'],
  })
  expect(await page.evaluate(connectTo, url, true)).toMatchObject({
    thrown: null,
    state: 'closed',
    cause: 'ENDPOINT_FAILED',
    attempts: 4,
    errors: Array(4).fill('ENDPOINT_FAILED'),
  })
}

/** Expects that each attempt fails at once, as if the server had refused it, and that the socket tries again as its policy says. */
async function expectRefusal(page: Page, url: string) {
  for (const byFunction of [false, true]) {
    expect(await page.evaluate(connectTo, url, byFunction)).toMatchObject({
      thrown: null,
      state: 'closed',
      cause: 'CONNECTION_REFUSED',
      attempts: 4,
      errors: Array(4).fill('CONNECTION_REFUSED'),
    })
  }
}

/** In the page: connects a native socket. Resolves with the name of the error that its constructor throws, with `open` or with `error`. */
const connectNative = (url: string) =>
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

/** Expects that the address is forbidden. Some engines throw in the constructor, which the standard does not specify, others fire an event. */
async function expectForbidden(page: Page, url: string, names: readonly string[]) {
  const how = await page.evaluate(connectNative, url)
  expect([...names, 'error']).toContain(how)
  if (how === 'error') await expectRefusal(page, url)
  else await expectThrow(page, url, how)
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
    test.each([umd, umd.replace('.js', '.min.js')])('does not restrict %s', async bundle => {
      const server = rig.keep(await startServer())
      const proxy = rig.keep(await startProxy({ port: server.port }))
      rig.site.script('/app.js', `(${app})()`)
      const page = await rig.open({
        scripts: [bundle, `/app.js?url=${encodeURIComponent(proxy.url('/echo'))}`],
        csp: strict(`ws://127.0.0.1:${proxy.port}`),
      })
      expect(await page.evaluate(() => log.until('binary', 1))).toEqual(echoed)
      proxy.reset()
      expect(await page.evaluate(() => log.until('text', 2))).toEqual([
        ...echoed,
        ['close', 'queued'],
        ['open', true],
        ['text', 'from the queue'],
      ])
    })

    test('that forbids the address makes the socket fail with a clear error, after a limited number of attempts', async () => {
      const server = rig.keep(await startServer())
      const page = await rig.open({ csp: strict('ws://127.0.0.1:1') })
      // Firefox throws an exception that is not a DOMException. Chromium fires `error` and never `close`.
      await expectForbidden(page, server.url, ['SecurityError', 'NS_ERROR_CONTENT_BLOCKED'])
      expect(server.handshakes).toBe(0)
    })
  })

  describe('an https: page', () => {
    test('that connects to a ws: address gets a clear error, after a limited number of attempts', async () => {
      const site = rig.keep(await startSite({ tls: makeCertificate() }))
      const page = rig.keep(await rig.engine.open(site.page()))
      expect(await page.evaluate(() => location.protocol)).toBe('https:')
      // This name does not exist, but it is not even resolved.
      const url = 'ws://push.test/feed'
      await expectForbidden(page, url, ['SecurityError'])

      // Engines may exempt addresses of this machine, as all but WebKit do.
      const server = rig.keep(await startServer())
      const open = (await page.evaluate(connectNative, server.url)) === 'open'
      if (open) expect((await page.evaluate(connectTo, server.url, false)).state).toBe('open')
      else await expectRefusal(page, server.url)
      expect(server.handshakes).toBe(open ? 2 : 0)
    })

    test.runIf(hasNginx())(
      'connects to wss: through nginx under a strict policy, also after the connection is lost',
      async () => {
        const server = rig.keep(await startServer())
        const nginx = rig.keep(await startNginx({ port: server.port }))
        const page = await openSecure(rig, `${nginx.secureUrl}/echo`, strict(nginx.secureUrl))
        expect(await page.evaluate(() => log.until('binary', 1))).toEqual(echoed)
        server.terminateAll()
        expect(await page.evaluate(() => log.until('text', 2))).toEqual([
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
