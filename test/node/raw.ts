// A server that completes the handshake and then sends arbitrary bytes, also frames that the `ws` package refuses to send.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { cleanup } from './rig.ts'

// https://www.rfc-editor.org/rfc/rfc6455#section-1.3
const accept = (key: string | undefined) =>
  createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')

/** A close frame with this code, whether or not the protocol allows it. */
export const closeFrame = (code: number): Buffer => Buffer.from([0x88, 2, code >> 8, code & 255])

/** Starts a server that completes every handshake, sends the bytes, and ends the connection when the client does. Returns its URL. */
export const startRaw = async (bytes: (url: URL) => Uint8Array): Promise<string> => {
  const server = http.createServer()
  const sockets = new Set<Duplex>()
  server.on('upgrade', (request, socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    socket.on('end', () => socket.end())
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
        `Sec-WebSocket-Accept: ${accept(request.headers['sec-websocket-key'])}\r\n\r\n`,
    )
    socket.write(bytes(new URL(request.url ?? '/', 'ws://127.0.0.1')))
    socket.resume()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanup(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`
}
