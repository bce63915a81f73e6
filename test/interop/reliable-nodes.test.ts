// Exactly-once delivery in order, over real TCP with all kinds of faults, while the nodes are killed.
//
// A message of a client counts as delivered when its effects have arrived. The handler of a killed node may run again on another node, but the messages that
// it sends and publishes are stored together with the mark that the message was handled.
// So every number must be published to the auditor and replied to the client once, in order. What is sent from outside of a
// handler is exact where its promise resolves: the pusher is a process that is not killed, so that all of its promises do.
import { afterAll, describe, expect, test } from 'vitest'
import { backoff } from '../../src/index.ts'
import type { Gap, Outcome, SentMessage } from '../../src/reliable.ts'
import { cleanUp, cleanup } from '../support/cleanup.ts'
import { createRandom } from '../support/random.ts'
import { effort } from '../support/run.ts'
import { hasRedis } from './redis.ts'
import { type Plan, startChaos } from './reliable-chaos.ts'
import { type Cluster, type Node, startCluster } from './reliable-cluster.ts'
import type { Word } from './reliable-node.ts'
import { createAccount, createTalker, type Talker } from './reliable-traffic.ts'

const { SEED } = process.env
const SOAK = effort === 'soak'
const seed = Number(SEED ?? (SOAK ? Math.floor(Math.random() * 1e9) : 20_261_121))

cleanUp()

/** Chooses a node, mostly one that is alive. */
const picker = ({ nodes }: Cluster, random = createRandom(seed)) => {
  const alive = () => nodes.filter(({ up }) => up)
  return () => (random.of(random() < 0.8 ? alive() : nodes) ?? nodes[0]) as Node
}

const once = (socket: Talker['socket'], type: 'open' | 'close' | 'gap' | 'message') =>
  new Promise<any>(resolve => socket.once(type, resolve))

/** Formats counts for the printed summary. */
const list = (counts: Readonly<Record<string, number>>) =>
  Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ') || 'nothing'

describe.runIf(hasRedis())('two nodes that are killed', () => {
  const rows: string[] = []
  afterAll(() => {
    if (rows.length) console.log(rows.join('\n'))
  })

  const soak = async (plan: Plan & { clients: number; messages: number }) => {
    const cluster = await startCluster({ maxUnacknowledged: 100_000 })
    const { nodes, redis, pusher } = cluster
    const begun = performance.now()
    const resumptions = { 'same process': 0, 'restarted node': 0, 'other node': 0 }

    const join = async (number: number, path?: string) => {
      const random = createRandom(plan.seed + number)
      const socket = cluster.connect(picker(cluster, random), path, {
        retry: backoff({ base: 150, max: 800, spread: 300, random }),
      })
      let before = 0
      socket.on('open', ({ resumed }) => {
        const on = nodes.find(({ pids }) => pids.has(socket.node))
        if (socket.node === before) resumptions['same process']++
        else if (resumed) resumptions[on?.pids.has(before) ? 'restarted node' : 'other node']++
        before = socket.node
      })
      await once(socket, 'open')
      return socket
    }
    const talkers = await Promise.all(
      Array.from({ length: plan.clients }, async (_, i) => createTalker(await join(i + 1), i + 1)),
    )

    const auditor = await join(0, '/audit')
    const audits = new Map(talkers.map(({ from }) => [from, createAccount()]))
    const complaints: string[] = []
    let audited = 0
    const all = new Promise<void>(resolve => {
      auditor.on('message', ({ data }) => {
        const { from, n, end } = data as { from: number; n: number; end?: boolean }
        if (end) return resolve()
        audits.get(from)?.take(n)
        audited++
      })
      auditor.on('gap', ({ reason }) => {
        complaints.push(`auditor: gap: ${reason}`)
        resolve()
      })
    })

    // Messages that are sent from outside of a handler, whether or not clients are connected.
    let pushed = 0
    const stored: Promise<number>[] = []
    const ids = talkers.map(({ socket }) => socket.connectionId as string)
    const push = () => {
      pushed++
      for (const id of ids) stored.push(pusher.send(id, { push: pushed }))
    }
    const pushing = setInterval(push, 20)
    cleanup(() => clearInterval(pushing))

    const sum = (of: (talker: Talker) => number) => talkers.reduce((total, talker) => total + of(talker), 0)
    const chaos = startChaos(cluster, plan)
    try {
      for (const { begin } of talkers) begin()
      await chaos.fulfilled
    } finally {
      await chaos.stop()
    }

    // If messages are lost, the test must not wait for them, but report them.
    const late = new Promise(resolve =>
      AbortSignal.timeout(60_000 + 3 * plan.messages).addEventListener('abort', resolve),
    )
    const each = Math.ceil(plan.messages / plan.clients)
    await Promise.race([
      late,
      Promise.all(talkers.map(({ until, outcomes }) => until(() => outcomes.delivered >= each))),
    ])
    for (const { stop } of talkers) stop()
    clearInterval(pushing)
    const acknowledged = talkers.map(talker => talker.until(() => talker.outcomes.delivered === talker.sent))
    await Promise.race([late, Promise.all(acknowledged)])
    // The effects of all acknowledged messages are stored. They must arrive before messages that are stored from now on.
    push()
    const counts = await Promise.all(stored)
    await pusher.publish('audit', { end: true })
    await Promise.race([
      late,
      Promise.all([all, ...talkers.map(({ until, pushes }) => until(() => pushes.highest >= pushed))]),
    ])
    const seconds = (performance.now() - begun) / 1_000
    const reports = await Promise.all(
      nodes.map(node => {
        const report = node.hear('report')
        node.order({ report: true })
        return report
      }),
    )

    const up = [...audits].map(([from, account]) => ({
      account,
      total: talkers.find(talker => talker.from === from)?.sent ?? 0,
    }))
    const replies = talkers.map(({ replies, expected }) => ({ account: replies, total: expected }))
    const pushes = talkers.map(({ pushes }) => ({ account: pushes, total: pushed }))
    const tally = (streams: typeof up) => ({
      messages: streams.reduce((all, { total }) => all + total, 0),
      lost: streams.reduce((all, { account, total }) => all + account.lost(total), 0),
      duplicated: streams.reduce((all, { account }) => all + account.duplicated, 0),
      reordered: streams.reduce((all, { account }) => all + account.reordered, 0),
    })
    const exact = { lost: 0, duplicated: 0, reordered: 0 }
    const results = {
      'client to server': tally(up),
      'server to client': tally([...replies, ...pushes]),
    }
    const memory = /used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]
    const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`
    const said: Record<string, number> = {}
    for (const error of reports.flatMap(({ errors }) => errors)) said[error] = (said[error] ?? 0) + 1
    const total = results['client to server'].messages + results['server to client'].messages + audited
    rows.push(
      `seed ${plan.seed}, ${plan.clients} clients, ${seconds.toFixed(0)} s, ${(total / seconds).toFixed(0)} messages a second`,
      ...Object.entries(results).map(
        ([way, { messages, lost, duplicated, reordered }]) =>
          `  ${way}: ${messages} messages, ${lost} lost, ${duplicated} duplicated, ${reordered} reordered`,
      ),
      `  ${audited} published to the auditor, ${sum(({ outcomes }) => outcomes.delivered)} promises 'delivered'`,
      `  nodes: ${list(chaos.ends)}`,
      `  ${chaos.total} faults of connections: ${list(chaos.faults)}`,
      `  resumptions: ${list(resumptions)}`,
      `  Redis ${mebibytes(Number(memory))}; heaps of the nodes ${reports.map(({ heap }) => mebibytes(heap))}`,
      `  the nodes that run at the end said: ${list(said)}`,
    )

    expect([...complaints, ...talkers.flatMap(({ complaints }) => complaints)]).toEqual([])
    expect(results).toMatchObject({ 'client to server': exact, 'server to client': exact })
    // Each message was stored for at least one session.
    expect(counts.filter(count => count < 1)).toEqual([])
    expect(sum(({ outcomes }) => outcomes.delivered)).toBe(sum(({ sent }) => sent))
    expect(sum(({ sent }) => sent)).toBeGreaterThanOrEqual(plan.messages)
    expect(resumptions['other node']).toBeGreaterThan(0)
  }

  test(`nodes that are killed lose, duplicate and reorder nothing (seed ${seed})`, () =>
    soak({ seed, clients: 4, messages: 3_000, kills: 4, faults: 20 }))

  if (SOAK) {
    test(
      `nodes that are killed lose, duplicate and reorder nothing of 100,000 messages each way (seed ${seed})`,
      {
        timeout: 1_800_000,
      },
      () => soak({ seed, clients: 8, messages: 100_000, kills: 40, faults: 400 }),
    )
  }

  test.each([0, 1])('a node that shuts down loses no session (node %i)', async first => {
    const cluster = await startCluster()
    const { nodes } = cluster
    const socket = cluster.connect(() => (nodes[first]?.up ? nodes[first] : nodes[1 - first]) as Node, '/', {
      retry: backoff({ base: 100, spread: 100 }),
    })
    const talker = createTalker(socket, 1)
    await once(socket, 'open')
    const { connectionId } = socket
    talker.begin()
    await talker.until(() => talker.outcomes.delivered >= 300)
    const closed = once(socket, 'close')
    const opened = once(socket, 'open')
    await nodes[first]?.close(0)
    expect(await closed).toMatchObject({ code: 1012, reason: 'retry-after=0', willRetry: true })
    expect(await opened).toMatchObject({ resumed: true })
    talker.stop()
    await talker.until(() => talker.replies.received >= talker.expected)
    expect(talker.complaints).toEqual([])
    expect(socket.connectionId).toBe(connectionId)
    expect(nodes[1 - first]?.pids.has(socket.node)).toBe(true)
    expect(talker.replies).toMatchObject({ received: talker.expected, duplicated: 0, reordered: 0 })
  })
})

describe.runIf(hasRedis())('a Redis that is killed and restarted without data', () => {
  test('a Redis that loses its data ends the sessions: clients get a gap before the next message, and their outcomes are correct', async () => {
    const cluster = await startCluster({ mortal: true, witness: true })
    // Calls of the handler, by client and number.
    const handled = new Map<string, number>()
    cluster.onHandled(({ from, n }) => {
      const key = `${from} ${n}`
      handled.set(key, (handled.get(key) ?? 0) + 1)
    })
    const talkers = Array.from({ length: 4 }, (_, i) => {
      const from = i + 1
      const random = createRandom(seed + from)
      const socket = cluster.connect(picker(cluster, random), '/', {
        retry: backoff({ base: 100, max: 400, random }),
      })
      // The received numbers and gaps, in order.
      const story: (number | Gap)[] = []
      const outcomes: Outcome['status'][] = []
      let sent = 0
      const say = () => {
        const n = ++sent
        const onLost = n % 2 ? 'drop' : 'resend'
        return socket.send({ from, n, pad: '' }, { onLost }).then(({ status }) => {
          outcomes[n] = status
        })
      }
      socket.on('message', ({ id }) => story.push(id))
      socket.on('gap', gap => story.push(gap))
      return { socket, from, story, outcomes, say }
    })
    await Promise.all(talkers.map(({ socket }) => once(socket, 'open')))

    // Each client always has 50 messages in flight. Redis is killed in the middle.
    const total = 1_000
    const talks = talkers.map(({ say }) => {
      let left = total
      const next = async (): Promise<void> => {
        for (; left > 0; ) {
          left--
          await say()
        }
      }
      return Promise.all(Array.from({ length: 50 }, next))
    })
    await new Promise<void>(resolve => cluster.onHandled(() => handled.size >= total && resolve()))
    await cluster.forgetAll()
    await Promise.all(talks)

    for (const { from, story, outcomes, socket } of talkers) {
      const gaps = story.filter(item => typeof item === 'object')
      expect(gaps).toMatchObject([{ reason: 'session' }])
      const [gap] = gaps as Extract<Gap, { reason: 'session' }>[]
      const at = story.indexOf(gap as Gap)
      const range = (length: number) => Array.from({ length }, (_, i) => i + 1)
      // All messages of each session, with the gap between the sessions.
      expect(story.slice(0, at)).toEqual(range(at))
      expect(story.slice(at + 1)).toEqual(range(story.length - at - 1))
      expect(socket.stats.lastSequenceId).toBe(story.length - at - 1)

      const numbers = (messages: readonly SentMessage[] = []) => messages.map(({ data }) => (data as Word).n)
      const unknown = numbers(gap?.unknown)
      const resent = new Set(numbers(gap?.resent))
      for (let n = 1; n <= total; n++) {
        const times = handled.get(`${from} ${n}`) ?? 0
        expect([n, outcomes[n]]).toEqual([n, unknown.includes(n) ? 'unknown' : 'delivered'])
        if (outcomes[n] === 'delivered') expect(times).toBeGreaterThan(0)
        // A message that was sent again in the next session may be handled twice.
        expect(times).toBeLessThanOrEqual(resent.has(n) ? 2 : 1)
      }
      expect(unknown.every(n => n % 2)).toBe(true)
    }
    // There must be some of each kind. Otherwise, the test is not meaningful.
    const gaps = talkers.flatMap(({ story }) => story.filter(item => typeof item === 'object')) as any[]
    expect(gaps.some(({ unknown }) => unknown.length)).toBe(true)
    expect(gaps.some(({ resent }) => resent.length)).toBe(true)
  })
})

describe.runIf(hasRedis())('a client that reads nothing', () => {
  test('a client that reads nothing loses its session, gets a gap, and begins a new session', async () => {
    const cluster = await startCluster({ maxUnacknowledged: 500 })
    const [node] = cluster.nodes as [Node, Node]
    const socket = cluster.connect(() => node, '/', {
      heartbeat: false,
      retry: () => 10,
    })
    const story: unknown[] = []
    socket.on('message', ({ data }) => story.push(data))
    socket.on('gap', ({ reason }) => story.push(reason))
    await once(socket, 'open')
    socket.on('open', ({ resumed }) => story.push(resumed ? 'resumed' : 'begun'))
    const id = socket.connectionId as string
    await cluster.pusher.send(id, 0)
    node.proxy.connections[0]?.freeze()
    const counts: number[] = []
    do counts.push(await cluster.pusher.send(id, counts.length + 1))
    while (counts.at(-1))
    // The first may have been acknowledged or not.
    expect(counts.length).toBeGreaterThanOrEqual(500)
    expect(counts.length).toBeLessThanOrEqual(501)
    expect(await cluster.pusher.send(id, 'too late')).toBe(0)
    const reopened = once(socket, 'open')
    const broken = once(socket, 'gap')
    node.proxy.thaw()
    await broken
    expect(await reopened).toMatchObject({ resumed: false })
    expect(socket.connectionId).not.toBe(id)
    const fresh = once(socket, 'message')
    expect(await cluster.pusher.send(socket.connectionId as string, 'anew')).toBe(1)
    await fresh
    // The messages in flight arrived in order, then the gap, and then the messages of the new session.
    const at = story.indexOf('session')
    expect(story.slice(0, at)).toEqual(Array.from({ length: at }, (_, i) => i))
    expect(story.slice(at)).toEqual(['session', 'begun', 'anew'])
  })
})
