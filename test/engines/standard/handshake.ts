// The handshake request, and the responses that fail the connection.
// https://websockets.spec.whatwg.org/#opening-handshake https://www.rfc-editor.org/rfc/rfc6455#section-4
import type { Case, Cases } from './context.ts'

const refused = ['error 3', 'close 3 1006 unclean']

/** Returns a case for each query. All of them fail in the same way. */
const refusals = (queries: Readonly<Record<string, string>>, more?: Partial<Case>): Cases =>
  Object.fromEntries(
    Object.entries(queries).map(([what, query]) => [
      `${what} fails the connection`,
      {
        wpt: ['opening-handshake/001'],
        given: query,
        run: async (u, given) => {
          const socket = u.make(await u.urlOfNewPort(`?${given}`))
          const events = u.eventsUntilClose(socket)
          socket.onopen = () => socket.close()
          return events
        },
        standard: refused,
        ...more,
      } satisfies Case,
    ]),
  )

export const handshake: Cases = {
  'the handshake request has the required headers': {
    wpt: [
      'opening-handshake/003',
      'opening-handshake/005',
      'opening-handshake/003-sets-origin.worker',
      'referrer',
    ],
    run: async u => {
      const { data } = await u.next(u.make(u.url('?tell&a=b')), 'message')
      const { method, url, httpVersion, headers } = JSON.parse(data)
      return {
        line: `${method} ${url} ${httpVersion}`,
        host: headers.host === new URL(u.url()).host,
        origin: headers.origin === location.origin,
        upgrade: headers.upgrade.toLowerCase(),
        connection: headers.connection.toLowerCase().includes('upgrade'),
        key: atob(headers['sec-websocket-key']).length,
        version: headers['sec-websocket-version'],
        without: ['referer', 'sec-websocket-protocol', 'authorization', 'cookie'].filter(
          name => name in headers,
        ),
      }
    },
    standard: {
      line: 'GET /?tell&a=b 1.1',
      host: true,
      origin: true,
      upgrade: 'websocket',
      connection: true,
      key: 16,
      version: '13',
      without: [],
    },
  },
  'each handshake request has a new key': {
    run: async u => {
      const keys = new Set<string>()
      for (let i = 0; i < 3; i++) {
        const { data } = await u.next(u.make(u.url('?tell')), 'message')
        keys.add(JSON.parse(data).headers['sec-websocket-key'])
      }
      return keys.size
    },
    standard: 3,
  },
  'scripts can set no header that begins with Sec-': {
    wpt: ['security/001', 'security/002'],
    run: () => {
      const { headers } = new Request('/', { headers: { 'Sec-WebSocket-Key': 'jW7qmdXj5Kk5jTClF1BN3g==' } })
      return headers.has('sec-websocket-key')
    },
    standard: false,
  },
  'the handshake request has the credentials of the URL': {
    wpt: ['basic-auth'],
    run: async u => {
      const url = (await u.urlOfNewPort('?auth=foo:bar&text=authenticated')).replace('//', '//foo:bar@')
      const socket = u.make(url)
      const events = u.eventsUntilClose(socket)
      socket.onmessage = () => socket.close(1000)
      return events
    },
    standard: ['open 1', 'message 1 authenticated', 'close 3 1000 clean'],
  },
  'the handshake request has no credentials if the URL has none': {
    run: async u => u.eventsUntilClose(u.make(await u.urlOfNewPort('?auth=foo:bar'))),
    standard: refused,
  },
  'the handshake sends and sets cookies': {
    wpt: ['cookies/001', 'cookies/002', 'cookies/003', 'cookies/004', 'cookies/005', 'cookies/007'],
    page: true,
    run: async u => {
      const has = (text: string | undefined, name: string) =>
        (text ?? '').split('; ').includes(`${name}=test`)
      const id = u.id().slice(2)
      const kinds = ['plain', 'http', 'page'].map(kind => `ws_${id}_${kind}`)
      const [plain, http, page] = kinds as [string, string, string]
      // Not all engines have cookieStore.
      const bake = (cookie: string) => Reflect.set(document, 'cookie', cookie)
      bake(`${page}=test; path=/`)
      const set = [`${plain}=test; path=/`, `${http}=test; path=/; HttpOnly`]
      await u.open(`?${set.map(cookie => `header=Set-Cookie: ${encodeURIComponent(cookie)}`).join('&')}`)
      const visible = kinds.filter(name => has(document.cookie, name)).map(name => name.split('_')[2])
      const { data } = await u.next(u.make(u.url('?tell')), 'message')
      const { cookie } = JSON.parse(data).headers
      const sent = kinds.filter(name => has(cookie, name)).map(name => name.split('_')[2])
      for (const name of kinds) bake(`${name}=; path=/; max-age=0`)
      await u.open(`?header=Set-Cookie: ${encodeURIComponent(`${http}=; path=/; max-age=0`)}`)
      return { visible, sent }
    },
    standard: { visible: ['plain', 'page'], sent: ['plain', 'http', 'page'] },
  },
  ...refusals({
    'a response with status 200': 'status=200',
    'a response with status 204': 'status=204',
    'a response with status 400': 'status=400',
    'a response with status 401': 'status=401&header=WWW-Authenticate: Basic realm="test"',
    'a response with status 403': 'status=403',
    'a response with status 404': 'status=404',
    'a response with status 407': 'status=407',
    'a response with status 426': 'status=426',
    'a response with status 429': 'status=429',
    'a response with status 500': 'status=500',
    'a response with status 503': 'status=503&header=Retry-After: 1',
    'a wrong Sec-WebSocket-Accept': 'accept=wrong',
    'an empty Sec-WebSocket-Accept': 'accept=',
    'a missing Sec-WebSocket-Accept': 'without=accept',
    'a missing Upgrade header': 'without=upgrade',
    'a missing Connection header': 'without=connection',
    'a wrong Upgrade header': 'without=upgrade&header=Upgrade: websockets',
    'a wrong Connection header': 'without=connection&header=Connection: keep-alive',
    'an extension that was not offered': 'header=Sec-WebSocket-Extensions: x-unknown',
    'a response that is not HTTP': 'line=SSH-2.0-OpenSSH',
    'a response that is not text': 'line=%00%FF garbage',
  }),
  ...refusals({
    'a redirect by 301': 'status=301&header=Location: /',
    'a redirect by 302': 'status=302&header=Location: /',
    'a redirect by 307': 'status=307&header=Location: /',
  }),
  'a response in HTTP/1.0': {
    run: async u => {
      const socket = u.make(await u.urlOfNewPort('?line=HTTP/1.0 101 Switching Protocols'))
      const events = u.eventsUntilClose(socket)
      socket.onopen = () => socket.close(1000)
      return events
    },
  },
  'the headers of the response are parsed as HTTP defines': {
    run: async u => {
      const results: string[] = []
      const queries = [
        'without=upgrade&header=Upgrade: WebSocket',
        'without=connection&header=Connection: keep-alive, upgrade',
        'without=upgrade&header=uPGRADE:websocket',
        'line=HTTP/1.1 101 Whatever you say',
        'header=X-Unknown: 1',
      ]
      for (const query of queries) {
        const socket = u.make(await u.urlOfNewPort(`?${query}`))
        const events = u.eventsUntilClose(socket)
        socket.onopen = () => socket.close(1000)
        results.push((await events).join(', '))
      }
      return [...new Set(results)]
    },
    standard: ['open 1, close 3 1000 clean'],
  },
  'a connection to a closed port': {
    wpt: ['interfaces/WebSocket/events/020', 'interfaces/WebSocket/readyState/007'],
    run: u => u.eventsUntilClose(u.make(u.closed)),
    standard: refused,
  },
  'a response that is delayed is accepted': {
    run: async u => {
      const id = u.id()
      const socket = u.make(u.url(`?opening=told&code=4000&id=${id}`))
      const events = u.eventsUntilClose(socket)
      await u.task()
      const { readyState } = socket
      await u.proceed(id)
      return [readyState, await events]
    },
    standard: [0, ['open 1', 'close 3 4000 clean']],
  },
  'messages in the same packet as the response are received after the open event': {
    run: async u => u.eventsUntilClose(u.make(u.url('?text=1&text=2&code=4000&glued'))),
    standard: ['open 1', 'message 1 1', 'message 1 2', 'close 3 4000 clean'],
  },
}
