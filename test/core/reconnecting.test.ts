import { describe, expect, test, vi } from 'vitest'
import type { AttemptContext, RetryContext } from '../../src/index.ts'
import { fresh, sent, server, settled, setup } from '../support/setup.ts'

fresh()

describe('a retry function', () => {
  test('receives the attempt, the cause, the uptime and the time elapsed', () => {
    const contexts: Omit<RetryContext, 'cause'>[] = []
    const { native } = setup({
      retry: ({ cause, ...rest }) => {
        contexts.push(rest)
        return 1_000
      },
    })
    vi.advanceTimersByTime(100)
    native().drop()
    vi.advanceTimersByTime(1_000)
    native().accept()
    vi.advanceTimersByTime(6_000)
    native().drop()
    vi.advanceTimersByTime(1_500)
    native().drop()
    const url = 'ws://page.test/feed'
    expect(contexts).toEqual([
      { attempt: 1, uptime: 0, elapsed: 100, url },
      { attempt: 1, uptime: 6_000, elapsed: 0, url },
      { attempt: 2, uptime: 0, elapsed: 1_500, url },
    ])
  })

  test('receives an uptime of 0 when the clock was set back while the connection was open', () => {
    const retry = vi.fn((_: RetryContext) => 1_000)
    setup({ retry }).native().accept()
    vi.setSystemTime(Date.now() - 60_000)
    server.latest.drop()
    expect(retry.mock.calls[0]?.[0]).toMatchObject({ attempt: 1, uptime: 0, elapsed: 0 })
  })

  test('that throws ends reconnecting, with its error as the cause', () => {
    const error = new Error('bug')
    const { socket, heard, native } = setup({
      retry: () => {
        throw error
      },
    })
    native().drop()
    expect(socket.state).toMatchObject({ name: 'closed', cause: { code: 'RETRY_FAILED', cause: error } })
    expect(heard('error').map(({ code }) => code)).toEqual(['CONNECTION_REFUSED', 'RETRY_FAILED'])
  })

  test.each([Number.NaN, -1, undefined, 'soon'])(
    'that returns %s ends reconnecting, with an error that says so',
    answer => {
      const { socket, native } = setup({ retry: () => answer as number })
      native().accept().drop()
      expect(socket.state).toMatchObject({ name: 'closed', cause: { code: 'RETRY_FAILED' } })
    },
  )

  test('that returns Infinity leaves the socket waiting until connect()', () => {
    const { socket, native } = setup({ retry: () => Infinity })
    native().drop()
    expect(socket.state).toMatchObject({ name: 'waiting', delay: Infinity, until: Infinity })
    expect(vi.getTimerCount()).toBe(0)
    socket.connect()
    expect(socket.state.name).toBe('connecting')
  })

  test('that returns a longer delay than a timer accepts causes an attempt after that delay', () => {
    const { socket, native } = setup({ retry: () => 2 ** 40 })
    native().drop()
    vi.advanceTimersByTime(1_000_000)
    expect(socket.state.name).toBe('waiting')
  })

  test('that is false ends reconnecting at the first loss', () => {
    const { socket, native } = setup({ retry: false })
    native().accept().drop()
    expect(socket.state).toMatchObject({ name: 'closed', cause: { code: 'CONNECTION_LOST' } })
  })

  test.each([1002, 1003, 1007, 1008, 1009, 1010, 3000, 3003, 4400, 4499])(
    'by default gives up after a close with %i',
    code => {
      const { socket, native } = setup()
      native().accept().close(code, 'why')
      expect(socket.state).toMatchObject({ name: 'closed', cause: { close: { code, reason: 'why' } } })
    },
  )

  test.each([1000, 1001, 1005, 1006, 1011, 1012, 1013, 3001, 4000, 4408, 4425, 4429, 4500])(
    'by default tries again after a close with %i',
    code => {
      const { socket, native } = setup()
      native().accept()[code === 1006 ? 'drop' : 'close'](code)
      expect(socket.state.name).toBe('waiting')
    },
  )

  test('by default obeys retry-after, and adds jitter', () => {
    const { socket, native } = setup()
    native().accept().close(1013, 'retry-after=60')
    expect(socket.state).toMatchObject({ name: 'waiting' })
    expect((socket.state as { delay: number }).delay).toBeGreaterThan(60_000)
    expect((socket.state as { delay: number }).delay).toBeLessThanOrEqual(73_000)
  })
})

describe('the connect timeout', () => {
  test('ends an attempt that hangs, and its native socket can no longer open the socket', () => {
    const { socket, heard, native } = setup({ connectTimeout: 8_000 })
    const hanging = native()
    vi.advanceTimersByTime(8_000)
    expect(heard('error')).toMatchObject([
      { code: 'CONNECT_TIMEOUT', message: 'CONNECT_TIMEOUT: 8000 ms, waiting for the handshake' },
    ])
    expect(hanging.socket.readyState).toBe(2)
    hanging.socket.dispatchEvent(new Event('open'))
    expect(socket.state.name).toBe('waiting')
  })

  test('doubles up to a minute while attempts exceed it, so that a slow handshake succeeds', () => {
    const { heard, native } = setup({ retry: () => 1 })
    for (const seconds of [10, 20, 40, 60, 60]) {
      const before = heard('error').length
      vi.advanceTimersByTime(seconds * 1_000 - 1)
      expect(heard('error')).toHaveLength(before)
      vi.advanceTimersByTime(1)
      expect(heard('error')).toHaveLength(before + 1)
      vi.advanceTimersByTime(1)
    }
    vi.advanceTimersByTime(55_000)
    native().accept().drop()
    vi.advanceTimersByTime(10_001)
    expect(heard('error')).toHaveLength(6)
  })

  test('never ends an attempt if it is Infinity', () => {
    const { socket } = setup({ connectTimeout: Infinity })
    expect(vi.getTimerCount()).toBe(0)
    expect(socket.state.name).toBe('connecting')
  })
})

describe('an endpoint function', () => {
  test('is called for each attempt with the attempt, the cause and a signal', async () => {
    const contexts: AttemptContext[] = []
    const { native } = setup({}, context => {
      contexts.push(context)
      return `/feed?try=${context.attempt}`
    })
    await settled()
    expect(native().socket.url).toBe('ws://page.test/feed?try=0')
    native().drop()
    await vi.advanceTimersByTimeAsync(1_000)
    expect(native().socket.url).toBe('ws://page.test/feed?try=1')
    expect(contexts).toMatchObject([
      { attempt: 0, cause: undefined },
      { attempt: 1, cause: { code: 'CONNECTION_REFUSED' } },
    ])
    expect(contexts.map(({ signal }) => signal.aborted)).toEqual([true, false])
  })

  test.each([
    [
      'throws',
      () => {
        throw new Error('no token')
      },
    ],
    ['rejects', () => Promise.reject(new Error('no token'))],
    ['rejects with something that is no Error', () => Promise.reject(undefined)],
    ['gives what the platform refuses', () => 'http://[malformed'],
  ])('that %s makes one attempt fail', async (_, endpoint) => {
    const { socket, heard } = setup({}, endpoint as () => string)
    await settled()
    expect(heard('error')).toMatchObject([{ code: 'ENDPOINT_FAILED' }])
    expect(socket.state).toMatchObject({ name: 'waiting', attempt: 1 })
    await vi.advanceTimersByTimeAsync(1_000)
    expect(heard('error')).toHaveLength(2)
  })

  test('that hangs runs into the connect timeout, and its late result is not used', async () => {
    let resolveUrl = (_: string) => {}
    let aborted = false
    const { heard } = setup({ retry: () => Infinity }, ({ signal }) => {
      signal.addEventListener('abort', () => {
        aborted = true
      })
      return new Promise<string>(resolve => {
        resolveUrl = resolve
      })
    })
    await vi.advanceTimersByTimeAsync(10_000)
    expect(heard('error')).toMatchObject([
      { code: 'CONNECT_TIMEOUT', message: 'CONNECT_TIMEOUT: 10000 ms, waiting for the endpoint' },
    ])
    expect(aborted).toBe(true)
    resolveUrl('/late')
    await settled()
    expect(server.attempts).toBe(0)
  })

  test('that is running is aborted by close()', async () => {
    const { socket } = setup({}, async () => '/feed')
    socket.close()
    await settled()
    expect(socket.state.name).toBe('closed')
    expect(server.attempts).toBe(0)
  })

  test('may be accompanied by a protocols function', async () => {
    let token = 0
    const { native } = setup({ protocols: async () => ['v1', `token.${++token}`] })
    await settled()
    expect(native().protocols).toEqual(['v1', 'token.1'])
    native().drop()
    await vi.advanceTimersByTimeAsync(1_000)
    expect(native().protocols).toEqual(['v1', 'token.2'])
  })

  test('may be replaced by a URL object', () => {
    const { native } = setup({}, new URL('wss://a.test/b'))
    expect(native().socket.url).toBe('wss://a.test/b')
  })
})

describe('prepare', () => {
  test('uses the connection alone before it is open', async () => {
    const { socket, log, heard, native } = setup({
      protocols: 'v1',
      prepare: async ({ send, receive, url, protocol }) => {
        send(`login ${url} ${protocol}`)
        expect(await receive()).toBe('welcome')
      },
    })
    socket.send('queued')
    native().accept('v1')
    await settled()
    expect(socket.state.name).toBe('connecting')
    expect(socket.send('also queued')).toBe('queued')
    expect(sent(native())).toEqual(['login ws://page.test/feed v1'])
    expect(log).toEqual([])
    native().send('welcome')
    native().send('first')
    native().send('second')
    await settled()
    expect(log.map(([type, payload]) => (type === 'text' ? payload : type))).toEqual([
      'state',
      'open',
      'first',
      'second',
    ])
    expect(sent(native()).slice(1)).toEqual(['queued', 'also queued'])
    native().send('third')
    expect(heard('text')).toEqual(['first', 'second', 'third'])
  })

  test('receives earlier messages in order', async () => {
    const taken: unknown[] = []
    const { heard, native } = setup({
      prepare: async ({ receive }) => {
        await new Promise(resolve => setTimeout(resolve, 100))
        taken.push(await receive(), await receive())
      },
    })
    native().accept()
    for (const text of ['a', 'b', 'c']) native().send(text)
    await vi.advanceTimersByTimeAsync(100)
    expect(taken).toEqual(['a', 'b'])
    expect(heard('text')).toEqual(['c'])
  })

  test.each([
    [
      'throws',
      () => {
        throw new Error('refused')
      },
    ],
    [
      'rejects',
      async () => {
        throw new Error('refused')
      },
    ],
  ])('that %s makes the attempt fail', async (_, prepare) => {
    const { socket, heard, native } = setup({ prepare })
    const first = native()
    first.accept()
    await settled()
    expect(heard('error')).toMatchObject([{ code: 'PREPARE_FAILED', cause: { message: 'refused' } }])
    expect(heard('close')).toEqual([])
    expect(first.socket.readyState).toBeGreaterThan(1)
    expect(socket.state).toMatchObject({ name: 'waiting', attempt: 1 })
  })

  test('that hangs runs into the connect timeout', async () => {
    const { heard, native } = setup({ prepare: () => new Promise(() => {}) })
    native().accept()
    await vi.advanceTimersByTimeAsync(10_000)
    expect(heard('error')).toMatchObject([
      { code: 'CONNECT_TIMEOUT', message: 'CONNECT_TIMEOUT: 10000 ms, waiting for prepare' },
    ])
  })

  test('ends when its connection closes: receive() rejects, and the close code decides', async () => {
    let ended: unknown
    const { socket, heard, native } = setup({
      prepare: async ({ send, receive, signal }) => {
        send('token')
        await receive().catch(() => {
          ended = signal.aborted
        })
      },
    })
    native().accept().close(4401, 'token expired')
    await settled()
    expect(ended).toBe(true)
    expect(heard('error')).toMatchObject([
      { code: 'CONNECTION_LOST', close: { code: 4401, reason: 'token expired' } },
    ])
    expect(socket.state.name).toBe('closed')
  })

  test('cannot take messages from listeners with a receive() that it did not await, nor is that rejected later', async () => {
    let rejected = false
    const { heard, native } = setup({
      prepare: ({ receive }) => {
        receive().catch(() => {
          rejected = true
        })
      },
    })
    native().accept()
    await settled()
    native().send('news')
    native().drop()
    await settled()
    expect(heard('text')).toEqual(['news'])
    expect(rejected).toBe(false)
  })

  test('runs on each new connection', async () => {
    const { native } = setup({ prepare: ({ send }) => send('subscribe') })
    for (let i = 0; i < 3; i++) {
      native().accept()
      await settled()
      expect(sent(native())).toEqual(['subscribe'])
      native().drop()
      await vi.advanceTimersByTimeAsync(20_000)
      native()
    }
  })

  test('gets a TypeError from its send() for data that no WebSocket can send', async () => {
    const { heard, native } = setup({ prepare: ({ send }) => send(1 as any) })
    native().accept()
    await settled()
    expect(heard('error')).toMatchObject([{ code: 'PREPARE_FAILED', cause: expect.any(TypeError) }])
  })
})
