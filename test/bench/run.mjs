// Runs the benchmarks, one after the other, and writes their results to test/bench/results.
// Usage, after npm run build:
//
//   node --expose-gc test/bench/run.mjs                  all of them
//   node --expose-gc test/bench/run.mjs queue dispatch   only these
//   node --expose-gc test/bench/run.mjs --list           lists the benchmarks
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const BENCHES = {
  sizes: 'bytes in a page',
  dispatch: 'the cost of receiving and sending a message, over a fake socket',
  browser: 'messages per second in both directions in real browsers',
  hooks: 'the functions for React and Vue, compared with those of other packages, in real browsers',
  calls: 'the outcome of calls when their connection ends, compared with other packages that have calls',
  queue: 'the cost of queued messages',
  memory: 'the memory of an idle client, and of one that reconnects',
  outage: 'messages that are lost, repeated and late in an outage, over TCP',
  'half-open': 'the time to detect a half-open connection',
  handover:
    'messages that are lost when an open connection is replaced, and when a page wakes up with a dead one, in real browsers',
  herd: 'the load of a server that restarts, by retry policy, in virtual time',
  flood: 'the latency of a client while others flood the server',
  crowd: 'the memory of a server with 100,000 connections; takes long',
  reliable: 'reliable sessions, compared with socket.io and plain ws; takes long, and prints its tables',
}

/** Benchmarks that run only if the command line names them. */
const LONG = ['crowd', 'reliable']

const args = process.argv.slice(2)
if (args.includes('--list')) {
  for (const [name, what] of Object.entries(BENCHES)) console.log(`${name.padEnd(10)} ${what}`)
  process.exit()
}
const unknown = args.filter(name => !BENCHES[name])
if (unknown.length) {
  console.error(`Unknown: ${unknown.join(', ')}. The benchmarks are: ${Object.keys(BENCHES).join(', ')}`)
  process.exit(1)
}

const failed = []
for (const name of args.length ? args : Object.keys(BENCHES).filter(name => !LONG.includes(name))) {
  const file = fileURLToPath(new URL(`${name}.mjs`, import.meta.url))
  if (!existsSync(file)) {
    console.error(`${name}: not here, passed over`)
    continue
  }
  console.error(`${name}: ${BENCHES[name]}`)
  const child = spawn(process.execPath, ['--expose-gc', file], { stdio: 'inherit' })
  const code = await new Promise(resolve => child.on('exit', resolve))
  if (code !== 0) failed.push(name)
}
if (failed.length) {
  console.error(`failed: ${failed.join(', ')}`)
  process.exit(1)
}
