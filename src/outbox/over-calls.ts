import { isEnded } from '../common/ended.js'
import type { Outbox, OutboxSocket, Outcome } from '../reliable.js'
import { attachTo } from './attach.js'
import { checkNames } from './checks.js'

/** The members of `calls()` that `overCalls()` uses. */
export interface CallsLike {
  /** Calls the server. Rejects with an error whose `code` says what happened. */
  call(name: any, params?: any, options?: any): Promise<unknown>
  /** The socket of the calls. */
  readonly socket: Pick<OutboxSocket, 'on' | 'state'>
}

/** Options of `overCalls()`. */
export interface OverCallsOptions {
  /**
   * Makes the parameters that are sent, with the idempotency key: the server should carry out only one call with each key, and answer a
   * repetition with the same result. Default: adds the member `idempotencyKey` to an object.
   */
  withKey?: ((params: any, key: string) => unknown) | undefined
}

/** The outcome of a stored call: with the result if the call was carried out, or with the server's error if it was refused. */
export type CallOutcome<Result = unknown> =
  | { readonly status: 'delivered'; readonly result: Result }
  | Exclude<Outcome, { status: 'delivered' }>

/** Calls with an outbox. */
export interface CallsWithOutbox {
  /**
   * Stores a call, and then repeats it until the server has answered. The parameters must be representable as JSON. Resolves with the outcome.
   * `ttl` and `signal` are those of `createReliableSocket()`.
   */
  call<Result = unknown>(
    name: string,
    params?: unknown,
    options?: { ttl?: number; signal?: AbortSignal },
  ): Promise<CallOutcome<Result>>
}

const addKey = (params: any, key: string): unknown => {
  // In an array, the key would have no name.
  if (typeof params !== 'object' || Array.isArray(params))
    throw new TypeError('The parameters must be an object, unless you pass withKey')
  return { ...params, idempotencyKey: key }
}

/** How long to wait before a failed call is repeated. In milliseconds. */
const PAUSE = 1_000

/**
 * Makes the calls of an outbox with `calls()`, each with an idempotency key that stays the same across outages, reloads and crashes.
 *
 * ```ts
 * const api = calls(createSocket('wss://push.example.com/rpc'), jsonRpc())
 * const orders = overCalls(api, indexedDbOutbox('orders'))
 * const outcome = await orders.call('order', { buy: 3 })
 * ```
 *
 * Throws a `TypeError` for an unknown option.
 */
export const overCalls = (
  api: CallsLike,
  outbox: Outbox,
  options: OverCallsOptions = {},
): CallsWithOutbox => {
  checkNames('overCalls', options, ['withKey'])
  const { withKey = addKey } = options
  const { socket } = api

  /** Repeats a call until the server has answered, or the message goes back to the outbox. */
  const make = async (
    name: string,
    params: unknown,
    { ttl = Infinity, signal }: { ttl?: number; signal?: AbortSignal },
  ): Promise<Outcome> => {
    const until = Date.now() + ttl
    let mayHaveArrived = false
    for (;;) {
      // A call that may have arrived is repeated, which is harmless, to find out its outcome.
      if (!mayHaveArrived && signal?.aborted) return { status: 'dropped', reason: 'aborted' }
      if (!mayHaveArrived && Date.now() >= until) return { status: 'dropped', reason: 'expired' }
      try {
        const how = { again: 'always', ...(!mayHaveArrived && { signal }) }
        return { status: 'delivered', result: await api.call(name, params, how) } as Outcome
      } catch (error) {
        const { code, cause } = error as { code?: string; cause?: unknown }
        if (code === 'SERVER_ERROR') return { status: 'dropped', reason: 'refused', error: cause }
        // The server has carried it out.
        if (code === 'INVALID') return { status: 'delivered' }
        if (isEnded(socket.state)) return { status: 'unknown' }
        if (code !== 'NOT_SENT') mayHaveArrived = true
        await new Promise(resolve => setTimeout(resolve, PAUSE))
      }
    }
  }

  const keep = attachTo(outbox, socket, (text, id, how) => {
    const { event, data } = JSON.parse(text)
    return make(event, withKey(data ?? undefined, id), how)
  })

  return {
    call: async (name, params = null, how = {}) => {
      checkNames('call', how, ['ttl', 'signal'])
      // Rejects at once if no key can be added to the parameters.
      if (params !== null || options.withKey) withKey(params ?? undefined, '')
      const write = (data: unknown) => JSON.stringify({ type: 'event', event: name, dataType: 'json', data })
      return keep({ data: params, options: how, write }) as Promise<CallOutcome<any>>
    },
  }
}
