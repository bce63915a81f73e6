// Measures what happens to a call when its connection ends, with this package and others that have calls. Each uses its own server, over real TCP,
// and the server's log shows how often a call was executed. Usage, after npm run build:
//
//   node test/bench/calls.mjs
//   node test/bench/calls.mjs rpc       only packages whose name matches; writes no file
import { once } from 'node:events'
import { createServer } from 'node:http'
import { WebPubSubClient } from '@azure/web-pubsub-client'
import { GraphQLInt, GraphQLNonNull, GraphQLObjectType, GraphQLSchema } from 'graphql'
import { createClient } from 'graphql-ws'
import { useServer } from 'graphql-ws/use/ws'
import { Client as RpcClient } from 'rpc-websockets'
import { Server as IoServer } from 'socket.io'
import { io } from 'socket.io-client'
import { WebSocketServer } from 'ws'
import { calls, jsonRpc, overReliable } from '../../dist/calls.js'
import { createSocket } from '../../dist/index.js'
import { createReliableSocket } from '../../dist/reliable.js'
import { createReliableServer, memoryStore } from '../../dist/server.js'
import { digits, machine, save, table, using } from './report.mjs'
import { WebSocket } from './socket.mjs'
import { version } from './versions.mjs'

const COUNT = 1_000
const WIDTH = 50
/** How often the server resets the connection while the many calls are made, in milliseconds. */
const RESET = 100
/** A call that has not ended after this time counts as one that hangs. */
const PATIENCE = 15_000
/** How long the server is away. */
const AWAY = 1_500
/** The timeout of a call that is made during this time. */
const TIMEOUT = 500

const [filter = ''] = process.argv.slice(2)
const pause = ms => new Promise(resolve => setTimeout(resolve, ms))

/** JSON-RPC 2.0, for our calls and those of rpc-websockets. */
const serveJsonRpc = (wss, execute) =>
  wss.on('connection', socket =>
    socket.on('message', data => {
      const { id, params } = JSON.parse(data)
      execute(params[0], result => socket.send(JSON.stringify({ jsonrpc: '2.0', id, result })))
    }),
  )

const wsServer = serve => http => {
  const server = new WebSocketServer({ server: http })
  return execute => serve(server, execute)
}

const serveGraphql = wsServer((server, execute) => {
  const number = { type: new GraphQLNonNull(GraphQLInt) }
  const resolve = (_, { number }) => new Promise(resolve => execute(number, resolve))
  const run = { ...number, args: { number }, resolve }
  const schema = new GraphQLSchema({
    query: new GraphQLObjectType({ name: 'Query', fields: { run } }),
    mutation: new GraphQLObjectType({ name: 'Mutation', fields: { run } }),
  })
  useServer({ schema }, server)
})

const serveReliable = store =>
  wsServer((server, execute) =>
    createReliableServer(server, {
      store,
      rates: false,
      onMessage: ({ data }, session) => {
        const { id, params } = JSON.parse(data)
        return new Promise(resolve =>
          execute(params[0], result => {
            session.send(JSON.stringify({ jsonrpc: '2.0', id, result }))
            resolve()
          }),
        )
      },
      onInvoke: ({ data }) => new Promise(resolve => execute(data, resolve)),
    }),
  )

const ours = api => ({
  call: (number, timeout = 10_000) => api.call('run', [number], { timeout }),
  close: () => api.socket.close(),
})

const ioClient = options => ({
  serve: http => {
    const server = new IoServer(http, { transports: ['websocket'], serveClient: false })
    return execute => server.on('connection', socket => socket.on('run', execute))
  },
  connect(port) {
    const socket = io(`http://127.0.0.1:${port}`, { transports: ['websocket'], forceNew: true, ...options })
    return {
      call: (number, timeout) => (timeout ? socket.timeout(timeout) : socket).emitWithAck('run', number),
      close: () => socket.close(),
    }
  },
})

const contenders = [
  {
    name: 'steadysocket/calls',
    serve: wsServer(serveJsonRpc),
    connect: port =>
      ours(calls(prepare => createSocket(`ws://127.0.0.1:${port}`, { prepare, WebSocket }), jsonRpc())),
  },
  {
    name: 'steadysocket/calls, overReliable()',
    makeServe: () => serveReliable(memoryStore()),
    connect: port =>
      ours(calls(overReliable(createReliableSocket(`ws://127.0.0.1:${port}`, { WebSocket })), jsonRpc())),
  },
  { name: 'socket.io-client, emitWithAck()', ...ioClient({}) },
  { name: 'socket.io-client, emitWithAck(), ackTimeout', ...ioClient({ ackTimeout: 10_000 }) },
  { name: 'socket.io-client, emitWithAck(), retries', ...ioClient({ ackTimeout: 2_000, retries: 3 }) },
  {
    name: 'rpc-websockets, call()',
    serve: wsServer(serveJsonRpc),
    connect(port) {
      const client = new RpcClient(`ws://127.0.0.1:${port}`, { max_reconnects: 0 })
      client.on('error', () => {})
      return {
        call: (number, timeout) => client.call('run', [number], timeout),
        close: () => client.close(),
      }
    },
  },
  {
    name: 'graphql-ws, mutation',
    serve: serveGraphql,
    connect(port) {
      const client = createClient({
        url: `ws://127.0.0.1:${port}`,
        webSocketImpl: WebSocket,
        lazy: false,
        onNonLazyError() {},
        retryAttempts: Infinity,
        shouldRetry: () => true,
      })
      const call = number =>
        new Promise((resolve, reject) => {
          let result
          client.subscribe(
            { query: `mutation { run(number: ${number}) }` },
            {
              next: ({ data }) => (result = data.run),
              error: reject,
              complete: () =>
                result === undefined ? reject(new Error('completed without a result')) : resolve(result),
            },
          )
        })
      return { call, hasNoTimeout: true, close: () => client.dispose() }
    },
  },
  {
    name: '@azure/web-pubsub-client, invokeEvent()',
    makeServe: () => serveReliable(memoryStore()),
    connect(port) {
      const client = new WebPubSubClient(`ws://127.0.0.1:${port}`)
      const started = client.start()
      return {
        ready: started,
        call: number => client.invokeEvent('run', number, 'json').then(({ data }) => data),
        hasNoTimeout: true,
        close: () => client.stop(),
      }
    },
  },
]

/** A server that can reset its connections, and be away for a while. It executes calls, and keeps a log. */
const startServer = async contender => {
  const serve = contender.makeServe?.() ?? contender.serve
  const executed = new Map()
  const sockets = new Set()
  let port = 0
  let http
  /** Decides what happens to a call. `reply` answers it. */
  let onCall = (_number, reply) => reply()
  const execute = (number, reply) => {
    executed.set(number, (executed.get(number) ?? 0) + 1)
    onCall(number, () => reply(number))
  }
  const reset = () => {
    for (const socket of sockets) socket.resetAndDestroy()
  }
  const listen = async () => {
    http = createServer()
    http.on('connection', socket => {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
    })
    serve(http)(execute)
    http.listen(port, '127.0.0.1')
    await once(http, 'listening')
    port = http.address().port
  }
  await listen()
  return {
    port,
    executed,
    reset,
    listen,
    handle(handler) {
      onCall = handler
    },
    leave() {
      http.close()
      reset()
    },
  }
}

/** `'hangs'`, or how the call has ended, and how often it was executed. */
const outcomeOf = async (server, number, call) => {
  const ended = call.then(
    () => 'answered',
    error => error?.code ?? error?.message ?? 'rejected',
  )
  const outcome = await Promise.race([ended, pause(PATIENCE).then(() => 'hangs')])
  return `${String(outcome).slice(0, 60).trim()}; executed ${server.executed.get(number) ?? 0} ×`
}

const withClient = async (contender, job) => {
  const server = await startServer(contender)
  const client = contender.connect(server.port)
  await client.ready
  const first = () => client.call(0).catch(() => pause(50).then(first))
  await first()
  const found = await job(server, client)
  await client.close()
  server.leave()
  return found
}

const SITUATIONS = {
  /** The server executes the call, and the connection is reset before the reply. */
  unanswered: contender =>
    withClient(contender, async (server, client) => {
      server.handle((_, reply) => {
        if (server.executed.get(1) === 1) server.reset()
        reply()
      })
      return outcomeOf(server, 1, client.call(1))
    }),
  /** The call is made while the server is away. */
  offline: contender =>
    withClient(contender, async (server, client) => {
      server.leave()
      await pause(100)
      const outcome = outcomeOf(server, 1, client.call(1))
      await pause(AWAY)
      await server.listen()
      return outcome
    }),
  /** The same, and the call has failed before the server is back. */
  timeout: contender =>
    withClient(contender, async (server, client) => {
      if (client.hasNoTimeout) return 'has no timeout'
      server.leave()
      await pause(100)
      const ended = client.call(1, TIMEOUT).then(
        () => 'answered',
        error => error?.code ?? error?.message ?? 'rejected',
      )
      await pause(AWAY)
      await server.listen()
      const outcome = await Promise.race([ended, pause(PATIENCE).then(() => 'hangs')])
      // Long enough for every reconnection.
      await pause(8_000)
      return `${String(outcome).slice(0, 60).trim()}; executed ${server.executed.get(1) ?? 0} ×`
    }),
  /** Many calls, while the connection is reset again and again. */
  many: contender =>
    withClient(contender, async (server, client) => {
      server.handle((number, reply) => setTimeout(reply, number % 4))
      const resetting = setInterval(server.reset, RESET)
      const outcomes = []
      let next = 1
      const work = async () => {
        while (next <= COUNT) {
          const number = next++
          outcomes[number] = 'hangs'
          const end = await client.call(number).then(
            () => 'answered',
            () => 'failed',
          )
          outcomes[number] = end
          // A page waits before it tries again, too.
          if (end === 'failed') await pause(20)
        }
      }
      const all = Promise.all(Array.from({ length: WIDTH }, work))
      await Promise.race([all, pause(2 * PATIENCE)])
      clearInterval(resetting)
      await Promise.race([all, pause(PATIENCE)])
      const count = wanted => outcomes.filter(outcome => outcome === wanted).length
      const twice = [...server.executed].filter(([number, times]) => number && times > 1).length
      return ['answered', 'failed', 'hangs'].map(count).concat(twice, COUNT - Object.keys(outcomes).length)
    }),
}

const label = name => {
  const [home, ...how] = name.split(', ')
  const text = `${home} ${version(home)}${how.map(part => `, \`${part}\``).join('')}`
  return home.startsWith('steadysocket') ? `**${text}**` : text
}

const rows = []
const numbers = []
for (const contender of contenders.filter(({ name }) => name.includes(filter))) {
  const found = {}
  for (const [situation, measure] of Object.entries(SITUATIONS)) found[situation] = await measure(contender)
  console.error(contender.name, JSON.stringify(found))
  const { many, ...single } = found
  rows.push([label(contender.name), ...Object.values(single)])
  numbers.push([label(contender.name), ...many.map(digits)])
}
const text = [
  '# Calls, compared with other packages',
  '',
  machine(),
  `${using('ws')}. Each client connects over TCP to a server for its own protocol on the same machine. All results are from one run of test/bench/calls.mjs. The server's log`,
  'shows how often a call was executed. Options are set only where they are named, except that `steadysocket/calls` has a timeout of 10 s. Packages',
  'without a default timeout have none.',
  '',
  '## One call',
  '',
  '- **lost reply**: the server executes the call, resets the connection, and then replies.',
  `- **away**: the call is made while the server is away for ${digits(AWAY)} ms.`,
  `- **timeout**: the same, with a timeout of ${TIMEOUT} ms. A call that has failed should not be executed later.`,
  '',
  `A call that has not ended after ${PATIENCE / 1_000} s hangs. For failed calls, the table shows the code or the message of the error.`,
  '',
  table(['', 'lost reply', 'away', 'timeout'], rows),
  '',
  `## ${digits(COUNT)} calls`,
  '',
  `${WIDTH} at a time, while the server resets the connection every ${RESET} ms. A reply takes 0 to 3 ms. The resets end with the`,
  `calls, or after ${(2 * PATIENCE) / 1_000} s. **not ended**: ${PATIENCE / 1_000} s after the last reset. Some of these hang, and others wait for a reconnection, with delays that grow`,
  'with each failure. **never made**: there was no room, because earlier calls had not ended.',
  '',
  table(['', 'answered', 'failed', 'not ended', 'executed twice', 'never made'], numbers),
]
if (filter) console.log(text.join('\n'))
else save('calls.md', text.join('\n'))
process.exit()
