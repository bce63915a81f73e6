import type { Data } from '../common/data.js'
import type { Checks } from './checks.js'
import { type Counts, createConnector } from './connector.js'
import { createUncheckedEmitter } from './emitter.js'
import { SocketError } from './errors.js'
import type { StartHandover } from './handover.js'
import type { StartHeartbeat } from './heartbeat.js'
import { createLifecycle } from './lifecycle.js'
import type { WatchPage } from './page.js'
import type { PrepareConnection } from './prepare.js'
import type { CreateQueue } from './queue.js'
import type { Retry } from './retry.js'
import type { BinaryType, DropReason, Endpoint, Socket, SocketEvents, SocketOptions } from './types.js'

/**
 * Creates a WebSocket that reconnects.
 *
 * ```ts
 * const socket = createSocket('wss://push.example.com/feed')
 * socket.on('text', text => show(text))
 * socket.send('hello')
 * ```
 *
 * It connects at once, unless `autoConnect` is false. Throws a `TypeError` for invalid options, the platform's error for a malformed
 * URL or subprotocol, and a `SocketError` with the code `NO_WEBSOCKET` if the platform has no WebSocket. Outages never cause exceptions: they are
 * reported by states and events.
 */
export type CreateSocket = <Binary extends BinaryType = 'arraybuffer'>(
  endpoint: Endpoint,
  options?: SocketOptions<Binary>,
) => Socket<Binary>

/**
 * Creates a `createSocket` from its parts. The parameters are positional, so that a minifier can detect which parts are absent, and remove the
 * code that would use them.
 */
export const makeCreateSocket =
  (
    createQueue: CreateQueue,
    createRetry: () => Retry,
    startHandover: StartHandover,
    startHeartbeat?: StartHeartbeat,
    watchPage?: WatchPage,
    prepare?: PrepareConnection,
    checks?: Checks,
  ): CreateSocket =>
  <Binary extends BinaryType>(endpoint: Endpoint, given: SocketOptions<Binary> = {}): Socket<Binary> => {
    // A copy, so that later changes to the caller's object have no effect.
    const options = { ...given }
    checks?.options(options)
    const { autoConnect = true, retry = createRetry(), signal } = options
    const { on, once, off, emit, defer } = (checks?.createEmitter ?? createUncheckedEmitter)<
      SocketEvents<Binary>
    >(['state', 'open', 'text', 'binary', 'close', 'error', 'drop'])
    const counts: Counts = {
      attempts: 0,
      connections: 0,
      sent: 0,
      received: 0,
      reclaimed: 0,
      dropped: 0,
      queued: 0,
      queuedBytes: 0,
      latency: undefined,
    }
    const drop = (data: Data, reason: DropReason) => {
      counts.dropped++
      emit('drop', { data, reason })
      return 'dropped' as const
    }
    const queue = createQueue(options, counts, drop)
    const [state, isEnded, dispatch, connect, lose, step, abort] = createLifecycle(
      options,
      emit,
      defer,
      queue,
      retry,
      () => connector,
      watchPage,
    )
    const plain = createConnector(
      endpoint,
      options,
      emit,
      defer,
      queue,
      counts,
      ({ url, protocol }) => dispatch({ type: 'opened', now: Date.now(), url, protocol }),
      lose,
      startHeartbeat,
      prepare,
    )
    const connector = startHandover(plain, options, retry, queue, emit, defer, state, step, lose)
    const { native, url } = connector

    const socket: Socket<Binary> = {
      on,
      once,
      off,
      queuedMessages: queue.list,

      send(data, how) {
        checks?.send(data, how)
        if (isEnded()) return drop(data, 'closed')
        const outcome = queue.push(data, how)
        if (outcome !== 'queued' || state().name !== 'open') return outcome
        defer(queue.flush)
        return counts.queued ? outcome : 'sent'
      },

      connect() {
        checks?.connect(options.WebSocket)
        connect()
      },

      reconnect(cause, code, reason) {
        checks?.connect(options.WebSocket)
        checks?.close(code, reason)
        defer(() => {
          const { name } = state()
          if (name !== 'open' && name !== 'connecting') return dispatch({ type: 'connect' })
          // First, because some implementations of WebSocket fire `close` inside of `close()`.
          lose(new SocketError('RECONNECT_REQUESTED', cause), true)
          if ((code ?? reason) !== undefined && name === 'open') native()?.close(code ?? 1000, reason)
        })
      },

      handover(cause) {
        checks?.connect(options.WebSocket)
        return connector.request(cause)
      },

      close(code, reason) {
        checks?.close(code, reason)
        dispatch({ type: 'close', code, reason, cause: new SocketError('CLOSED') })
      },

      get state() {
        return state()
      },
      get queued() {
        return counts.queued
      },
      get bufferedAmount() {
        return counts.queuedBytes + (native()?.bufferedAmount ?? 0)
      },
      get latency() {
        return counts.latency
      },
      get url() {
        return url()
      },
      get protocol() {
        return native()?.protocol ?? ''
      },
      get stats() {
        return { ...counts }
      },
    }

    if (signal?.aborted) abort()
    else if (autoConnect) socket.connect()
    // Aborting must close the socket before the first attempt, too.
    else signal?.addEventListener('abort', abort)
    return socket
  }
