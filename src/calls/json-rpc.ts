import { checkOptions } from './checks.js'
import type { CallError } from './errors.js'
import type { CallProtocol, Incoming } from './protocol.js'

/** The methods of a server that has subscriptions. */
export interface JsonRpcOptions {
  /** Returns the method and the parameters that subscribe. Default: `['subscribe', [name, params]]`. */
  subscribe?: ((name: string, params: any) => readonly [method: string, params: unknown]) | undefined
  /**
   * Returns the method and the parameters that unsubscribe. `key` is the result of the subscribing request. Default: `['unsubscribe',
   * [key]]`.
   */
  unsubscribe?: ((name: string, key: unknown) => readonly [method: string, params: unknown]) | undefined
}

const jsonrpc = '2.0'

// https://www.jsonrpc.org/specification#error_object
const ERRORS: Record<string, { code: number; message: string }> = {
  UNEXPECTED: { code: -32601, message: 'Method not found' },
  INVALID: { code: -32602, message: 'Invalid params' },
  HANDLER_FAILED: { code: -32603, message: 'Internal error' },
}

const isObject = (value: unknown) => Object(value) === value

// Without members that are undefined: a codec would encode them as null.
const request = (id: number | undefined, method: string, params: unknown) => {
  if (params !== undefined && !isObject(params))
    throw new TypeError('JSON-RPC: params must be an object or an array')
  return { jsonrpc, method, ...(params !== undefined && { params }), ...(id !== undefined && { id }) }
}

/** Reads one frame. Returns the frame to answer with, if there is one. */
const read = (frame: any, incoming: Incoming): unknown => {
  const { jsonrpc: version, id, method, params, result, error } = Object(frame)
  if (version === jsonrpc && !isObject(id)) {
    if (method === undefined && isObject(error)) return incoming.error(id, error)
    if (method === undefined && result !== undefined) return incoming.result(id, result)
    if (typeof method === 'string' && (params === undefined || isObject(params))) {
      const isNotification = id === undefined
      if (isNotification && params?.subscription !== undefined)
        return incoming.item(params.subscription, params.result)
      const answer = (content: object) => (isNotification ? undefined : { jsonrpc, ...content, id })
      return incoming.call(method, params).then(
        (result = null) => answer({ result }),
        ({ code, cause }: CallError) => answer({ error: ERRORS[code] ?? cause ?? ERRORS.HANDLER_FAILED }),
      )
    }
  }
  const invalid =
    frame === undefined
      ? { code: -32700, message: 'Parse error' }
      : { code: -32600, message: 'Invalid Request' }
  return incoming.invalid() ? { jsonrpc, error: invalid, id: null } : undefined
}

/**
 * JSON-RPC 2.0. The specification does not define subscriptions, so they have the form that Ethereum and others use: the server answers the
 * request with the key of the subscription, and sends each item as a notification with the parameters `{ subscription: key, result: item }`.
 *
 * ```ts
 * const protocol = jsonRpc({ subscribe: (name, params) => ['eth_subscribe', params ? [name, params] : [name]] })
 * ```
 *
 * To answer with an error of your own, throw `new CallError('SERVER_ERROR', { code, message, data })` in a handler. Batches are read and
 * answered, but never sent.
 */
// https://www.jsonrpc.org/specification
export const jsonRpc = (options: JsonRpcOptions = {}): CallProtocol => {
  checkOptions('jsonRpc', options, ['subscribe', 'unsubscribe'])
  const {
    subscribe = (name, params) => ['subscribe', params === undefined ? [name] : [name, params]],
    unsubscribe = (_, key) => ['unsubscribe', [key]],
  } = options
  return {
    call: request,
    subscribe: (id, name, params) => request(id, ...subscribe(name, params)),
    unsubscribe: (id, name, key) => request(id, ...unsubscribe(name, key)),
    key: result => result,
    async read(frame, incoming) {
      // An empty batch is invalid.
      if (!Array.isArray(frame) || !frame.length) return read(frame, incoming)
      const answers = (await Promise.all(frame.map(one => read(one, incoming)))).filter(answer => answer)
      return answers.length ? answers : undefined
    },
  }
}
