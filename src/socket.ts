import type { Endpoint, Socket, SocketEvents, SocketOptions } from './api.js'
import { backoff } from './backoff.js'
import { dial, type Line } from './connection.js'
import { byteLength, check, copy, type Data } from './data.js'
import { createEmitter, guard } from './emitter.js'
import { SocketError } from './errors.js'
import { createHeartbeat, type Heartbeat, type HeartbeatOptions } from './heartbeat.js'
import { failures, type Input, type State, transition } from './machine.js'
import { createQueue } from './queue.js'
import { isHidden, isOffline, pageWake, type WakeNews } from './wake.js'

/** How far apart, in milliseconds, clients are kept that wake together. */
const WAKE_SPREAD = 300

/** How often, in milliseconds, to try although the browser says that there is no network: it can be wrong. */
const OFFLINE_DELAY = 30_000

/** Slower handshakes than this, in milliseconds, are not waited for. */
const MAX_CONNECT_TIMEOUT = 60_000

/** `setTimeout` with more than 2^31 milliseconds fires at once. */
const after = (delay: number, job: () => void) =>
  delay < Infinity ? setTimeout(job, Math.min(delay, 1e9)) : undefined

/**
 * Makes a WebSocket that stays up.
 *
 * ```ts
 * const socket = createSocket('wss://push.example.com/feed')
 * socket.on('text', text => show(text))
 * socket.send('hello')
 * ```
 */
export const createSocket = <Binary extends BinaryType = 'arraybuffer'>(
  endpoint: Endpoint,
  options: SocketOptions<Binary> = {},
): Socket<Binary> => {
  const {
    binaryType = 'arraybuffer',
    autoConnect = true,
    retry = backoff(),
    minUptime = 5_000,
    connectTimeout = 10_000,
    closeTimeout = 3_000,
    queue: limits = {},
    highWaterMark = 2 ** 20,
    heartbeat,
    wake = pageWake,
    signal: life,
  } = options
  const { maxMessages, maxBytes, overflow = 'reject' } = limits
  const { interval, timeout } = heartbeat ?? {}

  for (const [name, value] of Object.entries({
    minUptime,
    connectTimeout,
    closeTimeout,
    highWaterMark,
    maxMessages,
    maxBytes,
    interval,
    timeout,
  })) {
    if (value !== undefined && !(typeof value === 'number' && value >= 0)) {
      throw new TypeError(`${name} takes a number from 0 up`)
    }
  }
  if (!/^(arraybuffer|blob),(reject|drop-oldest)$/.test(`${binaryType},${overflow}`)) {
    throw new TypeError("binaryType takes 'arraybuffer' or 'blob', overflow 'reject' or 'drop-oldest'")
  }

  const { on, off, emit, post } = createEmitter<SocketEvents<Binary>>({
    state: [],
    open: [],
    text: [],
    binary: [],
    close: [],
    error: [],
    drop: [],
  })

  let state: State = { name: 'closed' }
  /** The one state timer: the deadline of an attempt or of the closing handshake, or the end of a wait. */
  let timer: ReturnType<typeof after>
  let deadline = connectTimeout
  /** When there was last a connection that lasted. */
  let since = 0

  let line: Line | undefined
  let beat: Heartbeat | undefined
  let stopListening = () => {}

  let url = ''
  let attempts = 0
  let connections = 0
  let received = 0
  let dropped = 0
  let latency: number | undefined

  const queue = createQueue(limits, {
    highWaterMark,
    throttled: isHidden,
    byteLength,
    copy,
    drop(data, reason) {
      dropped++
      emit('drop', { data, reason })
    },
  })

  const hear = (event: MessageEvent) => {
    if (beat?.heard(event)) return
    const { data } = event
    received++
    emit(typeof data === 'string' ? 'text' : 'binary', data)
    if (queue.count) post(queue.flush)
  }

  const address = () => line?.native?.url ?? url

  /** A wait is longer while the browser says that there is no network. */
  const hold = (delay: number) => (wake && isOffline(address()) ? Math.max(delay, OFFLINE_DELAY) : delay)

  const hearNews = (news: WakeNews) =>
    post(() => {
      if (news === 'sleep')
        step({ type: news, cause: new SocketError('PAGE_HIDDEN', 'the page was put away') })
      else if (state.name === 'open') beat?.probe()
      else
        step({ type: news, now: Date.now(), delay: hold(news === 'wake' ? Math.random() * WAKE_SPREAD : 0) })
    })

  const end = (message: string, cause?: unknown, code?: number, reason?: string) =>
    post(() => step({ type: 'close', code, reason, cause: new SocketError('CLOSED', message, cause) }))

  const abort = () => end('signal was aborted', life?.reason)

  /** What is listened to from the first attempt until the socket is closed. */
  const listen = () => {
    const stop = wake && guard(wake, hearNews)
    life?.addEventListener('abort', abort)
    stopListening = () => {
      if (stop) guard(stop, undefined)
      life?.removeEventListener('abort', abort)
    }
  }

  /** Lets go of the connection, and takes back what certainly never left it. */
  const letGo = () => {
    const { native, ended, unsent = 0 } = line ?? {}
    queue.detach(native && ended && Math.min(unsent, native.bufferedAmount), ended?.code)
    url = address()
    line?.leave()
    line = undefined
    // Without a close frame: https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5
    return ended ?? { code: 1006, reason: '', wasClean: false }
  }

  /** Takes what happened through the table, and does what belongs to entering the state that follows. */
  const step = (input: Input) => {
    const last = state
    const next = transition(last, input)
    if (!next) return
    const hadOpened = last.name === 'open' || last.name === 'closing'
    clearTimeout(timer)
    beat?.stop()
    beat = undefined
    state = next
    emit('state', next)

    if (next.name === 'open') {
      const { native, listen: receive } = line as Line & { native: WebSocket }
      const { attempt, url, protocol } = next
      emit('open', { attempt, url, protocol, reconnected: connections++ > 0 })
      queue.attach(native)
      if (heartbeat) beat = pulse(heartbeat)
      receive(hear)
      post(queue.flush)
      return
    }
    if (next.name === 'closing') {
      queue.flush(true)
      line?.native?.close(next.code, next.reason)
      timer = after(closeTimeout, () => lose(next.cause))
      return
    }

    const close = letGo()
    if (hadOpened) {
      const willRetry = next.name !== 'closed'
      emit('close', {
        ...close,
        cause: (next.cause ?? (last as { cause?: SocketError }).cause) as SocketError,
        willRetry,
        delay: next.name === 'waiting' ? next.delay : willRetry ? 0 : undefined,
      })
    }
    if (next.name === 'waiting') {
      timer = after(next.delay, () => post(() => step({ type: 'connect' })))
    } else if (next.name === 'connecting') {
      if (last.name === 'closed') listen()
      if (last.name !== 'waiting') since = Date.now()
      start(next)
    } else {
      stopListening()
      queue.clear()
    }
  }

  const start = (next: Extract<State, { name: 'connecting' }>) => {
    const failed = (error: SocketError) => {
      clearTimeout(timer)
      // In Chromium, what a socket says that it has not sent is stale after a freeze, until the next task.
      if (line?.unsent) timer = setTimeout(lose, 0, error)
      else lose(error)
    }
    deadline =
      next.cause?.code === 'CONNECT_TIMEOUT'
        ? Math.max(connectTimeout, Math.min(deadline * 2, MAX_CONNECT_TIMEOUT))
        : connectTimeout
    timer = after(deadline, () =>
      failed(new SocketError('CONNECT_TIMEOUT', `no connection within ${deadline} ms`)),
    )
    attempts++
    try {
      line = dial(endpoint, { ...options, binaryType } as SocketOptions<Binary>, next, {
        failed,
        ready: ({ url, protocol }) => post(() => step({ type: 'opened', now: Date.now(), url, protocol })),
      })
    } catch (error) {
      // It would throw the same next time.
      step({
        type: 'lost',
        now: Date.now(),
        cause: new SocketError('ENDPOINT_FAILED', 'the platform refused the address: see cause', error),
        attempt: 0,
        delay: false,
      })
    }
  }

  /** The attempt or connection is over: asks the policy what now. `insist`: giving up is not an answer. */
  const lose = (cause: SocketError, insist?: boolean) =>
    post(() => {
      const now = Date.now()
      const uptime = state.name === 'open' ? now - state.since : 0
      const failed = failures(state, uptime, minUptime)
      let delay: number | false = false
      if (state.name === 'connecting') emit('error', cause)
      if (state.name === 'open' && failed === 1) since = now
      try {
        delay =
          retry && state.name !== 'closing' && retry({ attempt: failed, cause, uptime, elapsed: now - since })
        if (delay !== false && !(delay >= 0)) throw new TypeError(`retry answered ${delay}`)
      } catch (error) {
        cause = new SocketError(
          'RETRY_FAILED',
          'retry takes milliseconds from 0 up, or false: see cause',
          error,
        )
        delay = false
        emit('error', cause)
      }
      if (delay !== false || insist) delay = hold(+delay)
      step({ type: 'lost', now, cause, attempt: failed, delay })
    })

  const pulse = (pace: HeartbeatOptions) => {
    const { message, isReply } = pace
    return createHeartbeat(pace, {
      ask: () =>
        guard(() => queue.write(typeof message === 'function' ? message() : (message as Data)), undefined),
      isReply: data => isReply && guard(isReply, data),
      dead: () => lose(new SocketError('UNRESPONSIVE', 'no sign of life: is the network gone?')),
      measured(time) {
        latency = time
      },
    })
  }

  /** Attempts need a constructor, and a life that is not over. */
  const wanted = (job: () => void) => {
    if (!(options.WebSocket ?? globalThis.WebSocket)) {
      throw new SocketError('NO_WEBSOCKET', 'there is no WebSocket here: pass one as the option WebSocket')
    }
    if (!life?.aborted) post(job)
  }

  const connect = () => {
    wanted(() => step({ type: 'connect' }))
    if (
      typeof endpoint !== 'function' &&
      state.name === 'closed' &&
      state.cause?.code === 'ENDPOINT_FAILED'
    ) {
      throw state.cause.cause
    }
  }

  const socket: Socket<Binary> = {
    on,
    once: (type, listener, how) => on(type, listener, { ...how, once: true }),
    off,

    send(data, how) {
      check(data)
      if (how?.ttl !== undefined && !(how.ttl >= 0)) throw new TypeError('ttl takes milliseconds from 0 up')
      // Before the first attempt messages wait; after the last they would wait for ever.
      const closed = state.name === 'closing' || (state.name === 'closed' && !!state.cause)
      const outcome = queue.push(data, how, closed)
      if (outcome !== 'queued' || state.name !== 'open') return outcome
      post(queue.flush)
      return queue.count ? outcome : 'sent'
    },

    connect,

    reconnect: cause =>
      wanted(() => {
        if (state.name === 'open' || state.name === 'connecting') {
          lose(new SocketError('RECONNECT_REQUESTED', 'reconnect() was called', cause), true)
        } else step({ type: 'connect' })
      }),

    close(code, reason) {
      // The platform's own rules, checked before the state moves rather than half-way through.
      // https://websockets.spec.whatwg.org/#dom-websocket-close
      if (code !== undefined && code !== 1000 && !(code >= 3000 && code < 5000)) {
        throw new DOMException(`close() takes 1000 or 3000-4999, not ${code}`, 'InvalidAccessError')
      }
      if (byteLength(`${reason ?? ''}`) > 123) {
        throw new DOMException('close() takes a reason of up to 123 bytes', 'SyntaxError')
      }
      end('close() was called', undefined, code, reason)
    },

    get state() {
      return state
    },
    get queued() {
      return queue.count
    },
    get bufferedAmount() {
      return queue.bytes + (line?.native?.bufferedAmount ?? 0)
    },
    get latency() {
      return latency
    },
    get url() {
      return address()
    },
    get protocol() {
      return line?.native?.protocol ?? ''
    },
    get stats() {
      const { sent, reclaimed, count, bytes } = queue
      return {
        attempts,
        connections,
        sent,
        received,
        reclaimed,
        dropped,
        queued: count,
        queuedBytes: bytes,
        latency,
      }
    },
  }

  if (life?.aborted) abort()
  else if (autoConnect) connect()
  else life?.addEventListener('abort', abort)
  return socket
}
