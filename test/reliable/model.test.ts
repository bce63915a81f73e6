import fc from 'fast-check'
import { afterAll, afterEach, beforeEach, test, vi } from 'vitest'
import { byEffort } from '../support/run.ts'
import { plans, play } from './model.ts'
import { TOTALS } from './model-check.ts'

// Tests real clients and real servers together, over a network that breaks anywhere. It checks only the guarantees of sessions, independently of the
// implementation. `MODEL_RUNS=20000 MODEL_SEED=7` makes a long test. A counterexample is a plan, which `play()` runs again.

const RUNS = Number(process.env.MODEL_RUNS ?? byEffort(150, 1_000))
const SEED = Number(process.env.MODEL_SEED ?? 1)

beforeEach(() => {
  vi.useFakeTimers({
    now: 1_000_000,
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'],
  })
})
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})
afterAll(() => {
  if (process.env.MODEL_RUNS) console.log(JSON.stringify(TOTALS, null, 1))
})

test('client and server deliver exactly once and in order, both ways, whatever breaks (random plans)', {
  timeout: 3_600_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(plans, async plan => {
      await play(plan)
    }),
    { numRuns: RUNS, seed: SEED, endOnFailure: !!process.env.MODEL_BRIEF },
  )
})
