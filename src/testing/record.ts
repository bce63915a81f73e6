import { EVENTS } from './fake-web-socket.js'
import { isBlob, tagOf, toMessage } from './messages.js'

/** A recorded event: its name and its properties, as data that can be compared, printed and sent as JSON. */
export interface RecordedEvent {
  /** The event's name. */
  readonly type: string
  /** The event's properties. */
  readonly [fact: string]: unknown
}

/** A running recording. */
export interface Recording {
  /** All events since `record()`, in order. You may clear the array, or add entries of your own. */
  readonly events: RecordedEvent[]
  /** Stops the recording. */
  stop(): void
}

/** An object that can be recorded: a SteadySocket, or anything with the events of a WebSocket. */
export type Recordable =
  | { on(type: any, listener: (payload: any) => void): () => void }
  | Pick<EventTarget, 'addEventListener' | 'removeEventListener'>

const SOCKET_EVENTS = ['state', 'open', 'text', 'binary', 'close', 'error', 'drop'] as const

/** Bytes become numbers, a Blob its size and type, and an error its code. */
const toPlain = (value: any): unknown => {
  if (isBlob(value)) return { size: value.size, type: value.type }
  if (tagOf(value) === 'ArrayBuffer') return [...new Uint8Array(value)]
  if (ArrayBuffer.isView(value)) return [...(toMessage(value) as Uint8Array)]
  return value instanceof Error ? ((value as { code?: unknown }).code ?? value.name) : value
}

/** The properties of a SteadySocket's event, without timestamps, which differ from run to run. */
const factsOf = (payload: any): object => {
  if (payload instanceof Error) return { code: toPlain(payload) }
  if (tagOf(payload) !== 'Object' || isBlob(payload)) return { data: toPlain(payload) }
  const { since: _, until: __, ...facts } = payload
  return Object.fromEntries(Object.entries(facts).map(([name, value]) => [name, toPlain(value)]))
}

/**
 * Records every event of a SteadySocket, of a WebSocket, or of an object with the events of one.
 *
 * ```ts
 * const log = record(socket)
 * server.refuse()
 * vi.advanceTimersByTime(0)
 * expect(log.events.slice(0, 1)).toEqual([{ type: 'error', code: 'CONNECTION_REFUSED' }])
 * ```
 *
 * For a SteadySocket, an event's properties are its payload without `since` and `until`. For a WebSocket they are the `readyState` in the
 * listener, and `data` or `code`, `reason` and `wasClean`. Bytes become numbers, a Blob its `size` and `type`, an error its `code`. Throws a
 * `TypeError` for an object with neither `on` nor `addEventListener`.
 */
export const record = (target: Recordable): Recording => {
  const events: RecordedEvent[] = []
  const stops: (() => void)[] = []
  // Checked first, because some WebSockets have `on()` as well.
  if ('addEventListener' in target) {
    for (const type of EVENTS) {
      const onEvent = (event: any) => {
        const { readyState } = target as { readyState?: number }
        const { data, code, reason, wasClean } = event
        if (type === 'message') events.push({ type, readyState, data: toPlain(data) })
        else if (type === 'close') events.push({ type, readyState, code, reason, wasClean })
        else events.push({ type, readyState })
      }
      target.addEventListener(type, onEvent)
      stops.push(() => target.removeEventListener(type, onEvent))
    }
  } else if ('on' in target) {
    for (const type of SOCKET_EVENTS) {
      stops.push(target.on(type, payload => events.push({ type, ...factsOf(payload) })))
    }
  } else throw new TypeError('record() needs a socket: an object with `on` or `addEventListener`')
  return {
    events,
    stop() {
      for (const stop of stops.splice(0)) stop()
    },
  }
}
