// Messages with an id that stays the same across sessions, as outboxes send them.
import { describe, expect, test } from 'vitest'
import { memoryStore, type ReliableServerOptions, type Store } from '../../src/server.ts'
import { eventually } from '../support/eventually.ts'
import type { FakeSocket } from './fake.ts'
import { ack, startFake } from './start.ts'

const message = (data: unknown, messageId: unknown, ackId: number) =>
  JSON.stringify({ type: 'event', event: 'e', dataType: 'json', data, messageId, ackId })

const start = (options: ReliableServerOptions<any> = {}) => {
  const handled: unknown[] = []
  const started = startFake({
    authorize: ({ url }) => url?.slice(1) || true,
    onMessage: ({ data, id }) => void handled.push([data, id]),
    ...options,
  })
  return { ...started, handled }
}

const acknowledged = async (client: FakeSocket, ackId: number) => {
  const { success, error } = await ack(client, ackId)
  return error?.name ?? success
}

describe('a message with a messageId', () => {
  test('is processed once, whichever session of its user sends it, and its handler gets the id', async () => {
    const { wss, handled, server } = start()
    const first = await wss.connect('/ann')
    first.say(message('x', 'm1', 1))
    expect(await acknowledged(first, 1)).toBe(true)
    const second = await wss.connect('/ann')
    second.say(message('x', 'm1', 1))
    expect(await acknowledged(second, 1)).toBe('Duplicate')
    expect(handled).toEqual([['x', 'm1']])
    expect(server.stats.duplicates).toBe(1)
  })

  test('is another message if another user sends it, or a client without a user', async () => {
    const { wss, handled } = start()
    for (const [i, url] of ['/ann', '/bob', '/'].entries()) {
      const client = await wss.connect(url)
      client.say(message(i, 'm1', 1))
      expect(await acknowledged(client, 1)).toBe(true)
    }
    expect(handled).toHaveLength(3)
  })

  test('waits while another session of the user processes the same one, and is processed if that fails', async () => {
    let fail = (_: Error) => {}
    const handled: unknown[] = []
    const { wss } = start({
      onMessage: ({ data }) => {
        handled.push(data)
        return handled.length === 1 ? new Promise<void>((_, reject) => (fail = reject)) : undefined
      },
      onError: () => {},
    })
    const first = await wss.connect('/ann')
    const second = await wss.connect('/ann')
    first.say(message('x', 'm1', 1))
    await eventually(() => expect(handled).toEqual(['x']))
    second.say(message('x', 'm1', 1))
    second.say(message('y', 'm2', 2))
    await new Promise(setImmediate)
    expect(handled).toEqual(['x'])
    fail(Object.assign(new Error('no'), { name: 'SoldOut' }))
    expect(await acknowledged(first, 1)).toBe('SoldOut')
    expect(await acknowledged(second, 1)).toBe(true)
    expect(await acknowledged(second, 2)).toBe(true)
    expect(handled).toEqual(['x', 'x', 'y'])
  })

  test.each(['', 'a b', 'x'.repeat(65), 7, null, {}])('is refused as malformed if the id is %j', async id => {
    const { wss, handled } = start()
    const client = await wss.connect('/ann')
    client.say(message('x', id, 1))
    expect(await acknowledged(client, 1)).toBe('BadRequest')
    expect(handled).toEqual([])
  })

  test('is offered only if the store remembers ids, and otherwise has the id of its session', async () => {
    const memory = memoryStore()
    const store: Store = {
      open: async (...args) => {
        const { reserve: _, release: __, ...node } = await memory.open(...args)
        return node
      },
    }
    const { wss, handled } = start({ store })
    const client = await wss.connect('/ann')
    expect(client.frames[0].features).toEqual(['endSession', 'resumeProtocol'])
    client.say(message('x', 'm1', 1))
    expect(await acknowledged(client, 1)).toBe(true)
    expect(handled).toHaveLength(1)
  })
})
