import { describe, expect, test, vi } from 'vitest'
import { createFakeServer } from '../../src/testing.ts'
import { SteadyWebSocket } from '../../src/websocket.ts'
import { fresh } from '../support/setup.ts'
import { dropIn } from './setup.ts'

fresh()

const open = () => {
  const made = dropIn()
  made.server.latest.accept()
  return { ...made, peer: made.server.latest }
}

describe('events of the drop-in class', () => {
  test('are of the platform’s classes, have the socket as target and do not bubble', () => {
    const { socket, peer } = open()
    const heard: any[] = []
    for (const type of ['message', 'error', 'close'] as const) {
      socket.addEventListener(type, event => heard.push(event))
    }
    peer.send('hello').drop()
    expect(heard.map(({ type }) => type)).toEqual(['message', 'error', 'close'])
    for (const event of heard) {
      expect(event).toBeInstanceOf(Event)
      expect(event.target).toBe(socket)
      expect([event.bubbles, event.cancelable]).toEqual([false, false])
    }
    expect(heard[0]).toBeInstanceOf(MessageEvent)
    expect(heard[0]).toMatchObject({
      data: 'hello',
      origin: 'wss://push.example.com',
      lastEventId: '',
      source: null,
      ports: [],
    })
    expect(heard[2]).toMatchObject({ code: 1006, reason: '', wasClean: false, willReconnect: true })
  })

  test('are not created without a listener', () => {
    let all = 0
    const Platform = MessageEvent<unknown>
    vi.stubGlobal(
      'MessageEvent',
      class extends Platform {
        constructor(type: string, fields: MessageEventInit) {
          super(type, fields)
          all++
        }
      },
    )
    const server = createFakeServer()
    const socket = new SteadyWebSocket('wss://push.example.com/', [], { WebSocket: server.WebSocket })
    server.latest.accept()
    /** The number of events that are created for a message, without that of the native socket. */
    const made = () => {
      const before = all
      server.latest.send('x')
      return all - before - 1
    }
    const listener = () => {}
    expect(made()).toBe(0)
    socket.addEventListener('message', listener)
    expect(made()).toBe(1)
    socket.removeEventListener('message', listener)
    expect(made()).toBe(0)
    socket.onmessage = listener
    expect(made()).toBe(1)
    socket.onmessage = null
    expect(made()).toBe(0)
    socket.close()
  })
})

describe('listeners of the drop-in class', () => {
  test.each(['constructor', 'toString', '__proto__'])(
    'can be added and removed for an event named %s',
    name => {
      const { socket } = open()
      const listener = vi.fn()
      socket.addEventListener(name, listener)
      socket.dispatchEvent(new Event(name))
      socket.removeEventListener(name, listener)
      socket.dispatchEvent(new Event(name))
      expect(listener).toHaveBeenCalledOnce()
    },
  )

  test('can be objects, and support the options once and signal', () => {
    const { socket, peer } = open()
    const heard: string[] = []
    const leave = new AbortController()
    socket.addEventListener('message', { handleEvent: ({ type }) => heard.push(`object ${type}`) })
    socket.addEventListener('message', () => heard.push('once'), { once: true })
    socket.addEventListener('message', () => heard.push('signal'), { signal: leave.signal })
    peer.send('1')
    leave.abort()
    peer.send('2')
    expect(heard).toEqual(['object message', 'once', 'signal', 'object message'])
  })

  test('that are added twice are called once, unless one of them is a capturing listener', () => {
    const server = createFakeServer()
    const socket = new SteadyWebSocket('wss://push.example.com/', [], { WebSocket: server.WebSocket })
    server.latest.accept()
    let calls = 0
    const listener = () => calls++
    const heard = () => {
      calls = 0
      server.latest.send('x')
      return calls
    }
    socket.addEventListener('message', listener)
    socket.addEventListener('message', listener, false)
    expect(heard()).toBe(1)
    // An object, because Node 20 does not accept a boolean here.
    socket.removeEventListener('message', listener, { capture: true })
    expect(heard()).toBe(1)
    socket.addEventListener('message', listener, true)
    expect(heard()).toBe(2)
    socket.removeEventListener('message', listener)
    expect(heard()).toBe(1)
    socket.addEventListener('message', listener)
    socket.removeEventListener('message', listener, { capture: true })
    expect(heard()).toBe(1)
    socket.removeEventListener('message', listener)
    expect(heard()).toBe(0)
    socket.close()
  })

  test('that an earlier listener removes are not called', () => {
    const { socket, peer } = open()
    const heard: string[] = []
    const second = () => heard.push('second')
    socket.addEventListener('message', () => {
      heard.push('first')
      socket.removeEventListener('message', second)
    })
    socket.addEventListener('message', second)
    socket.addEventListener('message', () => heard.push('third'))
    peer.send('1')
    expect(heard).toEqual(['first', 'third'])
  })

  test('are called for events that the application dispatches', () => {
    const { socket } = open()
    const heard: string[] = []
    socket.onopen = () => heard.push('on')
    socket.addEventListener('custom', () => heard.push('custom'))
    socket.dispatchEvent(new Event('open'))
    socket.dispatchEvent(new Event('custom'))
    expect(heard).toEqual(['on', 'custom'])
  })
})

describe('on… attributes of the drop-in class', () => {
  test('are null until they are set, and can be set to null again', () => {
    const { socket } = open()
    expect([socket.onopen, socket.onmessage, socket.onerror, socket.onclose]).toEqual([
      null,
      null,
      null,
      null,
    ])
    const handler = () => {}
    socket.onmessage = handler
    expect(socket.onmessage).toBe(handler)
    socket.onmessage = null
    expect(socket.onmessage).toBe(null)
  })

  test.each([1, 'text', true, undefined, Symbol('x')])('become null when they are set to %s', value => {
    const { socket } = open()
    socket.onmessage = () => {}
    socket.onmessage = value as never
    expect(socket.onmessage).toBe(null)
  })

  test('keep an object that is not a function and do not call it', () => {
    const { socket, peer } = open()
    const handleEvent = vi.fn()
    socket.onmessage = { handleEvent } as never
    peer.send('1')
    expect(socket.onmessage).toEqual({ handleEvent })
    expect(handleEvent).not.toHaveBeenCalled()
  })

  test('cancel a cancelable event by returning false', () => {
    const { socket } = open()
    socket.onmessage = () => false
    expect(socket.dispatchEvent(new Event('message', { cancelable: true }))).toBe(false)
    socket.onmessage = () => 0
    expect(socket.dispatchEvent(new Event('message', { cancelable: true }))).toBe(true)
  })

  test('are called with the socket as `this`, in the place where the first handler was set', () => {
    const { socket, peer } = open()
    const heard: unknown[] = []
    socket.addEventListener('message', () => heard.push('a'))
    socket.onmessage = () => heard.push('never')
    socket.addEventListener('message', () => heard.push('c'))
    socket.onmessage = function () {
      heard.push(this === socket && 'b')
    }
    peer.send('1')
    expect(heard).toEqual(['a', 'b', 'c'])
    socket.onmessage = null
    socket.onmessage = () => heard.push('last')
    heard.length = 0
    peer.send('2')
    expect(heard).toEqual(['a', 'c', 'last'])
  })
})

describe.each(['before', 'after'])(
  'where dispatchEvent() calls the on… attributes itself, %s the listeners',
  order => {
    /** An EventTarget like that of workerd, and of happy-dom up to 20.0. */
    const Platform = EventTarget
    class CallingTarget extends Platform {
      override dispatchEvent(event: Event) {
        const call = () => {
          const handler = (this as any)[`on${event.type}`]
          if (typeof handler === 'function') handler.call(this, event)
        }
        if (order === 'before') call()
        const result = super.dispatchEvent(event)
        if (order === 'after') call()
        return result
      }
    }

    test('each handler runs once for each event', async () => {
      vi.stubGlobal('EventTarget', CallingTarget)
      vi.resetModules()
      const { SteadyWebSocket: Fresh } = await import('../../src/websocket.ts')
      vi.stubGlobal('EventTarget', Platform)
      const server = createFakeServer()
      const socket = new Fresh('wss://push.example.com/', [], { WebSocket: server.WebSocket, retry: false })
      vi.stubGlobal('EventTarget', CallingTarget)
      const calls: string[] = []
      for (const type of ['open', 'message', 'error', 'close'] as const) {
        socket[`on${type}`] = () => calls.push(`on${type}`)
        socket.addEventListener(type, () => calls.push(type))
      }
      server.latest.accept().send('hello').drop()
      const both = (type: string) => (order === 'before' ? [`on${type}`, type] : [type, `on${type}`])
      expect(calls).toEqual([...both('open'), ...both('message'), ...both('error'), ...both('close')])
    })
  },
)

describe('the drop-in class', () => {
  const constants = { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 }

  test('has read-only, enumerable constants on itself and on its instances', () => {
    const { socket } = open()
    for (const holder of [SteadyWebSocket, SteadyWebSocket.prototype]) {
      for (const [name, value] of Object.entries(constants)) {
        expect(Object.getOwnPropertyDescriptor(holder, name)).toEqual({
          value,
          writable: false,
          enumerable: true,
          configurable: false,
        })
      }
    }
    expect(socket).toMatchObject(constants)
  })

  test('has enumerable members on its prototype and nothing on its instances', () => {
    const { socket } = open()
    expect(Reflect.ownKeys(socket).filter(key => typeof key === 'string')).toEqual([])
    const seen = new Set<string>()
    for (const name in socket) seen.add(name)
    for (const name of [
      'url',
      'readyState',
      'bufferedAmount',
      'onopen',
      'send',
      'close',
      'binaryType',
      'OPEN',
    ]) {
      expect(seen).toContain(name)
    }
  })

  test('has the name, length and string tag of the platform’s class', () => {
    const { socket } = open()
    expect(`${socket}`).toBe('[object WebSocket]')
    expect([SteadyWebSocket.name, SteadyWebSocket.length]).toEqual(['WebSocket', 1])
    expect([socket.send.length, socket.close.length]).toEqual([1, 0])
    expect(socket).toBeInstanceOf(EventTarget)
  })

  test('throws a TypeError when a member is used on another object', () => {
    const { prototype } = SteadyWebSocket
    for (const use of [
      () => prototype.readyState,
      () => prototype.onopen,
      () => prototype.send.call({} as never, 'x'),
      () => prototype.close.call(prototype),
    ]) {
      expect(use).toThrow(TypeError)
    }
  })

  test('checks the object before it converts arguments', () => {
    const { prototype } = SteadyWebSocket
    const convert = vi.fn(() => 'x')
    expect(() => prototype.send.call({} as never, { toString: convert } as never)).toThrow(TypeError)
    expect(() => prototype.close.call({} as never, { valueOf: convert } as never)).toThrow(TypeError)
    expect(convert).not.toHaveBeenCalled()
  })
})
