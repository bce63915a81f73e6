// Answers pings in place of `ws`, which answers each one at once: one packet can contain ten thousand.
import type { WebSocketLike } from './connection.js'

interface Options {
  autoPong?: boolean | undefined
}

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
      if (socket.readyState === 1) socket.pong?.(last)
    })
  })
}

/** Turns the automatic answers of `ws` off, where they are on. Returns how to turn them on again, or `undefined`. */
export const takeOverPings = (options: Options): (() => void) | undefined => {
  // Older versions have no such option, and always answer.
  if (options.autoPong !== true) return undefined
  options.autoPong = false
  return () => {
    options.autoPong = true
  }
}
