// A WebSocket server over `node:http` without a library, for tests of faults that libraries prevent: wrong answers to the handshake, invalid frames, and
// forbidden close frames. The URL contains instructions:
//
//   ?status=401             answers with this status instead of 101
//   ?header=Name: value     adds a header to the answer; can be repeated
//   ?without=upgrade        omits a header of the answer: upgrade, connection or accept
//   ?accept=wrong           sends this as Sec-WebSocket-Accept
//   ?line=HTTP/1.1 …        sends this as the first line
//   ?auth=user:secret       answers 401 to clients without these credentials
//   ?select=first           selects the first subprotocol offered, or the `last`
//   ?opening=300            answers after 300 ms, or, with `told`, after a request for /go?id=x
//   ?tell                   sends the handshake of the client, as JSON
//   ?text=a&text=b          sends text messages
//   ?hex=8100               sends these bytes without a frame around them
//   ?code=4000&reason=bye   sends a close frame
//   ?then=end               ends the connection after that, or, with `reset`, resets it
//   ?when=message           sends the above after the first message of the client, not at once
//   ?glued                  sends the above in the same packet as its answer to the handshake
//   ?closing=300            answers a close frame after 300 ms, or `never`, or, with `told`, after a request for /go?id=x; `end` closes without an answer
//   ?reply=4321             answers a close frame with this code instead of the received one
//   ?late=text              answers a close frame only after this text message
//   ?sink                   does not echo messages
//   ?id=x                   remembers the connection under this name, for /heard?id=x and /go?id=x
//
// Over HTTP: /heard?id=x responds when that connection has ended, with what it received; /go?id=x makes it continue; /port opens another port and
// responds with its number.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** The data that one connection has received, and how it ended. */
export interface Heard {
  /** The messages in order. Binary messages are hexadecimal digits after `0x`. */
  readonly messages: string[]
  /** Payloads of pongs, likewise. */
  readonly pongs: string[]
  /** The client's close frame. The code is -1 if it has none. */
  close?: { readonly code: number; readonly reason: string }
  /** Whether all frames of the client were masked and had no reserved bits, as they must be. */
  wellFormed: boolean
}

export interface HandshakeServer {
  /** `http:` or `https:`, host and port. */
  readonly origin: string
  stop(): Promise<void>
}

export interface HandshakeServerOptions {
  tls?: { readonly key: string; readonly cert: string }
}

/** One unmasked frame with all of its message. */
export function frame(opcode: number, payload: Uint8Array): Buffer {
  const { length } = payload
  const size = length < 126 ? 2 : length < 65_536 ? 4 : 10
  const head = Buffer.alloc(size)
  head[0] = 0x80 | opcode
  head[1] = size === 2 ? length : size === 4 ? 126 : 127
  if (size === 4) head.writeUInt16BE(length, 2)
  if (size === 10) head.writeBigUInt64BE(BigInt(length), 2)
  return Buffer.concat([head, payload])
}

function closeFrame(code: number, reason: string) {
  if (code < 0) return frame(8, Buffer.alloc(0))
  return frame(8, Buffer.concat([Buffer.of(code >> 8, code & 255), Buffer.from(reason)]))
}

/** Parses and unmasks the complete frames in `bytes`. Returns them and the remaining bytes. */
function read(bytes: Buffer) {
  const frames: { first: number; masked: boolean; payload: Buffer }[] = []
  let at = 0
  while (bytes.length >= at + 2) {
    const first = bytes.readUInt8(at)
    const second = bytes.readUInt8(at + 1)
    const masked = second > 127
    let length = second & 127
    let head = 2
    if (length === 126) head = 4
    if (length === 127) head = 10
    const start = at + head + (masked ? 4 : 0)
    if (bytes.length < start) break
    if (head === 4) length = bytes.readUInt16BE(at + 2)
    if (head === 10) length = Number(bytes.readBigUInt64BE(at + 2))
    if (bytes.length < start + length) break
    const payload = Buffer.from(bytes.subarray(start, start + length))
    for (let i = 0; masked && i < length; i++)
      payload[i] = (payload[i] ?? 0) ^ bytes.readUInt8(start - 4 + (i & 3))
    frames.push({ first, masked, payload })
    at = start + length
  }
  return { frames, rest: bytes.subarray(at) }
}

const plain = (opcode: number, payload: Buffer) =>
  opcode === 1 ? payload.toString() : `0x${payload.toString('hex')}`

/** Starts a server on 127.0.0.1. */
export async function startHandshakeServer({ tls }: HandshakeServerOptions = {}): Promise<HandshakeServer> {
  const sockets = new Set<Socket>()
  const servers: http.Server[] = []
  const timers = new Set<NodeJS.Timeout>()
  const ended = new Map<string, Heard>()
  const waitingRequests = new Map<string, (heard: Heard) => void>()
  const released = new Map<string | null, (() => void) | true>()

  function later(ms: number, work: () => void) {
    const timer = setTimeout(() => {
      timers.delete(timer)
      work()
    }, ms)
    timers.add(timer)
  }

  /** Does the work after a request for /go, which may have arrived before. */
  function whenReleased(id: string | null, work: () => void) {
    if (released.get(id) === true) work()
    else released.set(id, work)
  }

  function go(id: string | null) {
    const work = released.get(id)
    released.set(id, true)
    if (typeof work === 'function') work()
  }

  function finish(id: string | null, heard: Heard) {
    if (id === null) return
    ended.set(id, heard)
    waitingRequests.get(id)?.(heard)
  }

  async function listen() {
    const server = tls ? https.createServer({ ...tls }, answer) : http.createServer(answer)
    servers.push(server)
    server.on('connection', (socket: Socket) => {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
    })
    server.on('upgrade', upgrade)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  }

  async function answer(request: http.IncomingMessage, response: http.ServerResponse) {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://server')
    response.setHeader('access-control-allow-origin', '*')
    if (pathname === '/port') return response.end(`${await listen()}`)
    if (pathname === '/go') {
      go(searchParams.get('id'))
      return response.end()
    }
    if (pathname !== '/heard') return response.writeHead(404).end()
    const id = searchParams.get('id') ?? ''
    const heard = ended.get(id) ?? (await new Promise<Heard>(resolve => waitingRequests.set(id, resolve)))
    response.end(JSON.stringify(heard))
  }

  function upgrade(request: http.IncomingMessage, socket: Duplex, head: Buffer) {
    const query = new URL(request.url ?? '/', 'http://server').searchParams
    // Clients that disconnect at any time are part of the tests.
    socket.on('error', () => {})
    const opening = query.get('opening')
    const open = () => completeHandshake(request, socket, head, query)
    if (opening === 'told') whenReleased(query.get('id'), open)
    else if (opening) later(Number(opening), open)
    else open()
  }

  function refuse(socket: Duplex, status: number, headers: string[]) {
    const lines = [`HTTP/1.1 ${status} ${http.STATUS_CODES[status] ?? ''}`, ...headers]
    socket.end(`${[...lines, 'Content-Length: 0', 'Connection: close'].join('\r\n')}\r\n\r\n`)
  }

  function completeHandshake(
    request: http.IncomingMessage,
    socket: Duplex,
    head: Buffer,
    query: URLSearchParams,
  ) {
    const more = query.getAll('header')
    const status = Number(query.get('status'))
    if (status) return refuse(socket, status, more)
    const auth = query.get('auth')
    if (auth && request.headers.authorization !== `Basic ${btoa(auth)}`) {
      return refuse(socket, 401, ['WWW-Authenticate: Basic realm="test"'])
    }

    const key = request.headers['sec-websocket-key'] ?? ''
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(/,\s*/)
    const selected = { first: offered[0], last: offered.at(-1) }[query.get('select') ?? '']
    const headers = {
      upgrade: 'Upgrade: websocket',
      connection: 'Connection: Upgrade',
      accept: `Sec-WebSocket-Accept: ${query.get('accept') ?? accept}`,
    }
    const lines = [
      query.get('line') ?? 'HTTP/1.1 101 Switching Protocols',
      ...Object.entries(headers).flatMap(([name, line]) => (query.get('without') === name ? [] : line)),
      ...(selected ? [`Sec-WebSocket-Protocol: ${selected}`] : []),
      ...more,
    ]
    const response = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`)
    if (query.has('glued')) return serveConnection(request, socket, head, query, response)
    socket.write(response)
    serveConnection(request, socket, head, query)
  }

  function serveConnection(
    request: http.IncomingMessage,
    socket: Duplex,
    head: Buffer,
    query: URLSearchParams,
    before: Uint8Array = Buffer.alloc(0),
  ) {
    const heard: Heard = { messages: [], pongs: [], wellFormed: true }
    const parts: Buffer[] = []
    let kind = 0
    let rest = head
    let hasSent = false

    function sendScript() {
      const bytes = [before]
      if (query.has('tell')) {
        const { method, url, httpVersion, headers } = request
        bytes.push(frame(1, Buffer.from(JSON.stringify({ method, url, httpVersion, headers }))))
      }
      for (const text of query.getAll('text')) bytes.push(frame(1, Buffer.from(text)))
      if (query.get('when') === 'message') socket.write(Buffer.concat(bytes))
      else finishScript(bytes)
    }

    function finishScript(bytes: Uint8Array[] = []) {
      hasSent = true
      bytes.push(Buffer.from(query.get('hex') ?? '', 'hex'))
      const code = query.get('code')
      if (code !== null) bytes.push(closeFrame(Number(code), query.get('reason') ?? ''))
      socket.write(Buffer.concat(bytes))
      if (query.get('then') === 'end') socket.end()
      if (query.get('then') === 'reset') (socket as Socket).resetAndDestroy()
    }

    function answerClose() {
      const reply = query.get('reply')
      const code = reply === null ? (heard.close?.code ?? -1) : Number(reply)
      // If this server has sent a close frame first, it does not send another one.
      if (hasSent && query.has('code')) socket.end()
      else socket.end(closeFrame(code, heard.close?.reason ?? ''))
    }

    function onFrame(opcode: number, payload: Buffer) {
      if (opcode === 1 || opcode === 2) {
        heard.messages.push(plain(opcode, payload))
        if (query.get('when') === 'message' && !hasSent) finishScript()
        else if (!query.has('sink')) socket.write(frame(opcode, payload))
      }
      if (opcode === 9) socket.write(frame(10, payload))
      if (opcode === 10) heard.pongs.push(plain(opcode, payload))
      if (opcode !== 8 || heard.close) return
      heard.close =
        payload.length > 1
          ? { code: payload.readUInt16BE(), reason: payload.subarray(2).toString() }
          : { code: -1, reason: '' }
      const late = query.get('late')
      if (late !== null) socket.write(frame(1, Buffer.from(late)))
      const closing = query.get('closing')
      if (closing === 'end') socket.end()
      else if (closing === null) answerClose()
      else if (closing === 'told') whenReleased(query.get('id'), answerClose)
      else if (closing !== 'never') later(Number(closing), answerClose)
    }

    function receive(bytes: Buffer) {
      const { frames, rest: left } = read(Buffer.concat([rest, bytes]))
      rest = left
      for (const { first, masked, payload } of frames) {
        if (!masked || first & 0x70) heard.wellFormed = false
        const opcode = first & 15
        if (opcode > 7) {
          onFrame(opcode, payload)
          continue
        }
        // Chromium sends a large message in several frames.
        if (opcode) kind = opcode
        parts.push(payload)
        if (first < 0x80) continue
        onFrame(kind, Buffer.concat(parts.splice(0)))
      }
    }

    socket.on('data', receive)
    socket.on('end', () => socket.end())
    socket.on('close', () => finish(query.get('id'), heard))
    sendScript()
    if (head.length) receive(Buffer.alloc(0))
  }

  const port = await listen()
  return {
    origin: `${tls ? 'https://localhost' : 'http://127.0.0.1'}:${port}`,
    async stop() {
      for (const timer of timers) clearTimeout(timer)
      const closed = servers.map(server => once(server, 'close'))
      for (const server of servers) server.close()
      for (const socket of sockets) socket.destroy()
      await Promise.all(closed)
    },
  }
}
