// A shared socket in the place of one of createSocket(), under the other entries of the package.
import { expect, expectTypeOf, test } from 'vitest'
import type { Socket } from '../../src/index.ts'
import { json } from '../../src/json.ts'
import { messages } from '../../src/stream.ts'
import { createTabsSocket, type TabsSocket } from '../../src/tabs.ts'
import { createFakeServer } from '../../src/testing.ts'
import { webSocketOver } from '../../src/websocket.ts'
import { createWorld, fresh, settle } from './world.ts'

fresh()

test('a shared socket has the type of a socket', () => {
  expectTypeOf<TabsSocket>().toExtend<Socket>()
  expectTypeOf<TabsSocket<'blob'>>().toExtend<Socket<'blob'>>()
})

test('json() and messages() accept a shared socket', async () => {
  const [one, two] = await createWorld().tabs(2)
  const typed = json(two.socket)
  const values: unknown[] = []
  typed.on('message', value => values.push(value))
  const reader = messages(two.socket)
  one.server.latest.send('{"price":3}')
  await settle()
  expect(values).toEqual([{ price: 3 }])
  expect((await reader.next()).value).toBe('{"price":3}')
  typed.send({ buy: 1 })
  await settle()
  expect(one.server.latest.received).toEqual(['{"buy":1}'])
})

test('without BroadcastChannel or Web Locks, a tab has a connection of its own, and says so', async () => {
  const server = createFakeServer()
  const socket = createTabsSocket('wss://push.test/feed', { WebSocket: server.WebSocket })
  await settle()
  expect(socket.sharing).toEqual({ holder: 'none', tabs: 1 })
  socket.send('alone')
  await settle()
  expect(server.latest.received).toEqual(['alone'])
  expect(await socket.claim('a')).toBe(true)
  expect(await socket.claim('a')).toBe(false)
  socket.close()
  await settle(5_000)
  expect(socket.state.name).toBe('closed')
  expect(server.clients).toHaveLength(0)
})

test('webSocketOver() makes a class whose instances share a connection', async () => {
  const server = createFakeServer()
  const SharedWebSocket = webSocketOver((endpoint, { WebSocket: _, ...options }) =>
    createTabsSocket(endpoint, { ...(options as object), WebSocket: server.WebSocket }),
  )
  const socket = new SharedWebSocket('wss://push.test/feed')
  const events: string[] = []
  for (const type of ['open', 'message', 'close'] as const)
    socket.addEventListener(type, ({ type }) => events.push(type))
  await settle()
  server.latest.send('a')
  socket.send('b')
  await settle()
  expect(socket.readyState).toBe(1)
  expect(server.latest.received).toEqual(['b'])
  socket.close()
  await settle(5_000)
  expect(events).toEqual(['open', 'message', 'close'])
})
