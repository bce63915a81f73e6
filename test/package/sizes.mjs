// The one tool that measures the sizes that the documents quote: what a user's bundler makes of an import and its use, minified, and
// compressed with brotli 11.
//
//   node test/package/sizes.mjs        after npm run build
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants } from 'node:zlib'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** What every page with a socket does. */
const USE = `const socket = createSocket('wss://push.example.com/feed')
socket.on('text', text => console.log(text))
socket.send('hello')`

const complete = `import { createSocket } from 'steadysocket'\n${USE}`

const assembled = (...parts) => `import { ${['assemble', ...parts].join(', ')} } from 'steadysocket/core'
const createSocket = assemble({ ${parts.join(', ')} })
${USE}`

/** A page with the complete socket and everything that an entry exports. */
const beside = entry => `${complete}
import * as entry from 'steadysocket/${entry}'
globalThis.entry = entry`

export const PARTS = ['heartbeat', 'pageEvents', 'delivery', 'prepare', 'backoff', 'checks']
export const EXTENSIONS = ['websocket', 'json', 'stream', 'reliable']

/** The bytes that a bundle of this code takes, with the package as it was built. */
export const sizeOf = async code => {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: root },
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2020',
    legalComments: 'none',
    write: false,
    logLevel: 'error',
  })
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11 }
  return brotliCompressSync(outputFiles[0].contents, { params }).length
}

/** All sizes, by what they are of. Those of extensions are what they add to a page that has the complete socket. */
export const measure = async () => {
  const whole = await sizeOf(complete)
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
