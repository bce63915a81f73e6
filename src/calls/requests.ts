import type { Data } from '../index.js'
import type { Connection } from './connection.js'
import { bytesOf } from './encode.js'
import { CallError, type CallErrorCode } from './errors.js'
import type { Again, CallSocket } from './types.js'

/** Sends a message, now or after those that wait. The signal removes it from the queue. */
export type Transmit = (data: Data, options: { readonly signal: AbortSignal }) => unknown

/** Something that the server answers: a call, or what makes or ends a subscription. */
export interface Request {
  readonly id: number
  readonly data: Data
  /** What happens when the connection ends. */
  readonly again: Again
  /** The connection that it belongs to. A call belongs to none. */
  readonly connection?: Connection
  /** Removes it from the queue. */
  readonly queued: AbortController
  /** Called once, with an error or the result. */
  onEnd(error: CallError | undefined, result?: unknown): void
  /** Set when its connection ends, unless it certainly did not arrive: then the new connection on which it was sent again. */
  lost?: Connection | true | undefined
  /** Whether it was sent before. */
  mayHaveArrived?: boolean
}

/** Sends a request, and keeps it until it ends. */
export type AddRequest = (request: Request, transmit: Transmit) => void

/** Ends a request with the server's answer. Returns whether there is one with this id. */
export type ReceiveAnswer = (id: unknown, error: CallError | undefined, result?: unknown) => boolean

/** Ends a request: as not sent if it still waits, or else with this code. */
export type CancelRequest = (request: Request, code: CallErrorCode, cause?: unknown) => void

/** Everything that waits for an answer. */
export type Requests = readonly [
  add: AddRequest,
  receive: ReceiveAnswer,
  cancel: CancelRequest,
  /** Sends again, on a new connection, what was lost with earlier ones. */
  resend: (connection: Connection, transmit: Transmit) => void,
  /** The connection is open. */
  onOpen: (connection: Connection) => void,
  /** The connection has ended. There may be another one that is not open yet. */
  onClose: (next: Connection | undefined) => void,
]

/** Identifies a message: the socket names those that it did not send by their data, and copies binary data. */
const identify = (data: Data): string => (typeof data === 'string' ? data : bytesOf(data).join())

export const createRequests = (socket: CallSocket): Requests => {
  const pending = new Map<unknown, Request>()
  /** The last call that was answered on this connection. Calls are sent in order, so all earlier ones have arrived. */
  let lastAnswered = 0

  const end = (request: Request, error: CallError | undefined, result?: unknown) => {
    if (pending.delete(request.id)) request.onEnd(error, result)
  }

  const cancel: CancelRequest = (request, code, cause) => {
    // First, so that the `drop` event finds nothing. It may come later than here.
    pending.delete(request.id)
    const { dropped } = socket.stats
    request.queued.abort()
    const isUnsent = socket.stats.dropped > dropped && !request.lost && !request.mayHaveArrived
    request.onEnd(new CallError(isUnsent ? 'NOT_SENT' : code, cause))
  }

  const endLost = async () => {
    // The last `drop` events come first.
    await 0
    for (const request of pending.values()) {
      const isOver = request.again !== 'always' || socket.state.name === 'closed'
      if (request.lost && isOver) cancel(request, 'UNKNOWN')
    }
  }

  socket.on('drop', ({ data, reason }) => {
    for (const request of pending.values()) {
      if (identify(request.data) !== identify(data)) continue
      return end(request, new CallError(request.mayHaveArrived ? 'UNKNOWN' : 'NOT_SENT', reason))
    }
  })
  socket.on('state', ({ name }) => {
    if (name === 'closed') endLost()
  })

  const add: AddRequest = (request, transmit) => {
    pending.set(request.id, request)
    if (transmit(request.data, request.queued) === 'dropped') end(request, new CallError('NOT_SENT'))
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
    for (const request of pending.values()) if (request.lost === connection) request.lost = undefined
  }

  const onClose = (next: Connection | undefined) => {
    const queue = new Set(socket.queuedMessages().map(identify))
    for (const request of pending.values()) {
      const { id, data, again, connection } = request
      const isQueued = queue.has(identify(data))
      const isUnsent = isQueued && id > lastAnswered
      // Its `drop` event ends it.
      if (isUnsent && again === 'never') request.queued.abort()
      // If it waited, it would be sent twice.
      else if (!isUnsent && !(isQueued && again === 'always') && !(connection && connection === next)) {
        request.lost = true
      }
    }
    endLost()
  }

  return [add, receive, cancel, resend, onOpen, onClose]
}
