import { describe, expect, test, vi } from 'vitest'
import { backoff, createSocket, SocketError } from '../../src/index.ts'
import { fresh, server, setup } from '../support/setup.ts'

fresh()

describe('createSocket()', () => {
  test('throws what the platform throws for a malformed URL, and leaves nothing behind', () => {
    const stop = vi.fn()
    expect(() =>
      createSocket('http://[malformed', { WebSocket: server.WebSocket, wake: () => stop }),
    ).toThrow(/invalid url/i)
    expect(vi.getTimerCount()).toBe(0)
    expect(stop).toHaveBeenCalledTimes(1)
  })

  test('leaves that error to connect() with autoConnect: false', () => {
    const { socket } = setup({ autoConnect: false }, 'http://[malformed')
    expect(() => socket.connect()).toThrow(/invalid url/i)
    expect(socket.state).toMatchObject({ name: 'closed', cause: { code: 'ENDPOINT_FAILED' } })
  })

  test('throws a SocketError that says what to pass if there is no WebSocket', () => {
    vi.stubGlobal('WebSocket', undefined)
    expect(() => createSocket('/feed')).toThrow(SocketError)
    expect(() => createSocket(() => '/feed')).toThrow(/pass one/)
    const idle = createSocket('/feed', { autoConnect: false })
    expect(() => idle.connect()).toThrow(expect.objectContaining({ code: 'NO_WEBSOCKET' }))
    expect(idle.state.name).toBe('closed')
  })

  test('uses the global WebSocket of the moment', () => {
    vi.stubGlobal('WebSocket', server.WebSocket)
    createSocket('/feed')
    expect(server.attempts).toBe(1)
  })

  test.each([
    { binaryType: 'text' },
    { queue: { overflow: 'drop' } },
    { queue: { maxMessages: -1 } },
    { queue: { maxBytes: '1 MiB' } },
    { minUptime: Number.NaN },
    { connectTimeout: -1 },
    { closeTimeout: null },
    { highWaterMark: {} },
    { heartbeat: { interval: '25s' } },
    { heartbeat: { timeout: -1 } },
  ])('throws for the option value %j before anything has changed', options => {
    expect(() => createSocket('/feed', { WebSocket: server.WebSocket, ...(options as object) })).toThrow(
      TypeError,
    )
    expect(server.attempts).toBe(0)
  })
})

describe('close()', () => {
  test.each([0, 999, 1001, 1006, 2999, 5000, Number.NaN, 'x'])(
    'throws an InvalidAccessError for the code %s',
    code => {
      const { socket, native } = setup()
      native().accept()
      expect(() => socket.close(code as number)).toThrow(
        expect.objectContaining({ name: 'InvalidAccessError' }),
      )
      expect(socket.state.name).toBe('open')
      native().drop()
      expect(socket.state.name).toBe('waiting')
    },
  )

  test('throws a SyntaxError for a reason of more than 123 bytes', () => {
    const { socket, native } = setup()
    native().accept()
    expect(() => socket.close(1000, 'é'.repeat(62))).toThrow(expect.objectContaining({ name: 'SyntaxError' }))
    expect(socket.state.name).toBe('open')
    socket.close(1000, 'é'.repeat(61))
    expect(socket.state.name).toBe('closing')
  })
})

test.each([{ base: -1 }, { max: Number.NaN }, { attempts: 'x' }, { spread: {} }])(
  'backoff(%j) throws a TypeError',
  options => {
    expect(() => backoff(options as object)).toThrow(TypeError)
  },
)

test('on() and once() throw a TypeError for an unknown event and for a listener that is not a function', () => {
  const { socket } = setup()
  expect(() => socket.on('message' as 'text', () => {})).toThrow(/'message'.*text/)
  expect(() => socket.once('text', null as any)).toThrow(TypeError)
})
