// An `'error'` event that has no listener ends a Node process, and every client can cause one: a frame that breaks the standard is
// enough. So each socket gets its listener before anything else is done with it, and keeps it.
// https://nodejs.org/api/events.html#error-events

interface Emitter {
  listenerCount?(event: string): number
  close?(code: number, reason: string): void
  on(event: string, listener: (...args: any[]) => void): unknown
}

const ignore = (): void => {}

const guarded = new WeakSet<Emitter>()

/** How many `connection` listeners `guardErrors` adds to a server. */
export const GUARDS = 1

/**
 * Gives the server and every socket that it accepts an `'error'` listener, for as long as they exist. The sockets' errors are
 * ignored: the `close` event that follows has the code. The server's own errors, such as `EADDRINUSE`, are reported.
 */
export const guardErrors = (wss: Emitter, report: (error: unknown) => void): void => {
  wss.on('error', report)
  if (guarded.has(wss)) return
  guarded.add(wss)
  wss.on('connection', (socket: Emitter) => {
    socket.on('error', ignore)
    // After close(), no listener would answer the client. It may come back to the next server on this port.
    if (wss.listenerCount?.('connection') === GUARDS) socket.close?.(1012, 'the server is closed')
  })
}
