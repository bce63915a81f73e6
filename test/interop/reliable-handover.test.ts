// Handovers of a session from one connection to another, with messages in flight in both directions.
import { expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { createReliableSocket } from '../../src/reliable.ts'
import { memoryStore } from '../../src/server.ts'
import { cleanUp, cleanup } from '../support/cleanup.ts'
import { eventually } from '../support/eventually.ts'
import { startProxy } from '../support/proxy.ts'
import { byEffort } from '../support/run.ts'
import { type Node, startNode } from './server-rig.ts'

cleanUp()

const rotations = byEffort(20, 50, 1_000)
const rounds = byEffort(1, 3, 10)

const connect = async (url: string | (() => Promise<string>)) => {
  const socket = createReliableSocket(url, { WebSocket: WebSocket as never, wake: false })
  cleanup(() => socket.close())
  const events: string[] = []
  for (const type of ['open', 'close', 'gap', 'error', 'drop'] as const) {
    socket.on(type, () => events.push(type))
  }
  await new Promise(resolve => socket.once('open', resolve))
  return { socket, events }
}

test(`${rotations} handovers under traffic lose nothing, duplicate nothing, and emit neither close nor open`, {
  // Not an assertion. A rotation takes 0.15 s, and half a second on a busy machine.
  timeout: 120_000 + rotations * 1_000,
}, async () => {
  const up: unknown[] = []
  const ends: unknown[] = []
  const { url, server } = await startNode({
    onMessage: ({ data }) => void up.push(data),
    onDisconnect: (_, close) => void ends.push(close),
  })
  const proxy = await startProxy({ port: Number(new URL(url).port) })
  proxy.delay(5)
  cleanup(() => proxy.close())
  const { socket, events } = await connect(proxy.url('/'))
  const down: unknown[] = []
  const outcomes: Promise<unknown>[] = []
  socket.on('message', ({ data }) => down.push(data))
  let sent = 0
  const traffic = setInterval(() => {
    outcomes.push(socket.send(sent))
    server.broadcast(sent++)
  }, 5)
  cleanup(() => clearInterval(traffic))
  for (let i = 0; i < rotations; i++) await socket.handover(i)
  clearInterval(traffic)
  await Promise.all(outcomes)
  await eventually(() => expect(down.length).toBe(sent))
  const all = Array.from({ length: sent }, (_, i) => i)
  expect(up).toEqual(all)
  expect(down).toEqual(all)
  expect(events).toEqual(['open'])
  expect(ends).toEqual([])
  expect(socket.stats.connections).toBe(rotations + 1)
})

test('a connection that the client leaves open is closed when its session has moved to another', async () => {
  const { url } = await startNode()
  const first = new WebSocket(url, 'json.reliable.webpubsub.azure.v1')
  const connected = JSON.parse(String(await new Promise(resolve => first.once('message', resolve))))
  const { connectionId, reconnectionToken } = connected
  const closed = new Promise(resolve =>
    first.once('close', (code, reason) => resolve([code, String(reason)])),
  )
  const second = new WebSocket(url, [
    'json.reliable.webpubsub.azure.v1',
    `resume.${connectionId}.${reconnectionToken}`,
  ])
  cleanup(() => second.terminate())
  const again = JSON.parse(String(await new Promise(resolve => second.once('message', resolve))))
  expect(again.connectionId).toBe(connectionId)
  expect(await closed).toEqual([1000, 'the session has moved to another connection'])
  expect(second.readyState).toBe(1)
})

test(`three nodes that are drained and restarted in turn, ${rounds} times, show a client neither close nor open`, async () => {
  const store = memoryStore()
  const up: unknown[] = []
  const start = () => startNode({ store, onMessage: ({ data }) => void up.push(data) })
  const nodes = [await start(), await start(), await start()]
  /** As a load balancer does it: no new connection for a node that is not ready. */
  const route = async () => {
    const ready = await Promise.all(nodes.map(({ server }) => server.ready()))
    return (nodes[ready.indexOf(true)] as Node).url
  }
  const { socket, events } = await connect(route)
  const outcomes: Promise<unknown>[] = []
  const down: unknown[] = []
  socket.on('message', ({ data }) => down.push(data))
  let sent = 0
  const traffic = setInterval(() => {
    outcomes.push(socket.send(sent))
    nodes.find(({ wss }) => wss.clients.size)?.server.broadcast(sent)
    sent++
  }, 5)
  cleanup(() => clearInterval(traffic))
  // By then the server knows that this client can move.
  await eventually(() => expect(up.length).toBeGreaterThan(0))
  for (let i = 0; i < 3 * rounds; i++) {
    const old = nodes.shift() as Node
    await old.server.drain({ over: 10 })
    expect(old.wss.clients.size).toBe(0)
    await old.server.close()
    nodes.push(await start())
  }
  clearInterval(traffic)
  await Promise.all(outcomes)
  expect(up).toEqual(Array.from({ length: sent }, (_, i) => i))
  expect(events).toEqual(['open'])
  expect(socket.stats.connections).toBe(3 * rounds + 1)
  await eventually(() => expect(down).toEqual([...new Set(down)].sort((a, b) => Number(a) - Number(b))))
})
