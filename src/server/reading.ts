// When the server reads from a connection, and when it waits.
import type { WebSocketLike } from './connection.js'
import type { Pass } from './rates.js'

/** A client that is slowed down is read in portions, at least so many milliseconds apart. */
const MIN_WAIT = 5
/** The longest wait, so that a client whose rate is much too low is not lost for good. */
const MAX_WAIT = 60_000

interface Message {
  readonly data: { readonly length: number }
  readonly isBinary: boolean
}

/** The part of its session that a connection uses. */
export interface ConnectionOwner {
  /** Handles a message. */
  receive(connection: Connection, data: { readonly length: number }, isBinary: boolean): void
  /** The client has answered the first ping: it has received `connected`, and with it its newest token. */
  onConfirmed(connection: Connection): void
}

/** The connection of a session. */
export class Connection {
  readonly socket: WebSocketLike
  private readonly owner: ConnectionOwner
  private readonly pass: Pass
  /** Whether the client is known to have received `connected`, and with it its newest token. */
  isConfirmed = false
  /** Messages that `ws` had read already when the server stopped reading. */
  private readonly held: Message[] = []
  /** Whether a ping has not been answered. */
  private isAsked = false
  /** Whether the inbox is full. */
  private isFull: boolean
  /** Whether the client sends more than its rate. */
  private isSlowed = false
  /** Whether the session reads no more. */
  private isOver = false
  /** When the client last sent something. */
  private lastHeard: number = Date.now()

  constructor(socket: WebSocketLike, owner: ConnectionOwner, pass: Pass, isFull: boolean) {
    this.socket = socket
    this.owner = owner
    this.pass = pass
    this.isFull = isFull
    socket.on('pong', (data?: { length: number }) => {
      this.heard()
      // Clients may send pongs without being asked.
      if (this.isAsked) this.isAsked = false
      else this.pace(data?.length ?? 0)
      owner.onConfirmed(this)
    })
  }

  /** Asks the client for a pong. */
  ping(): void {
    this.isAsked = true
    this.socket.ping()
  }

  /** Begins to read. */
  listen(): void {
    this.socket.on('message', (data: { length: number }, isBinary: boolean) => {
      this.heard()
      if (this.isOver) return
      // In their order, and no sooner than if they were still to be read.
      if (this.mustWait || this.held.length) this.held.push({ data, isBinary })
      else this.handle({ data, isBinary })
    })
    this.socket.on('ping', (data: { length: number }) => this.pace(data.length))
    this.read()
  }

  /** For how long the client has sent nothing, although it was read. */
  get silence(): number {
    return this.mustWait ? 0 : Date.now() - this.lastHeard
  }

  /** The client is alive. */
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

  /** Handles everything that was read. The socket is closed: nothing else comes. */
  finish(): void {
    for (const message of this.held.splice(0)) this.owner.receive(this, message.data, message.isBinary)
  }

  /** Reads nothing more. */
  stop(): void {
    this.isOver = true
    this.held.length = 0
    this.socket.pause()
  }

  private get mustWait(): boolean {
    return this.isFull || this.isSlowed
  }

  /** Reads on, unless there is a reason to wait. */
  private read(): void {
    while (!this.mustWait && this.held.length) this.handle(this.held.shift() as Message)
    if (this.mustWait || this.isOver) return
    // The client could not show that it is alive while it was not read.
    this.heard()
    this.socket.resume()
  }

  private handle({ data, isBinary }: Message): void {
    this.pace(data.length)
    this.owner.receive(this, data, isBinary)
  }

  /** Slows down a client that sends more than its rate. */
  private pace(bytes: number): void {
    const wait = this.pass.take(bytes)
    if (!wait || this.isSlowed) return
    this.isSlowed = true
    this.socket.pause()
    setTimeout(
      () => {
        this.isSlowed = false
        this.read()
      },
      Math.min(Math.max(wait, MIN_WAIT), MAX_WAIT),
    )
  }
}
