import type { Connection } from './connection.js'
import { type Emitter, guard } from './emitter.js'
import { SocketError } from './errors.js'
import { createOverlap } from './overlap.js'
import { isHidden } from './page.js'
import { createPhases } from './phases.js'
import type { Queue } from './queue.js'
import { createRequests } from './requests.js'
import type { Retry } from './retry.js'
import { handoverTable, type Input, type State, type Table } from './states.js'
import { createSuccessor, type Dial } from './successor.js'
import { createTimer } from './timers.js'
import type { SocketEvents, SocketOptions } from './types.js'

/** Options for moving to another connection while the present one is open. */
export interface HandoverOptions {
  /**
   * Milliseconds after which a connection is replaced, for gateways that end connections after a fixed time. Up to a tenth is taken off at
   * random, so that clients do not move at once. It must be longer than `connectTimeout`. Default: `Infinity`.
   */
  maxAge?: number | undefined
  /** Recognizes a message in which the server announces that it will end the connection. Default: no message does. */
  when?: ((data: any) => boolean) | undefined
  /**
   * Returns the identity of a message. While two connections are open, a message whose identity has been seen on the other connection is
   * not reported again. Values are compared like the keys of a `Map`; `undefined` means that the message has none. Default: none.
   */
  id?: ((data: any) => unknown) | undefined
  /**
   * What to do after the page or the network came back, if no heartbeat can ask whether the connection still works: open a second one beside
   * it, and keep the first if anything arrives on it meanwhile (`'handover'`), or abandon it and connect again (`'reconnect'`), for
   * servers that allow one connection for each client. Default: `'handover'`.
   */
  wake?: 'handover' | 'reconnect' | undefined
}

/** Replaces the open connection of a socket. */
export interface Handover {
  /** Moves to another connection. Resolves when it is open. */
  request(cause?: unknown): Promise<void>
  /** The connection may be dead. `isAsked`: the heartbeat has sent a ping. */
  doubt(isAsked?: boolean): void
  /** The page is hidden, or visible again. */
  onVisibility(isAsked?: boolean): void
  /** A timer fired so late that the process must have slept. Calls `probe`, and returns its result: whether it has sent a ping. */
  onLate(probe: () => boolean): boolean
  /** The connection is open. Returns the listener for its messages. */
  attach(): (event: MessageEvent) => void
  /** The open connection has ended. Returns whether another one continues. */
  succeed(cause: SocketError): boolean
  /** The connection that takes over, the cause, and whether the first one was read until it closed. */
  take(): readonly [next: Connection, cause: SocketError, isRead: boolean]
  /** An attempt that is in progress, to be continued with these functions. */
  adopt(onReady: () => void, onFailed: (cause: SocketError) => void): Connection | undefined
  /** The socket is being closed. Returns the second connection if the first one can send no longer. */
  close(): Connection | undefined
  /** The connection is not open any more. With `final`, no other one follows. */
  leave(final?: SocketError): void
}

/** The type of the part `handover`. */
export type StartHandover = (
  options: SocketOptions<any>,
  retry: Retry | false,
  queue: Queue,
  emit: Emitter<SocketEvents<any>>['emit'],
  defer: Emitter<SocketEvents<any>>['defer'],
  state: () => State,
  /** Takes an input through the table of states. */
  step: (input: Input, table?: Table) => void,
  dial: Dial,
  /** Passes a message to the heartbeat. Returns whether it is a reply. */
  isReply: (event: MessageEvent) => boolean | undefined,
  /** Passes a message to the listeners. */
  report: (data: unknown) => void,
  /** Both. */
  receive: (event: MessageEvent) => void,
  /** The present connection. */
  connection: () => Connection | undefined,
  /** Ends the present connection. */
  lose: (cause: SocketError, again?: boolean) => void,
) => Handover

/** A page that was hidden for less time, or in which something arrived more recently, is not in doubt. In milliseconds. */
const LONG = 60_000

/**
 * The part for the option `handover`: opens a second connection beside the first, and lets it take over. In doubt it takes over as soon as
 * it is ready, unless something arrives on the first. Otherwise the first is read and closed before.
 */
export const handover: StartHandover = (
  { handover: options, closeTimeout = 3_000, connectTimeout = 10_000 },
  retry,
  queue,
  emit,
  defer,
  state,
  step,
  dial,
  isReply,
  report,
  receive,
  connection,
  lose,
) => {
  const { maxAge = Infinity, when, id } = options || {}
  if (maxAge <= connectTimeout && maxAge < Infinity)
    throw new TypeError('handover.maxAge must be longer than connectTimeout')
  const setAge = createTimer()
  const requests = createRequests()
  /** Why the connection is replaced. */
  let reason: SocketError
  let adopted: Connection | undefined
  let hiddenSince: number | undefined
  let lastMessage = 0

  const native = () => connection()?.native as WebSocket

  const listenTo = (socket: WebSocket) => (event: MessageEvent) => {
    const { data } = event
    lastMessage = performance.now()
    if (socket === native()) phases.onLife()
    if (isReply(event) || overlap.isDouble(socket, data)) return
    report(data)
    if (when && guard(when, data)) phases.plan(data)
  }

  /** The listener for messages. It does more than pass them on only when that is necessary. */
  const listener = () =>
    when || phases.phase() || overlap.isActive() || hiddenSince !== undefined ? listenTo(native()) : receive

  const listen = () => {
    if (state().name === 'open') native().onmessage = listener()
  }

  const overlap = createOverlap(id, listen)

  const phases = createPhases(
    options || {},
    closeTimeout,
    () => successor,
    native,
    isOpen => {
      if (isOpen) overlap.start()
      else overlap.end()
      listen()
    },
    isHeld => queue.hold?.(isHeld),
    lose,
  )

  const successor = createSuccessor(
    dial,
    retry,
    emit,
    defer,
    () => native().url,
    phases.onDial,
    phases.onReady,
    final => {
      if (final) requests.reject(final)
      phases.onFailed(final)
    },
  )

  const doubt = (isAsked?: boolean) => {
    if (retry && options !== false && state().name === 'open') phases.doubt(isAsked)
  }

  return {
    doubt,

    request(cause) {
      const promise = new Promise<void>((resolve, reject) =>
        defer(() => {
          const { name } = state()
          if (name === 'closed' || name === 'closing') return reject(new SocketError('CLOSED'))
          requests.add({ resolve, reject, cause }, name === 'open' && !!successor.connection())
          if (name === 'open') phases.plan(cause)
          else step({ type: 'connect' })
        }),
      )
      // It is reported by an event as well.
      promise.catch(() => {})
      return promise
    },

    onVisibility(isAsked) {
      const now = performance.now()
      const since = hiddenSince
      if (isHidden()) hiddenSince = lastMessage = now
      else hiddenSince = undefined
      listen()
      if (since !== undefined && hiddenSince === undefined && now - lastMessage >= LONG) doubt(isAsked)
    },

    onLate(probe) {
      if (isHidden()) return false
      const isAsked = probe()
      doubt(isAsked)
      return isAsked
    },

    attach() {
      phases.reset()
      setAge(maxAge * (1 - Math.random() / 10), phases.plan)
      const request = requests.resolve()
      if (request) phases.plan(request.cause)
      return listener()
    },

    succeed(cause) {
      const next = successor.connection()
      const isClosed = phases.phase() === 'close'
      if (!next && !isClosed) return false
      reason = isClosed ? phases.cause() : cause
      if (successor.isReady()) {
        const { url, protocol } = (next as Connection).native as WebSocket
        step({ type: 'replace', now: Date.now(), url, protocol }, handoverTable)
      } else {
        adopted = successor.take()
        step({ type: 'continue', cause: reason }, handoverTable)
      }
      return true
    },

    take() {
      const next = successor.take() as Connection
      const first = connection() as Connection
      const isRead = phases.phase() !== 'doubt'
      let late: WebSocket | undefined
      if (!isRead && native().readyState === 1) {
        // It is read on, and closed later.
        late = native()
        late.onclose = null
        first.native = undefined
      }
      overlap.endIn(next.handshake, late)
      return [next, reason, isRead]
    },

    adopt(onReady, onFailed) {
      const connection = adopted
      adopted = undefined
      return connection && Object.assign(connection, { onReady, onFailed })
    },

    close() {
      const next = phases.phase() === 'close' && successor.isReady() ? successor.take() : undefined
      phases.reset()
      overlap.end()
      return next
    },

    leave(final) {
      phases.reset()
      setAge()
      overlap.end()
      if (!adopted) requests.merge()
      if (final) requests.reject(final)
    },
  }
}
