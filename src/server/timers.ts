type Timer = ReturnType<typeof setTimeout>

/** Calls `job` after `ms` milliseconds. The timer does not keep the process alive, since everything that it is about ends with the process. */
export const startTimer = (job: () => void, ms: number): Timer => {
  const timer = setTimeout(job, ms)
  // Other runtimes than Node return a number.
  ;(timer as { unref?: () => void }).unref?.()
  return timer
}
