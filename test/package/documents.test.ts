// Compiles all TypeScript and JavaScript samples of README.md and the documentation with the built package. Other tests run the samples in other
// languages: test/jsdom/frameworks.test.ts and test/interop/recipes.test.ts.
import { execFile } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { compileScript, parse } from 'vue/compiler-sfc'
import { root } from './built.ts'
import { pieces as all, piecesIn, pieceWith } from './pieces.ts'

const folder = `${root}.tmp/documents-${process.pid}/`

/** Names that a sample may use: those of earlier samples, and those of the reader's application. */
const GIVEN: Record<string, string> = {
  backoff: "typeof import('steadysocket').backoff",
  createSocket: "typeof import('steadysocket').createSocket",
  createBrowserEvents: "typeof import('steadysocket').createBrowserEvents",
  onOutage: "typeof import('steadysocket').onOutage",
  socket: "import('steadysocket').Socket",
  SteadyWebSocket: "typeof import('steadysocket/websocket').SteadyWebSocket",
  json: "typeof import('steadysocket/json').json",
  z: "typeof import('zod').z",
  Price: "import('zod').ZodObject<{ symbol: import('zod').ZodString }>",
  vi: "typeof import('vitest').vi",
  createReliableSocket: "typeof import('steadysocket/reliable').createReliableSocket",
  protobuf: "typeof import('steadysocket/reliable-protobuf').protobuf",
  reliableSocketOver: "typeof import('steadysocket/reliable').reliableSocketOver",
  createReliableServer: "typeof import('steadysocket/server').createReliableServer",
  server: "import('steadysocket/server').ReliableServer",
  session: "import('steadysocket/server').Session",
  indexedDbOutbox: "typeof import('steadysocket/outbox').indexedDbOutbox",
  createOutbox: "typeof import('steadysocket/outbox').createOutbox",
  overCalls: "typeof import('steadysocket/outbox').overCalls",
  overSocket: "typeof import('steadysocket/outbox').overSocket",
  wss: "import('ws').WebSocketServer",
  messages: "typeof import('steadysocket/stream').messages",
  readable: "typeof import('steadysocket/stream').readable",
  writable: "typeof import('steadysocket/stream').writable",
  when: "typeof import('steadysocket/stream').when",
  createTabsSocket: "typeof import('steadysocket/tabs').createTabsSocket",
  api: "import('steadysocket/calls').Calls",
  CallError: "typeof import('steadysocket/calls').CallError",
  calls: "typeof import('steadysocket/calls').calls",
  jsonRpc: "typeof import('steadysocket/calls').jsonRpc",
  WebSocketServer: "typeof import('ws').WebSocketServer",
  createFakeServer: "typeof import('steadysocket/testing').createFakeServer",
  record: "typeof import('steadysocket/testing').record",
  expect: "typeof import('vitest').expect",
  createClient: "typeof import('graphql-ws').createClient",
  file: 'File',
  signal: 'AbortSignal',
  url: 'string',
}
for (const name of [
  'SteadySocket',
  'signOutButton',
  'userId',
  'askTheUser',
  'draw',
  'picture',
  'banner',
  'chrome',
  'cursor',
  'db',
  'draft',
  'fetchToken',
  'image',
  'missed',
  'onMessage',
  'onconnect',
]) {
  GIVEN[name] = 'any'
}
for (const name of [
  'execute',
  'order',
  'price',
  'promises',
  'question',
  'reconnectSomehow',
  'reloadEverything',
  'show',
  'sqliteStorage',
  'userOf',
]) {
  GIVEN[name] = 'any'
}

/** Names that the samples in the reference of a framework's entry may use. `shared`: the return type of its `useSocket()`. */
const hooksOf = (framework: string, shared: string) => {
  const names = ['useSocket', 'useSocketState', 'useMessages', 'useOutage']
  const from = `typeof import('steadysocket/${framework}')`
  return {
    ...Object.fromEntries(names.map(name => [name, `${from}['${name}']`])),
    socket: shared,
    orders: "import('steadysocket/json').Json<{ amount: number }, unknown, 'text'>",
    props: '{ room: string }',
  }
}
const SOCKET = "import('steadysocket').Socket"

/** In some documents a socket or a server is another one. */
const OWN: Record<string, Record<string, string>> = {
  'demo/docs/api/react.md': hooksOf('react', SOCKET),
  'demo/docs/api/vue.md': hooksOf('vue', `import('vue').ShallowRef<${SOCKET}>`),
  'demo/docs/api/svelte.md': hooksOf('svelte', `import('steadysocket/svelte').Current<${SOCKET}>`),
  'demo/docs/api/solid.md': hooksOf('solid', `() => ${SOCKET}`),
  'demo/docs/drop-in.md': { socket: "import('steadysocket/websocket').SteadyWebSocket" },
  'demo/docs/status.md': {
    showStatus: "(socket: import('steadysocket').Socket, ...elements: HTMLElement[]) => () => void",
  },
  'demo/docs/resubscribe.md': {
    subscribe: '(topic: string, onMessage: (text: string, gap: boolean) => void) => () => void',
  },
  'demo/docs/outbox.md': { socket: "import('steadysocket/reliable').ReliableSocket" },
  'demo/docs/api/outbox.md': { socket: "import('steadysocket/reliable').ReliableSocket" },
  'demo/docs/reliable.md': { socket: "import('steadysocket/reliable').ReliableSocket" },
  'demo/docs/tabs.md': { socket: "import('steadysocket/tabs').TabsSocket" },
  'demo/docs/api/tabs.md': { socket: "import('steadysocket/tabs').TabsSocket", message: 'any' },
  'demo/docs/api/core.md': { calls: 'any' },
  'demo/docs/api/index.md': { calls: 'any' },
  'demo/docs/api/testing.md': { server: "import('steadysocket/testing').FakeServer" },
}

/** Declarations of packages that are too large to install for the samples, and of names that bundlers add. */
const MODULES = `declare module 'react-native' {
  export const AppState: {
    addEventListener(type: 'change', listener: (state: 'active' | 'background' | 'inactive') => void): { remove(): void }
  }
}
declare module 'electron' {
  type Change = (event: 'resume' | 'suspend', listener: () => void) => void
  export const powerMonitor: { on: Change; off: Change }
}
declare module '*/Feed' {
  export const Feed: () => any
}
interface ImportMeta {
  readonly hot?: { readonly data: any; dispose(callback: (data: any) => void): void }
}
`

/** Languages that need no compiler, or that other tests run. */
const ELSEWHERE = ['diff', 'html', 'mermaid', 'nginx', 'py', 'sh', 'svelte', 'typescript']

/** Extracts the script of a Vue component. */
const scriptOf = (code: string, name: string) => compileScript(parse(code).descriptor, { id: name }).content

const pieces = piecesIn('js', 'ts', 'tsx', 'vue').map(({ language, file, name, code, place }) => ({
  place,
  name,
  extension: language === 'tsx' ? 'tsx' : 'ts',
  code:
    language === 'vue'
      ? scriptOf(code, name)
      : code.includes("'steadysocket/solid'")
        ? `/** @jsxImportSource solid-js */\n${code}`
        : code,
  given: { ...GIVEN, ...OWN[file] },
}))

/** The errors of the compiler, by the name of the sample. */
const compilerErrors = new Map<string, string[]>()

beforeAll(async () => {
  mkdirSync(folder, { recursive: true })
  for (const { name, extension, code, given } of pieces) {
    const missing = Object.entries(given).filter(
      ([word]) =>
        new RegExp(`\\b${word}\\b`).test(code) &&
        !new RegExp(`(const|let|function) ${word}\\b|import [^;]*?\\b${word}\\b[^;]*? from`).test(code),
    )
    const declared = missing.map(
      ([word, type]) => `declare ${/^(missed|onconnect)$/.test(word) ? 'let' : 'const'} ${word}: ${type}`,
    )
    // A sample that is a part of an options object becomes an object.
    const whole = /^\w+: /.test(code) ? `export default {\n${code}}` : code
    // The comment that sets the JSX transform must stay first.
    const [, pragma = ''] = /^(\/\*\*.*\n)?/.exec(whole) ?? []
    writeFileSync(`${folder}${name}.${extension}`, `${pragma}${declared.join('\n')}\n${whole}\nexport {}\n`)
  }
  writeFileSync(`${folder}modules.d.ts`, MODULES)
  const compilerOptions = {
    target: 'ES2022',
    module: 'esnext',
    moduleResolution: 'bundler',
    lib: ['ES2023', 'DOM', 'DOM.Iterable', 'DOM.AsyncIterable'],
    types: ['node'],
    jsx: 'react-jsx',
    strict: true,
    noImplicitAny: false,
    noEmit: true,
    skipLibCheck: true,
  }
  writeFileSync(`${folder}tsconfig.json`, JSON.stringify({ compilerOptions, include: ['*.ts', '*.tsx'] }))
  const compiler = `${root}node_modules/typescript/bin/tsc`
  const output = await new Promise<string>(resolve =>
    execFile(
      process.execPath,
      [compiler, '--pretty', 'false', '--project', folder],
      { cwd: folder },
      (_, out) => resolve(out),
    ),
  )
  for (const line of output.split('\n').filter(Boolean)) {
    const name = /^([\w-]+)\.tsx?\(/.exec(line)?.[1] ?? 'the rest'
    compilerErrors.set(name, [...(compilerErrors.get(name) ?? []), line])
  }
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const MODULE = /import \{ ([\w, ]+) \} from '[^']*\/([\w-]+\.min\.js)'/g
const moduleImports = piecesIn('html').flatMap(({ code, place }) =>
  [...code.matchAll(MODULE)].map(([, names = '', module = '']) => ({ place, names, module })),
)

test.each(moduleImports)('$module in the page of $place exports $names', async ({ names, module }) => {
  const exports = await import(/* @vite-ignore */ `${root}dist/${module}`)
  for (const name of names.split(', ')) expect(exports).toHaveProperty(name)
})

test('the import map of the guide without a bundler names modules of the package that exist', async () => {
  const page = pieceWith('demo/docs/no-bundler.md', 'importmap')
  const { imports } = JSON.parse(/<script type="importmap">(.*?)<\/script>/s.exec(page)?.[1] ?? '')
  const used = [...page.matchAll(/import \{ (\w+) \} from '([^']*)'/g)]
  expect(used.map(([, , from]) => from)).toEqual(Object.keys(imports))
  for (const [, name, from = ''] of used) {
    const path = imports[from].replace('/vendor/steadysocket/', `${root}dist/`)
    expect(await import(/* @vite-ignore */ path)).toHaveProperty(`${name}`)
  }
})

test('the documents are found, and every language in them is tested somewhere', () => {
  expect(pieces.length).toBeGreaterThan(60)
  const languages = new Set(all.map(({ language }) => language))
  expect([...languages].sort()).toEqual([...ELSEWHERE, 'js', 'ts', 'tsx', 'vue'].sort())
})

describe('the code sample compiles', () => {
  test.each(pieces)('of $place', ({ name }) => {
    expect(compilerErrors.get(name)).toBe(undefined)
  })

  test('and the compiler reports nothing outside the samples', () => {
    expect(compilerErrors.get('the rest')).toBe(undefined)
  })
})
