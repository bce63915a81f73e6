import { describe, expect, test, vi } from 'vitest'
import { backoff, type PreparedConnection } from '../../src/index.ts'
import type { TestServer } from '../interop/ws.ts'
import { cleanup, onMessage, overEachWebSocket, proxied, start } from './rig.ts'

/** Makes the server accept `login TOKEN` and `subscribe TOPIC`, and echo other messages of clients that are logged in. */
const requireLogin = (server: TestServer) => {
  const loggedIn = new Set<number>()
  onMessage(server, (peer, data) => {
    const [word, argument] = String(data).split(' ')
    if (word === 'login' && argument === 'sesame') {
      loggedIn.add(peer.number)
      peer.send('welcome')
    } else if (word === 'login' || !loggedIn.has(peer.number)) peer.close(4401, 'who are you?')
    else if (word === 'subscribe') {
      peer.send(`${argument} 1`)
      peer.send(`${argument} 2`)
    } else peer.send(`echo ${data}`)
  })
}

const login = (token: string) => async (connection: PreparedConnection) => {
  connection.send(`login ${token}`)
  const reply = await connection.receive()
  if (reply !== 'welcome') throw new Error(`not welcome: ${reply}`)
  connection.send('subscribe news')
}

overEachWebSocket(connect => {
  describe('prepare', () => {
    test('authenticates and subscribes on every connection before anything else is sent', async () => {
      const server = await start()
      requireLogin(server)
      const { socket, log, events, until } = connect(`${server.url}/feed`, {
        prepare: login('sesame'),
        retry: () => 0,
      })
      socket.send('first')
      await until(() => events('text').length === 3)
      server.terminateAll()
      await until(() => events('close').length)
      socket.send('second')
      await until(() => events('text').length === 6)
      expect(server.received.map(({ connection, data }) => [connection, data])).toEqual([
        [1, 'login sesame'],
        [1, 'subscribe news'],
        [1, 'first'],
        [2, 'login sesame'],
        [2, 'subscribe news'],
        [2, 'second'],
      ])
      expect(events('text')).toEqual(['news 1', 'news 2', 'echo first', 'news 1', 'news 2', 'echo second'])
      const types = log.map(([type]) => type)
      expect(types.indexOf('open')).toBeLessThan(types.indexOf('text'))
    })

    test('leaves the messages that it does not receive to the listeners, after open and in order', async () => {
      const server = await start()
      onMessage(server, (peer, data) => {
        for (const text of ['welcome', 'news 1', 'news 2']) peer.send(text)
        peer.send(`after ${data}`)
      })
      const { log, events, until } = connect(`${server.url}/feed`, { prepare: login('sesame') })
      await until(() => events('text').includes('after subscribe news'))
      expect(log.map(([type, payload]) => (type === 'text' ? payload : type)).slice(0, 5)).toEqual([
        'state',
        'open',
        'news 1',
        'news 2',
        'after login sesame',
      ])
    })

    test('with a wrong token closes the socket permanently, with the close frame of the server', async () => {
      const server = await start()
      requireLogin(server)
      const { socket, events, in: inState } = connect(`${server.url}/feed`, { prepare: login('abracadabra') })
      socket.send('never')
      await inState('closed')
      const close = { code: 4401, reason: 'who are you?', wasClean: true }
      expect(socket.state).toMatchObject({ name: 'closed', cause: { close } })
      expect(events('error')).toMatchObject([{ close }])
      expect([events('open'), events('close')]).toEqual([[], []])
      expect(events('drop')).toEqual([{ data: 'never', reason: 'closed' }])
      expect(server.received.map(({ data }) => data)).toEqual(['login abracadabra'])
    })

    test('that rejects makes the attempt fail and closes the connection', async () => {
      const server = await start()
      requireLogin(server)
      let calls = 0
      const { events, until, natives } = connect(`${server.url}/feed`, {
        prepare: connection => {
          calls++
          if (calls < 3) throw new Error(`no ${calls}`)
          return login('sesame')(connection)
        },
        retry: () => 0,
      })
      await until(() => events('open').length)
      expect(events('error').map(({ code, cause }) => [code, String(cause)])).toEqual([
        ['PREPARE_FAILED', 'Error: no 1'],
        ['PREPARE_FAILED', 'Error: no 2'],
      ])
      expect(events('open')).toMatchObject([{ attempt: 2 }])
      await server.until(() => server.clients.length === 1)
      expect(natives).toHaveLength(3)
    })

    test('that waits for a reply that never arrives fails with CONNECT_TIMEOUT', async () => {
      const server = await start()
      const { events, in: inState } = connect(`${server.url}/sink`, {
        connectTimeout: 60,
        retry: backoff({ base: 1, spread: 1, attempts: 1 }),
        prepare: connection => connection.receive(),
      })
      await inState('closed')
      expect(events('error').map(({ code }) => code)).toEqual(['CONNECT_TIMEOUT', 'CONNECT_TIMEOUT'])
      expect(events('open')).toEqual([])
      await server.until(() => server.connections.length === 2 && server.clients.length === 0)
    })

    test('is interrupted by a reset and runs again on the next connection', async () => {
      const server = await start()
      const proxy = await proxied(server.port)
      onMessage(server, (peer, data) => {
        if (data !== 'login sesame') return
        if (peer.number === 1) proxy.reset()
        else peer.send('welcome')
      })
      const signals: AbortSignal[] = []
      const { events, until } = connect(proxy.url('/feed'), {
        retry: () => 0,
        prepare: connection => {
          signals.push(connection.signal)
          return login('sesame')(connection)
        },
      })
      await until(() => events('open').length)
      expect(events('error')).toMatchObject([{ close: { code: 1006 } }])
      expect(events('close')).toEqual([])
      expect(signals.map(({ aborted }) => aborted)).toEqual([true, false])
      expect(server.received.map(({ connection }) => connection).slice(0, 2)).toEqual([1, 2])
    })
  })

  describe('a token that is fetched for each attempt', () => {
    test('can be sent as a subprotocol', async () => {
      const server = await start()
      let issued = 0
      const { events, until } = connect(server.url, {
        protocols: async ({ attempt }) => [`token-${++issued}-${attempt}`],
        retry: () => 0,
      })
      await until(() => events('open').length === 1)
      server.terminateAll()
      await until(() => events('open').length === 2)
      expect(server.connections.map(({ protocol }) => protocol)).toEqual(['token-1-0', 'token-2-1'])
    })
  })

  test('errors thrown by listeners are reported, and the other listeners run as usual', async () => {
    const report = vi.fn()
    vi.stubGlobal('reportError', report)
    cleanup(() => vi.unstubAllGlobals())
    const server = await start()
    const proxy = await proxied(server.port)
    const { socket, events, until } = connect(proxy.url('/echo'), { retry: () => 0, connectTimeout: 500 })
    const types = ['state', 'open', 'text', 'binary', 'close', 'error', 'drop'] as const
    for (const type of types) {
      socket.on(type, () => {
        throw new Error(type)
      })
    }
    const later: string[] = []
    for (const type of types) socket.on(type, () => later.push(type))

    socket.send('1')
    socket.send(new Uint8Array(1))
    await until(() => events('binary').length)
    proxy.refuse(true)
    proxy.reset()
    await until(() => events('error').length > 1)
    socket.send('2')
    expect(socket.send('never', { signal: AbortSignal.abort() })).toBe('dropped')
    proxy.refuse(false)
    await until(() => events('text').length === 2)
    socket.close()
    await until(() => socket.state.name === 'closed')
    expect(events('text')).toEqual(['1', '2'])
    expect(new Set(later)).toEqual(new Set(types))
    expect(report.mock.calls.map(([error]) => error.message)).toEqual(later)
  })

  test('errors thrown by functions of the application are reported or become the cause of an error, and crash nothing', async () => {
    const report = vi.fn()
    vi.stubGlobal('reportError', report)
    cleanup(() => vi.unstubAllGlobals())
    const server = await start()
    const fail = () => {
      throw new Error('oops')
    }
    const { socket, events, until } = connect(server.url, {
      heartbeat: { interval: 20, timeout: 20, message: 'ping', isReply: fail },
      retry: fail,
    })
    await until(() => events('text').length >= 2)
    // On a busy machine there may be more by now.
    expect(new Set(events('text'))).toEqual(new Set(['ping']))
    expect(report).toHaveBeenCalledTimes(events('text').length)
    server.terminateAll()
    await until(() => socket.state.name === 'closed')
    expect(socket.state).toMatchObject({ cause: { code: 'RETRY_FAILED' } })
    expect(events('close')).toMatchObject([{ code: 1006, willRetry: false }])
  })
})
