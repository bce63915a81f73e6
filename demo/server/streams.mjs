// Two numbered streams in each direction, twenty messages per second: one over plain WebSockets, one over reliable sessions.

import { WebSocketServer } from 'ws'
import { createReliableServer } from '../../dist/server.js'
import { heldStore } from './held.mjs'
import { dueSince, period } from './log.mjs'

const maxPayload = 16 * 1024
/** The largest number: six days of twenty messages per second. */
const maxNumber = 10_000_000
/** The messages that may be unacknowledged before the server waits. A session ends with more than 1,000, so a client that was disconnected for long gets them in parts. */
const maxAhead = 500
/** How long after its announcement a deploy ends the connections that are still there. */
const deployAfter = 2_000

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
  const reliable = new WebSocketServer({ noServer: true })
  const store = heldStore(world.store)
  /** The feeds of the sessions that are connected to this node. */
  const feeds = new Map()

  const beginPlain = async (client, id) => {
    const stream = await world.stream(`plain ${id}`)
    // Messages that were due while the client was disconnected are lost.
    let n = dueSince(stream.since)
    // First, all other connections of the stream get the messages that are due, so that a handover to this connection loses none.
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
    if (!id) return client.close(1008, 'the id must have 8 to 40 letters and digits')
    // Messages wait until the stream is loaded.
    client.pause()
    beginPlain(client, id).catch(() => client.terminate())
  })

  const forget = ({ id }, { sockets, isBusy }) => {
    if (!sockets.size && !isBusy) feeds.delete(id)
  }

  /**
   * Sends the due messages to a session. Only one call runs at a time, even while the session has two connections during a handover, because two calls would
   * send the same number.
   */
  const pump = async (session, feed) => {
    if (feed.isBusy) return
    feed.isBusy = true
    const { stream, base, sockets } = feed
    const clients = [...sockets]
    try {
      // A resumed session also gets the messages that were due meanwhile.
      for (let unacked = 1; unacked && unacked < maxAhead && sockets.size; ) {
        const n = base + store.sent(session.id) + 1
        if (!(n <= dueSince(stream.since))) break
        unacked = await server.send(session, { n, up: stream.counts })
      }
    } catch {
      // It is unknown whether the message was stored. The node that resumes the session learns it from the store.
      for (const socket of clients) socket.destroy()
    }
    feed.isBusy = false
    forget(session, feed)
  }

  const server = createReliableServer(reliable, {
    store,
    sessionTimeout: 60_000,
    maxMessageBytes: maxPayload,
    authorize: request => idOf(request) ?? false,
    async onConnect(session, { request: { socket } }) {
      const stream = await world.stream(`reliable ${session.userId}`)
      const base = await stream.base(session.id)
      if (socket.destroyed) return
      const feed = feeds.get(session.id) ?? { stream, base, sockets: new Set(), isBusy: false }
      feeds.set(session.id, feed)
      feed.sockets.add(socket)
      const timer = setInterval(() => pump(session, feed), period)
      socket.on('close', () => {
        clearInterval(timer)
        feed.sockets.delete(socket)
        forget(session, feed)
      })
    },
    async onMessage({ data, id }, session) {
      await note(
        feeds.get(session.id)?.stream ?? (await world.stream(`reliable ${session.userId}`)),
        data,
        id,
      )
    },
  })

  return {
    servers: { '/plain': plain, '/reliable': reliable },
    get stats() {
      return server.stats
    },
    /** Announces a shutdown on the plain streams with these ids, and closes them soon afterwards. Returns how many there were. */
    deploy(ids) {
      const clients = [...plain.clients].filter(({ stream }) => ids.includes(stream))
      for (const client of clients) {
        client.send(JSON.stringify({ kind: 'deploy' }))
        setTimeout(() => client.close(1012, 'deploy'), deployAfter)
      }
      return clients.length
    },
    stop: retryAfter => server.close({ retryAfter, timeout: 500 }),
  }
}
