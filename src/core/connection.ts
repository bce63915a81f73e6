import { type CloseInfo, SocketError, type SocketErrorCode } from './errors.js'
import type { PrepareConnection } from './prepare.js'
import { createTimer } from './timers.js'
import type { AttemptContext, Endpoint, SocketOptions } from './types.js'

/** One attempt to connect, and the native socket that it makes. It ends once: with `onFailed`, or by `abandon()`. */
export interface Connection {
  /** Undefined while the endpoint function runs. */
  readonly native: WebSocket | undefined
  /** Passes every message to the listener from now on, starting with those that `prepare` left unread. */
  receive(listener: (event: MessageEvent) => void): void
  /** Starts the closing handshake. `onFailed` follows when it is done, or with `cause` after `closeTimeout`. */
  close(code: number | undefined, reason: string | undefined, cause: SocketError): void
  /**
   * Stops listening and closes in the background, because on a dead peer the browser's own `close` event takes a minute or never
   * comes. `close` and `unsent` (the number of bytes that certainly never left) are known only if the native socket has closed.
   */
  abandon(): { readonly close: CloseInfo | undefined; readonly unsent: number | undefined }
}

/** The `close` event that belongs to an `error` event comes within this many milliseconds, or never. */
const CLOSE_FOLLOWS = 100

/** Starts an attempt. If the endpoint and protocols are fixed, errors of the platform's constructor are thrown from here. */
export const openConnection = (
  endpoint: Endpoint,
  {
    protocols,
    binaryType = 'arraybuffer',
    closeTimeout = 3_000,
    prepare,
    WebSocket = globalThis.WebSocket,
  }: SocketOptions<any>,
  { attempt, cause }: { readonly attempt: number; readonly cause?: SocketError | undefined },
  deadline: number,
  onOpen: (native: WebSocket) => void,
  onFailed: (cause: SocketError) => void,
  prepareConnection?: PrepareConnection,
): Connection => {
  const scope = new AbortController()
  const { signal } = scope
  const setTimer = createTimer()
  let native: WebSocket | undefined
  let close: CloseInfo | undefined
  let unsent = 0
  let unread: MessageEvent[] = []

  const fail = (code: SocketErrorCode, error?: unknown, detail?: string) => {
    if (signal.aborted) return
    const report = () => onFailed(new SocketError(code, error, close, detail))
    // After a freeze, Chromium's `bufferedAmount` is stale until the next task. `abandon()` reads it again then.
    if (unsent) setTimer(0, report)
    else report()
  }

  const refuse = () => fail('CONNECTION_REFUSED', undefined, 'the browser does not say why')

  const resolve = <Value>(given: Value | ((context: AttemptContext) => Value | PromiseLike<Value>)) =>
    typeof given === 'function'
      ? (given as (context: AttemptContext) => Value | PromiseLike<Value>)({ attempt, cause, signal })
      : given

  const open = (url: string | URL, subprotocols: string | string[] | undefined) => {
    if (signal.aborted) return
    const socket: WebSocket = new WebSocket(url, subprotocols)
    let handshaken = false
    native = socket
    socket.binaryType = binaryType
    socket.onopen = async () => {
      handshaken = true
      try {
        // Without `prepare` nothing is awaited, so that the socket is open in the same task.
        if (prepare && prepareConnection) unread = await prepareConnection(prepare, socket, signal)
      } catch (error) {
        return fail('PREPARE_FAILED', error)
      }
      if (signal.aborted || close) return
      setTimer()
      onOpen(socket)
    }
    socket.onmessage = event => unread.push(event)
    socket.onclose = ({ code, reason, wasClean }) => {
      close = { code, reason, wasClean }
      unsent = socket.bufferedAmount ?? 0
      if (handshaken) fail('CONNECTION_LOST')
      else refuse()
    }
    // The `close` event that follows says all there is to say. It is missing after some failures: in Chromium 156 when a
    // Content-Security-Policy forbids the connection, in WebKitGTK 2.50 for `ws:` in an `https:` page and for a blocked port, and
    // in Node 22.
    socket.onerror = () => {
      if (!handshaken && !signal.aborted) setTimer(CLOSE_FOLLOWS, refuse)
    }
  }

  if (typeof endpoint === 'function' || typeof protocols === 'function') {
    ;(async () => open(...(await Promise.all([resolve(endpoint), resolve(protocols)]))))().catch(error =>
      fail('ENDPOINT_FAILED', error),
    )
  } else open(endpoint, protocols)
  setTimer(deadline, () => fail('CONNECT_TIMEOUT', undefined, `${deadline} ms`))

  return {
    get native() {
      return native
    },
    receive(listener) {
      ;(native as WebSocket).onmessage = listener
      unread.splice(0).forEach(listener)
    },
    close(code, reason, cause) {
      native?.close(code, reason)
      // A native socket that has closed is about to report it.
      if (!close) setTimer(closeTimeout, () => onFailed(cause))
    },
    abandon() {
      setTimer()
      scope.abort()
      if (native) {
        native.onopen = native.onmessage = native.onclose = null
        native.close()
      }
      return { close, unsent: close && Math.min(unsent, native?.bufferedAmount ?? 0) }
    },
  }
}
