import { vi } from 'vitest'
import { createFakeServer, type FakeServer } from '../../src/testing.ts'
import { SteadyWebSocket, type SteadyWebSocketOptions } from '../../src/websocket.ts'

export interface Scene {
  readonly server: FakeServer
  readonly socket: SteadyWebSocket
  /** What its listeners were told, each with the `readyState` of that moment. */
  readonly told: string[]
}

const TYPES = ['open', 'message', 'error', 'close'] as const

/** A drop-in socket before a server that waits to be told what to do. Random delays are half of what they could be. */
export const scene = (
  options: SteadyWebSocketOptions = {},
  url: ConstructorParameters<typeof SteadyWebSocket>[0] = 'wss://push.example.com/feed',
  protocols?: ConstructorParameters<typeof SteadyWebSocket>[1],
): Scene => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  const server = createFakeServer({ base: 'https://push.example.com/' })
  server.hang()
  const socket = new SteadyWebSocket(url, protocols, { WebSocket: server.WebSocket, ...options })
  const told: string[] = []
  for (const type of TYPES) {
    socket.addEventListener(type, (event: any) => {
      const { data, code, reason, wasClean, willReconnect } = event
      const details =
        type === 'message'
          ? ` ${data}`
          : type === 'close'
            ? ` ${code} ${reason || '-'} ${wasClean ? 'clean' : 'unclean'}${willReconnect ? ', will reconnect' : ''}`
            : ''
      told.push(`${socket.readyState} ${type}${details}`)
    })
  }
  return { server, socket, told }
}

/** Lets the page's tasks that are due run, and promises. */
export const turn = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0)
