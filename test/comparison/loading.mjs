// What happens before there is a socket: how a library is found, loaded, and what it weighs.
import { spawn } from 'node:child_process'
import { pages } from '../bench/pages.mjs'
import { sizeOf } from '../package/sizes.mjs'
import { packages } from './packages.mjs'

/** Runs a module in a Node of its own, and returns what it says before it ends. */
const runModule = code =>
  new Promise(resolve => {
    const child = spawn(process.execPath, ['--input-type=module', '--no-warnings', '--eval', code], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', data => {
        said += data
      })
    }
    child.on('close', () => resolve(said))
  })

/** The first line that names an error, of what Node prints. */
const errorIn = said => /^\w*Error.*/m.exec(said)?.[0] ?? 'fails'

const find = peer => packages[peer.name]
const skip = () => {
  throw Object.assign(new Error('is there already'), { skip: true })
}

/** Whether a page with the library is small enough. Its size is in bench/results/sizes.md. */
const atMost = async (peer, bytes) => {
  if (!find(peer)) skip()
  if ((await sizeOf(pages[peer.name])) > bytes) return 'is larger'
}

/** An engine from before these were there. */
const OLD = ['AbortController', 'AbortSignal', 'EventTarget', 'CustomEvent', 'structuredClone']

export const loading = {
  subject: 'Loading',
  scenarios: [
    {
      id: 'load-no-window',
      title: 'Can be imported where there is no `window` and no `navigator`, as on a server',
      why: 'https://github.com/appuri/robust-websocket/issues/18',
      bare: true,
      async run(peer) {
        if (!find(peer)) skip()
        const said = await runModule(
          `delete globalThis.navigator; await import('${find(peer).from}'); console.log('loaded')`,
        )
        if (!/loaded/.test(said)) return errorIn(said)
      },
    },
    {
      id: 'load-import',
      title: 'What `import` gives in Node is what the documents say',
      why: 'https://github.com/pladaria/reconnecting-websocket/issues/112',
      bare: true,
      async run(peer) {
        if (!find(peer)) skip()
        const { from, name } = find(peer)
        // What that one misses in Node is another scenario.
        const said = await runModule(`
          import 'data:text/javascript,if(!globalThis.navigator)globalThis.navigator={}'
          import ${name} from '${from}'
          console.log(typeof Made === 'function' ? 'a function' : 'an object')`)
        if (!/a function/.test(said))
          return /an object/.test(said) ? 'an object that is no class' : errorIn(said)
      },
    },
    {
      id: 'load-old-engine',
      title: 'Connects in an engine without `EventTarget` and `AbortController`, as of before 2018',
      why: 'https://developer.mozilla.org/en-US/docs/Web/API/EventTarget/EventTarget#browser_compatibility',
      bare: true,
      async run(peer) {
        if (!find(peer)) return
        const { from, name, make } = find(peer)
        const given = name === 'Made' ? 'default: Made' : name.slice(2, -2).replace(' as ', ': ')
        const said = await runModule(`
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
        if (!/connects/.test(said)) return errorIn(said)
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
