// The demo's comparison of three ways to replace an open connection.
import { expect, test } from 'vitest'
import { startDemo } from '../demo/start.ts'
import { errors, press, settle, shows } from './demo-page.ts'
import { inEveryEngine } from './rig.ts'

inEveryEngine(rig => {
  test('the demo compares a handover, a deploy, a reconnection and a wake-up with a plain WebSocket', async () => {
    const { url } = rig.keep(await startDemo())
    const page = rig.keep(await rig.engine.open(url, 'window'))
    await settle(page)
    /** Presses a button once both streams flow, which may be a while after the last experiment. */
    const begin = async (id: string) => {
      await shows(page, '#hand-over[aria-disabled="false"]', 'Hand over')
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
    expect(await shows(page, '#replaced', 'Lost:')).toMatch(
      /^handover\(\): for \d.*s, two connections were open/,
    )
    expect(await shows(page, '#first-connection', '.')).toMatch(/open → closing \(.*\) → closed$/)
    expect(await shows(page, '#second-connection', '.')).toMatch(/^connecting \(.*\) → open$/)
    // The plain WebSocket hears nothing from the moment at which it is closed.
    expect(await row('handover')).toMatch(/^handover\(\)\|0\|0\|\d[^|]*s\|[1-9]\d*\|\d+\|\d[^|]*s$/)

    // The server announces it, and closes the connections that are still there.
    await begin('deploy')
    expect(await shows(page, '#replaced', 'announced a deploy.*Lost:')).toContain(
      's, two connections were open',
    )
    expect(await row('deploy')).toMatch(/^deploy\|0\|0\|\d[^|]*s\|[1-9]\d*\|[1-9]\d*\|\d[^|]*s$/)

    // Whatever is on its way when the first is closed is lost, and so is what the server sends before the second is open.
    await begin('reconnect-stream')
    expect(await shows(page, '#replaced', '^reconnect.*Lost:')).toContain('s, no connection was open')
    expect(await shows(page, '#way-reconnect td', '\\d')).toMatch(/^[1-9]/)

    await begin('sleeps')
    await shows(page, '#replaced', 'is frozen')
    expect(await shows(page, '#first-connection', '.')).toBe('open')
    await press(page, 'sleeps')
    const text = await shows(page, '#replaced', '^After')
    expect(text).toMatch(/of sleep the state was still open\. A second connection took over/)
    expect(text).toMatch(/[1-9]\d* messages of the page waited for it, and 0 were lost/)
    expect(await shows(page, '#second-connection', '.')).toMatch(/^connecting \(.*\) → open$/)
    expect(await shows(page, '#way-sleep td', '\\d')).toMatch(/^[1-9]/)
    expect(text).toContain('The plain WebSocket noticed nothing')
    expect(await row('sleep')).toMatch(/\|[1-9]\d*\|[1-9]\d*\|no end$/)
    expect(await page.evaluate("document.getElementById('sleeps').checked")).toBe(false)
    expect(await errors(page)).toEqual([])
  })
})
