import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { browserEvents, isHidden, isOffline, type PageEvent } from '../../src/core/page.ts'

let connection: EventTarget
let stops: (() => void)[]

/** Listens as a socket does, and collects the reports. */
const listen = () => {
  const reports: PageEvent[] = []
  const stop = browserEvents(report => reports.push(report))
  stops.push(stop)
  return { reports, stop }
}

const visibility = (state: DocumentVisibilityState) =>
  vi.spyOn(document, 'visibilityState', 'get').mockReturnValue(state)

beforeEach(() => {
  connection = new EventTarget()
  stops = []
  Object.defineProperty(navigator, 'connection', { value: connection, configurable: true })
})
afterEach(() => {
  for (const stop of stops) stop()
  Reflect.deleteProperty(navigator, 'connection')
  vi.restoreAllMocks()
  document.body.replaceChildren()
})

/** Each event, its target, and the report. */
const EVENTS: [type: string, where: () => EventTarget, report: PageEvent][] = [
  ['online', () => window, 'wake'],
  ['pageshow', () => window, 'wake'],
  ['resume', () => document, 'wake'],
  ['change', () => connection, 'wake'],
  ['offline', () => window, 'offline'],
  ['pagehide', () => window, 'sleep'],
  ['freeze', () => document, 'sleep'],
]

describe('browserEvents()', () => {
  test.each(EVENTS)('reports the event %s', (type, where, report) => {
    const { reports } = listen()
    where().dispatchEvent(new Event(type))
    expect(reports).toEqual([report])
  })

  test('reports visibilitychange to visible', () => {
    const { reports } = listen()
    visibility('visible')
    document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))
    expect(reports).toEqual(['visible'])
  })

  test('reports visibilitychange to hidden, which is not sleep, because a hidden page still runs', () => {
    const { reports } = listen()
    visibility('hidden')
    document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))
    expect(reports).toEqual(['hidden'])
  })

  test('does not confuse the change event of an input, which bubbles up to the window, with a change of the network', () => {
    const { reports } = listen()
    const input = document.createElement('input')
    document.body.append(input)
    const reached = vi.fn()
    window.addEventListener('change', reached, { once: true })
    input.dispatchEvent(new Event('change', { bubbles: true }))
    expect(reached).toHaveBeenCalledTimes(1)
    expect(reports).toEqual([])
  })

  test('does not report other events', () => {
    const { reports } = listen()
    for (const type of ['load', 'focus', 'blur', 'click', 'message', 'toString', 'constructor']) {
      for (const where of [window, document, connection]) where.dispatchEvent(new Event(type))
    }
    expect(reports).toEqual([])
  })

  test('reports in order that a page enters the back/forward cache and returns', () => {
    const { reports } = listen()
    visibility('hidden')
    window.dispatchEvent(new Event('pagehide'))
    document.dispatchEvent(new Event('visibilitychange'))
    document.dispatchEvent(new Event('freeze'))
    document.dispatchEvent(new Event('resume'))
    visibility('visible')
    window.dispatchEvent(new Event('pageshow'))
    expect(reports).toEqual(['sleep', 'hidden', 'sleep', 'wake', 'wake'])
  })

  test('reports to each caller', () => {
    const [one, other] = [listen(), listen()]
    window.dispatchEvent(new Event('online'))
    one.stop()
    window.dispatchEvent(new Event('online'))
    expect(one.reports).toEqual(['wake'])
    expect(other.reports).toEqual(['wake', 'wake'])
  })

  test('reports the other events in a browser without network information', () => {
    Reflect.deleteProperty(navigator, 'connection')
    const { reports, stop } = listen()
    window.dispatchEvent(new Event('online'))
    expect(reports).toEqual(['wake'])
    expect(stop).not.toThrow()
  })
})

describe('the function that browserEvents() returns', () => {
  test.each(EVENTS)('ends the reports of %s', (type, where) => {
    const { reports, stop } = listen()
    stop()
    where().dispatchEvent(new Event(type))
    expect(reports).toEqual([])
  })

  test('ends the reports of visibilitychange', () => {
    const { reports, stop } = listen()
    stop()
    visibility('visible')
    document.dispatchEvent(new Event('visibilitychange'))
    expect(reports).toEqual([])
  })

  test('removes every listener with the arguments with which it was added', () => {
    const targets = [globalThis, document, connection]
    const added = targets.map(target => vi.spyOn(target, 'addEventListener'))
    const removed = targets.map(target => vi.spyOn(target, 'removeEventListener'))
    const { stop } = listen()
    const calls = added.map(({ mock }) => mock.calls.slice())
    expect(calls.flat().length).toBeGreaterThan(EVENTS.length)
    stop()
    expect(removed.map(({ mock }) => mock.calls)).toEqual(calls)
  })

  test('may be called again', () => {
    const { stop } = listen()
    stop()
    expect(stop).not.toThrow()
  })
})

describe('the state of the page', () => {
  test('is hidden for isHidden() unless the page is visible', () => {
    visibility('hidden')
    expect(isHidden()).toBe(true)
    visibility('visible')
    expect(isHidden()).toBe(false)
  })

  test('is offline for isOffline() if the browser reports that it is, except for loopback addresses', () => {
    const onLine = vi.spyOn(navigator, 'onLine', 'get').mockReturnValue(true)
    expect(isOffline('wss://push.example.com/')).toBe(false)
    onLine.mockReturnValue(false)
    expect(isOffline('wss://push.example.com/')).toBe(true)
    expect(isOffline('ws://localhost:8080/')).toBe(false)
  })
})
