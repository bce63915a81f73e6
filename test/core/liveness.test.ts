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

/** A socket, and a function that reports page events to it. */
const withPageEvents = (options: Parameters<typeof setup>[0] = {}, endpoint?: string) => {
  let report = (_: PageEvent) => {}
  let stops = 0
  const all = setup(
    {
      wake: heard => {
        report = heard
        return () => stops++
      },
      ...options,
    },
    endpoint,
  )
  return { ...all, report: (pageEvent: PageEvent) => report(pageEvent), stops: () => stops }
}

const offline = () => vi.stubGlobal('navigator', { onLine: false })

describe('the heartbeat of a socket', () => {
  test('pings after silence, hides the reply and measures the latency', () => {
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

  test('replaces a dead connection within 300 ms after interval + timeout', () => {
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

  test('keeps that deadline after a reply, and if timeout is longer than interval', () => {
    const { socket, native } = setup({ heartbeat: { ...heartbeat, interval: 500, timeout: 2_000 } })
    native().accept()
    vi.advanceTimersByTime(510)
    native().send('pong')
    vi.advanceTimersByTime(2_499)
    expect(socket.state.name).toBe('open')
    vi.advanceTimersByTime(1)
    expect(socket.state.name).toBe('waiting')
  })

  test('accepts any message as a sign of life', () => {
    const { socket, native } = setup({ heartbeat })
    native().accept()
    for (let i = 0; i < 20; i++) {
      vi.advanceTimersByTime(9_000)
      native().send('news')
    }
    // One every 10 s, for servers that close connections on which they receive nothing.
    expect(sent(native())).toHaveLength(18)
    expect(socket.state.name).toBe('open')
  })

  test('accepts a function or binary data as its message', () => {
    let n = 0
    const { native } = setup({ heartbeat: { ...heartbeat, message: () => new Uint8Array([n++]) } })
    native().accept()
    vi.advanceTimersByTime(10_000)
    expect(sent(native())).toEqual([new Uint8Array([0])])
  })

  test('without a message only watches for silence', () => {
    const { socket, native } = setup({ heartbeat: { interval: 10_000, timeout: 4_000 } })
    native().accept()
    vi.advanceTimersByTime(13_999)
    expect([socket.state.name, sent(native())]).toEqual(['open', []])
    vi.advanceTimersByTime(1)
    expect(socket.state.name).toBe('waiting')
  })

  test('reports errors thrown by isReply and message, and continues', () => {
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

  test('pings again after a late timer instead of abandoning a healthy connection', () => {
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

  test('stops with the connection: no timer is left, and none affects the next connection', () => {
    const { socket, native } = setup({ heartbeat })
    native().accept()
    expect(vi.getTimerCount()).toBe(1)
    socket.close()
    vi.advanceTimersByTime(5_000)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('is off by default, and an idle connection has no timer', () => {
    const { native } = setup()
    native().accept()
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('a wake event', () => {
  test('while waiting starts an attempt within 300 ms', () => {
    const { socket, native, report } = withPageEvents({ retry: () => 60_000 })
    native().drop()
    report('wake')
    expect(socket.state).toMatchObject({ name: 'waiting', delay: 150, until: Date.now() + 150 })
    vi.advanceTimersByTime(150)
    expect(socket.state.name).toBe('connecting')
  })

  test('while waiting does not delay an attempt that is nearer', () => {
    const { socket, native, report } = withPageEvents({ retry: () => 60_000 })
    native().drop()
    vi.advanceTimersByTime(59_900)
    report('wake')
    vi.advanceTimersByTime(100)
    expect(socket.state.name).toBe('connecting')
  })

  test('while waiting ends a wait that should have ended by the clock, because its timer slept, too', () => {
    const { socket, native, report } = withPageEvents({ retry: () => 60_000 })
    native().drop()
    vi.setSystemTime(Date.now() + 3_600_000)
    report('wake')
    vi.advanceTimersByTime(300)
    expect(socket.state.name).toBe('connecting')
  })

  test('while connecting does not create a second native socket', () => {
    const { report } = withPageEvents()
    report('wake')
    vi.advanceTimersByTime(300)
    expect(server.attempts).toBe(1)
  })

  test.each(['wake', 'offline'] as const)(
    'while open probes at once with a short deadline, like an offline event: %s',
    pageEvent => {
      const { socket, heard, native, report } = withPageEvents({ heartbeat })
      native().accept()
      report(pageEvent)
      expect(sent(native())).toEqual(['ping'])
      report('wake')
      expect(sent(native())).toEqual(['ping'])
      vi.advanceTimersByTime(2_999)
      expect(socket.state.name).toBe('open')
      vi.advanceTimersByTime(1)
      expect(heard('close')).toMatchObject([{ cause: { code: 'UNRESPONSIVE' } }])
    },
  )

  test('while open has no further effect if the probe gets a reply', () => {
    const { socket, native, report } = withPageEvents({ heartbeat })
    native().accept()
    report('wake')
    native().send('pong')
    vi.advanceTimersByTime(9_999)
    expect(sent(native())).toEqual(['ping'])
    expect(socket.state.name).toBe('open')
  })

  test('while open does not extend the heartbeat deadline', () => {
    const { socket, native, report } = withPageEvents({ heartbeat })
    native().accept()
    vi.advanceTimersByTime(13_000)
    report('wake')
    vi.advanceTimersByTime(1_000)
    expect(socket.state.name).toBe('waiting')
  })

  test('while open has no effect without a heartbeat', () => {
    const { socket, native, report } = withPageEvents()
    native().accept()
    report('wake')
    report('offline')
    vi.advanceTimersByTime(100_000)
    expect(socket.state.name).toBe('open')
  })

  test('is observed from the first attempt to the end, and again after connect()', () => {
    const { socket, native, stops } = withPageEvents({ autoConnect: false })
    socket.connect()
    native().accept().drop()
    expect(stops()).toBe(0)
    socket.close()
    expect(stops()).toBe(1)
    socket.connect()
    socket.close()
    expect(stops()).toBe(2)
  })

  test('has no effect if its source throws, which is reported', () => {
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

describe('a sleep event', () => {
  test('while open closes the connection, keeps queue and listeners, and is followed by open within 300 ms of wake', () => {
    const { socket, heard, native, report } = withPageEvents()
    const old = native().accept()
    report('sleep')
    expect(old.closed).toEqual({ code: 1005, reason: '' })
    expect(socket.state).toMatchObject({ name: 'waiting', delay: Infinity, cause: { code: 'PAGE_HIDDEN' } })
    expect(heard('close')).toMatchObject([{ willRetry: true, delay: Infinity }])
    socket.send('meanwhile')
    report('sleep')
    expect(heard('state')).toHaveLength(2)
    vi.advanceTimersByTime(1e6)
    expect(server.attempts).toBe(1)
    report('wake')
    vi.advanceTimersByTime(300)
    native().accept()
    expect(sent(native())).toEqual(['meanwhile'])
  })

  test('while connecting or waiting makes the socket wait for wake', () => {
    const { socket, native, report } = withPageEvents()
    report('sleep')
    expect(socket.state).toMatchObject({ name: 'waiting', delay: Infinity })
    expect(native().socket.readyState).toBe(2)
    report('wake')
    vi.advanceTimersByTime(300)
    native().drop()
    report('sleep')
    expect(socket.state).toMatchObject({ name: 'waiting', attempt: 1, delay: Infinity })
    expect(vi.getTimerCount()).toBe(0)
  })

  test('while closing makes the socket closed', () => {
    const { socket, native, report } = withPageEvents()
    native().accept()
    socket.close()
    report('sleep')
    expect(socket.state).toMatchObject({ name: 'closed', cause: { code: 'CLOSED' } })
  })
})

describe('an offline browser', () => {
  test('delays attempts, but one is made every 30 s', () => {
    const { socket, native } = withPageEvents()
    native().accept()
    offline()
    native().drop()
    expect(socket.state).toMatchObject({ name: 'waiting', delay: 30_000 })
    vi.advanceTimersByTime(30_000)
    native().drop()
    expect(socket.state).toMatchObject({ name: 'waiting', delay: 30_000 })
  })

  test('lengthens a wait in progress, and an online event shortens it again', () => {
    const { socket, native, report } = withPageEvents()
    native().accept().drop()
    offline()
    report('offline')
    expect(socket.state).toMatchObject({ delay: 30_000 })
    report('wake')
    expect(socket.state).toMatchObject({ delay: 30_000 })
    vi.stubGlobal('navigator', { onLine: true })
    report('wake')
    expect(socket.state).toMatchObject({ delay: 150 })
  })

  test('makes a restored page connect after 30 s, or as soon as there is a network', () => {
    const { socket, native, report } = withPageEvents()
    native().accept()
    report('sleep')
    offline()
    report('wake')
    expect(socket.state).toMatchObject({ name: 'waiting', delay: 30_000 })
  })

  test('has no effect on loopback addresses', () => {
    const { socket, native } = withPageEvents({}, 'ws://localhost:1234/')
    offline()
    native().drop()
    expect((socket.state as { delay: number }).delay).toBeLessThan(1_000)
  })

  test('has no effect with wake: false', () => {
    const { socket, native } = setup({ wake: false })
    offline()
    native().drop()
    expect((socket.state as { delay: number }).delay).toBeLessThan(1_000)
  })
})
