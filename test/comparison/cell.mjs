// Runs one scenario with one library, in a process of its own: `cell.mjs SCENARIO PEER`. Sends `{ verdict, said }` to its parent process.
import { installClock } from './clock.mjs'
import { installPage } from './page.mjs'
import { createPageSocket } from './page-socket.mjs'
import { scenarios } from './scenarios.mjs'

const [id, name] = process.argv.slice(2)
const scenario = scenarios.find(scenario => scenario.id === id)

const finish = (verdict, said) => {
  process.send({ verdict, said }, () => process.exit())
}

/** Makes `Math.random()` return the same numbers in every run. */
const seedRandom = () => {
  let seed = 20_300_101
  Math.random = () => {
    seed = (seed + 0x6d2b79f5) | 0
    let mixed = Math.imul(seed ^ (seed >>> 15), seed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Defines the globals of a page, before a library is loaded. */
const prepare = async () => {
  const reported = []
  const report = error => reported.push(error)
  process.on('uncaughtException', report)
  process.on('unhandledRejection', report)
  for (const level of ['log', 'warn', 'error', 'info', 'debug']) console[level] = () => {}
  seedRandom()
  const clock = installClock()
  const page = installPage()
  const sockets = new Set()
  const WebSocket = createPageSocket(sockets)
  globalThis.WebSocket = WebSocket

  // A library checks for `process` to detect a browser, and otherwise copies events in another way.
  const { process: node } = globalThis
  delete globalThis.process
  await import('partysocket/ws')
  globalThis.process = node
  return { reported, clock, page, sockets, WebSocket }
}

const run = async () => {
  // These scenarios start their own processes.
  if (scenario.bare) return scenario.run({ name })
  const rig = await prepare()
  const { peers } = await import('../bench/peers.mjs')
  const { createWorld } = await import('./world.mjs')
  const peer = peers.find(peer => peer.name === name)
  return scenario.run(peer, await createWorld({ peer, ...rig }))
}

run().then(
  said => finish(said ? 'fail' : 'pass', said),
  error => finish(error.skip ? 'none' : 'fail', error.skip ? undefined : error.message.split('\n')[0]),
)
