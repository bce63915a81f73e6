// The platform's WebSocket in Node, after the standard, over the connections of `ws`: real ones, over TCP. The class of `ws`
// itself takes no `signal`, sends after `close(1001)`, and forgets at the end what it had not sent.
// https://websockets.spec.whatwg.org/
import { WebSocket as Wire } from 'ws'

const STATES = ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED']

/** How long a page waits for the end of the closing handshake with a dead peer: measured in Chromium. */
const CLOSE_TAKES = 60_000

/** Bytes that the operating system has not taken. */
const waiting = ({ _writableState: state, _handle: handle }) =>
  state.length - (state.writing ? state.writelen : 0) + (handle?.writeQueueSize ?? 0)

/** Makes the class; `sockets` gets each that is made. */
export const createPageSocket = sockets => {
  return class WebSocket extends EventTarget {
    /** The constructor throws, as that of a mock that was taken away for a moment. */
    static isBroken = false
    /** `close()` before `open` has no effect, as in React Native on Android. */
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
      const wire = new Wire(target, protocols, { closeTimeout: CLOSE_TAKES, perMessageDeflate: false })
      this.#wire = wire
      this.#listen(wire)
      sockets.add(this)
    }

    #listen(wire) {
      const tell = (event, fields) => {
        // Events tell the time that the page's own clock tells.
        Object.defineProperty(event, 'timeStamp', { value: performance.now() })
        this.dispatchEvent(Object.assign(event, fields))
      }
      wire.once('upgrade', ({ socket }) => {
        this.#unsent = () => waiting(socket)
        const destroy = socket._destroy
        socket._destroy = (...how) => {
          const unsent = waiting(socket)
          this.#unsent = () => unsent
          destroy.apply(socket, how)
        }
      })
      wire.on('open', () => tell(new Event('open')))
      wire.on('message', (bytes, isBinary) => {
        if (this.readyState !== 1) return
        const copy = Uint8Array.from(bytes)
        const data = !isBinary ? `${bytes}` : this.#binaryType === 'blob' ? new Blob([copy]) : copy.buffer
        tell(new MessageEvent('message', { data, origin: new URL(this.url).origin }))
      })
      // Of errors a page hears when the connection is over.
      wire.on('error', () => {})
      wire.on('close', (code, bytes) => {
        sockets.delete(this)
        const wasClean = code !== 1006
        if (!wasClean) tell(new Event('error'))
        tell(new CloseEvent('close', { code, reason: `${bytes}`, wasClean }))
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
      // Of a buffer that was transferred nothing is left, which is no error.
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
