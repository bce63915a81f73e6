// Tests that need a store outside of the process.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'
import { createClient } from 'redis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RedisClient, redisStore } from '../../src/server.ts'
import { cleanUp, cleanup } from '../support/cleanup.ts'
import { eventually } from '../support/eventually.ts'
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
        return ofSessions(all).map(key => key.slice(prefix.length, prefix.length + 2))
      }
      // The others are those of nodes, and of the store itself.
      const ofSessions = (all: string[]) => all.filter(key => !/^(e|n|o:.*)$/.test(key.slice(prefix.length)))
      const peer = await join(node.url)
      expect(await check()).toEqual(['g:', 'j:', 's:', 'y:'])
      peer.say('x', 1)
      peer.send({ type: 'joinGroup', group: 'news', ackId: 2 })
      await peer.ack(2)
      expect(await check()).toEqual(['d:', 'g:', 'g:', 'j:', 's:', 'y:', 'y:'])
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
      expect(ofSessions(await keys(prefix))).toEqual([])
    })

    test('never holds a token', async () => {
      const prefix = `secret-${process.pid}:`
      const { url } = await startNode({ store: redisStore(stores.client(), { prefix }) })
      const peer = await join(url)
      const kept = await stores.client().hGetAll(`${prefix}s:${peer.id}`)
      expect(Object.keys(kept)).toContain('tokens')
      expect(JSON.stringify(kept)).not.toContain(peer.token)
    })

    test('does not keep sessions that have expired in their groups', async () => {
      const prefix = `swept-${process.pid}:`
      const { url, server } = await startNode({
        store: redisStore(stores.client(), { prefix }),
        authorize: () => ({ groups: ['g'] }),
        sessionTimeout: 2_000,
      })
      const left = await Promise.all(Array.from({ length: 150 }, () => join(url)))
      const stays = await join(url)
      expect(await stores.client().zCard(`${prefix}g:g`)).toBe(151)
      for (const { socket } of left) socket.terminate()
      await eventually(async () => {
        await server.publish('g', 'x')
        for (const group of ['', 'g']) {
          expect(await stores.client().zCard(`${prefix}g:${group}`)).toBe(1)
          expect(await stores.client().zCard(`${prefix}y:${group}`)).toBe(1)
        }
      }, 200)
      expect(stays.end).toBeUndefined()
    })

    describe('a session that expires', () => {
      const ended = async (prefix: string) => {
        const ends: unknown[] = []
        const node = await startNode({
          store: redisStore(stores.client(), { prefix, warn: false }),
          authorize: () => 'alice',
          sessionTimeout: 400,
          onEnd: (session, close) => ends.push([node.port, session, close]),
        })
        return { ...node, ends }
      }
      const expired = { code: 1008, reason: 'the session has expired' }

      test('is reported to onEnd of the node that held it last, once', async () => {
        const prefix = `ended-${process.pid}:`
        const [first, second] = [await ended(prefix), await ended(prefix)]
        const peer = await join(first.url)
        peer.socket.terminate()
        await eventually(() => expect(first.ends).not.toEqual([]))
        expect(first.ends).toEqual([[first.port, { id: peer.id, userId: 'alice' }, expired]])
        expect(second.ends).toEqual([])
        expect((await (await dial(peer.recovery)).closed()).code).toBe(1008)
      })

      test('is reported to another node if that one is gone', async () => {
        const prefix = `ended-elsewhere-${process.pid}:`
        const first = await ended(prefix)
        const peer = await join(first.url)
        peer.socket.terminate()
        await first.server.close({ timeout: 0 })
        const second = await ended(prefix)
        await eventually(() => expect(second.ends).not.toEqual([]))
        expect(second.ends).toEqual([[second.port, { id: peer.id, userId: 'alice' }, expired]])
      })
    })

    test('has room for maxSessions sessions, of those that have not expired', async () => {
      const prefix = `room-${process.pid}:`
      const store = redisStore(stores.client(), { prefix, maxSessions: 2 })
      const { url } = await startNode({ store, sessionTimeout: 200 })
      const [first] = [await join(url), await join(url)]
      expect((await (await dial(url)).closed()).code).toBe(1013)
      first.socket.terminate()
      await eventually(() => join(url), 50)
    })

    describe('a publication to many sessions', () => {
      const MEMBERS = 350
      const crowd = async (client = stores.client()) => {
        const prefix = `crowd-${process.pid}-${Math.random()}:`
        const limits = {
          sessionTimeout: 60_000,
          maxUnacknowledged: 100,
          maxUnacknowledgedBytes: 2 ** 22,
          maxGroups: 5,
          dedupeWindow: 10,
          idTimeout: 604_800_000,
          maxIds: 10_000,
        }
        const open = async (over: RedisClient = client) => {
          const node = await redisStore(over, { prefix }).open(limits, () => {})
          cleanup(() => node.close())
          return node
        }
        const node = await open()
        const ids = Array.from({ length: MEMBERS }, (_, i) => `s${i}`)
        await Promise.all(ids.map(id => node.create({ id, token: 't', userId: '', groups: ['g'] })))
        const received = (id: string) =>
          node.read(id, 1, 0, 100).then(list => list?.map(({ frame }) => frame))
        return { node, open, ids, received }
      }
      /** A client that counts scripts, and calls a hook of the test before each. */
      const watched = (hook: (call: number) => Promise<unknown> | undefined = () => undefined) => {
        let calls = 0
        const client = stores.client()
        const over: RedisClient = {
          sendCommand: async args => {
            if (args[0] === 'EVALSHA') await hook(++calls)
            return client.sendCommand(args)
          },
          on: () => {},
          duplicate: () => client.duplicate(),
        }
        return { over, calls: () => calls }
      }
      const publish = (frame: string) => ({ kind: 'publish', group: 'g', frame }) as const

      test('is made in parts of 200, reaches each once, and nothing sent later overtakes it', async () => {
        const { open, ids, received } = await crowd()
        const { over, calls } = watched()
        const node = await open(over)
        const [count] = await Promise.all([
          node.commit([publish('{1}')]),
          node.commit([{ kind: 'send', session: 's99', frame: '{2}' }]),
          node.commit([publish('{3}')]),
        ])
        expect(count).toEqual({ outcome: 'done', count: MEMBERS })
        for (const id of ids)
          expect(await received(id)).toEqual(id === 's99' ? ['{1}', '{2}', '{3}'] : ['{1}', '{3}'])
        // The store was opened, there were three commits, and two parts of each publication.
        expect(calls()).toBe(8)
      })

      test('of a client is completed once by the next node if the first one is killed in the middle', async () => {
        const { node, open, ids, received } = await crowd()
        await node.create({ id: 'author', token: 't1', userId: 'u', groups: [] })
        // The node is killed after the first part.
        const dying = await open(watched(call => (call === 4 ? new Promise(() => {}) : undefined)).over)
        const claim = { session: 'author', epoch: 1, ackId: 7 }
        dying.commit([publish('{1}'), { kind: 'send', session: 'author', frame: '{2}' }], claim)
        await eventually(async () => expect(await received('s0')).toEqual(['{1}']))
        expect(await received('s99')).toEqual([])
        const next = await open()
        const lease = await next.resume('author', 't1', 't2', 'u')
        expect(lease?.handled).toEqual([7])
        expect((await next.read('author', 2, 0, 10))?.map(({ frame }) => frame)).toEqual(['{2}'])
        for (const id of ids) expect(await received(id)).toEqual(['{1}'])
        expect(await next.commit([], { ...claim, epoch: 2 })).toEqual({ outcome: 'duplicate', count: 0 })
      })
    })

    test.each(['s:', 'd:', 'j:', 'g:'])(
      'that loses the key %s of a session ends the session, and refuses to resume it',
      async kind => {
        const prefix = `lost-${kind}${process.pid}:`
        const { url } = await startNode({
          store: redisStore(stores.client(), { prefix, warn: false }),
          onMessage: ({ data }, session) => session.send(data),
          authorize: () => ({ groups: ['g'] }),
          sessionTimeout: 1_000,
        })
        const peer = await join(url)
        peer.say('x', 1)
        await peer.got(1)
        await stores.client().del(`${prefix}${kind}${kind === 'g:' ? 'g' : peer.id}`)
        peer.say('y', 2)
        // The commit of the next message detects it, or the store's own notification.
        expect([1006, 1008]).toContain((await peer.closed()).code)
        expect((await (await dial(peer.recovery)).closed()).code).toBe(1008)
      },
    )

    test('that loses a shared frame ends the session that has not received it, and refuses to resume it', async () => {
      const prefix = `frame-${process.pid}:`
      const store = redisStore(stores.client(), { prefix, warn: false })
      const { url, server } = await startNode({ store, authorize: () => ({ groups: ['g'] }) })
      const [peer, other] = [await join(url), await join(url)]
      peer.socket.terminate()
      await peer.closed()
      await server.publish('g', 'x')
      expect((await other.got(1))[0].data).toBe('x')
      await stores.client().del((await keys(prefix)).filter(key => key.startsWith(`${prefix}m:`)))
      await server.send(peer.id, 'y')
      const back = await dial(peer.recovery)
      expect((await back.closed()).code).toBe(1008)
      expect(back.messages).toEqual([])
      expect((await (await dial(peer.recovery)).closed()).code).toBe(1008)
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
      // Another node soon loads the scripts again, while this one has commands in flight.
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
    // As the guide shows it.
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
      store: redisStore(client, { warn: false }),
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
      // Ports that no other process gets while their node is down.
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
          // The node is killed at a random moment.
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
    })
  })
})
