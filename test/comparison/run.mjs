// Runs every scenario with every library, prints the results, and writes RESULTS.md. Usage, after npm run build:
//
//   node test/comparison/run.mjs                    all scenarios
//   node test/comparison/run.mjs 'queue|close'      the scenarios whose ids match; writes no file
//   node test/comparison/run.mjs '' 'party|rews'    the libraries whose names match; writes no file
import { writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { peers } from '../bench/peers.mjs'
import { runCells } from './runner.mjs'
import { scenarios, subjects } from './scenarios.mjs'
import { column, markOf, render } from './table.mjs'

const [some = '', who = ''] = process.argv.slice(2)
const chosen = scenarios.filter(({ id }) => new RegExp(some).test(id))
const present = peers.filter(({ name }) => new RegExp(who).test(name))

let done = 0
const total = chosen.length * present.length
const cells = await runCells(chosen, present, {
  // Most of the time, the processes wait for the network.
  atOnce: availableParallelism() * 2,
  at() {
    if (process.stderr.isTTY) process.stderr.write(`\r${++done} of ${total}`)
  },
})
if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')

for (const scenario of chosen) {
  console.log(`\n${scenario.id}: ${scenario.title}`)
  for (const cell of cells.filter(cell => cell.scenario === scenario)) {
    if (cell.verdict !== 'none')
      console.log(`  ${markOf(cell)} ${column(cell.peer)}${cell.said ? `: ${cell.said}` : ''}`)
  }
}
if (!some && !who) {
  writeFileSync(new URL('RESULTS.md', import.meta.url), render(subjects, peers, cells))
  console.log('\nwritten to test/comparison/RESULTS.md')
}
process.exit()
