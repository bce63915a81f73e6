// A session on the node that holds it: what it hears, in order; what it says, by number.
import { numbered, PROTOCOL, type Request, readFrame, writeAck, writeSystem } from './frames.js'
import type { Effect, Lease, StoreNode } from './store.js'

/** What we call of a WebSocket of the `ws` package. */
// https://github.com/websockets/ws/blob/master/doc/ws.md#class-websocket
export interface WebSocketLike {
  readonly protocol: string
  readonly readyState: number
  readonly bufferedAmount: number
  send(data: string): void
  close(code?: number, reason?: string): void
  terminate(): void
  ping(): void
  pause(): void
  resume(): void
  on(event: string, listener: (...args: any[]) => void): unknown
}

/** Counts since the server was made, but for `connections`. */
export interface ServerStats {
  /** Reliable connections that are open now on this node. */
  readonly connections: number
  /** Sessions begun. */
  readonly created: number
  /** Times that a session was resumed. */
  readonly resumed: number
  /** Connections turned away: origin, authorization, unknown or expired session, foreign or replayed token. */
  readonly refused: number
  /** Sessions ended for a frame that breaks the protocol. */
  readonly violations: number
  /** Sessions ended because the client did not keep up. */
  readonly slow: number
  /** Requests of clients that were carried out. */
  readonly received: number
  /** Requests that were answered with an error. */
  readonly failed: number
  /** Requests that came again and were not carried out again. */
  readonly duplicates: number
  /** Numbered messages written to connections, repetitions included. */
  readonly sent: number
}

/** A request is refused with this; the client is told name and message. */
export class Refusal extends Error {
  constructor(name: string, message: string) {
    super(message)
    this.name = name
  }
}

/** The node's side of a session. */
export interface Host {
  readonly store: StoreNode
  readonly stats: { -readonly [Name in keyof ServerStats]: number }
  readonly maxMessageBytes: number
  readonly maxBuffered: number
  readonly dedupeWindow: number
  readonly keepMs: number
  /** Sessions that are being resumed on this node right now. These promises do not reject. */
  readonly resuming: ReadonlyMap<string, Promise<unknown>>
  /** What is to be done for a request. Rejects where that is nothing. */
  carryOut(session: LocalSession, request: Request): Promise<{ effects: Effect[]; settle(): void }>
  report(error: unknown): void
  /** A connection is gone; the session may come back. */
  disconnected(session: LocalSession, code: number, reason: string): void
  /** This node has nothing more to do with the session. */
  forget(session: LocalSession): void
}

export interface LocalSession {
  readonly id: string
  readonly userId: string | undefined
  readonly epoch: number
  readonly connected: boolean
  /** Gives it a connection, in place of the one before, and says `connected`. */
  attach(socket: WebSocketLike, lease: Lease, token: string): void
  /** Begins to read from this connection, if it is still the session's. */
  listen(socket: WebSocketLike): void
  /** There may be new messages. */
  pump(): void
  /** Looks after itself, now and then. `newest`: what `touch` said of it, if it is connected. */
  tend(newest: number | undefined): void
  /** Another node has it: nothing more is read, nothing more is written. */
  lose(): void
  /** It is over: tells the client and closes. */
  finish(code: number, reason: string): void
  /** Ends it in the store too. */
  end(code: number, reason: string): void
  /** Closes the connection; the session can be resumed. */
  drop(code: number, reason: string): void
  /** Takes up no further request; resolves when the present one is done. */
  quiesce(): Promise<void>
}

/** The `readyState` of a socket that is no more. */
export const CLOSED = 3

const QUEUE_MESSAGES = 256
const QUEUE_BYTES = 2 ** 20
const BATCH = 100

/** What a close frame has room for is 123 bytes. */
const brief = (reason: string): string => reason.slice(0, 120)

/** Closes the connection. What it is the connection of can be resumed. */
export const dismiss = (socket: WebSocketLike, code: number, reason: string): void => {
  socket.resume()
  socket.close(code, brief(reason))
}

/** Says that the session is over, as a client understands `disconnected`, then closes. */
export const expel = (socket: WebSocketLike, code: number, reason: string): void => {
  socket.send(writeSystem('disconnected', { message: reason }))
  dismiss(socket, code, reason)
}

export const createLocalSession = (
  host: Host,
  id: string,
  userId: string | undefined,
  lease: Lease,
): LocalSession => {
  const { store, stats } = host
  const handled = new Set(lease.handled)
  /** Requests that wait or are being carried out, and their ids. */
  const queue: { request: Request; bytes: number }[] = []
  const pending = new Set<number>()
  let queuedBytes = 0
  let running: Promise<void> | undefined
  let quiet = false
  let dead = false

  let { epoch } = lease
  let socket: WebSocketLike | undefined
  let paused = false
  /** The last number written to this connection. */
  let sent = 0
  /** A number above this was first written to this connection: who acknowledges it has read `connected`. */
  let known = 0
  let confirmed = true
  let heard = 0
  let detachedAt = 0

  let pumping = false
  let more = false
  let acknowledging = false
  let acknowledged = 0

  const write = (text: string) => {
    if (!socket || dead) return
    // Answers too are fed only to those who read them.
    if (socket.bufferedAmount > host.maxBuffered) {
      stats.slow++
      session.end(1008, 'slow consumer: does not read what it is sent')
    } else socket.send(text)
  }

  /** The store did not answer, and perhaps did what it was asked: forget all that was remembered of it here. */
  const fail = (error: unknown) => {
    if (dead) return
    host.report(error)
    session.drop(1011, 'the session store failed')
    leave()
  }

  const leave = () => {
    dead = true
    queue.length = 0
    host.forget(session)
  }

  const confirm = () => {
    if (confirmed) return
    confirmed = true
    // When it fails, the older token is good for a little longer.
    store.confirm(id, epoch).catch(host.report)
  }

  const pump = async () => {
    more = true
    if (pumping) return
    pumping = true
    try {
      while (more && socket && !dead) {
        more = false
        const to = socket
        const messages = await store.read(id, epoch, sent, BATCH)
        if (to !== socket) {
          more = true
          continue
        }
        if (!messages) break
        for (const { sequenceId, frame } of messages) {
          if (to !== socket) break
          write(numbered(sequenceId, frame))
          stats.sent++
          sent = sequenceId
        }
        if (messages.length === BATCH) more = true
      }
    } catch (error) {
      fail(error)
    }
    pumping = false
    // What came up while the store was asked for a connection that is gone by now.
    if (more && socket && !dead) pump()
  }

  /** One at a time, and of those that came meanwhile the last: it says it all. */
  const acknowledge = async (sequenceId: number) => {
    if (sequenceId <= acknowledged) return
    acknowledged = sequenceId
    if (sequenceId > known) confirm()
    if (acknowledging) return
    acknowledging = true
    try {
      for (let last = -1; last !== acknowledged && !dead; ) {
        last = acknowledged
        await store.acknowledge(id, epoch, last)
      }
    } catch (error) {
      fail(error)
    }
    acknowledging = false
  }

  const answer = (ackId: number | undefined, error?: { name: string; message: string }) => {
    if (error?.name === 'Duplicate') stats.duplicates++
    else stats[error ? 'failed' : 'received']++
    if (ackId !== undefined) write(writeAck(ackId, error))
  }

  /** Effects and the mark that the request was carried out are one step. */
  const commit = async (effects: Effect[], ackId: number | undefined) => {
    for (;;) {
      const claim = { session: id, epoch, ackId }
      const { outcome } = await store.commit(effects, claim)
      // A new connection to this node may be why. Then nothing has happened yet, and the claim is still ours to make.
      if (outcome === 'lost') await host.resuming.get(id)
      if (outcome !== 'lost' || dead || claim.epoch === epoch) return outcome
    }
  }

  const carryOut = async (request: Request) => {
    const { ackId } = request
    const duplicate = { name: 'Duplicate', message: 'this message has been handled' }
    if (ackId !== undefined && handled.has(ackId)) return answer(ackId, duplicate)
    let settle: (() => void) | undefined
    try {
      const task = await host.carryOut(session, request)
      settle = task.settle
      if (dead) return settle()
      const outcome = await commit(task.effects, ackId)
      settle()
      if (outcome === 'lost') return session.lose()
      if (outcome === 'forbidden')
        return answer(ackId, { name: 'Forbidden', message: 'not a member of the group' })
      if (outcome === 'full')
        return answer(ackId, { name: 'TooManyGroups', message: 'leave another group first' })
      if (ackId !== undefined) remember(ackId)
      answer(ackId, outcome === 'duplicate' ? duplicate : undefined)
    } catch (error) {
      settle?.()
      if (settle) return fail(error)
      if (error instanceof Refusal) return answer(ackId, { name: error.name, message: error.message })
      host.report(error)
      // Its message may tell what is not for clients.
      const name = error instanceof Error ? error.name : 'Error'
      answer(ackId, { name, message: 'the message was not handled' })
    }
  }

  const remember = (ackId: number) => {
    handled.add(ackId)
    for (const oldest of handled) {
      if (handled.size <= host.dedupeWindow) break
      handled.delete(oldest)
    }
  }

  const run = async () => {
    for (let next = queue[0]; next && !dead && !quiet; next = queue[0]) {
      await carryOut(next.request)
      // Cleared when the session was lost.
      if (queue[0] === next) queue.shift()
      queuedBytes -= next.bytes
      if (next.request.ackId !== undefined) pending.delete(next.request.ackId)
      if (paused && !quiet && queue.length < QUEUE_MESSAGES / 2 && queuedBytes < QUEUE_BYTES / 2) {
        paused = false
        heard = Date.now()
        socket?.resume()
      }
    }
    running = undefined
  }

  const enqueue = (request: Request, bytes: number) => {
    const { ackId } = request
    if (ackId !== undefined) {
      // It waits or runs: the answer will be for both.
      if (pending.has(ackId)) return void stats.duplicates++
      pending.add(ackId)
    }
    queue.push({ request, bytes })
    queuedBytes += bytes
    running ??= run()
    if (queue.length >= QUEUE_MESSAGES || queuedBytes >= QUEUE_BYTES) {
      paused = true
      socket?.pause()
    }
  }

  const receive = (data: { length: number }, isBinary: boolean) => {
    heard = Date.now()
    const violate = (code: number, reason: string) => {
      stats.violations++
      session.end(code, reason)
    }
    if (isBinary) return violate(1008, `${PROTOCOL} has no binary messages`)
    if (data.length > host.maxMessageBytes)
      return violate(1009, `a message of over ${host.maxMessageBytes} bytes`)
    try {
      const frame = readFrame(String(data))
      if (frame.type === 'ping') write('{"type":"pong"}')
      else if (frame.type === 'sequenceAck') acknowledge(frame.sequenceId)
      else enqueue(frame, data.length)
    } catch (error) {
      violate(1008, `bad frame: ${(error as Error).message}`)
    }
  }

  const session: LocalSession = {
    id,
    userId,
    get epoch() {
      return epoch
    },
    get connected() {
      return !!socket
    },
    attach(next, taken, token) {
      const before = socket
      socket = next
      epoch = taken.epoch
      sent = taken.acknowledged
      acknowledged = taken.acknowledged
      known = taken.sequenceId
      confirmed = false
      paused = false
      heard = Date.now()
      if (before) {
        // The newest wins. Nobody hears of its end: the session has not lost its connection.
        stats.connections--
        before.terminate()
      }
      stats.connections++
      const closed = (code: number, reason: unknown) => {
        if (socket !== next) return
        socket = undefined
        stats.connections--
        detachedAt = Date.now()
        store.detach(id, epoch).catch(host.report)
        host.disconnected(session, code, String(reason))
        if (!running) leave()
      }
      next.on('close', closed)
      if (next.readyState === CLOSED) return closed(1006, '')
      next.send(writeSystem('connected', { connectionId: id, reconnectionToken: token, userId }))
      // Its answer follows what came before it: then the client has read its new token.
      next.on('pong', () => {
        if (socket !== next) return
        heard = Date.now()
        confirm()
      })
      next.ping()
      pump()
    },
    listen(to) {
      if (to !== socket) return
      to.on('message', (data, isBinary) => {
        if (socket === to && !dead && !quiet) receive(data, isBinary)
      })
      to.resume()
    },
    pump,
    tend(newest) {
      if (dead) return
      if (!socket) {
        // It stayed for what it was handling. By now the session has no claim to that, even if it still waits for something.
        if (Date.now() - detachedAt > host.keepMs) leave()
        return
      }
      // The next attempt to resume it tells the client the truth.
      if (newest === -1 && !host.resuming.has(id)) return session.lose()
      if (newest !== undefined && newest > sent) pump()
      const silent = Date.now() - heard
      if (silent > host.keepMs && !paused) socket.terminate()
      else if (silent > host.keepMs / 3) socket.ping()
    },
    lose() {
      const last = socket
      leave()
      last?.terminate()
    },
    finish(code, reason) {
      const last = socket
      leave()
      if (last) expel(last, code, reason)
    },
    end(code, reason) {
      session.finish(code, reason)
      store.end(id, code, reason).catch(host.report)
    },
    drop(code, reason) {
      if (socket) dismiss(socket, code, reason)
    },
    async quiesce() {
      quiet = true
      socket?.pause()
      await running
    },
  }
  return session
}
