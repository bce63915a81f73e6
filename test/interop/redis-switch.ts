// A TCP proxy whose target can be changed from one Redis to another, like the host name of a service in production.
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { cleanup } from '../support/cleanup.ts'

export interface Switch {
  readonly url: string
  /** Changes the target, and closes the open connections. */
  to(url: string): void
}

export const startSwitch = async (url: string): Promise<Switch> => {
  let target = Number(new URL(url).port)
  const open = new Set<Socket>()
  const server = createServer(incoming => {
    const outgoing = connect(target, '127.0.0.1')
    for (const [one, other] of [
      [incoming, outgoing],
      [outgoing, incoming],
    ] as const) {
      open.add(one)
      one.on('error', () => {})
      one.on('close', () => {
        open.delete(one)
        other.destroy()
      })
      one.pipe(other)
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = () => {
    for (const socket of open) socket.destroy()
  }
  cleanup(() => {
    server.close()
    cut()
  })
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    to(next) {
      target = Number(new URL(next).port)
      cut()
    },
  }
}
