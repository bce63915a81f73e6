// A minimal fake WebSocket, the same for all libraries, so that their own cost is measured. The same event object is dispatched for all
// messages, so that the fake itself allocates nothing.

export class FakeWebSocket {
  static CONNECTING = 0
  static OPEN = 1
  static CLOSING = 2
  static CLOSED = 3
  CONNECTING = 0
  OPEN = 1
  CLOSING = 2
  CLOSED = 3

  /** The newest instance, until it is taken. The class holds no other instance. */
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
  /** The number of sent messages, and a function that is called with each of them. */
  sent = 0
  onSend = undefined

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

  /** `deliver()` for message events, without the cost of composing the name of the handler. */
  dispatchMessage(event) {
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
    this.onSend?.(data)
  }

  close() {
    this.readyState = 3
  }
}

/** A message event with the properties that the libraries read. */
export const messageEvent = data => ({ type: 'message', data, origin: 'ws://fake.test', lastEventId: '' })

/** Resolves with the next socket that a library creates. */
export const nextSocket = async () => {
  while (!FakeWebSocket.last) await new Promise(resolve => setTimeout(resolve, 1))
  const socket = FakeWebSocket.last
  FakeWebSocket.last = undefined
  return socket
}
