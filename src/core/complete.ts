import { checks } from './checks.js'
import { delivery } from './delivery.js'
import { handover } from './handover.js'
import { heartbeat } from './heartbeat.js'
import { pageEvents } from './page.js'
import { prepare } from './prepare.js'
import { backoff } from './retry.js'
import { type CreateSocket, makeCreateSocket } from './socket.js'

/**
 * Creates a WebSocket that reconnects.
 *
 * ```ts
 * const socket = createSocket('wss://push.example.com/feed')
 * socket.on('text', text => show(text))
 * socket.send('hello')
 * ```
 *
 * It connects at once, unless `autoConnect` is false. Throws a `TypeError` for invalid options, the platform's error for a malformed
 * URL or subprotocol, and a `SocketError` with the code `NO_WEBSOCKET` if the platform has no WebSocket. Outages never cause exceptions: they are
 * reported by states and events.
 */
export const createSocket: CreateSocket = /* @__PURE__ */ makeCreateSocket(
  delivery,
  backoff,
  handover,
  heartbeat,
  pageEvents,
  prepare,
  checks,
)
