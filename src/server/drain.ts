// Lets the clients of a node go, little by little.
import { CLOSED, closeForNow, type WebSocketLike } from './connection.js'
import { MOVE } from './frames.js'
import type { LocalSession } from './session.js'
import { within } from './upkeep.js'

/** How long a running handler is waited for. */
const HANDLER_TIMEOUT = 5_000
/** How long a client may take that was asked to move to another node. */
const MOVE_TIMEOUT = 5_000
/** How long a client may take to answer a close frame. */
const CLOSE_TIMEOUT = 1_000
/** Clients are let go in portions, at least so many milliseconds apart. */
const STEP = 10
/** The client need not wait longer than its own policy wants: all others go at other times. */
const REASON = 'retry-after=0'

/** The part of the server that is drained. */
export interface DrainServer {
  readonly sessions: ReadonlyMap<string, LocalSession>
  readonly sockets: ReadonlySet<WebSocketLike>
  readonly closing: string | undefined
}

const delay = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

/** In a random order, so that those who came at the same time do not go at the same time. */
const shuffle = <Item>(items: readonly Item[]): Item[] =>
  items
    .map(item => ({ item, place: Math.random() }))
    .sort((one, other) => one.place - other.place)
    .map(({ item }) => item)

/** Closes a connection after the running handler. A client that can is asked to move first: its next connection ends this one. */
const release = async (session: LocalSession): Promise<void> => {
  const { connection } = session
  if (!connection) return
  const { socket, canMove } = connection
  const closed = new Promise<void>(resolve => socket.on('close', () => resolve()))
  await within(HANDLER_TIMEOUT, [session.quiesce(canMove)])
  if (canMove && socket.readyState !== CLOSED) {
    socket.send(MOVE)
    await within(MOVE_TIMEOUT, [closed])
  }
  if (socket.readyState === CLOSED) return
  closeForNow(socket, 1012, REASON)
  await within(CLOSE_TIMEOUT, [closed])
  socket.terminate()
}

/** Ends all connections over so many milliseconds. Resolves when nobody is left, or when the server shuts down. */
export const drain = async (server: DrainServer, over: number): Promise<void> => {
  const all = shuffle([...server.sessions.values()])
  const start = Date.now()
  const leaving: Promise<void>[] = []
  for (let count = 0; count < all.length && !server.closing; ) {
    const share = over ? (Date.now() - start) / over : 1
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
