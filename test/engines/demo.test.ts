// The demo as a visitor sees it, started as `npm start` does, on the built bundles: every engine, real outages.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { fetchApp, startDemo } from '../demo/start.ts'
import { findings, loadAxe, setColours } from './axe.ts'
import {
  compose,
  errors,
  flow,
  loads,
  press,
  push,
  refuse,
  settle,
  shows,
  stall,
  suffer,
} from './demo-page.ts'
import type { Page } from './page.ts'
import { inEveryEngine, type Rig } from './rig.ts'

const visit = async (rig: Rig, url: string, type?: 'window') => {
  const page = rig.keep(await rig.engine.open(url, type))
  await settle(page)
  return page
}

/**
 * What the page says of each fault in the end. Nobody else would have noticed a frozen line for thirty seconds; nobody
 * may have called before the four seconds were over that a busy server asked for.
 */
const faults = {
  cut: /detected after .*, back after .*, in order.* reliable 0\./,
  freeze: /detected after [1-9]\.\d+ s, back after [1-9]\.\d+ s.*plain [1-9]\d*, reliable 0\./,
  refuse:
    /detected after .*, back after ([5-9]|\d\d)\.\d+ s; .* \d+ were queued and .*, in order.* plain [1-9]\d*, reliable 0\./,
  busy: /detected after .*, back after ([4-9]|\d\d)\.\d+ s; .*, in order.* reliable 0\./,
  restart: /detected after .*, back after \d+\.\d+ s; .*, in order.* reliable 0\./,
  slow: /latency up to ([89]|\d\d)\d\d ms, no reconnection; .* reliable 0\./,
  close: /detected after .*, back after .*, in order.* reliable 0\./,
}

inEveryEngine(rig => {
  test('what one window pushes the other shows: text, unread counts, toasts, pictures, strokes', async () => {
    const { url } = rig.keep(await startDemo())
    const one = await visit(rig, url)
    const other = await visit(rig, url)
    await shows(one, '#visitors', '^2$')

    // While the list is in view, it is enough.
    await other.evaluate("document.getElementById('feed-scroll').scrollIntoView()")
    await push(one, 'in the list')
    await shows(other, '#feed', 'in the list')
    expect(await other.evaluate("document.getElementById('toasts').textContent")).not.toContain('in the list')
    await other.evaluate('scrollTo(0, document.documentElement.scrollHeight)')
    // Watched for from before it comes: it does not stay, and others take its place.
    const toast = shows(other, '#toasts', '<b>Hello</b> from one')
    await push(one, '<b>Hello</b> from one')
    await shows(one, '#mine', '2 arrived')
    await shows(other, '#feed', '<b>Hello</b> from one')
    await toast
    // For screen readers, in one sentence for all that came within some time.
    await shows(other, '#news', '^New: .|^\\d+ new notifications\\. The latest: .')
    const unread = Number(await shows(other, '#unread', '[1-9]'))
    expect(await other.evaluate('document.title')).toMatch(/^\(\d+\) /)
    expect(await other.evaluate("document.getElementById('icon').href")).toContain(
      encodeURIComponent('<text'),
    )

    expect(unread).toBeGreaterThan(0)
    // In one breath: the server goes on notifying.
    const [left, title] = await other.evaluate(() => {
      document.getElementById('read-all')?.click()
      return [document.getElementById('unread')?.textContent, document.title]
    })
    expect(left).toBe('0')
    expect(title).not.toMatch(/^\(/)
    await shows(one, '#feed', 'seen by 1')

    await press(one, 'push-bad')
    await shows(one, '#answer', "expected 'push'")
    await press(one, 'push-big')
    await shows(one, '#answer', '262144 bytes. This one has 307200')

    await press(one, 'squiggle')
    await shows(one, '#strokes-sent', '^60$')
    await shows(other, '#strokes-others', '^60$')
    await press(one, 'push-picture')
    await other.evaluate(
      () =>
        new Promise<void>(resolve => {
          const look = () =>
            [...document.querySelectorAll<HTMLImageElement>('#feed img')].some(
              ({ naturalWidth }) => naturalWidth === 480,
            ) && resolve()
          new MutationObserver(look).observe(document, { subtree: true, childList: true })
          document.addEventListener('load', look, true)
          look()
        }),
    )

    // A page behind another one has nobody to quote for.
    await one.show()
    await shows(one, '#quotes-sent', '[1-9]')
    await shows(one, '.price', '\\d\\.\\d\\d')
    expect(await one.evaluate("document.querySelectorAll('#chart canvas').length")).toBe(1)
    await press(one, 'clear')
    for (const page of [one, other]) expect(await errors(page)).toEqual([])
  })

  test('each broken connection is detected, timed and replaced, and the reliable stream loses nothing', async () => {
    const trial = async (fault: keyof typeof faults) => {
      const { url } = rig.keep(await startDemo())
      const page = await visit(rig, url, 'window')
      await flow(page)
      let text = await suffer(page, `fault-${fault}`)
      // The heartbeat waits for two seconds, of which a slow line takes up to one. A machine that stood still for the other has shown what
      // a busy machine looks like, not what becomes of a broken line.
      while (!faults[fault].test(text) && (await stall(page)) >= 1_000) {
        text = await suffer(page, `fault-${fault}`)
      }
      expect(text).toMatch(faults[fault])
      expect(await shows(page, '#noticed', '.')).toMatch(fault === 'slow' ? /…/ : /\d m?s/)
      expect(await shows(page, '#reliable-lost', '\\d')).toBe('0')
      expect(await errors(page)).toEqual([])
    }
    // Three windows at a time: most of it is waiting, but a machine has to paint them.
    const lanes = [
      ['refuse', 'cut'],
      ['busy', 'restart'],
      ['slow', 'freeze', 'close'],
    ] as const
    await Promise.all(
      lanes.map(async lane => {
        for (const fault of lane) await trial(fault)
      }),
    )
  })

  test('while there is no connection, messages are queued, volatile ones are dropped, and only the newest quotes are kept', async () => {
    const { url } = rig.keep(await startDemo())
    const page = await visit(rig, url)
    await shows(page, '#quotes-sent', '[1-9]')
    await fetch(`${url}control/refuse?seconds=2`, { method: 'POST' })
    await shows(page, '#state', 'waiting')
    expect(await shows(page, '#countdown', '\\d')).toMatch(/^\d+\.\d s$/)
    await press(page, 'send-five')
    await press(page, 'squiggle')
    expect(await shows(page, '#mine', '5 queued')).toMatch(/1 queued.*2 queued.*3 queued.*4 queued.*5 queued/)
    await shows(page, '#strokes-dropped', '^60$')
    await shows(page, '#quotes-replaced', '[1-9]')
    expect(await shows(page, '#quotes-waiting', '\\d')).toBe('1')
    await shows(page, '#state', 'open')
    await shows(page, '#mine', '5 arrived')
    const order = await page.evaluate(() =>
      [...document.querySelectorAll('#feed .own p:last-child')].map(one => one.textContent?.[0]).reverse(),
    )
    expect(order).toEqual(['1', '2', '3', '4', '5'])
  })

  test('after a final close code, the page stays disconnected until the user presses Connect', async () => {
    const { url } = rig.keep(await startDemo())
    const page = await visit(rig, url)
    await page.evaluate(() => {
      ;(document.getElementById('code') as HTMLSelectElement).value = '4401'
    })
    await press(page, 'fault-close')
    await shows(page, '#state', 'closed')
    expect(await shows(page, '#cause', '4401')).toContain('a button was pressed')
    await press(page, 'connect')
    await shows(page, '#state', 'open')
    await press(page, 'reconnect')
    await shows(page, '#log', 'RECONNECT_REQUESTED')
    await shows(page, '#state', 'open')
    await press(page, 'close')
    await shows(page, '#state', 'closed')
  })

  test('the keyboard draws on the pad', async () => {
    const { url } = rig.keep(await startDemo())
    const page = await visit(rig, url)
    await page.evaluate(() => {
      const desk = document.getElementById('desk') as HTMLElement
      desk.focus()
      for (const key of ['ArrowUp', ' ', 'ArrowLeft', 'ArrowDown', ' ', 'ArrowUp']) {
        desk.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }))
      }
    })
    await shows(page, '#strokes-sent', '^2$')
    expect(await page.evaluate("document.getElementById('desk').ariaLabel")).toContain('pen up')
  })

  test('a duplicate of the tab is counted', async () => {
    await rig.needs('windows that a script opens')
    const { url } = rig.keep(await startDemo())
    const page = await visit(rig, url)
    await press(page, 'duplicate')
    await shows(page, '#visitors', '^2$')
    await shows(page, '#happened', 'gone up by one')
  })

  test('the system shows notifications while the page is hidden', async () => {
    // With it a driver grants the permission to notify.
    await rig.needs('the DevTools protocol')
    const { url } = rig.keep(await startDemo())
    const page = await visit(rig, url)
    await page.cdp?.('Browser.grantPermissions', {
      permissions: ['notifications'],
      origin: new URL(url).origin,
    })
    await page.evaluate(() => {
      // The page first asks a database whether another window shows it.
      const told = new Promise<string>(resolve => {
        Object.assign(window, {
          Notification: class extends Notification {
            constructor(title: string, options: NotificationOptions) {
              super(title, options)
              const text = `${title}: ${options.body}`
              if (text.includes('are you there?')) resolve(text)
            }
          },
        })
      })
      Object.assign(window, { told })
    })
    await press(page, 'system')
    await shows(page, '#answer', 'You will get system notifications')
    const other = await visit(rig, url) // in front of it
    await push(other, 'are you there?')
    await shows(page, '#feed', 'are you there')
    expect(await page.evaluate('document.hidden')).toBe(true)
    expect(await page.evaluate('told')).toContain('are you there?')
  })

  test('the chart is drawn if navigator.language is not a valid language tag', async () => {
    await rig.needs('the DevTools protocol')
    const { url } = rig.keep(await startDemo())
    const page = rig.keep(await rig.engine.open())
    await page.cdp?.('Page.enable')
    await page.cdp?.('Page.addScriptToEvaluateOnNewDocument', {
      source:
        "Object.defineProperty(Navigator.prototype, 'language', { get: () => 'c', configurable: true })",
    })
    await page.goto(url)
    await shows(page, '.price', '\\d\\.\\d\\d')
    expect(await page.evaluate("document.querySelectorAll('#chart canvas').length")).toBe(1)
  })

  test('the page to be copied works by script tag, under the same policy: it shows pictures, counts down, and sends what was queued', async () => {
    const { url } = rig.keep(await startDemo())
    const page = rig.keep(await rig.engine.open(`${url}recipes/script-tag.html`))
    await shows(page, '#list', '\\w')
    await loads(page, '#picture')
    expect(Number(await shows(page, '#unread', '\\d'))).toBeGreaterThan(0)
    expect(
      await page.evaluate(() => {
        document.getElementById('bell')?.click()
        return document.getElementById('unread')?.textContent
      }),
    ).toBe('')
    await compose(page, 'while open')
    await shows(page, '#list', 'Youwhile open\\d')

    await refuse(url, 60)
    await shows(page, '#offline:not([hidden])', '^Offline, next try in \\d s$')
    await compose(page, 'while offline')
    await shows(page, '#sent-2', 'while offlinequeued')
    await refuse(url, 1)
    await shows(page, '#list', 'Youwhile offline\\d')
    expect(await page.evaluate("document.getElementById('sent-2')")).toBe(null)
    await shows(page, '#offline[hidden]', 'Offline')

    const source = readFileSync(new URL('../../demo/recipes/script-tag.html', import.meta.url), 'utf8')
    const [, body = ''] = /<body>(.*)<\/body>/s.exec(source) ?? []
    expect(body.trim().split('\n').length).toBeLessThanOrEqual(40)
  })

  test('calls end with the outcome that is true, and over a plain WebSocket they never end', async () => {
    const { url } = rig.keep(await startDemo())
    const page = await visit(rig, url)
    const experiments = [
      ['offline', '5 NOT_SENT', 0],
      ['cut', '5 UNKNOWN', 5],
      ['silent', '5 TIMEOUT', 5],
    ] as const
    for (const [name, outcome, count] of experiments) {
      await press(page, `order-${name}`)
      expect(await shows(page, '#ordered', 'The server carried out')).toContain(`calls() reports ${outcome}`)
      const cells = await page.evaluate(
        name => [...document.querySelectorAll(`#orders-${name} td`)].map(({ textContent }) => textContent),
        name,
      )
      expect(cells).toEqual(['5 none', `${count}`, outcome, `${count}`])
      expect(await shows(page, '#calls-orders', '1')).toBe(
        [1, 2, 3, 4, 5].map(n => `${n} ${outcome.slice(2)}`).join(''),
      )
    }
    expect(await errors(page)).toEqual([])
  })

  test('on a phone the page is short, its cards unfold, and everything to press is large enough', async () => {
    await rig.needs('the DevTools protocol')
    const { url } = rig.keep(await startDemo())
    const page = await visit(rig, url)
    const phone = { width: 390, height: 844, deviceScaleFactor: 1, mobile: false }
    await page.cdp?.('Emulation.setDeviceMetricsOverride', phone)
    const measure = () =>
      page.evaluate(() => ({
        height: document.documentElement.scrollHeight,
        width: document.documentElement.scrollWidth,
        folded: document.querySelectorAll('.folded').length,
        small: [...document.querySelectorAll<HTMLElement>('a, button, input, select, summary')]
          .filter(one => one.offsetParent && !one.closest('.hidden, .skip'))
          .filter(
            one =>
              Math.min(one.offsetWidth, one.offsetHeight) < 24 && getComputedStyle(one).display !== 'inline',
          )
          .map(({ outerHTML }) => outerHTML),
      }))
    const folded = await measure()
    expect(folded).toMatchObject({ width: 390, small: [] })
    expect(folded.height).toBeLessThan(3_600)
    await page.evaluate(() => {
      for (const one of document.querySelectorAll<HTMLElement>('.unfold')) one.click()
    })
    const open = await measure()
    expect(open).toMatchObject({ width: 390, small: [], folded: 0 })
    expect(open.height).toBeGreaterThan(folded.height + 1_000)
  })

  test('neither the demo nor a page to be copied has an accessibility finding, in light and dark', async () => {
    await rig.needs('the DevTools protocol')
    const { url } = rig.keep(await startDemo())
    const check = async (page: Page) => {
      await loadAxe(page)
      for (const value of ['light', 'dark'] as const) {
        await setColours(page, value)
        expect(await findings(page)).toEqual([])
      }
    }
    const building = rig.keep(await rig.engine.open())
    await building.cdp?.('Page.enable')
    // The page must not reload itself while it is checked.
    const source = 'window.fetch = () => new Promise(() => {})'
    await building.cdp?.('Page.addScriptToEvaluateOnNewDocument', { source })
    await building.goto(`${url}spa/`)
    await shows(building, 'h1', 'Building the apps')
    const waiting = rig.keep(await rig.engine.open(`${url}spa/`))
    await check(building)
    await fetchApp(`${url}spa/`)
    await check(await visit(rig, url))
    for (const path of [
      'recipes/script-tag.html',
      'spa/',
      'spa/react/',
      'spa/vue/',
      'spa/svelte/',
      'spa/solid/',
    ]) {
      const page = rig.keep(await rig.engine.open(url + path))
      await shows(page, 'main', '\\w')
      if (path !== 'spa/') await loads(page, 'main img')
      await check(page)
    }
    // The page that waits for the apps reloads itself when they are built. That may end the first look at it.
    const isBuilt = () => shows(waiting, 'h1', 'The same app in each framework')
    await isBuilt().catch(isBuilt)
  })
})
