// The examples of the specification, with this page in the role of the server and in that of the client.
// https://www.jsonrpc.org/specification#examples
import { describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { CallError, type Calls, calls, jsonRpc } from '../../src/calls.ts'
import { fresh } from '../stream/setup.ts'
import { sent, settled, setup } from '../support/setup.ts'
import { answer, frames, outcomeOf, push, setupCalls } from './setup.ts'

fresh()

const notFound = (id: unknown) => ({
  jsonrpc: '2.0',
  error: { code: -32601, message: 'Method not found' },
  id,
})
const parseError = { jsonrpc: '2.0', error: { code: -32700, message: 'Parse error' }, id: null }
const invalidRequest = { jsonrpc: '2.0', error: { code: -32600, message: 'Invalid Request' }, id: null }

/** A page with the procedures of the specification. */
const setupServer = () => {
  const made = setupCalls()
  made.api.handle('subtract', (params: any) => {
    const [minuend, subtrahend] = Array.isArray(params) ? params : [params.minuend, params.subtrahend]
    return minuend - subtrahend
  })
  made.api.handle('sum', async (numbers: any) =>
    numbers.reduce((sum: number, number: number) => sum + number, 0),
  )
  made.api.handle('get_data', () => ['hello', 5])
  for (const name of ['update', 'notify_hello', 'notify_sum'])
    made.api.handle(name, () => 'nobody hears this')
  return made
}

const EXAMPLES: [name: string, request: string, response: unknown][] = [
  [
    'a call with positional parameters',
    '{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}',
    { jsonrpc: '2.0', result: 19, id: 1 },
  ],
  [
    'a call with positional parameters in another order',
    '{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}',
    { jsonrpc: '2.0', result: -19, id: 2 },
  ],
  [
    'a call with named parameters',
    '{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}',
    { jsonrpc: '2.0', result: 19, id: 3 },
  ],
  [
    'a call with named parameters in another order',
    '{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}',
    { jsonrpc: '2.0', result: 19, id: 4 },
  ],
  ['a notification', '{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}', undefined],
  ['a notification of an unknown method', '{"jsonrpc": "2.0", "method": "foobar"}', undefined],
  ['a call of an unknown method', '{"jsonrpc": "2.0", "method": "foobar", "id": "1"}', notFound('1')],
  ['a call with invalid JSON', '{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', parseError],
  ['a call that is no valid request', '{"jsonrpc": "2.0", "method": 1, "params": "bar"}', invalidRequest],
  [
    'a batch with invalid JSON',
    '[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},{"jsonrpc": "2.0", "method"]',
    parseError,
  ],
  ['an empty batch', '[]', invalidRequest],
  ['an invalid batch that is not empty', '[1]', [invalidRequest]],
  ['an invalid batch', '[1,2,3]', [invalidRequest, invalidRequest, invalidRequest]],
  [
    'a batch',
    `[
      {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
      {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
      {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
      {"foo": "boo"},
      {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
      {"jsonrpc": "2.0", "method": "get_data", "id": "9"}
    ]`,
    [
      { jsonrpc: '2.0', result: 7, id: '1' },
      { jsonrpc: '2.0', result: 19, id: '2' },
      invalidRequest,
      notFound('5'),
      { jsonrpc: '2.0', result: ['hello', 5], id: '9' },
    ],
  ],
  [
    'a batch of notifications',
    `[
      {"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]},
      {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}
    ]`,
    undefined,
  ],
]

describe('in the role of the server', () => {
  test.each(EXAMPLES)('%s is answered as the specification says', async (_, request, response) => {
    const { open } = setupServer()
    const peer = await open()
    peer.send(request)
    await settled()
    expect(frames(peer)).toEqual(response === undefined ? [] : [response])
  })

  test('a page without handlers answers nothing to what is invalid, and answers calls with Method not found', async () => {
    const { open } = setupCalls()
    const peer = await open()
    for (const text of ['{', '[]', '[1]']) peer.send(text)
    await settled()
    expect(sent(peer)).toEqual([])
    peer.send('{"jsonrpc":"2.0","method":"a","id":7}')
    await settled()
    expect(frames(peer)).toEqual([notFound(7)])
  })

  test('a handler can answer with an error of its own, and any other error is hidden from the server', async () => {
    const { api, open, errors } = setupCalls()
    const peer = await open()
    const error = { code: 4001, message: 'The user refused', data: { id: 7 } }
    api.handle('own', () => {
      throw new CallError('SERVER_ERROR', error)
    })
    const cause = new Error('password 1234 is wrong')
    api.handle('fails', async () => {
      throw cause
    })
    api.handle('cycle', () => {
      const cycle: any = {}
      cycle.cycle = cycle
      return cycle
    })
    for (const [id, method] of ['own', 'fails', 'cycle'].entries())
      peer.send(JSON.stringify({ jsonrpc: '2.0', id, method }))
    await settled()
    const internal = { code: -32603, message: 'Internal error' }
    expect(frames(peer)).toEqual([
      { jsonrpc: '2.0', error, id: 0 },
      { jsonrpc: '2.0', error: internal, id: 1 },
      { jsonrpc: '2.0', error: internal, id: 2 },
    ])
    expect(errors).toMatchObject([
      { code: 'HANDLER_FAILED', cause },
      { code: 'HANDLER_FAILED', cause: expect.any(TypeError) },
    ])
  })

  test('a handler whose own call fails answers with an internal error, whatever became of that call', async () => {
    const { api, open, errors } = setupCalls()
    const peer = await open()
    api.handle('ask', ({ timeout }: any) => api.call('nested', undefined, { timeout }))
    peer.send('{"jsonrpc":"2.0","id":"a","method":"ask","params":{"timeout":10}}')
    await vi.advanceTimersByTimeAsync(10)
    expect(frames(peer).at(-1)).toEqual({
      jsonrpc: '2.0',
      id: 'a',
      error: { code: -32603, message: 'Internal error' },
    })
    expect(errors).toMatchObject([{ code: 'HANDLER_FAILED', cause: { code: 'TIMEOUT' } }])
  })

  test('an error of a handler that is missing or cannot be encoded is answered as an internal error', async () => {
    const { api, open, errors } = setupCalls()
    const peer = await open()
    api.handle('missing', () => {
      throw new CallError('SERVER_ERROR')
    })
    api.handle('huge', () => {
      throw new CallError('SERVER_ERROR', { code: 1, message: 'no', data: 1n })
    })
    for (const method of ['missing', 'huge'])
      peer.send(JSON.stringify({ jsonrpc: '2.0', id: method, method }))
    await settled()
    const error = { code: -32603, message: 'Internal error' }
    expect(frames(peer)).toEqual([
      { jsonrpc: '2.0', id: 'missing', error },
      { jsonrpc: '2.0', id: 'huge', error },
    ])
    expect(errors).toMatchObject([{ code: 'HANDLER_FAILED', cause: expect.any(TypeError) }])
  })

  test('more calls of the server than maxCalls at a time fail at once, and one that ended makes room', async () => {
    const { api, open, errors } = setupCalls({ maxCalls: 2 })
    const peer = await open()
    const ends: ((result: number) => void)[] = []
    api.handle('ask', () => new Promise(resolve => ends.push(resolve)))
    const ask = (id: number) => peer.send(JSON.stringify({ jsonrpc: '2.0', id, method: 'ask' }))
    for (const id of [1, 2, 3]) ask(id)
    await settled()
    expect(frames(peer)).toMatchObject([{ id: 3, error: { code: -32603 } }])
    expect(errors).toMatchObject([{ code: 'HANDLER_FAILED', cause: 'maxCalls' }])
    ends[0]?.(7)
    await settled()
    ask(4)
    await settled()
    expect(ends).toHaveLength(3)
    expect(frames(peer).at(-1)).toMatchObject({ id: 1, result: 7 })
  })

  test('parameters that do not match the contract are invalid, and the handler gets what the schema makes of the others', async () => {
    const params = z.object({ at: z.coerce.date() })
    const { api, open, errors } = setupCalls({ contract: { ask: { params, result: z.number() } } })
    const peer = await open()
    const handler = vi.fn(({ at }: any) => (at.getTime() ? 'text' : 0))
    api.handle('ask', handler)
    peer.send('{"jsonrpc":"2.0","id":"wrong","method":"ask","params":{"at":"never"}}')
    peer.send('{"jsonrpc":"2.0","id":"right","method":"ask","params":{"at":0}}')
    peer.send('{"jsonrpc":"2.0","id":"bug","method":"ask","params":{"at":1}}')
    await settled()
    expect(handler.mock.calls).toEqual([[{ at: new Date(0) }], [{ at: new Date(1) }]])
    const byId = Object.fromEntries(frames(peer).map(frame => [frame.id, frame]))
    expect(byId).toMatchObject({
      right: { result: 0 },
      wrong: { error: { code: -32602 } },
      bug: { error: { code: -32603 } },
    })
    expect(errors.map(({ code }) => code).sort()).toEqual(['HANDLER_FAILED', 'INVALID'])
  })

  test('a handler that returns nothing answers with null, and each call is answered on its own connection', async () => {
    const { api, open } = setupCalls()
    const peer = await open()
    let finish = () => {}
    api.handle('now', () => {})
    api.handle(
      'later',
      () =>
        new Promise<void>(resolve => {
          finish = resolve
        }),
    )
    peer.send('{"jsonrpc":"2.0","id":1,"method":"now"}').send('{"jsonrpc":"2.0","id":2,"method":"later"}')
    await settled()
    expect(frames(peer)).toEqual([{ jsonrpc: '2.0', result: null, id: 1 }])
    peer.drop()
    const next = await open()
    finish()
    await settled()
    expect(sent(next)).toEqual([])
  })

  test('a reply that comes too late is dropped, also over a socket without prepare', async () => {
    const { socket, heard, native } = setup({ wake: false })
    const api: Calls<any> = calls(socket, jsonRpc())
    let finish = () => {}
    api.handle('later', () => new Promise<void>(resolve => (finish = resolve)))
    native().accept().send('{"jsonrpc":"2.0","id":2,"method":"later"}').drop()
    await vi.advanceTimersByTimeAsync(5_000)
    native().accept()
    finish()
    await settled()
    expect(sent(native())).toEqual([])
    expect(heard('drop')).toMatchObject([
      { data: '{"jsonrpc":"2.0","result":null,"id":2}', reason: 'aborted' },
    ])
  })

  test('a name has one handler at a time, and one that was removed answers no more', async () => {
    const { api, open } = setupCalls()
    const peer = await open()
    const remove = api.handle('a', () => 1)
    expect(() => api.handle('a', () => 2)).toThrow("'a' already has a handler")
    remove()
    api.handle('a', () => 3)
    remove()
    peer.send('{"jsonrpc":"2.0","id":1,"method":"a"}')
    await settled()
    expect(frames(peer)).toMatchObject([{ result: 3 }])
  })
})

describe('in the role of the client', () => {
  test.each(
    EXAMPLES.filter(([name]) => name.startsWith('a call with p') || name.startsWith('a call with n')),
  )('%s is sent as the specification says, and its result is read', async (_, request, response) => {
    const { api, open } = setupCalls()
    const peer = await open()
    const { method, params } = JSON.parse(request)
    const outcome = outcomeOf(api.call(method, params))
    const { id } = frames(peer)[0]
    expect(frames(peer)).toEqual([{ ...JSON.parse(request), id }])
    peer.send(JSON.stringify({ ...(response as object), id }))
    await settled()
    expect(outcome.now()).toBe((response as any).result)
  })

  test('the replies of a batch are read, in whatever order', async () => {
    const { api, open, errors } = setupCalls()
    const peer = await open()
    const outcomes = ['a', 'b', 'c'].map(name => outcomeOf(api.call(name)))
    peer.send(
      JSON.stringify([
        { jsonrpc: '2.0', result: 'three', id: 3 },
        { ...notFound(1) },
        invalidRequest,
        { jsonrpc: '2.0', result: 'two', id: 2 },
      ]),
    )
    await settled()
    expect(outcomes.map(({ now }) => now())).toEqual(['SERVER_ERROR', 'two', 'three'])
    expect(errors).toMatchObject([{ code: 'UNEXPECTED', cause: null }])
    expect(frames(peer)).toHaveLength(3)
  })

  test('subscriptions can have the methods and parameters of Ethereum', async () => {
    const protocol = jsonRpc({
      subscribe: (name, params) => ['eth_subscribe', params ? [name, params] : [name]],
      unsubscribe: (_, key) => ['eth_unsubscribe', [key]],
    })
    const { api, open } = setupCalls({}, {}, protocol)
    const peer = await open()
    const logs: unknown[] = []
    const stop = api.subscribe('logs', { address: '0x8320' }, log => logs.push(log))
    answer(peer, 'eth_subscribe', { result: '0x4a8a4c0517381924f9838102c5a4dcb7' })
    push(peer, '0x4a8a4c0517381924f9838102c5a4dcb7', { data: '0x01' })
    stop()
    expect(logs).toEqual([{ data: '0x01' }])
    expect(frames(peer)).toEqual([
      { jsonrpc: '2.0', method: 'eth_subscribe', params: ['logs', { address: '0x8320' }], id: 1 },
      { jsonrpc: '2.0', method: 'eth_unsubscribe', params: ['0x4a8a4c0517381924f9838102c5a4dcb7'], id: 2 },
    ])
  })
})

test('a misspelt option of jsonRpc() throws a TypeError with the name that was probably meant', () => {
  expect(() => jsonRpc({ subscribes: () => ['a', []] } as object)).toThrow(
    "jsonRpc has no option 'subscribes'. Did you mean 'subscribe'?",
  )
})
