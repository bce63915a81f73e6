// Messages per second both ways in real browsers, against one server on the same machine.
// Usage, after npm run build:
//
//   node test/bench/browser.mjs [names that match]
//   ENGINES=chromium node test/bench/browser.mjs
//
// In each round every peer has its turn in the same page, over a new connection.
import { createServer } from 'node:http'
import { Server as SocketIo } from 'socket.io'
import { WebSocketServer } from 'ws'
import { bars } from './chart.mjs'
import { loadEngines, makePage } from './engines.mjs'
import { digits, machine, median, quantile, ratio, save, table, title, using, wanted } from './report.mjs'
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

/** Runs in the page: connects, has `count` messages go one way, and says how many milliseconds it took. */
const inPage = `
import { peers } from './peers.mjs'
globalThis.turn = ({ name, way, binary, count, size, url }) =>
  new Promise((resolve, reject) => {
    const peer = peers.find(other => other.name === name)
    const give = setTimeout(() => reject(new Error(name + ' did not finish, at ' + heard)), 20000)
    const data = binary ? new Uint8Array(size).buffer : 'x'.repeat(size)
    let heard = 0
    let began
    const end = () => {
      clearTimeout(give)
      const took = performance.now() - began
      handle.close()
      resolve(took)
    }
    const handle = peer.connect(url, {
      binaryType: 'arraybuffer',
      hear: {
        open() {
          setTimeout(() => {
            began = performance.now()
            if (way === 'down') return handle.send(JSON.stringify({ count, size, binary }))
            for (let i = 0; i < count; i++) handle.send(data)
            handle.send('end')
          }, 50)
        },
        message: () => ++heard === (way === 'down' ? count : 1) && end(),
      },
    })
  })
`

const flood = ({ count, size, binary }, send) => {
  const data = binary ? Buffer.alloc(size) : 'x'.repeat(size)
  for (let i = 0; i < count; i++) send(data)
}

/** A page, a bare server at the same address, and one for socket.io. Counts, so that 'end' is answered only after all. */
const startServer = async page => {
  const http = createServer((_, response) => {
    response.setHeader('content-type', 'text/html')
    response.end(page)
  })
  let got = 0
  const hear = (content, send) => {
    if (content === 'end') {
      if (got !== COUNT) throw new Error(`${got} messages of ${COUNT}`)
      got = 0
      send('done')
    } else if (typeof content === 'string' && content.startsWith('{')) flood(JSON.parse(content), send)
    else got++
  }
  const bare = new WebSocketServer({ noServer: true, perMessageDeflate: false })
  bare.on('connection', socket => {
    socket.on('message', (data, binary) => hear(binary ? data : `${data}`, one => socket.send(one)))
  })
  const io = new SocketIo({ serveClient: false, transports: ['websocket'] })
  io.attach(http)
  io.on('connection', socket => socket.on('message', content => hear(content, one => socket.send(one))))
  http.on('upgrade', (request, socket, head) => {
    if (request.url.startsWith('/socket.io')) return
    bare.handleUpgrade(request, socket, head, native => bare.emit('connection', native))
  })
  http.listen(0, '127.0.0.1')
  await new Promise(resolve => http.once('listening', resolve))
  return { port: http.address().port, close: () => io.close() }
}

const measure = async (engine, port, lot) => {
  const page = await engine.open(`http://127.0.0.1:${port}/`)
  const rates = Object.fromEntries(lot.map(({ name }) => [name, jobs.map(() => [])]))
  for (let round = -1; round < ROUNDS; round++) {
    for (const [i, { way, binary }] of jobs.entries()) {
      for (let k = 0; k < lot.length; k++) {
        const { name, protocol } = lot[(k + round + lot.length) % lot.length]
        const url = `${protocol ? 'http' : 'ws'}://127.0.0.1:${port}/`
        const job = { name, way, binary, count: COUNT, size: SIZE, url }
        const took = await page.evaluate(given => globalThis.turn(given), job)
        // The first round warms up.
        if (round >= 0) rates[name][i].push((COUNT / took) * 1_000)
      }
    }
  }
  await page.close()
  return rates
}

const thousands = values =>
  `${digits(median(values) / 1_000)} (${digits(quantile(values, 0.25) / 1_000)}–${digits(quantile(values, 0.75) / 1_000)})`

const lot = wanted(process.argv[2])
const server = await startServer(await makePage(inPage))
const text = [
  '# Messages per second in real browsers',
  '',
  machine(),
  `${using('ws', 'socket.io')} in the same process as this, one connection. ${ROUNDS} rounds of ${COUNT.toLocaleString('en')} messages of ${SIZE} B, all sent in one`,
  'task; thousands a second, median and quartiles, and their ratio to the native row of the same round. Upwards it ends when the',
  'server has said that it has all. The machine runs the server and the browser, and neither has it to itself.',
]
for (const { name, launch } of await loadEngines()) {
  const engine = await launch()
  try {
    const rates = await measure(engine, server.port, lot)
    const native = rates[lot[0].name]
    text.push('', `## ${name} ${engine.version}`)
    for (const [i, job] of jobs.entries()) {
      const rows = lot.map(peer => {
        const own = rates[peer.name][i]
        return [title(peer), thousands(own), ratio(own, native[i])]
      })
      text.push('', `### ${job.name}`, '', table(['', '1,000/s', '× native'], rows))
    }
    const rows = lot.map(peer => ({
      name: label(peer),
      value: median(rates[peer.name][0]) / 1_000,
      low: quantile(rates[peer.name][0], 0.25) / 1_000,
      high: quantile(rates[peer.name][0], 0.75) / 1_000,
      ours: peer.ours,
    }))
    save(
      `browser-${name}.svg`,
      bars({ title: `${name}: ${jobs[0].name}`, unit: '1,000 messages a second', rows }),
    )
  } finally {
    await engine.close()
  }
}
server.close()
save('browser.md', text.join('\n'))
process.exit()
