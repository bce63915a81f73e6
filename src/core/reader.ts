import { guard } from '../common/report.js'
import { createTimer } from '../common/timers.js'
import type { Connector } from './connector.js'
import { isHidden } from './page.js'
import type { State } from './states.js'
import type { Phase } from './successor.js'
import type { SocketOptions } from './types.js'

/**
 * Reads the messages of the open connection and, while the two overlap, of the one that it replaces. With the option `id`, it recognizes
 * messages that arrive on both.
 */
export type Reader = readonly [
  /** The listener for messages of the open connection: the connector's own, which is faster, unless more is necessary. */
  listener: () => (event: MessageEvent) => void,
  /** A message has arrived, or the connection was opened. */
  onLife: () => void,
  /** The page is hidden, or visible again. Returns whether it was hidden for so long without messages that the connection may be dead. */
  onVisibility: () => boolean,
  /** A second connection is planned or exists, or only the first one is left. */
  onChange: (hasSecond: boolean) => void,
  /**
   * The second connection has replaced the first, which, if given, is read for this many milliseconds. After that, messages from the first
   * connection can still arrive again on the second.
   */
  endOverlapIn: (delay: number, first: WebSocket | false) => void,
  endOverlap: () => void,
]

/** On a busy machine, a message can arrive this many milliseconds later on one connection than on the other. */
const MAX_SKEW = 5_000

/** A connection is in doubt only if the page was hidden for at least this long, without a message. In milliseconds. */
const LONG = 60_000

export const createReader = (
  { native, heartbeat, report, receive }: Connector,
  options: SocketOptions<any>,
  state: () => State,
  phase: () => Phase,
  stay: () => void,
  plan: (cause: unknown) => void,
): Reader => {
  const { when, id } = options.handover || {}
  const { isReply } = options.heartbeat ?? {}
  const setTimer = createTimer()
  /** During an overlap: the connection on which each message id arrived first. */
  let seen: Map<unknown, WebSocket> | undefined
  let late: WebSocket | false | undefined
  /** While the page is hidden: when it was hidden, the connection was opened, or the last message arrived. */
  let quietSince: number | undefined

  /** Whether the same message has arrived on the other connection. */
  const isDouble = (socket: WebSocket, data: unknown) => {
    const identity = seen && guard(id as (data: unknown) => unknown, data)
    if (identity === undefined) return false
    const first = seen?.get(identity) ?? socket
    seen?.set(identity, first)
    return first !== socket
  }

  const onLife = () => {
    if (quietSince !== undefined) quietSince = performance.now()
  }

  const listenTo = (socket: WebSocket) => (event: MessageEvent) => {
    const { data } = event
    onLife()
    if (phase() === 'doubt') stay()
    // A message on a connection that was replaced does not prove that the current one works.
    const isAnswer = socket === native() ? heartbeat()?.onMessage(event) : isReply && guard(isReply, data)
    if (isAnswer) return
    if (!isDouble(socket, data)) report(data)
    // Duplicates are not skipped here, because both servers may make the same announcement. A listener may have closed the socket, and a
    // connection that was replaced ends anyway.
    if (when && guard(when, data) && socket === native() && state().name === 'open') plan(data)
  }

  const listener = () =>
    when || phase() || seen || quietSince !== undefined ? listenTo(native() as WebSocket) : receive

  const listen = () => {
    if (state().name === 'open') (native() as WebSocket).onmessage = listener()
  }

  const leaveFirst = () => {
    if (late) {
      late.onmessage = null
      late.close()
    }
    late = undefined
  }

  const endOverlap = () => {
    setTimer()
    leaveFirst()
    seen = undefined
  }

  return [
    listener,
    onLife,

    () => {
      const now = performance.now()
      const isQuiet = !isHidden() && now - (quietSince ?? now) >= LONG
      quietSince = isHidden() ? now : undefined
      listen()
      return isQuiet
    },

    hasSecond => {
      // If one handover directly follows another, messages from the previous connection may still arrive again on the current one.
      const known = seen ?? new Map()
      endOverlap()
      if (id && hasSecond) seen = known
      listen()
    },

    (delay, first) => {
      late = first
      setTimer(delay, () => {
        leaveFirst()
        setTimer(seen && MAX_SKEW, () => {
          endOverlap()
          listen()
        })
      })
    },

    endOverlap,
  ]
}
