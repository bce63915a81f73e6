// Measures all sizes in the documentation: a program that imports and uses the package, bundled and minified by esbuild, and compressed with
// brotli 11.
//
//   node test/package/sizes.mjs          after npm run build: prints the sizes
//   node test/package/size-table.mjs     writes them into the documents (npm run docs)
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** The code of every page with a socket. */
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

/** The functions other than `createSocket` that a page may import, each with a call. */
export const FUNCTIONS = {
  onOutage: 'onOutage(socket, { grace: 2_000 }, ({ away, since, state }) => console.log(away, since, state))',
  createBrowserEvents: 'console.log(createBrowserEvents({ hiddenFor: 300_000 }))',
}

/** The functions of an entry for a framework, each with a call. */
const HOOKS = {
  useSocket: "console.log(useSocket('wss://push.example.com/news'))",
  useSocketState: 'console.log(useSocketState(socket, ({ name }) => name))',
  useMessages: 'console.log(useMessages(socket, 50))',
  useOutage: 'console.log(useOutage(socket, { grace: 2_000 }))',
  useSend: 'console.log(useSend(socket))',
}

export const FRAMEWORKS = ['react', 'vue', 'svelte', 'solid']
export const PARTS = ['heartbeat', 'pageEvents', 'delivery', 'handover', 'prepare', 'backoff', 'checks']

/** The parts that a part needs. */
const NEEDED = { handover: ['delivery'] }
export const EXTENSIONS = ['websocket', 'json', 'stream', 'calls', 'reliable', 'outbox', 'tabs']

/** The sizes in bytes of a bundle of this code, with the published packages, except for those that the page already has. */
export const weigh = async (code, external = []) => {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: root },
    bundle: true,
    external,
    minify: true,
    format: 'esm',
    // This package is published as ES2020. Others have newer syntax, and would grow if it were converted.
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

/** The number of pages that differ only in their URL. The minifier chooses other names for each, which changes the size by up to 40 bytes. */
const ADDRESSES = 12

/** The bytes that a function adds to a page that calls its own function instead: the mean over several pages. */
const weighFunction = async name => {
  let sum = 0
  for (let i = 0; i < ADDRESSES; i++) {
    const page = PAGE.replace('push', `push${i * 7}`)
    const withIt = await sizeOf(`${page}\nimport { ${name} } from 'steadysocket'\n${FUNCTIONS[name]}`)
    sum += withIt - (await sizeOf(`${page}\n${FUNCTIONS[name].replace(name, `globalThis.${name}`)}`))
  }
  return Math.round(sum / ADDRESSES)
}

const listenTo = (event, n) => `socket.on('${event}', ${event} => console.log('${event}', ${n}, ${event}))`

/** Pages that listen to different events, so that their names and code differ. */
const variants = page =>
  Array.from({ length: 2 ** EVENTS.length }, (_, i) =>
    [page, ...EVENTS.filter((_, bit) => (i >> bit) & 1).map(event => listenTo(event, i))].join('\n'),
  )
const EVENTS = ['open', 'close', 'drop', 'error', 'state']

/** The bytes that the functions for a framework add to a page with the framework and `onOutage()`, as a mean over several pages. */
const weighHooks = async entry => {
  const imports = readFileSync(`${root}dist/${entry}.js`, 'utf8').matchAll(
    /^import { (.*) } from '([^.].*)'/gm,
  )
  const framework = [...imports].map(([statement, names]) => `${statement}\nconsole.log(${names})`).join('\n')
  const names = Object.keys(HOOKS)
  const page = `${PAGE}\nimport { onOutage } from 'steadysocket'\n${FUNCTIONS.onOutage}\n${framework}`
  const calls = Object.values(HOOKS).join('\n')
  const ownCalls = calls.replace(/\buse\w+(?=\()/g, 'globalThis.$&')
  let sum = 0
  for (const variant of variants(page)) {
    const withThem = await sizeOf(`${variant}\nimport { ${names} } from 'steadysocket/${entry}'\n${calls}`)
    sum += withThem - (await sizeOf(`${variant}\n${ownCalls}`))
  }
  return Math.round(sum / variants(page).length)
}

/** All sizes by name. The size of a part or an extension is what it adds. */
export const measure = async () => {
  const whole = await sizeOf(PAGE)
  const bare = await sizeOf(assembled())
  const sizes = {
    steadysocket: whole,
    'steadysocket/core, bare': bare,
    'bare, with heartbeat and pageEvents': await sizeOf(assembled('heartbeat', 'pageEvents')),
  }
  for (const part of PARTS) {
    const needed = NEEDED[part] ?? []
    sizes[`part ${part}`] = (await sizeOf(assembled(...needed, part))) - (await sizeOf(assembled(...needed)))
  }
  for (const name in FUNCTIONS) sizes[`${name}()`] = await weighFunction(name)
  for (const entry of EXTENSIONS) sizes[`steadysocket/${entry}`] = (await sizeOf(beside(entry))) - whole
  for (const entry of FRAMEWORKS) sizes[`steadysocket/${entry}`] = await weighHooks(entry)
  return sizes
}

// Compares the name of the file, because in a bundle, this module has the path of the bundle.
if (/\bpackage\Wsizes\.mjs$/.test(process.argv[1])) {
  for (const [name, size] of Object.entries(await measure()))
    console.log(name.padEnd(40), `${size} B`.padStart(8))
}
