// What keeps the fake honest: the same scripts, played to the native WebSocket of each engine by a real server and a real
// line, and to the fake by itself, must be recorded alike. Where an engine does otherwise, it is written here.
import { isDeepStrictEqual } from 'node:util'
import { expect, test } from 'vitest'
import { createFakeServer, type FakePeer, type RecordedEvent, record } from '../../src/testing.ts'
import { startServer } from '../interop/ws.ts'
import { startProxy } from '../support/proxy.ts'
import type { Engine } from './engines.ts'
import { inEveryEngine, type Rig } from './rig.ts'

/** Runs in the page, as its source, with the page's end and what has been recorded so far. */
type PageCode = (socket: WebSocket, events: RecordedEvent[]) => unknown

interface Options {
  path?: string
  protocols?: string | string[]
  binaryType?: BinaryType
}

/** What a script has at hand, whoever plays the page. */
interface Stage {
  /** Makes the socket, records it, and runs this in the same task. */
  make(options?: Options, code?: PageCode): Promise<void>
  page(code: PageCode): Promise<unknown>
  /** Resolves once so many events of this type were recorded. */
  heard(type: string, count?: number): Promise<void>
  refuse(): void
  hang(): void
  peer: Pick<FakePeer, 'send' | 'close'>
  /** Both directions. */
  freeze(): void
  thaw(): void
  cut(how: 'reset' | 'end'): void
}

interface Script {
  name: string
  play(stage: Stage): Promise<unknown>
  /** Which engines do otherwise, and what is recorded there. */
  otherwise?: Partial<Record<Engine['name'], Otherwise>>
}

type Otherwise = (fake: RecordedEvent[], real: RecordedEvent[]) => RecordedEvent[]

// A line that breaks fails the connection, says https://www.rfc-editor.org/rfc/rfc6455#section-7.2.1, and a connection that
// failed has an `error`, says https://websockets.spec.whatwg.org/#feedback-from-the-protocol
const noError: Otherwise = fake => fake.filter(({ type }) => type !== 'error')

/** The globals of a page in which a script is played; here they are the fake's. */
interface Scene {
  socket: WebSocket
  log: { events: RecordedEvent[] }
}

/** What the server knows. */
const known = ['v2', 'v3']

const untilHeard = (events: RecordedEvent[], type: string, count: number) =>
  new Promise<void>(resolve => {
    const look = () => {
      if (events.filter(event => type.split(' or ').includes(event.type)).length >= count) resolve()
      else setTimeout(look, 5)
    }
    look()
  })

/** Plays a script to the fake. */
async function playHere({ play }: Script): Promise<RecordedEvent[]> {
  const server = createFakeServer({
    base: 'http://127.0.0.1:8080/page/1',
    protocols: known,
    message: (data, peer) => {
      if (peer.socket.url.endsWith('/echo')) peer.send(data as string)
    },
  })
  let scene: Scene | undefined
  const there = () => {
    if (!scene) throw new Error('make() comes first')
    return scene
  }
  await play({
    async make({ path = '/sink', protocols, binaryType } = {}, code) {
      const socket = new server.WebSocket(`ws://127.0.0.1:8080${path}`, protocols)
      if (binaryType) socket.binaryType = binaryType
      scene = { socket, log: record(socket) }
      await code?.(socket, scene.log.events)
    },
    page: async code => code(there().socket, there().log.events),
    heard: (type, count = 1) => untilHeard(there().log.events, type, count),
    refuse: () => server.refuse(),
    hang: () => server.hang(),
    get peer() {
      return server.latest
    },
    freeze: () => void server.latest.freeze(),
    thaw: () => void server.latest.thaw(),
    cut: () => void server.latest.drop(),
  })
  return there().log.events
}

/** Plays a script to the engine. */
async function playThere(rig: Rig, { play }: Script): Promise<RecordedEvent[]> {
  const server = rig.keep(await startServer({ protocols: known }))
  const proxy = rig.keep(await startProxy({ port: server.port }))
  const page = await rig.open()
  const run = (code: PageCode | undefined) => (code ? `(${code})(scene.socket, scene.log.events)` : 'null')
  await page.evaluate(`import('/dist/testing.js').then(({ record }) => { window.record = record })`)
  await play({
    make: ({ path = '/sink', protocols, binaryType } = {}, code) =>
      page.evaluate(`(async () => {
        const socket = new WebSocket(${[proxy.url(path), protocols].map(value => JSON.stringify(value))})
        if (${JSON.stringify(binaryType)}) socket.binaryType = ${JSON.stringify(binaryType)}
        window.scene = { socket, log: record(socket) }
        await ${run(code)}
      })()`),
    page: code => page.evaluate(`Promise.resolve(${run(code)}).then(() => {})`),
    heard: (type, count = 1) =>
      page.evaluate(`(${untilHeard})(scene.log.events, ${JSON.stringify(type)}, ${count})`),
    refuse: () => server.refuse(403),
    hang: () => proxy.hang(true),
    get peer() {
      const peer = server.connections.at(-1)
      if (!peer) throw new Error('nobody has connected')
      return {
        send(data: string | ArrayBuffer | ArrayBufferView) {
          peer.send(data as string)
          return this as FakePeer
        },
        close(code?: number, reason?: string) {
          peer.close(code, reason)
          return this as FakePeer
        },
      }
    },
    freeze: () => proxy.freeze(),
    thaw: () => proxy.thaw(),
    cut: how => proxy[how](),
  })
  return page.evaluate<RecordedEvent[], []>('scene.log.events')
}

const closesWith = (name: string, code: PageCode): Script => ({
  name: `the page closes: ${name}`,
  async play({ make, heard, page }) {
    await make()
    await heard('open')
    await page(code)
    await heard('close')
  },
})

const serverCloses = (code?: number, reason?: string): Script => ({
  name: `the server closes: ${[code ?? 'no code', reason].join(' ')}`,
  async play(stage) {
    await stage.make()
    await stage.heard('open')
    stage.peer.close(code, reason)
    await stage.heard('close')
  },
})

const scripts: Script[] = [
  {
    name: 'it opens',
    async play({ make, heard, page }) {
      await make({}, (socket, events) => {
        const { readyState, protocol, extensions, bufferedAmount, binaryType } = socket
        events.push({ type: 'before', readyState, protocol, extensions, bufferedAmount, binaryType })
        socket.addEventListener('open', event => {
          events.push({
            type: 'event',
            bubbles: event.bubbles,
            cancelable: event.cancelable,
            target: event.target === socket,
          })
        })
      })
      await heard('open')
      await page(({ protocol, extensions }, events) => events.push({ type: 'after', protocol, extensions }))
    },
  },
  {
    name: 'the handshake is refused',
    async play({ make, heard, refuse }) {
      refuse()
      await make()
      await heard('close')
    },
  },
  {
    name: 'text comes back',
    async play({ make, heard, page }) {
      await make({ path: '/echo' })
      await heard('open')
      await page(socket => {
        for (const text of ['hello', '', 'naïve €😀', '\ufeffmark', 'half \ud83d', { a: 1 }, 7, null])
          socket.send(text as string)
      })
      await heard('message', 8)
    },
  },
  ...(['blob', 'arraybuffer'] as const).map(
    (binaryType): Script => ({
      name: `bytes come back as ${binaryType}`,
      async play({ make, heard, page }) {
        await make({ path: '/echo', binaryType })
        await heard('open')
        await page(socket => {
          socket.binaryType = 'text' as BinaryType
          const bytes = Uint8Array.of(0, 1, 2, 255)
          for (const data of [bytes, bytes.buffer, bytes.subarray(1, 3), new DataView(bytes.buffer, 3)])
            socket.send(data)
          socket.send(new ArrayBuffer(0))
          bytes.fill(9)
        })
        await heard('message', 5)
      },
    }),
  ),
  serverCloses(),
  serverCloses(1000),
  serverCloses(1001, 'going'),
  serverCloses(1011, 'error'),
  {
    ...serverCloses(1012, 'retry-after=5'),
    // It takes codes that RFC 6455 does not list for a broken frame, though they are registered:
    // https://www.iana.org/assignments/websocket/websocket.xhtml#close-code-number
    otherwise: {
      webkit: ([open]) => [
        open as RecordedEvent,
        { type: 'error', readyState: 3 },
        { type: 'close', readyState: 3, code: 1006, reason: '', wasClean: false },
      ],
    },
  },
  serverCloses(3000, 'wörds'),
  serverCloses(4999, 'x'.repeat(123)),
  {
    name: 'a message and a close frame come together',
    async play(stage) {
      await stage.make({}, (socket, events) => {
        socket.onmessage = ({ type, data, lastEventId, origin, source, bubbles }) =>
          events.push({ type, data, lastEventId, origin: origin.replace(/\d+$/, ''), source, bubbles })
      })
      await stage.heard('open')
      stage.peer.send('last words')
      stage.peer.close(4000, 'done')
      await stage.heard('close')
    },
  },
  {
    name: 'the line is reset',
    async play(stage) {
      await stage.make()
      await stage.heard('open')
      stage.cut('reset')
      await stage.heard('close')
    },
    otherwise: { chromium: noError },
  },
  {
    name: 'the line ends without a close frame',
    async play(stage) {
      await stage.make()
      await stage.heard('open')
      stage.cut('end')
      await stage.heard('close')
    },
    otherwise: { chromium: noError, firefox: noError, webkit: noError },
  },
  closesWith('1000', socket => socket.close(1000, 'x')),
  closesWith('no code', socket => socket.close()),
  closesWith('3001', socket => socket.close(3001)),
  {
    ...closesWith('a reason alone', (socket, events) => {
      try {
        socket.close(undefined, 'why')
      } catch (error) {
        events.push({ type: 'error', name: (error as Error).name })
        socket.close()
      }
    }),
    // `undefined` before a reason is a code of 0 there, though an optional argument that is undefined is none:
    // https://webidl.spec.whatwg.org/#es-overloads
    otherwise: {
      chromium: ([open, close]) => [
        open as RecordedEvent,
        { type: 'error', name: 'InvalidAccessError' },
        close as RecordedEvent,
      ],
    },
  },
  closesWith('twice', (socket, events) => {
    socket.close(3000, 'first')
    events.push({ type: 'between', readyState: socket.readyState })
    socket.close(4000, 'second')
  }),
  closesWith('with what it may not', (socket, events) => {
    for (const [code, reason] of [[1001], [999], [2999], [5000], [1000, 'é'.repeat(62)]] as [
      number,
      string?,
    ][]) {
      try {
        socket.close(code, reason)
      } catch (error) {
        events.push({ type: 'error', name: (error as Error).name, readyState: socket.readyState })
      }
    }
    socket.close(4000, 'é'.repeat(61))
  }),
  {
    name: 'the page closes while connecting',
    async play({ make, heard }) {
      await make({}, (socket, events) => {
        socket.close(4000, 'never mind')
        events.push({ type: 'closed', readyState: socket.readyState })
      })
      await heard('close')
    },
  },
  {
    name: 'the page closes while the handshake hangs',
    async play({ make, heard, page, hang }) {
      hang()
      await make({}, (socket, events) => {
        try {
          socket.send('early')
        } catch (error) {
          events.push({ type: 'sent', name: (error as Error).name, bufferedAmount: socket.bufferedAmount })
        }
      })
      await page(socket => socket.close())
      await heard('close')
    },
  },
  {
    name: 'bufferedAmount counts until the task is over, and what is sent after close() for ever',
    async play({ make, heard, page }) {
      await make()
      await heard('open')
      await page(async (socket, events) => {
        const look = () =>
          events.push({ type: 'look', readyState: socket.readyState, bufferedAmount: socket.bufferedAmount })
        socket.send('€')
        socket.send(new Uint8Array(10))
        look()
        while (socket.bufferedAmount) await new Promise(resolve => setTimeout(resolve, 1))
        look()
        socket.close()
        socket.send('€')
        look()
      })
      await heard('close')
      await page((socket, events) => {
        socket.send('ab')
        const { readyState, bufferedAmount } = socket
        events.push({ type: 'look', readyState, bufferedAmount })
      })
    },
    // It also counts the 6 bytes of the frames' headers that the standard excludes, once the connection is closing.
    otherwise: {
      webkit: fake =>
        fake.map(event =>
          event.readyState === 2
            ? { ...event, bufferedAmount: 9 }
            : event.type === 'look' && event.readyState === 3
              ? { ...event, bufferedAmount: 17 }
              : event,
        ),
    },
  },
  {
    name: 'bufferedAmount counts also what has left, as long as the task goes on',
    async play({ make, heard, page }) {
      await make()
      await heard('open')
      await page(async (socket, events) => {
        socket.send('abc')
        await null
        events.push({ type: 'look', bufferedAmount: socket.bufferedAmount })
      })
    },
    // There it is 0 as soon as the network process has taken it, in the middle of a task as well; or not yet.
    otherwise: {
      webkit: ([open, look], [, real]) => [
        open as RecordedEvent,
        real?.bufferedAmount === 0 ? { type: 'look', bufferedAmount: 0 } : (look as RecordedEvent),
      ],
    },
  },
  {
    name: 'the server selects a subprotocol',
    async play({ make, heard, page }) {
      await make({ protocols: ['v1', 'v2', 'v3'] })
      await heard('open')
      await page(({ protocol }, events) => events.push({ type: 'look', protocol }))
    },
  },
  {
    name: 'the server selects none of the subprotocols',
    async play({ make, heard }) {
      await make({ protocols: 'v9' })
      await heard('open or close')
    },
    // They open, without a subprotocol. The standard's step is the last of
    // https://websockets.spec.whatwg.org/#concept-websocket-establish
    otherwise: {
      firefox: () => [{ type: 'open', readyState: 1 }],
      webkit: () => [{ type: 'open', readyState: 1 }],
    },
  },
  {
    name: 'a frozen line carries nothing, then all of it, in order',
    async play(stage) {
      await stage.make({ path: '/echo' })
      await stage.heard('open')
      stage.freeze()
      await stage.page(async (socket, events) => {
        socket.send('held')
        await new Promise(resolve => setTimeout(resolve, 100))
        events.push({ type: 'look', readyState: socket.readyState })
      })
      stage.thaw()
      await stage.heard('message')
    },
  },
  {
    name: 'the page closes a half-open connection: nothing happens until the line is back',
    async play(stage) {
      await stage.make()
      await stage.heard('open')
      stage.freeze()
      await stage.page(async (socket, events) => {
        socket.close(4000, 'bye')
        await new Promise(resolve => setTimeout(resolve, 100))
        events.push({ type: 'look', readyState: socket.readyState })
      })
      stage.thaw()
      await stage.heard('close')
    },
  },
  {
    name: 'a message that crosses the close frame of the page is not heard',
    async play(stage) {
      await stage.make()
      await stage.heard('open')
      stage.freeze()
      stage.peer.send('too late')
      await stage.page(socket => socket.close(4000, 'bye'))
      stage.thaw()
      await stage.heard('close')
    },
  },
  {
    name: 'a half-open connection that the page closes is reset',
    async play(stage) {
      await stage.make()
      await stage.heard('open')
      stage.freeze()
      await stage.page(socket => socket.close(4000, 'bye'))
      stage.cut('reset')
      await stage.heard('close')
    },
    otherwise: { chromium: noError },
  },
  {
    name: 'handlers and listeners are called in the order in which they came',
    async play({ make, heard }) {
      await make({}, (socket, events) => {
        const say = (what: string) => () => events.push({ type: 'said', what })
        socket.onopen = say('replaced')
        socket.addEventListener('open', say('listener'))
        socket.onopen = say('handler')
        socket.onclose = say('forgotten')
        socket.onclose = null
        socket.addEventListener('close', say('listener'))
        socket.onclose = say('handler')
        socket.addEventListener('open', () => socket.close(), { once: true })
        events.push({ type: 'look', onopen: typeof socket.onopen, onmessage: socket.onmessage })
      })
      await heard('close')
    },
  },
  {
    name: 'what the constructor takes and what it refuses',
    async play({ make, hang }) {
      hang()
      await make({}, (socket, events) => {
        const Class = socket.constructor as typeof WebSocket
        const tries: [url: string | URL, protocols?: unknown][] = [
          ['/feed?a=b'],
          ['http://127.0.0.1:1234/'],
          ['HTTPS://Example.COM'],
          ['ws://127.0.0.1:1234/a b'],
          [new URL('wss://example.com/x')],
          ['ws://[malformed'],
          ['ftp://127.0.0.1/'],
          ['ws://127.0.0.1:1234/#'],
          ['ws://127.0.0.1:1234/#x'],
          ['#x'],
          ['', undefined],
          ['ws://127.0.0.1:1234/', []],
          ['ws://127.0.0.1:1234/', ''],
          ['ws://127.0.0.1:1234/', 'a b'],
          ['ws://127.0.0.1:1234/', 'é'],
          ['ws://127.0.0.1:1234/', ['a', 'a']],
          ['ws://127.0.0.1:1234/', ['a', 'A']],
          ['ws://127.0.0.1:1234/', ['a,b']],
          ['ws://127.0.0.1:1234/', null],
          ['ws://127.0.0.1:1234/', new Set(['a', 'b'])],
        ]
        for (const [url, protocols] of tries) {
          const type = `${url} ${Array.isArray(protocols) ? JSON.stringify(protocols) : protocols}`
          try {
            const made = new Class(url, protocols as string)
            // The page's own address is another in each run.
            events.push({ type, url: made.url.replace(/127.0.0.1:\d+\/(page\/\d+(\?[^#]*)?)?/, 'here/') })
            made.close()
          } catch (error) {
            events.push({ type, name: (error as Error).name, kind: error instanceof DOMException })
          }
        }
        events.push({
          type: 'class',
          constants: [Class.CONNECTING, Class.OPEN, Class.CLOSING, Class.CLOSED],
          constantsOfIt: [socket.CONNECTING, socket.OPEN, socket.CLOSING, socket.CLOSED],
          is: [socket instanceof Class, socket instanceof EventTarget, `${socket}`],
          properties: ['url', 'readyState', 'onopen', 'onmessage', 'onerror', 'onclose'].filter(key =>
            Object.hasOwn(socket, key),
          ),
        })
      })
    },
    // Where the others take an empty URL for the page's own address, it refuses it.
    otherwise: {
      firefox: fake =>
        fake.map(event =>
          event.type === ' undefined' ? { type: event.type, name: 'SyntaxError', kind: true } : event,
        ),
    },
  },
]

inEveryEngine(rig => {
  test.each(scripts)('$name', async script => {
    const fake = await playHere(script)
    const real = await playThere(rig, script)
    // An engine that has given a habit up is as good.
    const habit = script.otherwise?.[rig.name]?.(fake, real) ?? fake
    if (!isDeepStrictEqual(real, fake)) expect(real).toEqual(habit)
  })
})
