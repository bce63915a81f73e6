// Measures the bytes that a message allocates in the built core, on an open socket. It runs in a process of its own with --expose-gc and a large young
// generation, so that no garbage is collected during a measurement.
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

let received = 0
const count = () => received++
for (const type of ['text', 'binary']) {
  socket.on(type, count)
  // With a second listener, the emitter iterates over a list.
  socket.on(type, () => count())
}

const text = { data: 'x'.repeat(64) }
const binary = { data: new ArrayBuffer(64) }
const options = { key: 'price' }
const jobs = {
  text: () => native.onmessage(text),
  binary: () => native.onmessage(binary),
  send: () => socket.send(text.data),
  // The options of a message are stored in one object.
  'send with a key': () => socket.send(text.data, options),
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
// The minimum of three measurements, because the engine may allocate memory itself, to optimize a function.
for (const [name, job] of Object.entries(jobs)) {
  bytes[name] = Math.min(measure(job), measure(job), measure(job))
}
if (received !== 8 * MESSAGES * 2) throw new Error(`heard ${received}`)
if (socket.stats.sent !== 8 * MESSAGES) throw new Error(`sent ${socket.stats.sent}`)
console.log(JSON.stringify(bytes))
