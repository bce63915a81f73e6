import { expect, expectTypeOf, test } from 'vitest'
import { assemble, heartbeat } from '../../src/core.ts'
import { createSocket, type Endpoint, type SocketOptions } from '../../src/index.ts'
import { createFakeServer } from '../../src/testing.ts'
import { SteadyWebSocket, webSocketOver } from '../../src/websocket.ts'
import { fresh } from '../support/setup.ts'

fresh()

/** A class over a function that records its calls. */
const setUp = () => {
  const calls: [Endpoint, SocketOptions<BinaryType>][] = []
  const Socket = webSocketOver((endpoint, options) => {
    calls.push([endpoint, options])
    return createSocket(endpoint, options)
  })
  return { calls, Socket, server: createFakeServer() }
}

test('webSocketOver() returns a new class that creates its sockets with the given function', () => {
  const { calls, Socket, server } = setUp()
  const socket = new Socket('wss://push.example.com/', 'v2', { WebSocket: server.WebSocket, retry: false })
  server.latest.accept().send('hello')
  expect(calls).toEqual([
    ['wss://push.example.com/', expect.objectContaining({ protocols: 'v2', retry: false })],
  ])
  expect(socket).toBeInstanceOf(Socket)
  expect(socket).not.toBeInstanceOf(SteadyWebSocket)
  expect(`${socket}`).toBe('[object WebSocket]')
  expect([socket.readyState, socket.url, Socket.name]).toEqual([1, 'wss://push.example.com/', 'WebSocket'])
  socket.close()
})

test('a class of webSocketOver() can be extended, and is assignable to typeof WebSocket', () => {
  const { Socket, server } = setUp()
  class Loud extends Socket {
    constructor(url: string) {
      super(url, undefined, { WebSocket: server.WebSocket })
    }
  }
  expectTypeOf(Socket).toExtend<typeof WebSocket>()
  expectTypeOf<Loud>().toExtend<WebSocket>()
  const socket = new Loud('wss://push.example.com/')
  expect(socket).toBeInstanceOf(Socket)
  expect(socket).toBeInstanceOf(EventTarget)
  socket.close()
})

test('webSocketOver() accepts an assembled core, also without reconnection', () => {
  for (const create of [assemble({}), assemble({ heartbeat })]) {
    const Socket = webSocketOver(create)
    const server = createFakeServer()
    const socket = new Socket('wss://push.example.com/', [], { WebSocket: server.WebSocket, retry: false })
    const received: unknown[] = []
    socket.onmessage = ({ data }) => received.push(data)
    server.latest.accept().send('hello').drop()
    expect([socket.readyState, received]).toEqual([3, ['hello']])
  }
})

test('an assembled core without delivery rejects highWaterMark, also 0', () => {
  const { WebSocket } = createFakeServer()
  for (const highWaterMark of [0, 5]) {
    expect(() => assemble({})('wss://push.example.com/', { WebSocket, highWaterMark } as object)).toThrow(
      "An option needs the part 'delivery'",
    )
  }
})

test('webSocketOver() accepts createSocket itself', () => {
  expectTypeOf(webSocketOver).toBeCallableWith(createSocket)
  expect(webSocketOver(createSocket)).not.toBe(SteadyWebSocket)
})
