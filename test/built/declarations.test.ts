import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dist, entries, namesOf, root, specifier } from './built.ts'

let home: string

beforeAll(() => {
  home = mkdtempSync(`${tmpdir()}/steadysocket-`)
  const installed = `${home}/node_modules/steadysocket`
  mkdirSync(installed, { recursive: true })
  cpSync(`${root}package.json`, `${installed}/package.json`)
  cpSync(dist, `${installed}/dist`, { recursive: true })
})
afterAll(() => rmSync(home, { recursive: true, force: true }))

const PROGRAM = `
import {
  backoff, createSocket, pageWake, SocketError,
  type Connection, type Data, type Endpoint, type Retry, type Socket, type SocketEvents, type SocketOptions, type State,
} from 'steadysocket'

const endpoint: Endpoint = async ({ attempt, signal }) => attempt ? 'wss://b.test/' : String(signal.aborted)
const retry: Retry = backoff({ base: 500 })
const options: SocketOptions<'blob'> = { binaryType: 'blob', retry, wake: pageWake, heartbeat: { message: 'ping' } }
const socket: Socket<'blob'> = createSocket(endpoint, options)

socket.on('binary', blob => blob.size)
socket.on('text', text => text.length)
const off: () => void = socket.once('close', ({ cause }) => cause instanceof SocketError && cause.code === 'UNRESPONSIVE')
off()
const outcome: 'sent' | 'queued' | 'dropped' = socket.send('text' satisfies Data)
const name: State['name'] = socket.state.name
createSocket('wss://a.test/').on('binary', buffer => buffer.byteLength)
export const prepare = async ({ receive }: Connection) => (await receive() as string).length
export const text: SocketEvents['text'] = outcome + name

// @ts-expect-error binary messages are Blobs here
socket.on('binary', (buffer: ArrayBuffer) => buffer)
// @ts-expect-error no such event
socket.on('message', () => {})
// @ts-expect-error a number
socket.send(123)
`

/** What the compiler says to a program that uses the package, in a file of this kind; nothing if all is well. */
const compile = (extension: string, settings: object, program: string = PROGRAM) => {
  const name = `program-${Math.random().toString(36).slice(2)}`
  const config = `${home}/${name}.json`
  writeFileSync(`${home}/${name}.${extension}`, program)
  writeFileSync(
    config,
    JSON.stringify({
      compilerOptions: {
        target: 'ES2022',
        lib: ['ES2020', 'DOM'],
        types: [],
        strict: true,
        skipLibCheck: false,
        noEmit: true,
        ...settings,
      },
      files: [`${name}.${extension}`],
    }),
  )
  const compiler = `${root}node_modules/typescript/bin/tsc`
  return new Promise<string>(resolve =>
    execFile(process.execPath, [compiler, '--pretty', 'false', '--project', config], (error, out) =>
      resolve(out || (error ? error.message : '')),
    ),
  )
}

const nodenext = { module: 'nodenext', moduleResolution: 'nodenext' }
const node16 = { module: 'node16', moduleResolution: 'node16' }
const bundler = { module: 'esnext', moduleResolution: 'bundler' }

describe('a program that uses the package compiles', { timeout: 30_000 }, () => {
  const SETTINGS: [how: string, extension: string, settings: object][] = [
    ['as a module for Node', 'mts', nodenext],
    ['as CommonJS for Node', 'cts', nodenext],
    ['as a module for an older Node', 'mts', node16],
    ['as CommonJS for an older Node, which cannot require a module', 'cts', node16],
    ['for a bundler', 'ts', bundler],
    ['with the newest library', 'ts', { ...bundler, lib: ['ESNext', 'DOM', 'DOM.Iterable'] }],
    ['in a worker, without a DOM', 'ts', { ...bundler, lib: ['ES2020', 'WebWorker'] }],
    [
      'under every strictness there is',
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
    expect(await compile(extension, settings)).toBe('')
  })
})

describe.each(entries)('what a program may import of %s', { timeout: 30_000 }, entry => {
  test.each([
    ['mts', nodenext],
    ['cts', nodenext],
    ['ts', bundler],
  ])('by its types is what there is: in a %s file', async (extension, settings) => {
    const program = `
      import * as all from '${specifier(entry)}'
      const names: Record<keyof typeof all, 1> = { ${namesOf(entry).map(name => `${name}: 1`)} }
      export default names
    `
    expect(await compile(extension, settings, program)).toBe('')
  })
})
