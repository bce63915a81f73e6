// Faults of connections and nodes, in an order that depends on a seed.
import type { Connection, Direction, FaultProxy } from '../support/proxy.ts'
import { createRandom, type Random } from '../support/random.ts'
import type { Cluster, Node } from './reliable-cluster.ts'

type Undo = () => unknown

/** A fault of one connection, or of all connections of a node. */
type Fault = (connection: Connection, node: Node, random: Random, redis: FaultProxy) => Undo | undefined

/** A fault that cannot be undone. */
const final =
  (happen: (...about: Parameters<Fault>) => void): Fault =>
  (...about) => {
    happen(...about)
    return undefined
  }

const anyDirection = (random: Random) => random.of<Direction | 'both'>(['up', 'down', 'both'])

const faults: Record<string, Fault> = {
  reset: final(connection => connection.reset()),
  'reset of all': final((_, { proxy }) => proxy.reset()),
  end: final(connection => connection.end()),
  // Cuts within one of the next messages. One in forty of them is large.
  'cut upwards': final((connection, _, random) => connection.cutAfter(1 + random.below(20_000), 'up')),
  'cut downwards': final((connection, _, random) => connection.cutAfter(1 + random.below(20_000), 'down')),
  // The connection works again when another one has replaced it.
  freeze(connection, _, random) {
    connection.freeze(anyDirection(random))
    return () => connection.thaw()
  },
  'freeze, then reset'(connection, _, random) {
    connection.freeze(anyDirection(random))
    return () => connection.reset()
  },
  delay(_, { proxy }, random) {
    proxy.delay(random.below(100), anyDirection(random))
    return () => proxy.delay(0)
  },
  throttle(connection, _, random) {
    connection.throttle(2_000 + random.below(100_000))
    return () => connection.throttle(Infinity)
  },
  refuse(_, { proxy }) {
    proxy.refuse(true)
    proxy.reset()
    return () => proxy.refuse(false)
  },
  hang(_, { proxy }) {
    proxy.hang(true)
    proxy.reset()
    return () => {
      proxy.hang(false)
      proxy.thaw()
    }
  },
  // The node does not receive the answers of Redis. In one case, Redis has not received the requests, and in the other it has.
  'freeze and reset to Redis'(_, __, random, redis) {
    redis.freeze(random.of<Direction>(['up', 'down']))
    return () => {
      redis.reset()
      redis.thaw()
    }
  },
  'cut to Redis': final((_, __, random, redis) => {
    const direction = random.of<Direction>(['up', 'down']) as Direction
    random.of(redis.connections)?.cutAfter(1 + random.below(20_000), direction)
  }),
  'freeze to Redis'(_, __, random, redis) {
    const connection = random.of(redis.connections)
    connection?.freeze(anyDirection(random))
    return () => connection?.thaw()
  },
}

export interface Plan {
  readonly seed: number
  /** The minimum numbers of faults. */
  readonly kills: number
  readonly faults: number
}

export interface Chaos {
  /** How often each fault of connections occurred, and the sum. */
  readonly faults: Readonly<Record<string, number>>
  readonly total: number
  /** How often each fault of nodes occurred. A kill is SIGKILL. */
  readonly ends: Readonly<Record<'kill' | 'shutdown' | 'standstill', number>>
  /** Resolves when the minimum numbers are reached. Rejects if a node cannot be restarted. The faults continue until `stop()`. */
  readonly fulfilled: Promise<void>
  /** Ends the faults. Resolves when all nodes and connections work. */
  stop(): Promise<void>
}

/** The pause between faults. It does not wait for anything. */
const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))

export const startChaos = ({ nodes, line }: Cluster, plan: Plan): Chaos => {
  const counts: Record<string, number> = {}
  const ends = { kill: 0, shutdown: 0, standstill: 0 }
  const kinds = Object.keys(faults)
  let over = false
  let total = 0
  let fulfil = () => {}
  const fulfilled = new Promise<void>(resolve => {
    fulfil = resolve
  })
  const look = () => {
    if (ends.kill >= plan.kills && total >= plan.faults) fulfil()
  }

  const causeFaults = async () => {
    const random = createRandom(plan.seed)
    const undoing = new Set<Undo>()
    while (!over) {
      await pause(random.below(300))
      const node = random.of(nodes) as Node
      const kind = random.of(kinds) as string
      const connection = random.of(node.proxy.connections)
      const length = random.below(1_500)
      if (!connection) continue
      const undo = faults[kind]?.(connection, node, random, line)
      total++
      counts[kind] = (counts[kind] ?? 0) + 1
      look()
      if (!undo) continue
      undoing.add(undo)
      pause(length).then(() => {
        if (undoing.delete(undo)) undo()
      })
    }
    for (const undo of undoing) undo()
    undoing.clear()
  }

  const endNodes = async () => {
    const random = createRandom(~plan.seed)
    while (!over) {
      await pause(100 + random.below(900))
      const node = random.of(nodes) as Node
      const chance = random()
      const length = random.below(400)
      if (chance < 0.1) {
        ends.standstill++
        node.order({ block: 3 * length })
        await pause(length)
        continue
      }
      if (chance < 0.3) {
        ends.shutdown++
        await node.close(0)
      } else {
        // Sometimes all nodes at once.
        const affected = chance > 0.95 ? nodes : [node]
        ends.kill += affected.length
        await Promise.all(affected.map(node => node.kill()))
        look()
      }
      await pause(length)
      await Promise.all(nodes.filter(({ up }) => !up).map(node => node.start()))
    }
  }

  const running = Promise.all([causeFaults(), endNodes()])
  return {
    faults: counts,
    get total() {
      return total
    },
    ends,
    fulfilled: Promise.race([fulfilled, running.then(() => {})]),
    async stop() {
      over = true
      await running
    },
  }
}
