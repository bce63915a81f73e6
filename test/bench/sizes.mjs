// The size of each library in a page: bundled, minified and compressed, as published.
// Usage, after npm run build:
//
//   node test/bench/sizes.mjs
import { weigh } from '../package/sizes.mjs'
import { bars } from './chart.mjs'
import { pages } from './pages.mjs'
import { peers } from './peers.mjs'
import { digits, save, table, using } from './report.mjs'
import { label } from './versions.mjs'

/** Where all of a package is, if not under the peer's name. */
const HOMES = { partysocket: 'partysocket/ws', 'rxjs webSocket': 'rxjs/webSocket' }

/** Everything that a package exports, used so that nothing is removed. */
const all = name => `import * as all from '${name}'; globalThis.all = all`

const cells = ({ minified, gzip, brotli }) => [minified, gzip, brotli].map(digits)
const head = ['', 'minified', 'gzip', 'brotli']

const least = []
for (const peer of peers) least.push({ peer, ...(await weigh(pages[peer.name])) })
least.sort((a, b) => a.brotli - b.brotli)

const whole = []
for (const { name, ours, ...peer } of peers.filter(({ name }) => !/^native/.test(name))) {
  whole.push({ peer: { name, ours, ...peer }, ...(await weigh(all(HOMES[name] ?? name))) })
}
whole.sort((a, b) => a.brotli - b.brotli)

const bold = peer => (peer.ours ? `**${label(peer)}**` : label(peer))
save(
  'sizes.md',
  [
    '# The size of each library in a page',
    '',
    `Bundled from the published packages and minified by ${using('esbuild')} for es2022, with gzip 9 and brotli 11.`,
    'Measured by test/package/sizes.mjs, as every size in the documents.',
    '',
    '## Connect, receive, send',
    '',
    'The smallest page that does this. It includes the queue and the backoff of websocket-ts, and `retry` of rxjs, because without them',
    'these neither queue messages nor reconnect. sockette and robust-websocket have no queue.',
    '',
    table(
      head,
      least.map(one => [bold(one.peer), ...cells(one)]),
    ),
    '',
    '## Every export',
    '',
    'Every export. For rxjs and partysocket, the part that is compared: `rxjs/webSocket` and `partysocket/ws`.',
    '',
    table(
      head,
      whole.map(one => [bold(one.peer), ...cells(one)]),
    ),
    '',
    'What each part and each entry of this package costs: [sizes](../../../demo/docs/sizes.md).',
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
