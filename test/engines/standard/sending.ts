// https://websockets.spec.whatwg.org/#dom-websocket-send and `bufferedAmount`, `binaryType` and the messages that arrive.
import type { Cases } from './context.ts'

export const sending: Cases = {
  'send() throws without an argument, in every state': {
    wpt: ['interfaces/WebSocket/send/001', 'idlharness'],
    run: async u => {
      const socket = u.make(u.url()) as any
      const thrown = [u.thrown(() => socket.send())]
      await u.next(socket, 'open')
      thrown.push(u.thrown(() => socket.send()))
      socket.close()
      thrown.push(u.thrown(() => socket.send()))
      await u.next(socket, 'close')
      return [...thrown, u.thrown(() => socket.send())]
    },
    standard: Array(4).fill('TypeError'),
  },
  'send() throws while connecting, with any data': {
    wpt: ['Send-before-open', 'interfaces/WebSocket/send/002', 'interfaces/WebSocket/send/004'],
    run: u => {
      const socket = u.make(u.url())
      const all = [
        'a',
        '',
        'a\udc00x',
        'a\ud800x',
        'a\udc00\ud800x',
        new ArrayBuffer(1),
        new Uint8Array(1),
        new Blob(['a']),
      ]
      return [
        ...new Set(all.map(data => u.thrown(() => socket.send(data)))),
        socket.bufferedAmount,
        socket.readyState,
      ]
    },
    standard: ['DOMException InvalidStateError 11', 0, 0],
  },
  'send() converts its argument to a string before it checks the state': {
    run: u => {
      const socket = u.make(u.url()) as any
      const bad = {
        toString() {
          throw new RangeError('mine')
        },
      }
      return [u.thrown(() => socket.send(bad)), u.thrown(() => socket.send(Symbol('a')))]
    },
    standard: ['RangeError', 'TypeError'],
  },
  'send() returns undefined': {
    wpt: ['interfaces/WebSocket/send/005'],
    run: async u => {
      const socket = await u.open()
      const results: unknown[] = [socket.send('test')]
      socket.close()
      results.push(socket.send('test'))
      await u.next(socket, 'close')
      results.push(socket.send('test'))
      return results.map(String)
    },
    standard: ['undefined', 'undefined', 'undefined'],
  },
  'text arrives as it was sent': {
    wpt: [
      'Send-data',
      'Send-0byte-data',
      'Send-unicode-data',
      'Send-paired-surrogates',
      'Secure-Send-data',
      'Secure-Send-unicode-data',
      'Secure-Send-paired-surrogates',
      'interfaces/WebSocket/send/007',
      'interfaces/WebSocket/send/008',
      'interfaces/WebSocket/send/009',
      'interfaces/WebSocket/send/011',
    ],
    run: async u => {
      const texts = ['Message to send', '', '\0', 'åäö', '\u00e5 a\u030a \u{1047e}', '\ufeffa', 'a\r\nb', '']
      const socket = await u.open()
      const got: string[] = []
      for (const text of texts) {
        socket.send(text)
        got.push((await u.next(socket, 'message')).data)
      }
      return got
    },
    standard: ['Message to send', '', '\0', 'åäö', '\u00e5 a\u030a \u{1047e}', '\ufeffa', 'a\r\nb', ''],
  },
  'a lone surrogate in text is replaced': {
    wpt: ['Send-Unpaired-Surrogates', 'Secure-Send-unpaired-surrogates', 'interfaces/WebSocket/send/006'],
    run: async u => {
      const socket = await u.open()
      socket.send('a\udc00xb\ud800xc\udc00\ud800x')
      const { bufferedAmount } = socket
      return [bufferedAmount, (await u.next(socket, 'message')).data]
    },
    standard: [18, 'a\ufffdxb\ufffdxc\ufffd\ufffdx'],
  },
  'send() converts other values to strings': {
    wpt: ['Send-null', 'Secure-Send-null', 'interfaces/WebSocket/send/010'],
    run: async u => {
      const socket = await u.open()
      const things: any[] = [
        null,
        undefined,
        1,
        -0,
        true,
        10n,
        {},
        [],
        [1, [2]],
        () => {},
        new Error(),
        Object('boxed'),
        { toString: () => 'own' },
        new Date(0),
        new URL('http://a/'),
        socket,
        globalThis,
      ]
      const right: boolean[] = []
      for (const thing of things) {
        socket.send(thing)
        right.push((await u.next(socket, 'message')).data === String(thing))
      }
      return right
    },
    standard: Array(17).fill(true),
  },
  'text and binary of every length': {
    wpt: [
      'extended-payload-length',
      'Send-65K-data',
      'Secure-Send-65K-data',
      'Send-binary-65K-arraybuffer',
      'Secure-Send-binary-65K-arraybuffer',
      'interfaces/WebSocket/send/012',
      'binary/004',
    ],
    run: async u => {
      const socket = await u.open()
      socket.binaryType = 'arraybuffer'
      const right: boolean[] = []
      for (const length of [0, 1, 125, 126, 127, 65_535, 65_536, 70_000, 300_000]) {
        const text = 'a'.repeat(length)
        socket.send(text)
        const { data } = await u.next(socket, 'message')
        const bytes = Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 255)
        socket.send(bytes)
        const { data: echo } = await u.next(socket, 'message')
        right.push(data === text && u.hex(echo) === u.hex(bytes.buffer))
      }
      return right
    },
    standard: Array(9).fill(true),
  },
  'buffers and all kinds of views, with offsets and lengths': {
    wpt: [
      'Send-binary-arraybuffer',
      'Send-binary-arraybufferview-int8',
      'Send-binary-arraybufferview-int16-offset',
      'Secure-Send-binary-arraybuffer',
      'Secure-Send-binary-arraybufferview-float32',
      'Secure-Send-binary-arraybufferview-float64',
      'Secure-Send-binary-arraybufferview-int32',
      'Secure-Send-binary-arraybufferview-uint16-offset-length',
      'Secure-Send-binary-arraybufferview-uint32-offset',
      'Secure-Send-binary-arraybufferview-uint8-offset-length',
      'Secure-Send-binary-arraybufferview-uint8-offset',
      'binary/001',
    ],
    run: async u => {
      const socket = await u.open()
      socket.binaryType = 'arraybuffer'
      const { buffer } = Uint8Array.from({ length: 32 }, (_, i) => i)
      const arrays = [
        Int8Array,
        Uint8Array,
        Uint8ClampedArray,
        Int16Array,
        Uint16Array,
        Int32Array,
        Uint32Array,
      ]
      const views: ArrayBufferView[] = [
        Float32Array,
        Float64Array,
        BigInt64Array,
        BigUint64Array,
        ...arrays,
      ].flatMap(Type => [
        new Type(buffer),
        new Type(buffer, 16),
        new Type(buffer, 8, 2),
        new Type(buffer, 32),
        new Type(buffer, 8, 0),
      ])
      views.push(new DataView(buffer), new DataView(buffer, 3), new DataView(buffer, 5, 7))
      const wrong: string[] = []
      const all = [buffer, ...views] as (ArrayBuffer | ArrayBufferView<ArrayBuffer>)[]
      for (const data of all) {
        const before = socket.bufferedAmount
        socket.send(data)
        const step = socket.bufferedAmount - before
        const { data: echo } = await u.next(socket, 'message')
        const view = data instanceof ArrayBuffer ? new Uint8Array(data) : data
        const bytes = buffer.slice(view.byteOffset, view.byteOffset + view.byteLength)
        if (u.hex(echo) !== u.hex(bytes) || step !== data.byteLength)
          wrong.push(`${data} ${u.hex(echo)} ${step}`)
      }
      return [all.length, wrong]
    },
    standard: [59, []],
  },
  'Blobs, Files, slices and empty Blobs': {
    wpt: ['Send-binary-blob', 'Secure-Send-binary-blob', 'binary/002', 'binary/005'],
    run: async u => {
      const socket = await u.open()
      const got: unknown[] = []
      const blobs = [
        new Blob(['hello']),
        new Blob([]),
        new File(['file'], 'a.txt'),
        new Blob(['0123456789']).slice(3, 6),
        new Blob([new Uint8Array(70_000)]),
      ]
      for (const blob of blobs) {
        socket.send(blob)
        const { bufferedAmount } = socket
        const { data } = await u.next(socket, 'message')
        const text = await u.describe(data)
        got.push([bufferedAmount, data.type, text.length < 50 ? text : text.length])
      }
      return got
    },
    standard: [
      [5, '', 'Blob 68656c6c6f'],
      [0, '', 'Blob '],
      [4, '', 'Blob 66696c65'],
      [3, '', 'Blob 333435'],
      [70_000, '', 140_005],
    ],
  },
  'send() copies the content of a buffer': {
    run: async u => {
      const socket = await u.open()
      socket.binaryType = 'arraybuffer'
      const bytes = Uint8Array.of(1, 2, 3)
      socket.send(bytes)
      bytes.fill(9)
      const first = (await u.next(socket, 'message')).data
      const { buffer } = Uint8Array.of(4, 5)
      socket.send(buffer)
      structuredClone(buffer, { transfer: [buffer] })
      const second = (await u.next(socket, 'message')).data
      socket.send(buffer)
      const third = (await u.next(socket, 'message')).data
      return [first, second, third].map(u.hex)
    },
    standard: ['010203', '0405', ''],
    differs: { all: 'throws for a detached buffer; the engines send an empty message' },
  },
  'shared and resizable buffers, if the engine supports them': {
    run: async u => {
      const socket = (await u.open()) as any
      socket.binaryType = 'arraybuffer'
      const shared = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer
      const resizable = new (ArrayBuffer as any)(2, { maxByteLength: 4 })
      const found: string[] = []
      for (const data of [shared, new Uint8Array(shared, 0, 2), resizable, new Uint8Array(resizable)]) {
        const thrown = u.thrown(() => socket.send(data))
        if (thrown === 'nothing')
          found.push((await u.describe((await u.next(socket, 'message')).data)).slice(0, 40))
        else found.push(thrown)
      }
      return found
    },
  },
  'text, buffers and Blobs arrive in the order of the calls': {
    run: async u => {
      const id = u.id()
      const socket = await u.open(`?sink&id=${id}`)
      for (let i = 0; i < 9; i += 3) {
        socket.send(new Blob([`${i}`]))
        socket.send(`${i + 1}`)
        socket.send(new TextEncoder().encode(`${i + 2}`))
      }
      socket.close()
      const { messages, wellFormed } = await u.received(id)
      return [wellFormed, messages]
    },
    standard: [true, ['0x30', '1', '0x32', '0x33', '4', '0x35', '0x36', '7', '0x38']],
  },
  'messages passed to send() after close() are not sent': {
    run: async u => {
      const id = u.id()
      const socket = await u.open(`?sink&id=${id}`)
      socket.send('before')
      socket.close()
      socket.send('after')
      socket.send(new Blob(['after']))
      await u.next(socket, 'close')
      socket.send('much later')
      return (await u.received(id)).messages
    },
    standard: ['before'],
  },
  'messages that arrive without a listener are not kept': {
    run: async u => {
      const socket = await u.open('?text=lost&text=heard')
      const events = u.events(socket)
      const ended = u.eventsUntilClose(socket)
      socket.close()
      await ended
      return events.length <= 3
    },
    standard: true,
  },

  'bufferedAmount grows at once by the number of UTF-8 bytes': {
    wpt: [
      'interfaces/WebSocket/bufferedAmount/bufferedAmount-unicode',
      'interfaces/WebSocket/bufferedAmount/bufferedAmount-getting',
    ],
    run: async u => {
      const socket = await u.open()
      const amounts: number[] = []
      for (const text of ['x', '\u00e5', '\u5336', '\ud801\udc7e', '', '\ud801', 'null']) {
        socket.send(text)
        amounts.push(socket.bufferedAmount)
      }
      socket.send(null as any)
      return [...amounts, socket.bufferedAmount]
    },
    standard: [1, 3, 6, 10, 10, 13, 17, 21],
  },
  'bufferedAmount counts buffers, views and Blobs': {
    wpt: [
      'interfaces/WebSocket/bufferedAmount/bufferedAmount-arraybuffer',
      'interfaces/WebSocket/bufferedAmount/bufferedAmount-blob',
      'interfaces/WebSocket/bufferedAmount/bufferedAmount-large',
    ],
    run: async u => {
      const socket = await u.open()
      const amounts: number[] = []
      const all = [
        new ArrayBuffer(10),
        new Uint16Array(5),
        new Blob(['hello']),
        new DataView(new ArrayBuffer(9), 3),
        'x'.repeat(65_000),
      ]
      for (const data of all) {
        socket.send(data)
        amounts.push(socket.bufferedAmount)
      }
      return amounts
    },
    standard: [10, 20, 25, 31, 65_031],
  },
  'bufferedAmount does not fall before the end of the task': {
    wpt: ['interfaces/WebSocket/bufferedAmount/bufferedAmount-getting'],
    run: async u => {
      const socket = await u.open()
      socket.send('hello')
      const until = performance.now() + 50
      while (performance.now() < until);
      await Promise.resolve()
      return socket.bufferedAmount
    },
    standard: 5,
  },
  'bufferedAmount is 0 after all messages have been echoed': {
    wpt: ['interfaces/WebSocket/bufferedAmount/bufferedAmount-unicode'],
    run: async u => {
      const socket = await u.open()
      socket.send('a')
      socket.send(new Blob(['b']))
      socket.send('end')
      await new Promise<void>(resolve => {
        socket.onmessage = ({ data }) => {
          if (data === 'end') resolve()
        }
      })
      await u.otherConnection()
      return socket.bufferedAmount
    },
    standard: 0,
  },
  'bufferedAmount grows after close(), and does not fall any more': {
    wpt: ['interfaces/WebSocket/bufferedAmount/bufferedAmount-getting'],
    run: async u => {
      const socket = await u.open()
      socket.close()
      const amounts = [socket.bufferedAmount]
      socket.send('hello')
      amounts.push(socket.bufferedAmount)
      socket.send(new ArrayBuffer(2))
      socket.send(new Blob(['abc']))
      amounts.push(socket.bufferedAmount)
      await u.next(socket, 'close')
      amounts.push(socket.bufferedAmount)
      socket.send('\u5336')
      amounts.push(socket.bufferedAmount)
      await u.otherConnection()
      return [...amounts, socket.bufferedAmount]
    },
    standard: [0, 5, 10, 10, 13, 13],
  },
  'bufferedAmount grows after close() while connecting': {
    run: async u => {
      const socket = u.make(await u.urlOfNewPort())
      const closed = u.next(socket, 'close')
      socket.close()
      socket.send('hello')
      const amounts = [socket.bufferedAmount]
      await closed
      socket.send('a')
      return [...amounts, socket.bufferedAmount]
    },
    standard: [5, 6],
  },
  'bufferedAmount keeps the bytes that could not be sent': {
    run: async u => {
      const socket = u.make(await u.urlOfNewPort('?when=message&then=reset'))
      await u.next(socket, 'open')
      socket.send('go')
      await u.next(socket, 'close')
      const before = socket.bufferedAmount
      socket.send('hello')
      return socket.bufferedAmount - before
    },
    standard: 5,
  },

  'binaryType accepts only its two values': {
    wpt: ['binaryType-wrong-value', 'Create-Secure-valid-url-binaryType-blob'],
    run: async u => {
      const socket = u.make(u.url()) as any
      const seen: unknown[] = []
      const set = (value: unknown) => {
        const thrown = u.thrown(() => {
          socket.binaryType = value
        })
        seen.push(thrown === 'nothing' ? socket.binaryType : thrown)
      }
      set('arraybuffer')
      for (const value of ['Blob', '', 'notBlobOrArrayBuffer', null, undefined, 1, {}]) set(value)
      set({ toString: () => 'blob' })
      set(Symbol('a'))
      await u.next(socket, 'open')
      set('text')
      set('arraybuffer')
      socket.close()
      await u.next(socket, 'close')
      set('blob')
      return seen
    },
    standard: [...Array(8).fill('arraybuffer'), 'blob', 'TypeError', 'blob', 'arraybuffer', 'blob'],
  },
  'binaryType applies to messages that arrive after it is set': {
    wpt: ['binary/001', 'binary/002', 'binary/005'],
    run: async u => {
      const socket = await u.open()
      const seen: string[] = []
      for (const type of ['blob', 'arraybuffer', 'blob'] as const) {
        socket.binaryType = type
        socket.send(Uint8Array.of(1, 255))
        seen.push(await u.describe((await u.next(socket, 'message')).data))
        socket.send('text')
        seen.push(await u.describe((await u.next(socket, 'message')).data))
      }
      return seen
    },
    standard: ['Blob 01ff', "'text'", 'ArrayBuffer 01ff', "'text'", 'Blob 01ff', "'text'"],
  },
  'binaryType can be set while connecting': {
    run: async u => {
      const socket = u.make(u.url('?hex=8200820101'))
      socket.binaryType = 'arraybuffer'
      const first = u.describe((await u.next(socket, 'message')).data)
      const second = u.describe((await u.next(socket, 'message')).data)
      return [await first, await second]
    },
    standard: ['ArrayBuffer ', 'ArrayBuffer 01'],
  },
  'binaryType can be set from one message to the next': {
    run: async u => {
      const socket = u.make(u.url('?hex=820101820102820103&glued'))
      const all: unknown[] = []
      await new Promise<void>(resolve => {
        socket.onmessage = ({ data }) => {
          all.push(data)
          socket.binaryType = all.length === 1 ? 'arraybuffer' : 'blob'
          if (all.length === 3) resolve()
        }
      })
      return Promise.all(all.map(u.describe))
    },
    standard: ['Blob 01', 'ArrayBuffer 02', 'Blob 03'],
  },
  'messages of all types are received in order': {
    run: async u => {
      const socket = u.make(u.url('?hex=820131810132820133810134820135'))
      const all: unknown[] = []
      await new Promise<void>(resolve => {
        socket.onmessage = ({ data }) => {
          if (all.push(data) === 5) resolve()
        }
      })
      return Promise.all(all.map(u.describe))
    },
    standard: ['Blob 31', "'2'", 'Blob 33', "'4'", 'Blob 35'],
  },
}
