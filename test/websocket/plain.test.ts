// The drop-in class without reconnection behaves like `WebSocket`. These tests use a fake server. test/engines/standard compares the class with those
// of browsers.
import { describe, expect, test, vi } from 'vitest'
import { createFakeServer } from '../../src/testing.ts'
import { SteadyWebSocket } from '../../src/websocket.ts'
import { fresh, settled } from '../support/setup.ts'
import { dropIn } from './setup.ts'

fresh()

const plain = { retry: false } as const

describe('without reconnection, a connection', () => {
  test('opens, carries messages and ends with the close frame of the server', () => {
    const { server, events } = dropIn(plain)
    const peer = server.latest.accept()
    peer.send('hello').close(4000, 'enough')
    expect(events).toEqual(['1 open', '1 message hello', '3 close 4000 enough clean'])
  })

  test('that fails dispatches error and close, and is CLOSED in both', () => {
    const { server, events } = dropIn(plain)
    server.latest.refuse()
    expect(events).toEqual(['3 error', '3 close 1006 - unclean'])
  })

  test('that breaks dispatches error where the platform does', () => {
    const { server, events } = dropIn(plain)
    server.latest.accept().drop()
    expect(events).toEqual(['1 open', '3 error', '3 close 1006 - unclean'])
  })

  test('dispatches close only once', async () => {
    const { server, socket, events } = dropIn(plain)
    server.latest.accept().close(1000)
    socket.close()
    await settled()
    expect(events).toEqual(['1 open', '3 close 1000 - clean'])
    expect(server.attempts).toBe(1)
  })
})

describe('without reconnection, close()', () => {
  test('makes the socket CLOSING at once and CLOSED when the server has answered', async () => {
    const { server, socket, events } = dropIn(plain)
    server.latest.accept()
    socket.close(3001, 'bye')
    expect([socket.readyState, events]).toEqual([2, ['1 open']])
    await settled()
    expect(events).toEqual(['1 open', '3 close 3001 bye clean'])
    expect(server.latest.closed).toEqual({ code: 3001, reason: 'bye' })
  })

  test('during an attempt dispatches error and close in a later task', async () => {
    const { socket, events } = dropIn(plain)
    socket.close()
    expect([socket.readyState, events]).toEqual([2, []])
    await settled()
    expect(events).toEqual(['3 error', '3 close 1006 - unclean'])
  })

  test('in a listener makes the socket CLOSING at once and takes effect after all listeners have run', async () => {
    const { server, socket, events } = dropIn(plain)
    socket.addEventListener('open', () => {
      socket.close(3000)
      events.push(`${socket.readyState} after close`)
    })
    socket.addEventListener('open', () => events.push('another'))
    server.latest.accept()
    expect(events).toEqual(['1 open', '2 after close', 'another'])
    expect(socket.readyState).toBe(2)
    await settled()
    expect(events.at(-1)).toBe('3 close 3000 - clean')
  })

  test('sends 1000 if it is given a reason without a code', async () => {
    const { server, socket } = dropIn(plain)
    server.latest.accept()
    socket.close(undefined, 'why')
    await settled()
    expect(server.latest.closed).toEqual({ code: 1000, reason: 'why' })
  })

  test('waits for a server that does not answer as long as the platform does', async () => {
    const { server, socket, events } = dropIn(plain)
    server.latest.accept().freeze()
    socket.close()
    await vi.advanceTimersByTimeAsync(60_000)
    expect([socket.readyState, events]).toEqual([2, ['1 open']])
    server.latest.thaw()
    await settled()
    expect(socket.readyState).toBe(3)
  })

  test.each([
    ['nothing', undefined, 1005],
    ['1000', 1000, 1000],
    ['a numeric string', '3000', 3000],
    ['999.5, which is rounded to the even 1000', 999.5, 1000],
    ['1000.5, likewise', 1000.5, 1000],
    ['3000.6', 3000.6, 3001],
  ])('accepts %s as the code', async (_, code, heard) => {
    const { server, socket } = dropIn(plain)
    server.latest.accept()
    socket.close(code as number)
    await settled()
    expect(server.latest.closed?.code).toBe(heard)
  })

  test.each([null, Number.NaN, 'x', 0, 1001, 1006, 2999, 4999.5, 5000, 65_536 + 1000, Infinity, -1000])(
    'throws for the code %s and leaves the connection open',
    code => {
      const { server, socket } = dropIn(plain)
      server.latest.accept()
      expect(() => socket.close(code as number)).toThrow(
        expect.objectContaining({ name: 'InvalidAccessError' }),
      )
      expect(socket.readyState).toBe(1)
    },
  )

  test('measures the reason in bytes of UTF-8 and converts it to a string', async () => {
    const { server, socket } = dropIn(plain)
    server.latest.accept()
    expect(() => socket.close(1000, 'é'.repeat(62))).toThrow(expect.objectContaining({ name: 'SyntaxError' }))
    socket.close(1000, 42 as never)
    await settled()
    expect(server.latest.closed).toEqual({ code: 1000, reason: '42' })
  })
})

describe('without reconnection, send()', () => {
  test('throws while the socket is CONNECTING', () => {
    const { socket } = dropIn(plain)
    expect(() => socket.send('early')).toThrow(expect.objectContaining({ name: 'InvalidStateError' }))
  })

  test.each([
    [123, '123'],
    [null, 'null'],
    [undefined, 'undefined'],
    [{}, '[object Object]'],
    [{ toString: () => 'own' }, 'own'],
    [['a', 'b'], 'a,b'],
    ['', ''],
  ])('converts %j to text', (data, text) => {
    const { server, socket } = dropIn(plain)
    server.latest.accept()
    socket.send(data as string)
    expect(server.latest.received).toEqual([text])
  })

  test('sends only the bytes that a view covers', () => {
    const { server, socket } = dropIn(plain)
    server.latest.accept()
    socket.send(new Uint8Array([1, 2, 3, 4]).subarray(1, 3))
    socket.send(new DataView(new Uint8Array([5, 6, 7]).buffer, 2))
    socket.send(new Uint8Array([8]).buffer)
    expect(server.latest.received).toEqual([new Uint8Array([2, 3]), new Uint8Array([7]), new Uint8Array([8])])
  })

  test.each([
    ['without a tag, as in happy-dom', {}],
    ['without methods that return promises, as in React Native', { arrayBuffer: undefined, text: undefined }],
  ])('sends a Blob %s', (_, missing) => {
    const { server, socket } = dropIn(plain)
    server.latest.accept()
    const blob = Object.defineProperties(new Blob(['12345']), {
      ...Object.getOwnPropertyDescriptors(missing),
      [Symbol.toStringTag]: { value: undefined },
    })
    expect(`${blob}`).toBe('[object Object]')
    socket.send(blob)
    expect(server.latest.received).toEqual([blob])
  })

  test('throws a TypeError for shared memory', () => {
    const { server, socket } = dropIn(plain)
    server.latest.accept()
    const shared = new SharedArrayBuffer(4)
    for (const data of [shared, new Uint8Array(shared)]) {
      expect(() => socket.send(data as never)).toThrow(TypeError)
    }
    expect(server.latest.received).toEqual([])
  })

  test('throws a TypeError without an argument', () => {
    const { server, socket } = dropIn(plain)
    server.latest.accept()
    expect(() => (socket.send as () => void)()).toThrow(TypeError)
    expect(() => socket.send(Symbol('x') as never)).toThrow(TypeError)
  })

  test('after the end adds to bufferedAmount and sends nothing', async () => {
    const { server, socket } = dropIn(plain)
    server.latest.accept()
    socket.close()
    socket.send('née')
    expect(socket.bufferedAmount).toBe(4)
    await settled()
    socket.send('x')
    expect(socket.bufferedAmount).toBe(5)
    expect(server.latest.received).toEqual([])
  })

  test('during the closing handshake of the server adds to bufferedAmount and sends nothing', () => {
    const { server, socket } = dropIn(plain)
    const native = server.latest.accept().socket
    vi.spyOn(native, 'readyState', 'get').mockReturnValue(2)
    const send = vi.spyOn(native, 'send')
    socket.send('late')
    expect(send).toHaveBeenCalledWith('late')
    expect(socket.bufferedAmount).toBe(native.bufferedAmount)
  })

  test('passes everything to the platform, however much is buffered there', () => {
    const { server, socket } = dropIn(plain)
    server.latest.accept().freeze()
    const data = 'x'.repeat(2 ** 20)
    for (let i = 0; i < 20; i++) socket.send(data)
    expect(server.latest.unsent).toHaveLength(20)
    expect(socket.bufferedAmount).toBe(20 * 2 ** 20)
  })
})

describe('without reconnection, bufferedAmount', () => {
  test('counts bytes of UTF-8 and decreases as they are transmitted', () => {
    const { server, socket } = dropIn(plain)
    const peer = server.latest.accept().freeze()
    socket.send('née')
    socket.send(new Uint8Array(3))
    expect(socket.bufferedAmount).toBe(7)
    peer.drain(4)
    expect(socket.bufferedAmount).toBe(3)
  })

  test('does not return to zero when the connection ends', () => {
    const { server, socket } = dropIn(plain)
    server.latest.accept().freeze('up')
    socket.send('lost')
    server.latest.drop()
    expect([socket.readyState, socket.bufferedAmount]).toEqual([3, 4])
  })
})

describe('without reconnection, binaryType', () => {
  test('is blob by default, can be set at any time and ignores unknown values', () => {
    const { server, socket } = dropIn(plain)
    expect(socket.binaryType).toBe('blob')
    socket.binaryType = 'arraybuffer'
    socket.binaryType = 'bytes' as never
    expect(socket.binaryType).toBe('arraybuffer')
    const heard: unknown[] = []
    socket.onmessage = ({ data }) => heard.push(data)
    server.latest.accept().send(new Uint8Array([1]))
    socket.binaryType = 'blob'
    server.latest.send(new Uint8Array([2]))
    expect(heard).toEqual([new Uint8Array([1]).buffer, expect.any(Blob)])
  })
})

describe('the constructor of the drop-in class', () => {
  const server = createFakeServer()
  const options = { ...plain, WebSocket: server.WebSocket }

  test.each(['nonsense', 'ftp://example.com/', 'wss://user name@:0x/'])(
    'throws the platform’s SyntaxError for %s',
    url => {
      expect(() => new SteadyWebSocket(url, [], options)).toThrow(
        expect.objectContaining({ name: 'SyntaxError' }),
      )
    },
  )

  test('throws the platform’s SyntaxError for malformed subprotocols', () => {
    for (const protocols of [['a', 'a'], ['a b'], 'é']) {
      expect(() => new SteadyWebSocket('wss://push.example.com/', protocols, options)).toThrow(
        expect.objectContaining({ name: 'SyntaxError' }),
      )
    }
  })

  test('throws a TypeError without a URL or without `new`', () => {
    const Loose = SteadyWebSocket as any
    expect(() => new Loose()).toThrow(TypeError)
    expect(() => Loose('wss://push.example.com/')).toThrow(TypeError)
  })

  test('throws a SocketError with the code NO_WEBSOCKET where there is no WebSocket', () => {
    vi.stubGlobal('WebSocket', undefined) // From Node 22 on there is one.
    try {
      expect(() => new SteadyWebSocket('wss://push.example.com/')).toThrow(/NO_WEBSOCKET/)
    } finally {
      vi.unstubAllGlobals()
    }
  })

  test('passes an options object instead of subprotocols to the native constructor unchanged', () => {
    const seen: unknown[] = []
    class Native extends server.WebSocket {
      constructor(url: string | URL, init?: any) {
        seen.push(init)
        super(url, init.protocols)
      }
    }
    const init = { protocols: ['v2'], targetAddressSpace: 'local' } as const
    const socket = new SteadyWebSocket('wss://printer.example/', init as never, {
      ...plain,
      WebSocket: Native,
    })
    expect(seen).toEqual([init])
    server.latest.accept()
    expect(socket.protocol).toBe('v2')
    socket.close()
  })

  test('resolves a relative URL as the platform does', () => {
    const { socket } = dropIn(plain, '/feed?x=1')
    expect(socket.url).toBe('wss://push.example.com/feed?x=1')
  })
})

test('without reconnection, protocol and extensions stay those of the native socket after the end', async () => {
  const { server, socket } = dropIn(plain, undefined, ['v2', 'v1'])
  expect([socket.protocol, socket.extensions]).toEqual(['', ''])
  server.latest.accept('v1')
  expect(socket.protocol).toBe('v1')
  socket.close()
  await settled()
  expect(socket.protocol).toBe('v1')
})

test('without reconnection, no deadline ends an attempt or a connection', async () => {
  const { server, socket } = dropIn(plain)
  await vi.advanceTimersByTimeAsync(24 * 3_600_000)
  expect(socket.readyState).toBe(0)
  server.latest.accept()
  expect(socket.readyState).toBe(1)
})
