// Two streams of numbered messages each way, twenty a second: one over plain WebSockets, one over reliable sessions.

import { WebSocketServer } from 'ws'
import { memoryStore, reliable } from '../dist/server.js'
import { createTally } from './page/tally.js'

export const period = 50
const maxPayload = 16 * 1024
const maxStreams = 500

/** What outlives a restart of the service, as a database would: the reliable sessions, and where each stream stands. */
export const createMemory = () => {
  const streams = new Map()
  return {
    store: memoryStore(),
    stream(name) {
      const known = streams.get(name)
      // Seen last, forgotten last.
      streams.delete(name)
      const stream = known ?? { since: Date.now(), n: 0, up: createTally(0) }
      streams.set(name, stream)
      if (streams.size > maxStreams) streams.delete(streams.keys().next().value)
      return stream
    },
  }
}

const idOf = request => {
  const id = new URL(request.url, 'http://localhost').searchParams.get('id')
  return id && /^[\w-]{8,40}$/.test(id) ? id : undefined
}

/** Numbers follow the clock: so many should have been sent by now, whether somebody was there to hear them or not. */
const due = ({ since }) => Math.floor((Date.now() - since) / period)

const note = (stream, n) => {
  if (Number.isSafeInteger(n) && n > 0 && n < stream.up.counts.last + 100_000) stream.up.note(n)
}

export const createStreams = memory => {
  const plain = new WebSocketServer({ noServer: true, maxPayload })
  const sure = new WebSocketServer({ noServer: true, maxPayload })
  const pumps = new Map()

  plain.on('connection', (client, request) => {
    client.on('error', () => {})
    const id = idOf(request)
    if (!id) return client.close(1008, 'an id of 8 to 40 letters and digits, please')
    const stream = memory.stream(`plain ${id}`)
    // What was due while nobody listened is lost: nothing here keeps it.
    let n = due(stream)
    const timer = setInterval(() => {
      while (n < due(stream)) client.send(JSON.stringify({ n: ++n, up: stream.up.counts }))
    }, period)
    client.on('message', data => note(stream, Number(data)))
    client.on('close', () => clearInterval(timer))
  })

  const halt = id => {
    const pump = pumps.get(id)
    clearInterval(pump?.timer)
    clearTimeout(pump?.end)
    pumps.delete(id)
  }

  const server = reliable(sure, {
    store: memory.store,
    keepMs: 60_000,
    authorize: request => idOf(request) !== undefined,
    onConnect(session, { resumed, request }) {
      const id = idOf(request)
      const stream = memory.stream(`reliable ${id}`)
      halt(session.id)
      // A session that goes on owes what was due meanwhile. A new one knows nothing of that.
      if (!resumed) stream.n = due(stream)
      const timer = setInterval(() => {
        while (stream.n < due(stream)) session.send({ n: ++stream.n, up: stream.up.counts })
      }, period)
      pumps.set(session.id, { timer, stream })
    },
    onDisconnect(session) {
      const pump = pumps.get(session.id)
      // It goes on for as long as the session may come back: that is what the store is for.
      if (pump) pump.end = setTimeout(() => halt(session.id), 60_000)
    },
    onMessage({ data }, session) {
      const pump = pumps.get(session.id)
      if (pump) note(pump.stream, data)
    },
  })

  return {
    servers: { '/plain': plain, '/reliable': sure },
    get stats() {
      return server.stats
    },
    async stop(retryAfter) {
      for (const id of [...pumps.keys()]) halt(id)
      await server.close({ retryAfter, timeout: 500 })
    },
  }
}
