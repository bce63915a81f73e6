// The servers and the proxy of the documentation, as it shows them, with the client of this package.
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { backoff, createSocket } from '../../src/index.ts'
import { when } from '../../src/stream.ts'
import { piecesIn, pieceWith } from '../package/pieces.ts'
import { freePort } from '../support/ports.ts'
import { hasNginx, startNginx } from './nginx.ts'
import { hasPython, type PythonServer, pythonServers, startProgram } from './python.ts'

// Python takes seconds to start on a busy machine.

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

const recipe = (words: string) => pieceWith('demo/docs/python.md', words)

/** The code of each server, how to start it, and the close events when it shuts down. */
const recipes: Record<PythonServer, { code: string; file: string; run: string[]; ends: object[] }> = {
  websockets: {
    code: recipe('from websockets import'),
    file: 'server.py',
    run: ['server.py'],
    ends: [{ code: 1012, reason: 'retry-after=5' }],
  },
  tornado: {
    code: recipe('from tornado.web'),
    file: 'server.py',
    run: ['server.py'],
    ends: [{ code: 1012, reason: 'retry-after=5' }],
  },
  aiohttp: {
    code: recipe('from aiohttp'),
    file: 'server.py',
    run: ['server.py'],
    ends: [{ code: 1012, reason: 'retry-after=5' }],
  },
  // Older versions of uvicorn cut connections.
  django: {
    code: recipe('from django'),
    file: 'asgi.py',
    run: ['uvicorn', 'asgi:application', '--log-level', 'critical'],
    ends: [{ code: 1006 }, { code: 1012 }],
  },
}

/** Starts a server. Clients retry until it accepts connections. */
async function start(name: PythonServer) {
  const folder = mkdtempSync(join(tmpdir(), 'recipe-'))
  ends.push(() => rmSync(folder, { recursive: true, force: true }))
  const { code, file, run } = recipes[name]
  writeFileSync(join(folder, file), code)
  mkdirSync(join(folder, 'mysite'))
  writeFileSync(join(folder, 'mysite/settings.py'), 'SECRET_KEY = "for tests only"\n')
  const port = await freePort()
  const server = startProgram(
    folder,
    port,
    ...(run as [string]),
    ...(name === 'django' ? ['--port', `${port}`] : []),
  )
  ends.push(server.stop)
  const again = backoff()
  const connect = (query: string) => {
    const socket = createSocket(`ws://127.0.0.1:${port}/${query}`, {
      WebSocket,
      retry: context => (context.cause.code === 'CONNECTION_REFUSED' ? 50 : again(context)),
    })
    ends.push(socket.close)
    return socket
  }
  return { server, connect }
}

describe.each(pythonServers.filter(hasPython))('the recipe for %s', name => {
  test('rejects clients without a token, answers heartbeats, broadcasts, and closes with a retry-after time when it shuts down', async () => {
    const { server, connect } = await start(name)
    const [first, second] = [connect('?token=secret'), connect('?token=secret')]
    await Promise.all([when(first, 'open'), when(second, 'open')])

    const stranger = connect('')
    expect(await when(stranger, 'close')).toMatchObject({ code: 4401, reason: 'sign in', willRetry: false })

    second.send('ping')
    expect(await when(second, 'text')).toBe('pong')
    first.send('ping')
    expect(await when(first, 'text')).toBe('pong')
    const heard = when(second, 'text')
    first.send('to all')
    expect(await heard).toBe('to all')
    const bytes = when(second, 'binary')
    first.send(new Uint8Array([1, 2, 3]))
    expect(new Uint8Array(await bytes)).toEqual(new Uint8Array([1, 2, 3]))

    const closed = when(first, 'close')
    const left = server.leave()
    const { code, reason, delay } = await closed
    expect(recipes[name].ends).toContainEqual(reason ? { code, reason } : { code })
    expect(delay).toBeGreaterThan(reason ? 5_000 : 0)
    first.close()
    second.close()
    await left
  })
})

test.runIf(hasNginx())(
  'the recipe for nginx forwards a connection, and preserves the Host header',
  async () => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    ends.push(() => server.close())
    server.on('connection', (client, { headers }) => {
      client.on('message', data => client.send(`${headers.host} ${data}`))
    })
    await once(server, 'listening')
    const nginx = await startNginx({
      port: (server.address() as AddressInfo).port,
      recipe: piecesIn('nginx')
        .map(({ code }) => code)
        .join('\n'),
    })
    ends.push(nginx.stop)
    const socket = createSocket(`${nginx.url}/feed`, { WebSocket })
    ends.push(socket.close)
    await when(socket, 'open')
    socket.send('hello')
    expect(await when(socket, 'text')).toBe(`${new URL(nginx.url).host} hello`)
  },
)
