import { describe, expect, test, vi } from 'vitest'
import { backoff, type PreparedConnection } from '../../src/index.ts'
import type { TestServer } from '../interop/ws.ts'
import { answer, atEnd, overEach, proxied, start } from './rig.ts'

/** Speaks `login TOKEN`, `subscribe TOPIC`, and echoes the rest to those who are logged in. */
const guarded = (server: TestServer) => {
  const known = new Set<number>()
  answer(server, (peer, data) => {
    const [word, argument] = String(data).split(' ')
    if (word === 'login' && argument === 'sesame') {
      known.add(peer.number)
      peer.send('welcome')
    } else if (word === 'login' || !known.has(peer.number)) peer.close(4401, 'who are you?')
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

overEach(connect => {
  describe('prepare', () => {
    test('authenticates and subscribes on every connection before anything else is sent', async () => {
      const server = await start()
      guarded(server)
      const { socket, log, heard, until } = connect(`${server.url}/feed`, {
        prepare: login('sesame'),
        retry: () => 0,
      })
      socket.send('first')
      await until(() => heard('text').length === 3)
      server.terminateAll()
      await until(() => heard('close').length)
      socket.send('second')
      await until(() => heard('text').length === 6)
      expect(server.received.map(({ connection, data }) => [connection, data])).toEqual([
        [1, 'login sesame'],
        [1, 'subscribe news'],
        [1, 'first'],
        [2, 'login sesame'],
        [2, 'subscribe news'],
        [2, 'second'],
      ])
      expect(heard('text')).toEqual(['news 1', 'news 2', 'echo first', 'news 1', 'news 2', 'echo second'])
      const types = log.map(([type]) => type)
      expect(types.indexOf('open')).toBeLessThan(types.indexOf('text'))
    })

    test('leaves the messages that it does not receive to the listeners, after open and in order', async () => {
      const server = await start()
      answer(server, (peer, data) => {
        for (const text of ['welcome', 'news 1', 'news 2']) peer.send(text)
        peer.send(`after ${data}`)
      })
      const { log, heard, until } = connect(`${server.url}/feed`, { prepare: login('sesame') })
      await until(() => heard('text').includes('after subscribe news'))
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
      guarded(server)
      const { socket, heard, in: inState } = connect(`${server.url}/feed`, { prepare: login('abracadabra') })
      socket.send('never')
      await inState('closed')
      const close = { code: 4401, reason: 'who are you?', wasClean: true }
      expect(socket.state).toMatchObject({ name: 'closed', cause: { close } })
      expect(heard('error')).toMatchObject([{ close }])
      expect([heard('open'), heard('close')]).toEqual([[], []])
      expect(heard('drop')).toEqual([{ data: 'never', reason: 'closed' }])
      expect(server.received.map(({ data }) => data)).toEqual(['login abracadabra'])
    })

    test('that rejects makes the attempt fail and closes the connection', async () => {
      const server = await start()
      guarded(server)
      let asked = 0
      const { heard, until, natives } = connect(`${server.url}/feed`, {
        prepare: connection => {
          asked++
          if (asked < 3) throw new Error(`no ${asked}`)
          return login('sesame')(connection)
        },
        retry: () => 0,
      })
      await until(() => heard('open').length)
      expect(heard('error').map(({ code, cause }) => [code, String(cause)])).toEqual([
        ['PREPARE_FAILED', 'Error: no 1'],
        ['PREPARE_FAILED', 'Error: no 2'],
      ])
      expect(heard('open')).toMatchObject([{ attempt: 2 }])
      await server.until(() => server.clients.length === 1)
      expect(natives).toHaveLength(3)
    })

    test('that waits for an answer that never comes runs into connectTimeout', async () => {
      const server = await start()
      const { heard, in: inState } = connect(`${server.url}/sink`, {
        connectTimeout: 60,
        retry: backoff({ base: 1, spread: 1, attempts: 1 }),
        prepare: connection => connection.receive(),
      })
      await inState('closed')
      expect(heard('error').map(({ code }) => code)).toEqual(['CONNECT_TIMEOUT', 'CONNECT_TIMEOUT'])
      expect(heard('open')).toEqual([])
      await server.until(() => server.connections.length === 2 && server.clients.length === 0)
    })

    test('is interrupted by a reset and runs again on the next connection', async () => {
      const server = await start()
      const proxy = await proxied(server.port)
      answer(server, (peer, data) => {
        if (data !== 'login sesame') return
        if (peer.number === 1) proxy.reset()
        else peer.send('welcome')
      })
      const signals: AbortSignal[] = []
      const { heard, until } = connect(proxy.url('/feed'), {
        retry: () => 0,
        prepare: connection => {
          signals.push(connection.signal)
          return login('sesame')(connection)
        },
      })
      await until(() => heard('open').length)
      expect(heard('error')).toMatchObject([{ close: { code: 1006 } }])
      expect(heard('close')).toEqual([])
      expect(signals.map(({ aborted }) => aborted)).toEqual([true, false])
      expect(server.received.map(({ connection }) => connection).slice(0, 2)).toEqual([1, 2])
    })
  })

  describe('a token that is fetched for each attempt', () => {
    test('can be sent as a subprotocol', async () => {
      const server = await start()
      let issued = 0
      const { heard, until } = connect(server.url, {
        protocols: async ({ attempt }) => [`token-${++issued}-${attempt}`],
        retry: () => 0,
      })
      await until(() => heard('open').length === 1)
      server.terminateAll()
      await until(() => heard('open').length === 2)
      expect(server.connections.map(({ protocol }) => protocol)).toEqual(['token-1-0', 'token-2-1'])
    })
  })

  test('listeners that throw are reported and stop nothing', async () => {
    const report = vi.fn()
    vi.stubGlobal('reportError', report)
    atEnd(() => vi.unstubAllGlobals())
    const server = await start()
    const proxy = await proxied(server.port)
    const { socket, heard, until } = connect(proxy.url('/echo'), { retry: () => 0, connectTimeout: 500 })
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
    await until(() => heard('binary').length)
    proxy.refuse(true)
    proxy.reset()
    await until(() => heard('error').length > 1)
    socket.send('2')
    expect(socket.send('never', { signal: AbortSignal.abort() })).toBe('dropped')
    proxy.refuse(false)
    await until(() => heard('text').length === 2)
    socket.close()
    await until(() => socket.state.name === 'closed')
    expect(heard('text')).toEqual(['1', '2'])
    expect(new Set(later)).toEqual(new Set(types))
    expect(report.mock.calls.map(([error]) => error.message)).toEqual(later)
  })

  test('functions of the application that throw are reported, or become the cause of an error, and crash nothing', async () => {
    const report = vi.fn()
    vi.stubGlobal('reportError', report)
    atEnd(() => vi.unstubAllGlobals())
    const server = await start()
    const fail = () => {
      throw new Error('oops')
    }
    const { socket, heard, until } = connect(server.url, {
      heartbeat: { interval: 20, timeout: 20, message: 'ping', isReply: fail },
      retry: fail,
    })
    await until(() => heard('text').length >= 2)
    // On a busy machine there may be more by now.
    expect(new Set(heard('text'))).toEqual(new Set(['ping']))
    expect(report).toHaveBeenCalledTimes(heard('text').length)
    server.terminateAll()
    await until(() => socket.state.name === 'closed')
    expect(socket.state).toMatchObject({ cause: { code: 'RETRY_FAILED' } })
    expect(heard('close')).toMatchObject([{ code: 1006, willRetry: false }])
  })
})
