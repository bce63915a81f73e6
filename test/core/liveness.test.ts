import { describe, expect, test, vi } from 'vitest'
import type { PageEvent } from '../../src/index.ts'
import { fresh, sent, server, setup } from '../support/setup.ts'

fresh()

const heartbeat = {
  interval: 10_000,
  timeout: 4_000,
  message: 'ping',
  isReply: (data: unknown) => data === 'pong',
}

/** A socket with its source of wakefulness in the test's hand. */
const awake = (options: Parameters<typeof setup>[0] = {}, endpoint?: string) => {
  let tell = (_: PageEvent) => {}
  let stops = 0
  const all = setup(
    {
      wake: heard => {
        tell = heard
        return () => stops++
      },
      ...options,
    },
    endpoint,
  )
  return { ...all, tell: (news: PageEvent) => tell(news), stops: () => stops }
}

const offline = () => vi.stubGlobal('navigator', { onLine: false })

describe('heartbeat', () => {
  test('asks after silence, hides the reply and measures it', () => {
    const { socket, heard, native } = setup({ heartbeat })
    native().accept()
    vi.advanceTimersByTime(9_999)
    expect(sent(native())).toEqual([])
    vi.advanceTimersByTime(1)
    expect(sent(native())).toEqual(['ping'])
    vi.advanceTimersByTime(42)
    native().send('pong')
    expect(heard('text')).toEqual([])
    expect(socket.latency).toBe(42)
    expect(socket.stats.latency).toBe(42)
  })

  test('a dead connection is abandoned at interval + timeout, and another one is there within 300 ms', () => {
    const { socket, heard, native } = setup({ heartbeat })
    const dead = native().accept()
    dead.freeze('down')
    vi.advanceTimersByTime(13_999)
    expect(socket.state.name).toBe('open')
    vi.advanceTimersByTime(1)
    expect(heard('close')).toMatchObject([{ code: 1006, wasClean: false, cause: { code: 'UNRESPONSIVE' } }])
    expect(dead.socket.readyState).toBe(2)
    vi.advanceTimersByTime(300)
    native().accept()
    expect(socket.state.name).toBe('open')
    vi.advanceTimersByTime(13_999)
    expect(socket.state.name).toBe('open')
  })

  test('the promised bound also holds after an answer, and where the timeout is longer than the interval', () => {
    const { socket, native } = setup({ heartbeat: { ...heartbeat, interval: 500, timeout: 2_000 } })
    native().accept()
    vi.advanceTimersByTime(510)
    native().send('pong')
    vi.advanceTimersByTime(2_499)
    expect(socket.state.name).toBe('open')
    vi.advanceTimersByTime(1)
    expect(socket.state.name).toBe('waiting')
  })

  test('any message is a sign of life', () => {
    const { socket, native } = setup({ heartbeat })
    native().accept()
    for (let i = 0; i < 20; i++) {
      vi.advanceTimersByTime(9_000)
      native().send('news')
    }
    // One every interval of 10 s, for servers that want to receive something.
    expect(sent(native())).toHaveLength(18)
    expect(socket.state.name).toBe('open')
  })

  test('a message function and a binary message', () => {
    let n = 0
    const { native } = setup({ heartbeat: { ...heartbeat, message: () => new Uint8Array([n++]) } })
    native().accept()
    vi.advanceTimersByTime(10_000)
    expect(sent(native())).toEqual([new Uint8Array([0])])
  })

  test('without a message it only watches for silence', () => {
    const { socket, native } = setup({ heartbeat: { interval: 10_000, timeout: 4_000 } })
    native().accept()
    vi.advanceTimersByTime(13_999)
    expect([socket.state.name, sent(native())]).toEqual(['open', []])
    vi.advanceTimersByTime(1)
    expect(socket.state.name).toBe('waiting')
  })

  test('isReply and message that throw are reported, and stop nothing', () => {
    const reported: unknown[] = []
    vi.stubGlobal('reportError', (error: unknown) => reported.push(error))
    const bug = () => {
      throw new Error('bug')
    }
    const { socket, heard, native } = setup({ heartbeat: { interval: 1_000, message: bug, isReply: bug } })
    native().accept()
    native().send('news')
    vi.advanceTimersByTime(1_000)
    expect(reported).toHaveLength(2)
    expect(heard('text')).toEqual(['news'])
    vi.advanceTimersByTime(10_000)
    expect(socket.state.name).toBe('waiting')
  })

  test('a late timer asks again instead of killing a healthy connection', () => {
    const { socket, native } = setup({ heartbeat })
    native().accept()
    vi.advanceTimersByTime(10_000)
    vi.setSystemTime(Date.now() + 60_000)
    vi.advanceTimersByTime(4_000)
    expect(socket.state.name).toBe('open')
    expect(sent(native())).toEqual(['ping', 'ping'])
    native().send('pong')
    vi.advanceTimersByTime(10_000)
    expect(socket.state.name).toBe('open')
  })

  test('stops with the connection: no timer is left, and none kills the next one', () => {
    const { socket, native } = setup({ heartbeat })
    native().accept()
    expect(vi.getTimerCount()).toBe(1)
    socket.close()
    vi.advanceTimersByTime(5_000)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('off by default: an idle connection has no timer', () => {
    const { native } = setup()
    native().accept()
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('waking', () => {
  test('while waiting: dials within 300 ms', () => {
    const { socket, native, tell } = awake({ retry: () => 60_000 })
    native().drop()
    tell('wake')
    expect(socket.state).toMatchObject({ name: 'waiting', delay: 150, until: Date.now() + 150 })
    vi.advanceTimersByTime(150)
    expect(socket.state.name).toBe('connecting')
  })

  test('while waiting: does not put off an attempt that is nearer', () => {
    const { socket, native, tell } = awake({ retry: () => 60_000 })
    native().drop()
    vi.advanceTimersByTime(59_900)
    tell('wake')
    vi.advanceTimersByTime(100)
    expect(socket.state.name).toBe('connecting')
  })

  test('while waiting: a wait that ought to be over by the clock is cut short, for its timer slept as well', () => {
    const { socket, native, tell } = awake({ retry: () => 60_000 })
    native().drop()
    vi.setSystemTime(Date.now() + 3_600_000)
    tell('wake')
    vi.advanceTimersByTime(300)
    expect(socket.state.name).toBe('connecting')
  })

  test('while connecting: does not start a second socket', () => {
    const { tell } = awake()
    tell('wake')
    vi.advanceTimersByTime(300)
    expect(server.attempts).toBe(1)
  })

  test.each(['wake', 'offline'] as const)('while open, %s: probes at once, with a short deadline', news => {
    const { socket, heard, native, tell } = awake({ heartbeat })
    native().accept()
    tell(news)
    expect(sent(native())).toEqual(['ping'])
    tell('wake')
    expect(sent(native())).toEqual(['ping'])
    vi.advanceTimersByTime(2_999)
    expect(socket.state.name).toBe('open')
    vi.advanceTimersByTime(1)
    expect(heard('close')).toMatchObject([{ cause: { code: 'UNRESPONSIVE' } }])
  })

  test('while open: a probe that is answered changes nothing', () => {
    const { socket, native, tell } = awake({ heartbeat })
    native().accept()
    tell('wake')
    native().send('pong')
    vi.advanceTimersByTime(9_999)
    expect(sent(native())).toEqual(['ping'])
    expect(socket.state.name).toBe('open')
  })

  test('while open: a probe does not put off the deadline that was promised', () => {
    const { socket, native, tell } = awake({ heartbeat })
    native().accept()
    vi.advanceTimersByTime(13_000)
    tell('wake')
    vi.advanceTimersByTime(1_000)
    expect(socket.state.name).toBe('waiting')
  })

  test('while open without a heartbeat: nothing to ask with', () => {
    const { socket, native, tell } = awake()
    native().accept()
    tell('wake')
    tell('offline')
    vi.advanceTimersByTime(100_000)
    expect(socket.state.name).toBe('open')
  })

  test('sources are listened to from the first attempt to the end, and again after', () => {
    const { socket, native, stops } = awake({ autoConnect: false })
    socket.connect()
    native().accept().drop()
    expect(stops()).toBe(0)
    socket.close()
    expect(stops()).toBe(1)
    socket.connect()
    socket.close()
    expect(stops()).toBe(2)
  })

  test('a source that throws is reported, and stops nothing', () => {
    const reported: unknown[] = []
    vi.stubGlobal('reportError', (error: unknown) => reported.push(error))
    const { socket, native } = setup({
      wake: () => {
        throw new Error('bug')
      },
    })
    native().accept()
    expect(reported).toHaveLength(1)
    socket.close()
    expect(socket.state.name).toBe('closing')
  })
})

describe('sleep', () => {
  test('while open: closes, waits for the page, keeps queue and listeners, and is back within 300 ms', () => {
    const { socket, heard, native, tell } = awake()
    const old = native().accept()
    tell('sleep')
    expect(old.closed).toEqual({ code: 1005, reason: '' })
    expect(socket.state).toMatchObject({ name: 'waiting', delay: Infinity, cause: { code: 'PAGE_HIDDEN' } })
    expect(heard('close')).toMatchObject([{ willRetry: true, delay: Infinity }])
    socket.send('meanwhile')
    tell('sleep')
    expect(heard('state')).toHaveLength(2)
    vi.advanceTimersByTime(1e6)
    expect(server.attempts).toBe(1)
    tell('wake')
    vi.advanceTimersByTime(300)
    native().accept()
    expect(sent(native())).toEqual(['meanwhile'])
  })

  test('while connecting and while waiting: until woken', () => {
    const { socket, native, tell } = awake()
    tell('sleep')
    expect(socket.state).toMatchObject({ name: 'waiting', delay: Infinity })
    expect(native().socket.readyState).toBe(2)
    tell('wake')
    vi.advanceTimersByTime(300)
    native().drop()
    tell('sleep')
    expect(socket.state).toMatchObject({ name: 'waiting', attempt: 1, delay: Infinity })
    expect(vi.getTimerCount()).toBe(0)
  })

  test('while closing: closed', () => {
    const { socket, native, tell } = awake()
    native().accept()
    socket.close()
    tell('sleep')
    expect(socket.state).toMatchObject({ name: 'closed', cause: { code: 'CLOSED' } })
  })
})

describe('offline', () => {
  test('holds the dial back, but tries all the same every 30 s', () => {
    const { socket, native } = awake()
    native().accept()
    offline()
    native().drop()
    expect(socket.state).toMatchObject({ name: 'waiting', delay: 30_000 })
    vi.advanceTimersByTime(30_000)
    native().drop()
    expect(socket.state).toMatchObject({ name: 'waiting', delay: 30_000 })
  })

  test('a wait that is under way becomes longer, and shorter again', () => {
    const { socket, native, tell } = awake()
    native().accept().drop()
    offline()
    tell('offline')
    expect(socket.state).toMatchObject({ delay: 30_000 })
    tell('wake')
    expect(socket.state).toMatchObject({ delay: 30_000 })
    vi.stubGlobal('navigator', { onLine: true })
    tell('wake')
    expect(socket.state).toMatchObject({ delay: 150 })
  })

  test('a page that is restored offline tries after 30 s, or as soon as there is a network', () => {
    const { socket, native, tell } = awake()
    native().accept()
    tell('sleep')
    offline()
    tell('wake')
    expect(socket.state).toMatchObject({ name: 'waiting', delay: 30_000 })
  })

  test('does not matter for loopback addresses', () => {
    const { socket, native } = awake({}, 'ws://localhost:1234/')
    offline()
    native().drop()
    expect((socket.state as { delay: number }).delay).toBeLessThan(1_000)
  })

  test('does not matter where wake is false', () => {
    const { socket, native } = setup({ wake: false })
    offline()
    native().drop()
    expect((socket.state as { delay: number }).delay).toBeLessThan(1_000)
  })
})
