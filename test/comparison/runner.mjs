// Runs the cells of the table, each in a process of its own, so that a library that hangs or crashes affects only its own cell.
import { fork } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The longest time for a cell, in milliseconds. */
const TIMEOUT = 30_000

/** The modules of the libraries, as peers.mjs imports them. */
const LIBRARIES =
  /^(@nktkas\/rews|iso-websocket|partysocket\/ws|r(econnecting|obust)-websocket|rxjs|rxjs\/webSocket|socket\.io-client|sockette|sturdy-websocket|websocket-ts)$/

/** A plugin that leaves out the other libraries, because loading them for each cell would take most of the time. */
const without = others => ({
  name: 'without',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: LIBRARIES }, ({ path }) =>
      others(path) ? { path, namespace: 'nothing' } : undefined,
    )
    onLoad({ filter: /./, namespace: 'nothing' }, () => ({ contents: 'module.exports = {}' }))
  },
})

/** Bundles one library and all scenarios, and returns the path of the bundle. */
const bundle = async (folder, peer) => {
  const home = (peer.package ?? peer.name).replaceAll('/', '-')
  await build({
    entryPoints: [fileURLToPath(new URL('cell.mjs', import.meta.url))],
    outdir: `${folder}/${home}`,
    plugins: [without(path => !path.startsWith(peer.package ?? peer.name))],
    bundle: true,
    splitting: true,
    minifySyntax: true,
    minifyWhitespace: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    outExtension: { '.js': '.mjs' },
    external: ['bufferutil', 'utf-8-validate', 'esbuild'],
    banner: {
      js: `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);`,
    },
    logLevel: 'error',
  })
  return `${folder}/${home}/cell.mjs`
}

const runCell = (file, scenario, peer) =>
  new Promise(resolve => {
    // The output of the libraries is ignored.
    const child = fork(file, [scenario.id, peer.name], {
      cwd: root,
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    })
    let result
    let late = false
    const timer = setTimeout(() => {
      late = true
      child.kill('SIGKILL')
    }, TIMEOUT)
    child.on('message', message => {
      result = message
    })
    // The event `close` comes after the last message of the process, unlike `exit`.
    child.on('close', () => {
      clearTimeout(timer)
      resolve(result ?? { verdict: 'fail', said: late ? 'takes too long' : 'the process crashes' })
    })
  })

/** Runs each scenario with each library to which it applies. Calls `at` with each finished cell. */
export const runCells = async (scenarios, peers, { atOnce = 4, at = () => {} } = {}) => {
  await mkdir(`${root}.tmp`, { recursive: true })
  const folder = await mkdtemp(`${root}.tmp/comparison-`)
  const cells = scenarios.flatMap(scenario => peers.map(peer => ({ scenario, peer })))
  try {
    const files = new Map(await Promise.all(peers.map(async peer => [peer, await bundle(folder, peer)])))
    let next = 0
    const worker = async () => {
      while (next < cells.length) {
        const cell = cells[next++]
        const { scenario, peer } = cell
        const applies = !scenario.needs || peer[scenario.needs]
        Object.assign(cell, applies ? await runCell(files.get(peer), scenario, peer) : { verdict: 'none' })
        at(cell)
      }
    }
    await Promise.all(Array.from({ length: atOnce }, worker))
  } finally {
    await rm(folder, { recursive: true })
  }
  return cells
}
