// Simulates, in virtual time, many clients that lose their server at the same time.

/** The period in milliseconds over which the server limits connections, and over which attempts are counted. */
export const WINDOW = 100

/** The milliseconds from the start of an attempt until it is accepted or refused. */
export const ROUND_TRIP = 5

/** The default of `connectTimeout`, and the value up to which it doubles. */
const CONNECT_TIMEOUT = 10_000
const MAX_CONNECT_TIMEOUT = 60_000

/** A random number generator with a seed (mulberry32), so that results can be reproduced. */
export const seeded = seed => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let mixed = Math.imul(seed ^ (seed >>> 15), seed | 1)
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
}

/** A queue of jobs by time, as a binary heap. Jobs with the same time keep the order in which they were added. */
const createSchedule = () => {
  const heap = []
  let added = 0
  const before = (a, b) => a.time < b.time || (a.time === b.time && a.order < b.order)
  return {
    add(time, job, client, serial) {
      const entry = { time, order: added++, job, client, serial }
      let at = heap.length
      while (at > 0) {
        const parent = (at - 1) >> 1
        if (!before(entry, heap[parent])) break
        heap[at] = heap[parent]
        at = parent
      }
      heap[at] = entry
    },
    next() {
      const first = heap[0]
      const last = heap.pop()
      let at = 0
      while (heap.length > 2 * at + 1) {
        let child = 2 * at + 1
        if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child++
        if (!before(heap[child], last)) break
        heap[at] = heap[child]
        at = child
      }
      if (heap.length) heap[at] = last
      return first
    },
  }
}

/**
 * Chromium delays attempts after failures. It counts the failures of the current and the previous period of two minutes, of all pages of a process
 * together. Here, the process has one page, which has not succeeded in these periods.
 */
// https://source.chromium.org/chromium/chromium/src/+/main:services/network/websocket_throttler.cc
const createThrottle = random => {
  let period = 0
  let failed = [0, 0]
  return now => {
    for (; period < Math.floor(now / 120_000); period++) failed = [failed[1], 0]
    const delay = ((1_000 + random() * 4_000) * 2 ** Math.min(1 + failed[0] + failed[1], 16)) / 2 ** 16
    // The attempt counts as failed. If it succeeds, this function is not called again.
    failed[1]++
    return delay
  }
}

const noThrottle = () => 0

/**
 * Closes the connections of all clients at once with the close code `code`. The server is down for `down` milliseconds, and then accepts `rate`
 * connections per second. It refuses the others at once, or, with `queue`, lets them wait until the client's connect timeout.
 */
export const simulate = ({
  policy,
  clients = 10_000,
  code = 1006,
  down = 5_000,
  rate = Infinity,
  queue = false,
  chromium = false,
  seed = 1,
  patience = 600_000,
}) => {
  const random = seeded(seed)
  const schedule = createSchedule()
  const allClients = Array.from({ length: clients }, () => ({
    retry: policy(random),
    throttle: chromium ? createThrottle(random) : noThrottle,
    failures: 0,
    // Increases when an attempt has succeeded or failed, so that jobs that were scheduled for it are ignored.
    serial: 0,
    timeout: CONNECT_TIMEOUT,
  }))
  const starts = []
  const opens = []
  let gaveUp = 0

  const LOST = { code: 'CONNECTION_LOST', close: { code, reason: '' } }
  const REFUSED = { code: 'CONNECTION_REFUSED', close: { code: 1006, reason: '' } }
  const LATE = { code: 'CONNECT_TIMEOUT', close: undefined }

  const lose = (now, client, cause, uptime = 0) => {
    client.serial++
    client.failures++
    const delay = client.retry({ attempt: client.failures, cause, uptime, elapsed: now })
    if (delay === false) gaveUp++
    else schedule.add(now + delay, dial, client, client.serial)
  }
  const dial = (now, client, serial) => {
    schedule.add(now + client.throttle(now), arrive, client, serial)
    schedule.add(now + client.timeout, expire, client, serial)
  }
  const expire = (now, client, serial) => {
    if (client.serial !== serial) return
    client.timeout = Math.min(client.timeout * 2, MAX_CONNECT_TIMEOUT)
    lose(now, client, LATE)
  }
  const refuse = (now, client, serial) => {
    if (client.serial === serial) lose(now, client, REFUSED)
  }
  const open = now => opens.push(now)

  let room = rate === Infinity ? Infinity : 0
  let waiting = []
  const take = (now, client) => {
    room--
    client.serial++
    schedule.add(now + ROUND_TRIP, open)
  }
  const arrive = (now, client, serial) => {
    if (client.serial !== serial) return
    starts.push(now)
    if (now >= down && room > 0) take(now, client)
    else if (now >= down && queue) waiting.push({ client, serial })
    else schedule.add(now + ROUND_TRIP, refuse, client, serial)
  }
  const serve = now => {
    room = Math.min(room, 0) + (rate * WINDOW) / 1_000
    let served = 0
    for (; room > 0 && served < waiting.length; served++) {
      const { client, serial } = waiting[served]
      if (client.serial === serial) take(now, client)
    }
    waiting = waiting.slice(served)
    schedule.add(now + WINDOW, serve)
  }

  if (rate < Infinity) schedule.add(down, serve)
  for (const client of allClients) lose(0, client, LOST, 3_600_000)
  while (opens.length + gaveUp < clients) {
    const { time, job, client, serial } = schedule.next()
    // Clients that retry in lockstep may need an hour. Ten minutes are enough to show that.
    if (time > down + patience) break
    job(time, client, serial)
  }
  return { down, starts, opens, gaveUp, attempts: allClients.map(({ failures }) => failures) }
}

/** Counts how many of `times` are in each window, from `from` up to but not including `to`. */
export const windows = (times, from, to) => {
  const counts = new Array(Math.ceil((to - from) / WINDOW)).fill(0)
  for (const time of times) if (time >= from && time < to) counts[Math.floor((time - from) / WINDOW)]++
  return counts
}
