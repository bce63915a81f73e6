// Tests the connection that all windows of the demo share.
import { expect, test } from 'vitest'
import { startDemo } from '../demo/start.ts'
import { waitForText, waitUntilReady } from './demo-page.ts'
import { inEveryEngine } from './rig.ts'

inEveryEngine(rig => {
  test('the windows of the demo share one connection, and another window takes over when the window that holds it is closed', async () => {
    const { url } = rig.keep(await startDemo())
    const one = rig.keep(await rig.engine.open(url))
    await waitUntilReady(one)
    await waitForText(one, '#tabs-state', '^open$')
    await waitForText(one, '#tabs-holder', '^this window$')
    const two = rig.keep(await rig.engine.open(url))
    await waitUntilReady(two)
    await waitForText(two, '#tabs-holder', '^another window$')
    for (const page of [one, two]) {
      await waitForText(page, '#tabs-count', '^2$')
      await waitForText(page, '#tabs-connections', '^1$')
      for (const id of ['own-messages', 'tabs-messages']) await waitForText(page, `#${id}`, '^[1-9]')
      for (const id of ['own-lost', 'tabs-lost']) expect(await waitForText(page, `#${id}`, '\\d')).toBe('0')
    }
    await one.evaluate(() => location.assign('about:blank'))
    expect(await waitForText(two, '#tabs-holder', '^this window$')).toBe('this window')
    await waitForText(two, '#tabs-state', '^open$')
    await waitForText(two, '#tabs-count', '^1$')
    expect(await waitForText(two, '#own-lost', '\\d')).toBe('0')
    expect(await waitForText(two, '#tabs-lost', '\\d')).toMatch(/^\d+$/)
  })
})
