import { describe, expect, test, vi } from 'vitest'
import { readable } from '../../src/stream.ts'
import { reopen, settled } from '../support/setup.ts'
import { fresh, setup, watchedSignal } from './setup.ts'

fresh()

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
    await expect(reader.read()).rejects.toThrow('65 bytes are buffered')
    await expect(reader.closed).rejects.toThrow('65 bytes are buffered')
  })

  test('takes nothing ahead of its reader: all that waits counts', async () => {
    const { socket, native } = setup()
    native().accept()
    const stream = readable(socket, { highWaterMark: 0 })
    await settled()
    native().send('a')
    await expect(stream.getReader().read()).rejects.toThrow('0 bytes are buffered')
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
