// Reliable sessions for the `ws` package on Node: creates the server that the application uses.
import type { DataType } from '../reliable/frames.js'
import { createAdmission } from './admission.js'
import type { ReliableServer } from './api.js'
import { checkClose } from './checks.js'
import { closeForNow, type WebSocketLike } from './connection.js'
import { drain } from './drain.js'
import { PROTOCOLS } from './format.js'
import { checkName, payload } from './frames.js'
import { GUARDS, guardErrors } from './guard.js'
import { writeMessage } from './message.js'
import { createServer, type Server, type WebSocketServerLike } from './node.js'
import type { ReliableServerOptions, Session } from './options.js'
import type { RequestLike } from './origin.js'
import { answerPings, takeOverPings } from './pings.js'
import { isReady, samplesOf } from './status.js'
import type { Effect } from './store.js'
import { shutDown, startChecking } from './upkeep.js'
import { createUser } from './users.js'

/** Those that have a reliable server. A second one would begin two sessions for each connection. */
const served = new WeakSet<object>()

/** Selects the subprotocol, and turns connections into sessions. Returns a function that stops this. */
const acceptConnections = <Request extends RequestLike>(server: Server<Request>): (() => void) => {
  const { wss, options, sockets, report } = server
  const begin = createAdmission(server, options)
  served.add(wss)

  const restorePings = takeOverPings(wss.options)

  const onConnection = (socket: WebSocketLike, request: Request) => {
    if (restorePings) answerPings(socket)
    if (!PROTOCOLS.includes(socket.protocol)) {
      // If the application has a listener of its own, it serves other clients too.
      if (wss.listenerCount('connection') === GUARDS + 1) {
        socket.close(1002, `the subprotocol must be ${PROTOCOLS.join(' or ')}`)
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
    const offered = Array.from(protocols)
    // The client offers them in the order of its preference. https://datatracker.ietf.org/doc/html/rfc6455#section-1.9
    const known = offered.find(name => PROTOCOLS.includes(name))
    if (known !== undefined) return known
    const [first = false] = offered
    return handleProtocols ? handleProtocols(protocols, request) : first
  }
  wss.options.handleProtocols = select
  guardErrors(wss, report)
  wss.on('connection', onConnection)

  return () => {
    wss.off('connection', onConnection)
    served.delete(wss)
    restorePings?.()
    if (wss.options.handleProtocols === select) wss.options.handleProtocols = handleProtocols
  }
}

const idOf = (session: string | Session): string => (typeof session === 'string' ? session : session.id)

/**
 * Serves reliable sessions, exactly once and in order both ways, to the clients of a `WebSocketServer` that use
 * `json.reliable.webpubsub.azure.v1` or `protobuf.reliable.webpubsub.azure.v1`. Your own `connection` listener can serve other clients; without one,
 * they are closed with 1002.
 *
 * ```ts
 * const server = createReliableServer(new WebSocketServer({ port: 8080 }), {
 *   onMessage: ({ event, data }, session) => session.send({ event, data }),
 * })
 * ```
 *
 * Throws a `TypeError` for invalid options, and if this `WebSocketServer` already has a reliable server that was not closed.
 */
export const createReliableServer = <Request extends RequestLike = RequestLike>(
  wss: WebSocketServerLike<Request>,
  options: ReliableServerOptions<Request> = {},
): ReliableServer => {
  if (!wss?.options || typeof wss.on !== 'function')
    throw new TypeError('createReliableServer() needs a WebSocketServer of the package ws')
  if (served.has(wss))
    throw new TypeError('This WebSocketServer already has a reliable server: use that one, or close it first')
  const server = createServer(wss, options)
  const stopAccepting = acceptConnections(server)
  const stopChecking = startChecking(server)
  const write = (data: unknown, dataType?: DataType, from?: { group: string }) =>
    writeMessage(payload(data, dataType), from, server.maxUnacknowledgedBytes)
  const commit = async (effect: Effect) => (await (await server.openStore()).commit([effect])).count
  let draining: Promise<void> | undefined

  return {
    async send(session, data, dataType) {
      const frame = write(data, dataType)
      return commit({ kind: 'send', session: idOf(session), frame })
    },
    async deliver(session, data, { dataType, signal } = {}) {
      if (signal?.aborted) throw signal.reason
      const frame = write(data, dataType)
      const id = idOf(session)
      if (!(await commit({ kind: 'send', session: id, frame }))) return false
      // The message has this number or, if there are newer ones already, a lower one.
      const progress = await (await server.openStore()).progress(id)
      return !!progress && server.receipts.wait(id, progress, signal)
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
    user: id => createUser({ openStore: server.openStore, write }, id),
    async members(group) {
      if (group !== undefined) checkName('members()', group)
      return (await server.openStore()).members(group ?? '')
    },
    async end(session, code = 1008, reason = 'closed by the server') {
      checkClose(code, reason)
      return (await server.openStore()).end(idOf(session), code, reason)
    },
    get stats() {
      return { ...server.stats }
    },
    metrics: () => server.metrics.text(samplesOf(server)),
    ready: () => isReady(server),
    async drain({ over = 30_000 } = {}) {
      if (!(over >= 0 && over < 2 ** 31)) throw new TypeError('over must be a number of milliseconds >= 0')
      // Clients may come back to this port, where the next server listens then.
      server.draining ??= 'retry-after=1'
      draining ??= drain(server, over)
      return draining
    },
    async close({ retryAfter = 1, timeout = 5_000 } = {}) {
      if (!(retryAfter >= 0 && retryAfter < 1e9))
        throw new TypeError('retryAfter must be a number of seconds >= 0')
      if (server.closing) return
      // Clients of this package obey a reason of this form.
      server.closing = `retry-after=${retryAfter}`
      stopChecking()
      await shutDown(server, server.closing, timeout)
      server.receipts.close()
      stopAccepting()
    },
  }
}
