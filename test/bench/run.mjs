// Runs the benchmarks, one after the other, and writes what they find to test/bench/results.
// Usage, after npm run build:
//
//   node --expose-gc test/bench/run.mjs                  all of them
//   node --expose-gc test/bench/run.mjs queue dispatch   these
//   node --expose-gc test/bench/run.mjs --list           what there is
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const BENCHES = {
  sizes: 'what a page pays in bytes',
  dispatch: 'what a message costs on its way in and out, on a fake socket',
  browser: 'messages per second both ways in real browsers',
  hooks: 'the functions for React and Vue beside those of other packages, in real browsers',
  calls: 'what becomes of calls when their connection ends, beside other packages that have calls',
  queue: 'what an outage costs those who keep messages for it',
  memory: 'what an idle client weighs, and one that reconnects',
  outage: 'what is lost, repeated and late in an outage, over real TCP',
  'half-open': 'how soon a dead connection is noticed',
  handover:
    'what is lost when an open connection is replaced, and when a page wakes up on a dead one, in real browsers',
  herd: 'what retry policies do to a server that comes back, in virtual time',
  flood: 'what clients notice while others flood the server',
  reliable: 'reliable sessions beside socket.io and a bare ws; takes long, and prints its tables',
}

/** Not unless it is asked for by name. */
const LONG = ['reliable']

const asked = process.argv.slice(2)
if (asked.includes('--list')) {
  for (const [name, what] of Object.entries(BENCHES)) console.log(`${name.padEnd(10)} ${what}`)
  process.exit()
}
const unknown = asked.filter(name => !BENCHES[name])
if (unknown.length) {
  console.error(`There is no ${unknown.join(', ')}; there are ${Object.keys(BENCHES).join(', ')}`)
  process.exit(1)
}

const failed = []
for (const name of asked.length ? asked : Object.keys(BENCHES).filter(name => !LONG.includes(name))) {
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
