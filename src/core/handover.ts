import { createTimer } from '../common/timers.js'
import type { Connection } from './connection.js'
import type { Connector, Dial } from './connector.js'
import type { Emitter } from './emitter.js'
import type { SocketError } from './errors.js'
import { createRequests } from './handover-requests.js'
import { isHidden, type PageEvent } from './page.js'
import type { Queue } from './queue.js'
import { createReader } from './reader.js'
import type { Retry } from './retry.js'
import { handoverTable, type Input, type State, type Table } from './states.js'
import { createSuccessor } from './successor.js'
import type { SocketEvents, SocketOptions } from './types.js'

/** Options for replacing a connection while it is open. */
export interface HandoverOptions {
  /**
   * Milliseconds after which a connection is replaced, for gateways that end connections after a fixed time. The connection is replaced up to
   * 10 % earlier, at random, so that many clients do not do so at once. It must be longer than `connectTimeout`. Default: `Infinity`.
   */
  maxAge?: number | undefined
  /**
   * Recognizes a message in which the server announces that it will end the connection. Default: no message does.
   *
   * @example
   * ```ts
   * createSocket('wss://push.example.com/feed', { handover: { when: data => data === 'shutting down' } })
   * ```
   */
  when?: ((data: any) => boolean) | undefined
  /**
   * Returns the identity of a message. While two connections are open, and for 5 s after that, a message whose identity has been seen on the other is
   * not reported again. Values are compared like the keys of a `Map`; `undefined` means that the message has none. Default: none.
   *
   * @example
   * ```ts
   * createSocket('wss://push.example.com/feed', { handover: { id: data => JSON.parse(data).id } })
   * ```
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
   * After `'wake'`, and after a long time without messages in a hidden page, the connection may be dead. `isAsked`: the heartbeat has sent a ping.
   * `whileOffline` lengthens a delay while the browser reports that there is no network.
   */
  onPageEvent(type: PageEvent, isAsked?: boolean, whileOffline?: (delay: number) => number): void
  /** The open connection has ended. Returns whether another one continues. */
  succeed(cause: SocketError): boolean
}

/** The type of the part `handover`. */
export type StartHandover = (
  /** The connector without this part. */
  plain: Connector,
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
) => Connector & Pick<Handover, 'request'>

/**
 * The part for the option `handover`: opens a second connection beside the first, and then replaces the first. If the first may be dead, it is
 * replaced as soon as the second is ready, unless a message arrives on the first. Otherwise, the first is read and closed before.
 */
export const handover: StartHandover = (plain, options, retry, queue, emit, defer, state, step, lose) => {
  const { connectTimeout = 10_000, closeTimeout = 3_000, prepare } = options
  const { maxAge = Infinity, wake } = options.handover || {}
  if (maxAge <= connectTimeout && maxAge < Infinity)
    throw new TypeError('handover.maxAge must be longer than connectTimeout')
  const { connection } = plain
  const native = plain.native as () => WebSocket
  const setAge = createTimer()
  /** Why the first connection is replaced. */
  let reason: SocketError
  let adopted: Connection | undefined

  const dial: Dial = context => serve(plain.dial(context))
  const [phase, next, why, plan, stay, take, reset, suspect] = createSuccessor(
    closeTimeout,
    retry,
    emit,
    defer,
    dial,
    native,
    queue.hold as (isHeld: boolean) => void,
    hasSecond => onChange(hasSecond),
    cause => {
      settle(1, cause)
      planAgain()
    },
    lose,
  )
  const [request, serve, settle, planAgain] = createRequests(!!prepare, defer, state, step, plan)
  const [listener, onLife, onVisibility, onChange, endOverlapIn, endOverlap] = createReader(
    plain,
    options,
    state,
    phase,
    stay,
    plan,
  )

  /** Ends everything that needs an open connection. */
  const leave = () => {
    reset()
    setAge()
    endOverlap()
  }

  /** The connection may be dead. Returns whether the heartbeat has sent a ping. */
  const doubt = (isAsked?: boolean, whileOffline?: (delay: number) => number) => {
    if (retry && options.handover !== false && state().name === 'open')
      suspect(isAsked, wake !== 'reconnect', whileOffline)
    return isAsked
  }

  /** Replaces the open connection by the second one. Returns whether the first one was read until it ended because we closed it. */
  const replace = (last: State) => {
    const second = take() as Connection
    const first = connection() as Connection
    const late = phase() === 'dead' && native().readyState === 1 && native()
    if (late) {
      // It is still read, and closed later.
      late.onclose = null
      first.native = undefined
    }
    const close = plain.end(last, reason, 0)
    endOverlapIn(second.handshake, late)
    plain.adopt(second)
    // Otherwise the server may have closed the first connection before it knew of the second one.
    return phase() === 'close' && close?.code === 1000 && /^(handover)?$/.test(close.reason)
  }

  return {
    ...plain,
    request,

    onPageEvent(type, isAsked, whileOffline) {
      if (type === 'wake' || onVisibility()) doubt(isAsked, whileOffline)
    },

    succeed(cause) {
      const second = next()
      const current = phase()
      if (!second && current !== 'close') return false
      reason = current === 'close' ? why() : cause
      // In all other phases, the second connection is ready.
      if (second && current !== 'plan' && current !== 'doubt') {
        const { url, protocol } = second.native as WebSocket
        step({ type: 'replace', now: Date.now(), url, protocol }, handoverTable)
      } else {
        adopted = take()
        step({ type: 'continue', cause: reason }, handoverTable)
      }
      return true
    },

    start(context) {
      plain.adopt(adopted ?? dial(context))
      adopted = undefined
    },

    attach(current, last) {
      const seamless = last.name === 'open' && replace(last)
      reset()
      onLife()
      setAge(maxAge * (1 - Math.random() / 10), plan)
      settle(0)
      plain.attach(
        current,
        last,
        seamless,
        listener(),
        () => !isHidden() && doubt(plain.heartbeat()?.probe()),
      )
      planAgain()
    },

    close(code, given, setDeadline) {
      // If the first connection can no longer send, the queued messages are sent on the second.
      if (phase() === 'close' && next()) {
        queue.detach(connection()?.abandon()[1], undefined)
        plain.adopt(take() as Connection)
        queue.attach(native())
      }
      leave()
      plain.close(code, given, setDeadline)
    },

    end(last, cause, delay) {
      leave()
      if (delay === undefined) settle(1, cause, Infinity)
      return plain.end(last, cause, delay)
    },
  }
}
