import { createTimer } from '../common/timers.js'
import type { Connector } from './connector.js'
import type { Emitter } from './emitter.js'
import { SocketError } from './errors.js'
import type { PageWatch, WatchPage } from './page.js'
import type { Queue } from './queue.js'
import { askRetry, type Retry } from './retry.js'
import { failures, type Input, type State, type Table, transition } from './states.js'
import type { SocketEvents, SocketOptions } from './types.js'

/** Drives a socket from state to state. */
export type Lifecycle = readonly [
  state: () => State,
  /** Whether messages that are sent now would be queued forever. Before the first attempt, they are queued for it. */
  isEnded: () => boolean,
  /** Passes an input through the table of states, after the current event. */
  dispatch: (input: Input) => void,
  /** Connects, unless there is a connection. If the endpoint is fixed, throws the platform's errors. */
  connect: () => void,
  /** The attempt or connection has ended. With `again`, another one follows even if `retry` gives up. */
  lose: (cause: SocketError, again?: boolean) => void,
  /** Takes an input through the table, and enters the state that follows, if one does. */
  step: (input: Input, table?: Table) => void,
  /** Closes the socket permanently, because `signal` was aborted. */
  abort: () => void,
]

type Enter = {
  [Name in State['name']]: (next: Extract<State, { name: Name }>, last: State) => void
}

/** Passes all inputs through the table in states.ts, and runs the effects of entering each state. */
export const createLifecycle = (
  options: SocketOptions<any>,
  emit: Emitter<SocketEvents<any>>['emit'],
  defer: Emitter<SocketEvents<any>>['defer'],
  queue: Queue,
  retry: Retry | false,
  connector: () => Connector,
  watchPage?: WatchPage,
): Lifecycle => {
  // A server that accepts connections and drops them again does so within seconds. It must not count as healthy.
  const { minUptime = 5_000, wake, signal, WebSocket } = options
  /** The deadline of the closing handshake, or the end of a wait. */
  const setTimer = createTimer()
  let state: State = { name: 'closed' }
  let page: PageWatch | undefined
  /** Since when there has been no connection that lasted. */
  let downSince = 0
  /** What the platform throws for a fixed endpoint. */
  let refused: SocketError | undefined

  const dispatch = (input: Input) => defer(() => step(input))
  const close = (cause: SocketError) => dispatch({ type: 'close', cause })
  const abort = () => {
    close(new SocketError('CLOSED', signal?.reason))
    // With `keepWhenClosed`, messages are queued while the socket is closed, too.
    if (state.name === 'closed') queue.clear()
  }
  /** Whether messages are queued even while the socket is closed. */
  const isKept = () => (options.queue || undefined)?.keepWhenClosed && !signal?.aborted

  const step = (input: Input, table?: Table) => {
    // Checked here and not by the methods, because a listener may abort between the call and its effect.
    if (input.type === 'connect' && signal?.aborted) return
    const last = state
    const next = transition(last, input, table)
    if (!next) return
    setTimer()
    state = next
    emit('state', next)
    ;(enter[next.name] as (next: State, last: State) => void)(next, last)
  }

  const enter: Enter = {
    connecting(next, last) {
      connector().end(last, (next.cause ?? (last as { cause: SocketError }).cause) as SocketError, 0)
      if (last.name === 'closed') {
        page = watchPage?.(wake, connector(), step, defer)
        signal?.addEventListener('abort', abort)
      }
      if (last.name !== 'waiting') downSince = Date.now()
      try {
        connector().start(next)
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

    open(next, last) {
      connector().attach(next, last)
    },

    waiting({ delay, cause }, last) {
      connector().end(last, cause, delay)
      setTimer(delay, () => dispatch({ type: 'connect' }))
    },

    closing({ code, reason, cause }) {
      connector().close(code, reason, delay => setTimer(delay, () => lose(cause)))
    },

    closed({ cause }, last) {
      connector().end(last, cause as SocketError)
      page?.stop()
      if (isKept()) return
      signal?.removeEventListener('abort', abort)
      queue.clear()
    },
  }

  const lose = (cause: SocketError, again?: boolean) =>
    defer(() => {
      if (state.name === 'open' && !again && connector().succeed?.(cause)) return
      const now = Date.now()
      const uptime = state.name === 'open' ? Math.max(0, now - state.since) : 0
      const attempt = failures(state, uptime, minUptime)
      if (state.name === 'connecting') emit('error', cause)
      else if (attempt === 1) downSince = now
      const isLive = state.name === 'open' || state.name === 'connecting'
      let [delay, error] = askRetry(
        isLive && retry,
        downSince,
        { attempt, cause, uptime, url: connector().url() },
        emit,
      )
      if (again) delay ||= 0
      else if (page && delay !== false) delay = page.adjust(delay, cause)
      step({ type: 'lost', now, cause: error ?? cause, attempt, delay })
    })

  return [
    () => state,
    () => !isKept() && (state.name === 'closing' || (state.name === 'closed' && !!state.cause)),
    dispatch,
    () => {
      refused = undefined
      dispatch({ type: 'connect' })
      if (refused) throw (refused as SocketError).cause
    },
    lose,
    step,
    abort,
  ]
}
