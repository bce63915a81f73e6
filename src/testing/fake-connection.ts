// The network between the two ends: what is in flight, what is frozen, and the closing handshake. The order of events is the standard's.
// https://websockets.spec.whatwg.org/#feedback-from-the-protocol
import { byteLength, toMessage } from './messages.js'
import type { CloseFrame, FakeMessage } from './types.js'

/** Node has no CloseEvent before version 23. */
const createCloseEvent = (init: CloseEventInit): Event =>
  typeof CloseEvent === 'function' ? new CloseEvent('close', init) : Object.assign(new Event('close'), init)

/** One connection or attempt. */
export class FakeConnection {
  readonly socket: WebSocket
  readonly offered: readonly string[]
  /** The server's origin, for `message` events. */
  readonly origin: string

  /** The state of the page's end. */
  readyState: 0 | 1 | 2 | 3 = 0
  protocol = ''
  /** Whether the server has answered the handshake. */
  isAnswered = false
  hasOpened = false
  readonly frozen: { up: boolean; down: boolean } = { up: false, down: false }
  /** The messages that the peer sent while the direction `down` was frozen. */
  readonly heldBack: (() => void)[] = []

  readonly received: FakeMessage[] = []
  readonly unsent: FakeMessage[] = []
  /** Called with each message that has arrived. */
  onArrival: (data: FakeMessage) => void = () => {}
  /** The bytes that the page had sent with each of the unsent messages. */
  private readonly ends: number[] = []
  private sent = 0
  /** The bytes that have not been transmitted. */
  buffered = 0
  /** The bytes that were transmitted in the current task, which the page sees in the next one. */
  private leaving = 0
  /** The bytes that were sent after the end, and so are never transmitted. */
  private discarded = 0

  /** The close frame of the page's end, as soon as it is sent. */
  pageCloseFrame: CloseFrame | undefined
  /** The peer's close frame, as soon as it has arrived. */
  peerCloseFrame: CloseFrame | undefined
  hasPeerSentCloseFrame = false
  /** How the connection ended for the server. */
  closed: CloseFrame | undefined

  private timer: ReturnType<typeof setTimeout> | undefined
  private taskEnd: ReturnType<typeof setTimeout> | undefined

  constructor(socket: WebSocket, offered: readonly string[], origin: string) {
    this.socket = socket
    this.offered = offered
    this.origin = origin
  }

  fire(event: Event): void {
    // The clock may be fake, and code that measures silence compares timestamps with it.
    this.socket.dispatchEvent(Object.defineProperty(event, 'timeStamp', { value: performance.now() }))
  }

  /** Runs the next step of the handshake or of the closing handshake in a later task. */
  schedule(step: () => void): void {
    this.cancel()
    // Looked up at each call, because fake timers can be installed and removed.
    this.timer = setTimeout(step, 0)
  }

  cancel(): void {
    clearTimeout(this.timer)
  }

  /** Starts a new task: `bufferedAmount` no longer counts what has been transmitted. */
  // https://websockets.spec.whatwg.org/#dom-websocket-bufferedamount
  beginTask(): void {
    clearTimeout(this.taskEnd)
    this.taskEnd = undefined
    this.leaving = 0
  }

  /** Transmits bytes from the page to the peer. */
  transmit(bytes: number): void {
    this.buffered -= bytes
    while (this.unsent.length && (this.ends[0] as number) <= this.sent - this.buffered) {
      const data = this.unsent.shift() as FakeMessage
      this.ends.shift()
      this.received.push(data)
      this.onArrival(data)
    }
  }

  /** Delivers something from the peer to the page, now or after the direction `down` has thawed. */
  deliver(arrive: () => void): void {
    if (this.frozen.down) this.heldBack.push(arrive)
    else arrive()
  }

  open(protocol: string): void {
    this.readyState = 1
    this.hasOpened = true
    this.protocol = protocol
    this.fire(new Event('open'))
  }

  end(code: number, reason: string, wasClean: boolean): void {
    this.cancel()
    this.beginTask()
    this.readyState = 3
    this.isAnswered = true
    if (this.hasOpened) this.closed ??= { code: 1006, reason: '' }
    if (!wasClean) this.fire(new Event('error'))
    this.fire(createCloseEvent({ code, reason, wasClean }))
  }

  /** Ends the connection or the attempt without a closing handshake. */
  cut(): void {
    const { code, reason } = this.peerCloseFrame ?? { code: 1006, reason: '' }
    this.end(code, reason, false)
  }

  sendPeerCloseFrame(frame: CloseFrame): void {
    this.hasPeerSentCloseFrame = true
    this.deliver(() => {
      this.peerCloseFrame = frame
      if (this.readyState > 1) return
      this.readyState = 2
      this.pageCloseFrame = frame
    })
  }

  /** Advances the closing handshake as far as the frozen directions allow. */
  // https://www.rfc-editor.org/rfc/rfc6455#section-7.1
  advanceClosing(): void {
    if (this.pageCloseFrame && !this.frozen.up) this.closed ??= this.pageCloseFrame
    if (this.closed && !this.hasPeerSentCloseFrame && !this.frozen.down) this.sendPeerCloseFrame(this.closed)
    if (this.closed && this.peerCloseFrame && this.readyState < 3) {
      this.end(this.peerCloseFrame.code, this.peerCloseFrame.reason, true)
    }
  }

  get bufferedAmount(): number {
    return this.buffered + this.leaving + this.discarded
  }

  /** The page's `send()`. */
  send(data: unknown): void {
    const message = toMessage(data)
    if (!this.readyState)
      throw new DOMException('send(): the socket is still CONNECTING', 'InvalidStateError')
    const bytes = byteLength(message)
    if (this.readyState > 1) {
      this.discarded += bytes
      return
    }
    this.unsent.push(message)
    this.sent += bytes
    this.ends.push(this.sent)
    this.buffered += bytes
    if (this.frozen.up) return
    this.transmit(this.buffered)
    this.leaving += bytes
    if (bytes) this.taskEnd ??= setTimeout(() => this.beginTask(), 0)
  }

  /** The page's `close()`. */
  close(code: number | undefined, reason: string): void {
    if (this.readyState > 1) return
    this.readyState = 2
    if (!this.hasOpened) {
      this.schedule(() => this.cut())
      return
    }
    this.pageCloseFrame = code === undefined ? { code: 1005, reason: '' } : { code, reason }
    if (this.frozen.up) return
    this.closed = this.pageCloseFrame
    if (!this.frozen.down) this.schedule(() => this.advanceClosing())
  }
}
