import { createEmitter, type PreparedConnection, type SendOptions, type Socket } from '../index.js'
import { bytesOf } from './bytes.js'
import { createSendCall } from './call.js'
import { checkOptions } from './checks.js'
import { type Connection, createConnection } from './connection.js'
import { CallError } from './errors.js'
import { createIncoming } from './incoming.js'
import type { CallProtocol, Incoming } from './protocol.js'
import { createRequests, type Transmit } from './requests.js'
import { type ContractEntry, validate } from './schema.js'
import { createSubscriptions } from './subscriptions.js'
import type {
  CallOptions,
  Calls,
  CallsEvents,
  CallsOptions,
  Contract,
  SocketSource,
  SubscribeOptions,
} from './types.js'

/** A function of this page that the server may call. */
type Handler = (params: any) => unknown

/**
 * Calls, subscriptions and handlers over a socket, in the protocol of the server.
 *
 * ```ts
 * const api = calls(prepare => createSocket('wss://push.example.com/rpc', { prepare }), jsonRpc())
 * const order = await api.call('order.place', { qty: 3 })
 * const stop = api.subscribe('news', undefined, (item, { gap }) => show(item, gap))
 * api.handle('confirm', question => window.confirm(question.text))
 * ```
 *
 * Every text message of the socket belongs to the protocol, and with a codec every binary message. The socket needs the part `delivery` of
 * the core. A function as the first argument makes it with the option `prepare`, so that subscriptions are made before the socket is open. With
 * a socket as the first argument they are made after that, behind what waits. Throws a `TypeError` for invalid options.
 */
export const calls = <All extends Contract = Contract>(
  source: SocketSource,
  protocol: CallProtocol,
  options: CallsOptions<All> = {},
): Calls<All> => {
  checkOptions(options, ['contract', 'codec', 'timeout', 'again', 'maxCalls', 'maxBytes', 'maxSubscriptions'])
  const { contract, codec, maxCalls = 1_000, maxBytes = 2 ** 24, maxSubscriptions = 1_000 } = options
  const { on, off, emit } = createEmitter<CallsEvents>(['error'])
  // A map, because a plain object has names of its own, such as `constructor`.
  const entries = new Map<string, ContractEntry>(Object.entries(contract ?? {}))
  const handlers = new Map<string, Handler>()
  let lastId = 0
  let present: Connection | undefined
  /** The connection that is being prepared. */
  let next: Connection | undefined
  /** How the last connection ended. */
  let closeCode = 0

  const nextId = () => ++lastId
  const tell = (error: unknown) =>
    emit('error', error instanceof CallError ? error : new CallError('MALFORMED', error))

  const encode = (frame: unknown) => {
    const data = codec ? codec.encode(frame) : JSON.stringify(frame)
    if (data === undefined) throw new TypeError('The protocol made nothing that can be encoded')
    // A codec may use its buffer again.
    return typeof data === 'string' ? data : bytesOf(data).slice()
  }

  const entryOf = (name: string) => {
    if (contract && !entries.has(name)) throw new TypeError(`The contract has no '${name}'`)
    return entries.get(name)
  }

  /** Runs the handler of a call of the server. */
  const answer = async (name: string, params: unknown) => {
    const handler = handlers.get(name)
    const entry = entries.get(name)
    try {
      if (!handler) throw new CallError('UNEXPECTED', name)
      const result = await handler(validate(entry?.params, params))
      validate(entry?.result, result, 'HANDLER_FAILED')
      // Fails here for a result that cannot be sent, so that the server gets an answer.
      encode(result ?? null)
      return result
    } catch (cause) {
      const error = cause instanceof CallError ? cause : new CallError('HANDLER_FAILED', cause)
      if (error.code !== 'SERVER_ERROR') tell(error)
      throw error
    }
  }

  const receive = async (data: any, { scope, incoming }: Connection) => {
    let frame: unknown
    try {
      frame = typeof data === 'string' ? JSON.parse(data) : codec?.decode(data)
    } catch {
      // The protocol decides what to answer.
    }
    try {
      const reply = await protocol.read(frame, incoming as Incoming)
      if (reply !== undefined && !scope.signal.aborted) send(encode(reply), scope)
    } catch (error) {
      tell(error)
    }
  }
  const onMessage = (data: unknown) => {
    if (present) receive(data, present)
  }

  const connect = () => {
    const connection = createConnection()
    connection.incoming = createIncoming(
      connection,
      requests,
      subscriptions,
      answer,
      () => handlers.size > 0,
      tell,
    )
    return connection
  }

  const make = (connection: Connection, transmit: Transmit) => {
    subscriptions.makeAll(connection, transmit)
    requests.resend(connection, transmit)
  }

  const prepare = async ({ send, receive: nextMessage, signal }: PreparedConnection<any>) => {
    const connection = connect()
    next = connection
    signal.addEventListener('abort', () => connection.scope.abort())
    make(connection, send)
    // During a handover, the connection before is used until the server has confirmed the subscriptions.
    while (socket.state.name === 'open' && [...connection.made.values()].includes(undefined)) {
      receive(await nextMessage(), connection)
    }
  }

  const onOpen = (isSeamless?: boolean) => {
    if (present) return
    const connection = next && !next.scope.signal.aborted ? next : connect()
    next = undefined
    present = connection
    connection.isOpen = true
    subscriptions.onOpen(connection, isSeamless)
    make(connection, send)
    requests.onOpen(connection)
    for (const job of connection.held) job()
  }

  const socket: Socket<any> = typeof source === 'function' ? source(prepare) : source
  const send: Transmit = socket.send
  const requests = createRequests(socket)
  const subscriptions = createSubscriptions(
    protocol,
    requests,
    maxSubscriptions,
    nextId,
    encode,
    send,
    () => present,
    tell,
  )
  const sendCall = createSendCall(requests, send, maxCalls, maxBytes, options)

  // If the server has closed the connection, it may have done so before it knew of the next one.
  socket.on('open', ({ seamless }) => onOpen(seamless && closeCode === 1000))
  socket.on('text', onMessage)
  if (codec) socket.on('binary', onMessage)
  socket.on('close', ({ code }) => {
    closeCode = code
    present?.scope.abort()
    present = undefined
    requests.onClose(next)
  })
  if (socket.state.name === 'open') onOpen()

  return {
    async call(name: string, params?: unknown, how: CallOptions = {}) {
      checkOptions(how, ['timeout', 'again', 'signal'])
      const entry = entryOf(name)
      validate(entry?.params, params, 'NOT_SENT')
      const id = nextId()
      return validate(entry?.result, await sendCall(id, encode(protocol.call(id, name, params)), how))
    },

    notify(name: string, params?: unknown, how?: SendOptions) {
      validate(entryOf(name)?.params, params, 'NOT_SENT')
      return socket.send(encode(protocol.call(undefined, name, params)), how)
    },

    subscribe(name: string, params: unknown, listener: any, how: SubscribeOptions = {}) {
      checkOptions(how, ['key', 'onEnd'])
      return subscriptions.subscribe(name, params, listener, how, entryOf(name))
    },

    handle(name: string, handler: Handler) {
      entryOf(name)
      if (handlers.has(name)) throw new TypeError(`'${name}' has a handler already`)
      handlers.set(name, handler)
      return () => {
        if (handlers.get(name) === handler) handlers.delete(name)
      }
    },

    on,
    off,
    socket,
  } as Calls<any>
}
