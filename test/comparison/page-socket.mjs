// A WebSocket class for Node that follows the standard, over real TCP connections of `ws`. The class of `ws` itself supports no `signal`, sends after
// `close(1001)`, and does not count unsent bytes in `bufferedAmount` after the connection has ended.
// https://websockets.spec.whatwg.org/
import { WebSocket as Wire } from 'ws'

const STATES = ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED']

/** The time until a page's WebSocket is closed if the peer is dead, as measured in Chromium. */
const CLOSE_TIMEOUT = 60_000

/** The bytes that the operating system has not accepted yet. */
const unsentBytes = ({ _writableState: state, _handle: handle }) =>
  state.length - (state.writing ? state.writelen : 0) + (handle?.writeQueueSize ?? 0)

/** Creates the class. It adds each instance to `sockets`. */
export const createPageSocket = sockets => {
  return class WebSocket extends EventTarget {
    /** Whether the constructor throws, as while a mock of WebSocket is not installed. */
    static isBroken = false
    /** Whether `close()` before `open` has no effect, as in React Native on Android. */
    static ignoresEarlyClose = false

    #wire
    #binaryType = 'blob'
    #handlers = {}
    #unsent = () => 0
    #late = 0

    constructor(url, protocols = []) {
      super()
      if (WebSocket.isBroken) throw new Error('there is no WebSocket')
      const target = new URL(url)
      target.protocol = target.protocol.replace('http', 'ws')
      if (!/^wss?:$/.test(target.protocol)) throw new DOMException('not a WebSocket URL', 'SyntaxError')
      this.url = target.href
      const wire = new Wire(target, protocols, { closeTimeout: CLOSE_TIMEOUT, perMessageDeflate: false })
      this.#wire = wire
      this.#listen(wire)
      sockets.add(this)
    }

    #listen(wire) {
      const dispatch = (event, fields) => {
        // The timestamps of events are of the fake clock.
        Object.defineProperty(event, 'timeStamp', { value: performance.now() })
        this.dispatchEvent(Object.assign(event, fields))
      }
      wire.once('upgrade', ({ socket }) => {
        this.#unsent = () => unsentBytes(socket)
        const destroy = socket._destroy
        socket._destroy = (...how) => {
          const unsent = unsentBytes(socket)
          this.#unsent = () => unsent
          destroy.apply(socket, how)
        }
      })
      wire.on('open', () => dispatch(new Event('open')))
      wire.on('message', (bytes, isBinary) => {
        if (this.readyState !== 1) return
        const copy = Uint8Array.from(bytes)
        const data = !isBinary ? `${bytes}` : this.#binaryType === 'blob' ? new Blob([copy]) : copy.buffer
        dispatch(new MessageEvent('message', { data, origin: new URL(this.url).origin }))
      })
      // A page receives an error event only when the connection ends.
      wire.on('error', () => {})
      wire.on('close', (code, bytes) => {
        sockets.delete(this)
        const wasClean = code !== 1006
        if (!wasClean) dispatch(new Event('error'))
        dispatch(new CloseEvent('close', { code, reason: `${bytes}`, wasClean }))
      })
    }

    get readyState() {
      return this.#wire.readyState
    }
    get protocol() {
      return this.#wire.protocol
    }
    get extensions() {
      return this.#wire.extensions
    }
    get bufferedAmount() {
      return this.#unsent() + this.#late
    }
    get binaryType() {
      return this.#binaryType
    }
    set binaryType(type) {
      if (type === 'blob' || type === 'arraybuffer') this.#binaryType = type
    }

    send(data) {
      if (this.readyState === 0) throw new DOMException('still connecting', 'InvalidStateError')
      const buffer = ArrayBuffer.isView(data) ? data.buffer : data
      if (buffer instanceof SharedArrayBuffer) throw new TypeError('shared memory')
      let message = data instanceof Blob ? data : `${data}`
      // A transferred buffer has no bytes. Sending it is not an error.
      if (buffer instanceof ArrayBuffer) message = data.byteLength ? data : new Uint8Array()
      if (this.readyState > 1) this.#late += message.size ?? Buffer.byteLength(message)
      else this.#wire.send(message)
    }

    close(code, reason = '') {
      if (code !== undefined && code !== 1000 && !(code >= 3000 && code < 5000)) {
        throw new DOMException(`${code} is not for a page`, 'InvalidAccessError')
      }
      if (Buffer.byteLength(reason) > 123) throw new DOMException('too long a reason', 'SyntaxError')
      if (WebSocket.ignoresEarlyClose && this.readyState === 0) return
      if (this.readyState < 2) this.#wire.close(code, reason)
    }

    static {
      for (const [value, name] of STATES.entries()) {
        for (const target of [WebSocket, WebSocket.prototype])
          Object.defineProperty(target, name, { value, enumerable: true })
      }
      for (const type of ['open', 'message', 'error', 'close']) {
        Object.defineProperty(WebSocket.prototype, `on${type}`, {
          get() {
            return this.#handlers[type]?.handler ?? null
          },
          set(handler) {
            this.#handlers[type] ??= { handleEvent: event => this.#handlers[type].handler?.call(this, event) }
            this.#handlers[type].handler = handler
            this.addEventListener(type, this.#handlers[type])
          },
        })
      }
    }
  }
}
