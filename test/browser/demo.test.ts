// The demo as a visitor sees it, on the built bundles: both pages, every engine, a real outage.
import { expect, test } from 'vitest'
import { startDemo } from '../../demo/server.mjs'
import type { Page } from './page.ts'
import { inEveryEngine } from './rig.ts'

/** Resolves when an element's text matches. */
const shows = (page: Page, id: string, pattern: string) =>
  page.evaluate(
    (id, pattern) =>
      new Promise<string>(resolve => {
        const look = () => {
          const text = document.getElementById(id)?.textContent ?? ''
          if (!new RegExp(pattern).test(text)) return
          watcher.disconnect()
          resolve(text)
        }
        const watcher = new MutationObserver(look)
        watcher.observe(document, { subtree: true, childList: true, characterData: true, attributes: true })
        look()
      }),
    id,
    pattern,
  )

const press = (page: Page, id: string) => page.evaluate(id => document.getElementById(id)?.click(), id)

inEveryEngine(rig => {
  const visit = async (file: string) => {
    const demo = rig.keep(await startDemo({ port: 0 }))
    const page = rig.keep(await rig.engine.open(`${demo.url}${file}`))
    await shows(page, 'state', 'open')
    await shows(page, 'feed', '\\w')
    return page
  }

  test('shows notifications with the ESM build', async () => {
    await visit('esm.html')
  })

  test('shows text and pictures with the UMD build, and what was sent in an outage arrives in order', async () => {
    const page = await visit('index.html')
    await page.evaluate(
      () =>
        new Promise<void>(resolve => {
          const look = () =>
            document.querySelector<HTMLImageElement>('#pictures img')?.naturalWidth && resolve()
          new MutationObserver(look).observe(document, { subtree: true, childList: true })
          document.addEventListener('load', look, true)
          look()
        }),
    )

    await press(page, 'refuse')
    await shows(page, 'state', 'waiting')
    await press(page, 'send-five')
    expect(await shows(page, 'queued', '[1-9]')).toBe('5')
    expect(await shows(page, 'countdown', '\\d')).toMatch(/\d s/)
    await shows(page, 'state', 'open')
    expect(await shows(page, 'arrived', '5')).toMatch(/^\s*1\s*2\s*3\s*4\s*5\s*$/)

    await press(page, 'cut')
    await shows(page, 'log', '1006')
    await shows(page, 'state', 'open')
    await press(page, 'close')
    await shows(page, 'state', 'closed')
    await press(page, 'connect')
    await shows(page, 'state', 'open')
  })
})
