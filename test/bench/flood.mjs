// The latency that a client sees while three others flood the server, with the default limits.
// Usage, after npm run build:
//
//   node test/bench/flood.mjs                    writes results/flood.md; takes about three minutes
//   node test/bench/flood.mjs --only events      the floods whose name matches; only prints
//   node test/bench/flood.mjs --rounds 3 --ms 2000
//
// The server, the flooding clients and the measured client each have a process. In each round, a turn without a flood precedes each turn
// with one, so that other load on the machine affects both.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { WebSocketServer } from 'ws'
import { frame, handshake, RELIABLE } from './raw.mjs'
import { digits, machine, median, quantile, save, spread, table } from './report.mjs'
import { WebSocket } from './socket.mjs'

const FLOODERS = 3

const event = (data, ackId) =>
  frame(JSON.stringify({ type: 'event', event: 'e', dataType: 'text', data, ackId }))

/** The bytes that a flooding client sends repeatedly. */
const FLOODS = {
  events: () => Buffer.concat(Array.from({ length: 500 }, (_, i) => event('x', i))),
  'events without ackId': () => Buffer.concat(Array.from({ length: 500 }, () => event('x'))),
  pings: () => Buffer.concat(Array.from({ length: 500 }, () => frame('{"type":"ping"}'))),
  'WebSocket pings': () => Buffer.concat(Array.from({ length: 2_000 }, () => frame('', 9))),
  'WebSocket pongs': () => Buffer.concat(Array.from({ length: 2_000 }, () => frame('', 10))),
  acknowledgements: () =>
    Buffer.concat(Array.from({ length: 500 }, () => frame('{"type":"sequenceAck","sequenceId":0}'))),
  'events of 64 KiB': () => Buffer.concat(Array.from({ length: 8 }, (_, i) => event('x'.repeat(2 ** 16), i))),
}

const serve = async () => {
  const { createReliableServer } = await import('../../dist/server.js')
  const wss = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(wss, 'listening')
  createReliableServer(wss, { onMessage: () => {}, onError: () => {} })
  process.send(wss.address().port)
}

/** Sends as fast as TCP accepts bytes, ignores the answers, and reconnects when the connection is closed. */
const flood = (port, name) => {
  const bytes = FLOODS[name]()
  const start = () => {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write(handshake('/', RELIABLE))
    const sendMore = () => {
      while (!socket.destroyed && socket.write(bytes));
    }
    socket.on('drain', sendMore)
    socket.once('data', sendMore)
    socket.resume()
    socket.on('end', () => socket.destroy())
    socket.on('close', () => setTimeout(start, 100))
  }
  for (let i = 0; i < FLOODERS; i++) start()
}

/** Sends an event every 10 ms, and resolves with the latency of each answer. */
const measure = async (socket, ms) => {
  const times = []
  const end = performance.now() + ms
  while (performance.now() < end) {
    const ackId = ++measure.count
    const start = performance.now()
    const answered = new Promise(resolve => {
      socket.onmessage = ({ data }) => JSON.parse(data).ackId === ackId && resolve()
    })
    socket.send(JSON.stringify({ type: 'event', event: 'e', dataType: 'text', data: 'x', ackId }))
    await answered
    times.push(performance.now() - start)
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  return times
}
measure.count = 0

const startProcess = (...args) => fork(fileURLToPath(import.meta.url), args)

const run = async () => {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', default: '' },
      rounds: { type: 'string', default: '5' },
      ms: { type: 'string', default: '2000' },
    },
  })
  const names = Object.keys(FLOODS).filter(name => new RegExp(values.only).test(name))
  const server = startProcess('--serve')
  const [port] = await once(server, 'message')
  const socket = new WebSocket(`ws://127.0.0.1:${port}`, RELIABLE)
  await new Promise(resolve => (socket.onopen = resolve))
  await measure(socket, 1_000)
  const results = Object.fromEntries(names.map(name => [name, []]))
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const name of names) {
      const idle = await measure(socket, Number(values.ms))
      const flooder = startProcess('--flood', port, name)
      // By then, the flood has started, and the limits have taken effect.
      await new Promise(resolve => setTimeout(resolve, 1_000))
      const flooded = await measure(socket, Number(values.ms))
      flooder.kill('SIGKILL')
      await once(flooder, 'exit')
      await new Promise(resolve => setTimeout(resolve, 500))
      results[name].push({ idle, flooded })
    }
  }
  server.kill('SIGKILL')
  const p = (q, which) => turns => turns.map(turn => quantile(turn[which], q))
  const text = `# A client's latency while others flood the server

${FLOODERS} connections send as fast as TCP accepts bytes. Another client sends one event every 10 ms, and waits for the answer. The server has
its default limits, sessions in memory, and a handler that does nothing. Latencies are in milliseconds: medians of ${values.rounds} turns of ${values.ms} ms each.
The ratio compares consecutive turns: median and quartiles.

${machine()} Written by \`node test/bench/flood.mjs\`.

${table(
  ['flood of', 'idle: median', 'p99', 'flooded: median', 'p99', 'p99, flooded : idle'],
  names.map(name => {
    const turns = results[name]
    const cells = [p(0.5, 'idle'), p(0.99, 'idle'), p(0.5, 'flooded'), p(0.99, 'flooded')]
    const ratios = turns.map(({ idle, flooded }) => quantile(flooded, 0.99) / quantile(idle, 0.99))
    return [name, ...cells.map(cell => digits(median(cell(turns)))), spread(ratios)]
  }),
)}
`
  if (values.only) console.log(text)
  else save('flood.md', text)
  process.exit()
}

// The process ends with its parent.
process.on('disconnect', () => process.exit())
const [role, port, name] = process.argv.slice(2)
if (role === '--serve') await serve()
else if (role === '--flood') flood(Number(port), name)
else await run()
