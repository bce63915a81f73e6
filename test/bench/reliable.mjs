// Reliable sessions beside socket.io and beside a bare `ws`: messages per second, latency, bytes on the wire, processor time.
// Usage, after npm run build:
//
//   node test/bench/reliable.mjs                      all loads, as tables in Markdown
//   node test/bench/reliable.mjs --only 'up .* text'  the loads whose name matches
//   node test/bench/reliable.mjs --contenders 'ws;reliable;socket.io'
//   node test/bench/reliable.mjs --rounds 15 --ms 300 more rounds, each of about so many milliseconds
//   node test/bench/reliable.mjs --before DIR         another build of the package as one contender more
//   node test/bench/reliable.mjs --json FILE          the measurements as well
//   node test/bench/reliable.mjs --from FILE          the tables of such measurements again
//   node test/bench/reliable.mjs --profile DIR        a profile of each process, with one contender at a time
//
// Server and clients have a process each. In each round every contender has its turn, and ratios are of turns of the same round:
// whatever else keeps the machine busy keeps all of them busy alike.
import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { cpus, loadavg, tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { contenders } from './contenders.mjs'

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    contenders: { type: 'string' },
    rounds: { type: 'string', default: '9' },
    ms: { type: 'string', default: '150' },
    json: { type: 'string' },
    from: { type: 'string' },
    before: { type: 'string' },
    profile: { type: 'string' },
  },
})
const rounds = Number(options.rounds)
const side = fileURLToPath(new URL('side.mjs', import.meta.url))

/** What goes wrong in a turn is over after so many milliseconds. */
const PATIENCE = 30_000

const LABELS = {
  up: 'client → server, acknowledged',
  ask: 'client → server, one at a time',
  down: 'server → client',
  broadcast: 'server → all clients',
}

const loads = []
for (const way of Object.keys(LABELS)) {
  for (const size of [32, 1024, 65536]) {
    for (const binary of [false, true]) {
      for (const clients of [1, 50]) {
        if (way === 'broadcast' ? clients === 1 || binary : way === 'ask' && binary) continue
        const shown = size < 1024 ? `${size} B` : `${size / 1024} KiB`
        const what = `${shown} ${binary ? 'binary' : 'text'}, ${clients} client${clients > 1 ? 's' : ''}`
        loads.push({ name: `${way} ${what}`, what, way, size, binary, clients })
      }
    }
  }
}

const version = name => {
  const { version } = JSON.parse(
    readFileSync(new URL(`../../node_modules/${name}/package.json`, import.meta.url)),
  )
  return `${name} ${version}`
}

const startRedis = async () => {
  const program = process.env.REDIS_PATH ?? '/usr/bin/redis-server'
  if (!existsSync(program)) return undefined
  const free = createServer().listen(0, '127.0.0.1')
  await once(free, 'listening')
  const { port } = free.address()
  free.close()
  await once(free, 'close')
  const child = spawn(
    program,
    ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', tmpdir()],
    { stdio: 'ignore' },
  )
  process.on('exit', () => child.kill('SIGKILL'))
  return { url: `redis://127.0.0.1:${port}`, stop: () => child.kill('SIGKILL') }
}

/** A process, and what it says next of a kind. */
const start = (role, job) => {
  const execArgv = options.profile ? ['--cpu-prof', '--cpu-prof-dir', `${options.profile}/${role}`] : []
  const child = fork(side, [role, JSON.stringify(job)], {
    env: contenders[job.name].before ? { ...process.env, BENCH_DIST: options.before } : process.env,
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    execArgv,
  })
  const waiting = new Map()
  const told = new Map()
  let words = ''
  let over
  const end = why => {
    over ??= new Error(`${role}: ${why} ${words.trim().split('\n').slice(0, 6).join(' ')}`)
    for (const { reject } of waiting.values()) reject(over)
    waiting.clear()
  }
  child.stderr.on('data', data => {
    words += data
    process.stderr.write(data)
  })
  child.on('exit', () => end('it has exited'))
  child.on('message', message => {
    for (const [kind, value] of Object.entries(message)) {
      const listener = waiting.get(kind)
      waiting.delete(kind)
      if (listener) listener.resolve(value)
      else told.set(kind, value)
    }
  })
  return {
    child,
    tell: message => child.connected && child.send(message),
    hear: kind =>
      new Promise((resolve, reject) => {
        if (over) return reject(over)
        if (told.has(kind)) {
          resolve(told.get(kind))
          return told.delete(kind)
        }
        const timer = setTimeout(() => end(`no word of '${kind}' for ${PATIENCE} ms`), PATIENCE)
        const settle = done => value => {
          clearTimeout(timer)
          done(value)
        }
        waiting.set(kind, { resolve: settle(resolve), reject: settle(reject) })
      }),
    async stop() {
      if (child.exitCode !== null || child.signalCode) return
      // A profile is written at the end.
      if (options.profile) child.send({ exit: true })
      else child.kill('SIGKILL')
      await once(child, 'exit')
    },
  }
}

/** A contender under a load: `turn(n)` sends n messages and says what it took. */
const enter = async (name, load, redis) => {
  const { needsRedis } = contenders[name]
  const job = { ...load, name, redis: needsRedis ? redis : undefined }
  const server = start('serve', job)
  const client = start('connect', { ...job, port: await server.hear('ready') })
  const stop = () => Promise.all([client.stop(), server.stop()])
  client.child.on('message', ({ go }) => go && server.tell({ go }))
  await client.hear('ready')

  const { way, clients, size } = load
  const every = (way === 'broadcast' ? clients : 1) * (size > 2_000 ? 8 : 100)
  const turn = async n => {
    const fromServer = way === 'down' || way === 'broadcast'
    const first = fromServer ? client : server
    const second = fromServer ? server : client
    first.tell({ begin: { n, every } })
    await first.hear('begun')
    second.tell({ begin: { n, credit: (2 * every) / (way === 'broadcast' ? clients : 1) } })
    await second.hear('begun')
    const there = await client.hear('done')
    if (fromServer) server.tell({ finish: true })
    const here = await server.hear('done')
    const began = Math.min(here.began, there.began)
    const from = fromServer ? here.began : there.began
    const ended = fromServer ? there.ended : Math.max(here.ended, there.ended)
    if (!(from >= began)) throw new Error('the clocks do not agree')
    const messages = way === 'broadcast' ? n * clients : n
    return {
      rate: (messages / (ended - from)) * 1_000,
      serverCpu: here.cpu / messages,
      clientCpu: there.cpu / messages,
      up: there.up / messages,
      down: there.down / messages,
      times: there.times,
    }
  }
  return { name, turn, stop, turns: [] }
}

const quantile = (values, q) => {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (sorted.length - 1) * q
  const low = Math.floor(at)
  return sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low])
}
const median = values => quantile(values, 0.5)

const digits = value => (value >= 100 ? Math.round(value) : Number(value.toPrecision(3)))
const shown = value => digits(value).toLocaleString('en')
const spread = values =>
  `${shown(median(values))} (${shown(quantile(values, 0.25))}–${shown(quantile(values, 0.75))})`

const measure = async (load, redis, log) => {
  const { way, clients } = load
  const wanted = options.contenders?.split(';') ?? Object.keys(contenders)
  const names = wanted.filter(
    name =>
      (redis || !contenders[name].needsRedis) &&
      (options.before || !contenders[name].before) &&
      (contenders[name].only ?? /./).test(way),
  )
  const lot = []
  const failures = []
  const attempt = async (name, job) => {
    try {
      return await job()
    } catch (error) {
      failures.push([name, error.message])
      log(`${load.name}: ${name}: ${error.message}`)
      return undefined
    }
  }
  const before = loadavg()[0]
  for (const name of names) {
    await attempt(name, async () => {
      const one = await enter(name, load, redis)
      lot.push(one)
      // To warm up, and to see how many messages make a turn of the length wanted.
      const step = way === 'broadcast' ? 1 : clients
      one.n = way === 'broadcast' ? 20 : 200
      for (let i = 0; i < 4; i++) {
        const { rate } = await one.turn(one.n)
        const each = way === 'broadcast' ? rate / clients : rate
        one.n = Math.max(2, Math.ceil((each * Number(options.ms)) / 1_000 / step)) * step
      }
    })
  }
  const failed = name => failures.some(([other]) => other === name)
  for (let round = 0; round < rounds; round++) {
    // Another one begins each time.
    for (let i = 0; i < lot.length; i++) {
      const one = lot[(i + round) % lot.length]
      if (failed(one.name)) continue
      const turn = await attempt(one.name, () => one.turn(one.n))
      if (turn) one.turns.push(turn)
    }
  }
  await Promise.all(lot.map(one => one.stop()))
  const rates = Object.fromEntries(lot.map(({ name, turns }) => [name, turns.map(({ rate }) => rate)]))
  const against = (name, other) =>
    rates[other]?.length === rounds ? rates[name].map((rate, round) => rate / rates[other][round]) : undefined
  const results = lot
    .filter(({ name }) => !failed(name))
    .map(({ name, turns, n }) => ({
      name,
      n,
      rate: rates[name],
      toWs: against(name, 'ws'),
      toIo: against(name, 'socket.io'),
      toBefore: against(name, 'reliable, before'),
      serverCpu: median(turns.map(turn => turn.serverCpu)),
      clientCpu: median(turns.map(turn => turn.clientCpu)),
      up: median(turns.map(turn => turn.up)),
      down: median(turns.map(turn => turn.down)),
      latency:
        way === 'ask'
          ? [0.5, 0.9, 0.99].map(q =>
              quantile(
                turns.flatMap(({ times }) => times),
                q,
              ),
            )
          : undefined,
    }))
  return { load, results, failures, loadavg: [before, loadavg()[0]] }
}

const row = cells => `| ${cells.join(' | ')} |`
const table = (head, rows) =>
  [row(head), row(head.map((_, i) => (i ? '--:' : '---'))), ...rows.map(row)].join('\n')
const ratio = values =>
  values
    ? `${median(values).toFixed(2)} (${quantile(values, 0).toFixed(2)}–${quantile(values, 1).toFixed(2)})`
    : '–'

const report = (all, machine) => {
  const lines = ['# Reliable sessions beside socket.io and a bare ws', '', ...machine, '']
  lines.push(
    'Rates: median of the rounds, and its quartiles. Ratios: of turns in the same round, median (least–most).',
  )
  const summary = (title, key, base) => {
    const names = Object.keys(contenders).filter(name => name !== base)
    const heads = names.filter(name =>
      all.some(({ results }) => results.some(one => one.name === name && one[key])),
    )
    lines.push('', `## ${title}`, '')
    const cells = ({ load, results, failures }) => [
      `${LABELS[load.way]}, ${load.what}`,
      ...heads.map(name => {
        if (failures.some(([other]) => other === name)) return 'failed'
        const values = results.find(one => one.name === name)?.[key]
        return ratio(values)
      }),
    ]
    lines.push(table(['', ...heads], all.map(cells)))
  }
  summary('Messages per second, as a multiple of socket.io', 'toIo', 'socket.io')
  summary('Messages per second, as a multiple of a bare ws', 'toWs', 'ws')
  if (options.before)
    summary('Messages per second, as a multiple of the build before', 'toBefore', 'reliable, before')
  // Less of this is due to what else the machine does.
  const names = Object.keys(contenders).filter(name =>
    all.some(({ results }) => results.some(one => one.name === name)),
  )
  const cost = one => one.serverCpu + one.clientCpu
  const costs = ({ load, results }) => {
    const io = results.find(({ name }) => name === 'socket.io')
    const cells = names.map(name => results.find(one => one.name === name))
    return [
      `${LABELS[load.way]}, ${load.what}`,
      ...cells.map(one => (one && io ? (cost(one) / cost(io)).toFixed(2) : '–')),
    ]
  }
  lines.push('', '## Processor time per message, both sides, as a multiple of socket.io (less is better)', '')
  lines.push(table(['', ...names], all.map(costs)))
  for (const [way, label] of Object.entries(LABELS)) {
    const some = all.filter(({ load }) => load.way === way)
    if (!some.length) continue
    const head = ['', 'messages/s', 'bytes up', 'bytes down', 'µs server', 'µs clients']
    if (way === 'ask') head.push('p50 ms', 'p90 ms', 'p99 ms')
    lines.push('', `## ${label[0].toUpperCase()}${label.slice(1)}`)
    for (const { load, results, failures, loadavg } of some) {
      lines.push(
        '',
        `### ${load.what}`,
        '',
        `Load average: ${loadavg.map(one => one.toFixed(1)).join(' → ')}.`,
        '',
      )
      const cells = ({ name, rate, up, down, serverCpu, clientCpu, latency }) => [
        name,
        spread(rate),
        ...[up, down, serverCpu, clientCpu].map(shown),
        ...(latency ?? []).map(ms => ms.toFixed(3)),
      ]
      lines.push(table(head, results.map(cells)))
      for (const [name, why] of failures) lines.push('', `${name} failed: ${why}`)
    }
  }
  return `${lines.join('\n')}\n`
}

if (options.from) {
  const { machine, all } = JSON.parse(readFileSync(options.from, 'utf8'))
  console.log(report(all, machine))
  process.exit()
}

const redis = await startRedis()
const nested = createRequire(createRequire(import.meta.url).resolve('engine.io'))
const [{ model }] = cpus()
const machine = [
  `Node ${process.versions.node} on ${cpus().length} cores (${model}), ${process.platform} ${process.arch}; no bufferutil.`,
  `${['ws', 'socket.io', 'socket.io-client', '@azure/web-pubsub-client', 'redis'].map(version).join(', ')}; ` +
    `socket.io brings ws ${nested('ws/package.json').version}. ${redis ? 'Redis on the same machine.' : 'No redis-server here.'}`,
  `${rounds} rounds of about ${options.ms} ms a turn, after four to warm up. The machine does other work as well.`,
]
const only = new RegExp(options.only)
const all = []
for (const load of loads.filter(({ name }) => only.test(name))) {
  const began = performance.now()
  all.push(await measure(load, redis?.url, line => console.error(line)))
  console.error(`${load.name}: ${((performance.now() - began) / 1_000).toFixed(0)} s`)
  if (options.json) writeFileSync(options.json, JSON.stringify({ machine, all }))
}
redis?.stop()
console.log(report(all, machine))
process.exit()
