// The state that the parts of a server share, on one node.

import type { ServerStats } from './api.js'
import { checkOptions, checkPerClient, type Limits, resolveLimits, resolveRates } from './checks.js'
import type { WebSocketLike } from './connection.js'
import { createHost, type Host } from './host.js'
import { memoryStore } from './memory-store.js'
import { Metrics } from './metrics.js'
import { StoreOpener } from './opener.js'
import type { ReliableServerOptions } from './options.js'
import { originCheck, type RequestLike } from './origin.js'
import { Gate } from './rates.js'
import { Receipts } from './receipts.js'
import type { RequestHost } from './requests.js'
import { Room } from './room.js'
import type { LocalSession } from './session.js'
import type { MissedEvent } from './store.js'
import { onStoreEvent } from './store-events.js'
import { timed } from './timed-store.js'
import { createRunHook } from './timeout.js'

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
export interface Server<Request extends RequestLike> extends RequestHost {
  readonly wss: WebSocketServerLike<Request>
  readonly options: ReliableServerOptions<Request>
  readonly limits: Limits
  isAllowedOrigin(request: Request): boolean | PromiseLike<boolean>
  readonly gate: Gate
  readonly room: Room
  readonly metrics: Metrics
  readonly stats: Host['stats']
  readonly receipts: Receipts
  /** The sessions that this node holds. */
  readonly sessions: Map<string, LocalSession>
  readonly resuming: Map<string, Promise<unknown>>
  /** Events of sessions that arrived while these were being resumed. */
  readonly missed: Map<string, MissedEvent>
  /** The open connections, with and without a session. */
  readonly sockets: Set<WebSocketLike>
  readonly store: StoreOpener
  /** Resolves when the store is open. */
  openHost(): Promise<Host>
  /** Runs a hook of the application, whose failure is reported. */
  attempt(hook: () => unknown): Promise<void>
  /** The close reason for new connections, while the server drains. */
  draining: string | undefined
  /** The close reason for all connections, while the server shuts down. */
  closing: string | undefined
}

const NO_STATS: ServerStats = {
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
 * Limits what `ws` reads before this server receives it. Messages that are only slightly too large are accepted by `ws`, so that they can be
 * refused without closing the connection.
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
  const { maxConnections = {}, maxSessions = {}, store: given = memoryStore() } = options
  checkPerClient('maxConnections', maxConnections)
  checkPerClient('maxSessions', maxSessions)
  const gate = new Gate(resolveRates(options.rates), maxConnections)
  const report = createReport(options)
  const metrics = new Metrics()
  const store: StoreOpener = new StoreOpener(async () => {
    const node = await given.open(limits, event => onStoreEvent(server, event))
    return timed(node, metrics)
  })
  const server: Server<Request> = {
    wss,
    options,
    limits,
    isAllowedOrigin,
    gate,
    room: new Room(maxSessions, limits.sessionTimeout),
    metrics,
    stats: { ...NO_STATS },
    receipts: new Receipts(store.get),
    sessions: new Map(),
    resuming: new Map(),
    missed: new Map(),
    sockets: new Set(),
    store,
    openStore: store.get,
    openHost: async () => createHost(server, await store.get()),
    maxUnacknowledgedBytes: limits.maxUnacknowledgedBytes,
    runHook: createRunHook(limits.handlerTimeout, metrics),
    report,
    async attempt(hook) {
      try {
        await hook()
      } catch (error) {
        report(error)
      }
    },
    draining: undefined,
    closing: undefined,
  }
  // Opened now, so that it is ready for the first client, and a mistake is reported at once.
  store.get().catch(report)
  return server
}
