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

/** The module of a package that is compared, if it is not the package itself. */
const HOMES = { partysocket: 'partysocket/ws', 'rxjs webSocket': 'rxjs/webSocket' }

/** A program that uses everything that a package exports, so that the bundler removes nothing. */
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
    'Measured by test/package/sizes.mjs, like all sizes in the documentation.',
    '',
    '## Connect, receive, send',
    '',
    'The size of the smallest page that does this. It includes the queue and the backoff of websocket-ts, and `retry` of rxjs, because these',
    'libraries neither queue messages nor reconnect without them. sockette and robust-websocket have no queue.',
    '',
    table(
      head,
      least.map(one => [bold(one.peer), ...cells(one)]),
    ),
    '',
    '## Every export',
    '',
    'The size of all exports. For rxjs and partysocket, these are the exports of `rxjs/webSocket` and `partysocket/ws`.',
    '',
    table(
      head,
      whole.map(one => [bold(one.peer), ...cells(one)]),
    ),
    '',
    'The size of each part and each entry of this package is in [Sizes](../../../demo/docs/sizes.md).',
  ].join('\n'),
)
save(
  'sizes.svg',
  bars({
    title: 'Connect, receive, send: bytes, minified and compressed with brotli',
    unit: 'bytes',
    rows: least.map(({ peer, brotli }) => ({ name: label(peer), value: brotli, ours: peer.ours })),
  }),
)
