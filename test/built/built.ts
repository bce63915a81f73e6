import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import * as source from '../../src/index.ts'

export const root: string = fileURLToPath(new URL('../../', import.meta.url))

export const dist: string = `${root}dist/`

if (!existsSync(`${dist}index.js`))
  throw new Error('dist/ is missing: these tests need `npm run build` first')

/** The scripts that were built. */
export const scripts: string[] = readdirSync(dist).filter(name => /\.c?js$/.test(name))

/** Those that are modules, and those that are UMD: for `<script>`, `require` and AMD. */
export const modules: string[] = scripts.filter(name => /^export\b|\bexport\s*\{/m.test(read(name)))
export const umds: string[] = scripts.filter(name => !modules.includes(name))

export function read(name: string): string {
  return readFileSync(dist + name, 'utf8')
}

/** What every build exports, by the source. */
export const NAMES: string[] = Object.keys(source).sort()

/** Globals that an import has no business with. */
export const GLOBALS: string[] = [
  'AbortController',
  'EventTarget',
  'WebSocket',
  'addEventListener',
  'document',
  'localStorage',
  'location',
  'navigator',
  'performance',
  'queueMicrotask',
  'reportError',
  'setInterval',
  'setTimeout',
  'window',
]

/**
 * Runs a job in a fresh thread, where `load` imports the package by its own name, as its users do. The job travels as its text: it
 * knows its arguments and the globals, and nothing else.
 */
export const inWorker = <Argument, Answer>(
  job: (load: () => Promise<typeof source>, argument: Argument) => Promise<Answer>,
  argument: Argument,
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const worker = new Worker(new URL('worker.mjs', import.meta.url), {
      workerData: { job: `${job}`, argument },
    })
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', () => reject(new Error('the worker left without an answer')))
  })
