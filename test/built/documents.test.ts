// Every piece of code that README.md and the documents show is compiled, against the package as it was built.
import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { root } from './built.ts'

const folder = `${root}.tmp/documents-${process.pid}/`

/** What a piece of code may take for granted: what the pieces before it, and the reader's own page, have made. */
const GIVEN: Record<string, string> = {
  backoff: "typeof import('steadysocket').backoff",
  createSocket: "typeof import('steadysocket').createSocket",
  socket: "import('steadysocket').Socket",
  SteadyWebSocket: "typeof import('steadysocket/websocket').SteadyWebSocket",
  json: "typeof import('steadysocket/json').json",
  z: "typeof import('zod').z",
  Price: "import('zod').ZodObject<{ symbol: import('zod').ZodString }>",
  vi: "typeof import('vitest').vi",
  createReliableSocket: "typeof import('steadysocket/reliable').createReliableSocket",
  reliable: "typeof import('steadysocket/server').reliable",
  server: "import('steadysocket/server').ReliableServer",
  session: "import('steadysocket/server').Session",
  wss: "import('ws').WebSocketServer",
  createClient: "typeof import('graphql-ws').createClient",
  file: 'File',
  signal: 'AbortSignal',
  url: 'string',
}
for (const name of [
  'SteadySocket',
  'askTheUser',
  'banner',
  'cursor',
  'db',
  'draft',
  'fetchToken',
  'image',
  'missed',
  'onMessage',
]) {
  GIVEN[name] = 'any'
}
for (const name of [
  'order',
  'price',
  'promises',
  'question',
  'reconnectSomehow',
  'reloadEverything',
  'show',
  'userOf',
]) {
  GIVEN[name] = 'any'
}

/** In the document about reliable sessions a socket is one of those. */
const OWN: Record<string, Record<string, string>> = {
  'demo/docs/reliable.md': { socket: "import('steadysocket/reliable').ReliableSocket" },
}

const documents = [
  'README.md',
  ...readdirSync(`${root}demo/docs`)
    .filter(name => name.endsWith('.md'))
    .map(name => `demo/docs/${name}`),
]

/** The pieces of a document, by the line that each begins in. */
const pieces = documents.flatMap(file => {
  const text = readFileSync(root + file, 'utf8')
  return [...text.matchAll(/```(?:ts|js)\n(.*?)```/gs)].map(({ index, 1: code = '' }) => {
    const place = `${file}:${text.slice(0, index).split('\n').length + 1}`
    return { place, name: place.replace(/\W+/g, '-'), code, given: { ...GIVEN, ...OWN[file] } }
  })
})

/** What the compiler has to say, by the name of the piece. */
const complaints = new Map<string, string[]>()

beforeAll(async () => {
  mkdirSync(folder, { recursive: true })
  for (const { name, code, given } of pieces) {
    const missing = Object.entries(given).filter(
      ([word]) =>
        new RegExp(`\\b${word}\\b`).test(code) &&
        !new RegExp(`(const|let) ${word}\\b|import [^;]*?\\b${word}\\b[^;]*? from`).test(code),
    )
    const declared = missing.map(
      ([word, type]) => `declare ${word === 'missed' ? 'let' : 'const'} ${word}: ${type}`,
    )
    // A part of an options object is one.
    const whole = /^\w+: /.test(code) ? `export default {\n${code}}` : code
    writeFileSync(`${folder}${name}.ts`, `${declared.join('\n')}\n${whole}\nexport {}\n`)
  }
  const compilerOptions = {
    target: 'ES2022',
    module: 'esnext',
    moduleResolution: 'bundler',
    lib: ['ES2023', 'DOM', 'DOM.Iterable', 'DOM.AsyncIterable'],
    types: ['node'],
    strict: true,
    noImplicitAny: false,
    noEmit: true,
    skipLibCheck: true,
  }
  writeFileSync(`${folder}tsconfig.json`, JSON.stringify({ compilerOptions, include: ['*.ts'] }))
  const compiler = `${root}node_modules/typescript/bin/tsc`
  const said = await new Promise<string>(resolve =>
    execFile(
      process.execPath,
      [compiler, '--pretty', 'false', '--project', folder],
      { cwd: folder },
      (_, out) => resolve(out),
    ),
  )
  for (const line of said.split('\n').filter(Boolean)) {
    const name = /^([\w-]+)\.ts\(/.exec(line)?.[1] ?? 'the rest'
    complaints.set(name, [...(complaints.get(name) ?? []), line])
  }
}, 60_000)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('the documents are found', () => {
  expect(pieces.length).toBeGreaterThan(30)
})

describe('the code compiles', () => {
  test.each(pieces)('of $place', ({ name }) => {
    expect(complaints.get(name)).toBe(undefined)
  })

  test('and nothing else is the matter', () => {
    expect(complaints.get('the rest')).toBe(undefined)
  })
})
