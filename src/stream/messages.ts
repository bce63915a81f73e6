import { checkNumber, rejectUnknown } from '../common/checks.js'
import type { Socket } from '../index.js'
import type { Message, ReadOptions } from './types.js'
import { untilEnded } from './until-ended.js'

/** The memory that a buffered message needs besides its data, in bytes. */
const OVERHEAD = 64

/**
 * Iterates over the messages that arrive from this call on, on all connections. Leaving the loop stops listening.
 *
 * ```ts
 * for await (const message of messages(socket)) await show(message)
 * ```
 *
 * It ends when the socket is closed permanently: by `close()`, by its own `signal`, or by the server with 1000 if the socket does not
 * reconnect. For any other cause it throws the `SocketError`. Buffered messages are read first.
 *
 * A WebSocket has no backpressure for incoming messages. Those that are not read in time are buffered up to `highWaterMark`; then
 * `overflow` decides. Throws a `TypeError` for invalid options.
 */
export const messages = <Binary extends 'arraybuffer' | 'blob' = 'arraybuffer'>(
  socket: Socket<Binary>,
  options: ReadOptions<Binary> = {},
): AsyncGenerator<Message<Binary>, void, undefined> => {
  const {
    signal,
    highWaterMark = 2 ** 24,
    overflow = 'error',
    onDrop,
    ...unknown
  } = options as typeof options & {
    onDrop: (message: Message<Binary>) => unknown
  }
  rejectUnknown('messages', unknown, 'signal, highWaterMark, overflow and onDrop')
  checkNumber('highWaterMark', highWaterMark)
  // Without `onDrop`, the first message that is dropped would end the reading with an obscure error.
  if (
    overflow !== 'error' &&
    (typeof onDrop !== 'function' || !['drop-oldest', 'drop-newest'].includes(overflow))
  ) {
    throw new TypeError("overflow must be 'error', or with onDrop 'drop-oldest' or 'drop-newest'")
  }
  interface Link {
    message?: Message<Binary> | undefined
    size: number
    next?: Link
  }
  /** The buffer begins after this node. It is a linked list, because removing the first element of a long array is slow. */
  let head: Link = { size: 0 }
  let tail = head
  let buffered = 0
  /** Resolves the promise of a reader that is waiting. */
  let wake: (() => void) | undefined
  /** Ends the reading once the buffer is empty. */
  let end: (() => void) | undefined

  const shift = () => {
    head = head.next as Link
    const { message, size } = head
    head.message = undefined
    buffered -= size
    return message as Message<Binary>
  }
  const onMessage = (message: any) => {
    const size = wake ? 0 : OVERHEAD + (message.length ?? message.byteLength ?? message.size)
    const isFull = size && buffered >= highWaterMark
    if (isFull && overflow === 'drop-newest') onDrop(message)
    else if (isFull && overflow !== 'drop-oldest') {
      stop(new Error(`${buffered} bytes are buffered: read faster, or raise highWaterMark`))
    } else {
      tail = tail.next = { message, size }
      buffered += size
      wake?.()
      wake = undefined
      // Last, because onDrop() may throw or end the reading.
      while (isFull && head.next !== tail && buffered - size >= highWaterMark) onDrop(shift())
    }
  }
  const stop = untilEnded(socket, { text: onMessage, binary: onMessage }, signal, (error, isAborted) => {
    if (isAborted) head = { size: 0 }
    end ??= () => {
      if (isAborted || (error.code !== 'CLOSED' && error.close?.code !== 1000)) throw error
    }
    wake?.()
  })
  const generator = (async function* () {
    for (;;) {
      if (head.next) yield shift()
      else if (end) return end()
      else {
        await new Promise<void>(resolve => {
          wake = resolve
        })
      }
    }
  })()
  // A waiting generator would not return before the next message, and a generator that was never started would listen forever.
  for (const method of ['return', 'throw'] as const) {
    const finish = generator[method].bind(generator)
    generator[method] = (value: any) => {
      end = () => {}
      stop(0, true)
      return finish(value)
    }
  }
  return generator
}
