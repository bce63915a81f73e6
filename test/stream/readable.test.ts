import { describe, expect, test, vi } from 'vitest'
import { readable } from '../../src/stream.ts'
import { reopen, settled } from '../support/setup.ts'
import { fresh, watchedSignal, watchedSocket } from './setup.ts'

fresh()

describe('readable()', () => {
  test('gives messages over reconnections and closes with the socket', async () => {
    const { socket, native, listeners } = watchedSocket()
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

  test('fails when the buffer is full, after the buffered messages', async () => {
    const { socket, native, listeners } = watchedSocket()
    native().accept()
    const reader = readable(socket, { highWaterMark: 60 }).getReader()
    native().send('a')
    native().send('b')
    expect(listeners()).toBe(0)
    expect((await reader.read()).value).toBe('a')
    await expect(reader.read()).rejects.toThrow('65 bytes are buffered')
    await expect(reader.closed).rejects.toThrow('65 bytes are buffered')
  })

  test('has no queue of its own besides the buffer', async () => {
    const { socket, native } = watchedSocket()
    native().accept()
    const stream = readable(socket, { highWaterMark: 0 })
    await settled()
    native().send('a')
    await expect(stream.getReader().read()).rejects.toThrow('0 bytes are buffered')
  })

  test('fails with the error of a socket that gave up', async () => {
    const { socket, native } = watchedSocket({ retry: false })
    native().accept()
    const reader = readable(socket).getReader()
    native().close(4401)
    await expect(reader.read()).rejects.toBe((socket.state as { cause: unknown }).cause)
  })

  test('stops listening when it is cancelled, even during a read, and leaves the socket open', async () => {
    const { socket, native, listeners } = watchedSocket()
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

  test('fails with the reason of its aborted signal', async () => {
    const { socket, listeners } = watchedSocket()
    const controller = new AbortController()
    const reader = readable(socket, { signal: controller.signal }).getReader()
    const read = reader.read()
    controller.abort('reason')
    await expect(read).rejects.toBe('reason')
    expect(listeners()).toBe(0)
  })

  test('throws where the platform has no streams, and does not listen', () => {
    vi.stubGlobal('ReadableStream', undefined)
    const { socket, listeners } = watchedSocket()
    expect(() => readable(socket)).toThrow()
    expect(listeners()).toBe(0)
  })
})
