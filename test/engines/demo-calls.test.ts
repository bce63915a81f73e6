// Tests the demo's experiments with calls. They have a browser of their own, because Firefox delays all connections to this machine by up to a minute
// after the failures of other tests: see NOTES.md.
import { expect, test } from 'vitest'
import { startDemo } from '../demo/start.ts'
import { errors, press, visit, waitForText } from './demo-page.ts'
import { inEveryEngine } from './rig.ts'

inEveryEngine(rig => {
  test('calls settle with the correct outcome, and never settle over a plain WebSocket', async () => {
    const { url } = rig.keep(await startDemo())
    const page = await visit(rig, url)
    const experiments = [
      ['offline', '5 NOT_SENT', 0],
      ['cut', '5 UNKNOWN', 5],
      ['silent', '5 TIMEOUT', 5],
    ] as const
    for (const [name, outcome, count] of experiments) {
      await press(page, `order-${name}`)
      expect(await waitForText(page, '#ordered', 'The server carried out')).toContain(
        `calls() reports ${outcome}`,
      )
      const cells = await page.evaluate(
        name => [...document.querySelectorAll(`#orders-${name} td`)].map(({ textContent }) => textContent),
        name,
      )
      expect(cells).toEqual(['5 none', `${count}`, outcome, `${count}`])
      expect(await waitForText(page, '#calls-orders', '1')).toBe(
        [1, 2, 3, 4, 5].map(n => `${n} ${outcome.slice(2)}`).join(''),
      )
    }
    expect(await errors(page)).toEqual([])
  })
})
