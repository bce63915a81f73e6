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

/** Options for replacing a connection while it is open. */
export interface HandoverOptions {
  /**
   * Milliseconds after which a connection is replaced, for gateways that end connections after a fixed time. The connection is replaced up to
   * 10 % earlier, at random, so that many clients do not do so at once. It must be longer than `connectTimeout`. Default: `Infinity`.
   */
  maxAge?: number | undefined
  /** Recognizes a message in which the server announces that it will end the connection. Default: no message does. */
  when?: ((data: any) => boolean) | undefined
  /**
   * Returns the identity of a message. While two connections are open, and for 5 s after that, a message whose identity has been seen on the other is
   * not reported again. Values are compared like the keys of a `Map`; `undefined` means that the message has none. Default: none.
   */
  id?: ((data: any) => unknown) | undefined
  /**
   * What to do after the page or the network came back, if there is no heartbeat that can test the connection. `'handover'` opens a second
   * connection, and keeps the first if a message arrives on it before the second is ready. `'reconnect'` abandons the connection and connects
   * again, for servers that allow only one connection per client. Default: `'handover'`.
   */
  wake?: 'handover' | 'reconnect' | undefined
}

/** The additional methods of a connector with the part `handover`. */
export interface Handover {
  /** Replaces the connection. Resolves when the new one is open. */
  request(cause?: unknown): Promise<void>
  /**
   * The connection may be dead. `isAsked`: the heartbeat has sent a ping. Returns it. `whileOffline` lengthens a delay while the browser reports
   * that there is no network.
   */
  doubt(isAsked?: boolean, whileOffline?: (delay: number) => number): boolean | undefined
  /** The page is hidden, or visible again. */
  onVisibility(isAsked?: boolean, whileOffline?: (delay: number) => number): void
  /** The open connection has ended. Returns whether another one continues. */
  succeed(cause: SocketError): boolean
  /** Replaces the open connection by the second one. Returns whether the first one was read until it ended because we closed it. */
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
  /** Passes an input through the table of states. */
  step: (input: Input, table?: Table) => void,
  /** Ends the current connection. */
  lose: (cause: SocketError, again?: boolean) => void,
) => Connector

/** If a page was hidden for less time, or a message arrived more recently, its connection is not in doubt. In milliseconds. */
const LONG = 60_000

/**
 * The part for the option `handover`: opens a second connection beside the first, and then replaces the first. If the first may be dead, it is
 * replaced as soon as the second is ready, unless a message arrives on the first. Otherwise, the first is read and closed before.
 */
export const handover: StartHandover = (
  connector,
  { handover: options, heartbeat, connectTimeout = 10_000, closeTimeout = 3_000, prepare },
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
  /** The calls of `handover()` that wait, oldest first. */
  const waiting: [resolve: () => void, reject: (reason: SocketError) => void][] = []
  /** How many of them the present attempt is for: those that were made before it began, or all if nothing of it can be out of date. */
  let served = 0
  /** The cause of the last call. */
  let newest: unknown
  /** While the page is hidden: when it was hidden, the connection was opened, or the last message arrived. */
  let quietSince: number | undefined

  const native = () => connection()?.native as WebSocket

  /** Without functions of the application, there is a native socket at once. */
  const serve = (attempt = connection()) => {
    served = prepare || !attempt?.native ? waiting.length : Infinity
    return attempt as Connection
  }

  const settle = (at: 0 | 1, cause?: SocketError, count = served) => {
    for (const waiter of waiting.splice(0, count)) waiter[at](cause as SocketError)
  }

  /** Begins another handover for the calls that were made during the last one. */
  const planAgain = () => {
    served = 0
    if (waiting.length) successor.plan(newest, true)
  }

  const onLife = () => {
    if (quietSince !== undefined) quietSince = performance.now()
  }

  const listenTo = (socket: WebSocket) => (event: MessageEvent) => {
    const { data } = event
    onLife()
    if (phase() === 'doubt') successor.stay()
    // A message on a connection that was replaced does not prove that the current one works.
    const isHidden =
      socket === native() ? isReply(event) : heartbeat?.isReply && guard(heartbeat.isReply, data)
    if (isHidden) return
    if (!overlap.isDouble(socket, data)) report(data)
    // The servers of both connections may say the same, so a double counts here. A listener may have closed the socket, and a connection that was replaced ends anyway.
    if (when && guard(when, data) && socket === native() && state().name === 'open') successor.plan(data)
  }

  /** The listener for messages: the one that only passes them on, unless more is necessary. */
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
    (...attempt) => serve(dial(...attempt)),
    native,
    isHeld => queue.hold?.(isHeld),
    hasSecond => {
      if (hasSecond) overlap.start()
      else overlap.end()
      listen()
    },
    cause => {
      settle(1, cause)
      planAgain()
    },
    lose,
  )
  const { phase } = successor

  /** Ends everything that needs an open connection. */
  const leave = () => {
    successor.reset()
    setAge()
    overlap.end()
  }

  const doubt: Handover['doubt'] = (isAsked, whileOffline) => {
    if (retry && options !== false && state().name === 'open')
      successor.doubt(isAsked, wake !== 'reconnect', whileOffline)
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
          newest = cause
          if (name === 'open') successor.plan(cause, true)
          else step({ type: 'connect' })
        }),
      )
      // It is reported by an event as well.
      promise.catch(() => {})
      return promise
    },

    onVisibility(isAsked, whileOffline) {
      const now = performance.now()
      const isQuiet = !isHidden() && now - (quietSince ?? now) >= LONG
      quietSince = isHidden() ? now : undefined
      listen()
      if (isQuiet) doubt(isAsked, whileOffline)
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
      const next = successor.take() as Connection
      const first = connection() as Connection
      const late = phase() === 'dead' && native().readyState === 1 && native()
      if (late) {
        // It is still read, and closed later.
        late.onclose = null
        first.native = undefined
      }
      const close = connector.end(last, reason, 0)
      overlap.endIn(next.handshake, late)
      connector.start(next)
      // Otherwise the server may have closed the first connection before it knew of the second one.
      return phase() === 'close' && close?.code === 1000 && /^(handover)?$/.test(close.reason)
    },

    start(context) {
      connector.start(adopted ?? context)
      if (!adopted) serve()
      adopted = undefined
    },

    attach() {
      successor.reset()
      onLife()
      setAge(maxAge * (1 - Math.random() / 10), successor.plan)
      settle(0)
      connector.attach(listener(), () => !isHidden() && doubt(connector.heartbeat()?.probe()))
      planAgain()
    },

    close(code, given, onTimeout) {
      // If the first connection can no longer send, the queued messages are sent on the second.
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
      if (delay === undefined) settle(1, cause, Infinity)
      return connector.end(last, cause, delay)
    },
  }
}
