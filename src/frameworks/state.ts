import type { Store } from './store.js'

interface StateSource {
  readonly state: unknown
  on(type: 'state', listener: () => unknown): () => void
}

/** The state of a socket on a server, where nothing connects. */
const CLOSED = { name: 'closed' }

/** What is selected of the state of a socket. */
export const stateStore = (
  socket: StateSource,
  select: (state: any) => unknown = state => state,
): Store<unknown> => [
  onChange => socket.on('state', onChange),
  isFirst => select(isFirst ? CLOSED : socket.state),
]
