// The drop-in class with reconnection, loaded with a script tag. standard.test.ts tests it without reconnection.
import { expect, test } from 'vitest'
import type { SteadyWebSocket } from '../../src/websocket.ts'
import { startServer } from '../interop/ws.ts'
import { startProxy } from '../support/proxy.ts'
import { inEveryEngine } from './rig.ts'

declare const SteadySocket: { WebSocket: typeof SteadyWebSocket; backoff: (options: object) => never }
declare let socket: SteadyWebSocket
declare let log: string[]
declare const until: (type: string, times: number) => Promise<unknown>

inEveryEngine(rig => {
  const openPage = async () => {
    const server = rig.keep(await startServer())
    const proxy = rig.keep(await startProxy({ port: server.port }))
    const page = await rig.open()
    await page.evaluate(url => {
      const all = window as any
      all.log = []
      all.socket = new SteadySocket.WebSocket(url, [], {
        retry: SteadySocket.backoff({ base: 50, max: 200, spread: 100 }),
      })
      for (const type of ['open', 'message', 'error', 'close']) {
        socket.addEventListener(type, (event: any) => {
          const { data = '', code = '', willReconnect = '' } = event
          log.push(`${socket.readyState} ${[type, data, code, willReconnect].filter(String).join(' ')}`)
        })
      }
      all.until = (type: string, times: number) =>
        new Promise(resolve => {
          const check = () => log.filter(line => line.includes(type)).length >= times && resolve(log)
          for (const each of ['open', 'message', 'close']) socket.addEventListener(each, check)
          check()
        })
    }, proxy.url('/echo'))
    return { server, proxy, page }
  }

  test('messages sent during an outage arrive in order, and each lost connection is reported', async () => {
    const { proxy, page } = await openPage()
    await page.evaluate(() => until('open', 1))
    await page.evaluate(() => {
      socket.send('a')
      return until('message', 1)
    })
    proxy.refuse(true)
    proxy.reset()
    await page.evaluate(() => until('close', 1))
    const state = await page.evaluate(() => {
      socket.send('b')
      socket.send('c')
      return [socket.readyState, socket.bufferedAmount]
    })
    expect(state).toEqual([0, 2])
    proxy.refuse(false)
    const log = (await page.evaluate(() => until('message', 3))) as string[]
    // Ignores `error` events, because not all browsers fire one for a reset, and the close events of failed attempts.
    const isRepeated = (line: string, at: number) => line === '3 close 1006 true' && line === events[at - 1]
    const events = log.filter(line => line !== '3 error')
    expect(events.filter((line, at) => !isRepeated(line, at))).toEqual([
      '1 open',
      '1 message a',
      '3 close 1006 true',
      '1 open',
      '1 message b',
      '1 message c',
    ])
    const end = (await page.evaluate(() => {
      socket.close(4000)
      return until('close 4000', 1)
    })) as string[]
    expect(end.at(-1)).toBe('3 close 4000 false')
  })

  test('binaryType and event handlers are preserved across an outage', async () => {
    const { server, page } = await openPage()
    const received = await page.evaluate(async () => {
      await until('open', 1)
      const bytes: unknown[] = []
      socket.binaryType = 'arraybuffer'
      socket.onmessage = ({ data }) => bytes.push([data instanceof ArrayBuffer, data.byteLength])
      socket.send(new Uint8Array(3))
      await until('message', 1)
      ;(window as any).bytes = bytes
      return bytes
    })
    expect(received).toEqual([[true, 3]])
    server.terminateAll()
    const again = await page.evaluate(async () => {
      await until('open', 2)
      socket.send(new Uint8Array(4))
      await until('message', 2)
      return (window as any).bytes
    })
    expect(again).toEqual([
      [true, 3],
      [true, 4],
    ])
  })

  test('SteadyWebSocket works in place of window.WebSocket', async () => {
    const server = rig.keep(await startServer())
    const page = await rig.open()
    const received = await page.evaluate(async url => {
      window.WebSocket = SteadySocket.WebSocket
      const pageSocket = new WebSocket(url)
      const message = new Promise<MessageEvent>(resolve => {
        pageSocket.onmessage = resolve
      })
      await new Promise(resolve => {
        pageSocket.onopen = resolve
      })
      pageSocket.send('hello')
      const { data, origin, target } = await message
      return [data, origin, target === pageSocket, pageSocket instanceof WebSocket, `${pageSocket}`]
    }, `${server.url}/echo`)
    expect(received).toEqual(['hello', new URL(server.url).origin, true, true, '[object WebSocket]'])
  })
})
