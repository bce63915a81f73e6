import type { Data } from '../common/data.js'
import { isHidden } from './page.js'
import type { NativeSocket } from './queue.js'

/** Counts how much was passed to a native socket, and how much of it the browser has not sent. All numbers are bytes. */
export type SendBuffer = readonly [
  /** Whether the native socket is open. */
  isOpen: () => boolean,
  /** Whether it is open, and the browser has buffered at most this much. Reads the buffered amount. */
  hasRoom: (limit: number) => boolean,
  /** Passes data to the native socket. Call it only after `hasRoom()`. Returns how much has been passed to the native socket so far. */
  write: (data: Data) => number,
  /** Reads the buffered amount. Returns whether it is smaller than at the last reading. */
  hasShrunk: () => boolean,
  /** How much was sent, according to the last reading. */
  known: () => number,
  /** How much was sent, if the given number of bytes was not. Default: the buffered amount, which is then read. */
  left: (unsent?: number) => number,
  /** Continues with another native socket, or with none, and counts from the beginning. */
  attach: (native?: NativeSocket) => void,
]

export const createSendBuffer = (): SendBuffer => {
  let native: NativeSocket | undefined
  let written = 0
  /** The buffered amount at the last reading. */
  let buffered = 0

  /** A native socket without `bufferedAmount` counts as one with an empty buffer. */
  const read = () => native?.bufferedAmount ?? 0

  const isOpen = () => native?.readyState === 1

  return [
    isOpen,
    limit => {
      if (!isOpen()) return false
      buffered = read()
      // Timers are throttled in a hidden page: waiting for one would be worse than a full buffer.
      return buffered <= limit || isHidden()
    },
    data => {
      const before = buffered
      ;(native as NativeSocket).send(data)
      buffered = read()
      written += buffered - before
      return written
    },
    () => {
      const before = buffered
      buffered = read()
      return buffered < before
    },
    () => written - buffered,
    (unsent = read()) => written - unsent,
    socket => {
      native = socket
      // Data that `prepare` has sent comes before everything else.
      written = buffered = read()
    },
  ]
}
