// What a page pays in bytes: bundled, minified and compressed from what each package publishes.
// Usage, after npm run build:
//
//   node test/bench/sizes.mjs
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { bars } from './chart.mjs'
import { peers } from './peers.mjs'
import { digits, machine, save, table, using } from './report.mjs'
import { label } from './versions.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** Connect, receive, send: the least that each needs for it. With a queue where the library has one to be asked for. */
const LEAST = {
  'native WebSocket': `const s = new WebSocket(url); s.onmessage = e => show(e.data); say(s)`,
  steadysocket: `import { createSocket } from 'steadysocket'
    const s = createSocket(url); s.on('text', show); say(s)`,
  'steadysocket/websocket': `import { SteadyWebSocket } from 'steadysocket/websocket'
    const s = new SteadyWebSocket(url); s.onmessage = e => show(e.data); say(s)`,
  'reconnecting-websocket': `import S from 'reconnecting-websocket'
    const s = new S(url); s.onmessage = e => show(e.data); say(s)`,
  partysocket: `import S from 'partysocket/ws'
    const s = new S(url); s.onmessage = e => show(e.data); say(s)`,
  '@nktkas/rews': `import { ReconnectingWebSocket } from '@nktkas/rews'
    const s = new ReconnectingWebSocket(url); s.onmessage = e => show(e.data); say(s)`,
  'sturdy-websocket': `import S from 'sturdy-websocket'
    const s = new S(url); s.onmessage = e => show(e.data); say(s)`,
  'robust-websocket': `import S from 'robust-websocket'
    const s = new S(url); s.onmessage = e => show(e.data); say(s)`,
  'websocket-ts': `import { ArrayQueue, ExponentialBackoff, WebsocketBuilder } from 'websocket-ts'
    const s = new WebsocketBuilder(url).withBuffer(new ArrayQueue()).withBackoff(new ExponentialBackoff(500, 3))
      .onMessage((_, e) => show(e.data)).build(); say(s)`,
  sockette: `import S from 'sockette'
    const s = S(url, { onmessage: e => show(e.data) }); say(s)`,
  'iso-websocket': `import { WS } from 'iso-websocket'
    const s = new WS(url); s.onmessage = e => show(e.data); say(s)`,
  'rxjs webSocket': `import { retry } from 'rxjs'
    import { webSocket } from 'rxjs/webSocket'
    const s = webSocket(url); s.pipe(retry({ delay: 1000 })).subscribe(show); say({ send: data => s.next(data) })`,
  'socket.io-client': `import { io } from 'socket.io-client'
    const s = io(url, { transports: ['websocket'] }); s.on('message', show); say(s)`,
}

/** Where all of a package is, if not under the peer's name. */
const HOMES = { partysocket: 'partysocket/ws', 'rxjs webSocket': 'rxjs/webSocket' }

const weigh = async contents => {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: root },
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    write: false,
    logLevel: 'error',
  })
  const [{ contents: code }] = outputFiles
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11 }
  return {
    minified: code.length,
    gzip: gzipSync(code, { level: 9 }).length,
    brotli: brotliCompressSync(code, { params }).length,
  }
}

/** Names and default, used, so that nothing is shaken off. */
const all = name => `import * as all from '${name}'; globalThis.all = all`

const cells = ({ minified, gzip, brotli }) => [minified, gzip, brotli].map(digits)
const head = ['', 'minified', 'gzip', 'brotli']

const least = []
for (const peer of peers) {
  const given = `const url = 'wss://example.com/', show = console.log, say = s => setTimeout(() => s.send('hello'), 1000)`
  const code = LEAST[peer.name].replace(/((?:\s*import .*\n)*)/, `$1${given}\n`)
  least.push({ peer, ...(await weigh(code)) })
}
least.sort((a, b) => a.brotli - b.brotli)

const whole = []
for (const { name, ours, ...peer } of peers.filter(({ name }) => !/^native/.test(name))) {
  whole.push({ peer: { name, ours, ...peer }, ...(await weigh(all(HOMES[name] ?? name))) })
}
whole.sort((a, b) => a.brotli - b.brotli)

const core = await weigh(all('steadysocket'))
const entries = []
for (const entry of ['', '/websocket', '/json', '/stream', '/testing', '/reliable']) {
  entries.push([`steadysocket${entry}`, await weigh(all(`steadysocket${entry}`))])
}
const both = await weigh(
  `import * as a from 'steadysocket'; import * as b from 'steadysocket/reliable'; globalThis.all = [a, b]`,
)

const bold = peer => (peer.ours ? `**${label(peer)}**` : label(peer))
save(
  'sizes.md',
  [
    '# What a page pays in bytes',
    '',
    machine(),
    `Bundled from what each package publishes and minified by ${using('esbuild')}, for es2022; gzip 9, brotli 11.`,
    '',
    '## Connect, receive, send',
    '',
    'A page that uses nothing else, tree-shaken. Buffer and backoff of websocket-ts, and `retry` of rxjs, are in it: without them they',
    'neither keep messages nor reconnect. sockette and robust-websocket keep no messages, and there is nothing to import for it.',
    '',
    table(
      head,
      least.map(one => [bold(one.peer), ...cells(one)]),
    ),
    '',
    '## All of it',
    '',
    'Every export. Of rxjs and of partysocket the part that is compared: `rxjs/webSocket`, `partysocket/ws`.',
    '',
    table(
      head,
      whole.map(one => [bold(one.peer), ...cells(one)]),
    ),
    '',
    '## Our entries',
    '',
    'Every export of each, and what it adds to a page that has the core.',
    '',
    table(
      [...head, 'more than the core, brotli'],
      entries.map(([name, size]) => {
        const alone = name === 'steadysocket/reliable' ? both : size
        const stands = /json|stream|testing/.test(name)
        return [
          name,
          ...cells(size),
          name === 'steadysocket' ? '–' : digits(stands ? size.brotli : alone.brotli - core.brotli),
        ]
      }),
    ),
  ].join('\n'),
)
save(
  'sizes.svg',
  bars({
    title: 'Connect, receive, send: bytes, minified and brotlied',
    unit: 'bytes',
    rows: least.map(({ peer, brotli }) => ({ name: label(peer), value: brotli, ours: peer.ours })),
  }),
)
