import { describe, expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { createReliableServer, memoryStore } from '../../src/server.ts'
import { cleanUp } from '../support/cleanup.ts'
import { eventually } from '../support/eventually.ts'
import { dial, join, PROTOCOL, startNode } from './server-rig.ts'

cleanUp()

const from = (origin: string, more: object = {}) => ({ headers: { origin, ...more } })

describe('the origin check', () => {
  test.each([
    ['a page of its own host', 'same', true],
    ['a request without an origin, from a program', undefined, true],
    ['a page of another host', 'http://evil.example', false],
    ['a page of another port of its host', 'http://127.0.0.1:1', false],
    ['a sandboxed page', 'null', false],
    ['a page from a file', 'file://', false],
    ['an invalid origin', 'not an origin', false],
  ])('treats by default %s as documented', async (_, origin, welcome) => {
    const { url, port, server } = await startNode()
    const headers = origin === undefined ? {} : from(origin === 'same' ? `http://127.0.0.1:${port}` : origin)
    const peer = await dial(url, headers)
    if (welcome) return expect((await peer.get(({ event }) => event)).event).toBe('connected')
    expect(await peer.closed()).toEqual({ code: 1008, reason: 'this origin is not allowed' })
    expect(server.stats).toMatchObject({ refused: 1, created: 0 })
  })

  test('accepts another scheme, as behind a proxy that terminates TLS', async () => {
    const { url } = await startNode()
    const peer = await join(url, from('https://app.example.com', { host: 'app.example.com' }))
    expect(peer.id).toBeTruthy()
    const standard = await join(url, from('https://app.example.com', { host: 'app.example.com:443' }))
    expect(standard.id).toBeTruthy()
  })

  test.each([
    ['http://rebound.evil.example', false],
    ['http://app.example.com', false],
    ['http://app.example.com:8080', false],
    ['http://notlocalhost', false],
    ['http://127.0.0.1.evil.example', false],
    ['http://localhost:3000', true],
    ['http://app.localhost:3000', true],
    ['http://192.168.1.20', true],
    ['http://[::1]:3000', true],
    ['https://app.example.com:8443', true],
  ])(
    'of a page %s that connects to its own host is %j, because DNS and the network decide what http: pages are',
    async (origin, welcome) => {
      const { url } = await startNode()
      const peer = await dial(url, from(origin, { host: new URL(origin).host }))
      if (welcome) expect((await peer.get(({ event }) => event)).event).toBe('connected')
      else expect((await peer.closed()).code).toBe(1008)
    },
  )

  test('accepts an http: page that is listed', async () => {
    const { url } = await startNode({ origins: ['http://intranet'] })
    await join(url, from('http://intranet', { host: 'intranet' }))
  })

  test('accepts exactly the origins of a list', async () => {
    const { url } = await startNode({ origins: ['https://app.example.com'] })
    await join(url, from('https://app.example.com'))
    for (const origin of [
      'http://app.example.com',
      'https://app.example.com.evil.example',
      'https://evil-app.example.com',
      `http://${new URL(url).host}`,
    ]) {
      expect((await (await dial(url, from(origin))).closed()).code).toBe(1008)
    }
  })

  test('is replaced by a function', async () => {
    const asked: unknown[] = []
    const { url } = await startNode({
      origins: async (origin, request) => {
        asked.push([origin, request.url])
        return origin === 'https://a.example'
      },
    })
    await join(url, from('https://a.example'))
    expect((await (await dial(`${url}/x`)).closed()).code).toBe(1008)
    expect(asked).toEqual([
      ['https://a.example', '/'],
      [undefined, '/x'],
    ])
  })

  test('throws at once for a list with an invalid origin', async () => {
    const { wss } = await startNode()
    for (const origin of ['app.example.com', 'https://app.example.com/', '*', 'https://*.example.com']) {
      expect(() => createReliableServer(wss, { origins: [origin] })).toThrow(TypeError)
    }
  })

  test('also prevents foreign pages from resuming a session', async () => {
    const { url } = await startNode()
    const peer = await join(url)
    expect((await (await dial(peer.recovery, from('http://evil.example'))).closed()).code).toBe(1008)
    expect(peer.end).toBeUndefined()
  })
})

describe('authorize', () => {
  test('refuses the connection with false, and no session begins', async () => {
    const { url, server } = await startNode({ authorize: async () => false })
    expect(await (await dial(url)).closed()).toEqual({ code: 1008, reason: 'not authorized' })
    expect(server.stats).toMatchObject({ refused: 1, created: 0, connections: 0 })
  })

  test('admits a user without a name with true', async () => {
    const { url } = await startNode({ authorize: () => true })
    expect((await join(url)).frames[0]).not.toHaveProperty('userId')
  })

  test('does not refuse the client permanently if it fails', async () => {
    const { url, errors } = await startNode({ authorize: () => Promise.reject(new Error('database away')) })
    expect((await (await dial(url)).closed()).code).toBe(1011)
    expect(errors).toEqual([new Error('database away')])
  })

  test('may take long: frames that arrive meanwhile wait', async () => {
    let allow = (_: boolean) => {}
    const heard: unknown[] = []
    const { url } = await startNode({
      authorize: () =>
        new Promise<boolean>(resolve => {
          allow = resolve
        }),
      onMessage: ({ data }) => void heard.push(data),
    })
    const peer = await dial(url)
    peer.say('hasty', 1)
    await new Promise(resolve => peer.socket.ping(resolve))
    expect(heard).toEqual([])
    allow(true)
    await peer.ack(1)
    expect(peer.frames[0].event).toBe('connected')
    expect(heard).toEqual(['hasty'])
  })
})

describe('the subprotocol', () => {
  test('is required if there is no other connection listener', async () => {
    const { url } = await startNode()
    const plain = await dial(url, {}, [])
    const reason = `the subprotocol must be ${PROTOCOL} or protobuf.reliable.webpubsub.azure.v1`
    expect(await plain.closed()).toEqual({ code: 1002, reason })
  })

  test('leaves other clients to the connection listener of the application', async () => {
    const node = await startNode({ onMessage: () => {} })
    node.wss.on('connection', socket => {
      if (socket.protocol !== PROTOCOL) socket.send('"plain"')
    })
    const plain = new WebSocket(node.url)
    expect(String(await new Promise(resolve => plain.once('message', resolve)))).toBe('"plain"')
    plain.terminate()
    expect((await join(node.url)).id).toBeTruthy()
    expect(node.server.stats.connections).toBe(1)
  })

  test('is selected in addition to those that the application selects', async () => {
    const { url } = await startNode(
      {},
      { handleProtocols: (offered: Set<string>) => offered.has('chat') && 'chat' },
    )
    const protocol = async (...offered: string[]) => (await dial(url, {}, offered)).socket.protocol
    expect(await protocol('other', 'chat')).toBe('chat')
    expect(await protocol('chat', PROTOCOL)).toBe(PROTOCOL)
  })

  test('is no longer selected after close()', async () => {
    const handleProtocols = () => 'chat'
    const { wss, server } = await startNode({}, { handleProtocols })
    expect(wss.options.handleProtocols).not.toBe(handleProtocols)
    await server.close()
    expect(wss.options.handleProtocols).toBe(handleProtocols)
    // The one that gives every socket an 'error' listener stays.
    expect(wss.listenerCount('connection')).toBe(1)
    await server.close()
  })
})

describe('the application', () => {
  test('is notified of new and resumed sessions and of lost connections', async () => {
    const log: unknown[] = []
    const { url } = await startNode({
      onConnect: ({ id }, { resumed, request }) =>
        void log.push(['on', id, resumed, request.url?.slice(0, 2)]),
      onDisconnect: ({ id }, { code }) => void log.push(['off', id, code]),
    })
    const peer = await join(url)
    peer.socket.close(1000)
    await eventually(() => expect(log).toHaveLength(2))
    const back = await join(peer.recovery)
    back.socket.terminate()
    await eventually(() => expect(log).toHaveLength(4))
    expect(log).toEqual([
      ['on', peer.id, false, '/'],
      ['off', peer.id, 1000],
      ['on', peer.id, true, '/?'],
      ['off', peer.id, 1006],
    ])
  })

  test('may prepare a session before anything is read from it', async () => {
    const log: unknown[] = []
    const { url } = await startNode({
      onConnect: async session => {
        await new Promise(resolve => setImmediate(resolve))
        session.join('all')
        session.send('welcome')
        log.push('prepared')
      },
      onMessage: ({ data }) => void log.push(data),
    })
    const peer = await dial(url)
    peer.say('hello', 1)
    await peer.ack(1)
    expect(log).toEqual(['prepared', 'hello'])
    expect((await peer.got(1))[0].data).toBe('welcome')
  })

  test('ends the session if onConnect fails', async () => {
    const { url, errors } = await startNode({ onConnect: () => Promise.reject(new Error('no')) })
    expect((await (await dial(url)).closed()).code).toBe(1011)
    expect(errors).toEqual([new Error('no')])
  })

  test('may fail in onDisconnect and onError without consequences', async () => {
    const silence = vi.spyOn(console, 'error').mockImplementation(() => {})
    const { url } = await startNode({
      onDisconnect: () => {
        throw new Error('oops')
      },
      onError: () => {
        throw new Error('oops again')
      },
    })
    const peer = await join(url)
    peer.socket.terminate()
    await eventually(() => expect(silence).toHaveBeenCalledWith(new Error('oops again')))
    await join(peer.recovery)
  })

  test('gets an error for every invalid argument', async () => {
    const { url, server } = await startNode()
    const { id } = await join(url)
    for (const data of [undefined, () => {}, Symbol('x'), 1n]) {
      await expect(server.send(id, data)).rejects.toThrow(TypeError)
    }
    await expect(server.send(id, 'x', 'binary')).rejects.toThrow(TypeError)
    await expect(server.publish('', 'x')).rejects.toThrow(TypeError)
    await expect(server.publish('x'.repeat(1_025), 'x')).rejects.toThrow(TypeError)
    await expect(server.end(id, 1006)).rejects.toThrow(RangeError)
    await expect(server.end(id, 1000, 'é'.repeat(70))).rejects.toThrow(RangeError)
  })

  test('gets a TypeError for invalid limits', async () => {
    const { wss } = await startNode()
    const before = wss.listenerCount('connection')
    for (const limit of [
      { maxUnacknowledged: 0 },
      { sessionTimeout: -1 },
      { maxUnacknowledgedBytes: Number.NaN },
      { dedupeWindow: 1.5 },
      { maxMessageBytes: Infinity },
      { maxGroups: '3' as unknown as number },
    ]) {
      expect(() => createReliableServer(wss, limit)).toThrow(TypeError)
    }
    expect(wss.listenerCount('connection')).toBe(before)
  })

  test('may limit the number of sessions', async () => {
    const { url } = await startNode({ store: memoryStore({ maxSessions: 1 }) })
    await join(url)
    expect((await (await dial(url)).closed()).code).toBe(1013)
  })

  test('finds no token in statistics, errors and close reasons', async () => {
    const { url, server, errors } = await startNode({ onMessage: () => Promise.reject(new Error('x')) })
    const peer = await join(url)
    const back = await join(peer.recovery)
    back.say('x', 1)
    const answer = await back.ack(1)
    const replay = await dial(peer.recovery)
    const end = await replay.closed()
    const seen = JSON.stringify([server.stats, errors.map(String), answer, end, replay.frames])
    for (const { token } of [peer, back]) expect(seen).not.toContain(token)
  })
})
