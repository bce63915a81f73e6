import * as msgpack from '@msgpack/msgpack'
import * as v from 'valibot'
import { describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { CallError, type Calls, calls, jsonRpc } from '../../src/calls.ts'
import type { FakePeer } from '../../src/testing.ts'
import { fresh } from '../stream/setup.ts'
import { sent, settled, setup } from '../support/setup.ts'
import { answer, frames, methods, outcomeOf, push, setupCalls } from './setup.ts'

fresh()

describe('a call', () => {
  test('resolves with the result of its own reply, in whatever order the replies arrive', async () => {
    const { api, open } = setupCalls()
    const peer = await open()
    const [first, second] = [outcomeOf(api.call('one')), outcomeOf(api.call('two', { a: 1 }))]
    expect(frames(peer)).toEqual([
      { jsonrpc: '2.0', method: 'one', id: 1 },
      { jsonrpc: '2.0', method: 'two', params: { a: 1 }, id: 2 },
    ])
    answer(peer, 'two', { result: 'second' })
    await settled()
    expect([first.now(), second.now()]).toEqual(['pending', 'second'])
    answer(peer, 'one', { result: null })
    await settled()
    expect(first.now()).toBe(null)
  })

  test('rejects with the error of the server as the cause', async () => {
    const { api, open } = setupCalls()
    const peer = await open()
    const outcome = outcomeOf(api.call('pay'))
    const error = { code: -32000, message: 'no money', data: { balance: 0 } }
    answer(peer, 'pay', { error })
    await settled()
    expect(outcome.error()).toBeInstanceOf(CallError)
    expect(outcome.error()).toMatchObject({
      code: 'SERVER_ERROR',
      cause: error,
      message: 'SERVER_ERROR: no money',
    })
  })

  test('rejects with the error of the server, although that error cannot be written as text', async () => {
    const { api, open, errors } = setupCalls()
    const peer = await open()
    const outcomes = ['a', 'b'].map(name => outcomeOf(api.call(name)))
    const error = { toString: 1, valueOf: 1 }
    answer(peer, 'a', { error })
    answer(peer, 'b', { error: { message: error } })
    await settled()
    expect(outcomes.map(({ now }) => now())).toEqual(['SERVER_ERROR', 'SERVER_ERROR'])
    expect(outcomes[0]?.error()).toMatchObject({ cause: error, message: 'SERVER_ERROR' })
    expect(errors).toEqual([])
  })

  test('made without a connection waits for one, and is sent in the order of the calls', async () => {
    const { api, open } = setupCalls()
    const outcomes = ['a', 'b', 'c'].map(name => outcomeOf(api.call(name)))
    const peer = await open()
    expect(methods(peer)).toEqual(['a', 'b', 'c'])
    for (const name of ['a', 'b', 'c']) answer(peer, name, { result: name })
    await settled()
    expect(outcomes.map(({ now }) => now())).toEqual(['a', 'b', 'c'])
  })

  test('that was sent and not answered is UNKNOWN when the connection ends, and is not sent again', async () => {
    const { api, open } = setupCalls()
    const peer = await open()
    const outcome = outcomeOf(api.call('buy'))
    expect(peer.received).toHaveLength(1)
    peer.drop()
    await settled()
    expect(outcome.now()).toBe('UNKNOWN')
    expect(methods(await open())).toEqual([])
  })

  test('that certainly did not leave the browser is sent again on the next connection, once', async () => {
    const { api, open } = setupCalls()
    const peer = await open()
    peer.freeze('up')
    const outcome = outcomeOf(api.call('buy'))
    peer.drop()
    await settled()
    const next = await open()
    expect(methods(next)).toEqual(['buy'])
    answer(next, 'buy', { result: 7 })
    await settled()
    expect(outcome.now()).toBe(7)
  })

  /** Makes the browser say that nothing has left. */
  const lie = (peer: FakePeer) => {
    const { socket } = peer
    const { send } = socket
    let bytes = 0
    vi.spyOn(socket, 'bufferedAmount', 'get').mockImplementation(() => bytes)
    socket.send = data => {
      bytes += (data as string).length
      send.call(socket, data)
    }
  }

  test.each([
    ['unsent', 'UNKNOWN', []],
    ['always', 'pending', ['first']],
  ] as const)(
    'with again %s is %s if a later call was answered on the connection, whatever the browser reports',
    async (again, expected, resent) => {
      const { api, open } = setupCalls({ again })
      const peer = await open()
      lie(peer)
      const [first, second] = [outcomeOf(api.call('first')), outcomeOf(api.call('second'))]
      answer(peer, 'second', { result: 2 })
      peer.drop()
      await vi.advanceTimersByTimeAsync(1)
      expect([first.now(), second.now()]).toEqual([expected, 2])
      expect(methods(await open())).toEqual(resent)
    },
  )

  test.each([
    ['never', 'NOT_SENT', []],
    ['unsent', 'pending', ['buy']],
    ['always', 'pending', ['buy']],
  ] as const)('with again %s that certainly did not arrive is then %s', async (again, expected, resent) => {
    const { api, open } = setupCalls()
    const peer = await open()
    peer.freeze('up')
    const outcome = outcomeOf(api.call('buy', undefined, { again }))
    peer.drop()
    await vi.advanceTimersByTimeAsync(1)
    expect(outcome.now()).toBe(expected)
    expect(methods(await open())).toEqual(resent)
  })

  test.each([
    ['never', 'UNKNOWN', []],
    ['unsent', 'UNKNOWN', []],
    ['always', 'pending', ['buy']],
  ] as const)('with again %s that may have arrived is then %s', async (again, expected, resent) => {
    const { api, open } = setupCalls()
    const peer = await open()
    const outcome = outcomeOf(api.call('buy', undefined, { again }))
    peer.drop()
    await settled()
    expect(outcome.now()).toBe(expected)
    expect(methods(await open())).toEqual(resent)
  })

  test('with again always is sent ahead of those that wait, again after an attempt that failed, and keeps its id', async () => {
    let fails = 0
    const { api, socket, native, open } = setupCalls(
      { again: 'always' },
      {},
      {
        ...jsonRpc(),
      },
    )
    const peer = await open()
    const first = outcomeOf(api.call('first'))
    peer.drop()
    await settled()
    void api.call('second').catch(() => {})
    // The handshake succeeds, and the connection ends before it is open.
    const attempt = await (async () => {
      while (socket.state.name === 'waiting') await vi.advanceTimersByTimeAsync(100)
      native().accept()
      fails++
      native().drop()
      return native()
    })()
    await settled()
    const next = await open()
    expect(fails).toBe(1)
    expect(attempt).not.toBe(next)
    expect(frames(next).map(({ method, id }) => [method, id])).toEqual([
      ['first', 1],
      ['second', 2],
    ])
    answer(next, 'first', { result: 1 })
    await settled()
    expect(first.now()).toBe(1)
    next.drop()
    await settled()
    expect(methods(await open())).toEqual(['second'])
  })

  test.each(['never', 'unsent', 'always'] as const)(
    'with again %s that is made during a handover waits for the next connection',
    async again => {
      const { api, open, native } = setupCalls()
      const first = await open()
      api.socket.handover()
      await settled()
      const next = native()
      next.accept()
      await settled()
      const outcome = outcomeOf(api.call('buy', undefined, { again }))
      await vi.advanceTimersByTimeAsync(1_000)
      expect([first.closed?.code, methods(first), methods(next)]).toEqual([1000, [], ['buy']])
      answer(next, 'buy', { result: 7 })
      await settled()
      expect(outcome.now()).toBe(7)
    },
  )

  test('that is queued is NOT_SENT when the socket is closed, and one that was sent is UNKNOWN', async () => {
    const { api, open, socket } = setupCalls({}, { highWaterMark: 0 })
    const peer = await open()
    const first = outcomeOf(api.call('sent'))
    await settled()
    peer.freeze('up')
    const second = outcomeOf(api.call('in the buffer'))
    const third = outcomeOf(api.call('waits', undefined, { again: 'always' }))
    expect(socket.queued).toBe(1)
    peer.drop()
    socket.close()
    await vi.advanceTimersByTimeAsync(1)
    expect([first.now(), second.now(), third.now()]).toEqual(['UNKNOWN', 'NOT_SENT', 'NOT_SENT'])
  })

  test('with again always is UNKNOWN when the socket is closed for good before it could be sent again', async () => {
    const { api, open, socket } = setupCalls()
    const peer = await open()
    const outcome = outcomeOf(api.call('buy', undefined, { again: 'always' }))
    peer.drop()
    await settled()
    socket.close()
    await settled()
    expect(outcome.now()).toBe('UNKNOWN')
  })

  test('made after the socket was closed for good is NOT_SENT', async () => {
    const { api, socket } = setupCalls()
    socket.close()
    const outcome = outcomeOf(api.call('buy'))
    await settled()
    expect(outcome.now()).toBe('NOT_SENT')
  })

  test('that does not fit into the queue of the socket is NOT_SENT at once', async () => {
    const { api, open } = setupCalls({}, { queue: { maxMessages: 1 } })
    const [first, second] = [outcomeOf(api.call('first')), outcomeOf(api.call('second'))]
    await settled()
    expect([first.now(), second.now()]).toEqual(['pending', 'NOT_SENT'])
    expect(methods(await open())).toEqual(['first'])
  })

  test('that makes room for a newer one in the queue of the socket is NOT_SENT', async () => {
    const { api } = setupCalls({}, { queue: { maxMessages: 1, overflow: 'drop-oldest' } })
    const [first, second] = [outcomeOf(api.call('first')), outcomeOf(api.call('second'))]
    await settled()
    expect([first.now(), second.now()]).toEqual(['NOT_SENT', 'pending'])
  })

  test('over a socket without a queue is NOT_SENT while there is no connection', async () => {
    const { api, open } = setupCalls({}, { queue: false })
    const first = outcomeOf(api.call('first'))
    await settled()
    expect(first.now()).toBe('NOT_SENT')
    const peer = await open()
    peer.freeze('up')
    const second = outcomeOf(api.call('second'))
    peer.drop()
    await vi.advanceTimersByTimeAsync(1)
    expect(second.now()).toBe('NOT_SENT')
  })

  test('that was sent is UNKNOWN after close(), because the browser delivers no more messages', async () => {
    const { api, open, socket } = setupCalls()
    await open()
    const outcome = outcomeOf(api.call('last'))
    socket.close()
    await vi.advanceTimersByTimeAsync(1)
    expect([socket.state.name, outcome.now()]).toEqual(['closed', 'UNKNOWN'])
  })
})

describe('a timeout', () => {
  test('of a call that was sent is TIMEOUT, and the reply that comes later is reported', async () => {
    const { api, open, errors } = setupCalls()
    const peer = await open()
    const outcome = outcomeOf(api.call('slow', undefined, { timeout: 100 }))
    await vi.advanceTimersByTimeAsync(99)
    expect(outcome.now()).toBe('pending')
    await vi.advanceTimersByTimeAsync(1)
    expect(outcome.now()).toBe('TIMEOUT')
    answer(peer, 'slow', { result: 1 })
    await settled()
    expect(errors).toMatchObject([{ code: 'UNEXPECTED', cause: 1 }])
  })

  test('of a call that waits is NOT_SENT, and the call never leaves', async () => {
    const { api, open } = setupCalls()
    const outcome = outcomeOf(api.call('late', undefined, { timeout: 100 }))
    await vi.advanceTimersByTimeAsync(100)
    expect(outcome.now()).toBe('NOT_SENT')
    expect(sent(await open())).toEqual([])
  })

  test('of a call in the buffer of the browser is TIMEOUT, and the call is not sent again', async () => {
    const { api, open } = setupCalls()
    const peer = await open()
    peer.freeze('up')
    const outcome = outcomeOf(api.call('late', undefined, { timeout: 100 }))
    await vi.advanceTimersByTimeAsync(100)
    expect(outcome.now()).toBe('TIMEOUT')
    peer.drop()
    await vi.advanceTimersByTimeAsync(1)
    expect(methods(await open())).toEqual([])
  })

  test('of a call that was lost and waits to be sent again is TIMEOUT, because it may have arrived', async () => {
    const { api, open } = setupCalls({ again: 'always', timeout: 1_000 })
    const peer = await open()
    const outcome = outcomeOf(api.call('buy'))
    peer.drop()
    await vi.advanceTimersByTimeAsync(1_000)
    expect(outcome.now()).toBe('TIMEOUT')
    expect(methods(await open())).toEqual([])
  })

  test('of a call that was sent before and waits in the queue again is TIMEOUT', async () => {
    // Without `prepare`, it is sent again behind what waits.
    const { socket, native } = setup({ highWaterMark: 0, wake: false, retry: () => 0 })
    const api: Calls<any> = calls(socket, jsonRpc(), { again: 'always' })
    native().accept()
    const outcome = outcomeOf(api.call('buy', undefined, { timeout: 100 }))
    native().drop()
    socket.send('fills the buffer')
    await vi.advanceTimersByTimeAsync(1)
    native().freeze('up').accept()
    expect(socket.queued).toBe(1)
    await vi.advanceTimersByTimeAsync(100)
    expect([outcome.now(), socket.queued]).toEqual(['TIMEOUT', 0])
  })

  test('is 30 seconds by default, or what the options say, and Infinity is none', async () => {
    const outcomes = [
      setupCalls().api.call('a'),
      setupCalls({ timeout: 50 }).api.call('a'),
      setupCalls({ timeout: Infinity }).api.call('a'),
      setupCalls().api.call('a', undefined, { timeout: 2 ** 40 }),
    ].map(outcomeOf)
    await vi.advanceTimersByTimeAsync(50)
    expect(outcomes.map(({ now }) => now())).toEqual(['pending', 'NOT_SENT', 'pending', 'pending'])
    await vi.advanceTimersByTimeAsync(29_949)
    expect(outcomes.map(({ now }) => now())).toEqual(['pending', 'NOT_SENT', 'pending', 'pending'])
    await vi.advanceTimersByTimeAsync(1)
    expect(outcomes.map(({ now }) => now())).toEqual(['NOT_SENT', 'NOT_SENT', 'pending', 'pending'])
  })

  test('of thirty days, which is more than a timer accepts, ends the call after thirty days', async () => {
    const day = 86_400_000
    const { api, open } = setupCalls({ timeout: 30 * day })
    await open()
    const outcome = outcomeOf(api.call('slow'))
    vi.advanceTimersByTime(30 * day - 1)
    await settled()
    expect(outcome.now()).toBe('pending')
    await vi.advanceTimersByTimeAsync(1)
    expect(outcome.now()).toBe('TIMEOUT')
  })

  test('leaves no timer behind after the reply', async () => {
    const { api, open } = setupCalls()
    const peer = await open()
    const before = vi.getTimerCount()
    void api.call('quick')
    answer(peer, 'quick', { result: 1 })
    // The socket checks the buffer of the browser for some time.
    await vi.advanceTimersByTimeAsync(1_000)
    expect(vi.getTimerCount()).toBe(before)
  })
})

describe('an aborted signal', () => {
  test('of a call that waits is NOT_SENT with the reason, and the call never leaves', async () => {
    const { api, open } = setupCalls()
    const abort = new AbortController()
    const outcome = outcomeOf(api.call('draft', undefined, { signal: abort.signal }))
    abort.abort('changed my mind')
    await settled()
    expect(outcome.error()).toMatchObject({ code: 'NOT_SENT', cause: 'changed my mind' })
    expect(methods(await open())).toEqual([])
  })

  test('of a call that was sent is UNKNOWN with the reason', async () => {
    const { api, open } = setupCalls()
    await open()
    const abort = new AbortController()
    const outcome = outcomeOf(api.call('draft', undefined, { signal: abort.signal }))
    abort.abort('changed my mind')
    await settled()
    expect(outcome.error()).toMatchObject({ code: 'UNKNOWN', cause: 'changed my mind' })
  })

  test('of a call inside a listener of the socket has the same outcome, although its drop event follows later', async () => {
    const { api, socket, open } = setupCalls()
    const abort = new AbortController()
    const outcome = outcomeOf(api.call('draft', undefined, { signal: abort.signal }))
    socket.once('state', () => abort.abort())
    socket.reconnect()
    await settled()
    expect(outcome.now()).toBe('NOT_SENT')
    expect(methods(await open())).toEqual([])
  })

  test('is NOT_SENT if a drop listener of the page sends something else at that moment', async () => {
    const { api, socket } = setupCalls()
    const abort = new AbortController()
    socket.on('drop', () => socket.send('something else'))
    const outcome = outcomeOf(api.call('draft', undefined, { signal: abort.signal }))
    abort.abort()
    await settled()
    expect(outcome.now()).toBe('NOT_SENT')
  })

  test('whose reason is a symbol ends the call, too', async () => {
    const { api, open } = setupCalls()
    await open()
    const controller = new AbortController()
    const outcome = outcomeOf(api.call('pay', undefined, { signal: controller.signal }))
    controller.abort(Symbol('why'))
    await settled()
    expect(outcome.error()).toMatchObject({ code: 'UNKNOWN', message: 'UNKNOWN: Symbol(why)' })
  })

  test('before the call is NOT_SENT, and afterwards nothing listens to the signal', async () => {
    const { api, open } = setupCalls()
    const peer = await open()
    const outcome = outcomeOf(api.call('draft', undefined, { signal: AbortSignal.abort('no') }))
    await settled()
    expect(outcome.error()).toMatchObject({ code: 'NOT_SENT', cause: 'no' })
    const { signal } = new AbortController()
    const added = vi.spyOn(signal, 'addEventListener')
    const removed = vi.spyOn(signal, 'removeEventListener')
    void api.call('answered', undefined, { signal })
    answer(peer, 'answered', { result: 1 })
    await settled()
    expect(removed.mock.calls.map(([, listener]) => listener)).toEqual(
      added.mock.calls.map(([, listener]) => listener),
    )
    expect(added).toHaveBeenCalledTimes(1)
    expect(methods(peer)).toEqual(['answered'])
  })
})

describe('limits', () => {
  test('more calls than maxCalls are NOT_SENT at once, and one that ended makes room', async () => {
    const { api, open } = setupCalls({ maxCalls: 2 })
    const peer = await open()
    const outcomes = ['a', 'b', 'c'].map(name => outcomeOf(api.call(name)))
    await settled()
    expect(outcomes.map(({ now }) => now())).toEqual(['pending', 'pending', 'NOT_SENT'])
    answer(peer, 'a', { result: 1 })
    await settled()
    void api.call('d').catch(() => {})
    expect(methods(peer)).toEqual(['a', 'b', 'd'])
  })

  test('more bytes than maxBytes are NOT_SENT at once, and a call that failed makes room', async () => {
    const { api } = setupCalls({ maxBytes: 200 })
    const text = 'x'.repeat(100)
    const outcomes = [1, 2].map(() => outcomeOf(api.call('a', [text], { timeout: 10 })))
    await settled()
    expect(outcomes.map(({ now }) => now())).toEqual(['pending', 'NOT_SENT'])
    await vi.advanceTimersByTimeAsync(10)
    const third = outcomeOf(api.call('a', [text]))
    await settled()
    expect(third.now()).toBe('pending')
  })

  test('invalid options and unknown ones throw a TypeError that names them', async () => {
    const { socket } = setup()
    expect(() => calls(socket, jsonRpc(), { timeuot: 1 } as object)).toThrow(/'timeuot'.*timeout/)
    expect(() => calls(socket, jsonRpc(), { maxCalls: -1 })).toThrow(/maxCalls must be a number, at least 0/)
    expect(() => calls(socket, jsonRpc(), { timeout: 'x' as any })).toThrow(
      /timeout must be a number, at least 0/,
    )
    expect(() => calls(socket, jsonRpc(), { again: 'Never' as any })).toThrow(
      'again must be one of never,unsent,always',
    )
    const { api } = setupCalls()
    await expect(api.call('a', undefined, { again: 'sometimes' as any })).rejects.toThrow(TypeError)
    // The parameters were forgotten.
    expect(() => (api.subscribe as any)('news', () => {})).toThrow(
      "The listener or handler of 'news' must be a function",
    )
    expect(() => (api.handle as any)('ask', true)).toThrow(TypeError)
    await expect(api.call('a', undefined, { agian: 'never' } as object)).rejects.toThrow(/'agian'.*'again'/)
    await expect(api.call('a', undefined, { timeout: Number.NaN })).rejects.toThrow(/timeout must be/)
    expect(() => api.subscribe('a', undefined, () => {}, { onend() {} } as object)).toThrow(/'onend'.*onEnd/)
  })

  test('a protocol that is missing or has no read() throws a TypeError', () => {
    const { socket } = setup()
    const needed = new TypeError('calls() needs a protocol, such as jsonRpc()')
    expect(() => (calls as any)(socket)).toThrow(needed)
    expect(() => calls(socket, jsonRpc as any)).toThrow(needed)
  })

  test('a limit or a timeout that is not a number throws a TypeError, even if it could be converted to one', () => {
    for (const value of [null, '5', '', true, [1]] as any[]) {
      expect(() => setupCalls({ timeout: value })).toThrow('timeout must be a number, at least 0')
      expect(() => setupCalls({ maxCalls: value })).toThrow('maxCalls must be a number, at least 0')
    }
  })

  test('parameters that cannot be encoded reject with a TypeError, and nothing is kept', async () => {
    const { api, open } = setupCalls({ maxCalls: 1 })
    const peer = await open()
    await expect(api.call('a', { big: 1n })).rejects.toThrow(TypeError)
    await expect(api.call('a', 5)).rejects.toThrow('JSON-RPC: params must be an object or an array')
    void api.call('b').catch(() => {})
    expect(methods(peer)).toEqual(['b'])
  })
})

describe('messages that belong to no call', () => {
  test.each([
    ['a reply with an unknown id', '{"jsonrpc":"2.0","id":99,"result":1}', { code: 'UNEXPECTED', cause: 99 }],
    [
      'an error without an id',
      '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}',
      { code: 'UNEXPECTED', cause: null },
    ],
    [
      'an item of an unknown subscription',
      '{"jsonrpc":"2.0","method":"m","params":{"subscription":"0x1","result":1}}',
      { code: 'UNEXPECTED', cause: '0x1' },
    ],
    ['a call without a handler', '{"jsonrpc":"2.0","method":"ask"}', { code: 'UNEXPECTED', cause: 'ask' }],
    ['text that is not JSON', '{"jsonrpc', { code: 'MALFORMED' }],
    ['a frame that is none', '17', { code: 'MALFORMED' }],
    ['null', 'null', { code: 'MALFORMED' }],
    ['a reply whose id is an object', '{"jsonrpc":"2.0","id":{},"result":1}', { code: 'MALFORMED' }],
  ])('%s is reported once, and the next reply arrives', async (_, text, expected) => {
    const { api, open, errors } = setupCalls()
    const peer = await open()
    const outcome = outcomeOf(api.call('a'))
    peer.send(text)
    await settled()
    expect(errors).toMatchObject([expected])
    expect(errors[0]).toBeInstanceOf(CallError)
    answer(peer, 'a', { result: 1 })
    await settled()
    expect(outcome.now()).toBe(1)
    expect(frames(peer)).toHaveLength(1)
  })

  test('a protocol that throws while it reads is reported, with its error as the cause', async () => {
    const cause = new Error('bug')
    const protocol = {
      ...jsonRpc(),
      read() {
        throw cause
      },
    }
    const { open, errors } = setupCalls({}, {}, protocol)
    ;(await open()).send('{}')
    await settled()
    expect(errors).toMatchObject([{ code: 'MALFORMED', cause }])
  })

  test.each(['__proto__', 'constructor', 'toString'])('%s is a name like any other', async name => {
    const { api, open } = setupCalls({ contract: { [name]: { result: z.unknown() } } })
    const peer = await open()
    const outcome = outcomeOf(api.call(name))
    const items: unknown[] = []
    api.subscribe(name, undefined, item => items.push(item))
    api.handle(name, params => params)
    answer(peer, 'subscribe', { result: name })
    peer.send(
      `{"jsonrpc":"2.0","method":"x","params":{"subscription":"${name}","result":{"__proto__":{"polluted":1}}}}`,
    )
    peer.send(`{"jsonrpc":"2.0","id":"__proto__","method":"${name}","params":{"__proto__":1}}`)
    answer(peer, name, { result: 1 })
    await settled()
    expect(outcome.now()).toBe(1)
    expect(items).toHaveLength(1)
    expect(sent(peer).at(-1)).toBe('{"jsonrpc":"2.0","result":{"__proto__":1},"id":"__proto__"}')
    expect(({} as any).polluted).toBe(undefined)
  })

  test('a name of Object.prototype that the contract does not have throws a TypeError', async () => {
    const { api } = setupCalls({ contract: { known: {} } })
    for (const name of ['__proto__', 'constructor', 'missing']) {
      await expect(api.call(name)).rejects.toThrow(`The contract has no '${name}'`)
      expect(() => api.notify(name)).toThrow(TypeError)
      expect(() => api.subscribe(name, undefined, () => {})).toThrow(TypeError)
      expect(() => api.handle(name, () => 1)).toThrow(TypeError)
    }
  })
})

describe('a contract', () => {
  const contract = {
    'order.place': {
      params: z.object({ qty: z.coerce.number() }),
      result: z.object({ at: z.coerce.date() }),
    },
  }

  test('rejects parameters that do not match, and sends the others as they are', async () => {
    const { api, open } = setupCalls({ contract })
    const peer = await open()
    const wrong = outcomeOf(api.call('order.place', { qty: 'many' }))
    await settled()
    expect(wrong.error()).toMatchObject({ code: 'NOT_SENT', cause: [{ path: ['qty'] }] })
    void api.call('order.place', { qty: '3' }).catch(() => {})
    expect(frames(peer)).toMatchObject([{ params: { qty: '3' } }])
    expect(() => api.notify('order.place', {})).toThrow(CallError)
  })

  test('gives what the schema makes of a result, and rejects one that does not match with INVALID', async () => {
    const { api, open } = setupCalls({ contract })
    const peer = await open()
    const [right, wrong] = [
      outcomeOf(api.call('order.place', { qty: 1 })),
      outcomeOf(api.call('order.place', { qty: 2 })),
    ]
    answer(peer, 'order.place', { result: {} })
    peer.send('{"jsonrpc":"2.0","id":2,"result":{"at":0}}')
    peer.send('{"jsonrpc":"2.0","id":1,"result":{"at":0}}')
    await settled()
    expect(right.now()).toEqual({ at: new Date(0) })
    expect(wrong.error()).toMatchObject({ code: 'INVALID', cause: [{ path: ['at'] }] })
  })

  test('with an asynchronous schema rejects the call, and says why', async () => {
    const params = z.object({}).refine(async () => true)
    const { api } = setupCalls({ contract: { a: { params } } })
    await expect(api.call('a', {})).rejects.toThrow(/asynchronous/)
  })
})

test('values that do not match a valibot schema are refused, although its results have a value besides the issues', async () => {
  const contract = {
    pay: { params: v.object({ qty: v.number() }), result: v.number() },
    news: { event: v.number() },
  }
  const { api, open, errors } = setupCalls({ contract })
  const peer = await open()
  const [bad, good] = [outcomeOf(api.call('pay', { qty: 'x' })), outcomeOf(api.call('pay', { qty: 1 }))]
  const items: unknown[] = []
  api.subscribe('news', undefined, item => items.push(item))
  expect(methods(peer)).toEqual(['pay', 'subscribe'])
  answer(peer, 'pay', { result: 'x' })
  answer(peer, 'subscribe', { result: 'k' })
  push(peer, 'k', 'x')
  await settled()
  expect([bad.now(), good.now(), items, errors.map(({ code }) => code)]).toEqual([
    'NOT_SENT',
    'INVALID',
    [],
    ['INVALID'],
  ])
  expect(bad.error().message).toBe('NOT_SENT: Invalid type: Expected number but received "x"')
})

describe('a notification', () => {
  test('is sent without an id, and returns what the socket says', async () => {
    const { api, open } = setupCalls()
    expect(api.notify('waits', [1])).toBe('queued')
    const peer = await open()
    expect(api.notify('moved', { x: 1 }, { volatile: true })).toBe('sent')
    expect(frames(peer)).toEqual([
      { jsonrpc: '2.0', method: 'waits', params: [1] },
      { jsonrpc: '2.0', method: 'moved', params: { x: 1 } },
    ])
  })
})

describe('a codec', () => {
  // One buffer for all messages, as fast encoders do it.
  const shared = new Uint8Array(1_024)
  const codec = {
    encode(frame: unknown) {
      const bytes = msgpack.encode(frame)
      shared.set(bytes, 8)
      return shared.subarray(8, 8 + bytes.length)
    },
    decode: (data: ArrayBuffer) => msgpack.decode(data),
  }
  const decoded = (data: unknown) => msgpack.decode(data as Uint8Array) as any

  test('encodes frames and decodes binary messages', async () => {
    const { api, open } = setupCalls({ codec })
    const peer = await open()
    const outcome = outcomeOf(api.call('sum', [1, 2]))
    expect(decoded(sent(peer)[0])).toEqual({ jsonrpc: '2.0', method: 'sum', params: [1, 2], id: 1 })
    peer.send(msgpack.encode({ jsonrpc: '2.0', id: 1, result: 3 }))
    await settled()
    expect(outcome.now()).toBe(3)
  })

  test('does not compare each message that is dropped with the bytes of all calls that wait', async () => {
    const { api } = setupCalls({ codec: msgpack })
    for (let i = 0; i < 10; i++) api.call('long name', [i]).catch(() => {})
    const join = vi.spyOn(Uint8Array.prototype, 'join')
    expect(api.notify('x', undefined, { volatile: true })).toBe('dropped')
    await settled()
    expect(join).not.toHaveBeenCalled()
  })

  test('changes nothing about what is sent again, and what is not', async () => {
    const { api, open } = setupCalls({ codec })
    const peer = await open()
    const first = outcomeOf(api.call('first'))
    peer.freeze('up')
    const second = outcomeOf(api.call('second'))
    const third = outcomeOf(api.call('third', undefined, { again: 'never' }))
    peer.drop()
    await vi.advanceTimersByTimeAsync(1)
    expect([first.now(), second.now(), third.now()]).toEqual(['UNKNOWN', 'pending', 'NOT_SENT'])
    expect(sent(await open()).map(data => decoded(data).method)).toEqual(['second'])
  })
})

test('over a socket that is open already, calls are sent and answered at once', async () => {
  const { socket, native } = setup()
  native().accept()
  const api = calls(socket, jsonRpc())
  const outcome = outcomeOf(api.call('a'))
  answer(native(), 'a', { result: 1 })
  await settled()
  expect(outcome.now()).toBe(1)
  expect(api.socket).toBe(socket)
})
