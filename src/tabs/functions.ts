import type { AttemptContext, Data, PreparedConnection } from '../index.js'
import { decode, type HubMessage, type TabMessage } from './protocol.js'

/** The functions of the application that stay in its tab. */
export type Functions = { readonly [Name in string]?: any }

/** Calls to the hub that wait for a reply, and calls from the hub to functions of this tab. */
export const createCalls = (
  functions: Functions,
  post: (message: TabMessage) => boolean,
): {
  /** Calls a method of the hub's socket. */
  call(method: (TabMessage & { type: 'call' })['method'], ...args: unknown[]): Promise<any>
  reply(message: HubMessage & { type: 'reply' }): void
  answer(message: HubMessage & { type: 'ask' }): Promise<void>
  abort(message: HubMessage & { type: 'abort' }): void
  /** The hub has ended. */
  lose(cause: unknown): void
} => {
  const waiting = new Map<number, { resolve(value: any): void; reject(error: unknown): void }>()
  const attempts = new Map<number, AbortController>()
  let next = 0

  /** Posts a message, and waits for the reply to it. */
  const request = (message: (reply: number) => TabMessage) => {
    const promise = new Promise<any>((resolve, reject) => {
      waiting.set(next, { resolve, reject })
      post(message(next++))
    })
    // `connect()` and `reconnect()` ignore it, and an event reports the failure, too.
    promise.catch(() => {})
    return promise
  }

  return {
    call: (method, ...args) => request(id => ({ type: 'call', id, method, args })),

    reply({ id, value, error }) {
      const { resolve, reject } = waiting.get(id) ?? {}
      waiting.delete(id)
      if (error === undefined) resolve?.(value)
      else reject?.(decode(error))
    },

    async answer({ id, what, context }) {
      const attempt = new AbortController()
      const { signal } = attempt
      attempts.set(id, attempt)
      const connection: PreparedConnection<any> = {
        ...context,
        signal,
        send: (data: Data) => void post({ type: 'prepare', id, data }),
        receive: () => request(reply => ({ type: 'prepare', id, reply })),
      }
      const argument: AttemptContext = { ...context, cause: decode(context.cause), signal }
      try {
        const run = functions[what] as (argument: unknown) => unknown
        let value = await run(what === 'prepare' ? connection : argument)
        // The result of `prepare` is ignored, and a `URL` object cannot be cloned.
        if (what === 'prepare') value = undefined
        else if (what === 'endpoint') value = `${value ?? ''}`
        post({ type: 'answer', id, value })
      } catch (error) {
        post({ type: 'answer', id, error: `${error}` })
      }
    },

    abort({ id }) {
      attempts.get(id)?.abort()
      attempts.delete(id)
    },

    lose(cause) {
      for (const { reject } of waiting.values()) reject(cause)
      waiting.clear()
      for (const attempt of attempts.values()) attempt.abort()
      attempts.clear()
    },
  }
}
