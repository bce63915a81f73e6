import { watchExpiry } from '../common/expiry.js'
import type { Socket } from '../index.js'
import { decodeData, encode, encodeData, type FrameData } from '../reliable/frames.js'
import type { Outbox, OutboxSocket, Outcome } from '../reliable.js'
import { attachTo } from './attach.js'
import { checkNames } from './checks.js'

/** After how many milliseconds to retry a message that the socket has not accepted, because its buffer is full, or its connection may be dead. */
const RETRY = 500

/** Options of `overSocket()`. */
export interface OverSocketOptions {
  /** Makes the message that is sent, which must contain the id. A message can be sent more than once: the server should process each id once. */
  encode: (data: any, id: string) => string | ArrayBuffer | ArrayBufferView
  /** Returns the id that a message from the server acknowledges, or `undefined` for any other message. */
  acknowledged: (message: any) => string | undefined
}

/** A socket with an outbox. */
export interface SocketWithOutbox {
  /**
   * Stores a message, and then sends it on each connection until the server acknowledges it. Data can be strings, `ArrayBuffer`s, views, Blobs
   * (which become `ArrayBuffer`s) and everything that JSON can represent. `ttl` drops the message if it has not been sent after this many
   * milliseconds (default: keep it), and aborting `signal` drops it if it has not been sent (default: none). The outcomes are those of
   * `createReliableSocket()`.
   */
  send(data: unknown, options?: { ttl?: number; signal?: AbortSignal }): Promise<Outcome>
}

/**
 * Sends the messages of an outbox over a plain socket, at least once: a message is sent again on each connection until the server acknowledges
 * its id.
 *
 * ```ts
 * const socket = createSocket('wss://push.example.com/orders')
 * const orders = overSocket(socket, indexedDbOutbox('orders'), {
 *   encode: (data, id) => JSON.stringify({ id, data }),
 *   acknowledged: text => JSON.parse(text).ack,
 * })
 * const { status } = await orders.send({ buy: 3 })
 * ```
 *
 * Throws a `TypeError` for invalid options.
 */
export const overSocket = (
  socket: Pick<Socket<any>, 'on' | 'send' | 'state'>,
  outbox: Outbox,
  options: OverSocketOptions,
): SocketWithOutbox => {
  checkNames('overSocket', options, ['encode', 'acknowledged'])
  const { encode: encodeMessage, acknowledged } = options
  if (typeof encodeMessage !== 'function' || typeof acknowledged !== 'function')
    throw new TypeError('overSocket needs the functions encode and acknowledged')
  /** The messages that wait for their acknowledgement, in order. */
  const waiting = new Map<string, Waiting>()
  let timer: ReturnType<typeof setTimeout> | undefined

  /** Sends the messages that have not been sent on this connection, in order, until the socket accepts no more. */
  const flush = () => {
    clearTimeout(timer)
    if (socket.state.name !== 'open') return
    for (const entry of waiting.values()) {
      if (entry.isSentOnThisConnection) continue
      // Volatile: the socket must not keep it as well.
      if (socket.send(entry.message, { volatile: true }) !== 'sent') {
        timer = setTimeout(flush, RETRY)
        return
      }
      entry.isSentOnThisConnection = entry.isSent = true
    }
  }
  const finish = (id: string, outcome: Outcome) => {
    const entry = waiting.get(id)
    waiting.delete(id)
    entry?.finish(outcome)
  }
  const receive = (message: unknown) => {
    const id = acknowledged(message)
    if (id !== undefined) finish(id, { status: 'delivered' })
    flush()
  }
  const onState = ({ name, cause }: { name: string; cause?: unknown }) => {
    if (name !== 'closed' || !cause) return
    for (const [id, { isSent }] of waiting) {
      finish(id, isSent ? { status: 'unknown' } : { status: 'dropped', reason: 'closed' })
    }
  }

  const keep = attachTo(
    outbox,
    socket as Pick<OutboxSocket, 'on' | 'state'>,
    (text, id, { ttl, signal }) =>
      new Promise(resolve => {
        const frame = JSON.parse(text) as FrameData
        const message = encodeMessage(decodeData(frame), id)
        if (typeof message !== 'string' && !(message instanceof ArrayBuffer || ArrayBuffer.isView(message)))
          throw new TypeError('encode must return a string or bytes')
        const unwatch = watchExpiry(ttl, signal, reason => {
          if (!entry.isSent) finish(id, { status: 'dropped', reason })
        })
        const entry: Waiting = {
          message,
          isSent: false,
          isSentOnThisConnection: false,
          finish(outcome) {
            unwatch()
            resolve(outcome)
          },
        }
        waiting.set(id, entry)
        flush()
      }),
  )

  socket.on('open', () => {
    for (const entry of waiting.values()) entry.isSentOnThisConnection = false
    flush()
  })
  socket.on('text', receive)
  socket.on('binary', receive)
  socket.on('state', onState)

  return {
    send: async (data, how = {}) => {
      checkNames('send', how, ['ttl', 'signal'])
      return keep({
        data,
        options: how,
        write: data => encode({ type: 'event', event: 'message' }, encodeData(data)),
      })
    },
  }
}

interface Waiting {
  readonly message: string | ArrayBuffer | ArrayBufferView
  /** Whether the message was sent on any connection, and whether it was sent on the current one. */
  isSent: boolean
  isSentOnThisConnection: boolean
  finish(outcome: Outcome): void
}
