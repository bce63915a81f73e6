import { rejectUnknown } from '../common/checks.js'
import type { ListenOptions, OpenEventData, Socket, SocketEvents } from '../index.js'
import { untilEnded } from './until-ended.js'

/**
 * A promise for the next event of a type; for `'open'`, it resolves at once if the socket is open. Rejects with the signal's reason, or, if
 * the socket is closed permanently, with its `SocketError`.
 *
 * ```ts
 * await when(socket, 'open', { signal: AbortSignal.timeout(5_000) })
 * ```
 */
export const when = <Type extends keyof SocketEvents, Binary extends 'arraybuffer' | 'blob' = 'arraybuffer'>(
  socket: Socket<Binary>,
  type: Type,
  { signal, ...unknown }: Pick<ListenOptions, 'signal'> = {},
): Promise<SocketEvents<Binary>[Type]> =>
  new Promise((resolve, reject) => {
    rejectUnknown('when', unknown, 'signal')
    const onEvent = (payload: any) => {
      resolve(payload)
      stop()
    }
    const stop = untilEnded(socket, { [type]: onEvent }, signal, reject)
    const { state } = socket
    if (type === 'open' && state.name === 'open') {
      const { attempt, url, protocol } = state
      const reconnected = socket.stats.connections > 1
      onEvent({ attempt, url, protocol, reconnected, seamless: false } satisfies OpenEventData)
    }
  })
