// Redis as in production: a Cluster of three nodes, and a primary with a replica that Sentinel monitors.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { canInstall, findOrInstall, findProgram } from '../support/debian.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/ports.ts'
import { missing } from '../support/run.ts'
import { connectRedis, LIFELINE, type Redis, startRedis } from './redis.ts'

const sentinel = () => findProgram('/usr/bin/redis-sentinel', 'redis-sentinel')

/** Whether there is a Sentinel to test with. It is installed if that is possible, and reported as missing otherwise. */
export function hasSentinel(): boolean {
  if (findOrInstall(sentinel, 'redis-sentinel')) return true
  missing('redis-sentinel', 'install it', canInstall())
  return false
}

/** The processes and folders of a topology, which end with it. */
class Topology {
  private readonly undo: (() => unknown)[] = []

  folder(): string {
    const path = mkdtempSync(join(tmpdir(), 'steadysocket-redis-'))
    this.undo.push(() => rmSync(path, { recursive: true, force: true }))
    return path
  }

  async start(port: number, settings: Record<string, string | number> = {}): Promise<Redis> {
    const redis = await startRedis(port, { ...settings, dir: this.folder() })
    this.undo.push(() => redis.stop())
    return redis
  }

  end(undo: () => unknown): void {
    this.undo.push(undo)
  }

  readonly stop = async (): Promise<void> => {
    for (const undo of this.undo.splice(0).reverse()) await undo()
  }
}

const ask = async (port: number, ...command: string[]): Promise<unknown> => {
  const client = await connectRedis(`redis://127.0.0.1:${port}`)
  const answer = await client.sendCommand(command)
  client.destroy()
  return answer
}

const wholeCluster = (ports: readonly number[], known: number) =>
  eventually(async () => {
    for (const port of ports) {
      const info = String(await ask(port, 'CLUSTER', 'INFO'))
      expect(info).toContain('cluster_state:ok')
      expect(info).toContain(`cluster_known_nodes:${known}`)
    }
  })

export interface RedisCluster {
  stop(): Promise<void>
  readonly ports: readonly number[]
  /** The node that holds a key, and the replica of it. */
  holderOf(key: string): Promise<{ port: number; stop(): Promise<void>; replica: number | undefined }>
}

/** Three nodes with a third of the slots each, and as many replicas if wanted. */
export const startCluster = async (withReplicas = false): Promise<RedisCluster> => {
  const topology = new Topology()
  const settings = { 'cluster-enabled': 'yes', 'cluster-node-timeout': 2_000 }
  const ports: number[] = []
  const servers: Redis[] = []
  for (let i = 0; i < (withReplicas ? 6 : 3); i++) {
    const port = await freePort()
    // By default, the port of the cluster bus would be the port + 10,000.
    servers.push(await topology.start(port, { ...settings, 'cluster-port': await freePort() }))
    ports.push(port)
  }
  const [first = 0, ...others] = ports
  const step = Math.ceil(16_384 / 3)
  for (let i = 0; i < 3; i++) {
    const [from, to] = [i * step, Math.min(16_383, (i + 1) * step - 1)]
    await ask(ports[i] as number, 'CLUSTER', 'ADDSLOTSRANGE', `${from}`, `${to}`)
    await ask(ports[i] as number, 'CLUSTER', 'SET-CONFIG-EPOCH', `${i + 1}`)
  }
  const busOf = async (port: number) => {
    const line = String(await ask(port, 'CLUSTER', 'NODES'))
    return /:\d+@(\d+)/.exec(line)?.[1] as string
  }
  const bus = await busOf(first)
  for (const port of others) await ask(port, 'CLUSTER', 'MEET', '127.0.0.1', `${first}`, bus)
  await wholeCluster(ports.slice(0, 3), ports.length)
  if (withReplicas) {
    for (let i = 0; i < 3; i++) {
      const id = String(await ask(ports[i] as number, 'CLUSTER', 'MYID'))
      const replica = ports[i + 3] as number
      await eventually(() => ask(replica, 'CLUSTER', 'REPLICATE', id))
      await eventually(async () =>
        expect(String(await ask(replica, 'INFO', 'replication'))).toContain('master_link_status:up'),
      )
    }
    await wholeCluster(ports, 6)
  }
  return {
    stop: topology.stop,
    ports,
    async holderOf(key) {
      const slot = Number(await ask(first, 'CLUSTER', 'KEYSLOT', key))
      const i = Math.floor(slot / step)
      return {
        port: ports[i] as number,
        stop: () => (servers[i] as Redis).stop(),
        replica: ports[i + 3],
      }
    },
  }
}

export interface Watched {
  stop(): Promise<void>
  /** The port of Sentinel. */
  readonly sentinel: number
  readonly primary: number
  readonly replica: number
  stopPrimary(): Promise<void>
  /** The port of the primary, as Sentinel sees it. */
  current(): Promise<number>
}

/** A primary named `main` with a replica, and a Sentinel that replaces it when it has been away for a second. */
export const startSentinel = async (): Promise<Watched> => {
  const topology = new Topology()
  const [primary, replica, port] = [await freePort(), await freePort(), await freePort()]
  const first = await topology.start(primary)
  await topology.start(replica, { replicaof: `127.0.0.1 ${primary}` })
  await eventually(async () =>
    expect(String(await ask(replica, 'INFO', 'replication'))).toContain('master_link_status:up'),
  )
  const path = topology.folder()
  const file = join(path, 'sentinel.conf')
  writeFileSync(
    file,
    [
      `port ${port}`,
      'bind 127.0.0.1',
      `dir ${path}`,
      `sentinel monitor main 127.0.0.1 ${primary} 1`,
      'sentinel down-after-milliseconds main 1000',
      'sentinel failover-timeout main 5000',
      '',
    ].join('\n'),
  )
  const child = spawn('sh', ['-c', LIFELINE, 'sh', sentinel() as string, file], {
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  const exited = once(child, 'exit')
  topology.end(async () => {
    child.stdin.end()
    await exited
  })
  const current = async () => {
    const [, found] = (await ask(port, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'main')) as string[]
    return Number(found)
  }
  await eventually(async () => {
    expect(await current()).toBe(primary)
    expect(String(await ask(port, 'INFO', 'sentinel'))).toContain('slaves=1')
  })
  return { stop: topology.stop, sentinel: port, primary, replica, stopPrimary: () => first.stop(), current }
}
