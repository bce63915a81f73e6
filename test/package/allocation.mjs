// How many bytes a message allocates on its way through the built core, on a socket that is open. A process of its own, for
// the collector must not come in between: run with --expose-gc and a young generation that has room for all of it.
import { createSocket } from '../../dist/index.js'

const MESSAGES = 100_000

class Bare {
  readyState = 0
  bufferedAmount = 0
  constructor() {
    Bare.last = this
  }
  send() {}
  close() {}
}

const socket = createSocket('ws://bare.test/', { WebSocket: Bare, wake: false })
const native = Bare.last
native.readyState = 1
native.onopen()

let heard = 0
const count = () => heard++
for (const type of ['text', 'binary']) {
  socket.on(type, count)
  // A second one, so that a list is walked.
  socket.on(type, () => count())
}

const text = { data: 'x'.repeat(64) }
const binary = { data: new ArrayBuffer(64) }
const wishes = { key: 'price' }
const jobs = {
  text: () => native.onmessage(text),
  binary: () => native.onmessage(binary),
  send: () => socket.send(text.data),
  // What is asked of a message is kept beside it: an object, and nothing else.
  'send with a key': () => socket.send(text.data, wishes),
}

const repeat = job => {
  for (let i = 0; i < MESSAGES; i++) job()
}
const measure = job => {
  globalThis.gc()
  const { heapUsed } = process.memoryUsage()
  repeat(job)
  return (process.memoryUsage().heapUsed - heapUsed) / MESSAGES
}

for (const job of Object.values(jobs)) repeat(job)
const bytes = {}
// The engine's own work, a function optimised anew, is in one of them at times: the least of three.
for (const [name, job] of Object.entries(jobs)) {
  bytes[name] = Math.min(measure(job), measure(job), measure(job))
}
if (heard !== 8 * MESSAGES * 2) throw new Error(`heard ${heard}`)
if (socket.stats.sent !== 8 * MESSAGES) throw new Error(`sent ${socket.stats.sent}`)
console.log(JSON.stringify(bytes))
