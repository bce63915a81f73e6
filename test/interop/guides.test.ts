// The pairs of client and server in the guides, run as the guides show them.
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect as connectTcp } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Server as SocketIoServer } from 'socket.io'
import type { Socket as SocketIoSocket } from 'socket.io-client'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import type { Calls } from '../../src/calls.ts'
import type { Socket } from '../../src/index.ts'
import { createReliableSocket, type ReliableSocket } from '../../src/reliable.ts'
import { createReliableServer, type ReliableServer } from '../../src/server.ts'
import { when } from '../../src/stream.ts'
import { piecesIn, pieceWith } from '../package/pieces.ts'
import { runPiece } from '../package/run-piece.ts'
import { cleanUp, cleanup } from '../support/cleanup.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/ports.ts'
import { hasPython, startProgram, startRecipe } from './python.ts'

cleanUp()

let port: number
/** All connections of the clients, in order, with the text frames that each has sent. */
let connections: { native: WebSocket; sent: any[] }[]

beforeEach(async () => {
  port = await freePort()
  connections = []
  // The port in the guides may not be free here.
  class Local extends WebSocket {
    private readonly sent: any[] = []
    constructor(url: string, protocols?: string[]) {
      const { pathname, search } = new URL(url)
      super(`ws://127.0.0.1:${port}${pathname}${search}`, protocols)
      connections.push({ native: this, sent: this.sent })
    }
    override send(data: any) {
      this.sent.push(typeof data === 'string' && data.startsWith('{') ? JSON.parse(data) : data)
      super.send(data)
    }
  }
  vi.stubGlobal('WebSocket', Local)
  cleanup(() => vi.unstubAllGlobals())
})

/** Resolves when a server listens on the port. */
const listening = async () => {
  for (;;) {
    const tcp = connectTcp(port, '127.0.0.1')
    const connected = await new Promise<boolean>(resolve => {
      tcp.on('connect', () => resolve(true))
      tcp.on('error', () => resolve(false))
    })
    tcp.destroy()
    if (connected) return
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

/** Starts the Python server that a guide shows. */
const startServer = (guide: string) =>
  startCode(piecesIn('py').find(({ file }) => file === guide)?.code ?? '')

async function startCode(code: string) {
  const folder = mkdtempSync(join(tmpdir(), 'guide-'))
  cleanup(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'server.py'), code)
  const start = async () => {
    const server = startProgram(folder, port, 'server.py')
    cleanup(server.stop)
    await listening()
    return server
  }
  return { server: await start(), start }
}

describe.runIf(hasPython('websockets'))('the guide to topics', () => {
  const GUIDE = 'demo/docs/resubscribe.md'
  type Subscribe = (topic: string, onMessage: (text: string, gap: boolean) => void) => () => void

  const startClient = async () => {
    const at = connections.length
    const { socket, subscribe } = await runPiece<{ socket: Socket; subscribe: Subscribe }>(
      GUIDE,
      'const subscriptions',
      'socket, subscribe',
    )
    cleanup(socket.close)
    if (socket.state.name !== 'open') await when(socket, 'open')
    const heard: [topic: string, text: string, gap: boolean][] = []
    const listen = (topic: string) => subscribe(topic, (text, gap) => heard.push([topic, text, gap]))
    const publish = (topic: string, text: string) => socket.send(JSON.stringify({ publish: topic, text }))
    return { socket, listen, publish, heard, first: connections[at] as (typeof connections)[0] }
  }

  test('delivers each missed message once, and subscribes to each topic once on each connection', async () => {
    await startServer(GUIDE)
    const [reader, writer] = [await startClient(), await startClient()]
    reader.listen('news')
    const stop = reader.listen('chess')
    await eventually(() => expect(connections[0]?.sent).toHaveLength(2))
    // Before the server has subscribed the reader, the reader cannot detect that messages are missing.
    await when(reader.socket, 'text')
    writer.publish('news', 'one')
    await eventually(() => expect(reader.heard).toEqual([['news', 'one', false]]))

    stop()
    reader.first.native.terminate()
    await when(reader.socket, 'close')
    writer.publish('news', 'two')
    writer.publish('chess', 'e4')
    // Topics that are subscribed to during the outage are requested together with the others.
    reader.listen('sport')
    await when(reader.socket, 'open')
    writer.publish('news', 'three')
    await eventually(() => expect(reader.heard).toHaveLength(3))
    expect(reader.heard.slice(1)).toEqual([
      ['news', 'two', false],
      ['news', 'three', false],
    ])
    const requests = connections.at(-1)?.sent.flatMap(({ subscribe }) => subscribe ?? [])
    expect(requests).toEqual(['news', 'sport'])
  })

  test('reports a gap after the server has lost its messages', async () => {
    const { server, start } = await startServer(GUIDE)
    const [reader, writer] = [await startClient(), await startClient()]
    reader.listen('news')
    await when(reader.socket, 'text')
    writer.publish('news', 'one')
    await eventually(() => expect(reader.heard).toHaveLength(1))
    await server.stop()
    await start()
    for (const { socket } of [reader, writer]) if (socket.state.name !== 'open') await when(socket, 'open')
    writer.publish('news', 'two')
    await eventually(() => expect(reader.heard).toHaveLength(2))
    writer.publish('news', 'three')
    await eventually(() =>
      expect(reader.heard.slice(1)).toEqual([
        ['news', 'two', true],
        ['news', 'three', false],
      ]),
    )
  })
})

describe.runIf(hasPython('websockets'))('the guide to a login with the first message', () => {
  const GUIDE = 'demo/docs/tokens.md'
  const startClient = async (...tokens: string[]) => {
    await startServer(GUIDE)
    vi.stubGlobal('fetchToken', async () => tokens.shift() ?? 'none')
    const { socket } = await runPiece<{ socket: Socket }>(GUIDE, 'the greeting', 'socket')
    cleanup(socket.close)
    return socket
  }

  test('sends the token before everything else, and a new one if the first has expired', async () => {
    const socket = await startClient('expired', 'secret')
    expect(socket.send('hello')).toBe('queued')
    expect(await when(socket, 'text')).toBe('Ann said hello')
    expect(connections.map(({ sent }) => sent)).toEqual([
      [{ token: 'expired' }],
      [{ token: 'secret' }, 'hello'],
    ])
  })

  test('sends a new token at once, and what was queued after it, if the first token after a lost connection has expired', async () => {
    const socket = await startClient('secret', 'expired', 'secret')
    if (socket.state.name !== 'open') await when(socket, 'open')
    connections[0]?.native.terminate()
    await when(socket, 'close')
    expect(socket.send('hello')).toBe('queued')
    expect(await when(socket, 'text')).toBe('Ann said hello')
    expect(connections.slice(1).map(({ sent }) => sent)).toEqual([
      [{ token: 'expired' }],
      [{ token: 'secret' }, 'hello'],
    ])
  })

  test('gives up when the second token is refused as well', async () => {
    const socket = await startClient()
    await eventually(() => expect(socket.state.name).toBe('closed'))
    expect(socket.state).toMatchObject({ cause: { close: { code: 4401, reason: 'sign in' } } })
    expect(connections).toHaveLength(2)
  })
})

const startNodeServer = async () => {
  const { wss } = await runPiece<{ wss: WebSocketServer }>(
    'demo/docs/calls.md',
    'new WebSocketServer({ port: 8765',
    'wss',
    { 8765: `${port}` },
  )
  cleanup(() => {
    for (const client of wss.clients) client.terminate()
    wss.close()
  })
  if (!wss.address()) await once(wss, 'listening')
}

describe.each([
  ['Python', () => startServer('demo/docs/calls.md'), -32602],
  ['Node', startNodeServer, -32603],
])('the %s server of the guide to calls', (name, start, invalid) => {
  test.skipIf(name === 'Python' && !hasPython('websockets'))(
    'answers calls, publishes items, rejects unknown methods, and ignores answers of the page',
    async () => {
      await start()
      const logged = vi.spyOn(console, 'error').mockImplementation(() => {})
      cleanup(() => logged.mockRestore())
      const show = vi.fn()
      vi.stubGlobal('show', show)
      const { api, order, stop } = await runPiece<{ api: Calls; order: unknown; stop: () => void }>(
        'demo/docs/calls.md',
        "api.call('order.place', { qty: 3 })\n",
        'api, order, stop',
      )
      cleanup(() => api.socket.close())
      expect(order).toEqual({ id: 1, qty: 3 })
      expect(await api.call('order.place', { qty: 4 })).toEqual({ id: 2, qty: 4 })
      await eventually(() => expect(show.mock.calls).toEqual([['order 2', false]]))
      await expect(api.call('order.undo')).rejects.toMatchObject({
        code: 'SERVER_ERROR',
        cause: { code: -32601 },
      })
      await expect(api.call('order.place')).rejects.toMatchObject({ cause: { code: invalid } })
      // The page's answer to a call of the server, which did not make one. Otherwise, the connection would be closed.
      api.socket.send('{"jsonrpc":"2.0","id":1,"result":true}')
      expect(await api.call('order.place', { qty: 1 })).toMatchObject({ qty: 1 })
      expect(connections).toHaveLength(1)
      await eventually(() => expect(show).toHaveBeenCalledTimes(2))

      connections[0]?.native.terminate()
      await api.call('order.place', { qty: 5 })
      await eventually(() => expect(show.mock.calls.slice(2)).toEqual([['order 4', true]]))
      stop()
      await api.call('order.place', { qty: 6 })
      expect(show).toHaveBeenCalledTimes(3)
    },
  )
})

describe.runIf(hasPython('websockets'))('the client of the guide to Python servers', () => {
  test('receives what it sends to all clients, and not the replies to its heartbeat', async () => {
    await startServer('demo/docs/python.md')
    const show = vi.fn()
    vi.stubGlobal('show', show)
    const { socket } = await runPiece<{ socket: Socket }>('demo/docs/python.md', '?token=secret', 'socket')
    cleanup(socket.close)
    for (const text of ['ping', 'hello']) socket.send(text)
    await eventually(() => expect(show.mock.calls).toEqual([['hello']]))
  })
})

describe('the guide to reliable delivery', () => {
  const GUIDE = 'demo/docs/reliable.md'
  const stubs = () => {
    const [show, log] = [vi.fn(), vi.spyOn(console, 'log').mockImplementation(() => {})]
    for (const [name, value] of Object.entries({ show, reloadEverything: vi.fn(), askTheUser: vi.fn() }))
      vi.stubGlobal(name, value)
    cleanup(() => log.mockRestore())
    return { show, log }
  }

  test('begins with a client, and shows a server for Node, that work together', async () => {
    const { wss } = await runPiece<{ wss: WebSocketServer }>(GUIDE, 'received: message.data', 'wss, server', {
      8080: `${port}`,
    })
    cleanup(() => {
      for (const client of wss.clients) client.terminate()
      wss.close()
    })
    if (!wss.address()) await once(wss, 'listening')
    const { show } = stubs()
    type Made = { socket: ReliableSocket; result: unknown }
    const { socket, result } = await runPiece<Made>(GUIDE, "result.status === 'unknown'", 'socket, result')
    cleanup(socket.close)
    expect(result).toEqual({ status: 'delivered' })
    await eventually(() => expect(show.mock.calls).toEqual([[{ received: { buy: 3 } }]]))
  })

  test('shows a client that sends and receives binary data as it is', async () => {
    const pictures: unknown[] = []
    const wss = new WebSocketServer({ port, host: '127.0.0.1' })
    const server = createReliableServer(wss, {
      onMessage: ({ event, data }, session) => {
        pictures.push(event, data)
        session.send(data)
      },
    })
    cleanup(async () => {
      await server.close({ timeout: 0 })
      wss.close()
    })
    if (!wss.address()) await once(wss, 'listening')
    const bytes = Uint8Array.from({ length: 5_000 }, (_, i) => i & 255)
    const draw = vi.fn()
    vi.stubGlobal('draw', draw)
    vi.stubGlobal('picture', new Blob([bytes]))
    const { socket } = await runPiece<{ socket: ReliableSocket }>(GUIDE, 'frames: protobuf()', 'socket')
    cleanup(socket.close)
    await eventually(() => expect(draw.mock.calls).toEqual([[bytes]]))
    expect(pictures).toEqual(['picture', bytes])
    expect(connections[0]?.native.protocol).toBe('protobuf.reliable.webpubsub.azure.v1')
  })

  test.runIf(hasPython('websockets'))(
    'shows an event for the Python server, and a client, that work together',
    async () => {
      const recipe = readFileSync(
        new URL('../../demo/recipes/python/reliable_server.py', import.meta.url),
        'utf8',
      )
      const handler = pieceWith(GUIDE, 'async def on_event')
      const [before, after] = recipe.split(/^async def on_event\(.*\n(?: {4}.*\n)+/m)
      await startCode(`${before}${handler}${after}`.replaceAll('8765', `${port}`))
      const { log } = stubs()
      vi.stubGlobal('createReliableSocket', createReliableSocket)
      const { socket } = await runPiece<{ socket: ReliableSocket }>(GUIDE, "'ws://localhost:8765/'", 'socket')
      cleanup(socket.close)
      await eventually(() => expect(log.mock.calls).toEqual([[{ ordered: { buy: 3 } }]]))
    },
  )
})

test.runIf(hasPython('websockets'))(
  'a page that the Python server does not know is told so, and gives up',
  async () => {
    const { url } = await startRecipe()
    class Page extends WebSocket {
      constructor(address: string, protocols?: string[]) {
        super(address, protocols, { origin: 'http://localhost:5173' })
      }
    }
    const socket = createReliableSocket(`${url}/`, { WebSocket: Page as never })
    cleanup(socket.close)
    await eventually(() => expect(socket.state.name).toBe('closed'))
    expect(socket.state).toMatchObject({
      cause: { close: { code: 1008, reason: 'this origin is not allowed' } },
    })
  },
)

describe('the guide for users of socket.io', () => {
  const GUIDE = 'demo/docs/migrate-socket-io.md'
  const run = <Made>(words: string, names: string) => runPiece<Made>(GUIDE, words, names, { 3000: `${port}` })

  test('shows a server and a client of socket.io that work', async () => {
    const { io } = await run<{ io: SocketIoServer }>('new Server(3000)', 'io')
    cleanup(() => io.close())
    const show = vi.fn()
    vi.stubGlobal('show', show)
    type Made = { socket: SocketIoSocket; post(text: string): Promise<unknown> }
    const [first, second] = [
      await run<Made>("io('http", 'socket, post'),
      await run<Made>("io('http", 'socket, post'),
    ]
    for (const { socket } of [first, second]) {
      cleanup(() => socket.disconnect())
      if (!socket.connected) await new Promise<void>(resolve => void socket.once('connect', resolve))
    }
    expect(await first.post('hello')).toBe('stored')
    await eventually(() => expect(show.mock.calls).toEqual([['hello']]))
  })

  test('shows a server and a client of this package that do the same', async () => {
    const { wss } = await run<{ wss: WebSocketServer; server: ReliableServer }>('new WebSocketServer', 'wss')
    cleanup(() => {
      for (const client of wss.clients) client.terminate()
      wss.close()
    })
    if (!wss.address()) await once(wss, 'listening')
    const show = vi.fn()
    vi.stubGlobal('show', show)
    type Made = { socket: ReliableSocket; post(text: string): Promise<unknown> }
    const words = 'createReliableSocket('
    const [first, second] = [await run<Made>(words, 'socket, post'), await run<Made>(words, 'socket, post')]
    for (const { socket } of [first, second]) {
      cleanup(socket.close)
      if (socket.state.name !== 'open') await new Promise(resolve => socket.once('open', resolve))
    }
    expect(await first.post('hello')).toMatchObject({ status: 'delivered' })
    await eventually(() => expect(show.mock.calls).toEqual([[{ text: 'hello' }]]))
  })
})

test('every Python program in the guides is run by a test', () => {
  const programs = piecesIn('py').filter(({ code }) =>
    /^(asyncio\.run|web\.run_app|async def application)\(/m.test(code),
  )
  // The others are in recipes.test.ts, and outbox-plain.test.ts.
  const known = ['python.md', 'resubscribe.md', 'tokens.md', 'calls.md', 'outbox.md'].map(
    name => `demo/docs/${name}`,
  )
  expect([...new Set(programs.map(({ file }) => file))].sort()).toEqual(known.sort())
})
