import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { type Message, messages, type ReadOptions, readable, writable } from '../../src/stream.ts'
import { reopen, settled } from '../support/setup.ts'
import { collect, follow, fresh, setup, watchedSignal } from './setup.ts'

fresh()

describe('messages', () => {
  test('text and binary come in order, from the moment of the call', async () => {
    const { socket, native } = setup()
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

  test('goes on over reconnections', async () => {
    const { socket, native } = setup()
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

  test('concurrent readers are served in order', async () => {
    const { socket, native } = setup()
    native().accept()
    const iterator = messages(socket)
    const all = Promise.all([iterator.next(), iterator.next(), iterator.next()])
    for (const text of ['a', 'b', 'c']) native().send(text)
    expect((await all).map(({ value }) => value)).toEqual(['a', 'b', 'c'])
  })

  describe('the end', () => {
    test('by close(): what has come is read first, then it is done; nobody listens any more', async () => {
      const { socket, native, listeners } = setup()
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

    test('by close(): a reader who waits is told', async () => {
      const { socket } = setup()
      const first = messages(socket).next()
      socket.close()
      expect(await first).toEqual({ value: undefined, done: true })
    })

    test("by the socket's own signal it is done as well", async () => {
      const life = new AbortController()
      const { socket } = setup({ signal: life.signal })
      const first = messages(socket).next()
      life.abort()
      expect(await first).toEqual({ value: undefined, done: true })
    })

    test('by the server with 1000, where that is final, it is done', async () => {
      const { socket, native } = setup({ retry: false })
      native().accept()
      const all = collect(messages(socket))
      native().send('a')
      native().close(1000)
      expect(await all).toEqual(['a'])
    })

    test.each([1001, 1006, 4401])(
      'given up after %i: throws the SocketError, after what has come',
      async code => {
        const { socket, native, listeners } = setup({ retry: false })
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

    test('a socket that has ended before is at its end', async () => {
      const { socket, listeners } = setup()
      socket.close()
      expect(await collect(messages(socket))).toEqual([])
      expect(listeners()).toBe(0)
    })

    test('a socket that is to connect later is waited for', async () => {
      const { socket, native } = setup({ autoConnect: false })
      const first = messages(socket).next()
      await settled()
      socket.connect()
      native().accept().send('a')
      expect(await first).toEqual({ value: 'a', done: false })
    })
  })

  describe('signal', () => {
    test('aborted: rejects with its reason at once, then it is done', async () => {
      const { socket, native, listeners } = setup()
      native().accept()
      const { controller, signal, listening } = watchedSignal()
      const iterator = messages(socket, { signal })
      native().send('not read any more')
      controller.abort('reason')
      expect([listeners(), listening()]).toEqual([0, 0])
      await expect(iterator.next()).rejects.toBe('reason')
      expect(await iterator.next()).toEqual({ value: undefined, done: true })
    })

    test('aborted while two wait to read: one hears the reason, both are released', async () => {
      const { socket } = setup()
      const { controller, signal } = watchedSignal()
      const iterator = messages(socket, { signal })
      const fates = [follow(iterator.next()), follow(iterator.next())]
      controller.abort()
      await settled()
      expect(fates.map(({ is }) => is)).toEqual(['broken', 'kept'])
      expect(fates[0]?.value).toBe(signal.reason)
    })

    test('aborted with the error of a socket that was closed: that is no end, but the reason', async () => {
      const { socket } = setup()
      socket.close()
      const { cause } = socket.state as { cause: unknown }
      const other = setup()
      const iterator = messages(other.socket, { signal: AbortSignal.abort(cause) })
      await expect(iterator.next()).rejects.toBe(cause)
    })

    test('aborted before: never listens', async () => {
      const { socket, listeners } = setup()
      const reason = new Error('before')
      const iterator = messages(socket, { signal: AbortSignal.abort(reason) })
      expect(listeners()).toBe(0)
      await expect(iterator.next()).rejects.toBe(reason)
    })

    test('is let go of when the socket has ended', async () => {
      const { socket } = setup()
      const { signal, listening } = watchedSignal()
      messages(socket, { signal })
      expect(listening()).toBe(1)
      socket.close()
      await settled()
      expect(listening()).toBe(0)
    })
  })

  describe('leaving', () => {
    test('the loop stops listening', async () => {
      const { socket, native, listeners } = setup()
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

    test('before the first message was asked for stops listening too', async () => {
      const { socket, listeners } = setup()
      const iterator = messages(socket)
      expect(await iterator.return()).toEqual({ value: undefined, done: true })
      expect(listeners()).toBe(0)
    })

    test('does not wait for a message, and releases who does', async () => {
      const { socket, listeners } = setup()
      const iterator = messages(socket)
      const reader = iterator.next()
      const left = iterator.return()
      expect(listeners()).toBe(0)
      expect(await reader).toEqual({ value: undefined, done: true })
      expect(await left).toEqual({ value: undefined, done: true })
    })

    test('by throw() rejects with what was thrown, and stops listening', async () => {
      const { socket, listeners } = setup()
      const iterator = messages(socket)
      await expect(iterator.throw('enough')).rejects.toBe('enough')
      expect(listeners()).toBe(0)
      expect(await iterator.next()).toEqual({ value: undefined, done: true })
    })

    test('does not bring up an error that nobody has read', async () => {
      const { socket, native } = setup({ retry: false })
      native().accept()
      const iterator = messages(socket)
      native().send('a')
      native().drop()
      await settled()
      expect(await iterator.return()).toEqual({ value: undefined, done: true })
      expect(await iterator.next()).toEqual({ value: undefined, done: true })
    })
  })

  describe('overflow', () => {
    const start = (options: ReadOptions) => {
      const rig = setup()
      rig.native().accept()
      const iterator = messages(rig.socket, options)
      const deliver = (...all: string[]) => {
        for (const one of all) rig.native().send(one)
      }
      return { ...rig, iterator, deliver }
    }
    /** Room for two messages of 36 characters. */
    const highWaterMark = 101
    const text = (name: string) => name.padEnd(36)

    test('is an error that says what to do, after what waits; nobody listens any more', async () => {
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

    test('does not come to who keeps up, and reading makes room', async () => {
      const { iterator, deliver } = start({ highWaterMark })
      for (let i = 0; i < 100; i++) {
        deliver(text(`${i}`), text('more'))
        expect((await iterator.next()).value).toBe(text(`${i}`))
        await iterator.next()
      }
    })

    test('a message of any size passes where there is room, and to a reader who waits', async () => {
      const { iterator, deliver } = start({ highWaterMark })
      const huge = 'x'.repeat(1e6)
      deliver(huge)
      expect((await iterator.next()).value).toBe(huge)
      const reader = iterator.next()
      deliver(huge, 'in the same task')
      expect((await reader).value).toBe(huge)
      expect((await iterator.next()).value).toBe('in the same task')
    })

    test('highWaterMark 0: nothing waits', async () => {
      const { iterator, deliver } = start({ highWaterMark: 0 })
      const reader = iterator.next()
      deliver('a')
      expect((await reader).value).toBe('a')
      deliver('b')
      await expect(iterator.next()).rejects.toThrow('0 bytes are buffered')
    })

    test('many small messages count, and so do bytes and Blobs', async () => {
      const { iterator, native } = start({ highWaterMark: 64 * 3 + 30 })
      native().send('')
      native().send(new ArrayBuffer(10))
      native().socket.dispatchEvent(new MessageEvent('message', { data: new Blob(['x'.repeat(20)]) }))
      native().send('one too many')
      await expect(collect(iterator)).rejects.toThrow(`${64 * 3 + 30} bytes are buffered`)
    })

    test('16 MiB wait by default', async () => {
      const { iterator, deliver } = start({})
      const part = 'x'.repeat(2 ** 20 - 64)
      for (let i = 0; i < 16; i++) deliver(part)
      deliver('one too many')
      const heard: Message[] = []
      await expect(collect(iterator, heard)).rejects.toThrow('16777216 bytes are buffered')
      expect(heard).toHaveLength(16)
    })

    test('drop-oldest: the newest are read, and each that is not is told', async () => {
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

    test('drop-oldest with highWaterMark 0: the newest waits', async () => {
      const { iterator, deliver } = start({ highWaterMark: 0, overflow: 'drop-oldest', onDrop: () => {} })
      deliver('a', 'b', 'c')
      expect((await iterator.next()).value).toBe('c')
    })

    test('drop-newest: the oldest are read, and each that is not is told', async () => {
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

    test('an onDrop that throws is reported, and costs no other message', async () => {
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

    test('an onDrop may leave', async () => {
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

  test.each([Number.NaN, -1, 'much'])('a highWaterMark of %s throws, before anything listens', mark => {
    const { socket, listeners } = setup()
    for (const use of [messages, readable, writable]) {
      expect(() => use(socket, { highWaterMark: mark as number })).toThrow(TypeError)
    }
    expect(listeners()).toBe(0)
  })

  test('200,000 messages that wait are read in the time of a few', async () => {
    const { socket, native } = setup()
    native().accept()
    const iterator = messages(socket, { highWaterMark: Infinity })
    for (let i = 0; i < 200_000; i++) native().send('x')
    socket.close()
    vi.advanceTimersByTime(0)
    expect(await collect(iterator)).toHaveLength(200_000)
  }, 5_000)
})

type Step =
  | { do: 'deliver'; size: number }
  | { do: 'read' }
  | { do: 'outage' }
  | { do: 'settle' }
  | { do: 'end'; how: 'close' | 'abort' | 'return' | 'give up' }

test('whatever comes in whatever order, it is read in order, once, and nothing is missing without a word', async () => {
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
        const { socket, native, listeners } = setup({
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
          // The beginning of all, and an error that says so if it is not all.
          expect(read).toEqual(Array.from({ length: read.length }, (_, i) => i))
          if (read.length < delivered) expect(`${errors}`).toMatch(/bytes are buffered/)
          else if (how === 'give up') expect(errors).toEqual([(socket.state as { cause: unknown }).cause])
          else expect(errors).toEqual([])
        }
      },
    ),
    { numRuns: 1_000, seed: 20_261_121 },
  )
}, 60_000)
