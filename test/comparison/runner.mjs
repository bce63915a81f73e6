// Runs cells of the table, each in a process of its own: a library that spins or crashes harms nothing but its own cell.
import { fork } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** What hangs in a cell is over after so many milliseconds. */
const PATIENCE = 30_000

/** What the peers import, each after its own fashion. */
const LIBRARIES =
  /^(@nktkas\/rews|iso-websocket|partysocket\/ws|r(econnecting|obust)-websocket|rxjs|rxjs\/webSocket|socket\.io-client|sockette|sturdy-websocket|websocket-ts)$/

/** Leaves out the libraries that the peer is not: most of the time would go into loading them again for each cell. */
const without = others => ({
  name: 'without',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: LIBRARIES }, ({ path }) =>
      others(path) ? { path, namespace: 'nothing' } : undefined,
    )
    onLoad({ filter: /./, namespace: 'nothing' }, () => ({ contents: 'module.exports = {}' }))
  },
})

/** Makes one program of a peer and all scenarios, and returns where it is. */
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
    // Nothing that a library prints belongs to the table.
    const child = fork(file, [scenario.id, peer.name], {
      cwd: root,
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    })
    let told
    let late = false
    const timer = setTimeout(() => {
      late = true
      child.kill('SIGKILL')
    }, PATIENCE)
    child.on('message', message => {
      told = message
    })
    // Not at its `exit`, which may be heard before the last word.
    child.on('close', () => {
      clearTimeout(timer)
      resolve(told ?? { verdict: 'fail', said: late ? 'is not done by then' : 'the process dies' })
    })
  })

/** Runs each scenario against each peer that it applies to. `at` is called with every cell that is done. */
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
