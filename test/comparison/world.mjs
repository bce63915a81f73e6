// The environment of a scenario: a real server over TCP, a page, and a fake clock.
//
// The network is real. Before the clock advances, everything that is in flight has arrived, so that runs are the same on a fast machine and on a
// busy one.
import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'
import { real } from './clock.mjs'

/** The longest time to wait for data in flight, in real milliseconds. */
const TIMEOUT = 5_000

const pause = ms => new Promise(resolve => real.setTimeout(resolve, ms))

/** The server's side of a connection, for both protocols. */
const createConnection = (wire, url, at) => {
  const connection = {
    url,
    at,
    wire,
    received: [],
    closed: undefined,
    send: data => wire.send(data),
    close: (code, reason) => wire.close(code, reason),
    /** Resets the TCP connection, without a close frame. */
    cut: () => wire._socket.resetAndDestroy(),
    /** Makes the connection half-open: from now on, nothing is read or sent. */
    freeze() {
      connection.frozen = true
      wire._socket.pause()
      wire._socket.cork()
    },
  }
  wire.on('close', (code, reason) => {
    connection.closed = { code, reason: `${reason}` }
  })
  return connection
}

/** Starts a server for plain WebSockets, or for socket.io. */
const startServer = async (clock, protocol) => {
  const http = createServer()
  const raw = new Set()
  const pending = []
  const server = {
    connections: [],
    /** All handshakes, answered or not: their URLs and times. */
    attempts: [],
    /** How the server answers handshakes: 'accept', 'refuse', or 'hang'. */
    mode: 'accept',
    /** A function that is called with each new connection. */
    onConnection: undefined,
    pending,
    get open() {
      return server.connections.filter(({ closed }) => !closed)
    },
    get latest() {
      return server.connections.at(-1)
    },
    /** The received messages of all connections. */
    get received() {
      return server.connections.flatMap(({ received }) => received)
    },
    /** Answers the pending handshakes. */
    release() {
      for (const answer of pending.splice(0)) answer()
    },
    get bytes() {
      let sum = server.attempts.length + server.open.length
      for (const socket of raw) sum += socket.bytesRead + socket.bytesWritten
      return sum
    },
  }

  const add = (connection, listen) => {
    listen()
    server.connections.push(connection)
    server.onConnection?.(connection)
  }
  let upgrade
  if (protocol === 'socket.io') {
    const { Server: SocketIo } = await import('socket.io')
    const io = new SocketIo(http, { serveClient: false, maxHttpBufferSize: 2 ** 28 })
    http.removeAllListeners('upgrade')
    io.on('connection', socket => {
      const connection = createConnection(
        socket.conn.transport.socket ?? socket.conn,
        socket.handshake.url,
        clock.now,
      )
      connection.send = data => socket.send(data)
      // The client does not reconnect after `disconnect()`, and does after `close()`.
      connection.close = code => (code === 1008 ? socket.disconnect(true) : socket.conn.close())
      add(connection, () => {
        socket.on('message', (data, answer) => {
          connection.received.push(data)
          answer?.()
        })
      })
    })
    upgrade = (...given) => io.engine.handleUpgrade(...given)
  } else {
    const wss = new WebSocketServer({ noServer: true, maxPayload: 2 ** 28 })
    upgrade = (request, socket, head) =>
      wss.handleUpgrade(request, socket, head, wire => {
        const connection = createConnection(wire, request.url, clock.now)
        add(connection, () => {
          wire.on('error', () => {})
          wire.on('message', (data, isBinary) => {
            if (`${data}` === 'ping') wire.send('pong')
            else connection.received.push(isBinary ? data : `${data}`)
          })
        })
      })
  }
  http.on('connection', socket => {
    raw.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => raw.delete(socket))
  })
  http.on('upgrade', (request, socket, head) => {
    server.attempts.push({ at: clock.now, url: request.url })
    const answer = () => upgrade(request, socket, head)
    if (server.mode === 'accept') answer()
    else if (server.mode === 'hang') pending.push(answer)
    else socket.end('HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\n')
  })
  await new Promise(resolve => http.listen(0, '127.0.0.1', resolve))
  server.port = http.address().port
  return server
}

/** The heartbeat of this package, which needs the support of the server. The other libraries, except for socket.io, have none. */
const heartbeat = { interval: 25_000, timeout: 10_000, message: 'ping', isReply: data => data === 'pong' }

export const createWorld = async ({ peer, clock, page, sockets, WebSocket, reported }) => {
  const server = await startServer(clock, peer.protocol)
  const scheme = peer.protocol === 'socket.io' ? 'http' : 'ws'
  const url = `${scheme}://127.0.0.1:${server.port}/`
  let eventCount = 0

  const isBusy = () => {
    let connecting = 0
    let closing = 0
    for (const { readyState } of sockets) {
      if (readyState === 0) connecting++
      if (readyState === 2) closing++
    }
    return connecting > server.pending.length || (closing && !server.open.some(({ frozen }) => frozen))
  }

  /** Waits until nothing is in flight. */
  const settle = async () => {
    const started = real.now()
    for (let quiet = 0, last = -1; quiet < 4 && real.now() - started < TIMEOUT; ) {
      await pause(1)
      const seen = server.bytes + eventCount + reported.length
      quiet = seen === last && !isBusy() ? quiet + 1 : 0
      last = seen
    }
  }

  const skip = why => {
    throw Object.assign(new Error(why), { skip: true })
  }

  const world = {
    server,
    page,
    clock,
    url,
    /** The same server with an address that is not in a private network, for the behaviour of clients on the internet. */
    farUrl: url.replace('127.0.0.1', '[::ffff:127.0.0.1]'),
    /** Uncaught errors, which a browser would print to its console. */
    reported,
    settle,
    /** Ends the scenario because it does not apply to this library. */
    skip,

    /** Advances the clock by this many milliseconds. */
    async pass(ms) {
      const end = clock.now + ms
      await settle()
      for (let next = clock.next(); next <= end; next = clock.next()) {
        clock.goTo(next)
        await settle()
      }
      clock.goTo(end)
    },

    /** Advances the clock until the condition holds, at most by `ms`. Resolves with whether it holds. */
    async until(condition, ms = 60_000) {
      const end = clock.now + ms
      await settle()
      for (let next = clock.next(); !condition() && next <= end; next = clock.next()) {
        clock.goTo(next)
        await settle()
      }
      return Boolean(condition())
    },

    /** Connects the library with its best options, or with its `defaults`, and records its events. */
    connect(where = url, { options, defaults, ...more } = {}) {
      const events = { open: [], message: [], close: [], error: [] }
      const listeners = {}
      for (const type of Object.keys(events)) {
        listeners[type] = event => {
          eventCount++
          events[type].push(event)
          more.listeners?.[type]?.(event)
        }
      }
      const ours = peer.ours && { ...(!defaults && { heartbeat }), ...options }
      const handle = peer.connect(where, {
        best: !defaults,
        WebSocket,
        binaryType: more.binaryType,
        listeners,
        ...((ours || options) && { options: ours || options }),
      })
      return { ...handle, events, at: clock.now }
    },

    /** Connects, and waits until it is open. */
    async opened(...given) {
      const client = world.connect(...given)
      if (!(await world.until(() => client.events.open.length && server.open.length))) {
        throw new Error('did not connect')
      }
      return client
    },

    /** Opens a connection, and waits long enough for it to count as stable. */
    async steady(...given) {
      const client = await world.opened(...given)
      await world.pass(10_000)
      return client
    },
  }
  return world
}
