// Three nodes behind one port: what `npm run start:cluster` starts.
import { afterEach, describe, expect, test } from 'vitest'
import { hasRedis } from '../interop/redis.ts'
import { findProgram } from '../support/debian.ts'
import { press, startDemo, visit } from './start.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const job of cleanups.splice(0).reverse()) await job()
})

const start = async () => {
  const demo = await startDemo('cluster.mjs')
  cleanups.push(() => demo.stop())
  return demo
}

hasRedis()

describe.skipIf(!findProgram('redis-server'))('the demo as a cluster with its own Redis', () => {
  test('kills the requested node unless it is the last one, and starts it again', async () => {
    const demo = await start()
    const feed = await visit(demo, 'feed')
    const { here } = await feed.receives(({ kind, nodes }) => kind === 'nodes' && nodes.length === 3)
    const closed = new Promise(resolve => feed.socket.on('close', resolve))
    expect((await press(demo, `kill?node=${here}`))[1]).toContain(`Node ${here} was killed`)
    expect(await closed).toBe(1006)
    expect((await press(demo, `kill?node=${here}`))[0]).toBe(200)
    expect(await press(demo, `kill?node=${here}`)).toEqual([400, expect.stringContaining('Only one node')])

    const otherFeed = await visit(demo, 'feed')
    const { here: now } = await otherFeed.receives(({ kind }) => kind === 'nodes')
    expect(now).not.toBe(here)
    await demo.prints(`Node ${here} has ended (SIGKILL). It restarts in 4 s.`)
    await otherFeed.receives(({ kind, nodes }) => kind === 'nodes' && nodes.length === 1)
    // The visitors of nodes that have ended do not count.
    const counts = () => otherFeed.texts.filter(({ kind }) => kind === 'visitors').map(({ count }) => count)
    await otherFeed.until(() => counts().at(-1) === 1)
    await otherFeed.until(
      () => otherFeed.texts.filter(({ kind }) => kind === 'nodes').at(-1).nodes.length === 3,
    )
  })

  test('closes connections on all nodes with the requested code, and restarts all nodes', async () => {
    const demo = await start()
    const visitors = [await visit(demo, 'feed'), await visit(demo, 'feed'), await visit(demo, 'feed')]
    const nodes = await Promise.all(visitors.map(one => one.receives(({ kind }) => kind === 'nodes')))
    expect(new Set(nodes.map(({ here }) => here)).size).toBe(3)
    const codes = visitors.map(({ socket }) => new Promise(resolve => socket.on('close', resolve)))
    expect(await press(demo, 'close?code=4001')).toEqual([200, '3 connections were closed with 4001.\n'])
    expect(await Promise.all(codes)).toEqual([4001, 4001, 4001])

    const before = await visit(demo, 'feed')
    before.send({ type: 'push', n: 1, text: 'before' })
    await before.receives(({ body }) => body === 'before')
    const code = new Promise(resolve => before.socket.on('close', resolve))
    await press(demo, 'restart?seconds=1')
    expect(await code).toBe(1012)
    const reconnect = async (): Promise<void> => {
      const visitor = await visit(demo, 'feed').catch(() => undefined)
      if (!visitor) return reconnect()
      await visitor.receives(({ body }) => body === 'before')
    }
    await reconnect()
  })
})

test('the demo as a cluster says what to do if redis-server is missing', async () => {
  const started = startDemo('cluster.mjs', { PATH: '' })
  await expect(started.then(({ kill }) => kill())).rejects.toThrow('apt install redis-server')
})
