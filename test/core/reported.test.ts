// Faults that users of WebSocket clients have reported. Each of these tests once failed.
import { getEventListeners } from 'node:events'
import { describe, expect, test, vi } from 'vitest'
import { assemble, delivery, heartbeat } from '../../src/core.ts'
import {
  backoff,
  createBrowserEvents,
  createEmitter,
  createSocket,
  onOutage,
  type PageEvent,
  type Socket,
  type SocketError,
} from '../../src/index.ts'
import { json } from '../../src/json.ts'
import { fresh, reopen, sent, server, setup } from '../support/setup.ts'

fresh()

describe('queue: false', () => {
  test('drops messages that are sent without a connection, or while prepare runs', async () => {
    let finish = () => {}
    const { socket, heard, native } = setup({
      queue: false,
      prepare: () => new Promise<void>(resolve => (finish = resolve)),
    })
    expect(socket.send('before the connection')).toBe('dropped')
    native().accept()
    expect(socket.send('before the handshake of a library')).toBe('dropped')
    finish()
    await vi.advanceTimersByTimeAsync(0)
    expect(socket.send('after it')).toBe('sent')
    expect(heard('drop')).toEqual([
      { data: 'before the connection', reason: 'disconnected' },
      { data: 'before the handshake of a library', reason: 'disconnected' },
    ])
    expect(sent(native())).toEqual(['after it'])
  })

  test('queues messages on a slow connection, and drops none of them', () => {
    const { socket, heard, native } = setup({ queue: false, highWaterMark: 3 })
    const peer = native().accept().freeze('up')
    expect(['aaaa', 'bb', 'cc'].map(text => socket.send(text))).toEqual(['sent', 'queued', 'queued'])
    peer.thaw('up')
    vi.advanceTimersByTime(2_000)
    expect(peer.received).toEqual(['aaaa', 'bb', 'cc'])
    expect(heard('drop')).toEqual([])
  })

  test('drops the unsent messages when the connection ends, and sends none on the next one', () => {
    const { socket, heard, native } = setup({ queue: false, highWaterMark: 3 })
    native().accept().freeze('up')
    for (const text of ['aaaa', 'bb', 'cc']) socket.send(text)
    native().drop()
    vi.advanceTimersByTime(0)
    expect(heard('drop').map(({ reason }) => reason)).toEqual(Array(3).fill('disconnected'))
    expect(sent(reopen())).toEqual([])
  })
})

describe('keepWhenClosed', () => {
  test('keeps messages from close() until the next connect(), for views that are mounted again', () => {
    const { socket, heard, native } = setup({ queue: { keepWhenClosed: true } })
    native().accept()
    socket.close()
    expect(socket.send('while closing')).toBe('queued')
    vi.advanceTimersByTime(5_000)
    expect(socket.state.name).toBe('closed')
    expect(socket.send('while closed')).toBe('queued')
    socket.connect()
    native().accept()
    expect(sent(native())).toEqual(['while closing', 'while closed'])
    expect(heard('drop')).toEqual([])
  })

  test('drops all messages when the signal is aborted', () => {
    const life = new AbortController()
    const { socket, heard } = setup({ queue: { keepWhenClosed: true }, signal: life.signal })
    socket.send('waits')
    life.abort()
    expect(socket.send('too late')).toBe('dropped')
    expect(heard('drop').map(({ reason }) => reason)).toEqual(['closed', 'closed'])
  })
})

describe('queuedMessages()', () => {
  test('returns at close, in order, the messages that never left and those that waited', () => {
    const { socket, native } = setup({ highWaterMark: 8 })
    const peer = native().accept()
    socket.send('has left')
    peer.freeze('up')
    expect(['BUY 1', 'BUY 2', 'BUY 3'].map(text => socket.send(text))).toEqual(['sent', 'sent', 'queued'])
    expect(socket.queuedMessages()).toEqual(['BUY 3'])
    const atClose: unknown[] = []
    socket.on('close', () => atClose.push(socket.queuedMessages()))
    peer.drop()
    vi.advanceTimersByTime(0)
    expect(atClose).toEqual([['BUY 1', 'BUY 2', 'BUY 3']])
    const next = reopen()
    vi.advanceTimersByTime(100)
    expect(sent(next)).toEqual(['BUY 1', 'BUY 2', 'BUY 3'])
    expect(socket.queuedMessages()).toEqual([])
  })

  test('returns messages that a listener for close can abort, so that they are never sent', () => {
    const { socket, heard, native } = setup()
    const peer = native().accept().freeze('up')
    const call = new AbortController()
    socket.send('BUY 1', { signal: call.signal })
    socket.on('close', () => {
      if (socket.queuedMessages().includes('BUY 1')) call.abort()
    })
    peer.drop()
    vi.advanceTimersByTime(0)
    expect(heard('drop')).toEqual([{ data: 'BUY 1', reason: 'aborted' }])
    expect(sent(reopen())).toEqual([])
  })

  test('omits dropped messages, and includes empty and binary ones', () => {
    const { socket } = setup()
    const call = new AbortController()
    socket.send('')
    socket.send('aborted', { signal: call.signal })
    socket.send('old', { key: 1 })
    socket.send(new Uint8Array([1, 2]))
    socket.send('new', { key: 1 })
    call.abort()
    expect(socket.queuedMessages()).toEqual(['', new Uint8Array([1, 2]).buffer, 'new'])
  })

  test('is empty at the last close, unless the messages are kept', () => {
    for (const keepWhenClosed of [false, true]) {
      const { socket, native } = setup({ queue: { keepWhenClosed }, retry: false, highWaterMark: 1 })
      const peer = native().accept().freeze('up')
      socket.send('BUY 1')
      const atClose: unknown[] = []
      socket.on('close', () => atClose.push(socket.queuedMessages()))
      peer.drop()
      vi.advanceTimersByTime(0)
      expect(atClose).toEqual([keepWhenClosed ? ['BUY 1'] : []])
    }
  })

  test('returns the waiting messages without the part delivery', () => {
    const socket = assemble()('/feed', { WebSocket: server.WebSocket })
    socket.send('BUY 1')
    socket.queuedMessages().pop()
    expect(socket.queuedMessages()).toEqual(['BUY 1'])
    server.latest.accept()
    expect(socket.queuedMessages()).toEqual([])
  })
})

test.each([
  ['before the first attempt', { autoConnect: false }],
  ['after an attempt', {}],
])('keepWhenClosed drops what waits if the signal is aborted after close() %s', (_, options) => {
  const life = new AbortController()
  const { socket, heard } = setup({ queue: { keepWhenClosed: true }, signal: life.signal, ...options })
  socket.send('waits')
  socket.close()
  expect(socket.send('waits, too')).toBe('queued')
  life.abort()
  expect(heard('drop')).toEqual([
    { data: 'waits', reason: 'closed' },
    { data: 'waits, too', reason: 'closed' },
  ])
  expect(socket.queued).toBe(0)
})

test.each([{ heartbeat: true }, { heartbeat: 5_000 }, { queue: true }])(
  '%o throws a TypeError, because the defaults would be used instead',
  options => {
    expect(() => setup(options as object)).toThrow(/must be an object/)
  },
)

test.each([
  ['without the part delivery', assemble({ heartbeat })],
  ['with the part delivery', assemble({ delivery, heartbeat })],
])('an upload that is slow, and grows meanwhile, is not a dead connection %s', (_, create) => {
  const states: string[] = []
  const socket = create('/feed', {
    WebSocket: server.WebSocket,
    heartbeat: { interval: 2_500, timeout: 1_000, message: 'ping' },
  })
  socket.on('state', ({ name }) => states.push(name))
  server.latest.accept()
  let buffered = 900_000
  const { socket: native } = server.latest
  vi.spyOn(native, 'bufferedAmount', 'get').mockImplementation(() => buffered)
  vi.spyOn(native, 'send').mockImplementation(data => {
    buffered += (data as string).length
  })
  for (let time = 0; time < 20_000; time += 100) {
    buffered -= 1_000
    socket.send('x'.repeat(1_100))
    vi.advanceTimersByTime(100)
  }
  expect(states).toEqual(['open'])
})

describe('a misspelt option', () => {
  test.each([
    [{ conectTimeout: 5 }, /createSocket has no option 'conectTimeout'.*'connectTimeout'/],
    [{ heartbeat: { mesage: 'ping' } }, /heartbeat has no option 'mesage'.*'message'/],
    [{ retries: 5 }, /createSocket has no option 'retries'.*'retry'/],
    [{ queue: { maxByte: 5 } }, /queue has no option 'maxByte'.*'maxBytes'/],
    [{ headers: {} }, /createSocket has no option 'headers'/],
  ])('throws a TypeError that names the nearest one: %o', (options, message) => {
    const make = () => createSocket('/feed', { WebSocket: server.WebSocket, ...options } as object)
    expect(make).toThrow(TypeError)
    expect(make).toThrow(message)
  })

  test.each([
    [
      { maxRetries: 5 },
      "createSocket has no option 'maxRetries'. It has protocols, binaryType, autoConnect, retry",
    ],
    [
      { queue: { timeout: 5 } },
      "queue has no option 'timeout'. It has maxMessages, maxBytes, overflow, keepWhenClosed.",
    ],
  ])('throws a TypeError with all names if none is near: %o', (options, message) => {
    expect(() => createSocket('/feed', { WebSocket: server.WebSocket, ...options } as object)).toThrow(
      message,
    )
  })

  test('of send() throws before anything is sent', () => {
    const { socket, native } = setup()
    native().accept()
    expect(() => socket.send('x', { tl: 5 } as object)).toThrow(/send has no option 'tl'.*'ttl'/)
    expect(sent(native())).toEqual([])
  })
})

describe('an option that must be a function', () => {
  test.each([
    [{ retry: 5 }, 'retry must be a function or false'],
    [{ retry: true }, 'retry must be a function or false'],
    [{ prepare: 'x' }, 'prepare must be a function'],
    [{ heartbeat: { message: 'ping', isReply: 'pong' } }, 'isReply must be a function'],
    [{ handover: { when: 'bye' } }, 'when must be a function'],
    [{ handover: { id: 'id' } }, 'id must be a function'],
  ])('throws a TypeError at once if it is something else: %o', (options, message) => {
    const make = () => createSocket('/feed', { WebSocket: server.WebSocket, ...options } as object)
    expect(make).toThrow(new TypeError(message))
  })
})

describe('a constructor that throws', () => {
  test('fails the attempt but does not close the socket, because mock-socket removes the global WebSocket for a moment', () => {
    const { WebSocket } = server
    vi.stubGlobal('WebSocket', WebSocket)
    vi.spyOn(Math, 'random').mockReturnValue(0.5)
    const socket = createSocket('ws://push.example.com/', { wake: false })
    const errors: SocketError[] = []
    socket.on('error', error => errors.push(error))
    server.latest.accept().drop()
    vi.stubGlobal('WebSocket', undefined)
    vi.advanceTimersByTime(950)
    expect(errors.map(({ code }) => code)).toEqual(['NO_WEBSOCKET'])
    vi.stubGlobal('WebSocket', WebSocket)
    vi.advanceTimersByTime(10_000)
    server.latest.accept()
    expect(socket.state.name).toBe('open')
  })
})

describe('the reason for a failed handshake', () => {
  test('becomes the cause of the error where the platform reports it, as ws, Deno and Bun do', () => {
    const { socket, heard, native } = setup({ retry: false })
    const cause = new Error('Unexpected server response: 401')
    native().socket.onerror?.(Object.assign(new Event('error'), { error: cause, message: cause.message }))
    native().drop()
    const [error] = heard('error')
    expect(error).toMatchObject({ code: 'CONNECTION_REFUSED', cause })
    expect(error.message).toBe('CONNECTION_REFUSED: Unexpected server response: 401')
    expect(socket.state.name).toBe('closed')
  })
})

test('the cause of a failed handshake is kept if the platform reports it without a message', () => {
  const { heard, native } = setup({ retry: false })
  const cause = new Error('ECONNREFUSED')
  native().socket.onerror?.(Object.assign(new Event('error'), { error: cause, message: '' }))
  native().drop()
  expect(heard('error')[0]).toMatchObject({ code: 'CONNECTION_REFUSED', cause })
})

test('the reason for which a connection was lost is its cause where the platform reports it, as ws does for invalid and too large frames', () => {
  const { heard, native } = setup()
  native().accept()
  const cause = new RangeError('Max payload size exceeded')
  native().socket.onerror?.(Object.assign(new Event('error'), { error: cause, message: cause.message }))
  native().drop()
  vi.advanceTimersByTime(0)
  expect(heard('close')[0].cause).toMatchObject({ code: 'CONNECTION_LOST', cause })
  expect(heard('close')[0].cause.message).toBe('CONNECTION_LOST: 1006')
})

describe('a native socket that opens after it was abandoned', () => {
  test('is closed again, because close() has no effect before open in React Native', () => {
    const { socket, native } = setup()
    const first = native().socket
    const close = vi.spyOn(first, 'close').mockImplementation(() => {})
    socket.reconnect()
    expect(close).toHaveBeenCalledTimes(1)
    first.onopen?.(new Event('open'))
    expect(close).toHaveBeenCalledTimes(2)
  })
})

describe('a binary message without a listener', () => {
  test('causes one error event, which names the probable mistake of the server', () => {
    const plain = createSocket('/feed', { WebSocket: server.WebSocket })
    const errors: SocketError[] = []
    plain.on('error', error => errors.push(error))
    const peer = server.latest.accept()
    const data = new ArrayBuffer(4)
    peer.send(data)
    peer.send(data)
    expect(errors).toHaveLength(1)
    expect(errors[0]).toMatchObject({ code: 'UNHANDLED_BINARY', cause: data })
    expect(errors[0]?.message).toMatch(/as text/)
  })

  test('causes no error event if there is a listener', () => {
    const { heard, native } = setup()
    native().accept().send(new ArrayBuffer(4))
    expect([heard('binary').length, heard('error')]).toEqual([1, []])
  })
})

describe('after page events,', () => {
  const withEvents = () => {
    let report: (event: PageEvent) => void = () => {}
    const made = setup({
      handover: false,
      wake: listener => {
        report = listener
        return () => {}
      },
    })
    return { ...made, report: (event: PageEvent) => report(event) }
  }

  test('an attempt that fails just after a wake-up, such as the loading of a page, is repeated with growing delays', () => {
    const { socket, native, report } = withEvents()
    report('wake')
    const delays: number[] = []
    for (let attempt = 0; attempt < 4; attempt++) {
      native().refuse()
      const { delay } = socket.state as { delay: number }
      delays.push(delay)
      report('visible')
      vi.advanceTimersByTime(delay)
    }
    expect(Math.min(...delays)).toBeGreaterThan(300)
  })

  test('a connection that breaks just after a wake-up is replaced within 300 ms', () => {
    const { heard, native, report } = withEvents()
    native().accept()
    vi.advanceTimersByTime(60_000)
    report('wake')
    vi.advanceTimersByTime(2_900)
    native().drop()
    expect(heard('close').at(-1).delay).toBe(150)
  })

  test('a connection that breaks later is replaced after the usual delay', () => {
    const { heard, native, report } = withEvents()
    native().accept()
    vi.advanceTimersByTime(60_000)
    report('wake')
    vi.advanceTimersByTime(3_100)
    native().drop()
    expect(heard('close').at(-1).delay).toBe(950)
  })

  test('reconnect() connects within 300 ms even if the browser reports that it is offline', () => {
    vi.stubGlobal('navigator', { onLine: false })
    const { socket, native } = withEvents()
    native().accept()
    socket.reconnect()
    vi.advanceTimersByTime(300)
    expect(socket.state.name).toBe('connecting')
  })
})

test('createSocket adds no page event listeners in a service worker, because Chromium would warn about them', () => {
  const added = vi.fn()
  vi.stubGlobal('registration', {})
  vi.stubGlobal('addEventListener', added)
  setup()
  expect(added).not.toHaveBeenCalled()
})

test('reconnect() sends its code and reason in the close frame', () => {
  const { socket, native } = setup()
  native().accept()
  const close = vi.spyOn(native().socket, 'close')
  socket.reconnect('new token', 4_000, 'moving')
  expect(close.mock.calls[0]).toEqual([4_000, 'moving'])
  expect(socket.state.name).toBe('waiting')
  expect(() => socket.reconnect('x', 1001)).toThrow(DOMException)
})

test('reconnect() sends a reason without a code with the code 1000, as close() does', () => {
  const { socket, native } = setup()
  native().accept()
  const close = vi.spyOn(native().socket, 'close')
  socket.reconnect('new token', undefined, 'moving')
  expect(close.mock.calls[0]).toEqual([1_000, 'moving'])
})

test('a delay of twenty days ends after twenty days', () => {
  const day = 86_400_000
  const { socket, native } = setup({ retry: () => 20 * day, wake: false })
  native().drop()
  vi.advanceTimersByTime(20 * day - 1)
  expect(socket.state.name).toBe('waiting')
  vi.advanceTimersByTime(1)
  expect(socket.state.name).toBe('connecting')
})

test('backoff() waits at most 100 ms after 1012 from a server in a private network', () => {
  const retry = backoff({ random: () => 0.999 })
  const loss = { attempt: 1, uptime: 10_000, elapsed: 0 }
  const cause = { code: 'CONNECTION_LOST', close: { code: 1012, reason: '' } }
  expect(retry({ ...loss, cause, url: 'ws://localhost:8080/' })).toBeLessThanOrEqual(100)
  expect(retry({ ...loss, cause, url: 'wss://push.example.com/' })).toBeGreaterThan(4_000)
})

test('elapsed includes connections that were shorter than minUptime', () => {
  const elapsed: number[] = []
  const { native } = setup({
    retry: context => {
      elapsed.push(context.elapsed)
      return 1_000
    },
  })
  native().accept()
  vi.advanceTimersByTime(10_000)
  native().drop()
  for (let i = 0; i < 3; i++) {
    vi.advanceTimersByTime(1_000)
    native().accept()
    vi.advanceTimersByTime(2_000)
    native().drop()
  }
  expect(elapsed).toEqual([0, 3_000, 6_000, 9_000])
})

test('the message of a loss without a reason does not end with a space', () => {
  const { heard, native } = setup()
  native().accept().drop()
  expect(heard('close')[0].cause.message).toBe('CONNECTION_LOST: 1006')
})

describe('one AbortSignal for many listeners and messages', () => {
  const use: Record<string, (socket: Socket, signal: AbortSignal, at: number) => () => unknown> = {
    'listeners of a socket': (socket, signal) => {
      const listener = vi.fn()
      socket.on('text', listener, { signal })
      return () => listener.mock.calls.length
    },
    'messages that wait': (socket, signal, at) => {
      socket.send(`${at}`, { signal })
      return () => socket.queuedMessages().length
    },
  }

  test.each(Object.entries(use))('gets one listener for %s, so that Node does not warn', (_, useIt) => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const { socket, native } = setup()
    const life = new AbortController()
    const results = Array.from({ length: 20 }, (_, at) => useIt(socket, life.signal, at))
    expect(getEventListeners(life.signal, 'abort')).toHaveLength(1)
    life.abort()
    native().accept().send('1')
    expect(results.map(result => result())).toEqual(Array(20).fill(0))
    expect(getEventListeners(life.signal, 'abort')).toHaveLength(0)
    expect(warn).not.toHaveBeenCalled()
  })

  test('gets one listener for all listeners of json(), and none remains on the socket', () => {
    const { socket, native } = setup()
    const on = vi.spyOn(socket, 'on')
    const off = vi.spyOn(socket, 'off')
    const values = json(socket)
    const life = new AbortController()
    const listeners = Array.from({ length: 20 }, () => vi.fn())
    for (const listener of listeners) values.on('message', listener, { signal: life.signal })
    expect(getEventListeners(life.signal, 'abort')).toHaveLength(1)
    const peer = native().accept().send('1')
    life.abort()
    peer.send('2')
    expect(listeners.map(({ mock }) => mock.calls)).toEqual(Array(20).fill([[1]]))
    expect(getEventListeners(life.signal, 'abort')).toHaveLength(0)
    expect(off.mock.calls.length).toBe(on.mock.calls.length)
  })

  test('keeps its listener as long as a message waits', () => {
    const { socket, heard, native } = setup()
    const life = new AbortController()
    for (const text of ['one', 'two']) socket.send(text, { signal: life.signal })
    expect(getEventListeners(life.signal, 'abort')).toHaveLength(1)
    const peer = native().accept()
    expect(getEventListeners(life.signal, 'abort')).toHaveLength(0)
    peer.freeze('up')
    socket.send('three', { signal: life.signal })
    peer.drop()
    vi.advanceTimersByTime(0)
    socket.send('four', { signal: life.signal })
    expect(getEventListeners(life.signal, 'abort')).toHaveLength(1)
    life.abort()
    expect(heard('drop').map(({ data }) => data)).toEqual(['three', 'four'])
  })
})

test('a peer that never answers close() does not change the cause of the closed state', () => {
  const { socket, native } = setup()
  native().accept().freeze('down')
  socket.close(1000, 'done')
  vi.advanceTimersByTime(3_000)
  expect(socket.state).toMatchObject({ name: 'closed', cause: { code: 'CLOSED' } })
})

describe('the send() of prepare', () => {
  test('throws after the connection has ended, so that a late answer is not lost silently', async () => {
    // https://github.com/enisdenjo/graphql-ws/issues/331
    let answer = (_: string) => {}
    const failed = vi.fn()
    const { socket, native } = setup({
      async prepare({ send }) {
        const token = await new Promise<string>(resolve => (answer = resolve))
        try {
          send(token)
        } catch (error) {
          failed(error)
        }
      },
    })
    const peer = native().accept()
    const sendNatively = vi.spyOn(peer.socket, 'send')
    peer.drop()
    vi.advanceTimersByTime(0)
    expect(socket.state.name).toBe('waiting')
    answer('token')
    await vi.advanceTimersByTimeAsync(0)
    expect(sendNatively).not.toHaveBeenCalled()
    expect(failed).toHaveBeenCalledTimes(1)
  })

  test('throws after prepare has ended, because messages that bypass the queue would make others arrive twice', async () => {
    let sendLater = (_: string) => {}
    const { socket, native } = setup({
      prepare({ send }) {
        send('hello')
        sendLater = send
      },
    })
    const peer = native().accept()
    await vi.advanceTimersByTimeAsync(0)
    socket.send('aaaaaaaa')
    peer.freeze('up')
    socket.send('bb')
    expect(() => sendLater('cccc')).toThrow(/socket.send/)
    peer.drop()
    await vi.advanceTimersByTimeAsync(0)
    expect(socket.queuedMessages()).toEqual(['bb'])
  })
})

test('a misspelt option of a function throws a TypeError that names it and those that exist', () => {
  const { socket } = setup()
  const ignore = () => {}
  expect(() => backoff({ bas: 5 } as object)).toThrow(/backoff has no option 'bas', only base, max,/)
  expect(() => createBrowserEvents({ hidenFor: 5 } as object)).toThrow(/no option 'hidenFor', only hiddenFor/)
  expect(() => onOutage(socket, { grace: 1, grase: 2 } as { grace: number }, ignore)).toThrow(
    /no option 'grase', only grace/,
  )
  for (const target of [socket, json(socket), createEmitter<{ text: string }>(['text'])]) {
    const on = target.on as (type: string, listener: () => void, options: object) => void
    const type = target === socket || 'emit' in target ? 'text' : 'message'
    expect(() => on(type, ignore, { sginal: 5 })).toThrow(/no option 'sginal', only once and signal/)
    // The object inherits `signal`, and properties that are not options.
    expect(() => on(type, ignore, new AbortController())).not.toThrow()
  }
})
