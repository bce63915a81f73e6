import { onMount } from 'svelte'
import { createSubscriber } from 'svelte/reactivity'
import { toStore } from 'svelte/store'
import type { Endpoint, OutageOptions, Socket } from '../index.js'
import { createCollector } from './messages.js'
import { outageStore } from './outage.js'
import { socketStore } from './sockets.js'
import { stateStore } from './state.js'
import type { Store } from './store.js'
import type { AnySocket, Away, KeyedOptions, MessageOf, MessageSource, SharedOptions } from './types.js'

/** A value, what the other functions return, or a function that returns a value. */
export type Source<Value> = Value | Current<Value> | (() => Value)

/** A value that changes: where `current` is read in a template, `$derived` or `$effect`, that is updated. */
export interface Current<Value> {
  /** The present value. */
  readonly current: Value
}

/** The present value of a source. */
const read = (source: any) => (typeof source === 'function' ? source() : (source.current ?? source))

/** Shows the stores of a source: not before the component is mounted, and then for each value of the source. */
const useStore = (source: any, create: (value: any) => Store<any>): any => {
  let shown = create(read(source))[1](true)
  let changed: (() => void) | undefined
  const subscribe = createSubscriber(update => {
    changed = update
  })
  onMount(() => {
    let stop: (() => void) | undefined
    const off = toStore(() => read(source)).subscribe(value => {
      stop?.()
      const [listen, get] = create(value)
      const update = () => {
        if (shown !== get()) {
          shown = get()
          changed?.()
        }
      }
      stop = listen(update)
      update()
    })
    return () => {
      off()
      stop?.()
    }
  })
  return {
    get current() {
      subscribe()
      return shown
    },
  }
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
    endpoint: Source<string | URL>,
    options?: SharedOptions<Binary>,
  ): Current<Socket<Binary>>
  <Binary extends 'arraybuffer' | 'blob' = 'arraybuffer'>(
    endpoint: Endpoint,
    options: KeyedOptions<Binary>,
  ): Current<Socket<Binary>>
  <Given extends AnySocket>(socket: Source<Given>): Current<Given>
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
  <Given extends AnySocket>(socket: Source<Given>): Current<Given['state']>
  <Given extends AnySocket, Selected>(
    socket: Source<Given>,
    select: (state: Given['state']) => Selected,
  ): Current<Selected>
} = (socket: any, select?: any): any => useStore(socket, socket => stateStore(socket, select))

/**
 * The last messages, at most `limit`, oldest first. Default: 100. With a function, the value that it reduces all messages to. Each message
 * is processed, and the value changes at most once a frame. If the page is hidden, once a second. Another source starts again.
 *
 * ```ts
 * const lines = useMessages(socket)
 * const prices = useMessages(() => json(socket.current, Price), 1)
 * const total = useMessages(orders, (total, order) => total + order.amount, 0)
 * ```
 *
 * Throws a `TypeError` for a limit that is not a number above 0.
 */
export const useMessages: {
  <Given extends MessageSource>(source: Source<Given>, limit?: number): Current<readonly MessageOf<Given>[]>
  <Given extends MessageSource, Value>(
    source: Source<Given>,
    reduce: (value: Value, message: MessageOf<Given>) => Value,
    initial: Value,
  ): Current<Value>
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
  socket: Source<Given>,
  options: OutageOptions,
): Current<Away<Given['state']>> => useStore(socket, socket => outageStore(socket, options))

/** The `send()` of a socket or of `json()`: the same function for as long as the component lives. */
export const useSend =
  <Target extends MessageSource>(target: Source<Target>): Target['send'] =>
  (data: any, options?: any): any =>
    (read(target).send as (data: any, options?: any) => any)(data, options)
