// A store whose steps are timed.
import type { Metrics } from './metrics.js'
import type { StoreNode } from './store.js'

/** The steps, which the compiler compares with the interface. */
const STEPS: Record<Exclude<keyof StoreNode, 'close'>, true> = {
  create: true,
  resume: true,
  confirm: true,
  commit: true,
  reserve: true,
  release: true,
  read: true,
  acknowledge: true,
  touch: true,
  detach: true,
  members: true,
  progress: true,
  end: true,
}

/** The same node, which reports how long each step takes and whether it fails. */
export const timed = (node: StoreNode, metrics: Metrics): StoreNode => {
  const steps = Object.keys(STEPS) as (keyof typeof STEPS)[]
  const entries = steps.flatMap(step => {
    if (!node[step]) return []
    const run = node[step] as (...args: unknown[]) => Promise<unknown>
    const timedRun = (...args: unknown[]) => {
      const start = performance.now()
      const done = () => metrics.observe('store', step, performance.now() - start)
      const result = run(...args)
      // Separate from the result, so that the order of results stays the same.
      result.then(done, () => {
        done()
        metrics.count('store_errors', step)
      })
      return result
    }
    return [[step, timedRun]]
  })
  return { ...node, ...Object.fromEntries(entries) }
}
