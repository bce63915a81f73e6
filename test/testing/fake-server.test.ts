// test/engines/testing.test.ts compares the fake with the WebSockets of browsers.
import { afterEach, beforeEach, describe, expect, expectTypeOf, test, vi } from 'vitest'
import { createSocket } from '../../src/index.ts'
import { createFakeServer, type FakePeer, type FakeServerOptions, record } from '../../src/testing.ts'

const url = 'wss://push.test/feed'

/** A server, a WebSocket that connects to it, its peer and its events. */
const connect = (options: FakeServerOptions = {}, protocols?: string | string[]) => {
  const server = createFakeServer(options)
  const socket = new server.WebSocket(url, protocols)
  const { events } = record(socket)
  return { server, socket, events, peer: server.latest }
}

/** The same, once it is open, without the events so far. */
const openConnection = (options?: FakeServerOptions) => {
  const all = connect(options)
  all.peer.accept()
  all.events.length = 0
  return all
}

const refused = [
  { type: 'error', readyState: 3 },
  { type: 'close', readyState: 3, code: 1006, reason: '', wasClean: false },
]

/** Lets one task run. */
const task = () => vi.advanceTimersByTime(0)

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

describe('handshakes of the fake server', () => {
  test('are accepted in a later task, which fake timers control', () => {
    const { socket, events } = connect()
    expect([socket.readyState, events]).toEqual([0, []])
    task()
    expect([socket.readyState, events]).toEqual([1, [{ type: 'open', readyState: 1 }]])
    expect(vi.getTimerCount()).toBe(0)
  })

  test('are answered with the policy that is set at the moment of the answer', () => {
    const { server, events } = connect()
    server.refuse()
    expect(events).toEqual(refused)
    task()
    const second = record(new server.WebSocket(url))
    const third = record(new server.WebSocket(url))
    task()
    expect([second.events, third.events]).toEqual([refused, refused])
    server.accept()
    new server.WebSocket(url)
    task()
    expect([server.attempts, server.clients.length, events.length]).toEqual([4, 1, 2])
  })

  test('stay pending without a timer after hang()', () => {
    const server = createFakeServer()
    server.hang()
    const logs = [1, 2, 3].map(() => record(new server.WebSocket(url)))
    expect(vi.getTimerCount()).toBe(0)
    server.connections[1]?.refuse()
    expect(logs.map(({ events }) => events)).toEqual([[], refused, []])
    server.accept()
    expect(logs.map(({ events }) => events.map(({ type }) => type))).toEqual([
      ['open'],
      ['error', 'close'],
      ['open'],
    ])
    expect(server.clients).toEqual([server.connections[0], server.connections[2]])
  })

  test('happen in another task when a page tries again at once', () => {
    const { server, socket } = connect()
    socket.onclose = () => new server.WebSocket(url)
    server.refuse()
    expect([server.attempts, server.latest.socket.readyState]).toEqual([2, 0])
    task()
    expect(server.latest.socket.readyState).toBe(3)
  })

  test('that are not answered yet stay pending after hang(), as do later ones', () => {
    const { server, socket } = connect()
    server.hang()
    task()
    expect(socket.readyState).toBe(0)
  })

  test('can be answered by the peer before their task, once and without a remaining timer', () => {
    const { peer, events } = connect()
    peer.accept()
    expect(vi.getTimerCount()).toBe(0)
    task()
    expect(events).toEqual([{ type: 'open', readyState: 1 }])
    expect(() => peer.accept()).toThrow(/handshake is over; the page's socket is OPEN$/)
    expect(() => peer.refuse()).toThrow(/handshake is over/)
  })

  test('that the page closes end with error and close in a later task, and a later answer has no effect', () => {
    const { socket, peer, events } = connect()
    socket.close()
    expect([socket.readyState, events]).toEqual([2, []])
    peer.accept()
    expect([socket.readyState, events]).toEqual([2, []])
    task()
    expect(events).toEqual(refused)
    expect(peer.closed).toBeUndefined()
  })

  test('that the page closes ignore a refusal', () => {
    const { socket, peer, events } = connect()
    socket.close()
    peer.refuse()
    expect([socket.readyState, events]).toEqual([2, []])
    task()
    expect(events).toEqual(refused)
  })

  test('fail when the connection is cut', () => {
    const { peer, events } = connect()
    peer.drop()
    task()
    expect(events).toEqual(refused)
  })

  test.each([
    [undefined, ['v1', 'v2'], 'v1'],
    [['v2', 'v3'], ['v1', 'v3', 'v2'], 'v3'],
    [['v2'], [], ''],
  ])('of a server that supports %j and a page that offers %j select %j', (protocols, offered, selected) => {
    const { socket, peer } = connect(protocols && { protocols }, offered)
    expect(peer.protocols).toEqual(offered)
    task()
    expect([socket.readyState, socket.protocol]).toEqual([1, selected])
  })

  test('can select any subprotocol that the page offers, and no other', () => {
    const { socket, peer } = connect({}, ['v1', 'v2'])
    expect(() => peer.accept('v3')).toThrow(/not offer 'v3'/)
    peer.accept('v2')
    expect(socket.protocol).toBe('v2')
  })

  test('fail if the server selects none of the offered subprotocols', () => {
    const { peer, events } = connect({}, 'v1')
    peer.accept('')
    expect(events).toEqual(refused)
  })
})

describe('the WebSocket constructor of the fake server', () => {
  test('resolves relative URLs if there is a base', () => {
    const { WebSocket } = createFakeServer({ base: 'https://page.test/a/b?c' })
    expect(new WebSocket('../feed').url).toBe('wss://page.test/feed')
    const bare = createFakeServer()
    expect(() => new bare.WebSocket('/feed')).toThrow(/base/)
    expect(bare.attempts).toBe(0)
    vi.stubGlobal('location', { href: 'http://worker.test/' })
    expect(new bare.WebSocket('/feed').url).toBe('ws://worker.test/feed')
  })

  test.each<[url: string, protocols?: unknown]>([
    ['ws://['],
    ['ftp://push.test/'],
    ['ws://push.test/#'],
    ['ws://push.test/#x'],
    [url, ''],
    [url, 'a b'],
    [url, ['a', 'a']],
    [url, new Set(['a', 'é'])],
  ])('throws SyntaxError for %s, %j', (url, protocols) => {
    const server = createFakeServer()
    expect(() => new server.WebSocket(url, protocols as string)).toThrow(
      expect.objectContaining({ name: 'SyntaxError' }),
    )
    expect([server.attempts, vi.getTimerCount()]).toEqual([0, 0])
  })

  test('accepts subprotocols as a string or as any iterable', () => {
    expect(connect({}, 'v1').peer.protocols).toEqual(['v1'])
    expect(connect({}, new Set(['v1', 'v2']) as unknown as string[]).peer.protocols).toEqual(['v1', 'v2'])
  })

  test('makes event targets, of one class for each server', () => {
    const { server, socket } = connect()
    const other = createFakeServer()
    expect(socket).toBeInstanceOf(server.WebSocket)
    expect(socket).toBeInstanceOf(EventTarget)
    expect(socket).not.toBeInstanceOf(other.WebSocket)
    expect(server.WebSocket.name).toBe('FakeWebSocket')
    expect(() => other.latest).toThrow(/no WebSocket was created/)
    expect(server.latest.socket).toBe(socket)
  })

  test('can be extended by a class', () => {
    const server = createFakeServer()
    const heard: string[] = []
    class Mine extends server.WebSocket {
      override send(data: string) {
        heard.push(data)
        super.send(data)
      }
    }
    const socket = new Mine(url)
    server.latest.accept()
    socket.send('x')
    expect([heard, server.latest.received]).toEqual([['x'], ['x']])
  })

  test('has the type of the platform’s constructor', () => {
    const server = createFakeServer()
    expectTypeOf(server.WebSocket).toEqualTypeOf<typeof WebSocket>()
    expectTypeOf(server).toHaveProperty('latest').toEqualTypeOf<FakePeer>()
    createSocket(url, { WebSocket: server.WebSocket, autoConnect: false })
    // @ts-expect-error a page has messages as the platform types them
    const wrong = () => new server.WebSocket(url).send(1)
    // @ts-expect-error a Blob cannot be read at once
    const blob = () => server.latest.send(new Blob())
    expect([wrong, blob]).toHaveLength(2)
  })
})

test('a handler of a fake WebSocket keeps its position in the order of listeners until it is set to null', () => {
  const { socket, peer } = openConnection()
  const heard: string[] = []
  const say = (what: string) => () => heard.push(what)
  expect(socket.onmessage).toBeNull()
  socket.onmessage = say('replaced')
  socket.addEventListener('message', say('listener'))
  const handler = say('handler')
  socket.onmessage = handler
  expect(socket.onmessage).toBe(handler)
  peer.send('x')
  socket.onmessage = null
  peer.send('x')
  socket.onmessage = handler
  peer.send('x')
  expect(heard).toEqual(['handler', 'listener', 'listener', 'listener', 'handler'])
})

describe('messages of the fake server', () => {
  test('from the peer arrive at once, and only while the socket is open', () => {
    const { socket, peer, events } = openConnection()
    socket.binaryType = 'arraybuffer'
    socket.binaryType = 'text' as BinaryType
    expect(socket.binaryType).toBe('arraybuffer')
    peer
      .send('text')
      .send(Uint8Array.of(0, 1, 2).subarray(1))
      .send(Uint8Array.of(3).buffer)
    expect(events.map(({ data }) => data)).toEqual(['text', [1, 2], [3]])
    socket.close()
    peer.send('crosses the close frame')
    expect(events).toHaveLength(3)
  })

  test('arrive as Blobs by default, and never share memory with the sender', async () => {
    const { socket, peer } = openConnection()
    const heard: any[] = []
    socket.onmessage = ({ data }) => heard.push(data)
    const bytes = Uint8Array.of(1, 2)
    peer.send(bytes)
    socket.binaryType = 'arraybuffer'
    peer.send(bytes)
    bytes.fill(9)
    expect(await heard[0].text()).toBe('\u0001\u0002')
    expect(heard[1]).toEqual(Uint8Array.of(1, 2).buffer)
    expect(() => peer.send(new Blob() as any)).toThrow(/Blob/)
  })

  test('carry the origin of the server', () => {
    const { socket, peer } = openConnection()
    const heard = vi.fn()
    socket.onmessage = ({ origin }) => heard(origin)
    peer.send('x')
    expect(heard).toHaveBeenCalledWith('wss://push.test')
  })

  test('from the page arrive at once, converted as on the platform', () => {
    const { socket, peer } = openConnection()
    const blob = new Blob(['x'])
    const bytes = Uint8Array.of(1, 2, 3)
    for (const data of [
      'text',
      '\ufeff\ud83d',
      bytes.subarray(1),
      new DataView(bytes.buffer, 0, 1),
      blob,
      null,
      7,
    ]) {
      socket.send(data as string)
    }
    bytes.fill(9)
    expect(peer.received).toEqual([
      'text',
      '\ufeff\ufffd',
      Uint8Array.of(2, 3),
      Uint8Array.of(1),
      blob,
      'null',
      '7',
    ])
    expect(peer.received[4]).toBe(blob)
  })

  test('that cannot be sent throw, and do not add to bufferedAmount', () => {
    const { socket, peer } = openConnection()
    expect(() => socket.send(new Uint8Array(new SharedArrayBuffer(1)) as any)).toThrow(TypeError)
    expect(() => (socket.send as () => void)()).toThrow(TypeError)
    const gone = new ArrayBuffer(1)
    structuredClone(gone, { transfer: [gone] })
    socket.send(gone)
    expect([peer.received, socket.bufferedAmount]).toEqual([[new Uint8Array()], 0])
  })

  test('cannot be sent while CONNECTING: send() throws an InvalidStateError', () => {
    const { socket, peer } = connect()
    expect(() => socket.send('x')).toThrow(expect.objectContaining({ name: 'InvalidStateError' }))
    expect([peer.received, peer.unsent, socket.bufferedAmount]).toEqual([[], [], 0])
  })

  test('are answered in a task of their own', () => {
    const { socket, events } = openConnection({ message: (data, peer) => peer.send(`echo ${data}`) })
    socket.send('a')
    socket.send('b')
    expect(events).toEqual([])
    task()
    expect(events.map(({ data }) => data)).toEqual(['echo a', 'echo b'])
  })

  test('are not passed to the server if it could no longer answer', () => {
    const message = vi.fn()
    const { socket, peer } = openConnection({ message })
    socket.send('a')
    peer.drop()
    task()
    expect(message).not.toHaveBeenCalled()
  })
})

describe('bufferedAmount of a fake WebSocket', () => {
  test('counts bytes of UTF-8 until the end of the task', () => {
    const { socket } = openConnection()
    socket.send('€')
    expect(socket.bufferedAmount).toBe(3)
    socket.send(new Blob(['12345']))
    expect([socket.bufferedAmount, vi.getTimerCount()]).toEqual([8, 1])
    task()
    expect([socket.bufferedAmount, vi.getTimerCount()]).toEqual([0, 0])
    socket.send('')
    expect(vi.getTimerCount()).toBe(0)
  })

  test('does not change in a microtask', async () => {
    const { socket } = openConnection()
    socket.send('x')
    await null
    expect(socket.bufferedAmount).toBe(1)
  })

  test.each<[string, (peer: FakePeer) => void]>([
    ['a message', peer => peer.send('')],
    ['a close frame', peer => peer.close()],
    ['a cut', peer => peer.drop()],
    ['a freeze', peer => peer.freeze()],
  ])('%s is a new task', (_, act) => {
    const { socket, peer } = openConnection()
    socket.send('x')
    act(peer)
    expect([socket.bufferedAmount, vi.getTimerCount()]).toEqual([0, 0])
  })

  test('permanently counts data that is sent after the end', () => {
    const { socket, peer } = openConnection()
    peer.close()
    socket.send('abc')
    socket.send('d')
    task()
    expect([socket.bufferedAmount, peer.received, peer.unsent]).toEqual([4, [], []])
  })
})

describe('a frozen connection of the fake server', () => {
  test('transmits nothing, and bufferedAmount counts the bytes', () => {
    const { socket, peer } = openConnection()
    peer.freeze()
    socket.send('aaaa')
    socket.send('bb')
    task()
    expect([socket.bufferedAmount, peer.received, peer.unsent]).toEqual([6, [], ['aaaa', 'bb']])
    peer.thaw()
    expect([socket.bufferedAmount, peer.received, peer.unsent]).toEqual([0, ['aaaa', 'bb'], []])
  })

  test('transmits as many bytes as drain() says, and a message arrives with its last byte', () => {
    const { socket, peer } = openConnection()
    peer.freeze('up')
    for (const text of ['aaaa', '', 'bb']) socket.send(text)
    expect(peer.drain(5).received).toEqual(['aaaa', ''])
    expect([socket.bufferedAmount, peer.unsent]).toEqual([1, ['bb']])
    expect(() => peer.drain(2)).toThrow(/drain\(2\): the page has 1 bytes/)
    peer.drain()
    expect([socket.bufferedAmount, peer.received]).toEqual([0, ['aaaa', '', 'bb']])
  })

  test('keeps unsent messages when it breaks, and drain() can still transmit them', () => {
    const { socket, peer } = openConnection()
    peer.freeze()
    socket.send('aaaa')
    socket.send('bb')
    peer.drop()
    expect([socket.bufferedAmount, peer.unsent]).toEqual([6, ['aaaa', 'bb']])
    peer.drain(4)
    expect([socket.bufferedAmount, peer.unsent]).toEqual([2, ['bb']])
    peer.thaw()
    expect(peer.unsent).toEqual(['bb'])
  })

  test('holds back what the peer sends, in order and including its close frame', () => {
    const { peer, events } = openConnection()
    peer.freeze('down').send('a').send('b').close(4000)
    task()
    expect(events).toEqual([])
    peer.thaw('down')
    expect(events.map(({ type, data, code }) => [type, data ?? code])).toEqual([
      ['message', 'a'],
      ['message', 'b'],
      ['close', 4000],
    ])
  })

  test('holds back the answer to the handshake', () => {
    const { peer, events } = connect()
    peer.freeze()
    task()
    expect(events).toEqual([])
    peer.thaw()
    expect(events).toEqual([{ type: 'open', readyState: 1 }])
  })

  test('loses the messages that it holds back when it breaks', () => {
    const { peer, events } = openConnection()
    peer.freeze().send('lost').drop().thaw()
    expect(events).toEqual(refused)
  })

  test('can be frozen in one direction only', () => {
    const { socket, peer, events } = openConnection()
    peer.freeze('down')
    socket.send('up')
    expect(peer.received).toEqual(['up'])
    peer.thaw().freeze('up').send('down')
    expect(events).toHaveLength(1)
  })

  test.each(['up', 'down', 'both'] as const)('frozen %s, the page’s close() does not end', direction => {
    const { socket, peer, events } = openConnection()
    peer.freeze(direction)
    socket.close(4000, 'bye')
    expect(vi.getTimerCount()).toBe(0)
    vi.advanceTimersByTime(100_000)
    expect([socket.readyState, events]).toEqual([2, []])
    expect(peer.closed).toEqual(direction === 'down' ? { code: 4000, reason: 'bye' } : undefined)
    peer.thaw()
    expect(events).toEqual([{ type: 'close', readyState: 3, code: 4000, reason: 'bye', wasClean: true }])
  })

  test('holds back the answer to the page’s close() if it is frozen before the answer', () => {
    const { socket, peer, events } = openConnection()
    socket.close()
    peer.freeze('down')
    task()
    expect(events).toEqual([])
    peer.thaw('down')
    expect(events).toHaveLength(1)
  })

  test('allows the peer to answer the page’s close() with another code', () => {
    const { socket, peer, events } = openConnection()
    socket.close()
    peer.freeze('down')
    task()
    peer.close(4001).thaw()
    expect(events).toMatchObject([{ type: 'close', code: 4001, wasClean: true }])
  })

  test('holds back a close frame behind earlier messages', () => {
    const { socket, peer } = openConnection()
    peer.freeze('up')
    socket.send('first')
    socket.close()
    expect([peer.received, peer.closed]).toEqual([[], undefined])
    peer.thaw('up')
    expect([peer.received, peer.closed]).toEqual([['first'], { code: 1005, reason: '' }])
  })

  test('that is frozen upwards delivers the peer’s close frame, which cannot be answered', () => {
    const { socket, peer, events } = openConnection()
    peer.freeze('up').close(1012, 'deploy')
    expect([socket.readyState, events, peer.closed]).toEqual([2, [], undefined])
    peer.drop()
    expect(events).toEqual([
      { type: 'error', readyState: 3 },
      { type: 'close', readyState: 3, code: 1012, reason: 'deploy', wasClean: false },
    ])
    expect(peer.closed).toEqual({ code: 1006, reason: '' })
  })
})

describe('the end of a fake connection', () => {
  test('comes in a later task after the page’s close()', () => {
    const { socket, peer, events } = openConnection()
    socket.close(4000, 'bye')
    expect([socket.readyState, peer.closed, events]).toEqual([2, { code: 4000, reason: 'bye' }, []])
    task()
    expect(events).toEqual([{ type: 'close', readyState: 3, code: 4000, reason: 'bye', wasClean: true }])
    expect(vi.getTimerCount()).toBe(0)
  })

  test('is caused by the first close() of the page, which throws for invalid arguments', () => {
    const { socket, peer } = openConnection()
    for (const code of [999, 1001, 2999, 5000]) {
      expect(() => socket.close(code)).toThrow(expect.objectContaining({ name: 'InvalidAccessError' }))
    }
    expect(() => socket.close(1000, 'é'.repeat(62))).toThrow(expect.objectContaining({ name: 'SyntaxError' }))
    expect(socket.readyState).toBe(1)
    socket.close(4000, 'first')
    socket.close(4001, 'second')
    task()
    expect(peer.closed).toEqual({ code: 4000, reason: 'first' })
    socket.close()
    expect([socket.readyState, vi.getTimerCount()]).toEqual([3, 0])
  })

  test('gives each end the other’s close frame if both are sent at the same time', () => {
    const { socket, peer, events } = openConnection()
    socket.close(4000, 'page')
    peer.close(1001, 'peer')
    expect(events).toMatchObject([{ type: 'close', code: 1001, reason: 'peer', wasClean: true }])
    expect(peer.closed).toEqual({ code: 4000, reason: 'page' })
    task()
    expect(events).toHaveLength(1)
  })

  test('answers the peer’s close frame with the same code', () => {
    const { peer } = openConnection()
    peer.close(1012, 'deploy')
    expect(peer.closed).toEqual({ code: 1012, reason: 'deploy' })
  })

  test('has the code 1006 at both ends after a cut, and leaves no timer', () => {
    const { socket, peer, events } = openConnection()
    socket.close()
    peer.drop()
    expect(events).toEqual(refused)
    expect(vi.getTimerCount()).toBe(0)
    expect(openConnection().peer.drop().closed).toEqual({ code: 1006, reason: '' })
  })

  test('dispatches the platform’s CloseEvent where there is one', () => {
    const events: Event[] = []
    const hear = () => {
      const { socket, peer } = openConnection()
      socket.onclose = event => events.push(event)
      peer.close(4000)
    }
    class CloseEvent extends Event {
      readonly code: number
      constructor(type: string, { code }: { code: number }) {
        super(type)
        this.code = code
      }
    }
    vi.stubGlobal('CloseEvent', undefined)
    hear()
    vi.stubGlobal('CloseEvent', CloseEvent)
    hear()
    expect(events).toMatchObject([{ code: 4000, wasClean: true }, { code: 4000 }])
    expect(events.map(event => event instanceof CloseEvent)).toEqual([false, true])
  })

  test('has the time of the fake clock in its events', () => {
    const { socket, peer } = openConnection()
    const times: number[] = []
    for (const type of ['message', 'close'])
      socket.addEventListener(type, ({ timeStamp }) => times.push(timeStamp))
    vi.advanceTimersByTime(1_000)
    peer.send('x')
    vi.advanceTimersByTime(50)
    peer.close()
    expect(times).toEqual([performance.now() - 50, performance.now()])
  })
})

describe('an impossible call of a test script throws an error that says so', () => {
  test.each<[string, (peer: FakePeer) => unknown, RegExp]>([
    [
      'send() before the handshake',
      peer => peer.send('x'),
      /^send\(\): there is no connection.*0 ms.*accept\(\).*CONNECTING$/,
    ],
    ['close() before the handshake', peer => peer.close(), /^close\(\): there is no connection/],
    [
      'send() after the end',
      peer => peer.accept().drop().send('x'),
      /^send\(\): the connection has ended.*CLOSED$/,
    ],
    ['close() after the end', peer => peer.accept().close().close(), /^close\(\): the connection has ended/],
    ['drop() after the end', peer => peer.refuse().drop(), /^drop\(\): the connection has ended/],
    [
      'send() after close()',
      peer => peer.accept().freeze().close().send('x'),
      /^send\(\): the peer has sent its close/,
    ],
    ['close(1006)', peer => peer.accept().close(1006), /^close\(1006\).*drop\(\)/],
    ['a reason without a code', peer => peer.accept().close(undefined, 'x'), /reason needs a code/],
    ['a long reason', peer => peer.accept().close(1000, 'é'.repeat(62)), /123 bytes/],
    ['drain() of what is not there', peer => peer.accept().drain(1), /^drain\(1\): the page has 0 bytes/],
  ])('%s', (_, act, message) => {
    expect(() => act(connect().peer)).toThrow(message)
  })
})

describe('record()', () => {
  const follow = () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.5)
    const server = createFakeServer()
    const socket = createSocket(url, { WebSocket: server.WebSocket, retry: () => 1_000 })
    return { server, socket, log: record(socket) }
  }

  test('lists the events of a SteadySocket in an outage', () => {
    const { server, socket, log } = follow()
    task()
    server.latest.send('hello').send(Uint8Array.of(1, 2))
    server.refuse()
    server.latest.close(1012, 'deploy')
    // With a fake clock, a timer that another timer starts fires a millisecond later.
    vi.advanceTimersByTime(1_001)
    socket.close()
    socket.send('late')
    expect(log.events).toEqual([
      { type: 'state', name: 'open', attempt: 0, url, protocol: '' },
      { type: 'open', attempt: 0, url, protocol: '', reconnected: false, seamless: false },
      { type: 'text', data: 'hello' },
      { type: 'binary', data: [1, 2] },
      { type: 'state', name: 'waiting', attempt: 1, delay: 1_000, cause: 'CONNECTION_LOST' },
      {
        type: 'close',
        ...{
          code: 1012,
          reason: 'deploy',
          wasClean: true,
          cause: 'CONNECTION_LOST',
          willRetry: true,
          delay: 1_000,
        },
      },
      { type: 'state', name: 'connecting', attempt: 1, cause: 'CONNECTION_LOST' },
      { type: 'error', code: 'CONNECTION_REFUSED' },
      { type: 'state', name: 'waiting', attempt: 2, delay: 1_000, cause: 'CONNECTION_REFUSED' },
      { type: 'state', name: 'closed', cause: 'CLOSED' },
      { type: 'drop', data: 'late', reason: 'closed' },
    ])
    expect(JSON.parse(JSON.stringify(log.events))).toEqual(log.events)
  })

  test('lists the events of a WebSocket with the readyState in the listener, and Blobs by their size', () => {
    const { socket, peer, events } = connect()
    peer
      .accept()
      .send('x')
      .send(Uint8Array.of(1, 2, 3))
    socket.close(1000)
    task()
    expect(events).toEqual([
      { type: 'open', readyState: 1 },
      { type: 'message', readyState: 1, data: 'x' },
      { type: 'message', readyState: 1, data: { size: 3, type: '' } },
      { type: 'close', readyState: 3, code: 1000, reason: '', wasClean: true },
    ])
  })

  test('records nothing after stop()', () => {
    const { server, socket, log } = follow()
    const bare = connect()
    const second = record(bare.socket)
    log.stop()
    second.stop()
    second.stop()
    task()
    expect([log.events, second.events]).toEqual([[], []])
    expect([socket.state.name, server.clients.length, bare.events.length]).toEqual(['open', 1, 1])
  })

  test('treats a socket with addEventListener() as a WebSocket, even if it has on()', () => {
    const { server } = connect()
    const on = vi.fn()
    const socket = Object.assign(new server.WebSocket(url), { on })
    const { events } = record(socket)
    task()
    expect([events.length, on.mock.calls]).toEqual([1, []])
  })

  test('throws a TypeError for other objects', () => {
    expect(() => record({} as any)).toThrow(TypeError)
    const { WebSocket } = createFakeServer()
    record(createSocket(url, { WebSocket, binaryType: 'blob' })).stop()
    // @ts-expect-error no events
    expect(() => record({ off: () => {} })).toThrow(TypeError)
  })
})

test('an application over the fake server sees every event of an outage and loses no unsent message', () => {
  const server = createFakeServer()
  const socket = createSocket(url, { WebSocket: server.WebSocket, retry: () => 1_000 })
  task()
  server.latest.freeze()
  socket.send('unsent')
  server.latest.drop()
  server.hang()
  vi.advanceTimersByTime(1_000)
  expect([socket.state.name, server.attempts, server.latest.received]).toEqual(['connecting', 2, []])
  server.accept()
  expect(server.latest.received).toEqual(['unsent'])
})

test('a heartbeat over the fake server detects a dead connection and no living one', () => {
  const server = createFakeServer({
    message: (data, peer) => data === 'ping' && void peer.send('pong'),
  })
  const socket = createSocket(url, {
    WebSocket: server.WebSocket,
    heartbeat: { interval: 10_000, timeout: 2_000, message: 'ping', isReply: data => data === 'pong' },
  })
  vi.advanceTimersByTime(100_000)
  expect([socket.state.name, server.attempts]).toEqual(['open', 1])
  expect(socket.latency).toBeLessThan(2)
  server.latest.freeze()
  vi.advanceTimersByTime(12_400)
  expect([socket.state.name, server.attempts]).toEqual(['open', 2])
})

test('a misspelt option of createFakeServer() throws a TypeError that names those that exist', () => {
  expect(() => createFakeServer({ mesage: () => {} } as object)).toThrow(
    /no option 'mesage', only base, protocols and message/,
  )
})
