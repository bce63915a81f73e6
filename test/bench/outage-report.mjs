// The tables and pictures of outage.mjs.
import { bars } from './chart.mjs'
import { scenarios } from './outage-run.mjs'
import { table } from './report.mjs'
import { median, spread } from './tally.mjs'

const titleOf = ({ name, version, best, ours }) => {
  const words = [name, version, best && '(best)'].filter(Boolean).join(' ')
  return ours ? `**${words}**` : words
}

const seconds = ms => (ms / 1_000).toFixed(2)

/** When there was a connection again, in as many of the runs as there was. */
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

/** How many were lost, and of how many of them the library said so. */
const lostCell = way => results => {
  const streams = results.map(result => result[way])
  const lost = spread(streams.map(stream => stream.lost))
  const told = median(streams.map(stream => stream.told))
  if (!streams.some(stream => stream.told)) return lost
  return `${lost}, ${streams.every(stream => stream.told === stream.lost) ? 'all' : told} told`
}

const WAYS = { up: 'client → server', down: 'server → client' }

/** For a first look: in how many scenarios it comes back each time, how late at worst, and what it loses without a word. */
const summaryOf = (names, resultsOf, at) => {
  const all = names.map(name => resultsOf(name, at))
  const safe = all.filter(results => results.every(({ back }) => back !== 'never'))
  const backs = safe.map(results => results.map(({ back }) => back).filter(Number.isFinite))
  const medians = backs.filter(times => times.length).map(median)
  const silent = way =>
    all.reduce((sum, results) => sum + median(results.map(one => one[way].lost - one[way].told)), 0)
  return [
    safe.length === all.length ? 'all' : `${safe.length} of ${all.length}`,
    medians.length ? seconds(Math.max(...medians)) : '–',
    silent('up'),
    silent('down'),
  ]
}

const oddities = (rows, names, resultsOf) => {
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
  const odd = oddities(rows, names, resultsOf)
  const counts = names.map(name => resultsOf(name, 0).length)
  const late = spread(runs.map(run => Math.round(run.late)))
  const text = `# What an outage costs

A numbered stream, one message every 5 ms in both directions, 20 ms of latency each way, through a TCP proxy that breaks as told.
It goes on through the outage and for a second after; what arrives within three seconds more counts. A bare server says what it has to
say to the connection that is there, and to nobody if there is none; a server that is down says nothing. Median (least–most) of
${Math.min(...counts)} runs. Bold: ours. "Best": the library's own options at their best, see \`peers.mjs\` and \`entrants.mjs\`.

${machine} ws ${ws}, under a class with a browser's events (\`socket.mjs\`), as the \`WebSocket\` of all
but socket.io, which brings its own. Server, proxy and all clients share a process, which was ${late} ms late at worst when the fault came.

Written by \`node test/bench/outage.mjs\`.

## All scenarios together

Comes back: in every run of so many scenarios. Slowest: the largest of their medians. Lost in silence: the sum of the medians of what was lost
and the library did not speak of.

${table(
  ['', 'comes back', 'slowest, s', 'lost in silence, client → server', 'server → client'],
  rows.map((entrant, at) => [titleOf(entrant), ...summaryOf(names, resultsOf, at)]),
)}

## Seconds from "server reachable again" to open

*Never*: not within ${limit / 1_000} s. *Stayed*: the old connection went on.

${matrix(backCell(limit))}

## Lost, client → server

*Told*: the library said which ones are lost, or may be: by an exception from \`send()\`, an event, or a failed acknowledgement. Where there is
nothing more, it said nothing. Of those that never come back, what was sent in those ${limit / 1_000} s.

${matrix(lostCell('up'))}

## Lost, server → client

*Told*: the library said that there is a gap, and where. That a connection ended says neither.

${matrix(lostCell('down'))}

## Repeated or out of order

${odd.length ? table(['', 'scenario', 'direction', 'repeated', 'out of order'], odd) : 'Nothing, in no run.'}
${odd.length ? '\nAll others: nothing, in no run.\n' : ''}`

  const pick = (name, way) => at => resultsOf(name, at).map(result => result[way].lost)
  const times = name => at => {
    const backs = resultsOf(name, at).map(({ back }) => back)
    return backs.every(back => typeof back === 'number') ? backs.map(back => back / 1_000) : []
  }
  const pictures = {}
  if (names.includes('TCP reset')) {
    const title = 'Lost over a TCP reset, server → client'
    pictures['outage-reset.svg'] = chart(title, rows, 'messages of 200 a second', pick('TCP reset', 'down'))
  }
  if (names.includes('restart, 10 s')) {
    const title = 'From "server reachable again" to open, after a restart of 10 s'
    pictures['outage-restart.svg'] = chart(title, rows, 'seconds', times('restart, 10 s'))
  }
  return { text, pictures }
}
