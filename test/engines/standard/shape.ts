// The interface according to Web IDL: its properties, their attributes, and errors for a wrong `this`.
// https://websockets.spec.whatwg.org/#the-websocket-interface https://webidl.spec.whatwg.org/#js-interfaces
import type { Cases } from './context.ts'

const idl = ['idlharness']

export const shape: Cases = {
  'the constants are on the class, its prototype and its instances': {
    wpt: [...idl, 'interfaces/WebSocket/constants/001', 'interfaces/WebSocket/readyState/001'],
    run: u => {
      const socket = u.make(u.url())
      return [u.WebSocket, u.WebSocket.prototype, socket].map(
        ({ CONNECTING, OPEN, CLOSING, CLOSED }) => `${CONNECTING} ${OPEN} ${CLOSING} ${CLOSED}`,
      )
    },
    standard: ['0 1 2 3', '0 1 2 3', '0 1 2 3'],
  },
  'the constants are enumerable, and cannot be changed or deleted': {
    wpt: [
      ...idl,
      'interfaces/WebSocket/constants/002',
      'interfaces/WebSocket/constants/003',
      'interfaces/WebSocket/constants/004',
      'interfaces/WebSocket/constants/005',
      'interfaces/WebSocket/constants/006',
    ],
    run: u => {
      const wrong: string[] = []
      for (const [at, home] of Object.entries({ class: u.WebSocket, prototype: u.WebSocket.prototype })) {
        for (const name of ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'] as const) {
          const { writable, enumerable, configurable } = Object.getOwnPropertyDescriptor(home, name) ?? {}
          if (writable !== false || enumerable !== true || configurable !== false) wrong.push(`${at}.${name}`)
          if (Reflect.set(home, name, 5) || Reflect.deleteProperty(home, name)) wrong.push(`changed ${name}`)
          const redefine = () => Object.defineProperty(home, name, { get: () => 'foo' })
          if (u.thrown(redefine) !== 'TypeError') wrong.push(`redefined ${name}`)
        }
      }
      return wrong
    },
    standard: [],
  },
  'a constant of an instance cannot be assigned': {
    wpt: ['interfaces/WebSocket/constants/004'],
    run: u => {
      const socket = u.make(u.url())
      const set = u.thrown(() => {
        ;(socket as any).OPEN = 5
      })
      return [set, socket.OPEN]
    },
    standard: ['TypeError', 1],
  },
  'the class is a function of length 1 named WebSocket': {
    wpt: idl,
    run: u => [typeof u.WebSocket, u.WebSocket.length, u.WebSocket.name],
    standard: ['function', 1, 'WebSocket'],
  },
  'length and name of the class have the attributes of any function': {
    wpt: idl,
    run: u =>
      ['length', 'name', 'prototype'].map(name => {
        const { value: _, ...attributes } = Object.getOwnPropertyDescriptor(u.WebSocket, name) ?? {}
        return attributes
      }),
    standard: [
      { writable: false, enumerable: false, configurable: true },
      { writable: false, enumerable: false, configurable: true },
      { writable: false, enumerable: false, configurable: false },
    ],
  },
  'the class has no other own properties': {
    wpt: idl,
    run: u => Reflect.ownKeys(u.WebSocket).map(String).sort(),
    standard: ['CLOSED', 'CLOSING', 'CONNECTING', 'OPEN', 'length', 'name', 'prototype'],
  },
  'the class extends EventTarget': {
    wpt: [...idl, 'interfaces/WebSocket/events/001'],
    run: u => [
      Object.getPrototypeOf(u.WebSocket) === EventTarget,
      Object.getPrototypeOf(u.WebSocket.prototype) === EventTarget.prototype,
      u.make(u.url()) instanceof EventTarget,
    ],
    standard: [true, true, true],
  },
  'the prototype has exactly these own properties': {
    wpt: [...idl, 'interfaces/WebSocket/url/004'],
    run: u => Reflect.ownKeys(u.WebSocket.prototype).map(String).sort(),
    standard: [
      'CLOSED',
      'CLOSING',
      'CONNECTING',
      'OPEN',
      'Symbol(Symbol.toStringTag)',
      'binaryType',
      'bufferedAmount',
      'close',
      'constructor',
      'extensions',
      'onclose',
      'onerror',
      'onmessage',
      'onopen',
      'protocol',
      'readyState',
      'send',
      'url',
    ],
    differs: { all: 'has more: `socket`, `reconnect`' },
  },
  'the prototype has constructor and Symbol.toStringTag': {
    wpt: idl,
    run: u => {
      const { prototype } = u.WebSocket
      const { value, ...attributes } = Object.getOwnPropertyDescriptor(prototype, 'constructor') ?? {}
      const tag = Object.getOwnPropertyDescriptor(prototype, Symbol.toStringTag)
      return [value === u.WebSocket, attributes, tag]
    },
    standard: [
      true,
      { writable: true, enumerable: false, configurable: true },
      { value: 'WebSocket', writable: false, enumerable: false, configurable: true },
    ],
  },
  'attributes are accessors of the prototype': {
    wpt: [
      ...idl,
      'interfaces/WebSocket/url/003',
      'interfaces/WebSocket/events/002',
      'interfaces/WebSocket/events/003',
      'interfaces/WebSocket/readyState/002',
    ],
    run: u => {
      const names = ['url', 'readyState', 'bufferedAmount', 'extensions', 'protocol']
      names.push('onopen', 'onerror', 'onclose', 'onmessage', 'binaryType')
      return names.map(name => {
        const { get, set, enumerable, configurable } =
          Object.getOwnPropertyDescriptor(u.WebSocket.prototype, name) ?? {}
        const flags = `${enumerable ? 'enumerable' : ''} ${configurable ? 'configurable' : ''}`
        return `${get?.name}/${get?.length} ${set && `${set.name}/${set.length}`} ${flags}`
      })
    },
    standard: [
      ...['url', 'readyState', 'bufferedAmount', 'extensions', 'protocol'].map(
        name => `get ${name}/0 undefined enumerable configurable`,
      ),
      ...['onopen', 'onerror', 'onclose', 'onmessage', 'binaryType'].map(
        name => `get ${name}/0 set ${name}/1 enumerable configurable`,
      ),
    ],
  },
  'operations are methods of the prototype': {
    wpt: [...idl, 'interfaces/WebSocket/close/001', 'interfaces/WebSocket/send/002'],
    run: u =>
      ['close', 'send'].map(name => {
        const { value, ...attributes } = Object.getOwnPropertyDescriptor(u.WebSocket.prototype, name) ?? {}
        const constructed = u.thrown(() => new value())
        return { name: value?.name, length: value?.length, constructed, ...attributes }
      }),
    standard: [
      ['close', 0],
      ['send', 1],
    ].map(([name, length]) => ({
      name,
      length,
      constructed: 'TypeError',
      writable: true,
      enumerable: true,
      configurable: true,
    })),
  },
  'attributes throw for a wrong `this`': {
    wpt: idl,
    run: u => {
      const { prototype } = u.WebSocket
      const names = Reflect.ownKeys(prototype).filter(
        name => Object.getOwnPropertyDescriptor(prototype, name)?.get,
      )
      const others = [prototype, {}, new EventTarget(), null, undefined, 1, Object.create(u.make(u.url()))]
      return names
        .map(name => {
          const { get, set } = Object.getOwnPropertyDescriptor(prototype, name) ?? {}
          const all = others.map(other => u.thrown(() => get?.call(other)))
          if (set) all.push(...others.map(other => u.thrown(() => set.call(other, null))))
          return `${String(name)}: ${[...new Set(all)]}`
        })
        .sort()
    },
    standard: [
      'binaryType',
      'bufferedAmount',
      'extensions',
      'onclose',
      'onerror',
      'onmessage',
      'onopen',
      'protocol',
      'readyState',
      'url',
    ].map(name => `${name}: TypeError`),
    differs: { all: 'has more: `socket`, `reconnect`' },
  },
  'operations throw for a wrong `this`, before they convert their arguments': {
    wpt: idl,
    run: u => {
      const { close, send } = u.WebSocket.prototype as any
      const loud = {
        toString() {
          throw new RangeError('mine')
        },
      }
      const others = [u.WebSocket.prototype, {}, new EventTarget(), null, undefined, 1]
      const all = others.flatMap(other => [
        u.thrown(() => close.call(other, loud)),
        u.thrown(() => send.call(other, loud)),
        u.thrown(() => send.call(other)),
      ])
      return [...new Set(all)]
    },
    standard: ['TypeError'],
  },
  'attributes that are read-only keep their values': {
    wpt: [
      'interfaces/WebSocket/readyState/004',
      'interfaces/WebSocket/readyState/005',
      'interfaces/WebSocket/url/002',
    ],
    run: u => {
      const socket = u.make(u.url()) as any
      return ['url', 'readyState', 'bufferedAmount', 'extensions', 'protocol'].map(name => {
        const before = socket[name]
        const thrown = u.thrown(() => {
          socket[name] = 'foo'
        })
        return [name, thrown, Reflect.set(socket, name, 'foo'), socket[name] === before, delete socket[name]]
      })
    },
    standard: ['url', 'readyState', 'bufferedAmount', 'extensions', 'protocol'].map(name => [
      name,
      'TypeError',
      false,
      true,
      true,
    ]),
  },
  'an instance has no own properties': {
    wpt: [...idl, 'interfaces/WebSocket/bufferedAmount/bufferedAmount-deleting'],
    run: async u => {
      const socket = u.make(u.url())
      const own = () => [Reflect.ownKeys(socket).map(String), JSON.stringify(socket)]
      const fresh = own()
      socket.onopen = () => {}
      socket.binaryType = 'arraybuffer'
      await u.next(socket, 'open')
      return [fresh, own()]
    },
    standard: [
      [[], '{}'],
      [[], '{}'],
    ],
  },
  'for…in lists all enumerable properties': {
    wpt: idl,
    run: u => {
      const names: string[] = []
      for (const name in u.make(u.url())) names.push(name)
      return names.sort()
    },
    standard: [
      'CLOSED',
      'CLOSING',
      'CONNECTING',
      'OPEN',
      'addEventListener',
      'binaryType',
      'bufferedAmount',
      'close',
      'dispatchEvent',
      'extensions',
      'onclose',
      'onerror',
      'onmessage',
      'onopen',
      'protocol',
      'readyState',
      'removeEventListener',
      'send',
      'url',
    ],
    differs: { all: 'has more: `socket`, `reconnect`' },
  },
  'Object.prototype.toString() returns [object WebSocket]': {
    wpt: idl,
    run: u => [String(u.make(u.url())), Object.prototype.toString.call(u.WebSocket.prototype)],
    standard: ['[object WebSocket]', '[object WebSocket]'],
  },
  'there is no property named URL': {
    wpt: ['interfaces/WebSocket/url/004'],
    run: u => ['URL' in u.make(u.url()), 'URL' in u.WebSocket.prototype],
    standard: [false, false],
  },
  'a socket cannot be cloned': {
    run: u => u.thrown(() => structuredClone(u.make(u.url()))),
    standard: 'DOMException DataCloneError 25',
  },
  'additional properties can be set on a socket': {
    run: u => {
      const socket = u.make(u.url()) as any
      socket.mine = 1
      const { prototype } = u.WebSocket as any
      prototype.ours = 2
      const { ours } = socket
      delete prototype.ours
      return [socket.mine, ours]
    },
    standard: [1, 2],
  },
  'an own property shadows an attribute of the prototype': {
    wpt: [
      'interfaces/WebSocket/bufferedAmount/bufferedAmount-defineProperty-getter',
      'interfaces/WebSocket/bufferedAmount/006',
      'interfaces/WebSocket/bufferedAmount/bufferedAmount-deleting',
      'interfaces/WebSocket/readyState/007',
      'interfaces/WebSocket/readyState/008',
      'interfaces/WebSocket/url/005',
      'interfaces/WebSocket/url/006',
      'interfaces/WebSocket/send/003',
      'interfaces/WebSocket/send/005',
      'interfaces/WebSocket/close/004',
    ],
    run: u => {
      const { prototype } = u.WebSocket
      const names = ['bufferedAmount', 'readyState', 'url', 'protocol', 'extensions', 'send', 'close']
      const socket = u.make(u.url()) as any
      return names.map(name => {
        const before = Object.getOwnPropertyDescriptor(prototype, name) as PropertyDescriptor
        let assigned: unknown
        const set = (value: unknown) => {
          assigned = value
        }
        Object.defineProperty(prototype, name, { get: () => 'foo', set, configurable: true })
        const got = socket[name]
        socket[name] = 'bar'
        delete (prototype as any)[name]
        const gone = String(socket[name])
        Object.defineProperty(prototype, name, before)
        return `${got} ${assigned} ${gone}`
      })
    },
    standard: Array(7).fill('foo bar undefined'),
  },
  'accessors of the prototype can be called with another socket': {
    run: u => {
      const socket = u.make(u.url())
      return [
        Reflect.get(u.WebSocket.prototype, 'url', socket) === u.url(),
        Reflect.get(u.WebSocket.prototype, 'readyState', socket),
      ]
    },
    standard: [true, 0],
  },
}
