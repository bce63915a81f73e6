import { describe, expect, test, vi } from 'vitest'
import type { FakePeer } from '../../src/testing.ts'
import { frames, fresh, outcomes, settled, world } from './world.ts'

fresh()

const ids = (peer: FakePeer) => frames(peer).map(({ ackId }) => ackId)
const delivered = { status: 'delivered' }
const unknown = { status: 'unknown' }

describe('a message', () => {
  test('is delivered when the server acknowledges it, and not before', async () => {
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

  test('says what it is: an event of a name, text, JSON, or binary as base64', async () => {
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

  test('of megabytes goes through both ways as it was', async () => {
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

  test('is what it was at the call: a buffer may be reused at once', async () => {
    const { socket, server, session } = world()
    const bytes = new Uint8Array([1, 2, 3])
    socket.send(bytes)
    bytes.fill(0)
    await server.connect()
    await server.exchange()
    expect(session().processed[0]?.data).toBe('AQID')
  })

  test('that nothing can carry is refused at once, and changes nothing', async () => {
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

  test('that the server turns down is dropped, with what it says', async () => {
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

describe('an outage', () => {
  test('keeps what was not acknowledged, and sends it again in order, before newer ones, with the same ackIds', async () => {
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

  test('between the processing and the acknowledgement leads to no duplicate: Duplicate is success', async () => {
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

  test('sends nothing before connected, and nothing twice when connected is cut off', async () => {
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

  test('with connected cut off while resuming changes nothing', async () => {
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

  test('makes the core keep nothing and take nothing back: a message goes out once on each connection', async () => {
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

  test('does not hand a message to a socket that is closing already', async () => {
    const { socket, server } = world()
    const { peer } = await server.connect()
    // The peer says goodbye, and the answer does not get through.
    peer.freeze('up').close(1012)
    const seen = outcomes(socket.send('x'))
    expect(frames(peer)).toEqual([])
    expect(socket.stats).toMatchObject({ queued: 1, inFlight: 0 })
    peer.drop()
    await server.reconnect()
    await server.exchange()
    expect(seen).toEqual([delivered])
  })

  test('a send() in an open listener stands behind what waits', async () => {
    const { socket, server, session } = world()
    socket.send('first')
    socket.on('open', () => socket.send('second'))
    await server.connect()
    await server.exchange()
    expect(session().processed.map(({ data }) => data)).toEqual(['first', 'second'])
  })
})

describe('the window', () => {
  test('takes 256 messages, and the rest wait for acknowledgements', async () => {
    const { socket, server, session } = world()
    await server.connect()
    for (let i = 0; i < 300; i++) socket.send(i)
    expect(ids(server.latest)).toHaveLength(256)
    expect(socket.stats).toMatchObject({ inFlight: 256, queued: 44 })
    await server.exchange()
    expect(session().processed.map(({ data }) => data)).toEqual(Array.from({ length: 300 }, (_, i) => i))
    expect(socket.stats).toMatchObject({ inFlight: 0, inFlightBytes: 0, queued: 0, queuedBytes: 0 })
  })

  test('takes a mebibyte, counted as UTF-8, and a larger message by itself', async () => {
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

  test('keeps the order when a message of the middle is acknowledged first', async () => {
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

describe('what waits', () => {
  test('is dropped where the queue is full, and says so', async () => {
    const { socket, server, heard } = world({ queue: { maxMessages: 2 } })
    const seen = outcomes(...['a', 'b', 'c'].map(text => socket.send(text)))
    await settled()
    expect(seen).toEqual(['pending', 'pending', { status: 'dropped', reason: 'overflow' }])
    expect(heard('drop')).toMatchObject([{ data: 'c', reason: 'overflow' }])
    await server.connect()
    await server.exchange()
    expect(seen.slice(0, 2)).toEqual([delivered, delivered])
  })

  test('is limited to 16 MiB by default', async () => {
    const { socket } = world()
    const data = 'x'.repeat(2 ** 20)
    const seen = outcomes(...Array.from({ length: 17 }, () => socket.send(data)))
    await settled()
    expect(seen.filter(one => one === 'pending')).toHaveLength(15)
    expect(socket.stats.queuedBytes).toBeLessThanOrEqual(2 ** 24)
  })

  test('a limit that is none throws at once', () => {
    expect(() => world({ queue: { maxMessages: -1 } })).toThrow(TypeError)
    expect(() => world({ queue: { maxBytes: Number.NaN } })).toThrow(TypeError)
    expect(() => world({ heartbeat: { interval: -1 } })).toThrow(TypeError)
  })

  test('can be aborted; what has been sent cannot', async () => {
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

  test('expires after its ttl; what has been sent does not', async () => {
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

  test('expires by the clock where the timer comes late', async () => {
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

describe('close()', () => {
  test('settles everything: what was sent is unknown, what was not is dropped', async () => {
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

  test('throws what the platform throws, and changes nothing', async () => {
    const { socket, server } = world()
    await server.connect()
    expect(() => socket.close(1001)).toThrow(DOMException)
    expect(socket.state.name).toBe('open')
  })

  test('leaves no watch on a signal', async () => {
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

  test('by a signal settles too, and leaves no timer', async () => {
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

  test('leaves nothing that could take a message: what is sent later is dropped at once', async () => {
    const { socket, server } = world()
    await server.connect()
    socket.close()
    await vi.advanceTimersByTimeAsync(0)
    const late = outcomes(socket.send('late'))
    await settled()
    expect(late).toEqual([{ status: 'dropped', reason: 'closed' }])
    expect(socket.stats.queued).toBe(0)
  })

  test('can be taken back: the session goes on, and nothing comes twice', async () => {
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
