// A time limit for the functions of the application: one that never ends would hold up its client for ever.

/** A function of the application takes too long. */
const tooLate = (what: string, ms: number): Error =>
  Object.assign(new Error(`${what} took longer than handlerTimeout, ${ms} ms`), { name: 'Timeout' })

/**
 * Resolves with the result of a function of the application, and rejects with an error of the name `Timeout` if that takes longer.
 * Whatever becomes of the function then is ignored.
 */
export const withTimeout = async <Value>(
  result: Value | PromiseLike<Value>,
  ms: number,
  what: string,
  onTimeout?: (error: Error) => void,
): Promise<Value> => {
  // Most handlers are done at once, and need no timer.
  const isPending = typeof (result as { then?: unknown } | undefined)?.then === 'function'
  if (!isPending || ms === Infinity) return result
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
