import type { CloseInfo, SocketError } from '../index.js'
import type { Internals } from './internals.js'

/** The close information of an attempt that never opened. */
// https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5
const ABNORMAL: CloseInfo = { code: 1006, reason: '', wasClean: false }

/** Dispatches the events of a `WebSocket` for those of the underlying socket. */
export const forwardEvents = (target: EventTarget, internals: Internals): void => {
  const { socket } = internals
  let origin = ''
  let last: string = socket.state.name

  const dispatch = (type: string, fields: Record<string, unknown> = {}, kind = 'Event') => {
    // No event is created if it has no listener.
    if (!internals.listeners[type]?.size) return
    // Node has no CloseEvent before version 23.
    const event = new ((globalThis as any)[kind] ?? Event)(type, fields)
    for (const name in fields) if (!(name in event)) event[name] = fields[name]
    target.dispatchEvent(event)
  }

  const willReconnect = () => socket.state.name !== 'closed'

  /** Dispatches the events of an end, during which the socket is CLOSED. */
  const dispatchEnd = (
    cause: SocketError,
    hasFailed: boolean | undefined,
    { code, reason, wasClean }: CloseInfo = ABNORMAL,
  ) => {
    internals.readyState = 3
    if (hasFailed) dispatch('error', { error: cause, message: cause.message })
    // If a listener of `error` has called close(), another `close` event follows: the last.
    const fields = { code, reason, wasClean, willReconnect: willReconnect() }
    if (!internals.isClosing || !fields.willReconnect) dispatch('close', fields, 'CloseEvent')
    internals.readyState = undefined
  }

  /** Dispatches the end that a method of this class causes in a later task, unless reconnect() has undone a close() by then, or the reverse. */
  const dispatchEndLater: typeof dispatchEnd = (...args) => {
    const before = willReconnect()
    internals.readyState = 2
    setTimeout(() => before === willReconnect() && dispatchEnd(...args))
  }

  const onMessage = (data: unknown) => dispatch('message', { data, origin }, 'MessageEvent')
  socket.on('text', onMessage)
  socket.on('binary', onMessage)

  socket.on('open', ({ url }) => {
    origin = new URL(url).origin
    dispatch('open')
  })

  // The end of a connection that was open.
  socket.on('close', close => {
    const { cause } = close
    const isCaused = cause.code === 'RECONNECT_REQUESTED' || socket.state.name === 'connecting'
    const hasFailed = internals.hasFailed || cause.code === 'RETRY_FAILED'
    ;(isCaused ? dispatchEndLater : dispatchEnd)(cause, hasFailed, close)
  })

  // The end of an attempt, or of a wait.
  socket.on('state', state => {
    const { name } = state
    const from = last
    last = name
    internals.readyState = undefined
    if (name === 'connecting') internals.isClosing = false
    if (from === 'connecting' ? name === 'open' : from !== 'waiting' || name !== 'closed') return
    const { cause } = state as { cause: SocketError }
    const isCaused = cause.code === 'RECONNECT_REQUESTED' || cause.code === 'CLOSED'
    ;(isCaused ? dispatchEndLater : dispatchEnd)(cause, from === 'connecting', cause.close)
  })
}
