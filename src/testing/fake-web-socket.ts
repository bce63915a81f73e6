import type { FakeConnection } from './fake-connection.js'
import { STATES } from './fake-peer.js'
import { byteLength, wellFormed } from './messages.js'

/** The types of a WebSocket's events. */
export const EVENTS = ['open', 'message', 'error', 'close'] as const

/** https://www.rfc-editor.org/rfc/rfc2616#section-2.2 */
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/

/** https://websockets.spec.whatwg.org/#get-a-url-record */
const parseUrl = (url: unknown, base: string | URL | undefined): URL => {
  let record: URL
  try {
    record = new URL(`${url}`, base)
  } catch {
    const hint = base === undefined ? ' (for a relative URL, set the option `base`)' : ''
    throw new DOMException(`Invalid URL: ${url}${hint}`, 'SyntaxError')
  }
  record.protocol = record.protocol.replace(/^http/, 'ws')
  if (record.protocol !== 'ws:' && record.protocol !== 'wss:') {
    throw new DOMException(`A WebSocket's URL cannot begin with ${record.protocol}`, 'SyntaxError')
  }
  if (record.href.includes('#')) {
    throw new DOMException(`A WebSocket's URL cannot have a fragment: ${url}`, 'SyntaxError')
  }
  return record
}

/** https://websockets.spec.whatwg.org/#dom-websocket-websocket */
const parseProtocols = (protocols: unknown): readonly string[] => {
  const isList = typeof protocols === 'object' && protocols && Symbol.iterator in protocols
  const offered = isList ? Array.from(protocols as Iterable<unknown>, String) : [`${protocols}`]
  const wrong = offered.find((name, place) => !TOKEN.test(name) || offered.indexOf(name) < place)
  if (wrong !== undefined) {
    throw new DOMException(`Not a subprotocol, or given twice: '${wrong}'`, 'SyntaxError')
  }
  return offered
}

type Handler = (this: EventTarget, event: Event) => unknown

/** An attribute such as `onopen`. A handler keeps the place among the listeners where the first one was set. */
// https://html.spec.whatwg.org/multipage/webappapis.html#event-handler-attributes
const eventHandler = (type: string): PropertyDescriptor => {
  const handlers = new WeakMap<EventTarget, { call: Handler; listener: Handler }>()
  return {
    enumerable: true,
    configurable: true,
    get(this: EventTarget) {
      return handlers.get(this)?.call ?? null
    },
    set(this: EventTarget, call: unknown) {
      const old = handlers.get(this)
      if (typeof call !== 'function') {
        handlers.delete(this)
        if (old) this.removeEventListener(type, old.listener)
      } else if (old) old.call = call as Handler
      else {
        const handler = { call: call as Handler, listener: (event: Event) => handler.call.call(this, event) }
        handlers.set(this, handler)
        this.addEventListener(type, handler.listener)
      }
    },
  }
}

/** The `WebSocket` class of a server: `connect` makes the connection of each instance. */
export const createWebSocketClass = (
  base: string | URL | undefined,
  connect: (socket: WebSocket, offered: readonly string[], origin: string) => FakeConnection,
): typeof WebSocket => {
  class FakeWebSocket extends EventTarget {
    readonly #connection: FakeConnection
    readonly #url: string
    #binaryType: BinaryType = 'blob'

    constructor(url: string | URL, protocols: string | string[] = []) {
      super()
      const { document, location } = globalThis
      const { href, origin } = parseUrl(url, base ?? document?.baseURI ?? location?.href)
      const offered = parseProtocols(protocols)
      this.#url = href
      this.#connection = connect(this as unknown as WebSocket, offered, origin)
    }

    get url() {
      return this.#url
    }
    get readyState() {
      return this.#connection.readyState
    }
    get bufferedAmount() {
      return this.#connection.bufferedAmount
    }
    get protocol() {
      return this.#connection.protocol
    }
    get extensions() {
      return ''
    }
    get binaryType() {
      return this.#binaryType
    }
    set binaryType(type) {
      if (type === 'blob' || type === 'arraybuffer') this.#binaryType = type
    }
    get [Symbol.toStringTag]() {
      return 'WebSocket'
    }

    send(...args: unknown[]) {
      if (!args.length) throw new TypeError('send() needs a message')
      this.#connection.send(args[0])
    }

    // https://websockets.spec.whatwg.org/#dom-websocket-close
    close(code?: number, reason = '') {
      if (code !== undefined && code !== 1000 && !(code >= 3000 && code < 5000)) {
        throw new DOMException(`close(${code}): the code must be 1000 or 3000 to 4999`, 'InvalidAccessError')
      }
      const text = wellFormed(reason)
      if (byteLength(text) > 123) {
        throw new DOMException('close(): the reason must not be longer than 123 bytes', 'SyntaxError')
      }
      this.#connection.close(code, text)
    }
  }

  for (const [value, name] of STATES.entries()) {
    for (const owner of [FakeWebSocket, FakeWebSocket.prototype]) {
      Object.defineProperty(owner, name, { value, enumerable: true })
    }
  }
  for (const type of EVENTS) Object.defineProperty(FakeWebSocket.prototype, `on${type}`, eventHandler(type))
  return FakeWebSocket as unknown as typeof WebSocket
}
