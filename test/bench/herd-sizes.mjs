// The default policy with different numbers of clients, and with different values of `spread`.
import { backoff } from '../../dist/index.js'
import { simulate, WINDOW, windows } from './herd-simulation.mjs'
import { table } from './report.mjs'

/** Connections that the server accepts per second. */
const RATE = 500

/** The number of runs by the number of clients. Simulations with more clients vary less, and take longer. */
const SIZES = new Map([
  [100, 50],
  [1_000, 10],
  [10_000, 3],
  [100_000, 1],
])

const LOSSES = {
  'crash, server down for 5 s': { code: 1006, down: 5_000 },
  'orderly restart (1012), server down for 0.5 s': { code: 1012, down: 500 },
}

const SPREADS = [1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 8_000, 10_000, 13_000]

const mean = values => values.reduce((sum, value) => sum + value, 0) / values.length

const quantile = (values, part) => values.toSorted((a, b) => a - b)[Math.ceil(values.length * part) - 1]

/** The mean of a measurement over runs with different seeds. */
const average = (scenario, count, measure) =>
  mean(Array.from({ length: count }, (_, run) => measure(simulate({ ...scenario, seed: run + 1 }))))

/** Seconds from the return of the server until 99 % of its clients have reconnected. */
const secondsBack = ({ down, opens, attempts }) =>
  (opens[Math.ceil(attempts.length * 0.99) - 1] - down) / 1_000

const busiest = ({ starts, attempts }) =>
  (Math.max(...windows(starts, 0, starts.at(-1) + 1)) / attempts.length) * 100

const seconds = value => value.toFixed(value < 10 ? 2 : 1)

const ours = options => random => backoff({ ...options, random })

/** One row for each number of clients: for a server with a fixed rate, and for one whose rate is proportional to the number of clients. */
const sizeRows = () =>
  Object.entries(LOSSES).flatMap(([loss, scenario]) =>
    [...SIZES].map(([clients, count]) => {
      const cells = [RATE, clients / 20].flatMap(rate => {
        const ideal = (clients * 0.99) / rate
        const fleet = { ...scenario, policy: ours(), clients, rate, patience: 2 * ideal * 1_000 + 60_000 }
        const back = average(fleet, count, secondsBack)
        return [seconds(ideal), seconds(back), (back / ideal).toFixed(2)]
      })
      return [loss, clients.toLocaleString('en'), ...cells]
    }),
  )

const spreadRows = () =>
  SPREADS.map(spread => {
    const policy = ours({ spread })
    const alone = simulate({ policy, code: 1012, down: 0, clients: 20_000 }).opens
    const fleet = clients => ({ policy, code: 1012, down: 500, rate: RATE, clients })
    const share = clients =>
      average(fleet(clients), SIZES.get(clients), secondsBack) / ((clients * 0.99) / RATE)
    return [
      spread.toLocaleString('en'),
      ...[0.5, 0.99].map(part => seconds(quantile(alone, part) / 1_000)),
      average(fleet(10_000), 3, busiest).toFixed(1),
      ...[100, 1_000, 10_000].map(clients => share(clients).toFixed(2)),
    ]
  })

/** The two sections of results/herd.md. */
export const sizesOfFleets = () => `## Fleets of other sizes

The default policy of steadysocket. The ideal is a server that is never idle: 99 % of the clients, divided by the connections that it accepts
in a second. A client does not know how many others there are. If 100 clients came back within 1.15 times their ideal of 0.2 s, so would
10,000, and each tenth of a second would bring more than 13 % of them. So the ratio is large where the server could accept the whole fleet
in less time than one client may wait. Means of ${[...SIZES.values()].join(', ')} runs, by size.

${table(
  [
    '',
    'clients',
    `${RATE} a second: ideal, s`,
    '99 % back, s',
    'ratio',
    'clients / 20 a second: ideal, s',
    '99 % back, s',
    'ratio',
  ],
  sizeRows(),
)}

## A shorter or longer spread

The option \`spread\` of \`backoff()\`, after an orderly restart (1012). One client alone finds the server at once. A fleet finds it after
0.5 s, and ${RATE} clients a second are accepted. The busiest ${WINDOW} ms of 10,000 clients are in percent of the fleet, the last three
columns are the ratio of the table above. With a median of 1.5 s, no spread of any form stays below 3.3 % in ${WINDOW} ms, because half of the
clients come back within fifteen such windows.

${table(
  [
    'spread, ms',
    'alone: median, s',
    'alone: 99 %, s',
    `10,000: busiest ${WINDOW} ms, %`,
    'ratio: 100',
    'ratio: 1,000',
    'ratio: 10,000',
  ],
  spreadRows(),
)}
`
