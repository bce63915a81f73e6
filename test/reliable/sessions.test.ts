import { describe, expect, test, vi } from 'vitest'
import type { PageEvent, PageEventSource } from '../../src/index.ts'
import { createReliableSocket } from '../../src/reliable.ts'
import type { FakePeer } from '../../src/testing.ts'
import { frames, fresh, outcomes, type Session, settled, type World, world } from './world.ts'

fresh()

const delivered = { status: 'delivered' }
const unknown = { status: 'unknown' }
const dropped = (reason: string) => ({ status: 'dropped', reason })
const retryAfter = (seconds: number) => `retry-after=${seconds}`
const query = ({ socket }: FakePeer) => Object.fromEntries(new URL(socket.url).searchParams)

describe('resuming a session', () => {
  test("the URL of a new connection contains the session's id and its newest token", async () => {
    const { server, session } = world()
    await server.connect()
    server.wire.peer.drop()
    await server.reconnect()
    expect(query(server.latest)).toEqual({
      awps_connection_id: 'session1',
      awps_reconnection_token: 'secret2',
    })
    server.wire.peer.drop()
    await server.reconnect()
    expect(query(server.latest)).toEqual({
      awps_connection_id: 'session1',
      awps_reconnection_token: 'secret3',
    })
    expect(session().id).toBe('session1')
  })

  test('the URL keeps its other parameters, and an endpoint function is called for every attempt', async () => {
    let count = 0
    const { server } = world(
      {},
      { endpoint: ({ attempt }) => `https://push.test/feed?n=${++count}&a=${attempt}` },
    )
    await server.connect()
    server.wire.peer.drop()
    await server.reconnect()
    expect(query(server.latest)).toMatchObject({ n: '2', a: '1', awps_connection_id: 'session1' })
    expect(server.latest.socket.url).toMatch(/^wss:/)
  })

  test('a session without a token is not resumed', async () => {
    const { server } = world()
    await settled()
    server.latest.accept().send('{"type":"system","event":"connected","connectionId":"x"}')
    await settled()
    server.latest.drop()
    await vi.advanceTimersByTimeAsync(6_000)
    expect(query(server.latest)).toEqual({})
  })
})

describe('a second connection that begins a new session, although the first one is open', () => {
  const begin = async () => {
    const made = world({ heartbeat: false })
    const { server, socket } = made
    const first = await server.connect()
    const old = first.session as Session
    server.send(old, 'old 1')
    await server.exchange(first)
    server.resumes = false
    socket.handover().catch(() => {})
    await settled()
    const second = server.accept()
    await server.deliver(second)
    await settled()
    // These belong to the lost session. Their numbers have no meaning in the new one.
    for (const text of ['old 2', 'old 3', 'old 4']) server.send(old, text)
    await server.deliver(first)
    server.resumes = true
    const heard = () => made.heard('message').map(({ data }) => data)
    return { ...made, first, second, heard }
  }

  test('delivers all messages of the new session', async () => {
    const { server, socket, second, heard, log } = await begin()
    for (const text of ['new 1', 'new 2']) server.send(second.session as Session, text)
    await vi.advanceTimersByTimeAsync(1_000)
    await server.exchange(second)
    expect([heard(), socket.connectionId]).toEqual([['old 1', 'new 1', 'new 2'], second.session?.id])
    expect(log.filter(([type]) => type === 'gap')).toHaveLength(1)
    expect(server.faults).toEqual([])
  })

  test('is followed by another one if it is lost before it takes over, and the new session is resumed', async () => {
    const { server, socket, first, second, heard, log } = await begin()
    const outcome = socket.send('sent in between')
    second.peer.drop()
    await settled()
    server.send(second.session as Session, 'new 1')
    server.send(first.session as Session, 'old 5')
    await server.deliver(first)
    await server.reconnect()
    expect([heard(), socket.connectionId]).toEqual([['old 1', 'new 1'], second.session?.id])
    expect(await outcome).toEqual({ status: 'delivered' })
    expect(log.filter(([type]) => type === 'gap')).toHaveLength(1)
    expect(server.faults).toEqual([])
  })
})

describe('a lost session', () => {
  const losses: [how: string, lose: (w: ReturnType<typeof world>) => Promise<unknown>][] = [
    [
      'refused with 1008 while resuming',
      async ({ server }) => {
        server.forget()
        server.wire.peer.drop()
        await server.reconnect()
        return server.reconnect()
      },
    ],
    [
      'refused with a word and 1008 while resuming',
      async ({ server }) => {
        server.explains = true
        server.forget()
        server.wire.peer.drop()
        await server.reconnect()
        return server.reconnect()
      },
    ],
    [
      'replaced by a new connectionId',
      async ({ server }) => {
        server.resumes = false
        server.wire.peer.drop()
        return server.reconnect()
      },
    ],
    [
      'ended by the server with 1008',
      async ({ server }) => {
        server.forget()
        server.wire.peer.close(1008)
        return server.reconnect()
      },
    ],
    [
      'disconnected by the server',
      async ({ server }) => {
        server.forget()
        server.say(server.wire, { type: 'system', event: 'disconnected', message: 'the server has ended it' })
        await server.deliver()
        server.wire.peer.close(1000)
        // The client learns that it has ended when it tries to resume it.
        await server.reconnect()
        return server.reconnect()
      },
    ],
  ]

  test.each(losses)(
    'a session that is %s causes a gap before anything else is delivered',
    async (_, lose) => {
      const w = world()
      const { socket, server, session, log } = w
      await server.connect()
      server.send(session(), 'old')
      await server.exchange()
      const dropped = outcomes(socket.send('dropped'))
      const resent = outcomes(socket.send({ a: 1 }, { onLost: 'resend', event: 'order' }))
      socket.on('open', ({ resumed }) => {
        if (!resumed) server.send(session(), 'new')
      })
      log.length = 0
      await lose(w)
      await server.exchange()
      const news = log.filter(([type]) => /message|gap|open/.test(type))
      expect(news.map(([type]) => type)).toEqual(['gap', 'open', 'message'])
      expect(news[0]?.[1]).toEqual({
        reason: 'session',
        unknown: [{ type: 'event', event: 'message', ackId: 1, dataType: 'text', data: 'dropped' }],
        resent: [{ type: 'event', event: 'order', ackId: 2, dataType: 'json', data: { a: 1 } }],
      })
      expect(news[1]?.[1]).toMatchObject({ resumed: false, reconnected: true })
      expect(news[2]?.[1]).toMatchObject({ id: 1, data: 'new' })
      expect([...dropped, ...resent]).toEqual([unknown, delivered])
      expect(session().processed.map(({ ackId }) => ackId)).toEqual([2])
      expect(server.faults).toEqual([])
    },
  )

  test('a session is lost if the server sends disconnected and closes with 1008', async () => {
    const { server, heard } = world()
    await server.connect()
    server.forget()
    server.wire.peer.drop()
    await vi.advanceTimersByTimeAsync(6_000)
    const wire = server.accept()
    wire.down.unshift(JSON.stringify({ type: 'system', event: 'disconnected', message: 'unknown session' }))
    await server.exchange(wire)
    expect(heard('gap')).toHaveLength(1)
    expect(heard('error').map(({ message }) => message)).toEqual([expect.stringContaining('1008')])
    await server.reconnect()
    expect(heard('open')).toHaveLength(2)
  })

  test.each([1001, 1011, 1012, 1013])(
    'a session is kept if the server sends disconnected and closes with %i',
    async code => {
      const { server, heard, socket, session } = world()
      await server.connect()
      const { id } = session()
      const seen = outcomes(socket.send('x'))
      server.say(server.wire, { type: 'system', event: 'disconnected', message: 'retry-after=0' })
      await server.deliver()
      server.wire.peer.close(code, 'retry-after=0')
      await vi.advanceTimersByTimeAsync(5_000)
      await server.connect()
      expect(session().id).toBe(id)
      expect(heard('gap')).toEqual([])
      expect(seen).toEqual([delivered])
    },
  )

  test('the loss of a session resolves promises at once, before there is a new session', async () => {
    const { socket, server, heard } = world()
    await server.connect()
    const seen = outcomes(socket.send('x'))
    server.forget()
    server.wire.peer.drop()
    await server.reconnect()
    expect(socket.state.name).toBe('waiting')
    expect(heard('gap')).toHaveLength(1)
    expect(seen).toEqual([unknown])
  })

  test('messages that were never sent are sent in the new session, in order', async () => {
    const { socket, server, session } = world()
    await server.connect()
    socket.send('a', { onLost: 'resend' })
    server.forget()
    server.wire.peer.drop()
    const seen = outcomes(socket.send('b'), socket.send('c'))
    await server.reconnect()
    await server.reconnect()
    await server.exchange()
    expect(session().processed.map(({ data }) => data)).toEqual(['a', 'b', 'c'])
    expect(seen).toEqual([delivered, delivered])
  })

  test('a gap contains binary data as an ArrayBuffer', async () => {
    const { socket, server, heard } = world()
    await server.connect()
    socket.send(new Uint8Array([1, 2]))
    server.forget()
    server.wire.peer.close(1008)
    await settled()
    const [{ data, dataType }] = heard('gap')[0].unknown
    expect([dataType, [...new Uint8Array(data)]]).toEqual(['binary', [1, 2]])
  })

  test('a new session numbers messages from 1 again, and acknowledges nothing of the old one', async () => {
    const { server, session, heard } = world({ retry: () => 100 })
    await server.connect()
    for (let i = 0; i < 5; i++) server.send(session(), i)
    await server.deliver()
    server.forget()
    server.wire.peer.close(1008)
    await vi.advanceTimersByTimeAsync(100)
    const wire = await server.connect()
    // The delay of the old session's acknowledgement has passed.
    await vi.advanceTimersByTimeAsync(2_000)
    expect(frames(wire.peer)).toEqual([])
    server.send(session(), 'new')
    await server.exchange()
    expect(heard('message').map(({ id }) => id)).toEqual([1, 2, 3, 4, 5, 1])
  })
})

describe('connected and the end of the session in one packet', () => {
  test('connected and the end of the session in one packet cause one gap', async () => {
    const { server, session, heard } = world()
    await server.connect()
    for (let i = 1; i <= 3; i++) server.send(session(), i)
    await server.deliver()
    server.wire.peer.drop()
    await vi.advanceTimersByTimeAsync(6_000)
    const { peer, down } = server.accept()
    // As the `ws` package does with two frames in one packet: no promise runs in between.
    peer.send(down[0] as string)
    peer.close(1008)
    await settled()
    await vi.advanceTimersByTimeAsync(6_000)
    expect(query(server.latest)).toEqual({})
    await server.connect()
    expect(heard('gap')).toHaveLength(1)
    expect(heard('message')).toHaveLength(3)
  })
})

describe('a close with 1008', () => {
  test('1008 before the first session makes the client give up', async () => {
    const { socket, server } = world()
    await settled()
    server.latest.accept().close(1008, 'no')
    await settled()
    expect(socket.state).toMatchObject({ name: 'closed', cause: { close: { code: 1008 } } })
  })

  test('1008 while resuming leads to one new session, and to giving up if that is refused too', async () => {
    const { socket, server, heard } = world()
    await server.connect()
    server.forget()
    server.wire.peer.drop()
    await server.reconnect()
    expect(socket.state.name).toBe('waiting')
    await vi.advanceTimersByTimeAsync(6_000)
    expect(query(server.latest)).toEqual({})
    server.latest.accept().close(1008)
    await settled()
    expect(socket.state.name).toBe('closed')
    expect(heard('gap')).toHaveLength(1)
  })

  test('1008 while resuming leads to a new session at once, however many attempts failed before', async () => {
    const { socket, server } = world()
    await server.connect()
    server.forget()
    server.wire.peer.drop()
    for (let n = 0; n < 4; n++) {
      await vi.advanceTimersByTimeAsync(6_000)
      server.latest.refuse()
    }
    await server.reconnect()
    const refused = server.latest
    expect(socket.state.name).toBe('waiting')
    await vi.advanceTimersByTimeAsync(300)
    expect(server.latest).not.toBe(refused)
    expect(query(server.latest)).toEqual({})
  })

  test('1008 in a session that replaced a lost one at once makes the client give up', async () => {
    const { socket, server } = world()
    await server.connect()
    server.wire.peer.close(1008)
    await server.reconnect()
    server.wire.peer.close(1008)
    await settled()
    expect(socket.state.name).toBe('closed')
  })

  const abandonments: [
    what: string,
    abandon: (server: World['server'], first: FakePeer) => Promise<unknown>,
  ][] = [
    ['was refused', async server => server.latest.refuse()],
    [
      'was closed with 1008',
      async server => {
        server.latest.accept('json.reliable.webpubsub.azure.v1')
        await settled()
        server.latest.close(1008)
      },
    ],
    // The first connection is in doubt, and then receives a message.
    ['was not needed', async (_, first) => first.send('{"type":"pong"}')],
  ]

  test.each(abandonments)(
    '1008 leads to a new session although a second connection %s before',
    async (what, abandon) => {
      let report: (event: PageEvent) => void = () => {}
      const wake: PageEventSource = given => {
        report = given
        return () => {}
      }
      const { socket, server, log } = world({ heartbeat: false, wake })
      const { peer } = await server.connect()
      await vi.advanceTimersByTimeAsync(10_000)
      if (what === 'was not needed') report('wake')
      else socket.handover().catch(() => {})
      await vi.advanceTimersByTimeAsync(300)
      expect(server.latest).not.toBe(peer)
      await abandon(server, peer)
      await settled()
      expect(socket.state.name).toBe('open')
      peer.close(1008)
      await server.reconnect()
      expect(socket.state.name).toBe('open')
      expect(log.filter(([type]) => type === 'gap')).toHaveLength(1)
    },
  )

  test('1008 leads to a new session on a second connection that has become the only one', async () => {
    const { socket, server, log } = world()
    const { peer } = await server.connect()
    socket.handover().catch(() => {})
    await settled()
    peer.drop()
    await settled()
    server.forget()
    await server.connect()
    await server.reconnect()
    expect(socket.state.name).toBe('open')
    expect(log.filter(([type]) => type === 'gap')).toHaveLength(1)
  })

  test("a close with 1008 is passed to the application's retry function, which may give up", async () => {
    const retry = vi.fn(() => false as const)
    const { socket, server } = world({ retry })
    await server.connect()
    server.wire.peer.close(1008)
    await settled()
    expect(retry).toHaveBeenCalledWith(
      expect.objectContaining({ attempt: 1, cause: { code: 'RECONNECT_REQUESTED' } }),
    )
    expect(socket.state.name).toBe('closed')
  })

  test('1008 with retry: false closes the socket', async () => {
    const { socket, server } = world({ retry: false })
    await server.connect()
    const seen = outcomes(socket.send('x'))
    server.wire.peer.close(1008)
    await vi.advanceTimersByTimeAsync(0)
    expect(socket.state.name).toBe('closed')
    expect(seen).toEqual([unknown])
  })
})

describe('1008 with the reason retry-after=SECONDS', () => {
  test('1008 with retry-after ends the session but never the client, which begins a new session after that time', async () => {
    const { socket, server, session, heard } = world()
    await server.connect()
    for (let times = 1; times <= 4; times++) {
      const { id } = session()
      // A server sends this to a slow client, which may reconnect.
      server.sessions.delete(id)
      server.wire.peer.close(1008, retryAfter(2))
      await settled()
      expect(socket.state).toMatchObject({ name: 'waiting', delay: expect.any(Number) })
      expect((socket.state as { delay: number }).delay).toBeGreaterThanOrEqual(2_000)
      expect(heard('gap')).toHaveLength(times)
      await server.reconnect()
      expect(query(server.latest)).toEqual({})
      expect(session().id).not.toBe(id)
    }
    expect(heard('error')).toEqual([])
  })

  test('1008 with retry-after is obeyed before there is a session, and while one is being resumed', async () => {
    const { socket, server, heard } = world()
    await settled()
    server.latest.accept().close(1008, retryAfter(1))
    await settled()
    expect(socket.state.name).toBe('waiting')
    await server.reconnect()
    server.wire.peer.drop()
    await vi.advanceTimersByTimeAsync(6_000)
    server.latest.accept().close(1008, retryAfter(3))
    await settled()
    expect((socket.state as { delay: number }).delay).toBeGreaterThanOrEqual(3_000)
    expect(heard('gap')).toHaveLength(1)
  })

  test("1008 with retry-after is passed to the application's retry function as 1013", async () => {
    const retry = vi.fn(() => false as const)
    const { socket, server } = world({ retry })
    await server.connect()
    server.wire.peer.close(1008, retryAfter(1))
    await settled()
    expect(retry).toHaveBeenCalledWith(
      expect.objectContaining({
        cause: { code: 'CONNECTION_LOST', close: { code: 1013, reason: 'retry-after=1', wasClean: true } },
      }),
    )
    expect(socket.state.name).toBe('closed')
  })
})

describe('a server whose store went back to an older state', () => {
  test('a lower number in connected than the client has received causes a gap and a new session', async () => {
    const { server, session, log, heard } = world()
    await server.connect()
    const { id } = session()
    for (let i = 1; i <= 3; i++) server.send(session(), i)
    await server.exchange()
    server.wire.peer.drop()
    // The server has only two of the three messages, and gives the number of the third to another one.
    session().sent = 2
    server.tellsNumber = true
    log.length = 0
    await vi.advanceTimersByTimeAsync(6_000)
    const wire = server.accept()
    server.send(session(), 'another third')
    await server.deliver(wire)
    expect(heard('gap')).toEqual([{ reason: 'session', unknown: [], resent: [] }])
    expect(heard('message')).toEqual([])
    await server.reconnect()
    expect(session().id).not.toBe(id)
    server.send(session(), 'first of the new session')
    await server.exchange()
    expect(heard('message').map(({ data }) => data)).toEqual(['first of the new session'])
    expect(heard('gap')).toHaveLength(1)
  })

  test('a number in connected that is not lower, and a missing one, cause no gap', async () => {
    const { server, session, heard } = world()
    await server.connect()
    server.send(session(), 1)
    await server.exchange()
    server.wire.peer.drop()
    server.tellsNumber = true
    await server.reconnect()
    server.wire.peer.drop()
    server.send(session(), 2)
    await server.reconnect()
    expect(heard('gap')).toEqual([])
    expect(heard('message').map(({ data }) => data)).toEqual([1, 2])
  })
})

describe('two sockets for one session', () => {
  test('the newest of two sockets keeps the session, and the other begins a new one', async () => {
    const { socket, server, session, heard } = world()
    await server.connect()
    const { id } = session()
    const stolen = createReliableSocket('wss://push.test/feed', {
      WebSocket: server.network.WebSocket,
      saved: socket.save(),
    })
    const old = server.wire
    await settled()
    const wire = server.accept()
    // The server of this package notifies the old socket that it was replaced.
    await server.exchange(wire)
    expect(stolen.connectionId).toBe(id)
    expect(old.peer.socket.readyState).toBe(3)
    // Its token is no longer valid.
    server.sessions.get(id)?.tokens.shift()
    await server.reconnect()
    await server.reconnect()
    expect(socket.connectionId).not.toBe(id)
    expect(stolen.connectionId).toBe(id)
    expect(heard('gap')).toMatchObject([{ reason: 'session' }])
  })
})

describe('groups', () => {
  test('groups are joined and left, and their messages contain the group', async () => {
    const { socket, server, session, heard } = world()
    const seen = outcomes(socket.join('news'), socket.join('sport'), socket.leave('sport'))
    await server.connect()
    await server.exchange()
    expect(seen).toEqual([delivered, delivered, delivered])
    expect([...session().groups]).toEqual(['news'])
    server.send(session(), 'x', { from: 'group', group: 'news' })
    await server.exchange()
    expect(heard('message')).toEqual([
      { id: 1, from: 'group', group: 'news', userId: undefined, dataType: 'json', data: 'x' },
    ])
    expect(frames(server.latest)[0]).toEqual({ type: 'joinGroup', group: 'news', ackId: 1 })
  })

  test('groups are not joined again in a session that was resumed', async () => {
    const { socket, server } = world()
    await server.connect()
    socket.join('news')
    await server.exchange()
    server.wire.peer.drop()
    const wire = await server.reconnect()
    expect(frames(wire.peer)).toEqual([])
  })

  test('groups are joined again in a new session, in the order of ackId among the messages that are sent again', async () => {
    const { socket, server, session, heard } = world()
    await server.connect()
    socket.join('a')
    await server.exchange()
    server.wire.peer.freeze('up')
    socket.publish('a', 1, { onLost: 'resend' })
    socket.join('b')
    socket.join('c')
    socket.leave('c')
    server.forget()
    server.wire.peer.close(1008).drop()
    const wire = await server.reconnect()
    expect(frames(wire.peer).map(({ type, group, ackId }) => [type, group, ackId])).toEqual([
      ['joinGroup', 'a', 1],
      ['sendToGroup', 'a', 2],
      ['joinGroup', 'b', 3],
      ['joinGroup', 'c', 4],
      ['leaveGroup', 'c', 5],
    ])
    await server.exchange()
    expect([...session().groups]).toEqual(['a', 'b'])
    expect(server.faults).toEqual([])
    expect(heard('gap')[0].unknown).toEqual([])
  })

  test('groups that were left are not joined again', async () => {
    const { socket, server } = world()
    await server.connect()
    socket.join('a')
    await server.exchange()
    socket.leave('a')
    await server.exchange()
    server.forget()
    server.wire.peer.close(1008)
    const wire = await server.reconnect()
    expect(frames(wire.peer)).toEqual([])
  })

  test('groups are joined again until the server has confirmed them', async () => {
    const { socket, server, session } = world()
    await server.connect()
    socket.join('a')
    await server.exchange()
    server.forget()
    server.wire.peer.close(1008)
    await vi.advanceTimersByTimeAsync(6_000)
    const wire = server.accept()
    await server.deliver(wire)
    expect(frames(wire.peer)).toHaveLength(1)
    wire.peer.drop()
    await server.reconnect()
    await server.exchange()
    expect([...session().groups]).toEqual(['a'])
    server.wire.peer.drop()
    await server.reconnect()
    expect(frames(server.latest)).toEqual([])
  })

  test('a group that a new session refuses causes a drop event', async () => {
    const { socket, server, heard } = world()
    await server.connect()
    socket.join('a')
    await server.exchange()
    server.forget()
    server.wire.peer.close(1008)
    server.refusal = { name: 'Forbidden' }
    await server.reconnect()
    await server.exchange()
    expect(heard('drop')).toEqual([
      {
        type: 'joinGroup',
        group: 'a',
        ackId: 1,
        status: 'dropped',
        reason: 'refused',
        error: { name: 'Forbidden' },
      },
    ])
    server.refusal = undefined
    server.forget()
    await vi.advanceTimersByTimeAsync(10_000)
    server.wire.peer.close(1008)
    const wire = await server.reconnect()
    expect(frames(wire.peer)).toEqual([])
  })

  test('groups stay joined through close() and connect()', async () => {
    const { socket, server, session } = world()
    await server.connect()
    socket.join('a')
    await server.exchange()
    socket.join('b')
    socket.close()
    await vi.advanceTimersByTimeAsync(0)
    server.forget()
    socket.connect()
    await server.connect()
    await server.reconnect()
    await server.exchange()
    expect([...session().groups]).toEqual(['a', 'b'])
  })

  test.each([true, false])(
    'groups that were left stay left through close() and connect() (session kept: %s)',
    async kept => {
      const { socket, server, session } = world()
      await server.connect()
      socket.join('a')
      await server.exchange()
      server.wire.peer.freeze('up')
      socket.leave('a')
      socket.close()
      await vi.advanceTimersByTimeAsync(6_000)
      if (!kept) server.forget()
      socket.connect()
      await server.connect()
      if (!kept) await server.reconnect()
      await server.exchange()
      expect([...session().groups]).toEqual([])
    },
  )
})

describe('a reload', () => {
  /** The page is left, and another one continues its session. */
  const reload = async (w: ReturnType<typeof world>) => {
    const saved = w.socket.save()
    if (w.server.wire?.peer.socket.readyState === 1) w.server.wire.peer.drop()
    w.socket.close()
    await vi.advanceTimersByTimeAsync(0)
    // The server is the same.
    return world({ saved }, { server: w.server })
  }

  test('a reload keeps the session, the ackIds and the order, and delivers nothing twice', async () => {
    const first = world()
    await first.server.connect()
    first.socket.join('a')
    first.server.send(first.session(), 'one')
    await first.server.exchange()
    first.socket.send('sent')
    first.server.read()
    for (let i = 0; i < 255; i++) first.socket.send(i, { onLost: 'resend' })
    first.socket.send('waits')
    const { id } = first.session()
    const second = await reload(first)
    const late = outcomes(second.socket.send('new'))
    await second.server.connect()
    await second.server.exchange()
    expect(second.socket.connectionId).toBe(id)
    expect(second.heard('gap')).toEqual([])
    expect(late).toEqual([delivered])
    const { processed } = second.session()
    expect(processed.map(({ data }) => data)).toEqual([
      undefined,
      'sent',
      ...Array.from({ length: 255 }, (_, i) => i),
      'waits',
      'new',
    ])
    second.server.send(second.session(), 'two')
    await second.server.exchange()
    expect(second.heard('message').map(({ data }) => data)).toEqual(['two'])
    expect(second.server.faults).toEqual([])
  })

  test('a reload into a lost session reports the gap, and sends what was never sent', async () => {
    const first = world()
    await first.server.connect()
    first.socket.join('a')
    await first.server.exchange()
    first.socket.send('unknown')
    for (let i = 0; i < 255; i++) first.socket.send(i)
    first.socket.send('waits')
    first.server.forget()
    const second = await reload(first)
    await second.server.connect()
    await second.server.reconnect()
    await second.server.exchange()
    expect(second.heard('gap')[0].unknown).toHaveLength(256)
    expect(second.session().processed.map(({ group, data }) => group ?? data)).toEqual(['a', 'waits'])
    expect([...second.session().groups]).toEqual(['a'])
  })

  test('a reload with an old snapshot never gives a new message the ackId of another', async () => {
    const first = world()
    await first.server.connect()
    const saved = first.socket.save()
    first.socket.send('after the snapshot')
    await first.server.exchange()
    await vi.advanceTimersByTimeAsync(10)
    const second = world({ saved }, { server: first.server })
    const seen = outcomes(second.socket.send('another'))
    await settled()
    first.server.accept()
    await first.server.exchange()
    expect(seen).toEqual([delivered])
    expect(first.session().processed.map(({ data }) => data)).toEqual(['after the snapshot', 'another'])
  })

  test('a reload before the first session keeps the waiting messages until they expire', async () => {
    const first = world()
    first.socket.send('too old', { ttl: 10 })
    first.socket.send('early')
    first.socket.send('in time', { ttl: 30_000 })
    const second = await reload(first)
    await vi.advanceTimersByTimeAsync(20)
    await second.server.connect()
    await second.server.exchange()
    expect(second.session().processed.map(({ data }) => data)).toEqual(['early', 'in time'])
    expect(second.heard('drop')).toMatchObject([{ data: 'too old', reason: 'expired' }])
  })

  test('a reload reports the outcome of each message that it carried over in one outcome event', async () => {
    const first = world()
    await first.server.connect()
    first.socket.send('processed')
    first.server.read()
    first.socket.send('lost with the connection')
    first.server.wire.peer.drop()
    first.socket.join('a')
    first.socket.send('expires', { ttl: 10 })
    const second = await reload(first)
    await vi.advanceTimersByTimeAsync(20)
    const own = outcomes(second.socket.send('of this page'))
    await second.server.connect()
    await second.server.exchange()
    expect(second.heard('outcome')).toEqual([
      { type: 'event', event: 'message', ackId: 4, dataType: 'text', data: 'expires', ...dropped('expired') },
      { type: 'event', event: 'message', ackId: 1, dataType: 'text', data: 'processed', ...delivered },
      {
        type: 'event',
        event: 'message',
        ackId: 2,
        dataType: 'text',
        data: 'lost with the connection',
        ...delivered,
      },
      { type: 'joinGroup', group: 'a', ackId: 3, ...delivered },
    ])
    expect(own).toEqual([delivered])
    // Joining a group again in a new session does not cause an outcome event.
    second.server.forget()
    second.server.wire.peer.close(1008)
    await second.server.reconnect()
    await second.server.exchange()
    expect([...second.session().groups]).toEqual(['a'])
    expect(second.heard('outcome')).toHaveLength(4)
  })

  test('a reload into a lost session reports sent messages as unknown, after the gap', async () => {
    const first = world()
    await first.server.connect()
    first.socket.send('sent')
    first.server.forget()
    const second = await reload(first)
    await second.server.connect()
    await second.server.reconnect()
    const news = second.log.filter(([type]) => type === 'gap' || type === 'outcome')
    expect(news.map(([type]) => type)).toEqual(['gap', 'outcome'])
    expect(second.heard('outcome')).toMatchObject([{ data: 'sent', status: 'unknown' }])
  })

  test('saved: null begins a new session', async () => {
    const { server, socket } = world({ saved: null })
    socket.send('x')
    await server.connect()
    expect(frames(server.latest)).toMatchObject([{ ackId: 1 }])
  })
})
