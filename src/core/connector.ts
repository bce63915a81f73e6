import { type Abandon, openConnection } from './connection.js'
import type { Emitter } from './emitter.js'
import { SocketError } from './errors.js'
import type { Heartbeat, StartHeartbeat } from './heartbeat.js'
import type { PrepareConnection } from './prepare.js'
import type { Queue } from './queue.js'
import type { State } from './states.js'
import type { SetTimer } from './timers.js'
import type { Endpoint, SocketEvents, SocketOptions, Stats } from './types.js'

/** The counts of a socket, which `stats` shows. */
export type Counts = { -readonly [Name in keyof Stats]: Stats[Name] }

/** Makes the connections of a socket, one after the other, and connects the open one with queue, heartbeat and listeners. */
export interface Connector {
  /** The native socket of the present attempt or connection. */
  native(): WebSocket | undefined
  /** The address of the last attempt, or an empty string before the first. */
  url(): string
  /** The heartbeat of the open connection, if there are both. */
  heartbeat(): Heartbeat | undefined
  /** Starts an attempt. Throws what the platform throws for a fixed endpoint. */
  start(context: Extract<State, { name: 'connecting' }>): void
  /** Sends and receives through the connection, which is open. */
  attach(): void
  /** Sends what waits, and starts the closing handshake. `onTimeout` is called if it is not done within `closeTimeout`. */
  close(code: number | undefined, reason: string | undefined, onTimeout: () => void): void
  /** Ends the heartbeat, because the connection is not open any more. */
  stopHeartbeat(): void
  /** Abandons the connection, if there is one, queues again what certainly never left, and reports how it ended if it was open. */
  end(last: State, cause: SocketError, delay?: number): void
}

/** How a connection ended that the browser has not reported as closed. */
// https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5
const NO_CLOSE_FRAME = { code: 1006, reason: '', wasClean: false }

const UNHANDLED_BINARY = "no listener for 'binary': a server that passes text on must send it as text"

export const createConnector = (
  endpoint: Endpoint,
  options: SocketOptions<any>,
  emit: Emitter<SocketEvents<any>>['emit'],
  defer: Emitter<SocketEvents<any>>['defer'],
  queue: Queue,
  counts: Counts,
  setTimer: SetTimer,
  onOpen: (native: WebSocket) => void,
  onFailed: (cause: SocketError) => void,
  startHeartbeat?: StartHeartbeat,
  prepare?: PrepareConnection,
): Connector => {
  const {
    // Chromium delays attempts by up to 5 s after many failures: a shorter timeout ends some that have not even started.
    // https://source.chromium.org/chromium/chromium/src/+/main:services/network/websocket_throttler.cc
    connectTimeout = 10_000,
    closeTimeout = 3_000,
    heartbeat: heartbeatOptions,
  } = options
  let native: WebSocket | undefined
  let abandon: Abandon | undefined
  /** Messages that came before `open`. */
  let unread: MessageEvent[] = []
  let heartbeat: Heartbeat | undefined
  let deadline = 0
  let lastUrl = ''
  let isBinaryReported = false
  /** The memory of heartbeats, from one connection to the next. */
  const memory = { timeouts: 0 }

  const url = () => native?.url ?? lastUrl
  const bytes = () => ({ left: queue.left(), buffered: native?.bufferedAmount ?? 0 })

  const onMessage = (event: MessageEvent) => {
    if (heartbeat?.onMessage(event)) return
    const { data } = event
    counts.received++
    const isText = typeof data === 'string'
    if (!emit(isText ? 'text' : 'binary', data) && !isText && !isBinaryReported) {
      isBinaryReported = true
      emit('error', new SocketError('UNHANDLED_BINARY', data, undefined, UNHANDLED_BINARY))
    }
    if (counts.queued) defer(queue.flush)
  }

  const onNative = (socket: WebSocket) => {
    native = socket
  }

  const onReady = (early: MessageEvent[]) => {
    unread = early
    onOpen(native as WebSocket)
  }

  return {
    native: () => native,
    url,
    heartbeat: () => heartbeat,

    start(context) {
      counts.attempts++
      // Twice as long as the last one, up to a minute, if that one ran into its deadline.
      deadline =
        context.cause?.code === 'CONNECT_TIMEOUT'
          ? Math.max(connectTimeout, Math.min(deadline * 2, 60_000))
          : connectTimeout
      abandon = openConnection(
        endpoint,
        options,
        context,
        deadline,
        setTimer,
        onNative,
        onReady,
        onFailed,
        prepare,
      )
    },

    attach() {
      const onTimeout = () => onFailed(new SocketError('UNRESPONSIVE'))
      queue.attach(native as WebSocket)
      if (heartbeatOptions) {
        heartbeat = startHeartbeat?.(heartbeatOptions, queue.write, onTimeout, counts, memory, bytes)
      }
      ;(native as WebSocket).onmessage = onMessage
      unread.splice(0).forEach(onMessage)
      defer(queue.flush)
    },

    close(code, reason, onTimeout) {
      // First, because `close()` of the `ws` package throws for a code of the wrong type. A native socket that has closed is about to report it.
      setTimer(native?.readyState === 3 ? 0 : closeTimeout, onTimeout)
      queue.flush(true)
      // A reason needs a code. Without one Chromium would throw here, and others would lose the reason.
      // https://websockets.spec.whatwg.org/#dom-websocket-close
      native?.close(code ?? (reason === undefined ? undefined : 1000), reason)
    },

    stopHeartbeat() {
      heartbeat?.stop()
      heartbeat = undefined
    },

    end(last, cause, delay) {
      lastUrl = url()
      const [close, unsent] = abandon?.() ?? []
      native = abandon = undefined
      queue.detach(unsent, close?.code)
      if (last.name !== 'open' && last.name !== 'closing') return
      emit('close', { ...(close ?? NO_CLOSE_FRAME), cause, willRetry: delay !== undefined, delay })
    },
  }
}
