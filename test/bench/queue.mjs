// The cost of queued messages in each library: the time to queue them, their memory, and the time to send them in order.
// Usage, after npm run build:
//
//   node --expose-gc test/bench/queue.mjs [names that match]
import { fileURLToPath } from 'node:url'
import { lines } from './chart.mjs'
import { FakeWebSocket, nextSocket } from './fake.mjs'
import { peers } from './peers.mjs'
import { digits, machine, median, save, spread, table, title } from './report.mjs'
import { isServing, serve, takeTurns } from './turns.mjs'
import { label } from './versions.mjs'

const SIZES = [1_000, 10_000, 100_000, 1_000_000]
const ROUNDS = 5
/** The longest time for a measurement, in milliseconds. */
const TIME_LIMIT = 15_000

/** Not a library, but an array, as the fastest possible queue. */
const ARRAY = {
  name: 'array',
  connect(url, { WebSocket }) {
    const native = new WebSocket(url)
    const queue = []
    native.onopen = () => {
      for (const data of queue) native.send(data)
      queue.length = 0
    }
    return { send: data => queue.push(data), close() {} }
  },
}

const measureQueue = async (peer, count) => {
  const messages = Array.from({ length: count }, (_, i) => `m${i}`)
  const handle = peer.connect('ws://fake.test/', { WebSocket: FakeWebSocket, best: true })
  const native = await nextSocket()
  let next = 0
  let ordered = true
  native.onSend = data => {
    if (data !== messages[next++]) ordered = false
  }
  globalThis.gc()
  const { heapUsed } = process.memoryUsage()
  const began = performance.now()
  for (let i = 0; i < count; i++) handle.send(messages[i])
  const taken = performance.now()
  globalThis.gc()
  const heap = process.memoryUsage().heapUsed - heapUsed
  const opened = performance.now()
  native.open()
  // A library may send the messages in several tasks. If no more messages follow, the others are lost.
  let last = -1
  while (next < count && next !== last) {
    last = next
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  const flushed = performance.now()
  const idle = last === -1 ? 0 : 20
  handle.close()
  return {
    in: ((taken - began) * 1e6) / count,
    out: ((flushed - opened - idle) * 1e6) / count,
    bytes: heap / count,
    ordered,
    lost: count - next,
  }
}

const prepareProcess = async name => {
  const peer = name === ARRAY.name ? ARRAY : peers.find(other => other.name === name)
  for (let i = 0; i < 5; i++) await measureQueue(peer, 2_000)
  return ({ count }) => measureQueue(peer, count)
}

if (isServing) await serve(prepareProcess)
else {
  const filter = new RegExp(process.argv[2] ?? '')
  const selected = peers.filter(({ name, queues, protocol }) => queues && !protocol && filter.test(name))
  const answers = await takeTurns(fileURLToPath(import.meta.url), {
    names: [ARRAY.name, ...selected.map(({ name }) => name)],
    jobs: SIZES.map(count => ({ count })),
    rounds: ROUNDS,
    cap: TIME_LIMIT,
    later: (job, slow) => job.count > slow.count,
  })
  const text = [
    '# The cost of queued messages',
    '',
    machine(),
    `${ROUNDS} rounds, each library in a process of its own: median, and the quartiles. The messages are short strings that exist before, so the heap`,
    'contains only the additional memory. In: nanoseconds per message for `send()` without a connection. Out: nanoseconds per message from `open` until',
    'the native socket, which is a fake, has received the last one. The array is the lower limit: `push()`, and a loop.',
    '',
    'Native WebSocket, sockette and robust-websocket queue no messages. iso-websocket queues 100 messages and loses the others without a report,',
    'so its times are not comparable. websocket-ts uses its `ArrayQueue`.',
  ]
  const shown = [{ name: 'array', isArray: true }, ...selected]
  const nameOf = peer => (peer.isArray ? 'array' : title(peer))
  for (const [i, count] of SIZES.entries()) {
    const rows = shown.map(peer => {
      const all = answers[peer.name][i]
      const slow = `> ${digits(TIME_LIMIT / 1_000)} s`
      if (all.includes(undefined)) return [nameOf(peer), '–', slow, '–', '–', '–']
      const of = key => all.map(answer => answer[key])
      const total = all.map(answer => answer.in + answer.out)
      const base = answers.array[i].map(answer => answer.in + answer.out)
      const times = median(total.map((value, round) => value / base[round]))
      const end = all.every(({ ordered }) => ordered) ? 'yes' : 'no'
      const lost = Math.max(...of('lost'))
      return [
        nameOf(peer),
        spread(of('in')),
        spread(of('out')),
        digits(times),
        digits(median(of('bytes'))),
        lost ? `${digits(lost)} lost` : end,
      ]
    })
    text.push('', `## ${count.toLocaleString('en')} messages`, '')
    text.push(table(['', 'in, ns', 'out, ns', '× array', 'heap, B', 'all, in order'], rows))
  }
  save('queue.md', text.join('\n'))
  const series = [...selected].sort((a, b) => Number(b.ours ?? 0) - Number(a.ours ?? 0))
  save(
    'queue.svg',
    lines({
      title: 'Nanoseconds to queue a message and send it',
      x: 'queued messages',
      y: 'ns per message',
      log: true,
      series: [...series, { name: 'array' }]
        .filter(({ queueLimit }) => !queueLimit)
        .map(peer => ({
          name: peer.name === 'array' ? 'array' : label(peer),
          points: SIZES.flatMap((count, i) => {
            const all = answers[peer.name][i]
            return all.includes(undefined) ? [] : [[count, median(all.map(one => one.in + one.out))]]
          }),
        })),
    }),
  )
}
