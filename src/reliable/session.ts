import type { AttemptContext, Endpoint, PreparedConnection, Retry, RetryContext, State } from '../index.js'
import {
  CLOSE,
  type Feature,
  MALFORMED,
  PROTOCOL,
  RESUME_PROTOCOL,
  RETRY_AFTER,
  type ServerFrame,
} from './frames.js'
import type { Incoming } from './incoming.js'
import type { Frame, Outgoing } from './outgoing.js'
import type { FrameFormat } from './types.js'

/** The id and the secret that resume a session, and what its server supports. */
export interface SessionKey {
  readonly id: string
  readonly token: string | undefined
  readonly features?: readonly Feature[] | undefined
}

/** The URL as the platform would resolve it. Checked here, because the platform's errors show the URL, and with it the tokens. */
export const resolveUrl = (endpoint: string | URL): URL => {
  try {
    const url = new URL(endpoint, globalThis.document?.baseURI ?? globalThis.location?.href)
    url.protocol = url.protocol.replace('http', 'ws')
    // A fragment is an error, as in the platform. A missing endpoint would be a relative URL, such as `/undefined`.
    if (endpoint != null && /^wss?:[^#]+$/.test(url.href)) return url
  } catch {}
  throw new DOMException('The endpoint is not the URL of a WebSocket', 'SyntaxError')
}

/** The session with the server. */
export interface Session {
  /** The id and the secret that resume it; `undefined` before it begins, and after it was lost. */
  readonly key: SessionKey | undefined
  /** Whether the current connection has resumed it. */
  readonly isResumed: boolean
  /** The URL of the next attempt, with the parameters that resume the session, unless a subprotocol does. */
  endpoint(context: AttemptContext): Promise<URL>
  /** The subprotocols of the next attempt: one of them resumes the session, if the server supports that. */
  protocols(): string[]
  /** Whether the server supports this. */
  supports(feature: Feature): boolean
  /** The frame for this connection. It contains the id of the message only if the server supports ids. */
  write(frame: Frame, connection: State | PreparedConnection): string | ArrayBuffer
  /** Waits for `connected`, and sends the unacknowledged messages again. */
  prepare(connection: PreparedConnection): Promise<void>
  /** Checks whether the session is lost, and then asks the application's `retry` when to try again. */
  retry(context: RetryContext): number | false
}

/** Resolves with the server's first frame, or with `undefined` if it is malformed. */
const readFirst = async (
  { receive }: PreparedConnection,
  format: FrameFormat,
): Promise<ServerFrame | undefined> => {
  let first: ServerFrame | undefined
  // A server that refuses the client sends `disconnected` first. The code of the close frame after it decides.
  do {
    const data = (await receive()) as ArrayBuffer
    try {
      first = format.decode(data) as ServerFrame
    } catch {}
  } while (first?.type === 'system' && first.event === 'disconnected')
  return first
}

/** Begins a session with the first `connected`, and resumes it on each later connection, until the server has lost it. */
export const createSession = (
  key: SessionKey | undefined,
  endpoint: Endpoint,
  retry: Retry,
  incoming: Incoming,
  outgoing: Outgoing,
  /** Whether the session has a connection. */
  isOpen: () => boolean,
  format: FrameFormat,
): Session => {
  /** Whether the present attempt or connection began with a session to resume, and whether it did resume it. */
  let isResuming = false
  let isResumed = false
  /** Whether the last attempt was made beside an open connection, and did not take over. */
  let isSecond = false

  const supports = (feature: Feature) => !!key?.features?.includes(feature)

  const write: Session['write'] = (frame, connection) => {
    // Only frames from an outbox have ids. These are text.
    const known =
      typeof frame !== 'string' || supports('messageIds')
        ? frame
        : frame.replace(/^{"messageId":"[\w-]*",/, '{')
    return format.encode(known, (connection as { protocol?: string }).protocol)
  }

  /** The subprotocol that resumes the session. Other servers may use characters that a subprotocol cannot have. */
  const resumeProtocol = () => {
    const name = `${RESUME_PROTOCOL}${key?.id}.${key?.token}`
    return supports('resumeProtocol') && key?.token && /^resume\.[\w-]+\.[\w-]+$/.test(name)
      ? name
      : undefined
  }

  /** Nothing of the session can be resumed. */
  const lose = () => {
    key = undefined
    incoming.loseSession()
    outgoing.loseSession()
  }

  return {
    async endpoint(context) {
      isResuming = !!key
      isSecond = isOpen()
      const url = resolveUrl(typeof endpoint === 'function' ? await endpoint(context) : endpoint)
      if (key?.token && !resumeProtocol()) {
        url.searchParams.set('awps_connection_id', key.id)
        url.searchParams.set('awps_reconnection_token', key.token)
      }
      return url
    },

    protocols() {
      return [format.protocol, PROTOCOL, resumeProtocol()].filter(Boolean) as string[]
    },

    supports,
    write,

    async prepare(connection) {
      const transmit = (frame: Frame) => connection.send(write(frame, connection))
      const first = await readFirst(connection, format)
      // The connection may have ended meanwhile, and the session with it.
      if (connection.signal.aborted) return
      if (first?.type !== 'system' || first.event !== 'connected' || typeof first.connectionId !== 'string') {
        throw new TypeError(MALFORMED)
      }
      const { connectionId: id, reconnectionToken: token, sequenceId = Infinity } = first
      const features = Array.isArray(first.features) ? first.features : []
      isResumed = key?.id === id
      if (key && !isResumed && resumeProtocol() && !features.includes('resumeProtocol')) {
        // This time, a server has answered that ignores the subprotocol. The next attempt uses the URL.
        key = { id: key.id, token: key.token }
        throw new TypeError('The server did not resume the session')
      }
      const isOlder = isResumed && sequenceId < incoming.last
      if (key && (!isResumed || isOlder)) lose()
      // The server would assign the numbers of messages that were delivered to other messages.
      if (isOlder) throw new TypeError('The server lost a part of the session')
      key = { id, token, features }
      isSecond = false
      // The server may not have read the last acknowledgement. A page that is reloaded again and again sends no other.
      if (incoming.last) incoming.acknowledge(transmit)
      outgoing.resend(transmit)
    },

    retry(context) {
      const { code, close } = context.cause
      // Policy violation: the session is gone, or this client is not allowed. The first may happen to every session, once; if a new
      // session ends in the same way, it is the second. A new session is begun at once: a server that has lost all of them has let
      // in one client after the other, and refused each at its own time.
      if (close?.code !== CLOSE.sessionGone) return retry(context)
      // A second connection has failed, and the session continues on the first. If that one is lost, it has had some time; and if it was
      // lost before, the second one is the only one.
      if (isSecond && isOpen() && !context.uptime) return false
      const mayBegin = isResuming || (key && context.attempt === 1)
      let cause: RetryContext['cause'] = mayBegin ? { code: 'RECONNECT_REQUESTED' } : context.cause
      // With this reason the client may come back later, as with 1012 and 1013.
      if (close.reason.startsWith(RETRY_AFTER)) cause = { code, close: { ...close, code: CLOSE.tryAgain } }
      if (key) lose()
      return retry({ ...context, cause })
    },

    get key() {
      return key
    },
    get isResumed() {
      return isResumed
    },
  }
}
