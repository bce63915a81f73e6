// Features of the client that need a server with more than Azure's protocol. With other servers, the client does not use them.
import { describe, expect, test, vi } from 'vitest'
import type { Outbox, OutboxSocket } from '../../src/reliable.ts'
import { frames, fresh, settled, world } from './world.ts'

fresh()

const types = (peer: Parameters<typeof frames>[0]) => frames(peer).map(({ type }) => type)

describe('resuming a session on a server that supports the feature resumeProtocol', () => {
  const start = async () => {
    const one = world()
    one.server.features = ['resumeProtocol']
    await one.server.connect()
    return one
  }

  test('keeps the token out of the URL, and offers it as a subprotocol', async () => {
    const { server, session, heard } = await start()
    for (const token of ['secret2', 'secret3']) {
      server.wire.peer.drop()
      await server.reconnect()
      expect(server.latest.socket.url).toBe('wss://push.test/feed')
      expect(server.latest.protocols).toEqual([
        'json.reliable.webpubsub.azure.v1',
        `resume.session1.${token}`,
      ])
    }
    expect(session().id).toBe('session1')
    expect(heard('gap')).toEqual([])
  })

  test('uses the URL again if another server does not support the subprotocol, and loses nothing', async () => {
    const { socket, server, heard } = await start()
    const sent = socket.send('x')
    server.wire.peer.drop()
    server.features = undefined
    // This server begins a new session.
    await server.reconnect()
    expect(heard('error')).toMatchObject([{ code: 'PREPARE_FAILED' }])
    await server.reconnect()
    expect(new URL(server.latest.socket.url).searchParams.get('awps_reconnection_token')).toBe('secret2')
    expect(server.latest.protocols).toEqual(['json.reliable.webpubsub.azure.v1'])
    await server.exchange()
    expect(await sent).toEqual({ status: 'delivered' })
    expect([socket.connectionId, heard('gap')]).toEqual(['session1', []])
  })

  test('reports a gap if the server supports the feature and has lost the session all the same', async () => {
    const { server, heard } = await start()
    server.wire.peer.drop()
    server.resumes = false
    await server.reconnect()
    expect(heard('gap')).toEqual([{ reason: 'session', unknown: [], resent: [] }])
    expect(heard('error')).toEqual([])
  })

  test.each(['a b', 'a,b', 'a.b', 'ä'])(
    'uses the URL for the token %j, which no subprotocol can contain',
    async token => {
      const { server } = world()
      await settled()
      const connected = { type: 'system', event: 'connected', connectionId: 'x', reconnectionToken: token }
      server.latest.accept().send(JSON.stringify({ ...connected, features: ['resumeProtocol'] }))
      await settled()
      server.latest.drop()
      await vi.advanceTimersByTimeAsync(6_000)
      expect(new URL(server.latest.socket.url).searchParams.get('awps_reconnection_token')).toBe(token)
      expect(server.latest.protocols).toEqual(['json.reliable.webpubsub.azure.v1'])
    },
  )

  test('continues in another page with the same feature', async () => {
    const { socket } = await start()
    const saved = socket.save()
    const next = world({ saved })
    await settled()
    expect(next.server.latest.protocols[1]).toBe('resume.session1.secret2')
  })
})

describe('close() on a server that supports the feature endSession', () => {
  const start = async () => {
    const one = world()
    one.server.features = ['endSession']
    await one.server.connect()
    return one
  }

  test('ends the session after everything that was sent before', async () => {
    const { socket, server } = await start()
    socket.send('last')
    socket.close(4001, 'done')
    await settled()
    expect(types(server.latest)).toEqual(['event', 'endSession'])
    expect(server.latest.closed).toMatchObject({ code: 4001, reason: 'done' })
  })

  test('keeps the session if save() was called on this connection, because another page continues with it', async () => {
    const { socket, server } = await start()
    socket.save()
    server.wire.peer.drop()
    await server.reconnect()
    socket.save()
    socket.close()
    await settled()
    expect(types(server.latest)).not.toContain('endSession')
  })

  test('ends the session if save() was called on an earlier connection only: this page has come back', async () => {
    const { socket, server } = await start()
    socket.save()
    server.wire.peer.drop()
    await server.reconnect()
    socket.close()
    await settled()
    expect(types(server.latest)).toContain('endSession')
  })

  test('is followed by a new session, after a gap, if the socket connects again', async () => {
    const { socket, server, heard } = await start()
    socket.close()
    server.forget()
    server.latest.close(1000)
    await settled()
    socket.connect()
    await server.reconnect()
    await server.reconnect()
    expect(heard('gap')).toEqual([{ reason: 'session', unknown: [], resent: [] }])
    expect(socket.connectionId).not.toBe('session1')
    expect(socket.state.name).toBe('open')
  })
})

describe('a server without features', () => {
  test.each([undefined, null, 'endSession', {}, 7])(
    'gets no other frames and subprotocols with features: %j',
    async features => {
      const { socket, server } = world()
      server.features = features as any
      await server.connect()
      server.wire.peer.drop()
      await server.reconnect()
      expect(server.latest.protocols).toEqual(['json.reliable.webpubsub.azure.v1'])
      socket.close()
      await settled()
      expect(types(server.latest)).not.toContain('endSession')
    },
  )
})

describe('a message of an outbox', () => {
  const outbox = () => {
    let port: OutboxSocket | undefined
    const outbox: Outbox = {
      attach(socket) {
        port = socket
        return async ({ data, write, options }) => socket.send(write(data), 'an-id', options)
      },
    }
    return { outbox, port: () => port as OutboxSocket }
  }

  test('has its messageId only on a server that supports the feature messageIds', async () => {
    const { socket, server } = world({ outbox: outbox().outbox })
    await server.connect()
    socket.send({ messageId: 'in the data' })
    await settled()
    expect(frames(server.wire.peer).at(-1)).not.toHaveProperty('messageId')
    expect(frames(server.wire.peer).at(-1)?.data).toEqual({ messageId: 'in the data' })
    server.wire.peer.drop()
    server.resumes = false
    server.features = ['messageIds']
    await server.reconnect()
    expect(frames(server.wire.peer).at(-1)).toMatchObject({ messageId: 'an-id', ackId: 1, event: 'message' })
  })

  test('is sent again in a new session, is not part of save(), and stays in the outbox when the socket is closed', async () => {
    const { socket, server, heard } = world({ outbox: outbox().outbox })
    server.features = ['messageIds']
    await server.connect()
    const outcome = socket.send('x')
    await settled()
    expect(JSON.parse(socket.save())).toMatchObject({ sent: [], waiting: [] })
    server.wire.peer.drop()
    server.resumes = false
    await server.reconnect()
    expect(heard('gap')).toMatchObject([{ unknown: [], resent: [{ data: 'x', messageId: 'an-id' }] }])
    expect(await outcome).toEqual({ status: 'delivered' })
    const last = socket.send('y')
    await settled()
    socket.close()
    await vi.advanceTimersByTimeAsync(6_000)
    expect(await last).toEqual({ status: 'unknown' })
    expect(heard('drop')).toEqual([])
  })

  test('with invalid options rejects before the outbox gets it, and with store: false bypasses it', async () => {
    const attached = vi.fn(async () => ({ status: 'delivered' as const }))
    const { socket, server } = world({ outbox: { attach: () => attached } })
    await server.connect()
    await expect(socket.send('x', { ttl: -1 })).rejects.toThrow(TypeError)
    expect(attached).not.toHaveBeenCalled()
    socket.send('typing', { store: false })
    await settled()
    expect(attached).not.toHaveBeenCalled()
    expect(frames(server.wire.peer).at(-1)).toMatchObject({ data: 'typing' })
  })
})
