// What the guides and README.md show for a server of a certain kind, run as it is written there against a real one. The pairs of client and
// server are in guides.test.ts.
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { backoff, createSocket, type Socket } from '../../src/index.ts'
import { when } from '../../src/stream.ts'
import type { SteadyWebSocket } from '../../src/websocket.ts'
import { runPiece } from '../package/run-piece.ts'
import { cleanUp, cleanup } from '../support/cleanup.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/ports.ts'

cleanUp()

type Behave = (client: WebSocket, request: IncomingMessage) => void

/** One server for all tests. Each says how it treats clients; while `isAway`, it refuses them. */
const http = createServer()
const wss = new WebSocketServer({ noServer: true, handleProtocols: ([first = '']) => first })
let behave: Behave
let isAway: boolean
let port: number
/** The addresses of all handshakes, including those that were refused. */
let requested: string[]

beforeAll(async () => {
  http.on('upgrade', (request, tcp, head) => {
    requested.push(request.url ?? '')
    if (isAway) return void tcp.end('HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n')
    wss.handleUpgrade(request, tcp, head, client => behave(client, request))
  })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
})
afterAll(() => http.close())

/** The native sockets of the client. */
let natives: WebSocket[]

beforeEach(() => {
  port = (http.address() as AddressInfo).port
  isAway = false
  requested = []
  natives = []
  // The guides name hosts that do not exist.
  class Local extends WebSocket {
    constructor(url: string | URL, ...more: any[]) {
      const { host, pathname, search } = new URL(url)
      super(
        `ws://${host.startsWith('other.') ? 'localhost' : '127.0.0.1'}:${port}${pathname}${search}`,
        ...more,
      )
      natives.push(this)
    }
  }
  for (const [name, value] of Object.entries({ WebSocket: Local, createSocket, backoff }))
    vi.stubGlobal(name, value)
  cleanup(() => {
    vi.unstubAllGlobals()
    for (const client of wss.clients) client.terminate()
  })
})

/** Resolves when the expectation holds. The limit only ends a run that hangs. */

/** Runs the sample of a document that has these words, and closes its socket after the test. */
const run = async <Made extends { socket: Socket }>(...piece: Parameters<typeof runPiece>): Promise<Made> => {
  const made = await runPiece<Made>(...piece)
  cleanup(made.socket.close)
  return made
}

const isOpen = async (socket: Socket) => {
  if (socket.state.name !== 'open') await when(socket, 'open')
}

describe('the guide to rate limits', () => {
  const LIMIT = 55
  const texts = Array.from({ length: 60 }, (_, at) => `${at}`)

  /** Accepts 55 messages in each second, and closes a connection on which more arrive. Returns all that it has accepted. */
  const limit = () => {
    const accepted: string[] = []
    behave = client => {
      const times: number[] = []
      client.on('message', data => {
        times.push(performance.now())
        const [oldest = Number.NEGATIVE_INFINITY] = times.slice(-LIMIT - 1)
        if (times.length > LIMIT && performance.now() - oldest < 1_000)
          return client.close(4429, 'too many messages')
        accepted.push(`${data}`)
      })
    }
    return accepted
  }

  test('has a client that never exceeds the limit of the server after an outage, and delivers everything in order', async () => {
    const accepted = limit()
    isAway = true
    const { socket, send } = await run<{ socket: Socket; send(text: string): void }>(
      'demo/docs/rate-limits.md',
      'PER_SECOND',
      'socket, send',
      { 'PER_SECOND = 5': 'PER_SECOND = 50' },
    )
    const closed = vi.fn()
    socket.on('close', closed)
    for (const text of texts.slice(0, 30)) send(text)
    await when(socket, 'error')
    for (const text of texts.slice(30)) send(text)
    isAway = false
    socket.connect()
    await eventually(() => expect(accepted).toEqual(texts))
    expect(closed).not.toHaveBeenCalled()
  })

  test('is needed: the server closes a client that sends its whole queue after an outage', async () => {
    limit()
    isAway = true
    const socket = createSocket('wss://push.example.com/chat')
    cleanup(socket.close)
    for (const text of texts) socket.send(text)
    await when(socket, 'error')
    isAway = false
    socket.connect()
    expect(await when(socket, 'close')).toMatchObject({ code: 4429 })
  })
})

describe('the guide to tokens', () => {
  /** Accepts the tokens of this set. */
  const check = (valid: Set<string>, tokenOf: (request: IncomingMessage) => string | undefined | null) => {
    behave = (client, request) => {
      const token = tokenOf(request)
      if (!token || !valid.has(token)) client.close(4401, 'expired')
    }
  }
  const inUrl = ({ url = '' }: IncomingMessage) => new URL(url, 'http://localhost').searchParams.get('token')

  test('has a client that replaces a token that the server refuses, and one that stops when the user is signed out', async () => {
    const valid = new Set(['t2'])
    check(valid, inUrl)
    let issued = 0
    const tokens = createServer((_, response) => {
      if (issued === 3) return response.writeHead(401).end()
      response.end(`t${++issued}`)
    }).listen(0, '127.0.0.1')
    cleanup(() => tokens.close())
    await once(tokens, 'listening')
    const origin = `http://127.0.0.1:${(tokens.address() as AddressInfo).port}`
    const { fetch } = globalThis
    vi.stubGlobal('fetch', (path: string, options: object) => fetch(origin + path, options))
    const { socket } = await run('demo/docs/tokens.md', 'context.attempt === 1', 'socket')
    await eventually(() => expect(requested).toEqual(['/feed?token=t1', '/feed?token=t2']))
    await isOpen(socket)
    valid.delete('t2')
    natives.at(-1)?.terminate()
    // t3 is refused, and then there is no other one.
    await eventually(() => expect(socket.state.name).toBe('closed'))
    expect(requested.slice(2)).toEqual(['/feed?token=t3'])
  })

  test('has a client that sends the token as a subprotocol', async () => {
    check(new Set(['t1']), ({ headers }) => headers['sec-websocket-protocol']?.split(/,\s*token\./)[1])
    vi.stubGlobal('fetchToken', async () => 't1')
    const { socket } = await run('demo/docs/tokens.md', "['v1.feed'", 'socket')
    await isOpen(socket)
    expect(socket.protocol).toBe('v1.feed')
  })
})

test('the guide to the status has a countdown that runs while the server is away, and disappears when it is back', async () => {
  behave = () => {}
  type Show = (socket: Socket, ...elements: object[]) => () => void
  const { showStatus } = await runPiece<{ showStatus: Show }>(
    'demo/docs/status.md',
    'showStatus',
    'showStatus',
  )
  const socket = createSocket('wss://push.example.com/feed', { retry: () => 3_000 })
  cleanup(socket.close)
  const [status, countdown] = [{ textContent: '' }, { textContent: '' }]
  const again = { hidden: true, onclick: () => {} }
  cleanup(showStatus(socket, status, countdown, again))
  await isOpen(socket)
  isAway = true
  for (const client of wss.clients) client.close(1012)
  await eventually(() => expect(status.textContent).toBe('Offline.'))
  expect(countdown.textContent).toMatch(/^Next attempt in [123] s\.$/)
  expect(again.hidden).toBe(false)
  isAway = false
  await eventually(() => expect([status.textContent, countdown.textContent]).toEqual(['', '']))
  expect(socket.state.name).toBe('open')
})

test('the guide to testing has a test with a reliable server and a lost connection, which passes', async () => {
  const { running } = await runPiece<{ running: Promise<void> }>(
    'demo/docs/testing.md',
    'createReliableServer',
    'running',
    {
      "import { expect, test } from 'vitest'":
        "import { expect } from 'vitest'\nlet running\nconst test = (_, run) => { running = run() }",
    },
  )
  await running
})

test('the guide to close codes has a server for Node and a banner that work together', async () => {
  const [listeners, own] = [process.listeners('SIGTERM'), await freePort()]
  const users = new Set(['ada'])
  vi.stubGlobal('userOf', async (cookie = '') => users.has(cookie))
  const { wss: server } = await runPiece<{ wss: WebSocketServer }>(
    'demo/docs/closing.md',
    'maxPayload',
    'wss',
    {
      8080: `${own}`,
    },
  )
  const shutDown = process.listeners('SIGTERM').find(listener => !listeners.includes(listener))
  cleanup(() => {
    if (shutDown) process.off('SIGTERM', shutDown)
    for (const client of server.clients) client.terminate()
    server.close()
  })
  if (!server.address()) await once(server, 'listening')
  port = own

  const connect = async (cookie: string) => {
    class SignedIn extends (globalThis as any).WebSocket {
      constructor(url: string, protocols?: string[]) {
        super(url, protocols, { headers: { cookie } })
      }
    }
    const socket = createSocket('wss://push.example.com/feed', {
      WebSocket: SignedIn as never,
      heartbeat: { interval: 100, timeout: 60_000, message: 'ping', isReply: data => data === 'pong' },
    })
    cleanup(socket.close)
    return socket
  }
  const banner = vi.fn()
  vi.stubGlobal('banner', banner)
  const stranger = await connect('mallory')
  vi.stubGlobal('socket', stranger)
  await runPiece('demo/docs/closing.md', 'Please sign in', '')
  await eventually(() => expect(banner.mock.calls).toEqual([['Please sign in']]))

  const socket = await connect('ada')
  await eventually(() => expect(socket.latency).toBeGreaterThan(0))
  const closed = when(socket, 'close')
  shutDown?.('SIGTERM')
  const { code, delay } = await closed
  expect(code).toBe(1012)
  expect(delay).toBeGreaterThan(5_000)
})

test('the guide to topics has a client that tries again after the server has refused its subscription', async () => {
  const answers = ['{"error":"not now"}', '{"ok":true}']
  behave = client => {
    client.once('message', data => {
      expect(JSON.parse(`${data}`)).toEqual({ subscribe: 'news' })
      client.send(answers.shift() ?? '')
    })
  }
  const { socket } = await run('demo/docs/resubscribe.md', 'if (answer.error)', 'socket')
  expect(await when(socket, 'error')).toMatchObject({ code: 'PREPARE_FAILED', cause: { message: 'not now' } })
  socket.connect()
  await isOpen(socket)
  expect(answers).toEqual([])
})

describe('the guide to handovers', () => {
  test('has a client that opens its second connection when the server announces that it leaves, and misses no message', async () => {
    const texts: string[] = []
    const clients: WebSocket[] = []
    behave = client => void clients.push(client)
    const { socket } = await run('demo/docs/handover.md', "data === 'leaving'", 'socket')
    socket.on('text', text => texts.push(text))
    await isOpen(socket)
    clients[0]?.send('one')
    clients[0]?.send('leaving')
    await eventually(() => expect(clients).toHaveLength(2))
    const closed = when(socket, 'close')
    clients[0]?.close(1012)
    clients[1]?.send('two')
    expect(await closed).toMatchObject({ willRetry: true, delay: 0 })
    await eventually(() => expect(texts.filter(text => text !== 'leaving')).toEqual(['one', 'two']))
    expect(socket.state.name).toBe('open')
  })

  test('has a client that moves to the server whose address is announced', async () => {
    const hosts: (string | undefined)[] = []
    behave = (client, { headers, url }) => {
      hosts.push(headers.host)
      if (url === '/feed') client.send('{"reconnect_url":"wss://other.example.com/moved"}')
      else client.send('{"text":"here"}')
    }
    const { socket } = await run('demo/docs/handover.md', 'reconnect_url', 'socket')
    await eventually(() => expect(requested).toEqual(['/feed', '/moved']))
    await when(socket, 'close')
    expect(socket.state).toMatchObject({ name: 'open' })
    expect(hosts).toEqual([`127.0.0.1:${port}`, `localhost:${port}`])
  })
})

describe('README.md', () => {
  test('shows a client that subscribes with a new token on each connection before it sends anything else', async () => {
    const received: string[][] = []
    behave = client => {
      const own: string[] = []
      received.push(own)
      client.on('message', data => {
        own.push(`${data}`)
        if (own.length === 1) client.send('ok')
      })
    }
    let issued = 0
    vi.stubGlobal('fetchToken', async () => `t${++issued}`)
    const { socket } = await run('README.md', 'not subscribed', 'socket')
    socket.send('hello')
    await eventually(() => expect(received).toEqual([['{"subscribe":["news"]}', 'hello']]))
    natives[0]?.terminate()
    await eventually(() => expect(received[1]).toEqual(['{"subscribe":["news"]}']))
    await isOpen(socket)
    expect(requested).toEqual(['/feed?token=t1', '/feed?token=t2'])
  })

  test('shows a client that sends bytes and receives a Blob', async () => {
    behave = client => client.on('message', (data, binary) => client.send(data, { binary }))
    vi.stubGlobal('image', {})
    const { socket } = await run<{ socket: Socket<'blob'> & Socket }>(
      'README.md',
      "binaryType: 'blob'",
      'socket',
    )
    const blob: unknown = await when(socket, 'binary')
    expect([...new Uint8Array(await (blob as Blob).arrayBuffer())]).toEqual([1, 2, 3])
    await eventually(() => expect((globalThis as any).image.src).toMatch(/^blob:/))
  })

  test('shows a heartbeat that replaces a connection on which nothing arrives any more', async () => {
    let isDead = true
    behave = client => {
      client.on('message', data => {
        if (`${data}` === 'ping' && !isDead) client.send('pong')
      })
    }
    const { socket } = await run('README.md', 'interval: 25_000, timeout: 10_000', 'socket', {
      '25_000': '50',
      '10_000': '50',
    })
    const text = vi.fn()
    socket.on('text', text)
    expect(await when(socket, 'close')).toMatchObject({ cause: { code: 'UNRESPONSIVE' }, willRetry: true })
    isDead = false
    await eventually(() => expect(socket.latency).toBeGreaterThan(0))
    expect(text).not.toHaveBeenCalled()
  })
})

test('the guide to the drop-in class begins with a client that talks to a server for its subprotocol', async () => {
  behave = client => client.on('message', data => client.send(`${data}, ${client.protocol}`))
  const show = vi.fn()
  vi.stubGlobal('show', show)
  const { socket } = await runPiece<{ socket: SteadyWebSocket }>(
    'demo/docs/drop-in.md',
    "feed', 'v2'",
    'socket',
  )
  cleanup(() => socket.close())
  await eventually(() => expect(show.mock.calls).toEqual([['hello, v2']]))
})

test('the guide to Node has a client that authenticates with a header', async () => {
  behave = (client, { headers }) => {
    if (headers.authorization !== 'Bearer secret') client.close(4401, 'sign in')
  }
  vi.stubEnv('TOKEN', 'secret')
  const listeners = process.listeners('SIGTERM')
  const { socket } = await run('demo/docs/node.md', 'AuthorizedWebSocket', 'socket', {
    'wss://push.example.com': `ws://127.0.0.1:${port}`,
  })
  for (const listener of process.listeners('SIGTERM')) {
    if (!listeners.includes(listener)) cleanup(() => process.off('SIGTERM', listener))
  }
  await isOpen(socket)
  vi.unstubAllEnvs()
  expect(socket.stats).toMatchObject({ attempts: 1, connections: 1 })
})
