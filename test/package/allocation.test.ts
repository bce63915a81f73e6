import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { root } from './built.ts'

/** The size of the smallest object in V8: its map, and a field. */
const OBJECT = 16

const measure = (): Record<string, number> =>
  JSON.parse(
    execFileSync(
      process.execPath,
      [
        '--expose-gc',
        '--min-semi-space-size=64',
        '--max-semi-space-size=64',
        `${root}test/package/allocation.mjs`,
      ],
      { encoding: 'utf8' },
    ),
  )

test('dispatching and sending a message creates no object, and one object if it has options', () => {
  const bytes = measure()
  expect(bytes.text).toBeLessThan(OBJECT / 2)
  expect(bytes.binary).toBeLessThan(OBJECT / 2)
  expect(bytes.send).toBeLessThan(OBJECT / 2)
  // Three fields and a timestamp.
  expect(bytes['send with a key']).toBeLessThan(6 * OBJECT)
})
