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

  test('has scenarios in which ours does not do what another does', () => {
    const marks = peers.map(peer => marksOf(results, column(peer)))
    const worse = titles.filter(
      title =>
        marks.some(one => one.get(title) === '✓') &&
        ours.some(peer => marksOf(results, column(peer)).get(title) === '✗'),
    )
    expect(worse.length).toBeGreaterThanOrEqual(4)
  })
})

/** As the scripts hand it over: they are not typed. */
interface Cell {
  scenario: { title: string }
  peer: object
  verdict: string
  said?: string
}

describe('ours', () => {
  let cells: Cell[]
  beforeAll(async () => {
    cells = (await runCells(scenarios, ours)) as Cell[]
  }, 600_000)

  test.each(ours.map(column))('%s does what the table says', name => {
    const own = cells.filter(({ peer }) => column(peer) === name)
    // The words are not compared, but they say more than a mark when it differs.
    const seen = own.map(cell => [cell.scenario.title, markOf(cell), cell.said])
    const marks = marksOf(results, name)
    const told = own.map(({ scenario, said }) => [scenario.title, marks.get(scenario.title), said])
    expect(seen).toEqual(told)
  })
})
