import { checkNumber, rejectUnknown } from '../common/checks.js'
import { createTimer } from '../common/timers.js'
import type { Data, Socket } from '../index.js'
import type { WriteOptions } from './types.js'
import { endCause, untilEnded } from './until-ended.js'

/** How often, in milliseconds, to check whether there is room: the platform has no event for it. Doubles with each check. */
const POLL = 10
const SLOWEST_POLL = 1_000

/**
 * The reasons for which a message of a stream can be dropped, because it is sent without options. A `drop` event does not name the
 * sender.
 */
const OWN_DROPS: readonly string[] = ['overflow', 'too-big', 'disconnected']

/**
 * Sends each chunk that is written as one message. The writer waits while more than `highWaterMark` bytes wait to be sent, here or in the
 * browser, connected or not.
 *
 * ```ts
 * await file.stream().pipeTo(writable(socket))
 * ```
 *
 * Closing the stream waits until everything is sent, and does not close the socket. Aborting it takes effect at once. Messages that the
 * socket has accepted are still sent. The stream errors if `send()` throws, if a message is dropped, and if the socket is closed permanently
 * (with its `SocketError`). Throws a `TypeError` for invalid options.
 */
export const writable = <Binary extends 'arraybuffer' | 'blob'>(
  socket: Socket<Binary>,
  { signal, highWaterMark = 2 ** 20, ...unknown }: WriteOptions = {},
): WritableStream<Data> => {
  rejectUnknown('writable', unknown, 'signal and highWaterMark')
  checkNumber('highWaterMark', highWaterMark)
  const setTimer = createTimer()
  let wake: (() => void) | undefined
  let stop: ReturnType<typeof untilEnded>
  /** The error that ended the stream. */
  let failure: { error: unknown } | undefined

  const check = () => wake?.()
  /** Waits until no more than this number of bytes is left. */
  const untilBelow = async (limit: number) => {
    let delay = POLL
    // A socket that has ended has nothing left, because it has dropped everything.
    while (!failure && (socket.bufferedAmount > limit || endCause(socket.state))) {
      await new Promise<void>(resolve => {
        wake = resolve
        // Without a connection nothing is sent.
        if (socket.state.name === 'open') {
          setTimer(delay, () => {
            delay = Math.min(delay * 2, SLOWEST_POLL)
            resolve()
          })
        }
      })
      setTimer()
    }
    if (failure) throw failure.error
  }
  const end = (error?: unknown) => {
    failure = { error }
    stop()
  }

  return new WritableStream<Data>({
    start(controller) {
      stop = untilEnded(
        socket,
        {
          text: check,
          binary: check,
          state: check,
          drop({ reason }) {
            if (OWN_DROPS.includes(reason)) stop(new Error(`A message was dropped: ${reason}`))
            check()
          },
        },
        signal,
        error => {
          if (!failure) controller.error(error)
          failure ??= { error }
          check()
        },
      )
      // Without it (Safari before 16.4 has none), an abort waits for the current write.
      controller.signal?.addEventListener('abort', () => end(controller.signal.reason))
    },
    async write(data) {
      await untilBelow(highWaterMark)
      try {
        if (socket.send(data) === 'dropped') stop((socket.state as { cause?: unknown }).cause)
      } catch (error) {
        stop(error)
      }
      await untilBelow(highWaterMark)
    },
    async close() {
      await untilBelow(0)
      end()
    },
    abort: end,
  })
}
