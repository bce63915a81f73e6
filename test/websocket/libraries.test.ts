// The drop-in class as the WebSocket class of other libraries. They reconnect themselves, so its own reconnection is off, and it adds the heartbeat.
import { buildSchema } from 'graphql'
import { createClient } from 'graphql-ws'
import { useServer } from 'graphql-ws/use/ws'
import { WebSocket as PartySocket } from 'partysocket'
import ReconnectingWebSocket from 'reconnecting-websocket'
import { firstValueFrom, take, toArray } from 'rxjs'
import { webSocket } from 'rxjs/webSocket'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type WebSocketServer, WebSocket as Ws, WebSocketServer as WsServer } from 'ws'
import { SteadyWebSocket } from '../../src/websocket.ts'
import { pieceWith } from '../package/pieces.ts'

class Inner extends SteadyWebSocket {
  constructor(url: string | URL, protocols?: string | string[]) {
    super(url, protocols, { retry: false, WebSocket: Ws as never, heartbeat: { interval: 60_000 } })
  }
}

const schema = buildSchema('type Query { hello: String }')

let server: WebSocketServer
let url: string

beforeEach(async () => {
  server = new WsServer({ port: 0, host: '127.0.0.1' })
  await new Promise(resolve => server.once('listening', resolve))
  url = `ws://127.0.0.1:${(server.address() as { port: number }).port}/`
})
afterEach(async () => {
  for (const peer of server.clients) peer.terminate()
  await new Promise(resolve => server.close(resolve))
})

const echo = () => server.on('connection', peer => peer.on('message', data => peer.send(`${data}`)))

test('graphql-ws over the drop-in class runs queries and reconnects after a cut', async () => {
  useServer({ schema, validate: () => [], execute: () => ({ data: { hello: 'world' } }) }, server)
  const client = createClient({ url, webSocketImpl: Inner, retryAttempts: 3, retryWait: async () => {} })
  const ask = () =>
    new Promise((resolve, reject) =>
      client.subscribe({ query: '{ hello }' }, { next: resolve, error: reject, complete() {} }),
    )
  expect(await ask()).toEqual({ data: { hello: 'world' } })
  const closed = new Promise(resolve => client.on('closed', resolve))
  for (const peer of server.clients) peer.terminate()
  await closed
  expect(await ask()).toEqual({ data: { hello: 'world' } })
  await client.dispose()
})

test('graphql-ws over the drop-in class gets the code and reason of a refusal', async () => {
  useServer({ schema, onConnect: () => false }, server)
  const client = createClient({ url, webSocketImpl: Inner, retryAttempts: 0 })
  const failed = await new Promise(resolve =>
    client.subscribe({ query: '{ hello }' }, { next() {}, error: resolve, complete() {} }),
  )
  expect(failed).toMatchObject({ code: 4403, reason: 'Forbidden' })
})

test('graphql-ws’s server answers the heartbeat that the guide shows', async () => {
  const [, message] = /message: '(.*?)'/.exec(pieceWith('demo/docs/drop-in.md', 'webSocketImpl')) ?? []
  class Watched extends SteadyWebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols, {
        retry: false,
        WebSocket: Ws as never,
        heartbeat: { interval: 1, message: message as string },
      })
    }
  }
  useServer({ schema }, server)
  const client = createClient({ url, webSocketImpl: Watched, lazy: false, retryAttempts: 0 })
  const heard = await Promise.race([
    new Promise(resolve => client.on('pong', () => resolve('pong'))),
    new Promise(resolve => client.on('closed', resolve)),
  ])
  expect(heard).toBe('pong')
  await client.dispose()
})

test('rxjs over the drop-in class sends and receives JSON in order and completes', async () => {
  echo()
  const subject = webSocket<number>({ url, WebSocketCtor: Inner })
  const heard = firstValueFrom(subject.pipe(take(3), toArray()))
  for (const number of [1, 2, 3]) subject.next(number)
  expect(await heard).toEqual([1, 2, 3])
})

test.each([
  ['reconnecting-websocket', ReconnectingWebSocket],
  ['partysocket', PartySocket],
])('%s over the drop-in class opens, echoes and opens again after a cut', async (_, Library) => {
  echo()
  const socket = new Library(url, [], { WebSocket: Inner, minReconnectionDelay: 1, maxReconnectionDelay: 5 })
  const next = (type: 'open' | 'message') =>
    new Promise<any>(resolve => socket.addEventListener(type, resolve as never))
  await next('open')
  const message = next('message')
  socket.send('hello')
  expect((await message).data).toBe('hello')
  const again = next('open')
  for (const peer of server.clients) peer.terminate()
  await again
  socket.close()
})
