// Serves the files of the page, compressed and with a strict Content-Security-Policy.
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { extname, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { brotliCompress, constants } from 'node:zlib'
import { apps, base, forgetFailure } from './spa.mjs'

const folder = path => fileURLToPath(new URL(path, import.meta.url))
const pages = folder('../')
const roots = {
  '/dist/': folder('../../dist/'),
  '/uplot/': folder('../../node_modules/uplot/dist/'),
}

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

export const say = (response, status, text, more) => {
  response.writeHead(status, { ...headers, 'content-type': 'text/plain; charset=utf-8', ...more })
  response.end(`${text}\n`)
}

/** The file for a path, or `undefined` if the file must not be served. */
const findFile = path => {
  const prefix = Object.keys(roots).find(prefix => path.startsWith(prefix))
  const root = resolve(prefix ? roots[prefix] : pages)
  const file = resolve(root, `./${prefix ? path.slice(prefix.length) : path}`)
  return file.startsWith(root + sep) && contentTypes[extname(file)] ? file : undefined
}

/** A page may contain an inline script, for readers to copy. The policy allows it by its hash. */
const policyFor = html => {
  const hashes = [...html.toString().matchAll(/<script>(.*?)<\/script>/gs)].map(
    ([, script]) => `'sha256-${createHash('sha256').update(script).digest('base64')}'`,
  )
  return `default-src 'self'; script-src 'self' ${hashes.join(' ')}; ${policy}`
}

const compress = promisify(brotliCompress)
const compressed = new Map()

/** Compresses a file once, until it changes. */
const compressOnce = async (file, body) => {
  const known = compressed.get(file)
  if (known?.body.equals(body)) return known.small
  const small = await compress(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } })
  compressed.set(file, { body, small })
  return small
}

const readOurs = async path => {
  const file = findFile(path)
  return { file, body: file && (await readFile(file).catch(() => undefined)) }
}

/** A file of the apps. A page does not wait for their build: until it is done, a page that says so is served instead. */
const readApp = async (path, method) => {
  const { files, failure, building } = apps()
  const isPage = path.endsWith('.html')
  if (failure) {
    // The waiting page polls with HEAD, and reloads when the apps are built.
    if (method === 'GET' && isPage) forgetFailure()
    throw new Error(failure)
  }
  if (!files && isPage) {
    const page = await readOurs('/page/building.html')
    return { ...page, status: 503, more: { 'retry-after': '1' } }
  }
  return { file: path, body: (files ?? (await building)).get(path) }
}

export const serveFile = async (request, response, path) => {
  if (/^\/spa(\/\w+)?$/.test(path)) return say(response, 308, `See ${path}/.`, { location: `${path}/` })
  // A path that ends with a slash stands for the page of that folder.
  const page = path.endsWith('/') ? `${path}index.html` : path
  let found
  try {
    found = await (page.startsWith(base) ? readApp(page, request.method) : readOurs(page))
  } catch (error) {
    return say(response, 500, error.message)
  }
  const { file, body, status = 200, more } = found
  if (!body) return say(response, 404, 'Not found.')
  const type = extname(file)
  const all = { ...headers, 'content-type': contentTypes[type], vary: 'accept-encoding', ...more }
  if (type === '.html') all['content-security-policy'] = policyFor(body)
  const small = /\bbr\b/.test(request.headers['accept-encoding']) && (await compressOnce(file, body))
  if (small) all['content-encoding'] = 'br'
  const sent = small || body
  response.writeHead(status, { ...all, 'content-length': sent.length })
  response.end(sent)
}

/** Whether the package that the pages use has been built. */
export const isBuilt = () => existsSync(resolve(roots['/dist/'], 'steadysocket.umd.min.js'))
