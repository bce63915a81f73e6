// A WebSocket class for Node that behaves like a browser's, over `ws`. It dispatches the platform's events, `error` before `close` if a connection ended
// uncleanly, and `close` after each failed attempt. The class of `ws` has its own event classes, which some libraries cannot dispatch again. The
// class of Node 20 is experimental, and dispatches no `close` after a failed attempt.
import './platform.mjs'
import { WebSocket as Ws } from 'ws'

const STATES = ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED']

export class WebSocket extends EventTarget {
  #inner
  binaryType = 'blob'
  onopen = null
  onmessage = null
  onerror = null
  onclose = null

  constructor(url, protocols) {
    super()
    const inner = new Ws(url, protocols?.length ? protocols : undefined)
    this.#inner = inner
    const dispatch = event => {
      this[`on${event.type}`]?.(event)
      this.dispatchEvent(event)
    }
    inner.on('open', () => dispatch(new Event('open')))
    inner.on('message', (data, isBinary) => {
      dispatch(new MessageEvent('message', { data: isBinary ? Uint8Array.from(data).buffer : `${data}` }))
    })
    // `ws` emits `close` afterwards.
    inner.on('error', () => {})
    inner.on('close', (code, reason) => {
      const wasClean = code !== 1006
      if (!wasClean) dispatch(new Event('error'))
      dispatch(new CloseEvent('close', { code, reason: `${reason}`, wasClean }))
    })
  }

  get url() {
    return this.#inner.url
  }
  get protocol() {
    return this.#inner.protocol
  }
  get extensions() {
    return this.#inner.extensions
  }
  get readyState() {
    return this.#inner.readyState
  }
  get bufferedAmount() {
    return this.#inner.bufferedAmount
  }

  send(data) {
    // https://websockets.spec.whatwg.org/#dom-websocket-send
    if (this.readyState === 0) throw new DOMException('still connecting', 'InvalidStateError')
    this.#inner.send(data)
  }

  close(code, reason) {
    // https://websockets.spec.whatwg.org/#dom-websocket-close
    if (code !== undefined && code !== 1000 && !(code >= 3000 && code < 5000))
      throw new DOMException('1000 or 3000-4999', 'InvalidAccessError')
    this.#inner.close(code, reason)
  }
}

for (const [value, name] of STATES.entries()) {
  WebSocket[name] = value
  WebSocket.prototype[name] = value
}
