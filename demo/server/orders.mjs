// Orders over JSON-RPC at /rpc. An order is carried out at once, and answered after `work` milliseconds (null: never), so that the connection can
// break in between.
import { once } from 'node:events'
import { WebSocketServer } from 'ws'

const maxWork = 5_000
const maxBatches = 500

const isBatch = batch => typeof batch === 'string' && /^[\w-]{1,60}$/.test(batch)
const invalid = { code: -32602, message: 'Invalid params' }

export const startOrders = async () => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', path: '/rpc', maxPayload: 4 * 1024 })
  await once(server, 'listening')
  /** How many orders of each batch were carried out. */
  const counts = new Map()
  const timers = new Set()

  const order = ({ batch, work }, answer) => {
    if (!isBatch(batch) || !(work === null || (work >= 0 && work <= maxWork)))
      return answer({ error: invalid })
    counts.set(batch, (counts.get(batch) ?? 0) + 1)
    if (counts.size > maxBatches) counts.delete(counts.keys().next().value)
    if (work === null) return
    const timer = setTimeout(() => {
      timers.delete(timer)
      answer({ result: 'done' })
    }, work)
    timers.add(timer)
  }
  const count = ({ batch }, answer) => answer({ result: counts.get(batch) ?? 0 })
  const methods = new Map([
    ['order', order],
    ['count', count],
  ])

  server.on('connection', client => {
    client.on('error', () => {})
    client.on('message', data => {
      let call
      try {
        call = Object(JSON.parse(data.toString()))
      } catch {
        return client.close(1007, 'this is not JSON')
      }
      const { id, method, params } = call
      const answer = outcome => client.send(JSON.stringify({ jsonrpc: '2.0', id, ...outcome }), () => {})
      const run = methods.get(method)
      if (run) run(Object(params), answer)
      else answer({ error: { code: -32601, message: 'Method not found' } })
    })
  })

  return {
    port: server.address().port,
    stop() {
      for (const timer of timers) clearTimeout(timer)
      for (const client of server.clients) client.terminate()
      server.close()
    },
  }
}
