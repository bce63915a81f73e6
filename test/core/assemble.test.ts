// A core without some of its parts. The other tests of this folder test the complete core.
import { describe, expect, expectTypeOf, test, vi } from 'vitest'
import {
  assemble,
  backoff,
  browserEvents,
  checks,
  delivery,
  heartbeat,
  pageEvents,
  prepare,
} from '../../src/core.ts'
import type { DropReason, SocketError, State } from '../../src/index.ts'
import { fresh, sent, server } from '../support/setup.ts'

fresh()

/** A socket of the core without parts, and its events. */
const bare = (options: { queue?: { maxMessages?: number; maxBytes?: number } | false } = {}) => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  const socket = assemble()('/feed', { WebSocket: server.WebSocket, ...options })
  const states: State['name'][] = []
  const drops: DropReason[] = []
  const errors: SocketError[] = []
  socket.on('state', ({ name }) => states.push(name))
  socket.on('drop', ({ reason }) => drops.push(reason))
  socket.on('error', error => errors.push(error))
  return { socket, states, drops, errors, native: () => server.latest }
}

test('a misspelt part is a type error, because it would be missing silently', () => {
  assemble({ heartbeat, pageEvents })
  // @ts-expect-error the name is pageEvents
  assemble({ heartbeat, pagEvents: pageEvents })
})

describe('the bare core', () => {
  test('reconnects after delays that double, with jitter', () => {
    const { socket, states, native } = bare()
    native().accept()
    const delays: number[] = []
    for (let i = 0; i < 4; i++) {
      native().drop()
      delays.push((socket.state as { delay: number }).delay)
      vi.advanceTimersByTime(delays[i] as number)
    }
    expect(delays).toEqual([950, 1_900, 2_750, 2_750])
    expect(states.slice(0, 4)).toEqual(['open', 'waiting', 'connecting', 'waiting'])
  })

  test('gives up on a final close code, and says why', () => {
    const { socket, native } = bare()
    native().accept().close(4401, 'expired')
    vi.advanceTimersByTime(0)
    expect(socket.state).toMatchObject({
      name: 'closed',
      cause: { code: 'CONNECTION_LOST', close: { code: 4401, reason: 'expired' } },
    })
  })

  test('limits the time of an attempt, and of the closing handshake', () => {
    const { socket, errors, native } = bare()
    vi.advanceTimersByTime(10_000)
    expect(errors.map(({ code }) => code)).toEqual(['CONNECT_TIMEOUT'])
    vi.advanceTimersByTime(2_000)
    native().accept().freeze('down')
    socket.close()
    vi.advanceTimersByTime(3_000)
    expect(socket.state.name).toBe('closed')
  })

  test('calls the endpoint and protocols functions for every attempt', async () => {
    const endpoint = vi.fn(() => '/feed')
    const protocols = vi.fn(() => 'v1')
    assemble()(endpoint, { WebSocket: server.WebSocket, protocols })
    await vi.advanceTimersByTimeAsync(0)
    server.latest.drop()
    await vi.advanceTimersByTimeAsync(10_000)
    expect([endpoint.mock.calls.length, protocols.mock.calls.length]).toEqual([2, 2])
  })

  test('queues copies in order while there is no connection, and drops everything when it is closed', () => {
    const { socket, drops, native } = bare()
    const buffer = new Uint8Array([1, 2])
    expect([socket.send('first'), socket.send(buffer)]).toEqual(['queued', 'queued'])
    buffer.fill(9)
    native().accept()
    expect(sent(native())).toEqual(['first', new Uint8Array([1, 2])])
    native().drop()
    socket.send('later')
    socket.close()
    expect(drops).toEqual(['closed'])
    expect(socket.send('too late')).toBe('dropped')
  })

  test('bounds its queue in messages and bytes, and reports the message beyond', () => {
    const { socket, drops } = bare({ queue: { maxMessages: 3, maxBytes: 4 } })
    expect(['aa', 'bbb', 'cc', 'd'].map(text => socket.send(text))).toEqual([
      'queued',
      'dropped',
      'queued',
      'dropped',
    ])
    expect(drops).toEqual(['overflow', 'overflow'])
    expect([socket.queued, socket.bufferedAmount]).toEqual([2, 4])
  })

  test('drops messages that are sent without a connection when queue is false', () => {
    const { socket, drops, native } = bare({ queue: false })
    expect(socket.send('x')).toBe('dropped')
    native().accept()
    expect(socket.send('x')).toBe('sent')
    expect(drops).toEqual(['disconnected'])
  })

  test('sends nothing again that the browser had accepted', () => {
    const { socket, native } = bare()
    native().accept().freeze('up')
    socket.send('accepted')
    native().drop()
    vi.advanceTimersByTime(10_000)
    native().accept()
    expect(sent(native())).toEqual([])
  })
})

describe('an option of a part that is missing', () => {
  const make = (options: object) => () =>
    assemble({ checks })('/feed', { WebSocket: server.WebSocket, ...options })

  test.each([
    [{ heartbeat: { message: 'ping' } }, 'heartbeat'],
    [{ wake: browserEvents }, 'pageEvents'],
    [{ prepare: () => {} }, 'prepare'],
    [{ highWaterMark: 5 }, 'delivery'],
    [{ queue: { overflow: 'drop-oldest' } }, 'delivery'],
  ])('throws a TypeError that names the part: %o', (options, part) => {
    expect(make(options)).toThrow(TypeError)
    expect(make(options)).toThrow(new RegExp(`'${part}'.*steadysocket/core`))
  })

  test('of send() throws a TypeError that names the part', () => {
    const { socket } = bare()
    expect(() => (socket.send as (data: string, options: object) => unknown)('x', { ttl: 5 })).toThrow(
      /'delivery'.*steadysocket\/core/,
    )
  })

  test('is a type error', () => {
    const createSocket = assemble({ heartbeat })
    const options = { WebSocket: server.WebSocket, autoConnect: false } as const
    createSocket('/feed', { ...options, heartbeat: { message: 'ping' } })
    // @ts-expect-error the part prepare is missing
    expect(() => createSocket('/feed', { ...options, prepare: () => {} })).toThrow(TypeError)
    // @ts-expect-error the part pageEvents is missing
    expect(() => createSocket('/feed', { ...options, wake: browserEvents })).toThrow(TypeError)
    // @ts-expect-error the part delivery is missing
    expect(() => createSocket('/feed', { ...options, highWaterMark: 5 })).toThrow(TypeError)
    const socket = createSocket('/feed', options)
    expectTypeOf(socket.send).parameters.toEqualTypeOf<[data: import('../../src/index.ts').Data]>()
  })
})

describe('a part', () => {
  test('heartbeat abandons a silent connection', () => {
    const socket = assemble({ heartbeat })('/feed', {
      WebSocket: server.WebSocket,
      heartbeat: { interval: 1_000, timeout: 500, message: 'ping' },
    })
    server.latest.accept().freeze('up')
    vi.advanceTimersByTime(1_500)
    expect(socket.state).toMatchObject({ name: 'waiting', cause: { code: 'UNRESPONSIVE' } })
  })

  test('pageEvents shortens a wait when the page wakes up', () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.5)
    let report: (event: 'wake') => void = () => {}
    const socket = assemble({ pageEvents })('/feed', {
      WebSocket: server.WebSocket,
      retry: () => 60_000,
      wake: listener => {
        report = listener
        return () => {}
      },
    })
    server.latest.drop()
    report('wake')
    expect(socket.state).toMatchObject({ name: 'waiting', delay: 150 })
  })

  test('prepare runs before open', async () => {
    const log: string[] = []
    const socket = assemble({ prepare })('/feed', {
      WebSocket: server.WebSocket,
      prepare: ({ send }) => {
        send('login')
        log.push('prepare')
      },
    })
    socket.on('open', () => log.push('open'))
    server.latest.accept()
    await vi.advanceTimersByTimeAsync(0)
    expect(log).toEqual(['prepare', 'open'])
    expect(sent(server.latest)).toEqual(['login'])
  })

  test('delivery sends the unsent tail again', () => {
    const socket = assemble({ delivery })('/feed', { WebSocket: server.WebSocket })
    server.latest.accept().freeze('up')
    socket.send('unsent', { key: 'a' })
    server.latest.drop()
    vi.advanceTimersByTime(10_000)
    server.latest.accept()
    expect(sent(server.latest)).toEqual(['unsent'])
  })

  test('backoff takes the cause into account', () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.5)
    const socket = assemble({ backoff })('wss://push.example.com/', { WebSocket: server.WebSocket })
    server.latest.accept().close(1012, 'retry-after=7')
    vi.advanceTimersByTime(0)
    expect((socket.state as { delay: number }).delay).toBeGreaterThan(7_000)
  })

  test('checks rejects invalid options and arguments', () => {
    const createSocket = assemble({ checks })
    const options = { WebSocket: server.WebSocket }
    expect(() => createSocket('/feed', { ...options, minUptime: -1 })).toThrow(TypeError)
    const socket = createSocket('/feed', options)
    expect(() => socket.send({} as never)).toThrow(TypeError)
    expect(() => socket.close(1001)).toThrow(DOMException)
    expect(() => socket.on('nothing' as 'text', () => {})).toThrow(TypeError)
  })
})
