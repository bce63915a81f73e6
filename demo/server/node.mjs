// One node of the push service: an HTTP server on its own port that only serves WebSockets.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createLive } from './live.mjs'
import { createPush } from './push.mjs'
import { createStreams } from './streams.mjs'

export const paths = ['/feed', '/live', '/plain', '/reliable']

/** `world`: the data that outlives this node, see world.mjs. Other nodes know this one by its name. */
export const startNode = async (world, { name = String(process.pid), canBeKilled } = {}) => {
  const push = createPush(world, { name, canBeKilled })
  const streams = createStreams(world)
  const services = [push, createLive(world, () => push.presence.leads), streams]
  const servers = Object.assign({}, ...services.map(({ servers }) => servers))

  const http = createServer((_, response) => response.writeHead(426).end())
  http.on('upgrade', (request, socket, head) => {
    socket.on('error', () => {})
    const path = paths.find(path => request.url.split('?')[0] === path)
    if (!path) return socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n')
    const server = servers[path]
    server.handleUpgrade(request, socket, head, client => server.emit('connection', client, request))
  })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')

  const clients = () => paths.flatMap(path => [...servers[path].clients])

  return {
    port: http.address().port,
    /** Closes all connections with a close frame. Returns how many there were. */
    close(code, reason) {
      const all = clients()
      for (const client of all) client.close(code, reason)
      return all.length
    },
    deploy: streams.deploy,
    /** The process of another node has ended. */
    forget: push.presence.end,
    /** Stops the node. With `retryAfter`, close frames contain the time after which clients of the package reconnect. */
    async stop(retryAfter) {
      if (retryAfter !== undefined) {
        for (const path of ['/feed', '/live', '/plain']) {
          for (const client of servers[path].clients) client.close(1012, `retry-after=${retryAfter}`)
        }
      }
      const stopped = services.map(service => service.stop(retryAfter ?? 1))
      http.close()
      if (retryAfter === undefined) for (const client of clients()) client.terminate()
      await Promise.all(stopped)
      for (const client of clients()) client.terminate()
      http.closeAllConnections()
    },
  }
}
