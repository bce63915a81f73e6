// What an outage costs, library by library: messages lost, repeated and out of order in both directions, and the time until
// there is a connection again. Usage, after npm run build:
//
//   node test/bench/outage.mjs                     writes results/outage.md and its pictures; takes some eight minutes
//   node test/bench/outage.mjs --quick             one run of each scenario, prints the tables only
//   node test/bench/outage.mjs --only 'reset|1000' the scenarios whose name matches
//   node test/bench/outage.mjs --runs 1 --add FILE puts so many runs into FILE, beside those that are there
//   node test/bench/outage.mjs --from FILE         the tables of such runs
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { entrants } from './entrants.mjs'
import { report } from './outage-report.mjs'
import { scenarios, startRun } from './outage-run.mjs'
import { machine, save } from './report.mjs'
import { WebSocket } from './socket.mjs'
import { version } from './versions.mjs'

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    runs: { type: 'string' },
    add: { type: 'string' },
    from: { type: 'string' },
  },
})

const RUNS = Number(options.runs ?? (options.quick ? 1 : 5))

/** Whoever is not back so long after the server is, in milliseconds, is not waited for. */
const LIMIT = options.quick ? 10_000 : 30_000

/** The process may be so late, in milliseconds, when the fault comes: later, and it would count messages that it had not read. */
const LATE = 40

/** On a machine with too much else to do it is never in time: then what there is has to do. */
const PATIENCE = 3

const list = entrants(WebSocket)
const names = Object.keys(scenarios).filter(name => new RegExp(options.only).test(name))

const measure = async () => {
  const good = []
  let wanted = names.flatMap(name => Array.from({ length: RUNS }, () => name))
  for (let round = 1; wanted.length; round++) {
    const going = []
    for (const name of wanted) {
      const run = startRun(name, list, { limit: LIMIT, sessionLimits: { maxUnacknowledged: 20_000 } })
      going.push(run.results.then(result => ({ name, ...result })))
      await run.settled
    }
    const done = await Promise.all(going)
    const fits = ({ late }) => late < LATE || round === PATIENCE
    good.push(...done.filter(fits))
    wanted = done.filter(run => !fits(run)).map(({ name }) => name)
    if (wanted.length) console.error(`again, for the process was late: ${wanted.join(', ')}`)
  }
  return good
}

const before = file => (file && existsSync(file) ? JSON.parse(readFileSync(file)) : { runs: [] })

const rows = list.map(({ connect, ...rest }) => rest)
const data = options.from
  ? before(options.from)
  : {
      machine: machine(),
      ws: version('ws'),
      limit: LIMIT,
      rows,
      runs: [...before(options.add).runs, ...(await measure())],
    }
if (options.add) writeFileSync(options.add, JSON.stringify(data))

const { text, pictures } = report(data)
if (options.quick || options.only || options.add) console.log(text)
else {
  save('outage.md', text)
  for (const [name, svg] of Object.entries(pictures)) save(name, svg)
}
// Those that never came back still try.
process.exit()
