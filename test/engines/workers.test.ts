// The package in dedicated, shared and service workers, as a classic script and as a module.
import { describe, expect, test } from 'vitest'
import type * as Package from '../../src/index.ts'
import { startServer } from '../interop/ws.ts'
import { startProxy } from '../support/proxy.ts'
import type { Page } from './page.ts'
import { inEveryEngine, type Rig } from './rig.ts'
import { umd } from './site.ts'

/** A global of the worker. */
declare const SteadySocket: typeof Package

/** Globals of the page, set by `startWorker`: the messages of the worker in order. */
declare const messages: unknown[][]
declare const received: (count: number) => Promise<unknown[][]>

type Kind = 'dedicated' | 'shared' | 'service'

/** In the worker: connects to the address that it receives, and posts all events of the socket. */
function workerMain() {
  type Port = { postMessage(message: unknown): void }
  function run(url: string, port: Port) {
    const post = (...words: unknown[]) => port.postMessage(words)
    const socket = SteadySocket.createSocket(url, {
      protocols: ['echo.v1'],
      retry: () => 50,
      heartbeat: { interval: 100, message: 'ping', isReply: data => data === 'ping' },
    })
    socket.on('open', ({ protocol, reconnected }) => {
      post('open', protocol, reconnected)
      if (reconnected) return
      socket.send('héllo 😀')
      socket.send(Uint8Array.of(1, 2, 255))
      socket.send(new Blob(['blob']))
    })
    socket.on('text', text => post('text', text))
    socket.on('binary', bytes => post('binary', ...new Uint8Array(bytes)))
    socket.on('close', ({ code, cause }) => {
      post('close', code, cause.code)
      post(socket.send('from the queue'))
    })
  }
  const scope = globalThis as unknown as {
    onconnect: (event: MessageEvent) => void
    onmessage: (event: MessageEvent) => void
  } & Port
  scope.onconnect = ({ ports: [port] }) => {
    ;(port as MessagePort).onmessage = ({ data }) => run(data, port as MessagePort)
  }
  // A service worker replies to the page that sent the address.
  scope.onmessage = ({ data, source }) => run(data, source ?? scope)
}

const scripts = {
  classic: `importScripts('${umd}')\n;(${workerMain})()`,
  module: `import * as SteadySocket from '/dist/index.js'\nself.SteadySocket = SteadySocket\n;(${workerMain})()`,
}

/** In the page: starts the worker, sends it an address, and keeps its messages in a global. */
async function startWorker(kind: Kind, script: string, type: WorkerType, url: string) {
  const messages: unknown[][] = []
  const checks = new Set<() => void>()
  const received = (count: number) =>
    new Promise<unknown[][]>(resolve => {
      const check = () => {
        if (messages.length < count) return
        checks.delete(check)
        resolve(messages)
      }
      checks.add(check)
      check()
    })
  const add = (words: unknown[]) => {
    messages.push(words)
    for (const check of checks) check()
  }
  const fail = (event: Event) => add(['error', (event as ErrorEvent).message])
  Object.assign(window, { messages, received })

  if (kind === 'dedicated') {
    const worker = new Worker(script, { type })
    worker.onmessage = ({ data }) => add(data)
    worker.onerror = fail
    worker.postMessage(url)
  } else if (kind === 'shared') {
    const worker = new SharedWorker(script, { type })
    worker.port.onmessage = ({ data }) => add(data)
    worker.onerror = fail
    worker.port.postMessage(url)
  } else {
    const { serviceWorker } = navigator
    const registration = await serviceWorker.register(script, { type, scope: `/${type}/` })
    const worker = (registration.active ?? registration.waiting ?? registration.installing) as ServiceWorker
    await new Promise<void>((resolve, reject) => {
      const check = () => {
        if (worker.state === 'activated') resolve()
        if (worker.state === 'redundant') reject(new Error('the service worker could not be installed'))
      }
      worker.onstatechange = check
      check()
    })
    serviceWorker.onmessage = ({ data }) => add(data)
    serviceWorker.startMessages()
    worker.postMessage(url)
  }
}

async function start(rig: Rig, kind: Kind, type: 'classic' | 'module', url: string): Promise<Page> {
  // The page itself does not load the package, so everything runs in the worker.
  const page = await rig.open({ scripts: [] })
  await page.evaluate(startWorker, kind, rig.site.script(`/${kind}-${type}.js`, scripts[type]), type, url)
  return page
}

inEveryEngine(rig => {
  describe.each(['dedicated', 'shared', 'service'] as const)('a %s worker', kind => {
    test.each(['classic', 'module'] as const)(
      'that is a %s script sends, receives and reconnects',
      async type => {
        if (kind === 'service' && type === 'module') await rig.needs('module service workers')
        const server = rig.keep(await startServer())
        const proxy = rig.keep(await startProxy({ port: server.port }))
        const page = await start(rig, kind, type, proxy.url('/echo'))
        const firstMessages = [
          ['open', 'echo.v1', false],
          ['text', 'héllo 😀'],
          ['binary', 1, 2, 255],
          ['binary', ...Buffer.from('blob')],
        ]
        expect(await page.evaluate(() => received(4))).toEqual(firstMessages)
        // The heartbeat sends pings, and the replies are not dispatched.
        await server.until(() => server.received.filter(({ data }) => data === 'ping').length >= 2)
        proxy.reset()
        expect(await page.evaluate(() => received(8))).toEqual([
          ...firstMessages,
          ['close', 1006, 'CONNECTION_LOST'],
          ['queued'],
          ['open', 'echo.v1', true],
          ['text', 'from the queue'],
        ])
        await server.until(() => server.clients.length === 1)
        if (kind === 'service') {
          await page.evaluate(async () => {
            for (const one of await navigator.serviceWorker.getRegistrations()) await one.unregister()
          })
        }
      },
    )
  })
})
