import type { PreparedConnection } from '../index.js'
import { type Connection, createConnection } from './connection.js'
import type { Encode } from './encode.js'
import { createIncoming } from './incoming.js'
import type { CallProtocol, Incoming } from './protocol.js'
import { type AddRequest, type CancelRequest, createRequests, type Transmit } from './requests.js'
import { createSubscriptions, type Subscribe } from './subscriptions.js'
import type { CallCodec, CallSocket, SocketSource } from './types.js'

/** The socket, and the functions that send on it. */
export type Link = readonly [
  socket: CallSocket,
  subscribe: Subscribe,
  addRequest: AddRequest,
  cancelRequest: CancelRequest,
]

/** Reacts to the connections of the socket: makes the subscriptions on each, sends lost calls again, and reads messages. */
export const createLink = (
  source: SocketSource<any>,
  protocol: CallProtocol,
  codec: CallCodec | undefined,
  maxSubscriptions: number,
  nextId: () => number,
  encode: Encode,
  answer: (name: string, params: unknown) => unknown,
  hasHandlers: () => boolean,
  tell: (error: unknown) => void,
): Link => {
  let present: Connection | undefined
  /** The connection that is being prepared. */
  let next: Connection | undefined
  /** How the last connection ended. */
  let closeCode = 0

  const receive = async (data: any, { scope, incoming }: Connection) => {
    let frame: unknown
    try {
      frame = typeof data === 'string' ? JSON.parse(data) : codec?.decode(data)
    } catch {
      // The protocol decides what to answer.
    }
    try {
      const reply = await protocol.read(frame, incoming as Incoming)
      // Dropped if the connection has ended.
      if (reply !== undefined) send(encode(reply), scope)
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
      receiveAnswer,
      receiveItem,
      endSubscription,
      answer,
      hasHandlers,
      tell,
    )
    return connection
  }

  const make = (connection: Connection, transmit: Transmit) => {
    makeAll(connection, transmit)
    resend(connection, transmit)
  }

  const prepare = async ({ send, receive: nextMessage, signal }: PreparedConnection<any>) => {
    // The attempt has failed meanwhile, and there may be another one.
    if (signal.aborted) return
    const connection = connect()
    next = connection
    signal.addEventListener('abort', () => connection.scope.abort())
    make(connection, send)
    // During a handover, the previous connection stays in use until the server has confirmed the subscriptions.
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
    onSubscriptionsOpen(connection, isSeamless)
    make(connection, send)
    onRequestsOpen(connection)
    for (const job of connection.held) job()
  }

  const socket: CallSocket = typeof source === 'function' ? source(prepare) : source
  // Each tab would receive the replies to the others.
  if ('sharing' in socket) throw new TypeError('calls() cannot use a connection that tabs share')
  if ('connectionId' in socket) throw new TypeError('calls() needs overReliable() for a reliable socket')
  const { send } = socket
  const [
    addRequest,
    receiveAnswer,
    cancelRequest,
    resend,
    onRequestsOpen,
    onRequestsClose,
    onRequestsSkipped,
  ] = createRequests(socket)
  const [subscribe, makeAll, onSubscriptionsOpen, receiveItem, endSubscription, onSubscriptionsSkipped] =
    createSubscriptions(protocol, addRequest, maxSubscriptions, nextId, encode, send, () => present, tell)

  // If the server has closed the previous connection, the next one may not have been open on the server yet.
  socket.on('open', ({ seamless }) => onOpen(seamless && closeCode === 1000))
  socket.on('text', onMessage)
  if (codec) socket.on('binary', onMessage)
  socket.on('close', ({ code }) => {
    closeCode = code
    present?.scope.abort()
    present = undefined
    onRequestsClose(next)
  })
  socket.onSkipped?.(() => {
    onSubscriptionsSkipped()
    if (present) onRequestsSkipped(present, send)
  })
  if (socket.state.name === 'open') onOpen()
  return [socket, subscribe, addRequest, cancelRequest]
}
