import { checkMaxSessions, checkOptionNames } from './names.js'
import { reportRisks } from './redis-advice.js'
import { type AnyRedisClient, linkTo, type RedisLink } from './redis-client.js'
import { RedisNode } from './redis-node.js'
import { createNoticeReader } from './redis-notices.js'
import { type Replicas, ScriptRunner } from './redis-runner.js'
import { KnownSessions } from './redis-sessions.js'
import type { Store, StoreEvent, StoreLimits, StoreNode } from './store.js'
import { randomName } from './token.js'

/** Options of `redisStore`. */
export interface RedisStoreOptions {
  /**
   * The beginning of every key and channel. Servers with the same prefix serve the same sessions. On a Redis Cluster it becomes a hash tag,
   * unless it contains one, so that all keys of a store are on one shard. Default: `'steadysocket:'`.
   */
  prefix?: string
  /** The number of sessions of all nodes together. Further clients are asked to come back later (1013). Default: no limit. */
  maxSessions?: number
  /**
   * The number of replicas that must have a change before it counts as stored, and how long to wait for them, in milliseconds (default:
   * 1,000). Without this option, changes of the last moments before a failover can be lost; the affected clients then get a `gap` event. Not
   * available with a `Cluster` of `ioredis`. Default: none.
   */
  replicas?: Replicas
  /** Whether to report settings of Redis that can lose sessions to `onError` of the server, once at the start. Default: `true`. */
  warn?: boolean
}

const NAMES: Record<keyof RedisStoreOptions, true> = {
  prefix: true,
  maxSessions: true,
  replicas: true,
  warn: true,
}

/** Throws a `TypeError` for invalid options. */
const checkOptions = (options: RedisStoreOptions, { pin }: RedisLink): void => {
  checkOptionNames('redisStore', options, Object.keys(NAMES))
  checkMaxSessions('redisStore', options.maxSessions)
  const { replicas, prefix } = options
  if (prefix !== undefined && typeof prefix !== 'string')
    throw new TypeError('redisStore: prefix must be a string')
  if (!replicas) return
  checkOptionNames('replicas', replicas, ['count', 'timeout'])
  const { count, timeout = 1 } = replicas
  if (!Number.isSafeInteger(count) || count < 1)
    throw new TypeError('replicas: count must be an integer >= 1')
  if (!Number.isSafeInteger(timeout) || timeout < 1)
    throw new TypeError('replicas: timeout must be an integer >= 1')
  if (!pin)
    throw new TypeError('redisStore: a Cluster of ioredis cannot wait for replicas; use the redis package')
}

const HASH_TAG = /\{[^}]+\}/

const openNode = async (
  link: RedisLink,
  options: RedisStoreOptions,
  limits: StoreLimits,
  onEvent: (event: StoreEvent) => void,
): Promise<StoreNode> => {
  const { prefix: given = 'steadysocket:', replicas, maxSessions, warn = true } = options
  const prefix = link.isCluster && !HASH_TAG.test(given) ? `{${given}}` : given
  const {
    sessionTimeout,
    maxUnacknowledged,
    maxUnacknowledgedBytes,
    maxGroups,
    dedupeWindow,
    idTimeout,
    maxIds,
  } = limits
  const name = randomName()
  // A connected session is renewed several times within this span.
  const ttl = 2 * sessionTimeout
  const scripts = new ScriptRunner(
    link,
    [prefix, ttl, maxUnacknowledged, maxUnacknowledgedBytes, maxGroups, dedupeWindow, name],
    replicas,
  )
  const sessions = new KnownSessions(sessionTimeout)
  const check = () => {
    notices.forget()
    node.check().catch(() => {})
  }
  const notices = createNoticeReader(event => {
    sessions.follow(event)
    onEvent(event)
  }, check)
  const unsubscribe = await link.subscribe(`${prefix}n:${name}`, notices.read, check)
  const node = new RedisNode({
    name,
    scripts,
    sessions,
    maxSessions,
    sessionTimeout,
    idTimeout,
    maxIds,
    unsubscribe,
  })
  try {
    await scripts.prepare()
    await scripts.run('open', '', 0)
  } catch (error) {
    await unsubscribe()
    throw error
  }
  if (warn) reportRisks(link, prefix, message => onEvent({ kind: 'warning', message }))
  return node
}

/**
 * Keeps sessions in Redis (6.2 or newer), so that clients may resume on any node: in one Redis, under Sentinel, or on one shard of a
 * Cluster. The client must be connected, and you close it yourself. The store adds an `'error'` listener to it, without which a lost
 * connection would end the process, and opens a second connection for notifications, with the client's `duplicate()`. Throws a `TypeError`
 * for invalid options.
 */
export const redisStore = (client: AnyRedisClient, options: RedisStoreOptions = {}): Store => {
  const link = linkTo(client)
  checkOptions(options, link)
  return { open: (limits, onEvent) => openNode(link, options, limits, onEvent) }
}
