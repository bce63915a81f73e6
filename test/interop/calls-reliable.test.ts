// Calls over reliable sockets, while the nodes of the server are killed. What a node publishes to the auditor is stored together with the mark that
// the call was processed, so the auditor knows how often each was executed.
import { describe, expect, test } from 'vitest'
import { calls, jsonRpc, overReliable } from '../../src/calls.ts'
import { backoff } from '../../src/index.ts'
import { cleanUp } from '../support/cleanup.ts'
import { createRandom } from '../support/random.ts'
import { byEffort } from '../support/run.ts'
import { hasRedis } from './redis.ts'
import { startChaos } from './reliable-chaos.ts'
import { type Node, startCluster } from './reliable-cluster.ts'

cleanUp()

const COUNT = byEffort(3_000, 3_000, 100_000)
const kills = byEffort(4, 4, 40)
const faults = byEffort(20, 20, 400)
const CLIENTS = 4
const WIDTH = 50

describe.runIf(hasRedis())('calls over reliable sockets', () => {
  test(`${COUNT} calls are each executed and answered exactly once, while nodes are killed`, {
    timeout: 1_800_000,
  }, async () => {
    const cluster = await startCluster({ maxUnacknowledged: 100_000 })
    const random = createRandom(16)
    const pick = () => (random.of(cluster.nodes.filter(({ up }) => up)) ?? cluster.nodes[0]) as Node
    const retry = backoff({ base: 150, max: 800, spread: 300, random })
    const connect = (path?: string) => cluster.connect(pick, path, { retry })

    const executed = new Map<number, number>()
    const gaps: unknown[] = []
    const auditor = connect('/audit')
    auditor.on('gap', gap => gaps.push(gap))
    const audited = new Promise<void>(resolve => {
      auditor.on('message', ({ data }) => {
        const { call, end } = data as { call: number; end?: boolean }
        if (end) resolve()
        else executed.set(call, (executed.get(call) ?? 0) + 1)
      })
    })
    await new Promise<unknown>(resolve => auditor.once('open', resolve))

    const answers = new Map<number, unknown[]>()
    const errors: unknown[] = []
    let next = 0
    let isOver = false
    const clients = Array.from({ length: CLIENTS }, () => {
      const socket = connect()
      socket.on('gap', gap => gaps.push(gap))
      const api = calls<any>(overReliable(socket), jsonRpc(), { timeout: Infinity })
      api.on('error', error => errors.push(error))
      const work = async () => {
        // It continues until the nodes have been killed as often as planned.
        while (next < COUNT || !isOver) {
          const number = next++
          const answer = await api.call('do', [number]).catch((error: Error) => error.message)
          answers.set(number, [...(answers.get(number) ?? []), answer])
        }
      }
      return { socket, done: Promise.all(Array.from({ length: WIDTH }, work)) }
    })
    const begun = performance.now()
    const chaos = startChaos(cluster, { seed: 16, kills, faults })
    try {
      await chaos.fulfilled
    } finally {
      await chaos.stop()
    }
    isOver = true
    await Promise.all(clients.map(({ done }) => done))
    await cluster.pusher.publish('audit', { end: true })
    await audited
    const seconds = ((performance.now() - begun) / 1_000).toFixed(0)
    console.info(`${next} calls in ${seconds} s, nodes:`, chaos.ends, 'faults:', chaos.faults)

    const numbers = Array.from({ length: next }, (_, number) => number)
    expect(numbers.filter(number => `${answers.get(number)}` !== `${number}`)).toEqual([])
    expect(numbers.filter(number => executed.get(number) !== 1)).toEqual([])
    expect([gaps, errors]).toEqual([[], []])
    for (const { socket } of clients) socket.close()
    auditor.close()
  })
})
