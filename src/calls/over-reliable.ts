import { createEmitter, type Data, type Socket, type SocketEvents } from '../index.js'
import { checkOptions } from './checks.js'
import { identify } from './requests.js'
import type { CallSocket } from './types.js'

/** The members of a reliable socket that `overReliable()` uses. */
export interface ReliableSocketLike extends Pick<Socket, 'connect' | 'close'> {
  /**
   * Sends an event with the name `event`. Aborting `signal` drops the message while it is queued. `store`: whether an outbox stores it.
   * Resolves with its outcome.
   */
  send(
    data: unknown,
    options: { readonly event: string; readonly signal?: AbortSignal; readonly store?: boolean },
  ): Promise<{ readonly status: string }>
  /** Adds a listener, and returns a function that removes it. */
  on(type: any, listener: (payload: any) => unknown): () => void
  /** The current state. */
  readonly state: { readonly name: string }
  /** Counts. Only the numbers of dropped and of unacknowledged messages are used. */
  readonly stats: { readonly dropped: number; readonly inFlight: number }
}

/** Options of calls over a reliable socket. */
export interface OverReliableOptions {
  /** The name of the events that are calls. Default: `'call'`. */
  event?: string | undefined
}

/** The `close` event for the end of a session. */
const SESSION_END = { code: 1006, reason: '', wasClean: false } as SocketEvents['close']

/**
 * Adapts a socket of `steadysocket/reliable` for `calls()`. Each call is sent as an event, and the server sends its frames as text. Calls and
 * subscriptions belong to the session instead of a connection, so outages do not affect them. A call fails with `UNKNOWN` only if its session
 * is lost, or if messages are missing and its reply may be one of them.
 *
 * ```ts
 * import { calls, jsonRpc, overReliable } from 'steadysocket/calls'
 * import { createReliableSocket } from 'steadysocket/reliable'
 *
 * const api = calls(overReliable(createReliableSocket('wss://push.example.com/rpc')), jsonRpc())
 * ```
 */
export const overReliable = (socket: ReliableSocketLike, options: OverReliableOptions = {}): CallSocket => {
  checkOptions('overReliable', options, ['event'])
  const { event = 'call' } = options
  const { on, once, off, emit } = createEmitter<SocketEvents & { skipped: undefined }>([
    'state',
    'open',
    'close',
    'text',
    'binary',
    'drop',
    'skipped',
  ] as any)
  /** The messages that the server has not acknowledged, by their identity. */
  const unacknowledged = new Map<unknown, Data>()

  socket.on('open', opened => {
    if (!opened.resumed) emit('open', opened)
  })
  socket.on('message', ({ from, data }) => {
    if (from !== 'server') return
    if (typeof data === 'string') emit('text', data)
    else if (data instanceof ArrayBuffer) emit('binary', data)
  })
  socket.on('drop', ({ data, reason }) => {
    if (unacknowledged.delete(identify(data))) emit('drop', { data, reason })
  })
  const onSkipped = () => {
    // The socket sends in order, so the oldest messages have been sent. Some messages in flight may belong to the application.
    for (const sent of [...unacknowledged.keys()].slice(0, socket.stats.inFlight)) unacknowledged.delete(sent)
    emit('skipped', undefined)
  }
  socket.on('gap', ({ unknown }) => {
    // Absent if the session continues.
    if (!unknown) return onSkipped()
    for (const { data } of unknown) unacknowledged.delete(identify(data))
    emit('close', SESSION_END)
  })
  socket.on('error', error => {
    // A frame could not be read. If no other frame follows, no `gap` event reports this.
    if (error instanceof TypeError) onSkipped()
  })
  socket.on('state', async state => {
    emit('state', state)
    if (state.name !== 'closed') return
    // The `drop` events of the queued messages come first.
    await 0
    unacknowledged.clear()
    emit('close', SESSION_END)
  })

  return {
    on: on as Socket['on'],
    once: once as Socket['once'],
    off: off as Socket['off'],
    onSkipped: listener => on('skipped', listener),
    connect: socket.connect,
    close: socket.close,
    queuedMessages: () => [...unacknowledged.values()],
    send(data, how) {
      // Not stored: after a crash, nobody would wait for the reply, and its number would be that of another call.
      unacknowledged.set(identify(data), data)
      socket
        .send(data, { event, store: false, ...(how?.signal && { signal: how.signal }) })
        .then(({ status }) => {
          if (status === 'delivered') unacknowledged.delete(identify(data))
        })
      return 'queued'
    },
    get state() {
      return socket.state
    },
    get stats() {
      return socket.stats
    },
  }
}
