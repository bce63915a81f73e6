// The demo: static pages, the push service behind a line that can be broken, and the buttons that break it.
import { createHash } from 'node:crypto'
import { existsSync, realpathSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer, STATUS_CODES } from 'node:http'
import { extname, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { brotliCompress, constants } from 'node:zlib'
import { createLine } from './line.mjs'
import { startNode } from './node.mjs'
import { createMemory } from './streams.mjs'

const folder = path => fileURLToPath(new URL(path, import.meta.url))
const pages = folder('.')
const roots = { '/dist/': folder('../dist/'), '/uplot/': folder('../node_modules/uplot/dist/') }

// What is not in this list is not served, so the server's own files stay private.
const contentTypes = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.map': 'application/json; charset=utf-8',
}

const policy = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; img-src 'self' blob: data:"

const headers = {
  'cache-control': 'no-store',
  'content-security-policy': `default-src 'self'; ${policy}`,
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

const say = (response, status, text, more) => {
  response.writeHead(status, { ...headers, 'content-type': 'text/plain; charset=utf-8', ...more })
  response.end(`${text}\n`)
}

/** The file that a path stands for, or nothing if that is not a file of ours. */
const findFile = path => {
  const prefix = Object.keys(roots).find(prefix => path.startsWith(prefix))
  const root = resolve(prefix ? roots[prefix] : pages)
  const file = resolve(root, `./${prefix ? path.slice(prefix.length) : path}`)
  return file.startsWith(root + sep) && contentTypes[extname(file)] ? file : undefined
}

/** A page may carry a script of its own, for readers to copy: the policy names it by its hash. */
const policyFor = html => {
  const hashes = [...html.toString().matchAll(/<script>(.*?)<\/script>/gs)].map(
    ([, script]) => `'sha256-${createHash('sha256').update(script).digest('base64')}'`,
  )
  return `default-src 'self'; script-src 'self' ${hashes.join(' ')}; ${policy}`
}

const compress = promisify(brotliCompress)
const compressed = new Map()

/** Squeezed once for as long as the file stays the same. */
const squeeze = async (file, body) => {
  const known = compressed.get(file)
  if (known?.body.equals(body)) return known.small
  const small = await compress(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } })
  compressed.set(file, { body, small })
  return small
}

const serveFile = async (request, response, path) => {
  const file = findFile(path === '/' ? '/index.html' : path)
  const body = file && (await readFile(file).catch(() => undefined))
  if (!body) return say(response, 404, 'Not found.')
  const type = extname(file)
  const more = { 'content-type': contentTypes[type], vary: 'accept-encoding' }
  if (type === '.html') more['content-security-policy'] = policyFor(body)
  const small = /\bbr\b/.test(request.headers['accept-encoding']) && (await squeeze(file, body))
  if (small) more['content-encoding'] = 'br'
  const sent = small || body
  response.writeHead(200, { ...headers, ...more, 'content-length': sent.length })
  response.end(sent)
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

/** What a server may send in a close frame: https://datatracker.ietf.org/doc/html/rfc6455#section-7.4 */
const isCloseCode = code =>
  (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || code >= 3000

const createDemo = async () => {
  const memory = createMemory()
  const line = createLine()
  let node = await startNode(memory)
  let refusedUntil = 0
  let restarting

  const refuseFor = seconds => {
    refusedUntil = Date.now() + seconds * 1000
  }

  const restart = async seconds => {
    const old = node
    node = undefined
    refuseFor(seconds)
    await old.stop(1)
    await new Promise(done => {
      restarting = { done, timer: setTimeout(done, Math.max(0, refusedUntil - Date.now())) }
    })
    restarting = undefined
    node = await startNode(memory)
  }
  let restarted = Promise.resolve()

  /** What each button does, and the range of the numbers that it takes with what they are if left out. */
  const controls = {
    cut: {
      act: () => `${line.cut()} connections were reset.`,
    },
    refuse: {
      seconds: [1, 60, 5],
      act({ seconds }) {
        refuseFor(seconds)
        return `${line.cut()} connections were reset, new ones are refused for ${seconds} s.`
      },
    },
    restart: {
      seconds: [1, 60, 3],
      act({ seconds }) {
        if (!node) return 'The server is restarting already.'
        restarted = restart(seconds)
        return `The server goes away for ${seconds} s.`
      },
    },
    freeze: {
      act: () => `${line.freeze()} connections are frozen: no byte moves, and nobody is told.`,
    },
    slow: {
      ms: [0, 2000, 400],
      seconds: [1, 60, 8],
      act({ ms, seconds }) {
        line.slow(ms, seconds)
        return `For ${seconds} s every byte takes ${ms} ms, each way.`
      },
    },
    close: {
      code: [1000, 4999, 4000],
      act({ code }) {
        if (!isCloseCode(code)) return undefined
        return `${node?.close(code, 'a button was pressed') ?? 0} connections were closed with ${code}.`
      },
    },
    busy: {
      seconds: [1, 60, 4],
      act({ seconds }) {
        const count = node?.close(1013, `retry-after=${seconds}`) ?? 0
        refuseFor(seconds)
        return `${count} connections were closed with 1013, “retry-after=${seconds}”.`
      },
    },
  }

  const press = (response, { act, ...numbers }, query) => {
    const values = {}
    for (const [name, [low, high, usual]] of Object.entries(numbers)) {
      const value = query.get(name) ?? String(usual)
      if (!/^\d{1,4}$/.test(value) || value < low || value > high) {
        return say(response, 400, `${name} must be a whole number from ${low} to ${high}.`)
      }
      values[name] = Number(value)
    }
    const answer = act(values)
    if (!answer) return say(response, 400, 'No server may close a connection with this code.')
    say(response, 200, answer)
  }

  const server = createServer((request, response) => {
    request.resume()
    const { path, query } = parse(request.url)
    if (path === undefined) return say(response, 400, 'This is not an address.')
    const name = path.startsWith('/control/') && path.slice('/control/'.length)
    const control = name && Object.hasOwn(controls, name) ? controls[name] : undefined
    const allowed = control ? ['POST'] : ['GET', 'HEAD']
    if (!allowed.includes(request.method)) {
      return say(response, 405, `Use ${allowed.join(' or ')}.`, { allow: allowed.join(', ') })
    }
    if (!control) return serveFile(request, response, path)
    if (isForeign(request)) return say(response, 403, 'Only pages of this server may do that.')
    press(response, control, query)
  })

  const paths = node.paths
  server.on('upgrade', (request, socket, head) => {
    const refuse = (status, more = '') => {
      const line = `HTTP/1.1 ${status} ${STATUS_CODES[status]}`
      socket.end(`${line}\r\nConnection: close\r\nContent-Length: 0\r\n${more}\r\n`)
    }

    socket.on('error', () => {}) // the client may be gone before it has its answer
    if (!paths.includes(parse(request.url).path)) return refuse(404)
    if (isForeign(request)) return refuse(403)
    const wait = Math.ceil((refusedUntil - Date.now()) / 1000)
    if (wait > 0 || !node) return refuse(503, `Retry-After: ${Math.max(1, wait)}\r\n`)
    line.carry(node.port, request, socket, head)
  })

  return {
    server,
    async stop() {
      clearTimeout(restarting?.timer)
      restarting?.done()
      await restarted
      line.stop()
      await node.stop()
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
 * @param {{ port?: number | undefined, host?: string | undefined }} [options]
 */
export const startDemo = async ({ port, host = '127.0.0.1' } = {}) => {
  if (port !== undefined && !(Number.isInteger(port) && port >= 0 && port <= 65_535)) {
    throw new Error('The port must be a whole number from 0 to 65535.')
  }
  if (!existsSync(resolve(roots['/dist/'], 'steadysocket.umd.min.js'))) {
    throw new Error('The built package is missing: run npm run build first.')
  }

  const { server, stop } = await createDemo()
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

const isMain = process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)

if (isMain) {
  const { PORT, HOST } = process.env
  try {
    const { url } = await startDemo({ port: PORT ? Number(PORT) : undefined, host: HOST || undefined })
    console.log(`The demo is at ${url} (and in forty lines, with a script tag, at ${url}script-tag.html)`)
  } catch (error) {
    console.error(error.message)
    process.exit(1)
  }
}
