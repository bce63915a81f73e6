// Sessions over protobuf.reliable.webpubsub.azure.v1: the client and the server of this package, with each other and with peers that only know JSON.
import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { type RawData, WebSocket } from 'ws'
import { createReliableSocket, type ReliableMessage, type ReliableOptions } from '../../src/reliable.ts'
import { protobuf } from '../../src/reliable-protobuf.ts'
import { memoryStore, type Session } from '../../src/server.ts'
import { extended, published } from '../protobuf/schema.ts'
import { cleanUp, cleanup } from '../support/cleanup.ts'
import { eventually } from '../support/eventually.ts'
import { byEffort } from '../support/run.ts'
import { frame, handshake, speak } from './raw-tcp.ts'
import { dial, forEachStore, join, type Node, PROTOCOL, startNode } from './server-rig.ts'

cleanUp()

const PROTOBUF = 'protobuf.reliable.webpubsub.azure.v1'

const echo = {
  onMessage: ({ event, data }: { event: string; data: unknown }, session: Session) => {
    if (event === 'echo') session.send(data)
  },
  onJoin: () => true,
  onPublish: () => true,
}

/** Makes a node select JSON, like a node that does not know the other subprotocol. */
const selectJson = ({ wss }: Node) => {
  wss.options.handleProtocols = () => PROTOCOL
}

const connect = async (endpoint: string | (() => Promise<string>), options: ReliableOptions = {}) => {
  const socket = createReliableSocket(endpoint, {
    WebSocket: WebSocket as never,
    retry: () => 10,
    wake: false,
    frames: protobuf(),
    ...options,
  })
  cleanup(() => socket.close())
  const messages: ReliableMessage[] = []
  const troubles: unknown[] = []
  socket.on('message', message => messages.push(message))
  for (const type of ['gap', 'error', 'drop'] as const) socket.on(type, event => troubles.push(event))
  await new Promise(resolve => socket.once('open', resolve))
  return { socket, messages, troubles }
}

const protocolOf = ({ state }: { state: object }) => (state as { protocol?: string }).protocol

/** All values of a byte, in an order that differs from one kilobyte to the next. */
const bytesOf = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 10)) & 255)

/** Counts the bytes of the messages that a node receives and sends. */
const countBytes = ({ wss }: Node) => {
  const count = { up: 0, down: 0 }
  wss.on('connection', socket => {
    socket.on('message', (data: RawData) => {
      count.up += (data as Buffer).length
    })
    const send = socket.send.bind(socket) as (data: string | Uint8Array, ...more: any[]) => void
    socket.send = (data: any, ...more: any[]) => {
      count.down += Buffer.byteLength(data)
      send(data, ...more)
    }
  })
  return count
}

/** A client that sends and receives bytes. */
const raw = async (url: string) => {
  const socket = new WebSocket(url, [PROTOBUF])
  const messages: any[] = []
  let end: { code: number; reason: string } | undefined
  socket.on('message', (data: Buffer) => messages.push(extended.downstream.read(new Uint8Array(data))))
  socket.on('close', (code, reason) => {
    end = { code, reason: String(reason) }
  })
  socket.on('error', () => {})
  cleanup(() => socket.terminate())
  const until = async (find: (message: any) => unknown) => {
    await eventually(() => expect(messages.some(find)).toBe(true), 5)
    return messages.find(find)
  }
  await until(({ system_message }) => system_message?.connected_message)
  return {
    socket,
    messages,
    until,
    send: (message: object) => socket.send(extended.upstream.write(message)),
    ack: (id: number) => until(({ ack_message }) => ack_message && (ack_message.ack_id ?? 0) === id),
    closed: async () => {
      await eventually(() => expect(end).toBeDefined(), 5)
      return end
    },
  }
}

forEachStore(stores => {
  const start = (options: Parameters<typeof startNode>[0] = {}) =>
    startNode({ store: stores.next(), ...echo, ...options })

  test('data of all types arrives unchanged in both directions, and binary data is sent without base64', async () => {
    const node = await start()
    const count = countBytes(node)
    const { socket, messages, troubles } = await connect(node.url)
    expect(protocolOf(socket)).toBe(PROTOBUF)
    const large = bytesOf(2 ** 16)
    const all = [
      'text ä€😀\u0000',
      '\uFEFF',
      '',
      { a: [1, null, 'ü'] },
      '{"a":1}',
      0,
      null,
      new Uint8Array(),
      large,
    ]
    for (const data of all) {
      expect(await socket.send(data, { event: 'echo' })).toEqual({ status: 'delivered' })
    }
    await eventually(() => expect(messages).toHaveLength(all.length))
    expect(messages.map(({ data }) => (data instanceof ArrayBuffer ? new Uint8Array(data) : data))).toEqual(
      all,
    )
    expect(messages.map(({ dataType }) => dataType)).toEqual(
      'text text text json text json json binary binary'.split(' '),
    )
    expect(messages.map(({ id, from, group }) => [id, from, group])).toEqual(
      all.map((_, i) => [i + 1, 'server', undefined]),
    )
    expect(troubles).toEqual([])
    // All other data and the framing take less than 1,500 bytes.
    expect(count.up).toBeLessThan(large.length + 1_500)
    expect(count.down).toBeLessThan(large.length + 1_500)
  })

  test('a buffer that was passed to send() can be reused at once, on both ends', async () => {
    const heard: unknown[] = []
    const { url, server } = await start({ onMessage: ({ data }) => void heard.push(data) })
    const { socket, messages } = await connect(url)
    const buffer = new Uint8Array([1, 2, 3])
    const outcome = socket.send(buffer.subarray(1))
    const sent = server.broadcast(buffer.subarray(1))
    buffer.fill(9)
    await Promise.all([outcome, sent])
    await eventually(() => expect(messages).toHaveLength(1))
    expect(heard).toEqual([new Uint8Array([2, 3])])
    expect(new Uint8Array(messages[0]?.data as ArrayBuffer)).toEqual(new Uint8Array([2, 3]))
  })

  test('a group connects clients of both subprotocols', async () => {
    let user = 0
    const { url } = await start({ authorize: () => `user${++user}` })
    const ours = await connect(url)
    const json = await connect(url, { frames: undefined })
    expect([protocolOf(ours.socket), protocolOf(json.socket)]).toEqual([PROTOBUF, PROTOCOL])
    await Promise.all([ours.socket.join('g'), json.socket.join('g')])
    const bytes = bytesOf(70_000)
    for (const { socket } of [ours, json]) {
      await socket.publish('g', bytes, { noEcho: true })
      await socket.publish('g', { to: 'all' })
    }
    await eventually(() => expect([ours.messages.length, json.messages.length]).toEqual([3, 3]))
    const shown = ({ messages }: typeof ours) =>
      messages.map(({ from, group, userId, dataType, data }) => [
        ...[from, group, userId, dataType],
        data instanceof ArrayBuffer ? Buffer.compare(bytes, new Uint8Array(data)) : data,
      ])
    expect(shown(ours)).toEqual([
      ['group', 'g', 'user1', 'json', { to: 'all' }],
      ['group', 'g', 'user2', 'binary', 0],
      ['group', 'g', 'user2', 'json', { to: 'all' }],
    ])
    expect(shown(json)).toEqual([
      ['group', 'g', 'user1', 'binary', 0],
      ['group', 'g', 'user1', 'json', { to: 'all' }],
      ['group', 'g', 'user2', 'json', { to: 'all' }],
    ])
  })

  test('a session continues on connections of either subprotocol, with unacknowledged messages in both directions', async () => {
    const store = stores.next()
    const heard: unknown[] = []
    const options = { store, ...echo, onMessage: ({ data }: { data: unknown }) => void heard.push(data) }
    const nodes = [await startNode(options), await startNode(options)] as const
    selectJson(nodes[1])
    let target = nodes[0]
    const { socket, messages, troubles } = await connect(async () => target.url)
    const id = socket.connectionId as string
    const down = bytesOf(300)
    const protocols: unknown[] = []
    for (let round = 0; round < 6; round++) {
      target = nodes[(round + 1) % 2] as Node
      // Cuts the connection before the node can read or write anything more.
      for (const { wss } of nodes) for (const client of wss.clients) client.terminate()
      const opened = new Promise(resolve => socket.once('open', resolve))
      const outcomes = [socket.send(bytesOf(round + 1)), socket.send({ round })]
      await nodes[0].server.send(id, down.subarray(round))
      expect(await opened).toMatchObject({ resumed: true })
      protocols.push(protocolOf(socket))
      for (const outcome of outcomes) expect(await outcome).toEqual({ status: 'delivered' })
    }
    expect(protocols).toEqual([1, 2, 3].flatMap(() => [PROTOCOL, PROTOBUF]))
    await eventually(() => expect(messages).toHaveLength(6))
    expect(messages.map(({ data }) => new Uint8Array(data as ArrayBuffer))).toEqual(
      [0, 1, 2, 3, 4, 5].map(round => down.slice(round)),
    )
    expect(heard).toEqual([0, 1, 2, 3, 4, 5].flatMap(round => [bytesOf(round + 1), { round }]))
    expect(socket.connectionId).toBe(id)
    expect(troubles).toEqual([])
  })

  test('a session moves from one subprotocol to the other by handover', async () => {
    const store = stores.next()
    const nodes = [await startNode({ store, ...echo }), await startNode({ store, ...echo })] as const
    selectJson(nodes[1])
    let target = nodes[0]
    const { socket, messages, troubles } = await connect(async () => target.url)
    const outcomes: unknown[] = []
    for (let i = 0; i < 6; i++) {
      target = nodes[(i + 1) % 2] as Node
      const sent = Promise.all([
        socket.send(bytesOf(i), { event: 'echo' }),
        socket.send(i, { event: 'echo' }),
      ])
      await socket.handover()
      outcomes.push(...(await sent).map(({ status }) => status), protocolOf(socket))
    }
    expect(outcomes).toEqual(
      [0, 1, 2, 3, 4, 5].flatMap(i => ['delivered', 'delivered', i % 2 ? PROTOBUF : PROTOCOL]),
    )
    await eventually(() => expect(messages).toHaveLength(12))
    expect(messages.map(({ data }) => (data instanceof ArrayBuffer ? data.byteLength : data))).toEqual(
      [0, 1, 2, 3, 4, 5].flatMap(i => [i, i]),
    )
    expect(troubles).toEqual([])
  })

  test('a page resumes the session that the previous page has saved, whichever format each of them uses', async () => {
    const heard: unknown[] = []
    const options = {
      store: stores.next(),
      onMessage: ({ data }: { data: unknown }) => void heard.push(data),
    }
    const { url } = await startNode(options)
    const save = async (saved: string | undefined, frames: ReliableOptions['frames'], data: Uint8Array) => {
      const { socket } = await connect(url, { saved, frames })
      const id = socket.connectionId
      socket.reconnect()
      // Not sent before the page ends.
      socket.send(data)
      const text = socket.save()
      socket.close()
      return { id, text }
    }
    const first = await save(undefined, protobuf(), bytesOf(10))
    const second = await save(first.text, undefined, bytesOf(20))
    const third = await save(second.text, protobuf(), bytesOf(30))
    const { socket } = await connect(url, { saved: third.text })
    expect([second.id, third.id, socket.connectionId]).toEqual([first.id, first.id, first.id])
    await socket.send('last')
    expect(heard).toEqual([bytesOf(10), bytesOf(20), bytesOf(30), 'last'])
  })

  test('a message with a messageId is processed once, even if it arrives in several sessions and formats', async () => {
    const heard: unknown[] = []
    const { url } = await start({ onMessage: ({ id, data }) => void heard.push([id, data]) })
    const one = await raw(url)
    const event = { event: 'e', data: { text_data: 'x' }, ack_id: 1, message_id: 'abc' }
    one.send({ event_message: event })
    expect((await one.ack(1)).ack_message.success).toBe(true)
    const other = await join(url)
    other.send({ type: 'event', event: 'e', dataType: 'text', data: 'x', ackId: 5, messageId: 'abc' })
    expect((await other.ack(5)).error.name).toBe('Duplicate')
    expect(heard).toEqual([['abc', 'x']])
  })

  test('close() ends the session on the server, and ping is answered', async () => {
    const ends: unknown[] = []
    const { url } = await start({ onEnd: (_, close) => void ends.push(close) })
    const { socket } = await connect(url, { heartbeat: { interval: 20, timeout: 5_000 } })
    await eventually(() => expect(socket.stats.latency).toBeGreaterThanOrEqual(0))
    socket.close()
    await eventually(() => expect(ends).toEqual([{ code: 1000, reason: 'ended by the client' }]))
  })
})

describe('a client that sends Protocol Buffers', () => {
  test('is served if it knows only the published schema', async () => {
    const { url } = await startNode({ ...echo, authorize: () => 'alice' })
    const { send, ack, until, messages } = await raw(url)
    expect(published.downstream.read(published.downstream.write(messages[0]))).toEqual({
      system_message: {
        connected_message: {
          connection_id: expect.any(String),
          user_id: 'alice',
          reconnection_token: expect.any(String),
        },
      },
    })
    send({ join_group_message: { group: 'g', ack_id: 0 } })
    expect((await ack(0)).ack_message).toEqual({ success: true })
    send({ send_to_group_message: { group: 'g', data: { binary_data: new Uint8Array([1]) }, ack_id: 1 } })
    expect(await until(({ data_message }) => data_message)).toEqual({
      data_message: {
        from: 'group',
        group: 'g',
        data: { binary_data: new Uint8Array([1]) },
        sequence_id: 1,
        from_user_id: 'alice',
      },
    })
    send({ sequence_ack_message: { sequence_id: 1 } })
    send({ ping_message: {} })
    await until(({ pong_message }) => pong_message)
    send({ leave_group_message: { group: 'g', ack_id: 2 } })
    expect((await ack(2)).ack_message.success).toBe(true)
  })

  test('is answered if a request is invalid, and its session continues', async () => {
    const { url } = await startNode({ ...echo, maxMessageBytes: 1_000 })
    const { send, ack, until } = await raw(url)
    const any = { type_url: 'x', value: new Uint8Array() }
    const bad = [
      ['BadRequest', { event_message: { data: { text_data: 'x' } } }],
      ['BadRequest', { event_message: { event: 'e' } }],
      ['BadRequest', { event_message: { event: 'e', data: {} } }],
      ['BadRequest', { event_message: { event: 'e', data: { protobuf_data: any } } }],
      ['BadRequest', { event_message: { event: 'e', data: { text_data: 'x' }, message_id: '???' } }],
      ['BadRequest', { join_group_message: {} }],
      ['BadRequest', { send_to_group_message: { data: { text_data: 'x' } } }],
      ['TooLarge', { event_message: { event: 'e', data: { binary_data: new Uint8Array(1_001) } } }],
      ['TooLarge', { event_message: { event: 'e', data: { text_data: 'x'.repeat(1_001) } } }],
    ] as const
    for (const [i, [name, message]] of bad.entries()) {
      const [type, members] = Object.entries(message)[0] as [string, object]
      send({ [type]: { ...members, ack_id: i } })
      expect((await ack(i)).ack_message.error).toEqual({ name, message: expect.any(String) })
    }
    // Exactly at the limit, which applies only to the data.
    send({ event_message: { event: 'echo', data: { binary_data: new Uint8Array(1_000) }, ack_id: 99 } })
    expect((await ack(99)).ack_message.success).toBe(true)
    expect((await until(({ data_message }) => data_message)).data_message.data.binary_data).toHaveLength(
      1_000,
    )
  })

  const event = (data: object) => extended.upstream.write({ event_message: { event: 'e', data, ack_id: 1 } })

  test.each<[string, Uint8Array | string]>([
    ['bytes that are not Protocol Buffers', new Uint8Array([255, 255, 255])],
    ['an unknown request without an id', new Uint8Array([106, 0])],
    ['nothing', new Uint8Array()],
    ['a truncated frame', event({ text_data: 'text' }).slice(0, -1)],
    ['text that is not UTF-8', new Uint8Array([42, 3, 10, 1, 255])],
    ['invalid JSON', event({ text_data: '{', is_json: true })],
    ['JSON with the name __proto__', event({ text_data: '{"__proto__":{}}', is_json: true })],
    ['JSON nested too deeply', event({ text_data: '['.repeat(200) + ']'.repeat(200), is_json: true })],
    [
      'an id that has lost digits',
      extended.upstream.write({ join_group_message: { group: 'g', ack_id: '9007199254740993' } }),
    ],
    [
      'an acknowledgement of what was not sent',
      extended.upstream.write({ sequence_ack_message: { sequence_id: 9 } }),
    ],
    ['a JSON frame', '{"type":"ping"}'],
  ])('loses its session with 1008 and a reason after %s', async (_, data) => {
    const { url, server, errors } = await startNode(echo)
    const peer = await raw(url)
    peer.socket.send(data)
    const end = await peer.closed()
    expect(end?.code).toBe(1008)
    // In its own format. The close frame has another reason if the client may reconnect.
    expect(peer.messages.at(-1)?.system_message.disconnected_message.reason).toBeTruthy()
    expect(server.stats.violations).toBe(1)
    expect(errors).toEqual([])
  })

  test('is closed with 1009 for a message over maxPayload', async () => {
    const { url, errors } = await startNode({ ...echo, maxMessageBytes: 1_000 })
    const peer = await raw(url)
    peer.socket.send(new Uint8Array(2 ** 22 + 1))
    expect((await peer.closed())?.code).toBe(1009)
    expect(errors).toEqual([])
  })

  test(`and other clients survive bytes of any kind: ${byEffort(50, 200, 5_000)} runs`, async () => {
    const { url, errors } = await startNode({ ...echo, onMessage: () => {} })
    const neighbour = await join(url)
    const valid = [
      event({ text_data: 'x' }),
      event({ binary_data: new Uint8Array(20) }),
      extended.upstream.write({
        send_to_group_message: { group: 'g', data: { text_data: '[]', is_json: true } },
      }),
      extended.upstream.write({ ping_message: {} }),
    ]
    const some = fc.oneof(
      fc.uint8Array({ maxLength: 100 }),
      fc.tuple(fc.constantFrom(...valid), fc.nat()).map(([bytes, at]) => bytes.slice(0, at % bytes.length)),
      fc.tuple(fc.constantFrom(...valid), fc.nat(), fc.nat(255)).map(([bytes, at, value]) => {
        const changed = new Uint8Array(bytes)
        changed[at % bytes.length] = value
        return changed
      }),
    )
    let n = 0
    await fc.assert(
      fc.asyncProperty(fc.array(some, { minLength: 1, maxLength: 8 }), async messages => {
        const peer = new WebSocket(url, [PROTOBUF])
        peer.on('error', () => {})
        const ended = new Promise<number>(resolve => peer.on('close', resolve))
        const answered = new Promise<string>(resolve =>
          peer.on('message', (data: Buffer) => data[0] === 34 && resolve('pong')),
        )
        await new Promise(resolve => peer.once('open', resolve))
        // Before `connected` has arrived.
        for (const bytes of [...messages, valid[3] as Uint8Array]) peer.send(bytes)
        expect(['pong', 1008]).toContain(await Promise.race([ended, answered]))
        peer.terminate()
        neighbour.say('still there?', ++n)
        expect((await neighbour.ack(n)).success).toBe(true)
      }),
      { numRuns: byEffort(50, 200, 5_000) },
    )
    expect(errors).toEqual([])
  })

  test('cannot end the process with frames in the packet of the handshake', async () => {
    const { port, url, errors } = await startNode(echo)
    const headers = { 'Sec-WebSocket-Protocol': PROTOBUF }
    const frames = [
      frame({ opcode: 2, payload: Buffer.from([42, 200]) }),
      frame({ opcode: 2, payload: Buffer.from(event({ text_data: 'x' })) }),
      frame({ opcode: 1 }),
      frame({ opcode: 2, reserved: 4 }),
    ]
    for (const bytes of frames) {
      await speak(port, [Buffer.concat([handshake(headers), bytes, bytes])])
      await speak(port, [handshake(headers).subarray(0, 60), bytes], 'reset')
    }
    expect((await join(url)).id).toBeTruthy()
    expect(errors).toEqual([])
  })
})

describe('the subprotocol', () => {
  test('is the one that the client prefers', async () => {
    const { url } = await startNode(echo)
    expect((await dial(url, {}, [PROTOCOL, PROTOBUF])).socket.protocol).toBe(PROTOCOL)
    const { socket } = await raw(url)
    expect(socket.protocol).toBe(PROTOBUF)
  })

  test('is JSON with a server that does not know the other one', async () => {
    const node = await startNode(echo)
    selectJson(node)
    const offers: unknown[] = []
    node.wss.on('connection', (_, request) => offers.push(request.headers['sec-websocket-protocol']))
    const { socket, messages, troubles } = await connect(node.url)
    await socket.send(bytesOf(1_000), { event: 'echo' })
    await eventually(() => expect(messages).toHaveLength(1))
    expect(new Uint8Array(messages[0]?.data as ArrayBuffer)).toEqual(bytesOf(1_000))
    expect(protocolOf(socket)).toBe(PROTOCOL)
    expect(offers).toEqual([`${PROTOBUF},${PROTOCOL}`])
    expect(troubles).toEqual([])
  })

  test('lets the server ask a client to move to another node', async () => {
    const store = memoryStore()
    const nodes = [await startNode({ ...echo, store }), await startNode({ ...echo, store })] as const
    let target = nodes[0]
    const { socket, messages, troubles } = await connect(async () => target.url)
    const closed = vi.fn()
    socket.on('close', closed)
    target = nodes[1]
    await nodes[0].server.drain({ over: 0 })
    await socket.send('there', { event: 'echo' })
    await eventually(() => expect(messages).toHaveLength(1))
    expect(nodes[1].server.stats).toMatchObject({ connections: 1, resumed: 1, received: 1 })
    expect(protocolOf(socket)).toBe(PROTOBUF)
    expect([closed.mock.calls, troubles]).toEqual([[], []])
  })

  test('lets the server tell a client that it sends too much', async () => {
    const { url } = await startNode({ ...echo, rates: { connection: { messages: 20 } } })
    const { socket } = await connect(url)
    const told = new Promise(resolve => socket.once('error', resolve))
    for (let i = 0; i < 100; i++) socket.send(i)
    expect(await told).toMatchObject({ message: expect.stringContaining('more than 20 messages per second') })
  })
})
