// What can happen to connections and to nodes, in an order that a seed decides.
import type { Connection, Direction } from '../support/proxy.ts'
import { createRandom, type Random } from '../support/random.ts'
import type { Cluster, Node } from './cluster.ts'

type Undo = () => unknown

/** Something that happens to one connection, or to all of a node. */
type Fault = (connection: Connection, node: Node, random: Random) => Undo | undefined

/** Cannot be undone. */
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
  // Within the next messages, one in forty of which is large.
  'cut upwards': final((connection, _, random) => connection.cutAfter(1 + random.below(20_000), 'up')),
  'cut downwards': final((connection, _, random) => connection.cutAfter(1 + random.below(20_000), 'down')),
  // It comes back to life beside its heir.
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
}

export interface Plan {
  readonly seed: number
  /** The least of what has to happen. */
  readonly kills: number
  readonly faults: number
}

export interface Chaos {
  /** How often each thing has happened. */
  readonly counts: Readonly<Record<string, number>>
  /** SIGKILLs. */
  readonly kills: number
  /** What was done to connections. */
  readonly faults: number
  /** Resolves when the plan is fulfilled. It goes on until it is stopped. */
  readonly fulfilled: Promise<void>
  /** Resolves when all nodes are up and all lines are well. */
  stop(): Promise<void>
}

/** A pace, not a way to wait for anything. */
const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))

export const startChaos = ({ nodes }: Cluster, plan: Plan): Chaos => {
  const counts: Record<string, number> = {}
  const count = (name: string) => {
    counts[name] = (counts[name] ?? 0) + 1
  }
  const kinds = Object.keys(faults)
  let over = false
  let kills = 0
  let happened = 0
  let fulfil = () => {}
  const fulfilled = new Promise<void>(resolve => {
    fulfil = resolve
  })
  const look = () => {
    if (kills >= plan.kills && happened >= plan.faults) fulfil()
  }

  const disturb = async () => {
    const random = createRandom(plan.seed)
    const undoing = new Set<Undo>()
    while (!over) {
      await pause(random.below(300))
      const node = random.of(nodes) as Node
      const kind = random.of(kinds) as string
      const connection = random.of(node.proxy.connections)
      const length = random.below(1_500)
      if (!connection) continue
      const undo = faults[kind]?.(connection, node, random)
      happened++
      count(kind)
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

  const bringDown = async () => {
    const random = createRandom(~plan.seed)
    while (!over) {
      await pause(100 + random.below(900))
      const node = random.of(nodes) as Node
      const chance = random()
      const length = random.below(400)
      if (chance < 0.1) {
        count('standstill')
        node.order({ block: 3 * length })
        await pause(length)
        continue
      }
      if (chance < 0.3) {
        count('shutdown')
        await node.close(0)
      } else {
        // Now and then all of them at once.
        const doomed = chance > 0.95 ? nodes : [node]
        kills += doomed.length
        counts.kill = kills
        await Promise.all(doomed.map(node => node.kill()))
        look()
      }
      await pause(length)
      await Promise.all(nodes.filter(({ up }) => !up).map(node => node.start()))
    }
  }

  const running = Promise.all([disturb(), bringDown()])
  return {
    counts,
    get kills() {
      return kills
    },
    get faults() {
      return happened
    },
    fulfilled: Promise.race([fulfilled, running.then(() => {})]),
    async stop() {
      over = true
      await running
    },
  }
}
