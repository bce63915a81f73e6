// With reconnection: what stays as on the platform, and what is told of outages.
import { describe, expect, test, vi } from 'vitest'
import { createFakeServer } from '../../src/testing.ts'
import { SteadyWebSocket } from '../../src/websocket.ts'
import { fresh } from '../support/setup.ts'
import { scene, turn } from './setup.ts'

fresh()

const soon = () => vi.advanceTimersByTimeAsync(10_000)

describe('an outage', () => {
  test('is told as a close that is not the last, then an open', async () => {
    const { server, socket, told } = scene()
    server.latest.accept().close(1012, 'restart')
    expect(socket.readyState).toBe(0)
    server.accept()
    await soon()
    expect(told).toEqual(['1 open', '3 close 1012 restart clean, will reconnect', '1 open'])
  })

  test('with failed attempts tells of each by an error, which says why', async () => {
    const { server, socket, told } = scene({ retry: () => 100 })
    const errors: unknown[] = []
    socket.onerror = ({ error, message }) => errors.push([error?.code, message])
    server.latest.refuse()
    await vi.advanceTimersByTimeAsync(100)
    server.latest.refuse()
    await vi.advanceTimersByTimeAsync(100)
    server.latest.accept()
    const failed = ['3 error', '3 close 1006 - unclean, will reconnect']
    expect(told).toEqual([...failed, ...failed, '1 open'])
    expect(errors[0]).toEqual(['CONNECTION_REFUSED', expect.stringMatching(/^CONNECTION_REFUSED/)])
  })

  test('that the policy gives up on ends with one close', () => {
    const { server, told } = scene()
    server.latest.accept().close(4401, 'who are you?')
    expect(told).toEqual(['1 open', '3 close 4401 who are you? clean'])
  })

  test('that the policy gives up on later ends with a close of its own', async () => {
    const { server, told } = scene({ retry: ({ attempt }) => attempt < 2 && 100 })
    server.latest.accept().close(1012)
    await vi.advanceTimersByTimeAsync(100)
    server.latest.refuse()
    expect(told).toEqual([
      '1 open',
      '3 close 1012 - clean, will reconnect',
      '3 error',
      '3 close 1006 - unclean',
    ])
  })

  test('has a connection that does not answer given up, and says so', async () => {
    const { server, socket, told } = scene({ heartbeat: { message: 'ping', interval: 1_000, timeout: 500 } })
    server.latest.accept().freeze()
    await vi.advanceTimersByTimeAsync(1_500)
    expect(told).toEqual(['1 open', '3 close 1006 - unclean, will reconnect'])
    expect([socket.readyState, server.attempts]).toEqual([0, 1])
    await vi.advanceTimersByTimeAsync(300)
    expect(server.attempts).toBe(2)
  })

  test('keeps what is sent, in order, and counts its bytes', async () => {
    const { server, socket } = scene()
    socket.send('é')
    socket.send(new Uint8Array([1, 2]))
    expect(socket.bufferedAmount).toBe(4)
    const peer = server.latest.accept()
    await turn()
    expect([socket.bufferedAmount, peer.received]).toEqual([0, ['é', new Uint8Array([1, 2])]])
  })

  test('keeps Blobs, the platform’s default', async () => {
    const { server, socket } = scene()
    const heard: unknown[] = []
    socket.onmessage = ({ data }) => heard.push(data)
    for (const bytes of [[1], [2]]) {
      server.latest.accept().send(new Uint8Array(bytes)).close(1012)
      await soon()
    }
    expect(heard).toEqual([expect.any(Blob), expect.any(Blob)])
  })

  test('that was an error is none the next time', async () => {
    const { server, told } = scene()
    server.latest.accept().drop()
    await soon()
    told.length = 0
    server.latest.accept().close(1012)
    expect(told).toEqual(['1 open', '3 close 1012 - clean, will reconnect'])
  })

  test('keeps binaryType', async () => {
    const { server, socket } = scene()
    const heard: unknown[] = []
    socket.onmessage = ({ data }) => heard.push(data)
    socket.binaryType = 'arraybuffer'
    for (const bytes of [[1], [2]]) {
      server.latest.accept().send(new Uint8Array(bytes)).close(1012)
      await soon()
    }
    expect(heard).toEqual([new Uint8Array([1]).buffer, new Uint8Array([2]).buffer])
  })

  test('keeps handlers and listeners', async () => {
    const { server, socket } = scene()
    const heard: string[] = []
    socket.onmessage = ({ data }) => heard.push(`on ${data}`)
    socket.addEventListener('message', ({ data }) => heard.push(`listener ${data}`))
    for (const text of ['a', 'b']) {
      server.latest.accept().send(text).close(1012)
      await soon()
    }
    expect(heard).toEqual(['on a', 'listener a', 'on b', 'listener b'])
  })
})

describe('close()', () => {
  test('during a wait is told once, later, and nothing more is tried', async () => {
    const { server, socket, told } = scene()
    server.latest.accept().close(1012)
    told.length = 0
    socket.close()
    expect([socket.readyState, told]).toEqual([2, []])
    await soon()
    expect(told).toEqual(['3 close 1006 - unclean'])
    expect([socket.readyState, server.attempts]).toEqual([3, 1])
  })

  test('during the first attempt is told as on the platform', async () => {
    const { socket, told } = scene()
    socket.close()
    expect(socket.readyState).toBe(2)
    await turn()
    expect(told).toEqual(['3 error', '3 close 1006 - unclean'])
  })

  test('while open is told once, and is the last', async () => {
    const { server, socket, told } = scene()
    server.latest.accept()
    socket.close(4000, 'done')
    await soon()
    expect(told).toEqual(['1 open', '3 close 4000 done clean'])
    expect(server.attempts).toBe(1)
  })

  test('drops what waits, and says so underneath', () => {
    const { socket } = scene()
    const dropped: unknown[] = []
    socket.socket.on('drop', drop => dropped.push(drop))
    socket.send('waits')
    socket.close()
    expect(dropped).toEqual([{ data: 'waits', reason: 'closed' }])
  })

  test('counts what is sent after it, as the platform does', async () => {
    const { server, socket } = scene()
    server.latest.accept()
    socket.close()
    socket.send('lost')
    await turn()
    expect(socket.bufferedAmount).toBe(4)
  })

  test('taken back by reconnect() before it was told is not told', async () => {
    const { server, socket, told } = scene()
    socket.close()
    socket.reconnect()
    expect(socket.readyState).toBe(0)
    await turn()
    server.latest.accept()
    expect(told).toEqual(['1 open'])
  })
})

describe('reconnect()', () => {
  test('replaces a connection', async () => {
    const { server, socket, told } = scene()
    server.latest.accept()
    socket.reconnect('because')
    server.accept()
    await vi.advanceTimersByTimeAsync(300)
    expect(told).toEqual(['1 open', '3 close 1006 - unclean, will reconnect', '1 open'])
  })

  test('brings back a socket that was closed', async () => {
    const { server, socket, told } = scene()
    server.latest.accept()
    socket.close()
    await turn()
    socket.reconnect()
    expect(socket.readyState).toBe(0)
    server.latest.accept()
    expect(told.at(-1)).toBe('1 open')
  })
})

describe('an address', () => {
  test('can be asked for at every attempt, and so can subprotocols', async () => {
    const attempts: unknown[] = []
    const { server, socket } = scene(
      { retry: () => 0 },
      async ({ attempt }) => {
        attempts.push(attempt)
        return `wss://push.example.com/${attempt}`
      },
      () => ['v1'],
    )
    expect([socket.url, socket.readyState]).toEqual(['', 0])
    await turn()
    server.latest.refuse()
    await turn()
    server.latest.accept()
    expect([socket.url, socket.protocol]).toEqual(['wss://push.example.com/1', 'v1'])
    expect(attempts).toEqual([0, 1])
  })

  test('that cannot be had is an error, and another attempt', async () => {
    const { told } = scene({ retry: () => 1_000 }, () => Promise.reject(new Error('no token')))
    await turn()
    expect(told).toEqual(['3 error', '3 close 1006 - unclean, will reconnect'])
  })
})

describe('readyState', () => {
  test('is OPEN only once prepare is done', async () => {
    let finish = () => {}
    const prepared = new Promise<void>(resolve => {
      finish = resolve
    })
    const { server, socket, told } = scene({ prepare: () => prepared })
    server.latest.accept()
    expect([socket.readyState, told]).toEqual([0, []])
    finish()
    await turn()
    expect(told).toEqual(['1 open'])
  })

  test('is CLOSED before connect() where autoConnect is off', () => {
    const { server, socket } = scene({ autoConnect: false })
    expect([socket.readyState, server.attempts]).toEqual([3, 0])
    expect(socket.bufferedAmount).toBe(0)
    socket.send('early')
    expect(socket.bufferedAmount).toBe(5)
    socket.socket.connect()
    expect(socket.readyState).toBe(0)
  })

  test('is CLOSING while the peer’s close frame is being answered', () => {
    const { server, socket } = scene()
    const native = server.latest.accept().socket
    vi.spyOn(native, 'readyState', 'get').mockReturnValue(2)
    expect(socket.readyState).toBe(2)
  })
})

describe('in the place of the platform’s class', () => {
  test('it stands on what was there before', async () => {
    const server = createFakeServer()
    vi.stubGlobal('WebSocket', server.WebSocket)
    vi.resetModules()
    const { SteadyWebSocket: Fresh } = await import('../../src/websocket.ts')
    vi.stubGlobal('WebSocket', Fresh)
    const socket = new WebSocket('wss://push.example.com/feed')
    expect(server.attempts).toBe(1)
    server.latest.accept()
    expect([socket.readyState, socket instanceof Fresh]).toEqual([1, true])
    socket.close()
  })

  test('a subclass can bring options of its own', async () => {
    const server = createFakeServer()
    class Patient extends SteadyWebSocket {
      constructor(url: string, protocols?: string | string[]) {
        super(url, protocols, { WebSocket: server.WebSocket, retry: () => 5 })
      }
    }
    const socket = new Patient('wss://push.example.com/feed')
    expect(socket).toBeInstanceOf(SteadyWebSocket)
    expect(server.attempts).toBe(1)
    await turn()
    expect(socket.readyState).toBe(1)
    socket.close()
  })
})
