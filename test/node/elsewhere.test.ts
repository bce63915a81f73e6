// Bugs that were reported for other WebSocket clients, reproduced with the `ws` package. Each test links to the report.
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket as TcpSocket } from 'node:net'
import { expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { createSocket } from '../../src/index.ts'
import { eventually } from '../support/eventually.ts'

// https://github.com/partykit/partykit/issues/912
test('abandoning a handshake does not crash the process, although ws emits an error if it is closed before it has opened', async () => {
  const accepted = new Set<TcpSocket>()
  const silent = createServer(socket => {
    accepted.add(socket.on('error', () => {}))
  })
  await once(silent.listen(0, '127.0.0.1'), 'listening')
  const uncaught = vi.fn()
  process.on('uncaughtException', uncaught)
  const { port } = silent.address() as AddressInfo
  const socket = createSocket(`ws://127.0.0.1:${port}`, {
    WebSocket: WebSocket as unknown as typeof globalThis.WebSocket,
    connectTimeout: 50,
    retry: () => 1,
  })
  const codes: string[] = []
  socket.on('error', ({ code }) => codes.push(code))
  await eventually(() => expect(codes.length).toBeGreaterThan(1))
  socket.reconnect()
  socket.close()
  await new Promise(resolve => setTimeout(resolve, 50))
  process.off('uncaughtException', uncaught)
  for (const connection of accepted) connection.destroy()
  silent.close()
  expect(codes.slice(0, 2)).toEqual(['CONNECT_TIMEOUT', 'CONNECT_TIMEOUT'])
  expect(uncaught).not.toHaveBeenCalled()
})
