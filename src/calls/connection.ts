import type { Emitter } from '../index.js'
import type { CallError } from './errors.js'
import type { Incoming } from './protocol.js'
import type { ContractEntry } from './schema.js'

/** The events of a subscription, and their payloads. */
export interface SubscriptionEvents {
  item: { readonly item: any; readonly gap: boolean }
  /** The subscription has ended, because of this error if there is one. */
  end: CallError | undefined
}

/** A subscription of this page, which is sent again on each connection. */
export interface Subscription {
  /** Listeners with the same identity share it. */
  readonly identity: unknown
  /** The name and the first parameters, as they are sent. */
  readonly sent: unknown
  readonly name: string
  /** The parameters: fixed, or a function of the last item. */
  readonly params: unknown
  readonly entry: ContractEntry | undefined
  readonly emitter: Emitter<SubscriptionEvents>
  listeners: number
  last?: unknown
  /** Whether items may be missing before the next one. */
  hasGap?: boolean
  /** Whether it was made on a connection before. */
  wasMade?: boolean
  isEnded?: boolean
}

/** One connection of the socket. Everything here ends with it. */
export interface Connection {
  /** The subscriptions that were made on it, with the keys of their items once they are known. */
  readonly made: Map<Subscription, unknown>
  /** The subscriptions by the keys of their items. */
  readonly byKey: Map<unknown, Subscription>
  /** Whether it is the current connection of the socket. */
  isOpen: boolean
  /** Processes its messages. */
  incoming?: Incoming
  /** Functions to run when it is open. */
  readonly held: (() => void)[]
  /** Aborted when it has ended. */
  readonly scope: AbortController
}

export const createConnection = (): Connection => ({
  made: new Map(),
  byKey: new Map(),
  isOpen: false,
  held: [],
  scope: new AbortController(),
})
