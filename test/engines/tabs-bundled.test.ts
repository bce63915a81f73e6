// The recipe of the guide for bundlers: Vite builds a page and its shared worker, which then holds the connection.

import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname } from 'node:path'
import { build } from 'vite'
import { expect, test } from 'vitest'
import { startServer } from '../interop/ws.ts'
import { pieceWith, root } from '../package/pieces.ts'
import { inEveryEngine } from './rig.ts'

declare const socket: import('../../src/tabs.ts').TabsSocket

const GUIDE = 'demo/docs/tabs.md'

inEveryEngine(rig => {
  test('a shared worker that Vite has bundled, as in the guide, holds the connection', async () => {
    const folder = `${root}.tmp/tabs-${process.pid}/`
    rig.keep({ stop: () => rmSync(folder, { recursive: true, force: true }) })
    mkdirSync(folder, { recursive: true })
    const server = rig.keep(await startServer())
    const page = pieceWith(GUIDE, 'new SharedWorker(').replace(
      'wss://push.example.com/feed',
      `${server.url}/echo`,
    )
    writeFileSync(`${folder}index.html`, '<!doctype html><script type="module" src="./main.js"></script>')
    writeFileSync(`${folder}main.js`, `${page}\nglobalThis.socket = socket`)
    writeFileSync(`${folder}tabs-worker.js`, pieceWith(GUIDE, 'serveTabs()'))
    await build({ root: folder, base: './', logLevel: 'error', configFile: false, worker: { format: 'es' } })
    const site = http.createServer(async ({ url = '/' }, response) => {
      const path = url === '/' ? '/index.html' : url
      response.setHeader('content-type', extname(path) === '.js' ? 'text/javascript' : 'text/html')
      response.end(await readFile(`${folder}dist${path}`).catch(() => ''))
    })
    rig.keep({ stop: () => site.close(), close: () => site.closeAllConnections() })
    site.listen(0, '127.0.0.1')
    await once(site, 'listening')
    const origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`
    const holders: unknown[] = []
    for (let i = 0; i < 2; i++) {
      const tab = rig.keep(await rig.engine.open(`${origin}/`))
      await tab.evaluate(
        () =>
          socket.state.name === 'open' ||
          new Promise(resolve => socket.once('open', resolve)).then(() => true),
      )
      holders.push(await tab.evaluate(() => socket.sharing.holder))
    }
    expect(holders).toEqual(['worker', 'worker'])
    expect(server.connections).toHaveLength(1)
  })
})
