import { rejectUnknown } from '../common/checks.js'
import { isEnded } from '../common/ended.js'
import {
  backoff,
  type CloseEventData,
  createEmitter,
  createSocket,
  type Emitter,
  type Endpoint,
  type HeartbeatOptions,
  type Retry,
  type Socket,
  type SocketOptions,
  type State,
} from '../index.js'
import { decode, encode, encodeData, isPong, MALFORMED, type ServerFrame } from './frames.js'
import { createIncoming, type Incoming } from './incoming.js'
import { describe } from './messages.js'
import { checkSend, createOutgoing, type Frame, type Outgoing, type RequestHead } from './outgoing.js'
import { parseSaved } from './saved.js'
import { createSession, resolveUrl, type Session } from './session.js'
import type {
  FrameFormat,
  Outbox,
  OutboxSocket,
  ReliableEvents,
  ReliableOptions,
  ReliableSendOptions,
  ReliableSocket,
  ReliableState,
} from './types.js'

/** Makes a reliable socket: see `createReliableSocket`. */
export type CreateReliableSocket = <Json = unknown>(
  endpoint: Endpoint,
  options?: ReliableOptions,
) => ReliableSocket<Json>

const JSON_FORMAT: FrameFormat = {
  pack: encodeData,
  encode: frame => frame as string,
  decode,
  isPong,
}

const PING = '{"type":"ping"}'

const EVENTS = ['message', 'gap', 'drop', 'outcome', 'state', 'open', 'close', 'error'] as const

type CreateCore = (endpoint: Endpoint, options?: SocketOptions) => Socket

/** The type that no `createSocket` has that lacks a required part: its options show which parts it has. */
type RequireParts<Core extends CreateCore> = 'prepare' | 'highWaterMark' extends keyof NonNullable<
  Parameters<Core>[1]
>
  ? unknown
  : 'The parts prepare and delivery are missing'

const withoutUrl = ({ ...state }: State & { url?: string }): ReliableState => {
  delete state.url
  return state
}

const createCore = (
  createSocket: CreateCore,
  { heartbeat, saved: _, outbox: __, frames: ___, ...options }: ReliableOptions,
  { endpoint, protocols, prepare, retry }: Session,
  frames: FrameFormat,
  write: (frame: Frame) => string | ArrayBuffer,
  onPong: () => void,
): Socket => {
  const settings: SocketOptions = {
    // Its `queue` too: the core checks the limits, although its queue stays empty.
    ...options,
    protocols,
    highWaterMark: Infinity,
    retry: options.retry !== false && retry,
    prepare,
  }
  for (const name of ['protocols', 'prepare', 'binaryType', 'highWaterMark']) {
    if ((options as Record<string, unknown>)[name] !== undefined) {
      throw new TypeError(`createReliableSocket has no option '${name}': sessions set it`)
    }
  }
  if (heartbeat === false) return createSocket(endpoint, settings)
  const { interval, timeout, ...unknown } = heartbeat ?? {}
  rejectUnknown('heartbeat', unknown, 'interval and timeout')
  const ping: HeartbeatOptions = {
    interval,
    timeout,
    message: frames.protocol ? () => write(PING) : PING,
    isReply(data) {
      if (!frames.isPong(data as string)) return false
      onPong()
      return true
    },
  }
  try {
    return createSocket(endpoint, { ...settings, heartbeat: ping })
  } catch (error) {
    // A core without the part throws a TypeError. Unless the application asked for a heartbeat, a socket without one is enough.
    if (heartbeat || !(error instanceof TypeError)) throw error
    return createSocket(endpoint, settings)
  }
}

/** Attaches an outbox, whose messages are sent again in each session until they have an outcome. */
const attachTo = (
  outbox: Outbox,
  outgoing: Outgoing,
  on: OutboxSocket['on'],
  emit: Emitter<ReliableEvents<any>>['emit'],
  state: () => ReliableState,
) =>
  outbox.attach({
    on,
    send: (text, id, how) =>
      outgoing.send({ type: 'event', event: id }, id, { ...how, onLost: 'resend' }, text.slice(1), id),
    report(text, messageId, outcome, isOwn) {
      const message = { ...describe({ frame: text }), messageId, ...outcome }
      if (!isOwn) emit('outcome', message)
      if (message.status === 'dropped') emit('drop', message)
    },
    error: error => emit('error', error),
    get state() {
      return state()
    },
  })

/** Processes a frame of the server. `handOver` replaces the connection: the server is about to restart. */
const dispatch = (
  frame: ServerFrame,
  data: string | ArrayBuffer,
  incoming: Incoming,
  outgoing: Outgoing,
  emit: Emitter<ReliableEvents<any>>['emit'],
  handOver: ((cause: string) => unknown) | undefined,
) => {
  if (frame.type === 'message') incoming.receive(frame, data)
  else if (frame.type === 'ack') outgoing.receive(frame)
  else if (frame.type === 'system' && frame.event === 'limited') emit('error', new Error(frame.message))
  else if (frame.type === 'system' && frame.event === 'draining') handOver?.('draining')
}

/**
 * Creates a `createReliableSocket` from a `createSocket` that was assembled from the parts that an application needs. The parts `prepare`
 * and `delivery` are required. Without the part `heartbeat`, dead connections are not detected.
 *
 * ```ts
 * import { assemble, delivery, heartbeat, prepare } from 'steadysocket/core'
 * import { reliableSocketOver } from 'steadysocket/reliable'
 *
 * export const createReliableSocket = reliableSocketOver(assemble({ delivery, heartbeat, prepare }))
 * ```
 */
export const reliableSocketOver =
  <Core extends CreateCore>(createSocket: Core & RequireParts<Core>): CreateReliableSocket =>
  <Json>(endpoint: Endpoint, options: ReliableOptions = {}): ReliableSocket<Json> => {
    const {
      queue: { maxMessages = Infinity, maxBytes = 2 ** 24 } = {},
      retry = backoff(),
      frames = JSON_FORMAT,
    } = options
    const { on, once, off, emit } = createEmitter<ReliableEvents<any>>(EVENTS)
    const saved = parseSaved(options.saved)

    // Volatile: sent now, on an open connection, or never. The core neither stores nor reclaims a message: `outgoing` stores it until it
    // is acknowledged.
    const transmit = (frame: Frame) => !isSplit() && socket.send(write(frame), { volatile: true }) === 'sent'
    const write = (frame: Frame) => session.write(frame, socket.state)
    const isClosed = () => isEnded(socket.state)
    const outgoing = createOutgoing(saved, maxMessages, maxBytes, emit, transmit, isClosed)
    const incoming = createIncoming(saved.last, emit, transmit)
    let state: ReliableState = { name: 'closed' }
    const isOpen = () => state.name === 'open'
    const session = createSession(saved.session, endpoint, retry as Retry, incoming, outgoing, isOpen, frames)

    /** The id of the session of the open connection. */
    let present: string | undefined
    /** Whether a second connection has begun another session, with other numbers: the open one is of no use any more. */
    const isSplit = () => socket.state.name === 'open' && session.key?.id !== present

    const receive = (data: string | ArrayBuffer) => {
      if (isSplit()) return
      try {
        dispatch(frames.decode(data) as ServerFrame, data, incoming, outgoing, emit, socket.handover)
      } catch {
        // An unreadable frame counts as not received: the jump of the sequence numbers after it is reported as a gap.
        emit('error', new TypeError(MALFORMED))
      }
      // While it was unknown whether the connection works, nothing was sent.
      outgoing.flush()
    }

    // A malformed URL throws at once.
    if (typeof endpoint !== 'function') resolveUrl(endpoint)

    const socket = createCore(createSocket, options, session, frames, write, outgoing.flush)
    state = withoutUrl(socket.state)
    /** Whether another page may continue with the session. */
    let isSaved = false
    socket.on('state', next => {
      state = withoutUrl(next)
      emit('state', state)
      if (next.name !== 'closed') return
      incoming.flush()
      outgoing.close()
    })
    /** The end of the connection that was replaced by another one at once. */
    let replaced: CloseEventData | undefined
    socket.on('close', close => {
      if (socket.state.name === 'open') replaced = close
      else emit('close', close)
    })
    socket.on('open', ({ attempt, reconnected, seamless }) => {
      const { isResumed: resumed } = session
      present = session.key?.id
      isSaved = false
      // If the session continues, nothing has ended for the application.
      if (!replaced || !resumed) {
        if (replaced) emit('close', replaced)
        emit('open', { attempt, reconnected, seamless, resumed })
      }
      replaced = undefined
      outgoing.flush()
    })
    socket.on('text', receive)
    socket.on('binary', receive)
    socket.on('error', error => {
      emit('error', error)
      // The second connection has failed. The next one continues with its session.
      if (isSplit()) socket.reconnect()
    })

    const { outbox } = options
    const keep = outbox && attachTo(outbox, outgoing, on, emit, () => state)
    if (saved.outbox) outbox?.restore?.(saved.outbox)
    const send = (head: RequestHead, name: string, how: ReliableSendOptions, data: unknown) => {
      if (!keep || how.store === false) return outgoing.send(head, name, how, frames.pack(data))
      checkSend(name, how)
      return keep({ data, options: how, write: data => encode(head, encodeData(data)) })
    }

    return {
      send: async (data, { event = 'message', ...how } = {}) =>
        send({ type: 'event', event }, event, how, data),
      publish: async (group, data, { noEcho, ...how } = {}) =>
        send({ type: 'sendToGroup', group, noEcho }, group, how, data),
      join: group => outgoing.send({ type: 'joinGroup', group }, group, { onLost: 'resend' }),
      leave: group => outgoing.send({ type: 'leaveGroup', group }, group, { onLost: 'resend' }),
      on,
      once,
      off,
      connect: socket.connect,
      reconnect: socket.reconnect,
      handover: socket.handover,
      close(code, reason) {
        incoming.flush()
        if (!isSaved && session.supports('endSession')) transmit(encode({ type: 'endSession' }))
        socket.close(code, reason)
      },
      get state() {
        return state
      },
      get connectionId() {
        return session.key?.id
      },
      get stats() {
        return { ...socket.stats, ...outgoing.stats(), lastSequenceId: incoming.last }
      },
      save() {
        // The next page delivers nothing that this one has delivered.
        incoming.flush()
        isSaved = true
        return JSON.stringify({
          session: session.key,
          last: incoming.last,
          ...outgoing.save(),
          outbox: outbox?.save?.(),
        })
      },
    }
  }

/**
 * Creates a WebSocket on which each message arrives once and in order, in both directions, with a server that supports the subprotocol
 * `json.reliable.webpubsub.azure.v1`.
 *
 * ```ts
 * const socket = createReliableSocket('wss://push.example.com/feed')
 * socket.on('message', ({ data }) => show(data))
 * socket.on('gap', reloadEverything)
 * const { status } = await socket.send({ buy: 3 }, { event: 'order' })
 * ```
 *
 * Throws a `TypeError` for invalid options, a `SyntaxError` for a malformed URL, and a `SocketError` with the code `NO_WEBSOCKET` if
 * there is no `WebSocket`.
 */
export const createReliableSocket: CreateReliableSocket = /* @__PURE__ */ reliableSocketOver(createSocket)
