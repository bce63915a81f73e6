import http from 'node:http'
import { describe, expect, test } from 'vitest'
import { backoff, SocketError } from '../../src/index.ts'
import { cleanup, lacksCloseEvent, overEachWebSocket, proxied, start, startTimer } from './rig.ts'

/** Options of `backoff` for the longest delays that it allows, divided by a hundred. */
const fastBackoff = { base: 10, max: 40, spread: 40, random: () => 1 }

overEachWebSocket((connect, WebSocket) => {
  describe.skipIf(lacksCloseEvent(WebSocket))('a handshake fails and is retried if it is', () => {
    test.each([200, 302, 400, 401, 403, 404, 429, 500, 503])('answered with HTTP %i', async status => {
      const server = await start()
      server.refuse(status)
      const { socket, natives, events, until } = connect(server.url, { retry: () => 5 })
      socket.send('kept')
      await until(() => events('error').length === 2)
      expect(socket.state).toMatchObject({
        cause: { code: 'CONNECTION_REFUSED', close: { code: 1006, reason: '', wasClean: false } },
      })
      server.refuse(false)
      await until(() => events('text').length)
      expect(events('text')).toEqual(['kept'])
      expect(events('error').every(error => error instanceof SocketError)).toBe(true)
      expect(events('close')).toEqual([])
      expect(events('open')).toMatchObject([{ attempt: events('error').length, reconnected: false }])
      expect(natives).toHaveLength(socket.stats.attempts)
    })

    test('answered with an invalid response', async () => {
      const server = await start()
      const {
        socket,
        events,
        in: inState,
      } = connect(`${server.url}/garbage`, {
        retry: backoff({ ...fastBackoff, attempts: 3 }),
      })
      await inState('closed')
      expect(events('error').map(({ code }) => code)).toEqual(Array(4).fill('CONNECTION_REFUSED'))
      expect(server.handshakes).toBe(4)
      expect(socket.state).toMatchObject({ name: 'closed', cause: { code: 'CONNECTION_REFUSED' } })
    })

    test('refused by a closed port, until the port opens', async () => {
      const server = await start()
      const proxy = await proxied(server.port)
      await proxy.listen(false)
      const { socket, events, until } = connect(proxy.url(), { retry: () => 5 })
      for (const text of ['a', 'b', 'c']) expect(socket.send(text)).toBe('queued')
      await until(() => events('error').length === 3)
      expect(proxy.count).toBe(0)
      await proxy.listen(true)
      await until(() => events('text').length === 3)
      expect(events('text')).toEqual(['a', 'b', 'c'])
    })

    test('reset as soon as it was accepted', async () => {
      const server = await start()
      const proxy = await proxied(server.port)
      proxy.refuse(true)
      const { events, until } = connect(proxy.url(), { retry: () => 5 })
      await until(() => events('error').length === 3)
      proxy.refuse(false)
      await until(() => events('open').length)
      expect(server.handshakes).toBe(1)
    })

    test('answered without the subprotocol that the client offered', async () => {
      const server = await start({ protocols: ['v2'] })
      const { socket, events, in: inState } = connect(server.url, { protocols: ['v1'], retry: false })
      await inState('closed')
      expect(events('error')).toMatchObject([{ code: 'CONNECTION_REFUSED' }])
      expect(socket.protocol).toBe('')
    })

    test('refused repeatedly, with delays that grow as the policy says', async () => {
      const server = await start()
      server.refuse(503)
      const { events, in: inState } = connect(server.url, {
        retry: backoff({ ...fastBackoff, attempts: 4 }),
      })
      await inState('closed')
      const waits = events('state').map(state => (state.name === 'waiting' ? state.delay : state.name))
      expect(waits).toEqual([
        10,
        'connecting',
        20,
        'connecting',
        40,
        'connecting',
        40,
        'connecting',
        'closed',
      ])
    })
  })

  test('delays grow while a server accepts connections and drops them at once', async () => {
    const server = await start()
    const {
      socket,
      events,
      in: inState,
    } = connect(`${server.url}/drop`, {
      retry: backoff({ ...fastBackoff, attempts: 5 }),
    })
    await inState('closed')
    expect(events('close').map(({ delay }) => delay)).toEqual([10, 20, 40, 40, 40, undefined])
    expect(events('close').map(({ willRetry }) => willRetry)).toEqual([true, true, true, true, true, false])
    expect(events('open').map(({ attempt }) => attempt)).toEqual([0, 1, 2, 3, 4, 5])
    expect(events('error')).toEqual([])
    expect([server.handshakes, socket.stats.connections]).toEqual([6, 6])
    expect(socket.state).toMatchObject({ cause: { code: 'CONNECTION_LOST', close: { code: 1006 } } })
  })

  test('the default retry policy doubles its delays while a server drops connections at once', async () => {
    const server = await start()
    const { events, until } = connect(`${server.url}/drop`, { retry: backoff({ random: () => 0.01 }) })
    await until(() => events('close').length === 3)
    const [first = 0, second, third] = events('close').map(({ delay }) => delay)
    expect(first).toBeGreaterThan(5)
    expect(second).toBe(2 * first)
    expect(third).toBeGreaterThan(2 * first)
  })

  describe('a handshake that hangs', () => {
    test.each([
      ['at the server', '/hang', false],
      ['on the network', '/', true],
    ])(
      '%s fails with CONNECT_TIMEOUT, and each attempt has twice the time of the one before',
      async (_, path, hang) => {
        const server = await start()
        const proxy = await proxied(server.port)
        proxy.hang(hang)
        const began = performance.now()
        const { socket, natives, events, until } = connect(proxy.url(path), {
          connectTimeout: 50,
          retry: backoff({ ...fastBackoff, attempts: 2 }),
        })
        await until(() => socket.state.name === 'closed')
        expect(performance.now() - began).toBeGreaterThan(50 + 100 + 200)
        expect(
          events('error').map(({ code, close, message }) => [code, close, /\d+/.exec(message)?.[0]]),
        ).toEqual([
          ['CONNECT_TIMEOUT', undefined, '50'],
          ['CONNECT_TIMEOUT', undefined, '100'],
          ['CONNECT_TIMEOUT', undefined, '200'],
        ])
        expect(natives).toHaveLength(3)
        expect(events('close')).toEqual([])
        expect(socket.state).toMatchObject({ name: 'closed', cause: { code: 'CONNECT_TIMEOUT' } })
      },
    )

    test('and was abandoned has no effect when it succeeds later', async () => {
      const server = await start()
      const proxy = await proxied(server.port)
      proxy.hang(true)
      const { socket, events, until } = connect(proxy.url(), { connectTimeout: 100, retry: () => 0 })
      await proxy.accepted(1)
      const [first] = proxy.connections
      proxy.hang(false)
      await until(() => events('open').length)
      first?.thaw()
      await first?.closed
      socket.send('only once')
      await until(() => events('text').length)
      expect(events('open')).toHaveLength(1)
      expect(server.clients).toHaveLength(1)
      expect(server.received.map(({ data }) => data)).toEqual(['only once'])
    })

    test('for a while succeeds eventually, because each attempt has more time', async () => {
      const server = await start()
      server.slowHandshake(300)
      const { socket, events, until } = connect(server.url, { connectTimeout: 100, retry: () => 0 })
      socket.send('kept')
      await until(() => events('text').length)
      expect(events('error').every(({ code }) => code === 'CONNECT_TIMEOUT')).toBe(true)
      expect(events('open')).toMatchObject([{ attempt: events('error').length }])
      expect(events('error').length).toBeGreaterThanOrEqual(2)
      expect(events('text')).toEqual(['kept'])
    })

    test('does not delay close()', async () => {
      const server = await start()
      const { socket, events } = connect(`${server.url}/hang`)
      await server.until(() => server.handshakes === 1)
      socket.close()
      expect(socket.state).toMatchObject({ name: 'closed', cause: { code: 'CLOSED' } })
      expect(events('close')).toEqual([])
    })
  })

  test('an endpoint function is called for each attempt, and may fetch a token', async () => {
    let issued = 0
    const issuer = http.createServer((_, response) => response.end(`token-${++issued}`))
    await new Promise<void>(resolve => issuer.listen(0, '127.0.0.1', resolve))
    cleanup(() => issuer.close())
    const { port } = issuer.address() as { port: number }
    const server = await start()
    const { events, until } = connect(
      async ({ signal }) => {
        const response = await fetch(`http://127.0.0.1:${port}/`, { signal })
        return `${server.url}/echo?token=${await response.text()}`
      },
      { retry: () => 0 },
    )
    for (const n of [1, 2, 3]) {
      await until(() => events('open').length === n)
      server.terminateAll()
    }
    await until(() => events('open').length === 4)
    expect(server.connections.map(({ query }) => query.get('token'))).toEqual([
      'token-1',
      'token-2',
      'token-3',
      'token-4',
    ])
    expect(events('open').map(({ url }) => url.slice(-7))).toEqual([
      'token-1',
      'token-2',
      'token-3',
      'token-4',
    ])
  })

  test('a token that cannot be fetched fails the attempt, and a token that takes too long is aborted', async () => {
    const server = await start()
    let onAbort = () => {}
    const aborted = new Promise<void>(resolve => {
      onAbort = resolve
    })
    let answer = (response: http.ServerResponse): unknown => response.destroy()
    const issuer = http.createServer((_, response) => answer(response))
    await new Promise<void>(resolve => issuer.listen(0, '127.0.0.1', resolve))
    cleanup(() => {
      issuer.close()
      issuer.closeAllConnections()
    })
    const { port } = issuer.address() as { port: number }
    const { events, until } = connect(
      async ({ signal }) => {
        const response = await fetch(`http://127.0.0.1:${port}/`, { signal })
        return `${server.url}/?${await response.text()}`
      },
      { retry: () => 5, connectTimeout: 100 },
    )
    await until(() => events('error').length === 2)
    expect(events('error')).toMatchObject([{ code: 'ENDPOINT_FAILED' }, { code: 'ENDPOINT_FAILED' }])
    expect(events('error')[0]?.cause).toBeInstanceOf(TypeError)

    answer = response => response.on('close', onAbort)
    await until(() => events('error').at(-1)?.code === 'CONNECT_TIMEOUT')
    answer = response => response.end('token')
    await aborted
    await until(() => events('open').length)
    expect(server.connections[0]?.query.has('token')).toBe(true)
    expect(server.handshakes).toBe(1)
  })

  test('a server that never answers the closing handshake is abandoned after closeTimeout', async () => {
    const server = await start()
    const { socket, events, until, in: inState } = connect(`${server.url}/silent`, { closeTimeout: 100 })
    await until(() => events('open').length)
    const began = performance.now()
    const late = startTimer(2_000)
    socket.close(4000, 'bye')
    expect(socket.state).toMatchObject({ name: 'closing', code: 4000, reason: 'bye' })
    await inState('closed')
    expect(performance.now() - began).toBeGreaterThan(95)
    expect(late()).toBe(false)
    expect(events('close')).toMatchObject([{ code: 1006, wasClean: false, willRetry: false }])
    expect(socket.state).toMatchObject({ name: 'closed', cause: { code: 'CLOSED' } })
  })
})
