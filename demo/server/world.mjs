// The data that outlives a node, as in a database: history for new visitors, presence, and the counts of the numbered streams.
import { memoryStore } from '../../dist/server.js'
import { createTally } from '../page/tally.js'
import { createLog, dueSince, logs } from './log.mjs'

const maxStreams = 500
const maxBases = 100

const createStream = () => {
  const since = Date.now()
  const up = createTally(0)
  const bases = new Map()
  return {
    since,
    counts: up.counts,
    async base(session) {
      if (!bases.has(session)) bases.set(session, dueSince(since))
      if (bases.size > maxBases) bases.delete(bases.keys().next().value)
      return bases.get(session)
    },
    // A handler runs again only if its node has died, and then this memory is lost, too.
    async note(n) {
      up.note(n)
    },
  }
}

/** Keeps the data in the memory of this process. */
export const createMemoryWorld = () => {
  const streams = new Map()
  const world = {
    /** The store of the reliable sessions. */
    store: memoryStore(),
    /**
     * A numbered stream. `since`: its start. `counts`: the counts of received messages. `note(n, id)` counts a message, and each id only once.
     * `base(session)`: the number before the first message of that session, because earlier messages are not for it.
     */
    async stream(name) {
      const stream = streams.get(name) ?? createStream()
      // The stream that has not been used for the longest time is removed first.
      streams.delete(name)
      streams.set(name, stream)
      if (streams.size > maxStreams) streams.delete(streams.keys().next().value)
      return stream
    },
    async close() {},
  }
  for (const [name, size] of Object.entries(logs)) {
    const { add, ...log } = createLog(size)
    world[name] = { ...log, append: add }
  }
  return world
}

/**
 * Chooses where the data is: in memory, or, with `REDIS_URL`, in Redis, where all processes with the same URL share it.
 *
 * @param {{ REDIS_URL?: string | undefined, WORLD?: string | undefined }} [env]
 */
export const createWorld = async ({ REDIS_URL: url, WORLD: name = 'demo' } = {}) => {
  if (!url) return createMemoryWorld()
  const { createRedisWorld } = await import('./world-redis.mjs')
  return createRedisWorld(url, `steadysocket:${name}:`)
}
