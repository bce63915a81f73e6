import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'

/**
 * A free port of 127.0.0.1 that the system hands to nobody by itself: for programs that cannot choose one and say which, for a server that
 * dies and comes back to it, and for an address at which nobody listens. A port from the ephemeral range may become any other server's a
 * moment later, or some connection's own, even that of one who tries to connect to it.
 */
// https://datatracker.ietf.org/doc/html/rfc6335#section-6, and from 32768 up on Linux.
export async function freePort(): Promise<number> {
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
