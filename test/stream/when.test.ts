import { describe, expect, test, vi } from 'vitest'
import { when } from '../../src/stream.ts'
import { reopen, settled } from '../support/setup.ts'
import { fresh, watchedSignal, watchedSocket } from './setup.ts'

fresh()

describe('when()', () => {
  test('resolves with the next event of the type', async () => {
    const { socket, native, listeners } = watchedSocket()
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

  test('resolves for open with the next connection or the current one', async () => {
    const { socket, native, heard, listeners } = watchedSocket({ protocols: 'v2' })
    const next = when(socket, 'open')
    native().accept('v2')
    const event = {
      attempt: 0,
      url: 'ws://page.test/feed',
      protocol: 'v2',
      reconnected: false,
      seamless: false,
    }
    expect(await next).toEqual(event)
    expect(await when(socket, 'open')).toEqual(event)
    native().drop()
    const again = when(socket, 'open')
    reopen()
    expect(await again).toEqual(heard('open')[1])
    expect(await when(socket, 'open')).toEqual(heard('open')[1])
    expect(listeners()).toBe(0)
  })

  test('rejects with the cause when the socket is closed permanently', async () => {
    const { socket, native, listeners } = watchedSocket({ retry: false })
    const open = when(socket, 'open')
    native().drop()
    await expect(open).rejects.toBe((socket.state as { cause: unknown }).cause)
    await expect(when(socket, 'text')).rejects.toMatchObject({ code: 'CONNECTION_REFUSED' })
    expect(listeners()).toBe(0)
  })

  test('resolves with the close, state and drop events of the end', async () => {
    const { socket, native, listeners } = watchedSocket({ retry: false })
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

  test('rejects for close if the socket ends without having opened', async () => {
    const { socket } = watchedSocket()
    const close = when(socket, 'close')
    socket.close()
    await expect(close).rejects.toMatchObject({ code: 'CLOSED' })
  })

  test('waits for a socket that connects later', async () => {
    const { socket, native } = watchedSocket({ autoConnect: false })
    const open = when(socket, 'open')
    await settled()
    socket.connect()
    native().accept()
    expect(await open).toMatchObject({ attempt: 0 })
  })

  test('rejects with the reason when its signal is aborted, and leaves no listener', async () => {
    const { socket, native, listeners } = watchedSocket()
    const { controller, signal, listening } = watchedSignal()
    const open = when(socket, 'open', { signal })
    controller.abort('reason')
    await expect(open).rejects.toBe('reason')
    expect([listeners(), listening()]).toEqual([0, 0])
    native().accept()
    await expect(when(socket, 'open', { signal })).rejects.toBe('reason')
    expect(listeners()).toBe(0)
  })

  test('leaves no listener on its signal', async () => {
    const { socket, native } = watchedSocket()
    const { signal, listening } = watchedSignal()
    const open = when(socket, 'open', { signal })
    expect(listening()).toBe(1)
    native().accept()
    await open
    expect(listening()).toBe(0)
  })

  test('rejects with a TypeError for an unknown event', async () => {
    const { socket, listeners } = watchedSocket()
    await expect(when(socket, 'message' as 'text')).rejects.toThrow(TypeError)
    expect(listeners()).toBe(0)
  })
})
