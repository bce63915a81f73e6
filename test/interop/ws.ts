// A WebSocket server under test control, over the `ws` package. What it does with a connection is in the path:
//
//   /            the same as /echo
//   /echo        sends every message back
//   /broadcast   sends every message to all who are connected to /broadcast, the sender too
//   /sink        reads and records, answers nothing
//   /silent      opens and then does not even read: no pong, no closing handshake, and in the end no room to send
//   /close?code=4001&reason=x   closes right after the open; without a code, closes with none
//   /drop        opens and cuts the connection at once, without a close frame
//   /garbage     answers the handshake with something that is not HTTP
//   /hang        never answers the handshake
import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import { createWatch } from '../support/watch.ts'

/** One connection, as the server knows it. It stays listed after its end. */
export interface Peer {
  /** 1 for the first that opened. */
  readonly number: number
  readonly path: string
  readonly query: URLSearchParams
  /** The subprotocol that was agreed on, or `''`. */
  readonly protocol: string
  /** The extensions that were agreed on, as the header says it: `'permessage-deflate'` or `''`. */
  readonly extensions: string
  /** How it ended: 1005 for a close frame without a code, 1006 for none at all. Absent while it lives. */
  closed?: { readonly code: number; readonly reason: string }
  /** Sends one message in as many frames as there are parts. All text, or all binary. */
  send(...parts: readonly Part[]): void
  close(code?: number, reason?: string): void
  /** Cuts the connection without a close frame. */
  terminate(): void
}

/** A message that came in: text is a string, binary a Buffer. */
export interface Received {
  /** The number of the connection. */
  readonly connection: number
  readonly data: string | Buffer
}

export type Part = string | Uint8Array

interface News {
  connection: Peer
  message: Received
  close: Peer
}

export interface ServerOptions {
  /** Default: a free port, kept over `restart()`. */
  port?: number
  /** The subprotocols it knows; it selects the first of the client's that is among them. Default: the client's first. */
  protocols?: readonly string[]
  /** Compress every message for clients that offer it. Default: `false`. */
  perMessageDeflate?: boolean
  /** A longer message is answered by close 1009. Default: 100 MiB. */
  maxPayload?: number
  /** Serve `wss:` with these. */
  tls?: { readonly key: string; readonly cert: string }
}

export interface TestServer {
  readonly port: number
  /** The address without a path. */
  readonly url: string
  /** All that ever opened, oldest first. */
  readonly connections: readonly Peer[]
  /** Those that are open. */
  readonly clients: readonly Peer[]
  /** Every message, in the order of arrival. */
  readonly received: readonly Received[]
  /** How many handshakes were asked for, the refused and the hanging ones included. */
  readonly handshakes: number
  /** The next such event after this call. */
  next<Kind extends keyof News>(kind: Kind): Promise<News[Kind]>
  /** Resolves as soon as `holds()` is true: asked now, and after every event of the server. */
  until(holds: () => boolean): Promise<unknown>
  /** Forgets what was received and who has gone. Numbers go on counting. */
  clear(): void
  /** Sends one message to all, in as many frames as there are parts. */
  push(...parts: readonly Part[]): void
  closeAll(code?: number, reason?: string): void
  terminateAll(): void
  /** Answers handshakes with this HTTP status; `false` takes them again. */
  refuse(status: number | false): void
  /** Answers handshakes this late. */
  slowHandshake(ms: number): void
  /** Cuts all connections and closes the port. */
  stop(): Promise<void>
  /** Stops if it runs, and listens again on the same port. */
  restart(): Promise<void>
}

/** Starts a server on 127.0.0.1. */
export async function startServer({
  port: wanted = 0,
  protocols,
  perMessageDeflate = false,
  maxPayload = 100 * 1024 * 1024,
  tls,
}: ServerOptions = {}): Promise<TestServer> {
  const connections: Peer[] = []
  const clients = new Set<Peer>()
  const received: Received[] = []
  const sockets = new Set<Socket>()
  const timers = new Set<NodeJS.Timeout>()
  const { look, until } = createWatch()
  const listeners = { connection: [], message: [], close: [] } as {
    [Kind in keyof News]: ((news: News[Kind]) => void)[]
  }
  let handshakes = 0
  let opened = 0
  let refused: number | false = false
  let slow = 0
  let port = wanted

  const web = tls ? https.createServer({ ...tls }) : http.createServer()
  const ws = new WebSocketServer({
    noServer: true,
    // Small messages too, so that a test of compression need not be a large one.
    perMessageDeflate: perMessageDeflate && { threshold: 0 },
    maxPayload,
    handleProtocols: offered =>
      [...offered].find(protocol => !protocols || protocols.includes(protocol)) ?? false,
  })

  function tell<Kind extends keyof News>(kind: Kind, news: News[Kind]) {
    for (const listener of listeners[kind].splice(0)) listener(news)
    look()
  }

  function open(socket: WebSocket, url: URL) {
    const peer: Peer = {
      number: ++opened,
      path: url.pathname,
      query: url.searchParams,
      protocol: socket.protocol,
      extensions: socket.extensions,
      send(...parts) {
        parts.forEach((part, i) => {
          socket.send(part, { binary: typeof part !== 'string', fin: i === parts.length - 1 })
        })
      },
      close: (code, reason) => socket.close(code, reason),
      terminate: () => socket.terminate(),
    }
    connections.push(peer)
    clients.add(peer)

    socket.on('message', (data: Buffer, binary) => {
      const message = { connection: peer.number, data: binary ? data : data.toString() }
      received.push(message)
      if (peer.path === '/' || peer.path === '/echo') socket.send(data, { binary })
      if (peer.path === '/broadcast') {
        for (const other of clients) if (other.path === peer.path) other.send(message.data)
      }
      tell('message', message)
    })
    // A broken frame or an oversized message; the close event that follows says it.
    socket.on('error', () => {})
    socket.on('close', (code, reason) => {
      peer.closed = { code, reason: reason.toString() }
      clients.delete(peer)
      tell('close', peer)
    })

    tell('connection', peer)
    if (peer.path === '/silent') socket.pause()
    if (peer.path === '/drop') socket.terminate()
    if (peer.path === '/close') {
      const code = peer.query.get('code')
      socket.close(code ? Number(code) : undefined, peer.query.get('reason') ?? undefined)
    }
  }

  function answer(request: http.IncomingMessage, socket: Duplex, head: Buffer, url: URL) {
    if (refused) {
      socket.end(
        `HTTP/1.1 ${refused} ${http.STATUS_CODES[refused] ?? ''}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
      )
    } else if (url.pathname === '/garbage') {
      socket.end('\x00\xffthis is not HTTP\r\n\r\n')
    } else if (url.pathname !== '/hang') {
      ws.handleUpgrade(request, socket, head, opened => open(opened, url))
    }
  }

  web.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  web.on('request', (_, response) => response.writeHead(426).end())
  web.on('upgrade', (request, socket, head) => {
    const url = new URL(request.url ?? '/', 'ws://127.0.0.1')
    // A client that goes away in the middle of a handshake is no failure of the test.
    socket.on('error', () => {})
    handshakes++
    look()
    if (!slow) return answer(request, socket, head, url)
    const timer = setTimeout(() => {
      timers.delete(timer)
      if (!socket.destroyed) answer(request, socket, head, url)
    }, slow)
    timers.add(timer)
  })

  async function listen() {
    web.listen(port, '127.0.0.1')
    await once(web, 'listening')
    port = (web.address() as AddressInfo).port
  }

  async function stop() {
    for (const timer of timers) clearTimeout(timer)
    timers.clear()
    const closed = web.listening && once(web, 'close')
    web.close()
    // `terminate` rather than the socket below it, so that the server's own record says how each one ended.
    for (const client of ws.clients) client.terminate()
    for (const socket of sockets) socket.destroy()
    await closed
  }

  await listen()
  return {
    port,
    url: `${tls ? 'wss://localhost' : 'ws://127.0.0.1'}:${port}`,
    connections,
    get clients() {
      return [...clients]
    },
    received,
    get handshakes() {
      return handshakes
    },
    next: kind => new Promise(resolve => listeners[kind].push(resolve)),
    until,
    clear() {
      received.length = 0
      connections.splice(0, Infinity, ...clients)
    },
    push(...parts) {
      for (const client of clients) client.send(...parts)
    },
    closeAll(code, reason) {
      for (const client of clients) client.close(code, reason)
    },
    terminateAll() {
      for (const client of clients) client.terminate()
    },
    refuse(status) {
      refused = status
    },
    slowHandshake(ms) {
      slow = ms
    },
    stop,
    async restart() {
      if (web.listening) await stop()
      await listen()
    },
  }
}
