import { describe, expectTypeOf, test } from 'vitest'
import type { Socket } from '../../src/index.ts'
import { type SteadyCloseEvent, type SteadyErrorEvent, SteadyWebSocket } from '../../src/websocket.ts'

describe('in TypeScript, the drop-in class', () => {
  test('has instances that are assignable to WebSocket, and is assignable to typeof WebSocket', () => {
    expectTypeOf<SteadyWebSocket>().toExtend<WebSocket>()
    expectTypeOf(SteadyWebSocket).toExtend<typeof WebSocket>()
    const put = (native: typeof WebSocket) => native
    put(SteadyWebSocket)
  })

  test('has the platform’s event types with more properties', () => {
    const listen = (socket: SteadyWebSocket) => {
      socket.onclose = event => expectTypeOf(event).toEqualTypeOf<SteadyCloseEvent>()
      socket.onerror = event => expectTypeOf(event).toEqualTypeOf<SteadyErrorEvent>()
      socket.onopen = function () {
        expectTypeOf(this).toEqualTypeOf<WebSocket>()
      }
      socket.addEventListener('message', event => expectTypeOf(event).toEqualTypeOf<MessageEvent>())
      socket.addEventListener(
        'close',
        event => expectTypeOf(event.willReconnect).toEqualTypeOf<boolean | undefined>(),
        {
          once: true,
        },
      )
      socket.addEventListener('custom', { handleEvent: event => expectTypeOf(event).toEqualTypeOf<Event>() })
      // @ts-expect-error an event of this kind has no data
      socket.addEventListener('close', ({ data }) => data)
      // @ts-expect-error no function
      socket.onmessage = 'loud'
    }
    expectTypeOf(listen).returns.toBeVoid()
  })

  test('gives access to the underlying Socket', () => {
    expectTypeOf<SteadyWebSocket['socket']>().toEqualTypeOf<Socket<BinaryType>>()
  })

  test('accepts the platform’s arguments, and options', () => {
    const make = () => {
      new SteadyWebSocket('wss://push.example.com/')
      new SteadyWebSocket(new URL('wss://push.example.com/'), 'v2')
      new SteadyWebSocket('wss://push.example.com/', ['v2', 'v1'], { retry: false })
      new SteadyWebSocket(async ({ attempt }) => `wss://${attempt}.example.com/`, undefined, { minUptime: 1 })
      new SteadyWebSocket('wss://printer.local/', { protocols: 'v2', targetAddressSpace: 'local' })
      new SteadyWebSocket('wss://printer.local/', {}, { minUptime: 1 })
      // @ts-expect-error no such address space
      new SteadyWebSocket('wss://printer.local/', { targetAddressSpace: 'nearby' })
      // @ts-expect-error the options of this class come third
      new SteadyWebSocket('wss://push.example.com/', { retry: false })
      // @ts-expect-error the second place is that of protocols
      new SteadyWebSocket('wss://push.example.com/', [], { protocols: 'v2' })
      // @ts-expect-error set it on the socket, as on the platform's
      new SteadyWebSocket('wss://push.example.com/', [], { binaryType: 'blob' })
      // @ts-expect-error an address
      new SteadyWebSocket()
    }
    expectTypeOf(make).returns.toBeVoid()
  })

  test('sends the types that the platform sends', () => {
    expectTypeOf<SteadyWebSocket['send']>().toEqualTypeOf<WebSocket['send']>()
  })

  test('can be extended by a class', () => {
    class Quiet extends SteadyWebSocket {
      constructor(url: string, protocols?: string[]) {
        super(url, protocols, { heartbeat: { message: 'ping' } })
      }
    }
    expectTypeOf<Quiet>().toExtend<WebSocket>()
  })
})
