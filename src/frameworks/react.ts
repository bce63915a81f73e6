import { useMemo, useRef, useSyncExternalStore } from 'react'
import type { Endpoint, OutageOptions, Socket } from '../index.js'
import { createCollector } from './messages.js'
import { outageStore } from './outage.js'
import { socketStore } from './sockets.js'
import { stateStore } from './state.js'
import type { Store } from './store.js'
import type { AnySocket, Away, KeyedOptions, MessageOf, MessageSource, SharedOptions } from './types.js'

const useStore = ([listen, get]: Store<any>) =>
  useSyncExternalStore(listen, get as () => any, () => get(true))

/** A constant, because with a new function in each render, a component would subscribe again each time. */
const everything = (state: unknown): unknown => state

/** The socket of a source. It stays the same if a component calls `json()` each time that it is rendered. */
const rootOf = (source: any) => source.socket ?? source

/**
 * The socket for an address, which all components that ask for the same share. It connects when the first of them is mounted, and closes a
 * second after the last was unmounted, so that a change of views, strict mode and hot reloading cost no handshake. On a server it does not
 * connect.
 *
 * ```tsx
 * const socket = useSocket('wss://push.example.com/feed')
 * ```
 *
 * An endpoint that is a function needs a `key`. An existing socket is returned as it is, and is neither connected nor closed. Throws a
 * `TypeError` for anything else, and what `createSocket()` throws.
 */
export const useSocket: {
  <Binary extends 'arraybuffer' | 'blob' = 'arraybuffer'>(
    endpoint: string | URL,
    options?: SharedOptions<Binary>,
  ): Socket<Binary>
  <Binary extends 'arraybuffer' | 'blob' = 'arraybuffer'>(
    endpoint: Endpoint,
    options: KeyedOptions<Binary>,
  ): Socket<Binary>
  <Given extends AnySocket>(socket: Given): Given
} = (endpoint: any, options?: any): any => useStore(socketStore(endpoint, options))

/**
 * The state of a socket, or the part of it that is selected. The component is rendered only when that changes, compared with `Object.is()`.
 *
 * ```tsx
 * const isOpen = useSocketState(socket, state => state.name === 'open')
 * ```
 */
export const useSocketState: {
  <Given extends AnySocket>(socket: Given): Given['state']
  <Given extends AnySocket, Selected>(socket: Given, select: (state: Given['state']) => Selected): Selected
} = (socket: any, select = everything): any =>
  useStore(
    useMemo(() => {
      let last: unknown
      let selected: unknown
      // Once for each state: what is selected may be another object each time, for which React would render without end.
      return stateStore(socket, state => {
        if (state !== last) selected = select(state)
        last = state
        return selected
      })
    }, [socket, select]),
  )

/**
 * The last messages, at most `limit`, oldest first. Default: 100. With a function, the value that it reduces all messages to. Each message
 * is processed, and the component is rendered at most once a frame. If the page is hidden, once a second. Another socket starts again.
 *
 * ```tsx
 * const lines = useMessages(socket)
 * const [latest] = useMessages(json(socket, Price), 1)
 * const total = useMessages(orders, (total, order) => total + order.amount, 0)
 * ```
 *
 * Throws a `TypeError` for a limit that is not a number above 0.
 */
export const useMessages: {
  <Source extends MessageSource>(source: Source, limit?: number): readonly MessageOf<Source>[]
  <Source extends MessageSource, Value>(
    source: Source,
    reduce: (value: Value, message: MessageOf<Source>) => Value,
    initial: Value,
  ): Value
} = (source: any, how: any = 100, initial?: any): any => {
  const root = rootOf(source)
  const kept = useRef<any[]>([])
  if (kept.current[0] !== root) kept.current = [root, createCollector(how, initial)]
  const [, collect] = kept.current
  return useStore(useMemo(() => collect(source, how), [collect, source, how]))
}

/**
 * Whether the connection has been missing for longer than `grace` milliseconds, as `onOutage()` reports it: for a banner that does not
 * flicker.
 *
 * ```tsx
 * const outage = useOutage(socket, { grace: 2_000 })
 * const banner = outage.away && <p role="status">Offline since {new Date(outage.since).toLocaleTimeString()}</p>
 * ```
 */
export const useOutage = <Given extends AnySocket>(
  socket: Given,
  { grace }: OutageOptions,
): Away<Given['state']> => useStore(useMemo(() => outageStore(socket, { grace }), [socket, grace]))

/** The `send()` of a socket or of `json()`: the same function as long as the socket is the same. */
export const useSend = <Target extends MessageSource>(target: Target): Target['send'] => {
  // biome-ignore lint/correctness/useExhaustiveDependencies: see rootOf()
  return useMemo(() => target.send, [rootOf(target)])
}
