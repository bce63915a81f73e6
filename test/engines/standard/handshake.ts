// What is asked for when a connection is opened, and which answers are no connection.
// https://websockets.spec.whatwg.org/#opening-handshake https://www.rfc-editor.org/rfc/rfc6455#section-4
import type { Case, Cases } from './under.ts'

const refused = ['error 3', 'close 3 1006 unclean']

/** A case for each query, all of which fail in the same way. */
const refusals = (queries: Readonly<Record<string, string>>, more?: Partial<Case>): Cases =>
  Object.fromEntries(
    Object.entries(queries).map(([what, query]) => [
      `${what} is a refusal`,
      {
        wpt: ['opening-handshake/001'],
        given: query,
        run: async (u, given) => {
          const socket = u.make(await u.lonely(`?${given}`))
          const told = u.end(socket)
          socket.onopen = () => socket.close()
          return told
        },
        standard: refused,
        ...more,
      } satisfies Case,
    ]),
  )

export const handshake: Cases = {
  'asks as it must': {
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
  'asks with a new key each time': {
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
  'says who the address says it is': {
    wpt: ['basic-auth'],
    run: async u => {
      const url = (await u.lonely('?auth=foo:bar&text=authenticated')).replace('//', '//foo:bar@')
      const socket = u.make(url)
      const told = u.end(socket)
      socket.onmessage = () => socket.close(1000)
      return told
    },
    standard: ['open 1', 'message 1 authenticated', 'close 3 1000 clean'],
  },
  'says nothing where the address says nothing': {
    run: async u => u.end(u.make(await u.lonely('?auth=foo:bar'))),
    standard: refused,
  },
  'cookies go along, from both sides': {
    wpt: ['cookies/001', 'cookies/002', 'cookies/003', 'cookies/004', 'cookies/005', 'cookies/007'],
    page: true,
    run: async u => {
      const has = (text: string | undefined, name: string) =>
        (text ?? '').split('; ').includes(`${name}=test`)
      const id = u.id().slice(2)
      const kinds = ['plain', 'http', 'page'].map(kind => `ws_${id}_${kind}`)
      const [plain, http, page] = kinds as [string, string, string]
      // The store that would replace it is not in every engine.
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
    'status 200': 'status=200',
    'status 204': 'status=204',
    'status 400': 'status=400',
    'status 401': 'status=401&header=WWW-Authenticate: Basic realm="test"',
    'status 403': 'status=403',
    'status 404': 'status=404',
    'status 407': 'status=407',
    'status 426': 'status=426',
    'status 429': 'status=429',
    'status 500': 'status=500',
    'status 503': 'status=503&header=Retry-After: 1',
    'a wrong Accept': 'accept=wrong',
    'an empty Accept': 'accept=',
    'no Accept': 'without=accept',
    'no Upgrade': 'without=upgrade',
    'no Connection': 'without=connection',
    'another Upgrade': 'without=upgrade&header=Upgrade: websockets',
    'another Connection': 'without=connection&header=Connection: keep-alive',
    'an extension that was not offered': 'header=Sec-WebSocket-Extensions: x-unknown',
    'what is no HTTP': 'line=SSH-2.0-OpenSSH',
    'what is no text': 'line=%00%FF garbage',
  }),
  ...refusals({
    'a redirect by 301': 'status=301&header=Location: /',
    'a redirect by 302': 'status=302&header=Location: /',
    'a redirect by 307': 'status=307&header=Location: /',
  }),
  'an answer in HTTP/1.0': {
    run: async u => {
      const socket = u.make(await u.lonely('?line=HTTP/1.0 101 Switching Protocols'))
      const told = u.end(socket)
      socket.onopen = () => socket.close(1000)
      return told
    },
  },
  'reads the answer as HTTP is read': {
    run: async u => {
      const stories: string[] = []
      const queries = [
        'without=upgrade&header=Upgrade: WebSocket',
        'without=connection&header=Connection: keep-alive, upgrade',
        'without=upgrade&header=uPGRADE:websocket',
        'line=HTTP/1.1 101 Whatever you say',
        'header=X-Unknown: 1',
      ]
      for (const query of queries) {
        const socket = u.make(await u.lonely(`?${query}`))
        const told = u.end(socket)
        socket.onopen = () => socket.close(1000)
        stories.push((await told).join(', '))
      }
      return [...new Set(stories)]
    },
    standard: ['open 1, close 3 1000 clean'],
  },
  'nobody listens there': {
    wpt: ['interfaces/WebSocket/events/020', 'interfaces/WebSocket/readyState/007'],
    run: u => u.end(u.make(u.closed)),
    standard: refused,
  },
  'an answer that comes late is as good': {
    run: async u => {
      const id = u.id()
      const socket = u.make(u.url(`?opening=told&code=4000&id=${id}`))
      const told = u.end(socket)
      await u.task()
      const { readyState } = socket
      await u.go(id)
      return [readyState, await told]
    },
    standard: [0, ['open 1', 'close 3 4000 clean']],
  },
  'messages that come with the answer are heard after `open`': {
    run: async u => u.end(u.make(u.url('?text=1&text=2&code=4000&glued'))),
    standard: ['open 1', 'message 1 1', 'message 1 2', 'close 3 4000 clean'],
  },
}
