// The guide's recipe for Angular, with zone.js and without its fake timers, which would take the place of those that zone.js watches.
import 'zone.js'
import { execFileSync } from 'node:child_process'
import { afterEach, expect, test, vi } from 'vitest'
import { createSocket, type Endpoint, type SocketEvents, type SocketOptions } from '../../src/index.ts'
import { createFakeServer, type FakeServer } from '../../src/testing.ts'
import { pieceWith, root } from '../package/pieces.ts'

/** Part of the global `Zone` of zone.js. */
interface Zone {
  readonly name: string
  run<Result>(job: () => Result): Result
  fork(specification: object): Zone
}
declare const Zone: { readonly root: Zone; readonly current: Zone }

interface ZoneSocket {
  on<Type extends keyof SocketEvents>(type: Type, listener: (payload: SocketEvents[Type]) => void): () => void
  reconnect(): void
  close(): void
}

/** What Angular's NgZone does: it runs jobs in a zone of its own, and knows whether timers are pending there. */
const createNgZone = () => {
  let isPending = false
  const inner = Zone.current.fork({
    name: 'angular',
    onHasTask(delegate: any, current: Zone, target: Zone, state: { change: string; macroTask: boolean }) {
      delegate.hasTask(target, state)
      if (current === target && state.change === 'macroTask') isPending = state.macroTask
    },
  })
  return {
    run: <Result>(job: () => Result) => inner.run(job),
    runOutsideAngular: <Result>(job: () => Result) => Zone.root.run(job),
    isPending: () => isPending,
  }
}

const recipe = async (): Promise<
  (zone: object, endpoint: Endpoint, options: SocketOptions) => ZoneSocket
> => {
  const input = pieceWith('demo/docs/frameworks.md', 'createZoneSocket')
  const options = ['--bundle', '--format=esm', '--loader=ts']
  const text = execFileSync('node_modules/.bin/esbuild', options, { cwd: root, input, encoding: 'utf8' })
  return (await import(/* @vite-ignore */ `data:text/javascript,${encodeURIComponent(text)}`))
    .createZoneSocket
}

/** Waits until the server has made so many connections, and the newest is open. */
const untilOpen = (server: FakeServer, attempts: number) =>
  vi.waitFor(() => expect([server.attempts, server.clients.length]).toEqual([attempts, 1]), {
    timeout: 10_000,
  })
const heartbeat = { interval: 10_000, message: 'ping' }

const closing: { close(): void }[] = []
afterEach(() => {
  for (const socket of closing.splice(0)) socket.close()
})

test('a socket with a heartbeat that is made in Angular’s zone keeps the application unstable', async () => {
  const zone = createNgZone()
  const server = createFakeServer()
  closing.push(
    zone.run(() => createSocket('wss://push.example.com/', { WebSocket: server.WebSocket, heartbeat })),
  )
  await untilOpen(server, 1)
  expect(zone.isPending()).toBe(true)
})

test('the guide’s recipe for Angular leaves the application stable, and runs listeners in Angular’s zone', async () => {
  const createZoneSocket = await recipe()
  const zone = createNgZone()
  const server = createFakeServer()
  const socket = zone.run(() =>
    createZoneSocket(zone, 'wss://push.example.com/', {
      WebSocket: server.WebSocket,
      heartbeat,
      retry: () => 10,
    }),
  )
  closing.push(socket)
  const zones: string[] = []
  socket.on('text', text => zones.push(`${text} in ${Zone.current.name}`))
  await untilOpen(server, 1)
  expect(zone.isPending()).toBe(false)
  server.latest.send('first')
  zone.run(() => socket.reconnect())
  expect(zone.isPending()).toBe(false)
  await untilOpen(server, 2)
  server.latest.send('second')
  expect(zones).toEqual(['first in angular', 'second in angular'])
  expect(zone.isPending()).toBe(false)
})
