// Who takes part in outage.mjs and half-open.mjs: the peers over a bare server, and what acknowledges over its own.

import { createReliableSocket } from '../../dist/reliable.js'
import { peers } from './peers.mjs'
import { version, versionOf } from './versions.mjs'

/**
 * What ours is given to notice a dead connection with, as its best: two seconds of silence are a sign of trouble on a line that has
 * something to say two hundred times a second. None of the peers has a heartbeat, but socket.io.
 */
export const HEARTBEAT = { interval: 2_000, timeout: 2_000 }

/** The server answers `ping` with `pong`. */
const heartbeat = { ...HEARTBEAT, message: 'ping', isReply: data => data === 'pong' }

const BEST = {
  steadysocket: { heartbeat },
  'steadysocket/websocket': { heartbeat },
  // With it every attempt is made at once, not only the first: on a server that is down, thousands a second.
  'websocket-ts': { instantReconnect: false },
}

/** There is nothing to set that would help. */
const NO_BEST = new Set(['native WebSocket', 'sockette'])

const plain = WebSocket =>
  peers
    .filter(({ protocol }) => !protocol)
    .flatMap(peer =>
      [false, true]
        .filter(best => !best || !NO_BEST.has(peer.name))
        .map(best => ({
          name: peer.name,
          version: versionOf(peer),
          best,
          ours: peer.ours,
          connect(address, { told, gap, ...hear }) {
            const options = best ? BEST[peer.name] : undefined
            const handle = peer.connect(address('ws', '/'), { WebSocket, best, hear, options })
            // Of these only ours says what it drops.
            if (peer.ours) (handle.socket.socket ?? handle.socket).on('drop', ({ data }) => told(data))
            return handle
          },
        })),
    )

/** Sessions. The best: told to notice soon, and a server with room for ten seconds of the stream. */
const reliable = WebSocket =>
  [false, true].map(best => ({
    name: 'steadysocket/reliable',
    version: version('steadysocket'),
    best,
    ours: true,
    connect(address, { open, close, message, told, gap }) {
      const socket = createReliableSocket(address('ws', best ? '/reliable-best' : '/reliable'), {
        WebSocket,
        ...(best && { heartbeat: HEARTBEAT }),
      })
      socket.on('open', open)
      socket.on('close', close)
      socket.on('message', ({ data }) => message(data))
      socket.on('gap', gap)
      return {
        socket,
        async send(data) {
          const { status } = await socket.send(data)
          if (status !== 'delivered') told(data)
        },
        close: socket.close,
      }
    },
  }))

/**
 * Its best here: an acknowledgement for each message, which fails with the connection, and the server's connection state recovery,
 * which is on for its defaults too. The option `retries` would send again by itself, but one message at a time.
 */
// https://socket.io/docs/v4/delivery-guarantees https://socket.io/docs/v4/connection-state-recovery
const socketIo = () => {
  const peer = peers.find(({ protocol }) => protocol === 'socket.io')
  return [false, true].map(best => ({
    name: best ? 'socket.io-client, acknowledged' : 'socket.io-client',
    version: versionOf(peer),
    best,
    connect(address, { open, told, gap, ...hear }) {
      let before = false
      const handle = peer.connect(address('http', '/'), {
        best,
        hear: {
          ...hear,
          open() {
            open()
            if (before && !socket.recovered) gap()
            before = true
          },
        },
      })
      const { socket } = handle
      if (!best) return handle
      return {
        ...handle,
        send: data => socket.timeout(60_000).emit('message', data, error => error && told(data)),
      }
    },
  }))
}

export const entrants = WebSocket => [...plain(WebSocket), ...reliable(WebSocket), ...socketIo()]
