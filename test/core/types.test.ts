// Type tests: `npm run types` fails if a line does not compile, or if one after `@ts-expect-error` does. The code also runs, which shows that
// arguments of wrong types are rejected.
import { describe, expect, expectTypeOf, test } from 'vitest'
import { assemble } from '../../src/core.ts'
import {
  type AttemptContext,
  type BackoffOptions,
  backoff,
  browserEvents,
  type CloseEventData,
  type CloseInfo,
  createBrowserEvents,
  createSocket,
  type Data,
  type DropReason,
  type Endpoint,
  type HeartbeatOptions,
  type Listener,
  type ListenOptions,
  type OpenEventData,
  type Outage,
  onOutage,
  type PageEvent,
  type PageEventSource,
  type PreparedConnection,
  type QueueOptions,
  type Retry,
  type RetryContext,
  type SendOptions,
  type Socket,
  SocketError,
  type SocketErrorCode,
  type SocketEvents,
  type SocketOptions,
  type State,
  type Stats,
} from '../../src/index.ts'
import { createReliableSocket, type ReliableState } from '../../src/reliable.ts'
import { createFakeServer } from '../../src/testing.ts'

const url = 'wss://push.example.com/feed'

/** A server to which no socket connects. */
const server = createFakeServer()
const idle = { autoConnect: false, WebSocket: server.WebSocket } as const

const create = () => createSocket(url, idle)

describe('the types of events', () => {
  test('make binary an ArrayBuffer, unless binaryType is blob', () => {
    create().on('binary', bytes => expectTypeOf(bytes).toEqualTypeOf<ArrayBuffer>())
    createSocket(url, { ...idle, binaryType: 'arraybuffer' }).on('binary', bytes =>
      expectTypeOf(bytes).toEqualTypeOf<ArrayBuffer>(),
    )
    createSocket(url, { ...idle, binaryType: 'blob' }).on('binary', blob =>
      expectTypeOf(blob).toEqualTypeOf<Blob>(),
    )
    createSocket(url, { ...idle, binaryType: 'blob' }).once('binary', blob =>
      expectTypeOf(blob).toEqualTypeOf<Blob>(),
    )
  })

  test('make binary either of the two if binaryType is known only at run time', () => {
    const binaryType = 'blob' as BinaryType
    createSocket(url, { ...idle, binaryType }).on('binary', data =>
      expectTypeOf(data).toEqualTypeOf<ArrayBuffer | Blob>(),
    )
  })

  test('distinguish a socket of Blobs from one of ArrayBuffers', () => {
    const blobs = createSocket(url, { ...idle, binaryType: 'blob' })
    expectTypeOf(blobs).toEqualTypeOf<Socket<'blob'>>()
    expectTypeOf(create()).toEqualTypeOf<Socket>()
    // @ts-expect-error its binary messages are Blobs
    const buffers: Socket = blobs
    expect(buffers).toBe(blobs)
  })

  test('allow no other binaryType', () => {
    // @ts-expect-error neither of the two
    expect(() => createSocket(url, { ...idle, binaryType: 'buffer' })).toThrow(TypeError)
  })

  test('give each event its payload', () => {
    const { on } = create()
    on('state', state => expectTypeOf(state).toEqualTypeOf<State>())
    on('open', open => expectTypeOf(open).toEqualTypeOf<OpenEventData>())
    on('text', text => expectTypeOf(text).toEqualTypeOf<string>())
    on('close', close => {
      expectTypeOf(close).toEqualTypeOf<CloseEventData>()
      expectTypeOf(close.code).toEqualTypeOf<number>()
      expectTypeOf(close.cause).toEqualTypeOf<SocketError>()
      expectTypeOf(close.delay).toEqualTypeOf<number | undefined>()
    })
    on('error', error => expectTypeOf(error).toEqualTypeOf<SocketError>())
    on('drop', ({ data, reason }) => {
      expectTypeOf(data).toEqualTypeOf<Data>()
      expectTypeOf(reason).toEqualTypeOf<DropReason>()
    })
  })

  test('are a closed list of names', () => {
    const { on, once, off } = create()
    expectTypeOf<keyof SocketEvents>().toEqualTypeOf<
      'state' | 'open' | 'text' | 'binary' | 'close' | 'error' | 'drop'
    >()
    // @ts-expect-error the platform's name, which is split into text and binary here
    expect(() => on('message', () => {})).toThrow(TypeError)
    // @ts-expect-error a typo
    expect(() => once('opened', () => {})).toThrow(TypeError)
    // @ts-expect-error a typo
    const leave = () => off('txet', () => {})
    expect(leave).toBeTypeOf('function')
  })

  test('make a listener a function of its payload', () => {
    const { on } = create()
    // @ts-expect-error text is no number
    on('text', (count: number) => count)
    // @ts-expect-error an object with handleEvent is not enough
    expect(() => on('text', { handleEvent() {} })).toThrow(TypeError)
    // @ts-expect-error the listener is missing
    expect(() => on('text')).toThrow(TypeError)
    // What it returns is ignored.
    on('text', async () => {})
    on('text', text => text.length)
    on('text', () => 1)
    on('text', console.log)
  })

  test('make on() and once() return a function', () => {
    const { on, once, off } = create()
    const listener = (text: string) => text
    expectTypeOf(on('text', listener)).toEqualTypeOf<() => void>()
    expectTypeOf(once('text', listener)).toEqualTypeOf<() => void>()
    expectTypeOf(off('text', listener)).toEqualTypeOf<void>()
    const leave = on('text', () => {
      leave()
    })
    leave()
  })

  test('allow the options once and signal, and no others', () => {
    const { on, once } = create()
    const { signal } = new AbortController()
    on('text', () => {}, { once: true, signal })
    once('text', () => {}, { signal })
    // @ts-expect-error an option of the DOM that does not exist here
    expect(() => on('text', () => {}, { passive: true })).toThrow(TypeError)
    // @ts-expect-error the DOM's boolean third argument
    on('text', () => {}, true)
  })

  test('allow a listener to be declared separately', () => {
    const show: Listener<SocketEvents['text']> = text => text.length
    const look: Listener<SocketEvents<'blob'>['binary']> = blob => blob.size
    create().on('text', show)
    createSocket(url, { ...idle, binaryType: 'blob' }).on('binary', look)
    // @ts-expect-error these binary messages are no Blobs
    create().on('binary', look)
  })
})

describe('the types of send()', () => {
  test('accept everything that a WebSocket can send', () => {
    const { send } = create()
    expectTypeOf(send('text')).toEqualTypeOf<'sent' | 'queued' | 'dropped'>()
    send(new ArrayBuffer(1))
    send(new Uint8Array(1))
    send(new Uint8Array(8).subarray(2))
    send(new DataView(new ArrayBuffer(1)))
    send(new Blob())
    send(new File([], 'a.txt'))
    send('text' as Data)
  })

  test('accept nothing else', () => {
    const { send } = create()
    // @ts-expect-error a number
    expect(() => send(123)).toThrow(TypeError)
    // @ts-expect-error nothing
    expect(() => send()).toThrow(TypeError)
    // @ts-expect-error null
    expect(() => send(null)).toThrow(TypeError)
    // @ts-expect-error an object, which was not converted to JSON
    expect(() => send({ type: 'hello' })).toThrow(TypeError)
    // @ts-expect-error an array
    expect(() => send([1, 2])).toThrow(TypeError)
    // @ts-expect-error a promise, because `await` is missing
    expect(() => send(Promise.resolve('text'))).toThrow(TypeError)
  })

  test('accept the documented options and no others', () => {
    const { send } = create()
    const { signal } = new AbortController()
    send('text', { ttl: 5_000, key: 'EURUSD', volatile: true, signal })
    send('text', { key: { any: 'thing' } })
    // @ts-expect-error a typo
    expect(() => send('text', { tll: 5_000 })).toThrow(TypeError)
    // @ts-expect-error a duration is a number
    expect(() => send('text', { ttl: '5s' })).toThrow(TypeError)
  })
})

describe('the type State', () => {
  test('narrows by name to the fields of that state', () => {
    const describeState = (state: State): string => {
      switch (state.name) {
        case 'closed':
          expectTypeOf(state.cause).toEqualTypeOf<SocketError | undefined>()
          return 'closed'
        case 'connecting':
          expectTypeOf(state.attempt).toEqualTypeOf<number>()
          // @ts-expect-error only an open socket has this field
          return `${state.since}`
        case 'open':
          expectTypeOf(state.since).toEqualTypeOf<number>()
          // @ts-expect-error an open socket has no cause
          return `${state.cause}`
        case 'waiting':
          expectTypeOf(state.cause).toEqualTypeOf<SocketError>()
          return `next attempt at ${state.until + 0}, after ${state.delay + 0}`
        case 'closing':
          expectTypeOf(state.code).toEqualTypeOf<number | undefined>()
          return `closing: ${state.reason}`
        default:
          return state satisfies never
      }
    }
    expect(describeState(create().state)).toBe('closed')
  })

  test('has a closed list of names', () => {
    expectTypeOf<State['name']>().toEqualTypeOf<'closed' | 'connecting' | 'open' | 'waiting' | 'closing'>()
    // @ts-expect-error there is no such state
    expect(create().state.name === 'reconnecting').toBe(false)
  })

  test('is read-only', () => {
    const socket = create()
    expectTypeOf(socket.state).toEqualTypeOf<State>()
    expect(() => {
      // @ts-expect-error the property is read-only
      socket.state = { name: 'closed' }
    }).toThrow(TypeError)
    const assign = (state: State) => {
      // @ts-expect-error the fields of a state are read-only
      state.name = 'closed'
    }
    expect(assign).toBeTypeOf('function')
  })

  test('does not allow a wrong combination', () => {
    // @ts-expect-error an open socket has no delay
    const state: State = { name: 'open', attempt: 0, since: 0, url, protocol: '', delay: 5 }
    // @ts-expect-error the state waiting needs `until`
    const wait: State = { name: 'waiting', attempt: 0, delay: 5 }
    expect([state.name, wait.name]).toEqual(['open', 'waiting'])
  })

  test('is accompanied by stats, a snapshot of numbers', () => {
    const { stats } = create()
    expectTypeOf(stats).toEqualTypeOf<Stats>()
    expectTypeOf(stats.latency).toEqualTypeOf<number | undefined>()
    const write = () => {
      // @ts-expect-error the properties are read-only
      stats.sent = 0
    }
    expect(write).toBeTypeOf('function')
  })
})

describe('the types of endpoints and protocols', () => {
  test('allow constants, functions and asynchronous functions', () => {
    const endpoints: Endpoint[] = [
      url,
      new URL(url),
      () => url,
      () => new URL(url),
      async () => url,
      async ({ attempt, cause, signal }) => {
        expectTypeOf(attempt).toEqualTypeOf<number>()
        expectTypeOf(cause).toEqualTypeOf<SocketError | undefined>()
        expectTypeOf(signal).toEqualTypeOf<AbortSignal>()
        return new URL(url)
      },
      (_: AttemptContext) => (Math.random() < 0.5 ? url : Promise.resolve(new URL(url))),
    ]
    for (const endpoint of endpoints) createSocket(endpoint, idle)
    createSocket(url, { ...idle, protocols: 'chat' })
    createSocket(url, { ...idle, protocols: ['chat', 'v2'] })
    createSocket(url, { ...idle, protocols: () => 'chat' })
    createSocket(url, { ...idle, protocols: async ({ attempt }) => [`attempt-${attempt}`] })
    createSocket(url, { ...idle, protocols: () => undefined })
    createSocket(url, { ...idle, protocols: undefined })
  })

  test('allow nothing else', () => {
    // @ts-expect-error a port
    createSocket(8080, idle)
    // @ts-expect-error a function of nothing
    createSocket(() => {}, idle)
    // @ts-expect-error a function of a number
    createSocket(async () => 8080, idle)
    // @ts-expect-error a number
    createSocket(url, { ...idle, protocols: 1 })
    // @ts-expect-error a native socket is not an endpoint
    createSocket(() => new WebSocket(url), idle)
  })
})

describe('the type SocketOptions', () => {
  test('has all options as they are documented', () => {
    const { signal } = new AbortController()
    const options: SocketOptions = {
      ...idle,
      protocols: 'chat',
      binaryType: 'arraybuffer',
      retry: backoff({ base: 100, max: 1_000, attempts: 3, spread: 0, random: Math.random }),
      minUptime: 5_000,
      connectTimeout: 10_000,
      closeTimeout: 3_000,
      async prepare({ send, receive, url, protocol, signal }) {
        expectTypeOf([url, protocol]).toEqualTypeOf<string[]>()
        expectTypeOf(signal).toEqualTypeOf<AbortSignal>()
        send('token')
        expectTypeOf(await receive()).toEqualTypeOf<string | ArrayBuffer>()
      },
      queue: { maxMessages: 100, maxBytes: 1_000, overflow: 'drop-oldest' },
      highWaterMark: 1_000,
      heartbeat: { interval: 1, timeout: 1, message: 'ping', isReply: data => data === 'pong' },
      wake: false,
      signal,
    }
    expectTypeOf(createSocket(url, options)).toEqualTypeOf<Socket>()
  })

  test('rejects a misspelled option', () => {
    // @ts-expect-error reconnect
    expect(() => createSocket(url, { ...idle, reconect: true })).toThrow(TypeError)
    // @ts-expect-error a closed list
    expect(() => createSocket(url, { ...idle, queue: { overflow: 'drop-newest' } })).toThrow(TypeError)
    // @ts-expect-error maxBytes
    expect(() => createSocket(url, { ...idle, queue: { maxSize: 5 } })).toThrow(TypeError)
    // @ts-expect-error interval
    expect(() => createSocket(url, { ...idle, heartbeat: { intervall: 5 } })).toThrow(TypeError)
    // @ts-expect-error base
    expect(() => backoff({ bass: 5 })).toThrow(TypeError)
  })

  test('rejects a value of the wrong type', () => {
    // @ts-expect-error a duration is a number
    expect(() => createSocket(url, { ...idle, minUptime: '5s' })).toThrow(TypeError)
    // @ts-expect-error there is no default message
    expect(() => createSocket(url, { ...idle, heartbeat: true })).toThrow(TypeError)
    // @ts-expect-error `true` is not a policy
    expect(() => createSocket(url, { ...idle, retry: true })).toThrow(TypeError)
    // @ts-expect-error a number cannot be sent
    createSocket(url, { ...idle, heartbeat: { message: 5 } })
  })

  test('gives prepare messages of the type that binaryType names', () => {
    createSocket(url, {
      ...idle,
      binaryType: 'blob',
      async prepare(connection) {
        expectTypeOf(connection).toEqualTypeOf<PreparedConnection<'blob'>>()
        expectTypeOf(await connection.receive()).toEqualTypeOf<string | Blob>()
        // @ts-expect-error a number
        connection.send(5)
      },
    })
    createSocket(url, { ...idle, prepare: ({ send }) => send('token') })
  })

  test('allows any WebSocket class as the constructor', async () => {
    const { WebSocket: Mock } = await import('mock-socket')
    const { WebSocket: Node } = await import('ws')
    createSocket(url, { autoConnect: false, WebSocket: Mock })
    createSocket(url, { autoConnect: false, WebSocket: Node })
    createSocket(url, { autoConnect: false, WebSocket: globalThis.WebSocket })
    createSocket(url, { autoConnect: false, WebSocket: server.WebSocket })
    // @ts-expect-error nothing to construct
    createSocket(url, { autoConnect: false, WebSocket: () => {} })
  })

  test('allows a source or false for wake', () => {
    const never: PageEventSource = () => () => {}
    const often: PageEventSource = tell => {
      const timer = setInterval(tell, 1_000, 'wake' satisfies PageEvent)
      return () => clearInterval(timer)
    }
    for (const wake of [
      never,
      often,
      browserEvents,
      createBrowserEvents({ hiddenFor: 300_000 }),
      false as const,
    ])
      createSocket(url, { ...idle, wake })
    // @ts-expect-error a source must return a function
    createSocket(url, { ...idle, wake: () => {} })
    // @ts-expect-error there is no such page event
    createSocket(url, { ...idle, wake: tell => () => tell('tired') })
  })
})

describe('the type Retry', () => {
  test('is a function of the loss that returns milliseconds or false', () => {
    const retry: Retry = ({ attempt, cause, uptime, elapsed }) => {
      expectTypeOf([attempt, uptime, elapsed]).toEqualTypeOf<number[]>()
      expectTypeOf(cause.close).toEqualTypeOf<{ code: number; reason: string } | undefined>()
      return cause.close?.code === 4_001 ? false : 1_000
    }
    createSocket(url, { ...idle, retry })
    createSocket(url, { ...idle, retry: () => 0 })
    createSocket(url, { ...idle, retry: false })
    expectTypeOf(backoff()).toEqualTypeOf<Retry>()
    expectTypeOf<ReturnType<Retry>>().toEqualTypeOf<number | false>()
  })

  test('can be implemented with backoff()', () => {
    const usual = backoff()
    createSocket(url, { ...idle, retry: context => (context.elapsed > 60_000 ? false : usual(context)) })
  })

  test('can be called with a context made by hand, or a SocketError as the cause', () => {
    const cause = new SocketError('CONNECTION_LOST', undefined, {
      code: 1006,
      reason: '',
      wasClean: false,
    })
    const context: RetryContext = { attempt: 1, cause, uptime: 0, elapsed: 0 }
    expectTypeOf(backoff()(context)).toEqualTypeOf<number | false>()
    expect(backoff()({ attempt: 1, cause: { code: 'UNRESPONSIVE' }, uptime: 0, elapsed: 0 })).not.toBe(false)
  })

  test('allows no other result', () => {
    // @ts-expect-error a promise is not a number
    createSocket(url, { ...idle, retry: async () => 1_000 })
    // @ts-expect-error the result is missing
    createSocket(url, { ...idle, retry: () => {} })
    // @ts-expect-error true is not a number
    createSocket(url, { ...idle, retry: () => true })
  })
})

describe('the type SocketError', () => {
  test('is an Error with a code from a closed list', () => {
    const error = new SocketError('CLOSED')
    expectTypeOf(error).toExtend<Error>()
    expectTypeOf(error.code).toEqualTypeOf<SocketErrorCode>()
    expectTypeOf(error.cause).toEqualTypeOf<unknown>()
    expectTypeOf(error.close).toEqualTypeOf<CloseInfo | undefined>()
    // @ts-expect-error not from the list
    expect(error.code === 'LOST').toBe(false)
  })
})

describe('the type Socket', () => {
  test('is an interface that an object literal can implement', () => {
    const fake: Socket = {
      on: () => () => {},
      once: () => () => {},
      off() {},
      send: () => 'sent',
      connect() {},
      reconnect() {},
      handover: async () => {},
      close() {},
      state: { name: 'open', attempt: 0, since: 0, url, protocol: '' },
      queued: 0,
      queuedMessages: () => [],
      bufferedAmount: 0,
      latency: undefined,
      url,
      protocol: '',
      stats: {
        attempts: 1,
        connections: 1,
        sent: 0,
        received: 0,
        reclaimed: 0,
        dropped: 0,
        queued: 0,
        queuedBytes: 0,
        latency: undefined,
      },
    }
    expect(fake.send('hello')).toBe('sent')
  })

  test('has methods that can be called without the socket', () => {
    const { send, close, reconnect, connect } = create()
    expectTypeOf(['a', 'b'].map(text => send(text))).toEqualTypeOf<('sent' | 'queued' | 'dropped')[]>()
    const commands: (() => void)[] = [connect, reconnect, close]
    expect(commands).toHaveLength(3)
  })

  test('takes a code and a reason in close(), in this order', () => {
    const { close, reconnect } = create()
    close()
    close(1000)
    close(4000, 'bye')
    // @ts-expect-error a reason alone
    expect(() => close('bye')).toThrow(DOMException)
    expectTypeOf(reconnect).parameters.toEqualTypeOf<
      [cause?: unknown, code?: number | undefined, reason?: string | undefined]
    >()
  })
})

describe('onOutage()', () => {
  test('reports the state of the socket, with what is true in each', () => {
    const stop = onOutage(create(), { grace: 2_000 }, outage => {
      expectTypeOf(outage).toEqualTypeOf<Outage>()
      const { away, since, state } = outage
      expectTypeOf(away).toEqualTypeOf<boolean>()
      expectTypeOf(since).toEqualTypeOf<number>()
      if (state.name === 'waiting') expectTypeOf(state.until).toEqualTypeOf<number>()
      if (state.name === 'closed') expectTypeOf(state.cause).toEqualTypeOf<SocketError | undefined>()
    })
    expectTypeOf(stop).toEqualTypeOf<() => void>()
    stop()
  })

  test('takes sockets that were assembled from parts, and reliable ones', () => {
    const assembled = assemble()(url, idle)
    onOutage(assembled, { grace: 2_000 }, outage => expectTypeOf(outage).toEqualTypeOf<Outage>())()
    const reliable = createReliableSocket(url, idle)
    onOutage(reliable, { grace: 2_000 }, ({ state }) => {
      expectTypeOf(state).toEqualTypeOf<ReliableState>()
    })()
  })

  test('needs a grace period and a listener', () => {
    // @ts-expect-error no grace period
    expect(() => onOutage(create(), {}, () => {})).toThrow(TypeError)
    // @ts-expect-error no such option
    expect(() => onOutage(create(), { grace: 0, delay: 0 }, () => {})).toThrow(TypeError)
    // @ts-expect-error no listener
    expect(() => onOutage(create(), { grace: 0 })).toThrow(TypeError)
    // @ts-expect-error not a socket
    expect(() => onOutage({}, { grace: 0 }, () => {})).toThrow(TypeError)
  })
})

describe('with exactOptionalPropertyTypes, under which this file is compiled,', () => {
  test('options that may be undefined can be spread', () => {
    const maybe = undefined as HeartbeatOptions | undefined
    const options: SocketOptions = { ...idle, ...(maybe && { heartbeat: maybe }) }
    createSocket(url, options)
    const defaults: BackoffOptions & QueueOptions & SendOptions & ListenOptions = {}
    expect(defaults).toEqual({})
  })

  test('values from the package can be passed back to it', () => {
    const socket = create()
    socket.on('close', ({ code, reason, cause }) => {
      const again: CloseInfo = { code, reason, wasClean: false }
      throw new SocketError(cause.code, cause.cause, again)
    })
    const copy: State = { ...socket.state }
    const stats: Stats = { ...socket.stats }
    expect([copy.name, stats.sent]).toEqual(['closed', 0])
  })
})
