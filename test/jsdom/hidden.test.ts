import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  type BrowserEventsOptions,
  createBrowserEvents,
  createSocket,
  onOutage,
  type PageEvent,
  type Socket,
} from '../../src/index.ts'
import { fresh, server } from '../support/setup.ts'

fresh()

let state: DocumentVisibilityState
beforeEach(() => {
  state = 'visible'
  vi.spyOn(document, 'visibilityState', 'get').mockImplementation(() => state)
})

const become = (next: DocumentVisibilityState) => {
  state = next
  document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))
}

const fire = (type: string) => window.dispatchEvent(new Event(type))

/** Listens as a socket does, and collects the reports. */
const listen = (options?: BrowserEventsOptions) => {
  const reports: PageEvent[] = []
  const stop = createBrowserEvents(options)(event => reports.push(event))
  return { reports, stop }
}

describe('createBrowserEvents()', () => {
  test('reports sleep when the page has been hidden for as long as the option says, and that it is shown', () => {
    const { reports, stop } = listen({ hiddenFor: 300_000 })
    become('hidden')
    vi.advanceTimersByTime(299_999)
    expect(reports).toEqual(['hidden'])
    vi.advanceTimersByTime(1)
    expect(reports).toEqual(['hidden', 'sleep'])
    vi.advanceTimersByTime(3_600_000)
    become('visible')
    expect(reports).toEqual(['hidden', 'sleep', 'visible'])
    stop()
  })

  test('counts each time that the page is hidden anew', () => {
    const { reports, stop } = listen({ hiddenFor: 10_000 })
    for (let i = 0; i < 3; i++) {
      become('hidden')
      vi.advanceTimersByTime(9_999)
      become('visible')
      vi.advanceTimersByTime(60_000)
    }
    expect(reports).toEqual(['hidden', 'visible', 'hidden', 'visible', 'hidden', 'visible'])
    stop()
  })

  test('counts from its start in a page that was opened in the background', () => {
    state = 'hidden'
    const { reports, stop } = listen({ hiddenFor: 10_000 })
    vi.advanceTimersByTime(10_000)
    expect(reports).toEqual(['sleep'])
    stop()
  })

  test('reports no wake event for the network while the page sleeps and is hidden', () => {
    const { reports, stop } = listen({ hiddenFor: 10_000 })
    become('hidden')
    fire('online')
    expect(reports).toEqual(['hidden', 'wake'])
    vi.advanceTimersByTime(10_000)
    fire('offline')
    fire('online')
    document.dispatchEvent(new Event('resume'))
    expect(reports).toEqual(['hidden', 'wake', 'sleep', 'offline'])
    become('visible')
    fire('online')
    expect(reports).toEqual(['hidden', 'wake', 'sleep', 'offline', 'visible', 'wake'])
    stop()
  })

  test('reports no sleep if its timer is so late that the page is visible again', () => {
    const { reports, stop } = listen({ hiddenFor: 10_000 })
    become('hidden')
    // The event is dispatched after the timer.
    state = 'visible'
    vi.advanceTimersByTime(10_000)
    expect(reports).toEqual(['hidden'])
    become('visible')
    expect(reports).toEqual(['hidden', 'visible'])
    stop()
  })

  test('without the option, reports what browserEvents reports, and keeps hidden pages awake', () => {
    const { reports, stop } = listen()
    become('hidden')
    vi.advanceTimersByTime(24 * 3_600_000)
    expect(vi.getTimerCount()).toBe(0)
    for (const type of ['offline', 'online', 'pagehide', 'pageshow']) fire(type)
    expect(reports).toEqual(['hidden', 'offline', 'wake', 'sleep', 'wake'])
    stop()
  })

  test('keeps a timer for each socket that it serves', () => {
    const source = createBrowserEvents({ hiddenFor: 10_000 })
    const [first, second] = [vi.fn(), vi.fn()]
    const stops = [source(first), source(second)]
    become('hidden')
    stops[0]?.()
    vi.advanceTimersByTime(10_000)
    expect(first.mock.calls).toEqual([['hidden']])
    expect(second.mock.calls).toEqual([['hidden'], ['sleep']])
    stops[1]?.()
  })

  test('leaves neither a timer nor a listener when it is stopped', () => {
    const targets = [globalThis, document]
    const added = targets.map(target => vi.spyOn(target, 'addEventListener'))
    const removed = targets.map(target => vi.spyOn(target, 'removeEventListener'))
    const { reports, stop } = listen({ hiddenFor: 10_000 })
    become('hidden')
    stop()
    expect(vi.getTimerCount()).toBe(0)
    const calls = (spies: typeof added) => spies.map(({ mock }) => mock.calls.map(([type]) => type).sort())
    expect(calls(removed)).toEqual(calls(added))
    expect(calls(added).flat().length).toBeGreaterThan(6)
    become('visible')
    expect(reports).toEqual(['hidden'])
    expect(stop).not.toThrow()
  })

  test('has no effect on import or call: it looks at the page when a socket starts it', () => {
    const added = vi.spyOn(document, 'addEventListener')
    createBrowserEvents({ hiddenFor: 10_000 })
    expect(added).not.toHaveBeenCalled()
    expect(vi.getTimerCount()).toBe(0)
  })

  test.each([
    [{ hiddenFor: -1 }, 'hiddenFor must be a number, at least 0'],
    [{ hiddenFor: '5m' }, 'hiddenFor must be a number, at least 0'],
    [{ hidenFor: 10_000 }, "createBrowserEvents has no option 'hidenFor', only hiddenFor"],
  ])('throws a TypeError for an invalid option: %o', (options, message) => {
    expect(() => createBrowserEvents(options as BrowserEventsOptions)).toThrow(new TypeError(message))
  })
})

describe('a socket with hiddenFor', () => {
  let socket: Socket
  // The closing handshake ends, so that the socket stops listening to the page, which the tests share.
  afterEach(() => {
    socket.close()
    vi.advanceTimersByTime(3_000)
  })

  const start = () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.5)
    const wake = createBrowserEvents({ hiddenFor: 300_000 })
    socket = createSocket('/feed', { WebSocket: server.WebSocket, wake })
    server.latest.accept()
  }

  test('closes the connection of a page that stays hidden, queues messages meanwhile, and reconnects when the page is shown', () => {
    start()
    const closed = vi.fn()
    socket.on('close', closed)
    become('hidden')
    vi.advanceTimersByTime(300_000)
    expect(socket.state).toMatchObject({ name: 'waiting', delay: Infinity, cause: { code: 'PAGE_HIDDEN' } })
    expect(closed).toHaveBeenCalledTimes(1)
    expect(server.latest.socket.readyState).toBeGreaterThan(1)
    expect(socket.send('later')).toBe('queued')
    vi.advanceTimersByTime(24 * 3_600_000)
    fire('online')
    expect(server.connections).toHaveLength(1)
    become('visible')
    vi.advanceTimersByTime(300)
    server.latest.accept()
    expect(socket.state.name).toBe('open')
    expect(server.latest.received).toEqual(['later'])
  })

  test('gives onOutage() nothing to report, neither while the page is hidden nor when it is shown', () => {
    start()
    const listener = vi.fn()
    const stop = onOutage(socket, { grace: 2_000 }, listener)
    become('hidden')
    vi.advanceTimersByTime(3_600_000)
    become('visible')
    vi.advanceTimersByTime(300)
    server.latest.accept()
    vi.advanceTimersByTime(60_000)
    expect(listener).not.toHaveBeenCalled()
    stop()
  })

  test('has neither a timer nor an attempt left after close()', () => {
    start()
    become('hidden')
    socket.close()
    server.latest.close(1000)
    expect(socket.state.name).toBe('closed')
    expect(vi.getTimerCount()).toBe(0)
    vi.advanceTimersByTime(600_000)
    become('visible')
    expect(server.connections).toHaveLength(1)
  })
})
