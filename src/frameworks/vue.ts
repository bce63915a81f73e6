import {
  getCurrentInstance,
  getCurrentScope,
  type MaybeRefOrGetter,
  onMounted,
  type ShallowRef,
  shallowRef,
  toValue,
  watchEffect,
} from 'vue'
import type { Endpoint, OutageOptions, Socket } from '../index.js'
import { createCollector } from './messages.js'
import { outageStore } from './outage.js'
import { socketStore } from './sockets.js'
import { stateStore } from './state.js'
import type { Store } from './store.js'
import type { AnySocket, Away, KeyedOptions, MessageOf, MessageSource, SharedOptions } from './types.js'

/** Shows the stores of a source: not before the component is mounted, and then for each value of the source. */
const useStore = (source: any, create: (value: any) => Store<any>): any => {
  const shown = shallowRef(create(toValue(source))[1](true))
  // That of a store, which lives longer than the first component that uses it.
  const scope = getCurrentScope()
  const begin = () =>
    scope?.run(() =>
      watchEffect(onCleanup => {
        const [listen, get] = create(toValue(source))
        const update = () => {
          shown.value = get()
        }
        onCleanup(listen(update))
        update()
      }),
    )
  if (getCurrentInstance()) onMounted(begin)
  // On a server, there is no window.
  else if (globalThis.window) begin()
  return shown
}

/**
 * The socket for an address, which all components that ask for the same share. It connects when the first of them is mounted, and closes a
 * second after the last was unmounted, so that a change of views and hot reloading cost no handshake. On a server it does not connect.
 *
 * ```ts
 * const socket = useSocket('wss://push.example.com/feed')
 * const room = useSocket(() => `wss://push.example.com/rooms/${props.room}`)
 * ```
 *
 * With a `key`, a function is called for each attempt to connect. An existing socket is neither connected nor closed. Throws a `TypeError`
 * for anything else, and what `createSocket()` throws.
 */
export const useSocket: {
  <Binary extends 'arraybuffer' | 'blob' = 'arraybuffer'>(
    endpoint: MaybeRefOrGetter<string | URL>,
    options?: SharedOptions<Binary>,
  ): Readonly<ShallowRef<Socket<Binary>>>
  <Binary extends 'arraybuffer' | 'blob' = 'arraybuffer'>(
    endpoint: Endpoint,
    options: KeyedOptions<Binary>,
  ): Readonly<ShallowRef<Socket<Binary>>>
  <Given extends AnySocket>(socket: MaybeRefOrGetter<Given>): Readonly<ShallowRef<Given>>
} = (endpoint: any, options?: any): any =>
  useStore(options?.key ? () => endpoint : endpoint, endpoint => socketStore(endpoint, options))

/**
 * The state of a socket, or the part of it that is selected. Changes only when that does.
 *
 * ```ts
 * const isOpen = useSocketState(socket, state => state.name === 'open')
 * ```
 */
export const useSocketState: {
  <Given extends AnySocket>(socket: MaybeRefOrGetter<Given>): Readonly<ShallowRef<Given['state']>>
  <Given extends AnySocket, Selected>(
    socket: MaybeRefOrGetter<Given>,
    select: (state: Given['state']) => Selected,
  ): Readonly<ShallowRef<Selected>>
} = (socket: any, select?: any): any => useStore(socket, socket => stateStore(socket, select))

/**
 * The last messages, at most `limit`, oldest first. Default: 100. With a function, the value that it reduces all messages to. Each message
 * is processed, and the value changes at most once a frame. If the page is hidden, once a second. Another source starts again.
 *
 * ```ts
 * const lines = useMessages(socket)
 * const prices = useMessages(() => json(socket.value, Price), 1)
 * const total = useMessages(orders, (total, order) => total + order.amount, 0)
 * ```
 *
 * Throws a `TypeError` for a limit that is not a number above 0.
 */
export const useMessages: {
  <Source extends MessageSource>(
    source: MaybeRefOrGetter<Source>,
    limit?: number,
  ): Readonly<ShallowRef<readonly MessageOf<Source>[]>>
  <Source extends MessageSource, Value>(
    source: MaybeRefOrGetter<Source>,
    reduce: (value: Value, message: MessageOf<Source>) => Value,
    initial: Value,
  ): Readonly<ShallowRef<Value>>
} = (source: any, how: any = 100, initial?: any): any =>
  useStore(source, source => createCollector(how, initial)(source))

/**
 * Whether the connection has been missing for longer than `grace` milliseconds, as `onOutage()` reports it: for a banner that does not
 * flicker.
 *
 * ```ts
 * const outage = useOutage(socket, { grace: 2_000 })
 * ```
 */
export const useOutage = <Given extends AnySocket>(
  socket: MaybeRefOrGetter<Given>,
  options: OutageOptions,
): Readonly<ShallowRef<Away<Given['state']>>> => useStore(socket, socket => outageStore(socket, options))

/** The `send()` of a socket or of `json()`: the same function for as long as the component lives. */
export const useSend =
  <Target extends MessageSource>(target: MaybeRefOrGetter<Target>): Target['send'] =>
  (data: any, options?: any): any =>
    (toValue(target).send as (data: any, options?: any) => any)(data, options)
