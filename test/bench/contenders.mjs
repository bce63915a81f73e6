// The contenders of reliable.mjs: how each serves, and how each connects. Every contender gets the same harness around it.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { WebPubSubClient } from '@azure/web-pubsub-client'
import { decode, encode } from '@msgpack/msgpack'
import { createAdapter } from '@socket.io/redis-streams-adapter'
import { createClient } from 'redis'
import { Server } from 'socket.io'
import { io } from 'socket.io-client'
import { WebSocket, WebSocketServer } from 'ws'

/** Another build may be measured beside the present one: the directory of it. */
const dist = process.env.BENCH_DIST ?? new URL('../../dist', import.meta.url).pathname
const { createSocket } = await import(`${dist}/index.js`)
const { createReliableSocket } = await import(`${dist}/reliable.js`)
const { protobuf } = await import(`${dist}/reliable-protobuf.js`).catch(() => ({}))
const { memoryStore, redisStore, createReliableServer } = await import(`${dist}/server.js`)

const local = { port: 0, host: '127.0.0.1' }

/** MessagePack in place of socket.io's own two frames for each message with binary data in it. */
// https://socket.io/docs/v4/custom-parser/
const msgpack = () => {
  class Encoder {
    encode(packet) {
      return [encode(packet, { ignoreUndefined: true })]
    }
  }
  class Decoder {
    #hear
    on(_event, hear) {
      this.#hear = hear
    }
    off() {}
    add(chunk) {
      this.#hear(decode(chunk))
    }
    destroy() {}
  }
  return { Encoder, Decoder }
}

/** Serves: `heard()` for each message. `send(i, data)` to one client, `all(data)` to each. */
const servers = {
  async ws({ heard, answers }) {
    const wss = new WebSocketServer(local)
    const sockets = []
    wss.on('connection', socket => {
      sockets.push(socket)
      socket.on('message', () => {
        heard()
        if (answers) socket.send('1')
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

  async reliable({ heard, redis }) {
    const client = redis && (await createClient({ url: redis }).connect())
    const wss = new WebSocketServer(local)
    const sessions = []
    const server = createReliableServer(wss, {
      rates: false,
      store: client ? redisStore(client, { prefix: `bench-${process.pid}:`, warn: false }) : memoryStore(),
      onConnect: session => sessions.push(session),
      onMessage: () => heard(),
      onDisconnect: (_session, { code, reason }) => console.error(`a session ended: ${code} ${reason}`),
    })
    await once(wss, 'listening')
    return {
      port: wss.address().port,
      send: (i, data) => sessions[i].send(data),
      all: data => server.broadcast(data),
    }
  },

  async 'socket.io'({ heard, asks, packs, redis }) {
    const http = createServer()
    const server = new Server(http, {
      transports: ['websocket'],
      serveClient: false,
      connectionStateRecovery: {},
      ...(packs && { parser: msgpack() }),
      ...(redis && { adapter: createAdapter(await createClient({ url: redis }).connect()) }),
    })
    const sockets = []
    server.on('connection', socket => {
      sockets.push(socket)
      socket.on('m', (_data, done) => {
        heard()
        done()
      })
    })
    http.listen(local)
    await once(http, 'listening')
    return {
      port: http.address().port,
      send: (i, data) => (asks ? sockets[i].emit('m', data, () => {}) : sockets[i].emit('m', data)),
      all: data => (asks ? server.timeout(60_000).emit('m', data, () => {}) : server.emit('m', data)),
    }
  },
}

const bareServer = { serve: servers.ws }
const ourServer = { serve: servers.reliable }
const ioServer = { serve: servers['socket.io'] }

/** A bare socket: an answer made by hand is to the oldest question. */
const bare = (socket, send, on, answers) => {
  const waiting = []
  if (answers) on(() => waiting.shift()?.())
  return {
    send(data) {
      send(data)
      return answers ? new Promise(resolve => waiting.push(resolve)) : undefined
    },
    // Both pace by this.
    buffered: () => socket.bufferedAmount,
  }
}

const ioClient = (port, options) =>
  io(`http://127.0.0.1:${port}`, { transports: ['websocket'], forceNew: true, ...options })

/**
 * Connects: `heard(data)` for each message. `send(data)` gives a promise where there are acknowledgements; where there are
 * none, `buffered()` says how many bytes wait.
 */
export const contenders = {
  ws: {
    ...bareServer,
    async connect({ port, heard, answers }) {
      const socket = new WebSocket(`ws://127.0.0.1:${port}`)
      await once(socket, 'open')
      if (!answers) socket.on('message', () => heard())
      return bare(
        socket,
        data => socket.send(data),
        hear => socket.on('message', hear),
        answers,
      )
    },
  },

  createSocket: {
    ...bareServer,
    async connect({ port, heard, answers }) {
      const socket = createSocket(`ws://127.0.0.1:${port}`, { WebSocket })
      await new Promise(resolve => socket.once('open', resolve))
      if (!answers) {
        socket.on('text', () => heard())
        socket.on('binary', () => heard())
      }
      return bare(
        socket,
        data => socket.send(data),
        hear => socket.on('text', hear),
        answers,
      )
    },
  },

  reliable: {
    ...ourServer,
    async connect({ port, heard, frames }) {
      const socket = createReliableSocket(`ws://127.0.0.1:${port}`, { WebSocket, ...(frames && { frames }) })
      socket.on('message', () => heard())
      await new Promise(resolve => socket.once('open', resolve))
      return {
        async send(data) {
          const { status } = await socket.send(data, { event: 'm' })
          if (status !== 'delivered') throw new Error(`a message is ${status}`)
        },
      }
    },
  },

  'reliable, protobuf': {},

  'reliable, Redis': { needsRedis: true },

  'reliable, protobuf, Redis': {},

  'Azure client': {
    ...ourServer,
    async connect({ port, heard }) {
      const client = new WebPubSubClient(`ws://127.0.0.1:${port}`)
      client.on('server-message', () => heard())
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
    async connect({ port, heard }) {
      const socket = ioClient(port)
      socket.on('m', () => heard())
      await new Promise(resolve => socket.on('connect', resolve))
      return { send: data => socket.emitWithAck('m', data) }
    },
  },

  // A callback instead of a promise of its own; binary data in one frame.
  'socket.io, tuned': {
    ...ioServer,
    packs: true,
    async connect({ port, heard, packs }) {
      const socket = ioClient(port, packs && { parser: msgpack() })
      socket.on('m', () => heard())
      await new Promise(resolve => socket.on('connect', resolve))
      return { send: data => new Promise(resolve => socket.emit('m', data, resolve)) }
    },
  },

  // The option for delivery at least once, in order: one message at a time.
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

  // The server asks for acknowledgements. Such messages are not in the state that is recovered.
  'socket.io, acknowledged': {
    ...ioServer,
    only: /^(down|broadcast)/,
    asks: true,
    async connect({ port, heard }) {
      const socket = ioClient(port)
      socket.on('m', (_data, done) => {
        heard()
        done()
      })
      await new Promise(resolve => socket.on('connect', resolve))
      return {}
    },
  },
}
// Every message to all is kept in a stream, from which a client that comes back receives what it missed.
// https://socket.io/docs/v4/redis-streams-adapter/
contenders['socket.io, Redis Streams'] = {
  ...contenders['socket.io'],
  only: /^broadcast/,
  needsRedis: true,
}
contenders['reliable, Redis'] = { ...contenders.reliable, needsRedis: true }
const connectProtobuf = options => contenders.reliable.connect({ ...options, frames: protobuf() })
contenders['reliable, protobuf'] = { ...contenders.reliable, connect: connectProtobuf }
contenders['reliable, protobuf, Redis'] = { ...contenders['reliable, Redis'], connect: connectProtobuf }
contenders['reliable, before'] = { ...contenders.reliable, before: true }
contenders['reliable, Redis, before'] = { ...contenders['reliable, Redis'], before: true }
