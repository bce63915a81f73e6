// One configuration, every file that is published: ESM (readable and minified), UMD (the same two), and the UMD
// once more under a name that `require` takes for CommonJS. Declarations come from `tsc` (npm run build).
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { brotliCompressSync, constants } from 'node:zlib'
import terser from '@rollup/plugin-terser'
import esbuild from 'rollup-plugin-esbuild'

const { name, version, license } = JSON.parse(readFileSync('package.json', 'utf8'))

const banner = `/*! ${name} ${version} | ${license} */`
const brotli = code => brotliCompressSync(code, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }).length

/** `module`: names at the top belong to the file alone. In a script they are the page's. */
const minify = module =>
  terser({
    ecma: 2020,
    module,
    compress: { passes: 3, unsafe_arrows: true, pure_getters: true },
    format: { comments: /^!/ },
  })

/** Says how large each written file is, as it is shipped and after brotli 11. */
const sizes = {
  name: 'sizes',
  writeBundle(_, bundle) {
    for (const { code, fileName } of Object.values(bundle)) {
      if (!code || fileName.endsWith('.map')) continue
      const bytes = `${Buffer.byteLength(code)} B`.padStart(9)
      console.log(`dist/${fileName}`.padEnd(34), bytes, `${brotli(code)} B brotli`.padStart(16))
    }
  },
}

/** `require` takes only declarations of CommonJS modules: the same ones, under names of their own. Written by `tsc` before. */
const declarations = {
  name: 'declarations',
  writeBundle() {
    for (const file of readdirSync('dist').filter(name => name.endsWith('.d.ts'))) {
      const text = readFileSync(`dist/${file}`, 'utf8').replace(/(from '\.\/\w+)\.js'/g, "$1.cjs'")
      writeFileSync(`dist/${file.replace('.d.ts', '.d.cts')}`, text)
    }
  },
}

const umd = { format: 'umd', name: 'SteadySocket', exports: 'named' }

export default {
  input: 'src/index.ts',
  plugins: [esbuild({ target: 'es2020', sourceMap: true }), sizes],
  output: [
    { file: 'dist/index.js', format: 'es' },
    { file: 'dist/index.min.js', format: 'es', plugins: [minify(true)] },
    { file: 'dist/index.cjs', ...umd, plugins: [declarations] },
    { file: 'dist/steadysocket.umd.js', ...umd },
    { file: 'dist/steadysocket.umd.min.js', ...umd, plugins: [minify(false)] },
  ].map(output => ({ ...output, banner, sourcemap: true })),
}
