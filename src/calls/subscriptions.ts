import { createEmitter, type Data } from '../index.js'
import type { Connection, Subscription, SubscriptionEvents } from './connection.js'
import { CallError } from './errors.js'
import type { CallProtocol } from './protocol.js'
import type { Request, Requests, Transmit } from './requests.js'
import { type ContractEntry, validate } from './schema.js'
import type { SubscribeOptions } from './types.js'

/** The subscriptions of this page. */
export interface Subscriptions {
  /** Adds a listener, and returns the function that removes it. */
  subscribe(
    name: string,
    params: unknown,
    listener: (item: any, info: { readonly gap: boolean }) => unknown,
    options: SubscribeOptions,
    entry: ContractEntry | undefined,
  ): () => void
  /** Makes the subscriptions that the connection lacks. */
  makeAll(connection: Connection, transmit: Transmit): void
  /** The connection is open. `isSeamless`: the one before was read to its end. */
  onOpen(connection: Connection, isSeamless: boolean | undefined): void
  /** Passes on an item. Throws for one that does not match its schema. */
  receive(subscription: Subscription, item: unknown, gap: boolean | undefined): void
  /** The server has ended the subscription, or it could not be made. */
  end(subscription: Subscription, error: CallError | undefined): void
}

const paramsOf = (params: unknown, last?: unknown) => (typeof params === 'function' ? params(last) : params)

export const createSubscriptions = (
  protocol: CallProtocol,
  requests: Requests,
  maxSubscriptions: number,
  nextId: () => number,
  encode: (frame: unknown) => Data,
  send: Transmit,
  present: () => Connection | undefined,
  tell: (error: CallError) => void,
): Subscriptions => {
  const all = new Map<unknown, Subscription>()

  const end = (subscription: Subscription, error: CallError | undefined) => {
    if (subscription.isEnded) return
    subscription.isEnded = true
    all.delete(subscription.identity)
    if (!subscription.emitter.emit('end', error) && error) tell(error)
  }

  /** Sends a frame on a connection. `onEnd` gets the server's answer, or the id at once if the protocol has no answers to such frames. */
  const request = (
    connection: Connection,
    makeFrame: (id: number) => unknown,
    transmit: Transmit,
    onEnd: Request['onEnd'],
  ) => {
    const { scope } = connection
    const id = nextId()
    try {
      const data = encode(makeFrame(id))
      if (protocol.key) requests.add({ id, data, again: 'never', connection, queued: scope, onEnd }, transmit)
      else if (transmit(data, scope) === 'dropped') onEnd(new CallError('NOT_SENT'))
      else onEnd(undefined, id)
    } catch (error) {
      onEnd(new CallError('NOT_SENT', error))
    }
  }

  /** Ends a subscription on a connection, unless the server has not confirmed it yet. */
  const unmake = (connection: Connection, subscription: Subscription) => {
    const key = connection.made.get(subscription)
    const { unsubscribe } = protocol
    if (key === undefined || !unsubscribe) return
    // Until the server has confirmed it, items are ignored.
    const onEnd = (error: CallError | undefined) => {
      if (!error) connection.byKey.delete(key)
    }
    request(connection, id => unsubscribe(id, subscription.name, key), send, onEnd)
  }

  const make = (connection: Connection, subscription: Subscription, transmit: Transmit) => {
    const { name, params, last } = subscription
    const { made, byKey, scope } = connection
    made.set(subscription, undefined)
    const onEnd = (error: CallError | undefined, result?: unknown) => {
      // It is made again on the next connection.
      if (scope.signal.aborted) return
      if (error) {
        made.delete(subscription)
        return end(subscription, error)
      }
      const key = protocol.key ? protocol.key(result, name) : result
      made.set(subscription, key)
      byKey.set(key, subscription)
      if (subscription.isEnded && connection.isOpen) unmake(connection, subscription)
    }
    request(connection, id => protocol.subscribe?.(id, name, paramsOf(params, last)), transmit, onEnd)
  }

  return {
    end,

    subscribe(name, params, listener, { key, onEnd }, entry) {
      const first = paramsOf(params)
      validate(entry?.params, first, 'NOT_SENT')
      const identity = key ?? JSON.stringify([name, first])
      const subscription = all.get(identity) ?? {
        identity,
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
      subscription.listeners++
      subscription.emitter.on('item', ({ item, gap }) => listener(item, { gap }), listening)
      if (onEnd) subscription.emitter.on('end', error => onEnd(error), listening)
      const connection = present()
      if (connection && !connection.made.has(subscription)) make(connection, subscription, send)
      return () => {
        if (listening.signal.aborted) return
        listening.abort()
        if (--subscription.listeners || subscription.isEnded) return
        subscription.isEnded = true
        all.delete(identity)
        const connection = present()
        if (connection) unmake(connection, subscription)
      }
    },

    makeAll(connection, transmit) {
      for (const subscription of all.values()) {
        if (!connection.made.has(subscription)) make(connection, subscription, transmit)
      }
    },

    onOpen(connection, isSeamless) {
      for (const subscription of all.values()) {
        const { params, last, wasMade } = subscription
        const hasCursor = typeof params === 'function' && last !== undefined
        const isSafe = !wasMade || hasCursor || (isSeamless && connection.made.has(subscription))
        if (!isSafe) subscription.hasGap = true
        subscription.wasMade = true
      }
      // They were stopped before the connection was open.
      for (const subscription of connection.made.keys()) {
        if (subscription.isEnded) unmake(connection, subscription)
      }
    },

    receive(subscription, item, gap) {
      if (subscription.isEnded) return
      const hasGap = !!(gap || subscription.hasGap)
      // If this one does not match, it is missing, too.
      subscription.hasGap = true
      subscription.last = validate(subscription.entry?.event, item)
      subscription.hasGap = false
      subscription.emitter.emit('item', { item: subscription.last, gap: hasGap })
    },
  }
}
