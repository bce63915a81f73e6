// The least that a WebSocket can be, the same for all peers: what is measured on it is theirs. One event object for each
// message that is delivered again and again, so that a bare one allocates nothing.

export class FakeWebSocket {
  static CONNECTING = 0
  static OPEN = 1
  static CLOSING = 2
  static CLOSED = 3
  CONNECTING = 0
  OPEN = 1
  CLOSING = 2
  CLOSED = 3

  /** The newest, once a peer has made it: none is held otherwise. */
  static last

  readyState = 0
  bufferedAmount = 0
  binaryType = 'blob'
  protocol = ''
  extensions = ''
  onopen = null
  onmessage = null
  onclose = null
  onerror = null
  listeners = { open: [], message: [], close: [], error: [] }
  /** What was sent, counted, and what to do with it. */
  sent = 0
  take = undefined

  constructor(url) {
    this.url = `${url}`
    FakeWebSocket.last = this
  }

  addEventListener(type, listener) {
    this.listeners[type].push(listener)
  }

  removeEventListener(type, listener) {
    this.listeners[type] = this.listeners[type].filter(other => other !== listener)
  }

  deliver(event) {
    const handler = this[`on${event.type}`]
    if (handler) handler.call(this, event)
    for (const listener of this.listeners[event.type]) {
      if (typeof listener === 'function') listener.call(this, event)
      else listener.handleEvent(event)
    }
  }

  /** `deliver` for messages alone, without a name to put together. */
  hear(event) {
    this.onmessage?.(event)
    const list = this.listeners.message
    for (let i = 0; i < list.length; i++) list[i](event)
  }

  open() {
    this.readyState = 1
    this.deliver({ type: 'open', target: this })
  }

  end(code, reason = '', wasClean = false) {
    this.readyState = 3
    this.deliver({ type: 'close', target: this, code, reason, wasClean })
  }

  send(data) {
    this.sent++
    this.take?.(data)
  }

  close() {
    this.readyState = 3
  }
}

/** An event as the fake delivers it, with all that a peer may read. */
export const messageEvent = data => ({ type: 'message', data, origin: 'ws://fake.test', lastEventId: '' })

/** The socket that a peer makes, now or in a moment. */
export const made = async () => {
  while (!FakeWebSocket.last) await new Promise(resolve => setTimeout(resolve, 1))
  const socket = FakeWebSocket.last
  FakeWebSocket.last = undefined
  return socket
}
