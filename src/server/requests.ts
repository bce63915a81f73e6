// Requests of clients: the application's decision about each, and the effects that are stored for it.

import type { EncodedData } from '../reliable/frames.js'
import { checkClose } from './checks.js'
import { checkName, type Payload, payload, type Request } from './frames.js'
import { encodePayload, writeMessage } from './message.js'
import type { ClientMessage, ReliableServerOptions, Session } from './options.js'
import type { RequestLike } from './origin.js'
import type { Effect, StoredFrame, StoreNode } from './store.js'
import type { RunHook } from './timeout.js'

/** A request is refused. The client receives the name and the message. */
export class Refusal extends Error {
  constructor(name: string, message: string) {
    super(message)
    this.name = name
  }
}

/** The result of a handler. */
export interface Task {
  /** To be stored in one step with the mark that the request was processed. */
  readonly effects: readonly Effect[]
  /** The handler ended the session. */
  readonly close?: { readonly code: number; readonly reason: string } | undefined
  /** The answer to an invocation, as text. */
  readonly result?: EncodedData | '' | undefined
  /** Call this when the outcome is known: it stores what the session sent after the handler was done. */
  release(): void
}

/** The part of the server that requests use. */
export interface RequestHost {
  /** Resolves with the open store. */
  openStore(): Promise<StoreNode>
  /** The largest message that a session can hold. */
  readonly maxUnacknowledgedBytes: number
  readonly runHook: RunHook
  report(error: unknown): void
}

/** A session as the application uses it. `perform` stores an effect, or holds it. */
const sessionView = (
  host: RequestHost,
  id: string,
  userId: string | undefined,
  perform: (effect: Effect) => void,
  end: (code: number, reason: string) => void,
): Session => ({
  id,
  userId,
  send(data, dataType) {
    const frame = writeMessage(payload(data, dataType), undefined, host.maxUnacknowledgedBytes)
    perform({ kind: 'send', session: id, frame })
  },
  publish(group, data, { dataType, noEcho } = {}) {
    checkName('publish()', group)
    const from = { group, fromUserId: userId }
    const frame = writeMessage(payload(data, dataType), from, host.maxUnacknowledgedBytes)
    perform({ kind: 'publish', group, frame, except: noEcho ? id : undefined })
  },
  join(group) {
    perform({ kind: 'join', session: id, group: checkName('join()', group) })
  },
  leave(group) {
    perform({ kind: 'leave', session: id, group: checkName('leave()', group) })
  },
  close(code = 1008, reason = 'closed by the server') {
    checkClose(code, reason)
    end(code, reason)
  },
})

const storeNow =
  ({ openStore, report }: RequestHost) =>
  (...effects: Effect[]): void =>
    void openStore()
      .then(node => node.commit(effects))
      .catch(report)

const endNow =
  ({ openStore, report }: RequestHost, id: string) =>
  (code: number, reason: string): void =>
    void openStore()
      .then(node => node.end(id, code, reason))
      .catch(report)

/** A session whose methods take effect at once. */
export const directSession = (host: RequestHost, id: string, userId: string | undefined): Session =>
  sessionView(host, id, userId, storeNow(host), endNow(host, id))

/** The time at which a handler has taken too long. Then nothing happens any more that it does through its session. */
class Deadline {
  private controller: AbortController | undefined
  private error: Error | undefined

  /** Aborted at that time. Made only for handlers that ask for it. */
  get signal(): AbortSignal {
    this.controller ??= new AbortController()
    if (this.error) this.controller.abort(this.error)
    return this.controller.signal
  }

  pass(error: Error): void {
    this.error = error
    this.controller?.abort(error)
  }

  /** Throws if it has passed. */
  check(): void {
    if (this.error) throw this.error
  }
}

const DEADLINE = Symbol('deadline')

/** A message for the handler. The signal is made only for handlers that ask for it. */
class ReceivedMessage {
  readonly event: string
  readonly id: string | undefined
  readonly dataType: Payload['dataType']
  readonly data: unknown
  private readonly [DEADLINE]: Deadline

  constructor(event: string, id: string | undefined, { dataType, data }: Payload, deadline: Deadline) {
    this.event = event
    this.id = id
    this.dataType = dataType
    this.data = data
    this[DEADLINE] = deadline
  }

  get signal(): AbortSignal {
    return this[DEADLINE].signal
  }
}

/** A client's message is refused if it is too large for the members. This is not an error of the application. */
const writePublication = (
  { maxUnacknowledgedBytes }: RequestHost,
  payload: Payload,
  from: { group: string; fromUserId: string },
): StoredFrame => {
  try {
    return writeMessage(payload, from, maxUnacknowledgedBytes)
  } catch (error) {
    throw new Refusal('TooLarge', (error as Error).message)
  }
}

type Invocation = Extract<Request, { type: 'invoke' }>

/** Asks the application for the answer to an invocation. */
const resultOf = async (
  host: RequestHost,
  { onInvoke }: ReliableServerOptions<any>,
  { event, payload: sent }: Invocation,
  session: Session,
  deadline: Deadline,
): Promise<EncodedData | ''> => {
  if (!onInvoke) throw new Refusal('NotFound', 'this server does not handle invocations')
  const message = new ReceivedMessage(event, undefined, sent, deadline) as ClientMessage
  const result = await host.runHook('onInvoke', () => onInvoke(message, session), deadline)
  // Azure's client ignores a response whose data is null.
  return result === undefined || result === null ? '' : encodePayload(payload(result))
}

/** Asks the application about a request, and returns the effects of the request itself. Rejects with a `Refusal`. */
const effectsOf = async (
  host: RequestHost,
  { onMessage, onJoin, onPublish }: ReliableServerOptions<any>,
  request: Exclude<Request, Invocation>,
  session: Session,
  deadline: Deadline,
): Promise<Effect[]> => {
  const forbidden = (what: string) => new Refusal('Forbidden', `may not ${what} this group`)
  const run = <Value>(what: string, hook: () => Value | PromiseLike<Value>) =>
    host.runHook(what, hook, deadline)
  switch (request.type) {
    case 'event': {
      if (!onMessage) throw new Refusal('NotFound', 'this server does not handle events')
      const { event, payload, ackId, messageId } = request
      const id = messageId ?? (ackId === undefined ? undefined : `${session.id}:${ackId}`)
      const message = new ReceivedMessage(event, id, payload, deadline) as ClientMessage
      await run('onMessage', () => onMessage(message, session))
      return []
    }
    case 'joinGroup':
      if (!onJoin || !(await run('onJoin', () => onJoin(request.group, session)))) throw forbidden('join')
      return [{ kind: 'join', session: session.id, group: request.group }]
    case 'leaveGroup':
      return [{ kind: 'leave', session: session.id, group: request.group }]
    case 'sendToGroup': {
      const { group, payload, noEcho } = request
      if (!onPublish || !(await run('onPublish', () => onPublish(group, payload, session))))
        throw forbidden('publish to')
      // Always present in a client's message, so that it cannot be taken for one of the server.
      const frame = writePublication(host, payload, { group, fromUserId: session.userId ?? '' })
      const except = noEcho ? session.id : undefined
      return [{ kind: 'publish', group, frame, except, membersOnly: true }]
    }
    default:
      throw new Refusal(request.name, request.why)
  }
}

/** Runs the application's handler and collects everything that it does through the session. */
export const runRequest = async <Handshake extends RequestLike>(
  host: RequestHost,
  options: ReliableServerOptions<Handshake>,
  { id, userId }: { readonly id: string; readonly userId: string | undefined },
  request: Request,
): Promise<Task> => {
  const store = storeNow(host)
  let held: Effect[] | undefined = []
  let close: Task['close']
  const deadline = new Deadline()
  const perform = (effect: Effect) => {
    deadline.check()
    if (held) held.push(effect)
    else store(effect)
  }
  const end = endNow(host, id)
  const session = sessionView(host, id, userId, perform, (code, reason) => {
    deadline.check()
    // First, the client gets the messages that the handler has sent, and the acknowledgement.
    if (held) close ??= { code, reason }
    else end(code, reason)
  })
  try {
    const isInvocation = request.type === 'invoke'
    const result = isInvocation ? await resultOf(host, options, request, session, deadline) : undefined
    const own = isInvocation ? [] : await effectsOf(host, options, request, session, deadline)
    const effects = [...held, ...own]
    // Messages that the session sends from here on must not overtake the effects that are being stored.
    const late: Effect[] = []
    held = late
    return {
      effects,
      close,
      result,
      release() {
        held = undefined
        if (late.length) store(...late)
      },
    }
  } catch (error) {
    held = undefined
    if (close) end(close.code, close.reason)
    throw error
  }
}
