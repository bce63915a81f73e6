// When the server reads from a connection, and when it waits.
import type { WebSocketLike } from './connection.js'
import type { Pass } from './rates.js'

/** The connection of a session. */
export class Connection {
  readonly socket: WebSocketLike
  private readonly pass: Pass
  /** Whether the client is known to have received `connected`, and with it its newest token. */
  isConfirmed = false
  /** Whether the inbox is full. */
  private isFull: boolean
  /** Whether the client sends more than its rate. */
  private isSlowed = false
  /** Whether the session reads no more. */
  private isOver = false
  /** When the client last sent something. */
  private lastHeard: number = Date.now()

  constructor(socket: WebSocketLike, pass: Pass, isFull: boolean) {
    this.socket = socket
    this.pass = pass
    this.isFull = isFull
  }

  /** For how long the client has sent nothing, although it was read. */
  get silence(): number {
    return this.isFull || this.isSlowed ? 0 : Date.now() - this.lastHeard
  }

  /** The client is alive. */
  heard(): void {
    this.lastHeard = Date.now()
  }

  /** Reads on, unless there is a reason to wait. */
  read(): void {
    if (this.isFull || this.isSlowed || this.isOver) return
    // The client could not show that it is alive while it was not read.
    this.heard()
    this.socket.resume()
  }

  /** The inbox is full, or has room again. */
  setFull(isFull: boolean): void {
    if (isFull === this.isFull) return
    this.isFull = isFull
    if (isFull) this.socket.pause()
    else this.read()
  }

  /** Slows down a client that sends more than its rate. */
  pace(bytes: number): void {
    const wait = this.pass.take(bytes)
    if (!wait || this.isSlowed) return
    this.isSlowed = true
    this.socket.pause()
    setTimeout(
      () => {
        this.isSlowed = false
        this.read()
      },
      Math.min(wait, 60_000),
    )
  }

  /** Reads nothing more. */
  stop(): void {
    this.isOver = true
    this.socket.pause()
  }
}
