import { describe, expect, test } from 'vitest'
import { cleanUp } from '../support/cleanup.ts'
import { eventually } from '../support/eventually.ts'
import { altered, comeBack, dial, forEachStore, join, PROTOCOL, startNode } from './server-rig.ts'

cleanUp()

forEachStore(stores => {
  const start = (options: Parameters<typeof startNode>[0] = {}) =>
    startNode({ store: stores.next(), ...options })
  const echo = () => start({ onMessage: ({ data }, session) => session.send(data) })

  describe('a session', () => {
    test('begins with a connected frame that has its id, token and user', async () => {
      const { url, server } = await start({ authorize: () => 'ada' })
      const peer = await join(url)
      expect(peer.frames[0]).toEqual({
        type: 'system',
        event: 'connected',
        connectionId: expect.stringMatching(/^[\w-]{22}$/),
        reconnectionToken: expect.stringMatching(/^[\w-]{22}$/),
        userId: 'ada',
        sequenceId: 0,
        features: ['endSession', 'resumeProtocol', 'messageIds'],
      })
      expect(server.stats).toMatchObject({ connections: 1, created: 1, resumed: 0, refused: 0 })
    })

    test('processes a message once and then acknowledges it', async () => {
      let finish = () => {}
      const heard: unknown[] = []
      const { url } = await start({
        onMessage: ({ event, dataType, data, id }) => {
          heard.push({ event, dataType, data, id })
          return new Promise<void>(resolve => {
            finish = resolve
          })
        },
      })
      const peer = await join(url)
      peer.send({ type: 'event', event: 'order', dataType: 'json', data: { n: 1 }, ackId: 7 })
      peer.send({ type: 'ping' })
      await peer.get(({ type }) => type === 'pong')
      expect(heard).toEqual([{ event: 'order', dataType: 'json', data: { n: 1 }, id: `${peer.id}:7` }])
      expect(peer.frames.filter(({ type }) => type === 'ack')).toEqual([])
      finish()
      expect(await peer.ack(7)).toEqual({ type: 'ack', ackId: 7, success: true })
    })

    test('answers Duplicate to a repeated message and does not process it again', async () => {
      let runs = 0
      const { url, server } = await start({
        onMessage: ({ data }, session) => {
          runs++
          session.send(data)
        },
      })
      const peer = await join(url)
      peer.say('once', 1)
      await peer.ack(1)
      peer.say('once', 1)
      const again = await peer.get(({ error }) => error)
      expect(again).toMatchObject({ ackId: 1, success: false, error: { name: 'Duplicate' } })
      expect((await peer.got(1)).map(({ data }) => data)).toEqual(['once'])
      expect(runs).toBe(1)
      expect(server.stats).toMatchObject({ received: 1, duplicates: 1 })
    })

    test('processes messages one after the other, in order', async () => {
      const log: string[] = []
      const { url } = await start({
        onMessage: async ({ data }) => {
          log.push(`begin ${data}`)
          await new Promise(resolve => setImmediate(resolve))
          log.push(`end ${data}`)
        },
      })
      const peer = await join(url)
      for (let i = 1; i <= 3; i++) peer.say(`${i}`, i)
      await peer.ack(3)
      expect(log).toEqual(['begin 1', 'end 1', 'begin 2', 'end 2', 'begin 3', 'end 3'])
    })

    test('numbers its messages and carries text, JSON and bytes', async () => {
      const received: unknown[] = []
      const { url, server } = await start({ onMessage: ({ data }) => void received.push(data) })
      const peer = await join(url)
      await server.send(peer.id, 'héllo')
      await server.send(peer.id, { a: [1, null] })
      await server.send(peer.id, new Uint8Array([0, 255, 7]))
      await server.send(peer.id, 'a string', 'json')
      expect(await peer.got(4)).toEqual([
        { sequenceId: 1, type: 'message', from: 'server', dataType: 'text', data: 'héllo' },
        { sequenceId: 2, type: 'message', from: 'server', dataType: 'json', data: { a: [1, null] } },
        { sequenceId: 3, type: 'message', from: 'server', dataType: 'binary', data: 'AP8H' },
        { sequenceId: 4, type: 'message', from: 'server', dataType: 'json', data: 'a string' },
      ])
      peer.send({ type: 'event', event: 'e', dataType: 'binary', data: 'AP8H', ackId: 1 })
      await peer.ack(1)
      expect(received).toEqual([new Uint8Array([0, 255, 7])])
    })

    test('sends unacknowledged messages again after it is resumed, in order, before new ones', async () => {
      const { url, server } = await start()
      const peer = await join(url)
      for (const n of [1, 2, 3]) await server.send(peer.id, n)
      await peer.got(3)
      peer.send({ type: 'sequenceAck', sequenceId: 1 })
      peer.send({ type: 'ping' })
      await peer.get(({ type }) => type === 'pong')
      const gone = comeBack(peer)
      const back = await gone
      await server.send(peer.id, 4)
      expect((await back.got(3)).map(({ sequenceId, data }) => [sequenceId, data])).toEqual([
        [2, 2],
        [3, 3],
        [4, 4],
      ])
      expect(back.id).toBe(peer.id)
      expect(back.frames[0].event).toBe('connected')
      expect(server.stats).toMatchObject({ created: 1, resumed: 1, connections: 1 })
    })

    test('keeps messages that are sent to it while no connection is open', async () => {
      const { url, server } = await start()
      const peer = await join(url)
      peer.socket.terminate()
      await peer.closed()
      await server.send(peer.id, 'meanwhile')
      const back = await join(peer.recovery)
      expect((await back.got(1))[0].data).toBe('meanwhile')
    })

    test('keeps hundreds of messages and delivers all of them', async () => {
      const { url, server } = await start()
      const peer = await join(url)
      peer.socket.terminate()
      await peer.closed()
      const numbers = Array.from({ length: 350 }, (_, i) => i)
      await Promise.all(numbers.map(n => server.send(peer.id, n)))
      const back = await join(peer.recovery)
      expect((await back.got(350)).map(({ data }) => data)).toEqual(numbers)
    })

    test('recognizes repeated messages after it is resumed', async () => {
      const { url } = await echo()
      const peer = await join(url)
      peer.say('a', 1)
      await peer.ack(1)
      const back = await comeBack(peer)
      back.say('a', 1)
      back.say('b', 2)
      expect((await back.ack(1)).error.name).toBe('Duplicate')
      expect((await back.ack(2)).success).toBe(true)
      expect((await back.got(2)).map(({ data }) => data)).toEqual(['a', 'b'])
    })

    test('processes a message once that is repeated while it is being processed, over two connections', async () => {
      let finish = () => {}
      let runs = 0
      const { url } = await start({
        onMessage: (_, session) => {
          runs++
          session.send('reply')
          return new Promise<void>(resolve => {
            finish = resolve
          })
        },
      })
      const peer = await join(url)
      peer.say('slow', 5)
      peer.say('slow', 5)
      peer.send({ type: 'ping' })
      await peer.get(({ type }) => type === 'pong')
      const back = await comeBack(peer)
      back.say('slow', 5)
      back.send({ type: 'ping' })
      await back.get(({ type }) => type === 'pong')
      finish()
      expect((await back.ack(5)).success).toBe(true)
      await back.got(1)
      back.send({ type: 'sequenceAck', sequenceId: 1 })
      back.say('slow', 5)
      expect((await back.get(({ error }) => error)).error.name).toBe('Duplicate')
      expect([runs, back.messages.length]).toEqual([1, 1])
      expect(back.frames.filter(({ type }) => type === 'ack')).toHaveLength(2)
    })

    test('answers a message and its repetitions once if the handler fails', async () => {
      let runs = 0
      let fail = (_: Error) => {}
      const { url, server } = await start({
        onMessage: () => {
          runs++
          return new Promise((_, reject) => {
            fail = reject
          })
        },
      })
      const peer = await join(url)
      for (let i = 0; i < 3; i++) peer.say('x', 1)
      peer.send({ type: 'ping' })
      await peer.get(({ type }) => type === 'pong')
      fail(new Error('no'))
      expect((await peer.ack(1)).success).toBe(false)
      peer.send({ type: 'leaveGroup', group: 'g', ackId: 2 })
      await peer.ack(2)
      expect([runs, server.stats.duplicates]).toEqual([1, 2])
    })

    test('keeps the newest connection, reads nothing more from the one before, and closes it after a moment', async () => {
      const heard: unknown[] = []
      const { url, server } = await start({ onMessage: ({ data }) => void heard.push(data) })
      const old = await join(url)
      const next = await join(old.recovery)
      old.say('from the past', 1)
      expect((await old.closed()).code).toBe(1000)
      next.say('from the present', 1)
      expect((await next.ack(1)).success).toBe(true)
      expect(heard).toEqual(['from the present'])
      expect(server.stats.connections).toBe(1)
    })

    test('is not affected when its old connection ends', async () => {
      const { url, server } = await start()
      const old = await join(url)
      const next = await join(old.recovery)
      await old.closed()
      expect(await server.send(next.id, 'still here')).toBe(1)
      await next.got(1)
    })

    test('deletes acknowledged messages, and send() reports how many are not', async () => {
      const { url, server } = await start({ maxUnacknowledged: 3 })
      const peer = await join(url)
      expect([await server.send(peer.id, 1), await server.send(peer.id, 2)]).toEqual([1, 2])
      await peer.got(2)
      peer.send({ type: 'sequenceAck', sequenceId: 2 })
      peer.send({ type: 'ping' })
      await peer.get(({ type }) => type === 'pong')
      expect(await server.send(peer.id, 3)).toBe(1)
      expect(await server.send('nobody', 3)).toBe(0)
    })

    test.each([
      ['more messages', { maxUnacknowledged: 3 }, 'x'],
      ['more bytes', { maxUnacknowledgedBytes: 1_000 }, 'x'.repeat(300)],
    ])('is ended when %s than allowed are unacknowledged', async (_, limits, data) => {
      const { url, server } = await start(limits)
      const peer = await join(url)
      const counts = []
      for (let i = 0; i < 5; i++) counts.push(await server.send(peer.id, data))
      expect(counts.at(-1)).toBe(0)
      expect(await peer.closed()).toEqual({
        code: 1013,
        reason: 'slow consumer: too much is unacknowledged',
      })
      expect(peer.frames.at(-1)).toMatchObject({ type: 'system', event: 'disconnected' })
      expect(server.stats.slow).toBe(1)
      expect((await (await dial(peer.recovery)).closed()).code).toBe(1008)
    })

    test('can be ended by the application with a close code', async () => {
      const { url, server } = await start({ onMessage: (_, session) => session.close(4001, 'enough') })
      const peer = await join(url)
      peer.say('end me')
      expect(await peer.closed()).toEqual({ code: 4001, reason: 'enough' })
      const other = await join(url)
      expect(await server.end(other.id)).toBe(true)
      expect((await other.closed()).code).toBe(1008)
      expect(await server.end(other.id)).toBe(false)
    })
  })

  describe('a handler', () => {
    test('that fails is answered with the name of its error, and has no effects', async () => {
      const { url, errors } = await start({
        onMessage: ({ data }, session) => {
          session.send('reply')
          session.join('news')
          session.publish('news', 'all')
          if (data === 'bad') throw new RangeError('secret detail')
        },
      })
      const peer = await join(url)
      peer.say('bad', 1)
      const answer = await peer.ack(1)
      expect(answer).toEqual({
        type: 'ack',
        ackId: 1,
        success: false,
        error: { name: 'RangeError', message: 'the message was not handled' },
      })
      expect(errors).toEqual([new RangeError('secret detail')])
      // The id of a refused message is not remembered, so the client may send it again.
      peer.say('good', 1)
      await peer.get(({ success }) => success)
      expect((await peer.got(2)).map(({ data, sequenceId }) => [sequenceId, data])).toEqual([
        [1, 'reply'],
        [2, 'all'],
      ])
    })

    test('that sends and then closes has its message delivered and acknowledged before the close', async () => {
      const { url } = await start({
        onMessage: (_, session) => {
          session.send('goodbye')
          session.close(4001, 'enough')
        },
      })
      for (let i = 0; i < 10; i++) {
        const peer = await join(url)
        peer.say('x', 1)
        expect(await peer.closed()).toEqual({ code: 4001, reason: 'enough' })
        expect(peer.messages.map(({ data }) => data)).toEqual(['goodbye'])
        expect(peer.frames.find(({ type }) => type === 'ack')).toMatchObject({ ackId: 1, success: true })
      }
    })

    test('that closes the session and then fails ends it all the same', async () => {
      const { url } = await start({
        onMessage: (_, session) => {
          session.close(4001, 'enough')
          throw new Error('oops')
        },
      })
      const peer = await join(url)
      peer.say('x', 1)
      expect((await peer.closed()).code).toBe(4001)
    })

    test('keeps the order of messages, including those sent after it is done', async () => {
      const { url } = await start({
        onMessage: ({ data }, session) => {
          session.send(`${data} 1`)
          session.send(`${data} 2`)
          queueMicrotask(() => queueMicrotask(() => session.send(`${data} late`)))
        },
      })
      const peer = await join(url)
      peer.say('a', 1)
      expect((await peer.got(3)).map(({ data }) => data)).toEqual(['a 1', 'a 2', 'a late'])
    })

    test('is optional: without one, events are refused', async () => {
      const { url } = await start()
      const peer = await join(url)
      peer.say('anybody?', 1)
      expect((await peer.ack(1)).error.name).toBe('NotFound')
    })

    test('also gets messages without an ackId, which are not acknowledged', async () => {
      const ids: unknown[] = []
      const { url } = await start({
        onMessage: ({ id }, session) => {
          ids.push(id)
          session.send('heard')
        },
      })
      const peer = await join(url)
      peer.say('fire and forget')
      await peer.got(1)
      expect(ids).toEqual([undefined])
      expect(peer.frames.filter(({ type }) => type === 'ack')).toEqual([])
    })
  })

  describe('groups', () => {
    const open = () =>
      start({ onJoin: group => group !== 'secret', onPublish: () => true, onMessage: () => {} })

    test('deliver messages to all members, and noEcho excludes the sender', async () => {
      const { url, server } = await open()
      const [ada, bob, eve] = [await join(url), await join(url), await join(url)]
      for (const peer of [ada, bob]) {
        peer.send({ type: 'joinGroup', group: 'news', ackId: 1 })
        expect((await peer.ack(1)).success).toBe(true)
      }
      const message = { type: 'sendToGroup', group: 'news', dataType: 'json', data: { hot: true } }
      ada.send({ ...message, noEcho: true, ackId: 2 })
      await ada.ack(2)
      bob.send({ ...message, ackId: 2 })
      await bob.ack(2)
      const said = { type: 'message', from: 'group', group: 'news', dataType: 'json', data: { hot: true } }
      expect(await bob.got(2)).toMatchObject([said, said])
      expect(await ada.got(1)).toMatchObject([said])
      expect(await server.publish('news', 'x', { except: ada.id })).toBe(1)
      expect(await server.broadcast('all')).toBe(3)
      expect((await eve.got(1))[0]).toMatchObject({ from: 'server', data: 'all' })
      bob.send({ type: 'leaveGroup', group: 'news', ackId: 3 })
      await bob.ack(3)
      expect(await server.publish('news', 'y')).toBe(1)
    })

    test('can be joined if onJoin allows it, and only members can publish', async () => {
      const { url } = await open()
      const peer = await join(url)
      peer.send({ type: 'joinGroup', group: 'secret', ackId: 1 })
      expect((await peer.ack(1)).error.name).toBe('Forbidden')
      peer.send({ type: 'sendToGroup', group: 'news', dataType: 'text', data: 'x', ackId: 2 })
      expect((await peer.ack(2)).error.name).toBe('Forbidden')
    })

    test('cannot be joined without onJoin', async () => {
      const { url } = await start()
      const peer = await join(url)
      peer.send({ type: 'joinGroup', group: 'news', ackId: 1 })
      expect((await peer.ack(1)).error.name).toBe('Forbidden')
    })

    test('cannot be published to by clients without onPublish, not even by members', async () => {
      const { url } = await start({ onJoin: () => true })
      const peer = await join(url)
      peer.send({ type: 'joinGroup', group: 'news', ackId: 1 })
      peer.send({ type: 'sendToGroup', group: 'news', dataType: 'text', data: 'x', ackId: 2 })
      expect((await peer.ack(2)).error.name).toBe('Forbidden')
      expect(peer.messages).toEqual([])
    })

    test('accepts publications by members if onPublish allows it, and by no other client', async () => {
      const { url } = await start({
        authorize: ({ headers }) => String(headers['x-user']),
        onJoin: (group, session) => group === `user:${session.userId}`,
        onPublish: (_, { data }) => data === 'ok',
      })
      const as = (user: string) => ({ headers: { 'x-user': user } })
      const [alice, mallory] = [await join(url, as('alice')), await join(url, as('mallory'))]
      const publish = { type: 'sendToGroup', group: 'user:alice', dataType: 'text' }
      alice.send({ type: 'joinGroup', group: 'user:alice', ackId: 1 })
      await alice.ack(1)
      mallory.send({ ...publish, data: 'ok', ackId: 1 })
      expect((await mallory.ack(1)).error.name).toBe('Forbidden')
      alice.send({ ...publish, data: 'no', ackId: 2 })
      expect((await alice.ack(2)).error.name).toBe('Forbidden')
      alice.send({ ...publish, data: 'ok', ackId: 3 })
      expect((await alice.ack(3)).success).toBe(true)
      expect((await alice.got(1)).map(({ data }) => data)).toEqual(['ok'])
    })

    test('are limited in number for each session', async () => {
      const { url } = await start({ onJoin: () => true, maxGroups: 2 })
      const peer = await join(url)
      for (const n of [1, 2, 3]) peer.send({ type: 'joinGroup', group: `g${n}`, ackId: n })
      expect((await peer.ack(2)).success).toBe(true)
      expect((await peer.ack(3)).error.name).toBe('TooManyGroups')
      peer.send({ type: 'joinGroup', group: 'g1', ackId: 4 })
      expect((await peer.ack(4)).success).toBe(true)
    })

    test('survive a lost connection, and authorize can add a session to them', async () => {
      const { url, server } = await start({ authorize: () => ({ userId: 'ada', groups: ['staff'] }) })
      const peer = await join(url)
      const back = await comeBack(peer)
      expect(await server.publish('staff', 'hello')).toBe(1)
      expect((await back.got(1))[0]).toMatchObject({ group: 'staff', from: 'group', data: 'hello' })
    })

    test('show who published: a user, a member without a name, or the server', async () => {
      const { url, server } = await start({
        authorize: ({ headers }) => ({ userId: String(headers['x-user'] ?? ''), groups: ['g'] }),
        onPublish: () => true,
      })
      const [ada, nobody] = [await join(url, { headers: { 'x-user': 'ada' } }), await join(url)]
      const publish = { type: 'sendToGroup', group: 'g', dataType: 'text', data: 'x', ackId: 1 }
      ada.send(publish)
      await ada.ack(1)
      nobody.send(publish)
      await nobody.ack(1)
      await server.publish('g', 'x')
      expect((await ada.got(3)).map(({ from, fromUserId }) => [from, fromUserId])).toEqual([
        ['group', 'ada'],
        ['group', ''],
        ['group', undefined],
      ])
    })
  })

  describe('tokens', () => {
    test('change with every connection, and a replaced token is refused', async () => {
      const { url, server } = await start()
      const first = await join(url)
      const second = await comeBack(first)
      const third = await comeBack(second)
      expect(new Set([first, second, third].map(({ token }) => token)).size).toBe(3)
      const replay = await dial(first.recovery)
      expect(await replay.closed()).toEqual({ code: 1008, reason: 'the session is unknown or has expired' })
      expect(replay.frames.some(({ event }) => event === 'connected')).toBe(false)
      // The session itself is not affected.
      expect(third.end).toBeUndefined()
      expect(server.stats.refused).toBe(1)
    })

    test('are invalid once the client has the next one', async () => {
      const { url } = await start()
      const first = await join(url)
      const second = await comeBack(first)
      // The client has answered the server's own ping before this pong arrives.
      second.send({ type: 'ping' })
      await second.get(({ type }) => type === 'pong')
      expect((await (await dial(first.recovery)).closed()).code).toBe(1008)
      expect(second.end).toBeUndefined()
    })

    test('of another session, unknown ones and missing ones are refused', async () => {
      const { url } = await start()
      const [ada, bob] = [await join(url), await join(url)]
      const query = (id: string | null, token: string | null) =>
        `${url}/?${id === null ? '' : `awps_connection_id=${encodeURIComponent(id)}`}${token === null ? '' : `&awps_reconnection_token=${encodeURIComponent(token)}`}`
      for (const address of [
        query(ada.id, bob.token),
        query(ada.id, ''),
        query(ada.id, null),
        query(null, ada.token),
        query('', ''),
        query('x'.repeat(22), ada.token),
        query(`${ada.id} `, ada.token),
        query('*', ada.token),
        query('__proto__', ada.token),
        query(ada.id, '\u0000'),
      ]) {
        expect((await (await dial(address)).closed()).code).toBe(1008)
      }
      expect([ada.end, bob.end]).toEqual([undefined, undefined])
    })

    test('of another user are refused', async () => {
      const { url } = await start({ authorize: ({ headers }) => String(headers['x-user']) })
      const as = (user: string) => ({ headers: { 'x-user': user } })
      const ada = await join(url, as('ada'))
      expect((await (await dial(ada.recovery, as('eve'))).closed()).code).toBe(1008)
      expect((await join(ada.recovery, as('ada'))).id).toBe(ada.id)
    })

    test('expire with the session', async () => {
      const { url, server } = await start({ sessionTimeout: 60, authorize: () => ({ groups: ['g'] }) })
      const peer = await join(url)
      peer.socket.terminate()
      await peer.closed()
      await eventually(async () => expect(await server.publish('g', 'anybody?')).toBe(0))
      expect((await (await dial(peer.recovery)).closed()).code).toBe(1008)
    })

    test('stay valid as long as the connection is open', async () => {
      const sessionTimeout = 400
      const store = stores.next()
      let later = (_: number) => {}
      const { url } = await start({
        sessionTimeout,
        store: altered(store, node => ({
          touch: held => node.touch(held).finally(() => later(Date.now())),
        })),
      })
      const peer = await join(url)
      const since = Date.now()
      await new Promise<void>(resolve => {
        later = now => now - since > 3 * sessionTimeout && resolve()
      })
      expect((await comeBack(peer)).id).toBe(peer.id)
    })
  })

  test('a client that also offers other subprotocols gets the reliable one', async () => {
    const { url } = await start()
    const peer = await dial(url, {}, ['mqtt', PROTOCOL])
    expect(peer.socket.protocol).toBe(PROTOCOL)
  })
})
