// How long a library holds a dead connection to be alive: the line stays, no byte moves on it, and new connections are well.
// Usage, after npm run build:
//
//   node test/bench/half-open.mjs           writes results/half-open.md and its picture; takes a good minute
//   node test/bench/half-open.mjs --quick   waits for 10 s, and only prints
import { bars } from './chart.mjs'
import { entrants, HEARTBEAT } from './entrants.mjs'
import { startProxy } from './faults.mjs'
import { startServer } from './outage-server.mjs'
import { machine, save, table } from './report.mjs'
import { WebSocket } from './socket.mjs'
import { median, spread } from './tally.mjs'

const quick = process.argv.includes('--quick')
const LIMIT = quick ? 10_000 : 60_000
const RUNS = quick ? 2 : 5

/** The runs do not begin together: two dozen libraries that look at their clocks at once would wait for each other. */
const APART = 700

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

/** Who takes part once: as it is, and at its best where that has to do with it. */
const list = entrants(WebSocket).filter(({ best, ours, name }) => !best || ours || /acknowledged/.test(name))

const run = async () => {
  const members = new Map(list.map((_, at) => [`${at}`, { hear() {} }]))
  const server = await startServer(members, { sessionLimits: {} })
  const proxy = await startProxy({ port: server.port })
  const found = list.map(() => ({ closed: undefined, reopened: undefined }))
  let frozen
  let opened = 0
  let over = false
  const since = () => performance.now() - frozen
  const handles = list.map(({ connect }, at) => {
    const one = found[at]
    const hooks = {
      open() {
        if (frozen === undefined) opened++
        else one.reopened ??= since()
      },
      close() {
        if (frozen !== undefined && !over) one.closed ??= since()
      },
      message() {},
      told() {},
      gap() {},
    }
    return connect((scheme, path) => `${scheme}://127.0.0.1:${proxy.port}${path}?name=${at}`, hooks)
  })
  while (opened < list.length) await sleep(10)
  // A sign of life for all, so that all count from about here.
  for (const member of new Set(members.values())) member.say?.(0)
  await sleep(200)
  frozen = performance.now()
  for (const connection of proxy.connections) connection.freeze()
  while (since() < LIMIT && found.some(({ reopened }) => reopened === undefined)) await sleep(50)
  over = true
  for (const handle of handles) handle.close()
  return found
}

const runs = []
for (let i = 0; i < RUNS; i++) {
  runs.push(run())
  await sleep(APART)
}
const results = await Promise.all(runs)

const seconds = ms => (ms / 1_000).toFixed(2)
const timesOf = (at, name) => results.map(found => found[at][name]).filter(time => time !== undefined)
const cell = (at, name) => {
  const times = timesOf(at, name)
  if (!times.length) return `not within ${LIMIT / 1_000}`
  return `${spread(times, seconds)}${times.length < RUNS ? `, in ${times.length} of ${RUNS}` : ''}`
}
const titleOf = ({ name, version, best, ours }) => {
  const words = [name, version, best && '(best)'].filter(Boolean).join(' ')
  return ours ? `**${words}**` : words
}

const text = `# How long a dead connection passes for alive

An open and idle connection freezes: it stays, and no byte moves on it any more, as when a cable is pulled behind a router. New connections work.
The last message came 0.2 s before.
Seconds until the library says so, and until it has another. Median (least–most) of ${RUNS} runs; nobody is waited for longer than
${LIMIT / 1_000} s. "Best" for ours: a heartbeat of ${HEARTBEAT.interval / 1_000} s and ${HEARTBEAT.timeout / 1_000} s; its own are 25 s and 10 s, and without a message that
the server understands it has none. The other libraries have no heartbeat at all, but socket.io, whose server asks each 25 s and whose client
then waits for 20 s more; that is set on the server.

${machine()} Written by \`node test/bench/half-open.mjs\`.

${table(
  ['', 'noticed after, s', 'another open after, s'],
  list.map((entrant, at) => [titleOf(entrant), cell(at, 'closed'), cell(at, 'reopened')]),
)}
`
if (quick) console.log(text)
else {
  save('half-open.md', text)
  const rows = list.flatMap(({ name, best, ours }, at) => {
    const times = timesOf(at, 'closed')
    if (times.length < RUNS) return []
    const label = [name, best && '(best)'].filter(Boolean).join(' ')
    return [{ name: label, value: median(times), low: Math.min(...times), high: Math.max(...times), ours }]
  })
  const title = `A dead connection is noticed; all others: not within ${LIMIT / 1_000} s`
  save('half-open.svg', bars({ title, unit: 'seconds', rows }))
}
process.exit()
