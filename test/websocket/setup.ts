import { vi } from 'vitest'
import { createFakeServer, type FakeServer } from '../../src/testing.ts'
import { SteadyWebSocket, type SteadyWebSocketOptions } from '../../src/websocket.ts'

export interface DropIn {
  readonly server: FakeServer
  readonly socket: SteadyWebSocket
  /** The events of the socket, each with the `readyState` in its listener. */
  readonly events: string[]
}

const describeEvent = ({ type, data, code, reason, wasClean, willReconnect }: any) => {
  if (type === 'message') return `message ${data}`
  if (type !== 'close') return type
  return `close ${code} ${reason || '-'} ${wasClean ? 'clean' : 'unclean'}${willReconnect ? ', will reconnect' : ''}`
}

/** A socket of the drop-in class, and a server that leaves handshakes pending. Random delays are half of their maximum. */
export const dropIn = (
  options: SteadyWebSocketOptions = {},
  url: ConstructorParameters<typeof SteadyWebSocket>[0] = 'wss://push.example.com/feed',
  protocols?: ConstructorParameters<typeof SteadyWebSocket>[1],
): DropIn => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  const server = createFakeServer({ base: 'https://push.example.com/' })
  server.hang()
  const socket = new SteadyWebSocket(url, protocols, { WebSocket: server.WebSocket, ...options })
  const events: string[] = []
  for (const type of ['open', 'message', 'error', 'close']) {
    socket.addEventListener(type, event => events.push(`${socket.readyState} ${describeEvent(event)}`))
  }
  return { server, socket, events }
}
