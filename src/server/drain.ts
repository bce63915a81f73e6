// Moves the clients of a node to other nodes, one after the other.
import { CLOSED, closeForNow, type WebSocketLike } from './connection.js'
import { formatOf } from './format.js'
import { DRAINING } from './frames.js'
import type { LocalSession } from './session.js'
import { within } from './upkeep.js'

/** How long to wait for a running handler. */
const HANDLER_TIMEOUT = 5_000
/** How long a client may take to move to another node after it was asked to. */
const MOVE_TIMEOUT = 5_000
/** How long a client may take to answer a close frame. */
const CLOSE_TIMEOUT = 1_000
/** Clients are asked in batches, at least this many milliseconds apart. */
const STEP = 10
/** The client need not wait longer than its own policy requires, because the clients move at different times. */
const REASON = 'retry-after=0'

/** The part of the server that is drained. */
export interface DrainServer {
  readonly sessions: ReadonlyMap<string, LocalSession>
  readonly sockets: ReadonlySet<WebSocketLike>
  readonly closing: string | undefined
}

const delay = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

/** In a random order, so that clients that connected at the same time do not move at the same time. */
const shuffle = <Item>(items: readonly Item[]): Item[] =>
  items
    .map(item => ({ item, place: Math.random() }))
    .sort((one, other) => one.place - other.place)
    .map(({ item }) => item)

/**
 * Asks a client to move to another node, and serves it until it has: when its session is resumed elsewhere, this connection ends. If the
 * client does not move, its connection is closed after the running handler.
 */
const release = async (session: LocalSession): Promise<void> => {
  const socket = session.connection?.socket
  if (!socket) return
  const closed = new Promise<void>(resolve => socket.on('close', () => resolve()))
  socket.send(formatOf(socket).write(DRAINING))
  await within(MOVE_TIMEOUT, [closed])
  if (session.connection?.socket === socket) await within(HANDLER_TIMEOUT, [session.quiesce()])
  if (socket.readyState === CLOSED) return
  closeForNow(socket, 1012, REASON)
  await within(CLOSE_TIMEOUT, [closed])
  socket.terminate()
}

/** Ends all connections over this many milliseconds. Resolves when no connection is left, or when the server shuts down. */
export const drain = async (server: DrainServer, over: number): Promise<void> => {
  const all = shuffle([...server.sessions.values()])
  // Not the time of day, which can be set back or forth.
  const start = performance.now()
  const leaving: Promise<void>[] = []
  for (let count = 0; count < all.length && !server.closing; ) {
    const share = over ? (performance.now() - start) / over : 1
    // The first one at once, the last one at the end.
    const due = Math.min(all.length, Math.floor(share * (all.length - 1)) + 1)
    leaving.push(...all.slice(count, due).map(release))
    count = due
    if (count < all.length) await delay(STEP)
  }
  await Promise.all(leaving)
  // Connections that have no session yet.
  for (const socket of server.closing ? [] : server.sockets) closeForNow(socket, 1012, REASON)
}
