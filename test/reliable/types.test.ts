// Type tests, like test/core/types.test.ts.
import { describe, expect, expectTypeOf, test } from 'vitest'
import { assemble, prepare } from '../../src/core.ts'
import {
  createReliableSocket,
  type Gap,
  type Outcome,
  type ReliableOptions,
  type ReliableState,
  reliableSocketOver,
} from '../../src/reliable.ts'
import { createFakeServer } from '../../src/testing.ts'

const idle = { autoConnect: false, WebSocket: createFakeServer().WebSocket } as const

describe('types of reliable sockets', () => {
  test('the dataType of a message determines the type of its data', () => {
    const socket = createReliableSocket<{ price: number }>('wss://push.test/', idle)
    socket.on('message', message => {
      if (message.dataType === 'text') expectTypeOf(message.data).toEqualTypeOf<string>()
      else if (message.dataType === 'binary') expectTypeOf(message.data).toEqualTypeOf<ArrayBuffer>()
      else expectTypeOf(message.data).toEqualTypeOf<{ price: number }>()
    })
    createReliableSocket('wss://push.test/', idle).on('message', ({ data }) =>
      expectTypeOf(data).toEqualTypeOf<unknown>(),
    )
    expectTypeOf(socket.send('x')).toEqualTypeOf<Promise<Outcome>>()
    socket.on('gap', gap => {
      expectTypeOf(gap).toEqualTypeOf<Gap>()
      if (gap.reason === 'skipped') expectTypeOf(gap.missed).toEqualTypeOf<number>()
    })
    expectTypeOf(socket.state).toEqualTypeOf<ReliableState>()
    if (socket.state.name === 'waiting') expectTypeOf(socket.state.delay).toEqualTypeOf<number>()
  })

  test('invalid arguments and options do not compile', () => {
    const socket = createReliableSocket('wss://push.test/', idle)
    // @ts-expect-error no such event
    expect(() => socket.on('text', () => {})).toThrow()
    // @ts-expect-error no such policy
    socket.send('x', { onLost: 'again' }).catch(() => {})
    // @ts-expect-error a name is a string
    socket.join(7).catch(() => {})
    // @ts-expect-error the protocol is fixed
    expect(() => createReliableSocket('wss://push.test/', { ...idle, protocols: 'other' })).toThrow(TypeError)
    // @ts-expect-error the heartbeat's message too
    const wrong: ReliableOptions = { ...idle, heartbeat: { message: 'ping' } }
    expect(() => createReliableSocket('wss://push.test/', wrong)).toThrow(TypeError)
    // @ts-expect-error the URL has tokens in it
    expect(socket.state.url).toBe(undefined)
    // @ts-expect-error the part delivery is missing
    expect(reliableSocketOver(assemble({ prepare }))).toBeTypeOf('function')
    // @ts-expect-error the parts prepare and delivery are missing
    expect(reliableSocketOver(assemble())).toBeTypeOf('function')
    // @ts-expect-error no number
    createReliableSocket('wss://push.test/', { ...idle, queue: { overflow: 'drop-oldest' } })
  })
})
