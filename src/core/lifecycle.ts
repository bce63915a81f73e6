import type { Checks } from './checks.js'
import { type Abandon, openConnection } from './connection.js'
import type { Emitter } from './emitter.js'
import { checkNumber, SocketError } from './errors.js'
import type { Heartbeat, StartHeartbeat } from './heartbeat.js'
import type { PageWatch, WatchPage } from './page.js'
import type { PrepareConnection } from './prepare.js'
import type { Queue } from './queue.js'
import type { Retry } from './retry.js'
import { failures, type Input, type State, type Table, transition } from './states.js'
import { createTimer } from './timers.js'
import type { BinaryType, Endpoint, Socket, SocketEvents, SocketOptions, Stats } from './types.js'

/** The counts of a socket, which `stats` shows. */
export type Counts = { -readonly [Name in keyof Stats]: Stats[Name] }

/** What becomes of the connection, as a socket shows it. */
export type Lifecycle = Omit<Socket<any>, 'on' | 'once' | 'off' | 'send'>

type Enter = {
  [Name in State['name']]: (next: Extract<State, { name: Name }>, last: State) => void
}

const UNHANDLED_BINARY = "no listener for 'binary': a server that passes text on must send it as text"

/** Takes everything that happens through the table in states.ts, and carries out the effects of entering each state. */
export const createLifecycle = <Binary extends BinaryType>(
  endpoint: Endpoint,
  options: SocketOptions<Binary>,
  emit: Emitter<SocketEvents<Binary>>['emit'],
  defer: Emitter<SocketEvents<Binary>>['defer'],
  queue: Queue,
  counts: Counts,
  createRetry: () => Retry,
  startHeartbeat?: StartHeartbeat,
  watchPage?: WatchPage,
  prepare?: PrepareConnection,
  checks?: Checks,
): Lifecycle => {
  const {
    autoConnect = true,
    retry = createRetry(),
    // A server that accepts connections only to drop them does so within seconds, and must not be treated as healthy.
    minUptime = 5_000,
    // Chromium delays attempts by up to 5 s after many failures: a shorter timeout ends some that have not even started.
    // https://source.chromium.org/chromium/chromium/src/+/main:services/network/websocket_throttler.cc
    connectTimeout = 10_000,
    closeTimeout = 3_000,
    heartbeat: heartbeatOptions,
    wake,
    signal,
    WebSocket,
  } = options
  const { keepWhenClosed } = options.queue || {}
  /** The deadline of an attempt or of the closing handshake, or the end of a wait. */
  const setTimer = createTimer()
  let state: State = { name: 'closed' }
  let native: WebSocket | undefined
  let abandon: Abandon | undefined
  /** Messages that came before `open`. */
  let unread: MessageEvent[] = []
  let heartbeat: Heartbeat | undefined
  let page: PageWatch | undefined
  let deadline = 0
  /** What heartbeats remember from one connection to the next. */
  const memory = { timeouts: 0 }
  let isBinaryReported = false
  /** Since when there has been no connection that lasted. */
  let downSince = 0
  let lastUrl = ''
  /** What the platform throws for a fixed endpoint. */
  let refused: SocketError | undefined

  const url = () => native?.url ?? lastUrl
  const isLive = () => state.name === 'open' || state.name === 'connecting'
  const dispatch = (input: Input) => defer(() => step(input))
  const connect = () => dispatch({ type: 'connect' })
  const close = (cause: SocketError, code?: number, reason?: string) =>
    dispatch({ type: 'close', code, reason, cause })
  const abort = () => close(new SocketError('CLOSED', signal?.reason))

  /** Takes an input through the table, and enters the state that follows, if one does. */
  const step = (input: Input, table?: Table) => {
    // Checked here and not by the methods, because a listener may abort between the call and its effect.
    if (input.type === 'connect' && signal?.aborted) return
    const last = state
    const next = transition(last, input, table)
    if (!next) return
    setTimer()
    heartbeat?.stop()
    heartbeat = undefined
    state = next
    emit('state', next)
    ;(enter[next.name] as (next: State, last: State) => void)(next, last)
  }

  const enter: Enter = {
    connecting(next, last) {
      disconnect(last, (last as { cause: SocketError }).cause, 0)
      if (last.name === 'closed') {
        page = watchPage?.(wake, url, step, defer, () => heartbeat)
        signal?.addEventListener('abort', abort)
      }
      if (last.name !== 'waiting') downSince = Date.now()
      counts.attempts++
      // Twice as long as the last one, up to a minute, if that one ran into its deadline.
      deadline =
        next.cause?.code === 'CONNECT_TIMEOUT'
          ? Math.max(connectTimeout, Math.min(deadline * 2, 60_000))
          : connectTimeout
      try {
        abandon = openConnection(endpoint, options, next, deadline, setTimer, onNative, onOpen, lose, prepare)
      } catch (error) {
        const code = (WebSocket ?? globalThis.WebSocket) ? 'ENDPOINT_FAILED' : 'NO_WEBSOCKET'
        const failed = new SocketError(code, error)
        if (last.name !== 'closed') return lose(failed)
        // Retrying cannot help: the endpoint is fixed, and it has never worked.
        refused = failed
        emit('error', refused)
        close(refused)
      }
    },

    open({ attempt, url, protocol }) {
      emit('open', { attempt, url, protocol, reconnected: counts.connections++ > 0 })
      queue.attach(native as WebSocket)
      heartbeat =
        heartbeatOptions && startHeartbeat?.(heartbeatOptions, queue.write, onTimeout, counts, memory, bytes)
      ;(native as WebSocket).onmessage = onMessage
      unread.splice(0).forEach(onMessage)
      defer(queue.flush)
    },

    waiting({ delay, cause }, last) {
      disconnect(last, cause, delay)
      setTimer(delay, connect)
    },

    closing({ code, reason }) {
      queue.flush(true)
      // A reason needs a code. Without one Chromium would throw here, and others would lose the reason.
      // https://websockets.spec.whatwg.org/#dom-websocket-close
      native?.close(code ?? (reason === undefined ? undefined : 1000), reason)
      // A native socket that has closed is about to report it.
      setTimer(native?.readyState === 3 ? 0 : closeTimeout, onTimeout)
    },

    closed({ cause }, last) {
      disconnect(last, cause as SocketError)
      page?.stop()
      signal?.removeEventListener('abort', abort)
      if (!keepWhenClosed || signal?.aborted) queue.clear()
    },
  }

  /** Abandons the connection, if there is one, takes back what certainly never left, and reports how it ended. */
  const disconnect = (last: State, cause: SocketError, delay?: number) => {
    lastUrl = url()
    const [close, unsent] = abandon?.() ?? []
    native = abandon = undefined
    queue.detach(unsent, close?.code)
    if (last.name === 'open' || last.name === 'closing') {
      // Without a close frame: https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5
      emit('close', {
        code: 1006,
        reason: '',
        wasClean: false,
        ...close,
        cause,
        willRetry: delay !== undefined,
        delay,
      })
    }
  }

  const onNative = (socket: WebSocket) => {
    native = socket
  }

  const onOpen = (early: MessageEvent[]) => {
    const { url, protocol } = native as WebSocket
    unread = early
    dispatch({ type: 'opened', now: Date.now(), url, protocol })
  }

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

  const bytes = () => ({ left: queue.left(), buffered: native?.bufferedAmount ?? 0 })

  const onTimeout = () => lose(new SocketError('UNRESPONSIVE'))

  /** The attempt or connection has ended. With `again`, there is another one even if `retry` gives up. */
  const lose = (cause: SocketError, again?: boolean) =>
    defer(() => {
      const now = Date.now()
      const uptime = state.name === 'open' ? Math.max(0, now - state.since) : 0
      const attempt = failures(state, uptime, minUptime)
      if (state.name === 'connecting') emit('error', cause)
      else if (attempt === 1) downSince = now
      let delay: number | false = false
      try {
        const elapsed = Math.max(0, now - downSince)
        if (retry && isLive()) delay = retry({ attempt, cause, uptime, elapsed, url: url() })
        if (delay !== false) checkNumber('The delay of retry', delay)
      } catch (error) {
        cause = new SocketError('RETRY_FAILED', error)
        delay = false
        emit('error', cause)
      }
      if (again) delay = delay || 0
      if (delay !== false && page && !again) delay = page.adjust(delay, cause)
      step({ type: 'lost', now, cause, attempt, delay })
    })

  const lifecycle: Lifecycle = {
    connect() {
      checks?.connect(WebSocket)
      refused = undefined
      connect()
      if (refused) throw (refused as SocketError).cause
    },
    reconnect(cause, code, reason) {
      checks?.connect(WebSocket)
      checks?.close(code, reason)
      defer(() => {
        if (code !== undefined && state.name === 'open') native?.close(code, reason)
        if (isLive()) lose(new SocketError('RECONNECT_REQUESTED', cause), true)
        else step({ type: 'connect' })
      })
    },
    close(code, reason) {
      checks?.close(code, reason)
      close(new SocketError('CLOSED'), code, reason)
    },
    get state() {
      return state
    },
    get queued() {
      return counts.queued
    },
    get bufferedAmount() {
      return counts.queuedBytes + (native?.bufferedAmount ?? 0)
    },
    get latency() {
      return counts.latency
    },
    get url() {
      return url()
    },
    get protocol() {
      return native?.protocol ?? ''
    },
    get stats() {
      return { ...counts }
    },
  }

  if (signal?.aborted) abort()
  else if (autoConnect) lifecycle.connect()
  // There is something to close before the first attempt, too.
  else signal?.addEventListener('abort', abort)
  return lifecycle
}
