// Helpers for tests of the demo's page.
import type { Page } from './page.ts'
import type { Rig } from './rig.ts'

/** Shorter than the timeout of the test, because this error message says more. */
const timeout = 200_000

/** Resolves with the text of an element once it matches a pattern. Rejects with the current text after a timeout. */
export const waitForText = (page: Page, selector: string, pattern: string): Promise<string> =>
  page.evaluate(
    (selector, pattern, timeout) =>
      new Promise<string>((resolve, reject) => {
        const text = () => document.querySelector(selector)?.textContent ?? ''
        const check = () => {
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
        }, timeout)
        const watcher = new MutationObserver(check)
        watcher.observe(document, { subtree: true, childList: true, characterData: true, attributes: true })
        check()
      }),
    selector,
    pattern,
    timeout,
  )

export const press = (page: Page, id: string): Promise<void> =>
  page.evaluate(id => document.getElementById(id)?.click(), id)

/**
 * Waits until all connections are open, then presses the button of a fault. Resolves with the report of the page. Meanwhile, measures how long
 * a busy machine delays timers and requests of the page: see `longestDelay`.
 */
export const injectFault = async (page: Page, id: string): Promise<string> => {
  await page.evaluate(async (id: string) => {
    const { demo } = window as unknown as { demo: { sockets: { state: { name: string } }[] } }
    const allOpen = () => demo.sockets.every(({ state }) => state.name === 'open')
    while (!allOpen()) await new Promise(resolve => setTimeout(resolve, 50))
    const delays = { longest: 0, since: performance.now() }
    Object.assign(window, { delays })
    const measure = async () => {
      while ((window as { delays?: object }).delays === delays) {
        delays.since = performance.now()
        await new Promise(resolve => setTimeout(resolve, 100))
        await fetch('/', { method: 'HEAD' }).catch(() => {})
        delays.longest = Math.max(delays.longest, performance.now() - delays.since)
      }
    }
    void measure()
    document.getElementById(id)?.click()
  }, id)
  await waitForText(page, '#expect', '\\w')
  return waitForText(page, '#happened', '^[^:]+: .*Lost from the streams')
}

/** The longest time, in milliseconds, that a timer of 100 ms and a request took since the last fault, or that they have taken until now. */
export const longestDelay = (page: Page): Promise<number> =>
  page.evaluate('Math.max(window.delays.longest, performance.now() - window.delays.since)')

export const push = (page: Page, text: string): Promise<void> =>
  page.evaluate(text => {
    ;(document.getElementById('text') as HTMLInputElement).value = text
    document.getElementById('send')?.click()
  }, text)

/** Resets all connections, and refuses new ones for some seconds. */
export const refuseConnections = (url: string, seconds: number): Promise<Response> =>
  fetch(`${url}control/refuse?seconds=${seconds}`, { method: 'POST' })

/** Sends a message with the form of one of the example apps. */
export const sendWithForm = (page: Page, text: string): Promise<void> =>
  page.evaluate(text => {
    const input = document.querySelector<HTMLInputElement>('form input')
    if (!input) return
    input.value = text
    input.dispatchEvent(new Event('input', { bubbles: true }))
    document.querySelector<HTMLButtonElement>('form button')?.click()
  }, text)

/** Resolves when an image has loaded. */
export const waitForImage = (page: Page, selector: string): Promise<void> =>
  page.evaluate(
    selector =>
      new Promise<void>(resolve => {
        const check = () => document.querySelector<HTMLImageElement>(selector)?.naturalWidth && resolve()
        document.addEventListener('load', check, true)
        check()
      }),
    selector,
  )

/** The errors of the page so far. The messages of browsers about failed handshakes are not among them. */
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
 * Resolves when both sockets of the page are connected, and the page shows messages and prices. Until then, strokes on the pad may be dropped.
 */
export const waitUntilReady = async (page: Page): Promise<void> => {
  await watchErrors(page)
  await waitForText(page, '#state', '^open$')
  await waitForText(page, '#feed', '\\w')
  await waitForText(page, '.price', '\\d\\.\\d\\d')
}

/** Resolves when the page has received messages of both streams. */
export const waitForStreams = async (page: Page): Promise<void> => {
  await waitForText(page, '#plain-arrived', '\\d\\d')
  await waitForText(page, '#reliable-arrived', '\\d\\d')
}

/** Opens the demo, and waits until its connections are open. */
export const visit = async (rig: Rig, url: string, type?: 'window') => {
  const page = rig.keep(await rig.engine.open(url, type))
  await waitUntilReady(page)
  return page
}
