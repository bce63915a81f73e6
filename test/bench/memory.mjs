// The memory of an idle client, and whether a client needs more memory after ten thousand reconnections. Uses fake sockets and a fake clock, so
// that no timer of a library takes real time.
// Usage, after npm run build:
//
//   node --expose-gc test/bench/memory.mjs [names that match]
import { fileURLToPath } from 'node:url'
import { bars } from './chart.mjs'
import { FakeWebSocket } from './fake.mjs'
import { peers } from './peers.mjs'
import { digits, machine, median, save, selectPeers, spread, table, title } from './report.mjs'
import { isServing, serve, takeTurns } from './turns.mjs'
import { label } from './versions.mjs'

const CLIENTS = 10_000
const RECONNECTIONS = 10_000
const ROUNDS = 5

const { setImmediate: realTurn } = globalThis
/** Waits until promises that depend on other promises have settled. */
const settle = () => new Promise(resolve => realTurn(resolve))

/** Replaces the global timers and the clock with a clock that the script controls. */
const installClock = () => {
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
  return {
    /** Runs the next timer. Returns whether there was one. */
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
    /** Advances the clock, and runs the timers that are due by then. */
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

const measureHeap = () => {
  globalThis.gc()
  globalThis.gc()
  return process.memoryUsage().heapUsed
}

const listeners = { message() {} }
const given = { WebSocket: FakeWebSocket, best: true, listeners }

/** Measures clients with an open connection that receive nothing. */
const idle = async (peer, time) => {
  // The newest socket is opened at once. A list of all sockets would be measured, too.
  const clients = new Array(CLIENTS)
  const before = measureHeap()
  for (let i = 0; i < CLIENTS; i++) {
    clients[i] = peer.connect('ws://fake.test/', given)
    while (!FakeWebSocket.last) {
      await settle()
      if (!FakeWebSocket.last) time.next()
    }
    FakeWebSocket.last.open()
    FakeWebSocket.last = undefined
  }
  // Timers that start when a connection opens have fired by then.
  await time.pass(60_000)
  const after = measureHeap()
  for (const client of clients) client.close()
  await time.pass(60_000)
  return (after - before) / CLIENTS
}

/** Measures one client that loses its connection repeatedly. */
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
  const before = measureHeap()
  for (let i = 0; i < RECONNECTIONS; i++) await cycle()
  const after = measureHeap()
  client.close()
  await time.pass(60_000)
  FakeWebSocket.last = undefined
  return (after - before) / RECONNECTIONS
}

const prepareProcess = async name => {
  const peer = peers.find(other => other.name === name)
  const time = installClock()
  const jobs = { idle, reconnecting }
  return async ({ kind }) => {
    if (kind === 'reconnecting' && !peer.reconnects) return 'none'
    return jobs[kind](peer, time)
  }
}

if (isServing) await serve(prepareProcess)
else {
  const selected = selectPeers(process.argv[2]).filter(({ protocol }) => !protocol)
  const answers = await takeTurns(fileURLToPath(import.meta.url), {
    names: selected.map(({ name }) => name),
    jobs: [{ kind: 'idle' }, { kind: 'reconnecting' }],
    rounds: ROUNDS,
  })
  const native = answers[selected[0].name][0]
  const rows = selected.map(peer => {
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
      '# The memory of a client',
      '',
      machine(),
      `Bytes of heap after garbage collection: median of ${ROUNDS} rounds, and the quartiles. Idle client: one of ${CLIENTS.toLocaleString('en')} clients with an open`,
      'connection on a fake socket and one listener, after a minute. Its own: without the bytes of the native row, which are the fake socket',
      `and the listener. Growth: per reconnection, over ${RECONNECTIONS.toLocaleString('en')} reconnections of one client.`,
      '',
      table(['', 'idle client', 'its own', 'growth per reconnection'], rows),
    ].join('\n'),
  )
  const chartRows = selected.map(peer => ({
    name: label(peer),
    value: median(answers[peer.name][0]),
    ours: peer.ours,
  }))
  save('memory.svg', bars({ title: 'An idle client: bytes of heap', unit: 'bytes', rows: chartRows }))
}
