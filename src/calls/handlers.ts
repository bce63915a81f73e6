import type { Encode } from './encode.js'
import { CallError } from './errors.js'
import { type ContractEntry, validate } from './schema.js'

/** A function of this page that the server may call. */
export type Handler = (params: any) => unknown

/** The handlers of this page. */
export type Handlers = readonly [
  /** Adds a handler, and returns the function that removes it. */
  handle: (name: string, handler: Handler) => () => void,
  /** Runs the handler of a call of the server. Rejects with a `CallError`. */
  answer: (name: string, params: unknown) => Promise<unknown>,
  /** Whether there are any. */
  hasHandlers: () => boolean,
]

export const createHandlers = (
  entries: ReadonlyMap<string, ContractEntry>,
  encode: Encode,
  tell: (error: unknown) => void,
): Handlers => {
  const handlers = new Map<string, Handler>()

  const handle = (name: string, handler: Handler) => {
    if (handlers.has(name)) throw new TypeError(`'${name}' has a handler already`)
    handlers.set(name, handler)
    return () => {
      if (handlers.get(name) === handler) handlers.delete(name)
    }
  }

  const answer = async (name: string, params: unknown) => {
    const handler = handlers.get(name)
    const entry = entries.get(name)
    try {
      if (!handler) throw new CallError('UNEXPECTED', name)
      const result = await handler(validate(entry?.params, params))
      validate(entry?.result, result, 'HANDLER_FAILED')
      // Fails here for a result that cannot be sent, so that the server gets an answer.
      encode(result ?? null)
      return result
    } catch (cause) {
      const error = cause instanceof CallError ? cause : new CallError('HANDLER_FAILED', cause)
      if (error.code !== 'SERVER_ERROR') tell(error)
      throw error
    }
  }

  return [handle, answer, () => handlers.size > 0]
}
