// Compares the functions for React and Vue with those of other packages: how many messages of a burst reach a view, how often it renders, and how
// many connections views open. Usage, after npm run build:
//
//   node test/bench/hooks.mjs
//   ENGINES=firefox ROUNDS=3 node test/bench/hooks.mjs
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { WebSocketServer } from 'ws'
import { weigh } from '../package/sizes.mjs'
import { loadEngines } from './engines.mjs'
import { digits, machine, median, save, table, using } from './report.mjs'
import { version } from './versions.mjs'

const ROUNDS = Number(process.env.ROUNDS ?? 5)
const COUNT = 10_000
/** The time in milliseconds between unmounting the views and mounting another one. */
const CHANGE = 100

const contenders = [
  {
    name: 'steadysocket/react',
    framework: 'react',
    code: use('useMessages, useOutage, useSend, useSocket, useSocketState', 'steadysocket/react'),
  },
  {
    name: 'react-use-websocket, lastMessage',
    framework: 'react',
    code: use('default as hook', 'react-use-websocket'),
  },
  {
    name: 'react-use-websocket, onMessage',
    framework: 'react',
    code: use('default as hook', 'react-use-websocket'),
  },
  {
    name: 'partysocket/react, onMessage',
    framework: 'react',
    code: use('useWebSocket', 'partysocket/react'),
  },
  {
    name: 'steadysocket/vue',
    framework: 'vue',
    code: use('useMessages, useOutage, useSend, useSocket, useSocketState', 'steadysocket/vue'),
  },
  { name: '@vueuse/core, data', framework: 'vue', code: use('useWebSocket', '@vueuse/core') },
  { name: '@vueuse/core, onMessage', framework: 'vue', code: use('useWebSocket', '@vueuse/core') },
]

/** The code of a page that uses these functions of a package. */
function use(names, from) {
  const used = names.split(', ').map(name => name.split(' as ').at(-1))
  return `import { ${names} } from '${from}'\nconsole.log(${used})`
}

const bundle = async environment => {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('hooks-page.mjs', import.meta.url))],
    bundle: true,
    format: 'esm',
    minify: environment === 'production',
    write: false,
    define: { 'process.env.NODE_ENV': `"${environment}"`, __VUE_PROD_DEVTOOLS__: 'false' },
    logLevel: 'error',
  })
  return outputFiles[0].text.replaceAll('</script', '<\\/script')
}

/** Serves the pages, built for production and development, and a WebSocket server that can send a burst to all clients. */
const startServer = async () => {
  const scripts = { '/production': await bundle('production'), '/development': await bundle('development') }
  const http = createServer(({ url }, response) => {
    response.setHeader('content-type', 'text/html')
    response.end(`<!doctype html><title>bench</title><script type="module">${scripts[url] ?? ''}</script>`)
  })
  const ws = new WebSocketServer({ server: http, perMessageDeflate: false })
  let handshakes = 0
  ws.on('connection', () => handshakes++)
  http.listen(0, '127.0.0.1')
  await new Promise(resolve => http.once('listening', resolve))
  return {
    port: http.address().port,
    get handshakes() {
      return handshakes
    },
    get connections() {
      return [...ws.clients].filter(({ readyState }) => readyState === 1).length
    },
    reset() {
      handshakes = 0
      for (const client of ws.clients) client.terminate()
    },
    flood() {
      for (const client of ws.clients) for (let n = 1; n <= COUNT; n++) client.send(`${n}`)
    },
    close: () => http.close(),
  }
}

const pause = ms => new Promise(resolve => setTimeout(resolve, ms))

/** Waits until the value that `read()` returns stays the same for 500 ms. */
const settle = async read => {
  for (let last; last !== read(); ) {
    last = read()
    await pause(500)
  }
}

const measure = async (engine, server, { name, framework }) => {
  const origin = `http://127.0.0.1:${server.port}`
  const open = async (page, options) => {
    server.reset()
    // Browsers may report that a page has loaded before its module has run.
    await page.evaluate(async () => {
      while (!globalThis.mount) await new Promise(resolve => setTimeout(resolve, 10))
    })
    await page.evaluate(
      (name, options) => globalThis.mount(name, { url: location.origin.replace('http', 'ws'), ...options }),
      name,
      options,
    )
    await settle(() => server.handshakes)
  }
  const found = { delivered: [], renders: [], inOneTask: [] }
  for (let round = 0; round < ROUNDS; round++) {
    const page = await engine.open(`${origin}/production`)
    await open(page, { views: ['a'] })
    const before = await page.evaluate(() => globalThis.mounted.counts.renders)
    server.flood()
    const { delivered, renders } = await page.evaluate(() => globalThis.settled(1_000))
    found.delivered.push(delivered)
    found.renders.push(renders - before)
    await page.evaluate(count => globalThis.flood(count), COUNT)
    found.inOneTask.push((await page.evaluate(() => globalThis.settled(1_000))).delivered - delivered)
    await page.close()
  }

  const page = await engine.open(`${origin}/production`)
  await open(page, { views: ['a', 'b'] })
  found.two = server.connections
  // Both views are unmounted, and another one is mounted a moment later.
  await page.evaluate(async change => {
    globalThis.mounted.show([])
    await new Promise(resolve => setTimeout(resolve, change))
    globalThis.mounted.show(['c'])
  }, CHANGE)
  await settle(() => `${server.handshakes} ${server.connections}`)
  found.handshakes = server.handshakes
  found.left = server.connections
  await page.close()

  if (framework === 'react') {
    const page = await engine.open(`${origin}/development`)
    await open(page, { views: ['a'], strict: true })
    found.strict = server.handshakes
    await page.close()
  }
  return found
}

const label = name => {
  const [home, how] = name.split(', ')
  const versioned = `${home} ${version(home.replace('/react', ''))}`
  const text = how ? `${versioned}, \`${how}\`` : versioned
  return home.startsWith('steadysocket') ? `**${text}**` : text
}

const bytes = new Map()
for (const { name, code } of contenders) bytes.set(name, (await weigh(code, ['react', 'vue'])).brotli)

const server = await startServer()
const text = [
  '# The functions for React and Vue, compared with those of other packages',
  '',
  machine(),
  `${using('react', 'vue', 'ws')}. The page and the server are on the same machine. Medians of ${ROUNDS} rounds in one run of test/bench/hooks.mjs.`,
  '',
  `- **delivered**: the number of messages that a view has counted after the server sent ${digits(COUNT)} at once.`,
  '  With `lastMessage` and `data`, an effect or a watcher counts the values that the package provides for rendering.',
  '  With `onMessage`, a callback increases a number in the state of the view.',
  '- **renders**: how often that view rendered meanwhile.',
  `- **one task**: the same as delivered, if the page dispatches ${digits(COUNT)} messages in one task.`,
  '- **strict**: the number of handshakes for one view in the strict mode of React, in development.',
  '- **two views**: the number of connections for two views with the same URL. react-use-websocket has the option `share: true`.',
  `- **remount**: the number of handshakes when both views are unmounted and another one is mounted ${CHANGE} ms later, and the number of open connections at the end.`,
  '- **bytes**: the bytes that the package adds to a page with the framework, minified, brotli 11. This package with all five functions and the complete core.',
]
for (const { name: engineName, launch } of await loadEngines()) {
  const engine = await launch()
  try {
    const rows = []
    for (const contender of contenders) {
      const found = await measure(engine, server, contender)
      console.error(engineName, contender.name, JSON.stringify(found))
      rows.push([
        label(contender.name),
        digits(median(found.delivered)),
        digits(median(found.renders)),
        digits(median(found.inOneTask)),
        found.strict ?? '–',
        found.two,
        `${found.handshakes}, ${found.left}`,
        digits(bytes.get(contender.name)),
      ])
    }
    const head = ['', 'delivered', 'renders', 'one task', 'strict', 'two views', 'remount', 'bytes']
    text.push('', `## ${engineName} ${engine.version}`, '', table(head, rows))
  } finally {
    await engine.close()
  }
}
server.close()
save('hooks.md', text.join('\n'))
process.exit()
