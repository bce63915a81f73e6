import { execFileSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { createContext, runInContext, runInNewContext } from 'node:vm'
import { JSDOM } from 'jsdom'
import { describe, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import type * as SteadySocket from '../../src/index.ts'
import {
  commons,
  dist,
  entries,
  GLOBALS,
  inWorker,
  modules,
  namesOf,
  read,
  root,
  specifier,
  typesOf,
  umds,
} from './built.ts'

const require = createRequire(import.meta.url)

const names = (exported: object) => Object.keys(exported).sort()

/** Runs a module in a Node process of its own, in the folder of the package, and parses its output. */
const inNode = (code: string) =>
  JSON.parse(
    execFileSync(process.execPath, ['--input-type=module', '--eval', code], { cwd: root, encoding: 'utf8' }),
  )

/** Runs a script as CommonJS in this realm, and returns its exports. */
const asCommonJS = (file: string, scope: object): object => {
  const module = { exports: {} }
  const run = runInContext(`(function (exports, require, module) {${read(file)}\n})`, scope)
  run.call(module.exports, module.exports, createRequire(dist + file), module)
  return module.exports
}

/** A page that loads these files with `<script>` tags. */
const page = async (...files: string[]) => {
  const tags = files.map(file => `<script src="${file}"></script>`).join('')
  const { window } = new JSDOM(tags, {
    url: pathToFileURL(`${dist}page.html`).href,
    runScripts: 'dangerously',
    resources: 'usable',
  })
  await new Promise(resolve => window.addEventListener('load', resolve))
  return window as typeof window & { SteadySocket: typeof SteadySocket }
}

describe('import', () => {
  test.each(entries)('finds the entry %s by its name in Node, with every name', entry => {
    const code = `import * as all from '${specifier(entry)}'; console.log(JSON.stringify(Object.keys(all)))`
    expect(inNode(code).sort()).toEqual(namesOf(entry))
  })

  test.each(entries)('finds single names of %s', entry => {
    const list = namesOf(entry)
    const code = `import { ${list} } from '${specifier(entry)}'; console.log(JSON.stringify([${list}].map(one => typeof one)))`
    expect(inNode(code)).toEqual(typesOf(entry))
  })

  test.each(entries)(
    'finds no default export in %s, which means something else in every module system',
    entry => {
      const code = `import * as all from '${specifier(entry)}'; console.log('default' in all)`
      expect(inNode(code)).toBe(false)
    },
  )

  test.each(modules)('loads dist/%s by its path', file => {
    const code = `const all = await import('./dist/${file}'); console.log(JSON.stringify(Object.keys(all)))`
    expect(inNode(code).sort()).toEqual(namesOf(file))
  })

  test('works in a worker, with every name', async () => {
    expect((await inWorker(async load => Object.keys(await load()), undefined)).sort()).toEqual(
      namesOf('index'),
    )
  })

  test('makes a socket in a worker that connects, receives and closes', async () => {
    const story = await inWorker(async load => {
      class Native {
        readyState = 0
        bufferedAmount = 0
        protocol = ''
        onopen?: () => void
        onmessage?: (event: object) => void
        onclose?: (event: object) => void
        url: string
        constructor(url: string) {
          this.url = url
          setTimeout(() => {
            this.readyState = 1
            this.onopen?.()
            this.onmessage?.({ data: 'hello' })
          })
        }
        send() {}
        close(code = 1005) {
          this.readyState = 3
          setTimeout(() => this.onclose?.({ code, reason: '', wasClean: true }))
        }
      }
      const { createSocket } = await load()
      const story: string[] = []
      const socket = createSocket('wss://push.example.com/', { WebSocket: Native })
      socket.on('text', text => {
        story.push(text)
        socket.close(1000)
      })
      return new Promise<string[]>(resolve => {
        socket.on('state', ({ name }) => {
          story.push(name)
          if (name === 'closed') resolve(story)
        })
      })
    }, undefined)
    expect(story).toEqual(['open', 'hello', 'closing', 'closed'])
  })

  test('has no side effects: it uses no timer, listener, page, random number or clock', async () => {
    const touched = await inWorker(async (load, globals) => {
      const touched: string[] = []
      const watch = (target: any, name: string) => {
        const value = target[name]
        Object.defineProperty(target, name, {
          configurable: true,
          get() {
            touched.push(name)
            return value
          },
        })
      }
      for (const name of globals) watch(globalThis, name)
      watch(Math, 'random')
      watch(Date, 'now')
      // Node itself reads some globals to create others lazily.
      touched.length = 0
      const { createSocket } = await load()
      const atImport = touched.splice(0)
      // The spies work.
      createSocket('wss://push.example.com/', { autoConnect: false })
      try {
        createSocket('wss://push.example.com/')
      } catch {}
      return [atImport, touched.length > 0]
    }, GLOBALS)
    expect(touched).toEqual([[], true])
  })
})

describe('require', () => {
  test.each(entries)('finds the entry %s by its name, with every name', entry => {
    expect(require.resolve(specifier(entry))).toBe(`${dist}${entry}.cjs`)
    expect(names(require(specifier(entry)))).toEqual(namesOf(entry))
  })

  test.each([...umds, ...commons])('loads dist/%s as CommonJS', file => {
    expect(names(asCommonJS(file, createContext({ EventTarget })))).toEqual(namesOf(file))
  })

  test('defines no global', () => {
    const scope = createContext({ EventTarget })
    for (const file of [...umds, ...commons]) asCommonJS(file, scope)
    expect(names(scope)).toEqual(['EventTarget'])
  })
})

describe('an AMD loader', () => {
  test.each(umds)('loads dist/%s, which defines no global', file => {
    const exported: Record<string, unknown> = {}
    const define = (needs: string[], factory: (...found: unknown[]) => unknown) => {
      expect(needs.filter(need => need !== 'exports')).toEqual([])
      Object.assign(exported, factory(...needs.map(() => exported)))
    }
    const scope = createContext({ EventTarget, define: Object.assign(define, { amd: {} }) })
    runInContext(read(file), scope)
    expect(names(exported)).toEqual(namesOf(file))
    expect(names(scope)).toEqual(['EventTarget', 'define'])
  })
})

describe('a script tag', () => {
  test.each(umds)('with dist/%s defines SteadySocket and no other global', async file => {
    const plain = await page()
    const window = await page(file)
    expect(names(window.SteadySocket)).toEqual(namesOf(file))
    const added = Object.getOwnPropertyNames(window).filter(name => !(name in plain))
    expect(added).toEqual(['SteadySocket'])
    window.close()
    plain.close()
  })

  test.each(umds)('with dist/%s provides a socket that works', async file => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    server.on('connection', peer => peer.on('message', data => peer.send(`${data}!`)))
    await new Promise(resolve => server.once('listening', resolve))
    const { port } = server.address() as { port: number }
    const window = await page(file)
    const socket = window.SteadySocket.createSocket(`ws://127.0.0.1:${port}/`)
    const heard = new Promise<string>(resolve => socket.on('text', resolve))
    expect(socket.send('hello')).toBe('queued')
    expect(await heard).toBe('hello!')
    const closed = new Promise<{ wasClean: boolean; willRetry: boolean }>(resolve =>
      socket.on('close', resolve),
    )
    socket.close(1000)
    expect(await closed).toMatchObject({ code: 1000, wasClean: true, willRetry: false })
    window.close()
    server.close()
  })

  test.each(umds)('with dist/%s has no other effect', file => {
    const touched: string[] = []
    const scope = createContext({ EventTarget, touch: (name: string) => touched.push(name) })
    const watch = (target: string, name: string) =>
      runInContext(
        `{
          const value = ${target}['${name}']
          Object.defineProperty(${target}, '${name}', { configurable: true, get() { touch('${name}'); return value } })
        }`,
        scope,
      )
    for (const name of GLOBALS) watch('globalThis', name)
    watch('Math', 'random')
    watch('Date', 'now')
    runInContext(read(file), scope)
    // The drop-in class extends EventTarget, and stores WebSocket, because it may replace it.
    expect(touched.sort()).toEqual(['EventTarget', 'WebSocket'])
    // The spies work.
    runInContext('SteadySocket.backoff()({ attempt: 1, cause: {} })', scope)
    expect(touched.slice(2)).toEqual(['random'])
  })
})

describe('entries that are mixed', () => {
  test.each([
    ['modules', '.js'],
    ['minified modules', '.min.js'],
  ])('share one SocketError as %s', async (_, ending) => {
    const [index, core] = await Promise.all(
      ['index', 'core'].map(name => import(/* @vite-ignore */ `${dist}${name}${ending}`)),
    )
    expect(core.SocketError).toBe(index.SocketError)
    expect(core.createEmitter).toBe(index.createEmitter)
  })

  test('share one SocketError as CommonJS', () => {
    expect(require('steadysocket/core').SocketError).toBe(require('steadysocket').SocketError)
  })
})

describe('without a WebSocket', () => {
  test('createSocket throws a SocketError that says what to pass', async () => {
    const thrown = await inWorker(async load => {
      Reflect.deleteProperty(globalThis, 'WebSocket')
      const { createSocket, SocketError } = await load()
      try {
        createSocket('wss://push.example.com/')
        return undefined
      } catch (error) {
        const { name, code, message } = error as SteadySocket.SocketError
        return { name, code, message, ours: error instanceof SocketError, standard: error instanceof Error }
      }
    }, undefined)
    expect(thrown).toMatchObject({ name: 'SocketError', code: 'NO_WEBSOCKET', ours: true, standard: true })
    expect(thrown?.message).toMatch(/WebSocket/)
  })

  test('a socket with autoConnect: false can be made, as on a server', async () => {
    const state = await inWorker(async load => {
      Reflect.deleteProperty(globalThis, 'WebSocket')
      const { createSocket } = await load()
      const socket = createSocket('wss://push.example.com/', { autoConnect: false })
      return [socket.state.name, socket.send('later'), socket.queued]
    }, undefined)
    expect(state).toEqual(['closed', 'queued', 1])
  })
})

describe('a minified file', () => {
  test.each([...umds])('dist/%s keeps the public names', file => {
    const { SteadySocket } = runInNewContext(`${read(file)}; globalThis`, { EventTarget }) as {
      SteadySocket: any
    }
    const error = new SteadySocket.SocketError('CLOSED', 'why', { code: 1000 })
    expect(`${error}`).toMatch(/^SocketError: /)
    expect(error).toMatchObject({ name: 'SocketError', code: 'CLOSED', cause: 'why', close: { code: 1000 } })
    const socket = SteadySocket.createSocket('wss://push.example.com/', {
      autoConnect: false,
      WebSocket: Object,
    })
    expect(names(socket)).toEqual(
      expect.arrayContaining([
        'on',
        'once',
        'off',
        'send',
        'connect',
        'reconnect',
        'close',
        'state',
        'stats',
        'url',
      ]),
    )
    expect(names(socket.stats)).toEqual([
      'attempts',
      'connections',
      'dropped',
      'latency',
      'queued',
      'queuedBytes',
      'received',
      'reclaimed',
      'sent',
    ])
  })
})
