// The one tool that measures the sizes quoted in the documents: what a user's bundler makes of an import and its use, minified by esbuild,
// and compressed with brotli 11.
//
//   node test/package/sizes.mjs          after npm run build: prints the sizes
//   node test/package/size-table.mjs     writes them into the documents (npm run docs)
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** What every page with a socket does. */
const USE = `const socket = createSocket('wss://push.example.com/feed')
socket.on('text', text => console.log(text))
socket.send('hello')`

/** A page that connects, receives and sends, with the complete socket. */
export const PAGE = `import { createSocket } from 'steadysocket'\n${USE}`

const assembled = (...parts) => `import { ${['assemble', ...parts].join(', ')} } from 'steadysocket/core'
const createSocket = assemble({ ${parts.join(', ')} })
${USE}`

/** A page with the complete socket and everything that an entry exports. */
const beside = entry => `${PAGE}
import * as entry from 'steadysocket/${entry}'
globalThis.entry = entry`

export const PARTS = ['heartbeat', 'pageEvents', 'delivery', 'prepare', 'backoff', 'checks']
export const EXTENSIONS = ['websocket', 'json', 'stream', 'calls', 'reliable']

/** The sizes in bytes of a bundle of this code, with the packages as they are published. */
export const weigh = async code => {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: root },
    bundle: true,
    minify: true,
    format: 'esm',
    // This package is published as ES2020. Others are not, and would grow if their syntax were made older.
    target: 'es2022',
    legalComments: 'none',
    write: false,
    logLevel: 'error',
  })
  const { contents } = outputFiles[0]
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11 }
  return {
    minified: contents.length,
    gzip: gzipSync(contents, { level: 9 }).length,
    brotli: brotliCompressSync(contents, { params }).length,
  }
}

/** The size that the documents quote. */
export const sizeOf = async code => (await weigh(code)).brotli

/** All sizes by name. The size of a part or an extension is what it adds. */
export const measure = async () => {
  const whole = await sizeOf(PAGE)
  const bare = await sizeOf(assembled())
  const sizes = {
    steadysocket: whole,
    'steadysocket/core, bare': bare,
    'bare, with heartbeat and pageEvents': await sizeOf(assembled('heartbeat', 'pageEvents')),
  }
  for (const part of PARTS) sizes[`part ${part}`] = (await sizeOf(assembled(part))) - bare
  for (const entry of EXTENSIONS) sizes[`steadysocket/${entry}`] = (await sizeOf(beside(entry))) - whole
  return sizes
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, size] of Object.entries(await measure()))
    console.log(name.padEnd(40), `${size} B`.padStart(8))
}
