// The connection that all windows of the demo share.
import { expect, test } from 'vitest'
import { startDemo } from '../demo/start.ts'
import { settle, shows } from './demo-page.ts'
import { inEveryEngine } from './rig.ts'

inEveryEngine(rig => {
  test('the windows of the demo share one connection, and another one takes over when the one that holds it is closed', async () => {
    const { url } = rig.keep(await startDemo())
    const one = rig.keep(await rig.engine.open(url))
    await settle(one)
    await shows(one, '#tabs-state', '^open$')
    await shows(one, '#tabs-holder', '^this window$')
    const two = rig.keep(await rig.engine.open(url))
    await settle(two)
    await shows(two, '#tabs-holder', '^another window$')
    for (const page of [one, two]) {
      await shows(page, '#tabs-count', '^2$')
      await shows(page, '#tabs-connections', '^1$')
      for (const id of ['own-messages', 'tabs-messages']) await shows(page, `#${id}`, '^[1-9]')
      for (const id of ['own-lost', 'tabs-lost']) expect(await shows(page, `#${id}`, '\\d')).toBe('0')
    }
    await one.evaluate(() => location.assign('about:blank'))
    expect(await shows(two, '#tabs-holder', '^this window$')).toBe('this window')
    await shows(two, '#tabs-state', '^open$')
    await shows(two, '#tabs-count', '^1$')
    expect(await shows(two, '#own-lost', '\\d')).toBe('0')
    expect(await shows(two, '#tabs-lost', '\\d')).toMatch(/^\d+$/)
  })
})
