// One WebSocket connection, as the server uses it.
import { formatOf } from './format.js'
import { disconnectedFrame } from './frames.js'
import { startTimer } from './timers.js'

/** The members of a WebSocket of the `ws` package that the server uses. */
// https://github.com/websockets/ws/blob/master/doc/ws.md#class-websocket
export interface WebSocketLike {
  readonly protocol: string
  readonly readyState: number
  readonly bufferedAmount: number
  send(data: string | Uint8Array, done?: (error?: Error) => void): void
  close(code?: number, reason?: string): void
  terminate(): void
  ping(data?: any): void
  pong?(data?: any): void
  pause(): void
  resume(): void
  on(event: string, listener: (...args: any[]) => void): unknown
}

/** The `readyState` of a closed socket. */
export const CLOSED = 3

/** How many frames are read from a client before it answers a close frame. */
const MAX_LATE_FRAMES = 1_000

/** Closes the connection. Its session can be resumed. */
export const closeForNow = (socket: WebSocketLike, code: number, reason: string): void => {
  // The answer arrives after everything that was sent before it, and the client's rate is no longer limited.
  let late = 0
  const count = () => {
    if (++late > MAX_LATE_FRAMES) socket.terminate()
  }
  for (const type of ['message', 'ping', 'pong']) socket.on(type, count)
  socket.resume()
  // A close frame has room for 123 bytes.
  socket.close(code, reason.slice(0, 120))
}

/** How long a connection stays open after its session has moved to another one, in milliseconds. */
const MOVED_TIMEOUT = 2_000

/**
 * Closes a connection after its session has moved to another one, but not at once: a client that moves by itself still reads the connection, and
 * closes it. The session no longer reads or writes it.
 */
export const closeMoved = (socket: WebSocketLike): void => {
  let timer: ReturnType<typeof setTimeout> | undefined
  const wait = (job: () => void) => {
    timer = startTimer(job, MOVED_TIMEOUT)
  }
  wait(() => {
    wait(() => socket.terminate())
    socket.close(1000, 'the session has moved to another connection')
  })
  socket.on('close', () => clearTimeout(timer))
}

/** Sends `disconnected`, which means that the session is over, and closes the connection. */
export const closeForGood = (
  socket: WebSocketLike,
  code: number,
  reason: string,
  message: string = reason,
): void => {
  socket.send(formatOf(socket).write(disconnectedFrame(message)))
  closeForNow(socket, code, reason)
}

/** How long to wait for the answer to a close frame if the connection is not read. */
const UNREAD_TIMEOUT = 1_000

/** Closes the connection of a client that sends too much, without reading any further. The session can be resumed. */
export const closeUnread = (socket: WebSocketLike, code: number, reason: string, message: string): void => {
  socket.pause()
  socket.send(formatOf(socket).write(disconnectedFrame(message)))
  socket.close(code, reason)
  startTimer(() => socket.terminate(), UNREAD_TIMEOUT)
}
