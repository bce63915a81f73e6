// Subprotocols: which ones can be offered, which are, and which may be selected.
// https://websockets.spec.whatwg.org/#dom-websocket-websocket https://www.rfc-editor.org/rfc/rfc6455#section-4.1
import type { Cases } from './context.ts'

const refused = ['error 3', 'close 3 1006 unclean']

export const protocols: Cases = {
  'the constructor throws for an empty subprotocol': {
    wpt: ['constructor/004'],
    run: u => ['', [''], ['a', '']].map(names => u.thrown(() => u.make(u.url(), names))),
    standard: Array(3).fill('DOMException SyntaxError 12'),
  },
  'the constructor throws for a subprotocol with a character that is not allowed in a token': {
    wpt: [
      'constructor/004',
      'Create-asciiSep-protocol-string',
      'Create-nonAscii-protocol-string',
      'Create-protocol-with-space',
    ],
    run: u => {
      const codes = [
        ...Array(0x21).keys(),
        ...Array.from({ length: 0x82 }, (_, i) => i + 0x7f),
        0x3b1,
        0xd83d,
        0x1f600,
      ]
      const characters = [...codes.map(code => String.fromCodePoint(code)), ...'()<>@,;:\\"/[]?={}']
      return characters.filter(
        character =>
          u.thrown(() => u.make(u.url(), `a${character}b`)) !== 'DOMException SyntaxError 12' ||
          u.thrown(() => u.make(u.url(), ['a', character])) !== 'DOMException SyntaxError 12',
      )
    },
    standard: [],
  },
  'the constructor accepts subprotocols with all characters that are allowed in a token': {
    wpt: ['constructor/005'],
    run: async u => {
      const token = "!#$%&'*+-.0123456789ABCXYZ^_`abcxyz|~"
      const socket = u.make(u.url('?tell&select=first'), token)
      const { headers } = JSON.parse((await u.next(socket, 'message')).data)
      return [headers['sec-websocket-protocol'] === token, socket.protocol === token]
    },
    standard: [true, true],
  },
  'the constructor throws for duplicate subprotocols': {
    wpt: ['Create-protocols-repeated'],
    run: u =>
      [
        ['a', 'a'],
        ['a', 'b', 'a'],
      ].map(names => u.thrown(() => u.make(u.url(), names))),
    standard: Array(2).fill('DOMException SyntaxError 12'),
  },
  'subprotocols are case-sensitive': {
    wpt: ['Create-protocols-repeated-case-insensitive'],
    run: async u => {
      const socket = u.make(u.url('?tell&select=last'), ['echo', 'Echo'])
      const { headers } = JSON.parse((await u.next(socket, 'message')).data)
      return [headers['sec-websocket-protocol'], socket.protocol]
    },
    standard: ['echo, Echo', 'Echo'],
  },
  'no subprotocol is offered if none is given': {
    wpt: ['constructor/020', 'constructor/021'],
    run: async u => {
      const offered = [
        u.make(u.url('?tell&1')),
        u.make(u.url('?tell&2'), undefined),
        u.make(u.url('?tell&3'), []),
      ]
      const events = await Promise.all(offered.map(socket => u.next(socket, 'message')))
      return events.map(({ data }) => 'sec-websocket-protocol' in JSON.parse(data).headers)
    },
    standard: [false, false, false],
  },
  'the constructor converts subprotocols to strings': {
    run: async u => {
      const forms = [
        null,
        1,
        true,
        { toString: () => 'own' },
        Object('abc'),
        new Set(['x', 'y']),
        [1, { toString: () => 'two' }, null],
        (function* () {
          yield 'g'
        })(),
      ]
      const sockets = forms.map((form, i) => u.make(u.url(`?tell&select=first&n=${i}`), form))
      const events = await Promise.all(sockets.map(socket => u.next(socket, 'message')))
      return events.map(({ data }) => JSON.parse(data).headers['sec-websocket-protocol'])
    },
    standard: ['null', '1', 'true', 'own', 'a, b, c', 'x, y', '1, two, null', 'g'],
  },
  'the constructor throws for values that do not convert to a subprotocol': {
    run: u => {
      const bad = {
        [Symbol.iterator]() {
          throw new RangeError('mine')
        },
      }
      const forms = [
        {},
        () => {},
        bad,
        { [Symbol.iterator]: 1 },
        Symbol('a'),
        ['a', Symbol('b')],
        { length: 1, 0: 'a' },
      ]
      return forms.map(form => u.thrown(() => u.make(u.url(), form)))
    },
    standard: [
      'DOMException SyntaxError 12',
      'DOMException SyntaxError 12',
      'RangeError',
      'TypeError',
      'TypeError',
      'TypeError',
      'DOMException SyntaxError 12',
    ],
    differs: { all: 'calls a function to get the subprotocols' },
  },
  'the constructor converts each argument once, the URL first, before it validates them': {
    run: u => {
      const order: string[] = []
      const note = (word: string, value: string) => ({
        toString() {
          order.push(word)
          return value
        },
      })
      const names = [note('name', 'a'), note('name', 'a')]
      const error = u.thrown(() => u.make(note('address', 'nope:'), names))
      return [error, order]
    },
    standard: ['DOMException SyntaxError 12', ['address', 'name', 'name']],
  },
  'protocol is the one that the server selected, from the open event on': {
    wpt: [
      'constructor/009',
      'constructor/022',
      'Create-valid-url-protocol',
      'Create-valid-url-array-protocols',
      'Create-Secure-valid-url-protocol-setCorrectly',
      'Create-Secure-valid-url-protocol-string',
      'Create-Secure-valid-url-array-protocols',
    ],
    run: async u => {
      const seen: string[] = []
      const socket = u.make(u.url('?select=last'), ['foobar', 'foobar2'])
      seen.push(socket.protocol)
      await u.next(socket, 'open')
      seen.push(socket.protocol)
      socket.close()
      seen.push(socket.protocol)
      await u.next(socket, 'close')
      return [...seen, socket.protocol]
    },
    standard: ['', 'foobar2', 'foobar2', 'foobar2'],
  },
  'the connection fails if the server selects a subprotocol and none was offered': {
    wpt: ['constructor/010'],
    run: async u => {
      const socket = u.make(await u.urlOfNewPort('?header=Sec-WebSocket-Protocol: foobar'))
      const events = u.eventsUntilClose(socket)
      socket.onopen = () => socket.close()
      return events
    },
    standard: refused,
  },
  'the connection fails if the server selects a subprotocol that was not offered': {
    wpt: ['constructor/011'],
    run: async u => {
      const socket = u.make(await u.urlOfNewPort('?header=Sec-WebSocket-Protocol: foobar'), ['a', 'b'])
      const events = u.eventsUntilClose(socket)
      socket.onopen = () => socket.close()
      return events
    },
    standard: refused,
  },
  'the connection fails if the server selects a subprotocol in different case': {
    wpt: ['constructor/011'],
    run: async u => {
      const socket = u.make(await u.urlOfNewPort('?header=Sec-WebSocket-Protocol: foobar'), 'FOOBAR')
      const events = u.eventsUntilClose(socket)
      socket.onopen = () => socket.close()
      return events
    },
    standard: refused,
  },
  'the connection fails if the server selects no subprotocol': {
    wpt: ['constructor/012'],
    run: async u => {
      const socket = u.make(await u.urlOfNewPort(), 'foobar')
      const events = u.eventsUntilClose(socket)
      socket.onopen = () => socket.close()
      return events
    },
    standard: refused,
  },
  'the connection fails if the server selects two subprotocols, or an empty one': {
    run: async u => {
      const two = 'header=Sec-WebSocket-Protocol: a&header=Sec-WebSocket-Protocol: b'
      const stories: string[][] = []
      for (const query of [two, 'header=Sec-WebSocket-Protocol: a, b', 'header=Sec-WebSocket-Protocol:']) {
        const socket = u.make(await u.urlOfNewPort(`?${query}`), ['a', 'b'])
        const events = u.eventsUntilClose(socket)
        socket.onopen = () => socket.close()
        stories.push(await events)
      }
      return stories
    },
    standard: [refused, refused, refused],
  },
}
