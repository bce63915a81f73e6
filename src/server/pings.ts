// Answers pings instead of `ws`, which answers each one at once: one packet can contain ten thousand.
import type { WebSocketLike } from './connection.js'

interface Options {
  autoPong?: boolean | undefined
}

/** A client that does not read so many bytes is not answered: the answers would fill the memory. */
const MAX_BUFFERED = 2 ** 22

/**
 * Answers the pings of a client. Of several that arrive together, the last one is answered, as the standard allows.
 */
// https://datatracker.ietf.org/doc/html/rfc6455#section-5.5.3
export const answerPings = (socket: WebSocketLike): void => {
  let last: unknown
  let isWaiting = false
  socket.on('ping', data => {
    last = data
    if (isWaiting) return
    isWaiting = true
    // After everything else that arrived in the same packet.
    queueMicrotask(() => {
      isWaiting = false
      if (socket.readyState === 1 && socket.bufferedAmount < MAX_BUFFERED) socket.pong?.(last)
    })
  })
}

/** Turns off the automatic answers of `ws`, if they are on. Returns a function that turns them on again, or `undefined`. */
export const takeOverPings = (options: Options): (() => void) | undefined => {
  // Older versions have no such option, and always answer.
  if (options.autoPong !== true) return undefined
  options.autoPong = false
  return () => {
    options.autoPong = true
  }
}
