// The libraries that reliable.mjs compares: how to start a server and a client of each. The code that measures is the same for all.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { WebPubSubClient } from '@azure/web-pubsub-client'
import { decode, encode } from '@msgpack/msgpack'
import { createAdapter } from '@socket.io/redis-streams-adapter'
import { createClient } from 'redis'
import { Server } from 'socket.io'
import { io } from 'socket.io-client'
import { WebSocket, WebSocketServer } from 'ws'

/** The directory of the build to measure. `BENCH_DIST` names that of an earlier build. */
const dist = process.env.BENCH_DIST ?? new URL('../../dist', import.meta.url).pathname
const { createSocket } = await import(`${dist}/index.js`)
const { createReliableSocket } = await import(`${dist}/reliable.js`)
const { memoryStore, redisStore, createReliableServer } = await import(`${dist}/server.js`)

const local = { port: 0, host: '127.0.0.1' }

/** A parser that encodes packets as MessagePack. The default parser of socket.io sends a message with binary data as two frames. */
// https://socket.io/docs/v4/custom-parser/
const msgpack = () => {
  class Encoder {
    encode(packet) {
      return [encode(packet, { ignoreUndefined: true })]
    }
  }
  class Decoder {
    #listener
    on(_event, listener) {
      this.#listener = listener
    }
    off() {}
    add(chunk) {
      this.#listener(decode(chunk))
    }
    destroy() {}
  }
  return { Encoder, Decoder }
}

/** Functions that start a server, which calls `onReceived()` for each message. `send(i, data)` sends to one client, `all(data)` to every client. */
const servers = {
  async ws({ onReceived, shouldAnswer }) {
    const wss = new WebSocketServer(local)
    const sockets = []
    wss.on('connection', socket => {
      sockets.push(socket)
      socket.on('message', () => {
        onReceived()
        if (shouldAnswer) socket.send('1')
      })
    })
    await once(wss, 'listening')
    return {
      port: wss.address().port,
      send: (i, data) => sockets[i].send(data),
      all(data) {
        for (const socket of sockets) socket.send(data)
      },
    }
  },

  async reliable({ onReceived, redis }) {
    const client = redis && (await createClient({ url: redis }).connect())
    const wss = new WebSocketServer(local)
    const sessions = []
    const server = createReliableServer(wss, {
      rates: false,
      store: client ? redisStore(client, { prefix: `bench-${process.pid}:`, warn: false }) : memoryStore(),
      onConnect: session => sessions.push(session),
      onMessage: () => onReceived(),
      onDisconnect: (_session, { code, reason }) => console.error(`a session ended: ${code} ${reason}`),
    })
    await once(wss, 'listening')
    return {
      port: wss.address().port,
      send: (i, data) => sessions[i].send(data),
      all: data => server.broadcast(data),
    }
  },

  async 'socket.io'({ onReceived, requestsAcks, usesMessagePack, redis }) {
    const http = createServer()
    const server = new Server(http, {
      transports: ['websocket'],
      serveClient: false,
      connectionStateRecovery: {},
      ...(usesMessagePack && { parser: msgpack() }),
      ...(redis && { adapter: createAdapter(await createClient({ url: redis }).connect()) }),
    })
    const sockets = []
    server.on('connection', socket => {
      sockets.push(socket)
      socket.on('m', (_data, done) => {
        onReceived()
        done()
      })
    })
    http.listen(local)
    await once(http, 'listening')
    return {
      port: http.address().port,
      send: (i, data) => (requestsAcks ? sockets[i].emit('m', data, () => {}) : sockets[i].emit('m', data)),
      all: data => (requestsAcks ? server.timeout(60_000).emit('m', data, () => {}) : server.emit('m', data)),
    }
  },
}

const plainServer = { serve: servers.ws }
const ourServer = { serve: servers.reliable }
const ioServer = { serve: servers['socket.io'] }

/** A client of a protocol without acknowledgements. If the server answers, each answer belongs to the oldest unanswered message. */
const plainClient = (socket, send, on, shouldAnswer) => {
  const waiting = []
  if (shouldAnswer) on(() => waiting.shift()?.())
  return {
    send(data) {
      send(data)
      return shouldAnswer ? new Promise(resolve => waiting.push(resolve)) : undefined
    },
    // The sender pauses while this is above a limit.
    buffered: () => socket.bufferedAmount,
  }
}

const ioClient = (port, options) =>
  io(`http://127.0.0.1:${port}`, { transports: ['websocket'], forceNew: true, ...options })

/**
 * `connect()` opens a client, which calls `onReceived()` for each message. `send(data)` returns a promise if there are acknowledgements.
 * Otherwise, `buffered()` returns the number of bytes that are not sent yet.
 */
export const contenders = {
  ws: {
    ...plainServer,
    async connect({ port, onReceived, shouldAnswer }) {
      const socket = new WebSocket(`ws://127.0.0.1:${port}`)
      await once(socket, 'open')
      if (!shouldAnswer) socket.on('message', () => onReceived())
      return plainClient(
        socket,
        data => socket.send(data),
        listener => socket.on('message', listener),
        shouldAnswer,
      )
    },
  },

  createSocket: {
    ...plainServer,
    async connect({ port, onReceived, shouldAnswer }) {
      const socket = createSocket(`ws://127.0.0.1:${port}`, { WebSocket })
      await new Promise(resolve => socket.once('open', resolve))
      if (!shouldAnswer) {
        socket.on('text', () => onReceived())
        socket.on('binary', () => onReceived())
      }
      return plainClient(
        socket,
        data => socket.send(data),
        listener => socket.on('text', listener),
        shouldAnswer,
      )
    },
  },

  reliable: {
    ...ourServer,
    async connect({ port, onReceived }) {
      const socket = createReliableSocket(`ws://127.0.0.1:${port}`, { WebSocket })
      socket.on('message', () => onReceived())
      await new Promise(resolve => socket.once('open', resolve))
      return {
        async send(data) {
          const { status } = await socket.send(data, { event: 'm' })
          if (status !== 'delivered') throw new Error(`a message is ${status}`)
        },
      }
    },
  },

  'reliable, Redis': { needsRedis: true },

  'Azure client': {
    ...ourServer,
    async connect({ port, onReceived }) {
      const client = new WebPubSubClient(`ws://127.0.0.1:${port}`)
      client.on('server-message', () => onReceived())
      const connected = new Promise(resolve => client.on('connected', resolve))
      await client.start()
      await connected
      return {
        send: data =>
          client.sendEvent(
            'm',
            typeof data === 'string' ? data : data.buffer,
            typeof data === 'string' ? 'text' : 'binary',
          ),
      }
    },
  },

  'socket.io': {
    ...ioServer,
    async connect({ port, onReceived }) {
      const socket = ioClient(port)
      socket.on('m', () => onReceived())
      await new Promise(resolve => socket.on('connect', resolve))
      return { send: data => socket.emitWithAck('m', data) }
    },
  },

  // Acknowledgements by callback instead of `emitWithAck()`, and binary data in one frame.
  'socket.io, tuned': {
    ...ioServer,
    usesMessagePack: true,
    async connect({ port, onReceived, usesMessagePack }) {
      const socket = ioClient(port, usesMessagePack && { parser: msgpack() })
      socket.on('m', () => onReceived())
      await new Promise(resolve => socket.on('connect', resolve))
      return { send: data => new Promise(resolve => socket.emit('m', data, resolve)) }
    },
  },

  // With the option `retries`, messages are delivered at least once and in order. The client sends one message at a time.
  // https://socket.io/docs/v4/client-options/#retries
  'socket.io, retries': {
    ...ioServer,
    only: /^(up|ask)/,
    async connect({ port }) {
      const socket = ioClient(port, { retries: 3, ackTimeout: 60_000 })
      await new Promise(resolve => socket.on('connect', resolve))
      return { send: data => socket.emitWithAck('m', data) }
    },
  },

  // The server requests acknowledgements. Connection state recovery does not include messages that request one.
  'socket.io, acknowledged': {
    ...ioServer,
    only: /^(down|broadcast)/,
    requestsAcks: true,
    async connect({ port, onReceived }) {
      const socket = ioClient(port)
      socket.on('m', (_data, done) => {
        onReceived()
        done()
      })
      await new Promise(resolve => socket.on('connect', resolve))
      return {}
    },
  },
}
// The adapter stores each broadcast in a Redis stream, from which a client that reconnects receives what it missed.
// https://socket.io/docs/v4/redis-streams-adapter/
contenders['socket.io, Redis Streams'] = {
  ...contenders['socket.io'],
  only: /^broadcast/,
  needsRedis: true,
}
contenders['reliable, Redis'] = { ...contenders.reliable, needsRedis: true }
contenders['reliable, before'] = { ...contenders.reliable, before: true }
contenders['reliable, Redis, before'] = { ...contenders['reliable, Redis'], before: true }
