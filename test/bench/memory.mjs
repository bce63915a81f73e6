// What a client weighs that does nothing, and whether one that has reconnected ten thousand times weighs more than before.
// On fake sockets and in virtual time: no timer of a peer's is ever waited for.
// Usage, after npm run build:
//
//   node --expose-gc test/bench/memory.mjs [names that match]
import { fileURLToPath } from 'node:url'
import { bars } from './chart.mjs'
import { FakeWebSocket } from './fake.mjs'
import { peers } from './peers.mjs'
import { digits, machine, median, save, spread, table, title, wanted } from './report.mjs'
import { isServing, serve, takeTurns } from './turns.mjs'
import { label } from './versions.mjs'

const CLIENTS = 10_000
const RECONNECTIONS = 10_000
const ROUNDS = 5

const { setImmediate: realTurn } = globalThis
/** Until promises have settled that wait for others. */
const settle = () => new Promise(resolve => realTurn(resolve))

/** Puts a clock under the peers that moves when it is told to. */
const takeTime = () => {
  const timers = new Map()
  let now = Date.now()
  let last = 0
  const set =
    every =>
    (job, delay, ...given) => {
      timers.set(++last, { due: now + (Number(delay) || 0), every: every && delay, job: () => job(...given) })
      return last
    }
  globalThis.setTimeout = set(false)
  globalThis.setInterval = set(true)
  globalThis.clearTimeout = globalThis.clearInterval = id => timers.delete(id)
  Date.now = () => now
  /** Runs the next timer; says whether there was one. */
  return {
    next() {
      let first
      for (const [id, { due }] of timers) if (!first || due < timers.get(first).due) first = id
      if (!first) return false
      const { due, every, job } = timers.get(first)
      now = Math.max(now, due)
      if (every) timers.get(first).due += every
      else timers.delete(first)
      job()
      return true
    },
    /** Moves on, for what is due then to be over. */
    async pass(time) {
      const until = now + time
      for (const [id, { due, job }] of [...timers]) {
        if (due > until || !timers.delete(id)) continue
        job()
      }
      now = until
      await settle()
    },
  }
}

const weigh = () => {
  globalThis.gc()
  globalThis.gc()
  return process.memoryUsage().heapUsed
}

const hear = { message() {} }
const given = { WebSocket: FakeWebSocket, best: true, hear }

/** Clients that have a connection, of which nothing is heard any more. */
const idle = async (peer, time) => {
  // A class that opens what is made, for a list of the sockets would be on the scales too.
  const clients = new Array(CLIENTS)
  const before = weigh()
  for (let i = 0; i < CLIENTS; i++) {
    clients[i] = peer.connect('ws://fake.test/', given)
    while (!FakeWebSocket.last) {
      await settle()
      if (!FakeWebSocket.last) time.next()
    }
    FakeWebSocket.last.open()
    FakeWebSocket.last = undefined
  }
  // Deadlines and proofs of uptime pass.
  await time.pass(60_000)
  const after = weigh()
  for (const client of clients) client.close()
  await time.pass(60_000)
  return (after - before) / CLIENTS
}

/** One client that loses its connection again and again. */
const reconnecting = async (peer, time) => {
  const client = peer.connect('ws://fake.test/', given)
  const cycle = async () => {
    for (let i = 0; !FakeWebSocket.last; i++) {
      if (i > 1_000) throw new Error('it does not reconnect')
      await settle()
      if (!FakeWebSocket.last) time.next()
    }
    const native = FakeWebSocket.last
    FakeWebSocket.last = undefined
    native.open()
    await settle()
    native.end(1006)
  }
  for (let i = 0; i < 1_000; i++) await cycle()
  const before = weigh()
  for (let i = 0; i < RECONNECTIONS; i++) await cycle()
  const after = weigh()
  client.close()
  await time.pass(60_000)
  FakeWebSocket.last = undefined
  return (after - before) / RECONNECTIONS
}

const serving = async name => {
  const peer = peers.find(other => other.name === name)
  const time = takeTime()
  const jobs = { idle, reconnecting }
  return async ({ kind }) => {
    if (kind === 'reconnecting' && !peer.reconnects) return 'none'
    return jobs[kind](peer, time)
  }
}

if (isServing) await serve(serving)
else {
  const lot = wanted(process.argv[2]).filter(({ protocol }) => !protocol)
  const answers = await takeTurns(fileURLToPath(import.meta.url), {
    names: lot.map(({ name }) => name),
    jobs: [{ kind: 'idle' }, { kind: 'reconnecting' }],
    rounds: ROUNDS,
  })
  const native = answers[lot[0].name][0]
  const rows = lot.map(peer => {
    const [each, growth] = answers[peer.name]
    const own = each.map((bytes, round) => bytes - native[round])
    return [
      title(peer),
      spread(each),
      /^native/.test(peer.name) ? '–' : digits(median(own)),
      growth.includes('none') ? 'n/a' : spread(growth),
    ]
  })
  save(
    'memory.md',
    [
      '# What a client weighs',
      '',
      machine(),
      `Bytes of heap, after collection: median of ${ROUNDS} rounds, and the quartiles. Idle: one of ${CLIENTS.toLocaleString('en')} clients with a connection on a`,
      'fake socket, one listener, and all that is due within a minute behind it. Its own: without what the native row takes, which is',
      `the fake socket and the listener. Growth: for each of ${RECONNECTIONS.toLocaleString('en')} lost and new connections of one client.`,
      '',
      table(['', 'idle client', 'its own', 'growth a reconnection'], rows),
    ].join('\n'),
  )
  const drawn = lot.map(peer => ({
    name: label(peer),
    value: median(answers[peer.name][0]),
    ours: peer.ours,
  }))
  save('memory.svg', bars({ title: 'An idle client: bytes of heap', unit: 'bytes', rows: drawn }))
}
