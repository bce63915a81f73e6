import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, test } from 'vitest'
import { peers } from '../bench/peers.mjs'
import { runCells } from './runner.mjs'
import { scenarios, subjects } from './scenarios.mjs'
import { column, columnsOf, markOf, marksOf } from './table.mjs'

const results = readFileSync(new URL('RESULTS.md', import.meta.url), 'utf8')
const titles = scenarios.map(({ title }) => title)
const ours = peers.filter(peer => peer.ours)

describe('the table in RESULTS.md', () => {
  test('has a column for each library in its installed version', () => {
    expect(columnsOf(results)).toEqual(subjects.map(() => peers.map(column)))
  })

  test('has a row for each scenario', () => {
    for (const peer of peers) expect([...marksOf(results, column(peer)).keys()]).toEqual(titles)
  })

  test('has scenarios in which another library passes and this package does not', () => {
    const marks = peers.map(peer => marksOf(results, column(peer)))
    const worse = titles.filter(
      title =>
        marks.some(one => one.get(title) === '✓') &&
        ours.some(peer => marksOf(results, column(peer)).get(title) === '✗'),
    )
    expect(worse.length).toBeGreaterThanOrEqual(4)
  })
})

/** A result of `runCells()`, which is not typed. */
interface Cell {
  scenario: { title: string }
  peer: object
  verdict: string
  said?: string
}

describe('this package', () => {
  let cells: Cell[]
  beforeAll(async () => {
    cells = (await runCells(scenarios, ours)) as Cell[]
  }, 600_000)

  test.each(ours.map(column))('passes and fails the scenarios as the column %s of RESULTS.md says', name => {
    const own = cells.filter(({ peer }) => column(peer) === name)
    // The observations are the same on both sides. They explain a mark that differs.
    const actual = own.map(cell => [cell.scenario.title, markOf(cell), cell.said])
    const marks = marksOf(results, name)
    const expected = own.map(({ scenario, said }) => [scenario.title, marks.get(scenario.title), said])
    expect(actual).toEqual(expected)
  })
})
