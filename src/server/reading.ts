// When the server reads from a connection, and when it waits.
import { closeUnread, type WebSocketLike } from './connection.js'
import { FloodProbe, type LimitStep } from './flood.js'
import { type Format, formatOf, type RawMessage } from './format.js'
import { limitedFrame } from './frames.js'
import { describeLimit, type Limit, type Pass } from './rates.js'
import { TRY_AGAIN_LATER } from './store.js'
import { startTimer } from './timers.js'

/** A client that is slowed down is read in batches, at least this many milliseconds apart. */
const MIN_WAIT = 5
/** The longest wait, so that a client whose rate was set much too low is still read. */
const MAX_WAIT = 60_000
/** `onLimit` is called again for a client that was not slowed down for this many milliseconds. */
const QUIET = 10_000
/** The close reason for a client that sends too much: it may come back after this many seconds. */
const RETRY_LATER = 'retry-after=5'

/** The part of its session that a connection uses. */
export interface ConnectionOwner {
  /** Handles a message. */
  receive(connection: Connection, message: RawMessage): void
  /** A ping or a pong of the WebSocket protocol has arrived. */
  onFrame(type: string, bytes: number): void
  /** The client has answered the first ping: it has received `connected`, and with it its newest token. */
  onConfirmed(connection: Connection): void
  /** The client sends more than its rate. */
  onLimit(step: LimitStep, limit: Limit): void
}

/** How many bytes may be written ahead of the network. */
const MAX_AHEAD = 2 ** 18

/** The connection of a session. */
export class Connection {
  readonly socket: WebSocketLike
  /** The format of its frames. */
  readonly format: Format
  private readonly owner: ConnectionOwner
  private readonly pass: Pass
  private readonly maxMessageBytes: number
  /** Whether the client is known to have received `connected`, and with it its newest token. */
  isConfirmed = false
  /** The code and reason of the close frame, if the connection was closed without reading any further. */
  closed: { readonly code: number; readonly reason: string } | undefined
  /** Messages that `ws` had read already when the server stopped reading. */
  private readonly held: RawMessage[] = []
  private heldBytes = 0
  /** Whether a ping has not been answered. */
  private isAsked = false
  /** Measures a client that was slowed down, and has not answered a ping since. */
  private probe: FloodProbe | undefined
  private lastSlowed = Number.NEGATIVE_INFINITY
  /** Whether the inbox is full. */
  private isFull: boolean
  /** Whether the client sends more than its rate. */
  private isSlowed = false
  /** Whether the session reads no more. */
  private isOver = false
  /** When the client last sent something. */
  private lastHeard: number = Date.now()

  constructor(
    socket: WebSocketLike,
    owner: ConnectionOwner,
    pass: Pass,
    isFull: boolean,
    maxMessageBytes: number,
  ) {
    this.socket = socket
    this.format = formatOf(socket)
    this.owner = owner
    this.pass = pass
    this.isFull = isFull
    this.maxMessageBytes = maxMessageBytes
    socket.on('pong', (data?: { length: number }) => this.onPong(data))
  }

  /** Whether messages must wait until the connection has sent what it has. */
  get isBackedUp(): boolean {
    return this.socket.bufferedAmount > MAX_AHEAD
  }

  /** Begins to read. */
  listen(): void {
    this.socket.on('message', (data: { length: number }, isBinary: boolean) => {
      this.heard()
      if (this.isOver) return
      // In their order, and no sooner than if they were still to be read.
      if (this.mustWait || this.held.length) this.hold({ data, isBinary })
      else this.handle({ data, isBinary })
    })
    this.socket.on('ping', (data: { length: number }) => {
      this.heard()
      this.owner.onFrame('WebSocket ping', data.length)
      this.pace(data.length)
    })
    this.read()
  }

  /** Asks the client for a pong. */
  ping(data?: string): void {
    this.isAsked = true
    this.socket.ping(data)
  }

  /** For how long the client has sent nothing, although the server was reading. */
  get silence(): number {
    return this.mustWait ? 0 : Date.now() - this.lastHeard
  }

  /** Records that the client has sent something. */
  heard(): void {
    this.lastHeard = Date.now()
  }

  /** The inbox is full, or has room again. */
  setFull(isFull: boolean): void {
    if (isFull === this.isFull) return
    this.isFull = isFull
    if (isFull) this.socket.pause()
    else this.read()
  }

  /** Handles everything that was read. The socket is closed, so nothing else arrives. */
  finish(): void {
    for (const message of this.held.splice(0)) this.owner.receive(this, message)
  }

  /** Stops reading. */
  stop(): void {
    this.isOver = true
    this.held.length = 0
    this.socket.pause()
  }

  private get mustWait(): boolean {
    return this.isFull || this.isSlowed
  }

  /** Continues to read, unless there is a reason to wait. */
  private read(): void {
    while (!this.mustWait && this.held.length) {
      const message = this.held.shift() as RawMessage
      this.heldBytes -= message.data.length
      this.handle(message)
    }
    if (this.mustWait || this.isOver) return
    // While the server did not read, the client could not prove that it is alive.
    this.heard()
    this.socket.resume()
  }

  private hold(message: RawMessage): void {
    this.held.push(message)
    this.heldBytes += message.data.length
    // One packet has at most 64 KiB. Compressed, they can be a thousand times as much.
    const max = 2 * this.maxMessageBytes + 2 ** 20
    if (this.heldBytes > max) this.close(`more than ${max} bytes were sent at once`)
  }

  private handle(message: RawMessage): void {
    this.pace(message.data.length)
    if (!this.isOver) this.owner.receive(this, message)
  }

  /** Slows down a client that exceeds a rate. If it continues, warns it, and then closes the connection. */
  private pace(bytes: number): void {
    this.probe?.count(bytes)
    const wait = Math.min(this.pass.take(bytes), MAX_WAIT)
    if (!wait || this.isSlowed || this.isOver) return
    const { limit } = this.pass
    const now = Date.now()
    if (now - this.lastSlowed > QUIET) this.owner.onLimit('slowed', limit)
    this.lastSlowed = now
    if (!this.probe) {
      this.probe = new FloodProbe(this.maxMessageBytes)
      this.ping(this.probe.data)
    }
    const step = this.probe.wait(wait)
    if (step) this.owner.onLimit(step, limit)
    if (step === 'closed') {
      this.close(describeLimit(limit))
      return
    }
    if (step) this.socket.send(this.format.write(limitedFrame(describeLimit(limit))))
    this.isSlowed = true
    this.socket.pause()
    startTimer(
      () => {
        this.isSlowed = false
        this.read()
      },
      Math.max(wait, MIN_WAIT),
    )
  }

  private onPong(data?: { readonly length: number }): void {
    const { length = 0 } = data ?? {}
    this.heard()
    this.owner.onFrame('WebSocket pong', length)
    // Clients may send pongs without being asked.
    if (!this.isAsked) this.pace(length)
    this.isAsked = false
    if (String(data) === this.probe?.data) this.probe = undefined
    this.owner.onConfirmed(this)
  }

  /** Closes the connection. The session is kept. */
  private close(why: string): void {
    this.closed = { code: TRY_AGAIN_LATER, reason: RETRY_LATER }
    this.stop()
    closeUnread(this.socket, TRY_AGAIN_LATER, RETRY_LATER, why)
  }
}
