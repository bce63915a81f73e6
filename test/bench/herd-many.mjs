// The fleet of herd-simulation.mjs for millions of clients: time in whole milliseconds, a list of clients for each of them, and one
// policy for all, which may remember nothing of its clients.
import { ROUND_TRIP, seeded, WINDOW } from './herd-simulation.mjs'

const LOST = { code: 'CONNECTION_LOST' }
const REFUSED = { code: 'CONNECTION_REFUSED', close: { code: 1006, reason: '' } }

/** Arrivals in each window, and when 95 % were back, in milliseconds after the server was. */
export const simulateMany = ({ policy, clients, rate, down, code, seed = 1 }) => {
  const retry = policy(seeded(seed))
  const attempts = new Uint16Array(clients)
  const following = new Int32Array(clients)
  // The first client of each millisecond, by its number from 1 on.
  const first = new Int32Array(down + 600_000)
  const counts = []

  const wait = (client, now, cause) => {
    attempts[client - 1]++
    const delay = retry({ attempt: attempts[client - 1], cause, uptime: 0, elapsed: now })
    const time = Math.floor(now + delay)
    following[client - 1] = first[time]
    first[time] = client
  }

  const lost = { ...LOST, close: { code, reason: '' } }
  for (let client = 1; client <= clients; client++) wait(client, 0, lost)
  let room = 0
  let back = 0
  let almost
  for (let now = 0; back < clients && now < first.length; now++) {
    if (now % WINDOW === 0) {
      counts.push(0)
      room = (rate * WINDOW) / 1_000
    }
    let next
    for (let client = first[now]; client; client = next) {
      next = following[client - 1]
      counts[counts.length - 1]++
      if (now < down || room <= 0) wait(client, now + ROUND_TRIP, REFUSED)
      else {
        room--
        if (++back >= clients * 0.95) almost ??= now - down
      }
    }
  }
  return { counts, back: almost }
}
