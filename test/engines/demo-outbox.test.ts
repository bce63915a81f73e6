// The experiment of the demo with the outbox.
import { expect, test } from 'vitest'
import { startDemo } from '../demo/start.ts'
import { press, settle, shows } from './demo-page.ts'
import { inEveryEngine } from './rig.ts'

inEveryEngine(rig => {
  test('the demo ends a program ten times while it sends, and loses and doubles no number that was stored', async () => {
    const { url } = rig.keep(await startDemo())
    const page = rig.keep(await rig.engine.open(url))
    await settle(page)
    await press(page, 'crash')
    await shows(page, '#crash-status', '10 crashes: 0 lost, 0 handled twice')
    const count = (name: string) => shows(page, `#crash-${name}`, '^[\\d,]+$')
    expect(await count('handled')).toBe(await count('accepted'))
    expect(Number((await count('accepted')).replace(',', ''))).toBeGreaterThan(100)
  })
}, 'chromium')
