import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'

/** A port of 127.0.0.1 that was free a moment ago, for programs that cannot choose one and say which. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/**
 * A free port that the system hands to nobody by itself, for a server that dies and comes back to it. Meanwhile a port from
 * the ephemeral range may become some connection's own, even that of one who tries to connect to it.
 */
// https://datatracker.ietf.org/doc/html/rfc6335#section-6, and from 32768 up on Linux.
export async function lastingPort(): Promise<number> {
  for (;;) {
    const server = createServer().listen(20_000 + Math.floor(Math.random() * 10_000), '127.0.0.1')
    const port = await new Promise<number | undefined>(resolve => {
      server.on('listening', () => resolve((server.address() as AddressInfo).port))
      server.on('error', () => resolve(undefined))
    })
    if (!port) continue
    server.close()
    await once(server, 'close')
    return port
  }
}
