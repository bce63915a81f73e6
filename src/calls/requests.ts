import type { Data } from '../index.js'
import type { Connection } from './connection.js'
import { bytesOf } from './encode.js'
import { CallError, type CallErrorCode } from './errors.js'
import type { Again, CallSocket } from './types.js'

/** Sends a message, at once or after the queued ones. The signal removes it from the queue. */
export type Transmit = (data: Data, options: { readonly signal: AbortSignal }) => unknown

/** A request that the server answers: a call, or a request that makes or ends a subscription. */
export interface Request {
  readonly id: number
  readonly data: Data
  /** Whether it is sent again when the connection ends. */
  readonly again: Again
  /** The connection that it belongs to. Calls belong to none. */
  readonly connection?: Connection
  /** Removes it from the queue. */
  readonly queued: AbortController
  /** Called once, with an error or the result. */
  onEnd(error: CallError | undefined, result?: unknown): void
  /** True when its connection has ended and it may have arrived; the new connection once it was sent again. */
  lost?: Connection | true | undefined
  /** Whether it waits to be given to a connection for the first time. */
  waits?: boolean
  /** Whether it was sent before. */
  mayHaveArrived?: boolean
}

/** Sends a request, and stores it until it ends. */
export type AddRequest = (request: Request, transmit: Transmit) => void

/** Ends a request with the server's answer. Returns whether there is one with this id. */
export type ReceiveAnswer = (id: unknown, error: CallError | undefined, result?: unknown) => boolean

/** Ends a request: with `NOT_SENT` if it is still queued, otherwise with this code. */
export type CancelRequest = (request: Request, code: CallErrorCode, cause?: unknown) => void

/** The requests that have not been answered. */
export type Requests = readonly [
  add: AddRequest,
  receive: ReceiveAnswer,
  cancel: CancelRequest,
  /** Sends requests again, on a new connection, that were lost with earlier ones. */
  resend: (connection: Connection, transmit: Transmit) => void,
  /** The connection is open. */
  onOpen: (connection: Connection) => void,
  /** The connection has ended. There may be another one that is not open yet. */
  onClose: (next: Connection | undefined) => void,
  /** Messages from the server are missing, although the connection has not ended. */
  onSkipped: (connection: Connection, transmit: Transmit) => void,
]

/** Identifies a message, of any type. The socket reports unsent messages by their data, and copies binary data. */
export const identify = (data: any): unknown => (data?.byteLength === undefined ? data : bytesOf(data).join())

/** The characters of text, or the bytes of binary data. */
export const sizeOf = (data: any): number => data.length ?? data.byteLength

export const createRequests = (socket: CallSocket): Requests => {
  const pending = new Map<unknown, Request>()
  /** The last call that was answered on this connection. Calls are sent in order, so all earlier ones have arrived. */
  let lastAnswered = 0

  const end = (request: Request, error: CallError | undefined, result?: unknown) => {
    if (pending.delete(request.id)) request.onEnd(error, result)
  }

  const cancel: CancelRequest = (request, code, cause) => {
    // Deleted first, so that the `drop` event, which may follow later, does not end it.
    pending.delete(request.id)
    const { dropped } = socket.stats
    request.queued.abort()
    const isUnsent = socket.stats.dropped > dropped && !request.lost && !request.mayHaveArrived
    request.onEnd(new CallError(isUnsent ? 'NOT_SENT' : code, cause))
  }

  const endLost = async () => {
    // Wait until the last `drop` events have been dispatched.
    await 0
    for (const request of pending.values()) {
      const isOver = request.again !== 'always' || socket.state.name === 'closed'
      if (request.lost && isOver) cancel(request, 'UNKNOWN')
    }
  }

  socket.on('drop', ({ data, reason }) => {
    for (const request of pending.values()) {
      // Few messages have the same length: the bytes of all calls would take long to compare with each message that is dropped.
      if (sizeOf(request.data) !== sizeOf(data) || identify(request.data) !== identify(data)) continue
      return end(request, new CallError(request.mayHaveArrived ? 'UNKNOWN' : 'NOT_SENT', reason))
    }
  })
  socket.on('state', ({ name }) => {
    if (name === 'closed') endLost()
  })

  const add: AddRequest = (request, transmit) => {
    pending.set(request.id, request)
    const outcome = transmit(request.data, request.queued)
    request.waits = outcome === 'queued'
    if (outcome === 'dropped') end(request, new CallError('NOT_SENT'))
  }

  const receive: ReceiveAnswer = (id, error, result) => {
    const request = pending.get(id)
    if (!request) return false
    if (!request.connection) lastAnswered = Math.max(lastAnswered, request.id)
    end(request, error, result)
    return true
  }

  const resend = (connection: Connection, transmit: Transmit) => {
    for (const request of pending.values()) {
      // It belongs to an attempt that failed, which no `close` event reports.
      if (request.connection?.scope.signal.aborted) end(request, new CallError('UNKNOWN'))
      if (request.again !== 'always' || !request.lost || request.lost === connection) continue
      request.lost = connection
      request.mayHaveArrived = true
      transmit(request.data, request.queued)
    }
  }

  const onOpen = (connection: Connection) => {
    lastAnswered = 0
    for (const request of pending.values()) {
      request.waits = false
      if (request.lost === connection) request.lost = undefined
    }
  }

  const queuedFrames = () => new Set(socket.queuedMessages().map(identify))

  const onSkipped = (connection: Connection, transmit: Transmit) => {
    const queue = queuedFrames()
    for (const request of pending.values()) {
      // Each reply may be among the missing messages.
      if (queue.has(identify(request.data))) continue
      if (request.again === 'always') request.lost = true
      // It has the signal of the connection, which must not be aborted, because the connection continues.
      else if (request.connection) end(request, new CallError('UNKNOWN'))
      else cancel(request, 'UNKNOWN')
    }
    resend(connection, transmit)
  }

  const onClose = (next: Connection | undefined) => {
    const queue = queuedFrames()
    for (const request of pending.values()) {
      const { id, data, again, connection } = request
      const isQueued = queue.has(identify(data))
      const isUnsent = isQueued && id > lastAnswered
      // After a handover, the next connection is there already.
      if (isUnsent && request.waits && socket.state.name === 'open') continue
      // Its `drop` event ends it.
      if (isUnsent && again === 'never') request.queued.abort()
      // If it waited, it would be sent twice.
      else if (!isUnsent && !(isQueued && again === 'always') && !(connection && connection === next)) {
        request.lost = true
      }
    }
    endLost()
  }

  return [add, receive, cancel, resend, onOpen, onClose, onSkipped]
}
