// Takes the screenshots of the demo for the README. Run it after each change of the page, and after npm run build:
//
//   node demo/pictures/take.mjs
//
// It needs Chromium (CHROME_PATH, if it is not /usr/bin/chromium) and img2webp (Debian: apt install webp).
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import puppeteer from 'puppeteer-core'
import { startDemo } from '../server/server.mjs'

const folder = fileURLToPath(new URL('.', import.meta.url))
const wide = { width: 1360, height: 1000 }
/** A viewport with one column, so that the connection is above the streams. */
const narrow = { width: 880, deviceScaleFactor: 0.8 }
const frames = { every: 250, count: 56, brokenAfter: 6 }

const browser = await puppeteer.launch({
  executablePath: process.env.CHROME_PATH ?? '/usr/bin/chromium',
  args: process.getuid?.() === 0 ? ['--no-sandbox', '--disable-gpu'] : ['--disable-gpu'],
})
const demo = await startDemo({ port: 0 })

/** Opens the page, and waits until it has data. */
const visit = async (viewport, scheme = 'light') => {
  const page = await browser.newPage({ type: 'window' })
  await page.setViewport(viewport)
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }])
  await page.goto(demo.url)
  await page.waitForFunction(() => Number(document.querySelector('#plain-arrived').textContent) > 150)
  return page
}

const press = (page, id) => page.$eval(`#${id}`, one => one.click())
const state = (page, name) =>
  page.waitForFunction(name => document.querySelector('#state').textContent === name, {}, name)

const takeStill = async (name, viewport, scheme) => {
  const page = await visit(viewport, scheme)
  await press(page, 'squiggle')
  await pause(1_500)
  await page.screenshot({ path: `${folder}${name}.png` })
  await page.close()
}

const takeStrip = async () => {
  const page = await visit(wide)
  await press(page, 'squiggle')
  await pause(1_500)
  const streams = await page.$('.streams')
  const strip = [['1. Before', await streams.screenshot({ encoding: 'base64' })]]
  await press(page, 'fault-refuse')
  await state(page, 'waiting')
  await press(page, 'send-five')
  await pause(2_000)
  await state(page, 'waiting')
  strip.push(['2. The line is refused', await streams.screenshot({ encoding: 'base64' })])
  await page.waitForFunction(() => document.querySelector('#result').dataset.phase === 'done')
  strip.push([
    '3. Back: plain has holes, reliable has none',
    await streams.screenshot({ encoding: 'base64' }),
  ])
  await page.close()

  const sheet = await browser.newPage()
  await sheet.setViewport({ width: 1120, height: 800 })
  await sheet.setContent(
    `<style>body { margin: 8px; font: bold 15px sans-serif; background: #f5f6f8 } img { width: 100%; margin: 4px 0 16px }</style>
    ${strip.map(([words, data]) => `${words}<img src="data:image/png;base64,${data}">`).join('')}`,
  )
  await sheet.screenshot({ path: `${folder}strip.png`, fullPage: true })
  await sheet.close()
}

/** An animation of one outage, in real time. */
const takeFilm = async () => {
  const shots = await mkdtemp(join(tmpdir(), 'film-'))
  const page = await visit({ ...narrow, height: 1000 })
  const box = await page.evaluate(() => {
    // Hides elements that are not part of the animation, or change its height.
    for (const one of ['#toasts', '.hero', '.break', '.feed', '.replacement']) {
      document.querySelector(one).style.display = 'none'
    }
    const { bottom } = document.querySelector('.streams').getBoundingClientRect()
    return { x: 0, y: 0, width: innerWidth, height: scrollY + bottom + 8 }
  })
  await page.setViewport({ ...narrow, height: Math.ceil(box.y + box.height) })
  const paths = []
  for (let n = 0; n < frames.count; n++) {
    const due = pause(frames.every)
    if (n === frames.brokenAfter) {
      await press(page, 'fault-refuse')
      await press(page, 'send-five')
    }
    const path = join(shots, `${n}.png`)
    await writeFile(path, await page.screenshot({ clip: box }))
    paths.push(path)
    await due
  }
  await page.close()
  const [last, ...first] = paths.reverse()
  execFileSync('img2webp', [
    ...['-loop', '0', '-lossy', '-q', '45', '-m', '6', '-d', String(frames.every)],
    ...first.reverse(),
    ...['-d', '3000', last],
    ...['-o', `${folder}outage.webp`],
  ])
  await rm(shots, { recursive: true })
}

try {
  await takeStill('light', wide, 'light')
  await takeStill('dark', wide, 'dark')
  await takeStill('narrow', { width: 390, height: 844 })
  await takeStrip()
  await takeFilm()
} finally {
  await browser.close()
  await demo.close()
}
