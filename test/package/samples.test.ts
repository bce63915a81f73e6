// Every sample of JavaScript and TypeScript in the documents is run: against a server that accepts connections and never answers, with
// stand-ins for what the application would have. It finds what the compiler cannot, such as options that are rejected. What a sample does
// against the server that it is for, recipes.test.ts, test/interop and test/jsdom check.
import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { createFakeServer } from '../../src/testing.ts'
import { piecesIn, root } from './pieces.ts'

const folder = `${root}.tmp/samples-${process.pid}/`
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** That of the platform: the tests replace it. */
const { setImmediate: soon } = globalThis

/** Packages whose real code a sample may use: they do nothing by themselves. */
const REAL = /^(steadysocket(\/\w+)?|zod|rxjs(\/\w+)?|graphql-ws|@msgpack\/msgpack)$/

/** Whatever the application or another package would bring along. It can be called, constructed, awaited and iterated, and is its own member. */
const anything: any = new Proxy(
  // An arrow function would be no constructor.
  function (this: unknown) {
    return this
  },
  {
    get: (_, name) =>
      name === 'then'
        ? undefined
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

// Those of Redis look at their client; test/interop has a real one. A sample of the fake server begins after the handshake.
const samples = piecesIn('js', 'ts').filter(
  ({ code, file }) => !code.includes("from 'redis'") && file !== 'demo/docs/api/testing.md',
)
const compiled = new Map<string, string>()

/** A sample that is a part of an object becomes one, and packages that are not here become stand-ins. */
const whole = (code: string) =>
  (/^\w+: /.test(code) ? `void {\n${code}}` : code)
    .replace(/^import type .*$/gm, '')
    .replace(/^import (?:\* as )?(\{[^}]*\}|\w+) from '([^']*)'$/gm, (line, names: string, from: string) =>
      from === 'vitest'
        ? ''
        : REAL.test(from)
          ? line
          : `const ${names.replaceAll(' as ', ': ')} = globalThis.anything`,
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
    ...{ anything, show: anything, banner: anything, vi, expect },
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

/** A name that the sample uses, and that neither it nor the platform defines. */
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
  for (let attempt = 0; ; attempt++) {
    const path = `${folder}${name}-${attempt}.mjs`
    const begun = new Promise(resolve => vi.stubGlobal('begin', resolve))
    writeFileSync(path, `begin();${compiled.get(name)}`)
    let error: unknown
    // What waits for an answer waits for ever here.
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
    vi.stubGlobal(missing, anything)
  }
})
