import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'

/**
 * Returns a free port of 127.0.0.1 outside the ephemeral range: for programs that need to be given a port, for a server that restarts on the
 * same port, and for an address that refuses connections. The system may assign a port of the ephemeral range to another server or to the local
 * end of a connection at any time.
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
