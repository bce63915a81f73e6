// Controls Chromium and Chrome with puppeteer and the DevTools protocol. Playwright would keep every page focused and visible, so that no page
// could be hidden, throttled or frozen.
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import puppeteer, { type Browser } from 'puppeteer-core'
import { FAR_HOST } from './far.ts'
import { type Engine, outcome, type Page, script } from './page.ts'

// Puppeteer disables these features to make tests predictable. They are enabled for users, and these tests need them.
const ignoredDefaultArgs = [
  '--disable-back-forward-cache',
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
  '--disable-renderer-backgrounding',
  '--disable-ipc-flooding-protection',
]

const args = [
  '--disable-gpu',
  '--disable-quic',
  '--disable-component-update',
  '--js-flags=--expose-gc',
  `--host-resolver-rules=MAP ${FAR_HOST} 127.0.0.1`,
]

export async function launchChromium(executablePath: string, profile?: string): Promise<Engine> {
  const browser = await puppeteer.launch({
    executablePath,
    args: process.getuid?.() === 0 ? ['--no-sandbox', ...args] : args,
    ignoreDefaultArgs: ignoredDefaultArgs,
    acceptInsecureCerts: true,
    pipe: true,
    ...(profile && { userDataDir: profile }),
    protocolTimeout: 0,
  })
  return {
    name: 'chromium',
    version: (await browser.version()).replace('Chrome/', ''),
    open: (url, type) => openPage(browser, url, type),
    close: () => browser.close(),
    ...(profile && { kill: () => kill(browser) }),
  }
}

/** Kills the browser. Resolves when its process has exited. */
export async function kill(browser: Browser): Promise<void> {
  const child = browser.process()
  if (!child || child.exitCode !== null || child.signalCode) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

async function openPage(
  browser: Browser,
  url = 'about:blank',
  type: 'tab' | 'window' = 'tab',
): Promise<Page> {
  const tab = await browser.newPage({ type })
  // Puppeteer's own `evaluate` waits for an execution context. It can lose track of it when a page returns from the back/forward cache.
  const session = await tab.createCDPSession()
  const cdp = (method: string, parameters: object = {}) =>
    session.send(method as 'Page.enable', parameters as never)
  await tab.goto(url)
  let cover: { close(): Promise<void> } | undefined

  return {
    cdp,
    async goto(url) {
      await tab.goto(url)
    },
    async back() {
      await tab.goBack({ waitUntil: 'load' })
    },
    async evaluate(code, ...args) {
      const { result, exceptionDetails } = await session.send('Runtime.evaluate', {
        expression: script(code, args),
        awaitPromise: true,
        returnByValue: true,
        userGesture: true,
      })
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text)
      return outcome(result.value)
    },
    async hide() {
      const other = await browser.newPage()
      cover = other
      await other.bringToFront()
    },
    async show() {
      await cover?.close()
      cover = undefined
      await tab.bringToFront()
    },
    async offline(on) {
      await cdp('Network.enable')
      await cdp('Network.emulateNetworkConditions', {
        offline: on,
        latency: 0,
        downloadThroughput: -1,
        uploadThroughput: -1,
      })
    },
    async screenshot(path) {
      await writeFile(path, await tab.screenshot())
    },
    async close() {
      await cover?.close()
      await tab.close()
    },
  }
}
