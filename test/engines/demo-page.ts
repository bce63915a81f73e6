// What a test does with the demo's page.
import type { Page } from './page.ts'

/** Before the test's own end, which says only that there was one. */
const patience = 200_000

/** Resolves with the text of what a selector finds, once it matches; rejects with what it shows instead. */
export const shows = (page: Page, selector: string, pattern: string): Promise<string> =>
  page.evaluate(
    (selector, pattern, patience) =>
      new Promise<string>((resolve, reject) => {
        const text = () => document.querySelector(selector)?.textContent ?? ''
        const look = () => {
          if (!new RegExp(pattern).test(text())) return
          watcher.disconnect()
          clearTimeout(timer)
          resolve(text())
        }
        const timer = setTimeout(() => {
          watcher.disconnect()
          const { demo } = window as { demo?: { sockets: { state: { name: string } }[] } }
          const states = demo?.sockets.map(({ state }) => state.name).join(', ')
          reject(new Error(`${selector} does not show /${pattern}/ but "${text()}". Sockets: ${states}`))
        }, patience)
        const watcher = new MutationObserver(look)
        watcher.observe(document, { subtree: true, childList: true, characterData: true, attributes: true })
        look()
      }),
    selector,
    pattern,
    patience,
  )

export const press = (page: Page, id: string): Promise<void> =>
  page.evaluate(id => document.getElementById(id)?.click(), id)

/**
 * Presses one of the buttons that break something, once nothing is broken; resolves with what the page says has happened. Meanwhile a timer
 * and an errand to the server say for how long the machine itself stood still: see `stall`.
 */
export const suffer = async (page: Page, id: string): Promise<string> => {
  await page.evaluate(async (id: string) => {
    const { demo } = window as unknown as { demo: { sockets: { state: { name: string } }[] } }
    const whole = () => demo.sockets.every(({ state }) => state.name === 'open')
    while (!whole()) await new Promise(resolve => setTimeout(resolve, 50))
    const watch = { stall: 0 }
    Object.assign(window, { watch })
    const errand = async () => {
      while ((window as { watch?: object }).watch === watch) {
        const since = performance.now()
        await new Promise(resolve => setTimeout(resolve, 100))
        await fetch('/', { method: 'HEAD' }).catch(() => {})
        watch.stall = Math.max(watch.stall, performance.now() - since)
      }
    }
    void errand()
    document.getElementById(id)?.click()
  }, id)
  await shows(page, '#expect', '\\w')
  return shows(page, '#happened', '^[^:]+: .*Lost from the streams')
}

/** The longest time for which nothing moved in the page or between it and its server, since the last button was pressed. */
export const stall = (page: Page): Promise<number> => page.evaluate('window.watch.stall')

export const push = (page: Page, text: string): Promise<void> =>
  page.evaluate(text => {
    ;(document.getElementById('text') as HTMLInputElement).value = text
    document.getElementById('send')?.click()
  }, text)

/** Cuts all connections, and refuses new ones for some seconds from now on. */
export const refuse = (url: string, seconds: number): Promise<Response> =>
  fetch(`${url}control/refuse?seconds=${seconds}`, { method: 'POST' })

/** Sends a message from one of the pages to be copied. */
export const compose = (page: Page, text: string): Promise<void> =>
  page.evaluate(text => {
    const input = document.querySelector<HTMLInputElement>('form input')
    if (!input) return
    input.value = text
    input.dispatchEvent(new Event('input', { bubbles: true }))
    document.querySelector<HTMLButtonElement>('form button')?.click()
  }, text)

/** Resolves when an image shows something. */
export const loads = (page: Page, selector: string): Promise<void> =>
  page.evaluate(
    selector =>
      new Promise<void>(resolve => {
        const look = () => document.querySelector<HTMLImageElement>(selector)?.naturalWidth && resolve()
        document.addEventListener('load', look, true)
        look()
      }),
    selector,
  )

/** What went wrong on the page, apart from handshakes that were to fail: those every browser reports by itself. */
export const errors = (page: Page): Promise<string[]> => page.evaluate('window.errors')

const watchErrors = (page: Page) =>
  page.evaluate(() => {
    const errors: string[] = []
    Object.assign(window, { errors })
    const { error } = console
    console.error = (...words) => {
      errors.push(words.join(' '))
      error(...words)
    }
    addEventListener('error', event => errors.push(event.message))
    addEventListener('unhandledrejection', event => errors.push(String(event.reason)))
    addEventListener('securitypolicyviolation', event => errors.push(`CSP: ${event.violatedDirective}`))
  })

/**
 * Resolves when the page is whole: both its sockets connected, with something in the feed and a price on the market.
 * Before the second is open a stroke is dropped, as it should be.
 */
export const settle = async (page: Page): Promise<void> => {
  await watchErrors(page)
  await shows(page, '#state', '^open$')
  await shows(page, '#feed', '\\w')
  await shows(page, '.price', '\\d\\.\\d\\d')
}

/** Resolves when there are numbers in both streams. */
export const flow = async (page: Page): Promise<void> => {
  await shows(page, '#plain-arrived', '\\d\\d')
  await shows(page, '#reliable-arrived', '\\d\\d')
}
