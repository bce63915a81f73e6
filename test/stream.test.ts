import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Socket, SocketOptions } from '../src/index.ts'
import { type Message, messages, type ReadOptions, readable, when, writable } from '../src/stream.ts'
import { fresh, sent, server, settled, setup as setupSocket } from './support/setup.ts'

fresh()

const rejections: unknown[] = []
const note = (error: unknown) => rejections.push(error)
beforeEach(() => {
  process.on('unhandledRejection', note)
})
afterEach(() => {
  process.off('unhandledRejection', note)
  expect(rejections.splice(0)).toEqual([])
})

/** A socket over fakes that knows how many listen to it. */
const setup = (options: SocketOptions = {}) => {
  const listening = new Set<object>()
  const rig = setupSocket({ wake: false, ...options })
  const on: Socket['on'] = (type, listener, how) => {
    const entry = {}
    const off = rig.socket.on(type, listener, how)
    if (!how?.signal?.aborted) listening.add(entry)
    how?.signal?.addEventListener('abort', () => listening.delete(entry))
    return off
  }
  const socket = new Proxy(rig.socket, {
    get: (target, name) => (name === 'on' ? on : target[name as keyof Socket]),
  })
  return { ...rig, socket, listeners: () => listening.size }
}

const reopen = () => {
  vi.advanceTimersByTime(10_000)
  return server.latest.accept()
}

/** What has become of a promise. */
const follow = (promise: Promise<unknown>) => {
  const fate: { is: 'pending' | 'kept' | 'broken'; value?: any } = { is: 'pending' }
  promise.then(
    value => Object.assign(fate, { is: 'kept', value }),
    value => Object.assign(fate, { is: 'broken', value }),
  )
  return fate
}

const collect = async <T>(source: AsyncIterable<T>, into: T[] = []) => {
  for await (const item of source) into.push(item)
  return into
}

/** A signal of which it is known whether anybody listens to it. */
const watchedSignal = () => {
  const controller = new AbortController()
  const { signal } = controller
  const added = vi.spyOn(signal, 'addEventListener')
  const removed = vi.spyOn(signal, 'removeEventListener')
  return { controller, signal, listening: () => added.mock.calls.length - removed.mock.calls.length }
}

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
        '200 bytes wait: read faster, or raise highWaterMark',
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
      await expect(iterator.next()).rejects.toThrow('0 bytes wait')
    })

    test('many small messages count, and so do bytes and Blobs', async () => {
      const { iterator, native } = start({ highWaterMark: 64 * 3 + 30 })
      native().send('')
      native().send(new ArrayBuffer(10))
      native().socket.dispatchEvent(new MessageEvent('message', { data: new Blob(['x'.repeat(20)]) }))
      native().send('one too many')
      await expect(collect(iterator)).rejects.toThrow(`${64 * 3 + 30} bytes wait`)
    })

    test('16 MiB wait by default', async () => {
      const { iterator, deliver } = start({})
      const part = 'x'.repeat(2 ** 20 - 64)
      for (let i = 0; i < 16; i++) deliver(part)
      deliver('one too many')
      const heard: Message[] = []
      await expect(collect(iterator, heard)).rejects.toThrow('16777216 bytes wait')
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
          if (how === 'abort' && !`${errors}`.includes('bytes wait')) expect(errors).toEqual([signal.reason])
          return
        }
        if (overflow !== 'error') expect(known).toEqual(Array.from({ length: delivered }, (_, i) => i))
        else {
          // The beginning of all, and an error that says so if it is not all.
          expect(read).toEqual(Array.from({ length: read.length }, (_, i) => i))
          if (read.length < delivered) expect(`${errors}`).toMatch(/bytes wait/)
          else if (how === 'give up') expect(errors).toEqual([(socket.state as { cause: unknown }).cause])
          else expect(errors).toEqual([])
        }
      },
    ),
    { numRuns: 1_000, seed: 20_261_121 },
  )
}, 60_000)

describe('readable', () => {
  test('gives what comes in, over reconnections, and closes with the socket', async () => {
    const { socket, native, listeners } = setup()
    native().accept()
    const reader = readable(socket).getReader()
    const own = new Promise(resolve => socket.once('binary', resolve))
    native().send('a')
    native().send(new ArrayBuffer(1))
    expect(await reader.read()).toEqual({ value: 'a', done: false })
    expect((await reader.read()).value).toBe(await own)
    native().drop()
    reopen().send('b')
    expect((await reader.read()).value).toBe('b')
    socket.close()
    vi.advanceTimersByTime(0)
    expect((await reader.read()).done).toBe(true)
    expect(listeners()).toBe(0)
  })

  test('an overflow is its error, after what waits', async () => {
    const { socket, native, listeners } = setup()
    native().accept()
    const reader = readable(socket, { highWaterMark: 60 }).getReader()
    native().send('a')
    native().send('b')
    expect(listeners()).toBe(0)
    expect((await reader.read()).value).toBe('a')
    await expect(reader.read()).rejects.toThrow('65 bytes wait')
    await expect(reader.closed).rejects.toThrow('65 bytes wait')
  })

  test('takes nothing ahead of its reader: all that waits counts', async () => {
    const { socket, native } = setup()
    native().accept()
    const stream = readable(socket, { highWaterMark: 0 })
    await settled()
    native().send('a')
    await expect(stream.getReader().read()).rejects.toThrow('0 bytes wait')
  })

  test('the end of a socket that gave up is its error', async () => {
    const { socket, native } = setup({ retry: false })
    native().accept()
    const reader = readable(socket).getReader()
    native().close(4401)
    await expect(reader.read()).rejects.toBe((socket.state as { cause: unknown }).cause)
  })

  test('cancelled it stops listening, also while a reader waits, and leaves the socket open', async () => {
    const { socket, native, listeners } = setup()
    native().accept()
    const { signal, listening } = watchedSignal()
    const reader = readable(socket, { signal }).getReader()
    const read = reader.read()
    await settled()
    await reader.cancel('enough')
    expect([listeners(), listening()]).toEqual([0, 0])
    expect((await read).done).toBe(true)
    expect(socket.state.name).toBe('open')
  })

  test('an aborted signal is its error', async () => {
    const { socket, listeners } = setup()
    const controller = new AbortController()
    const reader = readable(socket, { signal: controller.signal }).getReader()
    const read = reader.read()
    controller.abort('reason')
    await expect(read).rejects.toBe('reason')
    expect(listeners()).toBe(0)
  })

  test('where there are no streams, using it throws, and nothing listens', () => {
    vi.stubGlobal('ReadableStream', undefined)
    const { socket, listeners } = setup()
    expect(() => readable(socket)).toThrow()
    expect(listeners()).toBe(0)
  })
})

describe('writable', () => {
  /** A connection of which nothing leaves until the test says so. */
  const start = (
    options: SocketOptions = {},
    how: Parameters<typeof writable>[1] = { highWaterMark: 10 },
  ) => {
    const rig = setup(options)
    rig.native().accept().freeze('up')
    const stream = writable(rig.socket, how)
    return { ...rig, stream, writer: stream.getWriter() }
  }
  const tick = () => vi.advanceTimersByTimeAsync(10)

  test('sends each chunk as a message: text, bytes, Blobs', async () => {
    const { writer, native } = start()
    const chunks = ['text', new Uint8Array([1, 2]), new Blob(['b'])]
    for (const chunk of chunks) await writer.write(chunk)
    expect(sent(native())).toEqual(chunks)
  })

  test('a write is done when there is room again', async () => {
    const { writer, native, socket } = start()
    await writer.write('x'.repeat(10))
    const fate = follow(writer.write('y'))
    const later = follow(writer.write('z'))
    await tick()
    expect([fate.is, later.is, writer.desiredSize]).toEqual(['pending', 'pending', -1])
    expect(socket.bufferedAmount).toBe(11)
    native().drain(1)
    await vi.advanceTimersByTimeAsync(20)
    expect(fate.is).toBe('kept')
    native().drain(10)
    await tick()
    expect([later.is, writer.desiredSize]).toEqual(['kept', 1])
    expect(vi.getTimerCount()).toBe(1) // The core's own, for the tail.
  })

  test('looks no less often for messages that come in', async () => {
    const { writer, native } = start()
    const fate = follow(writer.write('x'.repeat(11)))
    for (let i = 0; i < 20; i++) {
      native().send('news')
      await settled()
    }
    native().drain(1)
    await tick()
    expect(fate.is).toBe('kept')
  })

  test('looks less and less often at a buffer that does not move', async () => {
    const { writer, native, socket } = start()
    const fate = follow(writer.write('x'.repeat(11)))
    const looked = vi.spyOn(socket, 'bufferedAmount', 'get')
    await vi.advanceTimersByTimeAsync(60_000)
    expect(looked.mock.calls.length).toBeLessThan(80)
    expect(looked.mock.calls.length).toBeGreaterThan(50)
    native().drain(1)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(fate.is).toBe('kept')
  })

  test('never more than the mark and one chunk wait, whatever the source has', async () => {
    const { stream, socket, native, writer } = start()
    let most = 0
    let given = 0
    const source = new ReadableStream({
      pull(controller) {
        most = Math.max(most, socket.bufferedAmount)
        if (given++ < 100) controller.enqueue('x'.repeat(7))
        else controller.close()
      },
    })
    writer.releaseLock()
    const piped = follow(source.pipeTo(stream))
    for (let i = 0; i < 400 && piped.is === 'pending'; i++) {
      native().drain(Math.min(3, native().socket.bufferedAmount))
      await tick()
      most = Math.max(most, socket.bufferedAmount)
    }
    expect(piped.is).toBe('kept')
    expect(native().received).toHaveLength(100)
    expect(most).toBeLessThanOrEqual(17)
    expect(most).toBeGreaterThan(10)
  })

  test.each(['text', 'binary'])('any %s message is a reason to look for room', async kind => {
    const { writer, native } = start()
    const fate = follow(writer.write('x'.repeat(11)))
    await settled()
    native().drain(1)
    native().send(kind === 'text' ? 'ack' : new ArrayBuffer(1))
    await settled()
    expect(fate.is).toBe('kept')
  })

  test('what others send counts: it waits before it sends', async () => {
    const { writer, native, socket } = start()
    socket.send('z'.repeat(11))
    const fate = follow(writer.write('mine'))
    await tick()
    expect(sent(native())).toHaveLength(1)
    native().drain()
    await vi.advanceTimersByTimeAsync(20)
    expect(fate.is).toBe('kept')
    expect(sent(native())[1]).toBe('mine')
  })

  test('without a connection it fills up to the mark, and then waits for one, without a timer', async () => {
    const { socket, native } = setup()
    native().drop()
    vi.setSystemTime(0)
    const writer = writable(socket, { highWaterMark: 10 }).getWriter()
    const timers = vi.getTimerCount()
    await writer.write('x'.repeat(10))
    const fate = follow(writer.write('y'))
    const later = follow(writer.write('z'))
    await settled()
    expect([socket.queued, socket.bufferedAmount]).toEqual([2, 11])
    expect(vi.getTimerCount()).toBe(timers)
    reopen()
    await tick()
    expect([fate.is, later.is]).toEqual(['kept', 'kept'])
    expect(sent(server.latest)).toEqual(['x'.repeat(10), 'y', 'z'])
  })

  test('what came back unsent from a lost connection is waited for', async () => {
    const { writer, native } = start()
    const fate = follow(writer.write('x'.repeat(11)))
    await settled()
    native().drop()
    await tick()
    expect(fate.is).toBe('pending')
    expect(sent(reopen())).toEqual(['x'.repeat(11)])
    await tick()
    expect(fate.is).toBe('kept')
  })

  test('1 MiB is the mark by default', async () => {
    const { writer } = start({}, {})
    await writer.write(new Uint8Array(2 ** 20))
    const fate = follow(writer.write('y'))
    await tick()
    expect(fate.is).toBe('pending')
  })

  test('closing waits until all has left, stops listening, and leaves the socket open', async () => {
    const { writer, native, socket, listeners } = start()
    await writer.write('abc')
    const fate = follow(writer.close())
    await tick()
    expect(fate.is).toBe('pending')
    native().drain(2)
    await tick()
    expect(fate.is).toBe('pending')
    native().drain()
    await tick()
    expect(fate.is).toBe('kept')
    expect(listeners()).toBe(0)
    expect(socket.state.name).toBe('open')
    await vi.advanceTimersByTimeAsync(1_000)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('closing is not done by a socket that is closed, and drops what waits', async () => {
    const { socket, listeners } = setup()
    const writer = writable(socket).getWriter()
    await writer.write('waits')
    const fate = follow(writer.close())
    await settled()
    socket.close()
    await settled()
    expect(fate).toMatchObject({ is: 'broken', value: { code: 'CLOSED' } })
    await expect(writer.closed).rejects.toMatchObject({ code: 'CLOSED' })
    expect(listeners()).toBe(0)
  })

  test('nobody need write for it to hear that the socket has ended', async () => {
    const { native, writer, socket, listeners } = start({ retry: false })
    native().close(4401).drop()
    vi.advanceTimersByTime(0)
    await expect(writer.closed).rejects.toBe((socket.state as { cause: unknown }).cause)
    expect(listeners()).toBe(0)
  })

  test('a write that waits hears that the socket has ended', async () => {
    const { native, writer, socket, listeners } = start({ retry: false })
    const fate = follow(writer.write('x'.repeat(11)))
    const next = follow(writer.write('never sent'))
    await settled()
    native().close(4401).drop()
    await tick()
    expect(fate).toEqual({ is: 'broken', value: (socket.state as { cause: unknown }).cause })
    expect(next.is).toBe('broken')
    expect(sent(native())).toHaveLength(1)
    expect(listeners()).toBe(0)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('a socket that has ended takes nothing', async () => {
    const { socket } = setup()
    socket.close()
    const writer = writable(socket).getWriter()
    await expect(writer.write('x')).rejects.toMatchObject({ code: 'CLOSED' })
    expect(socket.stats.dropped).toBe(0)
  })

  test('what is written while the socket closes is dropped, and that is the error', async () => {
    const { writer, socket, native, listeners } = start()
    native().freeze('down')
    socket.close()
    await expect(writer.write('x')).rejects.toMatchObject({ code: 'CLOSED' })
    expect(socket.state.name).toBe('closing')
    expect(listeners()).toBe(0)
  })

  test('what send() throws is the error, and nobody listens any more', async () => {
    const { writer, listeners } = start()
    await expect(writer.write(1 as never)).rejects.toThrow(TypeError)
    await expect(writer.closed).rejects.toThrow(TypeError)
    expect(listeners()).toBe(0)
  })

  test('a message that a full queue rejects is the error', async () => {
    const { socket, listeners } = setup({ queue: { maxBytes: 3 } })
    const writer = writable(socket).getWriter()
    await expect(writer.write('four')).rejects.toThrow('overflow')
    await expect(writer.closed).rejects.toThrow('overflow')
    expect(listeners()).toBe(0)
  })

  test('a message that is dropped later is the error', async () => {
    const { socket, heard, listeners } = setup({ queue: { maxBytes: 8, overflow: 'drop-oldest' } })
    const writer = writable(socket).getWriter()
    await writer.write('mine 1')
    await writer.write('2')
    socket.send('other')
    await expect(writer.closed).rejects.toThrow('A message was dropped: overflow')
    expect(heard('drop').map(({ data, reason }) => [data, reason])).toEqual([['mine 1', 'overflow']])
    expect(listeners()).toBe(0)
  })

  test('one that is too big for the server is the error', async () => {
    const { writer, native } = start({ retry: () => 0 }, {})
    await writer.write('huge')
    native().close(1009).drop()
    await vi.advanceTimersByTimeAsync(10_000)
    native().freeze('up').accept()
    await settled()
    native().close(1009).drop()
    await settled()
    await expect(writer.closed).rejects.toThrow('A message was dropped: too-big')
  })

  test("what becomes of messages with wishes, which are others', does not matter", async () => {
    const { socket, heard } = setup()
    const writer = writable(socket).getWriter()
    const closed = follow(writer.closed)
    await writer.write('mine')
    const abort = new AbortController()
    socket.send('a', { volatile: true })
    socket.send('b', { ttl: 1 })
    socket.send('c', { key: 1 })
    socket.send('d', { key: 1 })
    socket.send('e', { signal: abort.signal })
    abort.abort()
    await tick()
    expect(heard('drop')).toHaveLength(4)
    expect(closed.is).toBe('pending')
  })

  test('aborted at once, though a write waits; what the socket has it keeps', async () => {
    const { socket, heard, listeners } = setup()
    const writer = writable(socket, { highWaterMark: 3 }).getWriter()
    const fate = follow(writer.write('waits'))
    await settled()
    const timers = vi.getTimerCount()
    await writer.abort('enough')
    expect(fate).toEqual({ is: 'broken', value: 'enough' })
    expect(heard('drop')).toEqual([])
    expect(socket.queued).toBe(1)
    expect(listeners()).toBe(0)
    expect(vi.getTimerCount()).toBe(timers)
  })

  test('aborted while it polls, it leaves no timer', async () => {
    const { writer, native } = start()
    follow(writer.write('x'.repeat(11)))
    await settled()
    // The core's, and its own.
    expect(vi.getTimerCount()).toBe(2)
    await writer.abort()
    expect(vi.getTimerCount()).toBe(1)
    native().drain()
  })

  test('a pipe whose sink is aborted ends at once, offline', async () => {
    const { socket, listeners } = setup()
    const stop = new AbortController()
    const source = new ReadableStream({ pull: controller => controller.enqueue('x'.repeat(100)) })
    const fate = follow(source.pipeTo(writable(socket, { highWaterMark: 10, signal: stop.signal })))
    await tick()
    const timers = vi.getTimerCount()
    stop.abort('enough')
    await settled()
    expect(vi.getTimerCount()).toBe(timers)
    expect(fate).toEqual({ is: 'broken', value: 'enough' })
    expect([listeners(), socket.queued]).toEqual([0, 1])
  })

  test('its signal is its error at once, and is let go of when it is closed', async () => {
    const { socket, native, listeners } = setup()
    native().accept()
    const { controller, signal, listening } = watchedSignal()
    const closed = writable(socket, { signal }).getWriter()
    await closed.write('a')
    const done = closed.close()
    await tick()
    await done
    expect([listeners(), listening()]).toEqual([0, 0])
    const { closed: ended } = writable(socket, { signal }).getWriter()
    controller.abort('reason')
    await expect(ended).rejects.toBe('reason')
    await expect(writable(socket, { signal }).getWriter().write('b')).rejects.toBe('reason')
    expect([listeners(), listening()]).toEqual([0, 0])
    expect(sent(native())).toEqual(['a'])
  })

  test('where streams have no signal, an abort follows the write that waits', async () => {
    const Native = WritableStream
    vi.stubGlobal(
      'WritableStream',
      class extends Native {
        constructor({ start, ...sink }: UnderlyingSink) {
          super({
            ...sink,
            start: controller => start?.({ error: (e: unknown) => controller.error(e) } as typeof controller),
          })
        }
      },
    )
    const { writer, native, listeners } = start()
    const fate = follow(writer.write('x'.repeat(11)))
    await settled()
    const abort = follow(writer.abort('enough'))
    await tick()
    native().drain()
    await vi.advanceTimersByTimeAsync(20)
    expect([fate.is, abort.is]).toEqual(['kept', 'kept'])
    expect(listeners()).toBe(0)
  })
})

describe('when', () => {
  test('resolves with the next event of the type, once', async () => {
    const { socket, native, listeners } = setup()
    native().accept()
    const text = when(socket, 'text')
    const binary = when(socket, 'binary')
    native().send('a')
    native().send('b')
    native().send(new ArrayBuffer(3))
    expect(await text).toBe('a')
    expect((await binary).byteLength).toBe(3)
    expect(listeners()).toBe(0)
  })

  test('open: the next connection, or the present one', async () => {
    const { socket, native, heard, listeners } = setup({ protocols: 'v2' })
    const next = when(socket, 'open')
    native().accept('v2')
    const event = { attempt: 0, url: 'ws://page.test/feed', protocol: 'v2', reconnected: false }
    expect(await next).toEqual(event)
    expect(await when(socket, 'open')).toEqual(event)
    native().drop()
    const again = when(socket, 'open')
    reopen()
    expect(await again).toEqual(heard('open')[1])
    expect(await when(socket, 'open')).toEqual(heard('open')[1])
    expect(listeners()).toBe(0)
  })

  test('rejects when the socket ends for good, with the cause', async () => {
    const { socket, native, listeners } = setup({ retry: false })
    const open = when(socket, 'open')
    native().drop()
    await expect(open).rejects.toBe((socket.state as { cause: unknown }).cause)
    await expect(when(socket, 'text')).rejects.toMatchObject({ code: 'CONNECTION_REFUSED' })
    expect(listeners()).toBe(0)
  })

  test('hears what belongs to the end: close, state, drop', async () => {
    const { socket, native, listeners } = setup({ retry: false })
    native().accept().freeze('up')
    socket.send('tail')
    const close = when(socket, 'close')
    const state = when(socket, 'state')
    const drop = when(socket, 'drop')
    native().close(4401).drop()
    vi.advanceTimersByTime(0)
    expect(await close).toMatchObject({ code: 4401, willRetry: false })
    expect(await state).toMatchObject({ name: 'closed' })
    expect(await drop).toMatchObject({ data: 'tail', reason: 'closed' })
    expect(listeners()).toBe(0)
  })

  test('close of a socket that never opened rejects rather than hang', async () => {
    const { socket } = setup()
    const close = when(socket, 'close')
    socket.close()
    await expect(close).rejects.toMatchObject({ code: 'CLOSED' })
  })

  test('waits for a socket that is to connect later', async () => {
    const { socket, native } = setup({ autoConnect: false })
    const open = when(socket, 'open')
    await settled()
    socket.connect()
    native().accept()
    expect(await open).toMatchObject({ attempt: 0 })
  })

  test('aborted: rejects with the reason, and leaves no listener', async () => {
    const { socket, native, listeners } = setup()
    const { controller, signal, listening } = watchedSignal()
    const open = when(socket, 'open', { signal })
    controller.abort('reason')
    await expect(open).rejects.toBe('reason')
    expect([listeners(), listening()]).toEqual([0, 0])
    native().accept()
    await expect(when(socket, 'open', { signal })).rejects.toBe('reason')
    expect(listeners()).toBe(0)
  })

  test('lets go of the signal when it is done', async () => {
    const { socket, native } = setup()
    const { signal, listening } = watchedSignal()
    const open = when(socket, 'open', { signal })
    expect(listening()).toBe(1)
    native().accept()
    await open
    expect(listening()).toBe(0)
  })

  test('rejects with a TypeError for an event that there is not', async () => {
    const { socket, listeners } = setup()
    await expect(when(socket, 'message' as 'text')).rejects.toThrow(TypeError)
    expect(listeners()).toBe(0)
  })
})
