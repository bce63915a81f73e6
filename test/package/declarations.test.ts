import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { entries as all, namesOf, root, specifier } from './built.ts'
import { createProject, type Project } from './installed.ts'

/** All entries except for the one that uses types of its framework, whose declarations need the DOM and TypeScript 5.4. */
const entries = all.filter(entry => entry !== 'vue')

let project: Project

beforeAll(() => {
  project = createProject()
})
afterAll(() => project?.remove())

const PROGRAM = `
import {
  backoff, createSocket, browserEvents, SocketError,
  type PreparedConnection, type Data, type Endpoint, type Retry, type Socket, type SocketEvents, type SocketOptions, type State,
} from 'steadysocket'

const endpoint: Endpoint = async ({ attempt, signal }) => attempt ? 'wss://b.test/' : String(signal.aborted)
const retry: Retry = backoff({ base: 500 })
const options: SocketOptions<'blob'> = { binaryType: 'blob', retry, wake: browserEvents, heartbeat: { message: 'ping' } }
const socket: Socket<'blob'> = createSocket(endpoint, options)

socket.on('binary', blob => blob.size)
socket.on('text', text => text.length)
const off: () => void = socket.once('close', ({ cause }) => cause instanceof SocketError && cause.code === 'UNRESPONSIVE')
off()
const outcome: 'sent' | 'queued' | 'dropped' = socket.send('text' satisfies Data)
const name: State['name'] = socket.state.name
createSocket('wss://a.test/').on('binary', buffer => buffer.byteLength)
export const prepare = async ({ receive }: PreparedConnection) => (await receive() as string).length
export const text: SocketEvents['text'] = outcome + name

// @ts-expect-error binary messages are Blobs here
socket.on('binary', (buffer: ArrayBuffer) => buffer)
// @ts-expect-error no such event
socket.on('message', () => {})
// @ts-expect-error a number
socket.send(123)
`

/** A program that checks that the declarations of an entry have the same names as the entry itself. */
const checkNames = (entry: string) => `
  import * as all from '${specifier(entry)}'
  const names: Record<keyof typeof all, 1> = { ${namesOf(entry).map(name => `${name}: 1`)} }
  export default names
`

const PROGRAMS = {
  program: PROGRAM,
  ...Object.fromEntries(entries.map(entry => [`names-${entry}`, checkNames(entry)])),
}

/** Compiles these programs, in files with these extensions. Returns the errors. */
const compile = (
  typescript: string,
  extensions: string[],
  settings: object,
  programs: Record<string, string> = PROGRAMS,
) => {
  const id = Math.random().toString(36).slice(2)
  const files = extensions.flatMap(extension =>
    Object.entries(programs).map(([name, text]) => project.write(`${name}-${id}.${extension}`, text)),
  )
  const compilerOptions = {
    target: 'ES2022',
    lib: ['ES2020', 'DOM'],
    types: [],
    strict: true,
    skipLibCheck: false,
    noEmit: true,
    ...settings,
  }
  const config = project.write(`${id}.json`, JSON.stringify({ compilerOptions, files }))
  const compiler = `${root}node_modules/${typescript}/bin/tsc`
  return new Promise<string>(resolve =>
    execFile(process.execPath, [compiler, '--pretty', 'false', '--project', config], (error, out) =>
      resolve(out || (error ? error.message : '')),
    ),
  )
}

const nodenext = { module: 'nodenext', moduleResolution: 'nodenext' }
const node16 = { module: 'node16', moduleResolution: 'node16' }
const bundler = { module: 'esnext', moduleResolution: 'bundler' }
// The default of many older projects, which ignores `exports`. TypeScript 7 does not support it.
const node10 = { module: 'esnext', moduleResolution: 'node' }

describe('programs that use the package compile', () => {
  const SETTINGS: [how: string, extension: string, settings: object][] = [
    ['as modules for Node', 'mts', nodenext],
    ['as CommonJS for Node', 'cts', nodenext],
    ['as modules for an older Node', 'mts', node16],
    ['as CommonJS for an older Node, which cannot require a module', 'cts', node16],
    ['for a bundler', 'ts', bundler],
    ['with the newest library', 'ts', { ...bundler, lib: ['ESNext', 'DOM', 'DOM.Iterable'] }],
    ['in a worker, without a DOM', 'ts', { ...bundler, lib: ['ES2020', 'WebWorker'] }],
    [
      'with every strict option',
      'ts',
      {
        ...bundler,
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        noPropertyAccessFromIndexSignature: true,
        noImplicitOverride: true,
        noUnusedLocals: true,
        verbatimModuleSyntax: true,
        isolatedModules: true,
      },
    ],
  ]
  test.each(SETTINGS)('%s', async (_, extension, settings) => {
    expect(await compile('typescript', [extension], settings)).toBe('')
  })
})

test.each([
  ['for Node, both as modules and as CommonJS', ['mts', 'cts'], nodenext],
  ['for a bundler', ['ts'], bundler],
])(
  'a program that uses steadysocket/vue compiles with the types of Vue %s',
  async (_, extensions, settings) => {
    const program = `
    import type { Socket } from 'steadysocket'
    import { useMessages, useSocket } from 'steadysocket/vue'
    import { type Ref, ref, type ShallowRef } from 'vue'

    const url: Ref<string> = ref('wss://push.example.com/feed')
    const socket: Readonly<ShallowRef<Socket>> = useSocket(url)
    export const lines: Readonly<Ref<readonly string[]>> = useMessages(socket)
    // @ts-expect-error a number
    useMessages(socket, '100')
  `
    const programs = { program, names: checkNames('vue') }
    expect(await compile('typescript', extensions, settings, programs)).toBe('')
  },
)

// The version that api-extractor installs is the last one before TypeScript 7.
describe.each([
  { typescript: '@microsoft/api-extractor/node_modules/typescript', silence: { ignoreDeprecations: '6.0' } },
  { typescript: 'typescript-oldest', silence: {} },
])('programs compile with the older compiler $typescript', ({ typescript, silence }) => {
  test('the installed compiler has the expected version', () => {
    const { version } = JSON.parse(readFileSync(`${root}node_modules/${typescript}/package.json`, 'utf8'))
    expect(version).toMatch(typescript === 'typescript-oldest' ? /^5\.0\./ : /^6\./)
  })

  test.each([
    ['for Node, both as modules and as CommonJS', ['mts', 'cts'], nodenext],
    ['for a bundler', ['ts'], bundler],
    ['with the module resolution of old projects, which ignores exports', ['ts'], { ...node10, ...silence }],
  ])('%s', async (_, extensions, settings) => {
    expect(await compile(typescript, extensions, settings)).toBe('')
  })
})
