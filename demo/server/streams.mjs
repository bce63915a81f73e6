// Two numbered streams in each direction, twenty messages per second: one over plain WebSockets, one over reliable sessions.

import { WebSocketServer } from 'ws'
import { createReliableServer } from '../../dist/server.js'
import { heldStore } from './held.mjs'
import { dueSince, period } from './log.mjs'

const maxPayload = 16 * 1024
/** Six days of twenty a second. */
const maxNumber = 10_000_000
/** A client may leave 1,000 messages unacknowledged: who was away for long gets what is due in parts. */
const maxAhead = 500
/** How long after its announcement a deploy ends the connections that are still there. */
const deployAfter = 1_000

const idOf = request => {
  const id = new URL(request.url, 'http://localhost').searchParams.get('id')
  return id && /^[\w-]{8,40}$/.test(id) ? id : undefined
}

const note = async (stream, n, id) => {
  const isNumber = Number.isSafeInteger(n) && n > 0 && n < maxNumber && n < stream.counts.last + 100_000
  if (isNumber) await stream.note(n, id)
}

export const createStreams = world => {
  const plain = new WebSocketServer({ noServer: true, maxPayload })
  const sure = new WebSocketServer({ noServer: true })
  const store = heldStore(world.store)
  /** What the connected sessions of this node are sent. */
  const held = new Map()

  const beginPlain = async (client, id) => {
    const stream = await world.stream(`plain ${id}`)
    // What was due while nobody listened is lost: nothing here keeps it.
    let n = dueSince(stream.since)
    // A second connection begins where the first one is, so that one that takes over misses nothing.
    for (const other of plain.clients) if (other.stream === id) other.pump(n)
    client.stream = id
    client.pump = due => {
      while (n < due) client.send(JSON.stringify({ n: ++n, up: stream.counts }))
    }
    const timer = setInterval(() => client.pump(dueSince(stream.since)), period)
    client.on('message', data => note(stream, Number(data)).catch(() => client.terminate()))
    client.on('close', () => clearInterval(timer))
    if (client.readyState > client.OPEN) clearInterval(timer)
    client.resume()
  }

  plain.on('connection', (client, request) => {
    client.on('error', () => {})
    const id = idOf(request)
    if (!id) return client.close(1008, 'an id of 8 to 40 letters and digits, please')
    // What comes before the stream is known waits.
    client.pause()
    beginPlain(client, id).catch(() => client.terminate())
  })

  const forget = ({ id }, { sockets, isBusy }) => {
    if (!sockets.size && !isBusy) held.delete(id)
  }

  /**
   * Sends a session what is due. One call at a time, also while the session moves from one connection to the next and has two of them: two
   * would send the same number.
   */
  const pump = async (session, feed) => {
    if (feed.isBusy) return
    feed.isBusy = true
    const { stream, base, sockets } = feed
    const those = [...sockets]
    try {
      // A session that goes on owes what was due meanwhile.
      for (let unacked = 1; unacked && unacked < maxAhead && sockets.size; ) {
        const n = base + store.sent(session.id) + 1
        if (!(n <= dueSince(stream.since))) break
        unacked = await server.send(session, { n, up: stream.counts })
      }
    } catch {
      // Stored or not, nobody here knows. Whoever resumes the session is told by the store.
      for (const socket of those) socket.destroy()
    }
    feed.isBusy = false
    forget(session, feed)
  }

  const server = createReliableServer(sure, {
    store,
    sessionTimeout: 60_000,
    maxMessageBytes: maxPayload,
    authorize: request => idOf(request) ?? false,
    async onConnect(session, { request: { socket } }) {
      const stream = await world.stream(`reliable ${session.userId}`)
      const base = await stream.base(session.id)
      if (socket.destroyed) return
      const feed = held.get(session.id) ?? { stream, base, sockets: new Set(), isBusy: false }
      held.set(session.id, feed)
      feed.sockets.add(socket)
      const timer = setInterval(() => pump(session, feed), period)
      socket.on('close', () => {
        clearInterval(timer)
        feed.sockets.delete(socket)
        forget(session, feed)
      })
    },
    async onMessage({ data, id }, session) {
      await note(held.get(session.id)?.stream ?? (await world.stream(`reliable ${session.userId}`)), data, id)
    },
  })

  return {
    servers: { '/plain': plain, '/reliable': sure },
    get stats() {
      return server.stats
    },
    /** Announces on the plain streams with these ids that their server goes away, and closes them soon afterwards. Returns how many. */
    deploy(ids) {
      const those = [...plain.clients].filter(({ stream }) => ids.includes(stream))
      for (const client of those) {
        client.send(JSON.stringify({ kind: 'deploy' }))
        setTimeout(() => client.close(1012, 'deploy'), deployAfter)
      }
      return those.length
    },
    stop: retryAfter => server.close({ retryAfter, timeout: 500 }),
  }
}
