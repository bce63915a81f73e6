// Replacing a connection while it is open: after a wake-up with a dead, a silent and a busy connection, by `handover()`, and in a rolling restart.
import { once } from 'node:events'
import net from 'node:net'
import { afterAll, expect, test } from 'vitest'
import { startServer, type TestServer } from '../interop/ws.ts'
import { type Connection, startProxy } from '../support/proxy.ts'
import { byEffort } from '../support/run.ts'
import {
  arrivals,
  compareDelivery,
  complete,
  type Flow,
  type FlowOptions,
  type FlowRecord,
  measureRoundTrips,
  numberIn,
  startFlow,
  takeRecord,
} from './flow.ts'
import { inEveryEngine, patience, type Rig } from './rig.ts'

declare const flow: Flow
declare const flows: Flow[]
declare const roundTrips: { slowest: number; since: number }

/** The delay in each direction, in milliseconds. */
const DELAY = 20
/** 200 messages per second. */
const PERIOD = 5
/** If a round trip without a delay takes this many milliseconds, the machine was busy. */
const SLOW = 10
/** The jitter after a wake-up, 300 ms, in ticks of the page. */
const JITTER = 30
/** A second, in ticks of the page. */
const SECOND = 100

const HANDOVER = { cause: 'HANDOVER', willRetry: true }

const summary = (values: readonly number[]) => {
  const sorted = [...values].sort((a, b) => a - b)
  return [0, 0.5, 0.99, 1].map(q => Math.round(sorted[Math.floor((sorted.length - 1) * q)] ?? 0)).join(' · ')
}

/** Pushes `push 0`, `push 1` and so on to all connections of some servers. */
function startPushing(servers: readonly TestServer[], period: number) {
  let next = 0
  const push = () => {
    for (const server of servers) server.push(`push ${next}`)
    next++
  }
  const timer = setInterval(push, period)
  return {
    stop: () => clearInterval(timer),
    /** Stops, and pushes one last message. Returns its number. */
    last() {
      clearInterval(timer)
      push()
      return next - 1
    },
  }
}

/**
 * Starts a load balancer. It forwards connections to the nodes in turn, except to nodes that are about to be restarted.
 */
async function startBalancer(nodes: readonly TestServer[]) {
  const restarting = new Set<TestServer>()
  let turn = 0
  const next = () => {
    let node: TestServer
    do node = nodes[turn++ % nodes.length] as TestServer
    while (restarting.has(node))
    return node
  }
  const listener = net.createServer({ allowHalfOpen: true }, client => {
    const server = net.connect({ port: next().port, host: '127.0.0.1', allowHalfOpen: true })
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      from.setNoDelay(true)
      from.on('error', () => to.destroy())
      from.pipe(to)
    }
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  return {
    url: `ws://127.0.0.1:${(listener.address() as net.AddressInfo).port}/sink`,
    restarting,
    close: () => void listener.close(),
  }
}

/** Returns an array to which the numbers of messages are added as the servers receive them. */
function collectNumbers(servers: readonly TestServer[]) {
  const numbers: number[] = []
  for (const server of servers) {
    let seen = 0
    void server.until(() => {
      numbers.push(...server.received.slice(seen).map(({ data }) => numberIn(data)))
      seen = server.received.length
      return false
    })
  }
  return numbers
}

/** Opens a page with an open socket, which is connected through a proxy. */
async function start(rig: Rig, path: string, options: FlowOptions = {}) {
  const server = rig.keep(await startServer())
  const proxy = rig.keep(await startProxy({ port: server.port }))
  proxy.delay(DELAY)
  const page = await rig.open()
  await page.evaluate(startFlow, proxy.url(path), options)
  return { server, proxy, page }
}

inEveryEngine(rig => {
  const rows: string[] = []

  const frozen = byEffort(2, 6, 200)
  test(`each of ${frozen} dead connections is replaced after the wake-up, and messages sent in that second arrive`, {
    timeout: patience + frozen * 5_000,
  }, async () => {
    const { server, proxy, page } = await start(rig, '/sink')
    const times: number[] = []
    for (let round = 0; round < frozen; round++) {
      const old = proxy.connections.at(-1) as Connection
      const oldPeer = server.clients.at(-1)
      old.freeze()
      const { results, made, attempted, handshake, takenOver, total } = await page.evaluate(async () => {
        const { opened, tick } = flow
        const { length } = flow.natives
        let replaced = 0
        void flow
          .until(() => flow.opened > opened)
          .then(() => {
            replaced = flow.tick
          })
        flow.wake()
        const results: string[] = []
        for (let i = 0; i < 5; i++) {
          results.push(flow.send())
          await flow.pause(200)
        }
        await flow.until(() => replaced > 0)
        // The package reads the old connection for a moment, and then closes it.
        await flow.until(() => flow.natives[length - 1]?.closeCalled !== undefined)
        const second = flow.natives[length] as { made: number; opened: number }
        return {
          results,
          made: flow.natives.length - length,
          attempted: second.made - tick,
          handshake: second.opened - second.made,
          takenOver: replaced - second.opened,
          total: replaced - tick,
        }
      })
      // Half of the connections thaw, and bring a message. The others are reset.
      if (round % 2) {
        oldPeer?.send(`push ${round}`)
        old.thaw()
      } else old.reset()
      await old.closed
      const record = await takeRecord(page)
      await server.until(() => server.received.length >= 5)
      expect(compareDelivery(record.from, record.to, arrivals(server))).toEqual(complete)
      expect(results[0]).toBe('queued')
      expect(record.opens).toEqual(round ? [{ seamless: false }] : [expect.anything(), { seamless: false }])
      expect(record.closes).toEqual([{ code: 1006, ...HANDOVER }])
      expect([record.errors, record.drops, record.pushes]).toEqual([[], 0, []])
      expect(made).toBe(1)
      expect(attempted).toBeLessThanOrEqual(JITTER + 10)
      expect(takenOver).toBeLessThanOrEqual(2)
      expect(total - handshake).toBeLessThanOrEqual(SECOND)
      times.push(total * 10)
      server.clear()
    }
    rows.push(
      `wake on a dead connection: ${frozen} × 5 messages, none lost; replaced after ${summary(times)} ms`,
    )
  })

  const silent = byEffort(4, 15, 1_000)
  test(`${silent} wake-ups on a healthy, silent connection lose, duplicate and reorder nothing`, {
    timeout: patience + silent * 5_000,
  }, async () => {
    const { server, page } = await start(rig, '/echo')
    let replaced = 0
    for (let round = 0; round < silent; round++) {
      // In half of the rounds, an echo is in flight at the wake-up.
      const isInFlight = round % 2 === 1
      await page.evaluate(async (isInFlight: boolean) => {
        const { opened } = flow
        if (isInFlight) flow.send()
        flow.wake()
        for (let i = 0; i < 4; i++) {
          flow.send()
          await flow.pause(Math.random() * 150)
        }
        if (!isInFlight) await flow.until(() => flow.opened > opened)
        await flow.echoed()
        // One of the two connections is closed.
        await flow.until(
          () => flow.natives.filter(({ closeCalled }) => closeCalled === undefined).length === 1,
        )
      }, isInFlight)
      const record = await takeRecord(page)
      expect(compareDelivery(record.from, record.to, arrivals(server))).toEqual(complete)
      expect(compareDelivery(record.from, record.to, record.echoes)).toEqual(complete)
      const opens = record.opens.slice(round ? 0 : 1)
      if (!isInFlight) expect(opens).toEqual([{ seamless: false }])
      expect(record.closes).toEqual(opens.map(() => ({ code: 1006, ...HANDOVER })))
      expect([record.errors, record.drops]).toEqual([[], 0])
      replaced += opens.length
      server.clear()
    }
    rows.push(
      `wake on a silent connection: ${silent}, replaced ${replaced}, nothing lost, doubled or reordered`,
    )
  })

  test(`with the option id, ${silent} wake-ups on a mostly silent connection lose and duplicate nothing of a server that sends to all connections`, {
    timeout: patience + silent * 5_000,
  }, async () => {
    const { server, page } = await start(rig, '/sink', { id: true })
    const pushing = rig.keep(startPushing([server], 150))
    await page.evaluate(async (rounds: number) => {
      for (let round = 0; round < rounds; round++) {
        flow.wake()
        flow.send()
        await flow.pause(100 + Math.random() * 300)
      }
      await flow.pause(300)
      await flow.until(() => flow.socket.queued === 0)
    }, silent)
    const last = pushing.last()
    await page.evaluate((last: number) => flow.pushed(last), last)
    const record = await takeRecord(page)
    await server.until(() => server.received.length >= silent)
    expect(compareDelivery(0, silent, arrivals(server))).toEqual(complete)
    expect(compareDelivery(record.pushes[0] as number, last + 1, record.pushes)).toEqual(complete)
    expect(record.closes).toEqual(record.closes.map(() => ({ code: 1006, ...HANDOVER })))
    expect([record.errors, record.drops]).toEqual([[], 0])
    rows.push(
      `wake on one with a message every 150 ms: ${silent}, replaced ${record.closes.length}, nothing lost or doubled`,
    )
  })

  const busy = byEffort(10, 30, 1_000)
  test(`${busy} wake-ups on a busy connection open no second connection that outlives the next message, and lose nothing`, {
    timeout: patience + busy * 2_000,
  }, async () => {
    const { server, page } = await start(rig, '/sink')
    const pushing = rig.keep(startPushing([server], PERIOD))
    const made = await page.evaluate(async (rounds: number) => {
      await flow.until(() => flow.natives.length === 1)
      const { random } = Math
      for (let round = 0; round < rounds; round++) {
        // In every other round there is no jitter, so the second connection is opened at once.
        if (round % 2) Math.random = () => 0
        flow.wake()
        Math.random = random
        flow.send()
        await flow.pause(50)
        await flow.until(() => flow.socket.queued === 0)
      }
      return flow.natives.length - 1
    }, busy)
    const last = pushing.last()
    await page.evaluate((last: number) => flow.pushed(last), last)
    const record = await takeRecord(page)
    await server.until(() => server.received.length >= busy)
    expect(compareDelivery(0, busy, arrivals(server))).toEqual(complete)
    expect(compareDelivery(record.pushes[0] as number, last + 1, record.pushes)).toEqual(complete)
    expect(record.opens.length).toBe(1)
    expect([record.closes, record.errors, record.drops, record.additional]).toEqual([[], [], 0, 0])
    rows.push(`wake on a busy connection: ${busy}, opened and dropped at once ${made}, nothing lost`)
  })

  const rotations = byEffort(5, 15, 1_000)

  /** Checks the events of handovers, which do not depend on what the server sends. */
  function expectSeamless({ opens, closes, errors, drops }: FlowRecord, times: number) {
    expect(opens).toEqual(Array.from({ length: times }, () => ({ seamless: true })))
    expect(closes).toEqual(Array.from({ length: times }, () => ({ code: 1000, ...HANDOVER })))
    expect([errors, drops]).toEqual([[], 0])
  }

  test(`with the option id, ${rotations} handovers at 200 messages per second each way lose, duplicate and reorder nothing of a server that sends to all connections`, {
    timeout: patience + rotations * 2_000,
  }, async () => {
    const { server, page } = await start(rig, '/sink', { id: true })
    await takeRecord(page)
    const pushing = rig.keep(startPushing([server], PERIOD))
    await page.evaluate(
      async (times: number, period: number) => {
        flow.stream(period)
        for (let i = 0; i < times; i++) await flow.rotate(100 + Math.random() * 200)
        flow.stop()
        await flow.until(() => flow.socket.queued === 0)
      },
      rotations,
      PERIOD,
    )
    const last = pushing.last()
    await page.evaluate((last: number) => flow.pushed(last), last)
    const record = await takeRecord(page)
    await server.until(() => server.received.length >= record.to)
    expectSeamless(record, rotations)
    expect(compareDelivery(0, record.to, arrivals(server))).toEqual(complete)
    expect(compareDelivery(0, last + 1, record.pushes)).toEqual(complete)
    rows.push(
      `rotation, server sends to all: ${rotations}, of ${last + 1} down and ${record.to} up nothing lost, doubled or reordered; longest silence ${summary(record.silences)} ms`,
    )
  })

  test(`${rotations} handovers at 200 messages per second each way lose, duplicate and reorder nothing of a server that answers on the same connection`, {
    timeout: patience + rotations * 5_000,
  }, async () => {
    const { server, page } = await start(rig, '/echo')
    const elsewhere = rig.keep(await startServer())
    await page.evaluate(measureRoundTrips, `${elsewhere.url}/echo`)
    await takeRecord(page)
    const silences: number[] = []
    let count = 0
    let repeated = 0
    while (silences.length < rotations) {
      const slowest = await page.evaluate(async (period: number) => {
        flow.stream(period)
        await flow.pause(100)
        const { opened } = flow
        roundTrips.slowest = 0
        const rotated = flow.rotate(100 + Math.random() * 100)
        await flow.until(() => flow.opened > opened)
        const slowest = Math.max(roundTrips.slowest, performance.now() - roundTrips.since)
        await rotated
        flow.stop()
        await flow.until(() => flow.socket.queued === 0)
        // Replies that were discarded never arrive. All others arrive before the last one.
        flow.send()
        await flow.echoed()
        return slowest
      }, PERIOD)
      const record = await takeRecord(page)
      expectSeamless(record, 1)
      expect(compareDelivery(record.from, record.to, arrivals(server))).toEqual(complete)
      server.clear()
      const down = compareDelivery(record.from, record.to, record.echoes)
      // A busy machine can delay a reply for longer than the package waits. The native socket shows it, and the round is repeated.
      if (down.lost.length && slowest >= SLOW) {
        repeated++
        continue
      }
      expect(down).toEqual(complete)
      silences.push(...record.silences)
      count += record.to - record.from
    }
    rows.push(
      `rotation, server answers: ${rotations}, of ${count} echoes nothing lost, doubled or reordered; ${repeated} not counted; longest silence ${summary(silences)} ms`,
    )
  })

  const restarts = byEffort(1, 2, 10)
  test(`no page sees an interruption when three nodes are restarted in turn and announce it, ${restarts} times`, {
    timeout: patience + restarts * 30_000,
  }, async () => {
    const nodes = await Promise.all([1, 2, 3].map(async () => rig.keep(await startServer())))
    const balancer = rig.keep(await startBalancer(nodes))
    const received = collectNumbers(nodes)
    const page = await rig.open()
    const sockets = 6
    const base = 1e6
    for (let i = 0; i < sockets; i++) {
      await page.evaluate(startFlow, balancer.url, { from: i * base, id: true, when: 'leaving' })
    }
    const pushing = rig.keep(startPushing(nodes, 20))
    await page.evaluate(() => {
      for (const flow of flows) flow.stream(20)
    })
    for (let i = 0; i < restarts * nodes.length; i++) {
      const node = nodes[i % nodes.length] as TestServer
      balancer.restarting.add(node)
      node.push('leaving')
      await node.until(() => node.clients.length === 0)
      await node.restart()
      balancer.restarting.delete(node)
    }
    await page.evaluate(() => {
      for (const flow of flows) flow.stop()
      return Promise.all(flows.map(({ until, socket }) => until(() => socket.queued === 0)))
    })
    const last = pushing.last()
    await page.evaluate((last: number) => Promise.all(flows.map(flow => flow.pushed(last))), last)
    const records = await page.evaluate(() => flows.map(flow => flow.takeRecord()))
    const all: FlowRecord[] = records.map(record => JSON.parse(record))
    const sent = all.reduce((sum, { from, to }) => sum + to - from, 0)
    await nodes[0]?.until(() => received.length >= sent)
    let moves = 0
    for (const [i, record] of all.entries()) {
      const times = record.closes.length
      expectSeamless({ ...record, opens: record.opens.slice(1) }, times)
      const own = received.filter(number => Math.floor(number / base) === i)
      expect(compareDelivery(record.from, record.to, own)).toEqual(complete)
      expect(compareDelivery(record.pushes[0] as number, last + 1, record.pushes)).toEqual(complete)
      moves += times
    }
    expect(moves).toBeGreaterThanOrEqual(sockets)
    rows.push(
      `rolling restart: ${restarts} × 3 nodes, ${sockets} sockets moved ${moves} times, each seamless; of ${sent} up and ${sockets} × ${last + 1} down nothing lost, doubled or reordered`,
    )
  })

  afterAll(() => {
    if (rows.length) console.log(`${rig.name} ${rig.engine.version}\n${rows.join('\n')}`)
  })
})
