// Common bundlers behind one interface. Each bundles programs for a browser, minified.
import { readFileSync } from 'node:fs'
import terser from '@rollup/plugin-terser'
import * as esbuild from 'esbuild'
import { rollup } from 'rollup'
import { build as viteBuild } from 'vite'
import webpack from 'webpack'
import { peers } from './built.ts'

export interface Bundled {
  /** The script, by the name of the program. */
  readonly scripts: Readonly<Record<string, string>>
  readonly warnings: readonly string[]
}

/** Bundles the programs `${name}.js` of a folder, each on its own. */
export type Bundler = (folder: string, names: readonly string[]) => Promise<Bundled>

/** Bundles one program after the other, for bundlers that make one script at a time. */
const each =
  (bundle: (folder: string, name: string, warn: (message: string) => void) => Promise<string>): Bundler =>
  async (folder, names) => {
    const scripts: Record<string, string> = {}
    const warnings: string[] = []
    for (const name of names) {
      scripts[name] = await bundle(folder, name, message => warnings.push(`${name}: ${message}`))
    }
    return { scripts, warnings }
  }

const withEsbuild = each(async (folder, name, warn) => {
  const { warnings, outputFiles } = await esbuild.build({
    entryPoints: [`${folder}/${name}.js`],
    absWorkingDir: folder,
    bundle: true,
    format: 'iife',
    minify: true,
    write: false,
    logLevel: 'silent',
  })
  for (const { text } of warnings) warn(text)
  return outputFiles.map(({ text }) => text).join()
})

/** A plugin that resolves packages, because Rollup does not. It does only what these programs need. */
const findInstalled = (folder: string) => ({
  name: 'installed',
  async resolveId(source: string) {
    // No program here uses a framework. If an import remains, the page fails.
    if (peers.includes(source.split('/')[0] as string))
      return { id: source, external: true, moduleSideEffects: false }
    if (!/^steadysocket\b/.test(source)) return null
    const home = `${folder}/node_modules/steadysocket/`
    const { exports, sideEffects } = JSON.parse(readFileSync(`${home}package.json`, 'utf8'))
    const path = exports[source.replace('steadysocket', '.')].import.default
    return { id: home + path.slice(2), moduleSideEffects: sideEffects }
  },
})

const withRollup = each(async (folder, name, warn) => {
  const bundle = await rollup({
    input: `${folder}/${name}.js`,
    plugins: [findInstalled(folder)],
    onLog: (_, { message }) => warn(message),
  })
  const { output } = await bundle.generate({ format: 'iife', plugins: [terser()] })
  await bundle.close()
  return output.map(part => ('code' in part ? part.code : '')).join('')
})

const withVite = each(async (folder, name, warn) => {
  const result = await viteBuild({
    root: folder,
    configFile: false,
    logLevel: 'silent',
    build: {
      write: false,
      modulePreload: false,
      rolldownOptions: {
        input: `${folder}/${name}.js`,
        output: { format: 'iife' },
        onLog: (_, { message }) => warn(message),
      },
    },
  })
  const { output } = [result].flat()[0] as { output: object[] }
  return output.map(part => ('code' in part ? `${part.code}` : '')).join('')
})

/** Bundles all programs at once, because starting webpack takes most of the time. */
const withWebpack: Bundler = async (folder, names) => {
  const stats = await new Promise<webpack.Stats | undefined>((resolve, reject) =>
    webpack(
      {
        context: folder,
        mode: 'production',
        entry: Object.fromEntries(names.map(name => [name, `./${name}.js`])),
        output: { path: `${folder}/webpack`, filename: '[name].js' },
      },
      (error, stats) => (error ? reject(error) : resolve(stats)),
    ),
  )
  const { errors = [], warnings = [] } = stats?.toJson({ all: false, errors: true, warnings: true }) ?? {}
  return {
    scripts: Object.fromEntries(
      names.map(name => [name, readFileSync(`${folder}/webpack/${name}.js`, 'utf8')]),
    ),
    warnings: [...errors, ...warnings].map(({ message }) => message),
  }
}

export const bundlers: Readonly<Record<string, Bundler>> = {
  esbuild: withEsbuild,
  rollup: withRollup,
  vite: withVite,
  webpack: withWebpack,
}
