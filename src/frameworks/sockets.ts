import { createTimer } from '../common/timers.js'
import { createSocket } from '../index.js'
import type { Store } from './store.js'
import type { AnySocket, SharedOptions } from './types.js'

/** How long, in milliseconds, a socket stays open after its last user has left: time for a change of views. */
const LINGER = 1_000

const stores = /* @__PURE__ */ new Map<string, Store<AnySocket>>()

/**
 * The socket for a key, which is made with the first who asks. The first who listens connects it, and a moment after the last has left it
 * is closed. A socket that is passed in belongs to the caller, and is neither connected nor closed.
 */
export const socketStore = (
  endpoint: any,
  { key: given, autoConnect, ...options }: SharedOptions<any> = {},
): Store<AnySocket> => {
  const key = given ?? endpoint?.href ?? endpoint
  if (key?.send) return [() => () => {}, () => key]
  if (typeof key !== 'string') throw new TypeError('useSocket() needs an address or a key')
  const known = stores.get(key)
  if (known) return known

  const socket = createSocket(endpoint, { ...options, autoConnect: false })
  let users = 0
  const setTimer = createTimer()
  const listen = () => {
    setTimer()
    // Again, for a view that was hidden for longer.
    stores.set(key, store)
    // First, because it throws for a malformed address.
    if (!users && autoConnect !== false) socket.connect()
    users++
    return () => {
      if (!--users)
        setTimer(LINGER, () => {
          stores.delete(key)
          socket.close()
        })
    }
  }
  const store: Store<AnySocket> = [listen, () => socket]
  // While a server renders, there is no window, and its users must not share a socket.
  if (globalThis.window) stores.set(key, store)
  return store
}
