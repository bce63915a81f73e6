// Importing a library, and its size.
import { spawn } from 'node:child_process'
import { pages } from '../bench/pages.mjs'
import { sizeOf } from '../package/sizes.mjs'
import { packages } from './packages.mjs'

/** Runs a module in a Node process of its own, and returns its output. */
const runModule = code =>
  new Promise(resolve => {
    const child = spawn(process.execPath, ['--input-type=module', '--no-warnings', '--eval', code], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', data => {
        output += data
      })
    }
    child.on('close', () => resolve(output))
  })

/** Returns the first line of the output that names an error. */
const errorIn = output => /^\w*Error.*/m.exec(output)?.[0] ?? 'fails'

const importOf = peer => packages[peer.name]
const skip = () => {
  throw Object.assign(new Error('is part of the platform'), { skip: true })
}

/** Fails if a page with the library is larger than this. The sizes are in bench/results/sizes.md. */
const atMost = async (peer, bytes) => {
  if (!importOf(peer)) skip()
  if ((await sizeOf(pages[peer.name])) > bytes) return 'larger'
}

/** Globals that older engines lack. */
const OLD = ['AbortController', 'AbortSignal', 'EventTarget', 'CustomEvent', 'structuredClone']

export const loading = {
  subject: 'Loading',
  scenarios: [
    {
      id: 'load-no-window',
      title: 'Can be imported without `window` and `navigator`, as on a server',
      why: 'https://github.com/appuri/robust-websocket/issues/18',
      bare: true,
      async run(peer) {
        if (!importOf(peer)) skip()
        const output = await runModule(
          `delete globalThis.navigator; await import('${importOf(peer).from}'); console.log('loaded')`,
        )
        if (!/loaded/.test(output)) return errorIn(output)
      },
    },
    {
      id: 'load-import',
      title: '`import` in Node returns what the documentation says',
      why: 'https://github.com/pladaria/reconnecting-websocket/issues/112',
      bare: true,
      async run(peer) {
        if (!importOf(peer)) skip()
        const { from, name } = importOf(peer)
        // Another scenario checks that it works without `navigator`.
        const output = await runModule(`
          import 'data:text/javascript,if(!globalThis.navigator)globalThis.navigator={}'
          import ${name} from '${from}'
          console.log(typeof Made === 'function' ? 'a function' : 'an object')`)
        if (!/a function/.test(output))
          return /an object/.test(output) ? 'an object, not a class' : errorIn(output)
      },
    },
    {
      id: 'load-old-engine',
      title: 'Connects in an engine without `EventTarget` and `AbortController`, from before 2018',
      why: 'https://developer.mozilla.org/en-US/docs/Web/API/EventTarget/EventTarget#browser_compatibility',
      bare: true,
      async run(peer) {
        if (!importOf(peer)) return
        const { from, name, make } = importOf(peer)
        const given = name === 'Made' ? 'default: Made' : name.slice(2, -2).replace(' as ', ': ')
        const output = await runModule(`
          import { createServer } from 'node:http'
          import { WebSocket, WebSocketServer } from 'ws'
          for (const name of ${JSON.stringify(OLD)}) delete globalThis[name]
          globalThis.navigator ??= { onLine: true }
          globalThis.CustomEvent = function () {}
          globalThis.addEventListener = () => {}
          globalThis.WebSocket = WebSocket
          process.on('uncaughtException', error => { console.log(String(error)); process.exit() })
          const server = createServer().listen(0, '127.0.0.1', async () => {
            server.on('upgrade', () => { console.log('connects'); process.exit() })
            const url = 'ws://127.0.0.1:' + server.address().port
            let { ${given} } = await import('${from}')
            Made = Made.default ?? Made
            ${make}
          })`)
        if (!/connects/.test(output)) return errorIn(output)
      },
    },
    {
      id: 'load-1-kB',
      title: 'At most 1 kB (minified by esbuild, brotli)',
      bare: true,
      run: peer => atMost(peer, 1_000),
    },
    {
      id: 'load-3-kB',
      title: 'At most 3 kB (minified by esbuild, brotli)',
      bare: true,
      run: peer => atMost(peer, 3_000),
    },
  ],
}
