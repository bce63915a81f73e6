// Runs cells of the table, each in a process of its own: a library that spins or crashes harms nothing but its own cell.
import { fork } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** What hangs in a cell is over after so many milliseconds. */
const PATIENCE = 30_000

/** One file in the place of a thousand: otherwise most of the time goes into loading the libraries again for each cell. */
const bundle = async folder => {
  await build({
    entryPoints: [fileURLToPath(new URL('cell.mjs', import.meta.url))],
    outdir: folder,
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
  return `${folder}/cell.mjs`
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
    }, scenario.patience ?? PATIENCE)
    child.on('message', message => {
      told = message
    })
    child.on('exit', () => {
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
    const file = await bundle(folder)
    let next = 0
    const worker = async () => {
      while (next < cells.length) {
        const cell = cells[next++]
        const { scenario, peer } = cell
        const applies = !scenario.needs || peer[scenario.needs]
        Object.assign(cell, applies ? await runCell(file, scenario, peer) : { verdict: 'none' })
        at(cell)
      }
    }
    await Promise.all(Array.from({ length: atOnce }, worker))
  } finally {
    await rm(folder, { recursive: true })
  }
  return cells
}
