// The Redis store with every supported client, with Redis Cluster and Sentinel, and during failovers.
import { Cluster, Redis } from 'ioredis'
import { createCluster, createSentinel } from 'redis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type AnyRedisClient, redisStore, type Store } from '../../src/server.ts'
import { describeStore } from '../server/store-contract.ts'
import { cleanUp, cleanup } from '../support/cleanup.ts'
import { eventually } from '../support/eventually.ts'
import { hasRedis, startRedis } from './redis.ts'
import { type Audit, type Result, startAudit } from './redis-audit.ts'
import {
  hasSentinel,
  type RedisCluster,
  startCluster,
  startSentinel,
  type Watched,
} from './redis-topologies.ts'

cleanUp()

const LIMITS = {
  sessionTimeout: 60_000,
  maxUnacknowledged: 10,
  maxUnacknowledgedBytes: 1_000,
  maxGroups: 5,
  dedupeWindow: 10,
  idTimeout: 604_800_000,
  maxIds: 10_000,
}

const rows: string[] = []
afterAll(() => {
  if (rows.length) console.log(rows.join('\n'))
})
const note = (what: string, { received, lost, gaps, faults }: Result) =>
  rows.push(
    `${what}: ${received} received, ${lost} lost, ${gaps} of 6 clients received a gap, ${faults.length} faults`,
  )

/** A store with its own prefix, so that each test has its own sessions. */
const storeOf = (client: AnyRedisClient): Store =>
  redisStore(client, { prefix: `${process.pid}:${expect.getState().currentTestName}:`, warn: false })

/** Runs the tests of the contract of a store with a client. */
const testContract = (connect: () => Promise<AnyRedisClient & { end(): unknown }>) => {
  let client: AnyRedisClient & { end(): unknown }
  beforeAll(async () => {
    client = await connect()
  })
  afterAll(() => client.end())
  describeStore(() => storeOf(client))
}

const nodeOf = (port: number) => ({ host: '127.0.0.1', port })

const clusterClient = async ({ ports }: RedisCluster) => {
  const client = createCluster({ rootNodes: ports.map(port => ({ url: `redis://127.0.0.1:${port}` })) })
  client.on('error', () => {})
  await client.connect()
  return Object.assign(client, { end: () => client.destroy() })
}

const ioCluster = async ({ ports }: RedisCluster) => {
  const client = new Cluster(ports.map(nodeOf), { clusterRetryStrategy: () => 100 })
  return Object.assign(client, { end: () => client.disconnect() })
}

const sentinelClient = async ({ sentinel }: Watched) => {
  const client = createSentinel({ name: 'main', sentinelRootNodes: [nodeOf(sentinel)] })
  client.on('error', () => {})
  await client.connect()
  return Object.assign(client, { end: () => client.destroy() })
}

const ioSentinel = async ({ sentinel }: Watched) => {
  const client = new Redis({ name: 'main', sentinels: [nodeOf(sentinel)] })
  return Object.assign(client, { end: () => client.disconnect() })
}

/** Starts an audit of two nodes, each with its own client of Redis. */
const audit = async (
  connect: () => Promise<AnyRedisClient & { end(): unknown }>,
  prefix: string,
): Promise<Audit> => {
  const clients = [await connect(), await connect()] as const
  for (const client of clients) cleanup(() => client.end())
  return startAudit(i => redisStore(clients[i] as AnyRedisClient, { prefix, warn: false }))
}

describe.runIf(hasRedis())('ioredis', () => {
  testContract(async () => {
    const server = await startRedis()
    const client = new Redis(server.url)
    const end = async () => {
      client.disconnect()
      await server.stop()
    }
    return Object.assign(client, { end })
  })

  test('sends commands again after a lost connection, and none of them takes effect twice', async () => {
    const server = await startRedis()
    cleanup(() => server.stop())
    const connect = async () => {
      const client = new Redis(server.url)
      return Object.assign(client, { end: () => client.disconnect() })
    }
    const look = new Redis(server.url)
    cleanup(() => look.disconnect())
    const { flow, finish } = await audit(connect, 'again:')
    for (let i = 0; i < 10; i++) {
      await flow(30)
      await look.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    }
    await flow(50)
    const result = await finish()
    note('ioredis, CLIENT KILL', result)
    expect(result).toMatchObject({ faults: [], gaps: 0, lost: 0 })
  })
})

describe.runIf(hasRedis())('a Redis Cluster', () => {
  let cluster: RedisCluster
  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(() => cluster.stop())

  describe('with createCluster() of redis', () => testContract(() => clusterClient(cluster)))
  describe('with the Cluster of ioredis', () => testContract(() => ioCluster(cluster)))

  test('keeps all keys of a store on one shard, and the stores of several servers on all of them', async () => {
    const client = await clusterClient(cluster)
    cleanup(() => client.end())
    const holders = new Set<number>()
    for (let i = 0; i < 20; i++) {
      const prefix = `app-${i}:`
      const open = redisStore(client, { prefix, warn: false }).open(LIMITS, () => {})
      const node = await open
      cleanup(() => node.close())
      await node.create({ id: 'a', token: 't', userId: 'u', groups: ['g', 'h'] })
      expect((await node.commit([{ kind: 'publish', group: 'g', frame: '{}' }])).count).toBe(1)
      holders.add((await cluster.holderOf(`{${prefix}}e`)).port)
    }
    expect(holders.size).toBe(3)
  })

  test('uses the hash tag of a prefix that has one', async () => {
    const client = await clusterClient(cluster)
    cleanup(() => client.end())
    const node = await redisStore(client, { prefix: 'chat:{eu}:', warn: false }).open(LIMITS, () => {})
    cleanup(() => node.close())
    await node.create({ id: 'a', token: 't', userId: 'u', groups: [] })
    expect(await client.exists('chat:{eu}:s:a')).toBe(1)
  })
})

describe.runIf(hasRedis())('a Redis Cluster whose primary fails', () => {
  test.each([
    ['createCluster() of redis', clusterClient],
    ['the Cluster of ioredis', ioCluster],
  ] as const)('continues with its replica, and nothing is lost without a gap (%s)', async (name, connect) => {
    const cluster = await startCluster(true)
    cleanup(() => cluster.stop())
    const { flow, finish } = await audit(() => connect(cluster), 'failover:')
    await flow(150)
    const { stop } = await cluster.holderOf('{failover:}e')
    await stop()
    await flow(300)
    const result = await finish()
    note(`a primary of a Cluster dies, ${name}`, result)
    expect(result.faults).toEqual([])
  })
})

describe.runIf(hasRedis() && hasSentinel())('the option replicas', () => {
  const replicas = { count: 1, timeout: 10_000 }
  const confirm = async (client: AnyRedisClient) => {
    const node = await redisStore(client, { prefix: 'confirmed:', warn: false, replicas }).open(
      LIMITS,
      () => {},
    )
    cleanup(() => node.close())
    expect(await node.create({ id: 'a', token: 't', userId: 'u', groups: ['g'] })).toBe(true)
    const commits = Array.from({ length: 5 }, () =>
      node.commit([{ kind: 'publish', group: 'g', frame: '{}' }]),
    )
    expect(await Promise.all(commits)).toEqual(commits.map(() => ({ outcome: 'done', count: 1 })))
  }

  test('waits for the replicas of the shard, with createCluster() of redis', async () => {
    const cluster = await startCluster(true)
    cleanup(() => cluster.stop())
    const client = await clusterClient(cluster)
    cleanup(() => client.end())
    await confirm(client)
  })

  test.each([
    ['createSentinel() of redis', sentinelClient],
    ['the sentinels option of ioredis', ioSentinel],
  ] as const)('waits for the replicas of the primary, with %s', async (_, connect) => {
    const watched = await startSentinel()
    cleanup(() => watched.stop())
    const client = await connect(watched)
    cleanup(() => client.end())
    await confirm(client)
  })
})

describe.runIf(hasRedis() && hasSentinel())('a Redis under Sentinel', () => {
  describe('with createSentinel() of redis', () => {
    let watched: Watched
    beforeAll(async () => {
      watched = await startSentinel()
    })
    afterAll(() => watched.stop())
    testContract(() => sentinelClient(watched))
  })

  describe('with the sentinels option of ioredis', () => {
    let watched: Watched
    beforeAll(async () => {
      watched = await startSentinel()
    })
    afterAll(() => watched.stop())
    testContract(() => ioSentinel(watched))
  })

  test.each([
    ['createSentinel() of redis', sentinelClient],
    ['the sentinels option of ioredis', ioSentinel],
  ] as const)(
    'continues with the replica when the primary fails, and nothing is lost without a gap (%s)',
    async (name, connect) => {
      const watched = await startSentinel()
      cleanup(() => watched.stop())
      const { flow, finish } = await audit(() => connect(watched), 'failover:')
      await flow(150)
      await watched.stopPrimary()
      await eventually(async () => expect(await watched.current()).toBe(watched.replica))
      await flow(300)
      const result = await finish()
      note(`the primary under Sentinel dies, ${name}`, result)
      expect(result.faults).toEqual([])
    },
  )
})
