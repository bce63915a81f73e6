import { createTimer } from '../common/timers.js'
import { type CloseInfo, SocketError, type SocketErrorCode } from './errors.js'
import type { PrepareConnection } from './prepare.js'
import type { AttemptContext, Endpoint, SocketOptions } from './types.js'

/** One attempt, and the native socket that results from it. */
export interface Connection {
  /** The native socket, once there is one. */
  native: WebSocket | undefined
  /** The messages that arrived before `native.onmessage` was set. */
  unread: MessageEvent[]
  /** The milliseconds from the constructor of the native socket to its `open` event. */
  handshake: number
  /** Called once, when the connection is ready. The caller of `openConnection()` sets it, and `onFailed`. */
  onReady?: () => void
  /** Called once, when the attempt has failed or the connection has ended. Not after `abandon()`. */
  onFailed?: (cause: SocketError) => void
  /**
   * Ends the attempt or the connection: stops listening and closes in the background, because with a dead peer the browser's own `close`
   * event takes a minute or never arrives. Returns how the connection ended, and how many bytes were certainly not sent. Both are known only
   * if the native socket has closed.
   */
  abandon(): [close: CloseInfo | undefined, unsent: number | undefined]
}

/**
 * Starts an attempt, which ends once: with `onFailed`, or by `abandon()`. If the endpoint and the protocols are fixed, it throws the errors of
 * the platform's constructor.
 */
export const openConnection = (
  endpoint: Endpoint,
  { protocols, binaryType = 'arraybuffer', prepare, WebSocket = globalThis.WebSocket }: SocketOptions<any>,
  { attempt, cause }: { readonly attempt: number; readonly cause?: SocketError | undefined },
  deadline: number,
  prepareConnection?: PrepareConnection,
): Connection => {
  const scope = new AbortController()
  const { signal } = scope
  const setTimer = createTimer()
  let close: CloseInfo | undefined
  let unsent = 0
  let started = 0
  /** What the attempt waits for. */
  let missing = 'the endpoint'

  const fail = (code: SocketErrorCode, error?: unknown, detail?: string) => {
    if (signal.aborted) return
    const report = () => connection.onFailed?.(new SocketError(code, error, close, detail))
    setTimer()
    // After a freeze, Chromium's `bufferedAmount` is stale until the next task. `abandon()` reads it again then.
    if (unsent) setTimer(0, report)
    else report()
  }

  /** In Node, Deno and Bun, the `error` event contains the reason for a failure. In browsers it does not. */
  let why: { readonly error?: unknown; readonly message?: string } = {}
  const refuse = () => fail('CONNECTION_REFUSED', why.error, why.message || 'the browser does not say why')

  const resolve = <Value>(given: Value | ((context: AttemptContext) => Value | PromiseLike<Value>)) =>
    typeof given === 'function'
      ? (given as (context: AttemptContext) => Value | PromiseLike<Value>)({ attempt, cause, signal })
      : given

  const open = (url: string | URL, subprotocols: string | string[] | undefined) => {
    if (signal.aborted) return
    // The platform would connect to a relative URL, such as `/undefined`.
    if (url == null) throw new TypeError(`The endpoint is ${url}`)
    started = performance.now()
    const socket: WebSocket = new WebSocket(url, subprotocols)
    connection.native = socket
    missing = 'the handshake'
    socket.binaryType = binaryType
    socket.onopen = async () => {
      missing = 'prepare'
      connection.handshake = performance.now() - started
      try {
        // Without `prepare` nothing is awaited, so that the socket is open in the same task.
        if (prepare && prepareConnection) {
          connection.unread = await prepareConnection(prepare, socket, signal)
        }
      } catch (error) {
        return fail('PREPARE_FAILED', error)
      }
      if (signal.aborted || socket.readyState !== 1) return
      setTimer()
      connection.onReady?.()
    }
    socket.onmessage = event => connection.unread.push(event)
    socket.onclose = ({ code, reason, wasClean }) => {
      close = { code, reason, wasClean }
      unsent = socket.bufferedAmount ?? 0
      if (missing === 'prepare') fail('CONNECTION_LOST', why.error)
      else refuse()
    }
    // The `close` event that follows within 100 ms has all the information. After some failures there is none: in Chromium 156 when a
    // Content-Security-Policy forbids the connection, in WebKitGTK 2.50 for `ws:` in an `https:` page and for a blocked port, and
    // in Node 22.
    socket.onerror = event => {
      if ((event as ErrorEvent).error || (event as ErrorEvent).message) why = event as ErrorEvent
      if (missing !== 'prepare' && !signal.aborted) setTimer(100, refuse)
    }
  }

  const connection: Connection = {
    native: undefined,
    unread: [],
    handshake: 0,
    abandon() {
      const { native } = connection
      scope.abort()
      setTimer()
      if (native) {
        native.onmessage = native.onclose = null
        // In React Native, `close()` before `open` has no effect.
        native.onopen = native.readyState ? null : () => native.close()
        native.close()
      }
      return [close, close && Math.min(unsent, native?.bufferedAmount ?? 0)]
    },
  }

  if (typeof endpoint === 'function' || typeof protocols === 'function') {
    ;(async () => open(...(await Promise.all([resolve(endpoint), resolve(protocols)]))))().catch(error =>
      fail('ENDPOINT_FAILED', error),
    )
  } else open(endpoint, protocols)
  setTimer(deadline, () => fail('CONNECT_TIMEOUT', undefined, `${deadline} ms, waiting for ${missing}`))
  return connection
}
