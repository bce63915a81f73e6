// Tests the demo in every engine, with real outages. It is started as `npm start` does, with the built bundles.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { fetchApp, startDemo } from '../demo/start.ts'
import { findings, loadAxe, setColours } from './axe.ts'
import {
  errors,
  press,
  push,
  refuseConnections,
  sendWithForm,
  visit,
  waitForImage,
  waitForText,
} from './demo-page.ts'
import type { Page } from './page.ts'
import { inEveryEngine } from './rig.ts'

inEveryEngine(rig => {
  test('a message from one window appears in another: text, unread counts, toasts, pictures, strokes', async () => {
    const { url } = rig.keep(await startDemo())
    const one = await visit(rig, url)
    const other = await visit(rig, url)
    await waitForText(one, '#visitors', '^2$')

    // There is no toast while the list is in view.
    await other.evaluate("document.getElementById('feed-scroll').scrollIntoView()")
    await push(one, 'in the list')
    await waitForText(other, '#feed', 'in the list')
    expect(await other.evaluate("document.getElementById('toasts').textContent")).not.toContain('in the list')
    await other.evaluate('scrollTo(0, document.documentElement.scrollHeight)')
    // Begins to wait before the message is sent, because a toast disappears and others replace it.
    const toast = waitForText(other, '#toasts', '<b>Hello</b> from one')
    await push(one, '<b>Hello</b> from one')
    await waitForText(one, '#mine', '2 arrived')
    await waitForText(other, '#feed', '<b>Hello</b> from one')
    await toast
    // Screen readers get one sentence about all messages within some time.
    await waitForText(other, '#news', '^New: .|^\\d+ new notifications\\. The latest: .')
    const unread = Number(await waitForText(other, '#unread', '[1-9]'))
    expect(await other.evaluate('document.title')).toMatch(/^\(\d+\) /)
    expect(await other.evaluate("document.getElementById('icon').href")).toContain(
      encodeURIComponent('<text'),
    )

    expect(unread).toBeGreaterThan(0)
    // Both values are read in the same task, because the server continues to send notifications.
    const [left, title] = await other.evaluate(() => {
      document.getElementById('read-all')?.click()
      return [document.getElementById('unread')?.textContent, document.title]
    })
    expect(left).toBe('0')
    expect(title).not.toMatch(/^\(/)
    await waitForText(one, '#feed', 'seen by 1')

    await press(one, 'push-bad')
    await waitForText(one, '#answer', "expected 'push'")
    await press(one, 'push-big')
    await waitForText(one, '#answer', '262144 bytes. This one has 307200')

    await press(one, 'squiggle')
    await waitForText(one, '#strokes-sent', '^60$')
    await waitForText(other, '#strokes-others', '^60$')
    await press(one, 'push-picture')
    await other.evaluate(
      () =>
        new Promise<void>(resolve => {
          const check = () =>
            [...document.querySelectorAll<HTMLImageElement>('#feed img')].some(
              ({ naturalWidth }) => naturalWidth === 480,
            ) && resolve()
          new MutationObserver(check).observe(document, { subtree: true, childList: true })
          document.addEventListener('load', check, true)
          check()
        }),
    )

    // A hidden page sends no quotes, so the page is shown first.
    await one.show()
    await waitForText(one, '#quotes-sent', '[1-9]')
    await waitForText(one, '.price', '\\d\\.\\d\\d')
    expect(await one.evaluate("document.querySelectorAll('#chart canvas').length")).toBe(1)
    await press(one, 'clear')
    for (const page of [one, other]) expect(await errors(page)).toEqual([])
  })

  test('while there is no connection, messages are queued, volatile ones are dropped, and only the newest quotes are kept', async () => {
    const { url } = rig.keep(await startDemo())
    const page = await visit(rig, url)
    await waitForText(page, '#quotes-sent', '[1-9]')
    await fetch(`${url}control/refuse?seconds=2`, { method: 'POST' })
    await waitForText(page, '#state', 'waiting')
    expect(await waitForText(page, '#countdown', '\\d')).toMatch(/^\d+\.\d s$/)
    await press(page, 'send-five')
    await press(page, 'squiggle')
    expect(await waitForText(page, '#mine', '5 queued')).toMatch(
      /1 queued.*2 queued.*3 queued.*4 queued.*5 queued/,
    )
    await waitForText(page, '#strokes-dropped', '^60$')
    await waitForText(page, '#quotes-replaced', '[1-9]')
    expect(await waitForText(page, '#quotes-waiting', '\\d')).toBe('1')
    await waitForText(page, '#state', 'open')
    await waitForText(page, '#mine', '5 arrived')
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
    await waitForText(page, '#state', 'closed')
    expect(await waitForText(page, '#cause', '4401')).toContain('a button was pressed')
    await press(page, 'connect')
    await waitForText(page, '#state', 'open')
    await press(page, 'reconnect')
    await waitForText(page, '#log', 'RECONNECT_REQUESTED')
    await waitForText(page, '#state', 'open')
    await press(page, 'close')
    await waitForText(page, '#state', 'closed')
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
    await waitForText(page, '#strokes-sent', '^2$')
    expect(await page.evaluate("document.getElementById('desk').ariaLabel")).toContain('pen up')
  })

  test('a duplicate of the tab is counted as a visitor', async () => {
    await rig.needs('opening windows from a script')
    const { url } = rig.keep(await startDemo())
    const page = await visit(rig, url)
    await press(page, 'duplicate')
    await waitForText(page, '#visitors', '^2$')
    await waitForText(page, '#happened', 'gone up by one')
  })

  test('the system shows notifications while the page is hidden', async () => {
    // Grants the permission for notifications.
    await rig.needs('the DevTools protocol')
    const { url } = rig.keep(await startDemo())
    const page = await visit(rig, url)
    await page.cdp?.('Browser.grantPermissions', {
      permissions: ['notifications'],
      origin: new URL(url).origin,
    })
    await page.evaluate(() => {
      // The page first asks a database whether another window shows it.
      const notified = new Promise<string>(resolve => {
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
      Object.assign(window, { notified })
    })
    await press(page, 'system')
    await waitForText(page, '#answer', 'You will get system notifications')
    const other = await visit(rig, url) // Hides the first page.
    await push(other, 'are you there?')
    await waitForText(page, '#feed', 'are you there')
    expect(await page.evaluate('document.hidden')).toBe(true)
    expect(await page.evaluate('notified')).toContain('are you there?')
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
    await waitForText(page, '.price', '\\d\\.\\d\\d')
    expect(await page.evaluate("document.querySelectorAll('#chart canvas').length")).toBe(1)
  })

  test('the example page with a script tag works under the same policy: it shows pictures, counts down, and sends queued messages', async () => {
    const { url } = rig.keep(await startDemo())
    const page = rig.keep(await rig.engine.open(`${url}recipes/script-tag.html`))
    await waitForText(page, '#list', '\\w')
    await waitForImage(page, '#picture')
    expect(Number(await waitForText(page, '#unread', '\\d'))).toBeGreaterThan(0)
    expect(
      await page.evaluate(() => {
        document.getElementById('bell')?.click()
        return document.getElementById('unread')?.textContent
      }),
    ).toBe('')
    await sendWithForm(page, 'while open')
    await waitForText(page, '#list', 'Youwhile open\\d')

    await refuseConnections(url, 60)
    await waitForText(page, '#offline:not([hidden])', '^Offline, next try in \\d s$')
    await sendWithForm(page, 'while offline')
    await waitForText(page, '#sent-2', 'while offlinequeued')
    await refuseConnections(url, 1)
    await waitForText(page, '#list', 'Youwhile offline\\d')
    expect(await page.evaluate("document.getElementById('sent-2')")).toBe(null)
    await waitForText(page, '#offline[hidden]', 'Offline')

    const source = readFileSync(new URL('../../demo/recipes/script-tag.html', import.meta.url), 'utf8')
    const [, body = ''] = /<body>(.*)<\/body>/s.exec(source) ?? []
    expect(body.trim().split('\n').length).toBeLessThanOrEqual(40)
  })

  test('on a phone the page is short, its cards unfold, and all controls are large enough', async () => {
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

  test('neither the demo nor an example app has accessibility violations, in light and dark mode', async () => {
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
    await waitForText(building, 'h1', 'Building the apps')
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
      await waitForText(page, 'main', '\\w')
      if (path !== 'spa/') await waitForImage(page, 'main img')
      await check(page)
    }
    // The page that waits for the apps reloads itself when they are built. That may end the first look at it.
    const isBuilt = () => waitForText(waiting, 'h1', 'The same app in each framework')
    await isBuilt().catch(isBuilt)
  })
})
