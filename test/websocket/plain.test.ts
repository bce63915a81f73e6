// Without reconnection: what the platform's class does, before a server that is the test. The same, and much more, is
// compared with the platform's class itself in real engines: test/engines/standard.
import { describe, expect, test, vi } from 'vitest'
import { createFakeServer } from '../../src/testing.ts'
import { SteadyWebSocket } from '../../src/websocket.ts'
import { fresh } from '../support/setup.ts'
import { scene, turn } from './setup.ts'

fresh()

const plain = { retry: false } as const

describe('a connection', () => {
  test('opens, carries messages, and ends with what the peer said', () => {
    const { server, told } = scene(plain)
    const peer = server.latest.accept()
    peer.send('hello').close(4000, 'enough')
    expect(told).toEqual(['1 open', '1 message hello', '3 close 4000 enough clean'])
  })

  test('that fails ends with error and close, CLOSED in both', () => {
    const { server, told } = scene(plain)
    server.latest.refuse()
    expect(told).toEqual(['3 error', '3 close 1006 - unclean'])
  })

  test('that is cut tells of an error where the platform did', () => {
    const { server, told } = scene(plain)
    server.latest.accept().drop()
    expect(told).toEqual(['1 open', '3 error', '3 close 1006 - unclean'])
  })

  test('ends once', async () => {
    const { server, socket, told } = scene(plain)
    server.latest.accept().close(1000)
    socket.close()
    await turn()
    expect(told).toEqual(['1 open', '3 close 1000 - clean'])
    expect(server.attempts).toBe(1)
  })
})

describe('close()', () => {
  test('is CLOSING at once, CLOSED when the peer has answered', async () => {
    const { server, socket, told } = scene(plain)
    server.latest.accept()
    socket.close(3001, 'bye')
    expect([socket.readyState, told]).toEqual([2, ['1 open']])
    await turn()
    expect(told).toEqual(['1 open', '3 close 3001 bye clean'])
    expect(server.latest.closed).toEqual({ code: 3001, reason: 'bye' })
  })

  test('before the connection is open is told later, with an error', async () => {
    const { socket, told } = scene(plain)
    socket.close()
    expect([socket.readyState, told]).toEqual([2, []])
    await turn()
    expect(told).toEqual(['3 error', '3 close 1006 - unclean'])
  })

  test('in a listener is CLOSING at once, and takes effect when all have heard', async () => {
    const { server, socket, told } = scene(plain)
    socket.addEventListener('open', () => {
      socket.close(3000)
      told.push(`${socket.readyState} after close`)
    })
    socket.addEventListener('open', () => told.push('another'))
    server.latest.accept()
    expect(told).toEqual(['1 open', '2 after close', 'another'])
    expect(socket.readyState).toBe(2)
    await turn()
    expect(told.at(-1)).toBe('3 close 3000 - clean')
  })

  test('with a reason and no code is 1000', async () => {
    const { server, socket } = scene(plain)
    server.latest.accept()
    socket.close(undefined, 'why')
    await turn()
    expect(server.latest.closed).toEqual({ code: 1000, reason: 'why' })
  })

  test('waits for a peer that does not answer as long as the platform does', async () => {
    const { server, socket, told } = scene(plain)
    server.latest.accept().freeze()
    socket.close()
    await vi.advanceTimersByTimeAsync(60_000)
    expect([socket.readyState, told]).toEqual([2, ['1 open']])
    server.latest.thaw()
    await turn()
    expect(socket.readyState).toBe(3)
  })

  test.each([
    ['nothing', undefined, 1005],
    ['1000', 1000, 1000],
    ['a numeric string', '3000', 3000],
    ['999.5, which is rounded to the even 1000', 999.5, 1000],
    ['1000.5, likewise', 1000.5, 1000],
    ['3000.6', 3000.6, 3001],
  ])('takes %s', async (_, code, heard) => {
    const { server, socket } = scene(plain)
    server.latest.accept()
    socket.close(code as number)
    await turn()
    expect(server.latest.closed?.code).toBe(heard)
  })

  test.each([null, Number.NaN, 'x', 0, 1001, 1006, 2999, 4999.5, 5000, 65_536 + 1000, Infinity, -1000])(
    'does not take %s, and nothing has happened',
    code => {
      const { server, socket } = scene(plain)
      server.latest.accept()
      expect(() => socket.close(code as number)).toThrow(
        expect.objectContaining({ name: 'InvalidAccessError' }),
      )
      expect(socket.readyState).toBe(1)
    },
  )

  test('counts a reason in UTF-8, and converts it', async () => {
    const { server, socket } = scene(plain)
    server.latest.accept()
    expect(() => socket.close(1000, 'é'.repeat(62))).toThrow(expect.objectContaining({ name: 'SyntaxError' }))
    socket.close(1000, 42 as never)
    await turn()
    expect(server.latest.closed).toEqual({ code: 1000, reason: '42' })
  })
})

describe('send()', () => {
  test('throws while CONNECTING', () => {
    const { socket } = scene(plain)
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
  ])('makes text of %j', (data, text) => {
    const { server, socket } = scene(plain)
    server.latest.accept()
    socket.send(data as string)
    expect(server.latest.received).toEqual([text])
  })

  test('sends of a view the part that it shows', () => {
    const { server, socket } = scene(plain)
    server.latest.accept()
    socket.send(new Uint8Array([1, 2, 3, 4]).subarray(1, 3))
    socket.send(new DataView(new Uint8Array([5, 6, 7]).buffer, 2))
    socket.send(new Uint8Array([8]).buffer)
    expect(server.latest.received).toEqual([new Uint8Array([2, 3]), new Uint8Array([7]), new Uint8Array([8])])
  })

  test('refuses shared memory', () => {
    const { server, socket } = scene(plain)
    server.latest.accept()
    const shared = new SharedArrayBuffer(4)
    for (const data of [shared, new Uint8Array(shared)]) {
      expect(() => socket.send(data as never)).toThrow(TypeError)
    }
    expect(server.latest.received).toEqual([])
  })

  test('needs an argument', () => {
    const { server, socket } = scene(plain)
    server.latest.accept()
    expect(() => (socket.send as () => void)()).toThrow(TypeError)
    expect(() => socket.send(Symbol('x') as never)).toThrow(TypeError)
  })

  test('after the end is counted, and lost', async () => {
    const { server, socket } = scene(plain)
    server.latest.accept()
    socket.close()
    socket.send('née')
    expect(socket.bufferedAmount).toBe(4)
    await turn()
    socket.send('x')
    expect(socket.bufferedAmount).toBe(5)
    expect(server.latest.received).toEqual([])
  })

  test('while the peer’s close frame is being answered is counted, and lost', () => {
    const { server, socket } = scene(plain)
    const native = server.latest.accept().socket
    vi.spyOn(native, 'readyState', 'get').mockReturnValue(2)
    const send = vi.spyOn(native, 'send')
    socket.send('late')
    expect(send).toHaveBeenCalledWith('late')
    expect(socket.bufferedAmount).toBe(native.bufferedAmount)
  })

  test('hands everything to the platform, however much it has', () => {
    const { server, socket } = scene(plain)
    server.latest.accept().freeze()
    const data = 'x'.repeat(2 ** 20)
    for (let i = 0; i < 20; i++) socket.send(data)
    expect(server.latest.unsent).toHaveLength(20)
    expect(socket.bufferedAmount).toBe(20 * 2 ** 20)
  })
})

describe('bufferedAmount', () => {
  test('counts UTF-8, and goes down as the line takes it', () => {
    const { server, socket } = scene(plain)
    const peer = server.latest.accept().freeze()
    socket.send('née')
    socket.send(new Uint8Array(3))
    expect(socket.bufferedAmount).toBe(7)
    peer.drain(4)
    expect(socket.bufferedAmount).toBe(3)
  })

  test('does not go back to zero when the connection ends', () => {
    const { server, socket } = scene(plain)
    server.latest.accept().freeze('up')
    socket.send('lost')
    server.latest.drop()
    expect([socket.readyState, socket.bufferedAmount]).toEqual([3, 4])
  })
})

describe('binaryType', () => {
  test('is blob, can be set at any time, and ignores what is neither', () => {
    const { server, socket } = scene(plain)
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

describe('the constructor', () => {
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

  test('throws it for subprotocols too', () => {
    for (const protocols of [['a', 'a'], ['a b'], 'é']) {
      expect(() => new SteadyWebSocket('wss://push.example.com/', protocols, options)).toThrow(
        expect.objectContaining({ name: 'SyntaxError' }),
      )
    }
  })

  test('needs an address, and `new`', () => {
    const Loose = SteadyWebSocket as any
    expect(() => new Loose()).toThrow(TypeError)
    expect(() => Loose('wss://push.example.com/')).toThrow(TypeError)
  })

  test('throws a SocketError that says what to pass where there is no WebSocket', () => {
    vi.stubGlobal('WebSocket', undefined) // From Node 22 on there is one.
    try {
      expect(() => new SteadyWebSocket('wss://push.example.com/')).toThrow(/NO_WEBSOCKET/)
    } finally {
      vi.unstubAllGlobals()
    }
  })

  test('resolves the address as the platform does', () => {
    const { socket } = scene(plain, '/feed?x=1')
    expect(socket.url).toBe('wss://push.example.com/feed?x=1')
  })
})

test('protocol and extensions are the native ones, also after the end', async () => {
  const { server, socket } = scene(plain, undefined, ['v2', 'v1'])
  expect([socket.protocol, socket.extensions]).toEqual(['', ''])
  server.latest.accept('v1')
  expect(socket.protocol).toBe('v1')
  socket.close()
  await turn()
  expect(socket.protocol).toBe('v1')
})

test('nothing of ours ends it: no deadline, and no page that is put away', async () => {
  const { server, socket } = scene(plain)
  await vi.advanceTimersByTimeAsync(24 * 3_600_000)
  expect(socket.readyState).toBe(0)
  server.latest.accept()
  expect(socket.readyState).toBe(1)
})
