// Faults between a client and a node, and between a node and its store.
import { describe, expect, test } from 'vitest'
import { memoryStore, type Session, type Store, type StoreNode } from '../../src/server.ts'
import { cleanUp, cleanup } from '../support/cleanup.ts'
import { eventually } from '../support/eventually.ts'
import { startProxy } from '../support/proxy.ts'
import { altered, comeBack, dial, forEachStore, join, startNode, talk } from './server-rig.ts'

cleanUp()

const proxied = async (port: number) => {
  const proxy = await startProxy({ port })
  cleanup(() => proxy.close())
  return proxy
}

const datas = (frames: any[]) => frames.map(({ data }) => data)

forEachStore(stores => {
  const start = (options: Parameters<typeof startNode>[0] = {}) =>
    startNode({ store: stores.next(), ...options })
  const echo = () => start({ onMessage: ({ data }, session) => session.send(data) })

  describe('a connection', () => {
    test('may be cut between processing and acknowledgement without loss or duplicates', async () => {
      const { port, server } = await echo()
      const proxy = await proxied(port)
      const peer = await join(proxy.url())
      proxy.freeze('down')
      peer.say('paid', 1)
      await eventually(() => expect(server.stats.received).toBe(1))
      proxy.reset()
      proxy.thaw()
      const back = await comeBack(peer)
      expect(peer.frames.some(({ type }) => type === 'ack')).toBe(false)
      back.say('paid', 1)
      back.say('next', 2)
      expect((await back.ack(1)).error.name).toBe('Duplicate')
      await back.ack(2)
      expect(datas(await back.got(2))).toEqual(['paid', 'next'])
    })

    test('that is cut inside connected leaves the older token valid, again and again', async () => {
      const { port, server } = await echo()
      const proxy = await proxied(port)
      const peer = await join(proxy.url())
      const [first] = proxy.connections
      const whole = first?.forwarded.down as number
      peer.socket.terminate()
      await peer.closed()
      for (let i = 1; i <= 3; i++) {
        proxy.cutAfter(whole - 20, 'down')
        const cut = await dial(peer.recovery)
        // Sent before connected, as the reference client does: it does not show that the token has arrived.
        if (!cut.end) cut.say(`early ${i}`, i)
        await cut.closed()
        expect(cut.frames).toEqual([])
        await eventually(() => expect(server.stats).toMatchObject({ resumed: i, connections: 0 }))
      }
      proxy.cutAfter(Infinity, 'down')
      const back = await join(peer.recovery)
      expect(back.id).toBe(peer.id)
    })

    test('may break in the middle of a large message, which is then delivered once', async () => {
      const { port, server } = await echo()
      const proxy = await proxied(port)
      const peer = await join(proxy.url())
      const large = 'x'.repeat(900_000)
      proxy.cutAfter(400_000, 'up')
      peer.say(large, 1)
      await peer.closed()
      expect(server.stats.received).toBe(0)
      proxy.cutAfter(400_000, 'down')
      const cut = await join(peer.recovery)
      proxy.cutAfter(Infinity, 'up')
      cut.socket.terminate()
      proxy.cutAfter(Infinity, 'down')
      const again = await join(cut.recovery)
      proxy.cutAfter(400_000, 'down')
      again.say(large, 1)
      await again.closed()
      proxy.cutAfter(Infinity, 'down')
      const back = await join(again.recovery)
      back.say(large, 1)
      expect((await back.ack(1)).error.name).toBe('Duplicate')
      expect((await back.got(1))[0].data).toBe(large)
      expect([server.stats.received, back.messages.length]).toEqual([1, 1])
    })

    test('may be replaced while a message is being stored, which is then processed once', async () => {
      let runs = 0
      let resuming: Promise<unknown> | undefined
      let resumed = () => {}
      const store = altered(stores.next(), node => ({
        // The store receives the request to resume first, and both answers arrive in the same task.
        commit: async (...args) => {
          if (runs === 1 && !resuming) await new Promise<void>(resolve => (resumed = resolve))
          const answer = await node.commit(...args)
          return answer
        },
        resume: (...args) => {
          resuming = node.resume(...args)
          resumed()
          return resuming.then(() => new Promise(setImmediate)).then(() => resuming) as ReturnType<
            StoreNode['resume']
          >
        },
      }))
      const { url, server } = await startNode({
        store,
        onMessage: ({ data }, session) => {
          runs++
          session.send(data)
        },
      })
      const peer = await join(url)
      peer.say('x', 1)
      await eventually(() => expect(runs).toBe(1))
      const back = await comeBack(peer)
      back.say('x', 1)
      await back.ack(1)
      expect(datas(await back.got(1))).toEqual(['x'])
      expect(runs).toBe(1)
      expect(server.stats.connections).toBe(1)
    })

    test('may be cut anywhere, all the time, without loss, duplicates or reordering', async () => {
      const { port, server } = await echo()
      const proxy = await proxied(port)
      // The connection is cut after a random number of bytes, in handshakes, frames or acknowledgements.
      let seed = 7
      const random = (below: number) => {
        seed = (seed * 48_271) % 2_147_483_647
        return seed % below
      }
      const url = `ws://127.0.0.1:${proxy.port}`
      const next = () => {
        proxy.cutAfter(Infinity, 'up')
        proxy.cutAfter(Infinity, 'down')
        proxy.cutAfter(100 + random(random(3) ? 20_000 : 900), random(2) ? 'up' : 'down')
        return url
      }
      const { replies, losses } = await talk(next, 2_000)
      expect(replies).toEqual(Array.from({ length: 2_000 }, (_, i) => i + 1))
      expect(losses).toBeGreaterThan(10)
      expect(server.stats).toMatchObject({ received: 2_000, failed: 0 })
    })

    test('that is dead is abandoned, and the session is kept', async () => {
      const { port, server } = await start({ sessionTimeout: 200 })
      const proxy = await proxied(port)
      const peer = await join(proxy.url())
      proxy.freeze()
      await eventually(() => expect(server.stats.connections).toBe(0))
      proxy.reset()
      proxy.thaw()
      expect((await join(peer.recovery)).id).toBe(peer.id)
    })

    test('that only answers pings is kept', async () => {
      const { url, server } = await start({ sessionTimeout: 600 })
      const peer = await join(url)
      let pings = 0
      await new Promise<void>(resolve => {
        peer.socket.on('ping', () => ++pings === 4 && resolve())
      })
      expect(server.stats.connections).toBe(1)
      expect(peer.end).toBeUndefined()
    })
  })

  describe('a node that shuts down', () => {
    test('waits for running handlers, and then closes with the time after which clients may come back', async () => {
      const begun: unknown[] = []
      let finish = () => {}
      const store = stores.next()
      const { url, server } = await startNode({
        store,
        onMessage: ({ data }) => {
          begun.push(data)
          return new Promise<void>(resolve => {
            finish = resolve
          })
        },
      })
      const peer = await join(url)
      peer.say('a', 1)
      peer.say('b', 2)
      peer.send({ type: 'ping' })
      await peer.get(({ type }) => type === 'pong')
      const closed = server.close({ retryAfter: 3 })
      finish()
      await closed
      expect(await peer.closed()).toEqual({ code: 1012, reason: 'retry-after=3' })
      expect(peer.frames.filter(({ type }) => type === 'ack')).toEqual([
        { type: 'ack', ackId: 1, success: true },
      ])

      expect(begun).toEqual(['a'])

      const heard: unknown[] = []
      const next = await startNode({ store: stores.next(), onMessage: ({ data }) => void heard.push(data) })
      const { search } = new URL(peer.recovery)
      const back = await join(`${next.url}/${search}`)
      back.say('b', 2)
      expect((await back.ack(2)).success).toBe(true)
      expect(heard).toEqual(['b'])
    })

    test('sends no disconnected frame, because the sessions continue', async () => {
      const { url, server } = await start()
      const peer = await join(url)
      await server.close()
      expect((await peer.closed()).code).toBe(1012)
      expect(peer.frames.filter(({ event }) => event === 'disconnected')).toEqual([])
    })

    test('closes new connections with 1012', async () => {
      let finish = () => {}
      const { url, server } = await start({
        onMessage: () =>
          new Promise<void>(resolve => {
            finish = resolve
          }),
      })
      const peer = await join(url)
      peer.say('a', 1)
      peer.send({ type: 'ping' })
      await peer.get(({ type }) => type === 'pong')
      const closed = server.close()
      expect(await (await dial(url)).closed()).toEqual({ code: 1012, reason: 'retry-after=1' })
      finish()
      await closed
    })

    test('does not wait forever for a handler or for a dead client', async () => {
      const { port, server } = await start({ onMessage: () => new Promise(() => {}) })
      const proxy = await proxied(port)
      const peer = await join(proxy.url())
      peer.say('a', 1)
      peer.send({ type: 'ping' })
      await peer.get(({ type }) => type === 'pong')
      proxy.freeze()
      await server.close({ timeout: 10 })
      expect(server.stats.connections).toBe(0)
    })

    test('rejects an invalid retryAfter', async () => {
      const { server } = await start()
      await expect(server.close({ retryAfter: -1 })).rejects.toThrow(TypeError)
    })
  })

  test('a server that restarts without its store does not know the session', async () => {
    const { url } = await start()
    const peer = await join(url)
    const next = await startNode({ store: memoryStore() })
    const { search } = new URL(peer.recovery)
    expect((await (await dial(`${next.url}/${search}`)).closed()).code).toBe(1008)
  })

  describe('another node', () => {
    test('continues the session with its backlog, groups and processed ids', async () => {
      const handlers = { onMessage: ({ data }: any, session: any) => session.send(data), onJoin: () => true }
      const [a, b] = [await start(handlers), await start(handlers)]
      const peer = await join(a.url)
      peer.send({ type: 'joinGroup', group: 'g', ackId: 1 })
      peer.say('on a', 2)
      await peer.ack(2)
      const back = await comeBack(peer, b.url)
      back.say('on a', 2)
      back.say('on b', 3)
      expect((await back.ack(2)).error.name).toBe('Duplicate')
      await back.ack(3)
      await a.server.publish('g', 'from a')
      expect((await back.got(3)).map(({ sequenceId, data }) => [sequenceId, data])).toEqual([
        [1, 'on a'],
        [2, 'on b'],
        [3, 'from a'],
      ])
      expect(await a.server.send(peer.id, 'direct')).toBe(4)
      expect((await back.got(4))[3].data).toBe('direct')
      const home = await comeBack(back, a.url)
      home.send({ type: 'sequenceAck', sequenceId: 4 })
      home.say('on b', 3)
      expect((await home.ack(3)).error.name).toBe('Duplicate')
    })

    test('closes the connection that the first node still has after a moment', async () => {
      // The first node learns of it from a notification of the other one, not from its regular queries.
      const blind = altered(stores.next(), () => ({ touch: async held => held.map(() => 0) }))
      const [a, b] = [await startNode({ store: blind }), await start()]
      const old = await join(a.url)
      const { search } = new URL(old.recovery)
      const next = await join(`${b.url}/${search}`)
      expect((await old.closed()).code).toBe(1000)
      await eventually(() => expect(a.server.stats.connections).toBe(0))
      expect(next.end).toBeUndefined()
      expect(await a.server.send(next.id, 'found')).toBe(1)
      await next.got(1)
    })

    test('that has taken over invalidates what the first node is still processing', async () => {
      let finish = () => {}
      const a = await start({
        onMessage: (_, session) => {
          session.send('from a')
          return new Promise<void>(resolve => {
            finish = resolve
          })
        },
      })
      const b = await start({ onMessage: (_, session) => session.send('from b') })
      const peer = await join(a.url)
      peer.say('question', 1)
      peer.send({ type: 'ping' })
      await peer.get(({ type }) => type === 'pong')
      const back = await comeBack(peer, b.url)
      finish()
      back.say('question', 1)
      expect((await back.ack(1)).success).toBe(true)
      await back.got(1)
      // On the first node again: it has also discarded what it handled in vain.
      const home = await comeBack(back, a.url)
      expect(datas(await home.got(1))).toEqual(['from b'])
      home.say('question', 1)
      expect((await home.ack(1)).error.name).toBe('Duplicate')
      expect(home.messages).toHaveLength(1)
    })

    test('that has held the session makes the first node read it again from the store, even if the notification was lost', async () => {
      const store = stores.next()
      const deaf: Store = { open: limits => store.open(limits, () => {}) }
      // The handler of the first message never finishes.
      const a = await startNode({ store: deaf, onMessage: () => new Promise(() => {}) })
      const b = await start({ onMessage: () => {} })
      const peer = await join(a.url)
      peer.say('stuck', 1)
      peer.send({ type: 'ping' })
      await peer.get(({ type }) => type === 'pong')
      const away = await comeBack(peer, b.url)
      away.say('stuck', 1)
      away.say('handled', 2)
      await away.ack(2)
      const home = await comeBack(away, a.url)
      home.say('handled', 2)
      expect((await home.ack(2)).error.name).toBe('Duplicate')
    })

    test('can end a session that is connected to the first node', async () => {
      const [a, b] = [await start(), await start()]
      const peer = await join(a.url)
      expect(await b.server.end(peer.id, 4000, 'bye')).toBe(true)
      expect(await peer.closed()).toEqual({ code: 4000, reason: 'bye' })
    })

    test('has its messages delivered even if the notification was lost', async () => {
      const store = stores.next()
      const deaf: Store = { open: limits => store.open(limits, () => {}) }
      const a = await startNode({ store: deaf, sessionTimeout: 1_000 })
      const b = await start({ sessionTimeout: 1_000 })
      const peer = await join(a.url)
      await b.server.send(peer.id, 'unheard of')
      expect((await peer.got(1))[0].data).toBe('unheard of')
      // The notification that it has lost the session is also lost.
      const { search } = new URL(peer.recovery)
      await join(`${b.url}/${search}`)
      expect((await peer.closed()).code).toBe(1006)
    })
  })

  test('an acknowledgement is stored although the one before it belongs to an older epoch', async () => {
    let isAsked = () => {}
    let release = () => {}
    const asked = new Promise<void>(resolve => (isAsked = resolve))
    const gate = new Promise<void>(resolve => (release = resolve))
    const done: unknown[] = []
    const store = altered(stores.next(), node => ({
      acknowledge: async (id, epoch, sequenceId) => {
        isAsked()
        await gate
        await node.acknowledge(id, epoch, sequenceId)
        done.push([epoch, sequenceId])
      },
    }))
    const { url, server } = await startNode({ store })
    const peer = await join(url)
    await server.send(peer.id, 'x')
    await peer.got(1)
    peer.send({ type: 'sequenceAck', sequenceId: 1 })
    await asked
    const back = await join(peer.recovery)
    back.send({ type: 'sequenceAck', sequenceId: 1 })
    back.send({ type: 'ping' })
    await back.get(({ type }) => type === 'pong')
    release()
    await eventually(() => expect(done).toContainEqual([2, 1]))
    expect(await server.send(back.id, 'y')).toBe(1)
  })

  test('a session whose resumption the store may have carried out is not served on the connection before', async () => {
    let isLost = true
    const store = altered(stores.next(), node => ({
      resume: async (...args) => {
        const lease = await node.resume(...args)
        if (!isLost) return lease
        isLost = false
        throw new Error('the answer is lost')
      },
    }))
    const { url } = await startNode({
      store,
      onMessage: ({ data }, session) => session.send(data),
    })
    const old = await join(url)
    expect((await (await dial(old.recovery)).closed()).code).toBe(1011)
    // Otherwise, it would handle requests whose effects the store refuses, and another connection would handle them again.
    expect((await old.closed()).code).toBe(1011)
    const back = await join(old.recovery)
    expect(back.id).toBe(old.id)
    back.say('x', 1)
    expect((await back.got(1))[0].data).toBe('x')
  })

  test('a message sent after a handler is done does not overtake those that the handler sent', async () => {
    const store = altered(stores.next(), node => ({
      commit: async (effects, claim) => {
        // Simulates that the claim must be made a second time.
        if (claim) await new Promise(setImmediate)
        return node.commit(effects, claim)
      },
    }))
    let held: Session | undefined
    const { url } = await startNode({
      store,
      onMessage: (_, session) => {
        session.send('during')
        held = session
        setImmediate(() => setImmediate(() => held?.send('long after')))
        for (let i = 1, next = Promise.resolve(); i <= 9; i++) next = next.then(() => session.send(i))
      },
    })
    const peer = await join(url)
    peer.say('x', 1)
    expect(datas(await peer.got(11))).toEqual(['during', 1, 2, 3, 4, 5, 6, 7, 8, 9, 'long after'])
  })

  describe('a store that fails', () => {
    test('after storing a message costs the connection, and nothing is processed twice', async () => {
      let broken = false
      const store = altered(stores.next(), node => ({
        commit: async (...args) => {
          const done = await node.commit(...args)
          if (broken) throw new Error('the connection to the store was lost')
          return done
        },
      }))
      const { url, errors } = await startNode({ store, onMessage: ({ data }, session) => session.send(data) })
      const peer = await join(url)
      broken = true
      peer.say('a', 1)
      expect(await peer.closed()).toEqual({ code: 1011, reason: 'the session store failed' })
      expect(errors).toHaveLength(1)
      broken = false
      const back = await join(peer.recovery)
      back.say('a', 1)
      expect((await back.ack(1)).error.name).toBe('Duplicate')
      expect(datas(await back.got(1))).toEqual(['a'])
    })

    test('before storing a message costs the connection, and nothing is lost', async () => {
      let broken = true
      const store = altered(stores.next(), node => ({
        commit: async (...args) => {
          if (broken) throw new Error('no line to the store')
          return node.commit(...args)
        },
      }))
      const { url } = await startNode({ store, onMessage: ({ data }, session) => session.send(data) })
      const peer = await join(url)
      peer.say('a', 1)
      expect((await peer.closed()).code).toBe(1011)
      broken = false
      const back = await join(peer.recovery)
      back.say('a', 1)
      expect((await back.ack(1)).success).toBe(true)
      expect(datas(await back.got(1))).toEqual(['a'])
    })

    test('for one message does not let a later message overtake it', async () => {
      let failures = 1
      const store = altered(stores.next(), node => ({
        commit: async (...args) => {
          if (args[1] && failures-- > 0) throw new Error('no line to the store')
          return node.commit(...args)
        },
      }))
      const { url } = await startNode({ store, onMessage: ({ data }, session) => session.send(data) })
      const peer = await join(url)
      peer.say('first', 1)
      peer.say('second', 2)
      await peer.closed()
      const back = await join(peer.recovery)
      back.say('first', 1)
      back.say('second', 2)
      expect((await back.ack(2)).success).toBe(true)
      expect(datas(await back.got(2))).toEqual(['first', 'second'])
    })

    test('while it reads costs the connection', async () => {
      let broken = true
      const store = altered(stores.next(), node => ({
        read: async (...args) => {
          if (broken) throw new Error('no line to the store')
          return node.read(...args)
        },
      }))
      const { url, server } = await startNode({ store })
      const peer = await join(url)
      expect((await peer.closed()).code).toBe(1011)
      broken = false
      await server.send(peer.id, 'kept')
      expect(datas(await (await join(peer.recovery)).got(1))).toEqual(['kept'])
    })

    test('to open closes clients with 1011 and reports the error', async () => {
      const { url, server, errors } = await startNode({
        store: { open: () => Promise.reject(new Error('no store')) },
      })
      expect((await (await dial(url)).closed()).code).toBe(1011)
      expect(errors[0]).toEqual(new Error('no store'))
      await expect(server.send('x', 'y')).rejects.toThrow('no store')
    })
  })
})
