import { expect, test } from 'vitest'
import { median, spread, tally } from './tally.mjs'

test('tally() counts no faults in a stream that arrives completely and in order', () => {
  expect(tally(3, [0, 1, 2])).toEqual({ sent: 3, lost: 0, reported: 0, duplicated: 0, reordered: 0 })
})

test('tally() counts messages that never arrive as lost, including the last ones', () => {
  expect(tally(5, [0, 2])).toMatchObject({ lost: 3 })
})

test('tally() counts the lost messages that were reported, and no reported messages that arrived', () => {
  expect(tally(5, [0, 1, 2], new Set([2, 3]))).toMatchObject({ lost: 2, reported: 1 })
})

test('tally() counts each repeated arrival as a duplicate, and not as out of order', () => {
  expect(tally(4, [0, 1, 2, 1, 2, 3, 0])).toMatchObject({ lost: 0, duplicated: 3, reordered: 0 })
})

test('tally() counts each message that arrives after a later one as out of order', () => {
  expect(tally(6, [0, 3, 4, 1, 2, 5])).toMatchObject({ lost: 0, reordered: 2 })
})

test('spread() shows the median, and the range if the values differ', () => {
  expect(median([4, 1, 3, 2])).toBe(2.5)
  expect(spread([])).toBe('–')
  expect(spread([2, 2, 2])).toBe('2')
  expect(spread([3, 1, 2], value => value.toFixed(1))).toBe('2.0 (1.0–3.0)')
})
