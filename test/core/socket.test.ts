import { describe, expect, test, vi } from 'vitest'
import { createSocket } from '../../src/index.ts'
import { fresh, sent, server, setup, story } from '../support/setup.ts'

fresh()

describe('connecting', () => {
  test('starts at once, and the socket is open after the handshake', () => {
    const { socket, log, native } = setup({ protocols: ['v0', 'v1'] })
    expect(socket.state).toEqual({ name: 'connecting', attempt: 0 })
    native().accept('v1')
    expect(socket.state).toEqual({
      name: 'open',
      attempt: 0,
      since: 1_000_000,
      url: 'ws://page.test/feed',
      protocol: 'v1',
    })
    expect(log).toEqual([
      ['state', socket.state],
      [
        'open',
        { attempt: 0, url: 'ws://page.test/feed', protocol: 'v1', reconnected: false, seamless: false },
      ],
    ])
    expect([socket.url, socket.protocol]).toEqual(['ws://page.test/feed', 'v1'])
  })

  test('waits for connect() with autoConnect: false, and queues messages that are sent before', () => {
    const { socket, native } = setup({ autoConnect: false })
    expect(server.attempts).toBe(0)
    expect(socket.send('early')).toBe('queued')
    socket.connect()
    native().accept()
    expect(sent(native())).toEqual(['early'])
  })

  test('does not happen after close() before the first attempt, and later messages are dropped', () => {
    const { socket, heard } = setup({ autoConnect: false })
    socket.send('early')
    socket.close()
    expect(socket.state).toMatchObject({ name: 'closed', cause: { code: 'CLOSED' } })
    expect(socket.send('late')).toBe('dropped')
    expect(heard('drop')).toEqual([
      { data: 'early', reason: 'closed' },
      { data: 'late', reason: 'closed' },
    ])
  })

  test('is not repeated by connect() while connecting or open', () => {
    const { socket, native } = setup()
    socket.connect()
    native().accept()
    socket.connect()
    expect(server.attempts).toBe(1)
    expect(socket.state.name).toBe('open')
  })

  test('starts at once when connect() is called during a wait', () => {
    const { socket, native } = setup()
    native().drop()
    expect(socket.state.name).toBe('waiting')
    socket.connect()
    expect(socket.state).toMatchObject({
      name: 'connecting',
      attempt: 1,
      cause: { code: 'CONNECTION_REFUSED' },
    })
    native().accept()
    vi.advanceTimersByTime(100_000)
    expect(server.attempts).toBe(2)
  })

  test('passes protocols to each native socket, and sets its binaryType', () => {
    const { native } = setup({ protocols: ['a', 'b'], binaryType: 'blob' })
    expect(native().protocols).toEqual(['a', 'b'])
    native().accept().drop()
    vi.advanceTimersByTime(5_000)
    expect(server.connections.map(({ socket }) => socket.binaryType)).toEqual(['blob', 'blob'])
    expect(setup().native().socket.binaryType).toBe('arraybuffer')
  })

  test('is possible with methods that are called without the socket', () => {
    const { socket, native } = setup()
    const { send, close, on } = socket
    native().accept()
    expect(send('x')).toBe('sent')
    on('state', () => {})
    close()
    expect(socket.state.name).toBe('closing')
  })
})

describe('losing a connection', () => {
  test('fires one close event with the close frame, and causes another attempt', () => {
    const { socket, log, heard, native } = setup()
    native().accept()
    log.length = 0
    vi.advanceTimersByTime(60_000)
    native().close(1012, 'deploy')
    expect(story(log)).toEqual(['waiting', '(close)'])
    const { cause, ...close } = heard('close')[0]
    expect(close).toEqual({
      code: 1012,
      reason: 'deploy',
      wasClean: true,
      willRetry: true,
      delay: 5_000 * (1 - Math.SQRT1_2),
    })
    expect(cause).toMatchObject({
      code: 'CONNECTION_LOST',
      close: { code: 1012, reason: 'deploy', wasClean: true },
    })
    expect(socket.state).toEqual({
      name: 'waiting',
      attempt: 1,
      delay: 5_000 * (1 - Math.SQRT1_2),
      until: 1_060_000 + 5_000 * (1 - Math.SQRT1_2),
      cause,
    })
    vi.advanceTimersByTime(4_000)
    native().accept()
    expect(heard('open')).toMatchObject([{ attempt: 1, reconnected: true }])
  })

  test('during the handshake fires an error event and no close event', () => {
    const { log, heard, native } = setup()
    native().drop()
    expect(story(log).sort()).toEqual(['(error)', 'waiting'])
    expect(heard('error')[0]).toMatchObject({
      name: 'SocketError',
      code: 'CONNECTION_REFUSED',
      close: { code: 1006 },
    })
  })

  test('is noticed if the platform fires error and never close', () => {
    const { socket, heard, native } = setup()
    native().socket.dispatchEvent(new Event('error'))
    vi.advanceTimersByTime(100)
    expect(heard('error')).toMatchObject([{ code: 'CONNECTION_REFUSED', close: undefined }])
    expect(socket.state.name).toBe('waiting')
  })

  test('counts as a failure in a row if the connection was short', () => {
    const { socket, native } = setup()
    native().drop()
    expect(socket.state).toMatchObject({ attempt: 1 })
    vi.advanceTimersByTime(10_000)
    native().accept()
    vi.advanceTimersByTime(4_999)
    native().drop()
    expect(socket.state).toMatchObject({ attempt: 2 })
    vi.advanceTimersByTime(10_000)
    native().accept()
    vi.advanceTimersByTime(5_000)
    native().drop()
    expect(socket.state).toMatchObject({ attempt: 1 })
  })

  test('right after each handshake makes the delays grow', () => {
    const { native } = setup()
    for (let time = 0; time < 60_000; time += 10) {
      if (native().socket.readyState === 0) native().accept().drop()
      vi.advanceTimersByTime(10)
    }
    // Half of the longest delay is between two attempts, because none of these connections was stable.
    expect(server.attempts).toBeLessThan(60_000 / 2_750 + 2)
  })

  test('ends in closed if the policy gives up, and queued messages are dropped', () => {
    const { socket, log, heard, native } = setup()
    native().accept()
    log.length = 0
    native().freeze('up')
    socket.send('unsent')
    native().close(4401, 'token').drop()
    vi.advanceTimersByTime(0)
    expect(story(log)).toEqual(['closed', '(close)', '(drop)'])
    expect(heard('close')[0]).toMatchObject({ code: 4401, willRetry: false, delay: undefined })
    expect(heard('drop')).toEqual([{ data: 'unsent', reason: 'closed' }])
    expect(socket.state).toMatchObject({ name: 'closed', cause: { close: { code: 4401, reason: 'token' } } })
    expect(vi.getTimerCount()).toBe(0)
  })

  test('for good can be undone with connect()', () => {
    const { socket, native } = setup({ retry: false })
    native().drop()
    expect(socket.state.name).toBe('closed')
    socket.connect()
    expect(socket.state).toEqual({ name: 'connecting', attempt: 0 })
    native().accept()
    expect(socket.send('x')).toBe('sent')
  })
})

describe('close()', () => {
  test('closes with code and reason, and reports the answer of the peer', () => {
    const { socket, log, heard, native } = setup()
    native().accept()
    log.length = 0
    socket.close(4000, 'bye')
    expect(socket.state).toMatchObject({ name: 'closing', code: 4000, reason: 'bye' })
    expect(native().closed).toEqual({ code: 4000, reason: 'bye' })
    vi.advanceTimersByTime(0)
    expect(story(log)).toEqual(['closing', 'closed', '(close)'])
    expect(heard('close')[0]).toMatchObject({ code: 4000, reason: 'bye', wasClean: true, willRetry: false })
    expect(vi.getTimerCount()).toBe(0)
  })

  test('closes with code 1000 when it has a reason and no code, and without a close code when it has neither', () => {
    for (const [reason, expected] of [
      ['bye', [1000, 'bye']],
      [undefined, [undefined, undefined]],
    ] as const) {
      const { socket, native } = setup()
      const close = vi.spyOn(native().accept().socket, 'close')
      socket.close(undefined, reason)
      expect(close.mock.calls[0]).toEqual(expected)
    }
  })

  test('does not wait longer than closeTimeout for the peer', () => {
    const { socket, heard, native } = setup({ closeTimeout: 2_000 })
    native().accept().freeze('down')
    socket.close()
    vi.advanceTimersByTime(1_999)
    expect(socket.state.name).toBe('closing')
    vi.advanceTimersByTime(1)
    expect(socket.state.name).toBe('closed')
    expect(heard('close')).toMatchObject([{ code: 1006, wasClean: false, cause: { code: 'CLOSED' } }])
    native().thaw()
    expect(native().socket.readyState).toBe(3)
    expect(heard('close')).toHaveLength(1)
  })

  test('ends within closeTimeout if close() of the native socket throws, as that of ws does for a code that is a string', () => {
    const reported = vi.fn()
    vi.stubGlobal('reportError', reported)
    const { socket, native } = setup({ closeTimeout: 2_000 })
    native().accept()
    vi.spyOn(native().socket, 'close').mockImplementationOnce(() => {
      throw new TypeError('First argument must be a valid error code number')
    })
    socket.close('3000' as unknown as number)
    expect(reported).toHaveBeenCalledOnce()
    vi.advanceTimersByTime(2_000)
    expect(socket.state.name).toBe('closed')
  })

  test('while connecting closes at once, and the attempt can no longer open the socket', () => {
    const { socket, log, native } = setup()
    socket.close()
    expect(story(log)).toEqual(['closed'])
    expect(native().socket.readyState).toBe(2)
    native().accept()
    vi.advanceTimersByTime(100_000)
    expect(socket.state.name).toBe('closed')
    expect(server.attempts).toBe(1)
  })

  test('while waiting cancels the next attempt', () => {
    const { socket, native } = setup()
    native().drop()
    socket.close()
    vi.advanceTimersByTime(100_000)
    expect(socket.state.name).toBe('closed')
    expect(server.attempts).toBe(1)
  })

  test('has no effect the second time', () => {
    const { socket, heard, native } = setup()
    native().accept()
    socket.close()
    socket.close()
    vi.advanceTimersByTime(5_000)
    socket.close()
    expect(heard('close')).toHaveLength(1)
    expect(heard('state').map(state => state.name)).toEqual(['open', 'closing', 'closed'])
  })

  test('followed by connect() connects and reconnects as at first', () => {
    const { socket, native } = setup()
    native().accept()
    socket.close()
    vi.advanceTimersByTime(0)
    socket.connect()
    native().accept()
    native().drop()
    expect(socket.state.name).toBe('waiting')
  })

  test('followed by connect() before the handshake is over fires one close event for the old connection', () => {
    const { socket, log, heard, native } = setup()
    const old = native().accept()
    old.freeze('down')
    socket.close()
    socket.connect()
    expect(story(log)).toEqual(['open', '(open)', 'closing', 'connecting', '(close)'])
    expect(heard('close')).toMatchObject([{ willRetry: true, delay: 0, cause: { code: 'CLOSED' } }])
    native().accept()
    old.thaw()
    expect(old.socket.readyState).toBe(3)
    expect(socket.state.name).toBe('open')
    expect(heard('close')).toHaveLength(1)
  })
})

describe('reconnect()', () => {
  test('while open abandons the connection at once and is back within 300 ms, whatever the peer does', () => {
    const { socket, heard, native } = setup()
    const old = native().accept()
    vi.advanceTimersByTime(10_000)
    old.freeze('down')
    const why = new Error('new token')
    socket.reconnect(why)
    expect(old.socket.readyState).toBe(2)
    expect(heard('close')).toMatchObject([
      { code: 1006, cause: { code: 'RECONNECT_REQUESTED', cause: why }, willRetry: true, delay: 150 },
    ])
    vi.advanceTimersByTime(300)
    native().accept()
    expect(socket.state.name).toBe('open')
    expect(server.attempts).toBe(2)
  })

  test('is back within 300 ms however often it is called, because it counts as no failure', () => {
    const { socket, native } = setup()
    for (let i = 0; i < 10; i++) {
      native().accept()
      socket.reconnect()
      expect(socket.state).toMatchObject({ name: 'waiting', delay: 150 })
      vi.advanceTimersByTime(300)
    }
  })

  test('while waiting connects at once', () => {
    const { socket, native } = setup()
    native().drop()
    socket.reconnect()
    expect(socket.state.name).toBe('connecting')
    expect(server.connections.filter(({ socket }) => socket.readyState < 2)).toHaveLength(1)
  })

  test('while connecting starts a new attempt', () => {
    const { socket, native } = setup()
    const old = native()
    socket.reconnect()
    expect(socket.state).toMatchObject({ name: 'waiting', cause: { code: 'RECONNECT_REQUESTED' } })
    expect(old.socket.readyState).toBe(2)
  })

  test('while closing and when closed connects again', () => {
    const { socket, native } = setup()
    native().accept()
    socket.close()
    socket.reconnect()
    expect(socket.state.name).toBe('connecting')
    socket.close()
    expect(socket.state.name).toBe('closed')
    socket.reconnect()
    expect(socket.state).toEqual({ name: 'connecting', attempt: 0 })
  })

  test('connects even if the policy has given up, and loses no queued message', () => {
    const { socket, heard, native } = setup({ retry: false })
    native().accept()
    native().thaw('up')
    socket.reconnect()
    expect(socket.send('meanwhile')).toBe('queued')
    vi.advanceTimersByTime(300)
    native().accept()
    expect(sent(native())).toEqual(['meanwhile'])
    expect(heard('drop')).toEqual([])
  })
})

describe('the order of events', () => {
  test('calls made inside a listener take effect after all listeners of that event have run', () => {
    const { socket, native } = setup()
    const second: string[] = []
    socket.once('open', () => {
      socket.close()
      socket.connect()
    })
    socket.on('state', state => second.push(`${state.name} while ${socket.state.name}`))
    socket.on('open', () => second.push(`(open) while ${socket.state.name}`))
    native().accept()
    expect(second).toEqual([
      'open while open',
      '(open) while open',
      'closing while closing',
      'connecting while connecting',
    ])
  })

  test('a listener that throws is reported, and stops neither other listeners nor the queue nor reconnecting', () => {
    const reported: unknown[] = []
    vi.stubGlobal('reportError', (error: unknown) => reported.push(error))
    const { socket, heard, native } = setup({ autoConnect: false })
    const broken = createSocket('/feed', { WebSocket: server.WebSocket })
    for (const type of ['state', 'open', 'text', 'close', 'error', 'drop'] as const) {
      broken.on(type, () => {
        throw new Error(type)
      })
    }
    const heardToo: string[] = []
    broken.on('text', text => heardToo.push(text))
    broken.send('queued')
    native().accept()
    native().send('hello')
    native().drop()
    vi.advanceTimersByTime(10_000)
    native().accept()
    expect(server.connections[0]?.received).toEqual(['queued'])
    expect(heardToo).toEqual(['hello'])
    expect(broken.state.name).toBe('open')
    expect(reported.length).toBeGreaterThan(5)
    expect([socket.state.name, heard('state')]).toEqual(['closed', []])
  })

  test('an abandoned connection causes no further events', () => {
    const { socket, log, native } = setup()
    const old = native().accept()
    socket.reconnect()
    vi.advanceTimersByTime(300)
    native().accept()
    log.length = 0
    for (const type of ['open', 'error', 'close']) old.socket.dispatchEvent(new Event(type))
    old.socket.dispatchEvent(new MessageEvent('message', { data: 'late' }))
    expect(log).toEqual([])
  })
})

describe('the signal option', () => {
  test('closes the socket for good when it is aborted, with its reason as the cause', () => {
    const abort = new AbortController()
    const { socket, native } = setup({ signal: abort.signal })
    native().accept()
    abort.abort('logged out')
    expect(socket.state.name).toBe('closing')
    vi.advanceTimersByTime(0)
    expect(socket.state).toMatchObject({ name: 'closed', cause: { code: 'CLOSED', cause: 'logged out' } })
    socket.connect()
    socket.reconnect()
    expect(socket.state.name).toBe('closed')
    expect(server.attempts).toBe(1)
  })

  test('prevents any attempt if it is aborted already, and the state is closed', () => {
    const { socket } = setup({ signal: AbortSignal.abort() })
    expect(socket.state).toMatchObject({ name: 'closed', cause: { code: 'CLOSED' } })
    expect(socket.send('x')).toBe('dropped')
    expect(server.attempts).toBe(0)
  })

  test('has the same effect before connect()', () => {
    const abort = new AbortController()
    const { socket } = setup({ signal: abort.signal, autoConnect: false })
    abort.abort()
    expect(socket.state.name).toBe('closed')
    expect(socket.send('x')).toBe('dropped')
  })

  test('has no listener left after close()', () => {
    const { signal } = new AbortController()
    const added = vi.spyOn(signal, 'addEventListener')
    const removed = vi.spyOn(signal, 'removeEventListener')
    const { socket } = setup({ signal })
    socket.close()
    expect(removed.mock.calls.map(([, listener]) => listener)).toEqual(
      added.mock.calls.map(([, listener]) => listener),
    )
  })
})
