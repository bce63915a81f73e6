// What only a store outside of the process can show.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'
import { createClient } from 'redis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { redisStore } from '../../src/server.ts'
import { cleanUp, cleanup } from '../support/cleanup.ts'
import { freePort } from '../support/ports.ts'
import { connectRedis, hasRedis, startRedis } from './redis.ts'
import { comeBack, dial, join, startNode, talk, withRedis } from './server-rig.ts'

cleanUp()

const root = fileURLToPath(new URL('../../', import.meta.url))

describe.runIf(hasRedis())('Redis', () => {
  withRedis(stores => {
    const keys = async (prefix: string) => (await stores.client().keys(`${prefix}*`)).sort()

    test('holds only keys that expire, whatever happens to a session', async () => {
      const prefix = `expiring-${process.pid}:`
      const node = await startNode({
        store: redisStore(stores.client(), { prefix }),
        onMessage: ({ data }, session) => session.send(data),
        onJoin: () => true,
        sessionTimeout: 5_000,
      })
      const check = async () => {
        const all = await keys(prefix)
        for (const key of all) {
          const ttl = await stores.client().pTTL(key)
          expect([key, ttl > 0 && ttl <= 10_000]).toEqual([key, true])
        }
        return all.map(key => key.slice(prefix.length, prefix.length + 2)).filter(kind => kind !== 'o:')
      }
      const peer = await join(node.url)
      expect(await check()).toEqual(['g:', 'j:', 's:'])
      peer.say('x', 1)
      peer.send({ type: 'joinGroup', group: 'news', ackId: 2 })
      await peer.ack(2)
      expect(await check()).toEqual(['b:', 'd:', 'g:', 'g:', 'j:', 's:'])
      peer.send({ type: 'sequenceAck', sequenceId: 1 })
      peer.say('y', 3)
      await peer.ack(3)
      const back = await comeBack(peer)
      await check()
      back.socket.terminate()
      await back.closed()
      await node.server.send(back.id, 'meanwhile')
      await check()
      await node.server.end(back.id)
      // Of the node, not of a session.
      expect((await keys(prefix)).filter(key => !key.startsWith(`${prefix}o:`))).toEqual([])
    })

    test('never holds a token', async () => {
      const prefix = `secret-${process.pid}:`
      const { url } = await startNode({ store: redisStore(stores.client(), { prefix }) })
      const peer = await join(url)
      const kept = await stores.client().hGetAll(`${prefix}s:${peer.id}`)
      expect(Object.keys(kept)).toContain('tokens')
      expect(JSON.stringify(kept)).not.toContain(peer.token)
    })

    test('may forget its scripts: the store sends them again', async () => {
      const { url } = await startNode({
        store: stores.next(),
        onMessage: ({ data }, session) => session.send(data),
      })
      const peer = await join(url)
      await stores.client().sendCommand(['SCRIPT', 'FLUSH'])
      peer.say('x', 1)
      expect((await peer.ack(1)).success).toBe(true)
      await peer.got(1)
      expect((await comeBack(peer)).id).toBe(peer.id)
    })

    test('may forget its scripts at any time without reordering messages', async () => {
      const store = stores.next()
      const { url, server } = await startNode({ store, maxUnacknowledged: 10_000 })
      // Another node soon brings the scripts back, in the middle of what this one has on its way.
      const other = await startNode({ store: stores.next(), maxUnacknowledged: 10_000 })
      const peer = await join(url)
      const total = 5_000
      const sends: Promise<number>[] = []
      for (let n = 0; n < total; n++) {
        sends.push(server.send(peer.id, n))
        if (n % 100 === 50) stores.client().sendCommand(['SCRIPT', 'FLUSH'])
        if (n % 100 === 60) other.server.send('nobody', n)
        if (n % 20 === 0) await new Promise(setImmediate)
      }
      await Promise.all(sends)
      expect((await peer.got(total)).map(({ data }) => data)).toEqual(
        Array.from({ length: total }, (_, n) => n),
      )
    })

    test('that loses a session costs its connection', async () => {
      const prefix = `flushed-${process.pid}:`
      const { url } = await startNode({
        store: redisStore(stores.client(), { prefix }),
        sessionTimeout: 1_000,
      })
      const peer = await join(url)
      await stores.client().del(await keys(prefix))
      expect((await peer.closed()).code).toBe(1006)
    })
  })

  test('may go away while the application listens to no error of its client', async () => {
    const port = await freePort()
    const redis = await startRedis(port)
    const client = createClient({ url: redis.url })
    await client.connect()
    cleanup(() => client.destroy())
    const unhandled: unknown[] = []
    const note = (error: unknown) => unhandled.push(error)
    process.on('uncaughtException', note)
    cleanup(() => process.off('uncaughtException', note))
    // As in the guide: nothing but this.
    const { url } = await startNode({ store: redisStore(client), onMessage: () => {} })
    const peer = await join(url)
    const closed = once(client, 'end').catch(() => {})
    await redis.stop()
    const next = await startRedis(port)
    cleanup(() => next.stop())
    peer.say('x', 1)
    await peer.closed()
    await join(url)
    client.destroy()
    await closed
    expect(unhandled).toEqual([])
  })

  test('that is restarted without data costs the sessions, and nothing else', async () => {
    const port = await freePort()
    const redis = await startRedis(port)
    const client = await connectRedis(redis.url)
    cleanup(() => client.destroy())
    const { url, errors } = await startNode({
      store: redisStore(client),
      onMessage: ({ data }, session) => session.send(data),
      sessionTimeout: 1_000,
    })
    const peer = await join(url)
    await redis.stop()
    peer.say('x', 1)
    const next = await startRedis(port)
    cleanup(() => next.stop())
    expect((await peer.closed()).code).toBeGreaterThan(1000)
    expect((await (await dial(peer.recovery)).closed()).code).toBe(1008)
    const fresh = await join(url)
    fresh.say('y', 1)
    expect((await fresh.ack(1)).success).toBe(true)
    expect((await fresh.got(1))[0].data).toBe('y')
    for (const error of errors) expect(`${error}`).not.toContain(peer.token)
  })

  describe('a node that is killed', () => {
    const file = `${root}.tmp/node-${process.pid}.mjs`

    beforeAll(() => {
      mkdirSync(`${root}.tmp`, { recursive: true })
      buildSync({
        entryPoints: [`${root}test/interop/server-node.ts`],
        outfile: file,
        bundle: true,
        packages: 'external',
        platform: 'node',
        format: 'esm',
        logLevel: 'error',
      })
    })

    afterAll(() => rmSync(file, { force: true }))

    const spawn = async (url: string, port: number) => {
      const child: ChildProcess = fork(file, [url, `${port}`])
      cleanup(() => child.kill('SIGKILL'))
      const [address] = (await once(child, 'message')) as [number]
      return { child, port: address }
    }

    test('costs no message, duplicates none and reorders none, with two nodes that are killed in turn', async () => {
      const redis = await startRedis()
      cleanup(() => redis.stop())
      // Ports that nobody else is given while their node is away.
      const nodes = [await spawn(redis.url, await freePort()), await spawn(redis.url, await freePort())]
      let over = false
      const total = Number(process.env.MESSAGES ?? 4_000)
      let turn = 0
      const next = () => `ws://127.0.0.1:${nodes[turn++ % nodes.length]?.port}`
      const finished = talk(next, total).finally(() => {
        over = true
      })
      let kills = 0
      const killing = (async () => {
        for (let victim = 0; !over; victim = 1 - victim) {
          // As random as can be: whatever it is doing right now.
          await new Promise(resolve => setTimeout(resolve, 50 + Math.random() * 150))
          if (over) return
          const node = nodes[victim] as (typeof nodes)[number]
          node.child.kill('SIGKILL')
          await once(node.child, 'exit')
          kills++
          nodes[victim] = await spawn(redis.url, node.port)
        }
      })()
      const { replies, losses } = await finished
      await killing
      expect(replies).toEqual(Array.from({ length: total }, (_, i) => i + 1))
      expect(kills).toBeGreaterThan(0)
      expect(losses).toBeGreaterThan(0)
    }, 120_000)
  })
})
