// Servers of the protocol with the same application: the event `echo` is answered, and the event `fail` is refused. All clients may join groups.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'
import { createReliableServer, memoryStore, redisStore, type Session, type Store } from '../../src/server.ts'
import { hasPython, startRecipe } from './python.ts'
import { connectRedis, hasRedis, startRedis } from './redis.ts'
import { startByTheDocuments } from './reliable-by-the-documents.ts'

export interface Server {
  readonly port: number
  /** Simulates a crash, and starts it again on the same port, with or without its sessions. */
  restart(keep: boolean): Promise<void>
  stop(): Promise<void>
}

export interface ServerKind {
  readonly name: string
  /** Whether it can run here. */
  readonly here: () => boolean
  /** Whether a token becomes invalid when the next one is used. */
  readonly rotates: boolean
  /** Whether sessions can outlive the process. */
  readonly persists: boolean
  start(): Promise<Server>
}

interface Running {
  readonly port: number
  stop(): Promise<void>
}

const restarting = async (start: (port: number, keep: boolean) => Promise<Running>): Promise<Server> => {
  let running = await start(0, false)
  const { port } = running
  return {
    port,
    async restart(keep) {
      await running.stop()
      running = await start(port, keep)
    },
    stop: () => running.stop(),
  }
}

const onMessage = ({ event, data }: { event: string; data: unknown }, session: Session) => {
  if (event === 'fail') throw new Error('as was asked for')
  session.send(data)
}

const startOurs = async (port: number, store: Store): Promise<Running> => {
  const wss = new WebSocketServer({ port, host: '127.0.0.1', maxPayload: 2 ** 21 })
  await once(wss, 'listening')
  const server = createReliableServer(wss, {
    store,
    onMessage,
    onJoin: () => true,
    onPublish: () => true,
    onError: () => {},
  })
  return {
    port: (wss.address() as AddressInfo).port,
    async stop() {
      for (const client of wss.clients) client.terminate()
      const closed = new Promise(resolve => wss.close(resolve))
      await server.close({ timeout: 0 })
      await closed
    },
  }
}

const startOursOnRedis = async (): Promise<Server> => {
  const redis = await startRedis()
  const client = await connectRedis(redis.url)
  let generation = 0
  const server = await restarting((port, keep) => {
    if (!keep) generation++
    return startOurs(
      port,
      redisStore(client, { prefix: `interop-${process.pid}-${generation}:`, warn: false }),
    )
  })
  return {
    ...server,
    async stop() {
      await server.stop()
      client.destroy()
      await redis.stop()
    },
  }
}

export const serverKinds: readonly ServerKind[] = [
  {
    name: 'ours, in memory',
    here: () => true,
    rotates: true,
    persists: false,
    start: () => restarting(port => startOurs(port, memoryStore())),
  },
  { name: 'ours, in Redis', here: hasRedis, rotates: true, persists: true, start: startOursOnRedis },
  {
    name: 'Python recipe',
    here: () => hasPython('websockets'),
    rotates: true,
    persists: false,
    start: () => restarting(port => startRecipe(port)),
  },
  {
    name: 'by the documents',
    here: () => true,
    rotates: false,
    persists: false,
    start: () =>
      restarting(port =>
        startByTheDocuments(port, (event, dataType, data, reply) => {
          if (event === 'fail') throw new Error('as was asked for')
          reply({ from: 'server', dataType, data })
        }),
      ),
  },
]
