// A small TCP proxy between the pages and the push service, which simulates the faults of real networks.
import { connect } from 'node:net'

/** The milliseconds after which a frozen connection is destroyed. To both ends, it seems to be alive, so they might never close it. */
const frozenFor = 30_000

/** Forwards bytes in one direction, in order, beginning with `first`. Each is delayed by the delay that is set when it arrives. */
const createPipe = (from, to, line, connection, first = []) => {
  const buffer = []
  let timer

  const pump = () => {
    clearTimeout(timer)
    while (buffer.length && !connection.frozen && !to.writableNeedDrain && !to.destroyed) {
      const wait = buffer[0].due - performance.now()
      if (wait > 0) {
        timer = setTimeout(pump, wait)
        break
      }
      const { bytes } = buffer.shift()
      if (bytes) to.write(bytes)
      else to.end()
    }
    if (connection.frozen || to.writableNeedDrain) from.pause()
    else from.resume()
  }

  const push = bytes => {
    buffer.push({ bytes, due: performance.now() + line.delay + connection.delay })
    pump()
  }

  from.on('data', push)
  from.on('end', () => push(undefined))
  to.on('drain', pump)
  first.forEach(push)
  return pump
}

const maxDelay = 1_000

/** The parameters of a stream's URL: its `id`, for `freeze(id)`, and its `delay`, the milliseconds of latency in each direction. */
const parametersOf = ({ url }) => {
  const query = new URL(url, 'http://localhost').searchParams
  return { id: query.get('id'), delay: Math.min(Math.max(0, Number(query.get('delay')) || 0), maxDelay) }
}

/** The original request of the browser, so that the service behind the proxy receives the same host and origin. */
const headOf = ({ method, url, rawHeaders }) => {
  const lines = [`${method} ${url} HTTP/1.1`]
  for (let at = 0; at < rawHeaders.length; at += 2) lines.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}`)
  return `${lines.join('\r\n')}\r\n\r\n`
}

export const createLine = () => {
  const connections = new Set()
  const line = { delay: 0 }
  /** The ids of streams whose new connections are refused, each with the timer that ends this. */
  const refused = new Map()
  let slowTimer

  return {
    /** Forwards an upgrade request to the service at this address. */
    carry({ port, host = '127.0.0.1' }, request, client, head) {
      const service = connect(port, host)
      const connection = {
        ...parametersOf(request),
        frozen: false,
        client,
        service,
        pumps: [],
        timer: undefined,
      }
      const end = () => {
        clearTimeout(connection.timer)
        connections.delete(connection)
        client.destroy()
        service.destroy()
      }
      for (const socket of [client, service]) {
        socket.setNoDelay(true)
        socket.on('error', end)
        socket.on('close', () => {
          // Data in flight still reaches the other end. Data that is delayed for longer is lost.
          if (!connection.frozen || client.destroyed) setTimeout(end, (line.delay + connection.delay) * 2)
        })
      }
      connections.add(connection)
      connection.pumps = [
        createPipe(client, service, line, connection, [headOf(request), head]),
        createPipe(service, client, line, connection),
      ]
    },

    /** Resets every connection without a close frame. With `id`, only those of the stream with this id. Returns how many there were. */
    cut(id) {
      const targets = [...connections].filter(one => id === undefined || one.id === id)
      for (const { client, service } of targets) {
        client.resetAndDestroy()
        service.resetAndDestroy()
      }
      return targets.length
    },

    /** Refuses new connections of the stream with this id for some seconds from now on. Returns whether they were refused before. */
    refuse(id, seconds) {
      clearTimeout(refused.get(id))
      const wasRefused = refused.delete(id)
      if (seconds > 0) {
        refused.set(
          id,
          setTimeout(() => refused.delete(id), seconds * 1000),
        )
      }
      return wasRefused
    },

    isRefused: request => refused.has(parametersOf(request).id),

    /**
     * Makes the open connections half-open: they stay open, but transfer no more bytes. New connections work. With `id`, only connections of the stream
     * with this id. Returns their number.
     */
    freeze(id) {
      const targets = [...connections].filter(one => !one.frozen && (id === undefined || one.id === id))
      for (const connection of targets) {
        connection.frozen = true
        for (const pump of connection.pumps) pump()
        connection.timer = setTimeout(() => {
          connection.client.destroy()
          connection.service.destroy()
        }, frozenFor)
      }
      return targets.length
    },

    /** Delays all bytes in each direction by `delay` milliseconds, for some seconds. */
    slow(delay, seconds) {
      clearTimeout(slowTimer)
      line.delay = delay
      slowTimer = setTimeout(() => {
        line.delay = 0
      }, seconds * 1000)
    },

    stop() {
      clearTimeout(slowTimer)
      for (const timer of refused.values()) clearTimeout(timer)
      for (const { client, service, timer } of connections) {
        clearTimeout(timer)
        client.destroy()
        service.destroy()
      }
    },
  }
}
