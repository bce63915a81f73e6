// Undoes what a test has set up, whether it passed or not.
import { afterEach } from 'vitest'

type Undo = () => unknown
const undo: Undo[] = []

/** Runs the job after the test. The last one added runs first. */
export const cleanup = (job: Undo): void => void undo.push(job)

/** Call this once at the top of a test file that uses `cleanup`. */
export const cleanUp = (): void => {
  afterEach(async () => {
    for (const job of undo.splice(0).reverse()) await job()
  })
}
