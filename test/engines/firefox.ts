// Controls Firefox with WebDriver BiDi. Puppeteer starts it and creates its profile. The tests send BiDi commands themselves, because
// puppeteer's `goto` and `goBack` never resolve once a page has returned from the back/forward cache.
import { writeFile } from 'node:fs/promises'
import puppeteer from 'puppeteer-core'
import { kill } from './chromium.ts'
import { FAR_HOST } from './far.ts'
import { type Engine, outcome, type Page, script } from './page.ts'

interface Bidi {
  send(method: string, parameters: object): Promise<{ result: unknown }>
}

/** An expression for the page: a promise that resolves when the page has loaded. */
const LOADED =
  "new Promise(done => document.readyState === 'complete' ? done() : addEventListener('load', () => done()))"

export async function launchFirefox(executablePath: string, profile?: string): Promise<Engine> {
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath,
    headless: true,
    ...(profile && { userDataDir: profile }),
    acceptInsecureCerts: true,
    protocolTimeout: 0,
    // Until 2025, Firefox asked for a password when a WebSocket handshake was answered with 401, and waited for it forever. `0` disables that
    // dialog for subresources.
    extraPrefsFirefox: {
      'network.auth.subresource-http-auth-allow': 0,
      'network.dns.localDomains': FAR_HOST,
    },
  })
  // This property of puppeteer is not public, so the version of puppeteer is pinned. The commands are those of the standard.
  // https://www.w3.org/TR/webdriver-bidi/
  const { connection } = browser as unknown as { connection: Bidi }
  const send = async (method: string, parameters: object) =>
    (await connection.send(method, parameters)).result
  return {
    name: 'firefox',
    version: (await browser.version()).replace('firefox/', ''),
    open: (url, type) => openPage(send, url, type),
    close: () => browser.close(),
    ...(profile && { kill: () => kill(browser) }),
  }
}

type Send = (method: string, parameters: object) => Promise<unknown>

type Evaluation =
  | { readonly type: 'success'; readonly result: { readonly value: string } }
  | { readonly type: 'exception'; readonly exceptionDetails: { readonly text: string } }

async function openTab(send: Send, type = 'tab') {
  const { context } = (await send('browsingContext.create', { type })) as { context: string }
  return context
}

async function openPage(send: Send, url?: string, type?: 'tab' | 'window'): Promise<Page> {
  const context = await openTab(send, type)
  let cover: string | undefined

  async function uncover() {
    if (cover) await send('browsingContext.close', { context: cover })
    cover = undefined
  }

  const page: Page = {
    async goto(url) {
      await send('browsingContext.navigate', { context, url, wait: 'complete' })
    },
    async back() {
      await send('browsingContext.traverseHistory', { context, delta: -1 })
      // A page that was not in the back/forward cache may still be loading.
      await send('script.evaluate', {
        expression: LOADED,
        target: { context },
        awaitPromise: true,
      })
    },
    async evaluate(code, ...args) {
      const answer = (await send('script.evaluate', {
        expression: script(code, args),
        target: { context },
        awaitPromise: true,
        userActivation: true,
      })) as Evaluation
      if (answer.type === 'exception') throw new Error(answer.exceptionDetails.text)
      return outcome(answer.result.value)
    },
    async hide() {
      cover = await openTab(send)
      await send('browsingContext.activate', { context: cover })
    },
    async show() {
      await uncover()
      await send('browsingContext.activate', { context })
    },
    async offline(on) {
      await send('emulation.setNetworkConditions', {
        contexts: [context],
        networkConditions: on ? { type: 'offline' } : null,
      })
    },
    async screenshot(path) {
      const { data } = (await send('browsingContext.captureScreenshot', { context })) as { data: string }
      await writeFile(path, data, 'base64')
    },
    async close() {
      await uncover()
      await send('browsingContext.close', { context })
    },
  }
  await page.show()
  if (url) await page.goto(url)
  return page
}
