// The compiler is the judge here, as in test/core/types.test.ts.
import { createServer, type IncomingMessage } from 'node:http'
import { createClient, createClientPool } from 'redis'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { WebSocketServer } from 'ws'
import {
  type Authorization,
  type Message,
  memoryStore,
  type Payload,
  type ReliableOptions,
  type ReliableServer,
  redisStore,
  reliable,
  type ServerStats,
  type Session,
  type Store,
} from '../../src/server.ts'

/** Compiled, never run. */
const unrun = (_: () => void) => expect(true).toBe(true)

describe('what comes from other packages', () => {
  test('a WebSocketServer of ws fits, and its request is known in full', () => {
    const wss = new WebSocketServer({ noServer: true })
    unrun(() => {
      const server = reliable(wss, {
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
      // @ts-expect-error an HTTP server is none
      reliable(createServer())
    })
  })

  test('a client of redis fits, with any settings', () => {
    unrun(() => {
      expectTypeOf(redisStore(createClient())).toEqualTypeOf<Store>()
      redisStore(createClient({ url: 'redis://localhost', RESP: 2 }), { prefix: 'app:' })
      redisStore(createClient({ RESP: 3 }))
      // @ts-expect-error a pool has no connection that could listen
      redisStore(createClientPool())
    })
  })
})

test('data has the type that dataType says', () => {
  unrun(() => {
    const onMessage: NonNullable<ReliableOptions['onMessage']> = message => {
      expectTypeOf(message.id).toEqualTypeOf<string | undefined>()
      expectTypeOf(message.event).toEqualTypeOf<string>()
      if (message.dataType === 'text') expectTypeOf(message.data).toEqualTypeOf<string>()
      else if (message.dataType === 'binary') expectTypeOf(message.data).toEqualTypeOf<Uint8Array>()
      else expectTypeOf(message.data).toEqualTypeOf<unknown>()
    }
    expectTypeOf<Message>().toExtend<Payload>()
    return onMessage
  })
})

test('options are what they say', () => {
  unrun(() => {
    const wss = new WebSocketServer({ noServer: true })
    reliable(wss)
    reliable(wss, { authorize: () => ({ userId: 'ada', groups: ['staff'] }), store: memoryStore() })
    reliable(wss, { authorize: async () => false })
    // @ts-expect-error no user
    reliable(wss, { authorize: () => 7 })
    // @ts-expect-error one origin is a list of one
    reliable(wss, { origins: 'https://app.example.com' })
    // @ts-expect-error no such option
    reliable(wss, { maxUnacknowledged: 5 })
    // @ts-expect-error may or may not
    reliable(wss, { onJoin: () => 'yes' })
    expectTypeOf<Authorization>().toExtend<unknown>()
  })
})

test('the server answers with numbers', () => {
  unrun(() => {
    const server = reliable(new WebSocketServer({ noServer: true }))
    expectTypeOf(server.send('id', { any: 'thing' })).toEqualTypeOf<Promise<number>>()
    expectTypeOf(server.publish('group', 'x', { except: 'id' })).toEqualTypeOf<Promise<number>>()
    expectTypeOf(server.stats).toEqualTypeOf<ServerStats>()
    // @ts-expect-error a snapshot
    server.stats.sent = 0
    // @ts-expect-error no such type
    server.send('id', 'x', 'xml')
  })
})
