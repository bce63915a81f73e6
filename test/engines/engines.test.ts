// Tests the control of the engines, which all other tests in browsers rely on.
import { expect, test } from 'vitest'
import { startServer } from '../interop/ws.ts'
import { inEveryEngine } from './rig.ts'

/** In the page: records page lifecycle events in a global. */
function recordEvents() {
  const log: string[] = []
  const record = (target: EventTarget, type: string, describe: (event: Event) => string) =>
    target.addEventListener(type, event => log.push(describe(event)))
  record(window, 'pageshow', event => `pageshow ${(event as PageTransitionEvent).persisted}`)
  record(window, 'pagehide', event => `pagehide ${(event as PageTransitionEvent).persisted}`)
  record(document, 'visibilitychange', () => document.visibilityState)
  record(document, 'freeze', () => 'freeze')
  record(document, 'resume', () => 'resume')
  record(window, 'online', () => 'online')
  record(window, 'offline', () => 'offline')
  Object.assign(window, { log })
}

/** In the page: returns the events recorded since the last call. */
const takeLog = () => (window as unknown as { log: string[] }).log.splice(0)

inEveryEngine(rig => {
  test('a page is visible, and the engine reports its version', async () => {
    const page = await rig.open()
    expect(rig.engine.version).toMatch(/^\d+\.\d+/)
    expect(await page.evaluate(() => document.visibilityState)).toBe('visible')
    console.log(rig.name, rig.engine.version)
  })

  test('evaluate() supports arguments, promises, strings and errors', async () => {
    const page = await rig.open()
    expect(await page.evaluate(async (a: number, b: string) => ({ a, b }), 1, 'ü😀')).toEqual({
      a: 1,
      b: 'ü😀',
    })
    expect(await page.evaluate('1 + 1')).toBe(2)
    expect(await page.evaluate(() => {})).toBeUndefined()
    await expect(
      page.evaluate(() => {
        throw new TypeError('so it is')
      }),
    ).rejects.toThrow('TypeError: so it is')
    await expect(page.evaluate(() => Promise.reject('no error'))).rejects.toThrow('no error')
    expect((await page.evaluate(() => 'x'.repeat(3_000_000))).length).toBe(3_000_000)
  })

  test('evaluate() runs concurrently in one page and in two pages', async () => {
    const [page, other] = [await rig.open(), await rig.open()]
    const wait = () => new Promise<string>(resolve => Object.assign(window, { resolve }))
    const go = (word: string) => (window as unknown as { resolve(word: string): void }).resolve(word)
    const [waiting, otherWaiting] = [page.evaluate(wait), other.evaluate(wait)]
    await other.evaluate(go, 'other')
    await page.evaluate(go, 'one')
    expect([await waiting, await otherWaiting]).toEqual(['one', 'other'])
  })

  test('evaluate() works under a strict Content-Security-Policy', async () => {
    const page = await rig.open({ csp: "default-src 'none'; script-src 'self'; connect-src ws:" })
    expect(await page.evaluate(() => typeof (globalThis as { SteadySocket?: object }).SteadySocket)).toBe(
      'object',
    )
    // In a later task, because the policy does not apply while a debugger evaluates.
    const blocked = await page.evaluate(async () => {
      await new Promise(resolve => setTimeout(resolve))
      try {
        return new Function('return 1')()
      } catch (error) {
        return (error as Error).name
      }
    })
    expect(blocked).toBe('EvalError')
  })

  test('the engine keeps a page in the back/forward cache', async () => {
    const page = await rig.open()
    await page.evaluate(recordEvents)
    await page.goto(rig.site.page())
    await page.back()
    expect(await page.evaluate(takeLog)).toEqual(
      expect.arrayContaining(['pagehide true', 'hidden', 'visible', 'pageshow true']),
    )
    await page.goto(rig.site.page())
    expect(await page.evaluate('typeof log')).toBe('undefined')
  })

  test('the engine hides a page and shows it again', async () => {
    const page = await rig.open()
    await page.evaluate(recordEvents)
    await page.hide()
    await page.evaluate(
      () =>
        document.visibilityState === 'hidden' ||
        new Promise(resolve => document.addEventListener('visibilitychange', resolve, { once: true })),
    )
    await page.show()
    await page.evaluate(
      () =>
        document.visibilityState === 'visible' ||
        new Promise(resolve => document.addEventListener('visibilitychange', resolve, { once: true })),
    )
    expect(await page.evaluate(takeLog)).toEqual(['hidden', 'visible'])
  })

  test('the engine emulates being offline, if it can', async () => {
    await rig.needs('network emulation')
    const page = await rig.open()
    await page.evaluate(recordEvents)
    await page.offline?.(true)
    expect(await page.evaluate(() => navigator.onLine)).toBe(false)
    await page.offline?.(false)
    expect(await page.evaluate(() => navigator.onLine)).toBe(true)
    expect(await page.evaluate(takeLog)).toEqual(['offline', 'online'])
  })

  test('the engine freezes a page, if it can', async () => {
    await rig.needs('freezing a page')
    const page = await rig.open()
    await page.evaluate(recordEvents)
    await page.hide()
    await page.cdp?.('Page.setWebLifecycleState', { state: 'frozen' })
    await page.cdp?.('Page.setWebLifecycleState', { state: 'active' })
    await page.show()
    expect(await page.evaluate(takeLog)).toEqual(['hidden', 'freeze', 'resume', 'visible'])
  })

  test('the engine accepts the self-signed certificate of this run', async () => {
    const { makeCertificate } = await import('../support/certificate.ts')
    const { startSite } = await import('./site.ts')
    const tls = makeCertificate()
    const server = rig.keep(await startServer({ tls }))
    const site = rig.keep(await startSite({ tls }))
    const page = rig.keep(await rig.engine.open(site.page()))
    expect(
      await page.evaluate(
        (url: string) =>
          new Promise<string>(resolve => {
            const socket = new WebSocket(url)
            socket.onopen = () => resolve(`open from ${location.protocol}`)
            socket.onerror = () => resolve('error')
          }),
        server.url,
      ),
    ).toBe('open from https:')
  })
})
