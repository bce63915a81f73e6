// Sending to users, the members of groups, and deliver().
import { describe, expect, test, vi } from 'vitest'
import { memoryStore, type ReliableServerOptions } from '../../src/server.ts'
import { eventually } from '../support/eventually.ts'
import type { FakeSocket } from './fake.ts'
import { ack, recovery, startFake } from './start.ts'

/** The user of each connection is in its URL. */
const start = (options: ReliableServerOptions<any> = {}) =>
  startFake({ authorize: ({ url }) => /user=(\w+)/.exec(url)?.[1] ?? true, ...options })

const messages = ({ frames }: FakeSocket) =>
  frames.filter(({ type }) => type === 'message').map(({ data }) => data)
const idOf = ({ frames: [{ connectionId }] }: FakeSocket): string => connectionId

describe('server.user()', () => {
  test('sends to all sessions of the user, on all nodes, and to no other session', async () => {
    const store = memoryStore()
    const [a, b] = [start({ store }), start({ store })]
    const ada = [await a.wss.connect('/?user=ada'), await b.wss.connect('/?user=ada')]
    const others = [await a.wss.connect('/?user=bob'), await b.wss.connect('/')]
    expect(await a.server.user('ada').send({ hello: 1 })).toBe(2)
    expect(await a.server.user('nobody').send('x')).toBe(0)
    for (const client of ada) {
      await client.until(() => messages(client).length)
      expect(client.frames.at(-1)).toMatchObject({ from: 'server', dataType: 'json', data: { hello: 1 } })
    }
    expect(others.flatMap(messages)).toEqual([])
  })

  test('lists the sessions of the user, those without a connection first', async () => {
    const { wss, server } = start()
    const [first, second] = [await wss.connect('/?user=ada'), await wss.connect('/?user=ada')]
    second.terminate()
    await second.until(() => second.end)
    expect(await server.user('ada').sessions()).toEqual([
      { id: idOf(second), userId: 'ada', isConnected: false },
      { id: idOf(first), userId: 'ada', isConnected: true },
    ])
  })

  test('adds all sessions of the user to a group and removes them, except for those that are in too many', async () => {
    const { wss, server } = start({ maxGroups: 1, onJoin: () => true })
    const [first, second] = [await wss.connect('/?user=ada'), await wss.connect('/?user=ada')]
    await second.until(() => !second.isPaused)
    second.say('{"type":"joinGroup","group":"own","ackId":1}')
    await ack(second, 1)
    expect(await server.user('ada').join('g')).toBe(1)
    expect((await server.members('g')).map(({ id }) => id)).toEqual([idOf(first)])
    expect(await server.user('ada').leave('g')).toBeGreaterThan(0)
    expect(await server.members('g')).toEqual([])
  })

  test('ends all sessions of the user', async () => {
    const { wss, server } = start()
    const clients = [await wss.connect('/?user=ada'), await wss.connect('/?user=ada')]
    const bob = await wss.connect('/?user=bob')
    expect(await server.user('ada').end(4001, 'signed out')).toBe(2)
    for (const client of clients)
      expect(await client.until(() => client.end)).toEqual({ code: 4001, reason: 'signed out' })
    expect(bob.end).toBeUndefined()
    expect(await server.user('ada').sessions()).toEqual([])
  })

  test('throws or rejects for invalid arguments', async () => {
    const { server } = start()
    for (const id of ['', undefined, 7]) expect(() => server.user(id as string)).toThrow(TypeError)
    await expect(server.user('ada').join('')).rejects.toThrow(TypeError)
    await expect(server.user('ada').join('\0ada')).rejects.toThrow(TypeError)
    await expect(server.user('ada').send(undefined)).rejects.toThrow(TypeError)
    await expect(server.user('ada').end(1011)).rejects.toThrow(RangeError)
  })

  test('cannot be reached by a client as a group', async () => {
    const { wss, server } = start({ onJoin: () => true, onPublish: () => true })
    const client = await wss.connect('/?user=eve')
    await client.until(() => !client.isPaused)
    client.say(JSON.stringify({ type: 'joinGroup', group: '\0ada', ackId: 1 }))
    expect((await ack(client, 1)).error.name).toBe('BadRequest')
    client.say(JSON.stringify({ type: 'sendToGroup', group: '\0ada', dataType: 'text', data: 'x', ackId: 2 }))
    expect((await ack(client, 2)).error.name).toBe('BadRequest')
    expect(await server.user('ada').sessions()).toEqual([])
  })
})

describe('members()', () => {
  test('resolves with the sessions in a group, or with all sessions', async () => {
    const { wss, server } = start({ authorize: ({ url }) => ({ userId: url.slice(1), groups: ['g'] }) })
    const client = await wss.connect('/ada')
    expect(await server.members('g')).toEqual([{ id: idOf(client), userId: 'ada', isConnected: true }])
    expect(await server.members()).toEqual(await server.members('g'))
    expect(await server.members('h')).toEqual([])
    await expect(server.members('')).rejects.toThrow(TypeError)
  })
})

describe('the groups that authorize returns', () => {
  test('are refreshed when the session is resumed', async () => {
    let groups = ['staff', 'news']
    const { wss, server } = start({ authorize: () => ({ userId: 'ada', groups }) })
    const client = await wss.connect()
    groups = ['news', 'alumni']
    await wss.connect(recovery(client))
    const sizes = await Promise.all(
      ['staff', 'news', 'alumni'].map(async g => (await server.members(g)).length),
    )
    expect(sizes).toEqual([0, 1, 1])
  })
})

describe('deliver()', () => {
  const acknowledge = (client: FakeSocket, sequenceId: number) =>
    client.say(JSON.stringify({ type: 'sequenceAck', sequenceId }))

  test('resolves with true when the client has acknowledged the message, and no sooner', async () => {
    const { wss, server } = start()
    const client = await wss.connect()
    await client.until(() => !client.isPaused)
    const outcomes: boolean[] = []
    const deliver = async (data: string) => void outcomes.push(await server.deliver(idOf(client), data))
    const all = [deliver('a'), deliver('b')]
    await client.until(() => messages(client).length === 2)
    acknowledge(client, 1)
    await new Promise(setImmediate)
    acknowledge(client, 2)
    await Promise.all(all)
    expect(outcomes).toEqual([true, true])
  })

  test('resolves although another node has the session', async () => {
    const store = memoryStore()
    const [a, b] = [start({ store }), start({ store })]
    const client = await a.wss.connect()
    await client.until(() => !client.isPaused)
    const delivered = b.server.deliver(idOf(client), 'x')
    await client.until(() => messages(client).length)
    acknowledge(client, 1)
    expect(await delivered).toBe(true)
    const lost = b.server.deliver(idOf(client), 'y')
    await client.until(() => messages(client).length === 2)
    await a.server.end(idOf(client))
    expect(await lost).toBe(false)
  })

  test('resolves with true if the client comes back and acknowledges then', async () => {
    const { wss, server } = start()
    const client = await wss.connect()
    client.terminate()
    await client.until(() => client.end)
    const delivered = server.deliver(idOf(client), 'x')
    const back = await wss.connect(recovery(client))
    await back.until(() => messages(back).length && !back.isPaused)
    acknowledge(back, 1)
    expect(await delivered).toBe(true)
  })

  test('resolves with false if there is no such session, and if it ends before', async () => {
    const { wss, server } = start()
    expect(await server.deliver('nobody', 'x')).toBe(false)
    const client = await wss.connect()
    const delivered = server.deliver(idOf(client), 'x')
    await client.until(() => messages(client).length)
    await server.end(idOf(client))
    expect(await delivered).toBe(false)
  })

  test('rejects with the reason of its signal, with invalid data, and when the server is closed', async () => {
    const { wss, server } = start()
    const client = await wss.connect()
    const controller = new AbortController()
    const aborted = server.deliver(idOf(client), 'x', { signal: controller.signal })
    await client.until(() => messages(client).length)
    controller.abort(new Error('enough'))
    await expect(aborted).rejects.toThrow('enough')
    await expect(server.deliver(idOf(client), 'y', { signal: controller.signal })).rejects.toThrow('enough')
    expect(messages(client)).toEqual(['x'])
    await expect(server.deliver(idOf(client), undefined)).rejects.toThrow(TypeError)
    const open = server.deliver(idOf(client), 'z')
    const rejected = expect(open).rejects.toThrow('the server was closed')
    await client.until(() => messages(client).length === 2)
    await server.close()
    await rejected
  })
})

describe('the number of sessions', () => {
  test('of a user is limited: the one that has been disconnected for the longest time is ended for a new one', async () => {
    const { wss, server } = start({ maxSessions: { user: 2 } })
    const [first, second] = [await wss.connect('/?user=ada'), await wss.connect('/?user=ada')]
    const now = Date.now()
    for (const [i, client] of [second, first].entries()) {
      vi.spyOn(Date, 'now').mockReturnValue(now + i)
      client.terminate()
      await client.until(() => client.end)
    }
    vi.restoreAllMocks()
    const third = await wss.connect('/?user=ada')
    expect(third.frames[0].event).toBe('connected')
    const ids = (await server.user('ada').sessions()).map(({ id }) => id)
    expect(ids).toEqual([idOf(first), idOf(third)])
    expect((await wss.connect(`${recovery(second)}&user=ada`)).end?.code).toBe(1008)
  })

  test('of a user is limited: if all have a connection, the new one is closed with 1013', async () => {
    const { wss, server } = start({ maxSessions: { user: 2 } })
    const [first] = [await wss.connect('/?user=ada'), await wss.connect('/?user=ada')]
    const refused = await wss.connect('/?user=ada')
    expect(refused.end).toEqual({ code: 1013, reason: 'too many sessions of this user' })
    expect(server.stats).toMatchObject({ created: 2, refused: 1 })
    // Other users are not limited by that, and resumed sessions are not, either.
    expect((await wss.connect('/?user=bob')).frames[0].event).toBe('connected')
    expect((await wss.connect(`${recovery(first)}&user=ada`)).frames[0].event).toBe('connected')
  })

  test('of a user is limited also if many connect at the same time', async () => {
    const { wss, server } = start({ maxSessions: { user: 3 } })
    const clients = await Promise.all(Array.from({ length: 10 }, () => wss.connect('/?user=ada')))
    expect(clients.filter(({ end }) => end?.code === 1013)).toHaveLength(7)
    expect(await server.user('ada').sessions()).toHaveLength(3)
  })

  test('of an address is limited on each node', async () => {
    const { wss, server } = start({
      maxSessions: { address: 2 },
      address: ({ url }) => /at=(\w+)/.exec(url)?.[1] ?? '',
    })
    const [first, second] = [await wss.connect('/?at=x'), await wss.connect('/?at=x')]
    expect((await wss.connect('/?at=x')).end).toEqual({
      code: 1013,
      reason: 'too many sessions of this address',
    })
    expect((await wss.connect('/?at=y')).frames[0].event).toBe('connected')
    first.terminate()
    await first.until(() => first.end)
    expect((await wss.connect('/?at=x')).frames[0].event).toBe('connected')
    expect((await wss.connect(recovery(first))).end?.code).toBe(1008)
    await server.end(idOf(second))
    expect((await wss.connect('/?at=x')).frames[0].event).toBe('connected')
  })

  test.each([
    [{ user: 0 }, 'maxSessions: each limit must be an integer >= 1'],
    [{ adress: 5 }, "maxSessions has no option 'adress'. Did you mean 'address'?"],
  ])('of %j is a TypeError', (maxSessions, message) => {
    expect(() => start({ maxSessions: maxSessions as any })).toThrow(new TypeError(message))
  })
})

test('a flood of clients that come and go leaves no more sessions of a user than maxSessions', async () => {
  const { wss, server } = start({ maxSessions: { user: 5 } })
  for (let i = 0; i < 50; i++) {
    const client = await wss.connect('/?user=ada')
    client.terminate()
    await client.until(() => client.end)
  }
  expect(await server.user('ada').sessions()).toHaveLength(5)
  await eventually(async () => expect(await server.members()).toHaveLength(5))
})
