// The compiler is the judge here, as in test/core/types.test.ts.
import { type } from 'arktype'
import * as v from 'valibot'
import { describe, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { type CallError, type CallSchema, type Calls, calls, jsonRpc } from '../../src/calls.ts'
import { createSocket } from '../../src/index.ts'
import { createFakeServer } from '../../src/testing.ts'

const idle = { autoConnect: false, WebSocket: createFakeServer().WebSocket } as const
const create = () => createSocket('wss://push.example.com/feed', idle)

const contract = {
  'order.place': { params: z.object({ qty: z.coerce.number() }), result: v.object({ id: v.number() }) },
  balance: { result: type('number') },
  news: {
    params: z.object({ after: z.number().optional() }),
    event: z.object({ id: z.number(), at: z.coerce.date() }),
  },
  confirm: { params: z.object({ text: z.string() }), result: z.boolean() },
}
const api = calls(create(), jsonRpc(), { contract })
/** Compiled, and never run. */
const never = (_: () => unknown) => {}

describe('in TypeScript, with a contract', () => {
  test('a call takes what its schema takes, and resolves with what the schema of its result gives', () => {
    never(() => {
      expectTypeOf(api.call('order.place', { qty: '3' })).toEqualTypeOf<Promise<{ id: number }>>()
      expectTypeOf(api.call('balance')).toEqualTypeOf<Promise<number>>()
      api.call('balance', undefined, { timeout: 5, again: 'always', signal: new AbortController().signal })
      // @ts-expect-error There is no such name.
      api.call('order.plaec')
      // @ts-expect-error The parameters are missing.
      api.call('order.place')
      // @ts-expect-error One of them is.
      api.call('order.place', {})
      // @ts-expect-error There is no such choice.
      api.call('balance', undefined, { again: 'sometimes' })
      // @ts-expect-error There is no such option.
      api.call('balance', undefined, { ttl: 5 })
    })
  })

  test('a subscription takes parameters or a function of the last item, and its listener gets items', () => {
    never(() => {
      api.subscribe('news', {}, (item, info) => {
        expectTypeOf(item).toEqualTypeOf<{ id: number; at: Date }>()
        expectTypeOf(info).toEqualTypeOf<{ readonly gap: boolean }>()
      })
      const stop = api.subscribe(
        'news',
        last => ({ after: last?.id }),
        () => {},
        {
          onEnd: error => expectTypeOf(error).toEqualTypeOf<CallError | undefined>(),
        },
      )
      expectTypeOf(stop).toEqualTypeOf<() => void>()
      // @ts-expect-error It is a number.
      api.subscribe('news', { after: 'yesterday' }, () => {})
    })
  })

  test('a handler gets what the schema gives, and returns what the schema of the result takes', () => {
    never(() => {
      api.handle('confirm', params => {
        expectTypeOf(params).toEqualTypeOf<{ text: string }>()
        return true
      })
      api.handle('confirm', async () => false)
      // @ts-expect-error It is a boolean.
      api.handle('confirm', () => 'yes')
    })
  })

  test('a notification takes the parameters of a call', () => {
    never(() => {
      expectTypeOf(api.notify('confirm', { text: '' }, { volatile: true })).toEqualTypeOf<
        'sent' | 'queued' | 'dropped'
      >()
      // @ts-expect-error It is a string.
      api.notify('confirm', { text: 1 })
    })
  })
})

describe('in TypeScript, without schemas', () => {
  test('every name is allowed, and every value is unknown', () => {
    const any = calls(create(), jsonRpc())
    never(() => {
      expectTypeOf(any.call('what', { ever: 1 })).toEqualTypeOf<Promise<unknown>>()
      any.subscribe('what', undefined, item => expectTypeOf(item).toEqualTypeOf<unknown>())
      any.handle('what', params => expectTypeOf(params).toEqualTypeOf<unknown>())
      any.on('error', error => expectTypeOf(error).toEqualTypeOf<CallError>())
    })
  })

  test('a contract can be a type alone', () => {
    interface Order {
      readonly id: number
    }
    type Api = { order: { params: CallSchema<{ qty: number }>; result: CallSchema<Order> } }
    const typed: Calls<Api> = calls<Api>(create(), jsonRpc())
    never(() => expectTypeOf(typed.call('order', { qty: 1 })).toEqualTypeOf<Promise<Order>>())
  })

  test('the socket can be made with blobs, and inside the function that gets prepare', () => {
    calls(
      prepare => createSocket('wss://push.example.com/feed', { ...idle, binaryType: 'blob', prepare }),
      jsonRpc(),
    )
    calls(
      prepare =>
        createSocket('wss://push.example.com/feed', {
          ...idle,
          async prepare(connection) {
            connection.send('token')
            await connection.receive()
            await prepare(connection)
          },
        }),
      jsonRpc(),
    )
  })
})
