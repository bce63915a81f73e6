// What a message costs on its way through: from the native socket to one listener and to ten, and from `send()` of an open
// socket to the native one. Nanoseconds, and bytes allocated; on a fake socket, where the native row is the fake alone.
// Usage, after npm run build:
//
//   node --expose-gc test/bench/dispatch.mjs [names that match]
import { fileURLToPath } from 'node:url'
import { bars } from './chart.mjs'
import { FakeWebSocket, made, messageEvent } from './fake.mjs'
import { peers } from './peers.mjs'
import { digits, machine, median, ratio, save, spread, table, title, wanted } from './report.mjs'
import { isServing, serve, takeTurns } from './turns.mjs'
import { label } from './versions.mjs'

const ROUNDS = 15
/** Of one turn: enough for a clock, and few enough that nothing is collected while their bytes are counted. */
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
  { name: 'send text, the browser up to 100 behind', sends: true, behind: 100 },
]

/** A connected peer, and what one message of the job does with it. */
const prepareJob = async (peer, { listeners = 0, binary, sends, behind }) => {
  let heard = 0
  const hear = listeners ? { message: () => heard++ } : {}
  const binaryType = 'arraybuffer'
  const handle = peer.connect('ws://fake.test/', { WebSocket: FakeWebSocket, binaryType, hear })
  const native = await made()
  native.open()
  for (let i = 1; i < listeners; i++) {
    if (!handle.on) return undefined
    handle.on('message', () => heard++)
  }
  const data = binary ? new ArrayBuffer(64) : TEXT
  const event = messageEvent(data)
  let unsent = 0
  if (behind) {
    native.take = data => {
      native.bufferedAmount += data.length
      if (++unsent === behind) native.bufferedAmount = unsent = 0
    }
  }
  const { send } = handle
  const run = sends
    ? count => {
        for (let i = 0; i < count; i++) send(data)
      }
    : count => {
        for (let i = 0; i < count; i++) native.hear(event)
      }
  const done = () => (sends ? native.sent : heard / listeners)
  return { run, done }
}

const serving = name => {
  const peer = peers.find(other => other.name === name)
  let ready
  const prepare = async job => {
    const one = await prepareJob(peer, job)
    for (let i = 0; one && i < 5; i++) one.run(COUNTED)
    return one
  }
  return async job => {
    ready ??= prepare(job)
    const one = await ready
    if (!one) return 'one'
    const before = one.done()
    const began = process.hrtime.bigint()
    one.run(TIMED)
    const ns = Number(process.hrtime.bigint() - began) / TIMED
    globalThis.gc()
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    one.run(COUNTED)
    const after = process.memoryUsage()
    if (one.done() - before !== TIMED + COUNTED) throw new Error('messages are missing')
    const bytes = (after.heapUsed - heapUsed + after.arrayBuffers - arrayBuffers) / COUNTED
    return { ns, bytes }
  }
}

if (isServing) await serve(serving)
else {
  const lot = wanted(process.argv[2]).filter(({ protocol }) => !protocol)
  const answers = []
  // New processes for each job: what one has taught the engine would be charged to the next.
  for (const job of jobs) {
    answers.push(
      await takeTurns(fileURLToPath(import.meta.url), {
        names: lot.map(({ name }) => name),
        jobs: [job],
        rounds: ROUNDS,
        // Room for all that is counted, so that none of it is collected meanwhile.
        execArgv: ['--max-semi-space-size=128', '--min-semi-space-size=128'],
      }),
    )
  }
  const native = lot[0].name
  const of = (name, i, key) => answers[i][name][0].map(answer => answer[key])
  const lines = [
    '# What a message costs on its way through',
    '',
    machine(),
    `${ROUNDS} rounds of ${TIMED.toLocaleString('en')} messages of 64 B, each library in a process of its own for each table. Times: nanoseconds a`,
    'message, median and quartiles; then their ratio to the native row of the same round, and how many bytes a message allocates (median).',
    '',
    'The native row is the fake socket that all of them run on, with the same listeners and nothing between. A browser adds its own',
    'share to every row: an event, and the calls out of its `WebSocket`. n/a: sockette has one listener and no more.',
  ]
  for (const [i, { name }] of jobs.entries()) {
    const rows = lot.map(peer => {
      if (answers[i][peer.name][0][0] === 'one') return [title(peer), 'n/a', 'n/a', 'n/a']
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
    const rows = lot.map(peer => ({
      name: label(peer),
      value: median(of(peer.name, i, 'ns')),
      ours: peer.ours,
    }))
    save(
      `${file}.svg`,
      bars({ title: `${jobs[i].name}: nanoseconds a message`, unit: 'ns', rows, log: true }),
    )
  }
}
