// Tests the demo's experiment with the outbox.
import { expect, test } from 'vitest'
import { startDemo } from '../demo/start.ts'
import { errors, press, waitForText, waitUntilReady } from './demo-page.ts'
import { inEveryEngine } from './rig.ts'

inEveryEngine(rig => {
  test('the demo terminates a program ten times while it sends: no stored number is lost or handled twice, but many sent over a plain WebSocket are lost', async () => {
    const { url } = rig.keep(await startDemo())
    const page = rig.keep(await rig.engine.open(url))
    await waitUntilReady(page)
    await press(page, 'crash')
    await waitForText(page, '#crash-status', '10 crashes: 0 lost, 0 handled twice')
    const count = async (id: string) =>
      Number((await waitForText(page, `#${id}`, '^[\\d,]+$')).replace(',', ''))
    expect(await count('crash-handled')).toBe(await count('crash-accepted'))
    expect(await count('crash-accepted')).toBeGreaterThan(100)
    // Messages that a program has queued in memory while it is offline are lost in a crash.
    const lost = await count('plain-crash-lost')
    expect(lost).toBeGreaterThan(10)
    expect(await count('plain-crash-accepted')).toBe((await count('plain-crash-handled')) + lost)
    expect(await count('plain-crash-left')).toBe(0)
    expect(await errors(page)).toEqual([])
  })
}, 'chromium')
