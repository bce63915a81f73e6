import { once } from 'node:events'
import net from 'node:net'
import { describe, expect, test, vi } from 'vitest'
import { cleanup, numbers, outOfOrder, overEachWebSocket, proxied, range, start } from './rig.ts'

/** Returns a generator of numbers from 0 to 1, always the same for the same seed. */
// https://en.wikipedia.org/wiki/Linear_congruential_generator, with the constants of Numerical Recipes
const seededRandom = (seed: number) => () => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
  return seed / 2 ** 32
}

/** Counts the runs of consecutive numbers in a list. */
const countRuns = (list: readonly number[]) => {
  let count = 0
  list.forEach((number, i) => {
    if (i === 0 || number !== (list[i - 1] as number) + 1) count++
  })
  return count
}

overEachWebSocket((connect, _, name) => {
  describe('a server that restarts on the same port', () => {
    test('receives what was sent before, during and after the restart, in order and once', async () => {
      const server = await start()
      const { socket, events, until } = connect(`${server.url}/sink`, { retry: () => 20 })
      const send = (from: number, to: number) => range(from, to).map(i => socket.send(`${i}`))
      await until(() => events('open').length)
      send(0, 100)
      await server.until(() => server.received.length === 100)
      // These are in flight when the server stops.
      expect(new Set(send(100, 200))).toEqual(new Set(['sent']))
      await server.stop()
      await until(() => socket.state.name === 'waiting')
      expect(new Set(send(200, 300))).toEqual(new Set(['queued']))
      await server.restart()
      await until(() => events('open').length === 2)
      send(300, 400)
      await server.until(() => server.received.at(-1)?.data === '399')

      const arrived = numbers(server.received.map(({ data }) => data))
      console.info(`${name}: ${400 - arrived.length} of 100 in flight at the restart are unknown`)
      expect(outOfOrder(arrived)).toEqual([])
      expect(arrived.slice(0, 100)).toEqual(range(0, 100))
      expect(arrived.slice(-200)).toEqual(range(200, 400))
      expect(socket.stats).toMatchObject({ sent: 400 + socket.stats.reclaimed, dropped: 0, queued: 0 })
    })

    test('is connected to again after each of 20 restarts', async () => {
      const server = await start()
      const { socket, events, until } = connect(`${server.url}/sink`, { retry: () => 10 })
      for (const i of range(0, 20)) {
        await until(() => events('open').length > events('close').length)
        socket.send(`${i}`)
        await server.until(() => server.received.length === i + 1)
        await server.restart()
        await until(() => events('close').length > i)
      }
      expect(numbers(server.received.map(({ data }) => data))).toEqual(range(0, 20))
      expect(events('drop')).toEqual([])
    })

    test('receives what the queue accepted, and drop events report the rest', async () => {
      const server = await start()
      const { socket, events, until } = connect(`${server.url}/sink`, {
        retry: () => 20,
        queue: { maxMessages: 10, overflow: 'drop-oldest' },
      })
      await until(() => events('open').length)
      await server.stop()
      await until(() => events('close').length)
      for (const i of range(0, 25)) socket.send(`${i}`)
      expect(numbers(events('drop').map(({ data }) => data))).toEqual(range(0, 15))
      await server.restart()
      await server.until(() => server.received.length === 10)
      expect(numbers(server.received.map(({ data }) => data))).toEqual(range(15, 25))
    })
  })

  test.each([1, 2])(
    '200 messages per second in each direction stay in order across 20 random resets (seed %i)',
    async seed => {
      const random = seededRandom(seed)
      const server = await start()
      const proxy = await proxied(server.port)
      const { socket, events, until } = connect(proxy.url('/sink'), { retry: () => random() * 20 })
      let up = 0
      let down = 0
      const load = setInterval(() => {
        // Long enough that a reset can happen in the middle of a message.
        socket.send(`${up++} ${'x'.repeat(random() * 2_000)}`)
        if (server.clients.length) server.clients.at(-1)?.send(`${down++} ${'y'.repeat(random() * 2_000)}`)
      }, 5)
      cleanup(() => clearInterval(load))
      for (const reset of range(1, 21)) {
        await until(() => events('open').length >= reset)
        // Resets the connection after some messages: at once, or half of the time after a random number of bytes.
        const goal = server.received.length + 1 + random() * 8
        await server.until(() => server.received.length >= goal)
        if (random() < 0.5) proxy.reset()
        else
          proxy.connections.at(-1)?.cutAfter(1 + Math.floor(random() * 3_000), random() < 0.5 ? 'up' : 'down')
        await until(() => events('close').length >= reset)
      }
      clearInterval(load)
      await until(() => events('open').length > 20)
      socket.send(`${up++}`)
      await server.until(() => numbers([server.received.at(-1)?.data])[0] === up - 1)
      server.push(`${down++}`)
      await until(() => numbers(events('text').slice(-1))[0] === down - 1)

      const received = numbers(server.received.map(({ data }) => data))
      const texts = numbers(events('text'))
      console.info(
        `${name}, seed ${seed}, unknown over 20 resets: ${up - received.length} of ${up} up, ${down - texts.length} of ${down} down`,
      )
      expect(outOfOrder(received)).toEqual([])
      expect(outOfOrder(texts)).toEqual([])
      // Only messages that were in flight during a reset are missing.
      expect(countRuns(received)).toBeLessThanOrEqual(21)
      expect(countRuns(texts)).toBeLessThanOrEqual(21)
      expect(events('open')).toHaveLength(21)
      expect(events('drop')).toEqual([])
      expect(socket.stats).toMatchObject({
        sent: up + socket.stats.reclaimed,
        received: texts.length,
        queued: 0,
      })
    },
    20_000,
  )

  test('abandoned sockets do not crash the process when their connections are reset', async () => {
    const onUncaught = vi.fn()
    process.on('uncaughtException', onUncaught)
    cleanup(() => process.off('uncaughtException', onUncaught))
    // A server that accepts connections and sends nothing.
    const accepted = new Set<net.Socket>()
    const silentServer = net.createServer(client => {
      accepted.add(client)
      client.on('error', () => {})
      client.on('close', () => accepted.delete(client))
    })
    silentServer.listen(0, '127.0.0.1')
    await once(silentServer, 'listening')
    cleanup(() => {
      silentServer.close()
      for (const client of accepted) client.destroy()
    })
    const { port } = silentServer.address() as net.AddressInfo
    const { socket, natives, events, until } = connect(`ws://127.0.0.1:${port}`, { retry: () => 0 })
    for (const n of range(1, 51)) {
      socket.reconnect(n)
      await until(() => natives.length > n)
    }
    expect(events('error').map(({ code }) => code)).toEqual(Array(50).fill('RECONNECT_REQUESTED'))
    for (const client of accepted) client.resetAndDestroy()
    socket.close()
    expect(events('error')).toHaveLength(50)

    // The same with connections that were open.
    const server = await start()
    const proxy = await proxied(server.port)
    const open = connect(proxy.url('/echo'), { retry: () => 0 })
    for (const n of range(1, 21)) {
      await open.until(() => open.events('open').length === n)
      proxy.connections.at(-1)?.freeze()
      open.socket.reconnect()
    }
    await open.until(() => open.events('open').length === 21)
    for (const connection of proxy.connections.slice(0, -1)) connection.reset()
    await Promise.all(proxy.connections.slice(0, -1).map(({ closed }) => closed))
    open.socket.send('still here')
    await open.until(() => open.events('text').length)
    expect(open.events('close')).toHaveLength(20)
    expect(onUncaught.mock.calls).toEqual([])
  })

  test('after 200 lost connections there is one connection, and after close() none', async () => {
    const server = await start()
    const proxy = await proxied(server.port)
    const pending = () => process.getActiveResourcesInfo().filter(what => what === 'Timeout').length
    let listening = 0
    const { socket, natives, events, until } = connect(proxy.url('/echo'), {
      retry: () => 0,
      heartbeat: { message: 'ping', isReply: data => data === 'ping' },
      wake: dispatch => {
        listening++
        const timer = setInterval(() => dispatch('wake'), 200)
        return () => {
          listening--
          clearInterval(timer)
        }
      },
    })
    const losses = [
      () => proxy.reset(),
      () => proxy.end(),
      () => server.terminateAll(),
      () => server.closeAll(4000),
      () => socket.reconnect(),
    ]
    for (const n of range(0, 200)) {
      await until(() => events('open').length === n + 1)
      socket.send(`${n}`, { ttl: 60_000 })
      await until(() => events('text').includes(`${n}`))
      losses[n % losses.length]?.()
      await until(() => events('close').length === n + 1)
    }
    await until(() => events('open').length === 201)
    expect(listening).toBe(1)
    await server.until(() => server.clients.length === 1)
    expect(natives.filter(({ readyState }) => readyState < 2)).toHaveLength(1)
    expect(numbers(events('text'))).toEqual(range(0, 200))
    expect(socket.stats).toMatchObject({ attempts: 201, connections: 201, dropped: 0, queued: 0 })

    socket.close()
    await until(() => socket.state.name === 'closed')
    await server.until(() => server.clients.length === 0)
    while (proxy.connections.length) await proxy.connections[0]?.closed
    expect(listening).toBe(0)
    // Vitest itself may have short timers.
    const end = performance.now() + 1_000
    while (pending() && performance.now() < end) await new Promise(setImmediate)
    expect(pending()).toBe(0)
    expect(natives).toHaveLength(201)
  })
})
