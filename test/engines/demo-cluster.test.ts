// The demo's page before what is no single Node process: three of them, or Python. And loaded anew. One engine will do: it is
// the servers that differ.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startDemo } from '../demo/start.ts'
import { hasPython, startPushService } from '../interop/python.ts'
import { hasRedis, startRedis } from '../interop/redis.ts'
import { errors, flow, press, push, settle, shows, suffer } from './demo-page.ts'
import { type Engine, engines, type Page } from './engines.ts'
import { patience } from './rig.ts'

const chromium = engines().find(({ name }) => name === 'chromium')
const hasOne = hasRedis()
const hasPackage = hasPython('websockets')

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
    await settle(page)
    await flow(page)
    return page
  }
  const hidden = (page: Page, id: string) =>
    page.evaluate(`document.getElementById('${id}').offsetParent === null`)

  test.skipIf(!hasOne)('a node that is killed by a button loses nothing, and comes back', async () => {
    const redis = keep(await startRedis())
    const world = { REDIS_URL: redis.url, WORLD: `page-${process.pid}` }
    const { url } = keep(await startDemo('cluster.mjs', world))
    const other = await open(url)
    const page = await open(url)
    await shows(page, '#visitors', '^2$')
    await shows(page, '#node-list', '1.*2.*3')
    expect(await hidden(page, 'fault-kill')).toBe(false)
    // Each page has a node of its own, and both have the same world.
    const node = await shows(page, '#node-list .here', '.')
    expect(await shows(other, '#node-list .here', '.')).not.toBe(node)
    await push(page, 'from one node')
    await shows(other, '#feed', 'from one node')

    expect(await suffer(page, 'fault-kill')).toMatch(/detected after .*, back after .* reliable 0\.$/)
    expect(await shows(page, '#node-list .here', '.')).not.toBe(node)
    await shows(page, '#node-list', '1.*2.*3')
    await push(other, 'after the kill')
    await shows(page, '#feed', 'from one node')
    await shows(page, '#feed', 'after the kill')
    expect(await shows(page, '#reliable-lost', '\\d')).toBe('0')
    for (const one of [page, other]) expect(await errors(one)).toEqual([])
  })

  test.skipIf(!hasPackage)('the same page shows what Python pushes', async () => {
    const service = keep(await startPushService())
    const { url } = keep(await startDemo('server.mjs', { SERVICE: service.url }))
    const other = await open(url)
    const page = await open(url)
    await shows(page, '#visitors', '^2$')
    expect(await hidden(page, 'fault-kill')).toBe(true)
    expect(await hidden(page, 'nodes')).toBe(true)
    await push(page, 'through <Python>')
    await shows(page, '#mine', '1 arrived')
    await shows(other, '#feed', 'through <Python>')
    await shows(page, '#feed', 'bytes, binary')
    await press(page, 'squiggle')
    await shows(page, '#strokes-sent', '^60$')
    await shows(other, '#strokes-others', '^60$')
    await shows(page, '.price', '\\d\\.\\d\\d')
    await press(page, 'push-bad')
    await shows(page, '#answer', "expected 'push'")
    await press(page, 'push-big')
    await shows(page, '#answer', '262144 bytes. This one has 307200')

    expect(await suffer(page, 'fault-cut')).toMatch(/detected after .*, back after .* reliable 0\.$/)
    await shows(page, '#reliable-arrived', '\\d\\d\\d')
    expect(await shows(page, '#reliable-lost', '\\d')).toBe('0')
    await press(page, 'fault-restart')
    await shows(page, '#happened', 'runs elsewhere')
    expect(await shows(page, '#noticed', '^–$')).toBe('–')
    for (const one of [page, other]) expect(await errors(one)).toEqual([])
  })

  test('after a reload, the page continues its reliable session, and misses no number', async () => {
    const { url } = keep(await startDemo())
    const page = await open(url)
    const session = () => page.evaluate<string, []>('window.demo.sockets.at(-1).connectionId')
    const before = await session()
    await page.goto(url)
    await settle(page)
    await flow(page)
    expect(await session()).toBe(before)
    for (const id of ['reliable-lost', 'reliable-lost-up']) {
      expect(await shows(page, `#${id}`, '\\d')).toBe('0')
    }
    expect(await page.evaluate("document.querySelector('.reliable .twice').textContent")).toBe('duplicated00')
    expect(await errors(page)).toEqual([])
  })
})
