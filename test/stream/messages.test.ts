import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { type Message, messages, type ReadOptions, readable, writable } from '../../src/stream.ts'
import { growth } from '../support/growth.ts'
import { reopen, settled } from '../support/setup.ts'
import { collect, fresh, outcomeOf, watchedSignal, watchedSocket } from './setup.ts'

fresh()

describe('messages()', () => {
  test('gives text and binary messages in order, from the call on', async () => {
    const { socket, native } = watchedSocket()
    native().accept()
    native().send('before')
    const iterator = messages(socket)
    const own = new Promise(resolve => socket.once('binary', resolve))
    native().send('a')
    native().send(new ArrayBuffer(2))
    expect(await iterator.next()).toEqual({ value: 'a', done: false })
    expect((await iterator.next()).value).toBe(await own)
    const third = iterator.next()
    native().send('')
    expect(await third).toEqual({ value: '', done: false })
  })

  test('continues over reconnections', async () => {
    const { socket, native } = watchedSocket()
    native().accept()
    const heard: Message[] = []
    const all = collect(messages(socket), heard)
    native().send('a')
    native().drop()
    reopen().send('b')
    await settled()
    expect(heard).toEqual(['a', 'b'])
    socket.close()
    vi.advanceTimersByTime(0)
    expect(await all).toEqual(['a', 'b'])
  })

  test('serves concurrent readers in order', async () => {
    const { socket, native } = watchedSocket()
    native().accept()
    const iterator = messages(socket)
    const all = Promise.all([iterator.next(), iterator.next(), iterator.next()])
    for (const text of ['a', 'b', 'c']) native().send(text)
    expect((await all).map(({ value }) => value)).toEqual(['a', 'b', 'c'])
  })

  describe('at the end', () => {
    test('gives the buffered messages after close(), then is done and has no listeners', async () => {
      const { socket, native, listeners } = watchedSocket()
      native().accept()
      const iterator = messages(socket)
      native().send('a')
      socket.close()
      vi.advanceTimersByTime(0)
      await settled()
      expect(listeners()).toBe(0)
      expect(await collect(iterator)).toEqual(['a'])
      expect(await iterator.next()).toEqual({ value: undefined, done: true })
    })

    test('resolves a waiting read after close()', async () => {
      const { socket } = watchedSocket()
      const first = messages(socket).next()
      socket.close()
      expect(await first).toEqual({ value: undefined, done: true })
    })

    test('is done after the socket’s own signal was aborted', async () => {
      const life = new AbortController()
      const { socket } = watchedSocket({ signal: life.signal })
      const first = messages(socket).next()
      life.abort()
      expect(await first).toEqual({ value: undefined, done: true })
    })

    test('is done after the server’s 1000 if the socket does not reconnect', async () => {
      const { socket, native } = watchedSocket({ retry: false })
      native().accept()
      const all = collect(messages(socket))
      native().send('a')
      native().close(1000)
      expect(await all).toEqual(['a'])
    })

    test.each([1001, 1006, 4401])(
      'throws the SocketError of a socket that gave up after %i, after the buffered messages',
      async code => {
        const { socket, native, listeners } = watchedSocket({ retry: false })
        native().accept()
        const heard: Message[] = []
        const iterator = messages(socket)
        native().send('a')
        if (code === 1006) native().drop()
        else native().close(code)
        await settled()
        expect(listeners()).toBe(0)
        const { cause } = socket.state as { cause: unknown }
        await expect(collect(iterator, heard)).rejects.toBe(cause)
        expect(cause).toMatchObject({ code: 'CONNECTION_LOST', close: { code } })
        expect(heard).toEqual(['a'])
        expect(await iterator.next()).toEqual({ value: undefined, done: true })
      },
    )

    test('is done at once for a socket that has ended before', async () => {
      const { socket, listeners } = watchedSocket()
      socket.close()
      expect(await collect(messages(socket))).toEqual([])
      expect(listeners()).toBe(0)
    })

    test('waits for a socket that connects later', async () => {
      const { socket, native } = watchedSocket({ autoConnect: false })
      const first = messages(socket).next()
      await settled()
      socket.connect()
      native().accept().send('a')
      expect(await first).toEqual({ value: 'a', done: false })
    })
  })

  describe('with a signal', () => {
    test('rejects with the reason at once when it is aborted, then is done', async () => {
      const { socket, native, listeners } = watchedSocket()
      native().accept()
      const { controller, signal, listening } = watchedSignal()
      const iterator = messages(socket, { signal })
      native().send('not read any more')
      controller.abort('reason')
      expect([listeners(), listening()]).toEqual([0, 0])
      await expect(iterator.next()).rejects.toBe('reason')
      expect(await iterator.next()).toEqual({ value: undefined, done: true })
    })

    test('rejects one of two waiting reads with the reason and resolves the other', async () => {
      const { socket } = watchedSocket()
      const { controller, signal } = watchedSignal()
      const iterator = messages(socket, { signal })
      const outcomes = [outcomeOf(iterator.next()), outcomeOf(iterator.next())]
      controller.abort()
      await settled()
      expect(outcomes.map(({ is }) => is)).toEqual(['rejected', 'fulfilled'])
      expect(outcomes[0]?.value).toBe(signal.reason)
    })

    test('rejects with the reason even if that is the error of a closed socket', async () => {
      const { socket } = watchedSocket()
      socket.close()
      const { cause } = socket.state as { cause: unknown }
      const other = watchedSocket()
      const iterator = messages(other.socket, { signal: AbortSignal.abort(cause) })
      await expect(iterator.next()).rejects.toBe(cause)
    })

    test('never listens if it was aborted before', async () => {
      const { socket, listeners } = watchedSocket()
      const reason = new Error('before')
      const iterator = messages(socket, { signal: AbortSignal.abort(reason) })
      expect(listeners()).toBe(0)
      await expect(iterator.next()).rejects.toBe(reason)
    })

    test('leaves no listener on it when the socket has ended', async () => {
      const { socket } = watchedSocket()
      const { signal, listening } = watchedSignal()
      messages(socket, { signal })
      expect(listening()).toBe(1)
      socket.close()
      await settled()
      expect(listening()).toBe(0)
    })
  })

  describe('when its consumer stops', () => {
    test('stops listening when the loop is left', async () => {
      const { socket, native, listeners } = watchedSocket()
      native().accept()
      const { signal, listening } = watchedSignal()
      const iterator = messages(socket, { signal })
      expect(listeners()).toBeGreaterThan(0)
      native().send('a')
      native().send('b')
      for await (const message of iterator) {
        expect(message).toBe('a')
        break
      }
      expect([listeners(), listening()]).toEqual([0, 0])
      expect(await iterator.next()).toEqual({ value: undefined, done: true })
    })

    test('stops listening on return() before the first read', async () => {
      const { socket, listeners } = watchedSocket()
      const iterator = messages(socket)
      expect(await iterator.return()).toEqual({ value: undefined, done: true })
      expect(listeners()).toBe(0)
    })

    test('returns without waiting for a message, and resolves waiting reads', async () => {
      const { socket, listeners } = watchedSocket()
      const iterator = messages(socket)
      const reader = iterator.next()
      const left = iterator.return()
      expect(listeners()).toBe(0)
      expect(await reader).toEqual({ value: undefined, done: true })
      expect(await left).toEqual({ value: undefined, done: true })
    })

    test('rejects throw() with its argument and stops listening', async () => {
      const { socket, listeners } = watchedSocket()
      const iterator = messages(socket)
      await expect(iterator.throw('enough')).rejects.toBe('enough')
      expect(listeners()).toBe(0)
      expect(await iterator.next()).toEqual({ value: undefined, done: true })
    })

    test('does not throw an error that was not read', async () => {
      const { socket, native } = watchedSocket({ retry: false })
      native().accept()
      const iterator = messages(socket)
      native().send('a')
      native().drop()
      await settled()
      expect(await iterator.return()).toEqual({ value: undefined, done: true })
      expect(await iterator.next()).toEqual({ value: undefined, done: true })
    })
  })

  describe('when the buffer is full', () => {
    const start = (options: ReadOptions) => {
      const watched = watchedSocket()
      watched.native().accept()
      const iterator = messages(watched.socket, options)
      const deliver = (...all: string[]) => {
        for (const one of all) watched.native().send(one)
      }
      return { ...watched, iterator, deliver }
    }
    /** Room for two messages of 36 characters. */
    const highWaterMark = 101
    const text = (name: string) => name.padEnd(36)

    test('throws an error that says what to do, after the buffered messages, and stops listening', async () => {
      const { iterator, deliver, listeners } = start({ highWaterMark })
      deliver(...['a', 'b'].map(text))
      expect(listeners()).toBeGreaterThan(0)
      deliver('c')
      expect(listeners()).toBe(0)
      const heard: Message[] = []
      await expect(collect(iterator, heard)).rejects.toThrow(
        '200 bytes are buffered: read faster, or raise highWaterMark',
      )
      expect(heard).toEqual(['a', 'b'].map(text))
    })

    test('has no effect on a reader that is fast enough, and reading frees space', async () => {
      const { iterator, deliver } = start({ highWaterMark })
      for (let i = 0; i < 100; i++) {
        deliver(text(`${i}`), text('more'))
        expect((await iterator.next()).value).toBe(text(`${i}`))
        await iterator.next()
      }
    })

    test('accepts a message of any size while there is room or a waiting read', async () => {
      const { iterator, deliver } = start({ highWaterMark })
      const huge = 'x'.repeat(1e6)
      deliver(huge)
      expect((await iterator.next()).value).toBe(huge)
      const reader = iterator.next()
      deliver(huge, 'in the same task')
      expect((await reader).value).toBe(huge)
      expect((await iterator.next()).value).toBe('in the same task')
    })

    test('buffers no second message with highWaterMark 0', async () => {
      const { iterator, deliver } = start({ highWaterMark: 0 })
      const reader = iterator.next()
      deliver('a')
      expect((await reader).value).toBe('a')
      deliver('b')
      await expect(iterator.next()).rejects.toThrow('0 bytes are buffered')
    })

    test('counts an overhead for each message, and the bytes of buffers and Blobs', async () => {
      const { iterator, native } = start({ highWaterMark: 64 * 3 + 30 })
      native().send('')
      native().send(new ArrayBuffer(10))
      native().socket.dispatchEvent(new MessageEvent('message', { data: new Blob(['x'.repeat(20)]) }))
      native().send('one too many')
      await expect(collect(iterator)).rejects.toThrow(`${64 * 3 + 30} bytes are buffered`)
    })

    test('buffers 16 MiB by default', async () => {
      const { iterator, deliver } = start({})
      const part = 'x'.repeat(2 ** 20 - 64)
      for (let i = 0; i < 16; i++) deliver(part)
      deliver('one too many')
      const heard: Message[] = []
      await expect(collect(iterator, heard)).rejects.toThrow('16777216 bytes are buffered')
      expect(heard).toHaveLength(16)
    })

    test('drops the oldest messages with drop-oldest and calls onDrop with each', async () => {
      const dropped: Message[] = []
      const { iterator, deliver, socket } = start({
        highWaterMark,
        overflow: 'drop-oldest',
        onDrop: message => dropped.push(message),
      })
      deliver(...['a', 'b', 'c', 'd'].map(text))
      expect(dropped).toEqual(['a', 'b'].map(text))
      deliver('x'.repeat(1_000), 'e')
      expect(dropped).toEqual([...['a', 'b', 'c', 'd'].map(text), 'x'.repeat(1_000)])
      socket.close()
      vi.advanceTimersByTime(0)
      expect(await collect(iterator)).toEqual(['e'])
    })

    test('buffers the newest message with drop-oldest and highWaterMark 0', async () => {
      const { iterator, deliver } = start({ highWaterMark: 0, overflow: 'drop-oldest', onDrop: () => {} })
      deliver('a', 'b', 'c')
      expect((await iterator.next()).value).toBe('c')
    })

    test('drops the newest messages with drop-newest and calls onDrop with each', async () => {
      const dropped: Message[] = []
      const { iterator, deliver, socket } = start({
        highWaterMark,
        overflow: 'drop-newest',
        onDrop: message => dropped.push(message),
      })
      deliver(...['a', 'b', 'c', 'd'].map(text))
      expect(dropped).toEqual(['c', 'd'].map(text))
      await iterator.next()
      deliver('e')
      socket.close()
      vi.advanceTimersByTime(0)
      expect(await collect(iterator)).toEqual([text('b'), 'e'])
    })

    test('reports an onDrop() that throws, and loses no other message', async () => {
      const report = vi.fn()
      vi.stubGlobal('reportError', report)
      const { iterator, deliver } = start({
        highWaterMark,
        overflow: 'drop-oldest',
        onDrop: () => {
          throw 'from onDrop'
        },
      })
      deliver(...['a', 'b', 'c'].map(text))
      expect(report.mock.calls).toEqual([['from onDrop']])
      expect((await iterator.next()).value).toBe(text('b'))
      expect((await iterator.next()).value).toBe(text('c'))
    })

    test('allows onDrop() to stop the reading', async () => {
      const { iterator, deliver, listeners } = start({
        highWaterMark,
        overflow: 'drop-oldest',
        onDrop: () => iterator.return(),
      })
      deliver(...['a', 'b', 'c', 'd'].map(text))
      expect(listeners()).toBe(0)
      expect(await iterator.next()).toEqual({ value: undefined, done: true })
    })
  })

  test.each([Number.NaN, -1, 'much'])(
    'throws a TypeError for a highWaterMark of %s before it listens',
    mark => {
      const { socket, listeners } = watchedSocket()
      for (const use of [messages, readable, writable]) {
        expect(() => use(socket, { highWaterMark: mark as number })).toThrow(TypeError)
      }
      expect(listeners()).toBe(0)
    },
  )

  test('reads 200,000 buffered messages in linear time', async () => {
    const readAll = async (count: number) => {
      const { socket, native } = watchedSocket()
      native().accept()
      const iterator = messages(socket, { highWaterMark: Infinity })
      for (let i = 0; i < count; i++) native().send('x')
      socket.close()
      vi.advanceTimersByTime(0)
      expect(await collect(iterator)).toHaveLength(count)
    }
    expect(await growth(readAll, 20_000)).toBeLessThan(40)
  })
})

type Step =
  | { do: 'deliver'; size: number }
  | { do: 'read' }
  | { do: 'outage' }
  | { do: 'settle' }
  | { do: 'end'; how: 'close' | 'abort' | 'return' | 'give up' }

test('messages() gives every message once and in order, or reports it, in any sequence of events', async () => {
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.record({ do: fc.constant('deliver'), size: fc.nat(150) }) },
    { weight: 8, arbitrary: fc.constant({ do: 'read' }) },
    { weight: 2, arbitrary: fc.constant({ do: 'outage' }) },
    { weight: 4, arbitrary: fc.constant({ do: 'settle' }) },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('end'),
        how: fc.constantFrom('close', 'abort', 'return', 'give up'),
      }),
    },
  ) as fc.Arbitrary<Step>
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 60 }),
      fc.constantFrom(0, 100, 300, 2 ** 24),
      fc.constantFrom('error', 'drop-oldest', 'drop-newest'),
      async (steps, highWaterMark, overflow) => {
        const { socket, native, listeners } = watchedSocket({
          retry: ({ cause }) => cause.close?.code !== 4400 && 10,
        })
        native().accept()
        const { controller, signal, listening } = watchedSignal()
        const dropped: number[] = []
        const onDrop = (message: Message) => dropped.push(Number(message))
        const iterator = messages(socket, { signal, highWaterMark, overflow, onDrop } as ReadOptions)
        const read: number[] = []
        const errors: unknown[] = []
        let dones = 0
        let delivered = 0
        const take = () =>
          iterator.next().then(
            ({ value, done }) => (done ? dones++ : read.push(Number(value))),
            error => errors.push(error),
          )
        let reads = 0
        const readOne = () => {
          reads++
          take()
        }
        let how = ''
        for (const step of steps) {
          if (step.do === 'deliver') native().send(`${delivered++}`.padStart(step.size, '0'))
          else if (step.do === 'read') readOne()
          else if (step.do === 'settle') await settled()
          else if (step.do === 'outage') {
            native().drop()
            vi.advanceTimersByTime(20)
            native().accept()
          } else {
            how = step.how
            if (how === 'close') socket.close()
            else if (how === 'abort') controller.abort()
            else if (how === 'return') iterator.return()
            else native().close(4400)
            vi.advanceTimersByTime(10)
            await settled()
            break
          }
        }
        if (!how) socket.close()
        await vi.advanceTimersByTimeAsync(10)
        expect([listeners(), listening()]).toEqual([0, 0])
        for (let rest = 0; rest <= delivered + 1; rest++) readOne()
        await settled()

        expect(read.length + errors.length + dones).toBe(reads)
        expect(errors.length).toBeLessThanOrEqual(1)
        const sorted = [...read].sort((a, b) => a - b)
        expect(read).toEqual(sorted)
        const known = [...read, ...dropped].sort((a, b) => a - b)
        expect(new Set(known).size).toBe(known.length)
        if (how === 'return' || how === 'abort') {
          if (how === 'abort' && !`${errors}`.includes('bytes are buffered'))
            expect(errors).toEqual([signal.reason])
          return
        }
        if (overflow !== 'error') expect(known).toEqual(Array.from({ length: delivered }, (_, i) => i))
        else {
          // The first messages, and an error if some are missing.
          expect(read).toEqual(Array.from({ length: read.length }, (_, i) => i))
          if (read.length < delivered) expect(`${errors}`).toMatch(/bytes are buffered/)
          else if (how === 'give up') expect(errors).toEqual([(socket.state as { cause: unknown }).cause])
          else expect(errors).toEqual([])
        }
      },
    ),
    { numRuns: 1_000, seed: 20_261_121 },
  )
})
