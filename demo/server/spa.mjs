// The apps in demo/recipes/spa. Vite builds them at the first request for one, so that npm start does not wait for that.
import { execFile } from 'node:child_process'
import { rmSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { extname, join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const root = fileURLToPath(new URL('../../', import.meta.url))
const vite = join(root, 'node_modules/vite/bin/vite.js')
const config = join(root, 'demo/recipes/spa/vite.config.mjs')

/** Where the apps are served. */
export const base = '/spa/'

/** Builds in a process of its own, so that the server of the demo is not blocked. */
const build = async () => {
  const folder = await mkdtemp(join(tmpdir(), 'steadysocket-spa-'))
  const abort = new AbortController()
  const onExit = () => {
    abort.abort()
    rmSync(folder, { recursive: true, force: true })
  }
  process.on('exit', onExit)
  try {
    const options = [
      '--config',
      config,
      '--base',
      base,
      '--outDir',
      folder,
      '--emptyOutDir',
      '--logLevel',
      'error',
    ]
    const env = { ...process.env, NODE_ENV: 'production', NO_COLOR: '1', FORCE_COLOR: '0' }
    const { signal } = abort
    await promisify(execFile)(process.execPath, [vite, 'build', ...options], { cwd: root, env, signal })
    const files = new Map()
    for (const name of await readdir(folder, { recursive: true })) {
      if (extname(name)) files.set(base + name.split(sep).join('/'), await readFile(join(folder, name)))
    }
    return files
  } finally {
    process.off('exit', onExit)
    await rm(folder, { recursive: true, force: true })
  }
}

let building
let files
let failure

/**
 * The state of the apps: `{ files }` by path, `{ failure }` if Vite could not build them, or `{ building }`, a promise of the files. Starts the
 * build unless that has been done.
 */
export const apps = () => {
  if (files) return { files }
  if (failure) return { failure }
  building ??= build().then(
    built => {
      files = built
      return files
    },
    error => {
      failure = `Vite could not build the apps:\n\n${error.stderr || error.message}`
      throw new Error(failure)
    },
  )
  building.catch(() => {})
  return { building }
}

/** After this, the next request builds the apps again: the reason for the failure may be gone by then. */
export const forgetFailure = () => {
  failure = undefined
  building = undefined
}
