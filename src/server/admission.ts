// From a new connection to a session: who may connect, which session it is, and when reading begins.
import { CLOSED, closeForGood, closeForNow, type WebSocketLike } from './connection.js'
import { checkName } from './frames.js'
import type { Host } from './host.js'
import type { ReliableServerOptions } from './options.js'
import type { RequestLike } from './origin.js'
import type { Gate, Pass } from './rates.js'
import { takeRecovery } from './recovery.js'
import { directSession, type RequestHost } from './requests.js'
import type { Room } from './room.js'
import { LocalSession } from './session.js'
import { type Lease, type MissedEvent, TRY_AGAIN_LATER } from './store.js'
import { digest, randomName } from './token.js'

/** The part of the server that admission uses. */
export interface AdmissionHost<Request> extends RequestHost {
  isAllowedOrigin(request: Request): boolean | PromiseLike<boolean>
  /** Resolves when the store is open. */
  openHost(): Promise<Host>
  readonly gate: Gate
  readonly room: Room
  /** The sessions that this node holds. */
  readonly sessions: Map<string, LocalSession>
  readonly resuming: Map<string, Promise<unknown>>
  /** Events of sessions that arrived while these were being resumed. */
  readonly missed: Map<string, MissedEvent>
  /** The close reason for new connections, while the server drains. */
  readonly draining: string | undefined
  /** The close reason for all connections, while the server shuts down. */
  readonly closing: string | undefined
}

interface Admitted {
  readonly userId: string
  readonly groups: readonly string[]
}

/** A connection that was accepted. */
interface Guest {
  readonly socket: WebSocketLike
  readonly pass: Pass
  readonly address: string
}

/** Why clients are refused: the close codes and reasons. After 1013 they may come back. */
const REFUSALS = {
  origin: [1008, 'this origin is not allowed'],
  authorize: [1008, 'not authorized'],
  session: [1008, 'the session is unknown or has expired'],
  connections: [TRY_AGAIN_LATER, 'too many connections'],
  user: [TRY_AGAIN_LATER, 'too many sessions of this user'],
  address: [TRY_AGAIN_LATER, 'too many sessions of this address'],
  room: [TRY_AGAIN_LATER, 'no room'],
} as const

/** A new token, and the digest of it that the store keeps. */
interface NextToken {
  readonly token: string
  readonly digest: string
}

/** Resolves with the user, or with the reason to refuse the client. */
const admit = async <Request extends RequestLike>(
  { isAllowedOrigin, runHook }: AdmissionHost<Request>,
  { authorize }: ReliableServerOptions<Request>,
  request: Request,
): Promise<Admitted | 'origin' | 'authorize'> => {
  if (!(await runHook('origins', () => isAllowedOrigin(request)))) return 'origin'
  const answer: unknown = authorize ? await runHook('authorize', () => authorize(request)) : true
  return answer ? readAuthorization(answer) : 'authorize'
}

/** Throws a `TypeError` for any other value: a mistake must not admit a client without a user id. */
const readAuthorization = (answer: unknown): Admitted => {
  if (answer === true) return { userId: '', groups: [] }
  if (typeof answer === 'string') return { userId: answer, groups: [] }
  const isPlain = typeof answer === 'object' && Object.prototype.toString.call(answer) === '[object Object]'
  const { userId = '', groups = [], ...others } = (isPlain ? answer : {}) as Record<string, unknown>
  const isValid =
    isPlain &&
    typeof userId === 'string' &&
    Array.isArray(groups) &&
    !Object.keys(others).length &&
    // Written by hand, this is a user who was not found.
    !('userId' in (answer as object) && (answer as { userId?: unknown }).userId === undefined)
  if (!isValid) {
    throw new TypeError('authorize() must return a boolean, a user id, or an object with userId and groups')
  }
  for (const group of groups) checkName('authorize()', group)
  return { userId, groups }
}

/** Gives the socket to the session. Must run in the same step in which the lease arrived, because the lease may be outdated in the next one. */
const attach = (
  { sessions, missed, room, draining, closing = draining }: AdmissionHost<any>,
  local: LocalSession,
  { socket, pass, address }: Guest,
  lease: Lease,
  token: string,
): LocalSession => {
  sessions.set(local.id, local)
  room.enter(local.id, address)
  local.attach(socket, lease, token, pass)
  const event = missed.get(local.id)
  if (event?.kind === 'ended') local.onEnded(event.code, event.reason)
  else if (event && event.epoch > lease.epoch) local.move()
  else if (closing) closeForNow(socket, 1012, closing)
  return local
}

/** Resolves with the limit that prevents another session, if there is one. */
const create = async (
  server: AdmissionHost<any>,
  host: Host,
  guest: Guest,
  { token, digest }: NextToken,
  { userId, groups }: Admitted,
): Promise<LocalSession | keyof typeof REFUSALS> => {
  const id = randomName()
  const begin = () => host.store.create({ id, token: digest, userId, groups })
  const begun = await server.room.begin(host.store, userId, guest.address, begin)
  if (typeof begun === 'string') return begun
  if (!begun) return 'room'
  const lease = { epoch: 1, sequenceId: 0, acknowledged: 0, handled: [] }
  return attach(server, new LocalSession(host, id, userId || undefined, lease), guest, lease, token)
}

const resume = (
  server: AdmissionHost<any>,
  host: Host,
  guest: Guest,
  shown: { readonly id: string; readonly digest: string },
  next: NextToken,
  { userId, groups }: Admitted,
): Promise<LocalSession | undefined> => {
  const { id } = shown
  const { sessions, resuming, missed } = server
  const asked = host.store.resume(id, shown.digest, next.digest, userId, groups).catch(error => {
    // The store may have given the session to this connection, and no longer accept anything from the one before.
    sessions.get(id)?.onStoreError(error)
    throw error
  })
  const taking = asked.then(lease => {
    if (!lease) return undefined
    const known = sessions.get(id)
    // The same node continues with the same session and its running handler, unless another node has held it in between.
    if (known && known.epoch + 1 === lease.epoch) return attach(server, known, guest, lease, next.token)
    known?.lose()
    return attach(server, new LocalSession(host, id, userId || undefined, lease), guest, lease, next.token)
  })
  const taken = taking
    .catch(() => {})
    .then(() => {
      if (resuming.get(id) !== taken) return
      resuming.delete(id)
      missed.delete(id)
    })
  resuming.set(id, taken)
  return taking
}

const remoteAddress = (request: unknown): string =>
  (request as { socket?: { remoteAddress?: string } }).socket?.remoteAddress ?? ''

/** Notifies the application of the session, and begins to read. */
const begin = async <Request extends RequestLike>(
  server: AdmissionHost<Request>,
  { onConnect }: ReliableServerOptions<Request>,
  local: LocalSession,
  { socket }: Guest,
  context: { resumed: boolean; request: Request },
): Promise<void> => {
  try {
    const session = directSession(server, local.id, local.userId)
    if (onConnect) await server.runHook('onConnect', () => onConnect(session, context))
  } catch (error) {
    server.report(error)
    local.end(1011, 'the server could not begin the session')
  }
  local.listen(socket)
}

/** Returns a function that turns a new connection into a session. It rejects if the store or a function of the application fails. */
export const createAdmission = <Request extends RequestLike>(
  server: AdmissionHost<Request>,
  options: ReliableServerOptions<Request>,
): ((socket: WebSocketLike, request: Request) => Promise<void>) => {
  return async (socket, request) => {
    const recovery = takeRecovery(request)
    if (server.draining) return closeForNow(socket, 1012, server.draining)
    const [host, admitted] = await Promise.all([server.openHost(), admit(server, options, request)])
    const refuse = (why: keyof typeof REFUSALS) => {
      const [code, reason] = REFUSALS[why]
      host.stats.refused++
      host.metrics.count('refused', why)
      const close = code === TRY_AGAIN_LATER ? closeForNow : closeForGood
      close(socket, code, reason)
    }
    if (typeof admitted === 'string') return refuse(admitted)
    const address = (options.address ?? remoteAddress)(request)
    const pass = server.gate.enter(admitted.userId, address)
    if (!pass) return refuse('connections')
    if (socket.readyState === CLOSED) pass.leave()
    else socket.on('close', pass.leave)
    const guest = { socket, pass, address }
    const token = randomName()
    const [next, shown] = await Promise.all([digest(token), digest(recovery?.token ?? '')])
    if (server.closing) return closeForNow(socket, 1012, server.closing)
    if (socket.readyState === CLOSED) return
    const nextToken = { token, digest: next }
    const local = recovery
      ? await resume(server, host, guest, { id: recovery.id, digest: shown }, nextToken, admitted)
      : await create(server, host, guest, nextToken, admitted)
    if (!local) return refuse('session')
    if (typeof local === 'string') return refuse(local)
    host.stats[recovery ? 'resumed' : 'created']++
    await begin(server, options, local, guest, { resumed: !!recovery, request })
  }
}
