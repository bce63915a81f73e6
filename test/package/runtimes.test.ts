// The package in runtimes with a built-in WebSocket. All of them connect to the same server, and must report the same events.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { findProgram } from '../support/debian.ts'
import { effort, missing } from '../support/run.ts'
import { entries, namesOf, root, specifier } from './built.ts'
import { createProject, type Project } from './installed.ts'

/** A runtime, and its arguments before the path of a program. */
interface Runtime {
  readonly name: string
  readonly program: string
  readonly args: readonly string[]
}

/** These runtimes are larger than all dependencies together, so they are not dependencies. Only a run of all tests installs them. */
const others = { bun: '1.4.5', deno: '2.9.5' }
const folder = `${root}.tmp/runtimes/`

/** Installs both with one command into a separate folder, because npm would remove packages that are not in the command. */
let installed = false
function install() {
  if (installed) return
  installed = true
  mkdirSync(folder, { recursive: true })
  // Their install scripts download the programs.
  writeFileSync(
    `${folder}package.json`,
    JSON.stringify({ private: true, allowScripts: { bun: true, deno: true } }),
  )
  const packages = Object.entries(others).map(([name, version]) => `${name}@${version}`)
  spawnSync('npm', ['install', '--no-save', '--prefix', folder, ...packages], { stdio: 'ignore' })
}

const optional = (name: keyof typeof others, args: readonly string[]): Runtime[] => {
  const find = () => findProgram(name, `${folder}node_modules/.bin/${name}`)
  if (!find() && effort !== 'quick') install()
  const program = find()
  if (program) return [{ name, program, args }]
  missing(
    name,
    effort === 'quick' ? 'npm run test:all brings it' : 'npm could not install it',
    effort !== 'quick',
  )
  return []
}

const modern = 'WebSocket' in globalThis
const runtimes: Runtime[] = [
  // Before Node 22, WebSocket needs a flag.
  { name: 'node', program: process.execPath, args: modern ? [] : ['--experimental-websocket'] },
  ...optional('bun', ['run']),
  ...optional('deno', [
    ...['run', '--quiet', '--no-remote', '--node-modules-dir=manual', '--allow-net'],
    // React and Vue read it when they are loaded.
    '--allow-env=NODE_ENV',
  ]),
]

let project: Project
let server: WebSocketServer
let url: string
/** The codes and reasons with which clients closed. */
let closes: [code: number, reason: string][]

beforeAll(async () => {
  project = createProject()
  project.write('talk.mjs', readFileSync(new URL('runtime-talk.mjs', import.meta.url), 'utf8'))
  server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  server.on('connection', (peer: WebSocket) => {
    peer.on('message', (data, isBinary) => {
      if (`${data}` === 'go') peer.close(1012, 'restart')
      else peer.send(data, { binary: isBinary })
    })
    // If the server closes first, the answer need not contain the reason. In Node 20, it does not.
    peer.on('close', (code, reason) => closes.push([code, code === 1012 ? '' : `${reason}`]))
  })
  await once(server, 'listening')
  url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`
})
afterAll(() => {
  server?.close()
  project?.remove()
})

/** Runs a program, and parses its output as JSON. Throws with the output if it fails. */
async function run({ program, args }: Runtime, file: string, ...rest: string[]) {
  const child = spawn(program, [...args, file, ...rest], {
    cwd: project.home,
    env: { ...process.env, NO_COLOR: '1' },
    timeout: 240_000,
  })
  let out = ''
  let errorOutput = ''
  child.stdout.on('data', data => {
    out += data
  })
  child.stderr.on('data', data => {
    errorOutput += data
  })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`it ended with ${code}: ${out}${errorOutput}`)
  return JSON.parse(out)
}

describe.each(runtimes)('the runtime $name', runtime => {
  test('finds every name of every entry', async () => {
    const found = entries.map(
      entry => `${JSON.stringify(entry)}: Object.keys(await import('${specifier(entry)}')).sort()`,
    )
    const file = project.write(`names-${runtime.name}.mjs`, `console.log(JSON.stringify({ ${found} }))`)
    expect(await run(runtime, file)).toEqual(
      Object.fromEntries(entries.map(entry => [entry, namesOf(entry)])),
    )
  })

  test('sends and receives text and binary, reconnects, and closes', async () => {
    closes = []
    expect(await run(runtime, `${project.home}/talk.mjs`, url)).toEqual([
      ...['open', 'hello', 'talk'],
      [1, 2, 255],
      ...['waiting', [1012, 'restart', true]],
      ...['connecting', 'open', 'hello again', 'closing', 'closed'],
      [4001, 'done', true, false],
      'from the drop-in',
      [1000, true],
    ])
    expect(closes).toEqual([
      [1012, ''],
      [4001, 'done'],
      [1000, ''],
    ])
  })
})
