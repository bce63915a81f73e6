// The cost of a message in each library: from the native socket to one listener and to ten, and from `send()` of an open socket to the
// native socket. Measures nanoseconds and allocated bytes, over a fake WebSocket. The row "native WebSocket" is the fake alone.
// Usage, after npm run build:
//
//   node --expose-gc test/bench/dispatch.mjs [names that match]
import { fileURLToPath } from 'node:url'
import { bars } from './chart.mjs'
import { FakeWebSocket, messageEvent, nextSocket } from './fake.mjs'
import { peers } from './peers.mjs'
import { digits, machine, median, ratio, save, selectPeers, spread, table, title } from './report.mjs'
import { isServing, serve, takeTurns } from './turns.mjs'
import { label } from './versions.mjs'

const ROUNDS = 15
/** Messages in one turn: enough for an exact time, and few enough that no garbage is collected while their bytes are counted. */
const TIMED = 100_000
const COUNTED = 20_000

const TEXT = 'x'.repeat(64)
const jobs = [
  { name: 'text, 1 listener', listeners: 1 },
  { name: 'binary, 1 listener', listeners: 1, binary: true },
  { name: 'text, 10 listeners', listeners: 10 },
  { name: 'binary, 10 listeners', listeners: 10, binary: true },
  { name: 'send text', sends: true },
  { name: 'send binary', sends: true, binary: true },
  { name: 'send text, with up to 100 messages in the buffer of the browser', sends: true, bufferLimit: 100 },
]

/** Connects a library. Returns a function that performs the job for a number of messages, and the number of messages done. */
const prepareJob = async (peer, { listeners = 0, binary, sends, bufferLimit }) => {
  let received = 0
  const handlers = listeners ? { message: () => received++ } : {}
  const binaryType = 'arraybuffer'
  const handle = peer.connect('ws://fake.test/', {
    WebSocket: FakeWebSocket,
    binaryType,
    listeners: handlers,
  })
  const native = await nextSocket()
  native.open()
  for (let i = 1; i < listeners; i++) {
    if (!handle.on) return undefined
    handle.on('message', () => received++)
  }
  const data = binary ? new ArrayBuffer(64) : TEXT
  const event = messageEvent(data)
  let unsent = 0
  if (bufferLimit) {
    native.onSend = data => {
      native.bufferedAmount += data.length
      if (++unsent === bufferLimit) native.bufferedAmount = unsent = 0
    }
  }
  const { send } = handle
  const run = sends
    ? count => {
        for (let i = 0; i < count; i++) send(data)
      }
    : count => {
        for (let i = 0; i < count; i++) native.dispatchMessage(event)
      }
  const done = () => (sends ? native.sent : received / listeners)
  return { run, done }
}

const prepareProcess = name => {
  const peer = peers.find(other => other.name === name)
  let prepared
  const prepare = async job => {
    const one = await prepareJob(peer, job)
    for (let i = 0; one && i < 5; i++) one.run(COUNTED)
    return one
  }
  return async job => {
    prepared ??= prepare(job)
    const one = await prepared
    if (!one) return 'one'
    const before = one.done()
    const start = process.hrtime.bigint()
    one.run(TIMED)
    const ns = Number(process.hrtime.bigint() - start) / TIMED
    globalThis.gc()
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    one.run(COUNTED)
    const after = process.memoryUsage()
    if (one.done() - before !== TIMED + COUNTED) throw new Error('messages are missing')
    const bytes = (after.heapUsed - heapUsed + after.arrayBuffers - arrayBuffers) / COUNTED
    return { ns, bytes }
  }
}

if (isServing) await serve(prepareProcess)
else {
  const selected = selectPeers(process.argv[2]).filter(({ protocol }) => !protocol)
  const results = []
  // Each job has new processes, because the optimizations of the engine for one job would affect the next.
  for (const job of jobs) {
    results.push(
      await takeTurns(fileURLToPath(import.meta.url), {
        names: selected.map(({ name }) => name),
        jobs: [job],
        rounds: ROUNDS,
        // The young generation has room for everything that is counted, so that none of it is collected.
        execArgv: ['--max-semi-space-size=128', '--min-semi-space-size=128'],
      }),
    )
  }
  const native = selected[0].name
  const of = (name, i, key) => results[i][name][0].map(answer => answer[key])
  const lines = [
    '# The cost of a message',
    '',
    machine(),
    `${ROUNDS} rounds of ${TIMED.toLocaleString('en')} messages of 64 B. For each table, each library runs in a process of its own. The columns are: nanoseconds per`,
    'message (median and quartiles), the ratio to the native row of the same round, and the bytes that a message allocates (median).',
    '',
    'The native row is the fake WebSocket that all libraries use here, with the same listeners. In a browser, every row would include the',
    'cost of an event object and of the calls from and to its `WebSocket`. n/a: sockette supports only one listener.',
  ]
  for (const [i, { name }] of jobs.entries()) {
    const rows = selected.map(peer => {
      if (results[i][peer.name][0][0] === 'one') return [title(peer), 'n/a', 'n/a', 'n/a']
      const ns = of(peer.name, i, 'ns')
      const bytes = Math.max(0, median(of(peer.name, i, 'bytes')))
      return [title(peer), spread(ns), ratio(ns, of(native, i, 'ns')), digits(bytes)]
    })
    lines.push('', `## ${name[0].toUpperCase()}${name.slice(1)}`, '')
    lines.push(table(['', 'ns', '× native', 'bytes'], rows))
  }
  save('dispatch.md', lines.join('\n').trimEnd())
  for (const [i, file] of [
    [0, 'dispatch-text'],
    [4, 'dispatch-send'],
  ]) {
    const rows = selected.map(peer => ({
      name: label(peer),
      value: median(of(peer.name, i, 'ns')),
      ours: peer.ours,
    }))
    save(
      `${file}.svg`,
      bars({ title: `${jobs[i].name}: nanoseconds per message`, unit: 'ns', rows, log: true }),
    )
  }
}
