// Runs all JavaScript and TypeScript samples of the documentation with a server that accepts connections and never answers, and with stubs for the code of the
// application. This finds errors that the compiler cannot find, such as rejected options. recipes.test.ts, test/interop and test/jsdom test samples with their
// servers.
import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { createFakeServer } from '../../src/testing.ts'
import { piecesIn, root } from './pieces.ts'

const folder = `${root}.tmp/samples-${process.pid}/`
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** The real function, which the tests replace. */
const { setImmediate: soon } = globalThis

/** Packages that samples may really use, because they have no side effects. */
const REAL = /^(steadysocket(\/\w+)?|zod|rxjs(\/\w+)?|graphql-ws|@msgpack\/msgpack)$/

/**
 * Makes a stub for anything of the application or of other packages. It can be called, constructed, awaited and iterated, and all its properties are
 * itself. Each run of a sample gets its own: `createReliableServer()` refuses a `WebSocketServer` that already has a reliable server.
 */
const createStub = (): any => {
  const anything: any = new Proxy(
    // An arrow function cannot be a constructor.
    function (this: unknown) {
      return this
    },
    {
      get: (_, name) =>
        name === 'then'
          ? undefined
          : name === 'name'
            ? 'anything'
            : name === Symbol.toPrimitive
              ? () => ''
              : name === Symbol.iterator
                ? () => [][Symbol.iterator]()
                : name === Symbol.asyncIterator
                  ? async function* () {}
                  : name === 'prototype'
                    ? Object.prototype
                    : anything,
      set: () => true,
      apply: () => anything,
      construct: () => anything,
    },
  )
  return anything
}

// Samples with Redis need a real client, which test/interop has. A sample of the fake server begins after the handshake.
const samples = piecesIn('js', 'ts').filter(
  ({ code, file }) => !code.includes("from 'redis'") && file !== 'demo/docs/api/testing.md',
)
const compiled = new Map<string, string>()

/** Turns a sample that is a part of an object into an object, and replaces packages that are not installed with stubs. */
const whole = (code: string) =>
  (/^\w+: /.test(code) ? `void {\n${code}}` : code)
    .replace(/^import type .*$/gm, '')
    .replace(/^import (?:\* as )?(\{[^}]*\}|\w+) from '([^']*)'$/gm, (line, names: string, from: string) =>
      from === 'vitest'
        ? ''
        : REAL.test(from)
          ? line
          : `const ${names.replace(/\btype \w+, /g, '').replaceAll(' as ', ': ')} = globalThis.anything`,
    )
    .replaceAll('import.meta.hot', 'globalThis.hot')

beforeAll(() => {
  const transform = `
    const { transformSync } = require('esbuild')
    const codes = JSON.parse(require('fs').readFileSync(0, 'utf8'))
    process.stdout.write(JSON.stringify(codes.map(code => transformSync(code, { loader: 'ts' }).code)))`
  const said = execFileSync(process.execPath, ['--eval', transform], {
    cwd: root,
    input: JSON.stringify(samples.map(({ code }) => whole(code))),
    maxBuffer: 2 ** 26,
  })
  mkdirSync(folder, { recursive: true })
  for (const [at, code] of JSON.parse(`${said}`).entries()) compiled.set(samples[at]?.name ?? '', code)
})

beforeEach(async () => {
  vi.useFakeTimers()
  vi.stubGlobal('WebSocket', createFakeServer({ base: 'https://push.test/' }).WebSocket)
  onTestFinished(() => {
    vi.useRealTimers()
    vi.unstubAllGlobals()
  })
  const application = {
    ...{ vi, expect },
    ...{ cursor: '', draft: '', order: '', price: '', question: '', userId: '', message: { id: '1' } },
    sessionStorage: { getItem: () => null, setItem() {}, removeItem() {} },
    test: (_: string, run: () => void) => run(),
  }
  for (const [name, value] of Object.entries(application)) vi.stubGlobal(name, value)
  const entries = [
    '',
    '/websocket',
    '/json',
    '/reliable',
    '/server',
    '/stream',
    '/calls',
    '/tabs',
    '/outbox',
    '/testing',
  ]
  for (const entry of entries) {
    const exports = await import(/* @vite-ignore */ `steadysocket${entry}`)
    for (const name in exports) vi.stubGlobal(name, exports[name])
  }
})

/** Returns the name that the sample uses but that is not defined. */
const missingIn = (error: unknown) => /^(\w+) is not defined$/.exec((error as Error)?.message)?.[1]

test.each(samples)('the sample of $place runs', async ({ name, file }) => {
  const { createSocket, createReliableSocket, createTabsSocket, SteadyWebSocket } = globalThis as any
  const Kind = /(reliable|outbox)\.md$/.test(file)
    ? createReliableSocket
    : file.endsWith('tabs.md')
      ? createTabsSocket
      : createSocket
  const given = file.endsWith('drop-in.md') ? new SteadyWebSocket('wss://push.test') : Kind('wss://push.test')
  vi.stubGlobal('socket', given)
  const { z } = await import('zod')
  vi.stubGlobal('z', z)
  vi.stubGlobal('Price', z.object({ symbol: z.string() }))
  vi.stubGlobal('url', 'wss://push.test')
  vi.stubGlobal('signal', new AbortController().signal)
  const stubbed = ['anything', 'show', 'banner']
  for (let attempt = 0; ; attempt++) {
    const stub = createStub()
    for (const name of stubbed) vi.stubGlobal(name, stub)
    const path = `${folder}${name}-${attempt}.mjs`
    const begun = new Promise(resolve => vi.stubGlobal('begin', resolve))
    writeFileSync(path, `begin();${compiled.get(name)}`)
    let error: unknown
    // Samples that wait for an answer never finish here.
    const running = import(/* @vite-ignore */ path).catch(thrown => {
      error = thrown
    })
    await Promise.race([running, begun])
    await Promise.race([running, vi.advanceTimersByTimeAsync(100).then(() => new Promise(soon))])
    const missing = missingIn(error)
    if (!missing || attempt === 20) {
      expect(error).toBe(undefined)
      return
    }
    stubbed.push(missing)
  }
})
