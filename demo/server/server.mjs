// The demo: static pages, a push service behind a proxy that can break connections, and the buttons for that.
import { realpathSync } from 'node:fs'
import { createServer, STATUS_CODES } from 'node:http'
import { fileURLToPath } from 'node:url'
import { createControls } from './controls.mjs'
import { isBuilt, say, serveFile } from './files.mjs'
import { createLine } from './line.mjs'
import { paths } from './node.mjs'
import { startOrders } from './orders.mjs'
import { chooseService, startOwn } from './services.mjs'

/** Whether the origin of a request is another site, which must not use the controls or read the feed. */
const isForeign = ({ headers: { origin, host } }) => {
  if (!origin) return false
  try {
    return new URL(origin).host !== host
  } catch {
    return true // `Origin: null`: a sandboxed frame, a file
  }
}

const parse = url => {
  try {
    const { pathname, searchParams } = new URL(url, 'http://localhost')
    return { path: decodeURIComponent(pathname), query: searchParams }
  } catch {
    return { path: undefined }
  }
}

const createDemo = (service, orders) => {
  const line = createLine()
  const controls = createControls(line, service)

  const server = createServer((request, response) => {
    request.resume()
    const { path, query } = parse(request.url)
    if (path === undefined) return say(response, 400, 'The URL is malformed.')
    const control = path.startsWith('/control/') && controls.find(path.slice('/control/'.length))
    const allowed = control ? ['POST'] : ['GET', 'HEAD']
    if (!allowed.includes(request.method)) {
      return say(response, 405, `Use ${allowed.join(' or ')}.`, { allow: allowed.join(', ') })
    }
    if (!control) return serveFile(request, response, path)
    if (isForeign(request)) return say(response, 403, 'This request must come from a page of this server.')
    controls.press(response, control, query)
  })

  server.on('upgrade', (request, socket, head) => {
    const refuse = (status, more = '') => {
      const line = `HTTP/1.1 ${status} ${STATUS_CODES[status]}`
      socket.end(`${line}\r\nConnection: close\r\nContent-Length: 0\r\n${more}\r\n`)
    }

    socket.on('error', () => {}) // the client may disconnect before it has the answer
    const { path } = parse(request.url)
    const isOrder = path === '/rpc'
    if (!isOrder && !paths.includes(path)) return refuse(404)
    if (isForeign(request)) return refuse(403)
    const { wait } = controls
    const isAway = wait > 0 || line.isRefused(request)
    const target = isAway ? undefined : isOrder ? orders : service.target(path)
    if (!target) return refuse(503, `Retry-After: ${Math.max(1, wait)}\r\n`)
    line.carry(target, request, socket, head)
  })

  return {
    server,
    async stop() {
      await controls.stop()
      line.stop()
      orders.stop()
      await service.end?.()
    },
  }
}

const listen = (server, port, host) =>
  new Promise((done, fail) => {
    server.once('error', fail)
    server.listen(port, host, () => {
      server.off('error', fail)
      done()
    })
  })

/** Listens on the requested port, or else on the first free one from 8080 on. */
const listenSomewhere = async (server, requestedPort, host) => {
  for (let port = requestedPort ?? 8080; ; port++) {
    try {
      await listen(server, port, host)
      return
    } catch (error) {
      if (error.code === 'EACCES')
        throw new Error(`You are not allowed to use port ${port}. Choose another port: PORT=9000 npm start`)
      if (error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND')
        throw new Error(
          `${host} is not an address of this machine. Choose another one: HOST=127.0.0.1 npm start`,
        )
      if (error.code !== 'EADDRINUSE') throw error
      if (requestedPort === undefined && port < 8099) continue
      const taken = requestedPort === undefined ? 'The ports from 8080 to 8099 are all' : `Port ${port} is`
      throw new Error(`${taken} in use. Choose another port: PORT=9000 npm start`)
    }
  }
}

/**
 * Starts the demo and resolves once it listens.
 *
 * `port`: the port to use, 0 for any free one. Default: the first free one from 8080 on.
 *
 * `start`: starts the service, see services.mjs. Default: one node in memory.
 *
 * @param {{ port?: number | undefined, host?: string | undefined, start?: () => Promise<object> }} [options]
 */
export const startDemo = async ({ port, host = '127.0.0.1', start = startOwn } = {}) => {
  if (port !== undefined && !(Number.isInteger(port) && port >= 0 && port <= 65_535)) {
    throw new Error('PORT must be a whole number from 0 to 65535, for example: PORT=9000 npm start')
  }
  if (!isBuilt()) {
    throw new Error('The package has not been built: run npm run build first.')
  }

  const { server, stop } = createDemo(await start(), await startOrders())
  try {
    await listenSomewhere(server, port, host)
  } catch (error) {
    await stop()
    throw error
  }

  const { port: taken, address, family } = server.address()
  const isEverywhere = address === '0.0.0.0' || address === '::'
  const name = isEverywhere ? 'localhost' : family === 'IPv6' ? `[${address}]` : address
  return {
    port: taken,
    url: `http://${name}:${taken}/`,
    async close() {
      const closed = new Promise(done => server.close(done))
      await stop()
      server.closeAllConnections()
      await closed
    },
  }
}

/** Closes the demo on Ctrl+C. Pressed again, or before the demo has started, Ctrl+C ends the process at once. */
const closeOnSignal = () => {
  let demo
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, async () => {
      const running = demo
      demo = undefined
      await running?.close()
      process.exit()
    })
  }
  return started => {
    demo = started
  }
}

const intro = (url, nodes) => `The demo is at ${url}

Apps to copy:
  ${url}recipes/script-tag.html
  ${url}spa/   (React, Vue, Svelte, Solid)

${nodes}
Press Ctrl+C to stop.`

/** Starts the demo on the PORT and HOST of the environment, and prints its address. `nodes`: a sentence about the nodes behind it. */
export const runDemo = async (start, nodes) => {
  const { PORT, HOST } = process.env
  const setDemo = closeOnSignal()
  try {
    const demo = await startDemo({ port: PORT ? Number(PORT) : undefined, host: HOST || undefined, start })
    setDemo(demo)
    console.log(intro(demo.url, nodes))
  } catch (error) {
    console.error(error.message)
    process.exit(1)
  }
}

const isMain = process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)

if (isMain) {
  await runDemo(
    () => chooseService(process.env),
    'To see a node fail, start three of them: npm run start:cluster (needs Redis)',
  )
}
