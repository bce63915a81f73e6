// Runs functions of the application, with a time limit, because a function that never ends would block its client forever.
import type { Metrics } from './metrics.js'
import { startTimer } from './timers.js'

/** The error of a function of the application that takes too long. */
const tooLate = (what: string, ms: number): Error =>
  Object.assign(new Error(`${what} took longer than handlerTimeout, ${ms} ms`), { name: 'Timeout' })

/** Ends when the time is up. */
interface Deadline {
  pass(error: Error): void
}

const within = async <Value>(
  result: PromiseLike<Value>,
  ms: number,
  what: string,
  deadline?: Deadline,
): Promise<Value> => {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = startTimer(() => {
      const error = tooLate(what, ms)
      deadline?.pass(error)
      reject(error)
    }, ms)
  })
  try {
    return await Promise.race([result, late])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Returns the result of a function of the application or, if that is a promise, a promise that rejects with an error of the name `Timeout` if
 * it takes too long. The later result of the function is ignored.
 */
export type RunHook = <Value>(
  what: string,
  hook: () => Value | PromiseLike<Value>,
  deadline?: Deadline,
) => Value | Promise<Value>

/** `ms`: how long a function may take. */
export const createRunHook =
  (ms: number, metrics: Metrics): RunHook =>
  <Value>(what: string, hook: () => Value | PromiseLike<Value>, deadline?: Deadline) => {
    const start = performance.now()
    const observe = () => metrics.observe('handler', what, performance.now() - start)
    let isPending = false
    try {
      const result = hook()
      // Most handlers are done at once, and need no timer.
      isPending = typeof (result as { then?: unknown } | undefined)?.then === 'function'
      if (!isPending) return result as Value
      const promise = result as PromiseLike<Value>
      return (ms < Infinity ? within(promise, ms, what, deadline) : Promise.resolve(promise)).finally(observe)
    } finally {
      if (!isPending) observe()
    }
  }
