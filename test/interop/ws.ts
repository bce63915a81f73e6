// A WebSocket server that tests control, with the package `ws`. The path of the URL determines what it does:
//
//   /            the same as /echo
//   /echo        echoes each message
//   /broadcast   sends each message to all clients of /broadcast, including the sender
//   /sink        records messages, and answers none
//   /silent      opens the connection, and does not read from it: it sends no pongs and no close frames, and the buffers of the client fill up
//   /close?code=4001&reason=x   closes at once with this code, or without one
//   /drop        opens the connection, and cuts it at once, without a close frame
//   /garbage     answers the handshake with bytes that are not HTTP
//   /hang        never answers the handshake
import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import { createWatch } from '../support/watch.ts'

/** The server's side of one connection. It stays in the list after its end. */
export interface Peer {
  /** The number of the connection. The first one has 1. */
  readonly number: number
  readonly path: string
  readonly query: URLSearchParams
  /** The selected subprotocol, or `''`. */
  readonly protocol: string
  /** The negotiated extensions, as in the header: `'permessage-deflate'` or `''`. */
  readonly extensions: string
  /** How it ended: 1005 for a close frame without a code, 1006 for no close frame. Absent while it is open. */
  closed?: { readonly code: number; readonly reason: string }
  /** Sends one message with one frame per part. All parts are text, or all are binary. */
  send(...parts: readonly Part[]): void
  close(code?: number, reason?: string): void
  /** Cuts the connection without a close frame. */
  terminate(): void
}

/** A received message: a string for text, a Buffer for binary data. */
export interface Received {
  /** The number of the connection. */
  readonly connection: number
  readonly data: string | Buffer
}

export type Part = string | Uint8Array

interface ServerEvents {
  connection: Peer
  message: Received
  close: Peer
}

export interface ServerOptions {
  /** Default: a free port, which stays the same after `restart()`. */
  port?: number
  /** The supported subprotocols. It selects the client's first one that is among them. Default: the client's first. */
  protocols?: readonly string[]
  /** Compress every message for clients that offer it. Default: `false`. */
  perMessageDeflate?: boolean
  /** The server closes with 1009 after a longer message. Default: 100 MiB. */
  maxPayload?: number
  /** The certificate and key for `wss:`. */
  tls?: { readonly key: string; readonly cert: string }
}

export interface TestServer {
  readonly port: number
  /** The URL without a path. */
  readonly url: string
  /** All connections, including those that have ended, oldest first. */
  readonly connections: readonly Peer[]
  /** The open connections. */
  readonly clients: readonly Peer[]
  /** All received messages, in the order of arrival. */
  readonly received: readonly Received[]
  /** The number of handshakes, including those that were refused or not answered. */
  readonly handshakes: number
  /** Resolves with the next event of this kind. */
  next<Kind extends keyof ServerEvents>(kind: Kind): Promise<ServerEvents[Kind]>
  /** Resolves as soon as `holds()` returns true. It is called now, and after each event of the server. */
  until(holds: () => boolean): Promise<unknown>
  /** Removes received messages and ended connections from the lists. The numbers of connections continue. */
  clear(): void
  /** Sends one message to all clients, with one frame per part. */
  push(...parts: readonly Part[]): void
  closeAll(code?: number, reason?: string): void
  terminateAll(): void
  /** Answers handshakes with this HTTP status. `false` accepts them again. */
  refuse(status: number | false): void
  /** Delays the answers to handshakes by this many milliseconds. */
  slowHandshake(ms: number): void
  /** Cuts all connections and closes the port. */
  stop(): Promise<void>
  /** Stops the server if it is running, and listens again on the same port. */
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
    [Kind in keyof ServerEvents]: ((payload: ServerEvents[Kind]) => void)[]
  }
  let handshakes = 0
  let opened = 0
  let refused: number | false = false
  let slow = 0
  let port = wanted

  const web = tls ? https.createServer({ ...tls }) : http.createServer()
  const ws = new WebSocketServer({
    noServer: true,
    // Small messages are compressed, too, so that tests of compression need no large ones.
    perMessageDeflate: perMessageDeflate && { threshold: 0 },
    maxPayload,
    handleProtocols: offered =>
      [...offered].find(protocol => !protocols || protocols.includes(protocol)) ?? false,
  })

  function emit<Kind extends keyof ServerEvents>(kind: Kind, payload: ServerEvents[Kind]) {
    for (const listener of listeners[kind].splice(0)) listener(payload)
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
      emit('message', message)
    })
    // The error of an invalid frame or a message that is too large. A close event follows.
    socket.on('error', () => {})
    socket.on('close', (code, reason) => {
      peer.closed = { code, reason: reason.toString() }
      clients.delete(peer)
      emit('close', peer)
    })

    emit('connection', peer)
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
    // A client may disconnect during a handshake. That is not an error.
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
    // `terminate()` instead of destroying the TCP socket, so that the server emits a close event for each connection.
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
