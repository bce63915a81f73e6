// From a new connection to a session: who may connect, which session it is, and when reading begins.
import { CLOSED, closeForGood, closeForNow, type WebSocketLike } from './connection.js'
import { checkName } from './frames.js'
import type { Host } from './host.js'
import type { ReliableServerOptions } from './options.js'
import type { RequestLike } from './origin.js'
import type { Gate, Pass } from './rates.js'
import { takeRecovery } from './recovery.js'
import { directSession, type RequestHost } from './requests.js'
import { LocalSession } from './session.js'
import { type Lease, type MissedEvent, TRY_AGAIN_LATER } from './store.js'
import { withTimeout } from './timeout.js'
import { digest, randomName } from './token.js'

/** The part of the server that admission uses. */
export interface AdmissionHost<Request> extends RequestHost {
  isAllowedOrigin(request: Request): boolean | PromiseLike<boolean>
  /** Resolves when the store is open. */
  ready(): Promise<Host>
  readonly gate: Gate
  /** The sessions that this node holds. */
  readonly sessions: Map<string, LocalSession>
  readonly resuming: Map<string, Promise<unknown>>
  /** Events of sessions that arrived while these were being resumed. */
  readonly missed: Map<string, MissedEvent>
  /** The close reason for everyone, once the server shuts down. */
  readonly closing: string | undefined
}

interface Admitted {
  readonly userId: string
  readonly groups: readonly string[]
}

/** A connection that has been let in. */
interface Guest {
  readonly socket: WebSocketLike
  readonly pass: Pass
}

/** A new token, and the digest of it that the store keeps. */
interface NextToken {
  readonly token: string
  readonly digest: string
}

/** Resolves with the user, or with the reason for the refusal. */
const admit = async <Request extends RequestLike>(
  { isAllowedOrigin, handlerTimeout }: AdmissionHost<Request>,
  { authorize }: ReliableServerOptions<Request>,
  request: Request,
): Promise<Admitted | string> => {
  const isAllowed = await withTimeout(isAllowedOrigin(request), handlerTimeout, 'origins')
  if (!isAllowed) return 'this origin is not allowed'
  const answer: unknown = authorize
    ? await withTimeout(authorize(request), handlerTimeout, 'authorize')
    : true
  return answer ? readAuthorization(answer) : 'not authorized'
}

/** Throws a `TypeError` for anything unexpected: a mistake must not let anyone in without a name. */
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
  { sessions, missed, closing }: AdmissionHost<any>,
  local: LocalSession,
  { socket, pass }: Guest,
  lease: Lease,
  token: string,
): LocalSession => {
  sessions.set(local.id, local)
  local.attach(socket, lease, token, pass)
  const event = missed.get(local.id)
  if (event?.kind === 'ended') local.finish(event.code, event.reason)
  else if (event && event.epoch > lease.epoch) local.move()
  else if (closing) closeForNow(socket, 1012, closing)
  return local
}

const create = async (
  server: AdmissionHost<any>,
  host: Host,
  guest: Guest,
  { token, digest }: NextToken,
  { userId, groups }: Admitted,
): Promise<LocalSession | undefined> => {
  const id = randomName()
  if (!(await host.store.create({ id, token: digest, userId, groups }))) return undefined
  const lease = { epoch: 1, sequenceId: 0, acknowledged: 0, handled: [] }
  return attach(server, new LocalSession(host, id, userId || undefined, lease), guest, lease, token)
}

const resume = (
  server: AdmissionHost<any>,
  host: Host,
  guest: Guest,
  shown: { readonly id: string; readonly digest: string },
  next: NextToken,
  { userId }: Admitted,
): Promise<LocalSession | undefined> => {
  const { id } = shown
  const { sessions, resuming, missed } = server
  const asked = host.store.resume(id, shown.digest, next.digest, userId).catch(error => {
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

/** Returns a function that turns a new connection into a session. It rejects if the store or a function of the application fails. */
export const createAdmission = <Request extends RequestLike>(
  server: AdmissionHost<Request>,
  options: ReliableServerOptions<Request>,
): ((socket: WebSocketLike, request: Request) => Promise<void>) => {
  return async (socket, request) => {
    const recovery = takeRecovery(request)
    const [host, admitted] = await Promise.all([server.ready(), admit(server, options, request)])
    const refuse = (reason: string) => {
      host.stats.refused++
      closeForGood(socket, 1008, reason)
    }
    if (typeof admitted === 'string') return refuse(admitted)
    const { address = remoteAddress } = options
    const pass = server.gate.enter(admitted.userId, address(request))
    if (!pass) {
      host.stats.refused++
      closeForNow(socket, TRY_AGAIN_LATER, 'too many connections')
      return
    }
    if (socket.readyState === CLOSED) pass.leave()
    else socket.on('close', pass.leave)
    const guest = { socket, pass }
    const token = randomName()
    const [next, shown] = await Promise.all([digest(token), digest(recovery?.token ?? '')])
    if (server.closing) return closeForNow(socket, 1012, server.closing)
    if (socket.readyState === CLOSED) return
    const nextToken = { token, digest: next }
    const local = recovery
      ? await resume(server, host, guest, { id: recovery.id, digest: shown }, nextToken, admitted)
      : await create(server, host, guest, nextToken, admitted)
    if (!local) {
      return recovery ? refuse('the session is unknown or has expired') : closeForNow(socket, 1013, 'no room')
    }
    host.stats[recovery ? 'resumed' : 'created']++
    try {
      const session = directSession(server, local.id, local.userId)
      const beginning = options.onConnect?.(session, { resumed: !!recovery, request })
      await withTimeout(beginning, server.handlerTimeout, 'onConnect')
    } catch (error) {
      server.report(error)
      local.end(1011, 'the server could not begin the session')
    }
    local.listen(socket)
  }
}
