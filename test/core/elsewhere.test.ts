// Reports about other WebSocket clients, replayed here. The links lead to them.
import { expect, test, vi } from 'vitest'
import type { PageEvent, SocketOptions } from '../../src/index.ts'
import { fresh, reopen, sent, server, settled, setup } from '../support/setup.ts'

fresh()

/** A socket with page events that the test makes. */
const withEvents = (options: SocketOptions = {}) => {
  let report: (event: PageEvent) => void = () => {}
  const made = setup({
    ...options,
    wake(listener) {
      report = listener
      return () => {}
    },
  })
  return { ...made, report: (event: PageEvent) => report(event) }
}

// https://github.com/phoenixframework/phoenix/issues/3083
test('a heartbeat that had no answer when its connection ended does not end the next connection', async () => {
  const { socket, native } = setup({ heartbeat: { interval: 30_000, timeout: 10_000, message: 'beat' } })
  native().accept()
  vi.advanceTimersByTime(30_001)
  expect(native().received).toEqual(['beat'])
  native().drop()
  vi.advanceTimersByTime(0)
  const peer = reopen()
  for (let beat = 0; beat < 4; beat++) {
    vi.advanceTimersByTime(29_000)
    peer.send('answer')
  }
  expect([socket.state.name, socket.stats.attempts]).toEqual(['open', 2])
})

// https://github.com/phoenixframework/phoenix/issues/3161, https://github.com/enisdenjo/graphql-ws/issues/446
test('a browser or server that closes with 1000 on its own does not end reconnection', () => {
  const { socket, native } = setup()
  native().accept().close(1000)
  vi.advanceTimersByTime(0)
  expect(socket.state.name).toBe('waiting')
  reopen()
  expect(socket.state.name).toBe('open')
})

// https://github.com/socketio/engine.io-client/issues/693
test('a hundred failed attempts add no listener to the window', () => {
  let count = 0
  vi.stubGlobal('addEventListener', () => count++)
  vi.stubGlobal('removeEventListener', () => count--)
  const { socket, native } = setup({ retry: () => 10 })
  const first = count
  expect(first).toBeGreaterThan(0)
  for (let attempt = 0; attempt < 100; attempt++) {
    native().drop()
    vi.advanceTimersByTime(10)
  }
  expect([socket.stats.attempts, count]).toEqual([101, first])
  socket.close()
  expect(count).toBe(0)
})

// https://github.com/socketio/socket.io-client/issues/1274, https://github.com/socketio/socket.io/issues/2668
test('a network that comes and goes during an outage leaves one connection', () => {
  const { socket, native, report } = withEvents()
  native().accept().drop()
  for (let change = 0; change < 50; change++) {
    report(change % 2 ? 'wake' : 'offline')
    vi.advanceTimersByTime(change * 7)
  }
  vi.advanceTimersByTime(10_000)
  for (const peer of server.connections) if (peer.socket.readyState === 0) peer.accept()
  expect(socket.state.name).toBe('open')
  expect(server.connections.filter(peer => peer.socket.readyState < 2)).toHaveLength(1)
})

// https://github.com/pusher/pusher-js/issues/553, https://github.com/flarum/framework/issues/4597
test('the twentieth outage is overcome as the first', () => {
  const { socket, native, report } = withEvents()
  native().accept()
  for (let outage = 1; outage <= 20; outage++) {
    vi.advanceTimersByTime(1_000)
    report('sleep')
    expect(socket.state.name).toBe('waiting')
    vi.advanceTimersByTime(60_000)
    report('wake')
    vi.advanceTimersByTime(300)
    native().accept()
    expect([socket.state.name, socket.stats.connections]).toEqual(['open', outage + 1])
  }
})

// https://github.com/centrifugal/centrifuge-js/pull/228
test('a browser that fires no close event in flight mode: the connection is abandoned within three seconds of offline', () => {
  const { socket, native, report } = withEvents({ heartbeat: { message: 'ping' } })
  native().accept().freeze('down')
  vi.advanceTimersByTime(1_000)
  report('offline')
  vi.advanceTimersByTime(3_000)
  expect(socket.state).toMatchObject({ name: 'waiting', cause: { code: 'UNRESPONSIVE' } })
})

// https://github.com/lukeed/sockette/issues/49
test('sockets that were closed stay closed when their native sockets report their end later', () => {
  const made = Array.from({ length: 3 }, () => setup())
  const peers = [...server.connections]
  for (const peer of peers) peer.accept().freeze('down')
  for (const { socket } of made.slice(0, 2)) socket.close()
  vi.advanceTimersByTime(10_000)
  for (const peer of peers.slice(0, 2)) peer.drop()
  vi.advanceTimersByTime(60_000)
  expect(made.map(({ socket }) => [socket.state.name, socket.stats.attempts])).toEqual([
    ['closed', 1],
    ['closed', 1],
    ['open', 1],
  ])
})

// https://github.com/enisdenjo/graphql-ws/issues/173
test('what is sent after close() and connect() in the same task arrives on the new connection', () => {
  const { socket, native } = setup()
  native().accept()
  socket.close()
  socket.connect()
  expect(socket.send('operation')).toBe('queued')
  vi.advanceTimersByTime(10)
  expect(sent(native().accept())).toEqual(['operation'])
})

// https://github.com/microsoft/BotFramework-DirectLineJS/pull/324
test('an error event that a close event follows causes one attempt', () => {
  const { socket, native } = setup({ retry: () => 10 })
  for (let attempt = 0; attempt < 50; attempt++) {
    native().socket.onerror?.(new Event('error'))
    native().drop()
    vi.advanceTimersByTime(10)
  }
  expect([socket.stats.attempts, server.attempts]).toEqual([51, 51])
})

// https://github.com/giantmachines/redux-websocket/issues/137
test('subprotocols are offered on every attempt, and a function for them is called again', async () => {
  const offered = vi.fn(({ attempt }: { attempt: number }) => ['chat', `token-${attempt}`])
  setup({ protocols: offered, retry: () => 10 })
  await settled()
  server.latest.drop()
  await vi.advanceTimersByTimeAsync(10)
  expect(server.connections.map(({ protocols }) => protocols)).toEqual([
    ['chat', 'token-0'],
    ['chat', 'token-1'],
  ])
})
