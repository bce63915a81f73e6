// The drop-in class with reconnection: the behaviour that is the same as that of `WebSocket`, and the events of outages.
import { describe, expect, test, vi } from 'vitest'
import { createFakeServer } from '../../src/testing.ts'
import { SteadyWebSocket } from '../../src/websocket.ts'
import { fresh, settled } from '../support/setup.ts'
import { dropIn } from './setup.ts'

fresh()

const soon = () => vi.advanceTimersByTimeAsync(10_000)

describe('an outage', () => {
  test('dispatches close with willReconnect: true, then open', async () => {
    const { server, socket, events } = dropIn()
    server.latest.accept().close(1012, 'restart')
    expect(socket.readyState).toBe(0)
    server.accept()
    await soon()
    expect(events).toEqual(['1 open', '3 close 1012 restart clean, will reconnect', '1 open'])
  })

  test('dispatches error with the reason, then close, for each failed attempt', async () => {
    const { server, socket, events } = dropIn({ retry: () => 100 })
    const errors: unknown[] = []
    socket.onerror = ({ error, message }) => errors.push([error?.code, message])
    server.latest.refuse()
    await vi.advanceTimersByTimeAsync(100)
    server.latest.refuse()
    await vi.advanceTimersByTimeAsync(100)
    server.latest.accept()
    const failed = ['3 error', '3 close 1006 - unclean, will reconnect']
    expect(events).toEqual([...failed, ...failed, '1 open'])
    expect(errors[0]).toEqual(['CONNECTION_REFUSED', expect.stringMatching(/^CONNECTION_REFUSED/)])
  })

  test('ends with one close event if retry gives up', () => {
    const { server, events } = dropIn()
    server.latest.accept().close(4401, 'who are you?')
    expect(events).toEqual(['1 open', '3 close 4401 who are you? clean'])
  })

  test('ends with a close event of its own if retry gives up after a failed attempt', async () => {
    const { server, events } = dropIn({ retry: ({ attempt }) => attempt < 2 && 100 })
    server.latest.accept().close(1012)
    await vi.advanceTimersByTimeAsync(100)
    server.latest.refuse()
    expect(events).toEqual([
      '1 open',
      '3 close 1012 - clean, will reconnect',
      '3 error',
      '3 close 1006 - unclean',
    ])
  })

  test('that begins with pagehide during an attempt ends that attempt with error and close', async () => {
    let sleep = () => {}
    const { events } = dropIn({
      wake: notify => {
        sleep = () => notify('sleep')
        return () => {}
      },
    })
    sleep()
    expect(events).toEqual(['3 error', '3 close 1006 - unclean, will reconnect'])
  })

  test('begins with close when the server does not answer the heartbeat', async () => {
    const { server, socket, events } = dropIn({
      heartbeat: { message: 'ping', interval: 1_000, timeout: 500 },
    })
    server.latest.accept().freeze()
    await vi.advanceTimersByTimeAsync(1_500)
    expect(events).toEqual(['1 open', '3 close 1006 - unclean, will reconnect'])
    expect([socket.readyState, server.attempts]).toEqual([0, 1])
    await vi.advanceTimersByTimeAsync(300)
    expect(server.attempts).toBe(2)
  })

  test('queues what is sent, in order, and counts its bytes in bufferedAmount', async () => {
    const { server, socket } = dropIn()
    socket.send('é')
    socket.send(new Uint8Array([1, 2]))
    expect(socket.bufferedAmount).toBe(4)
    const peer = server.latest.accept()
    await settled()
    expect([socket.bufferedAmount, peer.received]).toEqual([0, ['é', new Uint8Array([1, 2])]])
  })

  test('does not change the default binaryType, blob', async () => {
    const { server, socket } = dropIn()
    const heard: unknown[] = []
    socket.onmessage = ({ data }) => heard.push(data)
    for (const bytes of [[1], [2]]) {
      server.latest.accept().send(new Uint8Array(bytes)).close(1012)
      await soon()
    }
    expect(heard).toEqual([expect.any(Blob), expect.any(Blob)])
  })

  test('dispatches no error event for a later connection that ends cleanly', async () => {
    const { server, events } = dropIn()
    server.latest.accept().drop()
    await soon()
    events.length = 0
    server.latest.accept().close(1012)
    expect(events).toEqual(['1 open', '3 close 1012 - clean, will reconnect'])
  })

  test('does not change a binaryType that was set', async () => {
    const { server, socket } = dropIn()
    const heard: unknown[] = []
    socket.onmessage = ({ data }) => heard.push(data)
    socket.binaryType = 'arraybuffer'
    for (const bytes of [[1], [2]]) {
      server.latest.accept().send(new Uint8Array(bytes)).close(1012)
      await soon()
    }
    expect(heard).toEqual([new Uint8Array([1]).buffer, new Uint8Array([2]).buffer])
  })

  test('does not change handlers and listeners', async () => {
    const { server, socket } = dropIn()
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

describe('with reconnection, close()', () => {
  test('in a listener of error makes the close event of that attempt the last one', async () => {
    const { server, socket, events } = dropIn()
    socket.onerror = () => socket.close()
    server.latest.refuse()
    await soon()
    expect(events).toEqual(['3 error', '3 close 1006 - unclean'])
    expect([socket.readyState, server.attempts]).toEqual([3, 1])
  })

  test('right after reconnect() dispatches one close event', async () => {
    const { server, socket, events } = dropIn()
    server.latest.accept()
    socket.reconnect()
    socket.close()
    await soon()
    expect(events).toEqual(['1 open', '3 close 1006 - unclean'])
    expect(socket.readyState).toBe(3)
  })

  test('during a wait dispatches one close event in a later task and stops reconnecting', async () => {
    const { server, socket, events } = dropIn()
    server.latest.accept().close(1012)
    events.length = 0
    socket.close()
    expect([socket.readyState, events]).toEqual([2, []])
    await soon()
    expect(events).toEqual(['3 close 1006 - unclean'])
    expect([socket.readyState, server.attempts]).toEqual([3, 1])
  })

  test('during the first attempt dispatches the events of the platform', async () => {
    const { socket, events } = dropIn()
    socket.close()
    expect(socket.readyState).toBe(2)
    await settled()
    expect(events).toEqual(['3 error', '3 close 1006 - unclean'])
  })

  test('on an open connection dispatches one close event, which is the last', async () => {
    const { server, socket, events } = dropIn()
    server.latest.accept()
    socket.close(4000, 'done')
    await soon()
    expect(events).toEqual(['1 open', '3 close 4000 done clean'])
    expect(server.attempts).toBe(1)
  })

  test('drops queued messages, with an event on the underlying socket', () => {
    const { socket } = dropIn()
    const dropped: unknown[] = []
    socket.socket.on('drop', drop => dropped.push(drop))
    socket.send('waits')
    socket.close()
    expect(dropped).toEqual([{ data: 'waits', reason: 'closed' }])
  })

  test('lets bufferedAmount count later messages, as the platform does', async () => {
    const { server, socket } = dropIn()
    server.latest.accept()
    socket.close()
    socket.send('lost')
    await settled()
    expect(socket.bufferedAmount).toBe(4)
  })

  test('dispatches nothing if reconnect() undoes it in the same task', async () => {
    const { server, socket, events } = dropIn()
    socket.close()
    socket.reconnect()
    expect(socket.readyState).toBe(0)
    await settled()
    server.latest.accept()
    expect(events).toEqual(['1 open'])
  })
})

describe('handover() of the drop-in class', () => {
  test('replaces an open connection by a second one, and resolves when that one is open', async () => {
    const { server, socket, events } = dropIn()
    const first = server.latest.accept()
    const done = vi.fn()
    socket.handover('token').then(done)
    await settled()
    server.latest.accept()
    socket.send('during the handover')
    await vi.advanceTimersByTimeAsync(200)
    expect(first.closed).toEqual({ code: 1000, reason: 'handover' })
    expect(events).toEqual(['1 open', '3 close 1000 handover clean, will reconnect', '1 open'])
    expect([server.latest.received, socket.readyState]).toEqual([['during the handover'], 1])
    expect(done).toHaveBeenCalledOnce()
  })
})

describe('reconnect() of the drop-in class', () => {
  test('replaces an open connection', async () => {
    const { server, socket, events } = dropIn()
    server.latest.accept()
    socket.reconnect('because')
    server.accept()
    await vi.advanceTimersByTimeAsync(300)
    expect(events).toEqual(['1 open', '3 close 1006 - unclean, will reconnect', '1 open'])
  })

  test('dispatches close in a later task, after the statements that follow it', async () => {
    const { server, socket, events } = dropIn()
    server.latest.accept()
    socket.reconnect()
    expect([socket.readyState, events]).toEqual([2, ['1 open']])
    await settled()
    expect(events).toEqual(['1 open', '3 close 1006 - unclean, will reconnect'])
    expect(socket.readyState).toBe(0)
  })

  test('during an attempt dispatches error and close in a later task', async () => {
    const { socket, events } = dropIn()
    const causes: unknown[] = []
    socket.onerror = ({ error }) => causes.push([error?.code, error?.cause])
    socket.reconnect('because')
    expect(events).toEqual([])
    await settled()
    expect(events).toEqual(['3 error', '3 close 1006 - unclean, will reconnect'])
    expect(causes).toEqual([['RECONNECT_REQUESTED', 'because']])
  })

  test('during the closing handshake dispatches close in a later task', async () => {
    const { server, socket, events } = dropIn()
    server.latest.accept()
    socket.close()
    socket.reconnect()
    expect(events).toEqual(['1 open'])
    await settled()
    expect(events).toEqual(['1 open', '3 close 1006 - unclean, will reconnect'])
    server.latest.accept()
    expect(events.at(-1)).toBe('1 open')
  })

  test('connects again after close()', async () => {
    const { server, socket, events } = dropIn()
    server.latest.accept()
    socket.close()
    await settled()
    socket.reconnect()
    expect(socket.readyState).toBe(0)
    server.latest.accept()
    expect(events.at(-1)).toBe('1 open')
  })
})

describe('a URL function', () => {
  test('is called for every attempt, and so is a function for subprotocols', async () => {
    const attempts: unknown[] = []
    const { server, socket } = dropIn(
      { retry: () => 0 },
      async ({ attempt }) => {
        attempts.push(attempt)
        return `wss://push.example.com/${attempt}`
      },
      () => ['v1'],
    )
    expect([socket.url, socket.readyState]).toEqual(['', 0])
    await settled()
    server.latest.refuse()
    await settled()
    server.latest.accept()
    expect([socket.url, socket.protocol]).toEqual(['wss://push.example.com/1', 'v1'])
    expect(attempts).toEqual([0, 1])
  })

  test('that rejects fails the attempt, with error and close', async () => {
    const { events } = dropIn({ retry: () => 1_000 }, () => Promise.reject(new Error('no token')))
    await settled()
    expect(events).toEqual(['3 error', '3 close 1006 - unclean, will reconnect'])
  })
})

describe('with reconnection, readyState', () => {
  test('is OPEN only after prepare has finished', async () => {
    let finish = () => {}
    const prepared = new Promise<void>(resolve => {
      finish = resolve
    })
    const { server, socket, events } = dropIn({ prepare: () => prepared })
    server.latest.accept()
    expect([socket.readyState, events]).toEqual([0, []])
    finish()
    await settled()
    expect(events).toEqual(['1 open'])
  })

  test('is CLOSED before connect() with autoConnect: false', () => {
    const { server, socket } = dropIn({ autoConnect: false })
    expect([socket.readyState, server.attempts]).toEqual([3, 0])
    expect(socket.bufferedAmount).toBe(0)
    socket.send('early')
    expect(socket.bufferedAmount).toBe(5)
    socket.socket.connect()
    expect(socket.readyState).toBe(0)
  })

  test('is CLOSING during the closing handshake of the server', () => {
    const { server, socket } = dropIn()
    const native = server.latest.accept().socket
    vi.spyOn(native, 'readyState', 'get').mockReturnValue(2)
    expect(socket.readyState).toBe(2)
  })
})

describe('the drop-in class as globalThis.WebSocket', () => {
  test('connects with the original WebSocket class', async () => {
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

  test('can be a subclass with options of its own', async () => {
    const server = createFakeServer()
    class Patient extends SteadyWebSocket {
      constructor(url: string, protocols?: string | string[]) {
        super(url, protocols, { WebSocket: server.WebSocket, retry: () => 5 })
      }
    }
    const socket = new Patient('wss://push.example.com/feed')
    expect(socket).toBeInstanceOf(SteadyWebSocket)
    expect(server.attempts).toBe(1)
    await settled()
    expect(socket.readyState).toBe(1)
    socket.close()
  })
})
