// The fleets of herd.mjs, each of one library: what its own policy does to a server that comes back. Writes results/herd.md.
import { lines } from './chart.mjs'
import { simulateMany } from './herd-many.mjs'
import { onPaper } from './herd-paper.mjs'
import { simulate, WINDOW, windows } from './herd-simulation.mjs'
import { sizesOfFleets } from './herd-sizes.mjs'
import { peerPolicies } from './peer-policies.mjs'
import { save, table } from './report.mjs'
import { version } from './versions.mjs'

const CLIENTS = 10_000
const RATE = 500
const SEEDS = [1, 2, 3]

const SCENARIOS = {
  'crash, back after 0.5 s': { code: 1006, down: 500 },
  'crash, back after 30 s': { code: 1006, down: 30_000 },
  'orderly restart (1012), back after 0.5 s': { code: 1012, down: 500 },
}

/** In milliseconds: twelve times as long as it has to take. */
const PATIENCE = 240_000

const mean = values => values.reduce((sum, value) => sum + value, 0) / values.length

/** The fullest window, in percent of the fleet: of all, and of those in which the server is there. */
const crowds = ({ down, starts }, clients) => {
  const end = (starts.at(-1) ?? 0) + 1
  const most = from => (Math.max(0, ...windows(starts, from, Math.max(end, from + 1))) / clients) * 100
  return { peak: most(0), later: most(down) }
}

const measure = (policy, scenario) => {
  // Without chance one run is like the other.
  let drawn = false
  const watched = random =>
    policy(() => {
      drawn = true
      return random()
    })
  const runs = []
  for (const seed of SEEDS) {
    if (seed > SEEDS[0] && !drawn) break
    const run = simulate({
      policy: watched,
      clients: CLIENTS,
      rate: RATE,
      ...scenario,
      seed,
      patience: PATIENCE,
    })
    const back = run.opens[Math.ceil(CLIENTS * 0.95) - 1]
    runs.push({
      ...crowds(run, CLIENTS),
      back: back && (back - run.down) / 1_000,
      gaveUp: run.gaveUp / CLIENTS,
    })
  }
  const over = name => mean(runs.map(run => run[name]))
  const late = runs.some(({ back }) => back === undefined)
  return {
    peak: over('peak'),
    later: over('later'),
    back: late ? Infinity : over('back'),
    gaveUp: over('gaveUp'),
  }
}

const percent = value => (value >= 99.95 ? '100' : value.toFixed(value < 10 ? 1 : 0))

const cells = ({ peak, later, back, gaveUp }) => [
  percent(peak),
  percent(later),
  back < Infinity
    ? back.toFixed(1)
    : gaveUp > 0.05
      ? `never: ${percent(gaveUp * 100)} % give up`
      : `not within ${PATIENCE / 1_000}`,
]

const isOurs = name => name === 'steadysocket'
const packageOf = name => (name === 'rxjs webSocket' ? 'rxjs' : name)

const entrants = Object.entries(peerPolicies).flatMap(([name, { byDefault, best }]) => {
  const label = name === 'native WebSocket' ? name : `${name} ${version(packageOf(name))}`
  return [
    { name, label, policy: byDefault },
    ...(best ? [{ name, label: `${label} (best)`, policy: best }] : []),
  ]
})

/** Arrivals in each window, in percent of the fleet. */
const curve = (counts, share) => counts.map((count, i) => [(i * WINDOW) / 1_000, count * share * 100])

const arrivals = (policy, { clients, rate, down, code }, until) => {
  const { starts } = simulate({ policy, clients, rate, down, code, patience: until - down })
  return curve(windows(starts, 0, until), 1 / clients)
}

const MILLION = 1_000_000

const million = scenario => {
  const many = { clients: MILLION, rate: RATE * (MILLION / CLIENTS), ...scenario }
  const { counts, back } = simulateMany({ policy: peerPolicies.steadysocket.byDefault, ...many })
  const paper = onPaper({ ...many, shared: scenario.code === 1012 })
  const share = (Math.max(...counts) / MILLION) * 100
  const apart = Math.max(...counts.map((count, i) => Math.abs(count / MILLION - (paper[i] ?? 0)))) * 100
  const later = (Math.max(...counts.slice(scenario.down / WINDOW)) / MILLION) * 100
  return { counts, paper, peak: share, later, apart, paperPeak: Math.max(...paper) * 100, back: back / 1_000 }
}

export const comparePeers = () => {
  const found = entrants.map(one => ({
    ...one,
    results: Object.values(SCENARIOS).map(scenario => measure(one.policy, scenario)),
  }))
  const big = Object.entries(SCENARIOS).map(([name, scenario]) => [name, million(scenario)])

  // The best and the worst in the long outage, by how soon its clients are back and by how they come; who gives up has no herd.
  const field = found.filter(({ name, results }) => !isOurs(name) && results[1].gaveUp < 0.05)
  const by = key =>
    field.toSorted((a, b) => a.results[1][key] - b.results[1][key] || a.results[1].later - b.results[1].later)
  const [soonest, worst] = [by('back')[0], by('back').at(-1)]
  const [gentlest] = by('peak')

  const pictures = {}
  for (const [i, [name, scenario]] of Object.entries(SCENARIOS).entries()) {
    const until = scenario.down + 30_000
    const few = { clients: CLIENTS, rate: RATE, ...scenario }
    const shown = counts => counts.slice(0, until / WINDOW)
    const file = ['herd-crash-short', 'herd-crash-long', 'herd-restart'][i]
    // On paper it is the same line.
    const ours = { name: 'ours, 1,000,000', points: curve(shown(big[i][1].counts), 1 / MILLION) }
    const theirs = ({ name, label, policy }) => ({
      name: `${name}${/best/.test(label) ? ' (best)' : ''}`,
      points: arrivals(policy, few, until),
    })
    const axes = { x: 'seconds since the loss', y: `% of the fleet in ${WINDOW} ms` }
    pictures[`${file}.svg`] = lines({
      title: `Attempts to connect: ${name}`,
      ...axes,
      series: [ours, theirs(soonest), theirs(gentlest)],
    })
    if (i === 1) {
      pictures['herd-worst.svg'] = lines({
        title: `The worst beside ours: ${name}`,
        ...axes,
        series: [ours, theirs(worst)],
      })
    }
  }

  const heads = Object.keys(SCENARIOS).flatMap(name => [
    `${name}: peak %`,
    'once back: peak %',
    '95 % back, s',
  ])
  const text = `# What a fleet does to a server that comes back

${CLIENTS.toLocaleString('en')} clients lose their server at once, in virtual time; it takes ${RATE} a second from when it is back and refuses the rest, so that
${(CLIENTS * 0.95) / RATE} s is the least for 95 %. Each library's own policy, which \`peer-policies.test.ts\` holds against the library itself. Peaks: attempts in
the fullest ${WINDOW} ms, in percent of the fleet. Means of ${SEEDS.length} runs with a seeded generator: the numbers are the same on every machine.

Written by \`node test/bench/herd.mjs\`, Node ${process.versions.node}.

${table(
  ['', ...heads],
  found.map(({ name, label, results }) => [isOurs(name) ? `**${label}**` : label, ...results.flatMap(cells)]),
)}

## A million of ours

With ${(RATE * MILLION) / CLIENTS} a second, simulated and on paper (\`herd-paper.mjs\`): the largest difference in any ${WINDOW} ms is the last column.

${table(
  ['', 'peak %', 'on paper %', 'once back %', '95 % back, s', 'apart, % of the fleet'],
  big.map(([name, one]) => [
    name,
    one.peak.toFixed(2),
    one.paperPeak.toFixed(2),
    one.later.toFixed(2),
    one.back.toFixed(1),
    one.apart.toFixed(2),
  ]),
)}

Best peer after 30 s, by the time until 95 % are back: ${soonest.label}; by the peak: ${gentlest.label}. Worst of those that do not give up:
${worst.label}.

${sizesOfFleets()}`
  return { text, pictures }
}

export const writePeers = () => {
  const { text, pictures } = comparePeers()
  for (const [name, svg] of Object.entries(pictures)) save(name, svg)
  save('herd.md', text)
}
