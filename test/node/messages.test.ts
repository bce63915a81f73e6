import { describe, expect, test } from 'vitest'
import { numbers, overEachWebSocket, range, start } from './rig.ts'

const bytes = Uint8Array.from({ length: 2 ** 20 }, (_, i) => i * 31 + (i >> 8))
const large = '€'.repeat(2 ** 20 / 4) + 'x'.repeat(2 ** 20 / 4)

overEachWebSocket(connect => {
  describe('the server echoes', () => {
    test.each([
      ['text', 'hello'],
      ['text from every Unicode plane', 'a\0é€😀\u{10ffff}'],
      ['empty text', ''],
      ['a mebibyte of text', large],
    ])('%s', async (_, text) => {
      const server = await start()
      const { socket, events, until } = connect(`${server.url}/echo`)
      socket.send(text)
      await until(() => events('text').length)
      expect(events('text')[0] === text).toBe(true)
      expect(socket.stats).toMatchObject({ sent: 1, received: 1, queued: 0, queuedBytes: 0 })
    })

    test.each<[string, ArrayBuffer | ArrayBufferView | Blob, Uint8Array]>([
      ['an ArrayBuffer', bytes.slice(0, 1000).buffer, bytes.subarray(0, 1000)],
      ['an empty ArrayBuffer', new ArrayBuffer(0), bytes.subarray(0, 0)],
      ['a view into the middle of a buffer', bytes.subarray(700, 1700), bytes.subarray(700, 1700)],
      ['a DataView', new DataView(bytes.buffer, 3, 5), bytes.subarray(3, 8)],
      ['a view of wider elements', new Uint32Array(bytes.buffer, 8, 4), bytes.subarray(8, 24)],
      ['a Blob', new Blob(['ab', bytes.slice(0, 10)]), Buffer.from([97, 98, ...bytes.subarray(0, 10)])],
      ['a mebibyte of binary', bytes, bytes],
    ])('%s, queued and sent directly', async (_, data, expected) => {
      const server = await start()
      const { socket, events, until } = connect(`${server.url}/echo`)
      expect(socket.send(data)).toBe('queued')
      await until(() => events('binary').length === 1)
      expect(socket.send(data)).toBe('sent')
      await until(() => events('binary').length === 2)
      for (const echo of events('binary')) {
        expect(echo).toBeInstanceOf(ArrayBuffer)
        expect(Buffer.compare(new Uint8Array(echo), expected)).toBe(0)
      }
    })
  })

  test('a Blob keeps its place in the order of messages', async () => {
    const server = await start()
    const { socket, until, events } = connect(server.url)
    await until(() => events('open').length)
    for (const data of ['0', new Blob(['1']), '2', new Blob(['3']), new Uint8Array([52])]) socket.send(data)
    await server.until(() => server.received.length === 5)
    expect(server.received.map(({ data }) => String(data))).toEqual(['0', '1', '2', '3', '4'])
  })

  test('binaryType blob produces Blobs, also on the next connection', async () => {
    const server = await start()
    const { socket, events, until } = connect<'blob'>(server.url, { binaryType: 'blob', retry: () => 0 })
    socket.send(bytes.subarray(0, 10))
    await until(() => events('binary').length === 1)
    server.terminateAll()
    await until(() => events('open').length === 2)
    socket.send(bytes.subarray(0, 10))
    await until(() => events('binary').length === 2)
    for (const blob of events('binary')) {
      expect(blob).toBeInstanceOf(Blob)
      expect(new Uint8Array(await blob.arrayBuffer())).toEqual(bytes.slice(0, 10))
    }
  })

  test('a buffer that is modified after send() is sent with its original content', async () => {
    const server = await start()
    const { socket, in: inState } = connect(`${server.url}/sink`)
    const buffer = new Uint8Array(100_000)
    for (const i of range(0, 20)) {
      if (i === 10) await inState('open')
      socket.send(buffer.fill(i))
    }
    buffer.fill(99)
    await server.until(() => server.received.length === 20)
    const seen = server.received.map(({ data }) => new Set(data as Buffer))
    expect(seen).toEqual(range(0, 20).map(i => new Set([i])))
  })

  test('a message in several frames is received as one', async () => {
    const server = await start()
    const { events, until } = connect(server.url)
    await until(() => events('open').length)
    server.push('and a', 'happy new', 'year!')
    server.push(Uint8Array.of(1), Uint8Array.of(2, 3))
    await until(() => events('binary').length)
    expect(events('text')).toEqual(['and ahappy newyear!'])
    expect(new Uint8Array(events('binary')[0] as ArrayBuffer)).toEqual(Uint8Array.of(1, 2, 3))
  })

  test('compressed messages are received', async () => {
    const server = await start({ perMessageDeflate: true })
    const { socket, events, until } = connect(server.url)
    for (const i of range(0, 50)) socket.send(`${i} ${'x'.repeat(1000)}`)
    await until(() => events('text').length === 50)
    expect(server.connections[0]?.extensions).toContain('permessage-deflate')
    expect(numbers(events('text'))).toEqual(range(0, 50))
  })

  test.each([
    ['the one that the server selects', ['v3', 'v2', 'v1'], 'v2'],
    ['a single one', 'v1', 'v1'],
    ['one for each attempt', async () => ['v1'], 'v1'],
    ['none', undefined, ''],
  ])('the server selects a subprotocol: %s', async (_, protocols, selected) => {
    const server = await start({ protocols: ['v1', 'v2'] })
    const { socket, events, until } = connect(server.url, { protocols })
    await until(() => events('open').length)
    expect([socket.protocol, events('open')[0]?.protocol]).toEqual([selected, selected])
    expect(socket.state).toMatchObject({ name: 'open', protocol: selected })
    expect(server.connections[0]?.protocol).toBe(selected)
  })

  test('messages sent before the connection opens arrive first, in the order of the calls', async () => {
    const server = await start()
    const { socket, events, until } = connect(`${server.url}/sink`)
    for (const i of range(0, 1000)) expect(socket.send(`${i}`)).toBe('queued')
    socket.once('open', () => socket.send('1000 in a listener'))
    await until(() => events('open').length)
    expect(socket.send('1001')).toBe('sent')
    await server.until(() => server.received.length === 1002)
    expect(numbers(server.received.map(({ data }) => data))).toEqual(range(0, 1002))
  })

  test('twenty mebibytes sent at once are paced and arrive in order', async () => {
    const server = await start()
    const { socket, events, until } = connect(`${server.url}/sink`, { queue: { maxBytes: Infinity } })
    await until(() => events('open').length)
    for (const i of range(0, 320)) socket.send(`${i}`.padEnd(2 ** 16))
    expect(socket.queued).toBeGreaterThan(0)
    await server.until(() => server.received.length === 320)
    expect(numbers(server.received.map(({ data }) => data))).toEqual(range(0, 320))
    expect([socket.queued, socket.stats.queuedBytes]).toEqual([0, 0])
  })

  test('close() sends queued messages first, then its code and reason', async () => {
    const server = await start()
    const {
      socket,
      events,
      until,
      in: inState,
    } = connect(`${server.url}/sink`, {
      queue: { maxBytes: Infinity },
    })
    await until(() => events('open').length)
    for (const i of range(0, 320)) socket.send(`${i}`.padEnd(2 ** 16))
    expect(socket.queued).toBeGreaterThan(0)
    socket.close(4321, 'gute Nacht ☾')
    expect(socket.send('too late')).toBe('dropped')
    await inState('closed')
    await server.until(() => server.connections[0]?.closed !== undefined)
    expect(server.connections[0]?.closed).toEqual({ code: 4321, reason: 'gute Nacht ☾' })
    expect(numbers(server.received.map(({ data }) => data))).toEqual(range(0, 320))
    expect(events('drop')).toEqual([{ data: 'too late', reason: 'closed' }])
    expect(events('close')).toMatchObject([
      { code: 4321, reason: 'gute Nacht ☾', wasClean: true, willRetry: false, delay: undefined },
    ])
  })
})
