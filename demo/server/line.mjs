// A small TCP proxy between the pages and the push service, which breaks connections as real networks do.
import { connect } from 'node:net'

/** A frozen connection looks alive to both ends. Nobody else would ever end it. */
const frozenFor = 30_000

/** Carries bytes one way, `first` before the others. They leave in the order in which they came, each as late as the line was slow at that moment. */
const createLane = (from, to, line, connection, first = []) => {
  const held = []
  let timer

  const pump = () => {
    clearTimeout(timer)
    while (held.length && !connection.frozen && !to.writableNeedDrain && !to.destroyed) {
      const wait = held[0].due - performance.now()
      if (wait > 0) {
        timer = setTimeout(pump, wait)
        break
      }
      const { bytes } = held.shift()
      if (bytes) to.write(bytes)
      else to.end()
    }
    if (connection.frozen || to.writableNeedDrain) from.pause()
    else from.resume()
  }

  const push = bytes => {
    held.push({ bytes, due: performance.now() + line.delay + connection.delay })
    pump()
  }

  from.on('data', push)
  from.on('end', () => push(undefined))
  to.on('drain', pump)
  first.forEach(push)
  return pump
}

const maxDelay = 1_000

/** What the address of a stream asks of the line: `id` for `freeze(id)`, and `delay`, the milliseconds each way that its bytes take. */
const wishesOf = ({ url }) => {
  const query = new URL(url, 'http://localhost').searchParams
  return { id: query.get('id'), delay: Math.min(Math.max(0, Number(query.get('delay')) || 0), maxDelay) }
}

/** The request as the browser wrote it: the service behind the line sees the same host and origin. */
const headOf = ({ method, url, rawHeaders }) => {
  const lines = [`${method} ${url} HTTP/1.1`]
  for (let at = 0; at < rawHeaders.length; at += 2) lines.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}`)
  return `${lines.join('\r\n')}\r\n\r\n`
}

export const createLine = () => {
  const connections = new Set()
  const line = { delay: 0 }
  /** The ids of streams whose new connections are refused, each with the timer that ends this. */
  const away = new Map()
  let calm

  return {
    /** Connects a request to upgrade with the service at this address. */
    carry({ port, host = '127.0.0.1' }, request, client, head) {
      const service = connect(port, host)
      const connection = { ...wishesOf(request), frozen: false, client, service, pumps: [], timer: undefined }
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
          // What the other end had still to get it gets, unless the line is slow: a network does not wait either.
          if (!connection.frozen || client.destroyed) setTimeout(end, (line.delay + connection.delay) * 2)
        })
      }
      connections.add(connection)
      connection.pumps = [
        createLane(client, service, line, connection, [headOf(request), head]),
        createLane(service, client, line, connection),
      ]
    },

    /** Resets every connection without a close frame. With `id`, only those of the stream with this id. Returns how many there were. */
    cut(id) {
      const those = [...connections].filter(one => id === undefined || one.id === id)
      for (const { client, service } of those) {
        client.resetAndDestroy()
        service.resetAndDestroy()
      }
      return those.length
    },

    /** Refuses new connections of the stream with this id for some seconds from now on. Returns whether they were refused before. */
    refuse(id, seconds) {
      clearTimeout(away.get(id))
      const wasRefused = away.delete(id)
      if (seconds > 0) {
        away.set(
          id,
          setTimeout(() => away.delete(id), seconds * 1000),
        )
      }
      return wasRefused
    },

    isRefused: request => away.has(wishesOf(request).id),

    /**
     * Half-open: the connections that are there stay, and no byte moves on them any more. New ones are well. With `id`, only those of the
     * stream with this id.
     */
    freeze(id) {
      const warm = [...connections].filter(one => !one.frozen && (id === undefined || one.id === id))
      for (const connection of warm) {
        connection.frozen = true
        for (const pump of connection.pumps) pump()
        connection.timer = setTimeout(() => {
          connection.client.destroy()
          connection.service.destroy()
        }, frozenFor)
      }
      return warm.length
    },

    /** Every byte takes so many milliseconds, each way, for some seconds. */
    slow(delay, seconds) {
      clearTimeout(calm)
      line.delay = delay
      calm = setTimeout(() => {
        line.delay = 0
      }, seconds * 1000)
    },

    stop() {
      clearTimeout(calm)
      for (const timer of away.values()) clearTimeout(timer)
      for (const { client, service, timer } of connections) {
        clearTimeout(timer)
        client.destroy()
        service.destroy()
      }
    },
  }
}
