import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { fresh } from '../stream/setup.ts'
import { either, one } from '../support/arbitraries.ts'
import { byEffort } from '../support/run.ts'
import { type Settings, type Step, Walk } from './walk-model.ts'

fresh()

const step = either<Step>(
  [
    12,
    fc.record({
      do: one('call'),
      again: either([3, one('unsent')], [1, one('never')], [2, one('always')]),
      timeout: either<number | undefined>([3, one(undefined)], [1, fc.constantFrom(0, 50, 1_000)]),
      mortal: fc.boolean(),
    }),
  ],
  [2, fc.nat(20).map(which => ({ do: 'abort', which }))],
  [4, fc.record({ do: one('subscribe'), name: fc.constantFrom('a', 'b'), cursor: fc.boolean() })],
  [2, fc.nat(5).map(which => ({ do: 'stop', which }))],
  [10, one({ do: 'open' })],
  [2, one({ do: 'open and drop' })],
  [4, one({ do: 'drop' })],
  [1, fc.constantFrom(1000, 1012, 4401).map(code => ({ do: 'end', code }))],
  [4, one({ do: 'freeze' })],
  [2, one({ do: 'thaw' })],
  [3, fc.integer({ min: 1, max: 200 }).map(bytes => ({ do: 'leave', bytes }))],
  [6, fc.record({ do: one('answer'), which: fc.nat(9), fails: fc.boolean() })],
  [5, fc.record({ do: one('confirm'), which: fc.nat(9), refuses: either([5, one(false)], [1, one(true)]) })],
  [5, fc.nat(9).map(which => ({ do: 'push', which }))],
  [
    1,
    fc
      .constantFrom('{', '[1]', '{"jsonrpc":"2.0","id":1e9,"result":1}', '{"jsonrpc":"2.0","method":"pong"}')
      .map(text => ({ do: 'garble', text })),
  ],
  [4, fc.constantFrom(1, 50, 100, 1_000, 30_000).map(time => ({ do: 'pass', time }))],
  [1, one({ do: 'say' })],
  [1, one({ do: 'reconnect' })],
  [4, one({ do: 'hand over' })],
  [1, one({ do: 'connect' })],
  [1, one({ do: 'close' })],
)

const settings = fc.record<Settings>({
  isPrepared: either([3, one(true)], [1, one(false)]),
  isBinary: either([3, one(false)], [1, one(true)]),
  queue: either<Settings['queue']>(
    [4, one({ maxMessages: Infinity, overflow: 'reject' })],
    [1, fc.record({ maxMessages: fc.nat(4), overflow: fc.constantFrom('reject', 'drop-oldest') })],
    [1, one(false)],
  ),
  highWaterMark: fc.constantFrom(2 ** 20, 100, 0),
})

test('a random walk finds that every call ends once and truly, and that every subscription is there once on each connection', {
  timeout: 600_000,
}, async () => {
  const { WALK_RUNS = byEffort(200, 1_000, 5_000), WALK_SEED = 20_261_130 } = process.env
  const steps = fc.array(step, { maxLength: 50, size: 'max' })
  await fc.assert(
    fc.asyncProperty(settings, steps, async (settings, steps) => {
      // Of a walk that failed.
      vi.clearAllTimers()
      const walk = new Walk(settings)
      for (const step of steps) await walk.take(step)
      await walk.finish()
    }),
    { numRuns: Number(WALK_RUNS), seed: Number(WALK_SEED) },
  )
  expect.hasAssertions()
})
