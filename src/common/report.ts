/** Calls a function that belongs to the application: an error is reported, and nothing else stops. */
export const guard = <In, Out>(job: (payload: In) => Out, payload?: In): Out | undefined => {
  try {
    return job(payload as In)
  } catch (error) {
    // https://html.spec.whatwg.org/multipage/webappapis.html#report-the-exception
    if (typeof reportError === 'function') reportError(error)
    else
      queueMicrotask(() => {
        throw error
      })
    return undefined
  }
}

/**
 * Reports an error that a peer can cause. Where there is no `reportError()`, `guard()` would end the process, and a peer must not be able to do that.
 */
export const reportSafely = (error: unknown): void => {
  ;(globalThis.reportError ?? console.error)(error)
}
