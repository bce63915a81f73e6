// A server node as a process of its own, to be killed. It ends by itself when whoever started it is gone.
import { createClient } from 'redis'
import { WebSocketServer } from 'ws'
import { createReliableServer, redisStore } from '../../src/server.ts'

/** What the node is told at its start. */
export interface NodeSettings {
  readonly redis: string
  readonly prefix: string
  readonly port: number
  readonly maxUnacknowledged: number
  /** Tell the test of every message that the handler is called with. Only of use where no node dies: what it told last is lost then. */
  readonly witness: boolean
}

/** What the test asks of it. */
export type Order =
  /** Stand still, as in a long collection of garbage or in a virtual machine that is moved; the kernel goes on to take bytes. */
  | { readonly block: number }
  /** Shut down in good order. */
  | { readonly retryAfter: number }
  | { readonly report: true }

/** What it says of itself. */
export type NodeNews =
  | { readonly kind: 'listening' }
  | { readonly kind: 'handled'; readonly from: number; readonly n: number }
  | { readonly kind: 'report'; readonly heap: number; readonly errors: readonly string[] }

/** What a client says. */
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
  // Stored with the mark that the message was handled, all of it or nothing: one word to the auditor, one or two replies.
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
    // Some handlers take their time, and can be killed in the middle.
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
