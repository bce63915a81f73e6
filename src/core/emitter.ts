import { onAbort } from '../common/abort.js'
import { rejectUnknown } from '../common/checks.js'
import { guard } from '../common/report.js'

/** Options for adding a listener. Names and meaning are those of the DOM. */
// https://dom.spec.whatwg.org/#dictdef-addeventlisteneroptions
export interface ListenOptions {
  /** Call the listener at most once, then remove it. Default: false. */
  once?: boolean | undefined
  /** Remove the listener when this signal is aborted. With an aborted signal the listener is not added. Default: none. */
  signal?: AbortSignal | undefined
}

/** A function that receives an event's payload. Its return value is ignored. If it throws, the error is reported, and the others still run. */
export type Listener<Payload> = (payload: Payload) => unknown

/** Subscribes to events. The same methods as on a socket. */
export interface Emitter<Events> {
  /**
   * Adds a listener and returns a function that removes it. Adding the same listener twice has no effect. Throws a `TypeError` for an
   * unknown event, for a listener that is not a function, and for an unknown option.
   */
  on<Type extends keyof Events>(
    type: Type,
    listener: Listener<Events[Type]>,
    options?: ListenOptions,
  ): () => void
  /** Like `on()`, for the next event only. */
  once<Type extends keyof Events>(
    type: Type,
    listener: Listener<Events[Type]>,
    options?: ListenOptions,
  ): () => void
  /** Removes a listener. Removing one that was never added has no effect. Throws a `TypeError` for an unknown event. */
  off<Type extends keyof Events>(type: Type, listener: Listener<Events[Type]>): void
  /**
   * Calls all listeners, at once or, during another event, after that one's listeners. Returns whether the event has a listener.
   */
  emit<Type extends keyof Events>(type: Type, payload: Events[Type]): boolean
  /** Runs a function at once or, when a listener calls `defer()`, after all listeners of all pending events have run. */
  defer(job: () => void): void
}

interface Subscription {
  /** Undefined once removed, so that an event that is being dispatched skips a listener that an earlier one removed. */
  listener: Listener<any> | undefined
  once: boolean | undefined
  /** Stops listening to its signal. */
  unwatch: (() => void) | undefined
}

/** Throws for an event that is not among `types`, for a listener that is not a function, and for an option that does not exist. */
export type CheckListener = (
  types: readonly PropertyKey[],
  type: PropertyKey,
  listener: unknown,
  options?: object,
) => void

export const checkListener: CheckListener = (types, type, listener, options = {}) => {
  if (!types.includes(type)) {
    throw new TypeError(`There is no event '${String(type)}', only ${types.map(String).join(', ')}`)
  }
  if (typeof listener !== 'function') {
    throw new TypeError(`The listener for '${String(type)}' must be a function`)
  }
  // Its own properties: an AbortController may be passed for its `signal`, and inherits more.
  const { once: _, signal: __, ...unknown } = options as ListenOptions
  rejectUnknown('on', unknown, 'once and signal')
}

/** Creates an emitter that does not validate its arguments, unless there is a check. */
export const createUncheckedEmitter = <Events>(
  types: readonly (keyof Events)[],
  check?: CheckListener,
): Emitter<Events> => {
  // A plain object, because looking up a member of one without a prototype takes V8 several times as long.
  const lists = {} as Record<keyof Events, Subscription[]>
  for (const type of types) lists[type] = []
  const events: (() => void)[] = []
  const jobs: (() => void)[] = []
  let busy = false

  const remove = (type: keyof Events, listener: Listener<any>) => {
    lists[type] = lists[type].filter(subscription => {
      if (subscription.listener !== listener) return true
      subscription.listener = undefined
      subscription.unwatch?.()
      return false
    })
  }

  // A list is never changed, only replaced: the one that is being dispatched to stays as it is.
  const dispatch = (type: keyof Events, payload: any) => {
    for (const { listener, once } of lists[type]) {
      if (!listener) continue
      if (once) remove(type, listener)
      guard(listener, payload)
    }
  }

  /** Events before jobs: a job starts after all listeners of all events have run. By index, because `shift()` is slow on long arrays. */
  const drain = () => {
    busy = true
    for (let event = 0, job = 0; event < events.length || job < jobs.length; ) {
      guard((event < events.length ? events[event++] : jobs[job++]) as () => void)
    }
    // Not after every event: setting the length of an array takes longer than all the rest.
    if (events.length || jobs.length) events.length = jobs.length = 0
    busy = false
  }

  const on: Emitter<Events>['on'] = (type, listener, options = {}) => {
    check?.(types, type, listener, options)
    const { once, signal } = options
    const stop = () => remove(type, listener)
    if (!signal?.aborted && !lists[type].some(other => other.listener === listener)) {
      lists[type] = [...lists[type], { listener, once, unwatch: signal && onAbort(signal, stop) }]
    }
    return stop
  }

  return {
    on,
    once: (type, listener, options) => on(type, listener, { ...options, once: true }),
    off(type, listener) {
      check?.(types, type, listener)
      remove(type, listener)
    },
    emit(type, payload) {
      const hasListener = lists[type].length > 0
      // Bound, because a closure here would cost an object for every message.
      if (busy) events.push(dispatch.bind(undefined, type, payload))
      else {
        busy = true
        dispatch(type, payload)
        drain()
      }
      return hasListener
    },
    defer(job) {
      jobs.push(job)
      if (!busy) drain()
    },
  }
}

/**
 * Creates an event emitter for the given event types. All listeners receive the events in the same order: an event that a listener emits is
 * dispatched after all listeners of the current event have run.
 *
 * ```ts
 * import { createEmitter } from 'steadysocket'
 *
 * const { on, emit } = createEmitter<{ price: number }>(['price'])
 * on('price', price => show(price))
 * emit('price', 3)
 * ```
 */
export const createEmitter = <Events>(types: readonly (keyof Events)[]): Emitter<Events> =>
  createUncheckedEmitter(types, checkListener)
