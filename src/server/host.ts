// The state that the sessions of a node share.
import type { ServerStats } from './api.js'
import type { Limits } from './checks.js'
import type { LimitStep } from './flood.js'
import type { Request } from './frames.js'
import type { Metrics } from './metrics.js'
import type { ReliableServerOptions } from './options.js'
import type { Limit } from './rates.js'
import type { Receipts } from './receipts.js'
import { directSession, type RequestHost, runRequest, type Task } from './requests.js'
import type { Room } from './room.js'
import type { StoreNode } from './store.js'

/** A session that this node holds. */
interface HeldSession {
  readonly id: string
  readonly userId: string | undefined
}

/** The part of its node that a session uses. */
export interface Host {
  readonly store: StoreNode
  readonly metrics: Metrics
  readonly stats: { -readonly [Name in keyof ServerStats]: number }
  readonly maxMessageBytes: number
  readonly maxBuffered: number
  readonly dedupeWindow: number
  readonly sessionTimeout: number
  /** Sessions that are being resumed on this node right now. These promises do not reject. */
  readonly resuming: ReadonlyMap<string, Promise<unknown>>
  /** Runs the application's handler. Rejects with a `Refusal`, or with the handler's error. */
  runRequest(session: HeldSession, request: Request): Promise<Task>
  /** A frame of a client has arrived. */
  onFrame(session: HeldSession, type: string, bytes: number): void
  /** A client sends more than its rate. */
  onLimit(session: HeldSession, step: LimitStep, limit: Limit): void
  report(error: unknown): void
  /** A connection has ended. The session can be resumed. */
  onDisconnect(session: HeldSession, code: number, reason: string): void
  /** The client has acknowledged everything up to this number. */
  onAcknowledged(session: HeldSession, sequenceId: number): void
  /** This node no longer holds the session. */
  forget(session: HeldSession): void
}

/** The part of the server that its sessions use. */
export interface SessionServer extends RequestHost {
  readonly options: ReliableServerOptions<any>
  readonly limits: Limits
  readonly stats: Host['stats']
  readonly metrics: Metrics
  readonly resuming: ReadonlyMap<string, Promise<unknown>>
  readonly sessions: Map<string, HeldSession>
  readonly receipts: Receipts
  readonly room: Room
  /** Runs a hook of the application, whose failure is reported. */
  attempt(hook: () => unknown): Promise<void>
}

/** Clients choose codes from 3000 to 4999 freely, and each value of a label is kept for as long as the process runs. */
const closeCodeLabel = (code: number): string =>
  code < 3_000 ? String(code) : `${Math.floor(code / 1_000)}xxx`

export const createHost = (server: SessionServer, store: StoreNode): Host => {
  const { options, limits, stats, metrics, resuming, sessions, receipts, room, report, attempt } = server
  return {
    ...limits,
    store,
    stats,
    metrics,
    resuming,
    maxBuffered: limits.maxUnacknowledgedBytes + 2 ** 20,
    report,
    runRequest: (session, request) => runRequest(server, options, session, request),
    onDisconnect({ id, userId }, code, reason) {
      metrics.count('closed', closeCodeLabel(code))
      room.leave(id)
      attempt(() => options.onDisconnect?.(directSession(server, id, userId), { code, reason }))
    },
    onFrame({ id, userId }, type, bytes) {
      if (options.onFrame) attempt(() => options.onFrame?.({ type, bytes }, { id, userId }))
    },
    onLimit({ id, userId }, step, limit) {
      metrics.count('limited', limit.who, step)
      if (step === 'closed') stats.limited++
      if (options.onLimit) attempt(() => options.onLimit?.({ ...limit, step }, { id, userId }))
    },
    onAcknowledged({ id }, sequenceId) {
      receipts.onAcknowledged(id, sequenceId)
    },
    forget(session) {
      if (sessions.get(session.id) === session) sessions.delete(session.id)
    },
  }
}
