// Starts server nodes in processes of their own, each behind a fault proxy, and one Redis for all of them.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'
import { WebSocket, WebSocketServer } from 'ws'
import { createReliableSocket, type ReliableOptions, type ReliableSocket } from '../../src/reliable.ts'
import { createReliableServer, type ReliableServer, redisStore } from '../../src/server.ts'
import { cleanup } from '../support/cleanup.ts'
import { freePort } from '../support/ports.ts'
import { type FaultProxy, startProxy } from '../support/proxy.ts'
import { type Client, connectRedis, type Redis, startRedis } from './redis.ts'
import type { NodeNews, NodeSettings, Order } from './reliable-node.ts'

export interface Node {
  readonly proxy: FaultProxy
  /** Whether it runs and accepts connections. */
  readonly up: boolean
  /** The ids of all its processes so far. */
  readonly pids: ReadonlySet<number | undefined>
  order(order: Order): void
  kill(): Promise<void>
  /** Shuts it down in an orderly way. */
  close(retryAfter: number): Promise<void>
  start(): Promise<void>
  /** Resolves with its next message of this kind. */
  hear<Kind extends NodeNews['kind']>(kind: Kind): Promise<Extract<NodeNews, { kind: Kind }>>
}

export interface Cluster {
  readonly nodes: readonly Node[]
  readonly redis: Client
  /** The fault proxy between the nodes and Redis. */
  readonly line: FaultProxy
  /** A node without connections in this process, which is not killed. It only sends. */
  readonly pusher: ReliableServer
  /** Calls the listener with each message that a node has handled. */
  onHandled(hear: (news: Extract<NodeNews, { kind: 'handled' }>) => void): void
  /** Kills Redis, and starts it again without data. */
  forgetAll(): Promise<void>
  /** Connects a client. It records the process id of the node of its current connection. */
  connect(
    pick: () => Node,
    path?: string,
    options?: ReliableOptions,
  ): ReliableSocket & { readonly node: number }
}

const root = fileURLToPath(new URL('../../', import.meta.url))

/** The node as a file that Node runs. */
const build = (): string => {
  const file = `${root}.tmp/reliable-node-${process.pid}.mjs`
  mkdirSync(`${root}.tmp`, { recursive: true })
  buildSync({
    entryPoints: [`${root}test/interop/reliable-node.ts`],
    outfile: file,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    logLevel: 'error',
  })
  cleanup(() => rmSync(file, { force: true }))
  return file
}

const startNode = async (
  file: string,
  settings: NodeSettings,
  hear: (news: NodeNews) => void,
): Promise<Node> => {
  let child: ChildProcess | undefined
  const pids = new Set<number | undefined>()
  const heirs = new Set<(news: NodeNews) => void>([hear])
  const next = <Kind extends NodeNews['kind']>(kind: Kind) =>
    new Promise<Extract<NodeNews, { kind: Kind }>>((resolve, reject) => {
      const gone = () => reject(new Error(`the node ended before it sent '${kind}'`))
      const check = (news: NodeNews) => {
        if (news.kind !== kind) return
        heirs.delete(check)
        child?.off('exit', gone)
        resolve(news as Extract<NodeNews, { kind: Kind }>)
      }
      heirs.add(check)
      child?.once('exit', gone)
    })
  const ended = async (end: (running: ChildProcess) => unknown) => {
    const running = child
    child = undefined
    if (!running || running.exitCode !== null || running.signalCode) return
    end(running)
    await once(running, 'exit')
  }
  const start = async () => {
    const running = fork(file, [JSON.stringify(settings)], { execArgv: ['--expose-gc'] })
    // Sending to a process that has ended is not an error here.
    running.on('error', () => {})
    running.on('message', (news: NodeNews) => {
      for (const heir of [...heirs]) heir(news)
    })
    child = running
    pids.add(running.pid)
    await next('listening')
  }
  cleanup(() => ended(running => running.kill('SIGKILL')))
  await start()
  const proxy = await startProxy({ port: settings.port })
  cleanup(() => proxy.close())
  return {
    proxy,
    pids,
    get up() {
      return child?.exitCode === null && !child.signalCode
    },
    order: order => void child?.send(order, () => {}),
    kill: () => ended(running => running.kill('SIGKILL')),
    close: retryAfter => ended(running => running.send({ retryAfter } satisfies Order)),
    start,
    hear: next,
  }
}

let serial = 0

/** Starts two nodes, their proxies and Redis. All of them end with the test. */
export const startCluster = async ({
  maxUnacknowledged = 1_000,
  witness = false,
  mortal = false,
}: {
  maxUnacknowledged?: number
  witness?: boolean
  /** Whether to start a Redis that can be killed, even if `REDIS_URL` is set. */
  mortal?: boolean
} = {}): Promise<Cluster> => {
  const redisPort = mortal ? await freePort() : 0
  let server: Redis = await startRedis(redisPort)
  cleanup(() => server.stop())
  const redis = await connectRedis(server.url)
  cleanup(() => redis.destroy())
  const { hostname, port } = new URL(server.url)
  const line = await startProxy({ host: hostname, port: Number(port || 6379) })
  cleanup(() => line.close())
  const prefix = `nodes-${process.pid}-${serial++}:`

  const limits = { maxUnacknowledged, maxUnacknowledgedBytes: 2 ** 26 }
  const pusher = createReliableServer(new WebSocketServer({ noServer: true }), {
    store: redisStore(redis, { prefix, warn: false }),
    ...limits,
    // Errors also reject the calls, which the tests check.
    onError: () => {},
  })
  cleanup(() => pusher.close({ timeout: 0 }))

  const hearing = new Set<(news: Extract<NodeNews, { kind: 'handled' }>) => void>()
  const hear = (news: NodeNews) => {
    if (news.kind === 'handled') for (const listener of hearing) listener(news)
  }
  const file = build()
  const settings = {
    redis: server.url.replace(/[^/@]+$/, `127.0.0.1:${line.port}`),
    prefix,
    maxUnacknowledged,
    witness,
  }
  const node = async () => startNode(file, { ...settings, port: await freePort() }, hear)
  const nodes = await Promise.all([node(), node()])

  return {
    nodes,
    redis,
    line,
    pusher,
    onHandled: listener => void hearing.add(listener),
    async forgetAll() {
      await server.stop()
      server = await startRedis(redisPort)
    },
    connect(pick, path = '/', options = {}) {
      let node = 0
      class Native extends WebSocket {
        constructor(url: string | URL, protocols: string | string[]) {
          super(url, protocols)
          this.once('upgrade', ({ headers }) => {
            node = Number(headers['x-node'])
          })
        }
      }
      const socket = createReliableSocket(() => pick().proxy.url(path), {
        WebSocket: Native,
        wake: false,
        connectTimeout: 2_000,
        heartbeat: { interval: 500, timeout: 500 },
        ...options,
      })
      cleanup(() => socket.close())
      return Object.defineProperty(socket, 'node', { get: () => node }) as ReliableSocket & { node: number }
    },
  }
}
