import { describe, expect, test } from 'vitest'
import { createWorld, fresh, settle } from './world.ts'

fresh()

describe('several tabs with the same endpoint', () => {
  test('share one connection, and all receive every message', async () => {
    const tabs = await createWorld().tabs(3)
    expect(tabs.map(({ server }) => server.attempts)).toEqual([1, 0, 0])
    tabs[0].server.latest.send('hello')
    tabs[0].server.latest.send(Uint8Array.of(1, 2))
    await settle()
    for (const { socket, heard } of tabs) {
      expect(socket.state.name).toBe('open')
      expect(heard('open')).toHaveLength(1)
      expect(heard('text')).toEqual(['hello'])
      expect(heard('binary').map(bytes => [...new Uint8Array(bytes)])).toEqual([[1, 2]])
    }
    expect(tabs.map(({ socket }) => socket.sharing)).toEqual([
      { holder: 'this tab', tabs: 3 },
      { holder: 'another tab', tabs: 3 },
      { holder: 'another tab', tabs: 3 },
    ])
  })

  test('send in the order of each tab, and count what was sent', async () => {
    const [one, two, three] = await createWorld().tabs(3)
    for (let i = 0; i < 3; i++) {
      expect(two.socket.send(`two ${i}`)).toBe('queued')
      three.socket.send(`three ${i}`)
    }
    expect(two.socket.queuedMessages()).toEqual(['two 0', 'two 1', 'two 2'])
    await settle()
    const { received } = one.server.latest
    expect(received.filter(text => `${text}`.startsWith('two'))).toEqual(['two 0', 'two 1', 'two 2'])
    expect(received).toHaveLength(6)
    expect(two.socket.stats).toMatchObject({ sent: 3, queued: 0, queuedBytes: 0 })
    expect(two.socket.bufferedAmount).toBe(0)
  })

  test('queue messages during an outage, and see the same states', async () => {
    const [one, two] = await createWorld().tabs(2)
    one.server.hang()
    one.server.latest.drop()
    await settle()
    two.socket.send('a')
    one.socket.send('b')
    await settle()
    expect(one.socket.state).toEqual(two.socket.state)
    expect(two.heard('close')).toMatchObject([
      { code: 1006, cause: { code: 'CONNECTION_LOST' }, willRetry: true },
    ])
    one.server.accept()
    await settle(5_000)
    expect(one.server.latest.received).toEqual(['a', 'b'])
    expect(two.heard('open')).toMatchObject([{ reconnected: false }, { reconnected: true }])
  })

  test('of different users have different connections', async () => {
    const world = createWorld()
    const [one] = await world.tabs(1, { user: 'ann' })
    const [two] = await world.tabs(1, { user: 'bob' })
    expect([one.server.attempts, two.server.attempts]).toEqual([1, 1])
  })

  test('receive only the messages for which filter() returns true', async () => {
    const world = createWorld()
    const [one] = await world.tabs(1)
    const [two] = await world.tabs(1, { filter: text => text === 'b' })
    one.server.latest.send('a')
    one.server.latest.send('b')
    await settle()
    expect([one.heard('text'), two.heard('text')]).toEqual([['a', 'b'], ['b']])
  })

  test('are told when their options contradict', async () => {
    const world = createWorld()
    await world.tabs(1, { minUptime: 1_000 })
    const [two] = await world.tabs(1, { closeTimeout: 5 })
    expect(two.heard('conflict')).toEqual([['minUptime', 'closeTimeout']])
  })
})

describe('when the tab with the connection', () => {
  test('is closed, another one connects, and sends what was not sent', async () => {
    const [one, two, three] = await createWorld().tabs(3)
    one.server.latest.freeze('up')
    one.hide(false)
    two.socket.send('after')
    await settle()
    expect(one.server.clients).toHaveLength(0)
    expect(two.server.clients).toHaveLength(1)
    expect(two.server.latest.received).toEqual(['after'])
    expect(three.heard('close')).toMatchObject([{ code: 1000, cause: { code: 'HANDOVER' }, willRetry: true }])
    expect(three.heard('open')).toMatchObject([{ reconnected: false }, { reconnected: true }])
    expect(three.socket.sharing).toEqual({ holder: 'another tab', tabs: 2 })
  })

  test('crashes, the others drop only what may have been sent, as unknown', async () => {
    const [one, two, three] = await createWorld().tabs(3)
    one.kill()
    two.socket.send('may have been sent')
    await settle()
    expect(two.heard('drop')).toEqual([{ data: 'may have been sent', reason: 'unknown' }])
    expect(two.server.latest.received).toEqual([])
    two.socket.send('next')
    await settle()
    expect(two.server.latest.received).toEqual(['next'])
    expect(three.heard('close')).toMatchObject([{ code: 1006, cause: { code: 'CONNECTION_LOST' } }])
  })

  test('crashes without a connection, everything that was queued is sent once', async () => {
    const [one, two] = await createWorld().tabs(2)
    one.server.hang()
    one.server.latest.drop()
    await settle()
    two.socket.send('queued')
    await settle()
    one.kill()
    await settle()
    expect(two.server.latest.received).toEqual(['queued'])
    expect(two.heard('drop')).toEqual([])
  })

  test('is closed without a connection, its messages are sent by the next one', async () => {
    const [one, two] = await createWorld().tabs(2)
    one.server.hang()
    one.server.latest.drop()
    await settle()
    one.socket.send('last words')
    one.hide(false)
    await settle()
    expect(two.server.latest.received).toEqual(['last words'])
  })
})

test('a tab that crashes leaves its messages to the others', async () => {
  const [one, two] = await createWorld().tabs(2)
  one.server.hang()
  one.server.latest.drop()
  await settle()
  two.socket.send('last words')
  await settle()
  two.kill()
  one.server.accept()
  await settle(5_000)
  expect(one.server.latest.received).toEqual(['last words'])
  expect(one.socket.sharing).toEqual({ holder: 'this tab', tabs: 1 })
})

describe('a tab that was in the back/forward cache', () => {
  test('gets the messages that it missed', async () => {
    const [one, two] = await createWorld().tabs(2)
    two.hide()
    await settle()
    expect(two.socket.state).toMatchObject({ name: 'waiting', delay: Infinity })
    one.server.latest.send('a')
    one.server.latest.send('b')
    await settle()
    two.show()
    await settle()
    expect(two.heard('text')).toEqual(['a', 'b'])
    expect(two.heard('gap')).toEqual([])
    expect(two.socket.state.name).toBe('open')
  })

  test('gets a message that was on its way to it when it left', async () => {
    const [one, two] = await createWorld().tabs(2)
    // The holder passes it on before it hears that the tab has left.
    one.server.latest.send('on its way')
    two.hide()
    await settle()
    two.show()
    await settle()
    expect(two.heard('text')).toEqual(['on its way'])
    expect(two.heard('gap')).toEqual([])
  })

  test('gets a gap event for messages that were not kept', async () => {
    const [one, two] = await createWorld().tabs(2, { replay: { maxMessages: 2 } })
    two.hide()
    await settle()
    for (const text of ['a', 'b', 'c', 'd', 'e']) one.server.latest.send(text)
    await settle()
    two.show()
    await settle()
    expect(two.heard('gap')).toEqual([{ missed: 3, replayed: 2 }])
    expect(two.heard('text')).toEqual(['d', 'e'])
  })

  test('gets a gap event of unknown size when the connection is held by another tab', async () => {
    const [one, two] = await createWorld().tabs(2)
    one.hide()
    await settle()
    one.show()
    await settle()
    expect(two.socket.sharing).toEqual({ holder: 'this tab', tabs: 2 })
    expect(one.heard('gap')).toEqual([{ missed: undefined, replayed: 0 }])
  })

  test('does not send twice what was sent in the meantime', async () => {
    const [one, two] = await createWorld().tabs(2)
    two.socket.send('once')
    two.hide()
    await settle()
    two.show()
    await settle()
    expect(one.server.latest.received).toEqual(['once'])
    expect(two.socket.stats).toMatchObject({ sent: 1, queued: 0 })
  })

  test('does not come back to the connection of a user who has signed out', async () => {
    const [one, two] = await createWorld().tabs(2)
    two.hide()
    await settle(1)
    one.socket.signOut(4000, 'bye')
    await settle()
    expect(one.server.latest.closed).toEqual({ code: 4000, reason: 'bye' })
    two.show()
    await settle()
    expect(two.socket.state).toMatchObject({ name: 'closed', cause: { code: 'CLOSED' } })
    expect(two.server.attempts).toBe(0)
  })
})

test('a frozen tab hands over the connection, and gets what it missed', async () => {
  const [one, two] = await createWorld().tabs(2)
  one.freeze()
  await settle()
  expect(two.socket.state.name).toBe('open')
  expect(two.socket.sharing).toEqual({ holder: 'this tab', tabs: 1 })
  one.resume()
  await settle()
  expect(one.socket.state.name).toBe('open')
})

describe('signOut()', () => {
  test('closes the sockets of all tabs and drops what is queued', async () => {
    const [one, two, three] = await createWorld().tabs(3)
    one.server.hang()
    one.server.latest.drop()
    await settle()
    two.socket.send('secret')
    await settle()
    three.socket.signOut()
    await settle(60_000)
    for (const { socket } of [one, two, three]) expect(socket.state.name).toBe('closed')
    expect(two.heard('drop')).toEqual([{ data: 'secret', reason: 'closed' }])
    expect([one, two, three].map(({ server }) => server.clients.length)).toEqual([0, 0, 0])
    two.socket.connect()
    await settle()
    expect(two.server.clients).toHaveLength(1)
    expect(two.server.latest.received).toEqual([])
  })
})

test('signOut() in one tab drops messages of another that may have been sent, as unknown', async () => {
  const [one, two] = await createWorld().tabs(2)
  two.socket.send('on its way')
  one.socket.signOut()
  await settle()
  expect(two.heard('drop')).toEqual([{ data: 'on its way', reason: 'unknown' }])
})

describe('functions', () => {
  test('run in one of the tabs, and in another one when it has ended', async () => {
    const calls: string[] = []
    const world = createWorld()
    const options = (name: string) => ({
      key: 'feed',
      endpoint: async ({ attempt }: { attempt: number }) => {
        calls.push(`${name} endpoint ${attempt}`)
        return `wss://push.test/${name}`
      },
      protocols: () => ['v1'],
      prepare: async (connection: any) => {
        connection.send(`token of ${name}`)
        calls.push(`${name} got ${await connection.receive()}`)
      },
    })
    const [one] = await world.tabs(1, options('one'))
    one.server.latest.send('welcome')
    await settle()
    expect(calls).toEqual(['one endpoint 0', 'one got welcome'])
    expect(one.server.latest.received).toEqual(['token of one'])
    const [two] = await world.tabs(1, options('two'))
    expect(two.socket).toMatchObject({ url: 'wss://push.test/one', protocol: 'v1', state: { name: 'open' } })
    one.kill()
    await settle()
    two.server.latest.send('welcome')
    await settle()
    expect(calls).toContain('two got welcome')
    expect(two.socket.url).toBe('wss://push.test/two')
  })

  test('of the tab that holds the connection do not fail when its socket is closed', async () => {
    const prepare = async () => {}
    const [one] = await createWorld().tabs(1, { key: 'feed', prepare, endpoint: () => 'wss://push.test' })
    one.socket.close()
    await settle(1_000)
    expect(one.socket.state.name).toBe('closed')
    expect(one.server.latest.closed).toMatchObject({ code: 1005 })
    // An error that is thrown later would be an unhandled one, with which the run fails.
  })

  test('that fail cause an error event with their message in all tabs', async () => {
    const [one, two] = await createWorld().tabs(2, {
      key: 'feed',
      endpoint: () => Promise.reject(new Error('no token')),
    })
    expect(one.heard('error')).toMatchObject([
      { code: 'ENDPOINT_FAILED', cause: { message: 'Error: Error: no token' } },
    ])
    expect(two.socket.state).toMatchObject({ name: 'waiting', cause: { code: 'ENDPOINT_FAILED' } })
  })
})

test('claim() resolves with true in one of the tabs', async () => {
  const tabs = await createWorld().tabs(3)
  const claim = async () => {
    const claims = Promise.all(tabs.map(({ socket }) => socket.claim('news 7')))
    await settle(100)
    return (await claims).filter(Boolean).length
  }
  expect(await claim()).toBe(1)
  expect(await claim()).toBe(0)
})
