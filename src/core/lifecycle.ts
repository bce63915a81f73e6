import { type Connection, openConnection } from './connection.js'
import type { Emitter } from './emitter.js'
import { SocketError } from './errors.js'
import type { Heartbeat, StartHeartbeat } from './heartbeat.js'
import type { PageWatch, WatchPage } from './page.js'
import type { PrepareConnection } from './prepare.js'
import type { Queue } from './queue.js'
import { askRetry, nextDeadline, type Retry } from './retry.js'
import { failures, type Input, type State, type Table, transition } from './states.js'
import { createTimer } from './timers.js'
import type { Endpoint, Socket, SocketEvents, SocketOptions, Stats } from './types.js'

/** The counts of a socket, which `stats` shows. */
export type Counts = { -readonly [Name in keyof Stats]: Stats[Name] }

/** What becomes of the connection, as a socket shows it. */
export type Lifecycle = Omit<Socket<any>, 'on' | 'once' | 'off' | 'send'>

type Enter = {
  [Name in State['name']]: (next: Extract<State, { name: Name }>, last: State) => void
}

// A server that accepts connections only to drop them does so within seconds, and must not be treated as healthy.
const MIN_UPTIME = 5_000

/** Takes everything that happens through the table in states.ts, and carries out the effects of entering each state. */
export const createLifecycle = <Binary extends BinaryType>(
  endpoint: Endpoint,
  options: SocketOptions<Binary>,
  { emit, defer }: Emitter<SocketEvents<Binary>>,
  queue: Queue,
  counts: Counts,
  retry: Retry | false,
  startHeartbeat?: StartHeartbeat,
  watchPage?: WatchPage,
  prepare?: PrepareConnection,
): Lifecycle => {
  const { minUptime = MIN_UPTIME, heartbeat: heartbeatOptions, autoConnect = true, signal, wake } = options
  /** The end of a wait. The deadlines of an attempt and of the closing handshake belong to the connection. */
  const setTimer = createTimer()
  let state: State = { name: 'closed' }
  let connection: Connection | undefined
  let heartbeat: Heartbeat | undefined
  let page: PageWatch | undefined
  let deadline = 0
  /** Since when there has been no connection that lasted. */
  let downSince = 0
  let lastUrl = ''
  /** What the platform throws for a fixed endpoint. */
  let refused: SocketError | undefined

  const native = () => connection?.native
  const url = () => native()?.url ?? lastUrl
  const dispatch = (input: Input) => defer(() => step(input))
  const connect = () => dispatch({ type: 'connect' })
  const close = (cause: SocketError, code?: number, reason?: string) =>
    dispatch({ type: 'close', code, reason, cause })
  const abort = () => close(new SocketError('CLOSED', signal?.reason))

  /** Takes an input through the table, and enters the state that follows, if one does. */
  const step = (input: Input, table?: Table) => {
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
        page = wake === false ? undefined : watchPage?.(wake, url, step, defer, () => heartbeat)
        signal?.addEventListener('abort', abort)
      }
      if (last.name !== 'waiting') downSince = Date.now()
      counts.attempts++
      deadline = nextDeadline(deadline, options, next.cause)
      try {
        connection = openConnection(endpoint, options, next, deadline, onOpen, lose, prepare)
      } catch (error) {
        // Retrying cannot help: the endpoint is fixed.
        refused = new SocketError('ENDPOINT_FAILED', error)
        emit('error', refused)
        close(refused)
      }
    },

    open({ attempt, url, protocol }) {
      const { native, receive } = connection as Connection & { native: WebSocket }
      emit('open', { attempt, url, protocol, reconnected: counts.connections++ > 0 })
      queue.attach(native)
      heartbeat = heartbeatOptions && startHeartbeat?.(heartbeatOptions, queue.write, onTimeout, counts)
      receive(onMessage)
      defer(queue.flush)
    },

    waiting({ delay, cause }, last) {
      disconnect(last, cause, delay)
      setTimer(delay, connect)
    },

    closing({ code, reason, cause }) {
      queue.flush(true)
      // A reason needs a code. Without one Chromium would throw here, and others would lose the reason.
      // https://websockets.spec.whatwg.org/#dom-websocket-close
      connection?.close(code ?? (reason === undefined ? undefined : 1000), reason, cause)
    },

    closed({ cause }, last) {
      disconnect(last, cause as SocketError)
      page?.stop()
      signal?.removeEventListener('abort', abort)
      queue.clear()
    },
  }

  /** Abandons the connection, if there is one, takes back what certainly never left, and reports how it ended. */
  const disconnect = (last: State, cause: SocketError, delay?: number) => {
    lastUrl = url()
    const { close, unsent } = connection?.abandon() ?? {}
    connection = undefined
    queue.detach(unsent, close?.code)
    if (last.name === 'open' || last.name === 'closing') {
      emit('close', { ...NO_CLOSE_FRAME, ...close, cause, willRetry: delay !== undefined, delay })
    }
  }

  const onOpen = ({ url, protocol }: WebSocket) =>
    dispatch({ type: 'opened', now: Date.now(), url, protocol })

  const onMessage = (event: MessageEvent) => {
    if (heartbeat?.onMessage(event)) return
    const { data } = event
    counts.received++
    emit(typeof data === 'string' ? 'text' : 'binary', data)
    if (counts.queued) defer(queue.flush)
  }

  const onTimeout = () => lose(new SocketError('UNRESPONSIVE'))

  /** The attempt or connection has ended. With `again`, there is another one even if `retry` gives up. */
  const lose = (cause: SocketError, again?: boolean) =>
    defer(() => {
      const now = Date.now()
      const uptime = state.name === 'open' ? Math.max(0, now - state.since) : 0
      const attempt = failures(state, uptime, minUptime)
      if (state.name === 'connecting') emit('error', cause)
      if (state.name === 'open' && attempt === 1) downSince = now
      let delay: number | false = false
      try {
        const elapsed = Math.max(0, now - downSince)
        if (state.name !== 'closing') delay = askRetry(retry, { attempt, cause, uptime, elapsed })
      } catch (error) {
        cause = new SocketError('RETRY_FAILED', error)
        emit('error', cause)
      }
      if (delay === false && again) delay = 0
      if (delay !== false && page) delay = page.whileOffline(delay)
      step({ type: 'lost', now, cause, attempt, delay })
    })

  /** Attempts need a constructor, and a signal that is not aborted. */
  const mayConnect = () => {
    if (!(options.WebSocket ?? globalThis.WebSocket)) {
      throw new SocketError('NO_WEBSOCKET', undefined, undefined, 'pass one as options.WebSocket')
    }
    return !signal?.aborted
  }

  const lifecycle: Lifecycle = {
    connect() {
      if (!mayConnect()) return
      refused = undefined
      connect()
      if (refused) throw (refused as SocketError).cause
    },
    reconnect(cause) {
      if (!mayConnect()) return
      defer(() => {
        if (state.name === 'open' || state.name === 'connecting') {
          lose(new SocketError('RECONNECT_REQUESTED', cause), true)
        } else step({ type: 'connect' })
      })
    },
    close: (code, reason) => close(new SocketError('CLOSED'), code, reason),
    get state() {
      return state
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
  else if (autoConnect) lifecycle.connect()
  // There is something to close before the first attempt, too.
  else signal?.addEventListener('abort', abort)
  return lifecycle
}

/** The end of a connection without a close frame. */
// https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5
const NO_CLOSE_FRAME = { code: 1006, reason: '', wasClean: false }
