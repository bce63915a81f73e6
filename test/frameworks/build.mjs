// Builds apps with Vite, as projects do.
//
//   node test/frameworks/build.mjs FILE [--server] [--development] [--built] [--into FOLDER]
//
// FILE is an absolute path. It is printed as one module, or written as index.js into the folder. The package is
// taken from src, or with --built from dist.
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { svelte } from '@sveltejs/vite-plugin-svelte'
import react from '@vitejs/plugin-react'
import vue from '@vitejs/plugin-vue'
import { build } from 'vite'
import solid from 'vite-plugin-solid'

const here = fileURLToPath(new URL('.', import.meta.url))
const root = fileURLToPath(new URL('../../', import.meta.url))

/** The plugins, each for the files of its framework. */
export const plugins = ({ isServer = false } = {}) => [
  react({ include: /react[^/]*\.tsx$/ }),
  vue(),
  svelte({ configFile: false }),
  solid({ include: /solid[^/]*\.tsx$/, ssr: isServer, solid: { hydratable: true }, hot: false }),
]

/** Where Vite finds the package under its own name. */
export const packageIn = folder => [
  { find: /^steadysocket$/, replacement: `${root}${folder}/index.${folder === 'src' ? 'ts' : 'js'}` },
  { find: /^steadysocket\/(.*)$/, replacement: `${root}${folder}/$1.${folder === 'src' ? 'ts' : 'js'}` },
]

/** Builds one module. */
export const buildModule = async (file, { isServer, isDevelopment, isBuilt, into }) => {
  const mode = isDevelopment ? 'development' : 'production'
  // Vitest sets it, and then Vite would build for tests.
  process.env.NODE_ENV = mode
  const { output } = await build({
    root: `${here}apps`,
    configFile: false,
    logLevel: 'error',
    mode,
    plugins: plugins({ isServer }),
    resolve: { alias: packageIn(isBuilt ? 'dist' : 'src') },
    define: { 'process.env.NODE_ENV': JSON.stringify(mode) },
    build: {
      ssr: isServer,
      write: !!into,
      outDir: into,
      emptyOutDir: false,
      minify: !isServer && !isDevelopment,
      modulePreload: false,
      rolldownOptions: {
        input: { index: file },
        preserveEntrySignatures: 'strict',
        output: { entryFileNames: '[name].js', codeSplitting: false },
      },
    },
  })
  return output[0].code
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      server: { type: 'boolean' },
      development: { type: 'boolean' },
      built: { type: 'boolean' },
      into: { type: 'string' },
    },
  })
  const code = await buildModule(positionals[0], {
    isServer: values.server,
    isDevelopment: values.development,
    isBuilt: values.built,
    into: values.into,
  })
  if (!values.into) process.stdout.write(code)
}
