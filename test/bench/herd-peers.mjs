// Simulates many clients of each library that lose their server at the same time. Writes results/herd.md.
import { lines } from './chart.mjs'
import { simulateMany } from './herd-many.mjs'
import { calculateArrivals } from './herd-paper.mjs'
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

/** The longest simulated time in milliseconds: twelve times the minimum. */
const PATIENCE = 240_000

const mean = values => values.reduce((sum, value) => sum + value, 0) / values.length

/** The attempts in the busiest window, in percent of the clients: of all windows, and of those in which the server is reachable. */
const peaksOf = ({ down, starts }, clients) => {
  const end = (starts.at(-1) ?? 0) + 1
  const most = from => (Math.max(0, ...windows(starts, from, Math.max(end, from + 1))) / clients) * 100
  return { peak: most(0), later: most(down) }
}

const measure = (policy, scenario) => {
  // A policy without random numbers needs only one run.
  let isRandom = false
  const watchedPolicy = random =>
    policy(() => {
      isRandom = true
      return random()
    })
  const runs = []
  for (const seed of SEEDS) {
    if (seed > SEEDS[0] && !isRandom) break
    const run = simulate({
      policy: watchedPolicy,
      clients: CLIENTS,
      rate: RATE,
      ...scenario,
      seed,
      patience: PATIENCE,
    })
    const back = run.opens[Math.ceil(CLIENTS * 0.95) - 1]
    runs.push({
      ...peaksOf(run, CLIENTS),
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

/** The attempts in each window, in percent of the clients. */
const curve = (counts, share) => counts.map((count, i) => [(i * WINDOW) / 1_000, count * share * 100])

const arrivals = (policy, { clients, rate, down, code }, until) => {
  const { starts } = simulate({ policy, clients, rate, down, code, patience: until - down })
  return curve(windows(starts, 0, until), 1 / clients)
}

const MANY = 1_000_000

const measureMany = scenario => {
  const settings = { clients: MANY, rate: RATE * (MANY / CLIENTS), ...scenario }
  const { counts, back } = simulateMany({ policy: peerPolicies.steadysocket.byDefault, ...settings })
  const calculated = calculateArrivals({ ...settings, shared: scenario.code === 1012 })
  const share = (Math.max(...counts) / MANY) * 100
  const difference =
    Math.max(...counts.map((count, i) => Math.abs(count / MANY - (calculated[i] ?? 0)))) * 100
  const later = (Math.max(...counts.slice(scenario.down / WINDOW)) / MANY) * 100
  return {
    counts,
    calculated,
    peak: share,
    later,
    difference,
    calculatedPeak: Math.max(...calculated) * 100,
    back: back / 1_000,
  }
}

export const comparePeers = () => {
  const measured = entrants.map(one => ({
    ...one,
    results: Object.values(SCENARIOS).map(scenario => measure(one.policy, scenario)),
  }))
  const manyClients = Object.entries(SCENARIOS).map(([name, scenario]) => [name, measureMany(scenario)])

  // The best and the worst of the other libraries in the long outage, by the time until their clients are back, and by the peak. Libraries that
  // give up are left out.
  const field = measured.filter(({ name, results }) => !isOurs(name) && results[1].gaveUp < 0.05)
  const by = key =>
    field.toSorted((a, b) => a.results[1][key] - b.results[1][key] || a.results[1].later - b.results[1].later)
  const [soonest, worst] = [by('back')[0], by('back').at(-1)]
  const [lowestPeak] = by('peak')

  const pictures = {}
  for (const [i, [name, scenario]] of Object.entries(SCENARIOS).entries()) {
    const until = scenario.down + 30_000
    const settings = { clients: CLIENTS, rate: RATE, ...scenario }
    const shown = counts => counts.slice(0, until / WINDOW)
    const file = ['herd-crash-short', 'herd-crash-long', 'herd-restart'][i]
    // The calculated line would be identical.
    const ours = { name: 'ours, 1,000,000', points: curve(shown(manyClients[i][1].counts), 1 / MANY) }
    const theirs = ({ name, label, policy }) => ({
      name: `${name}${/best/.test(label) ? ' (best)' : ''}`,
      points: arrivals(policy, settings, until),
    })
    const axes = { x: 'seconds since the loss', y: `% of the clients in ${WINDOW} ms` }
    pictures[`${file}.svg`] = lines({
      title: `Connection attempts: ${name}`,
      ...axes,
      series: [ours, theirs(soonest), theirs(lowestPeak)],
    })
    if (i === 1) {
      pictures['herd-worst.svg'] = lines({
        title: `Connection attempts of the worst library: ${name}`,
        ...axes,
        series: [ours, theirs(worst)],
      })
    }
  }

  const heads = Object.keys(SCENARIOS).flatMap(name => [
    `${name}: peak %`,
    'server back: peak %',
    '95 % back, s',
  ])
  const text = `# The load of a server that restarts

A simulation in virtual time: ${CLIENTS.toLocaleString('en')} clients lose their server at the same time. When the server is back, it accepts ${RATE} connections per second and
refuses the others, so that at least ${(CLIENTS * 0.95) / RATE} s pass until 95 % of the clients are connected. Each library has its own policy, which \`peer-policies.test.ts\`
compares with the library itself. Peaks are the attempts in the busiest ${WINDOW} ms, in percent of the clients. The numbers are means of ${SEEDS.length} runs with a seeded
random generator, so they are the same on every machine.

Written by \`node test/bench/herd.mjs\`, Node ${process.versions.node}.

${table(
  ['', ...heads],
  measured.map(({ name, label, results }) => [
    isOurs(name) ? `**${label}**` : label,
    ...results.flatMap(cells),
  ]),
)}

## A million clients of this package

The server accepts ${(RATE * MANY) / CLIENTS} connections per second. The results are simulated and calculated (\`herd-paper.mjs\`). The last column is the largest difference
between the two in any ${WINDOW} ms.

${table(
  ['', 'peak %', 'calculated %', 'server back: peak %', '95 % back, s', 'difference, % of the clients'],
  manyClients.map(([name, one]) => [
    name,
    one.peak.toFixed(2),
    one.calculatedPeak.toFixed(2),
    one.later.toFixed(2),
    one.back.toFixed(1),
    one.difference.toFixed(2),
  ]),
)}

After an outage of 30 s, the best of the other libraries by the time until 95 % are back is ${soonest.label}, and by the peak
${lowestPeak.label}. The worst library that does not give up is ${worst.label}.

${sizesOfFleets()}`
  return { text, pictures }
}

export const writePeers = () => {
  const { text, pictures } = comparePeers()
  for (const [name, svg] of Object.entries(pictures)) save(name, svg)
  save('herd.md', text)
}
