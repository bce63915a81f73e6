// What an outage costs those who keep messages for it: to take them in, to hold them, and to hand them over in order.
// Usage, after npm run build:
//
//   node --expose-gc test/bench/queue.mjs [names that match]
import { fileURLToPath } from 'node:url'
import { lines } from './chart.mjs'
import { FakeWebSocket, made } from './fake.mjs'
import { peers } from './peers.mjs'
import { digits, machine, median, save, spread, table, title } from './report.mjs'
import { isServing, serve, takeTurns } from './turns.mjs'
import { label } from './versions.mjs'

const SIZES = [1_000, 10_000, 100_000, 1_000_000]
const ROUNDS = 5
/** What takes longer than this, in milliseconds, is not waited for. */
const CAP = 15_000

/** Not a peer: what the fastest queue that there can be would take. */
const ARRAY = {
  name: 'array',
  connect(url, { WebSocket }) {
    const native = new WebSocket(url)
    const kept = []
    native.onopen = () => {
      for (const data of kept) native.send(data)
      kept.length = 0
    }
    return { send: data => kept.push(data), close() {} }
  },
}

const turn = async (peer, count) => {
  const messages = Array.from({ length: count }, (_, i) => `m${i}`)
  const handle = peer.connect('ws://fake.test/', { WebSocket: FakeWebSocket, best: true })
  const native = await made()
  let next = 0
  let ordered = true
  native.take = data => {
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
  // Who hands over in portions goes on in a task of its own; who has lost some has none to come.
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

const serving = async name => {
  const peer = name === ARRAY.name ? ARRAY : peers.find(other => other.name === name)
  for (let i = 0; i < 5; i++) await turn(peer, 2_000)
  return ({ count }) => turn(peer, count)
}

if (isServing) await serve(serving)
else {
  const filter = new RegExp(process.argv[2] ?? '')
  const lot = peers.filter(({ name, queues, protocol }) => queues && !protocol && filter.test(name))
  const answers = await takeTurns(fileURLToPath(import.meta.url), {
    names: [ARRAY.name, ...lot.map(({ name }) => name)],
    jobs: SIZES.map(count => ({ count })),
    rounds: ROUNDS,
    cap: CAP,
    later: (job, slow) => job.count > slow.count,
  })
  const text = [
    '# What an outage costs those who keep messages for it',
    '',
    machine(),
    `${ROUNDS} rounds, each library in a process of its own; median, and the quartiles. Short text messages that exist already: the heap is`,
    'what keeping them takes on top. In: nanoseconds a message for `send()` without a connection. Out: from `open` until the native',
    'socket, a fake, has the last one. The array is what no queue can beat: `push`, and a loop.',
    '',
    'Native WebSocket, sockette and robust-websocket keep nothing. iso-websocket keeps 100 messages and loses the others without a word,',
    'so that its times are not of the same work. websocket-ts has its `ArrayQueue`.',
  ]
  const shown = [{ name: 'array', isArray: true }, ...lot]
  const nameOf = peer => (peer.isArray ? 'array' : title(peer))
  for (const [i, count] of SIZES.entries()) {
    const rows = shown.map(peer => {
      const all = answers[peer.name][i]
      const slow = `> ${digits(CAP / 1_000)} s`
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
  const series = [...lot].sort((a, b) => Number(b.ours ?? 0) - Number(a.ours ?? 0))
  save(
    'queue.svg',
    lines({
      title: 'Nanoseconds to take in a message and hand it over',
      x: 'messages that waited',
      y: 'ns a message',
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
