import { describe, expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { BrowserlikeWebSocket } from './browserlike.ts'
import {
  type Connect,
  numbers,
  outOfOrder,
  overEachWebSocket,
  proxied,
  range,
  start,
  startTimer,
} from './rig.ts'

/** Sends a ping after 100 ms without a message, and waits 100 ms for the reply, which is not dispatched. */
const fastHeartbeat = {
  interval: 100,
  timeout: 100,
  message: 'ping',
  isReply: (data: unknown) => data === 'ping',
}

const rig = async () => {
  const server = await start()
  const proxy = await proxied(server.port)
  return { server, proxy, texts: () => server.received.map(({ data }) => String(data)) }
}

overEachWebSocket((connect, WebSocket, name) => {
  describe('with a heartbeat, a frozen connection', () => {
    test('is detected within interval + timeout and replaced', async () => {
      const { server, proxy } = await rig()
      const { socket, events, until } = connect(proxy.url('/echo'), {
        heartbeat: fastHeartbeat,
        retry: () => 0,
      })
      // At least one ping has been sent.
      await until(() => events('open').length)
      await server.until(() => server.received.length > 0)
      socket.send('alive')
      await until(() => events('text').length)
      const frozen = performance.now()
      proxy.connections[0]?.freeze()
      await until(() => events('close').length)
      const detected = performance.now() - frozen
      await until(() => events('open').length === 2)
      const replaced = performance.now() - frozen
      console.info(
        `${name}: detected after ${detected.toFixed()} ms, replaced after ${replaced.toFixed()} ms`,
      )
      expect(replaced).toBeLessThan(100 + 100 + 1_000)
      expect(events('close')).toMatchObject([
        { code: 1006, wasClean: false, willRetry: true, cause: { code: 'UNRESPONSIVE' } },
      ])
      expect(socket.stats.latency).toBeGreaterThan(0)
      expect(events('text')).toEqual(['alive'])
    })

    test('has no effect when it thaws: its events are ignored, and nothing arrives twice', async () => {
      const { server, proxy, texts } = await rig()
      const { socket, events, until, natives } = connect(proxy.url('/sink'), {
        heartbeat: fastHeartbeat,
        retry: () => 0,
      })
      await until(() => events('open').length)
      const [oldConnection] = proxy.connections
      oldConnection?.freeze()
      const [peer] = server.clients
      for (const i of range(0, 50)) socket.send(`${i}`)
      await until(() => events('open').length === 2)
      for (const i of range(50, 100)) socket.send(`${i}`)
      await server.until(() => texts().includes('99'))

      peer?.send('from the grave')
      oldConnection?.thaw()
      await oldConnection?.closed
      await server.until(() => peer?.closed !== undefined)
      server.push('from the living')
      await until(() => events('text').length)
      expect(events('text')).toEqual(['from the living'])
      expect([events('close').length, events('open').length, natives.length]).toEqual([1, 2, 2])
      expect(socket.state.name).toBe('open')
      expect(natives[0]?.readyState).toBeGreaterThan(1)

      // Messages that were in flight on the old connection may arrive late, but only once.
      const sent = numbers(texts().filter(text => text !== 'ping'))
      expect(new Set(sent).size).toBe(sent.length)
      for (const connection of [1, 2]) {
        const own = server.received.filter(message => message.connection === connection)
        expect(outOfOrder(numbers(own.map(({ data }) => data).filter(data => data !== 'ping')))).toEqual([])
      }
      expect(sent.sort((a, b) => a - b)).toEqual(range(0, 100))
    })

    test('is detected if only the direction to the client is frozen', async () => {
      const { proxy } = await rig()
      const { events, until } = connect(proxy.url('/echo'), { heartbeat: fastHeartbeat, retry: () => 0 })
      await until(() => events('open').length)
      proxy.connections[0]?.freeze('down')
      await until(() => events('open').length === 2)
      expect(events('close')).toMatchObject([{ cause: { code: 'UNRESPONSIVE' } }])
    })

    test('is not distinguished from a server that opens the connection and never sends anything', async () => {
      const { server } = await rig()
      const { events, until } = connect(`${server.url}/silent`, { heartbeat: fastHeartbeat, retry: () => 0 })
      await until(() => events('close').length === 3)
      expect(events('close').every(({ cause }) => cause.code === 'UNRESPONSIVE')).toBe(true)
      expect(events('error')).toEqual([])
    })

    test('is replaced again each time the next connection freezes too', async () => {
      const { server, proxy } = await rig()
      const { socket, events, until } = connect(proxy.url('/echo'), {
        heartbeat: fastHeartbeat,
        retry: () => 0,
      })
      await until(() => events('open').length)
      proxy.freeze('down')
      await until(() => events('error').length + events('close').length === 1)
      socket.send('kept')
      proxy.thaw('down')
      await until(() => events('text').includes('kept'))
      await server.until(() => server.clients.length === 1)
      expect(events('text')).toEqual(['kept'])
    })
  })

  test('without a heartbeat, a frozen connection is not detected', async () => {
    const { proxy } = await rig()
    const withoutHeartbeat = connect(proxy.url('/echo'), { retry: () => 0 })
    await withoutHeartbeat.until(() => withoutHeartbeat.events('open').length)
    const withHeartbeat = connect(proxy.url('/echo'), { retry: () => 0, heartbeat: fastHeartbeat })
    await withHeartbeat.until(() => withHeartbeat.events('open').length)
    const connections = [...proxy.connections]
    for (const connection of connections) connection.freeze()
    withoutHeartbeat.socket.send('patience')
    await withHeartbeat.until(() => withHeartbeat.events('open').length === 2)
    expect(withoutHeartbeat.log.map(([type]) => type)).toEqual(['state', 'open'])
    for (const connection of connections) connection.thaw()
    await withoutHeartbeat.until(() => withoutHeartbeat.events('text').length)
    expect(withoutHeartbeat.events('text')).toEqual(['patience'])
    expect(withoutHeartbeat.natives).toHaveLength(1)
  })

  describe('a frozen connection does not delay', () => {
    test('reconnect()', async () => {
      const { server, proxy } = await rig()
      const { socket, events, until } = connect(proxy.url('/echo'))
      await until(() => events('open').length)
      proxy.connections[0]?.freeze()
      // The attempt begins within 300 ms, as in a visible page.
      const late = startTimer(300 + 1_000)
      socket.reconnect('because')
      await until(() => socket.state.name === 'connecting')
      expect(late()).toBe(false)
      await until(() => events('open').length === 2)
      expect(events('close')).toMatchObject([
        { code: 1006, willRetry: true, cause: { code: 'RECONNECT_REQUESTED', cause: 'because' } },
      ])
      socket.send('here')
      await until(() => events('text').length)
      expect(server.received.map(({ connection }) => connection)).toEqual([2])
    })

    test('close() for longer than closeTimeout', async () => {
      const { proxy } = await rig()
      const { socket, events, until } = connect(proxy.url('/echo'), { closeTimeout: 100 })
      await until(() => events('open').length)
      proxy.freeze()
      const late = startTimer(100 + 1_000)
      socket.close()
      await until(() => socket.state.name === 'closed')
      expect(late()).toBe(false)
      expect(events('close')).toMatchObject([{ code: 1006, wasClean: false, willRetry: false }])
    })

    test('close() with queued messages that cannot be sent', async () => {
      const { proxy } = await rig()
      const { socket, events, until } = connect(proxy.url('/sink'), {
        closeTimeout: 100,
        queue: { maxBytes: Infinity },
      })
      await until(() => events('open').length)
      proxy.freeze()
      for (const i of range(0, 300)) socket.send(`${i}`.padEnd(2 ** 16))
      expect(socket.queued).toBeGreaterThan(0)
      socket.close(4000, 'gone')
      await until(() => socket.state.name === 'closed')
      expect(socket.queued).toBe(0)
      expect(events('close')).toHaveLength(1)
    })

    test('reconnect() while closing', async () => {
      const { proxy } = await rig()
      const { socket, events, until } = connect(proxy.url('/echo'), { closeTimeout: 60_000 })
      await until(() => events('open').length)
      proxy.connections[0]?.freeze()
      socket.close()
      expect(socket.state.name).toBe('closing')
      socket.reconnect()
      await until(() => events('open').length === 2)
      expect(events('close')).toHaveLength(1)
    })
  })

  test('a message sent while the browser is closing the connection waits for the next one', async () => {
    const { server, proxy, texts } = await rig()
    const { socket, natives, events, until } = connect(proxy.url('/sink'), { retry: () => 0 })
    await until(() => events('open').length)
    // The close frame arrives, but the reply cannot leave, so the connection remains in CLOSING.
    proxy.connections[0]?.freeze('up')
    server.closeAll(4000)
    await eventually(() => expect(natives[0]?.readyState).toBe(2))
    expect(socket.state.name).toBe('open')
    expect(socket.send('kept')).toBe('queued')
    proxy.thaw('up')
    await server.until(() => server.received.length === 1)
    expect(texts()).toEqual(['kept'])
    expect(events('close')).toMatchObject([{ code: 4000 }])
  })

  describe('messages sent over a connection that froze', () => {
    const outage = async (connect: Connect, Socket: typeof WebSocket) => {
      const { server, proxy, texts } = await rig()
      const { socket, natives, events, until } = connect(proxy.url('/sink'), {
        WebSocket: Socket,
        retry: () => 20,
        // More than the buffers of the operating system hold, so that some bytes remain unsent.
        highWaterMark: 16 * 2 ** 20,
        queue: { maxBytes: Infinity },
      })
      // All messages reuse one buffer. A message that is sent again must have its original content, not that of the buffer by then.
      const buffer = Buffer.alloc(2 ** 16, ' ')
      const send = (i: number) => {
        buffer.write(`${i} `)
        socket.send(buffer)
      }
      await until(() => events('open').length)
      range(0, 10).forEach(send)
      await server.until(() => server.received.length === 10)
      proxy.connections[0]?.freeze()
      range(10, 460).forEach(send)
      expect(socket.queued).toBeGreaterThan(0)
      // Some messages arrive, slowly enough that the operating system does not accept the rest, and then the connection is reset.
      proxy.connections[0]?.throttle(20e6)
      proxy.connections[0]?.thaw()
      await server.until(() => server.received.length >= 20)
      proxy.reset()
      await until(() => events('close').length)
      const { sent: handed, reclaimed, queued } = socket.stats
      const before = server.received.length
      await until(() => events('open').length === 2)
      socket.send('460')
      await server.until(() => server.received.at(-1)?.data === '460')

      const arrived = numbers(texts())
      const unknown = 461 - arrived.length
      const amount = `${handed} of 460 handed over, ${queued} sent again, ${reclaimed} of them reclaimed`
      console.info(`${name}, ${Socket.name}: ${amount}, ${unknown} unknown`)
      expect(outOfOrder(arrived)).toEqual([])
      expect(arrived.slice(-queued - 1)).toEqual(range(460 - queued, 461))
      expect(events('drop')).toEqual([])
      expect(queued).toBe(460 - handed + reclaimed)
      expect(unknown).toBeLessThanOrEqual(handed - before - reclaimed)
      // Exact to the message: each has 2 ** 16 bytes and a frame header of 14 bytes.
      expect(reclaimed).toBe(Math.ceil((natives[0]?.bufferedAmount ?? 0) / (2 ** 16 + 14)))
      return reclaimed
    }

    test('are sent after a reset if they were not handed to the native socket, with the native sockets of Node', async () => {
      await outage(connect, WebSocket)
    })

    test('are sent again after a reset if the native socket had buffered them, with a bufferedAmount like a browser’s', async () => {
      expect(await outage(connect, BrowserlikeWebSocket)).toBeGreaterThan(0)
    })

    test('are not sent again if the connection was abandoned, and may arrive late, but only once', async () => {
      const { server, proxy, texts } = await rig()
      const { socket, natives, events, until } = connect(proxy.url('/sink'), {
        retry: () => 0,
        queue: { maxBytes: Infinity },
      })
      await until(() => events('open').length)
      const [oldConnection] = proxy.connections
      oldConnection?.freeze()
      for (const i of range(0, 300)) socket.send(`${i}`.padEnd(2 ** 16))
      await eventually(() => expect(natives[0]?.bufferedAmount).toBeGreaterThan(2 ** 20))
      const { sent } = socket.stats
      socket.reconnect()
      await until(() => events('open').length === 2)
      await server.until(() => numbers([server.received.at(-1)?.data])[0] === 299)
      expect(numbers(texts())).toEqual(range(sent, 300))
      oldConnection?.thaw()
      await oldConnection?.closed
      await server.until(() => server.connections[0]?.closed !== undefined)
      const late = server.received.filter(({ connection }) => connection === 1)
      expect(numbers(late.map(({ data }) => data))).toEqual(range(0, late.length))
      expect(late.length).toBeLessThanOrEqual(sent)
      console.info(
        `${name}: ${sent} were handed to the abandoned connection, ${late.length} of them arrived late`,
      )
    })

    test('are sent again once more if the next connection freezes too', async () => {
      const { server, proxy, texts } = await rig()
      const { socket, events, until } = connect(proxy.url('/sink'), {
        WebSocket: BrowserlikeWebSocket,
        retry: () => 0,
        queue: { maxBytes: Infinity },
      })
      for (const round of [1, 2, 3]) {
        await until(() => events('open').length === round)
        proxy.connections[0]?.freeze()
        for (const i of range((round - 1) * 100, round * 100)) socket.send(`${i}`.padEnd(2 ** 16))
        proxy.reset()
        await until(() => events('close').length === round)
      }
      await until(() => events('open').length === 4)
      socket.send('300')
      await server.until(() => server.received.at(-1)?.data === '300')
      expect(outOfOrder(numbers(texts()))).toEqual([])
      const { sent, reclaimed } = socket.stats
      expect(reclaimed).toBeGreaterThan(0)
      expect(sent - reclaimed).toBe(301)
    })
  })
})
