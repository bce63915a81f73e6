// The servers that people have: four of Python's, directly and behind nginx with TLS.
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

/** What the script tag brings. It exists in the page, not here. */
declare const SteadySocket: typeof Package

/** What `follow` leaves in the page. */
declare const socket: Package.Socket
declare const heard: (count: number) => Promise<string[]>

const available = pythonServers.filter(hasPython)
const withNginx = hasNginx()

/** What each makes of `close(4001, 'bye')`: the code that it echoes, with the reason or without. */
const farewells: Record<PythonServer, [code: number, reason: string]> = {
  websockets: [4001, 'bye'],
  tornado: [4001, ''],
  aiohttp: [1000, ''],
  django: [4001, 'bye'],
}

/** In the page: all kinds of messages to and fro, then the closing handshake. */
async function converse(url: string) {
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

/** In the page: follows a broadcast, in which everybody hears everybody. */
async function follow(url: string) {
  const all: string[] = []
  const checks = new Set<() => void>()
  // Another address may come: the server that is started next.
  Object.assign(window, { address: url })
  const socket = SteadySocket.createSocket(() => (window as unknown as { address: string }).address, {
    retry: () => 50,
  })
  const note = (text: string) => {
    all.push(text)
    for (const check of checks) check()
  }
  const heard = (count: number) =>
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
  Object.assign(window, { socket, heard })
  // Whoever has heard himself is there.
  socket.send('here')
  await heard(1)
}

inEveryEngine(rig => {
  describe.each(available)('%s', name => {
    let server: PythonProcess | undefined
    const address = () => (server as PythonProcess).url
    beforeAll(async () => {
      server = await startPython(name)
    })
    afterAll(() => server?.stop())

    test('echoes text and binary, selects the subprotocol, and closes, also behind nginx with TLS', async () => {
      const page = await rig.open()
      const [code, reason] = farewells[name]
      const conversation = {
        protocol: 'echo.v1',
        count: 11,
        wrong: [],
        code,
        reason,
        wasClean: true,
        state: 'closed',
      }
      expect(await page.evaluate(converse, `${address()}/echo`)).toEqual(conversation)
      if (!withNginx) return
      const nginx = rig.keep(await startNginx({ port: (server as PythonProcess).port }))
      expect(await page.evaluate(converse, `${nginx.secureUrl}/echo`)).toEqual(conversation)
    })

    test('broadcasts to two pages', async () => {
      const [first, second] = [await rig.open(), await rig.open()]
      await first.evaluate(follow, `${address()}/broadcast`)
      await second.evaluate(follow, `${address()}/broadcast`)
      expect(await first.evaluate(() => heard(2))).toEqual(['here', 'here'])
      await first.evaluate(() => socket.send('to all'))
      expect(await second.evaluate(() => heard(2))).toEqual(['here', 'to all'])
      await second.evaluate(() => socket.send(Uint8Array.of(1, 2, 255)))
      expect(await first.evaluate(() => heard(4))).toEqual(['here', 'here', 'to all', 'bytes 1,2,255'])
      expect(await second.evaluate(() => heard(3))).toEqual(['here', 'to all', 'bytes 1,2,255'])
    })

    test('is found again after it was killed and another took its place', async () => {
      const page = await rig.open()
      await page.evaluate(follow, `${address()}/echo`)
      await page.evaluate(() => {
        socket.on('close', ({ code }) => socket.send(`lost with ${code}`))
      })
      const old = server as PythonProcess
      const next = startPython(name)
      await old.stop()
      server = await next
      await page.evaluate(url => void Object.assign(window, { address: url }), `${address()}/echo`)
      expect(await page.evaluate(() => heard(2))).toEqual(['here', 'lost with 1006'])
      expect(await page.evaluate(() => socket.stats.connections)).toBe(2)
    })
  })
})
