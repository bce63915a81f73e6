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
  maxCalls: number,
  tell: (error: unknown) => void,
): Handlers => {
  const handlers = new Map<string, Handler>()
  /** How many of them are running. */
  let count = 0

  const handle = (name: string, handler: Handler) => {
    if (handlers.has(name)) throw new TypeError(`'${name}' already has a handler`)
    handlers.set(name, handler)
    return () => {
      if (handlers.get(name) === handler) handlers.delete(name)
    }
  }

  const run = async (handler: Handler, params: unknown, entry: ContractEntry | undefined) => {
    count++
    try {
      const result = await handler(params)
      validate(entry?.result, result)
      // Fails here for a result that cannot be sent, so that the server gets an answer.
      encode(result ?? null)
      return result
    } catch (error: any) {
      const isAnswer = error instanceof CallError && error.code === 'SERVER_ERROR'
      if (isAnswer) encode(error.cause ?? null)
      // A call that the handler made itself may have failed: its code says nothing about this one.
      throw isAnswer ? error : new CallError('HANDLER_FAILED', error)
    } finally {
      count--
    }
  }

  const answer = async (name: string, params: unknown) => {
    const handler = handlers.get(name)
    const entry = entries.get(name)
    try {
      if (!handler) throw new CallError('UNEXPECTED', name)
      if (count >= maxCalls) throw new CallError('HANDLER_FAILED', 'maxCalls')
      return await run(handler, validate(entry?.params, params), entry)
    } catch (cause) {
      const error = cause instanceof CallError ? cause : new CallError('HANDLER_FAILED', cause)
      if (error.code !== 'SERVER_ERROR') tell(error)
      throw error
    }
  }

  return [handle, answer, () => handlers.size > 0]
}
