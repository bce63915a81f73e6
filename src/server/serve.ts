// The server side of reliable sessions, for the `ws` package on Node.
import {
  type Request as ClientRequest,
  checkName,
  type DataType,
  type Payload,
  PROTOCOL,
  payload,
  writeMessage,
} from './frames.js'
import { memoryStore } from './memory-store.js'
import { type Origins, originCheck, type RequestLike } from './origin.js'
import {
  CLOSED,
  createLocalSession,
  dismiss,
  expel,
  type Host,
  type LocalSession,
  Refusal,
  type ServerStats,
  type WebSocketLike,
} from './session.js'
import { type Effect, type Lease, SLOW, type Store, type StoreNews, type StoreNode } from './store.js'
import { digest, randomName } from './token.js'

export type { DataType, Payload } from './frames.js'
export { type MemoryStoreOptions, memoryStore } from './memory-store.js'
export type { Origins, RequestLike } from './origin.js'
export { type RedisClient, type RedisStoreOptions, type RedisSubscriber, redisStore } from './redis-store.js'
export type { ServerStats, WebSocketLike } from './session.js'
export type {
  Claim,
  Committed,
  Effect,
  Lease,
  Outcome,
  Store,
  StoredMessage,
  StoreLimits,
  StoreNews,
  StoreNode,
} from './store.js'

/** What we use of a `WebSocketServer` of the `ws` package. */
// https://github.com/websockets/ws/blob/master/doc/ws.md#class-websocketserver
export interface WebSocketServerLike<Request extends RequestLike = RequestLike> {
  readonly options: {
    handleProtocols?: ((protocols: Set<string>, request: Request) => string | false) | null | undefined
  }
  on(event: string, listener: (...args: any[]) => void): unknown
  off(event: string, listener: (...args: any[]) => void): unknown
  listenerCount(event: string): number
}

/** A client's session. It outlives connections, and stands for the same client on every node. */
export interface Session {
  /** Names the session: the protocol's `connectionId`. */
  readonly id: string
  /** Who it is, as `authorize` said. */
  readonly userId: string | undefined
  /**
   * Sends a message: exactly once, in the order of the calls. Strings travel as text, bytes as binary, all else as JSON, unless
   * `dataType` says `'json'` of a string. Throws a TypeError for what cannot travel.
   *
   * In `onMessage` it is kept back until the handler is done, and then stored together with the mark that the message was
   * handled: both or neither. What cannot be stored is reported to `onError`.
   */
  send(data: unknown, dataType?: DataType): void
  /**
   * Sends to all in a group; `noEcho` leaves this session out (default: false), `dataType` is as in `send`. In `onMessage` it is kept
   * back, like `send`.
   */
  publish(group: string, data: unknown, options?: { dataType?: DataType; noEcho?: boolean }): void
  /** Joins a group. In `onMessage` it is kept back, like `send`. */
  join(group: string): void
  /** Leaves a group. In `onMessage` it is kept back, like `send`. */
  leave(group: string): void
  /**
   * Ends the session, at once and for good. Default code: 1008, which tells the client that it cannot be resumed. Throws a `RangeError`
   * for a code that is not 1000, 1008 or 3000 to 4999, and for a reason of more than 120 bytes.
   */
  close(code?: number, reason?: string): void
}

/** A client's message. */
export type Message = Payload & {
  /** The name of the event. */
  readonly event: string
  /**
   * The same for every repetition of this message, different for all others, on every node: what an application keeps with its own
   * effects, to have them once. Absent where the client wants no acknowledgement.
   */
  readonly id: string | undefined
}

/** Who connects: `true` for somebody without a name, a user's id, or that with groups to begin with. */
export type Authorization =
  | boolean
  | string
  | {
      /** Who it is. */
      readonly userId?: string
      /** The groups that a new session begins in. */
      readonly groups?: readonly string[]
    }

type Eventually<Value> = Value | PromiseLike<Value>

/** Who may do what, and how much. Durations in milliseconds. */
export interface ReliableOptions<Request extends RequestLike = RequestLike> {
  /**
   * Handles an event of a client. The next one of the same session waits until it is done, and so does the acknowledgement. When
   * it fails, the client is told the error's name, and nothing that was sent or published through `session` happens.
   * Default: events are refused.
   */
  onMessage?: (message: Message, session: Session) => unknown
  /** A session has begun, or has come back. Nothing is read from the connection before this is done. Default: nothing. */
  onConnect?: (session: Session, context: { readonly resumed: boolean; readonly request: Request }) => unknown
  /** A connection is gone. The session may come back for `keepMs`. Default: nothing. */
  onDisconnect?: (session: Session, close: { readonly code: number; readonly reason: string }) => unknown
  /** Whether a client may join a group. Default: it may not. */
  onJoin?: (group: string, session: Session) => Eventually<boolean>
  /** Whether a client may send to a group. Default: those in it may. */
  onPublish?: (group: string, message: Payload, session: Session) => Eventually<boolean>
  /**
   * Who this is, on every connection; `false`: nobody we serve. A session is resumed only by the user who began it. Default:
   * everybody, without a name.
   */
  authorize?: (request: Request) => Eventually<Authorization>
  /** Which pages may connect. Default: those of the host that they connect to, and programs that are no browser. */
  origins?: Origins<Request>
  /** Where sessions are kept. Default: `memoryStore()`. */
  store?: Store
  /**
   * A session with more unacknowledged messages is ended. Default: 1,000. At 200 messages a second that is an outage of five
   * seconds; after a restart, clients take up to 13 to come back.
   */
  maxUnacked?: number
  /** A session with more bytes of unacknowledged messages is ended. Default: 4 MiB. */
  maxUnackedBytes?: number
  /** A client's message may have so many bytes. Give your `WebSocketServer` a `maxPayload` as well. Default: 1 MiB. */
  maxMessageBytes?: number
  /** How many groups a session may be in. Default: 256. */
  maxGroups?: number
  /** How many ids of handled messages a session remembers. Default: 4,096. */
  dedupeWindow?: number
  /** How long a session outlives its connection, and how long a silent connection is held to be alive. Default: 60,000. */
  keepMs?: number
  /** Hears what went wrong in your functions and in the store. Default: `console.error`. */
  onError?: (error: unknown) => void
}

/** Reliable sessions over a WebSocketServer. Its methods can be passed about unbound. */
export interface ReliableServer {
  /**
   * Sends to one session, on whichever node it is. Resolves when the message is stored, with how many messages that session has not
   * acknowledged now: a number to pace by. 0: there is no such session, or this was too much for it. Rejects with a `TypeError` for what cannot travel, and with what the
   * store rejects with: then the message may be stored or not.
   */
  send(session: string | Session, data: unknown, dataType?: DataType): Promise<number>
  /**
   * Sends to all in a group but `except`, and resolves with how many these are. `dataType` is as in `Session.send`. Rejects as `send`.
   */
  publish(
    group: string,
    data: unknown,
    options?: { dataType?: DataType; except?: string | Session },
  ): Promise<number>
  /** Sends to all sessions, and resolves with how many these are. Rejects as `send`. */
  broadcast(data: unknown, dataType?: DataType): Promise<number>
  /** Ends a session, wherever it is. Resolves with whether there was one. Rejects where `Session.close` throws. */
  end(session: string | Session, code?: number, reason?: string): Promise<boolean>
  /** Counts: a new object each time. */
  readonly stats: ServerStats
  /**
   * Shuts down: lets requests that are being handled finish (for `timeout` milliseconds, default 5,000), closes every connection with 1012 and
   * tells clients to come back after `retryAfter` seconds (default: 1). Sessions stay in the store. The WebSocketServer stays open, and is yours to
   * close.
   */
  close(options?: { retryAfter?: number; timeout?: number }): Promise<void>
}

const DEFAULTS = {
  maxUnacked: 1_000,
  maxUnackedBytes: 2 ** 22,
  maxMessageBytes: 2 ** 20,
  maxGroups: 256,
  dedupeWindow: 4_096,
  keepMs: 60_000,
}

type Limits = typeof DEFAULTS

/** Throws for a limit that makes no sense. */
const settle = (options: Partial<Limits>): Limits => {
  const limits = { ...DEFAULTS }
  for (const name of Object.keys(DEFAULTS) as (keyof Limits)[]) {
    const { [name]: value = DEFAULTS[name] } = options
    if (!Number.isSafeInteger(value) || value < 1)
      throw new TypeError(`${name} takes a whole number from 1 up`)
    limits[name] = value
  }
  return limits
}

const checkClose = (code: number, reason: string): void => {
  // What an endpoint may send, of the registered codes and its own.
  // https://datatracker.ietf.org/doc/html/rfc6455#section-7.4
  const fits = Number.isInteger(code) && (code === 1000 || code === 1008 || (code >= 3000 && code < 5000))
  if (!fits) throw new RangeError('a session is closed with 1000, 1008, or a code from 3000 to 4999')
  if (new TextEncoder().encode(reason).length > 120)
    throw new RangeError('a close reason has at most 120 bytes')
}

const idOf = (session: string | Session): string => (typeof session === 'string' ? session : session.id)

const complain = (error: unknown): void => console.error(error)

/**
 * Serves reliable sessions, exactly once and in order both ways, to the clients of a `WebSocketServer` that speak
 * `json.reliable.webpubsub.azure.v1`. Other clients are left to your own `connection` listener; where there is none, they are
 * closed with 1002.
 *
 * ```ts
 * const server = reliable(new WebSocketServer({ port: 8080, maxPayload: 2 ** 20 }), {
 *   onMessage: ({ event, data }, session) => session.send({ event, data }),
 * })
 * ```
 *
 * Throws a TypeError for options that make no sense.
 */
export const reliable = <Request extends RequestLike = RequestLike>(
  wss: WebSocketServerLike<Request>,
  options: ReliableOptions<Request> = {},
): ReliableServer => {
  const limits = settle(options)
  const { onMessage, onConnect, onDisconnect, onJoin, onPublish, authorize, store = memoryStore() } = options
  const allowed = originCheck(options.origins)

  const sessions = new Map<string, LocalSession>()
  const resuming = new Map<string, Promise<unknown>>()
  const sockets = new Set<WebSocketLike>()
  const stats = {
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
  let closing: string | undefined

  const report = (error: unknown) => {
    try {
      ;(options.onError ?? complain)(error)
    } catch (broken) {
      complain(broken)
    }
  }

  /** A listener of the application: what goes wrong in it is reported. */
  const tell = async (job: () => unknown) => {
    try {
      await job()
    } catch (error) {
      report(error)
    }
  }

  const hear = (news: StoreNews) => {
    if (news.kind === 'ended' && news.reason === SLOW) stats.slow++
    const session = sessions.get(news.session)
    if (!session) return
    if (news.kind === 'messages') session.pump()
    else if (news.kind === 'ended') session.finish(news.code, news.reason)
    else if (news.epoch > session.epoch) session.lose()
  }

  const opened = store.open(limits, hear)

  /** A session as the application sees it. `held`: where effects wait that belong together. */
  const handle = (id: string, userId: string | undefined, held?: () => Effect[] | undefined): Session => {
    const perform = (effect: Effect) => {
      const waiting = held?.()
      if (waiting) waiting.push(effect)
      else opened.then(store => store.commit([effect])).catch(report)
    }
    const toGroup = (kind: 'join' | 'leave', group: string) =>
      perform({ kind, session: id, group: checkName(`${kind}()`, group) })
    return {
      id,
      userId,
      send(data, dataType) {
        perform({ kind: 'send', session: id, frame: writeMessage(payload(data, dataType), undefined) })
      },
      publish(group, data, { dataType, noEcho } = {}) {
        checkName('publish()', group)
        const frame = writeMessage(payload(data, dataType), { group, fromUserId: userId })
        perform({ kind: 'publish', group, frame, except: noEcho ? id : undefined })
      },
      join: group => toGroup('join', group),
      leave: group => toGroup('leave', group),
      close(code = 1008, reason = 'closed by the server') {
        checkClose(code, reason)
        opened.then(store => store.end(id, code, reason)).catch(report)
      },
    }
  }

  const decide = async (request: ClientRequest, session: Session): Promise<Effect[]> => {
    const forbidden = (what: string) => new Refusal('Forbidden', `may not ${what} this group`)
    switch (request.type) {
      case 'event': {
        if (!onMessage) throw new Refusal('NotFound', 'nobody listens to events')
        const { event, payload, ackId } = request
        const id = ackId === undefined ? undefined : `${session.id}:${ackId}`
        await onMessage({ event, id, ...payload }, session)
        return []
      }
      case 'joinGroup':
        if (!(await onJoin?.(request.group, session))) throw forbidden('join')
        return [{ kind: 'join', session: session.id, group: request.group }]
      case 'leaveGroup':
        return [{ kind: 'leave', session: session.id, group: request.group }]
      case 'sendToGroup': {
        const { group, payload, noEcho } = request
        if (onPublish && !(await onPublish(group, payload, session))) throw forbidden('send to')
        const frame = writeMessage(payload, { group, fromUserId: session.userId })
        const except = noEcho ? session.id : undefined
        return [{ kind: 'publish', group, frame, except, membersOnly: !onPublish }]
      }
      default:
        throw new Refusal('BadRequest', request.why)
    }
  }

  const hostOf = (store: StoreNode): Host => ({
    ...limits,
    store,
    stats,
    resuming,
    maxBuffered: limits.maxUnackedBytes + 2 ** 20,
    report,
    async carryOut({ id, userId }, request) {
      let held: Effect[] | undefined = []
      const view = handle(id, userId, () => held)
      try {
        const effects = await decide(request, view)
        const all = [...held, ...effects]
        const late: Effect[] = []
        // What is sent from here on waits for the outcome: it may not overtake what is being stored.
        held = late
        return {
          effects: all,
          settle() {
            held = undefined
            if (late.length) store.commit(late).catch(report)
          },
        }
      } catch (error) {
        held = undefined
        throw error
      }
    },
    disconnected(session, code, reason) {
      tell(() => onDisconnect?.(handle(session.id, session.userId), { code, reason }))
    },
    forget(session) {
      if (sessions.get(session.id) === session) sessions.delete(session.id)
    },
  })
  const ready = opened.then(hostOf)
  // Whoever needs the store hears of it.
  ready.catch(() => {})

  /** Who is let in, or why not. */
  const admit = async (request: Request): Promise<{ userId: string; groups: readonly string[] } | string> => {
    if (!(await allowed(request))) return 'this origin is not allowed'
    const answer = authorize ? await authorize(request) : true
    if (!answer) return 'not authorized'
    const { userId = '', groups = [] } =
      answer === true ? {} : typeof answer === 'string' ? { userId: answer } : answer
    for (const group of groups) checkName('authorize()', group)
    return { userId, groups }
  }

  const begin = async (socket: WebSocketLike, request: Request) => {
    const refuse = (reason: string) => {
      stats.refused++
      expel(socket, 1008, reason)
    }
    const [, query = ''] = /\?(.*)/s.exec(request.url ?? '') ?? []
    const wanted = new URLSearchParams(query)
    const id = wanted.get('awps_connection_id')
    const shown = wanted.get('awps_reconnection_token')

    const [host, admitted] = await Promise.all([ready, admit(request)])
    if (typeof admitted === 'string') return refuse(admitted)
    const { userId, groups } = admitted
    const token = randomName()
    const [next, before] = await Promise.all([digest(token), digest(shown ?? '')])
    const resumed = id !== null || shown !== null
    if (closing) return dismiss(socket, 1012, closing)
    if (socket.readyState === CLOSED) return
    const local = resumed
      ? await resume(host, socket, id ?? '', before, { token, next }, userId)
      : await create(host, socket, { token, next }, userId, groups)
    if (!local)
      return resumed ? refuse('the session is unknown or has expired') : dismiss(socket, 1013, 'no room')
    stats[resumed ? 'resumed' : 'created']++
    try {
      await onConnect?.(handle(local.id, local.userId), { resumed, request })
    } catch (error) {
      report(error)
      local.end(1011, 'the server could not begin the session')
    }
    local.listen(socket)
  }

  // Whoever holds a lease uses it in the same step: a session that nobody is connected to may be forgotten in the next.
  const attach = (local: LocalSession, socket: WebSocketLike, lease: Lease, token: string) => {
    sessions.set(local.id, local)
    local.attach(socket, lease, token)
    if (closing) dismiss(socket, 1012, closing)
    return local
  }

  const create = async (
    host: Host,
    socket: WebSocketLike,
    { token, next }: { token: string; next: string },
    userId: string,
    groups: readonly string[],
  ) => {
    const id = randomName()
    if (!(await host.store.create({ id, token: next, userId, groups }))) return undefined
    const lease = { epoch: 1, sequenceId: 0, acknowledged: 0, handled: [] }
    return attach(createLocalSession(host, id, userId || undefined, lease), socket, lease, token)
  }

  const resume = (
    host: Host,
    socket: WebSocketLike,
    id: string,
    shown: string,
    { token, next }: { token: string; next: string },
    userId: string,
  ): Promise<LocalSession | undefined> => {
    const taking = host.store.resume(id, shown, next, userId).then(lease => {
      if (!lease) return undefined
      const known = sessions.get(id)
      // The same node goes on with the same session, and with what it is handling: if nobody else held it in between.
      if (known && known.epoch + 1 === lease.epoch) return attach(known, socket, lease, token)
      known?.lose()
      return attach(createLocalSession(host, id, userId || undefined, lease), socket, lease, token)
    })
    const taken = taking
      .catch(() => {})
      .then(() => {
        if (resuming.get(id) === taken) resuming.delete(id)
      })
    resuming.set(id, taken)
    return taking
  }

  const connected = (socket: WebSocketLike, request: Request) => {
    if (socket.protocol !== PROTOCOL) {
      // With a listener of its own, the application serves other clients too.
      if (wss.listenerCount('connection') === 1) socket.close(1002, `${PROTOCOL} is the subprotocol here`)
      return
    }
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    // The close event that follows says it all. Without a listener it would end the process.
    socket.on('error', () => {})
    // Frames may come at once, and have to wait.
    socket.pause()
    begin(socket, request).catch(error => {
      report(error)
      // Not 1008: nobody has said that the session is gone.
      dismiss(socket, 1011, 'the server failed')
    })
  }

  const { handleProtocols } = wss.options
  // `ws` would select the first that is offered, whatever it is.
  const select = (protocols: Set<string>, request: Request): string | false => {
    if (protocols.has(PROTOCOL)) return PROTOCOL
    const [first = false] = Array.from(protocols)
    return handleProtocols ? handleProtocols(protocols, request) : first
  }
  wss.options.handleProtocols = select
  wss.on('connection', connected)

  let tending = false
  const tend = async () => {
    // A store that is away is not asked again and again.
    if (tending) return
    tending = true
    try {
      const { store } = await ready
      const all = [...sessions.values()]
      const held = all.filter(({ connected }) => connected).map(({ id, epoch }) => ({ id, epoch }))
      const newest = held.length ? await store.touch(held) : []
      const told = new Map(held.map(({ id, epoch }, i) => [`${id} ${epoch}`, newest[i]]))
      // What was said of one that has changed hands meanwhile is not for it.
      for (const session of all) session.tend(told.get(`${session.id} ${session.epoch}`))
    } catch (error) {
      report(error)
    }
    tending = false
  }
  const beat = setInterval(tend, Math.min(5_000, limits.keepMs / 4))

  const commit = async (effect: Effect) => (await (await opened).commit([effect])).count

  return {
    async send(session, data, dataType) {
      return commit({
        kind: 'send',
        session: idOf(session),
        frame: writeMessage(payload(data, dataType), undefined),
      })
    },
    async publish(group, data, { dataType, except } = {}) {
      checkName('publish()', group)
      const frame = writeMessage(payload(data, dataType), { group })
      return commit({ kind: 'publish', group, frame, except: except && idOf(except) })
    },
    async broadcast(data, dataType) {
      return commit({ kind: 'publish', group: '', frame: writeMessage(payload(data, dataType), undefined) })
    },
    async end(session, code = 1008, reason = 'closed by the server') {
      checkClose(code, reason)
      return (await opened).end(idOf(session), code, reason)
    },
    get stats() {
      return { ...stats }
    },
    async close({ retryAfter = 1, timeout = 5_000 } = {}) {
      if (!(retryAfter >= 0 && retryAfter < 1e9)) throw new TypeError('retryAfter takes seconds from 0 up')
      if (closing) return
      // The form that clients of this package obey.
      closing = `retry-after=${retryAfter}`
      clearInterval(beat)
      const within = async (ms: number, work: readonly unknown[]) => {
        let timer: ReturnType<typeof setTimeout> | undefined
        await Promise.race([Promise.all(work), new Promise(resolve => (timer = setTimeout(resolve, ms)))])
        clearTimeout(timer)
      }
      const held = [...sessions.values()]
      await within(
        timeout,
        held.map(session => session.quiesce()),
      )
      const open = [...sockets]
      const gone = open.map(socket => new Promise<void>(resolve => socket.on('close', () => resolve())))
      for (const socket of open) dismiss(socket, 1012, closing)
      // A peer that is dead does not answer.
      await within(1_000, gone)
      for (const socket of sockets) socket.terminate()
      await within(1_000, gone)
      wss.off('connection', connected)
      if (wss.options.handleProtocols === select) wss.options.handleProtocols = handleProtocols
      const store = await opened.catch(() => undefined)
      // So that the caller can end its client of the store.
      await within(
        1_000,
        held.map(({ id, epoch }) => store?.detach(id, epoch).catch(report)),
      )
      await store?.close()
    },
  }
}
