// One side of one contender of reliable.mjs, in a process of its own: `side.mjs serve|connect JSON`.
import { subscribe } from 'node:diagnostics_channel'
import { contenders } from './contenders.mjs'

const [role, json] = process.argv.slice(2)
const job = JSON.parse(json)
const { name, way, size, binary, clients, redis } = job
const contender = contenders[name]

// Nothing outlives the run.
process.on('disconnect', () => process.exit())

/** The same clock in all processes of a machine, in milliseconds. */
const clock = () => Number(process.hrtime.bigint()) / 1e6
const tell = message => process.send(message)
const turn = () => new Promise(resolve => setImmediate(resolve))

const payload = binary
  ? Uint8Array.from({ length: size }, (_, i) => (i * 167) & 255)
  : Array.from({ length: size }, (_, i) => 'abcdefghij klmnopqrstuvwxyz'[(i * 7) % 27]).join('')

// The bytes on the wire, at the sockets themselves: no part of any contender's interface.
const taps = []
if (role === 'connect') subscribe('net.client.socket', ({ socket }) => taps.push(socket))
const bytes = () => ({
  up: taps.reduce((sum, { bytesWritten }) => sum + bytesWritten, 0),
  down: taps.reduce((sum, { bytesRead }) => sum + bytesRead, 0),
})

/** How many messages have come in this round, of how many. */
let count = 0
let expected = Infinity
let began = 0
let ended = 0
let complete = () => {}
/** Whoever sends to us goes on each time that so many more have come. */
let every = Infinity
const heard = () => {
  count++
  if (count % every === 0) tell({ go: every })
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

/** At most so many are on their way at once, for each client. */
const OUTSTANDING = { 32: 512, 1024: 512, 65536: 64 }

const pipeline = async ({ send, buffered }, n, share) => {
  if (buffered) {
    for (let i = 0; i < n; i++) {
      send(payload)
      while (buffered() > 2 ** 20 || i % 256 === 255) {
        await turn()
        if (buffered() <= 2 ** 20) break
      }
    }
    return
  }
  const most = Math.max(4, Math.ceil(OUTSTANDING[size] / share))
  let left = n
  // Each of these has one message on its way: the next leaves in the task in which the last is acknowledged.
  const worker = async () => {
    while (left-- > 0) await send(payload)
  }
  await Promise.all(Array.from({ length: Math.min(most, n) }, worker))
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
  tell({
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
  const packs = contender.packs && binary
  const side = await contender.serve({ heard, answers: way === 'ask', redis, asks: contender.asks, packs })
  let left = 0
  let next = 0
  const deliver = credit => {
    for (; credit > 0 && left > 0; credit--, left--) {
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
      // It is over when both sides say so: what is not acknowledged is only here.
      measure(() => expect(begin.n))
    } else {
      left = begin.n
      measure(() => {
        const finished = new Promise(resolve => {
          complete = resolve
        })
        deliver(begin.credit)
        return finished
      })
    }
    tell({ begun: true })
  })
  tell({ ready: side.port })
} else {
  const packs = contender.packs && binary
  const options = { port: job.port, heard, answers: way === 'ask', packs }
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
    tell({ begun: true })
  })
  tell({ ready: true })
}
