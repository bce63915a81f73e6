// The data that outlives a node, as in a database: history for new visitors, presence, and the counts of the numbered streams.
import { memoryStore } from '../../dist/server.js'
import { createTally } from '../page/tally.js'

const maxStreams = 500
const maxBases = 100
export const period = 50

/** The logs of a world, and how many of its newest entries each keeps. An entry is bytes (a Buffer) or what JSON can say. */
export const logs = {
  notifications: 30,
  seen: 500,
  pictures: 1,
  /** What a visitor who comes later is shown of the drawing. */
  strokes: 4_000,
  cursors: 50,
  ticks: 10,
  nodes: 50,
}

/** A log as a node has it: it is told what is kept, and then each entry as it comes. */
export const createLog = size => {
  const entries = []
  const listeners = new Set()
  return {
    entries,
    take(entry) {
      entries.push(entry)
      if (entries.length > size) entries.shift()
      for (const listener of listeners) listener(entry)
    },
    /** Returns its undo. */
    hear(listener) {
      entries.forEach(entry => {
        listener(entry)
      })
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

/** Numbers follow the clock: so many should have been sent by now, whether somebody was there to hear them or not. */
export const dueSince = since => Math.floor((Date.now() - since) / period)

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
    // A handler is repeated only when its node dies, and this memory dies with it.
    async note(n) {
      up.note(n)
    },
  }
}

/** A world for one process, which ends with it. */
export const createMemoryWorld = () => {
  const streams = new Map()
  const world = {
    /** Where the reliable sessions are kept. */
    store: memoryStore(),
    /**
     * A numbered stream: `since` when, `counts` of what came up, `note(n, id)` to count one more (once, if it has an id), and
     * `base(session)`, the number before the first one of that session: what was due when it began is nobody's.
     */
    async stream(name) {
      const stream = streams.get(name) ?? createStream()
      // Seen last, forgotten last.
      streams.delete(name)
      streams.set(name, stream)
      if (streams.size > maxStreams) streams.delete(streams.keys().next().value)
      return stream
    },
    async close() {},
  }
  for (const [name, size] of Object.entries(logs)) {
    const { take, ...log } = createLog(size)
    world[name] = { ...log, append: take }
  }
  return world
}

/**
 * The one place where it is chosen: with `REDIS_URL` all processes that are given the same serve one world.
 *
 * @param {{ REDIS_URL?: string | undefined, WORLD?: string | undefined }} [env]
 */
export const createWorld = async ({ REDIS_URL: url, WORLD: name = 'demo' } = {}) => {
  if (!url) return createMemoryWorld()
  const { createRedisWorld } = await import('./world-redis.mjs')
  return createRedisWorld(url, `steadysocket:${name}:`)
}
