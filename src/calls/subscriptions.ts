import { createEmitter } from '../index.js'
import type { Connection, Subscription, SubscriptionEvents } from './connection.js'
import type { Encode } from './encode.js'
import { CallError } from './errors.js'
import { createMaker, type EndSubscription, paramsOf } from './make.js'
import type { CallProtocol } from './protocol.js'
import { type AddRequest, identify, type Transmit } from './requests.js'
import { type ContractEntry, validate } from './schema.js'
import type { SubscribeOptions } from './types.js'

/** Adds a listener, and returns the function that removes it. */
export type Subscribe = (
  name: string,
  params: unknown,
  listener: (item: any, info: { readonly gap: boolean }) => unknown,
  options: SubscribeOptions,
  entry: ContractEntry | undefined,
) => () => void

/** Passes on an item. Throws for one that does not match its schema. */
export type ReceiveItem = (subscription: Subscription, item: unknown, gap: boolean | undefined) => void

/** The subscriptions of this page. */
export type Subscriptions = readonly [
  subscribe: Subscribe,
  /** Makes the subscriptions that the connection lacks. */
  makeAll: (connection: Connection, transmit: Transmit) => void,
  /** The connection is open. `isSeamless`: the previous one was read to its end. */
  onOpen: (connection: Connection, isSeamless: boolean | undefined) => void,
  receive: ReceiveItem,
  end: EndSubscription,
  /** Messages from the server are missing, although the connection has not ended. */
  onSkipped: () => void,
]

export const createSubscriptions = (
  protocol: CallProtocol,
  add: AddRequest,
  maxSubscriptions: number,
  nextId: () => number,
  encode: Encode,
  send: Transmit,
  present: () => Connection | undefined,
  tell: (error: CallError) => void,
): Subscriptions => {
  const all = new Map<unknown, Subscription>()

  const end: EndSubscription = (subscription, error) => {
    if (subscription.isEnded) return
    subscription.isEnded = true
    all.delete(subscription.identity)
    if (!subscription.emitter.emit('end', error) && error) tell(error)
  }

  const [make, unmake] = createMaker(protocol, add, nextId, encode, send, end)

  /**
   * The same subscription, stopped before the server has confirmed it. If it were made twice, a server that identifies subscriptions by their
   * names would end both.
   */
  const findStopped = (identity: unknown, sent: unknown) => {
    for (const [subscription, itemKey] of present()?.made ?? []) {
      const { listeners, last } = subscription
      const isSame = subscription.identity === identity && subscription.sent === sent
      if (isSame && !listeners && itemKey === undefined && last === undefined) return subscription
    }
    return undefined
  }

  const subscribe: Subscribe = (name, params, listener, { key, onEnd }, entry) => {
    const first = paramsOf(params)
    validate(entry?.params, first, 'NOT_SENT')
    const sent = identify(encode([name, first]))
    const identity = key ?? sent
    const subscription = all.get(identity) ??
      findStopped(identity, sent) ?? {
        identity,
        sent,
        name,
        params,
        entry,
        emitter: createEmitter<SubscriptionEvents>(['item', 'end']),
        listeners: 0,
        wasMade: !!present(),
      }
    if (!subscription.listeners && all.size >= maxSubscriptions)
      throw new CallError('NOT_SENT', 'maxSubscriptions')
    const listening = new AbortController()
    all.set(identity, subscription)
    subscription.isEnded = false
    subscription.listeners++
    subscription.emitter.on('item', ({ item, gap }) => listener(item, { gap }), listening)
    if (onEnd) subscription.emitter.on('end', error => onEnd(error), listening)
    const connection = present()
    if (connection && !connection.made.has(subscription)) make(connection, subscription, send)
    return () => {
      if (listening.signal.aborted) return
      listening.abort()
      if (--subscription.listeners || subscription.isEnded) return
      end(subscription, undefined)
      const connection = present()
      if (connection) unmake(connection, subscription)
    }
  }

  const makeAll = (connection: Connection, transmit: Transmit) => {
    for (const subscription of all.values()) {
      if (!connection.made.has(subscription)) make(connection, subscription, transmit)
    }
  }

  const onOpen = (connection: Connection, isSeamless: boolean | undefined) => {
    for (const subscription of all.values()) {
      const { params, last, wasMade } = subscription
      const hasCursor = typeof params === 'function' && last !== undefined
      const isSafe = !wasMade || hasCursor || (isSeamless && connection.made.has(subscription))
      if (!isSafe) subscription.hasGap = true
      subscription.wasMade = true
    }
    // The page unsubscribed before the connection was open.
    for (const subscription of connection.made.keys()) {
      if (subscription.isEnded) unmake(connection, subscription)
    }
  }

  const receive: ReceiveItem = (subscription, item, gap) => {
    // During a handover, the server may have refused the subscription on the next connection, although it continues on this one.
    if (subscription.isEnded) return
    const hasGap = !!(gap || subscription.hasGap)
    // If this item does not match its schema, it is missing, too.
    subscription.hasGap = true
    subscription.last = validate(subscription.entry?.event, item)
    subscription.hasGap = false
    subscription.emitter.emit('item', { item: subscription.last, gap: hasGap })
  }

  const onSkipped = () => {
    for (const subscription of all.values()) subscription.hasGap = true
  }

  return [subscribe, makeAll, onOpen, receive, end, onSkipped]
}
