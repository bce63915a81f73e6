// The server of outage.mjs: plain `ws`, reliable sessions and socket.io on one port. It receives a numbered stream from each client, and sends
// another one to each. The URL contains the name of the client. The data of the clients is in `members`, which outlives a restart.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { Server } from 'socket.io'
import { WebSocketServer } from 'ws'
import { createReliableServer } from '../../dist/server.js'

const nameOf = ({ url }) => new URL(url, 'ws://server').searchParams.get('name')

/** A plain server: messages to a client that is not connected are lost. */
const plain = members => {
  const wss = new WebSocketServer({ noServer: true })
  wss.on('connection', (socket, request) => {
    const member = members.get(nameOf(request))
    member.sendToClient = number => socket.readyState === 1 && socket.send(`${number}`)
    socket.on('error', () => {})
    socket.on('message', data => {
      if (`${data}` === 'ping') socket.send('pong')
      else member.onReceived(Number(data))
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
      member.sendToClient = number => session.send(`${number}`)
      members.set(session.id, member)
    },
    onMessage: ({ data }, { id }) => members.get(id).onReceived(Number(data)),
    // A session that has ended is an expected result. Its client reports it.
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
    // With connection state recovery, the server keeps messages for a client that is not connected.
    member.sendToClient = number => socket.emit('message', `${number}`)
    socket.on('message', (data, done) => {
      member.onReceived(Number(data))
      done?.()
    })
  })
  return { sockets: () => Object.values(io.engine.clients).map(({ transport }) => transport.socket) }
}

export const startServer = async (members, { port = 0, sessionLimits } = {}) => {
  const http = createServer()
  const paths = {
    '/': plain(members),
    '/reliable': sessions(members, {}),
    // Ten seconds of the stream are 2,000 messages. By default, a session with more than 1,000 unacknowledged messages ends.
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
    /** Closes all connections with this code, as an orderly shutdown does. */
    close(code) {
      for (const socket of all()) socket.close(code)
    },
    /** Stops without close frames, as after `kill -9`. Everything in memory is lost. */
    async kill() {
      for (const socket of all()) socket.terminate()
      for (const member of new Set(members.values())) member.sendToClient = undefined
      http.closeAllConnections()
      http.close()
      await once(http, 'close')
    },
  }
}
