import type { Connection, Subscription } from './connection.js'
import type { Encode } from './encode.js'
import { CallError } from './errors.js'
import type { CallProtocol } from './protocol.js'
import type { AddRequest, Request, Transmit } from './requests.js'
import { validate } from './schema.js'

/** Called when the server has ended the subscription, or it could not be made. */
export type EndSubscription = (subscription: Subscription, error: CallError | undefined) => void

/** The parameters: fixed, or a function of the last item. */
export const paramsOf = (params: unknown, last?: unknown): unknown =>
  typeof params === 'function' ? params(last) : params

/** Makes subscriptions on a connection, and ends them there. */
export type Maker = readonly [
  make: (connection: Connection, subscription: Subscription, transmit: Transmit) => void,
  /** Ends a subscription on a connection. Has no effect if the server has not confirmed it yet. */
  unmake: (connection: Connection, subscription: Subscription) => void,
]

export const createMaker = (
  protocol: CallProtocol,
  add: AddRequest,
  nextId: () => number,
  encode: Encode,
  send: Transmit,
  end: EndSubscription,
): Maker => {
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
      if (protocol.key) add({ id, data, again: 'never', connection, queued: scope, onEnd }, transmit)
      else if (transmit(data, scope) === 'dropped') onEnd(new CallError('NOT_SENT'))
      else onEnd(undefined, id)
    } catch (error) {
      onEnd(error instanceof CallError ? error : new CallError('NOT_SENT', error))
    }
  }

  const unmake = (connection: Connection, subscription: Subscription) => {
    const { made, byKey } = connection
    const key = made.get(subscription)
    if (key === undefined || !protocol.unsubscribe) return
    // Until the server has confirmed it, items are ignored.
    const onEnd = (error: CallError | undefined) => {
      if (error) return
      // A new subscription may have the same key.
      if (byKey.get(key) === subscription) byKey.delete(key)
      made.delete(subscription)
    }
    request(connection, id => protocol.unsubscribe?.(id, subscription.name, key), send, onEnd)
  }

  const make = (connection: Connection, subscription: Subscription, transmit: Transmit) => {
    const { name, params, last, entry } = subscription
    const { made, byKey, scope } = connection
    made.set(subscription, undefined)
    const onEnd = (error: CallError | undefined, result?: unknown) => {
      // The subscription is made again on the next connection.
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
    const makeFrame = (id: number) => {
      const value = paramsOf(params, last)
      validate(entry?.params, value, 'NOT_SENT')
      return protocol.subscribe?.(id, name, value)
    }
    request(connection, makeFrame, transmit, onEnd)
  }

  return [make, unmake]
}
