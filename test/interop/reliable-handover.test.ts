// A session that moves from one connection to another while messages are on their way in both directions.
import { expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { createReliableSocket } from '../../src/reliable.ts'
import { cleanUp, cleanup } from '../support/cleanup.ts'
import { startProxy } from '../support/proxy.ts'
import { byEffort } from '../support/run.ts'
import { startNode } from './server-rig.ts'

cleanUp()

const rotations = byEffort(20, 50, 1_000)

const connect = async (url: string) => {
  const socket = createReliableSocket(url, { WebSocket: WebSocket as never, wake: false })
  cleanup(() => socket.close())
  const events: string[] = []
  for (const type of ['open', 'close', 'gap', 'error', 'drop'] as const) {
    socket.on(type, () => events.push(type))
  }
  await new Promise(resolve => socket.once('open', resolve))
  return { socket, events }
}

test(`${rotations} rotations under traffic lose nothing, double nothing and show neither close nor open`, async () => {
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
  await vi.waitFor(() => expect(down.length).toBe(sent), { timeout: 10_000 })
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
