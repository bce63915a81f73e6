// Type tests, like test/core/types.test.ts.
import { createServer, type IncomingMessage } from 'node:http'
import { createClient, createClientPool } from 'redis'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { WebSocketServer } from 'ws'
import {
  type Authorization,
  type ClientMessage,
  createReliableServer,
  memoryStore,
  type Payload,
  type ReliableServer,
  type ReliableServerOptions,
  redisStore,
  type ServerStats,
  type Session,
  type Store,
} from '../../src/server.ts'

/** The function is compiled, and never called. */
const unrun = (_: () => void) => expect(true).toBe(true)

describe('the types of other packages', () => {
  test('a WebSocketServer of ws is accepted, and handlers get the full type of its request', () => {
    const wss = new WebSocketServer({ noServer: true })
    unrun(() => {
      const server = createReliableServer(wss, {
        authorize: request => {
          expectTypeOf(request).toEqualTypeOf<IncomingMessage>()
          return request.socket.remoteAddress ?? false
        },
        origins: (origin, request) => {
          expectTypeOf(origin).toEqualTypeOf<string | undefined>()
          expectTypeOf(request).toEqualTypeOf<IncomingMessage>()
          return true
        },
        onConnect: (session, { resumed, request }) => {
          expectTypeOf(session).toEqualTypeOf<Session>()
          expectTypeOf(resumed).toEqualTypeOf<boolean>()
          expectTypeOf(request).toEqualTypeOf<IncomingMessage>()
        },
      })
      expectTypeOf(server).toEqualTypeOf<ReliableServer>()
      // @ts-expect-error an HTTP server is not a WebSocketServer
      createReliableServer(createServer())
    })
  })

  test('a client of the redis package is accepted, with any settings', () => {
    unrun(() => {
      expectTypeOf(redisStore(createClient())).toEqualTypeOf<Store>()
      redisStore(createClient({ url: 'redis://localhost', RESP: 2 }), { prefix: 'app:' })
      redisStore(createClient({ RESP: 3 }))
      // @ts-expect-error a pool has no connection that could listen
      redisStore(createClientPool())
    })
  })
})

test('dataType determines the type of data', () => {
  unrun(() => {
    const onMessage: NonNullable<ReliableServerOptions['onMessage']> = message => {
      expectTypeOf(message.id).toEqualTypeOf<string | undefined>()
      expectTypeOf(message.event).toEqualTypeOf<string>()
      if (message.dataType === 'text') expectTypeOf(message.data).toEqualTypeOf<string>()
      else if (message.dataType === 'binary') expectTypeOf(message.data).toEqualTypeOf<Uint8Array>()
      else expectTypeOf(message.data).toEqualTypeOf<unknown>()
    }
    expectTypeOf<ClientMessage>().toExtend<Payload>()
    return onMessage
  })
})

test('invalid options do not compile', () => {
  unrun(() => {
    const wss = new WebSocketServer({ noServer: true })
    createReliableServer(wss)
    createReliableServer(wss, {
      authorize: () => ({ userId: 'ada', groups: ['staff'] }),
      store: memoryStore(),
    })
    createReliableServer(wss, { authorize: async () => false })
    // @ts-expect-error no user
    createReliableServer(wss, { authorize: () => 7 })
    // @ts-expect-error the origins must be a list
    createReliableServer(wss, { origins: 'https://app.example.com' })
    // @ts-expect-error no such option
    createReliableServer(wss, { maxUnacked: 5 })
    // @ts-expect-error the result must be a boolean
    createReliableServer(wss, { onJoin: () => 'yes' })
    expectTypeOf<Authorization>().toExtend<unknown>()
  })
})

test('the methods of the server resolve with numbers', () => {
  unrun(() => {
    const server = createReliableServer(new WebSocketServer({ noServer: true }))
    expectTypeOf(server.send('id', { any: 'thing' })).toEqualTypeOf<Promise<number>>()
    expectTypeOf(server.publish('group', 'x', { except: 'id' })).toEqualTypeOf<Promise<number>>()
    expectTypeOf(server.stats).toEqualTypeOf<ServerStats>()
    // @ts-expect-error a snapshot
    server.stats.sent = 0
    // @ts-expect-error no such type
    server.send('id', 'x', 'xml')
  })
})
