// Bug reports about other WebSocket clients, reproduced with this one. Each test links to its report.
import { expect, test, vi } from 'vitest'
import { backoff, createSocket, type PageEvent, type SocketOptions } from '../../src/index.ts'
import { messages, when } from '../../src/stream.ts'
import { fresh, reopen, sent, server, settled, setup } from '../support/setup.ts'

fresh()

/** A socket, and a function that reports page events to it. */
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
test('a socket reconnects after the twentieth outage as after the first', () => {
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
test('a connection is abandoned within three seconds after an offline event, even if the browser fires no close event in flight mode', () => {
  const { socket, native, report } = withEvents({ heartbeat: { message: 'ping' } })
  native().accept().freeze('down')
  vi.advanceTimersByTime(1_000)
  report('offline')
  vi.advanceTimersByTime(3_000)
  expect(socket.state).toMatchObject({ name: 'waiting', cause: { code: 'UNRESPONSIVE' } })
})

// https://github.com/lukeed/sockette/issues/49
test('sockets that were closed stay closed when their native sockets fire close events later', () => {
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
test('a message that is sent after close() and connect() in the same task arrives on the new connection', () => {
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

// https://github.com/wireapp/wire-webapp/pull/21477
test('a connection that died during sleep and is still OPEN in the browser is replaced after the wake-up, without a heartbeat', () => {
  const { socket, heard, native, report } = withEvents()
  native().accept().freeze()
  vi.advanceTimersByTime(60_000)
  report('wake')
  vi.advanceTimersByTime(300)
  expect(server.attempts).toBe(2)
  native().accept().send('new')
  vi.advanceTimersByTime(1_000)
  expect(heard('text')).toEqual(['new'])
  expect(socket.send('late')).toBe('sent')
  expect(sent(native())).toEqual(['late'])
})

// https://github.com/pladaria/reconnecting-websocket/issues/171
test('a message that an application sends again after its own timeout is sent once, because the older one can be removed from the queue', () => {
  const { socket, native } = setup()
  socket.send('order 7, first try', { key: 7 })
  socket.send('order 7, second try', { key: 7 })
  const obsolete = new AbortController()
  socket.send('order 8', { signal: obsolete.signal })
  obsolete.abort()
  expect(sent(native().accept())).toEqual(['order 7, second try'])
})

// https://github.com/rowboatlabs/rowboat/pull/1049, https://github.com/glowing-bear/glowing-bear/pull/1304
test('calls of connect() and reconnect() in every state leave one connection, and each message arrives once', () => {
  const { socket, heard, native } = setup()
  for (let i = 0; i < 20; i++) {
    socket.reconnect()
    socket.connect()
    if (i % 3 === 1) native().accept()
    if (i % 3 === 2) native().drop()
    vi.advanceTimersByTime(i * 40)
  }
  vi.advanceTimersByTime(10_000)
  for (const peer of server.connections) if (peer.socket.readyState === 0) peer.accept()
  expect(server.clients).toHaveLength(1)
  server.clients[0]?.send('event')
  expect(heard('text')).toEqual(['event'])
})

// https://github.com/rowboatlabs/rowboat/pull/1049
test('a native close() that fires its event at once does not turn reconnect() with a close code into a final close', () => {
  const { socket, native } = setup()
  const { socket: first } = native().accept()
  vi.spyOn(first, 'close').mockImplementation((code = 1005, reason = '') =>
    first.onclose?.(Object.assign(new Event('close'), { code, reason, wasClean: true }) as CloseEvent),
  )
  socket.reconnect('new token', 4_401, 'moving')
  vi.advanceTimersByTime(300)
  expect(socket.state).toMatchObject({ name: 'connecting', cause: { code: 'RECONNECT_REQUESTED' } })
})

// https://github.com/robtaussig/react-use-websocket/issues/223
test.each([null, undefined])(
  'an endpoint function that returns %s fails the attempt with a reason, and the next one follows',
  async value => {
    let url: any = value
    const { socket, heard } = setup({}, () => url)
    await settled()
    expect(heard('error')[0]).toMatchObject({ code: 'ENDPOINT_FAILED', cause: expect.any(TypeError) })
    expect(heard('error')[0].cause.message).toMatch(/endpoint/)
    url = '/feed'
    await vi.advanceTimersByTimeAsync(2_000)
    server.latest.accept()
    expect(socket.state).toMatchObject({ name: 'open', url: 'ws://page.test/feed' })
  },
)

// https://github.com/robtaussig/react-use-websocket/issues/223
test('an endpoint that is missing throws a TypeError, instead of connecting to /undefined', () => {
  expect(() => createSocket(null as never, { WebSocket: server.WebSocket })).toThrow(/endpoint is null/)
})

// https://github.com/surrealdb/surrealdb.js/issues/675, https://github.com/ueberdosis/hocuspocus/issues/947
test('every promise of a socket rejects when retry gives up, without an unhandled rejection', async () => {
  const unhandled = vi.fn()
  process.on('unhandledRejection', unhandled)
  const { socket } = setup({ retry: backoff({ attempts: 2 }) })
  const outcomes: unknown[] = []
  for (const promise of [socket.handover(), when(socket, 'open'), messages(socket).next()]) {
    promise.catch(error => outcomes.push(error.code))
  }
  void socket.handover().catch(() => {})
  for (let attempt = 0; attempt < 3; attempt++) {
    server.latest.drop()
    await vi.advanceTimersByTimeAsync(10_000)
  }
  expect(socket.state.name).toBe('closed')
  expect(outcomes).toEqual(Array(3).fill('CONNECTION_REFUSED'))
  process.off('unhandledRejection', unhandled)
  expect(unhandled).not.toHaveBeenCalled()
})

// https://github.com/bigskysoftware/htmx/issues/3904
test('no event of the page closes a native socket with a code that browsers reject', () => {
  const closes: unknown[][] = []
  for (const event of ['sleep', 'offline', 'wake', 'hidden', 'visible'] as const) {
    const { socket, native, report } = withEvents({ heartbeat: { message: 'ping' } })
    const peer = native().accept()
    const close = vi.spyOn(peer.socket, 'close')
    report(event)
    vi.advanceTimersByTime(120_000)
    socket.close()
    closes.push(...close.mock.calls)
  }
  expect(closes.length).toBeGreaterThanOrEqual(5)
  for (const [code = 1000] of closes) expect(code).toBe(1000)
})

// https://github.com/vueuse/vueuse/issues/5572
test('a message on an abandoned connection reaches no listener', () => {
  const { socket, heard, native } = setup()
  const old = native().accept()
  socket.reconnect()
  old.send('in flight')
  reopen().send('new')
  expect(heard('text')).toEqual(['new'])
})

// https://github.com/danshapiro/freshell/issues/175, https://github.com/rikulo/socket.io-client-dart/pull/37
test('two thousand failed attempts neither end reconnection nor make a wait longer than max, and a success starts again', () => {
  const { socket, native } = setup({ retry: backoff({ random: () => 0.999 }) })
  let longest = 0
  for (let attempt = 0; attempt < 2_000; attempt++) {
    native().drop()
    longest = Math.max(longest, (socket.state as { delay: number }).delay)
    vi.advanceTimersByTime(5_500)
  }
  expect(socket.state.name).toBe('connecting')
  expect(longest).toBeLessThan(5_500)
  native().accept()
  vi.advanceTimersByTime(5_000)
  native().drop()
  expect((socket.state as { delay: number }).delay).toBeLessThan(1_900)
})

// https://github.com/socketio/engine.io-client/issues/649
test('messages of a hidden page are passed to the browser at once, without a timer, because timers are throttled', () => {
  vi.stubGlobal('document', { visibilityState: 'hidden', addEventListener() {}, removeEventListener() {} })
  const { socket, native } = setup({ highWaterMark: 3, wake: false })
  native().accept().freeze('up')
  expect(['aaaa', 'bbbb', 'cccc'].map(text => socket.send(text))).toEqual(['sent', 'sent', 'sent'])
})

// https://github.com/fiduswriter/fiduswriter/issues/1322
test('a socket that is closed while its endpoint is still being fetched makes no connection afterwards', async () => {
  let answer = (_: string) => {}
  const { socket } = setup({}, () => new Promise<string>(resolve => (answer = resolve)))
  socket.close()
  answer('/feed')
  await settled()
  vi.advanceTimersByTime(60_000)
  expect([socket.state.name, server.attempts]).toEqual(['closed', 0])
})
