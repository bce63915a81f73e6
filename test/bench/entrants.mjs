// The libraries that outage.mjs and half-open.mjs compare: plain clients with a plain server, and reliable ones with their own server.

import { createReliableSocket } from '../../dist/reliable.js'
import { peers } from './peers.mjs'
import { version, versionOf } from './versions.mjs'

/**
 * The heartbeat of this package in rows that are marked as best. Two seconds without a message are suspicious here, because the server sends
 * two hundred per second. Of the other libraries, only socket.io has a heartbeat.
 */
export const HEARTBEAT = { interval: 2_000, timeout: 2_000 }

/** The server answers `ping` with `pong`. */
const heartbeat = { ...HEARTBEAT, message: 'ping', isReply: data => data === 'pong' }

const BEST = {
  steadysocket: { heartbeat },
  'steadysocket/websocket': { heartbeat },
  // With `instantReconnect`, every attempt starts without delay, not only the first: thousands per second while a server is down.
  'websocket-ts': { instantReconnect: false },
}

/** Libraries without an option that would improve the result. */
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
          connect(address, { reported, gap, ...listeners }) {
            const options = best ? BEST[peer.name] : undefined
            const handle = peer.connect(address('ws', '/'), { WebSocket, best, listeners, options })
            // Only the sockets of this package report which messages they drop.
            if (peer.ours) (handle.socket.socket ?? handle.socket).on('drop', ({ data }) => reported(data))
            return handle
          },
        })),
    )

/** Reliable sessions. The best settings have a short heartbeat, and a server that keeps ten seconds of messages. */
const reliable = WebSocket =>
  [false, true].map(best => ({
    name: 'steadysocket/reliable',
    version: version('steadysocket'),
    best,
    ours: true,
    connect(address, { open, close, message, reported, gap }) {
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
          if (status !== 'delivered') reported(data)
        },
        close: socket.close,
      }
    },
  }))

/**
 * The best settings of socket.io acknowledge each message, and report an error if the connection ends before. The server has connection state
 * recovery in both rows. The option `retries` would send messages again automatically, but only one at a time.
 */
// https://socket.io/docs/v4/delivery-guarantees https://socket.io/docs/v4/connection-state-recovery
const socketIo = () => {
  const peer = peers.find(({ protocol }) => protocol === 'socket.io')
  return [false, true].map(best => ({
    name: best ? 'socket.io-client, acknowledged' : 'socket.io-client',
    version: versionOf(peer),
    best,
    connect(address, { open, reported, gap, ...listeners }) {
      let wasOpen = false
      const handle = peer.connect(address('http', '/'), {
        best,
        listeners: {
          ...listeners,
          open() {
            open()
            if (wasOpen && !socket.recovered) gap()
            wasOpen = true
          },
        },
      })
      const { socket } = handle
      if (!best) return handle
      return {
        ...handle,
        send: data => socket.timeout(60_000).emit('message', data, error => error && reported(data)),
      }
    },
  }))
}

export const entrants = WebSocket => [...plain(WebSocket), ...reliable(WebSocket), ...socketIo()]
