// Tests the servers of the browser tests with the client of `ws`. If these tests fail, the fault is not in this package.
import { once } from 'node:events'
import { afterEach, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { makeCertificate } from '../support/certificate.ts'
import { hasNginx, startNginx } from './nginx.ts'
import { hasPython, pythonServers, startPython } from './python.ts'
import { startServer } from './ws.ts'

// Python takes seconds to start on a busy machine.

const running: { stop(): Promise<void> }[] = []
afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one.stop()
})
const keep = <Running extends { stop(): Promise<void> }>(one: Running) => {
  running.push(one)
  return one
}

async function dial(url: string, options = {}) {
  const socket = new WebSocket(url, ['echo.v1'], options)
  await once(socket, 'open')
  return socket
}

/** Sends, and waits for one message. */
async function exchange(socket: WebSocket, data: string | Buffer, from = socket) {
  const answer = once(from, 'message')
  socket.send(data)
  const [received, binary] = await answer
  return binary ? received : received.toString()
}

describe.each(pythonServers.filter(hasPython))('the server with %s', name => {
  test('echoes text and binary with a subprotocol, and closes', async () => {
    const { url } = keep(await startPython(name))
    const socket = await dial(`${url}/echo`)
    expect(socket.protocol).toBe('echo.v1')
    expect(await exchange(socket, 'héllo 😀')).toBe('héllo 😀')
    expect(await exchange(socket, '')).toBe('')
    const large = Buffer.alloc(2_000_000, 7)
    expect((await exchange(socket, large)).equals(large)).toBe(true)
    socket.close(4001, 'bye')
    const [code] = await once(socket, 'close')
    // The servers answer with different codes.
    expect([4001, 1000]).toContain(code)
  })

  test('broadcasts messages', async () => {
    const { url } = keep(await startPython(name))
    const [first, second] = [await dial(`${url}/broadcast`), await dial(`${url}/broadcast`)]
    // When the second client has received its own message, it has joined the broadcast.
    expect(await exchange(second, 'here')).toBe('here')
    expect(await exchange(first, 'to all', second)).toBe('to all')
    expect(await exchange(first, Buffer.from([1, 2]), second)).toEqual(Buffer.from([1, 2]))
    first.terminate()
    second.terminate()
  })
})

describe.runIf(hasNginx())('nginx', () => {
  test('forwards ws: and wss:', async () => {
    const server = keep(await startServer({ perMessageDeflate: true }))
    const nginx = keep(await startNginx({ port: server.port }))
    const plain = await dial(nginx.url)
    expect(plain.extensions).toContain('permessage-deflate')
    expect(await exchange(plain, 'plain')).toBe('plain')
    const secure = await dial(nginx.secureUrl, { ca: nginx.certificate.cert })
    expect(await exchange(secure, 'secret')).toBe('secret')
    await expect(dial(nginx.secureUrl)).rejects.toThrow('self-signed')
    server.closeAll(1012)
    const [code] = await once(secure, 'close')
    expect(code).toBe(1012)
  })

  test('cuts a connection that is idle for its read timeout, without a close frame', async () => {
    const server = keep(await startServer())
    const nginx = keep(await startNginx({ port: server.port, readTimeout: 1 }))
    const [code] = await once(await dial(nginx.url), 'close')
    expect(code).toBe(1006)
  })
})

test('the Node server accepts wss: without a proxy', async () => {
  const tls = makeCertificate()
  const server = keep(await startServer({ tls }))
  const socket = await dial(server.url, { ca: tls.cert })
  expect(await exchange(socket, 'secret')).toBe('secret')
  socket.terminate()
})
