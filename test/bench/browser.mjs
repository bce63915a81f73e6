// Messages per second both ways in real browsers, against one server on the same machine.
// Usage, after npm run build:
//
//   node test/bench/browser.mjs [names that match]
//   ENGINES=chromium node test/bench/browser.mjs
//
// In each round, every library is measured once in the same page, over a new connection.
import { createServer } from 'node:http'
import { Server as SocketIo } from 'socket.io'
import { WebSocketServer } from 'ws'
import { bars } from './chart.mjs'
import { loadEngines, makePage } from './engines.mjs'
import {
  digits,
  machine,
  median,
  quantile,
  ratio,
  save,
  selectPeers,
  table,
  title,
  using,
} from './report.mjs'
import { label } from './versions.mjs'

const ROUNDS = 7
const COUNT = 10_000
const SIZE = 64

const jobs = [
  { name: 'server → page, text', way: 'down' },
  { name: 'server → page, binary', way: 'down', binary: true },
  { name: 'page → server, text', way: 'up' },
  { name: 'page → server, binary', way: 'up', binary: true },
]

/** Runs in the page: connects, transfers `count` messages in one direction, and returns how many milliseconds that took. */
const inPage = `
import { peers } from './peers.mjs'
globalThis.measureTransfer = ({ name, way, binary, count, size, url }) =>
  new Promise((resolve, reject) => {
    const peer = peers.find(other => other.name === name)
    const timer = setTimeout(() => reject(new Error(name + ' did not finish, at ' + received)), 20000)
    const data = binary ? new Uint8Array(size).buffer : 'x'.repeat(size)
    let received = 0
    let start
    const end = () => {
      clearTimeout(timer)
      const duration = performance.now() - start
      handle.close()
      resolve(duration)
    }
    const handle = peer.connect(url, {
      binaryType: 'arraybuffer',
      listeners: {
        open() {
          setTimeout(() => {
            start = performance.now()
            if (way === 'down') return handle.send(JSON.stringify({ count, size, binary }))
            for (let i = 0; i < count; i++) handle.send(data)
            handle.send('end')
          }, 50)
        },
        message: () => ++received === (way === 'down' ? count : 1) && end(),
      },
    })
  })
`

const flood = ({ count, size, binary }, send) => {
  const data = binary ? Buffer.alloc(size) : 'x'.repeat(size)
  for (let i = 0; i < count; i++) send(data)
}

/** Serves the page, plain WebSockets, and socket.io on one port. Answers 'end' only after it has received all messages. */
const startServer = async page => {
  const http = createServer((_, response) => {
    response.setHeader('content-type', 'text/html')
    response.end(page)
  })
  let received = 0
  const receive = (content, send) => {
    if (content === 'end') {
      if (received !== COUNT) throw new Error(`${received} messages of ${COUNT}`)
      received = 0
      send('done')
    } else if (typeof content === 'string' && content.startsWith('{')) flood(JSON.parse(content), send)
    else received++
  }
  const bare = new WebSocketServer({ noServer: true, perMessageDeflate: false })
  bare.on('connection', socket => {
    socket.on('message', (data, binary) => receive(binary ? data : `${data}`, one => socket.send(one)))
  })
  const io = new SocketIo({ serveClient: false, transports: ['websocket'] })
  io.attach(http)
  io.on('connection', socket => socket.on('message', content => receive(content, one => socket.send(one))))
  http.on('upgrade', (request, socket, head) => {
    if (request.url.startsWith('/socket.io')) return
    bare.handleUpgrade(request, socket, head, native => bare.emit('connection', native))
  })
  http.listen(0, '127.0.0.1')
  await new Promise(resolve => http.once('listening', resolve))
  return { port: http.address().port, close: () => io.close() }
}

const measure = async (engine, port, selected) => {
  const page = await engine.open(`http://127.0.0.1:${port}/`)
  const rates = Object.fromEntries(selected.map(({ name }) => [name, jobs.map(() => [])]))
  for (let round = -1; round < ROUNDS; round++) {
    for (const [i, { way, binary }] of jobs.entries()) {
      for (let k = 0; k < selected.length; k++) {
        const { name, protocol } = selected[(k + round + selected.length) % selected.length]
        const url = `${protocol ? 'http' : 'ws'}://127.0.0.1:${port}/`
        const job = { name, way, binary, count: COUNT, size: SIZE, url }
        const duration = await page.evaluate(given => globalThis.measureTransfer(given), job)
        // The first round is a warm-up.
        if (round >= 0) rates[name][i].push((COUNT / duration) * 1_000)
      }
    }
  }
  await page.close()
  return rates
}

const thousands = values =>
  `${digits(median(values) / 1_000)} (${digits(quantile(values, 0.25) / 1_000)}–${digits(quantile(values, 0.75) / 1_000)})`

const selected = selectPeers(process.argv[2])
const server = await startServer(await makePage(inPage))
const text = [
  '# Messages per second in real browsers',
  '',
  machine(),
  `The server (${using('ws', 'socket.io')}) runs in the process of this script, with one connection at a time. ${ROUNDS} rounds of ${COUNT.toLocaleString('en')} messages of ${SIZE} B,`,
  'all sent in one task. Thousands of messages per second: median and quartiles, and the ratio to the native WebSocket in the same round.',
  'Messages to the server are timed until the server has confirmed all of them. The server and the browser share the machine.',
]
for (const { name, launch } of await loadEngines()) {
  const engine = await launch()
  try {
    const rates = await measure(engine, server.port, selected)
    const native = rates[selected[0].name]
    text.push('', `## ${name} ${engine.version}`)
    for (const [i, job] of jobs.entries()) {
      const rows = selected.map(peer => {
        const own = rates[peer.name][i]
        return [title(peer), thousands(own), ratio(own, native[i])]
      })
      text.push('', `### ${job.name}`, '', table(['', '1,000/s', '× native'], rows))
    }
    const rows = selected.map(peer => ({
      name: label(peer),
      value: median(rates[peer.name][0]) / 1_000,
      low: quantile(rates[peer.name][0], 0.25) / 1_000,
      high: quantile(rates[peer.name][0], 0.75) / 1_000,
      ours: peer.ours,
    }))
    save(
      `browser-${name}.svg`,
      bars({ title: `${name}: ${jobs[0].name}`, unit: '1,000 messages per second', rows }),
    )
  } finally {
    await engine.close()
  }
}
server.close()
save('browser.md', text.join('\n'))
process.exit()
