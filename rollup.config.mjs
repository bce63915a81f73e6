// Builds every published file. The entries that package.json names: ESM (readable and minified) and CommonJS. The core with the drop-in
// class: UMD for script tags, readable and minified. `tsc` has written the declarations before (npm run build).
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants } from 'node:zlib'
import terser from '@rollup/plugin-terser'
import esbuild from 'rollup-plugin-esbuild'

const { name, version, license, exports, peerDependencies } = JSON.parse(readFileSync('package.json', 'utf8'))

const banner = `/*! ${name} ${version} | ${license} */`
const brotli = code => brotliCompressSync(code, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }).length

/** `module`: names at the top belong to the file alone. In a script they are the page's. */
const minify = module =>
  terser({
    ecma: 2020,
    module,
    // 'strict': a read of `this` stays, for that of an error's stack has an effect.
    compress: { passes: 3, unsafe_arrows: true, pure_getters: 'strict' },
    format: { comments: /^!/ },
  })

/** Says how large each written file is, as it is shipped and after brotli 11. `npm start` passes QUIET: who starts the demo need not know. */
const sizes = {
  name: 'sizes',
  writeBundle(_, bundle) {
    if (process.env.QUIET) return
    for (const { code, fileName } of Object.values(bundle)) {
      if (!code || fileName.endsWith('.map')) continue
      const bytes = `${Buffer.byteLength(code)} B`.padStart(9)
      console.log(`dist/${fileName}`.padEnd(34), bytes, `${brotli(code)} B brotli`.padStart(16))
    }
  },
}

/**
 * Keeps the declarations that those of the entries lead to, of all that `tsc` has written. `require` takes only declarations of
 * CommonJS modules, so each gets a copy under a name of its own.
 */
const declarations = {
  name: 'declarations',
  writeBundle() {
    const written = readdirSync('dist', { recursive: true }).flatMap(
      file => /(.*)\.d\.c?ts$/.exec(file.replaceAll('\\', '/'))?.[1] ?? [],
    )
    const needed = new Set(entries.filter(name => written.includes(name)))
    for (const name of needed) {
      const text = readFileSync(join('dist', `${name}.d.ts`), 'utf8')
      for (const [, next] of text.matchAll(/from '(\.[^']+)\.js'/g))
        needed.add(posix.join(posix.dirname(name), next))
      writeFileSync(join('dist', `${name}.d.cts`), text.replace(/(from '\.[^']+)\.js'/g, "$1.cjs'"))
    }
    for (const name of written) {
      if (needed.has(name)) continue
      for (const ending of ['.d.ts', '.d.cts']) rmSync(join('dist', name + ending), { force: true })
    }
  },
}

/** The library of the outbox, which is in the bundle: its license asks for this notice in every copy. */
const bundled = {
  name: 'bundled',
  resolveId: id => (id === 'idb' ? fileURLToPath(import.meta.resolve('idb')) : null),
}

const notice = () =>
  `/*! idb: ${readFileSync('node_modules/idb/LICENSE', 'utf8')
    .trim()
    .replace(/\s*\n\s*/g, ' ')} */`

const bannerOf = ({ moduleIds }) =>
  moduleIds.some(id => id.includes('node_modules/idb/')) ? `${banner}\n${notice()}` : banner

const plugins = [bundled, esbuild({ target: 'es2020', sourceMap: true }), sizes]
const shared = { banner: bannerOf, sourcemap: true, exports: 'named' }

const entries = Object.values(exports).flatMap(
  ({ import: module }) => /dist\/(.*)\.js/.exec(module?.default)?.[1] ?? [],
)

/** What several entries use is in a chunk of its own, so that a page has it once, however it mixes them. */
const output = (kind, more) => ({
  ...shared,
  dir: 'dist',
  entryFileNames: `[name]${kind}`,
  chunkFileNames: `[name]${kind}`,
  manualChunks(id) {
    if (/\/src\/(core|common)\//.test(id)) return 'shared'
    if (/\/src\/tabs\/(hub|requests|delivery|replay|platform|protocol)/.test(id)) return 'hub'
    // The codec, which the server uses as well.
    if (/\/src\/protobuf\/(?!format)/.test(id)) return 'protobuf'
    if (/\/src\/reliable\/frames/.test(id)) return 'frames'
    // A part of the room is for one framework alone.
    return /\/src\/frameworks\/(?!react|vue|svelte|solid)/.test(id) ? 'frameworks' : undefined
  },
  ...more,
})

const umd = { ...shared, format: 'umd', name: 'SteadySocket' }

export default [
  {
    input: Object.fromEntries(entries.map(name => [name, `src/${name}.ts`])),
    // The frameworks, and parts of them such as svelte/store.
    external: id => id.split('/')[0] in peerDependencies,
    plugins,
    output: [
      output('.js', { format: 'es' }),
      output('.min.js', { format: 'es', plugins: [minify(true)] }),
      output('.cjs', { format: 'cjs', plugins: [declarations] }),
    ],
  },
  {
    input: 'src/umd.ts',
    plugins,
    output: [
      { ...umd, file: 'dist/steadysocket.umd.js' },
      { ...umd, file: 'dist/steadysocket.umd.min.js', plugins: [minify(false)] },
    ],
  },
  {
    input: 'src/tabs-worker-script.ts',
    plugins,
    output: { ...shared, format: 'iife', file: 'dist/steadysocket.tabs-worker.js', plugins: [minify(false)] },
  },
]
