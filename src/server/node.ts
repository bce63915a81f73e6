// The state that the parts of a server share, on one node.

import { checkMaxConnections, checkOptions, type Limits, resolveLimits, resolveRates } from './checks.js'
import type { WebSocketLike } from './connection.js'
import type { Host } from './host.js'
import { memoryStore } from './memory-store.js'
import { StoreOpener } from './opener.js'
import type { ReliableServerOptions } from './options.js'
import { originCheck, type RequestLike } from './origin.js'
import { Gate } from './rates.js'
import { directSession, type RequestHost, runRequest } from './requests.js'
import type { LocalSession } from './session.js'
import { type MissedEvent, SLOW, type StoreEvent, type StoreNode } from './store.js'

/** The members of a `WebSocketServer` of the `ws` package that the server uses. */
// https://github.com/websockets/ws/blob/master/doc/ws.md#class-websocketserver
export interface WebSocketServerLike<Request extends RequestLike = RequestLike> {
  readonly options: {
    maxPayload?: number | undefined
    autoPong?: boolean | undefined
    handleProtocols?: ((protocols: Set<string>, request: Request) => string | false) | null | undefined
  }
  on(event: string, listener: (...args: any[]) => void): unknown
  off(event: string, listener: (...args: any[]) => void): unknown
  listenerCount(event: string): number
}

/** The state that the parts of a server share. */
export interface Server<Request extends RequestLike> {
  readonly wss: WebSocketServerLike<Request>
  readonly options: ReliableServerOptions<Request>
  readonly limits: Limits
  isAllowedOrigin(request: Request): boolean | PromiseLike<boolean>
  readonly gate: Gate
  readonly stats: Host['stats']
  /** The sessions that this node holds. */
  readonly sessions: Map<string, LocalSession>
  readonly resuming: Map<string, Promise<unknown>>
  /** Events of sessions that arrived while these were being resumed. */
  readonly missed: Map<string, MissedEvent>
  /** The open connections, with and without a session. */
  readonly sockets: Set<WebSocketLike>
  readonly store: StoreOpener
  openStore(): Promise<StoreNode>
  /** Resolves when the store is open. */
  ready(): Promise<Host>
  readonly maxUnacknowledgedBytes: number
  readonly handlerTimeout: number
  report(error: unknown): void
  /** The close reason for everyone, once the server shuts down. */
  closing: string | undefined
}

const createReport =
  ({ onError = (error: unknown) => console.error(error) }: { onError?: (error: unknown) => void }) =>
  (error: unknown): void => {
    try {
      onError(error)
    } catch (failure) {
      console.error(failure)
    }
  }

/** The default of `ws`, 100 MiB: ten clients could fill the memory. */
const UNLIMITED = 100 * 2 ** 20

/**
 * Bounds what `ws` reads before anything of ours sees it. Messages that are somewhat too large get through, so that they can be refused
 * without closing the connection.
 */
const limitPayload = ({ options }: WebSocketServerLike<any>, { maxMessageBytes }: Limits): void => {
  const { maxPayload = 0 } = options
  // Base64, names and punctuation around the largest message.
  const least = Math.ceil((maxMessageBytes * 4) / 3) + 4_096
  if (maxPayload <= 0 || maxPayload === UNLIMITED) {
    options.maxPayload = Math.max(2 * maxMessageBytes, 2 ** 14)
  } else if (maxPayload < least) {
    throw new TypeError(
      `maxPayload of the WebSocketServer is ${maxPayload}: leave it out, set it to ${least} or more, or lower maxMessageBytes`,
    )
  }
}

export const createServer = <Request extends RequestLike>(
  wss: WebSocketServerLike<Request>,
  options: ReliableServerOptions<Request>,
): Server<Request> => {
  checkOptions(options)
  const limits = resolveLimits(options)
  const isAllowedOrigin = originCheck(options.origins)
  limitPayload(wss, limits)
  checkMaxConnections(options.maxConnections ?? {})
  const gate = new Gate(resolveRates(options.rates), options.maxConnections ?? {})
  const report = createReport(options)
  const sessions = new Map<string, LocalSession>()
  const resuming = new Map<string, Promise<unknown>>()
  const stats: Host['stats'] = {
    connections: 0,
    created: 0,
    resumed: 0,
    refused: 0,
    violations: 0,
    slow: 0,
    limited: 0,
    received: 0,
    failed: 0,
    duplicates: 0,
    sent: 0,
  }

  /** Runs a hook of the application, whose failure is reported. */
  const attempt = async (hook: () => unknown) => {
    try {
      await hook()
    } catch (error) {
      report(error)
    }
  }

  const missed: Server<Request>['missed'] = new Map()
  const onStoreEvent = (event: StoreEvent) => {
    if (event.kind === 'warning') {
      report(new Error(event.message))
      return
    }
    const session = sessions.get(event.session)
    // The answer to a request to resume may come after what happened to the session since.
    if (event.kind !== 'messages' && resuming.has(event.session)) {
      const before = missed.get(event.session)
      if (before?.kind !== 'ended') missed.set(event.session, event)
    }
    if (event.kind === 'messages') session?.pump(event.message)
    else if (event.kind === 'moved') {
      if (session && event.epoch > session.epoch) session.move()
    } else {
      const { session: id, userId, code, reason } = event
      if (reason === SLOW) stats.slow++
      session?.finish(code, reason)
      attempt(() => options.onEnd?.({ id, userId: userId || undefined }, { code, reason }))
    }
  }

  const { store: given = memoryStore() } = options
  const store = new StoreOpener(async () => given.open(limits, onStoreEvent))
  const openStore = store.get
  const { maxUnacknowledgedBytes, handlerTimeout } = limits
  const requests: RequestHost = { openStore, report, maxUnacknowledgedBytes, handlerTimeout }
  const ready = async (): Promise<Host> => {
    const node = await openStore()
    return {
      ...limits,
      store: node,
      stats,
      resuming,
      maxBuffered: maxUnacknowledgedBytes + 2 ** 20,
      report,
      runRequest: (session, request) => runRequest(requests, options, session, request),
      onDisconnect({ id, userId }, code, reason) {
        attempt(() => options.onDisconnect?.(directSession(requests, id, userId), { code, reason }))
      },
      onFrame({ id, userId }, type, bytes) {
        if (options.onFrame) attempt(() => options.onFrame?.({ type, bytes }, { id, userId }))
      },
      onLimit({ id, userId }, step, limit) {
        if (step === 'closed') stats.limited++
        if (options.onLimit) attempt(() => options.onLimit?.({ ...limit, step }, { id, userId }))
      },
      forget(session) {
        if (sessions.get(session.id) === session) sessions.delete(session.id)
      },
    }
  }
  // Opened now, so that it is ready for the first client, and a mistake is reported at once.
  openStore().catch(report)

  return {
    wss,
    options,
    limits,
    isAllowedOrigin,
    gate,
    stats,
    sessions,
    resuming,
    missed,
    sockets: new Set(),
    store,
    openStore,
    ready,
    maxUnacknowledgedBytes,
    handlerTimeout,
    report,
    closing: undefined,
  }
}
