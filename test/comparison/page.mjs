// Defines the globals of a page in Node, so that the libraries run as in a browser.
import dns from 'node:dns'

/** Turns this process into a page, and returns functions that simulate events. */
export const installPage = () => {
  // Host names that end in `.test` resolve to this machine, because clients connect to a loopback address even when the browser is offline.
  const { lookup } = dns
  dns.lookup = (host, ...rest) => lookup(/\.test$/.test(host) ? '127.0.0.1' : host, ...rest)

  const window = new EventTarget()
  const document = Object.assign(new EventTarget(), { visibilityState: 'visible', hidden: false })
  const navigator = Object.assign(new EventTarget(), { onLine: true, userAgent: 'a page' })
  const globals = {
    window: globalThis,
    self: globalThis,
    document,
    navigator,
    addEventListener: window.addEventListener.bind(window),
    removeEventListener: window.removeEventListener.bind(window),
    dispatchEvent: window.dispatchEvent.bind(window),
    ErrorEvent: class ErrorEvent extends Event {
      constructor(type, { message = '', error } = {}) {
        super(type)
        Object.assign(this, { message, error })
      }
    },
    CloseEvent: class CloseEvent extends Event {
      constructor(type, { code = 0, reason = '', wasClean = false } = {}) {
        super(type)
        Object.assign(this, { code, reason, wasClean })
      }
    },
  }
  for (const [name, value] of Object.entries(globals)) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true })
  }

  return {
    /** Simulates that the browser goes offline or online. */
    online(on) {
      navigator.onLine = on
      window.dispatchEvent(new Event(on ? 'online' : 'offline'))
    },
    /** Simulates that the page is shown again. */
    show() {
      document.dispatchEvent(new Event('visibilitychange'))
    },
  }
}
