// What the store reports about the sessions of this node.
import type { SessionServer } from './host.js'
import type { LocalSession } from './session.js'
import { INCOMPLETE, type MissedEvent, OUTDATED, SLOW, type StoreEvent } from './store.js'

/** The part of the server that receives events. */
export interface EventServer extends Omit<SessionServer, 'sessions'> {
  readonly sessions: ReadonlyMap<string, LocalSession>
  /** Events of sessions that arrived while these were being resumed. */
  readonly missed: Map<string, MissedEvent>
}

/** Why sessions end, as labels of a metric, by the reason of the close frame. */
const REASONS: Readonly<Record<string, string>> = {
  [SLOW]: 'slow',
  [INCOMPLETE]: 'store',
  [OUTDATED]: 'store',
  'the session has expired': 'expired',
  'ended by the client': 'client',
}

/** One of a few words, because Prometheus keeps each that it has seen. */
const reasonOf = (reason: string): string => {
  if (reason.startsWith('bad frame')) return 'violation'
  if (reason.startsWith('slow consumer')) return 'slow'
  if (reason.startsWith('too many sessions')) return 'room'
  return REASONS[reason] ?? 'application'
}

export const onStoreEvent = (server: EventServer, event: StoreEvent): void => {
  const { options, stats, metrics, sessions, resuming, missed, receipts, room, report } = server
  if (event.kind === 'warning') {
    report(new Error(event.message))
    return
  }
  const session = sessions.get(event.session)
  // The answer to a request to resume may come after what happened to the session since.
  if (event.kind !== 'messages' && resuming.has(event.session)) {
    const before = missed.get(event.session)
    if (before?.kind !== 'ended') missed.set(event.session, event)
  }
  if (event.kind === 'messages') session?.pump(event.message)
  else if (event.kind === 'moved') {
    room.forget(event.session)
    if (session && event.epoch > session.epoch) session.move()
  } else {
    const { session: id, userId, code, reason } = event
    if (reason === SLOW) stats.slow++
    metrics.count('ended', reasonOf(reason))
    room.forget(id)
    receipts.onEnded(id)
    session?.onEnded(code, reason)
    server.attempt(() => options.onEnd?.({ id, userId: userId || undefined }, { code, reason }))
  }
}
