// One run of outage.mjs: every entrant on its own connection through one fault proxy to one server, a fault, and what it cost.
import { startProxy } from './faults.mjs'
import { startServer } from './outage-server.mjs'
import { tally } from './tally.mjs'

/** A message each way in so many milliseconds. */
const PERIOD = 5

/** One way through the line: what is on it when it breaks is in flight. */
const LATENCY = 20

/** All have been open for so long when the fault comes. */
const BEFORE = 1_000

/** The streams go on for so long after a client is back, and what still arrives so long after that counts. */
const AFTER = 1_000
const DRAIN = 3_000

/** By then most are back and done, and the next run may begin. */
const CALM = 5_000

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

/** What can happen: `strike` does it, waits until it is over, and says when the server could be reached again. */
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
  // As when an address translator has forgotten the connection, or the phone has changed its network.
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

/** One client and its two streams. What the server knows of it is here too: it outlives the server. */
const createMember = entrant => {
  const member = {
    up: 0,
    down: 0,
    arrived: [],
    heard: [],
    told: new Set(),
    /** How far the stream was each time that the library said that some of it may be missing. */
    gaps: [],
    opened: undefined,
    lost: false,
    over: Infinity,
    hear: number => member.arrived.push(number),
    say: undefined,
  }
  const hooks = {
    open: () => {
      member.everOpen = true
      if (member.struck) member.opened ??= performance.now()
    },
    close: () => {
      if (member.struck) member.lost = true
    },
    message: data => member.heard.push(Number(data)),
    told: data => member.told.add(Number(data)),
    gap: () => member.gaps.push(member.heard.length),
  }
  member.enter = address => {
    member.handle = entrant.connect(address, hooks)
  }
  return member
}

/** Waits for all to be open; who is not within ten seconds will not be. */
const allOpen = async members => {
  for (let waited = 0; waited < 10_000 && !members.every(({ everOpen }) => everOpen); waited += 10)
    await sleep(10)
}

/** Sends what is due, by the clock and not by the number of ticks. */
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
          member.told.add(number)
        }
        // A server that is down has nothing to say.
        if (!stage.server) continue
        try {
          member.say?.(member.down)
        } catch {}
        member.down++
      }
    }
  }, PERIOD)
  return {
    stop: () => clearInterval(timer),
    /** How late the process was at worst, in milliseconds, about that time: what is in flight grows with it. */
    latest: time =>
      Math.max(...ticks.filter(({ now }) => Math.abs(now - time) < 400).map(({ late }) => late)),
  }
}

const verdict = ({ up, down, arrived, heard, told, gaps, opened, lost }, reachable) => {
  const fromServer = tally(down, heard)
  // A session that is lost takes an unknown part of the stream with it: the library says where, not what.
  if (gaps.length) fromServer.told = fromServer.lost
  return {
    back: opened === undefined ? (lost ? 'never' : 'stayed') : opened - reachable,
    up: tally(up, arrived, told),
    down: fromServer,
    // What was said to be lost, or to be perhaps, and arrived.
    spared: arrived.filter(number => told.has(number)).length,
  }
}

/**
 * Runs a scenario with these entrants. `settled` resolves when the machine has next to nothing more to do for it, `results` when
 * it is over.
 */
export const startRun = (scenario, entrants, { limit, sessionLimits }) => {
  let calm
  const settled = new Promise(resolve => {
    calm = resolve
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
      member.enter((scheme, path) => `${scheme}://127.0.0.1:${port}${path}?name=${name}`)
    await allOpen(list)
    const streams = stream(stage, list)
    // The streams are somewhere else in each run.
    await sleep(BEFORE + Math.random() * 50)
    for (const member of list) member.struck = true
    const struck = performance.now()
    const reachable = await scenarios[scenario](stage)

    const results = new Map()
    while (results.size < list.length) {
      await sleep(20)
      const now = performance.now()
      for (const member of list) {
        if (results.has(member)) continue
        // Not closed, and nothing opened: the connection that was there goes on.
        const stayed = !member.lost && member.opened === undefined && now > reachable + 2_000
        if (member.opened !== undefined && now > reachable)
          member.over = Math.min(member.over, Math.max(member.opened, reachable) + AFTER)
        else if (stayed) member.over = Math.min(member.over, now)
        else if (now > reachable + limit) member.over = Math.min(member.over, now)
        if (now > member.over + DRAIN) results.set(member, verdict(member, reachable))
      }
      if (now > reachable + CALM) calm()
    }
    calm()
    streams.stop()
    for (const { handle } of list) handle.close()
    await stage.server.kill()
    await stage.proxy.close()
    return { late: streams.latest(struck), results: list.map(member => results.get(member)) }
  }
  return { settled, results: run() }
}
