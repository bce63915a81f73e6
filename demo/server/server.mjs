// The demo: static pages, a push service behind a line that can be broken, and the buttons that break it.
import { realpathSync } from 'node:fs'
import { createServer, STATUS_CODES } from 'node:http'
import { fileURLToPath } from 'node:url'
import { createControls } from './controls.mjs'
import { isBuilt, say, serveFile } from './files.mjs'
import { createLine } from './line.mjs'
import { paths } from './node.mjs'
import { chooseService, startOwn } from './services.mjs'

/** A browser names the page that asks. Other sites must not press our buttons or read our feed. */
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

const createDemo = service => {
  const line = createLine()
  const controls = createControls(line, service)

  const server = createServer((request, response) => {
    request.resume()
    const { path, query } = parse(request.url)
    if (path === undefined) return say(response, 400, 'This is not an address.')
    const control = path.startsWith('/control/') && controls.find(path.slice('/control/'.length))
    const allowed = control ? ['POST'] : ['GET', 'HEAD']
    if (!allowed.includes(request.method)) {
      return say(response, 405, `Use ${allowed.join(' or ')}.`, { allow: allowed.join(', ') })
    }
    if (!control) return serveFile(request, response, path)
    if (isForeign(request)) return say(response, 403, 'Only pages of this server may do that.')
    controls.press(response, control, query)
  })

  server.on('upgrade', (request, socket, head) => {
    const refuse = (status, more = '') => {
      const line = `HTTP/1.1 ${status} ${STATUS_CODES[status]}`
      socket.end(`${line}\r\nConnection: close\r\nContent-Length: 0\r\n${more}\r\n`)
    }

    socket.on('error', () => {}) // the client may be gone before it has its answer
    if (!paths.includes(parse(request.url).path)) return refuse(404)
    if (isForeign(request)) return refuse(403)
    const { wait } = controls
    const target = wait > 0 ? undefined : service.target(parse(request.url).path)
    if (!target) return refuse(503, `Retry-After: ${Math.max(1, wait)}\r\n`)
    line.carry(target, request, socket, head)
  })

  return {
    server,
    async stop() {
      await controls.stop()
      line.stop()
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

/** Without a wish any free port from 8080 on will do; a port that was asked for is taken at its word. */
const listenSomewhere = async (server, wish, host) => {
  for (let port = wish ?? 8080; ; port++) {
    try {
      return await listen(server, port, host)
    } catch (error) {
      if (error.code !== 'EADDRINUSE') throw error
      if (wish === undefined && port < 8099) continue
      const taken = wish === undefined ? 'The ports from 8080 to 8099 are all' : `Port ${port} is`
      throw new Error(`${taken} taken. Choose another one, as in PORT=9000 npm start.`)
    }
  }
}

/**
 * Starts the demo and resolves once it listens.
 *
 * `port`: the port to use and no other, 0 for any free one; left out, the first free one from 8080 on.
 *
 * `start`: starts the service behind the line, see services.mjs; left out, one node in memory.
 *
 * @param {{ port?: number | undefined, host?: string | undefined, start?: () => Promise<object> }} [options]
 */
export const startDemo = async ({ port, host = '127.0.0.1', start = startOwn } = {}) => {
  if (port !== undefined && !(Number.isInteger(port) && port >= 0 && port <= 65_535)) {
    throw new Error('The port must be a whole number from 0 to 65535.')
  }
  if (!isBuilt()) {
    throw new Error('The built package is missing: run npm run build first.')
  }

  const { server, stop } = createDemo(await start())
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

/** As `npm start` does: listens where the environment says, and says where that is. */
export const runDemo = async start => {
  const { PORT, HOST } = process.env
  try {
    const { url } = await startDemo({ port: PORT ? Number(PORT) : undefined, host: HOST || undefined, start })
    console.log(
      `The demo is at ${url} (and in forty lines, with a script tag, at ${url}recipes/script-tag.html)`,
    )
  } catch (error) {
    console.error(error.message)
    process.exit(1)
  }
}

const isMain = process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)

if (isMain) {
  await runDemo(() => chooseService(process.env))
}
