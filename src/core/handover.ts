import type { Connection } from './connection.js'
import type { Connector } from './connector.js'
import { type Emitter, guard } from './emitter.js'
import { SocketError } from './errors.js'
import { createOverlap } from './overlap.js'
import { isHidden } from './page.js'
import type { Queue } from './queue.js'
import type { Retry } from './retry.js'
import { handoverTable, type Input, type State, type Table } from './states.js'
import { createSuccessor } from './successor.js'
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

/** What a connector can do if it has the part `handover`. */
export interface Handover {
  /** Moves to another connection. Resolves when it is open. */
  request(cause?: unknown): Promise<void>
  /** The connection may be dead. `isAsked`: the heartbeat has sent a ping. Returns it. */
  doubt(isAsked?: boolean): boolean | undefined
  /** The page is hidden, or visible again. */
  onVisibility(isAsked?: boolean): void
  /** The open connection has ended. Returns whether another one continues. */
  succeed(cause: SocketError): boolean
  /** Replaces the open connection by the second one. Returns whether no message can have been missed. */
  replace(last: State): boolean
}

/** The type of the part `handover`. */
export type StartHandover = (
  connector: Connector,
  options: SocketOptions<any>,
  retry: Retry | false,
  queue: Queue,
  emit: Emitter<SocketEvents<any>>['emit'],
  defer: Emitter<SocketEvents<any>>['defer'],
  state: () => State,
  /** Takes an input through the table of states. */
  step: (input: Input, table?: Table) => void,
  /** Ends the present connection. */
  lose: (cause: SocketError, again?: boolean) => void,
) => Connector

/** A page that was hidden for less time, or in which something arrived more recently, is not in doubt. In milliseconds. */
const LONG = 60_000

/**
 * The part for the option `handover`: opens a second connection beside the first, and lets it take over. In doubt it takes over as soon as
 * it is ready, unless something arrives on the first. Otherwise the first is read and closed before.
 */
export const handover: StartHandover = (
  connector,
  { handover: options, heartbeat, connectTimeout = 10_000, closeTimeout = 3_000 },
  retry,
  queue,
  emit,
  defer,
  state,
  step,
  lose,
) => {
  const { maxAge = Infinity, when, id, wake } = options || {}
  if (maxAge <= connectTimeout && maxAge < Infinity)
    throw new TypeError('handover.maxAge must be longer than connectTimeout')
  const { dial, isReply, report, receive, connection } = connector
  const setAge = createTimer()
  /** Why the first connection is replaced. */
  let reason: SocketError
  let adopted: Connection | undefined
  const waiting: [resolve: () => void, reject: (reason: SocketError) => void][] = []
  /** While the page is hidden: when it was hidden, the connection was opened, or the last message arrived. */
  let quietSince: number | undefined

  const native = () => connection()?.native as WebSocket

  const reject = (cause: SocketError) => {
    for (const waiter of waiting.splice(0)) waiter[1](cause)
  }

  const onLife = () => {
    if (quietSince !== undefined) quietSince = performance.now()
  }

  const listenTo = (socket: WebSocket) => (event: MessageEvent) => {
    const { data } = event
    onLife()
    const isOwn = socket === native()
    if (isOwn && phase() === 'doubt') successor.stay()
    // What a connection brings that was replaced is no sign of life of the present one.
    const isHidden = isOwn ? isReply(event) : heartbeat?.isReply && guard(heartbeat.isReply, data)
    if (isHidden || overlap.isDouble(socket, data)) return
    report(data)
    // A listener may have closed the socket, and a connection that was replaced ends anyway.
    if (when && isOwn && guard(when, data) && socket === native() && state().name === 'open')
      successor.plan(data)
  }

  /** The listener for messages. It does more than pass them on only when that is necessary. */
  const listener = () =>
    when || phase() || overlap.isActive() || quietSince !== undefined ? listenTo(native()) : receive

  const listen = () => {
    if (state().name === 'open') native().onmessage = listener()
  }

  const overlap = createOverlap(id, listen)

  const successor = createSuccessor(
    closeTimeout,
    retry,
    emit,
    defer,
    dial,
    native,
    isHeld => queue.hold?.(isHeld),
    hasSecond => {
      if (hasSecond) overlap.start()
      else overlap.end()
      listen()
    },
    reject,
    lose,
  )
  const { phase } = successor

  /** Ends everything that needs an open connection. */
  const leave = () => {
    successor.reset()
    setAge()
    overlap.end()
  }

  const doubt = (isAsked?: boolean) => {
    if (retry && options !== false && state().name === 'open') successor.doubt(isAsked, wake !== 'reconnect')
    return isAsked
  }

  return {
    ...connector,
    doubt,

    request(cause) {
      const promise = new Promise<void>((...waiter) =>
        defer(() => {
          const { name } = state()
          if (name === 'closed' || name === 'closing') return waiter[1](new SocketError('CLOSED'))
          waiting.push(waiter)
          if (name === 'open') successor.plan(cause)
          else step({ type: 'connect' })
        }),
      )
      // It is reported by an event as well.
      promise.catch(() => {})
      return promise
    },

    onVisibility(isAsked) {
      const now = performance.now()
      const isQuiet = !isHidden() && now - (quietSince ?? now) >= LONG
      quietSince = isHidden() ? now : undefined
      listen()
      if (isQuiet) doubt(isAsked)
    },

    succeed(cause) {
      const next = successor.next()
      const isClosed = phase() === 'close'
      if (!next && !isClosed) return false
      reason = isClosed ? successor.cause() : cause
      if (next?.isReady) {
        const { url, protocol } = next.native as WebSocket
        step({ type: 'replace', now: Date.now(), url, protocol }, handoverTable)
      } else {
        adopted = successor.take()
        step({ type: 'continue', cause: reason }, handoverTable)
      }
      return true
    },

    replace(last) {
      const isRead = phase() !== 'dead'
      const next = successor.take() as Connection
      const first = connection() as Connection
      const late = !isRead && native().readyState === 1 && native()
      if (late) {
        // It is read on, and closed later.
        late.onclose = null
        first.native = undefined
      }
      const close = connector.end(last, reason, 0)
      overlap.endIn(next.handshake, late)
      connector.start(next)
      return isRead && !!close && close.code !== 1006
    },

    start(context) {
      connector.start(adopted ?? context)
      adopted = undefined
    },

    attach() {
      successor.reset()
      onLife()
      setAge(maxAge * (1 - Math.random() / 10), successor.plan)
      for (const [resolve] of waiting.splice(0)) resolve()
      connector.attach(listener(), () => !isHidden() && doubt(connector.heartbeat()?.probe()))
    },

    close(code, given, onTimeout) {
      // If the first connection can send no longer, the messages that wait leave on the second.
      if (phase() === 'close' && successor.next()?.isReady) {
        queue.detach(connection()?.abandon()[1], undefined)
        connector.start(successor.take() as Connection)
        queue.attach(native())
      }
      leave()
      connector.close(code, given, onTimeout)
    },

    end(last, cause, delay) {
      leave()
      if (delay === undefined) reject(cause)
      return connector.end(last, cause, delay)
    },
  }
}
