// The state that the sessions of a node share.

import type { ServerStats } from './api.js'
import type { LimitStep } from './flood.js'
import type { Request } from './frames.js'
import type { Limit } from './rates.js'
import type { Task } from './requests.js'
import type { StoreNode } from './store.js'

/** A session that this node holds. */
interface HeldSession {
  readonly id: string
  readonly userId: string | undefined
}

/** The part of its node that a session uses. */
export interface Host {
  readonly store: StoreNode
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
  /** This node no longer holds the session. */
  forget(session: HeldSession): void
}
