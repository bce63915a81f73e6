// What the other browser tests take for granted about the engines, so that a failure there is not one of the rig.
import { expect, test } from 'vitest'
import { startServer } from '../interop/ws.ts'
import { inEveryEngine } from './rig.ts'

/** In the page: keeps the news of the page's life in a global, and resolves. */
function watch() {
  const news: string[] = []
  const note = (target: EventTarget, type: string, say: (event: Event) => string) =>
    target.addEventListener(type, event => news.push(say(event)))
  note(window, 'pageshow', event => `pageshow ${(event as PageTransitionEvent).persisted}`)
  note(window, 'pagehide', event => `pagehide ${(event as PageTransitionEvent).persisted}`)
  note(document, 'visibilitychange', () => document.visibilityState)
  note(document, 'freeze', () => 'freeze')
  note(document, 'resume', () => 'resume')
  note(window, 'online', () => 'online')
  note(window, 'offline', () => 'offline')
  Object.assign(window, { news })
}

/** In the page: what has been noted since the last look. */
const look = () => (window as unknown as { news: string[] }).news.splice(0)

inEveryEngine(rig => {
  test('is a real one, and says which', async () => {
    const page = await rig.open()
    expect(rig.engine.version).toMatch(/^\d+\.\d+/)
    expect(await page.evaluate(() => document.visibilityState)).toBe('visible')
    console.log(rig.name, rig.engine.version)
  })

  test('evaluates with arguments, promises, strings, and errors', async () => {
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

  test('evaluates several things at a time, also in two pages', async () => {
    const [page, other] = [await rig.open(), await rig.open()]
    const wait = () => new Promise<string>(resolve => Object.assign(window, { resolve }))
    const go = (word: string) => (window as unknown as { resolve(word: string): void }).resolve(word)
    const [waiting, otherWaiting] = [page.evaluate(wait), other.evaluate(wait)]
    await other.evaluate(go, 'other')
    await page.evaluate(go, 'one')
    expect([await waiting, await otherWaiting]).toEqual(['one', 'other'])
  })

  test('evaluates under a strict Content-Security-Policy', async () => {
    const page = await rig.open({ csp: "default-src 'none'; script-src 'self'; connect-src ws:" })
    expect(await page.evaluate(() => typeof (globalThis as { SteadySocket?: object }).SteadySocket)).toBe(
      'object',
    )
    // In a later task: while a debugger evaluates, the prohibition is lifted.
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

  test('keeps a page in the back/forward cache', async () => {
    const page = await rig.open()
    await page.evaluate(watch)
    await page.goto(rig.site.page())
    await page.back()
    expect(await page.evaluate(look)).toEqual(
      expect.arrayContaining(['pagehide true', 'hidden', 'visible', 'pageshow true']),
    )
    await page.goto(rig.site.page())
    expect(await page.evaluate('typeof news')).toBe('undefined')
  })

  test('hides a page and shows it again', async () => {
    const page = await rig.open()
    await page.evaluate(watch)
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
    expect(await page.evaluate(look)).toEqual(['hidden', 'visible'])
  })

  test('takes a page off the network, where the engine can', async () => {
    await rig.needs('network emulation')
    const page = await rig.open()
    await page.evaluate(watch)
    await page.offline?.(true)
    expect(await page.evaluate(() => navigator.onLine)).toBe(false)
    await page.offline?.(false)
    expect(await page.evaluate(() => navigator.onLine)).toBe(true)
    expect(await page.evaluate(look)).toEqual(['offline', 'online'])
  })

  test('freezes a page, where the engine can', async () => {
    await rig.needs('freezing a page')
    const page = await rig.open()
    await page.evaluate(watch)
    await page.hide()
    await page.cdp?.('Page.setWebLifecycleState', { state: 'frozen' })
    await page.cdp?.('Page.setWebLifecycleState', { state: 'active' })
    await page.show()
    expect(await page.evaluate(look)).toEqual(['hidden', 'freeze', 'resume', 'visible'])
  })

  test('reaches a server with a certificate of this run', async () => {
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
