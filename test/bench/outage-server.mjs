// The server of outage.mjs: bare `ws`, reliable sessions and socket.io on one port. It hears a numbered stream from each client,
// and has another for each. Clients name themselves in the address; what is known of them outlives a restart, in `members`.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { Server } from 'socket.io'
import { WebSocketServer } from 'ws'
import { createReliableServer } from '../../dist/server.js'

const nameOf = ({ url }) => new URL(url, 'ws://server').searchParams.get('name')

/** A bare server: what it has to say while a client is not there, nobody hears. */
const bare = members => {
  const wss = new WebSocketServer({ noServer: true })
  wss.on('connection', (socket, request) => {
    const member = members.get(nameOf(request))
    member.say = number => socket.readyState === 1 && socket.send(`${number}`)
    socket.on('error', () => {})
    socket.on('message', data => {
      if (`${data}` === 'ping') socket.send('pong')
      else member.hear(Number(data))
    })
  })
  return { wss, sockets: () => wss.clients }
}

const sessions = (members, options) => {
  const wss = new WebSocketServer({ noServer: true })
  createReliableServer(wss, {
    ...options,
    onConnect(session, { request }) {
      const member = members.get(nameOf(request))
      member.session = session.id
      member.say = number => session.send(`${number}`)
      members.set(session.id, member)
    },
    onMessage: ({ data }, { id }) => members.get(id).hear(Number(data)),
    // A session that is over is what is to be counted, and its client hears of it.
    onError() {},
  })
  wss.on('connection', socket => socket.on('error', () => {}))
  return { wss, sockets: () => wss.clients }
}

const socketIo = (http, members) => {
  const io = new Server(http, {
    serveClient: false,
    transports: ['websocket'],
    destroyUpgrade: false,
    connectionStateRecovery: {},
  })
  io.on('connection', socket => {
    const member = members.get(socket.handshake.query.name)
    // With recovery switched on, what a socket is told while it is away is kept for it.
    member.say = number => socket.emit('message', `${number}`)
    socket.on('message', (data, done) => {
      member.hear(Number(data))
      done?.()
    })
  })
  return { sockets: () => Object.values(io.engine.clients).map(({ transport }) => transport.socket) }
}

export const startServer = async (members, { port = 0, sessionLimits } = {}) => {
  const http = createServer()
  const paths = {
    '/': bare(members),
    '/reliable': sessions(members, {}),
    // Ten seconds of this stream are 2,000 messages, and the default is to end a session with more than 1,000.
    '/reliable-best': sessions(members, sessionLimits),
  }
  const io = socketIo(http, members)
  http.on('upgrade', (request, socket, head) => {
    const { wss } = paths[new URL(request.url, 'ws://server').pathname] ?? {}
    wss?.handleUpgrade(request, socket, head, client => wss.emit('connection', client, request))
  })
  http.listen(port, '127.0.0.1')
  await once(http, 'listening')
  const all = () => [io, ...Object.values(paths)].flatMap(({ sockets }) => [...sockets()])
  return {
    port: http.address().port,
    /** Says goodbye to everybody, as an orderly server does. */
    close(code) {
      for (const socket of all()) socket.close(code)
    },
    /** Is gone, as after `kill -9`: with it all that it kept in memory. */
    async kill() {
      for (const socket of all()) socket.terminate()
      for (const member of new Set(members.values())) member.say = undefined
      http.closeAllConnections()
      http.close()
      await once(http, 'close')
    },
  }
}
