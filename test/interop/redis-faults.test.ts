// Faults of Redis. Confirmed messages arrive, or a gap is reported before the next message.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { type RedisStoreOptions, redisStore, type StoreNode } from '../../src/server.ts'
import { cleanUp, cleanup } from '../support/cleanup.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/ports.ts'
import { type Client, connectRedis, hasRedis, type Redis, startRedis } from './redis.ts'
import { type Audit, type Result, startAudit } from './redis-audit.ts'
import { startSwitch } from './redis-switch.ts'

cleanUp()

const EXACT: Partial<Result> = { faults: [], gaps: 0, lost: 0 }
const REPORTED: Partial<Result> = { faults: [] }

/** A summary that is printed after the tests. */
const rows: string[] = []
afterAll(() => {
  if (rows.length) console.log(rows.join('\n'))
})
const note = (what: string, { received, lost, gaps, faults }: Result) =>
  rows.push(
    `${what}: ${received} received, ${lost} lost, ${gaps} of 6 clients received a gap, ${faults.length} faults`,
  )

const start = async (settings: Record<string, string | number> = {}, port = 0): Promise<Redis> => {
  const redis = await startRedis(port || (await freePort()), settings)
  cleanup(() => redis.stop())
  return redis
}

const dial = async (url: string): Promise<Client> => {
  const client = await connectRedis(url)
  cleanup(() => client.destroy())
  return client
}

/** Starts an audit of two nodes, each with its own client of Redis. */
const audit = async (url: string, options: RedisStoreOptions = {}) => {
  const clients = [await dial(url), await dial(url)] as const
  return startAudit(i => redisStore(clients[i] as Client, { warn: false, ...options }))
}

/** Opens the store as one node. */
const openNode = async (url: string, options: RedisStoreOptions = {}): Promise<StoreNode> => {
  const limits = {
    sessionTimeout: 60_000,
    maxUnacknowledged: 10,
    maxUnacknowledgedBytes: 1_000,
    maxGroups: 5,
    dedupeWindow: 10,
    idTimeout: 604_800_000,
    maxIds: 10_000,
  }
  const node = await redisStore(await dial(url), { warn: false, ...options }).open(limits, () => {})
  cleanup(() => node.close())
  return node
}

const folder = (): string => {
  const path = mkdtempSync(join(tmpdir(), 'steadysocket-redis-'))
  cleanup(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** A primary, and a replica with the same data. */
const startPair = async (settings: Record<string, string | number> = {}) => {
  const primary = await start(settings)
  const { port } = new URL(primary.url)
  const replica = await start({ ...settings, replicaof: `127.0.0.1 ${port}` })
  const [first, second] = [await dial(primary.url), await dial(replica.url)]
  await eventually(async () => expect(await second.info('replication')).toContain('master_link_status:up'))
  return { primary, replica, first, second }
}

describe.runIf(hasRedis())('a Redis that comes back with an older state', () => {
  const promote = async (lag: number) => {
    const { primary, replica, first, second } = await startPair()
    const line = await startSwitch(primary.url)
    const { flow, finish, leave, comeBack, pause } = await audit(line.url)
    await flow(100)
    // Commands in flight when the connection breaks would close the connections of their sessions, which would add further effects.
    await pause()
    if (lag) {
      await second.sendCommand(['REPLICAOF', 'NO', 'ONE'])
      // Messages for disconnected clients are only stored.
      if (lag > 10) leave()
      await flow(lag)
      await pause()
    } else {
      // Everything happens between two messages.
      await first.sendCommand(['CLIENT', 'PAUSE', '10000', 'WRITE'])
      await eventually(async () => {
        const offset = (info: string) => /master_repl_offset:(\d+)/.exec(info)?.[1]
        expect(offset(await second.info('replication'))).toBe(offset(await first.info('replication')))
      })
      await second.sendCommand(['REPLICAOF', 'NO', 'ONE'])
    }
    line.to(replica.url)
    await primary.stop()
    comeBack()
    await flow(200)
    return finish()
  }

  test('promoting a replica that lags behind ends the sessions, and every client gets a gap before anything else arrives', async () => {
    const result = await promote(100)
    note('a lagging replica is promoted', result)
    expect(result).toMatchObject(REPORTED)
    expect(result.lost).toBeGreaterThan(0)
    expect(result.gaps).toBe(6)
  })

  test('promoting a replica that lags by one message is detected, too', async () => {
    for (let i = 0; i < 3; i++) {
      const result = await promote(1)
      note('a replica that lags by one message is promoted', result)
      expect(result).toMatchObject(REPORTED)
    }
  })

  test('promoting a replica that has all changes causes no gap', async () => {
    const result = await promote(0)
    note('a replica that has everything is promoted', result)
    expect(result).toMatchObject(EXACT)
  })

  test('a restart from an old snapshot ends the sessions, and every client gets a gap before anything else arrives', async () => {
    const settings = { dir: folder() }
    const port = await freePort()
    const redis = await start(settings, port)
    const look = await dial(redis.url)
    const { flow, finish, pause } = await audit(redis.url)
    await flow(100)
    await look.sendCommand(['SAVE'])
    await flow(60)
    await pause()
    await redis.stop()
    await start(settings, port)
    await flow(200)
    const result = await finish()
    note('a restart from an old snapshot', result)
    expect(result).toMatchObject(REPORTED)
    expect(result.gaps).toBe(6)
  })

  describe('that two nodes notice, one after the other', () => {
    const twice = async (lose: (redis: Redis, dir: string) => Promise<Redis>) => {
      const dir = folder()
      const redis = await start({ dir }, await freePort())
      const line = await startSwitch(redis.url)
      const first = await openNode(redis.url)
      const second = await openNode(line.url)
      const look = await dial(redis.url)
      for (const [node, id] of [
        [first, 'a'],
        [second, 'b'],
      ] as const) {
        await node.create({ id, token: 't', userId: '', groups: [] })
        await node.commit([{ kind: 'send', session: id, frame: '{}' }])
      }
      await look.sendCommand(['SAVE'])
      for (const node of [first, second]) await node.commit([{ kind: 'send', session: 'a', frame: '{}' }])
      // The second one cannot reach Redis for a while.
      line.to('redis://127.0.0.1:1')
      const { url } = await lose(redis, dir)
      await first.create({ id: 'new', token: 't', userId: '', groups: [] })
      line.to(url)
      await second.commit([{ kind: 'send', session: 'new', frame: '{}' }])
      const [newest, old] = await first.touch([
        { id: 'new', epoch: 1 },
        { id: 'b', epoch: 1 },
      ])
      return { newest, old }
    }

    test('a restart ends the sessions that began before it, and none that began after it', async () => {
      const restart = async (redis: Redis, dir: string) => {
        const { url } = redis
        await redis.stop()
        return start({ dir }, Number(new URL(url).port))
      }
      expect(await twice(restart)).toEqual({ newest: 1, old: -1 })
    })

    test('FLUSHALL ends the sessions that began before it, and none that began after it', async () => {
      const flush = async (redis: Redis) => {
        await (await dial(redis.url)).sendCommand(['FLUSHALL'])
        return redis
      }
      expect(await twice(flush)).toEqual({ newest: 1, old: -1 })
    })
  })

  test('a restart that loses nothing causes no gap', async () => {
    const settings = { dir: folder(), appendonly: 'yes', appendfsync: 'always' }
    const port = await freePort()
    const redis = await start(settings, port)
    const { flow, finish } = await audit(redis.url)
    await flow(150)
    await redis.stop()
    await start(settings, port)
    await flow(200)
    const result = await finish()
    note('a restart with appendonly', result)
    expect(result).toMatchObject(EXACT)
  })

  test('FLUSHALL ends the sessions, and every client gets a gap before anything else arrives', async () => {
    const redis = await start()
    const look = await dial(redis.url)
    const { flow, finish } = await audit(redis.url)
    await flow(150)
    await look.sendCommand(['FLUSHALL'])
    await flow(200)
    const result = await finish()
    note('FLUSHALL', result)
    expect(result).toMatchObject(REPORTED)
    expect(result.gaps).toBe(6)
  })
})

describe.runIf(hasRedis())('replicas that have to confirm what is stored', () => {
  test('a promotion loses nothing that was confirmed', async () => {
    const { primary, replica, second } = await startPair()
    const line = await startSwitch(primary.url)
    const { flow, finish } = await audit(line.url, { replicas: { count: 1, timeout: 500 } })
    await flow(150)
    // From now on, nothing is confirmed.
    await second.sendCommand(['REPLICAOF', 'NO', 'ONE'])
    await flow(100)
    line.to(replica.url)
    await primary.stop()
    const other = await start({ replicaof: `127.0.0.1 ${new URL(replica.url).port}` })
    expect(other.url).not.toBe(replica.url)
    await flow(100)
    const result = await finish()
    note('a promotion with WAIT', result)
    expect(result).toMatchObject({ faults: [], lost: 0 })
  })

  test('without enough replicas, nothing counts as stored', async () => {
    const redis = await start()
    const node = await openNode(redis.url, { replicas: { count: 1, timeout: 20 } })
    await expect(node.create({ id: 'a', token: 't', userId: '', groups: [] })).rejects.toThrow(
      'only 0 of 1 replicas have confirmed a change within 20 ms',
    )
  })
})

describe.runIf(hasRedis())('a Redis in trouble', () => {
  /** Causes a fault in Redis for this many messages. */
  const through = async (
    what: string,
    begin: (look: Client, pid: number) => unknown,
    end: (look: Client, pid: number) => unknown,
    settings: Record<string, string | number> = {},
  ): Promise<Result> => {
    const redis = await start(settings)
    const look = await dial(redis.url)
    const pid = Number(/process_id:(\d+)/.exec(await look.info('server'))?.[1])
    const { flow, finish }: Audit = await audit(redis.url)
    await flow(150)
    await begin(look, pid)
    await flow(150)
    await end(look, pid)
    await flow(200)
    const result = await finish()
    note(what, result)
    return result
  }
  const configure =
    (...args: string[]) =>
    (look: Client) =>
      look.sendCommand(['CONFIG', 'SET', ...args])

  test('a Redis process that is stopped for a while loses nothing', async () => {
    const result = await through(
      'SIGSTOP',
      (_, pid) => process.kill(pid, 'SIGSTOP'),
      (_, pid) => process.kill(pid, 'SIGCONT'),
    )
    expect(result).toMatchObject(EXACT)
  })

  test('a Redis without free memory loses nothing', async () => {
    const result = await through('OOM', configure('maxmemory', '1'), configure('maxmemory', '0'))
    expect(result).toMatchObject(EXACT)
  })

  test('a Redis that is a replica for a while loses nothing', async () => {
    const result = await through(
      'READONLY',
      look => look.sendCommand(['REPLICAOF', '127.0.0.1', '1']),
      look => look.sendCommand(['REPLICAOF', 'NO', 'ONE']),
    )
    expect(result).toMatchObject(EXACT)
  })

  test('connections that are cut lose nothing', async () => {
    const kill = (look: Client) => look.sendCommand(['CLIENT', 'KILL', 'TYPE', 'normal'])
    const result = await through('CLIENT KILL', kill, kill)
    expect(result).toMatchObject(EXACT)
  })

  test('a Redis that refuses writes because it has too few replicas loses nothing', async () => {
    const result = await through(
      'NOREPLICAS',
      configure('min-replicas-to-write', '1'),
      configure('min-replicas-to-write', '0'),
    )
    expect(result).toMatchObject(EXACT)
  })

  test.each(['allkeys-random', 'volatile-ttl'])(
    'deleting keys under memory pressure (%s) causes a gap before anything else arrives',
    async policy => {
      const result = await through(
        `eviction, ${policy}`,
        async look => {
          await look.sendCommand(['CONFIG', 'SET', 'maxmemory-policy', policy])
          const used = Number(/used_memory:(\d+)/.exec(await look.info('memory'))?.[1])
          await look.sendCommand(['CONFIG', 'SET', 'maxmemory', `${used - 20_000}`])
        },
        look => look.sendCommand(['CONFIG', 'SET', 'maxmemory', '0']),
      )
      expect(result).toMatchObject(REPORTED)
    },
  )
})
