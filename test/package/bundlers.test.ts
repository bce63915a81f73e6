// Apps that use the package, built by several bundlers: they work, are built without warnings, and contain only the code that they use.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { JSDOM } from 'jsdom'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { entries, namesOf, peerOf, specifier } from './built.ts'
import { type Bundled, bundlers } from './bundlers.ts'
import { createProject, type Project } from './installed.ts'

/** The entries that need no framework. test/engines/frameworks.test.ts builds and runs apps with the others. */
const plain = entries.filter(entry => !peerOf(entry))

const imports = (entries: string[], names: (entry: string) => string) =>
  entries.map(entry => `import ${names(entry)} from '${specifier(entry)}'`).join('\n')

/** A name for everything that an entry exports. */
const nameOf = (entry: string) => entry.replaceAll('-', '_')

const ECHO = `
  const socket = createSocket(url)
  socket.on('text', text => {
    heard(text)
    socket.close(1000)
  })
  socket.send('hello')
`

const PROGRAMS: Record<string, string> = {
  nothing: 'heard()',
  unused: `${imports(entries, entry => `{ ${namesOf(entry).map((name, index) => `${name} as ${nameOf(entry)}${index}`)} }`)}\nheard()`,
  backoff: `import { backoff } from 'steadysocket'\nheard(backoff()({ attempt: 1 }))`,
  when: `import { when } from 'steadysocket/stream'\nheard(when)`,
  reliableSocketOver: `import { reliableSocketOver } from 'steadysocket/reliable'\nheard(reliableSocketOver)`,
  createSocket: `import { createSocket } from 'steadysocket'${ECHO}`,
  everything: `
    ${imports(plain, entry => `* as ${nameOf(entry)}`)}
    const { createSocket } = index
    names(${`{ ${plain.map(entry => `'${entry}': ${nameOf(entry)}`)} }`})
    ${ECHO}
  `,
}

let project: Project
let server: WebSocketServer

beforeAll(async () => {
  project = createProject()
  for (const [name, program] of Object.entries(PROGRAMS)) project.write(`${name}.js`, program)
  server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  server.on('connection', (peer: WebSocket) => peer.on('message', data => peer.send(`${data}!`)))
  await once(server, 'listening')
})
afterAll(() => {
  server?.close()
  project?.remove()
})

/** Runs a script in a page, until it calls `heard()`. */
async function run(script: string) {
  const { window } = new JSDOM('', { runScripts: 'outside-only', url: 'http://127.0.0.1/' })
  const names: Record<string, string[]> = {}
  const heard = await new Promise<string>(heard => {
    Object.assign(window, {
      heard,
      url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`,
      names: (modules: Record<string, object>) => {
        for (const [entry, module] of Object.entries(modules)) names[entry] = Object.keys(module).sort()
      },
    })
    window.eval(script)
  })
  window.close()
  return { heard, names }
}

describe.each(Object.entries(bundlers))('the bundler %s', (bundler, bundle) => {
  let bundled: Bundled
  const size = (name: string) => Buffer.byteLength(bundled.scripts[name] as string)

  beforeAll(async () => {
    bundled = await bundle(project.home, Object.keys(PROGRAMS))
    const sizes = Object.keys(PROGRAMS).map(name => `${name} ${size(name)}`)
    console.log(`bytes, minified by ${bundler}: ${sizes.join(', ')}`)
  })

  test('bundles the package without warnings', () => {
    expect(bundled.warnings).toEqual([])
  })

  test('makes an app from createSocket that connects, receives, sends and closes', async () => {
    expect((await run(bundled.scripts.createSocket as string)).heard).toBe('hello!')
  })

  test('makes an app with every name of every entry that needs no framework', async () => {
    const { heard, names } = await run(bundled.scripts.everything as string)
    expect(heard).toBe('hello!')
    expect(names).toEqual(Object.fromEntries(plain.map(entry => [entry, namesOf(entry)])))
  })

  test('removes unused imports to the last byte', () => {
    expect(size('unused')).toBe(size('nothing'))
  })

  test('makes a small bundle if little is used', () => {
    expect(size('backoff')).toBeLessThan(size('createSocket') / 10)
    expect(size('when')).toBeLessThan(size('createSocket') / 10)
    expect(size('createSocket')).toBeLessThan(size('everything') / 3)
  })

  test('leaves the full core out of an app that imports only reliableSocketOver', () => {
    const { createSocket, reliableSocketOver } = bundled.scripts
    expect(createSocket).toContain('CONNECT_TIMEOUT')
    expect(reliableSocketOver).not.toContain('CONNECT_TIMEOUT')
  })
})
