// What a browser has around a WebSocket and Node has not: the libraries are to find what they were written for.
import dns from 'node:dns'

/** Makes this process a page, and returns what a test does to it. */
export const installPage = () => {
  // Names that end in `.test` lead to this machine. To its address a browser would go even without a network.
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
    /** The network goes or comes, and the browser says so. */
    online(on) {
      navigator.onLine = on
      window.dispatchEvent(new Event(on ? 'online' : 'offline'))
    },
    /** Others look at the page again. */
    show() {
      document.dispatchEvent(new Event('visibilitychange'))
    },
  }
}
