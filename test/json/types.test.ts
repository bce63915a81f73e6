// Type tests, like test/core/types.test.ts.
import * as msgpack from '@msgpack/msgpack'
import { type } from 'arktype'
import * as v from 'valibot'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { createSocket } from '../../src/index.ts'
import {
  type Encodable,
  type InvalidData,
  type InvalidText,
  type Issue,
  type Json,
  json,
} from '../../src/json.ts'
import { createFakeServer } from '../../src/testing.ts'

const idle = { autoConnect: false, WebSocket: createFakeServer().WebSocket } as const
const create = () => createSocket('wss://push.example.com/feed', idle)
const createBlobs = () => createSocket('wss://push.example.com/feed', { ...idle, binaryType: 'blob' })

type Price = { symbol: string; at: Date }
type Command = { subscribe: string }
const Price = z.object({ symbol: z.string(), at: z.coerce.date() })

describe('in TypeScript, a message of json()', () => {
  test('is unknown without a schema', () => {
    json(create()).on('message', value => expectTypeOf(value).toEqualTypeOf<unknown>())
  })

  test('has the output type of a zod schema', () => {
    json(create(), Price).on('message', value => expectTypeOf(value).toEqualTypeOf<Price>())
    json(
      create(),
      z.string().transform(async text => text.length),
    ).on('message', value => expectTypeOf(value).toEqualTypeOf<number>())
    const Tick = z.discriminatedUnion('type', [
      z.object({ type: z.literal('bid'), bid: z.number() }),
      z.object({ type: z.literal('halt') }),
    ])
    json(create(), Tick).on('message', tick => {
      if (tick.type === 'bid') expectTypeOf(tick.bid).toEqualTypeOf<number>()
      // @ts-expect-error a halt has no bid
      else tick.bid
    })
  })

  test('has the output type of a valibot schema', () => {
    const at = v.pipe(
      v.string(),
      v.transform(text => new Date(text)),
    )
    json(create(), v.object({ symbol: v.string(), at })).on('message', value =>
      expectTypeOf(value).toEqualTypeOf<Price>(),
    )
    const later = v.pipeAsync(
      v.string(),
      v.transformAsync(async text => new Date(text)),
    )
    json(create(), v.objectAsync({ symbol: v.string(), at: later })).on('message', value =>
      expectTypeOf(value).toEqualTypeOf<Price>(),
    )
  })

  test('has the output type of an arktype schema', () => {
    json(create(), type({ symbol: 'string', at: 'string.date.parse' })).on('message', value =>
      expectTypeOf(value).toEqualTypeOf<Price>(),
    )
  })

  test('has no other type, and neither has the schema or the event', () => {
    const prices = json(create(), Price)
    // @ts-expect-error at is a Date
    prices.on('message', ({ at }: { at: string }) => at)
    // @ts-expect-error no such event
    expect(() => prices.on('text', () => {})).toThrow(TypeError)
    // @ts-expect-error no schema
    expect(() => json(create(), { parse: (value: unknown) => value })).toThrow(TypeError)
    // @ts-expect-error the schema says something else
    json<{ symbol: number }>(create(), Price)
  })
})

describe('in TypeScript, an invalid message of json()', () => {
  test('has a text and issues', () => {
    json(create(), Price).on('invalid', invalid => {
      expectTypeOf(invalid).toEqualTypeOf<InvalidText>()
      expectTypeOf(invalid.text).toEqualTypeOf<string>()
      expectTypeOf(invalid.issues).toEqualTypeOf<readonly Issue[]>()
    })
  })

  test('has a text or bytes if there is a codec', () => {
    json(create(), Price, msgpack).on('invalid', invalid => {
      expectTypeOf(invalid).toEqualTypeOf<InvalidText | InvalidData>()
      if (invalid.text === undefined) expectTypeOf(invalid.data).toEqualTypeOf<ArrayBuffer>()
      else expectTypeOf(invalid.text).toEqualTypeOf<string>()
    })
  })
})

describe('in TypeScript, send() of json()', () => {
  test('accepts values that JSON can represent', () => {
    const { send } = json(create(), Price)
    expectTypeOf(send).parameter(0).toEqualTypeOf<Encodable>()
    expectTypeOf(send({ any: ['thing'] })).toEqualTypeOf<'sent' | 'queued' | 'dropped'>()
    for (const value of [null, 1, '', true, [1]]) send(value, { ttl: 5_000, key: 'a' })
    interface Order {
      id: number
    }
    const order: Order = { id: 1 }
    send(order)
    // @ts-expect-error nothing
    expect(() => send(undefined)).toThrow(TypeError)
    // @ts-expect-error a bigint
    expect(() => send(1n)).toThrow(TypeError)
    // @ts-expect-error a symbol
    expect(() => send(Symbol('a'))).toThrow(TypeError)
    // @ts-expect-error a typo
    expect(() => send(1, { tll: 5 })).toThrow(TypeError)
  })

  test('accepts one type if it is given as a type argument', () => {
    const typed = [json<Command>(create()), json<Price, Command>(create(), Price)] as const
    for (const { send } of typed) {
      send({ subscribe: 'EURUSD' })
      // @ts-expect-error no command
      send({ unsubscribe: 'EURUSD' })
    }
    typed[1].on('message', value => expectTypeOf(value).toEqualTypeOf<Price>())
    typed[0].on('message', value => expectTypeOf(value).toEqualTypeOf<unknown>())
    const narrowed: Json<Price, Command> = json(create(), Price)
    narrowed.send({ subscribe: 'EURUSD' })
  })

  test('accepts one type if json() is given it first, and incoming values still have the type of the schema', () => {
    const values = json<Command>()(create(), Price)
    values.on('message', value => expectTypeOf(value).toEqualTypeOf<Price>())
    values.on('invalid', value => expectTypeOf(value).toEqualTypeOf<InvalidText>())
    values.send({ subscribe: 'EURUSD' })
    // @ts-expect-error no command
    values.send({ unsubscribe: 'EURUSD' })
    json<Command>()(create()).on('message', value => expectTypeOf(value).toEqualTypeOf<unknown>())
    const packed = json<Command>()(create(), Price, msgpack)
    packed.on('message', value => expectTypeOf(value).toEqualTypeOf<Price>())
    packed.on('invalid', value => expectTypeOf(value).toEqualTypeOf<InvalidText | InvalidData>())
    // @ts-expect-error no command
    packed.send(1)
    // @ts-expect-error the codec encodes strings only
    json<Command>()(create(), Price, { encode: (text: string) => text, decode: msgpack.decode })
    // @ts-expect-error its binary messages are Blobs
    json<Command>()(createBlobs(), Price, msgpack)
  })

  test('accepts what the codec encodes', () => {
    expectTypeOf(json(create(), Price, msgpack).send)
      .parameter(0)
      .toEqualTypeOf<unknown>()
    const codec = { encode: ({ subscribe }: Command) => subscribe, decode: msgpack.decode }
    const { send } = json(create(), Price, codec)
    send({ subscribe: 'EURUSD' })
    // @ts-expect-error no command
    expect(() => send({})).toThrow(TypeError)
    json<Price, Command>(create(), Price, msgpack)
    // @ts-expect-error the codec encodes commands only
    json<Price, string>(create(), Price, codec)
  })
})

describe('in TypeScript, json() over a socket of Blobs', () => {
  test('sends and receives JSON', () => {
    json(createBlobs(), Price).on('message', value => expectTypeOf(value).toEqualTypeOf<Price>())
    json<Command>(createBlobs()).send({ subscribe: 'EURUSD' })
  })

  test('does not accept a codec, which needs an ArrayBuffer', () => {
    // @ts-expect-error its binary messages are Blobs
    json(createBlobs(), Price, msgpack)
    // @ts-expect-error its binary messages are Blobs
    json(createBlobs(), undefined, msgpack)
    // @ts-expect-error a Blob cannot be read at once
    json(create(), undefined, { encode: () => '', decode: (blob: Blob) => blob.size })
  })
})
