// Measures an outage with each library: the messages that are lost, repeated and out of order in both directions, and the time until there is a
// connection again. Usage, after npm run build:
//
//   node test/bench/outage.mjs                     writes results/outage.md and its charts; takes about eight minutes
//   node test/bench/outage.mjs --quick             one run of each scenario; only prints the tables
//   node test/bench/outage.mjs --only 'reset|1000' only the scenarios whose names match
//   node test/bench/outage.mjs --runs 1 --add FILE adds this many runs to those in FILE
//   node test/bench/outage.mjs --from FILE         writes the tables of the runs in FILE
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

/** The longest time to wait for a client after the server is reachable again, in milliseconds. */
const LIMIT = options.quick ? 10_000 : 30_000

/** A run counts if timers were at most this many milliseconds late when the fault occurred. Otherwise, it would count messages as lost that it had not read. */
const LATE = 40

/** After this many attempts, runs with late timers count as well, because a busy machine may have no others. */
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
    if (wanted.length) console.error(`repeated, because timers were late: ${wanted.join(', ')}`)
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
// Clients that did not reconnect are still trying.
process.exit()
