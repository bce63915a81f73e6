// Reliable sessions for the `ws` package on Node: the server that the application holds.
import { type DataType, PROTOCOL } from '../reliable/frames.js'
import { createAdmission } from './admission.js'
import { closeForNow, type WebSocketLike } from './connection.js'
import { checkName, payload, writeMessage } from './frames.js'
import { GUARDS, guardErrors } from './guard.js'
import type { Host } from './host.js'
import { memoryStore } from './memory-store.js'
import {
  checkClose,
  type Limits,
  type ReliableServer,
  type ReliableServerOptions,
  resolveLimits,
  type Session,
} from './options.js'
import { originCheck, type RequestLike } from './origin.js'
import { directSession, runRequest } from './requests.js'
import type { LocalSession } from './session.js'
import { type Effect, SLOW, type StoreEvent, type StoreNode } from './store.js'

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
interface Server<Request extends RequestLike> {
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
  readonly store: Promise<StoreNode>
  readonly ready: Promise<Host>
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

const createServer = <Request extends RequestLike>(
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
  const store = given.open(limits, onStoreEvent)
  const { maxUnacknowledgedBytes } = limits
  const requests = { store, report, maxUnacknowledgedBytes }
  const ready = store.then(
    (node): Host => ({
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
    }),
  )
  // Everything that needs the store reports the failure.
  ready.catch(() => {})

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
    ready,
    maxUnacknowledgedBytes,
    report,
    closing: undefined,
  }
}

/** Lets the protocol be selected, and turns connections into sessions. Returns how to stop. */
const acceptConnections = <Request extends RequestLike>(server: Server<Request>): (() => void) => {
  const { wss, options, sockets, report } = server
  const begin = createAdmission(server, options)

  const onConnection = (socket: WebSocketLike, request: Request) => {
    if (socket.protocol !== PROTOCOL) {
      // If the application has a listener of its own, it serves other clients too.
      if (wss.listenerCount('connection') === GUARDS + 1) {
        socket.close(1002, `${PROTOCOL} is the subprotocol here`)
      }
      return
    }
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    // Frames may arrive at once, but must not be read before the session is known.
    socket.pause()
    begin(socket, request).catch(error => {
      report(error)
      // Not 1008, because the session may still exist.
      closeForNow(socket, 1011, 'the server failed')
    })
  }

  const { handleProtocols } = wss.options
  // Without this, `ws` would select the first protocol that is offered, whichever it is.
  const select = (protocols: Set<string>, request: Request): string | false => {
    if (protocols.has(PROTOCOL)) return PROTOCOL
    const [first = false] = Array.from(protocols)
    return handleProtocols ? handleProtocols(protocols, request) : first
  }
  wss.options.handleProtocols = select
  guardErrors(wss, report)
  wss.on('connection', onConnection)

  return () => {
    wss.off('connection', onConnection)
    if (wss.options.handleProtocols === select) wss.options.handleProtocols = handleProtocols
  }
}

/** Keeps connected sessions alive in the store, and closes connections whose session is lost or whose client is silent. */
const checkSessions = async ({ ready, sessions, report }: Server<any>): Promise<void> => {
  try {
    const { store } = await ready
    const all = [...sessions.values()]
    const held = all.filter(({ isConnected }) => isConnected).map(({ id, epoch }) => ({ id, epoch }))
    const newest = held.length ? await store.touch(held) : []
    const answers = new Map(held.map(({ id, epoch }, i) => [`${id} ${epoch}`, newest[i]]))
    // An answer about an older epoch does not concern a session that was resumed meanwhile.
    for (const session of all) session.check(answers.get(`${session.id} ${session.epoch}`))
  } catch (error) {
    report(error)
  }
}

/** Checks regularly, but never twice at the same time: a store that does not answer is not asked again. Returns how to stop. */
const startChecking = (server: Server<any>): (() => void) => {
  let isChecking = false
  const timer = setInterval(
    async () => {
      if (isChecking) return
      isChecking = true
      await checkSessions(server)
      isChecking = false
    },
    Math.min(5_000, server.limits.sessionTimeout / 4),
  )
  return () => clearInterval(timer)
}

/** Resolves when the work is done, or when the time is up. */
const within = async (ms: number, work: readonly unknown[]): Promise<void> => {
  let timer: ReturnType<typeof setTimeout> | undefined
  await Promise.race([Promise.all(work), new Promise(resolve => (timer = setTimeout(resolve, ms)))])
  clearTimeout(timer)
}

const shutDown = async (
  { sessions, sockets, store, report }: Server<any>,
  reason: string,
  timeout: number,
): Promise<void> => {
  const held = [...sessions.values()]
  await within(
    timeout,
    held.map(session => session.quiesce()),
  )
  const open = [...sockets]
  const closed = open.map(socket => new Promise<void>(resolve => socket.on('close', () => resolve())))
  for (const socket of open) closeForNow(socket, 1012, reason)
  // A dead client does not answer.
  await within(1_000, closed)
  for (const socket of sockets) socket.terminate()
  await within(1_000, closed)
  const node = await store.catch(() => undefined)
  // Wait for the store, so that the caller can then close its connection to the store.
  await within(
    1_000,
    held.map(({ id, epoch }) => node?.detach(id, epoch).catch(report)),
  )
  await node?.close()
}

const idOf = (session: string | Session): string => (typeof session === 'string' ? session : session.id)

/**
 * Serves reliable sessions, exactly once and in order both ways, to the clients of a `WebSocketServer` that speak
 * `json.reliable.webpubsub.azure.v1`. Other clients are left to your own `connection` listener; without one, they are closed with 1002.
 *
 * ```ts
 * const server = createReliableServer(new WebSocketServer({ port: 8080, maxPayload: 2 ** 20 }), {
 *   onMessage: ({ event, data }, session) => session.send({ event, data }),
 * })
 * ```
 *
 * Throws a `TypeError` for invalid options.
 */
export const createReliableServer = <Request extends RequestLike = RequestLike>(
  wss: WebSocketServerLike<Request>,
  options: ReliableServerOptions<Request> = {},
): ReliableServer => {
  const server = createServer(wss, options)
  const stopAccepting = acceptConnections(server)
  const stopChecking = startChecking(server)
  const write = (data: unknown, dataType?: DataType, from?: { group: string }) =>
    writeMessage(payload(data, dataType), from, server.maxUnacknowledgedBytes)
  const commit = async (effect: Effect) => (await (await server.store).commit([effect])).count

  return {
    async send(session, data, dataType) {
      const frame = write(data, dataType)
      return commit({ kind: 'send', session: idOf(session), frame })
    },
    async publish(group, data, { dataType, except } = {}) {
      checkName('publish()', group)
      const frame = write(data, dataType, { group })
      return commit({ kind: 'publish', group, frame, except: except && idOf(except) })
    },
    async broadcast(data, dataType) {
      const frame = write(data, dataType)
      return commit({ kind: 'publish', group: '', frame })
    },
    async end(session, code = 1008, reason = 'closed by the server') {
      checkClose(code, reason)
      return (await server.store).end(idOf(session), code, reason)
    },
    get stats() {
      return { ...server.stats }
    },
    async close({ retryAfter = 1, timeout = 5_000 } = {}) {
      if (!(retryAfter >= 0 && retryAfter < 1e9)) throw new TypeError('retryAfter takes seconds from 0 up')
      if (server.closing) return
      // Clients of this package obey a reason of this form.
      server.closing = `retry-after=${retryAfter}`
      stopChecking()
      await shutDown(server, server.closing, timeout)
      stopAccepting()
    },
  }
}
