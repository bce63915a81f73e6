// https://websockets.spec.whatwg.org/#dom-websocket-close and the closing handshake, started by either side.
// https://www.rfc-editor.org/rfc/rfc6455#section-7
import type { Cases } from './context.ts'

export const closing: Cases = {
  'close() throws for codes that a page may not send': {
    wpt: [
      'close-invalid',
      'Secure-Close-1005',
      'Secure-Close-2999-reason',
      'Secure-Close-onlyReason',
      'Close-0',
      'Close-NaN',
      'Close-null',
      'Close-string',
    ],
    run: async u => {
      const socket = (await u.open()) as any
      const codes = [
        0,
        500,
        999,
        1001,
        1002,
        1005,
        1006,
        1015,
        2999,
        5000,
        65_535,
        65_536 + 1000,
        2 ** 32 + 1000,
        -1,
      ]
      codes.push(NaN, Infinity, -Infinity)
      const others = ['string', null, true, {}, [], 'Close with only reason']
      const thrown = [...codes, ...others].map(code => u.thrown(() => socket.close(code, 'reason')))
      return [[...new Set(thrown)], socket.readyState]
    },
    standard: [['DOMException InvalidAccessError 15'], 1],
  },
  'close() converts the code to a number': {
    run: async u => {
      const closed = await Promise.all(
        ['1000', '0x3e8', [3001], { valueOf: () => 3002 }, 3000.4, 4999.4].map(async code => {
          const socket = await u.open()
          const ended = u.next(socket, 'close')
          socket.close(code as any)
          return (await ended).code
        }),
      )
      return closed
    },
    standard: [1000, 1000, 3001, 3002, 3000, 4999],
  },
  'close() rounds the code to the nearest integer, halves to the even one': {
    run: async u => {
      const codes: unknown[] = []
      for (const code of [999.5, 2999.4, 2999.5, 2999.6, 3000.5, 3001.5, 4999.5]) {
        const socket = await u.open()
        const thrown = u.thrown(() => socket.close(code))
        codes.push(thrown === 'nothing' ? (await u.next(socket, 'close')).code : thrown)
      }
      return codes
    },
    standard: [
      1000,
      'DOMException InvalidAccessError 15',
      3000,
      3000,
      3000,
      3002,
      'DOMException InvalidAccessError 15',
    ],
    differs: { chromium: 'follows the standard', webkit: 'follows the standard' },
  },
  'close() rethrows errors of converting its arguments': {
    run: async u => {
      const socket = (await u.open()) as any
      const bad = {
        valueOf() {
          throw new RangeError('mine')
        },
        toString() {
          throw new EvalError('mine')
        },
      }
      return [
        u.thrown(() => socket.close(bad)),
        u.thrown(() => socket.close(1000, bad)),
        u.thrown(() => socket.close(0, bad)),
        u.thrown(() => socket.close(1n)),
        u.thrown(() => socket.close(Symbol('a'))),
        u.thrown(() => socket.close(1000, Symbol('a'))),
        socket.readyState,
      ]
    },
    standard: ['RangeError', 'EvalError', 'EvalError', 'TypeError', 'TypeError', 'TypeError', 1],
  },
  'close() throws for a reason of more than 123 bytes': {
    wpt: ['Close-Reason-124Bytes', 'Secure-Close-Reason-124Bytes', 'interfaces/WebSocket/close/002'],
    run: async u => {
      const socket = await u.open()
      const reasons = [
        'x'.repeat(124),
        'é'.repeat(62),
        '\u5336'.repeat(42),
        '\ud83d\ude00'.repeat(31),
        '\ud83d'.repeat(42),
      ]
      const thrown = reasons.map(reason => u.thrown(() => socket.close(1000, reason)))
      // The code is checked first.
      thrown.push(u.thrown(() => socket.close(0, 'x'.repeat(124))))
      return [...thrown, socket.readyState]
    },
    standard: [...Array(5).fill('DOMException SyntaxError 12'), 'DOMException InvalidAccessError 15', 1],
  },
  'close() sends its code and reason, and the close event reports them': {
    wpt: [
      'Close-1000',
      'Close-1000-reason',
      'Close-undefined',
      'Close-reason-unpaired-surrogates',
      'Secure-Close-1000',
      'Secure-Close-1000-reason',
      'Secure-Close-1000-verify-code',
      'Secure-Close-1005-verify-code',
      'Secure-Close-3000-reason',
      'Secure-Close-3000-verify-code',
      'Secure-Close-4999-reason',
      'Secure-Close-undefined',
      'Secure-Close-Reason-Unpaired-surrogates',
      'interfaces/WebSocket/close/close-basic',
      'closing-handshake/003',
    ],
    run: async u => {
      const all: any[][] = [
        [],
        [undefined],
        [1000],
        [1000, ''],
        [3000, 'Clean Close'],
        [4999, 'x'.repeat(123)],
        [1000, 'é'.repeat(61)],
        [1000, '\ud807'],
        [1000, null],
        [1000, undefined],
        [1000, { toString: () => 'own' }],
      ]
      return Promise.all(
        all.map(async args => {
          const id = u.id()
          const socket = await u.open(`?id=${id}`)
          const events = u.eventsUntilClose(socket)
          const result = String(socket.close(...args))
          const state = socket.readyState
          const { close } = await u.received(id)
          return `${result} ${state} / ${close?.code} ${close?.reason} / ${(await events).join(', ')}`
        }),
      )
    },
    standard: [
      'undefined 2 / -1  / close 3 1005 clean',
      'undefined 2 / -1  / close 3 1005 clean',
      'undefined 2 / 1000  / close 3 1000 clean',
      'undefined 2 / 1000  / close 3 1000 clean',
      'undefined 2 / 3000 Clean Close / close 3 3000 Clean Close clean',
      `undefined 2 / 4999 ${'x'.repeat(123)} / close 3 4999 ${'x'.repeat(123)} clean`,
      `undefined 2 / 1000 ${'é'.repeat(61)} / close 3 1000 ${'é'.repeat(61)} clean`,
      'undefined 2 / 1000 \ufffd / close 3 1000 \ufffd clean',
      'undefined 2 / 1000 null / close 3 1000 null clean',
      'undefined 2 / 1000  / close 3 1000 clean',
      'undefined 2 / 1000 own / close 3 1000 own clean',
    ],
  },
  'close() with a reason and without a code sends 1000': {
    wpt: ['Secure-Close-onlyReason'],
    run: async u => {
      const id = u.id()
      const socket = await u.open(`?id=${id}`)
      const events = u.eventsUntilClose(socket)
      socket.close(undefined, 'reason')
      const { close } = await u.received(id)
      return [close?.code, close?.reason, await events]
    },
    standard: [1000, 'reason', ['close 3 1000 reason clean']],
    differs: { all: 'follows the standard' },
  },
  'close() while connecting fails the connection in a later task': {
    wpt: [
      'interfaces/WebSocket/close/close-connecting',
      'interfaces/WebSocket/close/close-multiple',
      'interfaces/WebSocket/close/close-nested',
      'interfaces/WebSocket/readyState/008',
    ],
    run: async u => {
      const socket = u.make(await u.urlOfNewPort('?opening=100'))
      const events = u.eventsUntilClose(socket)
      socket.close(4000, 'unheard')
      const states = [socket.readyState]
      await Promise.resolve()
      states.push(socket.readyState)
      return [states, await events]
    },
    standard: [
      [2, 2],
      ['error 3', 'close 3 1006 unclean'],
    ],
  },
  'close() long after the handshake began fails the connection': {
    wpt: ['interfaces/WebSocket/close/close-connecting'],
    run: async u => {
      const socket = u.make(await u.urlOfNewPort(`?opening=told&id=${u.id()}`))
      const events = u.eventsUntilClose(socket)
      await u.task()
      const states = [socket.readyState]
      socket.close()
      return [...states, socket.readyState, await events]
    },
    standard: [0, 2, ['error 3', 'close 3 1006 unclean']],
  },
  'close() checks its arguments in every state': {
    run: async u => {
      const socket = u.make(u.url())
      const check = () => [
        u.thrown(() => socket.close(0)),
        u.thrown(() => socket.close(1000, 'x'.repeat(124))),
        socket.readyState,
      ]
      const found = [check()]
      await u.next(socket, 'open')
      found.push(check())
      socket.close()
      found.push(check())
      await u.next(socket, 'close')
      found.push(check())
      return found
    },
    standard: [0, 1, 2, 3].map(state => [
      'DOMException InvalidAccessError 15',
      'DOMException SyntaxError 12',
      state,
    ]),
  },
  'a call of close() that throws has no effect': {
    run: async u => {
      const socket = await u.open()
      u.thrown(() => socket.close(0))
      u.thrown(() => socket.close(1000, 'x'.repeat(124)))
      socket.send('still')
      return (await u.next(socket, 'message')).data
    },
    standard: 'still',
  },
  'only the first call of close() has an effect': {
    wpt: [
      'interfaces/WebSocket/close/close-multiple',
      'Secure-Close-readyState-Closing',
      'Secure-Close-readyState-Closed',
    ],
    run: async u => {
      const socket = await u.open()
      const events = u.eventsUntilClose(socket)
      socket.close(4001, 'first')
      socket.close(4002, 'second')
      socket.close()
      return [socket.readyState, await events, socket.readyState, String(socket.close(4003))]
    },
    standard: [2, ['close 3 4001 first clean'], 3, 'undefined'],
  },
  'close() in a close event has no effect': {
    wpt: ['interfaces/WebSocket/close/close-nested'],
    run: async u => {
      const socket = await u.open()
      const states: number[] = []
      socket.onclose = () => {
        states.push(socket.readyState)
        socket.close()
        states.push(socket.readyState)
      }
      const events = u.eventsUntilClose(socket)
      socket.close()
      return [states, await events]
    },
    standard: [[3, 3], ['close 3 1005 clean']],
  },
  'close() in an open event changes readyState for the listeners that follow': {
    run: async u => {
      const socket = u.make(u.url('?text=unheard'))
      socket.onopen = () => socket.close()
      return u.eventsUntilClose(socket)
    },
    standard: ['open 2', 'close 3 1005 clean'],
  },
  'no message event is fired after close()': {
    run: async u => {
      const socket = u.make(u.url('?text=1&text=2&text=3&glued&closing=50'))
      socket.onmessage = () => socket.close()
      return u.eventsUntilClose(socket)
    },
    standard: ['open 1', 'message 2 1', 'close 3 1005 clean'],
  },
  'messages sent before close() arrive': {
    run: async u => {
      const id = u.id()
      const socket = await u.open(`?sink&id=${id}`)
      const large = new Uint8Array(500_000)
      socket.send(large)
      socket.send(large)
      socket.send('last')
      socket.close(4000)
      const ended = await u.next(socket, 'close')
      const { messages, close } = await u.received(id)
      return [messages.map(({ length }) => length), close?.code, ended.code, ended.wasClean]
    },
    standard: [[1_000_002, 1_000_002, 4], 4000, 4000, true],
  },
  'readyState is CLOSING until the server replies to the close frame': {
    wpt: ['Secure-Close-readyState-Closing'],
    run: async u => {
      const id = u.id()
      const socket = await u.open(`?closing=told&id=${id}`)
      const events = u.eventsUntilClose(socket)
      socket.close(4000)
      await u.otherConnection()
      const { readyState } = socket
      await u.proceed(id)
      return [readyState, await events, socket.readyState]
    },
    standard: [2, ['close 3 4000 clean'], 3],
  },
  'the closing handshake waits for a server that replies after 3.5 s': {
    page: true,
    run: async u => {
      const socket = await u.open('?closing=3500')
      const events = u.eventsUntilClose(socket)
      socket.close(4000, 'patience')
      return events
    },
    standard: ['close 3 4000 patience clean'],
  },
  'the close event has the code of the server, if it replies with a different code': {
    run: async u => {
      const socket = await u.open('?reply=4321')
      const events = u.eventsUntilClose(socket)
      socket.close(4000, 'mine')
      return events
    },
    standard: ['close 3 4321 mine clean'],
  },
  'the server ends the connection instead of replying to a close frame': {
    run: async u => {
      const socket = u.make(await u.urlOfNewPort('?closing=end'))
      await u.next(socket, 'open')
      const events = u.eventsUntilClose(socket)
      socket.close(4000, 'mine')
      return events
    },
    standard: ['close 3 1006 unclean'],
  },
  'the server closes the connection': {
    wpt: [
      'Secure-Close-server-initiated-close',
      'closing-handshake/002',
      'interfaces/CloseEvent/clean-close',
    ],
    run: async u => {
      const socket = u.make(u.url('?when=message&code=1000&reason=Goodbye'))
      socket.onopen = () => socket.send('Goodbye')
      return u.eventsUntilClose(socket)
    },
    standard: ['open 1', 'close 3 1000 Goodbye clean'],
  },
  'the server closes with any code that it may use': {
    run: async u => {
      const stories: string[] = []
      for (const code of [-1, 1000, 1001, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]) {
        const id = u.id()
        const socket = u.make(u.url(`?code=${code}&id=${id}`))
        const events = (await u.eventsUntilClose(socket)).join(', ')
        stories.push(`${events} / ${(await u.received(id)).close?.code}`)
      }
      return stories
    },
    standard: [
      'open 1, close 3 1005 clean / -1',
      ...[1000, 1001, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999].map(
        code => `open 1, close 3 ${code} clean / ${code}`,
      ),
    ],
  },
  'the server closes with 1012, 1013 or 1014': {
    run: async u => {
      const stories: string[] = []
      for (const code of [1012, 1013, 1014]) {
        stories.push((await u.eventsUntilClose(u.make(await u.urlOfNewPort(`?code=${code}`)))).join(', '))
      }
      return stories
    },
    standard: [1012, 1013, 1014].map(code => `open 1, close 3 ${code} clean`),
  },
  'the server closes with a reason of 123 bytes': {
    run: async u => (await u.next(u.make(u.url(`?code=4000&reason=${'é'.repeat(61)}a`)), 'close')).reason,
    standard: `${'é'.repeat(61)}a`,
  },
  'messages that the server sent before its close frame are received before the close event': {
    run: async u => u.eventsUntilClose(u.make(u.url('?text=1&hex=820101&code=4000&glued'))),
    standard: ['open 1', 'message 1 1', 'message 1 [object Blob]', 'close 3 4000 clean'],
  },
  'messages that the server sends after receiving a close frame are not received': {
    run: async u => {
      const socket = await u.open('?late=unheard&closing=20')
      const events = u.eventsUntilClose(socket)
      socket.close(4000)
      return events
    },
    standard: ['close 3 4000 clean'],
  },
  'messages that the server sends after its close frame are not received': {
    wpt: ['closing-handshake/004'],
    run: async u => {
      const socket = u.make(u.url('?when=message&code=4000&late=unheard'))
      socket.onopen = () => socket.send('Goodbye')
      return u.eventsUntilClose(socket)
    },
    standard: ['open 1', 'close 3 4000 clean'],
  },
  'messages in the same packet as the close frame of the server, and after it, are not received': {
    run: async u => u.eventsUntilClose(u.make(u.url('?text=before&hex=88020fa0810161'))),
    standard: ['open 1', 'message 1 before', 'close 3 4000 clean'],
  },
  'both sides close at the same time': {
    run: async u => {
      const socket = u.make(u.url('?when=message&code=4001'))
      await u.next(socket, 'open')
      const events = u.eventsUntilClose(socket)
      socket.send('now')
      socket.close(4002)
      const [event] = await events
      return event === 'close 3 4001 clean' || event === 'close 3 4002 clean'
    },
    standard: true,
  },
  'the server ends the connection without a close frame': {
    run: async u => {
      const socket = u.make(await u.urlOfNewPort('?when=message&text=a&then=end'))
      const events = u.eventsUntilClose(socket)
      socket.onmessage = () => socket.send('go')
      return events
    },
    standard: ['open 1', 'message 1 a', 'close 3 1006 unclean'],
  },
  'the server resets the connection': {
    run: async u => {
      const socket = u.make(await u.urlOfNewPort('?when=message&then=reset'))
      socket.onopen = () => socket.send('now')
      return u.eventsUntilClose(socket)
    },
    standard: ['open 1', 'error 3', 'close 3 1006 unclean'],
  },
}
