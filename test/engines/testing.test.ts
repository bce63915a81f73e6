// Compares the fake server with each engine. The same scripts run with the fake, and with the native WebSocket of the engine and a real server.
// The recorded events must be the same, except for the deviations of engines that are listed here.
import { isDeepStrictEqual } from 'node:util'
import { expect, test } from 'vitest'
import { createFakeServer, type FakePeer, type RecordedEvent, record } from '../../src/testing.ts'
import { startServer } from '../interop/ws.ts'
import { startProxy } from '../support/proxy.ts'
import type { Engine } from './engines.ts'
import { inEveryEngine, type Rig } from './rig.ts'

/** Code for the page, serialized as source. It gets the socket and the events recorded so far. */
type PageCode = (socket: WebSocket, events: RecordedEvent[]) => unknown

interface Options {
  path?: string
  protocols?: string | string[]
  binaryType?: BinaryType
}

/** The actions of a script, implemented for the fake and for an engine. */
interface ScriptActions {
  /** Creates the socket, records its events, and runs this code in the same task. */
  make(options?: Options, code?: PageCode): Promise<void>
  /** Runs code in the page. */
  page(code: PageCode): Promise<unknown>
  /** Resolves once `count` events of this type have been recorded. Default: 1. */
  recorded(type: string, count?: number): Promise<void>
  refuse(): void
  hang(): void
  peer: Pick<FakePeer, 'send' | 'close'>
  /** Freezes both directions of the connection. */
  freeze(): void
  thaw(): void
  cut(how: 'reset' | 'end'): void
}

interface Script {
  name: string
  run(actions: ScriptActions): Promise<unknown>
  /** The engines that deviate, and the events that are recorded there. */
  deviations?: Partial<Record<Engine['name'], Deviation>>
}

type Deviation = (fake: RecordedEvent[], real: RecordedEvent[]) => RecordedEvent[]

// A transport connection that is lost fails the WebSocket connection: https://www.rfc-editor.org/rfc/rfc6455#section-7.2.1
// A failed connection fires `error`: https://websockets.spec.whatwg.org/#feedback-from-the-protocol
const noError: Deviation = fake => fake.filter(({ type }) => type !== 'error')

/** The socket and the log of a script. In an engine, this is a global of the page. */
interface Scene {
  socket: WebSocket
  log: { events: RecordedEvent[] }
}

/** The subprotocols of the server. */
const PROTOCOLS = ['v2', 'v3']

const untilRecorded = (events: RecordedEvent[], type: string, count: number) =>
  new Promise<void>(resolve => {
    const check = () => {
      if (events.filter(event => type.split(' or ').includes(event.type)).length >= count) resolve()
      else setTimeout(check, 5)
    }
    check()
  })

/** Runs a script with the fake. */
async function runWithFake({ run }: Script): Promise<RecordedEvent[]> {
  const server = createFakeServer({
    base: 'http://127.0.0.1:8080/page/1',
    protocols: PROTOCOLS,
    message: (data, peer) => {
      if (peer.socket.url.endsWith('/echo')) peer.send(data as string)
    },
  })
  let scene: Scene | undefined
  const current = () => {
    if (!scene) throw new Error('make() comes first')
    return scene
  }
  await run({
    async make({ path = '/sink', protocols, binaryType } = {}, code) {
      const socket = new server.WebSocket(`ws://127.0.0.1:8080${path}`, protocols)
      if (binaryType) socket.binaryType = binaryType
      scene = { socket, log: record(socket) }
      await code?.(socket, scene.log.events)
    },
    page: async code => code(current().socket, current().log.events),
    recorded: (type, count = 1) => untilRecorded(current().log.events, type, count),
    refuse: () => server.refuse(),
    hang: () => server.hang(),
    get peer() {
      return server.latest
    },
    freeze: () => void server.latest.freeze(),
    thaw: () => void server.latest.thaw(),
    cut: () => void server.latest.drop(),
  })
  return current().log.events
}

/** Runs a script with the engine. */
async function runInEngine(rig: Rig, { run }: Script): Promise<RecordedEvent[]> {
  const server = rig.keep(await startServer({ protocols: PROTOCOLS }))
  const proxy = rig.keep(await startProxy({ port: server.port }))
  const page = await rig.open()
  const toExpression = (code: PageCode | undefined) =>
    code ? `(${code})(scene.socket, scene.log.events)` : 'null'
  await page.evaluate(`import('/dist/testing.js').then(({ record }) => { window.record = record })`)
  await run({
    make: ({ path = '/sink', protocols, binaryType } = {}, code) =>
      page.evaluate(`(async () => {
        const socket = new WebSocket(${[proxy.url(path), protocols].map(value => JSON.stringify(value))})
        if (${JSON.stringify(binaryType)}) socket.binaryType = ${JSON.stringify(binaryType)}
        window.scene = { socket, log: record(socket) }
        await ${toExpression(code)}
      })()`),
    page: code => page.evaluate(`Promise.resolve(${toExpression(code)}).then(() => {})`),
    recorded: (type, count = 1) =>
      page.evaluate(`(${untilRecorded})(scene.log.events, ${JSON.stringify(type)}, ${count})`),
    refuse: () => server.refuse(403),
    hang: () => proxy.hang(true),
    get peer() {
      const peer = server.connections.at(-1)
      if (!peer) throw new Error('no client has connected')
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

const pageCloses = (name: string, code: PageCode): Script => ({
  name: `the page closes: ${name}`,
  async run({ make, recorded, page }) {
    await make()
    await recorded('open')
    await page(code)
    await recorded('close')
  },
})

const serverCloses = (code?: number, reason?: string): Script => ({
  name: `the server closes: ${[code ?? 'no code', reason].join(' ')}`,
  async run(actions) {
    await actions.make()
    await actions.recorded('open')
    actions.peer.close(code, reason)
    await actions.recorded('close')
  },
})

const scripts: Script[] = [
  {
    name: 'the connection opens',
    async run({ make, recorded, page }) {
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
      await recorded('open')
      await page(({ protocol, extensions }, events) => events.push({ type: 'after', protocol, extensions }))
    },
  },
  {
    name: 'the handshake is refused',
    async run({ make, recorded, refuse }) {
      refuse()
      await make()
      await recorded('close')
    },
  },
  {
    name: 'text is echoed',
    async run({ make, recorded, page }) {
      await make({ path: '/echo' })
      await recorded('open')
      await page(socket => {
        for (const text of ['hello', '', 'naïve €😀', '\ufeffmark', 'half \ud83d', { a: 1 }, 7, null])
          socket.send(text as string)
      })
      await recorded('message', 8)
    },
  },
  ...(['blob', 'arraybuffer'] as const).map(
    (binaryType): Script => ({
      name: `bytes are echoed as ${binaryType}`,
      async run({ make, recorded, page }) {
        await make({ path: '/echo', binaryType })
        await recorded('open')
        await page(socket => {
          socket.binaryType = 'text' as BinaryType
          const bytes = Uint8Array.of(0, 1, 2, 255)
          for (const data of [bytes, bytes.buffer, bytes.subarray(1, 3), new DataView(bytes.buffer, 3)])
            socket.send(data)
          socket.send(new ArrayBuffer(0))
          bytes.fill(9)
        })
        await recorded('message', 5)
      },
    }),
  ),
  serverCloses(),
  serverCloses(1000),
  serverCloses(1001, 'going'),
  serverCloses(1011, 'error'),
  {
    ...serverCloses(1012, 'retry-after=5'),
    // WebKit fails the connection for codes that RFC 6455 does not list, although they are registered:
    // https://www.iana.org/assignments/websocket/websocket.xhtml#close-code-number
    deviations: {
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
    name: 'a message and a close frame arrive together',
    async run(actions) {
      await actions.make({}, (socket, events) => {
        socket.onmessage = ({ type, data, lastEventId, origin, source, bubbles }) =>
          events.push({ type, data, lastEventId, origin: origin.replace(/\d+$/, ''), source, bubbles })
      })
      await actions.recorded('open')
      actions.peer.send('last words')
      actions.peer.close(4000, 'done')
      await actions.recorded('close')
    },
  },
  {
    name: 'the connection is reset',
    async run(actions) {
      await actions.make()
      await actions.recorded('open')
      actions.cut('reset')
      await actions.recorded('close')
    },
    deviations: { chromium: noError },
  },
  {
    name: 'the connection ends without a close frame',
    async run(actions) {
      await actions.make()
      await actions.recorded('open')
      actions.cut('end')
      await actions.recorded('close')
    },
    deviations: { chromium: noError, firefox: noError, webkit: noError },
  },
  pageCloses('1000', socket => socket.close(1000, 'x')),
  pageCloses('no code', socket => socket.close()),
  pageCloses('3001', socket => socket.close(3001)),
  {
    ...pageCloses('a reason alone', (socket, events) => {
      try {
        socket.close(undefined, 'why')
      } catch (error) {
        events.push({ type: 'error', name: (error as Error).name })
        socket.close()
      }
    }),
    // Chromium converts `undefined` before a reason to the code 0, although an optional argument that is undefined counts as missing:
    // https://webidl.spec.whatwg.org/#es-overloads
    deviations: {
      chromium: ([open, close]) => [
        open as RecordedEvent,
        { type: 'error', name: 'InvalidAccessError' },
        close as RecordedEvent,
      ],
    },
  },
  pageCloses('twice', (socket, events) => {
    socket.close(3000, 'first')
    events.push({ type: 'between', readyState: socket.readyState })
    socket.close(4000, 'second')
  }),
  pageCloses('with invalid arguments', (socket, events) => {
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
    async run({ make, recorded }) {
      await make({}, (socket, events) => {
        socket.close(4000, 'never mind')
        events.push({ type: 'closed', readyState: socket.readyState })
      })
      await recorded('close')
    },
  },
  {
    name: 'the page closes while the handshake hangs',
    async run({ make, recorded, page, hang }) {
      hang()
      await make({}, (socket, events) => {
        try {
          socket.send('early')
        } catch (error) {
          events.push({ type: 'sent', name: (error as Error).name, bufferedAmount: socket.bufferedAmount })
        }
      })
      await page(socket => socket.close())
      await recorded('close')
    },
  },
  {
    name: 'bufferedAmount does not fall before the end of the task, and keeps what is sent after close()',
    async run({ make, recorded, page }) {
      await make()
      await recorded('open')
      await page(async (socket, events) => {
        const check = () =>
          events.push({ type: 'look', readyState: socket.readyState, bufferedAmount: socket.bufferedAmount })
        socket.send('€')
        socket.send(new Uint8Array(10))
        check()
        while (socket.bufferedAmount) await new Promise(resolve => setTimeout(resolve, 1))
        check()
        socket.close()
        socket.send('€')
        check()
      })
      await recorded('close')
      await page((socket, events) => {
        socket.send('ab')
        const { readyState, bufferedAmount } = socket
        events.push({ type: 'look', readyState, bufferedAmount })
      })
    },
    // Once the connection is closing, WebKit adds the 6 bytes of each frame header, which the standard excludes.
    deviations: {
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
    name: 'bufferedAmount includes data that has been transmitted in the same task',
    async run({ make, recorded, page }) {
      await make()
      await recorded('open')
      await page(async (socket, events) => {
        socket.send('abc')
        await null
        events.push({ type: 'look', bufferedAmount: socket.bufferedAmount })
      })
    },
    // In WebKit it may be 0 as soon as the network process has the data, even in the same task.
    deviations: {
      webkit: ([open, check], [, real]) => [
        open as RecordedEvent,
        real?.bufferedAmount === 0 ? { type: 'look', bufferedAmount: 0 } : (check as RecordedEvent),
      ],
    },
  },
  {
    name: 'the server selects a subprotocol',
    async run({ make, recorded, page }) {
      await make({ protocols: ['v1', 'v2', 'v3'] })
      await recorded('open')
      await page(({ protocol }, events) => events.push({ type: 'look', protocol }))
    },
  },
  {
    name: 'the server selects none of the subprotocols',
    async run({ make, recorded }) {
      await make({ protocols: 'v9' })
      await recorded('open or close')
    },
    // These engines open the connection without a subprotocol. The standard's step is the last of
    // https://websockets.spec.whatwg.org/#concept-websocket-establish
    deviations: {
      firefox: () => [{ type: 'open', readyState: 1 }],
      webkit: () => [{ type: 'open', readyState: 1 }],
    },
  },
  {
    name: 'a frozen connection transmits nothing, and after the thaw everything in order',
    async run(actions) {
      await actions.make({ path: '/echo' })
      await actions.recorded('open')
      actions.freeze()
      await actions.page(async (socket, events) => {
        socket.send('held')
        await new Promise(resolve => setTimeout(resolve, 100))
        events.push({ type: 'look', readyState: socket.readyState })
      })
      actions.thaw()
      await actions.recorded('message')
    },
  },
  {
    name: 'the page closes a half-open connection: nothing happens until the connection thaws',
    async run(actions) {
      await actions.make()
      await actions.recorded('open')
      actions.freeze()
      await actions.page(async (socket, events) => {
        socket.close(4000, 'bye')
        await new Promise(resolve => setTimeout(resolve, 100))
        events.push({ type: 'look', readyState: socket.readyState })
      })
      actions.thaw()
      await actions.recorded('close')
    },
  },
  {
    name: 'a message that crosses the close frame of the page is not received',
    async run(actions) {
      await actions.make()
      await actions.recorded('open')
      actions.freeze()
      actions.peer.send('too late')
      await actions.page(socket => socket.close(4000, 'bye'))
      actions.thaw()
      await actions.recorded('close')
    },
  },
  {
    name: 'a half-open connection that the page closes is reset',
    async run(actions) {
      await actions.make()
      await actions.recorded('open')
      actions.freeze()
      await actions.page(socket => socket.close(4000, 'bye'))
      actions.cut('reset')
      await actions.recorded('close')
    },
    deviations: { chromium: noError },
  },
  {
    name: 'handlers and listeners are called in the order in which they were added',
    async run({ make, recorded }) {
      await make({}, (socket, events) => {
        const recordCall = (what: string) => () => events.push({ type: 'called', what })
        socket.onopen = recordCall('replaced')
        socket.addEventListener('open', recordCall('listener'))
        socket.onopen = recordCall('handler')
        socket.onclose = recordCall('forgotten')
        socket.onclose = null
        socket.addEventListener('close', recordCall('listener'))
        socket.onclose = recordCall('handler')
        socket.addEventListener('open', () => socket.close(), { once: true })
        events.push({ type: 'look', onopen: typeof socket.onopen, onmessage: socket.onmessage })
      })
      await recorded('close')
    },
  },
  {
    name: 'the constructor accepts and rejects these arguments',
    async run({ make, hang }) {
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
            // The address of the page differs between runs.
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
    // Firefox rejects an empty URL, which the others resolve to the address of the page.
    deviations: {
      firefox: fake =>
        fake.map(event =>
          event.type === ' undefined' ? { type: event.type, name: 'SyntaxError', kind: true } : event,
        ),
    },
  },
]

inEveryEngine(rig => {
  test.each(scripts)('the fake server behaves like the engine: $name', async script => {
    const fake = await runWithFake(script)
    const real = await runInEngine(rig, script)
    // An engine that no longer deviates passes as well.
    const expected = script.deviations?.[rig.name]?.(fake, real) ?? fake
    if (!isDeepStrictEqual(real, fake)) expect(real).toEqual(expected)
  })
})
