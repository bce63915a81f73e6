// The apps in demo/recipes/spa. Vite builds them at the first request for one, so that npm start does not wait for that.
import { execFile } from 'node:child_process'
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
    const env = { ...process.env, NODE_ENV: 'production' }
    await promisify(execFile)(process.execPath, [vite, 'build', ...options], { cwd: root, env })
    const files = new Map()
    for (const name of await readdir(folder, { recursive: true })) {
      if (extname(name)) files.set(base + name.split(sep).join('/'), await readFile(join(folder, name)))
    }
    return files
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

let building

/** Returns the contents of a file of the built apps, or nothing if there is none. Rejects if Vite cannot build them. */
export const readApp = async path => {
  building ??= build()
  // If the build fails, the next request tries again.
  building.catch(() => {
    building = undefined
  })
  return (await building).get(path)
}
