import { byteLength, type Data } from '../../src/data.ts'

type Handler = ((event: any) => void) | null

/** A native WebSocket whose peer and network are the test. Events come in the standard's order, one task each. */
// https://websockets.spec.whatwg.org/#feedback-from-the-protocol
export class FakeWebSocket {
  /** Every one that was made since `reset()`. */
  static all: FakeWebSocket[] = []
  /** What comes next: the newest. */
  static get last(): FakeWebSocket {
    const last = FakeWebSocket.all.at(-1)
    if (!last) throw new Error('no WebSocket was made')
    return last
  }
  static reset(): void {
    FakeWebSocket.all = []
  }
  /** Those that could still carry something. */
  static get usable(): FakeWebSocket[] {
    return FakeWebSocket.all.filter(socket => socket.readyState < 2)
  }

  readonly url: string
  readyState = 0
  bufferedAmount = 0
  binaryType = 'blob'
  protocol = ''
  extensions = ''
  onopen: Handler = null
  onmessage: Handler = null
  onclose: Handler = null
  onerror: Handler = null

  /** What the page sent, in order, whether or not it left. */
  readonly sent: Data[] = []
  /** How much of it left: messages count once their last byte is gone. */
  readonly delivered: Data[] = []
  /** Whether the network takes what is sent. If not, `bufferedAmount` grows until `leave()`. */
  flowing = true
  /** What the page's `close()` was given. */
  closing: { code: number | undefined; reason: string | undefined } | undefined
  /** Whether the peer answers a closing handshake. */
  answers = true
  private ends: number[] = []
  private written = 0

  readonly protocols: unknown

  constructor(url: string | URL, protocols?: string | string[]) {
    this.url = new URL(url, 'ws://page.test/').href
    this.protocols = protocols
    FakeWebSocket.all.push(this)
  }

  private fire(type: 'open' | 'message' | 'close' | 'error', event: object = {}): void {
    this[`on${type}`]?.({ type, timeStamp: performance.now(), ...event })
  }

  send(data: Data): void {
    if (this.readyState === 0) throw new DOMException('still connecting', 'InvalidStateError')
    this.bufferedAmount += byteLength(data)
    if (this.readyState !== 1) return
    this.sent.push(data)
    this.written += byteLength(data)
    this.ends.push(this.written)
    if (this.flowing) this.leave()
  }

  close(code?: number, reason?: string): void {
    if (this.readyState > 1) return
    this.closing = { code, reason }
    const opened = this.readyState === 1
    this.readyState = 2
    if (!opened) setTimeout(() => this.drop(1006), 0)
    else if (this.answers && this.flowing) setTimeout(() => this.drop(code ?? 1005, reason ?? '', true), 0)
  }

  /** The network takes so many bytes of what is buffered; all of it by default. */
  leave(bytes: number = this.bufferedAmount): void {
    this.bufferedAmount -= bytes
    const left = this.written - this.bufferedAmount
    while (this.delivered.length < this.sent.length && (this.ends[this.delivered.length] as number) <= left) {
      this.delivered.push(this.sent[this.delivered.length] as Data)
    }
  }

  /** The peer accepts the handshake. */
  accept(protocol = ''): this {
    if (this.readyState !== 0) return this
    this.readyState = 1
    this.protocol = protocol
    this.fire('open')
    return this
  }

  /** The peer sends a message. */
  deliver(data: string | ArrayBuffer | Blob): void {
    if (this.readyState === 1) this.fire('message', { data })
  }

  /** The connection, or the attempt, ends. What the page then closes has long been closed. */
  drop(code = 1006, reason = '', wasClean: boolean = code !== 1006): void {
    if (this.readyState === 3) return
    this.readyState = 3
    if (!wasClean) this.fire('error')
    this.fire('close', { code, reason, wasClean })
  }
}
