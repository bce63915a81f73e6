// A session on the node that holds it: one connection at most, an inbox of requests, an outbox of numbered messages.
import { CLOSED, closeForGood, closeForNow, closeMoved, type WebSocketLike } from './connection.js'
import type { LimitStep } from './flood.js'
import type { Format, RawMessage } from './format.js'
import { connectedFrame, limitRequest, PONG, type ReadFrame, type Waiting } from './frames.js'
import type { Host } from './host.js'
import { Inbox, type InboxOwner } from './inbox.js'
import { Outbox, type OutboxOwner } from './outbox.js'
import { Processor, type ProcessorOwner } from './processor.js'
import type { Limit, Pass } from './rates.js'
import { Connection, type ConnectionOwner } from './reading.js'
import { type SessionState, timeoutAfter } from './session-state.js'
import type { Load } from './status.js'
import {
  closeReasonOf,
  type Lease,
  OUTDATED,
  type StoredMessage,
  type StoreNode,
  TRY_AGAIN_LATER,
} from './store.js'

export class LocalSession implements ConnectionOwner, InboxOwner, OutboxOwner, ProcessorOwner {
  readonly id: string
  readonly userId: string | undefined
  private readonly host: Host
  private readonly inbox = new Inbox(this)
  private readonly outbox = new Outbox(this)
  private readonly processor: Processor
  epoch: number
  private state: SessionState = { name: 'detached', since: Date.now() }

  constructor(host: Host, id: string, userId: string | undefined, lease: Lease) {
    this.host = host
    this.id = id
    this.userId = userId
    this.processor = new Processor(this, host, lease.handled)
    this.epoch = lease.epoch
  }

  get store(): StoreNode {
    return this.host.store
  }

  get isConnected(): boolean {
    return !!this.socket
  }

  get sent(): number {
    return this.outbox.sent
  }

  get isActive(): boolean {
    return this.state.name !== 'gone'
  }

  get load(): Load {
    const { outbox, inbox, socket } = this
    return {
      unacknowledged: outbox.unacknowledged,
      waiting: inbox.size,
      buffered: socket?.bufferedAmount ?? 0,
    }
  }

  /** The connection, as long as the session is active. */
  get connection(): Connection | undefined {
    return this.state.name === 'connected' ? this.state.connection : undefined
  }

  /** The socket that has not closed yet, even if nothing is read from it any more. */
  private get socket(): WebSocketLike | undefined {
    return this.state.name === 'gone' ? this.state.socket : this.connection?.socket
  }

  /** Gives the session a connection, in place of the one before, and sends `connected`. */
  attach(socket: WebSocketLike, lease: Lease, token: string, pass: Pass): void {
    const { stats } = this.host
    const before = this.socket
    this.epoch = lease.epoch
    const connection = new Connection(socket, this, pass, this.inbox.isFull, this.host.maxMessageBytes)
    this.state = { name: 'connected', connection }
    this.outbox.start(lease)
    if (before) {
      // The newest connection wins. The session has not lost its connection: no `onDisconnect`.
      stats.connections--
      closeMoved(before)
    }
    stats.connections++
    socket.on('close', (code: number, reason: unknown) => this.onClosed(socket, code, String(reason)))
    if (socket.readyState === CLOSED) {
      this.onClosed(socket, 1006, '')
      return
    }
    this.write(connectedFrame(this, token, lease.sequenceId, !!this.store.reserve))
    // The answer to this ping comes after `connected` was received, and with it the new token.
    connection.ping()
    this.pump()
  }

  /** Begins to read from this connection, if it is still the session's. */
  listen(socket: WebSocketLike): void {
    if (socket === this.socket) this.connection?.listen()
  }

  /** Writes new messages, if there are any. `message`: the newest, if it is known. */
  pump(message?: StoredMessage): void {
    this.outbox.pump(message)
  }

  /** Called regularly. `newest` is the number of the newest message in the store, if it was asked; `sent` is as it was then. */
  check(newest: number | undefined, sent = 0): void {
    const { sessionTimeout, resuming } = this.host
    const state = this.state
    if (state.name === 'gone') return
    if (state.name === 'detached') {
      // By now the session has expired in the store, even if a handler is still running.
      if (Date.now() - state.since > sessionTimeout) this.leave()
      return
    }
    // The client detects this when it tries to resume the session.
    if (newest === -1) {
      if (!resuming.has(this.id)) this.lose()
      return
    }
    if (newest !== undefined && newest < sent) {
      this.end(1008, OUTDATED)
      return
    }
    if (newest !== undefined && newest > this.outbox.sent) this.pump()
    const { connection } = state
    if (connection.silence > sessionTimeout) connection.socket.terminate()
    else if (connection.silence > sessionTimeout / 3) connection.ping()
  }

  /** This process was suspended, so it could not receive anything from the client for a while. */
  excuse(): void {
    this.connection?.heard()
  }

  /** Another node now holds the session. For the application, nothing has ended, because the session continues there. */
  move(): void {
    const socket = this.leave()
    if (socket) closeMoved(socket)
  }

  /** The store has lost the session, or another node holds it: nothing more is read or written. The client detects this when it resumes. */
  lose(): void {
    if (this.connection) this.host.onDisconnect(this, 1006, 'the session is lost')
    this.leave()?.terminate()
  }

  /** The session has ended in the store. */
  onEnded(code: number, reason: string): void {
    this.finish(code, reason, closeReasonOf(reason))
  }

  /** Notifies the client and closes the connection. */
  private finish(code: number, reason: string, closeReason = reason): void {
    if (this.connection) this.host.onDisconnect(this, code, reason)
    const socket = this.leave()
    if (socket) closeForGood(socket, code, closeReason, reason)
  }

  /** Ends the session in the store too. */
  end(code: number, reason: string): void {
    this.finish(code, reason)
    this.store.end(this.id, code, reason).catch(this.host.report)
  }

  /** Begins no further request. Resolves when the current one is done. */
  quiesce(): Promise<void> {
    this.connection?.stop()
    return this.inbox.stop()
  }

  /** Whether messages must wait until the connection has sent what it has. */
  get isBackedUp(): boolean {
    return this.connection?.isBackedUp ?? false
  }

  write(...answer: Parameters<Format['write']>): void {
    this.transmit(format => format.write(...answer))
  }

  writeMessage(message: StoredMessage, done?: () => void): void {
    this.transmit(format => format.writeMessage(message), done)
  }

  private transmit(encode: (format: Format) => string | Uint8Array, done?: () => void): void {
    const { socket, format } = this.connection ?? {}
    if (!socket || !format) return
    // Answers are limited as well: a client that does not read them is not answered forever.
    if (socket.bufferedAmount > this.host.maxBuffered) {
      this.host.stats.slow++
      this.end(TRY_AGAIN_LATER, 'slow consumer: does not read its messages')
    } else socket.send(encode(format), done)
  }

  onSent(): void {
    this.host.stats.sent++
  }

  onConfirmed(connection: Connection | undefined = this.connection): void {
    if (connection !== this.connection || !connection || connection.isConfirmed) return
    connection.isConfirmed = true
    // If this fails, the older token stays valid for a little longer.
    this.store.confirm(this.id, this.epoch).catch(this.host.report)
  }

  onLimit(step: LimitStep, limit: Limit): void {
    this.host.onLimit(this, step, limit)
  }

  onAcknowledged(sequenceId: number): void {
    this.host.onAcknowledged(this, sequenceId)
  }

  onFull(isFull: boolean): void {
    this.connection?.setFull(isFull)
  }

  /** The store did not answer, and may have performed the operation or not. The state in this process is therefore unreliable. */
  onStoreError(error: unknown): void {
    if (!this.isActive) return
    this.host.report(error)
    const { connection } = this
    this.leave()
    if (!connection) return
    const reason = 'the session store failed'
    closeForNow(connection.socket, 1011, reason)
    this.store.detach(this.id, this.epoch).catch(this.host.report)
    this.host.onDisconnect(this, 1011, reason)
  }

  flush(): Promise<void> {
    return this.outbox.flush()
  }

  processRequest(request: Waiting): Promise<void> {
    return this.processor.process(request)
  }

  receive(connection: Connection, message: RawMessage): void {
    // Another connection may have replaced this one, and the session may have ended.
    if (connection !== this.connection || this.inbox.isStopped) return
    try {
      this.accept(connection.format.read(message), message.data.length)
    } catch (error) {
      this.onFrame('invalid', message.data.length)
      this.violate(`bad frame: ${(error as Error).message}`)
    }
  }

  onFrame(type: string, bytes: number): void {
    this.host.onFrame(this, type, bytes)
  }

  private accept(frame: ReadFrame, bytes: number): void {
    this.onFrame(frame.type, bytes)
    if (frame.type === 'ping') this.write(PONG)
    else if (frame.type === 'cancelInvocation') this.inbox.cancel(frame.invocationId)
    else if (frame.type !== 'sequenceAck') {
      if (!this.inbox.add(limitRequest(frame, bytes, this.host.maxMessageBytes), bytes))
        this.host.stats.duplicates++
    } else if (this.outbox.knows(frame.sequenceId)) this.outbox.acknowledge(frame.sequenceId)
    else this.violate(OUTDATED)
  }

  private violate(reason: string): void {
    this.host.stats.violations++
    this.end(1008, reason)
  }

  private onClosed(socket: WebSocketLike, code: number, reason: string): void {
    if (this.socket !== socket) return
    this.host.stats.connections--
    const { connection } = this
    if (!this.isActive) this.state = { name: 'gone', socket: undefined }
    connection?.finish()
    // One of these messages has ended it.
    if (!this.isActive) return
    this.outbox.stop()
    const close = connection?.closed ?? { code, reason }
    this.state = { name: 'detached', since: Date.now() }
    const timeout = timeoutAfter(close.code, this.host.sessionTimeout)
    this.store.detach(this.id, this.epoch, timeout).catch(this.host.report)
    this.host.onDisconnect(this, close.code, close.reason)
    if (!this.inbox.isBusy) this.leave()
  }

  /** This node no longer holds the session. Returns the socket that has not closed yet. */
  private leave(): WebSocketLike | undefined {
    this.state = { name: 'gone', socket: this.socket }
    this.inbox.clear()
    this.outbox.stop()
    this.host.forget(this)
    return this.socket
  }
}
