// What a fleet of ours does to its server, on paper: no clients and no chance, but the share of the fleet that arrives at each
// moment. With ever more clients the simulation comes ever closer to it.
//
// While the server is away, a wait of up to m spreads whoever begins it evenly over m: the first over base, those after it over
// 2 base and so on up to max, as a client of any age begins its next wait when it is refused. So
//
//   at first      N * window / base              arrivals in a window (after a close with 1001, 1012 or 1013:
//                                                N * window * 2 / spread, thinning out in a straight line)
//   in the end    N * window / (max / 2)         for everybody comes once in each mean wait
import { ROUND_TRIP, WINDOW } from './herd-simulation.mjs'

/** In milliseconds: the waits are tens of times as long as it is fine. */
const STEP = 5

/** The share of the fleet that arrives in each window, with our own defaults, until all are back. */
export const onPaper = ({
  base = 1_900,
  max = 5_500,
  spread = 5_000,
  shared = false,
  down,
  rate,
  clients,
}) => {
  const steps = (down + 60_000) / STEP
  const longest = [shared ? spread : base, base * 2, max].map(wait => wait / STEP)
  // How much each kind of wait adds to what arrives in a step, as changes from one step to the next.
  const changes = longest.map(() => new Float64Array(steps + Math.max(...longest) + 10))
  const begin = (kind, share, at) => {
    changes[kind][at] += share / longest[kind]
    changes[kind][at + longest[kind]] -= share / longest[kind]
  }
  const first = step => (shared ? (2 / longest[0]) * Math.max(0, 1 - (step + 0.5) / longest[0]) : 0)
  if (!shared) begin(0, 1, 0)
  const flow = longest.map(() => 0)
  const perWindow = WINDOW / STEP
  const arrivals = []
  let back = 0
  let room = 0
  for (let step = 0; step < steps; step++) {
    if (step % perWindow === 0) {
      arrivals.push(0)
      room = (rate * WINDOW) / 1_000 / clients
    }
    for (const kind of flow.keys()) flow[kind] += changes[kind][step]
    const coming = flow.map((share, kind) => share + (kind ? 0 : first(step)))
    const total = coming.reduce((sum, share) => sum + share, 0)
    arrivals[arrivals.length - 1] += total
    const taken = step * STEP < down ? 0 : Math.min(room, total)
    room -= taken
    back += taken
    if (back > 0.999) break
    const refused = total > 0 ? 1 - taken / total : 0
    const next = step + Math.max(1, Math.round(ROUND_TRIP / STEP))
    for (const [kind, share] of coming.entries()) {
      if (share > 0) begin(Math.min(kind + 1, longest.length - 1), share * refused, next)
    }
  }
  return arrivals
}
