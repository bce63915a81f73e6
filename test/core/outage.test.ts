import { describe, expect, test, vi } from 'vitest'
import { type Outage, onOutage, type PageEvent, type SocketOptions } from '../../src/index.ts'
import { fresh, server, setup } from '../support/setup.ts'

fresh()

const START = 1_000_000

/** A socket, a function that reports page events to it, and the reports of `onOutage()` with a grace period of two seconds. */
const watch = (options: SocketOptions = {}) => {
  let reportPageEvent = (_: PageEvent) => {}
  const wake = (report: typeof reportPageEvent) => {
    reportPageEvent = report
    return () => {}
  }
  const all = setup({ wake, retry: () => 500, ...options })
  const reports: Outage[] = []
  const stop = onOutage(all.socket, { grace: 2_000 }, outage => reports.push(outage))
  const short = () => reports.map(({ away, state }) => `${away ? 'away' : 'back'}, ${state.name}`)
  return { ...all, reports, short, stop, reportPageEvent: (event: PageEvent) => reportPageEvent(event) }
}

/** Simulates a suspended process, whose timers fire late. */
const sleep = (ms: number) => vi.setSystemTime(Date.now() + ms)

describe('onOutage()', () => {
  test('reports nothing if the socket is open again within the grace period', () => {
    const { native, reports } = watch()
    native().accept()
    for (let i = 0; i < 3; i++) {
      native().drop()
      vi.advanceTimersByTime(1_999)
      native().accept()
      vi.advanceTimersByTime(10_000)
    }
    expect(reports).toEqual([])
  })

  test('reports an outage when the socket has not been open for the grace period, with the time of the loss', () => {
    const { socket, native, reports } = watch()
    native().accept()
    vi.advanceTimersByTime(60_000)
    native().drop()
    vi.advanceTimersByTime(1_999)
    expect(reports).toEqual([])
    vi.advanceTimersByTime(1)
    expect(reports).toEqual([{ away: true, since: START + 60_000, state: socket.state }])
    expect(socket.state.name).toBe('connecting')
  })

  test('reports each change of the state during an outage, and once that it is over', () => {
    const { socket, native, reports, short } = watch({ retry: () => 5_000 })
    native().accept().drop()
    vi.advanceTimersByTime(5_000)
    native().drop()
    vi.advanceTimersByTime(5_000)
    native().accept()
    expect(short()).toEqual([
      'away, waiting',
      'away, connecting',
      'away, waiting',
      'away, connecting',
      'back, open',
    ])
    expect(reports.map(({ since }) => since)).toEqual(Array(5).fill(START))
    expect(reports[2]?.state).toMatchObject({ name: 'waiting', until: START + 10_000 })
    expect(reports[4]?.state).toBe(socket.state)
    vi.advanceTimersByTime(60_000)
    expect(reports).toHaveLength(5)
  })

  test('gives the next outage its own grace period and beginning', () => {
    const { native, reports } = watch({ retry: () => 5_000 })
    native().accept().drop()
    vi.advanceTimersByTime(5_000)
    native().accept()
    vi.advanceTimersByTime(60_000)
    native().drop()
    vi.advanceTimersByTime(1_999)
    expect(reports.map(({ away }) => away)).toEqual([true, true, false])
    vi.advanceTimersByTime(1)
    expect(reports[3]).toMatchObject({ away: true, since: START + 65_000 })
  })

  test('measures the grace period from the loss, however many attempts fail meanwhile', () => {
    const { native, short } = watch({ retry: () => 300 })
    native().accept().drop()
    for (let i = 0; i < 6; i++) {
      vi.advanceTimersByTime(300)
      native().drop()
    }
    vi.advanceTimersByTime(199)
    expect(short()).toEqual([])
    vi.advanceTimersByTime(1)
    expect(short()).toEqual(['away, waiting'])
  })

  test('reports a first connection that takes longer than the grace period', () => {
    const { native, reports, short } = watch()
    vi.advanceTimersByTime(2_000)
    native().accept()
    expect(short()).toEqual(['away, connecting', 'back, open'])
    expect(reports[0]?.since).toBe(START)
  })

  test('reports nothing about a socket before connect() was called', () => {
    const { socket, native, short } = watch({ autoConnect: false })
    vi.advanceTimersByTime(60_000)
    expect(short()).toEqual([])
    socket.connect()
    vi.advanceTimersByTime(2_000)
    native().accept()
    expect(short()).toEqual(['away, connecting', 'back, open'])
  })

  test.each([
    ['close()', (socket: { close(): void }) => socket.close()],
    ['its signal', (_: unknown, view: AbortController) => view.abort()],
  ])('reports nothing after %s closed the open socket', (_, close) => {
    const view = new AbortController()
    const { socket, native, reports } = watch({ signal: view.signal })
    native().accept()
    close(socket, view)
    vi.advanceTimersByTime(60_000)
    expect(socket.state.name).toBe('closed')
    expect(reports).toEqual([])
  })

  test('reports that the outage is over when close() is called during it', () => {
    const { socket, native, short } = watch({ retry: () => 60_000 })
    native().accept().drop()
    vi.advanceTimersByTime(2_000)
    socket.close()
    vi.advanceTimersByTime(60_000)
    expect(short()).toEqual(['away, waiting', 'back, closed'])
  })

  test('starts a new grace period when a closed socket connects again', () => {
    const { socket, reports } = watch()
    socket.close()
    vi.advanceTimersByTime(60_000)
    socket.connect()
    vi.advanceTimersByTime(2_000)
    expect(reports).toMatchObject([{ away: true, since: START + 60_000, state: { name: 'connecting' } }])
  })

  test('reports a socket that gave up, because the user has no connection', () => {
    const { native, reports } = watch({ retry: false })
    native().accept().close(1008, 'signed out')
    vi.advanceTimersByTime(60_000)
    expect(reports).toMatchObject([
      { away: true, since: START, state: { name: 'closed', cause: { close: { reason: 'signed out' } } } },
    ])
  })

  test('reports it at once when a socket gives up during an outage', () => {
    const { native, short } = watch({ retry: ({ attempt }) => attempt < 2 && 5_000 })
    native().accept().drop()
    vi.advanceTimersByTime(5_000)
    native().drop()
    expect(short()).toEqual(['away, waiting', 'away, connecting', 'away, closed'])
  })

  test('can begin in the middle of an outage', () => {
    const { socket, native } = setup({ retry: () => 60_000 })
    native().accept().drop()
    vi.advanceTimersByTime(10_000)
    const listener = vi.fn()
    onOutage(socket, { grace: 2_000 }, listener)
    vi.advanceTimersByTime(1_999)
    expect(listener).not.toHaveBeenCalled()
    vi.advanceTimersByTime(1)
    expect(listener.mock.calls).toEqual([[{ away: true, since: START + 10_000, state: socket.state }]])
  })

  test('keeps no timer while the socket is open', () => {
    const { native } = watch()
    expect(vi.getTimerCount()).toBe(2)
    native().accept()
    expect(vi.getTimerCount()).toBe(0)
  })

  test('reports in the next task with a grace of 0, and never with a grace of Infinity', () => {
    const { socket, native } = setup({ retry: () => 60_000 })
    const [now, never] = [vi.fn(), vi.fn()]
    onOutage(socket, { grace: 0 }, now)
    onOutage(socket, { grace: Infinity }, never)
    native().accept().drop()
    vi.advanceTimersByTime(0)
    expect(now).toHaveBeenCalledTimes(1)
    vi.advanceTimersByTime(50_000)
    expect(never).not.toHaveBeenCalled()
  })

  test('continues after a listener that throws', () => {
    const report = vi.fn()
    vi.stubGlobal('reportError', report)
    const { socket, native } = setup({ retry: () => 5_000 })
    const aways: boolean[] = []
    onOutage(socket, { grace: 2_000 }, ({ away }) => {
      aways.push(away)
      if (!away) throw new Error('bug')
    })
    for (let i = 0; i < 2; i++) {
      vi.advanceTimersByTime(5_000)
      native().accept()
      native().drop()
    }
    expect(aways).toEqual([true, false, true, true, false])
    expect(report).toHaveBeenCalledTimes(2)
  })
})

describe('the function that onOutage() returns', () => {
  test('ends the reports and the timer', () => {
    const { native, reports, stop } = watch({ retry: () => 60_000 })
    native().accept().drop()
    stop()
    stop()
    expect(vi.getTimerCount()).toBe(1)
    vi.advanceTimersByTime(59_000)
    expect(reports).toEqual([])
  })

  test('ends the reports of an outage, also when a report calls it', () => {
    const { socket } = setup({ retry: () => 5_000 })
    const listener = vi.fn(() => stop())
    const stop = onOutage(socket, { grace: 2_000 }, listener)
    vi.advanceTimersByTime(2_000)
    server.latest.accept()
    expect(listener).toHaveBeenCalledTimes(1)
  })
})

describe('onOutage() in a page that sleeps', () => {
  test('reports nothing while the page is in the back/forward cache, and nothing if the connection is back in time', () => {
    const { native, reportPageEvent, reports } = watch()
    native().accept()
    reportPageEvent('sleep')
    vi.advanceTimersByTime(3_600_000)
    reportPageEvent('wake')
    vi.advanceTimersByTime(300)
    native().accept()
    vi.advanceTimersByTime(60_000)
    expect(reports).toEqual([])
  })

  test('reports a connection that does not come back after the page is shown, with the time at which it was shown', () => {
    const { native, reportPageEvent, reports } = watch()
    native().accept()
    reportPageEvent('sleep')
    vi.advanceTimersByTime(3_600_000)
    reportPageEvent('wake')
    vi.advanceTimersByTime(1_999)
    expect(reports).toEqual([])
    vi.advanceTimersByTime(1)
    expect(reports).toMatchObject([{ away: true, since: START + 3_600_000 }])
  })

  test('reports that the network is missing when the page is shown, although the next attempt is far away', () => {
    const { native, reportPageEvent, short } = watch()
    native().accept()
    reportPageEvent('sleep')
    vi.stubGlobal('navigator', { onLine: false })
    reportPageEvent('wake')
    vi.advanceTimersByTime(2_000)
    expect(short()).toEqual(['away, waiting'])
  })

  test('ends an outage when the page is put to sleep, and begins a new one if there is still no connection after that', () => {
    const { native, reportPageEvent, short } = watch({ retry: () => 60_000 })
    native().accept().drop()
    vi.advanceTimersByTime(2_000)
    reportPageEvent('sleep')
    vi.advanceTimersByTime(3_600_000)
    reportPageEvent('wake')
    vi.advanceTimersByTime(2_000)
    expect(short()).toEqual(['away, waiting', 'back, waiting', 'away, connecting'])
  })

  test('waits once more after a timer that fires late, because the process slept and the socket may be open in a moment', () => {
    const { native, reports, short } = watch()
    native().accept().drop()
    sleep(3_600_000)
    vi.advanceTimersByTime(2_000)
    expect(short()).toEqual([])
    vi.advanceTimersByTime(2_000)
    expect(short()).toEqual(['away, connecting'])
    expect(reports[0]?.since).toBe(START)
  })

  test('is not delayed by a timer that is late because the page is busy', () => {
    const { native, short } = watch()
    native().accept().drop()
    sleep(900)
    vi.advanceTimersByTime(2_000)
    expect(short()).toEqual(['away, connecting'])
  })
})

describe('invalid arguments of onOutage()', () => {
  test.each([
    [{ grace: -1 }, 'grace must be a number, at least 0'],
    [{ grace: Number.NaN }, 'grace must be a number, at least 0'],
    [{ grace: '2000' }, 'grace must be a number, at least 0'],
    [{ gracePeriod: 2_000 }, 'grace must be a number, at least 0'],
    [{}, 'grace must be a number, at least 0'],
  ])('throw a TypeError: %o', (options, message) => {
    const { socket } = setup()
    expect(() => onOutage(socket, options as any, () => {})).toThrow(new TypeError(message))
  })

  test('throw a TypeError if the listener is not a function, and nothing has been started', () => {
    const { socket, native } = setup()
    native().accept()
    const on = vi.spyOn(socket, 'on')
    for (const listener of [undefined, null, {}, 'banner']) {
      expect(() => onOutage(socket, { grace: 2_000 }, listener as any)).toThrow(
        new TypeError("The listener for 'outage' must be a function"),
      )
    }
    expect(on).not.toHaveBeenCalled()
  })
})
