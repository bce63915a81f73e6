// What a scenario has: a real server over TCP, a page, and time that passes when it is told to.
//
// The network is not simulated. Before time moves on, everything that is on its way has arrived: that is what makes a run the
// same on a fast machine and on a busy one.
import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'
import { real } from './clock.mjs'

/** Longer than this, in real milliseconds, nothing is on its way. */
const SLOWEST = 5_000

const pause = ms => new Promise(resolve => real.setTimeout(resolve, ms))

/** One connection as the server has it, whatever protocol it speaks. */
const createConnection = (wire, url, at) => {
  const connection = {
    url,
    at,
    wire,
    received: [],
    closed: undefined,
    send: data => wire.send(data),
    close: (code, reason) => wire.close(code, reason),
    /** A reset: no close frame, no end. */
    cut: () => wire._socket.resetAndDestroy(),
    /** From here on nothing is read or sent, and nobody is told: a half-open connection. */
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

/** Starts a server, for socket.io if that is what the peer speaks. */
const startServer = async (clock, protocol) => {
  const http = createServer()
  const raw = new Set()
  const held = []
  const server = {
    connections: [],
    /** Handshakes, answered or not: where to, and when. */
    attempts: [],
    /** What becomes of them: 'accept', 'refuse', or 'hang'. */
    mode: 'accept',
    /** Called with each connection as soon as it is there. */
    greet: undefined,
    held,
    get open() {
      return server.connections.filter(({ closed }) => !closed)
    },
    get latest() {
      return server.connections.at(-1)
    },
    /** All that has arrived, over all connections. */
    get received() {
      return server.connections.flatMap(({ received }) => received)
    },
    /** Answers the handshakes that wait. */
    release() {
      for (const answer of held.splice(0)) answer()
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
    server.greet?.(connection)
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
      // What it does not come back from, and what it does.
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
    else if (server.mode === 'hang') held.push(answer)
    else socket.end('HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\n')
  })
  await new Promise(resolve => http.listen(0, '127.0.0.1', resolve))
  server.port = http.address().port
  return server
}

/** The settings of ours that need a word with the server; the others have nothing of the kind. */
const heartbeat = { interval: 25_000, timeout: 10_000, message: 'ping', isReply: data => data === 'pong' }

export const createWorld = async ({ peer, clock, page, sockets, WebSocket, reported }) => {
  const server = await startServer(clock, peer.protocol)
  const scheme = peer.protocol === 'socket.io' ? 'http' : 'ws'
  const url = `${scheme}://127.0.0.1:${server.port}/`
  let told = 0

  const busy = () => {
    let connecting = 0
    let closing = 0
    for (const { readyState } of sockets) {
      if (readyState === 0) connecting++
      if (readyState === 2) closing++
    }
    return connecting > server.held.length || (closing && !server.open.some(({ frozen }) => frozen))
  }

  /** Until nothing is on its way any more. */
  const settle = async () => {
    const started = real.now()
    for (let quiet = 0, last = -1; quiet < 4 && real.now() - started < SLOWEST; ) {
      await pause(1)
      const seen = server.bytes + told + reported.length
      quiet = seen === last && !busy() ? quiet + 1 : 0
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
    /** The same server by an address that is in no private network, for what clients do on the internet. */
    farUrl: url.replace('127.0.0.1', '[::ffff:127.0.0.1]'),
    /** Errors that nobody caught: what a browser prints on its console. */
    reported,
    settle,
    /** Does not apply to this peer. */
    skip,

    /** Lets so much time pass. */
    async pass(ms) {
      const end = clock.now + ms
      await settle()
      for (let next = clock.next(); next <= end; next = clock.next()) {
        clock.goTo(next)
        await settle()
      }
      clock.goTo(end)
    },

    /** Lets time pass until it is so, at most so much. Says whether it is. */
    async until(condition, ms = 60_000) {
      const end = clock.now + ms
      await settle()
      for (let next = clock.next(); !condition() && next <= end; next = clock.next()) {
        clock.goTo(next)
        await settle()
      }
      return Boolean(condition())
    },

    /** Connects the peer at its best (or with its `defaults`), and notes what it tells. */
    connect(where = url, { options, defaults, ...more } = {}) {
      const heard = { open: [], message: [], close: [], error: [] }
      const hear = {}
      for (const type of Object.keys(heard)) {
        hear[type] = event => {
          told++
          heard[type].push(event)
          more.hear?.[type]?.(event)
        }
      }
      const ours = peer.ours && { ...(!defaults && { heartbeat }), ...options }
      const handle = peer.connect(where, {
        best: !defaults,
        WebSocket,
        binaryType: more.binaryType,
        hear,
        ...((ours || options) && { options: ours || options }),
      })
      return { ...handle, heard, at: clock.now }
    },

    /** Connects, and waits until it is open. */
    async opened(...given) {
      const client = world.connect(...given)
      if (!(await world.until(() => client.heard.open.length && server.open.length))) {
        throw new Error('did not connect')
      }
      return client
    },

    /** Opens, and lets the connection live long enough to count as one that worked. */
    async steady(...given) {
      const client = await world.opened(...given)
      await world.pass(10_000)
      return client
    },
  }
  return world
}
