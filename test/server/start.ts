// A reliable server over the fakes, closed after the test.
import { afterEach } from 'vitest'
import { createReliableServer, type ReliableServer, type ReliableServerOptions } from '../../src/server.ts'
import { FakeServer, type FakeSocket } from './fake.ts'

const servers: ReliableServer[] = []

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close({ timeout: 0 })
})

export interface Started {
  readonly wss: FakeServer
  readonly server: ReliableServer
  /** The errors that were reported to `onError`. */
  readonly errors: unknown[]
}

export const startFake = (
  options: ReliableServerOptions<any> = {},
  wss: FakeServer = new FakeServer(),
): Started => {
  const errors: unknown[] = []
  const server = createReliableServer(wss, { onError: error => errors.push(error), ...options })
  servers.push(server)
  return { wss, server, errors }
}

/** An event as a client sends it. */
export const event = (data: unknown, ackId?: number): string =>
  JSON.stringify({ type: 'event', event: 'e', dataType: 'json', data, ackId })

/** The URL that resumes the session of this connection. */
export const recovery = ({ frames: [{ connectionId, reconnectionToken }] }: FakeSocket): string =>
  `/?awps_connection_id=${connectionId}&awps_reconnection_token=${reconnectionToken}`

/** The answer to a request. */
export const ack = (socket: FakeSocket, ackId: number): Promise<any> =>
  socket.until(() => socket.frames.find(frame => frame.type === 'ack' && frame.ackId === ackId))
