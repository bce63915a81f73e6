// The server or the clients of one library that reliable.mjs compares, in a process of their own: `side.mjs serve|connect JSON`.
import { subscribe } from 'node:diagnostics_channel'
import { contenders } from './contenders.mjs'

const [role, json] = process.argv.slice(2)
const job = JSON.parse(json)
const { name, way, size, binary, clients, redis } = job
const contender = contenders[name]

// The process ends with its parent.
process.on('disconnect', () => process.exit())

/** A clock that all processes of the machine share, in milliseconds. */
const clock = () => Number(process.hrtime.bigint()) / 1e6
const report = message => process.send(message)
const nextTask = () => new Promise(resolve => setImmediate(resolve))

const payload = binary
  ? Uint8Array.from({ length: size }, (_, i) => (i * 167) & 255)
  : Array.from({ length: size }, (_, i) => 'abcdefghij klmnopqrstuvwxyz'[(i * 7) % 27]).join('')

// The bytes on the network are counted at the TCP sockets, independently of the libraries.
const taps = []
if (role === 'connect') subscribe('net.client.socket', ({ socket }) => taps.push(socket))
const bytes = () => ({
  up: taps.reduce((sum, { bytesWritten }) => sum + bytesWritten, 0),
  down: taps.reduce((sum, { bytesRead }) => sum + bytesRead, 0),
})

/** How many messages were received in this round, and how many are expected. */
let count = 0
let expected = Infinity
let began = 0
let ended = 0
let complete = () => {}
/** After this many received messages, the sender may send as many again. */
let every = Infinity
const onReceived = () => {
  count++
  if (count % every === 0) report({ go: every })
  if (count < expected) return
  ended = clock()
  complete()
}
const expect = n => {
  count = 0
  expected = n
  return new Promise(resolve => {
    complete = resolve
  })
}

/** The number of unacknowledged messages that all clients together may have, by message size. */
const OUTSTANDING = { 32: 512, 1024: 512, 65536: 64 }

const pipeline = async ({ send, buffered }, n, share) => {
  if (buffered) {
    for (let i = 0; i < n; i++) {
      send(payload)
      while (buffered() > 2 ** 20 || i % 256 === 255) {
        await nextTask()
        if (buffered() <= 2 ** 20) break
      }
    }
    return
  }
  const concurrency = Math.max(4, Math.ceil(OUTSTANDING[size] / share))
  let remaining = n
  // Each worker has one unacknowledged message. It sends the next one in the task in which that is acknowledged.
  const worker = async () => {
    while (remaining-- > 0) await send(payload)
  }
  await Promise.all(Array.from({ length: Math.min(concurrency, n) }, worker))
}

let cpu
let before
const measure = async work => {
  ended = 0
  cpu = process.cpuUsage()
  before = bytes()
  began = clock()
  const times = await work()
  const used = process.cpuUsage(cpu)
  const after = bytes()
  report({
    done: {
      began,
      ended: ended || clock(),
      cpu: used.user + used.system,
      up: after.up - before.up,
      down: after.down - before.down,
      times,
    },
  })
}

if (role === 'serve') {
  const usesMessagePack = contender.usesMessagePack && binary
  const side = await contender.serve({
    onReceived,
    shouldAnswer: way === 'ask',
    redis,
    requestsAcks: contender.requestsAcks,
    usesMessagePack,
  })
  let remaining = 0
  let next = 0
  const deliver = credit => {
    for (; credit > 0 && remaining > 0; credit--, remaining--) {
      if (way === 'broadcast') side.all(payload)
      else side.send(next++ % clients, payload)
    }
  }
  process.on('message', ({ begin, go, finish, exit }) => {
    if (exit) process.exit()
    if (go) deliver(way === 'broadcast' ? go / clients : go)
    if (finish) complete()
    if (!begin) return
    if (way === 'up' || way === 'ask') {
      // A turn ends when both processes report its end, because some of the messages that this process has received are not acknowledged yet.
      measure(() => expect(begin.n))
    } else {
      remaining = begin.n
      measure(() => {
        const finished = new Promise(resolve => {
          complete = resolve
        })
        deliver(begin.credit)
        return finished
      })
    }
    report({ begun: true })
  })
  report({ ready: side.port })
} else {
  const usesMessagePack = contender.usesMessagePack && binary
  const options = { port: job.port, onReceived, shouldAnswer: way === 'ask', usesMessagePack }
  const sides = []
  for (let i = 0; i < clients; i++) sides.push(await contender.connect(options))
  process.on('message', ({ begin, exit }) => {
    if (exit) process.exit()
    if (!begin) return
    const { n } = begin
    if (way === 'up')
      measure(() => Promise.all(sides.map(side => pipeline(side, n / clients, clients))).then(() => {}))
    else if (way === 'ask') {
      measure(async () => {
        const times = []
        const ask = async side => {
          for (let i = 0; i < n / clients; i++) {
            const start = performance.now()
            await side.send(payload)
            times.push(performance.now() - start)
          }
        }
        await Promise.all(sides.map(ask))
        return times
      })
    } else {
      every = begin.every
      measure(() => expect(way === 'broadcast' ? n * clients : n))
    }
    report({ begun: true })
  })
  report({ ready: true })
}
