import { describe, expect, test, vi } from 'vitest'
import { assemble, delivery, heartbeat, prepare } from '../../src/core.ts'
import type { createSocket } from '../../src/index.ts'
import { createReliableSocket, type ReliableMessage, reliableSocketOver } from '../../src/reliable.ts'
import { createFakeServer } from '../../src/testing.ts'
import { frames, fresh, settled, world } from './world.ts'

fresh()

const idle = { autoConnect: false, WebSocket: createFakeServer().WebSocket } as const

describe('listeners of a reliable socket', () => {
  test('a listener is added once, can be removed, and with once runs once', async () => {
    const { socket, server, session } = world()
    const story: string[] = []
    const listener = ({ data }: ReliableMessage) => story.push(`always ${data}`)
    const stop = socket.on('message', listener)
    socket.on('message', listener)
    socket.once('message', ({ data }) => story.push(`once ${data}`))
    socket.on('message', ({ data }) => story.push(`option ${data}`), { once: true })
    await server.connect()
    server.send(session(), 1)
    server.send(session(), 2)
    await server.exchange()
    stop()
    server.send(session(), 3)
    await server.exchange()
    socket.on('message', listener)
    socket.off('message', listener)
    server.send(session(), 4)
    await server.exchange()
    expect(story).toEqual(['always 1', 'once 1', 'option 1', 'always 2'])
  })

  test('a listener is removed when its signal is aborted, and not added with an aborted one', async () => {
    const { socket, server, session } = world()
    const leave = new AbortController()
    const heard: number[] = []
    socket.on('message', ({ id }) => heard.push(id), { signal: leave.signal })
    socket.on('message', () => heard.push(Number.NaN), { signal: AbortSignal.abort() })
    await server.connect()
    server.send(session(), 1)
    await server.exchange()
    leave.abort()
    server.send(session(), 2)
    await server.exchange()
    expect(heard).toEqual([1])
  })

  test('removing a listener removes its own listener from the signal', () => {
    const { signal } = new AbortController()
    const remove = vi.spyOn(signal, 'removeEventListener')
    const { socket } = world()
    socket.on('message', () => {}, { signal })()
    expect(remove).toHaveBeenCalledTimes(1)
  })

  test('a listener that an earlier one removes is skipped, and one that it adds runs from the next event on', async () => {
    const { socket, server, session } = world()
    const story: string[] = []
    const second = () => story.push('second')
    socket.on('message', () => {
      socket.off('message', second)
      socket.on('message', third)
    })
    const third = () => story.push('third')
    socket.on('message', second)
    await server.connect()
    server.send(session(), 1)
    await server.exchange()
    expect(story).toEqual([])
    server.send(session(), 2)
    await server.exchange()
    expect(story).toEqual(['third'])
  })

  test('all listeners run before the events that one of them causes', async () => {
    const { socket, server, session, heard, log } = world({ queue: { maxMessages: 0 } })
    const story: string[] = []
    socket.on('message', () => {
      // The peer sends a close frame, and does not receive the answer.
      server.latest.freeze('up').close(1012)
      socket.send('overflows')
    })
    socket.on('message', () => story.push('message'))
    socket.on('drop', () => story.push('drop'))
    await server.connect()
    server.send(session(), 1)
    await server.deliver()
    expect(story).toEqual(['message', 'drop'])
    expect(heard('drop')).toHaveLength(1)
    expect(log.at(-1)?.[0]).toBe('drop')
  })

  test('on() and off() reject unknown events, and on() rejects listeners that are not functions', () => {
    const { socket } = world()
    for (const type of ['text', 'toString', '__proto__']) {
      expect(() => socket.on(type as any, () => {})).toThrow(TypeError)
    }
    expect(() => socket.on('message', undefined as any)).toThrow(TypeError)
    expect(() => socket.off('text' as any, () => {})).toThrow(TypeError)
  })
})

describe('tokens of a reliable socket', () => {
  const secret = /secret|hunter2/

  test('tokens do not appear in events, states, stats or properties', async () => {
    const { socket, server, log } = world({}, { endpoint: 'wss://push.test/feed?access_token=hunter2' })
    await server.connect()
    server.wire.peer.drop()
    await server.reconnect()
    expect(server.latest.socket.url).toMatch(secret)
    const seen: unknown[] = []
    const walk = (value: unknown) => {
      if (typeof value === 'string') expect(value).not.toMatch(secret)
      if (typeof value !== 'object' || value === null || seen.includes(value)) return
      seen.push(value)
      for (const key of Reflect.ownKeys(value)) walk((value as any)[key])
    }
    walk([log, socket.state, socket.stats])
    walk(Object.entries(Object.getOwnPropertyDescriptors(socket)))
    expect(Object.keys(socket.state)).toEqual(['name', 'attempt', 'since', 'protocol'])
  })

  test.each([
    'wss://hunter2 no url:99999/',
    'ftp://hunter2.test/',
    'wss://push.test/?hunter2#part',
    'wss://',
  ])('tokens do not appear in the error for the malformed URL %s', async url => {
    let thrown: any
    try {
      createReliableSocket(url, idle)
    } catch (error) {
      thrown = error
    }
    expect(thrown).toBeInstanceOf(DOMException)
    expect(thrown.name).toBe('SyntaxError')
    expect(thrown.message).not.toMatch(secret)
    const { heard } = world({}, { endpoint: () => url })
    await settled()
    const [error] = heard('error')
    expect(error).toMatchObject({ code: 'ENDPOINT_FAILED', cause: { name: 'SyntaxError' } })
    expect(`${error.stack} ${error.cause.stack} ${JSON.stringify(error.cause)}`).not.toMatch(secret)
  })

  test('a missing endpoint throws a SyntaxError, instead of connecting to /undefined', () => {
    for (const endpoint of [undefined, null]) {
      vi.stubGlobal('location', { href: 'https://page.test/' })
      expect(() => createReliableSocket(endpoint as never)).toThrow(/not the URL of a WebSocket/)
    }
  })

  test('tokens do not appear in the error for a malformed first frame', async () => {
    const { server, heard } = world()
    await settled()
    server.latest.accept().send('{"type":"system","event":"connected","reconnectionToken":"secret1"')
    await settled()
    const [error] = heard('error')
    expect(error.code).toBe('PREPARE_FAILED')
    expect(`${error.stack} ${error.cause.stack}`).not.toMatch(secret)
  })
})

describe('a reliable socket', () => {
  test('a reliable socket shows its state, its connectionId and its stats', async () => {
    const { socket, server, heard } = world()
    expect(socket.state.name).toBe('connecting')
    expect(socket.connectionId).toBe(undefined)
    await server.connect()
    expect(socket.connectionId).toBe('session1')
    expect(socket.state).toBe(heard('state').at(-1))
    expect(socket.stats).toMatchObject({ attempts: 1, connections: 1, inFlight: 0, lastSequenceId: 0 })
    expect(heard('open')).toEqual([{ attempt: 0, reconnected: false, seamless: false, resumed: false }])
    socket.reconnect()
    expect(heard('close')).toMatchObject([{ code: 1006, cause: { code: 'RECONNECT_REQUESTED' } }])
  })

  test('autoConnect: false waits for connect()', async () => {
    const { socket } = world({ autoConnect: false })
    const sent = socket.send('x')
    expect(socket.state).toEqual({ name: 'closed' })
    expect(socket.stats.queued).toBe(1)
    socket.connect()
    expect(socket.state.name).toBe('connecting')
    socket.close()
    expect(await sent).toEqual({ status: 'dropped', reason: 'closed' })
  })

  test.each([
    ['protocols', 'other'],
    ['highWaterMark', 0],
    ['prepare', () => Promise.reject()],
    ['binaryType', 'blob'],
  ])('rejects the option %s, which the protocol of sessions sets', (name, value) => {
    const make = () => createReliableSocket('wss://push.example.com/', { ...idle, [name]: value })
    expect(make).toThrow(TypeError)
    expect(make).toThrow(`createReliableSocket has no option '${name}'`)
    expect(() =>
      createReliableSocket('wss://push.example.com/', { ...idle, [name]: undefined }),
    ).not.toThrow()
  })

  test.each(['message', 'isReply'])(
    'rejects the option %s of the heartbeat, whose message is a frame',
    name => {
      const heartbeat = { interval: 5_000, [name]: 'ping' }
      expect(() => createReliableSocket('wss://push.example.com/', { ...idle, heartbeat })).toThrow(
        new TypeError(`heartbeat has no option '${name}', only interval and timeout`),
      )
    },
  )

  test.each(['garbage', '{"last":'])('rejects as `saved` the text %s, which save() never returns', saved => {
    const make = () => createReliableSocket('wss://push.example.com/', { ...idle, saved })
    expect(make).toThrow(new TypeError('saved must be the text that save() returned'))
  })

  test('methods do not depend on this', async () => {
    const { socket, server, session } = world()
    const { send, publish, join, leave, on, once, off, close } = socket
    await server.connect()
    const list = [send(1), publish('a', 1), join('a'), leave('a')]
    await server.exchange()
    expect(await Promise.all(list)).toEqual(list.map(() => ({ status: 'delivered' })))
    const heard: unknown[] = []
    const listener = (message: unknown) => heard.push(message)
    on('message', listener)
    once('gap', listener)
    off('message', listener)
    server.send(session(), 1)
    await server.exchange()
    expect(heard).toEqual([])
    close()
    expect(socket.state.name).toBe('closing')
  })
})

describe('a reliable socket over a core of parts', () => {
  test('a core without the part heartbeat delivers once and in order through an outage', async () => {
    const create = reliableSocketOver(assemble({ delivery, prepare }))
    const { socket, server, session, heard } = world({}, { create })
    const { peer } = await server.connect()
    await vi.advanceTimersByTimeAsync(600_000)
    expect(frames(peer)).toEqual([])
    const first = socket.send('first')
    server.read()
    peer.drop()
    const second = socket.send('second')
    server.send(session(), 1)
    await server.reconnect()
    await server.exchange()
    expect(await Promise.all([first, second])).toEqual([{ status: 'delivered' }, { status: 'delivered' }])
    expect(session().processed.map(({ data }) => data)).toEqual(['first', 'second'])
    expect(heard('message')).toMatchObject([{ id: 1 }])
  })

  test('a core with the part heartbeat sends pings', async () => {
    const { server } = world({}, { create: reliableSocketOver(assemble({ delivery, heartbeat, prepare })) })
    const { peer } = await server.connect()
    await vi.advanceTimersByTimeAsync(25_000)
    expect(frames(peer)).toEqual([{ type: 'ping' }])
  })

  test('a core without the part heartbeat accepts heartbeat: false and rejects heartbeat options', () => {
    const create = reliableSocketOver(assemble({ delivery, prepare }))
    expect(() => create('wss://push.test/', { ...idle, heartbeat: false })).not.toThrow()
    expect(() => create('wss://push.test/', { ...idle, heartbeat: {} })).toThrow(
      /heartbeat.*steadysocket\/core/,
    )
    const none = assemble() as unknown as typeof createSocket
    expect(() => reliableSocketOver(none)('wss://push.test/', idle)).toThrow(/steadysocket\/core/)
  })
})
