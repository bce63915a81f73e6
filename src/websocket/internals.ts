import type { Socket } from '../index.js'

/** The private state of an instance. */
export interface Internals {
  socket: Socket<BinaryType>
  /** The newest native socket. */
  native?: WebSocket
  /** Whether the newest native socket has fired `error`. */
  hasFailed?: boolean
  binaryType: BinaryType
  /** Reconnection is off: `send()` throws while CONNECTING, as on the platform. */
  readonly isPlain: boolean
  /** What `readyState` returns while the events of an end are pending (2) or being dispatched (3). */
  readyState?: 2 | 3 | undefined
  /** `close()` was called, and there has been no new attempt since. */
  isClosing?: boolean
  /** The values of the `on…` attributes. */
  readonly handlers: Record<string, unknown>
  /** The listeners by event type. 0 stands for listeners that the platform may remove by itself, and for capturing listeners. */
  readonly listeners: Record<string, Set<unknown>>
  /** Makes this object the listener that calls the `on…` attributes, so that a handler keeps its place among the listeners. */
  handleEvent(event: Event): void
}

export const internals: WeakMap<object, Internals> = new WeakMap()

/** Undefined for an object of another class: reading a property of it then throws a `TypeError`, as on the platform. */
export const internalsOf = (instance: object) => internals.get(instance) as Internals
