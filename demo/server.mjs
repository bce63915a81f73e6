// The demo: static pages, the push service at /feed, and buttons that break the line. Everything is in memory.
import { existsSync, realpathSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer, STATUS_CODES } from 'node:http'
import { extname, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createPush } from './push.mjs'

const pages = fileURLToPath(new URL('.', import.meta.url))
const bundles = fileURLToPath(new URL('../dist/', import.meta.url))

// What is not in this list is not served, so the server's own files stay private.
const contentTypes = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.map': 'application/json; charset=utf-8',
}

const headers = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'self'; img-src 'self' blob: data:; connect-src 'self'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

const say = (response, status, text, more) => {
  response.writeHead(status, { ...headers, 'content-type': 'text/plain; charset=utf-8', ...more })
  response.end(`${text}\n`)
}

/** The file that a path stands for, or nothing if that is not a file of ours. */
const findFile = path => {
  const isBundle = path.startsWith('/dist/')
  const root = resolve(isBundle ? bundles : pages)
  const file = resolve(root, `.${isBundle ? path.slice(5) : path}`)
  return file.startsWith(root + sep) && contentTypes[extname(file)] ? file : undefined
}

const serveFile = async (response, path) => {
  const file = findFile(path === '/' ? '/index.html' : path)
  const body = file && (await readFile(file).catch(() => undefined))
  if (!body) return say(response, 404, 'Not found.')
  const description = { 'content-type': contentTypes[extname(file)], 'content-length': body.length }
  response.writeHead(200, { ...headers, ...description })
  response.end(body)
}

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

const createDemo = () => {
  const push = createPush()
  let refusedUntil = 0

  const controls = {
    '/control/cut': response => say(response, 200, `Cut: ${push.cut()}.`),
    '/control/refuse': (response, query) => {
      const seconds = query.get('seconds') ?? '5'
      if (!/^\d{1,2}$/.test(seconds) || seconds < 1 || seconds > 60) {
        return say(response, 400, 'seconds must be a whole number from 1 to 60.')
      }
      refusedUntil = Date.now() + seconds * 1000
      say(response, 200, `Cut: ${push.cut()}. Connections are refused for ${seconds} s.`)
    },
  }

  const server = createServer((request, response) => {
    request.resume()
    const { path, query } = parse(request.url)
    if (path === undefined) return say(response, 400, 'This is not an address.')
    const control = Object.hasOwn(controls, path) ? controls[path] : undefined
    const allowed = control ? ['POST'] : ['GET', 'HEAD']
    if (!allowed.includes(request.method)) {
      return say(response, 405, `Use ${allowed.join(' or ')}.`, { allow: allowed.join(', ') })
    }
    if (!control) return serveFile(response, path)
    if (isForeign(request)) return say(response, 403, 'Only pages of this server may do that.')
    control(response, query)
  })

  server.on('upgrade', (request, socket, head) => {
    const refuse = (status, more = '') => {
      const line = `HTTP/1.1 ${status} ${STATUS_CODES[status]}`
      socket.end(`${line}\r\nConnection: close\r\nContent-Length: 0\r\n${more}\r\n`)
    }

    socket.on('error', () => {}) // the client may be gone before it has its answer
    if (parse(request.url).path !== '/feed') return refuse(404)
    if (isForeign(request)) return refuse(403)
    const wait = Math.ceil((refusedUntil - Date.now()) / 1000)
    if (wait > 0) return refuse(503, `Retry-After: ${wait}\r\n`)
    push.accept(request, socket, head)
  })

  return { server, push }
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
 * @param {{ port?: number | undefined, host?: string | undefined }} [options]
 */
export const startDemo = async ({ port, host = '127.0.0.1' } = {}) => {
  if (port !== undefined && !(Number.isInteger(port) && port >= 0 && port <= 65_535)) {
    throw new Error('The port must be a whole number from 0 to 65535.')
  }
  if (!existsSync(resolve(bundles, 'steadysocket.umd.min.js'))) {
    throw new Error('The built package is missing: run npm run build first.')
  }

  const { server, push } = createDemo()
  try {
    await listenSomewhere(server, port, host)
  } catch (error) {
    push.stop()
    throw error
  }

  const { port: taken, address, family } = server.address()
  const isEverywhere = address === '0.0.0.0' || address === '::'
  const name = isEverywhere ? 'localhost' : family === 'IPv6' ? `[${address}]` : address
  return {
    port: taken,
    url: `http://${name}:${taken}/`,
    close: () =>
      new Promise(done => {
        server.close(done)
        push.stop()
        server.closeAllConnections()
      }),
  }
}

const isMain = process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)

if (isMain) {
  const { PORT, HOST } = process.env
  try {
    const { url } = await startDemo({ port: PORT ? Number(PORT) : undefined, host: HOST || undefined })
    console.log(`The demo is at ${url} (and with an import instead of a script tag at ${url}esm.html)`)
  } catch (error) {
    console.error(error.message)
    process.exit(1)
  }
}
