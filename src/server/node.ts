// What the parts of a server share, on one node.

import type { WebSocketLike } from './connection.js'
import type { Host } from './host.js'
import { memoryStore } from './memory-store.js'
import { StoreOpener } from './opener.js'
import { type Limits, type ReliableServerOptions, resolveLimits } from './options.js'
import { originCheck, type RequestLike } from './origin.js'
import { directSession, type RequestHost, runRequest } from './requests.js'
import type { LocalSession } from './session.js'
import { SLOW, type StoreEvent, type StoreNode } from './store.js'

/** The members of a `WebSocketServer` of the `ws` package that the server uses. */
// https://github.com/websockets/ws/blob/master/doc/ws.md#class-websocketserver
export interface WebSocketServerLike<Request extends RequestLike = RequestLike> {
  readonly options: {
    handleProtocols?: ((protocols: Set<string>, request: Request) => string | false) | null | undefined
  }
  on(event: string, listener: (...args: any[]) => void): unknown
  off(event: string, listener: (...args: any[]) => void): unknown
  listenerCount(event: string): number
}

/** What the parts of a server share. */
export interface Server<Request extends RequestLike> {
  readonly wss: WebSocketServerLike<Request>
  readonly options: ReliableServerOptions<Request>
  readonly limits: Limits
  isAllowedOrigin(request: Request): boolean | PromiseLike<boolean>
  readonly stats: Host['stats']
  /** The sessions that this node holds. */
  readonly sessions: Map<string, LocalSession>
  readonly resuming: Map<string, Promise<unknown>>
  /** The open connections, with and without a session. */
  readonly sockets: Set<WebSocketLike>
  readonly store: StoreOpener
  openStore(): Promise<StoreNode>
  /** Resolves when the store is open. */
  ready(): Promise<Host>
  readonly maxUnacknowledgedBytes: number
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

export const createServer = <Request extends RequestLike>(
  wss: WebSocketServerLike<Request>,
  options: ReliableServerOptions<Request>,
): Server<Request> => {
  const limits = resolveLimits(options)
  const isAllowedOrigin = originCheck(options.origins)
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
    received: 0,
    failed: 0,
    duplicates: 0,
    sent: 0,
  }

  const onStoreEvent = (event: StoreEvent) => {
    if (event.kind === 'ended' && event.reason === SLOW) stats.slow++
    const session = sessions.get(event.session)
    if (!session) return
    if (event.kind === 'messages') session.pump()
    else if (event.kind === 'ended') session.finish(event.code, event.reason)
    else if (event.epoch > session.epoch) session.lose()
  }

  const { store: given = memoryStore() } = options
  const store = new StoreOpener(async () => given.open(limits, onStoreEvent))
  const openStore = store.get
  const { maxUnacknowledgedBytes } = limits
  const requests: RequestHost = { openStore, report, maxUnacknowledgedBytes }
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
      async onDisconnect({ id, userId }, code, reason) {
        try {
          await options.onDisconnect?.(directSession(requests, id, userId), { code, reason })
        } catch (error) {
          report(error)
        }
      },
      forget(session) {
        if (sessions.get(session.id) === session) sessions.delete(session.id)
      },
    }
  }
  // The earlier the better: whoever needs it then finds it open, and a mistake shows at once.
  openStore().catch(report)

  return {
    wss,
    options,
    limits,
    isAllowedOrigin,
    stats,
    sessions,
    resuming,
    sockets: new Set(),
    store,
    openStore,
    ready,
    maxUnacknowledgedBytes,
    report,
    closing: undefined,
  }
}
