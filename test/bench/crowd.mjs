// The memory of a server with many idle connections, and the time of one message to all of them.
// Usage, after npm run build:
//
//   node test/bench/crowd.mjs                        100,000 connections on six nodes; writes results/crowd.md; takes about six minutes
//   node test/bench/crowd.mjs --connections 2000 --nodes 2 --only ws    only prints
//
// Each node is a process, because a process can usually open only some thousand files. The clients are plain TCP sockets, so that they need
// little memory themselves. They never acknowledge a message.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { contenders } from './contenders.mjs'
import { frame, handshake, RELIABLE } from './raw.mjs'
import { digits, machine, median, save, table } from './report.mjs'
import { version } from './versions.mjs'

const SIZE = 1_024
/** Handshakes of one client process that are in progress at the same time. */
const AT_ONCE = 50

/** By the name of the contender. `greeting`: what the client sends after the handshake. `greetings`: the number of frames that it receives until the server knows it. */
const KINDS = {
  ws: { label: `ws ${version('ws')}, without sessions` },
  'socket.io': {
    label: `socket.io ${version('socket.io')}, with connection state recovery`,
    path: '/socket.io/?EIO=4&transport=websocket',
    greeting: '40',
    greetings: 2,
  },
  reliable: {
    label: '**steadysocket/server**, sessions in memory',
    protocol: RELIABLE,
    greetings: 1,
  },
}

const [role, json] = process.argv.slice(2)

/** Calls `onFrame` for each frame of a server: opcode and payload. */
const createReader = onFrame => {
  let rest = Buffer.alloc(0)
  return chunk => {
    rest = rest.length ? Buffer.concat([rest, chunk]) : chunk
    for (;;) {
      if (rest.length < 2) return
      let size = rest[1] & 127
      let start = 2
      if (size === 126) {
        if (rest.length < 4) return
        size = rest.readUInt16BE(2)
        start = 4
      }
      if (rest.length < start + size) return
      const payload = rest.subarray(start, start + size)
      onFrame(rest[0] & 15, payload)
      rest = rest.subarray(start + size)
    }
  }
}

const serve = async ({ name }) => {
  const server = await contenders[name].serve({ onReceived() {} })
  const collect = async () => {
    for (let i = 0; i < 4; i++) {
      globalThis.gc()
      await new Promise(resolve => setTimeout(resolve, 50))
    }
    const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage()
    return { rss, heap: heapUsed, external: external + arrayBuffers }
  }
  process.on('message', async message => {
    if (message === 'memory') process.send({ memory: await collect() })
    if (message === 'all') {
      const { user, system } = process.cpuUsage()
      await server.all('x'.repeat(SIZE))
      const used = process.cpuUsage()
      process.send({ cpu: (used.user + used.system - user - system) / 1_000 })
    }
  })
  process.send({ port: server.port })
}

const beMany = ({ port, count, path = '/', protocol, greeting, greetings = 0 }) => {
  let ready = 0
  let heard = 0
  let lost = 0
  let started = 0
  const open = () => {
    if (started++ >= count) return
    const socket = connect(port, '127.0.0.1')
    let head = ''
    let frames = 0
    let read
    const isReady = () => {
      ready++
      if (ready === count) process.send({ ready })
      open()
    }
    socket.on('error', () => {})
    socket.on('close', () => {
      lost++
      process.send({ lost })
    })
    socket.on('data', chunk => {
      if (read) return read(chunk)
      head += chunk.toString('latin1')
      const end = head.indexOf('\r\n\r\n')
      if (end < 0) return
      read = createReader((opcode, payload) => {
        if (opcode === 9) return void socket.write(frame(payload, 10))
        // The ping of Engine.IO.
        if (payload.length === 1 && payload[0] === 50) return void socket.write(frame('3'))
        if (++frames === greetings) isReady()
        if (payload.length >= SIZE && ++heard === count) process.send({ heard })
      })
      if (greeting) socket.write(frame(greeting))
      if (!greetings) isReady()
      const rest = Buffer.from(head.slice(end + 4), 'latin1')
      head = ''
      if (rest.length) read(rest)
    })
    socket.write(handshake(path, protocol))
  }
  for (let i = 0; i < AT_ONCE; i++) open()
}

/** Starts this file in another process. `next(name)` resolves with the next message that has this property. */
const start = (role, job) => {
  const child = fork(fileURLToPath(import.meta.url), [role, JSON.stringify(job)], {
    execArgv: ['--expose-gc', '--max-old-space-size=8192'],
  })
  const waiting = new Map()
  child.on('message', message => {
    for (const [name, value] of Object.entries(message)) {
      waiting.get(name)?.(value)
      waiting.delete(name)
      if (name === 'lost') throw new Error(`${value} connections were lost`)
    }
  })
  child.on('exit', code => {
    if (code) throw new Error(`a process of ${role} exited with ${code}`)
  })
  return {
    next: name => new Promise(resolve => waiting.set(name, resolve)),
    send: message => child.send(message),
    async stop() {
      child.removeAllListeners('exit').removeAllListeners('message')
      child.kill()
      await once(child, 'exit')
    },
  }
}

const sum = values => values.reduce((all, value) => all + value, 0)

const measure = async (name, kind, connections, count) => {
  const nodes = Array.from({ length: count }, () => start('serve', { name }))
  const ports = await Promise.all(nodes.map(({ next }) => next('port')))
  const ask = question =>
    Promise.all(
      nodes.map(({ next, send }) => {
        const answer = next(question === 'all' ? 'cpu' : question)
        send(question)
        return answer
      }),
    )
  const empty = await ask('memory')
  const began = performance.now()
  const clients = ports.map((port, i) =>
    start('connect', { ...kind, port, count: Math.floor((connections + i) / count) }),
  )
  await Promise.all(clients.map(({ next }) => next('ready')))
  const connecting = performance.now() - began
  const full = await ask('memory')
  const heard = Promise.all(clients.map(({ next }) => next('heard')))
  const sent = performance.now()
  const cpu = await ask('all')
  await heard
  const took = performance.now() - sent
  await Promise.all([...clients, ...nodes].map(({ stop }) => stop()))
  const each = name => sum(full.map((memory, i) => memory[name] - empty[i][name])) / connections / 1_000
  return {
    rss: each('rss'),
    heap: each('heap') + each('external'),
    connect: connecting / connections,
    took,
    cpu: (sum(cpu) * 1_000) / connections,
  }
}

const main = async () => {
  const { values } = parseArgs({
    options: {
      connections: { type: 'string', default: '100000' },
      nodes: { type: 'string', default: '6' },
      rounds: { type: 'string', default: '3' },
      only: { type: 'string', default: '' },
    },
  })
  const isAll = process.argv.length === 2
  const connections = Number(values.connections)
  const kinds = Object.entries(KINDS).filter(([name]) => new RegExp(values.only).test(name))
  const results = new Map(kinds.map(([name]) => [name, []]))
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [name, kind] of kinds) {
      const result = await measure(name, kind, connections, Number(values.nodes))
      results.get(name).push(result)
      console.error(name, result)
    }
  }
  const rows = kinds.map(([name, { label }]) => {
    const of = key => digits(median(results.get(name).map(result => result[key])))
    return [label, of('rss'), of('heap'), of('took'), of('cpu')]
  })
  const text = `# The memory of many connections

${connections.toLocaleString('en')} connections, all open at the same time, on ${values.nodes} nodes of one machine. Medians of ${values.rounds} rounds. Kilobytes for each connection: the growth of the
process, and of its JavaScript heap and buffers after garbage collection. Then each node sends one text of 1 KiB to all of its connections, which
share two cores with the nodes: the time until the last one has it, and the processor time of the nodes for each connection.

${machine()} Written by \`node test/bench/crowd.mjs\`.

${table(['', 'kB, process', 'kB, heap and buffers', 'one message to all, ms', 'µs of processor time'], rows)}
`
  if (isAll) save('crowd.md', text)
  else console.log(text)
}

if (role === 'serve') await serve(JSON.parse(json))
else if (role === 'connect') beMany(JSON.parse(json))
else await main()
