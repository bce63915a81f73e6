// The simulation of herd-simulation.mjs for millions of clients. Time is in whole milliseconds, with a linked list of clients for each. All
// clients share one policy, which must not have state.
import { ROUND_TRIP, seeded, WINDOW } from './herd-simulation.mjs'

const LOST = { code: 'CONNECTION_LOST' }
const REFUSED = { code: 'CONNECTION_REFUSED', close: { code: 1006, reason: '' } }

/** Returns the number of attempts in each window, and the time from the return of the server until 95 % of the clients are connected. */
export const simulateMany = ({ policy, clients, rate, down, code, seed = 1 }) => {
  const retry = policy(seeded(seed))
  const attempts = new Uint16Array(clients)
  const following = new Int32Array(clients)
  // The number of the first client in the list of each millisecond. Numbers begin at 1.
  const first = new Int32Array(down + 600_000)
  const counts = []

  const schedule = (client, now, cause) => {
    attempts[client - 1]++
    const delay = retry({ attempt: attempts[client - 1], cause, uptime: 0, elapsed: now })
    const time = Math.floor(now + delay)
    following[client - 1] = first[time]
    first[time] = client
  }

  const lost = { ...LOST, close: { code, reason: '' } }
  for (let client = 1; client <= clients; client++) schedule(client, 0, lost)
  let room = 0
  let back = 0
  let backAt95Percent
  for (let now = 0; back < clients && now < first.length; now++) {
    if (now % WINDOW === 0) {
      counts.push(0)
      room = (rate * WINDOW) / 1_000
    }
    let next
    for (let client = first[now]; client; client = next) {
      next = following[client - 1]
      counts[counts.length - 1]++
      if (now < down || room <= 0) schedule(client, now + ROUND_TRIP, REFUSED)
      else {
        room--
        if (++back >= clients * 0.95) backAt95Percent ??= now - down
      }
    }
  }
  return { counts, back: backAt95Percent }
}
