// What a test does with the demo's page.
import type { Page } from './page.ts'

/** Resolves with the text of what a selector finds, once it matches. */
export const shows = (page: Page, selector: string, pattern: string): Promise<string> =>
  page.evaluate(
    (selector, pattern) =>
      new Promise<string>(resolve => {
        const look = () => {
          const text = document.querySelector(selector)?.textContent ?? ''
          if (!new RegExp(pattern).test(text)) return
          watcher.disconnect()
          resolve(text)
        }
        const watcher = new MutationObserver(look)
        watcher.observe(document, { subtree: true, childList: true, characterData: true, attributes: true })
        look()
      }),
    selector,
    pattern,
  )

export const press = (page: Page, id: string): Promise<void> =>
  page.evaluate(id => document.getElementById(id)?.click(), id)

/** Presses one of the buttons that break something; resolves with what the page says has happened. */
export const suffer = async (page: Page, id: string): Promise<string> => {
  await press(page, id)
  return shows(page, '#happened', '^[^:]+: .*Lost from the streams')
}

export const push = (page: Page, text: string): Promise<void> =>
  page.evaluate(text => {
    ;(document.getElementById('text') as HTMLInputElement).value = text
    document.getElementById('send')?.click()
  }, text)

/** Resolves when the page is whole: connected, with something in the feed and numbers in both streams. */
export const settle = async (page: Page): Promise<void> => {
  await page.evaluate(() => {
    const broken: string[] = []
    Object.assign(window, { broken })
    addEventListener('error', event => broken.push(event.message))
    addEventListener('unhandledrejection', event => broken.push(String(event.reason)))
    addEventListener('securitypolicyviolation', event => broken.push(`CSP: ${event.violatedDirective}`))
  })
  await shows(page, '#state', '^open$')
  await shows(page, '#feed', '\\w')
  await shows(page, '#plain-arrived', '\\d\\d')
  await shows(page, '#reliable-arrived', '\\d\\d')
}
