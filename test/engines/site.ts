// The web server of the tests. It serves blank pages and the built package.
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'

const dist = new URL('../../dist/', import.meta.url)

/** The bundle for script tags. */
export const umd = '/dist/steadysocket.umd.js'

export interface PageOptions {
  /** Scripts to load with `<script src>`. Default: the UMD bundle, which defines `SteadySocket`. */
  scripts?: readonly string[]
  /** The Content-Security-Policy header. Default: none. */
  csp?: string
}

export interface SiteOptions {
  /** Serves over `https:` with this certificate. */
  tls?: { readonly key: string; readonly cert: string }
}

export interface Site {
  readonly origin: string
  /** Returns the URL of a new page, a different one for each call. */
  page(options?: PageOptions): string
  /** Serves a script at this path, for workers and modules. Returns its URL. */
  script(path: string, source: string): string
  close(): Promise<void>
}

function blank(scripts: readonly string[]) {
  const tags = scripts.map(src => `<script src="${src}"></script>`).join('\n')
  return `<!doctype html>\n<meta charset="utf-8">\n<link rel="icon" href="data:,">\n<title>test</title>\n${tags}\n`
}

/** Starts the site on 127.0.0.1. The package must have been built. */
export async function startSite({ tls }: SiteOptions = {}): Promise<Site> {
  const scripts = new Map<string, string>()
  let pages = 0

  async function answer(request: http.IncomingMessage, response: http.ServerResponse) {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://127.0.0.1')
    const send = (type: string, body: string | Buffer) =>
      response.setHeader('content-type', `${type}; charset=utf-8`).end(body)
    // `no-store` would prevent the back/forward cache.
    response.setHeader('cache-control', 'no-cache')
    if (pathname.startsWith('/page/')) {
      const csp = searchParams.get('csp')
      if (csp) response.setHeader('content-security-policy', csp)
      return send('text/html', blank(searchParams.getAll('script')))
    }
    const source = scripts.get(pathname)
    if (source !== undefined) {
      // Allows a service worker to control the whole site, whatever the path of its script.
      return send('text/javascript', response.setHeader('service-worker-allowed', '/') && source)
    }
    if (pathname.startsWith('/dist/')) {
      // The URL parser has resolved every `..`, so the path cannot leave the folder.
      return send('text/javascript', await readFile(new URL(pathname.slice('/dist/'.length), dist)))
    }
    response.writeHead(404).end()
  }

  const handle: http.RequestListener = (request, response) => {
    answer(request, response).catch(error =>
      response.writeHead(404).end(`${error}\nHas the package been built?`),
    )
  }
  const server = tls ? https.createServer({ ...tls }, handle) : http.createServer(handle)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const origin = tls ? `https://localhost:${port}` : `http://127.0.0.1:${port}`

  return {
    origin,
    page({ scripts = [umd], csp } = {}) {
      const query = new URLSearchParams(scripts.map(src => ['script', src]))
      if (csp) query.set('csp', csp)
      return `${origin}/page/${++pages}?${query}`
    },
    script(path, source) {
      scripts.set(path, source)
      return origin + path
    },
    async close() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}
