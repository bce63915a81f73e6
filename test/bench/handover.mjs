// Messages that are lost in real browsers when an open connection is replaced, and when a page wakes up with a dead connection.
// Usage, after npm run build:
//
//   node test/bench/handover.mjs           writes results/handover.md
//   node test/bench/handover.mjs --quick   fewer rounds, and only prints the tables
//   ENGINES=chromium node test/bench/handover.mjs
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { Server as SocketIo } from 'socket.io'
import { WebSocketServer } from 'ws'
import { loadEngines, makePage } from './engines.mjs'
import { startProxy } from './faults.mjs'
import { peers } from './peers.mjs'
import { machine, median, quantile, save, table, using } from './report.mjs'
import { tally } from './tally.mjs'
import { label } from './versions.mjs'

const quick = process.argv.includes('--quick')
const TIMES = quick ? 4 : 20
const WAKES = quick ? 1 : 5
/** The latency in each direction, in milliseconds. */
const DELAY = 20
/** The milliseconds between two messages: two hundred per second in each direction. */
const PERIOD = 5
/** The longest time to wait for a reconnection after a wake-up, in milliseconds. */
const LIMIT = 30_000

/** The libraries that replace their connection, and their methods. For the browser's class, the page closes it and creates another. */
const REPLACEMENTS = [
  { name: 'steadysocket', way: 'handover', id: true, note: '`handover()`, with `id`' },
  { name: 'steadysocket', way: 'handover', note: '`handover()`, without `id`' },
  { name: 'steadysocket', way: 'reconnect', note: '`reconnect()`' },
  { name: 'native WebSocket', way: 'reconnect', note: 'closed and created again' },
  ...['reconnecting-websocket', 'partysocket', '@nktkas/rews', 'sturdy-websocket', 'sockette'].map(name => ({
    name,
    way: 'reconnect',
    note: '`reconnect()`',
  })),
  { name: 'socket.io-client', way: 'reconnect', note: '`disconnect().connect()`' },
]

/** The milliseconds that the server takes to answer, and the round trips of a handshake: two with TCP and HTTP, one with HTTP/2. */
const ANSWERS = [0, 50, 300].flatMap(answer => [1, 2].map(roundTrips => ({ answer, roundTrips })))

/** Runs in the page. */
const inPage = `
import { peers } from './peers.mjs'
const nativeClient = {
  connect(url, { listeners = {} } = {}) {
    let socket
    const connect = () => {
      socket = new WebSocket(url)
      socket.onopen = event => listeners.open?.(event)
      socket.onmessage = ({ data }) => listeners.message?.(data)
    }
    connect()
    return {
      send: data => socket.send(data),
      close: () => socket.close(),
      reconnect() {
        socket.onmessage = null
        socket.close()
        connect()
      },
    }
  },
}
const find = name => (name === 'native WebSocket' ? nativeClient : peers.find(peer => peer.name === name))
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

/** Replaces the connection this many times, with a stream of messages in both directions. */
globalThis.replaceRepeatedly = async ({ name, way, id, url, times, period }) => {
  const received = []
  const silences = []
  let last
  let longest = 0
  let next = 0
  const sockets = new Set()
  let opened = () => {}
  const open = new Promise(resolve => {
    opened = resolve
  })
  const handle = find(name).connect(url, {
    best: true,
    options: id && { handover: { id: data => data } },
    listeners: {
      open: () => opened(),
      message(data) {
        const now = performance.now()
        if (last) longest = Math.max(longest, now - last)
        last = now
        received.push(data)
      },
    },
  })
  await open
  const timer = setInterval(() => {
    const data = 'up ' + next++
    try {
      handle.send(data)
    } catch {}
  }, period)
  await sleep(300)
  for (let i = 0; i < times; i++) {
    longest = 0
    last = performance.now()
    await handle[way]()
    await sleep(1_000)
    silences.push(Math.max(longest, performance.now() - last))
  }
  clearInterval(timer)
  await sleep(1_500)
  handle.close()
  return { sent: next, received, silences }
}

/** For all libraries at once: opens connections. Then \`wake()\` simulates a wake-up, and sends five messages in the first second. */
globalThis.prepare = async list => {
  globalThis.wakingClients = list.map(({ name, url }) => {
    const one = { opened: 0, queued: 0 }
    one.handle = find(name).connect(url, {
      best: true,
      listeners: {
        open() {
          one.opened++
          if (one.woken !== undefined) one.reopened ??= performance.now() - one.woken
        },
      },
    })
    return one
  })
  while (wakingClients.some(({ opened }) => !opened)) await sleep(20)
}
globalThis.wake = async limit => {
  for (const one of wakingClients) one.woken = performance.now()
  dispatchEvent(new Event('online'))
  for (let i = 0; i < 5; i++) {
    for (const { handle } of wakingClients) {
      try {
        handle.send('woken ' + i)
      } catch {}
    }
    await sleep(200)
  }
  const since = performance.now()
  while (performance.now() - since < limit && wakingClients.some(({ reopened }) => reopened === undefined)) await sleep(50)
  await sleep(1_000)
  for (const { handle } of wakingClients) handle.close()
  return wakingClients.map(({ reopened }) => reopened)
}
`

/** Serves the page, plain WebSockets, and socket.io. `answer`: the milliseconds after which the server echoes a message. */
const startServer = async html => {
  const http = createServer((_, response) => {
    response.setHeader('content-type', 'text/html')
    response.end(html)
  })
  const server = { received: [], pushed: 0, answer: undefined, roundTrips: 1 }
  const clients = new Set()
  const add = (name, send) => {
    const client = { send, name }
    clients.add(client)
    return client
  }
  const receive = (client, data) => {
    server.received.push({ name: client.name, data })
    if (server.answer !== undefined) setTimeout(client.send, server.answer, data)
  }
  const nameOf = url => new URL(url, 'http://server').searchParams.get('name')
  const bare = new WebSocketServer({ noServer: true, perMessageDeflate: false })
  bare.on('connection', (socket, { url }) => {
    const client = add(nameOf(url), data => socket.send(data))
    socket.on('error', () => {})
    socket.on('message', data => receive(client, `${data}`))
    socket.on('close', () => clients.delete(client))
  })
  const io = new SocketIo({ serveClient: false, transports: ['websocket'] })
  io.attach(http)
  io.on('connection', socket => {
    const client = add(socket.handshake.query.name, data => socket.send(data))
    socket.on('message', data => receive(client, data))
    socket.on('disconnect', () => clients.delete(client))
  })
  http.on('upgrade', (request, socket, head) => {
    if (request.url.startsWith('/socket.io')) return
    const upgrade = () =>
      bare.handleUpgrade(request, socket, head, one => bare.emit('connection', one, request))
    setTimeout(upgrade, (server.roundTrips - 1) * 2 * DELAY)
  })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const push = () => {
    for (const { send } of clients) send(`down ${server.pushed}`)
    server.pushed++
  }
  let pushing
  return Object.assign(server, {
    port: http.address().port,
    push(on) {
      clearInterval(pushing)
      if (on) pushing = setInterval(push, PERIOD)
    },
    reset(answer, roundTrips = 1) {
      Object.assign(server, { received: [], answer, roundTrips })
    },
    close: () => io.close(),
  })
}

const numbersOf = (texts, name) =>
  texts.filter(text => text.startsWith(name)).map(text => Number(text.slice(name.length)))
/** Counts from the first message that arrived: the client was not connected before. */
const tallyFrom = numbers => {
  const [first = 0] = numbers
  return tally(
    Math.max(0, ...numbers.map(number => number - first + 1)),
    numbers.map(number => number - first),
  )
}
const faultsOf = ({ lost, duplicated, reordered }) => `${lost} · ${duplicated} · ${reordered}`
const range = values => [0, 0.5, 1].map(q => Math.round(quantile(values, q))).join(' · ')

/** The title of a row: the library with its version, and ours in bold. */
const titleOf = ({ name, note }) => {
  const peer = peers.find(peer => peer.name === name)
  const words = [label(peer), note].filter(Boolean).join(', ')
  return peer.ours ? `**${words}**` : words
}

const schemeOf = name => (name === 'socket.io-client' ? 'http' : 'ws')

const measureReplacements = async (page, server, proxy) => {
  const rows = []
  for (const replacement of REPLACEMENTS) {
    server.reset(undefined, 2)
    server.push(true)
    const url = `${schemeOf(replacement.name)}://127.0.0.1:${proxy.port}/?name=one`
    const given = { ...replacement, url, times: TIMES, period: PERIOD }
    const { sent, received, silences } = await page.evaluate(
      given => globalThis.replaceRepeatedly(given),
      given,
    )
    server.push(false)
    const up = numbersOf(
      server.received.map(({ data }) => data),
      'up ',
    )
    const down = numbersOf(received, 'down ')
    rows.push([titleOf(replacement), faultsOf(tallyFrom(down)), faultsOf(tally(sent, up)), range(silences)])
  }
  return rows
}

const measureLostAnswers = async (page, server, proxy) => {
  const rows = []
  for (const { answer, roundTrips } of ANSWERS) {
    server.reset(answer, roundTrips)
    const url = `ws://127.0.0.1:${proxy.port}/?name=one`
    const given = { name: 'steadysocket', way: 'handover', url, times: TIMES, period: PERIOD }
    const { sent, received, silences } = await page.evaluate(
      given => globalThis.replaceRepeatedly(given),
      given,
    )
    const { lost } = tally(sent, numbersOf(received, 'up '))
    rows.push([`${answer} ms, ${roundTrips}`, `${lost}`, (lost / TIMES).toFixed(1), range(silences)])
  }
  return rows
}

const measureWakes = async (engine, server) => {
  const list = peers.filter(({ reconnects, name }) => reconnects || /^native/.test(name))
  const found = list.map(() => ({ times: [], lost: 0 }))
  for (let i = 0; i < WAKES; i++) {
    server.reset(undefined)
    const proxy = await startProxy({ port: server.port })
    const page = await engine.open(`http://127.0.0.1:${server.port}/`)
    const places = list.map(({ name }, at) => ({
      name,
      url: `${schemeOf(name)}://127.0.0.1:${proxy.port}/?name=${at}`,
    }))
    await page.evaluate(list => globalThis.prepare(list), places)
    for (const connection of proxy.connections) connection.freeze()
    const reopened = await page.evaluate(limit => globalThis.wake(limit), quick ? 3_000 : LIMIT)
    for (const [at, one] of found.entries()) {
      if (reopened[at] !== undefined && reopened[at] !== null) one.times.push(reopened[at])
      one.lost +=
        5 - new Set(server.received.filter(({ name }) => name === `${at}`).map(({ data }) => data)).size
    }
    await page.close()
    await proxy.close()
  }
  return list.map((peer, at) => {
    const { times, lost } = found[at]
    const after = times.length < WAKES ? `not within ${LIMIT / 1_000} s` : `${Math.round(median(times))} ms`
    return [titleOf(peer), after, `${lost} of ${5 * WAKES}`]
  })
}

const server = await startServer(await makePage(inPage))
const text = [
  '# Replacing a connection that is open',
  '',
  machine(),
  `Real browsers, and servers (${using('ws', 'socket.io')}) behind a proxy, all on one machine. Written by \`node test/bench/handover.mjs\`.`,
]
for (const { name, launch } of await loadEngines()) {
  const engine = await launch()
  try {
    text.push('', `## ${name} ${engine.version}`)
    const wakes = await measureWakes(engine, server)
    text.push(
      '',
      '### Waking up with a dead connection',
      '',
      'The open connection transfers no bytes any more, and new connections work. The page receives the event `online`, and sends five messages in',
      `the following second. The columns are the median of ${WAKES} wake-ups, and the number of messages that never arrived. This package has default options.`,
      '',
      table(['', 'open again after', 'lost'], wakes),
    )
    const proxy = await startProxy({ port: server.port })
    proxy.delay(DELAY)
    const page = await engine.open(`http://127.0.0.1:${server.port}/`)
    const replacements = await measureReplacements(page, server, proxy)
    text.push(
      '',
      '### Moving to another connection',
      '',
      `The connection is replaced ${TIMES} times, once per second, with 200 messages per second and a latency of ${DELAY} ms in each direction, and a handshake of two round trips.`,
      'The server sends to all open connections. The columns are the total numbers of messages that were lost · received twice · out of order, and the longest time without a message from the server, in ms: minimum · median · maximum.',
      "sockette's `reconnect()` leaves the first connection open.",
      '',
      table(['', 'from the server', 'to the server', 'silence, ms'], replacements),
    )
    const answers = await measureLostAnswers(page, server, proxy)
    text.push(
      '',
      '### Answers that are lost at `handover()`',
      '',
      'The server echoes each message on the connection on which it arrived, after the time in the first column. The second number in that column is the round trips',
      'of the handshake: one as with HTTP/2, two as with TCP and HTTP/1.1. Browsers discard messages that arrive after `close()`.',
      '',
      table(['answer after, handshake', 'answers lost', 'per replacement', 'silence, ms'], answers),
    )
    await page.close()
    await proxy.close()
  } finally {
    await engine.close()
  }
}
server.close()
if (quick) console.log(text.join('\n'))
else {
  // The section "Long runs" has results of test/engines/handover.test.ts, which were added by hand. It is kept.
  const [, longRuns = ''] = readFileSync(new URL('results/handover.md', import.meta.url), 'utf8').split(
    /^(?=## Long runs)/m,
  )
  save('handover.md', [...text, '', longRuns].join('\n'))
}
process.exit()
