// The tables and charts of outage.mjs.
import { bars } from './chart.mjs'
import { scenarios } from './outage-run.mjs'
import { table } from './report.mjs'
import { median, spread } from './tally.mjs'

const titleOf = ({ name, version, best, ours }) => {
  const words = [name, version, best && '(best)'].filter(Boolean).join(' ')
  return ours ? `**${words}**` : words
}

const seconds = ms => (ms / 1_000).toFixed(2)

/** The time until there was a connection again, and in how many runs there was one. */
const backCell = limit => results => {
  const backs = results.map(({ back }) => back)
  const times = backs.filter(back => typeof back === 'number')
  const stayed = backs.filter(back => back === 'stayed').length
  const never = backs.length - times.length - stayed
  const share = count => (count === backs.length ? '' : ` in ${count} of ${backs.length}`)
  return [
    times.length && spread(times, seconds),
    stayed && `stayed${share(stayed)}`,
    never && `never (${limit / 1_000} s)${share(never)}`,
  ]
    .filter(Boolean)
    .join('; ')
}

/** The number of lost messages, and how many of them the library reported. */
const lostCell = way => results => {
  const streams = results.map(result => result[way])
  const lost = spread(streams.map(stream => stream.lost))
  const reported = median(streams.map(stream => stream.reported))
  if (!streams.some(stream => stream.reported)) return lost
  return `${lost}, ${streams.every(stream => stream.reported === stream.lost) ? 'all' : reported} reported`
}

const WAYS = { up: 'client → server', down: 'server → client' }

/** A summary: in how many scenarios the library always reconnects, the longest time that takes, and how many messages it loses without a report. */
const summaryOf = (names, resultsOf, at) => {
  const all = names.map(name => resultsOf(name, at))
  const reconnecting = all.filter(results => results.every(({ back }) => back !== 'never'))
  const backs = reconnecting.map(results => results.map(({ back }) => back).filter(Number.isFinite))
  const medians = backs.filter(times => times.length).map(median)
  const unreported = way =>
    all.reduce((sum, results) => sum + median(results.map(one => one[way].lost - one[way].reported)), 0)
  return [
    reconnecting.length === all.length ? 'all' : `${reconnecting.length} of ${all.length}`,
    medians.length ? seconds(Math.max(...medians)) : '–',
    unreported('up'),
    unreported('down'),
  ]
}

const repetitions = (rows, names, resultsOf) => {
  const found = []
  for (const [at, entrant] of rows.entries()) {
    for (const name of names) {
      const results = resultsOf(name, at)
      for (const way of Object.keys(WAYS)) {
        const counts = kind => results.map(result => result[way][kind])
        if (!['duplicated', 'reordered'].some(kind => counts(kind).some(Boolean))) continue
        found.push([
          titleOf(entrant),
          name,
          WAYS[way],
          spread(counts('duplicated')),
          spread(counts('reordered')),
        ])
      }
    }
  }
  return found
}

const chart = (title, rows, unit, valuesOf) => {
  const entries = rows.flatMap((entrant, at) => {
    const values = valuesOf(at)
    if (!values.length) return []
    const name = [entrant.name, entrant.best && '(best)'].filter(Boolean).join(' ')
    const { ours } = entrant
    return [{ name, value: median(values), low: Math.min(...values), high: Math.max(...values), ours }]
  })
  return bars({ title, unit, rows: entries.sort((a, b) => a.value - b.value) })
}

export const report = ({ machine, ws, limit, rows, runs }) => {
  const names = Object.keys(scenarios).filter(name => runs.some(run => run.name === name))
  const resultsOf = (name, at) => runs.filter(run => run.name === name).map(({ results }) => results[at])
  const matrix = cell =>
    table(
      ['', ...names],
      rows.map((entrant, at) => [titleOf(entrant), ...names.map(name => cell(resultsOf(name, at)))]),
    )
  const repeated = repetitions(rows, names, resultsOf)
  const counts = names.map(name => resultsOf(name, 0).length)
  const late = spread(runs.map(run => Math.round(run.late)))
  const text = `# Outages

Client and server send each other a numbered message every 5 ms, with a latency of 20 ms in each direction, through a TCP proxy that simulates
faults. The streams continue during the outage and for one second after it. Messages that arrive within three more seconds are counted. A plain
server sends messages only to open connections, and a server that is down sends nothing. Numbers are median (minimum–maximum) of
${Math.min(...counts)} runs. This package is in bold. "Best" means the library's best options, see \`peers.mjs\` and \`entrants.mjs\`.

${machine} The \`WebSocket\` class is \`socket.mjs\`, which dispatches a browser's events, over ws ${ws}.
Only socket.io has its own. Server, proxy and all clients share a process, whose timers were at most ${late} ms late when the fault occurred.

Written by \`node test/bench/outage.mjs\`.

## All scenarios together

Reconnects: the number of scenarios in which the library reconnected in every run. Slowest: the largest of their median times. Lost without a
report: the sum, over all scenarios, of the median numbers of lost messages that the library did not report.

${table(
  ['', 'reconnects', 'slowest, s', 'lost without a report, client → server', 'server → client'],
  rows.map((entrant, at) => [titleOf(entrant), ...summaryOf(names, resultsOf, at)]),
)}

## Seconds from "server reachable again" to open

*Never*: not within ${limit / 1_000} s. *Stayed*: the old connection stayed open.

${matrix(backCell(limit))}

## Lost, client → server

*Reported*: the library reported which messages were lost or may have been lost: with an exception from \`send()\`, an event, or a failed
acknowledgement. If a cell has only a number, nothing was reported. For libraries that never reconnect, the messages of those ${limit / 1_000} s are counted.

${matrix(lostCell('up'))}

## Lost, server → client

*Reported*: the library reported that there is a gap, and where. The end of a connection does not count as a report.

${matrix(lostCell('down'))}

## Repeated or out of order

${repeated.length ? table(['', 'scenario', 'direction', 'repeated', 'out of order'], repeated) : 'No messages, in any run.'}
${repeated.length ? '\nAll others: no messages, in any run.\n' : ''}`

  const pick = (name, way) => at => resultsOf(name, at).map(result => result[way].lost)
  const times = name => at => {
    const backs = resultsOf(name, at).map(({ back }) => back)
    return backs.every(back => typeof back === 'number') ? backs.map(back => back / 1_000) : []
  }
  const pictures = {}
  if (names.includes('TCP reset')) {
    const title = 'Messages lost in a TCP reset, server → client'
    pictures['outage-reset.svg'] = chart(
      title,
      rows,
      'messages, of 200 per second',
      pick('TCP reset', 'down'),
    )
  }
  if (names.includes('restart, 10 s')) {
    const title = 'Time from "server reachable again" to open, after a restart of 10 s'
    pictures['outage-restart.svg'] = chart(title, rows, 'seconds', times('restart, 10 s'))
  }
  return { text, pictures }
}
