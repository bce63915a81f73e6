// How a client resumes a session, and which data about that the application's functions receive.
import { describe, expect, test } from 'vitest'
import { type FakeServer, FakeSocket } from './fake.ts'
import { recovery, startFake } from './start.ts'

/** Connects with the given HTTP request. */
const connect = async (wss: FakeServer, request: object) => {
  const socket = new FakeSocket()
  wss.emit('connection', socket, { url: '/', headers: {}, ...request })
  await socket.until(() => socket.frames.length > 0 || socket.end)
  return socket
}

const protocols = ({ frames: [{ connectionId, reconnectionToken }] }: FakeSocket, order = 'last') => {
  const names = ['json.reliable.webpubsub.azure.v1', `resume.${connectionId}.${reconnectionToken}`]
  return (order === 'last' ? names : names.reverse()).join(', ')
}

describe('a session is resumed', () => {
  test.each(['last', 'first'])('by a subprotocol that is offered %s', async order => {
    const { wss } = startFake()
    const first = await wss.connect()
    const headers = { 'sec-websocket-protocol': protocols(first, order) }
    const next = await connect(wss, { headers })
    expect(next.frames[0].connectionId).toBe(first.frames[0].connectionId)
  })

  test('by the parameters of the URL, as by clients of Azure', async () => {
    const { wss } = startFake()
    const first = await wss.connect()
    expect((await wss.connect(recovery(first))).frames[0].connectionId).toBe(first.frames[0].connectionId)
  })

  test.each(['resume.', 'resume.x', 'resume.x.y', 'resume..', 'resume.x.y.z'])(
    'not by the subprotocol %s',
    async name => {
      const { wss } = startFake()
      await wss.connect()
      const next = await connect(wss, { headers: { 'sec-websocket-protocol': name } })
      expect(next.end?.code).toBe(1008)
    },
  )

  test('only on servers that name the feature in connected', async () => {
    const { wss } = startFake()
    expect((await wss.connect()).frames[0].features).toEqual(['endSession', 'resumeProtocol', 'messageIds'])
  })
})

describe('the functions of the application', () => {
  const NAMES = ['authorize', 'origins', 'onConnect', 'address'] as const

  const watch = () => {
    const seen: string[] = []
    const look = (name: string, request: any) => {
      seen.push(`${name} ${JSON.stringify([request.url, request.headers, request.rawHeaders])}`)
      return true
    }
    const started = startFake({
      authorize: request => look('authorize', request),
      origins: (_, request) => look('origins', request),
      onConnect: (_, { request }) => look('onConnect', request),
      address: request => `${look('address', request)}`,
    })
    return { ...started, seen }
  }

  test('never get a URL with a token', async () => {
    const { wss, seen } = watch()
    const first = await wss.connect()
    const [{ connectionId, reconnectionToken }] = first.frames
    seen.length = 0
    const request = {
      url: `/x?a=1&awps_connection_id=${connectionId}&awps_reconnection_token=${reconnectionToken}&b=%20`,
    }
    const next = await connect(wss, request)
    expect(next.frames[0].connectionId).toBe(connectionId)
    await next.until(() => seen.length === NAMES.length)
    expect(seen.join()).not.toContain(reconnectionToken)
    for (const text of seen)
      expect(text).toContain(
        `/x?a=1&awps_connection_id=${connectionId}&awps_reconnection_token=redacted&b=%20`,
      )
  })

  test('never get a header with a token', async () => {
    const { wss, seen } = watch()
    const first = await wss.connect()
    const [{ connectionId, reconnectionToken }] = first.frames
    seen.length = 0
    const offered = protocols(first)
    const next = await connect(wss, {
      headers: { 'sec-websocket-protocol': offered },
      rawHeaders: ['Host', 'x', 'Sec-WebSocket-Protocol', offered],
    })
    expect(next.frames[0].connectionId).toBe(connectionId)
    await next.until(() => seen.length === NAMES.length)
    expect(seen.join()).not.toContain(reconnectionToken)
    for (const text of seen) expect(text).toContain('json.reliable.webpubsub.azure.v1, resume.redacted')
  })

  test('never get a token whose parameter has a percent-encoded name', async () => {
    const { wss, seen } = watch()
    const first = await wss.connect()
    const [{ connectionId, reconnectionToken }] = first.frames
    const url = `/?awps_connection_id=${connectionId}&%61wps_reconnection%5Ftoken=${reconnectionToken}`
    expect((await connect(wss, { url })).frames[0].connectionId).toBe(connectionId)
    expect(seen.join()).not.toContain(reconnectionToken)
  })

  test('get the original request object of the server, with which the application may have associated data', async () => {
    const requests: unknown[] = []
    const { wss } = startFake({ authorize: request => requests.push(request) > 0 })
    const request = { url: '/?awps_reconnection_token=x', headers: {} }
    const socket = new FakeSocket()
    wss.emit('connection', socket, request)
    await socket.until(() => socket.end)
    expect(requests[0]).toBe(request)
  })

  test('get the request as it is if it is frozen, and the session is resumed', async () => {
    const { wss } = startFake()
    const first = await wss.connect()
    const next = await connect(wss, Object.freeze({ url: recovery(first), headers: Object.freeze({}) }))
    expect(next.frames[0].connectionId).toBe(first.frames[0].connectionId)
  })
})
