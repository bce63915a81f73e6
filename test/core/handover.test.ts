// Handovers: for a moment, there are two connections, one that may be dead or must end, and one that replaces it.
import { describe, expect, test, vi } from 'vitest'
import { assemble, delivery, handover } from '../../src/core.ts'
import type { PageEvent, SocketOptions } from '../../src/index.ts'
import type { FakePeer } from '../../src/testing.ts'
import { fresh, reopen, sent, server, settled, setup, story } from '../support/setup.ts'

fresh()

/** An open socket, its first connection, and a function that reports page events. */
const open = (options: SocketOptions = {}, endpoint?: Parameters<typeof setup>[1]) => {
  let report: (event: PageEvent) => void = () => {}
  const wake = (given: typeof report) => {
    report = given
    return () => {}
  }
  const world = setup({ wake, ...options }, endpoint)
  const first = world.native().accept()
  world.log.length = 0
  return { ...world, first, page: (event: PageEvent) => report(event) }
}

/** Advances past the jitter, and returns the peer of the second connection. */
const openSecond = (): FakePeer => {
  vi.advanceTimersByTime(150)
  return server.latest
}

/** Advances past the time for which the first connection is still read, and past its closing handshake. */
const closed = () => vi.advanceTimersByTime(1_000)

const HANDOVER = { name: 'SocketError', code: 'HANDOVER' }

describe('a connection in doubt', () => {
  test('queues messages, and is replaced by a second one as soon as that is ready', () => {
    const { socket, log, heard, first, page } = open()
    first.freeze()
    page('wake')
    expect(socket.send('in doubt')).toBe('queued')
    expect(socket.state.name).toBe('open')
    const second = openSecond()
    expect(second).not.toBe(first)
    expect(sent(first)).toEqual([])
    const before = socket.state
    second.accept()
    expect(second.received).toEqual(['in doubt'])
    expect(sent(first)).toEqual([])
    expect(story(log)).toEqual(['open', '(close)', '(open)'])
    expect(socket.state).not.toBe(before)
    expect(heard('close')).toEqual([
      {
        code: 1006,
        reason: '',
        wasClean: false,
        cause: expect.objectContaining(HANDOVER),
        willRetry: true,
        delay: 0,
      },
    ])
    expect(heard('open')).toEqual([
      { attempt: 0, url: second.socket.url, protocol: '', reconnected: true, seamless: false },
    ])
    expect(socket.send('after')).toBe('sent')
  })

  test('is kept if a message arrives before the second one is ready', () => {
    const { socket, log, first, page } = open()
    page('wake')
    socket.send('in doubt')
    const second = openSecond()
    first.send('alive')
    expect(first.received).toEqual(['in doubt'])
    expect(log).toEqual([['text', 'alive']])
    expect(second.socket.readyState).toBeGreaterThan(1)
    expect(socket.send('after')).toBe('sent')
    expect(server.attempts).toBe(2)
    vi.advanceTimersByTime(60_000)
    expect(server.attempts).toBe(2)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('opens no second one if a message arrives within the jitter', () => {
    const { first, page } = open()
    page('wake')
    first.send('alive')
    vi.advanceTimersByTime(60_000)
    expect(server.attempts).toBe(1)
  })

  test('is read for as long as the handshake of the second one took, and then closed', () => {
    const { heard, first, page } = open()
    first.freeze('down')
    page('wake')
    const second = openSecond()
    vi.advanceTimersByTime(200)
    second.accept()
    first.send('late')
    first.thaw('down')
    expect(heard('text')).toEqual(['late'])
    expect(first.closed).toBeUndefined()
    vi.advanceTimersByTime(200)
    expect(first.socket.readyState).toBeGreaterThan(1)
    expect(first.socket.onmessage).toBe(null)
  })

  test('is tested by a heartbeat with a message, without a second connection', () => {
    const { socket, first, page } = open({ heartbeat: { message: 'ping', isReply: data => data === 'pong' } })
    page('wake')
    expect(first.received).toEqual(['ping'])
    expect(socket.send('in doubt')).toBe('queued')
    vi.advanceTimersByTime(1_000)
    expect(server.attempts).toBe(1)
    first.send('pong')
    expect(first.received).toEqual(['ping', 'in doubt'])
  })

  test('that does not answer the heartbeat is replaced, and the queued messages are sent on the next one', () => {
    const { socket, first, page } = open({ heartbeat: { message: 'ping' } })
    first.freeze()
    page('wake')
    socket.send('in doubt')
    vi.advanceTimersByTime(3_000)
    expect(reopen().received).toEqual(['in doubt'])
  })

  test('leaves the queued messages to the second one if it is lost before the second one is ready', () => {
    const { socket, log, first, page } = open()
    page('wake')
    socket.send('in doubt')
    const second = openSecond()
    first.drop()
    expect(story(log)).toEqual(['connecting', '(close)'])
    expect(server.attempts).toBe(2)
    second.accept()
    expect(second.received).toEqual(['in doubt'])
    expect(story(log)).toEqual(['connecting', '(close)', 'open', '(open)'])
  })

  test('is kept if the second one fails: it sends the queued messages, an error event reports the failure, and retry decides when to try again', () => {
    const retry = vi.fn(() => 5_000)
    const { socket, log, heard, first, page } = open({ retry })
    page('wake')
    socket.send('in doubt')
    openSecond().refuse()
    expect(first.received).toEqual(['in doubt'])
    expect(heard('error')).toEqual([expect.objectContaining({ code: 'CONNECTION_REFUSED' })])
    expect(story(log)).toEqual(['(error)'])
    expect(retry).toHaveBeenCalledWith(expect.objectContaining({ attempt: 1, uptime: 0 }))
    expect(socket.send('between')).toBe('sent')
    vi.advanceTimersByTime(5_000)
    expect(server.attempts).toBe(3)
    expect(socket.send('again in doubt')).toBe('queued')
    server.latest.accept()
    expect(server.latest.received).toEqual(['again in doubt'])
  })

  test('is kept, without another attempt, if the second one is closed with a final code', () => {
    const { socket, first, page } = open({ prepare: ({ receive }) => receive() })
    // The first connection does not wait for prepare.
    first.send('welcome')
    return settled().then(() => {
      page('wake')
      socket.send('in doubt')
      openSecond().accept().close(4409, 'one connection for each client')
      vi.advanceTimersByTime(60_000)
      expect(first.received).toEqual(['in doubt'])
      expect(server.attempts).toBe(2)
      expect(socket.state.name).toBe('open')
    })
  })

  test('that the browser reports to be offline causes no attempt for 30 s, and one as soon as it is online', () => {
    const { socket, first, page } = open({}, 'wss://far.example/')
    first.freeze()
    // Chromium reports a change of the network, and then that there is none.
    page('wake')
    vi.stubGlobal('navigator', { onLine: false })
    page('offline')
    expect(socket.send('in doubt')).toBe('queued')
    vi.advanceTimersByTime(29_000)
    expect(server.latest).toBe(first)
    vi.stubGlobal('navigator', { onLine: true })
    page('wake')
    openSecond().accept()
    expect(server.latest).not.toBe(first)
    expect(server.latest.received).toEqual(['in doubt'])
    expect(socket.stats.attempts).toBe(2)
  })

  test('is replaced after 30 s even if the browser still reports that it is offline', () => {
    const { first, page } = open({}, 'wss://far.example/')
    vi.stubGlobal('navigator', { onLine: false })
    first.freeze()
    page('wake')
    vi.advanceTimersByTime(30_300)
    expect(server.latest).not.toBe(first)
  })

  test('is abandoned first with wake: reconnect, for servers that allow one connection', () => {
    const { socket, log, first, page } = open({ handover: { wake: 'reconnect' } })
    first.freeze()
    page('wake')
    expect(first.socket.readyState).toBeGreaterThan(1)
    expect(story(log).slice(0, 2)).toEqual(['waiting', '(close)'])
    socket.send('waits')
    expect(reopen().received).toEqual(['waits'])
  })

  test.each([
    ['handover: false', { handover: false } as SocketOptions],
    ['retry: false', { retry: false } as SocketOptions],
  ])('does not exist with %s', (_, options) => {
    const { socket, page } = open(options)
    page('wake')
    expect(socket.send('at once')).toBe('sent')
    vi.advanceTimersByTime(60_000)
    expect(server.attempts).toBe(1)
  })

  test('drops volatile messages, which cannot be sent at once', () => {
    const { socket, heard, page } = open()
    page('wake')
    expect(socket.send('position', { volatile: true })).toBe('dropped')
    expect(heard('drop')).toEqual([{ data: 'position', reason: 'volatile' }])
  })

  test('keeps messages of a socket without a queue, and drops them only if it is replaced', () => {
    const { socket, heard, first, page } = open({ queue: false })
    page('wake')
    expect(socket.send('one')).toBe('queued')
    first.send('alive')
    expect(first.received).toEqual(['one'])
    page('wake')
    expect(socket.send('two')).toBe('queued')
    openSecond().accept()
    expect(heard('drop')).toEqual([{ data: 'two', reason: 'disconnected' }])
  })

  test('leaves no timer behind when the socket is closed', () => {
    const { socket, heard, page } = open()
    page('wake')
    openSecond()
    socket.close()
    closed()
    expect(socket.state.name).toBe('closed')
    expect(heard('close').length).toBe(1)
    expect(server.clients).toEqual([])
    expect(vi.getTimerCount()).toBe(0)
  })

  test('ends when the page is put to sleep', () => {
    const { socket, page } = open()
    page('wake')
    const second = openSecond()
    page('sleep')
    expect(socket.state).toMatchObject({ name: 'waiting', delay: Infinity })
    second.accept()
    expect(server.clients).toEqual([])
  })

  test('causes a new attempt at once when the network comes back during the delay before a second connection', () => {
    const { page } = open({ retry: () => 60_000 })
    page('wake')
    openSecond().refuse()
    page('wake')
    openSecond()
    expect(server.attempts).toBe(3)
  })

  test('replaces a half-open second one, too', () => {
    const { heard, page, first } = open({ retry: () => 1_000 })
    first.freeze()
    page('wake')
    openSecond()
    vi.advanceTimersByTime(10_000)
    expect(heard('error')).toEqual([expect.objectContaining({ code: 'CONNECT_TIMEOUT' })])
    vi.advanceTimersByTime(1_000)
    server.latest.accept()
    expect(heard('open').length).toBe(1)
  })
})

describe('a page that is shown again', () => {
  const hide = (visibilityState: string) => vi.stubGlobal('document', { visibilityState })

  test.each([
    ['after a minute of silence', 60_000, undefined, true],
    ['after less', 59_000, undefined, false],
    ['after two minutes, with a message in the last one', 120_000, 61_000, false],
    ['after two minutes, with a message in the first one', 120_000, 59_000, true],
  ])('%s', (_, hidden, message, isDoubted) => {
    const { socket, first, page } = open()
    hide('hidden')
    page('hidden')
    if (message !== undefined) {
      vi.advanceTimersByTime(message)
      first.send('news')
      vi.advanceTimersByTime(hidden - message)
    } else vi.advanceTimersByTime(hidden)
    hide('visible')
    page('visible')
    expect(socket.send('hello')).toBe(isDoubted ? 'queued' : 'sent')
  })
})

test('a heartbeat timer that is late by more than 5 s in a visible page puts the connection in doubt', () => {
  const { socket } = open({ heartbeat: { interval: 1_000, timeout: 100_000 } })
  vi.setSystemTime(Date.now() + 10_000)
  vi.advanceTimersByTime(1_000)
  expect(socket.send('hello')).toBe('queued')
  openSecond().accept()
  expect(server.latest.received).toEqual(['hello'])
})

describe('handover()', () => {
  test('prepares the second connection, reads and closes the first, and resolves', async () => {
    const { socket, log, heard, first } = open()
    const done = vi.fn()
    socket.handover('fresh token').then(done)
    const second = server.latest
    expect(second).not.toBe(first)
    expect(socket.send('on the first')).toBe('sent')
    vi.advanceTimersByTime(200)
    second.accept()
    expect(socket.send('waits')).toBe('queued')
    second.send('from the second')
    first.send('from the first')
    expect(heard('text')).toEqual(['from the first'])
    vi.advanceTimersByTime(200)
    expect(first.closed).toEqual({ code: 1000, reason: 'handover' })
    closed()
    expect(first.received).toEqual(['on the first'])
    expect(second.received).toEqual(['waits'])
    expect(story(log)).toEqual(['(text)', 'open', '(close)', '(open)', '(text)'])
    expect(heard('text')).toEqual(['from the first', 'from the second'])
    expect(heard('close')).toEqual([
      {
        ...{ code: 1000, reason: 'handover', wasClean: true, willRetry: true, delay: 0 },
        cause: expect.objectContaining({ ...HANDOVER, cause: 'fresh token' }),
      },
    ])
    expect(heard('open')).toEqual([expect.objectContaining({ reconnected: true, seamless: true })])
    await settled()
    expect(done).toHaveBeenCalledOnce()
    expect(vi.getTimerCount()).toBe(0)
  })

  test.each([
    [20, 100],
    [150, 150],
  ])(
    'after a handshake of %i ms reads the first connection for %i ms, because answers that arrive after close() are discarded',
    (handshake, drain) => {
      const { socket, heard, first } = open()
      socket.handover()
      vi.advanceTimersByTime(handshake)
      server.latest.accept()
      vi.advanceTimersByTime(drain - 1)
      first.send('the last answer')
      expect([first.socket.readyState, heard('text')]).toEqual([1, ['the last answer']])
      vi.advanceTimersByTime(1)
      expect(first.socket.readyState).toBe(2)
    },
  )

  test('sends the unsent tail of the first connection again, ahead of the queued messages', () => {
    const { socket, first } = open()
    first.freeze('up')
    socket.send('one')
    socket.send('two')
    socket.handover()
    const second = server.latest.accept()
    socket.send('three')
    vi.advanceTimersByTime(100)
    // Its buffer still has both when it ends.
    first.drop()
    vi.advanceTimersByTime(10)
    expect(second.received).toEqual(['one', 'two', 'three'])
    expect(first.received).toEqual([])
  })

  test('switches to the second connection after closeTimeout if the closing handshake does not end', () => {
    const { socket, heard, first } = open({ closeTimeout: 500 })
    first.freeze()
    socket.handover()
    const second = server.latest.accept()
    socket.send('waits')
    vi.advanceTimersByTime(600)
    expect(second.received).toEqual(['waits'])
    expect(heard('open')).toEqual([expect.objectContaining({ seamless: false })])
    expect(heard('close')).toEqual([
      expect.objectContaining({ code: 1006, cause: expect.objectContaining(HANDOVER) }),
    ])
  })

  test('gives its cause to the endpoint function', () => {
    const endpoint = vi.fn(() => '/feed')
    const { socket } = setup({}, endpoint)
    return settled().then(async () => {
      server.latest.accept()
      socket.handover('fresh token')
      await settled()
      expect(endpoint).toHaveBeenLastCalledWith(
        expect.objectContaining({
          attempt: 0,
          cause: expect.objectContaining({ ...HANDOVER, cause: 'fresh token' }),
        }),
      )
    })
  })

  test('called twice opens one connection, with which both calls resolve', async () => {
    const { socket } = open()
    const [one, two] = [vi.fn(), vi.fn()]
    socket.handover('one').then(one)
    socket.handover('two').then(two)
    server.latest.accept()
    closed()
    await settled()
    expect(one).toHaveBeenCalledOnce()
    expect(two).toHaveBeenCalledOnce()
    expect(server.attempts).toBe(2)
  })

  test('rejects when retry gives up, and the first connection is kept', async () => {
    const { socket, heard, first } = open({ retry: () => false })
    const failed = vi.fn()
    socket.handover().catch(failed)
    server.latest.refuse()
    await settled()
    expect(failed).toHaveBeenCalledWith(expect.objectContaining({ code: 'CONNECTION_REFUSED' }))
    expect(heard('error').length).toBe(1)
    expect(socket.send('hello')).toBe('sent')
    expect(first.received).toEqual(['hello'])
  })

  test('rejects on a socket that is closed, or that is closed meanwhile', async () => {
    const { socket, heard } = open()
    const failed = vi.fn()
    socket.handover().catch(failed)
    const second = server.latest.accept()
    socket.close()
    closed()
    await settled()
    expect(failed).toHaveBeenCalledWith(expect.objectContaining({ code: 'CLOSED' }))
    expect(second.socket.readyState).toBe(3)
    expect(heard('close').length).toBe(1)
    socket.handover().catch(failed)
    await settled()
    expect(failed).toHaveBeenCalledTimes(2)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('of a socket that is closed while its first connection is being closed sends the queued messages on the second', () => {
    const { socket, heard, first } = open()
    socket.handover()
    const second = server.latest.accept()
    first.freeze('down')
    socket.send('waits')
    vi.advanceTimersByTime(110)
    expect(first.closed).toEqual({ code: 1000, reason: 'handover' })
    socket.close(4000, 'bye')
    closed()
    expect(second.received).toEqual(['waits'])
    expect(second.closed).toEqual({ code: 4000, reason: 'bye' })
    expect(heard('close')).toEqual([expect.objectContaining({ code: 4000 })])
    expect(heard('open')).toEqual([])
  })

  test('without a connection starts an attempt at once, as reconnect() does, and resolves with that connection', async () => {
    const { socket, first } = open({ retry: () => 60_000 })
    first.drop()
    expect(socket.state.name).toBe('waiting')
    const done = vi.fn()
    socket.handover().then(done)
    expect(socket.state.name).toBe('connecting')
    expect(server.attempts).toBe(2)
    server.latest.accept()
    await settled()
    expect(done).toHaveBeenCalledOnce()
    closed()
    expect(server.attempts).toBe(2)
  })

  test('continues when the second connection is lost while the first is read', () => {
    const { socket, heard, first } = open({ retry: () => 1_000 })
    socket.handover()
    const handshake = 200
    vi.advanceTimersByTime(handshake)
    server.latest.accept()
    socket.send('waits')
    server.latest.drop()
    expect(first.received).toEqual(['waits'])
    expect(heard('error')).toEqual([expect.objectContaining({ code: 'CONNECTION_LOST' })])
    vi.advanceTimersByTime(1_000)
    server.latest.accept()
    closed()
    expect(heard('open')).toEqual([expect.objectContaining({ seamless: true })])
  })

  test.each([
    ['before our close frame', 0, 1012, ''],
    ['before our close frame', 0, 1000, ''],
    ['at the same time as we do', 100, 1012, ''],
    ['at the same time as we do', 100, 1000, 'restart'],
  ])(
    'is not seamless if the server closes the first connection %s (after %i ms, with %i %s): it may not have known of the second',
    (_, drain, code, reason) => {
      const { socket, heard, first } = open()
      socket.handover()
      // The first connection ends later than the handshake of the second, so messages that were sent in between are lost.
      first.freeze('down')
      first.close(code, reason)
      server.latest.accept()
      vi.advanceTimersByTime(drain)
      first.thaw('down')
      closed()
      expect(heard('close')).toEqual([expect.objectContaining({ code, reason })])
      expect(heard('open')).toEqual([expect.objectContaining({ seamless: false })])
    },
  )

  test('is undone by reconnect(), which abandons both connections', () => {
    const { socket, first } = open()
    socket.handover()
    const second = server.latest.accept()
    socket.reconnect('now')
    expect([first, second].map(peer => peer.socket.readyState > 1)).toEqual([true, true])
    vi.advanceTimersByTime(300)
    expect(server.attempts).toBe(3)
  })

  test('needs its part in an assembled core', () => {
    const socket = assemble({ delivery })('/feed', { WebSocket: server.WebSocket })
    expect(() => (socket as any).handover()).toThrow("needs the part 'handover' of steadysocket/core")
    expect(() => assemble({ handover })).toThrow("needs the part 'delivery' of steadysocket/core")
    expect(() => assemble({ delivery })('/feed', { handover: {} } as object)).toThrow(
      "needs the part 'handover'",
    )
  })
})

describe('maxAge', () => {
  test('replaces the connection up to a tenth of the time earlier, at random', () => {
    const { heard } = open({ handover: { maxAge: 100_000 } })
    vi.advanceTimersByTime(94_999)
    expect(server.attempts).toBe(1)
    vi.advanceTimersByTime(1)
    expect(server.attempts).toBe(2)
    server.latest.accept()
    closed()
    expect(heard('open')).toEqual([expect.objectContaining({ seamless: true })])
    vi.advanceTimersByTime(95_000)
    expect(server.attempts).toBe(3)
  })

  test.each([10_000, 0, -1, Number.NaN, '1h'])('must be longer than connectTimeout: %s', maxAge => {
    expect(() => setup({ handover: { maxAge: maxAge as number } })).toThrow(TypeError)
    expect(server.attempts).toBe(0)
  })
})

describe('when()', () => {
  test('replaces the connection after the message in which the server announces a shutdown, which is also the cause', () => {
    const { heard, first } = open({ handover: { when: data => data === 'leaving' } })
    first.send('news')
    expect(server.attempts).toBe(1)
    first.send('leaving')
    expect(heard('text')).toEqual(['news', 'leaving'])
    expect(server.attempts).toBe(2)
    first.send('leaving')
    expect(server.attempts).toBe(2)
    server.latest.accept()
    closed()
    expect(heard('close')).toEqual([
      expect.objectContaining({ cause: expect.objectContaining({ cause: 'leaving' }) }),
    ])
  })

  test('that throws is reported, and the message is emitted', () => {
    const reported = vi.fn()
    vi.stubGlobal('reportError', reported)
    const { heard, first } = open({
      handover: {
        when: () => {
          throw new Error('when')
        },
      },
    })
    first.send('news').send('more')
    expect(heard('text')).toEqual(['news', 'more'])
    expect(reported).toHaveBeenCalledTimes(2)
  })
})

describe('id()', () => {
  const id = (data: string) => data.split(' ')[1]

  test('prevents a message that arrives on both connections from being reported twice', () => {
    const { socket, heard, first } = open({ handover: { id } })
    socket.handover()
    vi.advanceTimersByTime(200)
    const second = server.latest.accept()
    for (const peer of [first, second]) peer.send('news 1').send('news 2')
    first.send('news 3')
    // A message without an identity, and one that arrives twice on the same connection, are always emitted.
    first.send('news 3').send('plain').send('plain')
    vi.advanceTimersByTime(210)
    second.send('news 3').send('news 4')
    expect(heard('text')).toEqual(['news 1', 'news 2', 'news 3', 'news 3', 'plain', 'plain', 'news 4'])
  })

  test('also recognizes messages that arrive on a connection after it was replaced', () => {
    const { heard, first, page } = open({ handover: { id } })
    first.freeze('down')
    page('wake')
    const second = openSecond()
    vi.advanceTimersByTime(200)
    second.accept().send('news 1')
    first.send('news 0').send('news 1')
    first.thaw('down')
    expect(heard('text')).toEqual(['news 1', 'news 0'])
  })

  test('also recognizes messages that the new connection brings later than the old one, on a busy machine', () => {
    const { heard, first, page } = open({ handover: { id } })
    first.freeze('down')
    page('wake')
    const second = openSecond()
    vi.advanceTimersByTime(200)
    second.accept().freeze('down')
    first.send('news 1')
    second.send('news 1').send('news 2')
    first.thaw('down')
    // By then, the old one has been closed.
    vi.advanceTimersByTime(3_000)
    second.thaw('down')
    expect(heard('text')).toEqual(['news 1', 'news 2'])
  })

  test('forgets the identities 5 s after the overlap', () => {
    const { socket, heard, first } = open({ handover: { id } })
    socket.handover()
    vi.advanceTimersByTime(200)
    const second = server.latest.accept()
    first.send('news 1')
    closed()
    vi.advanceTimersByTime(6_000)
    second.send('news 1')
    expect(heard('text')).toEqual(['news 1', 'news 1'])
  })

  test('that throws is reported, and its message as well', () => {
    const reported = vi.fn()
    vi.stubGlobal('reportError', reported)
    const { socket, heard, first } = open({
      handover: {
        id() {
          throw new Error('id')
        },
      },
    })
    socket.handover()
    first.send('news')
    expect(heard('text')).toEqual(['news'])
    expect(reported).toHaveBeenCalledOnce()
  })

  test('does not hide a repeated announcement from when(), because each connection may have another server that shuts down', () => {
    const { heard, first } = open({ handover: { id: data => data, when: data => data === 'leaving' } })
    first.send('leaving')
    vi.advanceTimersByTime(200)
    const second = server.latest.accept()
    vi.advanceTimersByTime(210)
    second.send('leaving')
    const third = server.latest.accept()
    third.send('leaving')
    vi.advanceTimersByTime(110)
    expect(heard('open').length).toBe(2)
    expect(heard('text')).toEqual(['leaving', 'leaving'])
    expect(server.attempts).toBe(4)
  })

  test('is not called for replies to the heartbeat', () => {
    const asked = vi.fn()
    const { socket, heard, first } = open({
      heartbeat: { message: 'ping', isReply: data => data === 'pong' },
      handover: { id: asked, when: asked },
    })
    socket.handover()
    first.send('pong')
    expect(asked).not.toHaveBeenCalled()
    expect(heard('text')).toEqual([])
  })
})

// Failures that the random walk (walk.test.ts) has found, reduced to the shortest cases.

describe('no second connection is opened', () => {
  test('by maxAge while the socket is being closed', () => {
    const { socket, first } = open({ handover: { maxAge: 10_001 }, closeTimeout: 20_000 })
    first.freeze('down')
    socket.close()
    vi.advanceTimersByTime(15_000)
    expect(socket.state.name).toBe('closing')
    expect(server.attempts).toBe(1)
  })

  test.each(['close', 'reconnect'] as const)('by when() for a message whose listener calls %s()', method => {
    const { socket, first } = open({ handover: { when: data => data === 'leaving' }, retry: () => 60_000 })
    socket.once('text', () => socket[method]())
    first.send('leaving')
    expect(server.attempts).toBe(1)
    closed()
    expect(socket.state.name).toBe(method === 'close' ? 'closed' : 'waiting')
    expect(server.attempts).toBe(1)
  })

  test('by when() for a message on a connection that was replaced', () => {
    const { first, page } = open({ handover: { when: data => data === 'leaving' } })
    page('wake')
    const second = openSecond()
    vi.advanceTimersByTime(200)
    second.accept()
    first.send('leaving')
    expect(server.attempts).toBe(2)
  })

  test('by handover() in a listener that closes the socket, too', async () => {
    const { socket, first } = open()
    const failed = vi.fn()
    socket.once('text', () => {
      socket.handover().catch(failed)
      socket.close()
    })
    first.send('leaving')
    expect(server.attempts).toBe(1)
    closed()
    await settled()
    expect(failed).toHaveBeenCalledWith(expect.objectContaining({ code: 'CLOSED' }))
    expect(server.attempts).toBe(1)
  })

  test('by an endpoint function that closes the socket', async () => {
    let calls = 0
    const endpoint = () => {
      if (++calls > 1) socket.close()
      return '/feed'
    }
    const { socket } = setup({ handover: { maxAge: 10_001 } }, endpoint)
    await settled()
    server.latest.accept().freeze('down')
    vi.advanceTimersByTime(10_001)
    await settled()
    expect(calls).toBe(2)
    expect(socket.state.name).toBe('closing')
    expect(server.attempts).toBe(1)
  })
})

test('a first connection that does not end is replaced after closeTimeout, also if the second one is lost meanwhile', () => {
  const { socket, first } = open({ closeTimeout: 500 })
  first.freeze()
  socket.handover()
  const second = server.latest.accept()
  socket.send('waits')
  vi.advanceTimersByTime(100)
  second.drop()
  vi.advanceTimersByTime(500)
  expect(socket.state.name).toBe('connecting')
  expect(server.latest.accept().received).toEqual(['waits'])
})

test('handover() while the connection is in doubt keeps its cause if the first connection proves to work', async () => {
  const endpoint = vi.fn(() => '/feed')
  let page = (_: PageEvent) => {}
  const wake = (report: typeof page) => {
    page = report
    return () => {}
  }
  const { socket } = setup({ wake }, endpoint)
  await settled()
  const first = server.latest.accept()
  page('wake')
  socket.handover('fresh token')
  first.send('alive')
  expect(endpoint).toHaveBeenCalledTimes(2)
  expect(endpoint).toHaveBeenLastCalledWith(
    expect.objectContaining({ cause: expect.objectContaining({ ...HANDOVER, cause: 'fresh token' }) }),
  )
})

describe('handover() during another one', () => {
  /** A socket whose endpoint function has been called once, and the causes with which it has been called since. */
  const start = async (options: SocketOptions = {}) => {
    const endpoint = vi.fn((_: { cause?: any }) => '/feed')
    let page = (_: PageEvent) => {}
    const wake = (report: typeof page) => {
      page = report
      return () => {}
    }
    const world = setup({ wake, ...options }, endpoint as unknown as () => string)
    await settled()
    const first = server.latest.accept()
    world.log.length = 0
    const causes = () => endpoint.mock.calls.slice(1).map(([{ cause }]) => cause.cause)
    return { ...world, first, endpoint, causes, page: (event: PageEvent) => page(event) }
  }
  /** The second connection opens, and replaces the first. */
  const move = async (time = 1_000) => {
    await settled()
    server.latest.accept()
    await settled()
    vi.advanceTimersByTime(time)
    await settled()
  }

  test.each([
    ['is being prepared', () => {}],
    ['is ready', () => void server.latest.accept()],
    [
      'takes over',
      () => {
        server.latest.accept()
        vi.advanceTimersByTime(100)
      },
    ],
  ])(
    'waits while the second connection %s, and then begins its own, because the endpoint function was called before',
    async (_, advance) => {
      const { socket, heard, causes } = await start()
      const [one, two] = [vi.fn(), vi.fn()]
      socket.handover('old token').then(one)
      await settled()
      advance()
      socket.handover('fresh token').then(two)
      await settled()
      expect(causes()).toEqual(['old token'])
      if (server.latest.socket.readyState === 0) server.latest.accept()
      closed()
      await settled()
      expect(one).toHaveBeenCalledOnce()
      expect(two).not.toHaveBeenCalled()
      expect(causes()).toEqual(['old token', 'fresh token'])
      await move()
      expect(two).toHaveBeenCalledOnce()
      expect(heard('open')).toEqual([
        expect.objectContaining({ seamless: true }),
        expect.objectContaining({ seamless: true }),
      ])
      vi.advanceTimersByTime(60_000)
      expect(server.attempts).toBe(3)
      expect(vi.getTimerCount()).toBe(0)
    },
  )

  test('joins it if the endpoint function will be called again because an attempt failed, with the newest cause', async () => {
    const { socket, causes } = await start({ retry: () => 1_000 })
    const [one, two] = [vi.fn(), vi.fn()]
    socket.handover('old token').then(one)
    await settled()
    server.latest.refuse()
    socket.handover('fresh token').then(two)
    vi.advanceTimersByTime(1_000)
    await move()
    expect(causes()).toEqual(['old token', 'fresh token'])
    expect(one).toHaveBeenCalledOnce()
    expect(two).toHaveBeenCalledOnce()
    expect(server.attempts).toBe(3)
  })

  test('gives its cause to the attempt that follows one that has failed since', async () => {
    const { socket, causes } = await start({ retry: () => 1_000 })
    const two = vi.fn()
    socket.handover('old token')
    await settled()
    socket.handover('fresh token').then(two)
    server.latest.refuse()
    vi.advanceTimersByTime(1_000)
    await move()
    expect(causes()).toEqual(['old token', 'fresh token'])
    expect(two).toHaveBeenCalledOnce()
    expect(server.attempts).toBe(3)
  })

  test('begins its own if retry gives up the other one, which is rejected', async () => {
    const retry = vi.fn(() => 1_000 as number | false)
    const { socket, causes } = await start({ retry })
    const [one, two] = [vi.fn(), vi.fn()]
    socket.handover('old token').catch(one)
    await settled()
    socket.handover('fresh token').then(two)
    retry.mockReturnValueOnce(false)
    server.latest.refuse()
    await move()
    expect(one).toHaveBeenCalledWith(expect.objectContaining({ code: 'CONNECTION_REFUSED' }))
    expect(two).toHaveBeenCalledOnce()
    expect(causes()).toEqual(['old token', 'fresh token'])
  })

  test('passes the last of several causes', async () => {
    const { socket, first, causes, page } = await start()
    page('wake')
    for (const token of ['one', 'two', 'three']) socket.handover(token)
    first.send('alive')
    await settled()
    expect(causes()).toEqual(['three'])
  })

  test('passes its cause even if maxAge ends while the heartbeat waits for a reply', async () => {
    const { socket, first, causes, page } = await start({
      heartbeat: { interval: 1_000_000, message: 'ping' },
      handover: { maxAge: 100_000 },
    })
    vi.advanceTimersByTime(94_000)
    page('wake')
    socket.handover('fresh token')
    vi.advanceTimersByTime(1_500)
    first.send('pong')
    await settled()
    expect(causes()).toEqual(['fresh token'])
  })

  test('waits for a second connection that was opened in doubt, and then begins its own', async () => {
    const { socket, causes, page } = await start()
    const done = vi.fn()
    page('wake')
    openSecond()
    await settled()
    socket.handover('fresh token').then(done)
    await move(0)
    expect(done).not.toHaveBeenCalled()
    expect(causes()).toEqual([undefined, 'fresh token'])
    await move()
    expect(done).toHaveBeenCalledOnce()
    expect(server.attempts).toBe(3)
  })

  test('waits for an attempt after an outage, and then begins its own', async () => {
    const { socket, first, causes } = await start({ retry: () => 1_000 })
    const done = vi.fn()
    first.drop()
    vi.advanceTimersByTime(1_000)
    expect(socket.state.name).toBe('connecting')
    socket.handover('fresh token').then(done)
    await move(0)
    expect(causes()[1]).toBe('fresh token')
    expect(done).not.toHaveBeenCalled()
    await move()
    expect(done).toHaveBeenCalledOnce()
    expect(server.attempts).toBe(3)
  })

  test('begins its own if prepare was already called, because it may have used old data', async () => {
    const { socket } = open({ prepare: () => {} })
    await settled()
    socket.handover('old token')
    socket.handover('fresh token')
    await move()
    await move()
    expect(server.attempts).toBe(3)
  })

  test('keeps the identities of messages, so that none is reported twice', async () => {
    const { socket, heard, first } = await start({ handover: { id: data => data } })
    socket.handover('old token')
    await settled()
    vi.advanceTimersByTime(200)
    const second = server.latest.accept()
    socket.handover('fresh token')
    await settled()
    first.send('news')
    closed()
    await settled()
    expect(server.attempts).toBe(3)
    second.send('news')
    expect(heard('text')).toEqual(['news'])
  })
})

test('a second connection that is lost while the first one is being closed is reported, and another one follows', () => {
  const { log, heard, first, socket } = open()
  first.freeze('down')
  socket.handover()
  const second = server.latest.accept()
  vi.advanceTimersByTime(100)
  expect(first.closed).toEqual({ code: 1000, reason: 'handover' })
  second.drop()
  expect(heard('error')).toEqual([expect.objectContaining({ code: 'CONNECTION_LOST' })])
  first.thaw('down')
  expect(story(log)).toEqual(['(error)', 'connecting', '(close)'])
  expect(socket.state).toMatchObject({ attempt: 1, cause: HANDOVER })
  expect(heard('close')).toEqual([expect.objectContaining({ code: 1000, willRetry: true, delay: 0 })])
  expect(server.attempts).toBe(3)
})

test('a message on a connection that was replaced does not prove that the current one works', () => {
  const { heard, first, page } = open({ heartbeat: { interval: 1_000, timeout: 500 } })
  page('wake')
  const second = openSecond()
  vi.advanceTimersByTime(400)
  second.accept()
  vi.advanceTimersByTime(350)
  first.send('late')
  expect(heard('text')).toEqual(['late'])
  vi.advanceTimersByTime(1_150)
  expect(heard('close').map(({ cause }) => cause.code)).toEqual(['HANDOVER', 'UNRESPONSIVE'])
})

test('a reply on a connection that was replaced is still hidden', () => {
  const { heard, first, page } = open({ heartbeat: { isReply: data => data === 'pong' } })
  page('wake')
  const second = openSecond()
  vi.advanceTimersByTime(400)
  second.accept()
  first.send('pong')
  first.send('late')
  expect(heard('text')).toEqual(['late'])
})

test('a connection that opened less than a minute ago is not in doubt when the page is shown again', () => {
  const { socket, first, page } = open({ retry: () => 90_000 })
  vi.stubGlobal('document', { visibilityState: 'hidden' })
  page('hidden')
  first.drop()
  vi.advanceTimersByTime(90_000)
  server.latest.accept()
  vi.advanceTimersByTime(59_000)
  vi.stubGlobal('document', { visibilityState: 'visible' })
  page('visible')
  expect(socket.send('hello')).toBe('sent')
})

test('a second connection that the server closes before prepare is done does not replace the first', async () => {
  let done = () => {}
  const prepare = vi.fn(() => {})
  const { socket, log, first } = open({ prepare, retry: () => 60_000 })
  await settled()
  log.length = 0
  prepare.mockReturnValue(
    new Promise<void>(resolve => {
      done = resolve
    }) as unknown as undefined,
  )
  socket.handover()
  // The answer to its close frame is not sent, so the close event is late.
  const second = server.latest.accept().freeze('up').close(1012)
  done()
  await settled()
  vi.advanceTimersByTime(1_000)
  expect(first.closed).toBeUndefined()
  expect(socket.send('hello')).toBe('sent')
  second.thaw('up')
  expect(story(log)).toEqual(['(error)'])
})

// Found by mutation testing: without each of these tests, a line of the code could be removed without a failure.

test('id() is no longer called once the first connection has proved to work', () => {
  const id = vi.fn()
  const { first, page } = open({ handover: { id } })
  page('wake')
  first.send('alive')
  first.send('news')
  expect(id).not.toHaveBeenCalled()
})

test('messages pass through the plain listener again after the overlap, so that each of them costs as little as before', () => {
  const { socket, heard } = open({ handover: { id: data => data } })
  socket.handover()
  vi.advanceTimersByTime(200)
  const second = server.latest.accept()
  vi.advanceTimersByTime(250)
  const during = second.socket.onmessage
  vi.advanceTimersByTime(5_250)
  expect(heard('open').length).toBe(1)
  expect(during).toBeTypeOf('function')
  expect(second.socket.onmessage).toBeTypeOf('function')
  expect(second.socket.onmessage).not.toBe(during)
})

test('a connection is in doubt if the page wakes up during a handover: messages are queued, and the second connection replaces it when it is ready', () => {
  const { socket, heard, first, page } = open()
  socket.handover()
  first.freeze()
  page('wake')
  expect(socket.send('in doubt')).toBe('queued')
  expect(server.latest.accept().received).toEqual(['in doubt'])
  expect(server.attempts).toBe(2)
  expect(heard('open')).toEqual([expect.objectContaining({ seamless: false })])
})

test('a connection is in doubt if the page wakes up after the second connection was lost', () => {
  const { socket, page } = open({ retry: () => 60_000 })
  socket.handover()
  server.latest.accept().drop()
  expect(socket.send('before')).toBe('sent')
  page('wake')
  expect(socket.send('in doubt')).toBe('queued')
  expect(openSecond().accept().received).toEqual(['in doubt'])
})

test('close() while the first connection is read sends the queued messages on the first, and closes both', () => {
  const { socket, first } = open()
  socket.handover()
  const second = server.latest.accept()
  socket.send('waits')
  socket.close(4000)
  closed()
  expect(first.received).toEqual(['waits'])
  expect(first.closed).toMatchObject({ code: 4000 })
  expect([second.received, second.socket.readyState]).toEqual([[], 3])
})

test('messages without an identity are reported as often as they arrive, from either connection', () => {
  const { socket, heard, first } = open({ handover: { id: () => undefined } })
  socket.handover()
  vi.advanceTimersByTime(200)
  const second = server.latest.accept()
  for (const peer of [first, second]) peer.send('plain')
  closed()
  expect(heard('text')).toEqual(['plain', 'plain'])
})

test('an attempt for a second connection that takes too long is abandoned', () => {
  const { socket, heard } = open({ retry: () => 60_000 })
  socket.handover()
  const second = server.latest
  vi.advanceTimersByTime(10_000)
  expect(heard('error')).toEqual([expect.objectContaining({ code: 'CONNECT_TIMEOUT' })])
  expect(second.socket.readyState).toBeGreaterThan(1)
})

test('the closing handshake of the first connection may take three seconds by default', () => {
  const { socket, heard, first } = open()
  first.freeze()
  socket.handover()
  server.latest.accept()
  vi.advanceTimersByTime(100 + 2_999)
  expect(heard('open')).toEqual([])
  vi.advanceTimersByTime(1)
  expect(heard('open')).toEqual([expect.objectContaining({ seamless: false })])
})

test('the connection of a page that stays hidden is not in doubt when the page event is reported again', () => {
  const { socket, page } = open()
  vi.stubGlobal('document', { visibilityState: 'hidden' })
  page('hidden')
  vi.advanceTimersByTime(60_000)
  page('hidden')
  expect(socket.send('hello')).toBe('sent')
})

test('a heartbeat timer that is late in a hidden page does not put the connection in doubt, because such timers are throttled', () => {
  vi.stubGlobal('document', { visibilityState: 'hidden' })
  const { socket } = open({ heartbeat: { interval: 1_000, timeout: 100_000 } })
  vi.setSystemTime(Date.now() + 10_000)
  vi.advanceTimersByTime(1_000)
  expect(socket.send('hello')).toBe('sent')
})

describe('a first connection that has ended, and whose buffer is about to be read again,', () => {
  /** A connection that has not sent `tail`, and the close event with 1001. */
  const endWithTail = (first: FakePeer) => first.close(1001).drop()

  test('is not replaced without a gap if it ended in doubt, before the second one was ready', () => {
    const { socket, heard, first, page } = open()
    first.freeze('up')
    socket.send('tail')
    page('wake')
    const second = openSecond()
    endWithTail(first)
    second.accept()
    expect(heard('close')).toEqual([expect.objectContaining({ code: 1001 })])
    expect(heard('open')).toEqual([expect.objectContaining({ seamless: false })])
    expect(second.received).toEqual(['tail'])
  })

  test('leaves its unsent tail to the second one if the socket is closed then', () => {
    const { socket, first } = open()
    first.freeze('up')
    socket.send('tail')
    socket.handover()
    const second = server.latest.accept()
    socket.send('waits')
    vi.advanceTimersByTime(100)
    first.drop()
    socket.close()
    closed()
    expect(second.received).toEqual(['tail', 'waits'])
    expect(socket.state.name).toBe('closed')
  })
})

test('a doubt that ends opens no second connection because of a handover before', () => {
  const { socket, page } = open()
  socket.handover()
  server.latest.accept()
  closed()
  page('wake')
  server.latest.send('alive')
  vi.advanceTimersByTime(1_000)
  expect(server.attempts).toBe(2)
})

test('the attempts of each handover are counted from 0, and their time from its start', async () => {
  const endpoint = vi.fn(() => '/feed')
  const retry = vi.fn(() => 1_000)
  const { socket } = setup({ retry }, endpoint)
  await settled()
  server.latest.accept()
  const attempts = () => endpoint.mock.calls.map(([context]: any) => context.attempt)
  const move = async () => {
    socket.handover()
    await settled()
    vi.advanceTimersByTime(200)
    server.latest.refuse()
    vi.advanceTimersByTime(1_000)
    await settled()
    server.latest.refuse()
    vi.advanceTimersByTime(1_000)
    await settled()
    server.latest.accept()
    closed()
  }
  await move()
  expect(attempts()).toEqual([0, 0, 1, 2])
  expect(retry).toHaveBeenNthCalledWith(1, expect.objectContaining({ attempt: 1, elapsed: 200 }))
  expect(retry).toHaveBeenNthCalledWith(2, expect.objectContaining({ attempt: 2, elapsed: 1_200 }))
  await move()
  expect(attempts()).toEqual([0, 0, 1, 2, 0, 1, 2])
  expect(retry).toHaveBeenNthCalledWith(3, expect.objectContaining({ attempt: 1, elapsed: 200 }))
})

test('connectTimeout doubles for a second connection, too, so that a slow handshake succeeds', () => {
  const { socket, heard } = open({ retry: () => 1_000 })
  socket.handover()
  vi.advanceTimersByTime(11_000)
  expect(server.attempts).toBe(3)
  vi.advanceTimersByTime(15_000)
  server.latest.accept()
  vi.advanceTimersByTime(20_000)
  expect(heard('error').map(({ code }) => code)).toEqual(['CONNECT_TIMEOUT'])
  expect(heard('open')).toEqual([expect.objectContaining({ seamless: true })])
})

test('the first connection is read for as long as the handshake of the second one took before it is closed', () => {
  const { socket, first } = open()
  socket.handover()
  vi.advanceTimersByTime(200)
  server.latest.accept()
  vi.advanceTimersByTime(199)
  expect(first.closed).toBeUndefined()
  vi.advanceTimersByTime(1)
  expect(first.closed).toEqual({ code: 1000, reason: 'handover' })
})

test('connectTimeout does not double for a second connection after an attempt that was refused', () => {
  const { socket, heard } = open({ retry: () => 1_000 })
  socket.handover()
  server.latest.refuse()
  vi.advanceTimersByTime(11_000)
  expect(heard('error').map(({ code }) => code)).toEqual(['CONNECTION_REFUSED', 'CONNECT_TIMEOUT'])
})

describe('a second connection that the platform does not allow', () => {
  let made = 0
  const limited = () => {
    made = 0
    return class Limited extends server.WebSocket {
      constructor(url: string | URL, protocols?: string | string[]) {
        if (++made === 2) throw new DOMException('not allowed', 'SecurityError')
        super(url, protocols)
      }
    }
  }

  test('is reported, and tried again', () => {
    const { socket, heard } = open({ WebSocket: limited(), retry: () => 1_000 })
    socket.handover()
    expect(heard('error')).toEqual([
      expect.objectContaining({
        code: 'ENDPOINT_FAILED',
        cause: expect.objectContaining({ name: 'SecurityError' }),
      }),
    ])
    vi.advanceTimersByTime(1_000)
    server.latest.accept()
    closed()
    expect(heard('open')).toEqual([expect.objectContaining({ seamless: true })])
  })

  test('is forgotten if reconnect() is called at the same time', () => {
    const reported = vi.fn()
    vi.stubGlobal('reportError', reported)
    const retry = vi.fn(() => 60_000)
    const { socket, heard, first } = open({ WebSocket: limited(), retry })
    socket.once('text', () => {
      socket.handover()
      socket.reconnect()
    })
    first.send('now')
    expect(made).toBe(2)
    expect(socket.state.name).toBe('waiting')
    expect(heard('error')).toEqual([])
    expect(retry).toHaveBeenCalledOnce()
    expect(reported).not.toHaveBeenCalled()
  })
})

test('there are no further attempts after retry has given up a handover', async () => {
  const { socket } = open({ retry: () => false })
  socket.handover()
  server.latest.refuse()
  vi.advanceTimersByTime(60_000)
  expect(server.attempts).toBe(2)
  expect(vi.getTimerCount()).toBe(0)
})

test('handover() rejects with the error of retry if that fails', async () => {
  const failed = vi.fn()
  const retry = () => {
    throw new Error('retry')
  }
  const { socket, heard } = open({ retry })
  socket.handover().catch(failed)
  server.latest.refuse()
  await settled()
  expect(failed).toHaveBeenCalledWith(expect.objectContaining({ code: 'RETRY_FAILED' }))
  expect(heard('error').map(({ code }) => code)).toEqual(['CONNECTION_REFUSED', 'RETRY_FAILED'])
  expect(socket.send('hello')).toBe('sent')
})

test('doubt about a connection that is being read and closed changes nothing', () => {
  const { socket, heard, first, page } = open()
  socket.handover()
  vi.advanceTimersByTime(200)
  server.latest.accept()
  page('wake')
  first.send('alive')
  closed()
  expect(server.attempts).toBe(2)
  expect(heard('open')).toEqual([expect.objectContaining({ seamless: true })])
  expect(heard('close')).toEqual([expect.objectContaining({ cause: expect.objectContaining(HANDOVER) })])
})

test('wake: reconnect connects again although retry would give up', () => {
  const { socket, page } = open({ handover: { wake: 'reconnect' }, retry: () => false })
  page('wake')
  vi.advanceTimersByTime(300)
  server.latest.accept()
  expect(server.attempts).toBe(2)
  expect(socket.state.name).toBe('open')
})

test('a page that is shown again sends the heartbeat, without a second connection', () => {
  const { socket, first, page } = open({ heartbeat: { interval: 120_000, message: 'ping' } })
  vi.stubGlobal('document', { visibilityState: 'hidden' })
  page('hidden')
  vi.advanceTimersByTime(60_000)
  vi.stubGlobal('document', { visibilityState: 'visible' })
  page('visible')
  expect(socket.send('hello')).toBe('queued')
  vi.advanceTimersByTime(1_000)
  expect(server.attempts).toBe(1)
  first.send('pong')
  expect(first.received).toEqual(['ping', 'hello'])
})
