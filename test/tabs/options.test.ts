import { describe, expect, test } from 'vitest'
import { createTabsSocket } from '../../src/tabs.ts'
import { createWorld, fresh, settle } from './world.ts'

fresh()

const url = 'wss://push.test/feed'

describe('createTabsSocket() throws a TypeError for', () => {
  test.each([
    ['an unknown option', { retries: 3 }, "createTabsSocket has no option 'retries'"],
    ['an unknown option of a heartbeat', { heartbeat: { intervall: 1 } }, "Did you mean 'interval'?"],
    ['a negative number', { minUptime: -1 }, 'minUptime must be a number'],
    [
      'a retry function',
      { retry: () => 0 },
      'retry must be the options of backoff() without random, or false',
    ],
    ['unknown options of backoff()', { retry: { bas: 1 } }, 'bas'],
    ['a heartbeat message that is a function', { heartbeat: { message: () => 'ping' } }, 'heartbeat.message'],
    ['a filter that is not a function', { filter: 'chat' }, 'filter must be a function'],
    [
      'a negative limit of replay',
      { replay: { maxMessages: -1 } },
      'replay.maxMessages must be a number, at least 0',
    ],
    ['a limit of replay that is a string', { replay: { maxBytes: 'x' } }, 'replay.maxBytes must be a number'],
    ['a limit of replay that is NaN', { replay: { maxBytes: NaN } }, 'replay.maxBytes must be a number'],
    ['unknown limits of replay', { replay: { messages: 3 } }, "replay has no option 'messages'"],
    ['a user that is not a string', { user: 7 }, 'user must be a string'],
  ])('%s', (_, options: any, message) => {
    expect(() => createTabsSocket(url, options)).toThrow(message)
    expect(() => createTabsSocket(url, options)).toThrow(TypeError)
  })

  test('an endpoint function without a key', () => {
    expect(() => createTabsSocket(() => url)).toThrow('An endpoint that is a function needs the option key')
  })

  test('a malformed endpoint', () => {
    expect(() => createTabsSocket('not a url')).toThrow()
  })
})

describe('send() of a tab', () => {
  test('throws for data that a WebSocket cannot send, and for unknown options', async () => {
    const [, { socket }] = await createWorld().tabs(2)
    expect(() => socket.send({} as any)).toThrow(TypeError)
    expect(() => socket.send('a', { tll: 3 } as any)).toThrow("Did you mean 'ttl'?")
    expect(socket.queued).toBe(0)
  })

  test('copies binary data', async () => {
    const [one, { socket }] = await createWorld().tabs(2)
    const bytes = Uint8Array.of(1, 2, 3)
    socket.send(bytes.subarray(1))
    bytes.fill(9)
    await settle()
    expect(one.server.latest.received).toEqual([Uint8Array.of(2, 3)])
  })

  const offline = async () => {
    const tabs = await createWorld().tabs(2, { queue: { maxMessages: 2 } })
    const [{ server }] = tabs
    server.hang()
    server.latest.drop()
    await settle()
    return tabs
  }

  test('drops messages by ttl, key, signal and the limits of the queue', async () => {
    const [one, { socket, heard }] = await offline()
    const controller = new AbortController()
    socket.send('old', { key: 'price' })
    await settle()
    socket.send('new', { key: 'price' })
    await settle()
    expect(heard('drop')).toEqual([{ data: 'old', reason: 'replaced' }])
    socket.send('aborted', { signal: controller.signal })
    expect(socket.send('too many')).toBe('dropped')
    controller.abort()
    await settle()
    socket.send('short', { ttl: 100 })
    await settle(200)
    expect(heard('drop').slice(1)).toEqual([
      { data: 'too many', reason: 'overflow' },
      { data: 'aborted', reason: 'aborted' },
      { data: 'short', reason: 'expired' },
    ])
    expect(socket.send('now', { volatile: true })).toBe('dropped')
    one.server.accept()
    await settle(5_000)
    expect(one.server.latest.received).toEqual(['new'])
    expect(socket.stats).toMatchObject({ sent: 1, dropped: 5, queued: 0 })
  })

  test('drops messages after close()', async () => {
    const [, { socket, heard }] = await createWorld().tabs(2)
    socket.close()
    expect(socket.send('late')).toBe('dropped')
    expect(heard('drop')).toEqual([{ data: 'late', reason: 'closed' }])
  })
})

test('close() closes the socket of one tab, and the connection with the last', async () => {
  const [one, two] = await createWorld().tabs(2)
  two.socket.close()
  await settle()
  expect(two.socket.state.name).toBe('closed')
  expect(one.socket.state.name).toBe('open')
  expect(one.socket.sharing.tabs).toBe(1)
  one.socket.send('bye')
  one.socket.close()
  await settle(5_000)
  expect(one.server.latest.received).toEqual(['bye'])
  expect(one.server.clients).toHaveLength(0)
})

test('reconnect() and handover() in one tab replace the connection of all', async () => {
  const [one, two] = await createWorld().tabs(2)
  two.socket.reconnect('because')
  await settle(5_000)
  expect(one.server.attempts).toBe(2)
  expect(one.heard('close')).toMatchObject([{ cause: { code: 'RECONNECT_REQUESTED' } }])
  await Promise.all([two.socket.handover('token'), settle(5_000)])
  expect(one.server.attempts).toBe(3)
  expect(two.heard('open')).toHaveLength(3)
})

test('a signal closes the socket, and autoConnect: false waits for connect()', async () => {
  const controller = new AbortController()
  const [one] = await createWorld().tabs(1, { signal: controller.signal, autoConnect: false })
  expect(one.server.attempts).toBe(0)
  one.socket.connect()
  await settle()
  expect(one.socket.state.name).toBe('open')
  controller.abort()
  expect(one.socket.state.name).toBe('closed')
  one.socket.connect()
  expect(one.socket.state.name).toBe('closed')
})

test('a heartbeat hides its replies, and messages do not count as received that are filtered', async () => {
  const [one, two] = await createWorld().tabs(2, {
    heartbeat: { interval: 1_000, timeout: 500, message: 'ping', isReply: data => data === 'pong' },
  })
  await settle(1_000)
  expect(one.server.latest.received).toEqual(['ping'])
  one.server.latest.send('pong')
  await settle()
  expect(two.heard('text')).toEqual([])
  expect(two.socket.stats.received).toBe(0)
})
