// A server node in a process of its own, which tests can kill. It ends when its parent process has ended.
import { createClient } from 'redis'
import { WebSocketServer } from 'ws'
import { createReliableServer, redisStore } from '../../src/server.ts'

/** The settings of the node. */
export interface NodeSettings {
  readonly redis: string
  readonly prefix: string
  readonly port: number
  readonly maxUnacknowledged: number
  /** Whether to report every message that the handler receives. If the node is killed, the last reports are lost. */
  readonly witness: boolean
}

/** The requests of the test. */
export type Order =
  /** Block the process, as a long garbage collection or the migration of a virtual machine does. The kernel still accepts bytes. */
  | { readonly block: number }
  /** Shut down in an orderly way. */
  | { readonly retryAfter: number }
  | { readonly report: true }

/** The reports of the node. */
export type NodeNews =
  | { readonly kind: 'listening' }
  | { readonly kind: 'handled'; readonly from: number; readonly n: number }
  | { readonly kind: 'report'; readonly heap: number; readonly errors: readonly string[] }

/** A message of a client. */
export interface Word {
  readonly from: number
  readonly n: number
  readonly pad: string
}

const settings: NodeSettings = JSON.parse(process.argv[2] as string)
const tell = (news: NodeNews) => void process.send?.(news)
process.on('disconnect', () => process.exit())

const client = createClient({ url: settings.redis })
client.on('error', () => {})
await client.connect()

const errors: string[] = []
const wss = new WebSocketServer({ port: settings.port, host: '127.0.0.1' })
wss.on('headers', headers => headers.push(`X-Node: ${process.pid}`))
const server = createReliableServer(wss, {
  store: redisStore(client, { prefix: settings.prefix, warn: false }),
  maxUnacknowledged: settings.maxUnacknowledged,
  maxUnacknowledgedBytes: 2 ** 26,
  // Pages of the tests are on another port.
  origins: () => true,
  authorize: ({ url }) => (url?.startsWith('/audit') ? { groups: ['audit'] } : true),
  // One message to the auditor, and one or two replies, which are stored together with the mark that the message was handled.
  async onMessage({ event, data }, session) {
    if (event === 'call') {
      const { id, params } = JSON.parse(data as string)
      session.publish('audit', { call: params[0] })
      if (params[0] % 16 === 0) await new Promise(setImmediate)
      session.send(JSON.stringify({ jsonrpc: '2.0', id, result: params[0] }))
      return
    }
    const { from, n, pad } = data as unknown as Word
    if (settings.witness) tell({ kind: 'handled', from, n })
    session.publish('audit', { from, n, size: pad.length })
    // Some handlers take a while, so that they can be killed in the middle.
    if (n % 16 === 0) await new Promise(setImmediate)
    for (let part = 0; part <= n % 2; part++) session.send({ n, part, pad: part ? '' : pad })
  },
  onError: error => void errors.push(`${error}`),
})

process.on('message', async (order: Order) => {
  if ('block' in order) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, order.block)
  else if ('report' in order) {
    global.gc?.()
    tell({ kind: 'report', heap: process.memoryUsage().heapUsed, errors })
  } else {
    await server.close(order)
    process.exit()
  }
})
wss.on('listening', () => tell({ kind: 'listening' }))
