// Compares reliable sessions with socket.io and with plain `ws`: messages per second, latency, bytes on the network, processor time.
// Usage, after npm run build:
//
//   node test/bench/reliable.mjs                      all loads, as tables in Markdown
//   node test/bench/reliable.mjs --only 'up .* text'  only the loads whose names match
//   node test/bench/reliable.mjs --contenders 'ws;reliable;socket.io'
//   node test/bench/reliable.mjs --rounds 15 --ms 300 more rounds, each of about 300 milliseconds
//   node test/bench/reliable.mjs --before DIR         also measures another build of the package
//   node test/bench/reliable.mjs --json FILE          also writes the measurements to FILE
//   node test/bench/reliable.mjs --from FILE          prints the tables of the measurements in FILE
//   node test/bench/reliable.mjs --profile DIR        writes a profile of each process; use it with one contender at a time
//
// The server and the clients each have a process. Each round measures every contender once, and ratios compare turns of the same round, so that
// other load on the machine affects all of them.
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

/** The longest time to wait for a message of a process, in milliseconds. */
const TIMEOUT = 30_000

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
        const format = size < 1024 ? `${size} B` : `${size / 1024} KiB`
        const what = `${format} ${binary ? 'binary' : 'text'}, ${clients} client${clients > 1 ? 's' : ''}`
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

/** Starts a process. `receive(kind)` resolves with its next message of this kind. */
const start = (role, job) => {
  const execArgv = options.profile ? ['--cpu-prof', '--cpu-prof-dir', `${options.profile}/${role}`] : []
  const child = fork(side, [role, JSON.stringify(job)], {
    env: contenders[job.name].before ? { ...process.env, BENCH_DIST: options.before } : process.env,
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    execArgv,
  })
  const waiting = new Map()
  const received = new Map()
  let errorOutput = ''
  let failure
  const end = why => {
    failure ??= new Error(`${role}: ${why} ${errorOutput.trim().split('\n').slice(0, 6).join(' ')}`)
    for (const { reject } of waiting.values()) reject(failure)
    waiting.clear()
  }
  child.stderr.on('data', data => {
    errorOutput += data
    process.stderr.write(data)
  })
  child.on('exit', () => end('it has exited'))
  child.on('message', message => {
    for (const [kind, value] of Object.entries(message)) {
      const listener = waiting.get(kind)
      waiting.delete(kind)
      if (listener) listener.resolve(value)
      else received.set(kind, value)
    }
  })
  return {
    child,
    post: message => child.connected && child.send(message),
    receive: kind =>
      new Promise((resolve, reject) => {
        if (failure) return reject(failure)
        if (received.has(kind)) {
          resolve(received.get(kind))
          return received.delete(kind)
        }
        const timer = setTimeout(() => end(`no message '${kind}' for ${TIMEOUT} ms`), TIMEOUT)
        const settle = done => value => {
          clearTimeout(timer)
          done(value)
        }
        waiting.set(kind, { resolve: settle(resolve), reject: settle(reject) })
      }),
    async stop() {
      if (child.exitCode !== null || child.signalCode) return
      // Node writes the profile when the process exits.
      if (options.profile) child.send({ exit: true })
      else child.kill('SIGKILL')
      await once(child, 'exit')
    },
  }
}

/** Starts the processes of a contender. `turn(n)` transfers n messages, and returns the measurements. */
const startContender = async (name, load, redis) => {
  const { needsRedis } = contenders[name]
  const job = { ...load, name, redis: needsRedis ? redis : undefined }
  const server = start('serve', job)
  const client = start('connect', { ...job, port: await server.receive('ready') })
  const stop = () => Promise.all([client.stop(), server.stop()])
  client.child.on('message', ({ go }) => go && server.post({ go }))
  await client.receive('ready')

  const { way, clients, size } = load
  const every = (way === 'broadcast' ? clients : 1) * (size > 2_000 ? 8 : 100)
  const turn = async n => {
    const fromServer = way === 'down' || way === 'broadcast'
    const first = fromServer ? client : server
    const second = fromServer ? server : client
    first.post({ begin: { n, every } })
    await first.receive('begun')
    second.post({ begin: { n, credit: (2 * every) / (way === 'broadcast' ? clients : 1) } })
    await second.receive('begun')
    const clientResult = await client.receive('done')
    if (fromServer) server.post({ finish: true })
    const serverResult = await server.receive('done')
    const began = Math.min(serverResult.began, clientResult.began)
    const from = fromServer ? serverResult.began : clientResult.began
    const ended = fromServer ? clientResult.ended : Math.max(serverResult.ended, clientResult.ended)
    if (!(from >= began)) throw new Error('the clocks do not agree')
    const messages = way === 'broadcast' ? n * clients : n
    return {
      rate: (messages / (ended - from)) * 1_000,
      serverCpu: serverResult.cpu / messages,
      clientCpu: clientResult.cpu / messages,
      up: clientResult.up / messages,
      down: clientResult.down / messages,
      times: clientResult.times,
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
const format = value => digits(value).toLocaleString('en')
const spread = values =>
  `${format(median(values))} (${format(quantile(values, 0.25))}–${format(quantile(values, 0.75))})`

const measure = async (load, redis, log) => {
  const { way, clients } = load
  const wanted = options.contenders?.split(';') ?? Object.keys(contenders)
  const names = wanted.filter(
    name =>
      (redis || !contenders[name].needsRedis) &&
      (options.before || !contenders[name].before) &&
      (contenders[name].only ?? /./).test(way),
  )
  const started = []
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
      const one = await startContender(name, load, redis)
      started.push(one)
      // Warm-up turns, which also determine how many messages take the requested time.
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
    // Each round begins with another contender.
    for (let i = 0; i < started.length; i++) {
      const one = started[(i + round) % started.length]
      if (failed(one.name)) continue
      const turn = await attempt(one.name, () => one.turn(one.n))
      if (turn) one.turns.push(turn)
    }
  }
  await Promise.all(started.map(one => one.stop()))
  const rates = Object.fromEntries(started.map(({ name, turns }) => [name, turns.map(({ rate }) => rate)]))
  const ratiosTo = (name, other) =>
    rates[other]?.length === rounds ? rates[name].map((rate, round) => rate / rates[other][round]) : undefined
  const results = started
    .filter(({ name }) => !failed(name))
    .map(({ name, turns, n }) => ({
      name,
      n,
      rate: rates[name],
      toWs: ratiosTo(name, 'ws'),
      toIo: ratiosTo(name, 'socket.io'),
      toBefore: ratiosTo(name, 'reliable, before'),
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
  const lines = ['# Reliable sessions, compared with socket.io and plain ws', '', ...machine, '']
  lines.push(
    'Rates are medians of the rounds, and their quartiles. Ratios compare turns of the same round: median (minimum–maximum).',
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
  summary('Messages per second, as a multiple of plain ws', 'toWs', 'ws')
  if (options.before)
    summary('Messages per second, as a multiple of the other build', 'toBefore', 'reliable, before')
  // Processor time depends less on other load of the machine.
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
        ...[up, down, serverCpu, clientCpu].map(format),
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
const requireNested = createRequire(createRequire(import.meta.url).resolve('engine.io'))
const [{ model }] = cpus()
const machine = [
  `Node ${process.versions.node} on ${cpus().length} cores (${model}), ${process.platform} ${process.arch}; no bufferutil.`,
  `${['ws', 'socket.io', 'socket.io-client', '@azure/web-pubsub-client', 'redis'].map(version).join(', ')}; ` +
    `socket.io includes ws ${requireNested('ws/package.json').version}. ${redis ? 'Redis is on the same machine.' : 'redis-server is not installed.'}`,
  `${rounds} rounds with turns of about ${options.ms} ms, after four warm-up turns. The machine has other load as well.`,
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
