import { FakeConnection } from './fake-connection.js'
import { createPeer } from './fake-peer.js'
import { createWebSocketClass } from './fake-web-socket.js'
import type { FakePeer, FakeServer, FakeServerOptions } from './types.js'

/**
 * A server for tests, and the WebSockets that connect to it.
 *
 * ```ts
 * const server = createFakeServer()
 * const socket = createSocket('wss://push.example.com/feed', { WebSocket: server.WebSocket })
 * vi.advanceTimersByTime(0)
 * server.latest.send('hello')
 * server.latest.close(1012, 'deploy')
 * ```
 *
 * The effects of the page's own calls come in a later task, through the current `setTimeout`, so that fake timers control them. The calls
 * of the test on a peer take effect at once. Messages arrive at once; `bufferedAmount` counts them until the end of the task.
 */
export const createFakeServer = ({
  base,
  protocols,
  message,
  ...unknown
}: FakeServerOptions = {}): FakeServer => {
  for (const name in unknown) {
    throw new TypeError(`createFakeServer has no option '${name}', only base, protocols and message`)
  }
  const connections: FakePeer[] = []
  /** Answers each handshake that is pending, according to the policy. */
  const handshakes: (() => void)[] = []
  let policy: 'accept' | 'refuse' | 'hang' = 'accept'

  const WebSocket = createWebSocketClass(base, (socket, offered, origin) => {
    const connection = new FakeConnection(socket, offered, origin)
    const peer = createPeer(connection, protocols)
    if (message) {
      connection.onArrival = data =>
        setTimeout(() => {
          if (connection.readyState < 3 && !connection.hasPeerSentCloseFrame) message(data, peer)
        }, 0)
    }
    const shakeHands = () => {
      if (policy !== 'hang' && !connection.isAnswered && !connection.readyState) peer[policy]()
    }
    if (policy !== 'hang') connection.schedule(shakeHands)
    handshakes.push(shakeHands)
    connections.push(peer)
    return connection
  })

  const answerAll = (answer: 'accept' | 'refuse') => () => {
    policy = answer
    // A copy, because a page may try again in its listener.
    for (const shakeHands of [...handshakes]) shakeHands()
  }

  return {
    WebSocket,
    connections,
    get latest() {
      const latest = connections[connections.length - 1]
      if (!latest) throw new Error("latest: no WebSocket was created with this server's constructor")
      return latest
    },
    get clients() {
      return connections.filter(({ socket }) => socket.readyState === 1)
    },
    get attempts() {
      return connections.length
    },
    accept: answerAll('accept'),
    refuse: answerAll('refuse'),
    hang() {
      policy = 'hang'
    },
  }
}
