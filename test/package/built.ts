import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import type * as core from '../../src/index.ts'

export const root: string = fileURLToPath(new URL('../../', import.meta.url))

export const dist: string = `${root}dist/`

if (!existsSync(`${dist}index.js`))
  throw new Error('dist/ is missing: these tests need `npm run build` first')

const manifest = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))

/** The entries that package.json exports: `index` is the package itself, and the others are `steadysocket/name`. */
export const entries: string[] = Object.keys(manifest.exports)
  .filter(path => !/umd|json$/.test(path) || path === './json')
  .map(path => path.slice(2) || 'index')

/** The frameworks for which there are entries. */
export const peers: string[] = Object.keys(manifest.peerDependencies)

/** The framework that an entry is for, if any. */
export const peerOf = (entry: string): string | undefined =>
  peers.find(peer => peer.replace('-js', '') === entry)

/** The built scripts. */
export const scripts: string[] = readdirSync(dist).filter(name => /\.c?js$/.test(name))

/** The chunks that several entries share, and that are not entries. */
export const chunks: string[] = scripts.filter(
  name => ![...entries, 'steadysocket'].includes(name.split('.')[0] as string),
)

const ofEntries = scripts.filter(name => !chunks.includes(name))

/** Modules, those for `require`, and those for `<script>`, `require` and AMD loaders. */
export const modules: string[] = ofEntries.filter(name => /^[\w-]+(\.min)?\.js$/.test(name))
export const commons: string[] = ofEntries.filter(name => name.endsWith('.cjs'))
export const umds: string[] = scripts.filter(name => name.includes('.umd.'))

/** The files that contain the core. */
export const whole: string[] = [...chunks.filter(name => name.startsWith('shared.')), ...umds]

export function read(name: string): string {
  return readFileSync(dist + name, 'utf8')
}

const sources: Record<string, object> = Object.fromEntries(
  await Promise.all([...entries, 'umd'].map(async entry => [entry, await import(`../../src/${entry}.ts`)])),
)

/** What a built file exports, by the source of its entry. */
export const namesOf = (file: string): string[] => Object.keys(sources[entryOf(file)] as object).sort()

/** The types of the values that an entry exports, in the order of their names. */
export const typesOf = (entry: string): string[] => {
  const source = sources[entry] as Record<string, unknown>
  return namesOf(entry).map(name => typeof source[name])
}

/** The entry that a built file belongs to. */
export const entryOf = (file: string): string => (umds.includes(file) ? 'umd' : file.split('.')[0]) as string

/** The specifier with which applications import an entry. */
export const specifier = (entry: string): string =>
  entry === 'index' ? 'steadysocket' : `steadysocket/${entry}`

/** Globals that the package must not use when it is imported. */
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
 * Runs a job in a new worker thread, where `load` imports the package by its name, as applications do. The job is passed as its source text, so it can
 * use only its arguments and the globals.
 */
export const inWorker = <Argument, Answer>(
  job: (load: () => Promise<typeof core>, argument: Argument) => Promise<Answer>,
  argument: Argument,
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const worker = new Worker(new URL('worker.mjs', import.meta.url), {
      workerData: { job: `${job}`, argument },
    })
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', () => reject(new Error('the worker exited without an answer')))
  })
