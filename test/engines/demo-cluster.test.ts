// Tests the demo's page with a cluster of three Node processes, with a server in Python, and after a reload. One engine is enough, because
// the servers differ, not the page.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startDemo } from '../demo/start.ts'
import { hasPython, startPushService } from '../interop/python.ts'
import { hasRedis, startRedis } from '../interop/redis.ts'
import { errors, injectFault, press, push, waitForStreams, waitForText, waitUntilReady } from './demo-page.ts'
import { type Engine, engines, type Page } from './engines.ts'
import { patience } from './rig.ts'

const chromium = engines().find(({ name }) => name === 'chromium')
const redisAvailable = hasRedis()
const pythonAvailable = hasPython('websockets')

describe.skipIf(!chromium)('chromium', { timeout: patience }, () => {
  const kept: ({ close(): unknown } | { stop(): unknown })[] = []
  const keep = <Kept extends (typeof kept)[number]>(one: Kept): Kept => {
    kept.push(one)
    return one
  }
  let engine: Engine

  beforeAll(async () => {
    if (chromium) engine = await chromium.launch()
  }, patience)
  afterEach(async () => {
    for (const one of kept.splice(0).reverse()) await ('close' in one ? one.close() : one.stop())
  })
  afterAll(() => engine?.close())

  const open = async (url: string): Promise<Page> => {
    const page = keep(await engine.open(url))
    await waitUntilReady(page)
    await waitForStreams(page)
    return page
  }
  const isHidden = (page: Page, id: string) =>
    page.evaluate(`document.getElementById('${id}').offsetParent === null`)

  test.skipIf(!redisAvailable)(
    'killing a node with the button loses nothing, and the node starts again',
    async () => {
      const redis = keep(await startRedis())
      const world = { REDIS_URL: redis.url, WORLD: `page-${process.pid}` }
      const { url } = keep(await startDemo('cluster.mjs', world))
      const other = await open(url)
      const page = await open(url)
      await waitForText(page, '#visitors', '^2$')
      await waitForText(page, '#node-list', '1.*2.*3')
      expect(await isHidden(page, 'fault-kill')).toBe(false)
      // The pages are connected to different nodes, which share their state.
      const node = await waitForText(page, '#node-list .here', '.')
      expect(await waitForText(other, '#node-list .here', '.')).not.toBe(node)
      await push(page, 'from one node')
      await waitForText(other, '#feed', 'from one node')

      expect(await injectFault(page, 'fault-kill')).toMatch(/detected after .*, back after .* reliable 0\.$/)
      expect(await waitForText(page, '#node-list .here', '.')).not.toBe(node)
      await waitForText(page, '#node-list', '1.*2.*3')
      await push(other, 'after the kill')
      await waitForText(page, '#feed', 'from one node')
      await waitForText(page, '#feed', 'after the kill')
      expect(await waitForText(page, '#reliable-lost', '\\d')).toBe('0')
      for (const one of [page, other]) expect(await errors(one)).toEqual([])
    },
  )

  test.skipIf(!pythonAvailable)('the same page works with a server in Python', async () => {
    const service = keep(await startPushService())
    const { url } = keep(await startDemo('server.mjs', { SERVICE: service.url }))
    const other = await open(url)
    const page = await open(url)
    await waitForText(page, '#visitors', '^2$')
    expect(await isHidden(page, 'fault-kill')).toBe(true)
    expect(await isHidden(page, 'nodes')).toBe(true)
    await push(page, 'through <Python>')
    await waitForText(page, '#mine', '1 arrived')
    await waitForText(other, '#feed', 'through <Python>')
    await waitForText(page, '#feed', 'bytes, binary')
    await press(page, 'squiggle')
    await waitForText(page, '#strokes-sent', '^60$')
    await waitForText(other, '#strokes-others', '^60$')
    await waitForText(page, '.price', '\\d\\.\\d\\d')
    await press(page, 'push-bad')
    await waitForText(page, '#answer', "expected 'push'")
    await press(page, 'push-big')
    await waitForText(page, '#answer', '262144 bytes. This one has 307200')

    expect(await injectFault(page, 'fault-cut')).toMatch(/detected after .*, back after .* reliable 0\.$/)
    await waitForText(page, '#reliable-arrived', '\\d\\d\\d')
    expect(await waitForText(page, '#reliable-lost', '\\d')).toBe('0')
    await press(page, 'fault-restart')
    await waitForText(page, '#happened', 'runs elsewhere')
    expect(await waitForText(page, '#noticed', '^–$')).toBe('–')
    for (const one of [page, other]) expect(await errors(one)).toEqual([])
  })

  test('after a reload, the page continues its reliable session and misses no message', async () => {
    const { url } = keep(await startDemo())
    const page = await open(url)
    const session = () => page.evaluate<string, []>('window.demo.sockets.at(-1).connectionId')
    const before = await session()
    await page.goto(url)
    await waitUntilReady(page)
    await waitForStreams(page)
    expect(await session()).toBe(before)
    for (const id of ['reliable-lost', 'reliable-lost-up']) {
      expect(await waitForText(page, `#${id}`, '\\d')).toBe('0')
    }
    expect(await page.evaluate("document.querySelector('.reliable .twice').textContent")).toBe('duplicated00')
    expect(await errors(page)).toEqual([])
  })
})
