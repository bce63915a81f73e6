// https://websockets.spec.whatwg.org/#dom-websocket-websocket
import type { Cases } from './context.ts'

export const construction: Cases = {
  'the constructor throws without `new`': {
    wpt: ['idlharness'],
    run: u => u.thrown(() => (u.WebSocket as any)(u.url())),
    standard: 'TypeError',
  },
  'the constructor throws without a URL': {
    wpt: ['constructor/001', 'idlharness'],
    run: u => u.thrown(() => u.make()),
    standard: 'TypeError',
  },
  'the constructor ignores additional arguments': {
    wpt: ['constructor'],
    run: u => {
      const socket = new (u.WebSocket as any)(u.url(), 'echo', 'stray')
      socket.close()
      return socket instanceof u.WebSocket
    },
    standard: true,
  },
  'the constructor throws for an invalid URL': {
    wpt: ['constructor/002'],
    run: u =>
      ['ws://', 'ws:', 'ws://[', 'ws://a:99999/', 'ws://a^b/'].map(url => u.thrown(() => u.make(url))),
    standard: Array(5).fill('DOMException SyntaxError 12'),
  },
  'the constructor throws for a space in the host': {
    wpt: ['constructor/002', 'Create-invalid-urls', 'Create-Secure-url-with-space'],
    run: u => ['ws://foo bar.com/', 'wss://foo bar.com/'].map(url => u.thrown(() => u.make(url))),
    standard: Array(2).fill('DOMException SyntaxError 12'),
  },
  'the constructor throws for other schemes': {
    wpt: ['constructor/002', 'Create-invalid-urls', 'Create-wrong-scheme'],
    run: u =>
      [
        'ftp://a/',
        'mailto:a@b.org',
        'about:blank',
        'javascript:0',
        'data:,',
        'file:///a',
        'wsss://a',
        'w:',
      ].map(url => u.thrown(() => u.make(url))),
    standard: Array(8).fill('DOMException SyntaxError 12'),
  },
  'the constructor throws for a fragment, even an empty one': {
    wpt: ['constructor/002', 'Create-invalid-urls'],
    run: u => [`${u.url()}#`, `${u.url()}#a`, '#a', '#'].map(url => u.thrown(() => u.make(url))),
    standard: Array(4).fill('DOMException SyntaxError 12'),
  },
  'the constructor converts http: to ws:, and https: to wss:': {
    wpt: ['Create-http-urls', 'Create-valid-url-http.tentative'],
    run: u => ['http://127.0.0.1:1234/a', 'https://127.0.0.1:1234/a?b'].map(url => u.make(url).url),
    standard: ['ws://127.0.0.1:1234/a', 'wss://127.0.0.1:1234/a?b'],
  },
  'the constructor resolves a relative URL against that of the document or worker': {
    wpt: ['Create-valid-url-relative.tentative', 'Create-non-absolute-url', 'multi-globals/url-parsing'],
    run: u => {
      const base = new URL(location.href)
      base.protocol = 'ws:'
      return ['/a?b', '?a', 'a/../b', '//127.0.0.1:1234/c'].map(
        url => u.make(url).url === new URL(url, base).href,
      )
    },
    standard: [true, true, true, true],
  },
  'the constructor resolves an empty URL to that of the document or worker': {
    run: u => u.thrown(() => u.make('')),
    standard: 'nothing',
  },
  'url is the serialized parsed URL': {
    wpt: [
      'constructor/017',
      'interfaces/WebSocket/url/001',
      'Create-verify-url-set-non-default-port',
      'Create-Secure-verify-url-set-non-default-port',
      'Create-verify-url-set-default-port',
      'Create-Secure-verify-url-set-default-port',
    ],
    run: u =>
      [
        'ws://127.0.0.1:1234',
        'WS://LOCALHOST:1234/A?B',
        'ws://127.0.0.1:80/',
        'wss://127.0.0.1:443/',
        'ws://127.0.0.1:443/',
        'ws://127.0.0.1:1234/a b?c d',
        'ws://127.0.0.1:1234/å?ö',
        'ws://127.0.0.1:1234/a/../b/./c',
        ' \tws://127.0.0.1:1234/a\n/b ',
        'ws:\\\\127.0.0.1:1234\\a',
        'ws:127.0.0.1:1234/a',
        'ws:/127.0.0.1:1234/a',
        'ws://0x7f.1:1234/',
        'ws://ann:secret@127.0.0.1:1234/',
      ].map(url => u.make(url).url),
    standard: [
      'ws://127.0.0.1:1234/',
      'ws://localhost:1234/A?B',
      'ws://127.0.0.1/',
      'wss://127.0.0.1/',
      'ws://127.0.0.1:443/',
      'ws://127.0.0.1:1234/a%20b?c%20d',
      'ws://127.0.0.1:1234/%C3%A5?%C3%B6',
      'ws://127.0.0.1:1234/b/c',
      'ws://127.0.0.1:1234/a/b',
      'ws://127.0.0.1:1234/a',
      'ws://127.0.0.1:1234/a',
      'ws://127.0.0.1:1234/a',
      'ws://127.0.0.1:1234/',
      'ws://ann:secret@127.0.0.1:1234/',
    ],
  },
  'the constructor converts the URL to a string': {
    wpt: ['constructor/006'],
    run: u => {
      const url = u.url('a')
      const forms = [new URL(url), { toString: () => url }, [url], Object(url)]
      if (!u.worker) forms.push(Object.assign(document.createElement('a'), { href: url }))
      return forms.every(form => u.make(form).url === url)
    },
    standard: true,
  },
  'the constructor rethrows errors of converting its arguments': {
    run: u => {
      const bad = {
        toString() {
          throw new RangeError('mine')
        },
      }
      return [u.thrown(() => u.make(bad)), u.thrown(() => u.make(Symbol('a')))]
    },
    standard: ['RangeError', 'TypeError'],
  },
  'the constructor replaces a lone surrogate in the URL': {
    run: u => u.make('ws://127.0.0.1:1234/\ud83da').url,
    standard: 'ws://127.0.0.1:1234/%EF%BF%BDa',
  },
  'the constructor converts undefined and null to strings': {
    run: u =>
      [undefined, null, 1].map(
        url => u.make(url).url === new URL(String(url), location.href.replace('http', 'ws')).href,
      ),
    standard: [true, true, true],
  },
  'NUL and other characters of the URL are sent as percent-encoded UTF-8': {
    wpt: ['constructor/018', 'constructor/016'],
    run: async u => {
      const socket = u.make(u.url('?tell&x\0åäö'))
      const { url } = JSON.parse((await u.next(socket, 'message')).data)
      return url
    },
    standard: '/?tell&x%00%C3%A5%C3%A4%C3%B6',
  },
  'the constructor accepts the scheme in upper case': {
    wpt: ['constructor/019'],
    run: async u => {
      const socket = u.make(u.url().replace(/^wss?/, scheme => scheme.toUpperCase()))
      await u.next(socket, 'open')
      return socket.url === u.url()
    },
    standard: true,
  },
  'the constructor does not throw for ports that are not blocked': {
    wpt: ['constructor/008', 'Create-blocked-port'],
    run: u => [80, 443, 8080].map(port => u.thrown(() => u.make(`ws://127.0.0.1:${port}/`))),
    standard: ['nothing', 'nothing', 'nothing'],
  },
  'a connection to a blocked port fails like any network error': {
    wpt: ['Create-blocked-port', 'Create-Secure-blocked-port', 'constructor/007'],
    run: async u => {
      const found: unknown[] = []
      for (const port of [1, 22, 25, 6000, 6667]) {
        let events: string[] = []
        const thrown = u.thrown(() => {
          events = u.events(u.make(`ws://127.0.0.1:${port}/`))
        })
        // One engine never fires the close event.
        for (let i = 0; i < 10 && events.length < 2; i++) await u.otherConnection()
        found.push([thrown, events])
      }
      return found
    },
    standard: Array(5).fill(['nothing', ['error 3', 'close 3 1006 unclean']]),
    differs: {
      webkit:
        'fires no event, because `error` without `close` does not tell the core that the attempt has failed',
    },
  },
  'a new socket is connecting, and its attributes have their initial values': {
    wpt: [
      'interfaces/WebSocket/readyState/003',
      'interfaces/WebSocket/extensions/001',
      'interfaces/WebSocket/protocol/001',
      'interfaces/WebSocket/bufferedAmount/bufferedAmount-getting',
      'Create-Secure-extensions-empty',
      'Create-Secure-valid-url-binaryType-blob',
      'Create-valid-url-protocol-empty',
    ],
    run: u => {
      const { readyState, extensions, protocol, bufferedAmount, binaryType } = u.make(u.url(), 'a')
      return { readyState, extensions, protocol, bufferedAmount, binaryType }
    },
    standard: { readyState: 0, extensions: '', protocol: '', bufferedAmount: 0, binaryType: 'blob' },
  },
  opens: {
    wpt: [
      'Create-valid-url',
      'Create-Secure-valid-url',
      'opening-handshake/002',
      'opening-handshake/005',
      'interfaces/WebSocket/readyState/006',
    ],
    run: async u => {
      const socket = u.make(u.url())
      const events = u.events(socket)
      await u.next(socket, 'open')
      const { readyState, extensions, protocol } = socket
      return { events, readyState, extensions, protocol }
    },
    standard: { events: ['open 1'], readyState: 1, extensions: '', protocol: '' },
  },
  'no event is fired before the end of the task': {
    run: async u => {
      const socket = u.make(u.url('?text=early'))
      const until = performance.now() + 100
      while (performance.now() < until);
      const events = u.events(socket)
      await u.next(socket, 'message')
      return [socket.readyState, events]
    },
    standard: [1, ['open 1', 'message 1 early']],
  },
  'ten sockets at the same time do not affect each other': {
    wpt: ['constructor/013'],
    run: async u => {
      const stories = Array.from({ length: 10 }, async (_, i) => {
        const socket = u.make(u.url(`?n=${i}`))
        const ended = u.eventsUntilClose(socket)
        socket.onopen = () => socket.send(`${i}`)
        socket.onmessage = () => socket.close()
        return (await ended).join() === `open 1,message 1 ${i},close 3 1005 clean`
      })
      return (await Promise.all(stories)).every(Boolean)
    },
    standard: true,
  },
  'the class can be extended': {
    run: async u => {
      class Mine extends u.WebSocket {
        messages: string[] = []
        constructor(url: string) {
          super(url)
          this.onmessage = ({ data }) => this.messages.push(data)
        }
        override send(data: string) {
          super.send(`${data}!`)
        }
      }
      const socket = new Mine(u.url())
      await u.next(socket, 'open')
      socket.send('a')
      await u.next(socket, 'message')
      const ended = u.next(socket, 'close')
      socket.close()
      await ended
      return [socket.messages, socket instanceof Mine, socket instanceof u.WebSocket, Mine.OPEN, socket.OPEN]
    },
    standard: [['a!'], true, true, 1, 1],
  },
  'the prototype of a new socket is that of new.target': {
    run: u => {
      function Mine() {}
      const socket = Reflect.construct(u.WebSocket, [u.url()], Mine)
      const right = Object.getPrototypeOf(socket) === Mine.prototype
      const get = Object.getOwnPropertyDescriptor(u.WebSocket.prototype, 'readyState')?.get
      const { close } = u.WebSocket.prototype
      const state = get?.call(socket)
      close.call(socket)
      return [right, state]
    },
    standard: [true, 0],
  },
  'objects created in a frame belong to the realm of the frame': {
    wpt: ['multi-globals/message-received', 'multi-globals/url-parsing'],
    page: true,
    run: async u => {
      const { window, context } = await u.frame()
      const socket = context.make(context.url())
      const opened = await context.next(socket, 'open')
      socket.send('a')
      const message = await context.next(socket, 'message')
      socket.send(new window.Uint8Array(1))
      const { data: blob } = await context.next(socket, 'message')
      socket.binaryType = 'arraybuffer'
      socket.send(new Uint8Array(1))
      const { data: buffer } = await context.next(socket, 'message')
      socket.close()
      const close = await context.next(socket, 'close')
      return [
        Object.getPrototypeOf(opened) === window.Event.prototype,
        Object.getPrototypeOf(message) === window.MessageEvent.prototype,
        Object.getPrototypeOf(close) === window.CloseEvent.prototype,
        Object.getPrototypeOf(blob) === window.Blob.prototype,
        Object.getPrototypeOf(buffer) === window.ArrayBuffer.prototype,
        socket instanceof window.EventTarget,
      ]
    },
    standard: [true, true, true, true, true, true],
  },
}
