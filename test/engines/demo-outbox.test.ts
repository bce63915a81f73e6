// Tests the demo's experiment with the outbox.
import { expect, test } from 'vitest'
import { startDemo } from '../demo/start.ts'
import { press, waitForText, waitUntilReady } from './demo-page.ts'
import { inEveryEngine } from './rig.ts'

inEveryEngine(rig => {
  test('the demo terminates a program ten times while it sends, and no stored number is lost or handled twice', async () => {
    const { url } = rig.keep(await startDemo())
    const page = rig.keep(await rig.engine.open(url))
    await waitUntilReady(page)
    await press(page, 'crash')
    await waitForText(page, '#crash-status', '10 crashes: 0 lost, 0 handled twice')
    const count = (name: string) => waitForText(page, `#crash-${name}`, '^[\\d,]+$')
    expect(await count('handled')).toBe(await count('accepted'))
    expect(Number((await count('accepted')).replace(',', ''))).toBeGreaterThan(100)
  })
}, 'chromium')
