import * as msgpack from '@msgpack/msgpack'
import { describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { type CallProtocol, type Calls, jsonRpc } from '../../src/calls.ts'
import { createEmitter, type PreparedConnection, type Socket } from '../../src/index.ts'
import { fresh } from '../stream/setup.ts'
import { sent, settled, setup } from '../support/setup.ts'
import { answer, callsFromOne, frames, methods, push, setupCalls } from './setup.ts'

fresh()

/** A protocol without confirmations: items carry the id of the request. */
const plain: CallProtocol = {
  call: (id, name, params) => ({ call: name, id, params }),
  subscribe: (id, name, params) => ({ subscribe: name, id, params }),
  unsubscribe: (_, name, id) => ({ unsubscribe: name, id }),
  read({ id, result, item, gap, end, error }, incoming) {
    if (end) incoming.end(id, error)
    else if (item !== undefined) incoming.item(id, item, gap)
    else incoming.result(id, result)
  },
}

/** A listener that notes items, with an exclamation mark after a gap. */
const listener = () => {
  const heard: string[] = []
  return {
    heard,
    listen: (item: unknown, { gap }: { gap: boolean }) => heard.push(`${item}${gap ? '!' : ''}`),
  }
}

describe('a subscription', () => {
  test('passes on the items that carry its key', async () => {
    const { api, open, errors } = setupCalls()
    const peer = await open()
    const [news, sport] = [listener(), listener()]
    api.subscribe('news', { lang: 'en' }, news.listen)
    api.subscribe('sport', undefined, sport.listen)
    expect(frames(peer)).toEqual([
      { jsonrpc: '2.0', method: 'subscribe', params: ['news', { lang: 'en' }], id: 1 },
      { jsonrpc: '2.0', method: 'subscribe', params: ['sport'], id: 2 },
    ])
    peer.send('{"jsonrpc":"2.0","id":1,"result":"n"}').send('{"jsonrpc":"2.0","id":2,"result":"s"}')
    push(peer, 's', 1)
    push(peer, 'n', 2)
    expect([news.heard, sport.heard, errors]).toEqual([['2'], ['1'], []])
  })

  test('made without a connection is sent before everything that waits, and before the socket is open', async () => {
    const { api, socket, native } = setupCalls()
    void api.call('waits').catch(() => {})
    api.subscribe('news', undefined, () => {})
    expect(socket.queued).toBe(1)
    let atOpen: string[] = []
    socket.on('open', () => {
      atOpen = methods(native())
    })
    native().accept()
    await settled()
    expect(atOpen).toEqual(['subscribe'])
    expect(methods(native())).toEqual(['subscribe', 'waits'])
  })

  test('is made again on each connection, also after one that ended before it was open', async () => {
    const { api, open, native, socket } = setupCalls()
    const { heard, listen } = listener()
    api.subscribe('news', undefined, listen)
    for (const key of ['a', 'b', 'c']) {
      const peer = await open()
      expect(methods(peer)).toEqual(['subscribe'])
      answer(peer, 'subscribe', { result: key })
      push(peer, key, key)
      peer.drop()
      while (socket.state.name === 'waiting') await vi.advanceTimersByTimeAsync(100)
      native().accept().drop()
      await settled()
    }
    expect(heard).toEqual(['a', 'b!', 'c!'])
  })

  test('of an attempt that failed is forgotten, so that a reply to it is unexpected', async () => {
    const { api, socket, native, open, errors } = setupCalls()
    api.subscribe('news', undefined, () => {})
    native().accept().drop()
    await settled()
    expect(socket.state.name).toBe('waiting')
    const peer = await open()
    peer.send('{"jsonrpc":"2.0","id":1,"result":"old"}')
    await settled()
    expect(errors).toMatchObject([{ code: 'UNEXPECTED', cause: 1 }])
  })

  test('is made once for all listeners with the same name and parameters, and ended with the last', async () => {
    const { api, open } = setupCalls()
    const peer = await open()
    const [one, two] = [listener(), listener()]
    const stops = [one, two].map(({ listen }) => api.subscribe('news', { a: 1 }, listen))
    api.subscribe('news', { a: 2 }, () => {})
    expect(frames(peer).map(({ params }) => params)).toEqual([
      ['news', { a: 1 }],
      ['news', { a: 2 }],
    ])
    peer.send('{"jsonrpc":"2.0","id":1,"result":"k"}')
    push(peer, 'k', 1)
    stops[0]?.()
    stops[0]?.()
    push(peer, 'k', 2)
    expect([one.heard, two.heard]).toEqual([['1'], ['1', '2']])
    stops[1]?.()
    expect(frames(peer).at(-1)).toMatchObject({ method: 'unsubscribe', params: ['k'] })
    expect(methods(peer)).toHaveLength(3)
  })

  test('with a key of its own is shared by listeners with other parameters', async () => {
    const { api, open } = setupCalls()
    const peer = await open()
    for (const after of [1, 2]) api.subscribe('news', { after }, () => {}, { key: 'news' })
    expect(frames(peer).map(({ params }) => params)).toEqual([['news', { after: 1 }]])
  })

  test('ignores items that arrive while it is being ended, and reports none', async () => {
    const { api, open, errors } = setupCalls()
    const peer = await open()
    const { heard, listen } = listener()
    const stop = api.subscribe('news', undefined, listen)
    answer(peer, 'subscribe', { result: 'k' })
    stop()
    push(peer, 'k', 1)
    answer(peer, 'unsubscribe', { result: true })
    expect([heard, errors]).toEqual([[], []])
    push(peer, 'k', 2)
    expect(errors).toMatchObject([{ code: 'UNEXPECTED', cause: 'k' }])
  })

  test('that is stopped before the server has confirmed it is ended after that', async () => {
    const { api, open } = setupCalls()
    const peer = await open()
    api.subscribe('news', undefined, () => {})()
    expect(methods(peer)).toEqual(['subscribe'])
    answer(peer, 'subscribe', { result: 'k' })
    expect(methods(peer)).toEqual(['subscribe', 'unsubscribe'])
  })

  test('that is stopped without a connection is not made again, and nothing is sent', async () => {
    const { api, open } = setupCalls()
    const stop = api.subscribe('news', undefined, () => {})
    ;(await open()).drop()
    stop()
    expect(sent(await open())).toEqual([])
  })

  test('that is stopped between prepare and open is ended after that', async () => {
    const { api, socket, open } = setupCalls()
    const stop = api.subscribe('news', undefined, () => {})
    socket.once('state', stop)
    const peer = await open()
    answer(peer, 'subscribe', { result: 'k' })
    expect(methods(peer)).toEqual(['subscribe', 'unsubscribe'])
  })

  test('that is added between prepare and open is made', async () => {
    const { api, socket, open } = setupCalls()
    socket.on('state', ({ name }) => {
      if (name === 'open') api.subscribe('news', undefined, () => {})
    })
    expect(methods(await open())).toEqual(['subscribe'])
  })

  test('that waits in the queue of a connection is not sent twice on the next one', async () => {
    const { api, socket, open } = setupCalls({}, { highWaterMark: 0 })
    const peer = await open()
    peer.freeze('up')
    void api.call('fills the buffer').catch(() => {})
    api.subscribe('news', undefined, () => {})
    expect(socket.queued).toBe(1)
    peer.drop()
    await vi.advanceTimersByTimeAsync(1)
    const next = await open()
    next.thaw()
    await vi.advanceTimersByTimeAsync(1_000)
    expect(methods(next)).toEqual(['subscribe', 'fills the buffer'])
  })

  test('that waits in the queue of a socket without prepare is not sent twice, either', async () => {
    const { socket, native } = setup({ highWaterMark: 0, wake: false })
    const api: Calls<any> = callsFromOne(socket, jsonRpc())
    native().accept().freeze('up')
    void api.call('fills the buffer').catch(() => {})
    api.subscribe('news', undefined, () => {})
    expect(socket.queued).toBe(1)
    native().drop()
    await vi.advanceTimersByTimeAsync(5_000)
    native().accept()
    await vi.advanceTimersByTimeAsync(1_000)
    expect(methods(native())).toEqual(['fills the buffer', 'subscribe'])
  })

  test('is made after open if the page has prepared only an earlier attempt', async () => {
    let attempts = 0
    let made = {} as ReturnType<typeof setup>
    const api: Calls<any> = callsFromOne(prepare => {
      made = setup({
        wake: false,
        async prepare(connection) {
          if (attempts++) return
          await prepare(connection)
          throw new Error('not authenticated')
        },
      })
      return made.socket
    }, jsonRpc())
    api.subscribe('news', undefined, () => {})
    made.native().accept()
    await settled()
    await vi.advanceTimersByTimeAsync(5_000)
    made.native().accept()
    await settled()
    expect([attempts, methods(made.native())]).toEqual([2, ['subscribe']])
  })

  test('of calls that begin while the socket opens is made once', async () => {
    const { socket, native } = setup({ wake: false })
    socket.on('state', ({ name }) => {
      if (name !== 'open') return
      const api: Calls<any> = callsFromOne(socket, jsonRpc())
      api.subscribe('news', undefined, () => {})
    })
    native().accept()
    await settled()
    expect(methods(native())).toEqual(['subscribe'])
  })

  test('that does not fit into the queue of the socket ends with NOT_SENT', async () => {
    const { api, open } = setupCalls({}, { highWaterMark: 0, queue: { maxMessages: 0 } })
    const peer = await open()
    peer.freeze('up')
    void api.call('fills the buffer').catch(() => {})
    const ends: unknown[] = []
    api.subscribe('news', undefined, () => {}, { onEnd: error => ends.push(error) })
    expect(ends).toMatchObject([{ code: 'NOT_SENT' }])
  })

  test('beyond maxSubscriptions throws, and one that was stopped makes room', () => {
    const { api } = setupCalls({ maxSubscriptions: 1 })
    const stop = api.subscribe('a', undefined, () => {})
    api.subscribe('a', undefined, () => {})()
    expect(() => api.subscribe('b', undefined, () => {})).toThrow('NOT_SENT: maxSubscriptions')
    stop()
    api.subscribe('b', undefined, () => {})
  })

  test('whose listener throws still reaches the other listeners, and the error is reported', async () => {
    const reported: unknown[] = []
    vi.stubGlobal('reportError', (error: unknown) => reported.push(error))
    const { api, open } = setupCalls()
    const peer = await open()
    const { heard, listen } = listener()
    api.subscribe('news', undefined, () => {
      throw new Error('mine')
    })
    api.subscribe('news', undefined, listen)
    answer(peer, 'subscribe', { result: 'k' })
    push(peer, 'k', 1)
    push(peer, 'k', 2)
    expect([heard, reported]).toEqual([
      ['1', '2'],
      [new Error('mine'), new Error('mine')],
    ])
  })

  test.each([
    ['before', [0, 1]],
    ['after', [1, 0]],
  ])(
    'is there although the page calls prepare for an attempt that has failed, %s that of the next one',
    async (_, order) => {
      const tokens: (() => void)[] = []
      const token = () => new Promise<void>(resolve => tokens.push(resolve))
      let made = {} as ReturnType<typeof setup>
      const api: Calls = callsFromOne(prepare => {
        made = setup({
          wake: false,
          async prepare(connection) {
            await token()
            await prepare(connection)
            await token()
          },
        })
        return made.socket
      }, jsonRpc())
      const items: unknown[] = []
      const ends: unknown[] = []
      api.on('error', error => ends.push(error))
      api.subscribe('news', undefined, item => items.push(item), { onEnd: error => ends.push(error) })
      made.native().accept()
      await settled()
      made.native().drop()
      await vi.advanceTimersByTimeAsync(5_000)
      const peer = made.native()
      peer.accept()
      for (const index of [...order, 2, 3]) {
        await settled()
        tokens[index]?.()
      }
      await settled()
      expect(methods(peer)).toEqual(['subscribe'])
      answer(peer, 'subscribe', { result: 'k' })
      push(peer, 'k', 1)
      await settled()
      expect([items, ends]).toEqual([[1], []])
    },
  )

  test('that is stopped and made again before the server has confirmed it is made once, and not ended', async () => {
    const { api, open } = setupCalls()
    const peer = await open()
    const items: unknown[] = []
    api.subscribe('news', { of: 1 }, () => items.push('stopped'))()
    const stop = api.subscribe('news', { of: 1 }, item => items.push(item))
    answer(peer, 'subscribe', { result: 'k' })
    push(peer, 'k', 1)
    await settled()
    expect([methods(peer), items]).toEqual([['subscribe'], [1]])
    stop()
    expect(methods(peer)).toEqual(['subscribe', 'unsubscribe'])
  })

  test('with the same key, but other parameters than one that was stopped, is made', async () => {
    const { api, open } = setupCalls()
    const peer = await open()
    api.subscribe('news', { of: 1 }, () => {}, { key: 'k' })()
    api.subscribe('news', { of: 2 }, () => {}, { key: 'k' })
    expect(methods(peer)).toEqual(['subscribe', 'subscribe'])
  })

  test('gets its items if the server confirms it before the end of an older one with the same key', async () => {
    const { api, open } = setupCalls()
    const peer = await open()
    const items: unknown[] = []
    const stop = api.subscribe('news', undefined, () => {})
    answer(peer, 'subscribe', { result: 'news' })
    await settled()
    stop()
    api.subscribe('news', undefined, item => items.push(item))
    answer(peer, 'subscribe', { result: 'news' })
    answer(peer, 'unsubscribe', { result: true })
    push(peer, 'news', 1)
    await settled()
    expect(items).toEqual([1])
  })

  test('over a socket that was made without prepare is made after open, behind what waits', async () => {
    const { socket, native } = setup({ wake: false })
    const api: Calls<any> = callsFromOne(socket, jsonRpc())
    void api.call('waits').catch(() => {})
    const { heard, listen } = listener()
    api.subscribe('news', undefined, listen)
    native().accept()
    expect(methods(native())).toEqual(['waits', 'subscribe'])
    answer(native(), 'subscribe', { result: 'k' })
    push(native(), 'k', 1)
    native().drop()
    await vi.advanceTimersByTimeAsync(5_000)
    native().accept()
    answer(native(), 'subscribe', { result: 'k' })
    push(native(), 'k', 2)
    expect(heard).toEqual(['1', '2!'])
  })
})

describe('parameters', () => {
  test('that are a function get the last item on each connection, and then nothing is missing', async () => {
    const { api, open } = setupCalls()
    const items: unknown[] = []
    api.subscribe(
      'news',
      (last: any) => ({ after: last?.id ?? 10 }),
      (item: any, { gap }) => items.push([item.id, gap]),
    )
    let peer = await open()
    const asked = () => frames(peer)[0].params[1]
    expect(asked()).toEqual({ after: 10 })
    answer(peer, 'subscribe', { result: 'k' })
    peer.drop()
    // No item has arrived, so it is not known where to continue.
    peer = await open()
    expect(asked()).toEqual({ after: 10 })
    answer(peer, 'subscribe', { result: 'k' })
    push(peer, 'k', { id: 11 })
    push(peer, 'k', { id: 12 })
    peer.drop()
    peer = await open()
    expect(asked()).toEqual({ after: 12 })
    answer(peer, 'subscribe', { result: 'k' })
    push(peer, 'k', { id: 13 })
    expect(items).toEqual([
      [11, true],
      [12, false],
      [13, false],
    ])
  })

  test('that are a function which throws end the subscription, and no other one', async () => {
    const { api, open } = setupCalls()
    const ends: unknown[] = []
    const cause = new Error('mine')
    let throws = false
    const params = () => {
      if (throws) throw cause
      return { a: 1 }
    }
    api.subscribe('bad', params, () => {}, { onEnd: error => ends.push(error) })
    api.subscribe('good', undefined, () => {})
    throws = true
    expect(frames(await open()).map(({ params }) => params[0])).toEqual(['good'])
    expect(ends).toMatchObject([{ code: 'NOT_SENT', cause }])
  })

  test('that are a function are checked on each connection', async () => {
    const contract = { news: { params: z.object({ after: z.number() }) } }
    const { api, open, errors } = setupCalls({ contract })
    const peer = await open()
    api.subscribe(
      'news',
      (last: any) => ({ after: last ?? 0 }),
      () => {},
    )
    answer(peer, 'subscribe', { result: 'k' })
    push(peer, 'k', 'text')
    await settled()
    peer.drop()
    expect(methods(await open())).toEqual([])
    expect(errors).toMatchObject([{ code: 'NOT_SENT', cause: [{ path: ['after'] }] }])
  })

  test('that only a codec can tell apart make two subscriptions', async () => {
    const codec = {
      encode: (frame: any) => msgpack.encode(frame, { useBigInt64: true }),
      decode: msgpack.decode,
    }
    const { api, open } = setupCalls({ codec })
    const peer = await open()
    for (const id of [1n, 2n, 2n]) api.subscribe('news', { id }, () => {})
    expect(sent(peer)).toHaveLength(2)
  })

  test('that do not match the contract throw', () => {
    const { api } = setupCalls({ contract: { news: { params: z.object({ after: z.number() }) } } })
    expect(() => api.subscribe('news', { after: 'x' }, () => {})).toThrow(/NOT_SENT/)
    expect(() =>
      api.subscribe(
        'news',
        () => ({ after: 'x' }),
        () => {},
      ),
    ).toThrow(/NOT_SENT/)
  })
})

describe('a gap', () => {
  test('is reported on the first item after a reconnection, once', async () => {
    const { api, open } = setupCalls()
    const { heard, listen } = listener()
    api.subscribe('news', undefined, listen)
    let peer = await open()
    answer(peer, 'subscribe', { result: 'k' })
    push(peer, 'k', 1)
    peer.drop()
    peer = await open()
    answer(peer, 'subscribe', { result: 'k' })
    for (const item of [2, 3]) push(peer, 'k', item)
    expect(heard).toEqual(['1', '2!', '3'])
  })

  test('is reported for a subscription that was added while the socket was open, too', async () => {
    const { api, open } = setupCalls()
    let peer = await open()
    const { heard, listen } = listener()
    api.subscribe('news', undefined, listen)
    peer.drop()
    peer = await open()
    answer(peer, 'subscribe', { result: 'k' })
    push(peer, 'k', 1)
    expect(heard).toEqual(['1!'])
  })

  test('is reported where the server says so, and after an item that does not match the contract', async () => {
    const { api, open, errors } = setupCalls({ contract: { news: { event: z.number() } } }, {}, plain)
    const { heard, listen } = listener()
    api.subscribe('news', undefined, listen)
    const peer = await open()
    for (const item of [
      '{"id":1,"item":1}',
      '{"id":1,"item":2,"gap":true}',
      '{"id":1,"item":"x"}',
      '{"id":1,"item":3}',
      '{"id":1,"item":4}',
    ])
      peer.send(item)
    expect(heard).toEqual(['1', '2!', '3!', '4'])
    expect(errors).toMatchObject([{ code: 'INVALID' }])
  })
})

describe('a subscription that the server refuses', () => {
  test('ends with the error of the server, and the others continue', async () => {
    const { api, open, errors } = setupCalls()
    const peer = await open()
    const ends: any[] = []
    const { heard, listen } = listener()
    api.subscribe('secret', undefined, () => {}, { onEnd: error => ends.push(error) })
    api.subscribe('news', undefined, listen)
    const error = { code: 403, message: 'no' }
    peer
      .send(`{"jsonrpc":"2.0","id":1,"error":${JSON.stringify(error)}}`)
      .send('{"jsonrpc":"2.0","id":2,"result":"k"}')
    push(peer, 'k', 1)
    expect(ends).toMatchObject([{ code: 'SERVER_ERROR', cause: error }])
    expect([heard, errors]).toEqual([['1'], []])
    peer.drop()
    expect(frames(await open()).map(({ params }) => params)).toEqual([['news']])
  })

  test('causes one error event if none of its listeners has onEnd', async () => {
    const { api, open, errors } = setupCalls()
    const peer = await open()
    const stops = [1, 2].map(() => api.subscribe('secret', undefined, () => {}))
    answer(peer, 'subscribe', { error: { code: 403, message: 'no' } })
    expect(errors).toMatchObject([{ code: 'SERVER_ERROR', message: 'SERVER_ERROR: no' }])
    for (const stop of stops) stop()
    expect(methods(peer)).toEqual(['subscribe'])
    api.subscribe('secret', undefined, () => {})
    expect(methods(peer)).toEqual(['subscribe', 'subscribe'])
  })

  test('in the middle ends, with an error or without', async () => {
    const { api, open, errors } = setupCalls({}, {}, plain)
    const peer = await open()
    const ends: unknown[] = []
    for (const name of ['a', 'b'])
      api.subscribe(name, undefined, () => {}, { onEnd: error => ends.push(error?.cause) })
    peer.send('{"id":1,"end":true}').send('{"id":2,"end":true,"error":"gone"}')
    expect([ends, errors]).toEqual([[undefined, 'gone'], []])
    peer.drop()
    expect(sent(await open())).toEqual([])
  })
})

describe('a protocol without confirmations', () => {
  test('has items that carry the id of the request, and ends subscriptions without an answer', async () => {
    const { api, open, errors } = setupCalls({}, {}, plain)
    const peer = await open()
    const { heard, listen } = listener()
    const stop = api.subscribe('news', undefined, listen)
    peer.send('{"id":1,"item":1}')
    stop()
    expect(frames(peer)).toEqual([
      { subscribe: 'news', id: 1 },
      { unsubscribe: 'news', id: 1 },
    ])
    peer.send('{"id":1,"item":2}')
    expect(heard).toEqual(['1'])
    expect(errors).toMatchObject([{ code: 'UNEXPECTED', cause: 1 }])
  })

  test('that cannot subscribe ends subscriptions with NOT_SENT', async () => {
    const { subscribe: _, ...only } = plain
    const { api, open, errors } = setupCalls({}, {}, only)
    await open()
    api.subscribe('news', undefined, () => {})
    expect(errors).toMatchObject([{ code: 'NOT_SENT', cause: expect.any(TypeError) }])
  })

  test('that cannot end subscriptions ignores the items of those that were stopped', async () => {
    const { unsubscribe: _, ...only } = plain
    const { api, open, errors } = setupCalls({}, {}, only)
    const peer = await open()
    api.subscribe('news', undefined, () => {})()
    peer.send('{"id":1,"item":2}')
    expect([methods(peer).length, errors]).toEqual([1, []])
  })
})

describe('during a handover', () => {
  /** What the events of a socket and its prepared connections have in common, played by the test. */
  const handover = () => {
    const emitter = createEmitter<any>(['state', 'open', 'text', 'binary', 'close', 'error', 'drop'])
    const first: string[] = []
    const socket = {
      ...emitter,
      state: { name: 'connecting' },
      stats: { dropped: 0 },
      queuedMessages: () => [],
      send: (data: string) => first.push(data) && 'sent',
    }
    let prepare = async (_: PreparedConnection) => {}
    const api: Calls<any> = callsFromOne(given => {
      prepare = given
      return socket as unknown as Socket
    }, jsonRpc())
    const errors: unknown[] = []
    api.on('error', error => errors.push(error))
    const connect = () => {
      const wire: string[] = []
      const texts: string[] = []
      const readers: ((text: string) => void)[] = []
      const ended = new AbortController()
      const prepared = prepare({
        send: (data: any) => wire.push(data),
        receive: () =>
          new Promise<string>(resolve => {
            const text = texts.shift()
            if (text === undefined) readers.push(resolve)
            else resolve(text)
          }),
        url: '',
        protocol: '',
        signal: ended.signal,
      })
      const deliver = (text: string) => {
        const reader = readers.shift()
        if (reader) reader(text)
        else texts.push(text)
      }
      let isReady = false
      void prepared.then(() => {
        isReady = true
      })
      return { wire, texts, deliver, ended, isReady: () => isReady }
    }
    return { ...emitter, socket, api, errors, connect, first }
  }
  const item = (key: string, result: unknown) =>
    JSON.stringify({ jsonrpc: '2.0', method: 'm', params: { subscription: key, result } })

  test('the subscriptions are confirmed on the new connection before the socket switches to it, and no item is missing or out of order', async () => {
    const { api, emit, socket, connect, errors } = handover()
    const { heard, listen } = listener()
    const asked: unknown[] = []
    api.subscribe('news', undefined, listen)
    api.handle('ask', question => asked.push(question))
    const one = connect()
    await settled()
    expect(one.isReady()).toBe(true)
    socket.state.name = 'open'
    emit('open', { reconnected: false })
    emit('text', '{"jsonrpc":"2.0","id":1,"result":"same"}')
    emit('text', item('same', 1))

    const two = connect()
    await settled()
    expect([two.isReady(), two.wire.length]).toEqual([false, 1])
    two.deliver('{"jsonrpc":"2.0","method":"ask","params":["during"]}')
    two.deliver(item('same', 3))
    await settled()
    expect(heard).toEqual(['1'])
    two.deliver('{"jsonrpc":"2.0","id":2,"result":"same"}')
    await settled()
    expect(two.isReady()).toBe(true)
    emit('text', item('same', 2))
    one.ended.abort()
    emit('close', { code: 1000, willRetry: true, delay: 0 })
    emit('open', { reconnected: true, seamless: true })
    emit('text', item('same', 4))
    await settled()
    expect(heard).toEqual(['1', '2', '3', '4'])
    expect([asked, errors]).toEqual([[['during']], []])
  })

  test('a refused subscription does not hold it up, and one that was stopped meanwhile is ended on both connections', async () => {
    const { api, emit, socket, connect, first, errors } = handover()
    const stop = api.subscribe('stopped', undefined, () => {})
    const stopEarlier = api.subscribe('stopped earlier', undefined, () => {})
    const { heard, listen } = listener()
    api.subscribe('refused', undefined, listen)
    connect()
    await settled()
    socket.state.name = 'open'
    emit('open', { reconnected: false })
    emit('text', '{"jsonrpc":"2.0","id":1,"result":"a"}')
    emit('text', '{"jsonrpc":"2.0","id":2,"result":"b"}')
    emit('text', '{"jsonrpc":"2.0","id":3,"result":"r"}')
    const two = connect()
    stopEarlier()
    two.deliver('{"jsonrpc":"2.0","id":4,"result":"c"}')
    two.deliver('{"jsonrpc":"2.0","id":5,"result":"d"}')
    two.deliver('{"jsonrpc":"2.0","id":6,"error":{"code":1,"message":"no"}}')
    await settled()
    expect(two.isReady()).toBe(true)
    // It has ended, although the old connection still has it.
    emit('text', item('r', 1))
    expect(heard).toEqual([])
    stop()
    emit('close', { willRetry: true })
    emit('open', { seamless: true })
    expect(first.map(text => JSON.parse(text).params)).toEqual([['b'], ['a'], ['c'], ['d']])
    expect(errors).toMatchObject([{ code: 'SERVER_ERROR' }])
  })

  test('a call that was answered on the old connection is not touched, and one that was not is UNKNOWN', async () => {
    const { api, emit, socket, connect } = handover()
    connect()
    await settled()
    socket.state.name = 'open'
    emit('open', {})
    const outcomes: unknown[] = []
    for (const name of ['a', 'b'])
      api
        .call(name)
        .then(...[outcomes.push, outcomes.push].map(push => (x: any) => push.call(outcomes, x.code ?? x)))
    connect()
    await settled()
    emit('text', '{"jsonrpc":"2.0","id":1,"result":1}')
    emit('close', { willRetry: true })
    emit('open', { seamless: true })
    await settled()
    expect(outcomes).toEqual([1, 'UNKNOWN'])
  })

  test('a subscription that is not confirmed yet outlives the end of the old connection', async () => {
    const { api, emit, socket, connect, errors } = handover()
    const { heard, listen } = listener()
    api.subscribe('news', undefined, listen)
    connect()
    await settled()
    socket.state.name = 'open'
    emit('open', {})
    const two = connect()
    socket.state.name = 'connecting'
    emit('close', { willRetry: true })
    await settled()
    two.deliver('{"jsonrpc":"2.0","id":2,"result":"k"}')
    await settled()
    expect(two.isReady()).toBe(true)
    emit('open', {})
    emit('text', item('k', 1))
    expect([heard, errors, two.wire.length]).toEqual([['1!'], [], 1])
  })

  test.each([
    ['that is not seamless', 1000, {}],
    [
      'in which the server closes the old connection, perhaps before it knew of the new one',
      1012,
      { seamless: true },
    ],
  ])('%s, items may be missing', async (_, code, opened) => {
    const { api, emit, socket, connect } = handover()
    const { heard, listen } = listener()
    api.subscribe('news', undefined, listen)
    connect()
    await settled()
    socket.state.name = 'open'
    emit('open', {})
    const two = connect()
    two.deliver('{"jsonrpc":"2.0","id":2,"result":"k"}')
    await settled()
    emit('close', { code, willRetry: true })
    emit('open', opened)
    emit('text', item('k', 1))
    expect(heard).toEqual(['1!'])
  })
})
