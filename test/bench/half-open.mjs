// How long a library takes to detect a half-open connection: the TCP connection stays open, but transfers no bytes. New connections work.
// Usage, after npm run build:
//
//   node test/bench/half-open.mjs           writes results/half-open.md and its chart; takes more than a minute
//   node test/bench/half-open.mjs --quick   waits for 10 s, and only prints the table
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

/** The milliseconds between the starts of two runs. If all libraries checked their timers at once, they would delay each other. */
const INTERVAL = 700

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

/** Each library with its defaults, and with its best settings if those affect the detection. */
const list = entrants(WebSocket).filter(({ best, ours, name }) => !best || ours || /acknowledged/.test(name))

const run = async () => {
  const members = new Map(list.map((_, at) => [`${at}`, { onReceived() {} }]))
  const server = await startServer(members, { sessionLimits: {} })
  const proxy = await startProxy({ port: server.port })
  const times = list.map(() => ({ closed: undefined, reopened: undefined }))
  let frozen
  let opened = 0
  let over = false
  const since = () => performance.now() - frozen
  const handles = list.map(({ connect }, at) => {
    const time = times[at]
    const hooks = {
      open() {
        if (frozen === undefined) opened++
        else time.reopened ??= since()
      },
      close() {
        if (frozen !== undefined && !over) time.closed ??= since()
      },
      message() {},
      reported() {},
      gap() {},
    }
    return connect((scheme, path) => `${scheme}://127.0.0.1:${proxy.port}${path}?name=${at}`, hooks)
  })
  while (opened < list.length) await sleep(10)
  // Each client receives a message, so that the timeouts of all libraries start at about the same time.
  for (const member of new Set(members.values())) member.sendToClient?.(0)
  await sleep(200)
  frozen = performance.now()
  for (const connection of proxy.connections) connection.freeze()
  while (since() < LIMIT && times.some(({ reopened }) => reopened === undefined)) await sleep(50)
  over = true
  for (const handle of handles) handle.close()
  return times
}

const runs = []
for (let i = 0; i < RUNS; i++) {
  runs.push(run())
  await sleep(INTERVAL)
}
const results = await Promise.all(runs)

const seconds = ms => (ms / 1_000).toFixed(2)
const timesOf = (at, name) => results.map(times => times[at][name]).filter(time => time !== undefined)
const cell = (at, name) => {
  const times = timesOf(at, name)
  if (!times.length) return `not within ${LIMIT / 1_000}`
  return `${spread(times, seconds)}${times.length < RUNS ? `, in ${times.length} of ${RUNS}` : ''}`
}
const titleOf = ({ name, version, best, ours }) => {
  const words = [name, version, best && '(best)'].filter(Boolean).join(' ')
  return ours ? `**${words}**` : words
}

const text = `# The time to detect a half-open connection

An open, idle connection is frozen: it stays open but transfers no bytes, as if a cable had been unplugged behind a router. New connections
work. The last message arrived 0.2 s before.
The columns are the seconds until the library reports that the connection is closed, and until another one is open: median (minimum–maximum)
of ${RUNS} runs, each limited to ${LIMIT / 1_000} s. "Best" for this package is a heartbeat with an interval of ${HEARTBEAT.interval / 1_000} s and a timeout of ${HEARTBEAT.timeout / 1_000} s. The default times are 25 s
and 10 s, but without a message that the server understands, there is no heartbeat. Of the other libraries, only socket.io has a heartbeat: its
server pings every 25 s, and its client waits 20 s longer. Both are set on the server.

${machine()} Written by \`node test/bench/half-open.mjs\`.

${table(
  ['', 'detected after, s', 'another open after, s'],
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
  const title = `Time to detect a half-open connection; all others: not within ${LIMIT / 1_000} s`
  save('half-open.svg', bars({ title, unit: 'seconds', rows }))
}
process.exit()
