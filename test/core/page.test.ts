import { afterEach, describe, expect, test, vi } from 'vitest'
import { browserEvents, isHidden, isOffline } from '../../src/core/page.ts'

const offline = () => vi.stubGlobal('navigator', { onLine: false })

afterEach(() => vi.unstubAllGlobals())

describe('without a page', () => {
  test('browserEvents observes nothing, and does not throw', () => {
    for (const name of ['window', 'document', 'navigator', 'addEventListener', 'removeEventListener']) {
      vi.stubGlobal(name, undefined)
    }
    const listener = vi.fn()
    const stop = browserEvents(listener)
    expect(stop).not.toThrow()
    expect(stop).not.toThrow()
    expect(listener).not.toHaveBeenCalled()
    expect(isHidden()).toBe(false)
    expect(isOffline('wss://push.example.com/')).toBe(false)
  })

  test('browserEvents reports network events in a worker', () => {
    const [scope, connection] = [new EventTarget(), new EventTarget()]
    vi.stubGlobal('document', undefined)
    vi.stubGlobal('navigator', { onLine: true, connection })
    vi.stubGlobal('addEventListener', scope.addEventListener.bind(scope))
    vi.stubGlobal('removeEventListener', scope.removeEventListener.bind(scope))
    const listener = vi.fn()
    const stop = browserEvents(listener)
    scope.dispatchEvent(new Event('online'))
    scope.dispatchEvent(new Event('offline'))
    connection.dispatchEvent(new Event('change'))
    expect(listener.mock.calls).toEqual([['wake'], ['offline'], ['wake']])
    stop()
    scope.dispatchEvent(new Event('online'))
    connection.dispatchEvent(new Event('change'))
    expect(listener).toHaveBeenCalledTimes(3)
  })

  test('browserEvents works with a navigator that lacks network information', () => {
    vi.stubGlobal('navigator', {})
    expect(browserEvents(() => {})).not.toThrow()
    expect(isOffline('wss://push.example.com/')).toBe(false)
  })
})

test('browserEvents reports page events in a page that has an element with the id "registration", which is a global there', () => {
  const page = Object.assign(new EventTarget(), { visibilityState: 'visible' })
  vi.stubGlobal('document', page)
  vi.stubGlobal('registration', {})
  const report = vi.fn()
  const stop = browserEvents(report)
  page.dispatchEvent(new Event('resume'))
  page.dispatchEvent(new Event('freeze'))
  stop()
  expect(report.mock.calls).toEqual([['wake'], ['sleep']])
})

test('browserEvents adds no listener in a service worker', () => {
  const addEventListener = vi.fn()
  vi.stubGlobal('document', undefined)
  vi.stubGlobal('registration', {})
  vi.stubGlobal('addEventListener', addEventListener)
  browserEvents(() => {})()
  expect(addEventListener).not.toHaveBeenCalled()
})

describe('isOffline()', () => {
  test.each([
    'wss://push.example.com/feed',
    'ws://11.0.0.1:8080/',
    'ws://10.0.0.1.example.com/',
    'ws://172.32.0.1/',
    'ws://local.example.com/',
    'ws://notlocal/',
    'wss://[2001:db8::1]/',
    'ws://128.0.0.1/',
    '',
  ])('returns the opposite of navigator.onLine for %s', url => {
    vi.stubGlobal('navigator', { onLine: true })
    expect(isOffline(url)).toBe(false)
    offline()
    expect(isOffline(url)).toBe(true)
  })

  test.each([
    'ws://localhost/',
    'ws://localhost:8080/feed',
    'wss://localhost/',
    'ws://127.0.0.1:8080/',
    'ws://127.1.2.3/',
    'ws://[::1]:8080/feed',
    'ws://[::1]/',
    'ws://app.localhost:3000/',
    'ws://printer.lan/status',
    'ws://printer.local:9100/',
    'wss://api.internal/',
    'ws://nas.home.arpa/',
    'ws://10.0.0.1:8080/',
    'ws://172.16.0.1/',
    'ws://172.31.255.255/',
    'ws://192.168.1.20/feed',
    'ws://169.254.1.1/',
    'ws://[fd00::1]:8080/',
    'ws://[fe80::1]/',
  ])('is always false for the loopback or private address %s', url => {
    offline()
    expect(isOffline(url)).toBe(false)
  })

  test.each([
    'wss://evil.example/?//localhost',
    'wss://evil.example//127.0.0.1/',
    'wss://push.example.com/proxy/ws://localhost/',
    'wss://localhost.example.com/',
    'wss://127.example.com/',
    'wss://[::1234]/',
    'wss://notlocalhost/',
  ])('is true for an address that only resembles a loopback address: %s', url => {
    offline()
    expect(isOffline(url)).toBe(true)
  })
})
