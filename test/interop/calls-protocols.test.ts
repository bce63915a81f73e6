// The protocols of the guide to calls, as it shows them: GraphQL with the server of graphql-ws, and Phoenix with a server that follows its
// documentation.
import { once } from 'node:events'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { useServer } from 'graphql-ws/use/ws'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import type { Calls } from '../../src/calls.ts'
import { runPiece } from '../package/run-piece.ts'
import { cleanUp, cleanup } from '../support/cleanup.ts'

// The instance that the server uses. An import would load another one.
const { buildSchema }: typeof import('graphql') = createRequire(import.meta.url)('graphql')

cleanUp()

let wss: WebSocketServer
beforeEach(async () => {
  wss = new WebSocketServer({
    port: 0,
    host: '127.0.0.1',
    handleProtocols: offered => (offered.has('graphql-transport-ws') ? 'graphql-transport-ws' : false),
  })
  cleanup(() => {
    for (const client of wss.clients) client.terminate()
    wss.close()
    vi.unstubAllGlobals()
  })
  await once(wss, 'listening')
  const { port } = wss.address() as AddressInfo
  // The recipes connect to an example.
  class Local extends WebSocket {
    constructor(url: string, protocols?: string[]) {
      super(`ws://127.0.0.1:${port}${new URL(url).pathname}${new URL(url).search}`, protocols)
    }
  }
  vi.stubGlobal('WebSocket', Local)
})

/** The API of a recipe, its errors, and a function that waits for a condition, which it checks after each event. */
const start = async (words: string) => {
  const { api } = await runPiece<{ api: Calls<any> }>('demo/docs/calls.md', words, 'api')
  cleanup(() => api.socket.close())
  const errors: unknown[] = []
  api.on('error', error => errors.push(error))
  return { api, errors }
}

describe('GraphQL over graphql-transport-ws', () => {
  const schema = buildSchema(`
    type Query { price(of: String!): Float, fails: Int }
    type Subscription { ticks: Int, refused: Int, ends: Int }
  `)
  const serve = () => {
    let tick = 0
    const next: (() => void)[] = []
    useServer(
      {
        schema,
        roots: {
          query: {
            price: () => 1.08,
            fails: () => {
              throw new Error('no')
            },
          },
          subscription: {
            async *ticks() {
              for (;;) {
                yield { ticks: ++tick }
                await new Promise<void>(resolve => next.push(resolve))
              }
            },
            async *ends() {
              yield { ends: 1 }
            },
          },
        },
      },
      wss,
    )
    return { next }
  }

  test('runs queries, and rejects with the errors of a query and of one that is invalid', async () => {
    serve()
    const { api, errors } = await start('const graphql')
    expect(await api.call('query ($of: String!) { price(of: $of) }', { of: 'EURUSD' })).toEqual({
      price: 1.08,
    })
    await expect(api.call('{ fails }')).rejects.toMatchObject({
      code: 'SERVER_ERROR',
      cause: [{ message: 'no' }],
    })
    await expect(api.call('{ missing }')).rejects.toMatchObject({ code: 'SERVER_ERROR', cause: [{}] })
    expect(errors).toEqual([])
  })

  test('subscribes again after a cut, and ends subscriptions from both sides', async () => {
    const { next } = serve()
    const { api, errors } = await start('const graphql')
    const heard: unknown[] = []
    let hear = () => {}
    const stop = api.subscribe('subscription { ticks }', undefined, (item: any, { gap }) => {
      heard.push([item.ticks, gap])
      hear()
    })
    const heardOf = (count: number) =>
      new Promise<void>(resolve => {
        hear = () => heard.length >= count && resolve()
        hear()
      })
    await heardOf(1)
    next.shift()?.()
    await heardOf(2)
    for (const client of wss.clients) client.terminate()
    await heardOf(3)
    expect(heard).toEqual([
      [1, false],
      [2, false],
      [3, true],
    ])
    stop()
    const end = await new Promise(resolve =>
      api.subscribe('subscription { ends }', undefined, () => {}, {
        onEnd: error => resolve(error ?? 'ended'),
      }),
    )
    expect(end).toBe('ended')
    const refused = await new Promise<any>(resolve =>
      api.subscribe('subscription { missing }', undefined, () => {}, { onEnd: resolve }),
    )
    expect(refused).toMatchObject({ code: 'SERVER_ERROR', cause: [{}] })
    expect(errors).toEqual([])
  })
})

describe('Phoenix channels', () => {
  test('joins, pushes, receives broadcasts, joins again after a cut, and leaves', async () => {
    const frames: any[] = []
    wss.on('connection', socket =>
      socket.on('message', data => {
        const [join, reference, topic, event, payload] = JSON.parse(`${data}`)
        frames.push([join, reference, topic, event, payload])
        const send = (...frame: unknown[]) => socket.send(JSON.stringify(frame))
        const reply = (status: string, response: unknown) =>
          send(join, reference, topic, 'phx_reply', { status, response })
        if (topic === 'room:secret') return reply('error', { reason: 'unauthorized' })
        reply('ok', event === 'new_message' ? { id: payload.text.length } : {})
        if (event === 'phx_join') send(null, null, topic, 'presence', { here: 1 })
        if (event === 'new_message') send(null, null, topic, 'new_message', payload)
        if (event === 'phx_leave') send(join, null, topic, 'phx_close', {})
        if (event === 'crash') send(join, null, topic, 'phx_error', { reason: 'crashed' })
      }),
    )
    const { api, errors } = await start('const phoenix')
    const heard: any[] = []
    const stop = api.subscribe('room:lobby', { user: 'ann' }, (item: any, { gap }) =>
      heard.push([item.event, gap]),
    )
    expect(await api.call('room:lobby new_message', { text: 'hello' })).toEqual({ id: 5 })
    const refused = await new Promise<any>(resolve =>
      api.subscribe('room:secret', undefined, () => {}, { onEnd: resolve }),
    )
    expect(refused).toMatchObject({ code: 'SERVER_ERROR', cause: { reason: 'unauthorized' } })

    for (const client of wss.clients) client.terminate()
    expect(await api.call('room:lobby new_message', { text: 'back' }, { again: 'always' })).toEqual({ id: 4 })
    expect(heard).toEqual([
      ['presence', false],
      ['new_message', false],
      ['presence', true],
      ['new_message', false],
    ])
    const joins = frames.filter(([, , topic, event]) => topic === 'room:lobby' && event === 'phx_join')
    expect(joins.map(([join, reference, , , payload]) => [join === reference, payload])).toEqual([
      [true, { user: 'ann' }],
      [true, { user: 'ann' }],
    ])
    stop()
    const crashed = await new Promise<any>(resolve => {
      api.subscribe('room:other', undefined, () => {}, { onEnd: resolve })
      void api.call('room:other crash')
    })
    expect(crashed).toMatchObject({ code: 'SERVER_ERROR', cause: { reason: 'crashed' } })
    expect(frames.filter(([, , , event]) => event === 'phx_leave')).toHaveLength(1)
    expect(errors).toEqual([])
  })
})
