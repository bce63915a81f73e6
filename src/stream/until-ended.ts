import type { Socket, SocketEvents, State } from '../index.js'

type Listeners<Binary extends 'arraybuffer' | 'blob'> = {
  [Type in keyof SocketEvents]?: (payload: SocketEvents<Binary>[Type]) => unknown
}

/** Why the socket is closed permanently, if it is. A socket that has not connected yet is closed, but without a cause. */
export const endCause = (state: State): unknown => state.name === 'closed' && state.cause

/**
 * Listens until the socket is closed permanently, the signal is aborted, or the returned function is called. Calls `onEnd` once in each case.
 */
export const untilEnded = <Binary extends 'arraybuffer' | 'blob'>(
  socket: Socket<Binary>,
  listeners: Listeners<Binary>,
  signal: AbortSignal | undefined,
  onEnd: (error: any, isAborted?: boolean) => void,
): ((error?: unknown, isAborted?: boolean) => void) => {
  const scope = new AbortController()
  const stop = (error?: unknown, isAborted?: boolean) => {
    if (scope.signal.aborted) return
    scope.abort()
    signal?.removeEventListener('abort', onAbort)
    onEnd(error, isAborted)
  }
  const onAbort = () => stop(signal?.reason, true)
  const checkState = async (state: State) => {
    const cause = endCause(state)
    // The socket's last events follow its last state.
    await 0
    if (cause) stop(cause)
  }
  for (const type in listeners) socket.on(type as 'text', listeners[type as 'text'] as any, scope)
  socket.on('state', checkState, scope)
  signal?.addEventListener('abort', onAbort)
  if (signal?.aborted) onAbort()
  checkState(socket.state)
  return stop
}
