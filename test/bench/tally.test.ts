import { expect, test } from 'vitest'
import { median, spread, tally } from './tally.mjs'

test('a stream that arrives whole and in order has nothing against it', () => {
  expect(tally(3, [0, 1, 2])).toEqual({ sent: 3, lost: 0, told: 0, duplicated: 0, reordered: 0 })
})

test('what never arrives is lost, also at the end', () => {
  expect(tally(5, [0, 2])).toMatchObject({ lost: 3 })
})

test('of what is lost, what the sender was told of is counted; what arrives all the same is not', () => {
  expect(tally(5, [0, 1, 2], new Set([2, 3]))).toMatchObject({ lost: 2, told: 1 })
})

test('each further arrival of a message is a duplicate, and no disorder', () => {
  expect(tally(4, [0, 1, 2, 1, 2, 3, 0])).toMatchObject({ lost: 0, duplicated: 3, reordered: 0 })
})

test('each message that comes after a later one is out of order', () => {
  expect(tally(6, [0, 3, 4, 1, 2, 5])).toMatchObject({ lost: 0, reordered: 2 })
})

test('a range is shown where there is one', () => {
  expect(median([4, 1, 3, 2])).toBe(2.5)
  expect(spread([])).toBe('–')
  expect(spread([2, 2, 2])).toBe('2')
  expect(spread([3, 1, 2], value => value.toFixed(1))).toBe('2.0 (1.0–3.0)')
})
