// The experiment of the demo with the outbox.
import { expect, test } from 'vitest'
import { startDemo } from '../demo/start.ts'
import { errors, press, settle, shows } from './demo-page.ts'
import { inEveryEngine } from './rig.ts'

inEveryEngine(rig => {
  test('the demo ends a program ten times while it sends: no number that was stored is lost or handled twice, and many over a plain WebSocket are lost', async () => {
    const { url } = rig.keep(await startDemo())
    const page = rig.keep(await rig.engine.open(url))
    await settle(page)
    await press(page, 'crash')
    await shows(page, '#crash-status', '10 crashes: 0 lost, 0 handled twice')
    const count = async (id: string) => Number((await shows(page, `#${id}`, '^[\\d,]+$')).replace(',', ''))
    expect(await count('crash-handled')).toBe(await count('crash-accepted'))
    expect(await count('crash-accepted')).toBeGreaterThan(100)
    // What a program has queued in memory while it is offline is gone after a crash.
    const lost = await count('plain-crash-lost')
    expect(lost).toBeGreaterThan(10)
    expect(await count('plain-crash-accepted')).toBe((await count('plain-crash-handled')) + lost)
    expect(await count('plain-crash-left')).toBe(0)
    expect(await errors(page)).toEqual([])
  })
}, 'chromium')
