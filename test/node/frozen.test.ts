import { describe, expect, test, vi } from 'vitest'
import { CandidWebSocket } from './candid.ts'
import { alarm, disorder, numbers, overEach, proxied, type Rig, range, start } from './rig.ts'

/** Asks every tenth of a second of silence, and waits a tenth for the answer, which nobody else hears. */
const pulse = { interval: 100, timeout: 100, message: 'ping', isReply: (data: unknown) => data === 'ping' }

const rig = async () => {
  const server = await start()
  const proxy = await proxied(server.port)
  return { server, proxy, texts: () => server.received.map(({ data }) => String(data)) }
}

overEach((connect, WebSocket, name) => {
  describe('with a heartbeat, a frozen connection', () => {
    test('is noticed within interval + timeout and replaced', async () => {
      const { server, proxy } = await rig()
      const { socket, heard, until } = connect(proxy.url('/echo'), { heartbeat: pulse, retry: () => 0 })
      // It has beaten at least once.
      await until(() => heard('open').length)
      await server.until(() => server.received.length > 0)
      socket.send('alive')
      await until(() => heard('text').length)
      const frozen = performance.now()
      proxy.connections[0]?.freeze()
      await until(() => heard('close').length)
      const noticed = performance.now() - frozen
      await until(() => heard('open').length === 2)
      const replaced = performance.now() - frozen
      console.info(`${name}: noticed after ${noticed.toFixed()} ms, replaced after ${replaced.toFixed()} ms`)
      expect(replaced).toBeLessThan(100 + 100 + 1_000)
      expect(heard('close')).toMatchObject([
        { code: 1006, wasClean: false, willRetry: true, cause: { code: 'UNRESPONSIVE' } },
      ])
      expect(socket.stats.latency).toBeGreaterThan(0)
      expect(heard('text')).toEqual(['alive'])
    })

    test('has no effect when it thaws: its events are ignored, and nothing arrives twice', async () => {
      const { server, proxy, texts } = await rig()
      const { socket, heard, until, natives } = connect(proxy.url('/sink'), {
        heartbeat: pulse,
        retry: () => 0,
      })
      await until(() => heard('open').length)
      const [line] = proxy.connections
      line?.freeze()
      const [peer] = server.clients
      for (const i of range(0, 50)) socket.send(`${i}`)
      await until(() => heard('open').length === 2)
      for (const i of range(50, 100)) socket.send(`${i}`)
      await server.until(() => texts().includes('99'))

      peer?.send('from the grave')
      line?.thaw()
      await line?.closed
      await server.until(() => peer?.closed !== undefined)
      server.push('from the living')
      await until(() => heard('text').length)
      expect(heard('text')).toEqual(['from the living'])
      expect([heard('close').length, heard('open').length, natives.length]).toEqual([1, 2, 2])
      expect(socket.state.name).toBe('open')
      expect(natives[0]?.readyState).toBeGreaterThan(1)

      // What the old connection still had in it may come late, but once.
      const sent = numbers(texts().filter(text => text !== 'ping'))
      expect(new Set(sent).size).toBe(sent.length)
      for (const connection of [1, 2]) {
        const own = server.received.filter(message => message.connection === connection)
        expect(disorder(numbers(own.map(({ data }) => data).filter(data => data !== 'ping')))).toEqual([])
      }
      expect(sent.sort((a, b) => a - b)).toEqual(range(0, 100))
    })

    test('is noticed if only the direction to the client is frozen', async () => {
      const { proxy } = await rig()
      const { heard, until } = connect(proxy.url('/echo'), { heartbeat: pulse, retry: () => 0 })
      await until(() => heard('open').length)
      proxy.connections[0]?.freeze('down')
      await until(() => heard('open').length === 2)
      expect(heard('close')).toMatchObject([{ cause: { code: 'UNRESPONSIVE' } }])
    })

    test('is treated like a server that opens and never sends anything', async () => {
      const { server } = await rig()
      const { heard, until } = connect(`${server.url}/silent`, { heartbeat: pulse, retry: () => 0 })
      await until(() => heard('close').length === 3)
      expect(heard('close').every(({ cause }) => cause.code === 'UNRESPONSIVE')).toBe(true)
      expect(heard('error')).toEqual([])
    })

    test('is replaced again each time that the next connection freezes, too', async () => {
      const { server, proxy } = await rig()
      const { socket, heard, until } = connect(proxy.url('/echo'), { heartbeat: pulse, retry: () => 0 })
      await until(() => heard('open').length)
      proxy.freeze('down')
      await until(() => heard('error').length + heard('close').length === 1)
      socket.send('kept')
      proxy.thaw('down')
      await until(() => heard('text').includes('kept'))
      await server.until(() => server.clients.length === 1)
      expect(heard('text')).toEqual(['kept'])
    })
  })

  test('without a heartbeat, a frozen connection is not noticed', async () => {
    const { proxy } = await rig()
    const calm = connect(proxy.url('/echo'), { retry: () => 0 })
    await calm.until(() => calm.heard('open').length)
    const other = connect(proxy.url('/echo'), { retry: () => 0, heartbeat: pulse })
    await other.until(() => other.heard('open').length)
    const lines = [...proxy.connections]
    for (const line of lines) line.freeze()
    calm.socket.send('patience')
    await other.until(() => other.heard('open').length === 2)
    expect(calm.log.map(([type]) => type)).toEqual(['state', 'open'])
    for (const line of lines) line.thaw()
    await calm.until(() => calm.heard('text').length)
    expect(calm.heard('text')).toEqual(['patience'])
    expect(calm.natives).toHaveLength(1)
  })

  describe('a frozen peer does not delay', () => {
    test('reconnect()', async () => {
      const { server, proxy } = await rig()
      const { socket, heard, until } = connect(proxy.url('/echo'))
      await until(() => heard('open').length)
      proxy.connections[0]?.freeze()
      // It spreads over 300 ms, as somebody is looking at the page.
      const late = alarm(300 + 1_000)
      socket.reconnect('because')
      await until(() => socket.state.name === 'connecting')
      expect(late()).toBe(false)
      await until(() => heard('open').length === 2)
      expect(heard('close')).toMatchObject([
        { code: 1006, willRetry: true, cause: { code: 'RECONNECT_REQUESTED', cause: 'because' } },
      ])
      socket.send('here')
      await until(() => heard('text').length)
      expect(server.received.map(({ connection }) => connection)).toEqual([2])
    })

    test('close(), which waits for closeTimeout', async () => {
      const { proxy } = await rig()
      const { socket, heard, until } = connect(proxy.url('/echo'), { closeTimeout: 100 })
      await until(() => heard('open').length)
      proxy.freeze()
      const late = alarm(100 + 1_000)
      socket.close()
      await until(() => socket.state.name === 'closed')
      expect(late()).toBe(false)
      expect(heard('close')).toMatchObject([{ code: 1006, wasClean: false, willRetry: false }])
    })

    test('close() with a backlog that cannot be sent', async () => {
      const { proxy } = await rig()
      const { socket, heard, until } = connect(proxy.url('/sink'), {
        closeTimeout: 100,
        queue: { maxBytes: Infinity },
      })
      await until(() => heard('open').length)
      proxy.freeze()
      for (const i of range(0, 300)) socket.send(`${i}`.padEnd(2 ** 16))
      expect(socket.queued).toBeGreaterThan(0)
      socket.close(4000, 'gone')
      await until(() => socket.state.name === 'closed')
      expect(socket.queued).toBe(0)
      expect(heard('close')).toHaveLength(1)
    })

    test('reconnect() while closing', async () => {
      const { proxy } = await rig()
      const { socket, heard, until } = connect(proxy.url('/echo'), { closeTimeout: 60_000 })
      await until(() => heard('open').length)
      proxy.connections[0]?.freeze()
      socket.close()
      expect(socket.state.name).toBe('closing')
      socket.reconnect()
      await until(() => heard('open').length === 2)
      expect(heard('close')).toHaveLength(1)
    })
  })

  test('a message sent while the browser is closing the connection waits for the next one', async () => {
    const { server, proxy, texts } = await rig()
    const { socket, natives, heard, until } = connect(proxy.url('/sink'), { retry: () => 0 })
    await until(() => heard('open').length)
    // The close frame comes, its answer does not go, and so the connection stays.
    proxy.connections[0]?.freeze('up')
    server.closeAll(4000)
    await vi.waitFor(() => expect(natives[0]?.readyState).toBe(2))
    expect(socket.state.name).toBe('open')
    expect(socket.send('kept')).toBe('queued')
    proxy.thaw('up')
    await server.until(() => server.received.length === 1)
    expect(texts()).toEqual(['kept'])
    expect(heard('close')).toMatchObject([{ code: 4000 }])
  })

  describe('after the reset of a connection that froze under load, the unsent tail', () => {
    const outage = async (connect: Rig, Socket: typeof WebSocket) => {
      const { server, proxy, texts } = await rig()
      const { socket, natives, heard, until } = connect(proxy.url('/sink'), {
        WebSocket: Socket,
        retry: () => 20,
        // More than what the kernels on the way take, so that something stays.
        highWaterMark: 16 * 2 ** 20,
        queue: { maxBytes: Infinity },
      })
      // One buffer for all messages: what comes back must be what was sent, not what the buffer holds by then.
      const buffer = Buffer.alloc(2 ** 16, ' ')
      const send = (i: number) => {
        buffer.write(`${i} `)
        socket.send(buffer)
      }
      await until(() => heard('open').length)
      range(0, 10).forEach(send)
      await server.until(() => server.received.length === 10)
      proxy.connections[0]?.freeze()
      range(10, 460).forEach(send)
      expect(socket.queued).toBeGreaterThan(0)
      // Some of it arrives, slowly enough that the rest is not in the kernels' hands, and then the connection breaks.
      proxy.connections[0]?.throttle(20e6)
      proxy.connections[0]?.thaw()
      await server.until(() => server.received.length >= 20)
      proxy.reset()
      await until(() => heard('close').length)
      const { sent: handed, reclaimed, queued } = socket.stats
      const before = server.received.length
      await until(() => heard('open').length === 2)
      socket.send('460')
      await server.until(() => server.received.at(-1)?.data === '460')

      const arrived = numbers(texts())
      const unknown = 461 - arrived.length
      const amount = `${handed} of 460 handed over, ${queued} sent again, ${reclaimed} of them reclaimed`
      console.info(`${name}, ${Socket.name}: ${amount}, ${unknown} unknown`)
      expect(disorder(arrived)).toEqual([])
      expect(arrived.slice(-queued - 1)).toEqual(range(460 - queued, 461))
      expect(heard('drop')).toEqual([])
      expect(queued).toBe(460 - handed + reclaimed)
      expect(unknown).toBeLessThanOrEqual(handed - before - reclaimed)
      // To the message: each is its bytes and 14 of framing.
      expect(reclaimed).toBe(Math.ceil((natives[0]?.bufferedAmount ?? 0) / (2 ** 16 + 14)))
      return reclaimed
    }

    test('that was never handed over is sent again with the native sockets of Node', async () => {
      await outage(connect, WebSocket)
    })

    test('that the browser had buffered is sent again with a bufferedAmount like a browser’s', async () => {
      expect(await outage(connect, CandidWebSocket)).toBeGreaterThan(0)
    })

    test('of an abandoned connection is not sent again, and may arrive late, but once', async () => {
      const { server, proxy, texts } = await rig()
      const { socket, natives, heard, until } = connect(proxy.url('/sink'), {
        retry: () => 0,
        queue: { maxBytes: Infinity },
      })
      await until(() => heard('open').length)
      const [line] = proxy.connections
      line?.freeze()
      for (const i of range(0, 300)) socket.send(`${i}`.padEnd(2 ** 16))
      await vi.waitFor(() => expect(natives[0]?.bufferedAmount).toBeGreaterThan(2 ** 20))
      const { sent } = socket.stats
      socket.reconnect()
      await until(() => heard('open').length === 2)
      await server.until(() => numbers([server.received.at(-1)?.data])[0] === 299)
      expect(numbers(texts())).toEqual(range(sent, 300))
      line?.thaw()
      await line?.closed
      await server.until(() => server.connections[0]?.closed !== undefined)
      const late = server.received.filter(({ connection }) => connection === 1)
      expect(numbers(late.map(({ data }) => data))).toEqual(range(0, late.length))
      expect(late.length).toBeLessThanOrEqual(sent)
      console.info(`${name}: ${sent} were with the connection given up on, ${late.length} of them came late`)
    })

    test('is sent again a second time if the next connection freezes, too', async () => {
      const { server, proxy, texts } = await rig()
      const { socket, heard, until } = connect(proxy.url('/sink'), {
        WebSocket: CandidWebSocket,
        retry: () => 0,
        queue: { maxBytes: Infinity },
      })
      for (const round of [1, 2, 3]) {
        await until(() => heard('open').length === round)
        proxy.connections[0]?.freeze()
        for (const i of range((round - 1) * 100, round * 100)) socket.send(`${i}`.padEnd(2 ** 16))
        proxy.reset()
        await until(() => heard('close').length === round)
      }
      await until(() => heard('open').length === 4)
      socket.send('300')
      await server.until(() => server.received.at(-1)?.data === '300')
      expect(disorder(numbers(texts()))).toEqual([])
      const { sent, reclaimed } = socket.stats
      expect(reclaimed).toBeGreaterThan(0)
      expect(sent - reclaimed).toBe(301)
    })
  })
})
