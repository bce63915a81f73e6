import { describe, expect, test, vi } from 'vitest'
import type { FakePeer } from '../../src/testing.ts'
import { frames, fresh, outcomes, settled, world } from './world.ts'

fresh()

const acks = (peer: FakePeer) =>
  frames(peer).flatMap(({ type, sequenceId }) => (type === 'sequenceAck' ? [sequenceId] : []))

describe('messages from the server', () => {
  test('a message arrives with its number, its group and its data by type', async () => {
    const { server, session, heard } = world()
    await server.connect()
    server.send(session(), { a: 1 })
    server.send(session(), 'text', { dataType: 'text', from: 'group', group: 'news' })
    server.send(session(), 'AQL/', { dataType: 'binary' })
    server.send(session(), null, { group: null })
    await server.exchange()
    const [json, text, binary, empty] = heard('message')
    const fromServer = { from: 'server', group: undefined, userId: undefined }
    expect(json).toEqual({ id: 1, ...fromServer, dataType: 'json', data: { a: 1 } })
    expect(text).toEqual({
      id: 2,
      from: 'group',
      group: 'news',
      userId: undefined,
      dataType: 'text',
      data: 'text',
    })
    expect(binary).toMatchObject({ id: 3, dataType: 'binary' })
    expect([...new Uint8Array(binary.data)]).toEqual([1, 2, 255])
    expect(empty).toEqual({ id: 4, ...fromServer, dataType: 'json', data: null })
  })

  test('a message contains its sender: the server, or a user of a group', async () => {
    const { server, session, heard } = world()
    await server.connect()
    server.send(session(), 1)
    server.send(session(), 2, { from: 'group', group: 'news', fromUserId: 'alice' })
    // If a frame names a group, its sender is a member of the group, whatever `from` contains.
    server.send(session(), 3, { from: 'server', group: 'news' })
    server.send(session(), 4, { from: 'group', fromUserId: null })
    await server.exchange()
    expect(heard('message').map(({ from, group, userId }) => [from, group, userId])).toEqual([
      ['server', undefined, undefined],
      ['group', 'news', 'alice'],
      ['group', 'news', undefined],
      ['group', undefined, undefined],
    ])
  })

  test('a message that the server repeats is acknowledged, but not delivered again', async () => {
    const { server, session, heard, socket } = world()
    await server.connect()
    for (let i = 1; i <= 3; i++) server.send(session(), i)
    await server.deliver()
    server.wire.peer.drop()
    server.send(session(), 4)
    await server.reconnect()
    expect(heard('message').map(({ data }) => data)).toEqual([1, 2, 3, 4])
    await vi.advanceTimersByTimeAsync(1_000)
    server.read()
    expect(session().unacked).toEqual([])
    expect(socket.stats.lastSequenceId).toBe(4)
  })

  test('a message that the server repeats is acknowledged although nothing new has arrived', async () => {
    const { server, session } = world()
    await server.connect()
    server.send(session(), 1)
    await server.deliver()
    await vi.advanceTimersByTimeAsync(1_000)
    server.wire.peer.drop()
    const wire = await server.reconnect()
    await vi.advanceTimersByTimeAsync(1_000)
    // At once after connected, and again for the message that the server repeated.
    expect(acks(wire.peer)).toEqual([1, 1])
  })

  test('a message that arrives together with connected is delivered after the open event', async () => {
    const { server, session, log } = world()
    await server.connect()
    server.wire.peer.drop()
    server.send(session(), 'early')
    await vi.advanceTimersByTimeAsync(6_000)
    log.length = 0
    const wire = server.accept()
    for (const text of wire.down.splice(0)) wire.peer.send(text as string)
    await settled()
    expect(log.map(([type, payload]) => (type === 'state' ? payload.name : type))).toEqual([
      'open',
      'open',
      'message',
    ])
  })

  test('a jump of the sequence numbers is reported as a gap with the number of missing messages, before the next message', async () => {
    const { server, session, log } = world()
    await server.connect()
    server.send(session(), 1)
    session().sent = 4
    server.send(session(), 5)
    log.length = 0
    await server.exchange()
    expect(log).toMatchObject([
      ['message', { id: 1 }],
      ['gap', { reason: 'skipped', missed: 3 }],
      ['message', { id: 5 }],
    ])
    expect(log[1]?.[1]).toEqual({ reason: 'skipped', missed: 3 })
  })
})

describe('acknowledging messages', () => {
  test('an acknowledgement is sent after one second and covers everything that arrived', async () => {
    const { server, session } = world()
    const { peer } = await server.connect()
    expect(vi.getTimerCount()).toBe(1)
    for (let i = 0; i < 5; i++) server.send(session(), i)
    await server.deliver()
    await vi.advanceTimersByTimeAsync(999)
    expect(acks(peer)).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(acks(peer)).toEqual([5])
    await vi.advanceTimersByTimeAsync(5_000)
    expect(acks(peer)).toEqual([5])
  })

  test('an acknowledgement is sent at once after 300 messages', async () => {
    const { server, session } = world()
    const { peer } = await server.connect()
    for (let i = 0; i < 750; i++) server.send(session(), i)
    await server.deliver()
    expect(acks(peer)).toEqual([300, 600])
    await vi.advanceTimersByTimeAsync(1_000)
    expect(acks(peer)).toEqual([300, 600, 750])
  })

  test('an acknowledgement is sent at once after half a million characters', async () => {
    const { server, session } = world()
    const { peer } = await server.connect()
    for (let i = 0; i < 10; i++) server.send(session(), 'x'.repeat(2 ** 17))
    await server.deliver()
    expect(acks(peer)).toEqual([4, 8])
    await vi.advanceTimersByTimeAsync(1_000)
    expect(acks(peer)).toEqual([4, 8, 10])
  })

  test('an acknowledgement is sent after the listeners have returned, even if one of them throws', async () => {
    const { socket, server, session } = world()
    const { peer } = await server.connect()
    const reports: (() => void)[] = []
    vi.stubGlobal('queueMicrotask', (report: () => void) => reports.push(report))
    const acknowledged: number[] = []
    const others: number[] = []
    socket.on('message', ({ id }) => {
      acknowledged.push(acks(peer).length)
      if (id === 300) throw new Error('of a listener')
    })
    socket.on('message', ({ id }) => others.push(id))
    for (let i = 0; i < 300; i++) server.send(session(), i)
    await server.deliver()
    expect(acknowledged.every(count => count === 0)).toBe(true)
    expect(acks(peer)).toEqual([300])
    expect(others).toHaveLength(300)
    expect(reports).toHaveLength(1)
    expect(reports[0]).toThrow('of a listener')
  })

  test('close() sends an acknowledgement that is due', async () => {
    const { socket, server, session } = world()
    const { peer } = await server.connect()
    server.send(session(), 1)
    await server.deliver()
    socket.close()
    expect(acks(peer)).toEqual([1])
    await vi.advanceTimersByTimeAsync(0)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('an acknowledgement is the first frame after a session was resumed', async () => {
    const { socket, server, session } = world()
    await server.connect()
    for (let i = 0; i < 5; i++) server.send(session(), i)
    await server.deliver()
    socket.send('unacknowledged')
    server.wire.peer.drop()
    await vi.advanceTimersByTimeAsync(6_000)
    const wire = server.accept()
    await server.deliver(wire, 1)
    expect(frames(wire.peer)).toMatchObject([
      { type: 'sequenceAck', sequenceId: 5 },
      { type: 'event', data: 'unacknowledged' },
    ])
  })

  test('a page that is reloaded more often than once a second acknowledges everything', async () => {
    let w = world()
    await w.server.connect()
    for (let page = 0; page < 20; page++) {
      for (let i = 0; i < 100; i++) w.server.send(w.session(), i)
      await w.server.deliver()
      await vi.advanceTimersByTimeAsync(500)
      const saved = w.socket.save()
      w.server.wire.peer.drop()
      w.socket.close()
      await vi.advanceTimersByTimeAsync(0)
      w = world({ saved }, { server: w.server })
      await settled()
      w.server.accept()
      await w.server.deliver(w.server.wire, 1)
      w.server.read()
      expect(w.session().unacked).toEqual([])
      await w.server.deliver()
    }
    expect(w.heard('gap')).toEqual([])
  })

  test('save() sends an acknowledgement that is due, if there is a connection', async () => {
    const { socket, server, session } = world()
    const { peer } = await server.connect()
    socket.save()
    expect(acks(peer)).toEqual([])
    for (let i = 0; i < 5; i++) server.send(session(), i)
    await server.deliver()
    socket.save()
    expect(acks(peer)).toEqual([5])
    socket.save()
    await vi.advanceTimersByTimeAsync(5_000)
    expect(acks(peer)).toEqual([5])
    server.send(session(), 6)
    await server.deliver()
    peer.drop()
    expect(() => socket.save()).not.toThrow()
  })

  test('close() sends no acknowledgement if nothing has arrived', async () => {
    const { socket, server } = world()
    const { peer } = await server.connect()
    socket.close()
    expect(frames(peer)).toEqual([])
  })
})

describe('invalid frames from the server', () => {
  const MALFORMED = [
    'no JSON',
    '',
    'null',
    '1',
    '"ack"',
    '[]',
    '{}',
    '{"type":7}',
    '{"type":"message"}',
    '{"type":"message","sequenceId":"1","dataType":"json","data":1}',
    '{"type":"message","sequenceId":1.5,"dataType":"json","data":1}',
    '{"type":"message","sequenceId":9007199254740993,"dataType":"json","data":1}',
    '{"type":"message","sequenceId":1,"dataType":"json"}',
    '{"type":"message","sequenceId":1,"dataType":"text","data":1}',
    '{"type":"message","sequenceId":1,"dataType":"binary","data":"no base64!"}',
    '{"type":"message","sequenceId":1,"dataType":"binary","data":[1]}',
    '{"type":"message","sequenceId":1,"dataType":"protobuf","data":"AQ=="}',
    '{"type":"message","sequenceId":1,"dataType":["json"],"data":1}',
    '{"type":"message","sequenceId":1,"dataType":["text"],"data":"x"}',
    '{"type":"message","sequenceId":1,"dataType":"json","data":1,"group":7}',
    '{"type":"message","sequenceId":1,"data":1}',
    '{"type":"ack"}',
    '{"type":"ack","ackId":1}',
    '{"type":"ack","ackId":1,"success":"yes"}',
    '{"type":"ack","ackId":1,"success":0,"error":[]}',
  ]

  test.each(MALFORMED)('the frame %s causes an error event, and nothing else', async text => {
    const { socket, server, heard } = world()
    const { peer } = await server.connect()
    const seen = outcomes(socket.send('x'))
    peer.send(text)
    await settled()
    expect(heard('error')).toEqual([expect.any(TypeError)])
    expect(heard('message')).toEqual([])
    expect(seen).toEqual(['pending'])
    expect(socket.state.name).toBe('open')
    await server.exchange()
    expect(seen).toEqual([{ status: 'delivered' }])
  })

  test('a limited frame, which says why the server reads more slowly, causes an error event with that text', async () => {
    const { socket, server, heard } = world()
    const { peer } = await server.connect()
    peer.send('{"type":"system","event":"limited","message":"this user sends too much"}')
    await settled()
    expect(heard('error')).toEqual([new Error('this user sends too much')])
    expect(socket.state.name).toBe('open')
  })

  test('a binary frame causes an error event', async () => {
    const { server, heard } = world()
    const { peer } = await server.connect()
    peer.send(new ArrayBuffer(2))
    expect(heard('error')).toEqual([expect.any(TypeError)])
  })

  test.each([
    '{"type":"future","sequenceId":1}',
    '{"type":"system","event":"future"}',
    '{"type":"pong"}',
    '{"type":"ack","ackId":99,"success":true}',
    '{"type":"ack","ackId":"__proto__","success":true}',
    '{"type":"ack","ackId":{"a":1},"success":false,"error":null}',
    '{"type":"message","sequenceId":0,"dataType":"json","data":1}',
    '{"type":"message","sequenceId":-5}',
  ])('the frame %s is ignored', async text => {
    const { server, log } = world()
    const { peer } = await server.connect()
    log.length = 0
    peer.send(text)
    await settled()
    expect(log).toEqual([])
  })

  test('a message that cannot be read is not acknowledged, and is reported as missing before the next message', async () => {
    const { server, session, heard } = world()
    const { peer } = await server.connect()
    session().sent = 1
    peer.send('{"type":"message","sequenceId":1,"dataType":"binary","data":"?"}')
    await vi.advanceTimersByTimeAsync(1_000)
    expect(acks(peer)).toEqual([])
    server.send(session(), 'next')
    await server.exchange()
    expect(heard('gap')).toEqual([{ reason: 'skipped', missed: 1 }])
    expect(heard('message')).toMatchObject([{ id: 2 }])
  })

  test('a field named __proto__ is delivered as data and changes no prototype', async () => {
    const { server, heard } = world()
    const { peer } = await server.connect()
    peer.send(
      '{"__proto__":{"type":"ack"},"type":"message","sequenceId":1,"dataType":"json","data":{"__proto__":{"admin":true}}}',
    )
    const [{ data }] = heard('message')
    expect(data.admin).toBe(undefined)
    expect(Object.getPrototypeOf(data)).toBe(Object.prototype)
    expect(({} as any).admin).toBe(undefined)
  })

  test.each([
    'hello',
    'null',
    '{"type":"system","event":"connected"}',
    '{"type":"system","event":"connected","connectionId":7}',
    '{"type":"message","sequenceId":1,"dataType":"json","data":1}',
  ])('a connection whose first frame is %s fails before anything is sent on it', async text => {
    const { socket, server, heard } = world()
    socket.send('x')
    await settled()
    server.latest.accept().send(text)
    await settled()
    expect(heard('error')).toMatchObject([{ code: 'PREPARE_FAILED', cause: expect.any(TypeError) }])
    expect(socket.state.name).toBe('waiting')
    expect(frames(server.latest)).toEqual([])
  })

  test('a server that never sends connected runs into connectTimeout', async () => {
    const { socket, server, heard } = world()
    await settled()
    server.latest.accept()
    await vi.advanceTimersByTimeAsync(10_000)
    expect(heard('error')).toMatchObject([{ code: 'CONNECT_TIMEOUT' }])
    expect(socket.state.name).toBe('waiting')
  })
})

describe('heartbeat of a reliable socket', () => {
  test("the heartbeat sends the protocol's ping, and a pong proves that the connection is alive", async () => {
    const { server, socket } = world()
    const { peer } = await server.connect()
    await vi.advanceTimersByTimeAsync(25_000)
    expect(frames(peer)).toEqual([{ type: 'ping' }])
    peer.send('{"type":"pong"}')
    await vi.advanceTimersByTimeAsync(11_000)
    expect(socket.state.name).toBe('open')
    expect(socket.stats.latency).toBe(0)
  })

  test('a connection that does not answer a ping is abandoned, and the session is resumed', async () => {
    const { server, socket, session } = world({ heartbeat: { interval: 1_000, timeout: 500 } })
    await server.connect()
    const { id } = session()
    await vi.advanceTimersByTimeAsync(1_500)
    expect(socket.state).toMatchObject({ name: 'waiting', cause: { code: 'UNRESPONSIVE' } })
    await server.reconnect()
    expect(session().id).toBe(id)
  })

  test('heartbeat: false sends no pings', async () => {
    const { server, socket } = world({ heartbeat: false })
    const { peer } = await server.connect()
    await vi.advanceTimersByTimeAsync(600_000)
    expect(frames(peer)).toEqual([])
    expect(socket.state.name).toBe('open')
    expect(vi.getTimerCount()).toBe(0)
  })
})
