// One run of outage.mjs: each library has its own connection to the server, through a fault proxy that all share. Counts the messages that a fault
// affects.
import { startProxy } from './faults.mjs'
import { startServer } from './outage-server.mjs'
import { tally } from './tally.mjs'

/** The milliseconds between two messages in each direction. */
const PERIOD = 5

/** The latency in each direction, in milliseconds, so that messages are in flight when the connection breaks. */
const LATENCY = 20

/** The milliseconds for which all connections are open before the fault. */
const BEFORE = 1_000

/** The milliseconds for which the streams continue after a client has reconnected, and for which later messages are counted. */
const AFTER = 1_000
const DRAIN = 3_000

/** The milliseconds after which most clients have finished, so that the next run may begin. */
const SETTLED_AFTER = 5_000

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

/** The faults. Each function causes a fault, waits until it is over, and returns the time at which the server could be reached again. */
export const scenarios = {
  'TCP reset': ({ proxy }) => {
    proxy.reset()
    return performance.now()
  },
  'close 1001': ({ server }) => {
    server.close(1001)
    return performance.now()
  },
  'close 1000': ({ server }) => {
    server.close(1000)
    return performance.now()
  },
  ...Object.fromEntries(
    [500, 2_000, 10_000].map(down => [
      `restart, ${down / 1_000} s`,
      async stage => {
        const { proxy, server } = stage
        stage.server = undefined
        await proxy.listen(false)
        proxy.reset()
        await server.kill()
        const rest = sleep(down)
        const next = await stage.boot(server.port)
        await rest
        await proxy.listen(true)
        stage.server = next
        return performance.now()
      },
    ]),
  ),
  'black hole, 10 s': async ({ proxy }) => {
    proxy.hang(true)
    proxy.freeze()
    await sleep(10_000)
    proxy.hang(false)
    proxy.thaw()
    return performance.now()
  },
  // As when a NAT device has removed the connection from its table, or a phone has changed its network.
  'black hole, then reset': async ({ proxy }) => {
    proxy.hang(true)
    proxy.freeze()
    await sleep(10_000)
    proxy.hang(false)
    proxy.reset()
    proxy.thaw()
    return performance.now()
  },
}

/** One client and its two streams. The server stores its data here, too, so that it outlives the server. */
const createMember = entrant => {
  const member = {
    up: 0,
    down: 0,
    receivedByServer: [],
    receivedFromServer: [],
    reported: new Set(),
    /** The number of received messages at each time that the library reported a gap. */
    gaps: [],
    opened: undefined,
    lost: false,
    over: Infinity,
    onReceived: number => member.receivedByServer.push(number),
    sendToClient: undefined,
  }
  const hooks = {
    open: () => {
      member.wasOpen = true
      if (member.hasFault) member.opened ??= performance.now()
    },
    close: () => {
      if (member.hasFault) member.lost = true
    },
    message: data => member.receivedFromServer.push(Number(data)),
    reported: data => member.reported.add(Number(data)),
    gap: () => member.gaps.push(member.receivedFromServer.length),
  }
  member.connectTo = address => {
    member.handle = entrant.connect(address, hooks)
  }
  return member
}

/** Waits until all connections are open, at most for ten seconds. */
const allOpen = async members => {
  for (let waited = 0; waited < 10_000 && !members.every(({ wasOpen }) => wasOpen); waited += 10)
    await sleep(10)
}

/** Sends the messages that are due by the clock, independently of the number of timer events. */
const stream = (stage, list) => {
  let due = performance.now()
  const ticks = []
  const timer = setInterval(() => {
    const now = performance.now()
    ticks.push({ now, late: now - due })
    for (; due <= now; due += PERIOD) {
      for (const member of list) {
        if (now >= member.over) continue
        const number = member.up++
        try {
          member.handle.send(`${number}`)
        } catch {
          member.reported.add(number)
        }
        // A server that is down sends nothing.
        if (!stage.server) continue
        try {
          member.sendToClient?.(member.down)
        } catch {}
        member.down++
      }
    }
  }, PERIOD)
  return {
    stop: () => clearInterval(timer),
    /** The largest delay of a timer around this time, in milliseconds. The number of messages in flight increases with it. */
    lateness: time =>
      Math.max(...ticks.filter(({ now }) => Math.abs(now - time) < 400).map(({ late }) => late)),
  }
}

const countFaults = (
  { up, down, receivedByServer, receivedFromServer, reported, gaps, opened, lost },
  reachable,
) => {
  const fromServer = tally(down, receivedFromServer)
  // If a session is lost, the library reports where messages are missing, but not which ones.
  if (gaps.length) fromServer.reported = fromServer.lost
  return {
    back: opened === undefined ? (lost ? 'never' : 'stayed') : opened - reachable,
    up: tally(up, receivedByServer, reported),
    down: fromServer,
    // The messages that arrived although they were reported as lost, or possibly lost.
    falselyReported: receivedByServer.filter(number => reported.has(number)).length,
  }
}

/**
 * Runs a scenario with these libraries. `settled` resolves when the run needs little more processor time, and `results` when it has ended.
 */
export const startRun = (scenario, entrants, { limit, sessionLimits }) => {
  let resolveSettled
  const settled = new Promise(resolve => {
    resolveSettled = resolve
  })
  const run = async () => {
    const members = new Map(entrants.map((entrant, at) => [`${at}`, createMember(entrant)]))
    const list = [...members.values()]
    const stage = { boot: port => startServer(members, { port, sessionLimits }) }
    stage.server = await stage.boot()
    stage.proxy = await startProxy({ port: stage.server.port })
    stage.proxy.delay(LATENCY)
    const { port } = stage.proxy
    for (const [name, member] of members)
      member.connectTo((scheme, path) => `${scheme}://127.0.0.1:${port}${path}?name=${name}`)
    await allOpen(list)
    const streams = stream(stage, list)
    // A random time, so that the fault occurs between different messages in each run.
    await sleep(BEFORE + Math.random() * 50)
    for (const member of list) member.hasFault = true
    const faultAt = performance.now()
    const reachable = await scenarios[scenario](stage)

    const results = new Map()
    while (results.size < list.length) {
      await sleep(20)
      const now = performance.now()
      for (const member of list) {
        if (results.has(member)) continue
        // Neither closed nor opened again: the old connection stayed open.
        const stayed = !member.lost && member.opened === undefined && now > reachable + 2_000
        if (member.opened !== undefined && now > reachable)
          member.over = Math.min(member.over, Math.max(member.opened, reachable) + AFTER)
        else if (stayed) member.over = Math.min(member.over, now)
        else if (now > reachable + limit) member.over = Math.min(member.over, now)
        if (now > member.over + DRAIN) results.set(member, countFaults(member, reachable))
      }
      if (now > reachable + SETTLED_AFTER) resolveSettled()
    }
    resolveSettled()
    streams.stop()
    for (const { handle } of list) handle.close()
    await stage.server.kill()
    await stage.proxy.close()
    return { late: streams.lateness(faultAt), results: list.map(member => results.get(member)) }
  }
  return { settled, results: run() }
}
