// A server node in a process of its own, which tests can kill. It echoes messages exactly once.
import type { AddressInfo } from 'node:net'
import { createClient } from 'redis'
import { WebSocketServer } from 'ws'
import { createReliableServer, redisStore } from '../../src/server.ts'

const [, , url, port] = process.argv
const client = createClient({ url: url as string })
client.on('error', () => {})
await client.connect()
const wss = new WebSocketServer({ port: Number(port), host: '127.0.0.1' })
createReliableServer(wss, {
  store: redisStore(client, { warn: false }),
  onMessage: ({ data }, session) => session.send(data),
})
wss.on('listening', () => process.send?.((wss.address() as AddressInfo).port))
