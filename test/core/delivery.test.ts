import { describe, expect, test, vi } from 'vitest'
import { backoff } from '../../src/index.ts'
import { countLooks, fresh, reopen, sent, server, setup } from '../support/setup.ts'

fresh()

const bytes = (...values: number[]) => new Uint8Array(values)
const read = (data: unknown) => [...new Uint8Array(data as ArrayBuffer)]

describe('the order of messages', () => {
  test('is kept for messages that are sent before there is a connection', () => {
    const { socket, native } = setup()
    expect(['a', 'b', 'c'].map(text => socket.send(text))).toEqual(['queued', 'queued', 'queued'])
    expect(socket.queued).toBe(3)
    native().accept()
    expect(sent(native())).toEqual(['a', 'b', 'c'])
    expect(socket.queued).toBe(0)
  })

  test('is kept when an open listener sends while messages are queued', () => {
    const { socket, native } = setup()
    socket.send('queued')
    let outcome: string | undefined
    socket.on('open', () => {
      outcome = socket.send('from the listener')
    })
    native().accept()
    expect(outcome).toBe('queued')
    expect(sent(native())).toEqual(['queued', 'from the listener'])
  })

  test('lets a message that an open listener sends go at once if nothing is queued', () => {
    const { socket, native } = setup()
    const outcomes: string[] = []
    socket.on('open', () => outcomes.push(socket.send('hello')))
    native().accept()
    expect(outcomes).toEqual(['sent'])
    expect(sent(native())).toEqual(['hello'])
  })

  test('puts the open event before the first queued message', () => {
    const { socket, native } = setup()
    socket.send('queued')
    const seen: number[] = []
    socket.on('open', () => seen.push(sent(native()).length))
    native().accept()
    expect(seen).toEqual([0])
  })

  test('is kept when the native socket has closed before its event arrives: the message is queued', () => {
    const { socket, native } = setup()
    // The peer sends a close frame, and does not receive the answer.
    native().accept().freeze('up').close()
    expect(socket.send('x')).toBe('queued')
    native().drop()
    expect(sent(reopen())).toEqual(['x'])
  })
})

describe('send()', () => {
  test('throws at once for data that no WebSocket can send, and queues nothing', () => {
    const { socket } = setup()
    const unsendable = [
      1,
      null,
      undefined,
      {},
      [],
      new SharedArrayBuffer(1),
      new Uint8Array(new SharedArrayBuffer(1)),
    ]
    for (const data of unsendable) expect(() => socket.send(data as any)).toThrow(TypeError)
    expect(() => socket.send('x', { ttl: Number.NaN })).toThrow(TypeError)
    expect(socket.queued).toBe(0)
  })

  test('drops a message with an event after the socket was closed for good', () => {
    const { socket, heard } = setup()
    socket.close()
    expect(socket.send('x')).toBe('dropped')
    expect(heard('drop')).toEqual([{ data: 'x', reason: 'closed' }])
    expect(socket.queued).toBe(0)
  })

  test('is followed by a flush of the queue when close() is called on an open socket', () => {
    const { socket, native } = setup({ highWaterMark: 5 })
    native().accept().freeze('up')
    for (const text of ['123456', 'b', 'c']) socket.send(text)
    expect(socket.queued).toBe(2)
    socket.close()
    expect(sent(native())).toEqual(['123456', 'b', 'c'])
    expect(socket.send('late')).toBe('dropped')
  })

  test('is followed by a drop event for each queued message when close() is called without a connection', () => {
    const { socket, heard } = setup()
    socket.send('a')
    socket.send('b')
    socket.close()
    expect(heard('drop')).toEqual([
      { data: 'a', reason: 'closed' },
      { data: 'b', reason: 'closed' },
    ])
    expect(socket.queued).toBe(0)
  })

  test('is followed by drop events for the unsent tail if the closing handshake breaks', () => {
    const { socket, heard, native } = setup()
    native().accept().freeze('up')
    socket.send('left')
    native().drain()
    socket.send('unsent')
    socket.close()
    native().drop()
    vi.advanceTimersByTime(0)
    expect(heard('drop')).toEqual([{ data: 'unsent', reason: 'closed' }])
    expect(socket.state.name).toBe('closed')
  })
})

describe('the limits of the queue', () => {
  test('drop the new message when maxMessages are queued', () => {
    const { socket, heard } = setup({ queue: { maxMessages: 2 } })
    expect(['a', 'b', 'c'].map(text => socket.send(text))).toEqual(['queued', 'queued', 'dropped'])
    expect(heard('drop')).toEqual([{ data: 'c', reason: 'overflow' }])
  })

  test('drop the new message when maxBytes are queued, counted in UTF-8', () => {
    const { socket } = setup({ queue: { maxBytes: 8 } })
    expect(socket.send('😀')).toBe('queued')
    expect(socket.send('é')).toBe('queued')
    expect(socket.bufferedAmount).toBe(6)
    expect(socket.send('abc')).toBe('dropped')
    expect(socket.send('ab')).toBe('queued')
  })

  test('drop as many of the oldest messages as necessary with drop-oldest', () => {
    const { socket, heard, native } = setup({ queue: { maxBytes: 4, overflow: 'drop-oldest' } })
    for (const text of ['a', 'b', 'cc', 'ddd']) expect(socket.send(text)).toBe('queued')
    expect(heard('drop').map(drop => [drop.data, drop.reason])).toEqual([
      ['a', 'overflow'],
      ['b', 'overflow'],
      ['cc', 'overflow'],
    ])
    native().accept()
    expect(sent(native())).toEqual(['ddd'])
  })

  test('drop a message that can never fit, and nothing else', () => {
    const { socket, heard } = setup({ queue: { maxBytes: 4, overflow: 'drop-oldest' } })
    socket.send('a')
    expect(socket.send('12345')).toBe('dropped')
    expect(heard('drop')).toEqual([{ data: '12345', reason: 'overflow' }])
    expect(socket.queued).toBe(1)
  })

  test('of 0 drop every message that cannot be sent at once', () => {
    const { socket, native } = setup({ queue: { maxMessages: 0, overflow: 'drop-oldest' } })
    expect(socket.send('a')).toBe('dropped')
    native().accept()
    expect(socket.send('b')).toBe('sent')
  })

  test('do not drop reclaimed messages over the limit when a newer message replaces one with the same key', () => {
    const { socket, heard, native } = setup({ queue: { maxMessages: 1 } })
    native().accept().freeze('up')
    for (const text of ['a', 'b']) socket.send(text)
    socket.send('k1', { key: 'k' })
    native().drop()
    vi.advanceTimersByTime(0)
    socket.send('k2', { key: 'k' })
    expect(sent(reopen())).toEqual(['a', 'b', 'k2'])
    expect(heard('drop')).toEqual([{ data: 'k1', reason: 'replaced' }])
  })

  test('do not apply to messages that are reclaimed from a lost connection', () => {
    const { socket, heard, native } = setup({ queue: { maxMessages: 1 } })
    native().accept().freeze('up')
    socket.send('a')
    socket.send('b')
    native().drop()
    expect(sent(reopen())).toEqual(['a', 'b'])
    expect(heard('drop')).toEqual([])
  })
})

describe('the options of send()', () => {
  test('ttl: a message that waits too long is dropped at that moment, with an event', () => {
    const { socket, heard, native } = setup()
    socket.send('short', { ttl: 1_000 })
    socket.send('long', { ttl: 60_000 })
    vi.advanceTimersByTime(999)
    expect(heard('drop')).toEqual([])
    vi.advanceTimersByTime(1)
    expect(heard('drop')).toEqual([{ data: 'short', reason: 'expired' }])
    native().accept()
    expect(sent(native())).toEqual(['long'])
    vi.advanceTimersByTime(1_000)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('ttl: a message that expired while the process slept is not sent', () => {
    const { socket, heard, native } = setup()
    socket.send('stale', { ttl: 1_000 })
    vi.setSystemTime(Date.now() + 5_000)
    native().accept()
    expect(sent(native())).toEqual([])
    expect(heard('drop')).toEqual([{ data: 'stale', reason: 'expired' }])
    expect(socket.queued).toBe(0)
  })

  test('ttl: a message with Infinity never expires', () => {
    const { socket, native } = setup({ connectTimeout: Infinity })
    socket.send('x', { ttl: Infinity })
    vi.advanceTimersByTime(1e9)
    native().accept()
    expect(sent(native())).toEqual(['x'])
  })

  test('key: a newer message replaces the older one, and goes to the end of the queue', () => {
    const { socket, heard, native } = setup()
    socket.send('EURUSD 1', { key: 'EURUSD' })
    socket.send('order')
    socket.send('EURUSD 2', { key: 'EURUSD' })
    socket.send('GBPUSD 1', { key: 'GBPUSD' })
    expect(heard('drop')).toEqual([{ data: 'EURUSD 1', reason: 'replaced' }])
    expect(socket.queued).toBe(3)
    native().accept()
    expect(sent(native())).toEqual(['order', 'EURUSD 2', 'GBPUSD 1'])
    socket.send('EURUSD 3', { key: 'EURUSD' })
    expect(heard('drop')).toHaveLength(1)
  })

  test('key: a newer message may take the place of the older one in a full queue', () => {
    const { socket, heard, native } = setup({ queue: { maxMessages: 2 } })
    socket.send('a')
    socket.send('k1', { key: 'k' })
    expect(socket.send('k2', { key: 'k' })).toBe('queued')
    expect(heard('drop')).toEqual([{ data: 'k1', reason: 'replaced' }])
    native().accept()
    expect(sent(native())).toEqual(['a', 'k2'])
  })

  test('key: an endless stream of replacements takes no more space than one message', () => {
    const { socket, native } = setup()
    for (let i = 0; i < 100_000; i++) socket.send(`${i}`, { key: 'k' })
    expect([socket.queued, socket.bufferedAmount]).toEqual([1, 5])
    native().accept()
    expect(sent(native())).toEqual(['99999'])
  })

  test('volatile: a message is sent at once or dropped', () => {
    const { socket, heard, native } = setup()
    expect(socket.send('never', { volatile: true })).toBe('dropped')
    expect(heard('drop')).toEqual([{ data: 'never', reason: 'volatile' }])
    native().accept()
    expect(socket.send('now', { volatile: true })).toBe('sent')
  })

  test('volatile: a message that the browser has not sent is not sent again', () => {
    const { socket, heard, native } = setup()
    native().accept().freeze('up')
    socket.send('moment', { volatile: true })
    socket.send('keep')
    native().drop()
    expect(sent(reopen())).toEqual(['keep'])
    expect(heard('drop')).toEqual([{ data: 'moment', reason: 'volatile' }])
  })

  test('signal: aborting drops a message that is still queued', () => {
    const { socket, heard, native } = setup()
    const abort = new AbortController()
    const { signal } = abort
    const added = vi.spyOn(signal, 'addEventListener')
    const removed = vi.spyOn(signal, 'removeEventListener')
    socket.send('a', { signal })
    socket.send('b')
    abort.abort()
    expect(heard('drop')).toEqual([{ data: 'a', reason: 'aborted' }])
    expect(socket.send('c', { signal })).toBe('dropped')
    native().accept()
    expect(sent(native())).toEqual(['b'])
    expect(removed).toHaveBeenCalledTimes(added.mock.calls.length)
  })

  test('signal: aborting has no effect on a message that was sent', () => {
    const { socket, heard, native } = setup()
    const abort = new AbortController()
    socket.send('a', { signal: abort.signal })
    native().accept()
    abort.abort()
    expect(sent(native())).toEqual(['a'])
    expect(heard('drop')).toEqual([])
  })

  test('the options of a reclaimed message apply again: it may be aborted, expired or replaced', () => {
    const { socket, heard, native } = setup()
    const abort = new AbortController()
    native().accept().freeze('up')
    socket.send('aborted', { signal: abort.signal })
    socket.send('expired', { ttl: 1_000 })
    socket.send('old', { key: 'k' })
    socket.send('new', { key: 'k' })
    socket.send('later', { ttl: 60_000 })
    vi.advanceTimersByTime(2_000)
    abort.abort()
    expect(heard('drop')).toEqual([])
    native().drop()
    expect(sent(reopen())).toEqual(['new', 'later'])
    expect(
      heard('drop')
        .map(drop => `${drop.data} ${drop.reason}`)
        .sort(),
    ).toEqual(['aborted aborted', 'expired expired', 'old replaced'])
  })
})

describe('binary data', () => {
  test('is copied when it is queued, so that the caller may reuse or transfer the buffer', () => {
    const { socket, native } = setup()
    const reused = bytes(1, 2, 3)
    const transferred = bytes(4, 5, 6)
    socket.send(reused)
    socket.send(transferred.buffer)
    reused.fill(9)
    structuredClone(transferred.buffer, { transfer: [transferred.buffer] })
    native().accept()
    expect(sent(native()).map(read)).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ])
  })

  test('of a view is queued with its offset and length', () => {
    const { socket, native } = setup()
    socket.send(bytes(0, 1, 2, 3, 4).subarray(1, 4))
    socket.send(new DataView(bytes(5, 6, 7).buffer, 1, 1))
    native().accept()
    expect(sent(native()).map(read)).toEqual([[1, 2, 3], [6]])
  })

  test('is passed to the browser without a copy when the socket is open', () => {
    const { socket, native } = setup()
    native().accept()
    const send = vi.spyOn(native().socket, 'send')
    const data = bytes(1)
    socket.send(data)
    expect(send.mock.calls[0]?.[0]).toBe(data)
  })

  test('is sent again as it was at the call, even if the buffer has changed', () => {
    const { socket, native } = setup()
    native().accept().freeze('up')
    const frame = bytes(1, 2)
    socket.send(frame)
    frame.fill(9)
    native().drop()
    expect(sent(reopen()).map(read)).toEqual([[1, 2]])
  })

  test('in a transferred buffer makes send() throw, and nothing is sent', () => {
    const { socket, native } = setup()
    native().accept()
    const gone = bytes(1)
    structuredClone(gone.buffer, { transfer: [gone.buffer] })
    expect(() => socket.send(gone.buffer)).toThrow(TypeError)
    expect(sent(native())).toEqual([])
    socket.send('next')
    expect(sent(native())).toEqual(['next'])
  })

  test('in a Blob is kept by reference, and its size is counted', () => {
    const { socket, native } = setup()
    const blob = new Blob(['12345'])
    socket.send(blob)
    expect(socket.bufferedAmount).toBe(5)
    native().accept()
    expect(sent(native())).toEqual([blob])
  })
})

describe('pacing', () => {
  test('stops at highWaterMark and continues without further calls', () => {
    const { socket, native } = setup({ highWaterMark: 3 })
    native().accept().freeze('up')
    expect(['aa', 'bb', 'cc', 'dd'].map(text => socket.send(text))).toEqual([
      'sent',
      'sent',
      'queued',
      'queued',
    ])
    vi.advanceTimersByTime(100)
    expect(sent(native())).toHaveLength(2)
    native().drain(3)
    vi.advanceTimersByTime(1_000)
    expect(sent(native())).toEqual(['aa', 'bb', 'cc', 'dd'])
    expect(socket.queued).toBe(0)
  })

  test('checks the buffer again with each message that is sent or received', () => {
    const { socket, native } = setup({ highWaterMark: 0 })
    native().accept().freeze('up')
    socket.send('a')
    socket.send('b')
    native().drain()
    native().send('any')
    expect(sent(native())).toEqual(['a', 'b'])
    socket.send('c')
    native().drain()
    expect(socket.send('d')).toBe('queued')
    expect(sent(native())).toEqual(['a', 'b', 'c'])
  })

  test('checks a buffer that does not shrink at increasing intervals, and often again once it shrinks', () => {
    const { socket, native } = setup({ highWaterMark: 0 })
    native().accept().freeze('up')
    socket.send('a')
    socket.send('b')
    const looks = countLooks(native())
    vi.advanceTimersByTime(60_000)
    expect(looks()).toBeLessThan(300)
  })

  test('is off on a hidden page, whose timers are throttled', () => {
    vi.stubGlobal('document', { visibilityState: 'hidden' })
    const { socket, native } = setup({ highWaterMark: 1, wake: false })
    native().accept().freeze('up')
    expect(['aa', 'bb', 'cc'].map(text => socket.send(text))).toEqual(['sent', 'sent', 'sent'])
  })

  test('leaves no timer running when nothing is buffered', () => {
    const { socket, native } = setup()
    native().accept().freeze('up')
    socket.send('a')
    expect(vi.getTimerCount()).toBe(1)
    native().drain()
    vi.advanceTimersByTime(1_000)
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('the unsent tail', () => {
  test('is sent again once and in order, ahead of newer messages', () => {
    const { socket, heard, native } = setup()
    native().accept().freeze('up')
    for (const text of ['aaaa', 'bbbb', 'cccc']) socket.send(text)
    native().drain(6)
    native().drop()
    socket.send('dddd')
    expect(sent(reopen())).toEqual(['bbbb', 'cccc', 'dddd'])
    expect(heard('drop')).toEqual([])
    expect(socket.stats).toMatchObject({ reclaimed: 2, sent: 6 })
  })

  test('does not include messages that the browser has sent, because they may have arrived', () => {
    const { socket, native } = setup()
    native().accept()
    socket.send('gone')
    native().drop()
    expect(sent(reopen())).toEqual([])
  })

  test('is the smaller of two readings in separate tasks, because the first is stale after a freeze', () => {
    const { socket, native } = setup()
    const socketOfOld = native().accept()
    socketOfOld.freeze('up')
    socket.send('aaaa')
    socket.send('bbbb')
    socketOfOld.drop()
    socketOfOld.drain(4)
    expect(sent(reopen())).toEqual(['bbbb'])
  })

  test('does not grow if the second reading is larger', () => {
    const { socket, native } = setup()
    const old = native().accept()
    old.freeze('up')
    socket.send('aaaa')
    socket.send('bbbb')
    old.drain(4)
    old.drop()
    old.socket.send('cccc')
    expect(old.socket.bufferedAmount).toBe(8)
    expect(sent(reopen())).toEqual(['bbbb'])
  })

  test('loses nothing that happens between the two readings', () => {
    const { socket, heard, native } = setup()
    native().accept().freeze('up')
    socket.send('aaaa')
    native().drop()
    expect(socket.send('bbbb')).toBe('queued')
    socket.reconnect()
    expect(heard('close')).toHaveLength(1)
    expect(sent(reopen())).toEqual(['aaaa', 'bbbb'])
  })

  test('does not make close() between the two readings wait for a handshake that cannot come', () => {
    const { socket, heard, native } = setup()
    native().accept().freeze('up')
    socket.send('aaaa')
    native().drop()
    socket.close()
    vi.advanceTimersByTime(1)
    expect(socket.state.name).toBe('closed')
    expect(heard('drop')).toEqual([{ data: 'aaaa', reason: 'closed' }])
  })

  test('includes an empty message between two unsent messages', () => {
    const { socket, native } = setup()
    native().accept().freeze('up')
    for (const text of ['', 'aa', '', 'bb', '']) socket.send(text)
    native().drop()
    expect(sent(reopen())).toEqual(['aa', '', 'bb', ''])
  })

  test('does not mistake heartbeats and messages from prepare for queued messages', async () => {
    const { socket, native } = setup({
      heartbeat: { interval: 1_000, timeout: 60_000, message: 'ping' },
      prepare: ({ send }) => send('login'),
    })
    native().freeze('up')
    native().accept()
    await vi.advanceTimersByTimeAsync(0)
    socket.send('aaaa')
    vi.advanceTimersByTime(1_000)
    socket.send('bbbb')
    expect(sent(native())).toEqual(['login', 'aaaa', 'ping', 'bbbb'])
    native().drain('loginaaaap'.length)
    native().drop()
    vi.advanceTimersByTime(10_000)
    native().accept()
    await vi.advanceTimersByTimeAsync(0)
    expect(sent(native())).toEqual(['login', 'bbbb'])
  })

  test('of an abandoned connection is not sent again, because the browser may still deliver it', () => {
    const { socket, native } = setup()
    native().accept().freeze('up')
    socket.send('in doubt')
    socket.reconnect()
    expect(sent(reopen())).toEqual([])
    expect(socket.stats.reclaimed).toBe(0)
  })

  test('is dropped as too-big if two connections in a row closed with 1009 over the same message, and the rest is kept', () => {
    const { socket, heard, native } = setup({ retry: () => 100 })
    native().accept().freeze('up')
    for (const text of ['huge', 'b', 'c']) socket.send(text)
    native().close(1009).drop()
    vi.advanceTimersByTime(200)
    native().freeze('up')
    native().accept()
    socket.send('d')
    native().close(1009).drop()
    vi.advanceTimersByTime(200)
    native().accept()
    expect(sent(native())).toEqual(['b', 'c', 'd'])
    expect(heard('drop')).toEqual([{ data: 'huge', reason: 'too-big' }])
  })

  test('is forgotten soon after the last message has left', () => {
    const { socket, native } = setup()
    native().accept().freeze('up')
    socket.send('x'.repeat(100))
    native().drain()
    vi.advanceTimersByTime(100)
    countLooks(native(), 100)
    native().drop()
    expect(sent(reopen())).toEqual([])
  })

  test('is correct for many messages, with and without options, over many lost connections', () => {
    const { socket, heard } = setup({
      highWaterMark: 4_000,
      retry: backoff({ spread: 100, base: 100, max: 100 }),
    })
    const arrived: unknown[] = []
    let n = 0
    for (let round = 0; round < 20; round++) {
      const native = server.latest
      native.freeze('up')
      native.accept()
      for (let i = 0; i < 500; i++) socket.send(`${n++}`.padStart(8), i % 3 ? undefined : { key: n })
      native.drain(native.socket.bufferedAmount >> 1)
      native.drop()
      vi.advanceTimersByTime(1_000)
      arrived.push(...native.received)
    }
    const last = server.latest.accept()
    vi.advanceTimersByTime(1_000)
    arrived.push(...last.received)
    expect(arrived.map(Number)).toEqual(Array.from({ length: n }, (_, i) => i))
    expect(heard('drop')).toEqual([])
  })
})

test('a native socket without bufferedAmount, as in React Native, sends every message once', () => {
  const { socket, native } = setup()
  Object.defineProperty(native().socket, 'bufferedAmount', { get: () => undefined, set: () => {} })
  socket.send('a')
  native().accept()
  expect(socket.send('b')).toBe('sent')
  expect(socket.bufferedAmount).toBe(0)
  expect(sent(native())).toEqual(['a', 'b'])
  native().drop()
  expect(sent(reopen())).toEqual([])
})

test('stats count what happened', () => {
  const { socket, native } = setup()
  socket.send('queued')
  expect(socket.stats).toEqual({
    attempts: 1,
    connections: 0,
    sent: 0,
    received: 0,
    reclaimed: 0,
    dropped: 0,
    queued: 1,
    queuedBytes: 6,
    latency: undefined,
  })
  native().accept()
  native().send('text')
  native().send(new ArrayBuffer(1))
  native().freeze('up').close()
  socket.send('volatile', { volatile: true })
  expect(socket.stats).toMatchObject({
    connections: 1,
    sent: 1,
    received: 2,
    dropped: 1,
    queued: 0,
    queuedBytes: 0,
  })
})
