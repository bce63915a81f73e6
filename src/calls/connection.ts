import type { Emitter } from '../index.js'
import type { CallError } from './errors.js'
import type { Incoming } from './protocol.js'
import type { ContractEntry } from './schema.js'

/** The events of a subscription, and their payloads. */
export interface SubscriptionEvents {
  item: { readonly item: any; readonly gap: boolean }
  /** It has ended, if there is an error because of it. */
  end: CallError | undefined
}

/** A subscription of this page, which is made again on each connection. */
export interface Subscription {
  /** Listeners with the same identity share it. */
  readonly identity: unknown
  readonly name: string
  /** The parameters: fixed, or a function of the last item. */
  readonly params: unknown
  readonly entry: ContractEntry | undefined
  readonly emitter: Emitter<SubscriptionEvents>
  listeners: number
  last?: unknown
  /** Whether items may be missing before the next one. */
  hasGap?: boolean
  /** Whether it has had a connection. */
  wasMade?: boolean
  isEnded?: boolean
}

/** One connection of the socket. Everything here ends with it. */
export interface Connection {
  /** The subscriptions that were made on it, with the keys of their items as soon as they are known. */
  readonly made: Map<Subscription, unknown>
  /** The subscriptions by the keys of their items. */
  readonly byKey: Map<unknown, Subscription>
  /** Whether it is the present connection of the socket. */
  isOpen: boolean
  /** What acts on its messages. */
  incoming?: Incoming
  /** What to do when it is open. */
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
