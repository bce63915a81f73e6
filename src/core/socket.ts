import { dial, type Line } from './connection.js'
import { byteLength, check, copy, type Data } from './data.js'
import { createEmitter, guard } from './emitter.js'
import { SocketError } from './errors.js'
import { createHeartbeat, type Heartbeat } from './heartbeat.js'
import { checkNumber, settle } from './options.js'
import { isHidden, isOffline, pageWake, type WakeNews } from './page.js'
import { createQueue, type DropReason } from './queue.js'
import { backoff } from './retry.js'
import { failures, type Input, type State, transition } from './states.js'
import type { Endpoint, Socket, SocketEvents, SocketOptions } from './types.js'

/** How far apart, in milliseconds, clients are kept that wake together. */
const WAKE_SPREAD = 300

/** How often, in milliseconds, to try although the browser says that there is no network: it can be wrong. */
const OFFLINE_DELAY = 30_000

/** Slower handshakes than this, in milliseconds, are not waited for. */
const MAX_CONNECT_TIMEOUT = 60_000

/**
 * Makes a WebSocket that stays up.
 *
 * ```ts
 * const socket = createSocket('wss://push.example.com/feed')
 * socket.on('text', text => show(text))
 * socket.send('hello')
 * ```
 *
 * It connects at once, unless `autoConnect` is false. Throws a `TypeError` for options that make no sense, what the platform throws
 * for a malformed URL or subprotocol, and a `SocketError` with the code `NO_WEBSOCKET` where there is no `WebSocket`. An outage
 * never throws: it is a state and a cause.
 */
export const createSocket = <Binary extends BinaryType = 'arraybuffer'>(
  endpoint: Endpoint,
  options: SocketOptions<Binary> = {},
): Socket<Binary> => {
  const settings = settle(options)
  const {
    connectTimeout,
    retry = backoff(),
    wake = pageWake,
    heartbeat,
    signal,
    autoConnect = true,
  } = settings
  const { on, off, emit, post } = createEmitter<SocketEvents<Binary>>({
    state: [],
    open: [],
    text: [],
    binary: [],
    close: [],
    error: [],
    drop: [],
  })
  const counts = {
    attempts: 0,
    connections: 0,
    sent: 0,
    received: 0,
    reclaimed: 0,
    dropped: 0,
    queued: 0,
    queuedBytes: 0,
    latency: undefined as number | undefined,
  }
  const drop = (data: Data, reason: DropReason) => {
    counts.dropped++
    emit('drop', { data, reason })
    return 'dropped' as const
  }
  const queue = createQueue(settings, counts, drop, isHidden, byteLength, copy)

  let state: State = { name: 'closed' }
  /** The one state timer: the deadline of an attempt or of the closing handshake, or the end of a wait. */
  let timer: ReturnType<typeof setTimeout> | undefined
  let deadline = connectTimeout
  /** When there was last a connection that lasted. */
  let since = 0
  let url = ''
  let line: Line | undefined
  let beat: Heartbeat | undefined
  /** What the platform had against the endpoint, where it was given and not asked for. */
  let refused: SocketError | undefined
  let stopWake: (() => void) | false | undefined

  const after = (delay: number, job: () => void) => {
    // More than 2^31 milliseconds would fire at once.
    if (delay < Infinity) timer = setTimeout(job, Math.min(delay, 1e9))
  }
  const feed = (input: Input) => post(() => step(input))
  const connect = () => feed({ type: 'connect' })
  const end = (cause: SocketError, code?: number, reason?: string) =>
    feed({ type: 'close', code, reason, cause })
  const abort = () => end(new SocketError('CLOSED', signal?.reason))
  const address = () => line?.native?.url ?? url

  /** A wait is longer while the browser says that there is no network. */
  const hold = (delay: number) => (wake && isOffline(address()) ? Math.max(delay, OFFLINE_DELAY) : delay)

  const hearNews = (type: WakeNews) =>
    post(() => {
      if (type === 'sleep') step({ type, cause: new SocketError('PAGE_HIDDEN') })
      else if (beat) beat.probe()
      else step({ type, now: Date.now(), delay: hold(type === 'wake' ? Math.random() * WAKE_SPREAD : 0) })
    })

  const hear = (event: MessageEvent) => {
    if (beat?.heard(event)) return
    const { data } = event
    counts.received++
    emit(typeof data === 'string' ? 'text' : 'binary', data)
    if (counts.queued) post(queue.flush)
  }

  /** Takes what happened through the table, and does what belongs to entering the state that follows. */
  const step = (input: Input) => {
    const last = state
    const next = transition(last, input)
    if (!next) return
    clearTimeout(timer)
    beat?.stop()
    beat = undefined
    state = next
    emit('state', next)

    if (next.name === 'open') {
      const { native, take } = line as Line & { native: WebSocket }
      emit('open', {
        attempt: next.attempt,
        url: next.url,
        protocol: next.protocol,
        reconnected: counts.connections++ > 0,
      })
      queue.attach(native)
      if (heartbeat) beat = pulse()
      take(hear)
      post(queue.flush)
    } else if (next.name === 'closing') {
      queue.flush(true)
      // A reason needs a code. Chromium would throw here, others forget the reason.
      // https://websockets.spec.whatwg.org/#dom-websocket-close
      line?.native?.close(next.code ?? (next.reason === undefined ? undefined : 1000), next.reason)
      after(line?.ended ? 0 : settings.closeTimeout, () => lose(next.cause))
    } else {
      const close = letGo()
      const {
        cause = (last as { cause: SocketError }).cause,
        delay = next.name === 'closed' ? undefined : 0,
      } = next as { cause?: SocketError; delay?: number }
      if (last.name === 'open' || last.name === 'closing') {
        emit('close', { ...close, cause, willRetry: delay !== undefined, delay })
      }
      if (next.name === 'waiting') after(next.delay, connect)
      else if (next.name === 'closed') {
        if (stopWake) guard(stopWake)
        signal?.removeEventListener('abort', abort)
        queue.clear()
      } else {
        if (last.name === 'closed') {
          stopWake = wake && guard(wake, hearNews)
          signal?.addEventListener('abort', abort)
        }
        if (last.name !== 'waiting') since = Date.now()
        start(next)
      }
    }
  }

  /** Lets go of the connection, and takes back what certainly never left it. */
  const letGo = () => {
    const ended = line?.ended
    url = address()
    queue.detach(line?.leave(), ended?.code)
    line = undefined
    // Without a close frame: https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5
    return ended ?? { code: 1006, reason: '', wasClean: false }
  }

  const start = (next: Extract<State, { name: 'connecting' }>) => {
    const failed = (error: SocketError) => {
      if (!line?.unsent) return lose(error)
      // In Chromium, what a socket says that it has not sent is stale after a freeze, until the next task.
      clearTimeout(timer)
      after(0, () => lose(error))
    }
    deadline =
      next.cause?.code === 'CONNECT_TIMEOUT'
        ? Math.max(connectTimeout, Math.min(deadline * 2, MAX_CONNECT_TIMEOUT))
        : connectTimeout
    after(deadline, () => lose(new SocketError('CONNECT_TIMEOUT', undefined, undefined, `${deadline} ms`)))
    counts.attempts++
    try {
      line = dial(endpoint, settings, next, failed, ({ url, protocol }) =>
        feed({ type: 'opened', now: Date.now(), url, protocol }),
      )
    } catch (error) {
      // It would be the same the next time.
      refused = new SocketError('ENDPOINT_FAILED', error)
      emit('error', refused)
      end(refused)
    }
  }

  /** The attempt or connection is over: asks the policy what now. It may not give up where there `must` be another. */
  const lose = (cause: SocketError, must?: boolean) =>
    post(() => {
      const now = Date.now()
      const uptime = state.name === 'open' ? Math.max(0, now - state.since) : 0
      const attempt = failures(state, uptime, settings.minUptime)
      let delay: number | false = false
      if (state.name === 'connecting') emit('error', cause)
      if (state.name === 'open' && attempt === 1) since = now
      try {
        if (retry && state.name !== 'closing') {
          delay = retry({ attempt, cause, uptime, elapsed: Math.max(0, now - since) })
        }
        if (delay !== false) checkNumber('the delay of retry', delay)
      } catch (error) {
        cause = new SocketError('RETRY_FAILED', error)
        delay = false
        emit('error', cause)
      }
      if (delay !== false || must) delay = hold(delay || 0)
      step({ type: 'lost', now, cause, attempt, delay })
    })

  const pulse = () => {
    const { message, isReply } = settings
    return createHeartbeat(settings, {
      ask: () => guard(() => queue.write(typeof message === 'function' ? message() : (message as Data))),
      isReply: data => isReply && guard(isReply, data),
      dead: () => lose(new SocketError('UNRESPONSIVE')),
      measured(time) {
        counts.latency = time
      },
    })
  }

  /** Attempts need a constructor, and a life that is not over. */
  const mayConnect = () => {
    if (!(settings.WebSocket ?? globalThis.WebSocket)) {
      throw new SocketError('NO_WEBSOCKET', undefined, undefined, 'pass one as options.WebSocket')
    }
    return !signal?.aborted
  }

  const socket: Socket<Binary> = {
    on,
    once: (type, listener, how) => on(type, listener, { ...how, once: true }),
    off,

    send(data, how) {
      check(data)
      if (how?.ttl !== undefined) checkNumber('ttl', how.ttl)
      // Before the first attempt messages wait; after the last they would wait for ever.
      if (state.name === 'closing' || (state.name === 'closed' && state.cause)) return drop(data, 'closed')
      const outcome = queue.push(data, how)
      if (outcome !== 'queued' || state.name !== 'open') return outcome
      post(queue.flush)
      return counts.queued ? outcome : 'sent'
    },

    connect() {
      if (!mayConnect()) return
      refused = undefined
      connect()
      if (refused) throw (refused as SocketError).cause
    },

    reconnect(cause) {
      if (!mayConnect()) return
      post(() => {
        if (state.name === 'open' || state.name === 'connecting') {
          lose(new SocketError('RECONNECT_REQUESTED', cause), true)
        } else step({ type: 'connect' })
      })
    },

    close(code, reason) {
      // The platform's own rules, checked before the state moves rather than half-way through.
      // https://websockets.spec.whatwg.org/#dom-websocket-close
      if (code !== undefined && code !== 1000 && !(code >= 3000 && code < 5000)) {
        throw new DOMException('close() takes 1000 or 3000-4999', 'InvalidAccessError')
      }
      if (byteLength(`${reason ?? ''}`) > 123) {
        throw new DOMException('close() takes a reason of up to 123 bytes', 'SyntaxError')
      }
      end(new SocketError('CLOSED'), code, reason)
    },

    get state() {
      return state
    },
    get queued() {
      return counts.queued
    },
    get bufferedAmount() {
      return counts.queuedBytes + (line?.native?.bufferedAmount ?? 0)
    },
    get latency() {
      return counts.latency
    },
    get url() {
      return address()
    },
    get protocol() {
      return line?.native?.protocol ?? ''
    },
    get stats() {
      return { ...counts }
    },
  }

  if (signal?.aborted) abort()
  else if (autoConnect) socket.connect()
  else signal?.addEventListener('abort', abort)
  return socket
}
