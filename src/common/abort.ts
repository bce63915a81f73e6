/** The functions to run when a signal is aborted, and the one listener that runs them. */
interface Waiting {
  readonly jobs: Set<() => void>
  readonly run: () => void
}

const signals = new WeakMap<AbortSignal, Waiting>()

const createWaiting = (): Waiting => {
  const jobs = new Set<() => void>()
  const run = () => {
    for (const job of jobs) job()
  }
  return { jobs, run }
}

/**
 * Runs a function when a signal is aborted, and returns a function that undoes this. Each signal gets one listener, however many functions
 * wait for it, because Node warns of a leak from the eleventh on.
 */
export const onAbort = (signal: AbortSignal, job: () => void): (() => void) => {
  const waiting = signals.get(signal) ?? createWaiting()
  const { jobs, run } = waiting
  signals.set(signal, waiting)
  if (!jobs.size) signal.addEventListener('abort', run)
  jobs.add(job)
  return () => {
    if (jobs.delete(job) && !jobs.size) signal.removeEventListener('abort', run)
  }
}
