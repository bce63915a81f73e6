// A calculation of the load that clients of this package cause, without randomness: the fraction of the clients that arrives at each moment.
// The more clients there are, the closer the simulation is to this result.
//
// While the server is down, a delay with full jitter of up to m spreads clients evenly over m: the first delay over base, the following ones over
// 2 * base and so on up to max. A client begins its next delay when it is refused. So the attempts in a window are:
//
//   at first      N * window / base              (after a close with 1001, 1012 or 1013: N * window * 2 / spread, decreasing
//                                                linearly)
//   in the end    N * window / (max / 2)         because each client makes one attempt per mean delay
import { ROUND_TRIP, WINDOW } from './herd-simulation.mjs'

/** The step of the calculation in milliseconds, which is much shorter than all delays. */
const STEP = 5

/** Returns the fraction of the clients that arrives in each window, until all have reconnected. The defaults are those of `backoff()`. */
export const calculateArrivals = ({
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
  // The fraction that each kind of delay adds to the arrivals of a step, as a change from the step before.
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
