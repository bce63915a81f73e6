// Runs functions of the application: timed, and with a limit, because one that never ends would hold up its client for ever.
import type { Metrics } from './metrics.js'

/** A function of the application takes too long. */
const tooLate = (what: string, ms: number): Error =>
  Object.assign(new Error(`${what} took longer than handlerTimeout, ${ms} ms`), { name: 'Timeout' })

const within = async <Value>(
  result: PromiseLike<Value>,
  ms: number,
  what: string,
  onTimeout?: (error: Error) => void,
): Promise<Value> => {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = tooLate(what, ms)
      onTimeout?.(error)
      reject(error)
    }, ms)
    ;(timer as { unref?: () => void }).unref?.()
  })
  try {
    return await Promise.race([result, late])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Resolves with the result of a function of the application, and rejects with an error of the name `Timeout` if that takes too long. Whatever
 * becomes of the function then is ignored.
 */
export type RunHook = <Value>(
  what: string,
  hook: () => Value | PromiseLike<Value>,
  onTimeout?: (error: Error) => void,
) => Promise<Value>

/** `ms`: how long a function may take. */
export const createRunHook =
  (ms: number, metrics: Metrics): RunHook =>
  async (what, hook, onTimeout) => {
    const start = performance.now()
    try {
      const result = hook()
      // Most handlers are done at once, and need no timer.
      const isPending = typeof (result as { then?: unknown } | undefined)?.then === 'function'
      return isPending && ms < Infinity
        ? await within(result as PromiseLike<Awaited<typeof result>>, ms, what, onTimeout)
        : await result
    } finally {
      metrics.observe('handler', what, performance.now() - start)
    }
  }
