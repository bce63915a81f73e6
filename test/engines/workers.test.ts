// The package where there is no page: in dedicated, shared and service workers, as a classic script and as a module.
import { describe, expect, test } from 'vitest'
import type * as Package from '../../src/index.ts'
import { startServer } from '../interop/ws.ts'
import { startProxy } from '../support/proxy.ts'
import type { Page } from './page.ts'
import { inEveryEngine, type Rig } from './rig.ts'
import { umd } from './site.ts'

/** What the worker imports. It exists there, not here. */
declare const SteadySocket: typeof Package

/** What a worker says, in the order in which it says it. */
declare const said: unknown[][]
declare const hear: (count: number) => Promise<unknown[][]>

type Kind = 'dedicated' | 'shared' | 'service'

/** In the worker: connects to the address that it is told, and tells all that it hears. */
function work() {
  type Port = { postMessage(message: unknown): void }
  function run(url: string, port: Port) {
    const tell = (...words: unknown[]) => port.postMessage(words)
    const socket = SteadySocket.createSocket(url, {
      protocols: ['echo.v1'],
      retry: () => 50,
      heartbeat: { interval: 100, message: 'ping', isReply: data => data === 'ping' },
    })
    socket.on('open', ({ protocol, reconnected }) => {
      tell('open', protocol, reconnected)
      if (reconnected) return
      socket.send('héllo 😀')
      socket.send(Uint8Array.of(1, 2, 255))
      socket.send(new Blob(['blob']))
    })
    socket.on('text', text => tell('text', text))
    socket.on('binary', bytes => tell('binary', ...new Uint8Array(bytes)))
    socket.on('close', ({ code, cause }) => {
      tell('close', code, cause.code)
      tell(socket.send('from the queue'))
    })
  }
  const scope = globalThis as unknown as {
    onconnect: (event: MessageEvent) => void
    onmessage: (event: MessageEvent) => void
  } & Port
  scope.onconnect = ({ ports: [port] }) => {
    ;(port as MessagePort).onmessage = ({ data }) => run(data, port as MessagePort)
  }
  // In a service worker the answer goes to the page that asked.
  scope.onmessage = ({ data, source }) => run(data, source ?? scope)
}

const scripts = {
  classic: `importScripts('${umd}')\n;(${work})()`,
  module: `import * as SteadySocket from '/dist/index.js'\nself.SteadySocket = SteadySocket\n;(${work})()`,
}

/** In the page: starts the worker, sends it an address, and keeps what it says in a global. */
async function employ(kind: Kind, script: string, type: WorkerType, url: string) {
  const said: unknown[][] = []
  const checks = new Set<() => void>()
  const hear = (count: number) =>
    new Promise<unknown[][]>(resolve => {
      const check = () => {
        if (said.length < count) return
        checks.delete(check)
        resolve(said)
      }
      checks.add(check)
      check()
    })
  const note = (words: unknown[]) => {
    said.push(words)
    for (const check of checks) check()
  }
  const fail = (event: Event) => note(['error', (event as ErrorEvent).message])
  Object.assign(window, { said, hear })

  if (kind === 'dedicated') {
    const worker = new Worker(script, { type })
    worker.onmessage = ({ data }) => note(data)
    worker.onerror = fail
    worker.postMessage(url)
  } else if (kind === 'shared') {
    const worker = new SharedWorker(script, { type })
    worker.port.onmessage = ({ data }) => note(data)
    worker.onerror = fail
    worker.port.postMessage(url)
  } else {
    const { serviceWorker } = navigator
    const registration = await serviceWorker.register(script, { type, scope: `/${type}/` })
    const worker = (registration.active ?? registration.waiting ?? registration.installing) as ServiceWorker
    await new Promise<void>((resolve, reject) => {
      const look = () => {
        if (worker.state === 'activated') resolve()
        if (worker.state === 'redundant') reject(new Error('the service worker could not be installed'))
      }
      worker.onstatechange = look
      look()
    })
    serviceWorker.onmessage = ({ data }) => note(data)
    serviceWorker.startMessages()
    worker.postMessage(url)
  }
}

async function start(rig: Rig, kind: Kind, type: 'classic' | 'module', url: string): Promise<Page> {
  // No script of ours in the page itself: what works here works in the worker.
  const page = await rig.open({ scripts: [] })
  await page.evaluate(employ, kind, rig.site.script(`/${kind}-${type}.js`, scripts[type]), type, url)
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
        const greeting = [
          ['open', 'echo.v1', false],
          ['text', 'héllo 😀'],
          ['binary', 1, 2, 255],
          ['binary', ...Buffer.from('blob')],
        ]
        expect(await page.evaluate(() => hear(4))).toEqual(greeting)
        // Its heartbeat beats, and the answers stay hidden.
        await server.until(() => server.received.filter(({ data }) => data === 'ping').length >= 2)
        proxy.reset()
        expect(await page.evaluate(() => hear(8))).toEqual([
          ...greeting,
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
