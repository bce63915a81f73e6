import { describe, expect, test, vi } from 'vitest'
import type { FakePeer } from '../../src/testing.ts'
import { frames, fresh, outcomes, settled, world } from './world.ts'

fresh()

const ids = (peer: FakePeer) => frames(peer).map(({ ackId }) => ackId)
const delivered = { status: 'delivered' }
const unknown = { status: 'unknown' }

describe('messages to the server', () => {
  test('a message is delivered when the server acknowledges it, and not before', async () => {
    const { socket, server, session } = world()
    const wire = await server.connect()
    const [...list] = [socket.send('hello')]
    const seen = outcomes(...list)
    server.read()
    await settled()
    expect(seen).toEqual(['pending'])
    await server.deliver()
    expect(seen).toEqual([delivered])
    expect(session().processed).toEqual([
      { type: 'event', event: 'message', ackId: 1, dataType: 'text', data: 'hello' },
    ])
    expect(wire.peer.protocols).toEqual(['json.reliable.webpubsub.azure.v1'])
    expect(server.faults).toEqual([])
  })

  test('a message is sent as text, as JSON, or as binary in base64, with the name of its event or group', async () => {
    const { socket, server, session } = world()
    await server.connect()
    const buffer = new Uint8Array([0, 1, 2, 250, 255]).buffer
    socket.send({ a: [1, null] }, { event: 'order' })
    socket.send(buffer)
    socket.send(new Uint8Array(buffer, 1, 2))
    socket.send(null)
    socket.publish('news', 7, { noEcho: true })
    await server.exchange()
    expect(session().processed.map(({ ackId, ...frame }) => frame)).toEqual([
      { type: 'event', event: 'order', dataType: 'json', data: { a: [1, null] } },
      { type: 'event', event: 'message', dataType: 'binary', data: 'AAEC+v8=' },
      { type: 'event', event: 'message', dataType: 'binary', data: 'AQI=' },
      { type: 'event', event: 'message', dataType: 'json', data: null },
      { type: 'sendToGroup', group: 'news', noEcho: true, dataType: 'json', data: 7 },
    ])
  })

  test('a message of megabytes arrives unchanged, both ways', async () => {
    const { socket, server, session, heard } = world()
    await server.connect()
    const bytes = Uint8Array.from({ length: 3_000_001 }, (_, i) => (i * 31 + (i >> 8)) & 255)
    socket.send(bytes)
    await server.exchange()
    const { data } = session().processed[0] as { data: string }
    expect(Buffer.from(data, 'base64').equals(bytes)).toBe(true)
    server.send(session(), data, { dataType: 'binary' })
    await server.exchange()
    const [message] = heard('message')
    expect(message.data).toBeInstanceOf(ArrayBuffer)
    expect(Buffer.from(message.data).equals(bytes)).toBe(true)
  })

  test('a buffer may be reused as soon as send() has returned', async () => {
    const { socket, server, session } = world()
    const bytes = new Uint8Array([1, 2, 3])
    socket.send(bytes)
    bytes.fill(0)
    await server.connect()
    await server.exchange()
    expect(session().processed[0]?.data).toBe('AQID')
  })

  test('data, names and options that are invalid reject at once, and change nothing', async () => {
    const { socket, server, heard } = world()
    await server.connect()
    const cyclic: { self?: unknown } = {}
    cyclic.self = cyclic
    const shared = new SharedArrayBuffer(4)
    const bad = [
      undefined,
      () => {},
      Symbol('x'),
      1n,
      cyclic,
      new Blob(['x']),
      shared,
      new Uint8Array(shared),
    ]
    for (const data of bad) await expect(socket.send(data)).rejects.toThrow(TypeError)
    await expect(socket.send('x', { event: '' })).rejects.toThrow(TypeError)
    await expect(socket.send('x', { event: 5 as any })).rejects.toThrow(TypeError)
    await expect(socket.send('x', { ttl: -1 })).rejects.toThrow(TypeError)
    await expect(socket.send('x', { ttl: Number.NaN })).rejects.toThrow(TypeError)
    await expect(socket.send('x', { onLost: 'retry' as any })).rejects.toThrow(TypeError)
    await expect(socket.join('')).rejects.toThrow(TypeError)
    await expect(socket.publish(undefined as any, 1)).rejects.toThrow(TypeError)
    socket.send('good')
    expect(frames(server.latest)).toMatchObject([{ data: 'good', ackId: 1 }])
    expect(heard('drop')).toEqual([])
  })

  test("a message that the server refuses is dropped, with the server's error", async () => {
    const { socket, server, heard } = world()
    await server.connect()
    server.refusal = { name: 'Forbidden', message: 'not yours' }
    const seen = outcomes(socket.send('x'))
    await server.exchange()
    expect(seen).toEqual([
      { status: 'dropped', reason: 'refused', error: { name: 'Forbidden', message: 'not yours' } },
    ])
    expect(heard('drop')).toMatchObject([{ type: 'event', ackId: 1, data: 'x', reason: 'refused' }])
    expect(socket.stats).toMatchObject({ inFlight: 0, dropped: 1 })
  })
})

describe('messages to the server in an outage', () => {
  test('unacknowledged messages are sent again after an outage, in order, with the same ackIds, before newer ones', async () => {
    const { socket, server, session, heard } = world()
    const first = await server.connect()
    const seen = outcomes(...['a', 'b', 'c'].map(text => socket.send(text)))
    first.peer.drop()
    const later = outcomes(socket.send('d'))
    const second = await server.reconnect()
    expect(ids(first.peer)).toEqual([1, 2, 3])
    expect(frames(second.peer).map(({ data, ackId }) => [ackId, data])).toEqual([
      [1, 'a'],
      [2, 'b'],
      [3, 'c'],
      [4, 'd'],
    ])
    await server.exchange()
    expect([...seen, ...later]).toEqual([delivered, delivered, delivered, delivered])
    expect(session().processed.map(({ data }) => data)).toEqual(['a', 'b', 'c', 'd'])
    expect(heard('gap')).toEqual([])
    expect(heard('open')).toMatchObject([{ resumed: false }, { resumed: true, reconnected: true }])
    expect(server.faults).toEqual([])
  })

  test('a message whose acknowledgement was lost is not processed twice: Duplicate counts as success', async () => {
    const { socket, server, session } = world()
    await server.connect()
    const seen = outcomes(socket.send('once'))
    server.read()
    server.wire.peer.drop()
    await server.reconnect()
    await server.exchange()
    expect(seen).toEqual([delivered])
    expect(session().processed).toHaveLength(1)
  })

  test('nothing is sent before connected, and nothing twice if connected was lost', async () => {
    const { socket, server } = world()
    const seen = outcomes(socket.send('early'))
    await settled()
    const first = server.accept()
    await settled()
    expect(frames(first.peer)).toEqual([])
    expect(socket.state.name).toBe('connecting')
    first.peer.drop()
    const second = await server.reconnect()
    expect(new URL(second.peer.socket.url).search).toBe('')
    await server.exchange()
    expect(seen).toEqual([delivered])
    expect(second.session?.processed).toHaveLength(1)
  })

  test('a connected frame that is lost while resuming changes nothing', async () => {
    const { socket, server, session } = world()
    await server.connect()
    const seen = outcomes(socket.send('x'))
    server.wire.peer.drop()
    await vi.advanceTimersByTimeAsync(6_000)
    server.accept().peer.drop()
    const wire = await server.reconnect()
    await server.exchange()
    expect(wire.peer.socket.url).toContain('awps_connection_id')
    expect(seen).toEqual([delivered])
    expect(session().processed).toHaveLength(1)
  })

  test('a message is sent once on each connection: the core neither queues nor reclaims it', async () => {
    const { socket, server } = world()
    const { peer } = await server.connect()
    peer.freeze('up')
    socket.send('a')
    socket.send('b')
    expect(peer.socket.bufferedAmount).toBeGreaterThan(0)
    peer.drop()
    await server.reconnect()
    expect(ids(server.latest)).toEqual([1, 2])
    expect(socket.stats).toMatchObject({ queued: 0, inFlight: 0, dropped: 0 })
    expect(server.faults).toEqual([])
  })

  test('a message is not sent on a connection that is closing', async () => {
    const { socket, server } = world()
    const { peer } = await server.connect()
    // The peer sends a close frame, and does not receive the answer.
    peer.freeze('up').close(1012)
    const seen = outcomes(socket.send('x'))
    expect(frames(peer)).toEqual([])
    expect(socket.stats).toMatchObject({ queued: 1, inFlight: 0 })
    peer.drop()
    await server.reconnect()
    await server.exchange()
    expect(seen).toEqual([delivered])
  })

  test('a message that an open listener sends is sent after the queued messages', async () => {
    const { socket, server, session } = world()
    socket.send('first')
    socket.on('open', () => socket.send('second'))
    await server.connect()
    await server.exchange()
    expect(session().processed.map(({ data }) => data)).toEqual(['first', 'second'])
  })
})

describe('the window of unacknowledged messages', () => {
  test('the window holds 256 messages, and others wait for acknowledgements', async () => {
    const { socket, server, session } = world()
    await server.connect()
    for (let i = 0; i < 300; i++) socket.send(i)
    expect(ids(server.latest)).toHaveLength(256)
    expect(socket.stats).toMatchObject({ inFlight: 256, queued: 44 })
    await server.exchange()
    expect(session().processed.map(({ data }) => data)).toEqual(Array.from({ length: 300 }, (_, i) => i))
    expect(socket.stats).toMatchObject({ inFlight: 0, inFlightBytes: 0, queued: 0, queuedBytes: 0 })
  })

  test('the window holds 1 MiB of UTF-8, and a larger message is sent alone', async () => {
    const { socket, server } = world()
    await server.connect()
    const third = '€'.repeat(2 ** 17)
    for (let i = 0; i < 4; i++) socket.send(third)
    expect(socket.stats).toMatchObject({ inFlight: 2, queued: 2 })
    expect(socket.stats.inFlightBytes).toBe(
      frames(server.latest).reduce((sum, frame) => sum + Buffer.byteLength(JSON.stringify(frame)), 0),
    )
    await server.exchange()
    socket.send('x'.repeat(2 ** 21))
    socket.send('small')
    expect(socket.stats).toMatchObject({ inFlight: 1, queued: 1 })
    await server.exchange()
    expect(socket.stats).toMatchObject({ inFlight: 0, queued: 0 })
  })

  test('messages are sent again in order after one in the middle was acknowledged', async () => {
    const { socket, server } = world()
    const { peer } = await server.connect()
    const seen = outcomes(socket.send('a'), socket.send('b'), socket.send('c'))
    peer.send('{"type":"ack","ackId":2,"success":true}')
    await settled()
    expect(seen).toEqual(['pending', delivered, 'pending'])
    peer.drop()
    await server.reconnect()
    expect(ids(server.latest)).toEqual([1, 3])
  })
})

describe('messages that wait to be sent', () => {
  test('a message that does not fit into the queue is dropped as overflow', async () => {
    const { socket, server, heard } = world({ queue: { maxMessages: 2 } })
    const seen = outcomes(...['a', 'b', 'c'].map(text => socket.send(text)))
    await settled()
    expect(seen).toEqual(['pending', 'pending', { status: 'dropped', reason: 'overflow' }])
    expect(heard('drop')).toMatchObject([{ data: 'c', reason: 'overflow' }])
    await server.connect()
    await server.exchange()
    expect(seen.slice(0, 2)).toEqual([delivered, delivered])
  })

  test('the queue holds 16 MiB by default', async () => {
    const { socket } = world()
    const data = 'x'.repeat(2 ** 20)
    const seen = outcomes(...Array.from({ length: 17 }, () => socket.send(data)))
    await settled()
    expect(seen.filter(one => one === 'pending')).toHaveLength(15)
    expect(socket.stats.queuedBytes).toBeLessThanOrEqual(2 ** 24)
  })

  test('an invalid limit of the queue or the heartbeat throws a TypeError', () => {
    expect(() => world({ queue: { maxMessages: -1 } })).toThrow(TypeError)
    expect(() => world({ queue: { maxBytes: Number.NaN } })).toThrow(TypeError)
    expect(() => world({ heartbeat: { interval: -1 } })).toThrow(TypeError)
  })

  test('a message can be aborted until it is sent', async () => {
    const { socket, server } = world()
    const early = new AbortController()
    const late = new AbortController()
    const gone = outcomes(
      socket.send('x', { signal: early.signal }),
      socket.send('y', { signal: AbortSignal.abort() }),
    )
    early.abort()
    await settled()
    expect(gone).toEqual([
      { status: 'dropped', reason: 'aborted' },
      { status: 'dropped', reason: 'aborted' },
    ])
    await server.connect()
    expect(ids(server.latest)).toEqual([])
    const kept = outcomes(socket.send('z', { signal: late.signal }))
    late.abort()
    await server.exchange()
    expect(kept).toEqual([delivered])
  })

  test('a message expires after its ttl unless it was sent', async () => {
    const { socket, server } = world()
    const seen = outcomes(socket.send('x', { ttl: 50 }), socket.send('y', { ttl: 1e12 }))
    await vi.advanceTimersByTimeAsync(49)
    expect(seen[0]).toBe('pending')
    await vi.advanceTimersByTimeAsync(1)
    expect(seen).toEqual([{ status: 'dropped', reason: 'expired' }, 'pending'])
    await server.connect()
    const kept = outcomes(socket.send('z', { ttl: 50 }))
    await vi.advanceTimersByTimeAsync(100)
    await server.exchange()
    expect([seen[1], kept[0]]).toEqual([delivered, delivered])
  })

  test('a message with a ttl of thirty days, which is more than a timer accepts, expires after thirty days', async () => {
    const day = 86_400_000
    const { socket } = world({ autoConnect: false })
    const seen = outcomes(socket.send('x', { ttl: 30 * day }))
    vi.advanceTimersByTime(30 * day - 1)
    await settled()
    expect(seen).toEqual(['pending'])
    await vi.advanceTimersByTimeAsync(1)
    expect(seen).toEqual([{ status: 'dropped', reason: 'expired' }])
  })

  test('a misspelt option of send() rejects with a TypeError that names it, and sends nothing', async () => {
    const { socket } = world({ autoConnect: false })
    await expect(socket.send('x', { tl: 5 } as object)).rejects.toThrow(/no option 'tl'/)
    await expect(socket.publish('news', 'x', { noEco: true } as object)).rejects.toThrow(/no option 'noEco'/)
    expect(socket.stats.queued).toBe(0)
  })

  test('a message whose timer is late expires by the clock', async () => {
    const { socket, server } = world()
    const seen = outcomes(socket.send('x', { ttl: 50 }))
    await settled()
    vi.setSystemTime(Date.now() + 60_000)
    server.accept()
    await server.deliver()
    expect(ids(server.latest)).toEqual([])
    expect(seen).toEqual([{ status: 'dropped', reason: 'expired' }])
  })
})

describe('close() of a reliable socket', () => {
  test('close() resolves all promises: sent messages are unknown, waiting ones are dropped', async () => {
    const { socket, server, heard } = world()
    await server.connect()
    const sent = outcomes(socket.send('sent'))
    for (let i = 0; i < 255; i++) socket.send(i)
    const queued = outcomes(socket.send('queued', { ttl: 1_000 }))
    socket.close(4_000, 'bye')
    const late = outcomes(socket.send('late'))
    await vi.advanceTimersByTimeAsync(0)
    expect(socket.state.name).toBe('closed')
    expect(sent).toEqual([unknown])
    expect(queued).toEqual([{ status: 'dropped', reason: 'closed' }])
    expect(late).toEqual([{ status: 'dropped', reason: 'closed' }])
    expect(heard('drop')).toHaveLength(2)
    expect(socket.stats).toMatchObject({ inFlight: 0, inFlightBytes: 0, queued: 0, queuedBytes: 0 })
    expect(vi.getTimerCount()).toBe(0)
    expect(server.wire.peer.closed).toEqual({ code: 4_000, reason: 'bye' })
  })

  test('close() with an invalid code throws as the platform does, and changes nothing', async () => {
    const { socket, server } = world()
    await server.connect()
    expect(() => socket.close(1001)).toThrow(DOMException)
    expect(socket.state.name).toBe('open')
  })

  test('close() removes the listeners from the signals of messages', async () => {
    const { socket, server } = world()
    const { signal } = new AbortController()
    const add = vi.spyOn(signal, 'addEventListener')
    const remove = vi.spyOn(signal, 'removeEventListener')
    socket.send('waits', { signal })
    await server.connect()
    socket.close()
    await vi.advanceTimersByTimeAsync(0)
    expect(add).toHaveBeenCalledTimes(1)
    expect(remove).toHaveBeenCalled()
  })

  test('aborting the signal of the socket resolves all promises and leaves no timer', async () => {
    const life = new AbortController()
    const { socket, server, session } = world({ signal: life.signal })
    await server.connect()
    server.send(session(), 1)
    await server.deliver()
    const seen = outcomes(socket.send('x'))
    life.abort()
    await vi.advanceTimersByTimeAsync(0)
    expect(seen).toEqual([unknown])
    expect(vi.getTimerCount()).toBe(0)
  })

  test('a message that is sent after close() is dropped at once', async () => {
    const { socket, server } = world()
    await server.connect()
    socket.close()
    await vi.advanceTimersByTimeAsync(0)
    const late = outcomes(socket.send('late'))
    await settled()
    expect(late).toEqual([{ status: 'dropped', reason: 'closed' }])
    expect(socket.stats.queued).toBe(0)
  })

  test('connect() after close() resumes the session, and delivers nothing twice', async () => {
    const { socket, server, session, heard } = world()
    await server.connect()
    server.send(session(), 1)
    await server.exchange()
    socket.close()
    await vi.advanceTimersByTimeAsync(0)
    socket.connect()
    await settled()
    const { id } = session()
    server.send(session(), 2)
    await server.connect()
    expect(session().id).toBe(id)
    expect(heard('message').map(({ data }) => data)).toEqual([1, 2])
    expect(heard('gap')).toEqual([])
  })
})
