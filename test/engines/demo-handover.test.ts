// Tests the demo's comparison of ways to replace an open connection.
import { expect, test } from 'vitest'
import { startDemo } from '../demo/start.ts'
import { errors, press, waitForText, waitUntilReady } from './demo-page.ts'
import { inEveryEngine } from './rig.ts'

inEveryEngine(rig => {
  test('the demo compares a handover, a deploy, a reconnection and a wake-up with a plain WebSocket', async () => {
    const { url } = rig.keep(await startDemo())
    const page = rig.keep(await rig.engine.open(url, 'window'))
    await waitUntilReady(page)
    /** Presses a button once the last experiment has ended and both streams are connected. */
    const begin = async (id: string) => {
      await waitForText(page, '#hand-over[aria-disabled="false"]', 'Hand over')
      await press(page, id)
    }
    const row = (way: string) =>
      page.evaluate(
        way =>
          [...document.querySelectorAll(`#way-${way} > *`)].map(({ textContent }) => textContent).join('|'),
        way,
      )

    // The second connection is open before the first is closed, so nothing is lost.
    await begin('hand-over')
    expect(await waitForText(page, '#replaced', 'Lost:')).toMatch(
      /^handover\(\): for \d.*s, two connections were open/,
    )
    expect(await waitForText(page, '#first-connection', '.')).toMatch(/open → closing \(.*\) → closed$/)
    expect(await waitForText(page, '#second-connection', '.')).toMatch(/^connecting \(.*\) → open$/)
    // The plain WebSocket receives nothing after it is closed.
    expect(await row('handover')).toMatch(/^handover\(\)\|0\|0\|\d[^|]*s\|[1-9]\d*\|\d+\|\d[^|]*s$/)

    // The server announces it, and closes the connections that are still there.
    await begin('deploy')
    expect(await waitForText(page, '#replaced', 'announced a deploy.*Lost:')).toContain(
      's, two connections were open',
    )
    expect(await row('deploy')).toMatch(/^deploy\|0\|0\|\d[^|]*s\|[1-9]\d*\|[1-9]\d*\|\d[^|]*s$/)

    // Messages that are in flight when the first connection is closed are lost, and so are those sent before the second is open.
    await begin('reconnect-stream')
    expect(await waitForText(page, '#replaced', '^reconnect.*Lost:')).toContain('s, no connection was open')
    expect(await waitForText(page, '#way-reconnect td', '\\d')).toMatch(/^[1-9]/)

    await begin('sleeps')
    await waitForText(page, '#replaced', 'is frozen')
    expect(await waitForText(page, '#first-connection', '.')).toBe('open')
    await press(page, 'sleeps')
    const text = await waitForText(page, '#replaced', '^After')
    expect(text).toMatch(/of sleep the state was still open\. A second connection took over/)
    expect(text).toMatch(/[1-9]\d* messages of the page waited for it, and 0 were lost/)
    expect(await waitForText(page, '#second-connection', '.')).toMatch(/^connecting \(.*\) → open$/)
    expect(await waitForText(page, '#way-sleep td', '\\d')).toMatch(/^[1-9]/)
    expect(text).toContain('The plain WebSocket noticed nothing')
    expect(await row('sleep')).toMatch(/\|[1-9]\d*\|[1-9]\d*\|no end$/)
    expect(await page.evaluate("document.getElementById('sleeps').checked")).toBe(false)
    expect(await errors(page)).toEqual([])
  })
})
