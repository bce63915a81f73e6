// Four common Python servers, with a direct connection and behind nginx with TLS.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type * as Package from '../../src/index.ts'
import { hasNginx, startNginx } from '../interop/nginx.ts'
import {
  hasPython,
  type PythonProcess,
  type PythonServer,
  pythonServers,
  startPython,
} from '../interop/python.ts'
import { inEveryEngine } from './rig.ts'

/** The global of the UMD bundle, in the page. */
declare const SteadySocket: typeof Package

/** Globals of the page, set by `subscribe`. */
declare const socket: Package.Socket
declare const received: (count: number) => Promise<string[]>

const available = pythonServers.filter(hasPython)
const withNginx = hasNginx()

/** The close code and reason with which each server replies to `close(4001, 'bye')`. */
const closeReplies: Record<PythonServer, [code: number, reason: string]> = {
  websockets: [4001, 'bye'],
  tornado: [4001, ''],
  aiohttp: [1000, ''],
  django: [4001, 'bye'],
}

/** In the page: sends and receives all kinds of messages, then closes. */
async function exchange(url: string) {
  const socket = SteadySocket.createSocket(url, { protocols: ['echo.v2', 'echo.v1'] })
  const texts = ['hello', '', 'naïve Ünïcödé 日本語 👩‍👩‍👧‍👦', 'x'.repeat(70_000)]
  const sizes = [0, 1, 125, 126, 65_535, 65_536, 70_000]
  const bytes = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 255)
  const wrong: string[] = []
  let count = 0
  const all = texts.length + sizes.length
  const done = new Promise<void>(resolve => {
    const next = () => {
      if (++count === all) resolve()
    }
    socket.on('text', text => {
      if (text !== texts[count]) wrong.push(`text ${count}`)
      next()
    })
    socket.on('binary', buffer => {
      const expected = bytes(sizes[count - texts.length] as number)
      const echo = new Uint8Array(buffer)
      if (echo.length !== expected.length || echo.some((byte, i) => byte !== expected[i]))
        wrong.push(`binary ${count}`)
      next()
    })
  })
  const open = new Promise<Package.OpenEventData>(resolve => socket.on('open', resolve))
  for (const text of texts) socket.send(text)
  for (const size of sizes) socket.send(bytes(size))
  const { protocol } = await open
  await done
  const end = new Promise<Package.CloseEventData>(resolve => socket.on('close', resolve))
  socket.close(4001, 'bye')
  const { code, reason, wasClean } = await end
  return { protocol, count, wrong, code, reason, wasClean, state: socket.state.name }
}

/** In the page: connects to a broadcast server, which sends each message to all clients, and records the messages. */
async function subscribe(url: string) {
  const all: string[] = []
  const checks = new Set<() => void>()
  // A global, because the test changes it when it starts another server.
  Object.assign(window, { address: url })
  const socket = SteadySocket.createSocket(() => (window as unknown as { address: string }).address, {
    retry: () => 50,
  })
  const note = (text: string) => {
    all.push(text)
    for (const check of checks) check()
  }
  const received = (count: number) =>
    new Promise<string[]>(resolve => {
      const check = () => {
        if (all.length < count) return
        checks.delete(check)
        resolve(all)
      }
      checks.add(check)
      check()
    })
  socket.on('text', note)
  socket.on('binary', bytes => note(`bytes ${new Uint8Array(bytes)}`))
  Object.assign(window, { socket, received })
  // The connection works once the client has received its own message.
  socket.send('here')
  await received(1)
}

inEveryEngine(rig => {
  describe.each(available)('%s', name => {
    let server: PythonProcess | undefined
    const address = () => (server as PythonProcess).url
    beforeAll(async () => {
      server = await startPython(name)
    })
    afterAll(() => server?.stop())

    test('echoes text and binary messages, selects the subprotocol, and closes, also behind nginx with TLS', async () => {
      const page = await rig.open()
      const [code, reason] = closeReplies[name]
      const conversation = {
        protocol: 'echo.v1',
        count: 11,
        wrong: [],
        code,
        reason,
        wasClean: true,
        state: 'closed',
      }
      expect(await page.evaluate(exchange, `${address()}/echo`)).toEqual(conversation)
      if (!withNginx) return
      const nginx = rig.keep(await startNginx({ port: (server as PythonProcess).port }))
      expect(await page.evaluate(exchange, `${nginx.secureUrl}/echo`)).toEqual(conversation)
    })

    test('broadcasts messages to two pages', async () => {
      const [first, second] = [await rig.open(), await rig.open()]
      await first.evaluate(subscribe, `${address()}/broadcast`)
      await second.evaluate(subscribe, `${address()}/broadcast`)
      expect(await first.evaluate(() => received(2))).toEqual(['here', 'here'])
      await first.evaluate(() => socket.send('to all'))
      expect(await second.evaluate(() => received(2))).toEqual(['here', 'to all'])
      await second.evaluate(() => socket.send(Uint8Array.of(1, 2, 255)))
      expect(await first.evaluate(() => received(4))).toEqual(['here', 'here', 'to all', 'bytes 1,2,255'])
      expect(await second.evaluate(() => received(3))).toEqual(['here', 'to all', 'bytes 1,2,255'])
    })

    test('is replaced by another process after it is killed, and the client connects to that one', async () => {
      const page = await rig.open()
      await page.evaluate(subscribe, `${address()}/echo`)
      await page.evaluate(() => {
        socket.on('close', ({ code }) => socket.send(`lost with ${code}`))
      })
      const old = server as PythonProcess
      const next = startPython(name)
      await old.stop()
      server = await next
      await page.evaluate(url => void Object.assign(window, { address: url }), `${address()}/echo`)
      expect(await page.evaluate(() => received(2))).toEqual(['here', 'lost with 1006'])
      expect(await page.evaluate(() => socket.stats.connections)).toBe(2)
    })
  })
})
