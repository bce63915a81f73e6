import * as msgpack from '@msgpack/msgpack'
import { describe, expect, test, vi } from 'vitest'
import { type CallsOptions, jsonRpc, overReliable } from '../../src/calls.ts'
import type { ReliableOptions } from '../../src/reliable.ts'
import { fresh, settled, world } from '../reliable/world.ts'
import { callsFromOne, outcomeOf } from './setup.ts'

fresh()

/** Calls over a reliable socket, and a server that acknowledges everything and answers when it is told to. */
const setupReliable = (options: CallsOptions<any> = {}, reliable: ReliableOptions = {}) => {
  const made = world(reliable)
  const api = callsFromOne<any>(overReliable(made.socket), jsonRpc(), options)
  const errors: unknown[] = []
  api.on('error', error => errors.push(error))
  const { server, session } = made
  /** The calls that the server has processed in this session. */
  const processed = () => session().processed.map(({ data }) => JSON.parse(data as string))
  const say = async (frame: object, more: object = {}) => {
    server.send(session(), JSON.stringify({ jsonrpc: '2.0', ...frame }), { dataType: 'text', ...more })
    await server.exchange()
  }
  return { ...made, api, errors, processed, say }
}

describe('over a reliable socket', () => {
  test('a call is an event with the frame as text, and the reply a message', async () => {
    const { api, server, session, processed, say } = setupReliable()
    const outcome = outcomeOf(api.call('a', [1]))
    await server.connect()
    expect(session().processed).toMatchObject([{ type: 'event', event: 'call', dataType: 'text' }])
    expect(processed()).toEqual([{ jsonrpc: '2.0', method: 'a', params: [1], id: 1 }])
    await say({ id: 1, result: 7 })
    expect(outcome.now()).toBe(7)
  })

  test('a call outlives its connection, is processed once, and is answered on the next one', async () => {
    const { api, server, processed, say } = setupReliable()
    await server.connect()
    const outcome = outcomeOf(api.call('a'))
    // Processed, and the acknowledgement is lost with the connection.
    server.read()
    server.latest.drop()
    await server.reconnect()
    expect([outcome.now(), processed().length]).toEqual(['pending', 1])
    await say({ id: 1, result: 7 })
    expect(outcome.now()).toBe(7)
  })

  test('a subscription outlives its connection, and is made again in a new session, with a gap', async () => {
    const { api, server, processed, say } = setupReliable()
    const heard: unknown[] = []
    api.subscribe('news', undefined, (item, { gap }) => heard.push([item, gap]))
    await server.connect()
    const item = (result: number) => say({ method: 'm', params: { subscription: 'k', result } })
    await say({ id: 1, result: 'k' })
    await item(1)
    server.latest.drop()
    await server.reconnect()
    await item(2)
    expect(processed()).toHaveLength(1)
    server.forget()
    server.latest.drop()
    await server.reconnect()
    await server.reconnect()
    expect(processed()).toMatchObject([{ method: 'subscribe', id: 2 }])
    await say({ id: 2, result: 'k' })
    await item(3)
    expect(heard).toEqual([
      [1, false],
      [2, false],
      [3, true],
    ])
  })

  test('with the session, a call that was sent is UNKNOWN, one that waits is sent in the next, and one that may be repeated, too', async () => {
    const { api, server, processed, session, say } = setupReliable()
    await server.connect()
    const acknowledged = outcomeOf(api.call('acknowledged'))
    await server.exchange()
    const sent = outcomeOf(api.call('sent'))
    const repeated = outcomeOf(api.call('repeated', undefined, { again: 'always' }))
    server.latest.drop()
    const waits = outcomeOf(api.call('waits'))
    const never = outcomeOf(api.call('never', undefined, { again: 'never' }))
    server.forget()
    await server.reconnect()
    await server.reconnect()
    expect(session().processed.length).toBeGreaterThan(0)
    expect([acknowledged, sent, repeated, waits, never].map(({ now }) => now())).toEqual([
      'UNKNOWN',
      'UNKNOWN',
      'pending',
      'pending',
      'NOT_SENT',
    ])
    const names = processed().map(({ method }) => method)
    expect([...names].sort()).toEqual(['repeated', 'waits'])
    for (const { id } of processed()) await say({ id, result: id })
    expect([repeated.now(), waits.now()]).toEqual([3, 4])
  })

  test('a call that waits is NOT_SENT after its timeout and when the socket is closed, and one that was sent is not', async () => {
    const { api, server, socket, processed } = setupReliable()
    const late = outcomeOf(api.call('late', undefined, { timeout: 100 }))
    await vi.advanceTimersByTimeAsync(100)
    expect(late.now()).toBe('NOT_SENT')
    await server.connect()
    const sent = outcomeOf(api.call('sent', undefined, { timeout: 100 }))
    await server.exchange()
    await vi.advanceTimersByTimeAsync(100)
    expect(sent.now()).toBe('TIMEOUT')
    const last = outcomeOf(api.call('last'))
    await server.exchange()
    server.latest.drop()
    const waits = outcomeOf(api.call('waits'))
    socket.close()
    await settled()
    expect([last.now(), waits.now()]).toEqual(['UNKNOWN', 'NOT_SENT'])
    expect(processed().map(({ method }) => method)).toEqual(['sent', 'last'])
  })

  test('a call that the server refuses is NOT_SENT with the reason, and messages from groups are ignored', async () => {
    const { api, server, errors, say } = setupReliable()
    await server.connect()
    server.refusal = { name: 'Forbidden', message: 'no' }
    const outcome = outcomeOf(api.call('a'))
    await server.exchange()
    expect(outcome.error()).toMatchObject({ code: 'NOT_SENT', cause: 'refused' })
    await say({ id: 1, result: 7 }, { from: 'group', group: 'news' })
    expect(errors).toEqual([])
    await say({ id: 1, result: 7 })
    expect(errors).toMatchObject([{ code: 'UNEXPECTED' }])
  })

  /** Sends a numbered frame whose data does not match its type. */
  const sendUnreadable = async ({ server, session }: ReturnType<typeof setupReliable>) => {
    server.send(session(), undefined, { dataType: 'text' })
    await server.exchange()
  }

  test('a call whose reply is missing fails with UNKNOWN although the session continues, and its late reply is reported', async () => {
    const { api, server, session, errors, say } = setupReliable({ timeout: Infinity })
    await server.connect()
    const outcome = outcomeOf(api.call('a'))
    await server.exchange()
    session().sent += 2
    await say({ id: 7, result: 'of nobody' })
    expect(outcome.now()).toBe('UNKNOWN')
    await say({ id: 1, result: 7 })
    expect(errors).toMatchObject([{ code: 'UNEXPECTED' }, { code: 'UNEXPECTED' }])
    const next = outcomeOf(api.call('b'))
    await server.exchange()
    await say({ id: 2, result: 8 })
    expect(next.now()).toBe(8)
  })

  test('a call whose reply cannot be read fails with UNKNOWN at once', async () => {
    const made = setupReliable({ timeout: Infinity })
    const { api, server, heard } = made
    await server.connect()
    const outcome = outcomeOf(api.call('a'))
    await server.exchange()
    await sendUnreadable(made)
    expect(outcome.now()).toBe('UNKNOWN')
    expect(heard('error')).toMatchObject([{ name: 'TypeError' }])
  })

  test('if messages are missing, an unacknowledged call fails with UNKNOWN, and a queued call is still sent', async () => {
    const { api, server, session, processed, say } = setupReliable({ timeout: Infinity })
    await server.connect()
    const acknowledged = outcomeOf(api.call('acknowledged'))
    await server.exchange()
    // More than the window of unacknowledged messages.
    const big = 'x'.repeat(2 ** 20)
    const [sent, waits] = [outcomeOf(api.call('sent', [big])), outcomeOf(api.call('waits'))]
    session().sent++
    server.send(session(), '{"jsonrpc":"2.0","id":"none","result":0}', { dataType: 'text' })
    await server.deliver()
    expect([acknowledged, sent, waits].map(({ now }) => now())).toEqual(['UNKNOWN', 'UNKNOWN', 'pending'])
    await server.exchange()
    expect(processed().map(({ method }) => method)).toEqual(['acknowledged', 'sent', 'waits'])
    await say({ id: 3, result: 7 })
    expect(waits.now()).toBe(7)
  })

  test('with again always, a call whose reply is missing is sent again in the same session', async () => {
    const made = setupReliable({ again: 'always', timeout: Infinity })
    const { api, server, processed, say } = made
    await server.connect()
    const outcome = outcomeOf(api.call('a'))
    await server.exchange()
    await sendUnreadable(made)
    await server.exchange()
    expect(processed().map(({ method, id }) => [method, id])).toEqual([
      ['a', 1],
      ['a', 1],
    ])
    await say({ id: 1, result: 7 })
    expect(outcome.now()).toBe(7)
  })

  test('if messages are missing, the next item of a subscription has a gap, and an unconfirmed subscription ends with UNKNOWN', async () => {
    const made = setupReliable()
    const { api, server, session, say } = made
    const items: unknown[] = []
    const ends: unknown[] = []
    await server.connect()
    api.subscribe(
      'news',
      (last: unknown) => ({ after: last ?? 0 }),
      (item, { gap }) => items.push([item, gap]),
    )
    await server.exchange()
    await say({ id: 1, result: 'k' })
    const push = (result: number) => say({ method: 'm', params: { subscription: 'k', result } })
    await push(1)
    api.subscribe('late', undefined, () => {}, { onEnd: error => ends.push(error?.code) })
    await server.exchange()
    session().sent++
    await push(3)
    await push(4)
    expect(items).toEqual([
      [1, false],
      [3, true],
      [4, false],
    ])
    expect(ends).toEqual(['UNKNOWN'])
  })

  test('a codec encodes calls and decodes binary replies, and what was not sent is NOT_SENT', async () => {
    const codec = { encode: msgpack.encode, decode: (data: ArrayBuffer) => msgpack.decode(data) }
    const { api, server, session, errors } = setupReliable({ codec })
    const answered = outcomeOf(api.call('a'))
    await server.connect()
    const [request] = session().processed
    const { id } = msgpack.decode(Buffer.from(request?.data, 'base64')) as { id: number }
    const reply = Buffer.from(msgpack.encode({ jsonrpc: '2.0', id, result: 7 })).toString('base64')
    server.send(session(), reply, { dataType: 'binary' })
    await server.exchange()
    server.latest.drop()
    await settled()
    const waiting = outcomeOf(api.call('b', undefined, { timeout: Infinity }))
    api.socket.close()
    await settled()
    expect([answered.now(), waiting.now(), errors]).toEqual([7, 'NOT_SENT', []])
  })

  test('an option that does not exist or a name that is none throws a TypeError', () => {
    const { socket } = world()
    expect(() => overReliable(socket, { name: 'x' } as any)).toThrow(
      "overReliable has no option 'name'. It has event.",
    )
    for (const event of ['', 3, null] as any[]) {
      expect(() => overReliable(socket, { event })).toThrow('event must be a text that is not empty')
    }
  })

  test('the event can have another name, and the socket may be open already', async () => {
    const { socket, server, session } = world()
    await server.connect()
    const api = callsFromOne(overReliable(socket, { event: 'rpc' }), jsonRpc())
    api.subscribe('news', undefined, () => {})
    await server.exchange()
    expect(session().processed).toMatchObject([{ event: 'rpc' }])
  })
})
