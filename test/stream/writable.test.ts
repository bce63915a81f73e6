import { describe, expect, test, vi } from 'vitest'
import type { SocketOptions } from '../../src/index.ts'
import { writable } from '../../src/stream.ts'
import { reopen, sent, server, settled } from '../support/setup.ts'
import { fresh, outcomeOf, watchedSignal, watchedSocket } from './setup.ts'

fresh()

describe('writable()', () => {
  /** A frozen connection, which sends bytes only when the test says so. */
  const start = (
    options: SocketOptions = {},
    how: Parameters<typeof writable>[1] = { highWaterMark: 10 },
  ) => {
    const watched = watchedSocket(options)
    watched.native().accept().freeze('up')
    const stream = writable(watched.socket, how)
    return { ...watched, stream, writer: stream.getWriter() }
  }
  const tick = () => vi.advanceTimersByTimeAsync(10)

  test('sends each chunk as a message: text, bytes or a Blob', async () => {
    const { writer, native } = start()
    const chunks = ['text', new Uint8Array([1, 2]), new Blob(['b'])]
    for (const chunk of chunks) await writer.write(chunk)
    expect(sent(native())).toEqual(chunks)
  })

  test('completes a write when the buffer is below highWaterMark again', async () => {
    const { writer, native, socket } = start()
    await writer.write('x'.repeat(10))
    const outcome = outcomeOf(writer.write('y'))
    const later = outcomeOf(writer.write('z'))
    await tick()
    expect([outcome.is, later.is, writer.desiredSize]).toEqual(['pending', 'pending', -1])
    expect(socket.bufferedAmount).toBe(11)
    native().drain(1)
    await vi.advanceTimersByTimeAsync(20)
    expect(outcome.is).toBe('fulfilled')
    native().drain(10)
    await tick()
    expect([later.is, writer.desiredSize]).toEqual(['fulfilled', 1])
    expect(vi.getTimerCount()).toBe(1) // The timer of the core, for the unsent tail.
  })

  test('checks no less often when messages arrive', async () => {
    const { writer, native } = start()
    const outcome = outcomeOf(writer.write('x'.repeat(11)))
    for (let i = 0; i < 20; i++) {
      native().send('news')
      await settled()
    }
    native().drain(1)
    await tick()
    expect(outcome.is).toBe('fulfilled')
  })

  test('checks a buffer that does not change at increasing intervals', async () => {
    const { writer, native, socket } = start()
    const outcome = outcomeOf(writer.write('x'.repeat(11)))
    const looked = vi.spyOn(socket, 'bufferedAmount', 'get')
    await vi.advanceTimersByTimeAsync(60_000)
    expect(looked.mock.calls.length).toBeLessThan(80)
    expect(looked.mock.calls.length).toBeGreaterThan(50)
    native().drain(1)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(outcome.is).toBe('fulfilled')
  })

  test('never buffers more than highWaterMark and one chunk, whatever the size of the source', async () => {
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
    const piped = outcomeOf(source.pipeTo(stream))
    for (let i = 0; i < 400 && piped.is === 'pending'; i++) {
      native().drain(Math.min(3, native().socket.bufferedAmount))
      await tick()
      most = Math.max(most, socket.bufferedAmount)
    }
    expect(piped.is).toBe('fulfilled')
    expect(native().received).toHaveLength(100)
    expect(most).toBeLessThanOrEqual(17)
    expect(most).toBeGreaterThan(10)
  })

  test.each(['text', 'binary'])('checks the buffer when a %s message arrives', async kind => {
    const { writer, native } = start()
    const outcome = outcomeOf(writer.write('x'.repeat(11)))
    await settled()
    native().drain(1)
    native().send(kind === 'text' ? 'ack' : new ArrayBuffer(1))
    await settled()
    expect(outcome.is).toBe('fulfilled')
  })

  test('counts messages that other code has sent, and waits before it sends', async () => {
    const { writer, native, socket } = start()
    socket.send('z'.repeat(11))
    const outcome = outcomeOf(writer.write('mine'))
    await tick()
    expect(sent(native())).toHaveLength(1)
    native().drain()
    await vi.advanceTimersByTimeAsync(20)
    expect(outcome.is).toBe('fulfilled')
    expect(sent(native())[1]).toBe('mine')
  })

  test('queues up to highWaterMark without a connection, and then waits for one without a timer', async () => {
    const { socket, native } = watchedSocket()
    native().drop()
    vi.setSystemTime(0)
    const writer = writable(socket, { highWaterMark: 10 }).getWriter()
    const timers = vi.getTimerCount()
    await writer.write('x'.repeat(10))
    const outcome = outcomeOf(writer.write('y'))
    const later = outcomeOf(writer.write('z'))
    await settled()
    expect([socket.queued, socket.bufferedAmount]).toEqual([2, 11])
    expect(vi.getTimerCount()).toBe(timers)
    reopen()
    await tick()
    expect([outcome.is, later.is]).toEqual(['fulfilled', 'fulfilled'])
    expect(sent(server.latest)).toEqual(['x'.repeat(10), 'y', 'z'])
  })

  test('waits for messages that were reclaimed from a lost connection', async () => {
    const { writer, native } = start()
    const outcome = outcomeOf(writer.write('x'.repeat(11)))
    await settled()
    native().drop()
    await tick()
    expect(outcome.is).toBe('pending')
    expect(sent(reopen())).toEqual(['x'.repeat(11)])
    await tick()
    expect(outcome.is).toBe('fulfilled')
  })

  test('has a highWaterMark of 1 MiB by default', async () => {
    const { writer } = start({}, {})
    await writer.write(new Uint8Array(2 ** 20))
    const outcome = outcomeOf(writer.write('y'))
    await tick()
    expect(outcome.is).toBe('pending')
  })

  test('waits on close until everything is sent, stops listening and leaves the socket open', async () => {
    const { writer, native, socket, listeners } = start()
    await writer.write('abc')
    const outcome = outcomeOf(writer.close())
    await tick()
    expect(outcome.is).toBe('pending')
    native().drain(2)
    await tick()
    expect(outcome.is).toBe('pending')
    native().drain()
    await tick()
    expect(outcome.is).toBe('fulfilled')
    expect(listeners()).toBe(0)
    expect(socket.state.name).toBe('open')
    await vi.advanceTimersByTimeAsync(1_000)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('fails on close if the socket is closed and drops queued messages', async () => {
    const { socket, listeners } = watchedSocket()
    const writer = writable(socket).getWriter()
    await writer.write('waits')
    const outcome = outcomeOf(writer.close())
    await settled()
    socket.close()
    await settled()
    expect(outcome).toMatchObject({ is: 'rejected', value: { code: 'CLOSED' } })
    await expect(writer.closed).rejects.toMatchObject({ code: 'CLOSED' })
    expect(listeners()).toBe(0)
  })

  test('fails when the socket ends, even without a write', async () => {
    const { native, writer, socket, listeners } = start({ retry: false })
    native().close(4401).drop()
    vi.advanceTimersByTime(0)
    await expect(writer.closed).rejects.toBe((socket.state as { cause: unknown }).cause)
    expect(listeners()).toBe(0)
  })

  test('rejects a waiting write when the socket ends', async () => {
    const { native, writer, socket, listeners } = start({ retry: false })
    const outcome = outcomeOf(writer.write('x'.repeat(11)))
    const next = outcomeOf(writer.write('never sent'))
    await settled()
    native().close(4401).drop()
    await tick()
    expect(outcome).toEqual({ is: 'rejected', value: (socket.state as { cause: unknown }).cause })
    expect(next.is).toBe('rejected')
    expect(sent(native())).toHaveLength(1)
    expect(listeners()).toBe(0)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('fails at once for a socket that has ended', async () => {
    const { socket } = watchedSocket()
    socket.close()
    const writer = writable(socket).getWriter()
    await expect(writer.write('x')).rejects.toMatchObject({ code: 'CLOSED' })
    expect(socket.stats.dropped).toBe(0)
  })

  test('fails if a chunk is written while the socket is closing', async () => {
    const { writer, socket, native, listeners } = start()
    native().freeze('down')
    socket.close()
    await expect(writer.write('x')).rejects.toMatchObject({ code: 'CLOSED' })
    expect(socket.state.name).toBe('closing')
    expect(listeners()).toBe(0)
  })

  test('fails with whatever send() throws, and stops listening', async () => {
    const { writer, listeners } = start()
    await expect(writer.write(1 as never)).rejects.toThrow(TypeError)
    await expect(writer.closed).rejects.toThrow(TypeError)
    expect(listeners()).toBe(0)
  })

  test('fails if a full queue rejects a message', async () => {
    const { socket, listeners } = watchedSocket({ queue: { maxBytes: 3 } })
    const writer = writable(socket).getWriter()
    await expect(writer.write('four')).rejects.toThrow('overflow')
    await expect(writer.closed).rejects.toThrow('overflow')
    expect(listeners()).toBe(0)
  })

  test('fails if a message is dropped later', async () => {
    const { socket, heard, listeners } = watchedSocket({ queue: { maxBytes: 8, overflow: 'drop-oldest' } })
    const writer = writable(socket).getWriter()
    await writer.write('mine 1')
    await writer.write('2')
    socket.send('other')
    await expect(writer.closed).rejects.toThrow('A message was dropped: overflow')
    expect(heard('drop').map(({ data, reason }) => [data, reason])).toEqual([['mine 1', 'overflow']])
    expect(listeners()).toBe(0)
  })

  test('fails if a message is too big for the server', async () => {
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

  test('ignores drops of messages that were sent with options, which are not its own', async () => {
    const { socket, heard } = watchedSocket()
    const writer = writable(socket).getWriter()
    const closed = outcomeOf(writer.closed)
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

  test('aborts at once during a waiting write, and does not remove messages from the socket', async () => {
    const { socket, heard, listeners } = watchedSocket()
    const writer = writable(socket, { highWaterMark: 3 }).getWriter()
    const outcome = outcomeOf(writer.write('waits'))
    await settled()
    const timers = vi.getTimerCount()
    await writer.abort('enough')
    expect(outcome).toEqual({ is: 'rejected', value: 'enough' })
    expect(heard('drop')).toEqual([])
    expect(socket.queued).toBe(1)
    expect(listeners()).toBe(0)
    expect(vi.getTimerCount()).toBe(timers)
  })

  test('leaves no timer when it is aborted while it waits for the buffer', async () => {
    const { writer, native } = start()
    outcomeOf(writer.write('x'.repeat(11)))
    await settled()
    // One timer of the core, and one of writable().
    expect(vi.getTimerCount()).toBe(2)
    await writer.abort()
    expect(vi.getTimerCount()).toBe(1)
    native().drain()
  })

  test('ends a pipe at once when its signal is aborted without a connection', async () => {
    const { socket, listeners } = watchedSocket()
    const stop = new AbortController()
    const source = new ReadableStream({ pull: controller => controller.enqueue('x'.repeat(100)) })
    const outcome = outcomeOf(source.pipeTo(writable(socket, { highWaterMark: 10, signal: stop.signal })))
    await tick()
    const timers = vi.getTimerCount()
    stop.abort('enough')
    await settled()
    expect(vi.getTimerCount()).toBe(timers)
    expect(outcome).toEqual({ is: 'rejected', value: 'enough' })
    expect([listeners(), socket.queued]).toEqual([0, 1])
  })

  test('fails with the reason of its signal at once, and leaves no listener on it when it is closed', async () => {
    const { socket, native, listeners } = watchedSocket()
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

  test('aborts after the waiting write where streams have no signal', async () => {
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
    const outcome = outcomeOf(writer.write('x'.repeat(11)))
    await settled()
    const abort = outcomeOf(writer.abort('enough'))
    await tick()
    native().drain()
    await vi.advanceTimersByTimeAsync(20)
    expect([outcome.is, abort.is]).toEqual(['fulfilled', 'fulfilled'])
    expect(listeners()).toBe(0)
  })
})
