// The cost of a message to a group in Redis: processor time, memory, commands, and the longest script. The script has no clients, and calls the
// store as a node does.
// Usage, after npm run build:
//
//   node test/bench/fan-out.mjs                    10, 1,000 and 10,000 sessions, as a table in Markdown
//   node test/bench/fan-out.mjs --sessions 100000  another number of sessions
//   node test/bench/fan-out.mjs --before DIR       also measures another build of the package, alternately
import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createClient } from 'redis'

const { values: options } = parseArgs({
  options: {
    sessions: { type: 'string', default: '10,1000,10000' },
    rounds: { type: 'string', default: '3' },
    before: { type: 'string' },
    child: { type: 'string' },
  },
})

const LIMITS = {
  sessionTimeout: 600_000,
  maxUnacknowledged: 1_000,
  maxUnacknowledgedBytes: 2 ** 22,
  maxGroups: 256,
  dedupeWindow: 4_096,
  idTimeout: 604_800_000,
  maxIds: 10_000,
}
const NODES = 2
const FRAME = JSON.stringify({
  type: 'message',
  from: 'group',
  group: 'g',
  dataType: 'text',
  data: 'x'.repeat(1_000),
})

const startRedis = async () => {
  const free = createServer().listen(0, '127.0.0.1')
  await once(free, 'listening')
  const { port } = free.address()
  free.close()
  await once(free, 'close')
  const args = ['--port', port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', tmpdir()]
  const child = spawn(process.env.REDIS_PATH ?? '/usr/bin/redis-server', args.map(String), {
    stdio: 'ignore',
  })
  process.on('exit', () => child.kill('SIGKILL'))
  for (;;) {
    try {
      const client = createClient({
        url: `redis://127.0.0.1:${port}`,
        socket: { reconnectStrategy: false },
        RESP: 2,
      })
      client.on('error', () => {})
      await client.connect()
      return { client, stop: () => child.kill('SIGKILL') }
    } catch {
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  }
}

const readStats = async client => {
  const info = await client.info('everything')
  const number = name => Number(new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1] ?? 0)
  const scripts = ['eval', 'evalsha'].map(name =>
    Number(new RegExp(`^cmdstat_${name}:calls=(\\d+)`, 'm').exec(info)?.[1] ?? 0),
  )
  return {
    cpu: (number('used_cpu_user_main_thread') + number('used_cpu_sys_main_thread')) * 1e6,
    memory: number('used_memory'),
    scripts: scripts[0] + scripts[1],
  }
}

/** The longest script so far, in milliseconds. */
const longestScript = async client => {
  const log = await client.sendCommand(['SLOWLOG', 'GET', '1000'])
  return Math.max(0, ...log.filter(([, , , [name]]) => /^eval/i.test(name)).map(([, , us]) => us)) / 1_000
}

/** All sessions receive a message and acknowledge it, as their nodes would. */
const measure = async (redisStore, count) => {
  const { client, stop } = await startRedis()
  await client.sendCommand(['CONFIG', 'SET', 'slowlog-log-slower-than', '1000', 'slowlog-max-len', '1000'])
  let arrived = 0
  const waiting = []
  const newest = new Map()
  const nodes = []
  for (let i = 0; i < NODES; i++) {
    const node = await redisStore(client, { prefix: 'b:' }).open(LIMITS, event => {
      if (event.kind !== 'messages') return
      if (event.message) arrived++
      else {
        const after = newest.get(event.session) ?? 0
        newest.set(event.session, after + 1)
        waiting.push(
          node.read(event.session, 1, after, 1).then(() => {
            arrived++
          }),
        )
      }
    })
    nodes.push(node)
  }
  const ids = Array.from({ length: count }, (_, i) => `${i}`.padStart(22, 'abcdefghijklmnopqrstuvwxyz'))
  for (let i = 0; i < count; i += 500) {
    const part = ids.slice(i, i + 500)
    await Promise.all(
      part.map((id, j) => nodes[(i + j) % NODES].create({ id, token: 't', userId: 'u', groups: ['g'] })),
    )
  }
  // The first publication is a warm-up.
  const publish = () => nodes[0].commit([{ kind: 'publish', group: 'g', frame: FRAME }])
  const acknowledge = n => Promise.all(ids.map((id, i) => nodes[i % NODES].acknowledge(id, 1, n)))
  const settled = async total => {
    while (arrived < total) await new Promise(resolve => setTimeout(resolve, 5))
    await Promise.all(waiting.splice(0))
  }
  await publish()
  await settled(count)
  await acknowledge(1)
  await client.sendCommand(['SLOWLOG', 'RESET'])

  // Reading the statistics of Redis costs as much as a few deliveries, so they are read once for many publications.
  const times = Math.max(1, Math.ceil(5_000 / count))
  const sums = { delivery: 0, acknowledgement: 0, memory: 0, scripts: 0, published: 0 }
  for (let group = 0; group < 3; group++) {
    const first = 2 + group * times
    const start = await readStats(client)
    const began = performance.now()
    for (let i = 0; i < times; i++) await publish()
    sums.published += (performance.now() - began) / times / 3
    await settled((first + times - 1) * count)
    const delivered = await readStats(client)
    for (let i = 0; i < times; i++) await acknowledge(first + i)
    const end = await readStats(client)
    sums.delivery += (delivered.cpu - start.cpu) / count / times / 3
    sums.acknowledgement += (end.cpu - delivered.cpu) / count / times / 3
    sums.memory += (delivered.memory - start.memory) / count / times / 3
    sums.scripts += (end.scripts - start.scripts) / count / times / 3
  }
  const result = { ...sums, longest: await longestScript(client) }
  client.destroy()
  stop()
  return result
}

if (options.child) {
  const { dist, count } = JSON.parse(options.child)
  const { redisStore } = await import(`${dist}/server.js`)
  process.send(await measure(redisStore, count))
  process.exit()
}

/** Measures each build in a process of its own, so that one does not warm up the engine for the other. */
const measureInProcess = async (dist, count) => {
  const child = fork(fileURLToPath(import.meta.url), ['--child', JSON.stringify({ dist, count })])
  const [result] = await once(child, 'message')
  return result
}

const median = values => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]
const builds = {
  ...(options.before && { before: options.before }),
  now: fileURLToPath(new URL('../../dist', import.meta.url)),
}
console.log('A message of 1 kB to a group, per recipient; sessions on two nodes. Median of the rounds.\n')
console.log(
  '| sessions | build | µs of Redis to deliver | µs to acknowledge | bytes | scripts | longest script, ms | published after, ms |',
)
console.log('| --: | --- | --: | --: | --: | --: | --: | --: |')
for (const count of options.sessions.split(',').map(Number)) {
  const results = Object.fromEntries(Object.keys(builds).map(name => [name, []]))
  for (let round = 0; round < Number(options.rounds); round++) {
    for (const [name, dist] of Object.entries(builds)) results[name].push(await measureInProcess(dist, count))
  }
  for (const [name, all] of Object.entries(results)) {
    const shown = (key, digits) => median(all.map(one => one[key])).toFixed(digits)
    console.log(
      `| ${count.toLocaleString('en')} | ${name} | ${shown('delivery', 1)} | ${shown('acknowledgement', 1)} | ${shown('memory', 0)} | ${shown('scripts', 3)} | ${shown('longest', 1)} | ${shown('published', 0)} |`,
    )
  }
}
