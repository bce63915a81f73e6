// Controls WebKitGTK's MiniBrowser with WebDriver. Starts Xvfb if there is no display.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { freePort } from '../support/ports.ts'
import { type Engine, outcome, type Page, script } from './page.ts'

export interface WebKitPrograms {
  readonly driver: string
  readonly browser: string
  /** Not needed if DISPLAY is set. */
  readonly xvfb?: string | undefined
}

type Call = (method: 'GET' | 'POST' | 'DELETE', path: string, body?: object) => Promise<unknown>

/** Kills a child process when this process exits. `stop` kills it and waits until it has exited. */
function manageChild(child: ChildProcess) {
  const kill = () => void child.kill()
  process.on('exit', kill)
  const exited = once(child, 'exit').finally(() => process.off('exit', kill))
  exited.catch(() => {})
  return {
    exited,
    stop: () => {
      kill()
      return exited
    },
  }
}

async function startDisplay(xvfb: string | undefined) {
  if (!xvfb) throw new Error('DISPLAY is not set, and Xvfb is not installed')
  // Xvfb chooses a free display, and writes its number to descriptor 3 when it is ready.
  const child = spawn(xvfb, ['-displayfd', '3', '-screen', '0', '1280x1024x24', '-nolisten', 'tcp'], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  })
  const { stop, exited } = manageChild(child)
  const line = once(createInterface(child.stdio[3] as Readable), 'line')
  const [number] = await Promise.race([
    line,
    exited.then(() => Promise.reject(new Error('Xvfb did not start'))),
  ])
  return { stop, name: `:${number}` }
}

export async function launchWebKit({ driver, browser, xvfb }: WebKitPrograms): Promise<Engine> {
  const display = process.env.DISPLAY ? undefined : await startDisplay(xvfb)
  const home = await mkdtemp(join(tmpdir(), 'webkit-'))
  const port = await freePort()
  const child = spawn(driver, [`--port=${port}`, '--host=127.0.0.1'], {
    stdio: 'ignore',
    env: {
      ...process.env,
      DISPLAY: display?.name ?? process.env.DISPLAY,
      GDK_BACKEND: 'x11',
      XDG_CACHE_HOME: home,
      XDG_CONFIG_HOME: home,
      XDG_DATA_HOME: home,
    },
  })
  const service = manageChild(child)

  const call: Call = async (method, path, body) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      ...(body && { body: JSON.stringify(body) }),
    })
    const { value } = (await answer.json()) as { value: { error?: string; message?: string } | null }
    if (!answer.ok) throw new Error(`WebKitWebDriver: ${value?.error}: ${value?.message}`)
    return value
  }

  await untilListening(call, child)
  const { sessionId, capabilities } = (await call('POST', '/session', {
    capabilities: {
      alwaysMatch: {
        browserName: 'MiniBrowser',
        acceptInsecureCerts: true,
        'webkitgtk:browserOptions': { binary: browser, args: ['--automation'] },
      },
    },
  })) as { sessionId: string; capabilities: { browserVersion: string } }
  const session = `/session/${sessionId}`
  await call('POST', `${session}/timeouts`, { script: 600_000, pageLoad: 60_000 })
  const open = tabs((method, path, body) => call(method, session + path, body))

  return {
    name: 'webkit',
    version: capabilities.browserVersion,
    open,
    async close() {
      await call('DELETE', session).catch(() => {})
      await service.stop()
      await display?.stop()
      await rm(home, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

/** Resolves when the driver accepts requests. The driver does not report it, so its status is polled. */
async function untilListening(call: Call, child: ChildProcess) {
  while (child.exitCode === null) {
    const up = await call('GET', '/status').catch(() => undefined)
    if (up) return
    await new Promise(resolve => setTimeout(resolve, 25))
  }
  throw new Error(`WebKitWebDriver exited: ${child.exitCode}`)
}

/** Opens windows in one session. WebDriver commands apply to the current window, so only one command runs at a time. */
function tabs(call: Call): Engine['open'] {
  let turn: Promise<unknown> = Promise.resolve()
  let current = ''
  let begins = 0
  // Windows that can be reused. The session starts with one.
  const spare: string[] = []
  const ready = call('GET', '/window').then(handle => spare.push(String(handle)))

  function inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = turn.then(work)
    turn = result.catch(() => {})
    return result
  }

  async function newWindow() {
    const { handle } = (await call('POST', '/window/new', { type: 'window' })) as { handle: string }
    return handle
  }

  return async url => {
    await ready
    const handle = spare.pop() ?? (await inTurn(newWindow))

    async function selectWindow() {
      if (current !== handle) await call('POST', '/window', { handle })
      current = handle
    }
    const command: Call = (method, path, body) =>
      inTurn(async () => {
        await selectWindow()
        return call(method, path, body)
      })

    const page: Page = {
      async goto(url) {
        await command('POST', '/url', { url })
      },
      async back() {
        await command('POST', '/back', {})
      },
      async evaluate(code, ...args) {
        let answer: Promise<unknown> = Promise.resolve()
        // The next command may run as soon as this script has begun, because the script may wait for an effect of that command. The driver does
        // not report that a script has begun, so the page is asked.
        await inTurn(async () => {
          await selectWindow()
          const begun = `window[Symbol.for('begun ${++begins}')]`
          let settled = false
          answer = call('POST', '/execute/async', {
            script: `const done = arguments[arguments.length - 1]; ${begun} = true; ${script(code, args)}.then(done)`,
            args: [],
          })
          answer.catch(() => {}).finally(() => (settled = true))
          const hasBegun = { script: `return ${begun} === true`, args: [] }
          while (!settled && !(await call('POST', '/execute/sync', hasBegun).catch(() => false)));
        })
        return outcome(await answer)
      },
      async hide() {
        await command('POST', '/window/minimize', {})
      },
      async show() {
        await command('POST', '/window/rect', { x: 0, y: 0, width: 1024, height: 768 })
      },
      async screenshot(path) {
        await writeFile(path, String(await command('GET', '/screenshot')), 'base64')
      },
      async close() {
        await page.show()
        await page.goto('about:blank')
        spare.push(handle)
      },
    }
    if (url) await page.goto(url)
    return page
  }
}
