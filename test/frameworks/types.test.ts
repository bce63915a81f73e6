// The compiler is the judge here, as in test/core/types.test.ts. Nothing in these functions is ever called: they need a component.
import type { Accessor } from 'solid-js'
import { describe, expectTypeOf, test } from 'vitest'
import { computed, type Ref, ref, type ShallowRef, type UnwrapRef } from 'vue'
import { z } from 'zod'
import type { assemble } from '../../src/core.ts'
import type { Socket, SocketError, State } from '../../src/index.ts'
import { json } from '../../src/json.ts'
import * as react from '../../src/react.ts'
import type { ReliableMessage, ReliableSocket, ReliableState } from '../../src/reliable.ts'
import * as solid from '../../src/solid.ts'
import * as svelte from '../../src/svelte.ts'
import * as vue from '../../src/vue.ts'

type Price = { symbol: string; bid: number }
const Price = z.object({ symbol: z.string(), bid: z.number() })

declare const socket: Socket
declare const blobs: Socket<'blob'>
declare const reliable: ReliableSocket<Price>
declare const bare: ReturnType<ReturnType<typeof assemble>>
const getUrl = async () => 'wss://push.example.com/feed'

/** Compiled, and never called. */
const compiles = (_: () => unknown) => {}

describe('in TypeScript, for React', () => {
  test('useSocket() returns a socket of the type of its options, or the one that is passed in', () =>
    compiles(() => {
      expectTypeOf(react.useSocket('wss://push.example.com/feed')).toEqualTypeOf<Socket>()
      expectTypeOf(react.useSocket(new URL('wss://push.example.com/feed'))).toEqualTypeOf<Socket>()
      expectTypeOf(react.useSocket('/feed', { binaryType: 'blob' })).toEqualTypeOf<Socket<'blob'>>()
      expectTypeOf(react.useSocket(getUrl, { key: 'feed', retry: false })).toEqualTypeOf<Socket>()
      expectTypeOf(react.useSocket(socket)).toEqualTypeOf<Socket>()
      expectTypeOf(react.useSocket(reliable)).toEqualTypeOf<ReliableSocket<Price>>()
      // @ts-expect-error a function needs a key
      react.useSocket(getUrl)
      // @ts-expect-error no such option
      react.useSocket('/feed', { retries: 3 })
      // @ts-expect-error an address that may be missing
      react.useSocket('/feed' as string | undefined)
    }))

  test('useSocketState() returns the state, or what is selected of it', () =>
    compiles(() => {
      expectTypeOf(react.useSocketState(socket)).toEqualTypeOf<State>()
      expectTypeOf(react.useSocketState(blobs)).toEqualTypeOf<State>()
      expectTypeOf(react.useSocketState(bare)).toEqualTypeOf<State>()
      expectTypeOf(react.useSocketState(reliable)).toEqualTypeOf<ReliableState>()
      expectTypeOf(react.useSocketState(socket, ({ name }) => name)).toEqualTypeOf<State['name']>()
      expectTypeOf(
        react.useSocketState(socket, state => (state.name === 'waiting' ? state.cause : undefined)),
      ).toEqualTypeOf<SocketError | undefined>()
      // @ts-expect-error no such state
      react.useSocketState(socket, ({ name }) => name === 'reconnecting')
    }))

  test('useMessages() has the type of the messages, and of the reduced value', () =>
    compiles(() => {
      expectTypeOf(react.useMessages(socket)).toEqualTypeOf<readonly string[]>()
      expectTypeOf(react.useMessages(bare, 10)).toEqualTypeOf<readonly string[]>()
      expectTypeOf(react.useMessages(json(socket, Price), 10)).toEqualTypeOf<readonly Price[]>()
      expectTypeOf(react.useMessages(json(socket))).toEqualTypeOf<readonly unknown[]>()
      expectTypeOf(react.useMessages(reliable)).toEqualTypeOf<readonly ReliableMessage<Price>[]>()
      expectTypeOf(
        react.useMessages(json(socket, Price), (sum, { bid }) => sum + bid, 0),
      ).toEqualTypeOf<number>()
      expectTypeOf(
        react.useMessages(
          json(socket, Price),
          (bids, { symbol, bid }) => new Map(bids).set(symbol, bid),
          new Map<string, number>(),
        ),
      ).toEqualTypeOf<Map<string, number>>()
      // @ts-expect-error a reducer needs an initial value
      react.useMessages(socket, (lines: string[], line: string) => [...lines, line])
      // @ts-expect-error a price has no ask
      react.useMessages(json(socket, Price), (sum, { ask }) => sum + ask, 0)
      // @ts-expect-error not a limit
      react.useMessages(socket, '10')
      // @ts-expect-error not a source
      react.useMessages('wss://push.example.com/feed')
    }))

  test('useOutage() has the details of an outage only while there is one', () =>
    compiles(() => {
      const outage = react.useOutage(socket, { grace: 2_000 })
      // @ts-expect-error it may be over
      outage.since
      if (outage.away) {
        expectTypeOf(outage.since).toEqualTypeOf<number>()
        expectTypeOf(outage.state).toEqualTypeOf<State>()
      }
      const other = react.useOutage(reliable, { grace: 2_000 })
      if (other.away) expectTypeOf(other.state).toEqualTypeOf<ReliableState>()
      // @ts-expect-error it has no default
      react.useOutage(socket, {})
    }))

  test('useSend() has the type of send()', () =>
    compiles(() => {
      expectTypeOf(react.useSend(socket)).toEqualTypeOf<Socket['send']>()
      expectTypeOf(react.useSend(reliable)).toEqualTypeOf<ReliableSocket['send']>()
      const send = react.useSend(json<{ subscribe: string }>()(socket, Price))
      send({ subscribe: 'EURUSD' }, { ttl: 5_000 })
      // @ts-expect-error not a command
      send({ unsubscribe: 'EURUSD' })
    }))
})

describe('in TypeScript, for Vue', () => {
  test('functions take values, refs and getters, and return refs', () =>
    compiles(() => {
      const shared = vue.useSocket(() => `wss://push.example.com/${ref('a').value}`)
      expectTypeOf(shared).toEqualTypeOf<Readonly<ShallowRef<Socket>>>()
      expectTypeOf(vue.useSocket(ref('/feed'))).toEqualTypeOf<Readonly<ShallowRef<Socket>>>()
      expectTypeOf(vue.useSocket('/feed', { binaryType: 'blob' })).toEqualTypeOf<
        Readonly<ShallowRef<Socket<'blob'>>>
      >()
      expectTypeOf(vue.useSocket(getUrl, { key: 'feed' })).toEqualTypeOf<Readonly<ShallowRef<Socket>>>()
      expectTypeOf(vue.useSocket(reliable)).toEqualTypeOf<Readonly<ShallowRef<ReliableSocket<Price>>>>()
      expectTypeOf(vue.useSocketState(shared)).toEqualTypeOf<Readonly<ShallowRef<State>>>()
      expectTypeOf(vue.useSocketState(socket, ({ name }) => name)).toEqualTypeOf<
        Readonly<ShallowRef<State['name']>>
      >()
      expectTypeOf(vue.useMessages(shared)).toEqualTypeOf<Readonly<ShallowRef<readonly string[]>>>()
      const prices = computed(() => json(shared.value, Price))
      expectTypeOf(vue.useMessages(prices)).toEqualTypeOf<Readonly<ShallowRef<readonly Price[]>>>()
      expectTypeOf(vue.useMessages(() => json(shared.value, Price), 1)).toEqualTypeOf<
        Readonly<ShallowRef<readonly Price[]>>
      >()
      expectTypeOf(vue.useMessages(prices, (sum, { bid }) => sum + bid, 0)).toEqualTypeOf<
        Readonly<ShallowRef<number>>
      >()
      expectTypeOf(vue.useOutage(shared, { grace: 2_000 }).value.away).toEqualTypeOf<boolean>()
      expectTypeOf(vue.useSend(shared)).toEqualTypeOf<Socket['send']>()
      vue.useSend(prices)({ subscribe: 'EURUSD' })
      // @ts-expect-error a function that is called for each attempt needs a key
      vue.useSocket(getUrl)
    }))

  test('a template unwraps what they return, because it is a ref of Vue', () =>
    compiles(() => {
      const lines = vue.useMessages(socket)
      expectTypeOf<UnwrapRef<typeof lines>>().toEqualTypeOf<readonly string[]>()
      const typed: Ref<readonly string[]> = lines
      return typed
    }))
})

describe('in TypeScript, for Svelte', () => {
  test('functions take values, what others return, and getters, and return objects with current', () =>
    compiles(() => {
      const shared = svelte.useSocket(() => 'wss://push.example.com/feed')
      expectTypeOf(shared).toEqualTypeOf<svelte.Current<Socket>>()
      expectTypeOf(shared.current).toEqualTypeOf<Socket>()
      expectTypeOf(svelte.useSocket(getUrl, { key: 'feed' }).current).toEqualTypeOf<Socket>()
      expectTypeOf(svelte.useSocket(reliable).current).toEqualTypeOf<ReliableSocket<Price>>()
      expectTypeOf(svelte.useSocketState(shared).current).toEqualTypeOf<State>()
      expectTypeOf(svelte.useSocketState(() => socket).current).toEqualTypeOf<State>()
      expectTypeOf(svelte.useSocketState(socket, ({ name }) => name).current).toEqualTypeOf<State['name']>()
      expectTypeOf(svelte.useMessages(shared).current).toEqualTypeOf<readonly string[]>()
      expectTypeOf(svelte.useMessages(() => json(shared.current, Price), 1).current).toEqualTypeOf<
        readonly Price[]
      >()
      expectTypeOf(
        svelte.useMessages(
          () => json(shared.current, Price),
          (sum, { bid }) => sum + bid,
          0,
        ).current,
      ).toEqualTypeOf<number>()
      expectTypeOf(svelte.useOutage(shared, { grace: 2_000 }).current.away).toEqualTypeOf<boolean>()
      expectTypeOf(svelte.useSend(shared)).toEqualTypeOf<Socket['send']>()
      // @ts-expect-error it changes by itself
      shared.current = socket
      // @ts-expect-error a function that is called for each attempt needs a key
      svelte.useSocket(getUrl)
    }))
})

describe('in TypeScript, for Solid', () => {
  test('functions take values and accessors, and return accessors', () =>
    compiles(() => {
      const shared = solid.useSocket(() => 'wss://push.example.com/feed')
      expectTypeOf(shared).toEqualTypeOf<Accessor<Socket>>()
      expectTypeOf(solid.useSocket(getUrl, { key: 'feed' })).toEqualTypeOf<Accessor<Socket>>()
      expectTypeOf(solid.useSocket(reliable)).toEqualTypeOf<Accessor<ReliableSocket<Price>>>()
      expectTypeOf(solid.useSocketState(shared)).toEqualTypeOf<Accessor<State>>()
      expectTypeOf(solid.useSocketState(socket, ({ name }) => name)).toEqualTypeOf<Accessor<State['name']>>()
      expectTypeOf(solid.useMessages(shared)).toEqualTypeOf<Accessor<readonly string[]>>()
      const prices = () => json(shared(), Price)
      expectTypeOf(solid.useMessages(prices, 1)).toEqualTypeOf<Accessor<readonly Price[]>>()
      expectTypeOf(solid.useMessages(prices, (sum, { bid }) => sum + bid, 0)).toEqualTypeOf<
        Accessor<number>
      >()
      expectTypeOf(solid.useOutage(shared, { grace: 2_000 })().away).toEqualTypeOf<boolean>()
      expectTypeOf(solid.useSend(shared)).toEqualTypeOf<Socket['send']>()
      // @ts-expect-error a function that is called for each attempt needs a key
      solid.useSocket(getUrl)
    }))
})
