import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { browserEvents, isHidden, isOffline, type PageEvent } from '../../src/core/page.ts'

let connection: EventTarget
let stops: (() => void)[]

/** Listens as a socket does, and notes the news. */
const listen = () => {
  const heard: PageEvent[] = []
  const stop = browserEvents(news => heard.push(news))
  stops.push(stop)
  return { heard, stop }
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

/** Each event, where it happens, and what it says. */
const EVENTS: [type: string, where: () => EventTarget, news: PageEvent][] = [
  ['online', () => window, 'wake'],
  ['pageshow', () => window, 'wake'],
  ['resume', () => document, 'wake'],
  ['change', () => connection, 'wake'],
  ['offline', () => window, 'offline'],
  ['pagehide', () => window, 'sleep'],
  ['freeze', () => document, 'sleep'],
]

describe('the page', () => {
  test.each(EVENTS)('%s is news', (type, where, news) => {
    const { heard } = listen()
    where().dispatchEvent(new Event(type))
    expect(heard).toEqual([news])
  })

  test('visibilitychange to visible is news', () => {
    const { heard } = listen()
    visibility('visible')
    document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))
    expect(heard).toEqual(['wake'])
  })

  test('visibilitychange to hidden is not: a hidden page still runs', () => {
    const { heard } = listen()
    visibility('hidden')
    document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))
    expect(heard).toEqual([])
  })

  test('the change of an input is not a change of the network, though it bubbles up to the window', () => {
    const { heard } = listen()
    const input = document.createElement('input')
    document.body.append(input)
    const reached = vi.fn()
    window.addEventListener('change', reached, { once: true })
    input.dispatchEvent(new Event('change', { bubbles: true }))
    expect(reached).toHaveBeenCalledTimes(1)
    expect(heard).toEqual([])
  })

  test('other events are no news', () => {
    const { heard } = listen()
    for (const type of ['load', 'focus', 'blur', 'click', 'message', 'toString', 'constructor']) {
      for (const where of [window, document, connection]) where.dispatchEvent(new Event(type))
    }
    expect(heard).toEqual([])
  })

  test('the story of a page that goes into the page cache and returns is told in order', () => {
    const { heard } = listen()
    visibility('hidden')
    window.dispatchEvent(new Event('pagehide'))
    document.dispatchEvent(new Event('visibilitychange'))
    document.dispatchEvent(new Event('freeze'))
    document.dispatchEvent(new Event('resume'))
    visibility('visible')
    window.dispatchEvent(new Event('pageshow'))
    expect(heard).toEqual(['sleep', 'sleep', 'wake', 'wake'])
  })

  test('each that listens is told', () => {
    const [one, other] = [listen(), listen()]
    window.dispatchEvent(new Event('online'))
    one.stop()
    window.dispatchEvent(new Event('online'))
    expect(one.heard).toEqual(['wake'])
    expect(other.heard).toEqual(['wake', 'wake'])
  })

  test('a browser without network information tells the rest', () => {
    Reflect.deleteProperty(navigator, 'connection')
    const { heard, stop } = listen()
    window.dispatchEvent(new Event('online'))
    expect(heard).toEqual(['wake'])
    expect(stop).not.toThrow()
  })
})

describe('stopping', () => {
  test.each(EVENTS)('%s is not heard any more', (type, where) => {
    const { heard, stop } = listen()
    stop()
    where().dispatchEvent(new Event(type))
    expect(heard).toEqual([])
  })

  test('visibilitychange is not heard any more', () => {
    const { heard, stop } = listen()
    stop()
    visibility('visible')
    document.dispatchEvent(new Event('visibilitychange'))
    expect(heard).toEqual([])
  })

  test('leaves no listener behind: every one that was added is removed with the same arguments', () => {
    const targets = [globalThis, document, connection]
    const added = targets.map(target => vi.spyOn(target, 'addEventListener'))
    const removed = targets.map(target => vi.spyOn(target, 'removeEventListener'))
    const { stop } = listen()
    const calls = added.map(({ mock }) => mock.calls.slice())
    expect(calls.flat().length).toBeGreaterThan(EVENTS.length)
    stop()
    expect(removed.map(({ mock }) => mock.calls)).toEqual(calls)
  })

  test('may be repeated', () => {
    const { stop } = listen()
    stop()
    expect(stop).not.toThrow()
  })
})

describe('asking', () => {
  test('isHidden is whether nobody can see the page', () => {
    visibility('hidden')
    expect(isHidden()).toBe(true)
    visibility('visible')
    expect(isHidden()).toBe(false)
  })

  test('isOffline is what the browser says, but for an address on this machine', () => {
    const onLine = vi.spyOn(navigator, 'onLine', 'get').mockReturnValue(true)
    expect(isOffline('wss://push.example.com/')).toBe(false)
    onLine.mockReturnValue(false)
    expect(isOffline('wss://push.example.com/')).toBe(true)
    expect(isOffline('ws://localhost:8080/')).toBe(false)
  })
})
