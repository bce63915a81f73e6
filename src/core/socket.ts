import type { Checks } from './checks.js'
import type { Data } from './data.js'
import { createUncheckedEmitter } from './emitter.js'
import type { StartHeartbeat } from './heartbeat.js'
import { type Counts, createLifecycle } from './lifecycle.js'
import type { WatchPage } from './page.js'
import type { PrepareConnection } from './prepare.js'
import type { CreateQueue } from './queue.js'
import type { Retry } from './retry.js'
import type {
  BinaryType,
  DropReason,
  Endpoint,
  SendOptions,
  Socket,
  SocketEvents,
  SocketOptions,
} from './types.js'

/**
 * Makes a WebSocket that stays up.
 *
 * ```ts
 * const socket = createSocket('wss://push.example.com/feed')
 * socket.on('text', text => show(text))
 * socket.send('hello')
 * ```
 *
 * It connects at once, unless `autoConnect` is false. Throws a `TypeError` for invalid options, what the platform throws for a malformed
 * URL or subprotocol, and a `SocketError` with the code `NO_WEBSOCKET` if the platform has no WebSocket. An outage never throws: it is a
 * state with a cause.
 */
export type CreateSocket = <Binary extends BinaryType = 'arraybuffer'>(
  endpoint: Endpoint,
  options?: SocketOptions<Binary>,
) => Socket<Binary>

/**
 * Makes a `createSocket` from its parts. The parameters are positional, so that a minifier sees which parts are absent, and removes the code
 * that would use them.
 */
export const makeCreateSocket =
  (
    createQueue: CreateQueue,
    createRetry: () => Retry,
    startHeartbeat?: StartHeartbeat,
    watchPage?: WatchPage,
    prepare?: PrepareConnection,
    checks?: Checks,
  ): CreateSocket =>
  <Binary extends BinaryType>(endpoint: Endpoint, given: SocketOptions<Binary> = {}): Socket<Binary> => {
    // A copy, so that later changes to the caller's object have no effect.
    const options = { ...given }
    checks?.options(options)
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
    const { keepWhenClosed } = options.queue || {}
    const queue = createQueue(options, counts, drop)
    const lifecycle = createLifecycle(
      endpoint,
      options,
      emit,
      defer,
      queue,
      counts,
      createRetry,
      startHeartbeat,
      watchPage,
      prepare,
      checks,
    )

    return Object.assign(lifecycle, {
      on,
      once,
      off,
      queuedMessages: queue.list,

      send(data: Data, how?: SendOptions) {
        checks?.send(data, how)
        const { state } = lifecycle
        // Before the first attempt messages wait. After the last one they would wait for ever.
        const isEnding = state.name === 'closing' || (state.name === 'closed' && state.cause)
        if (isEnding && (!keepWhenClosed || options.signal?.aborted)) return drop(data, 'closed')
        const outcome = queue.push(data, how)
        if (outcome !== 'queued' || state.name !== 'open') return outcome
        defer(queue.flush)
        return counts.queued ? outcome : 'sent'
      },
    })
  }
