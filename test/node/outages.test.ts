import { once } from 'node:events'
import net from 'node:net'
import { describe, expect, test, vi } from 'vitest'
import { atEnd, disorder, numbers, overEach, proxied, range, start } from './rig.ts'

/** The same numbers from 0 up to 1 for the same seed. */
// https://en.wikipedia.org/wiki/Linear_congruential_generator, with the constants of Numerical Recipes
const dice = (seed: number) => () => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
  return seed / 2 ** 32
}

/** The parts of a list before and after each gap. */
const runs = (list: readonly number[]) => {
  let count = 0
  list.forEach((number, i) => {
    if (i === 0 || number !== (list[i - 1] as number) + 1) count++
  })
  return count
}

overEach((connect, _, name) => {
  describe('a server that restarts on the same port', () => {
    test('receives what was sent before, during and after the restart, in order and once', async () => {
      const server = await start()
      const { socket, heard, until } = connect(`${server.url}/sink`, { retry: () => 20 })
      const send = (from: number, to: number) => range(from, to).map(i => socket.send(`${i}`))
      await until(() => heard('open').length)
      send(0, 100)
      await server.until(() => server.received.length === 100)
      // These are on their way when the server dies.
      expect(new Set(send(100, 200))).toEqual(new Set(['sent']))
      await server.stop()
      await until(() => socket.state.name === 'waiting')
      expect(new Set(send(200, 300))).toEqual(new Set(['queued']))
      await server.restart()
      await until(() => heard('open').length === 2)
      send(300, 400)
      await server.until(() => server.received.at(-1)?.data === '399')

      const arrived = numbers(server.received.map(({ data }) => data))
      console.info(`${name}: ${400 - arrived.length} of 100 in flight at the restart are unknown`)
      expect(disorder(arrived)).toEqual([])
      expect(arrived.slice(0, 100)).toEqual(range(0, 100))
      expect(arrived.slice(-200)).toEqual(range(200, 400))
      expect(socket.stats).toMatchObject({ sent: 400 + socket.stats.reclaimed, dropped: 0, queued: 0 })
    })

    test('is found again after several restarts', async () => {
      const server = await start()
      const { socket, heard, until } = connect(`${server.url}/sink`, { retry: () => 10 })
      for (const i of range(0, 20)) {
        await until(() => heard('open').length > heard('close').length)
        socket.send(`${i}`)
        await server.until(() => server.received.length === i + 1)
        await server.restart()
        await until(() => heard('close').length > i)
      }
      expect(numbers(server.received.map(({ data }) => data))).toEqual(range(0, 20))
      expect(heard('drop')).toEqual([])
    })

    test('receives what the queue accepted, and drop events report the rest', async () => {
      const server = await start()
      const { socket, heard, until } = connect(`${server.url}/sink`, {
        retry: () => 20,
        queue: { maxMessages: 10, overflow: 'drop-oldest' },
      })
      await until(() => heard('open').length)
      await server.stop()
      await until(() => heard('close').length)
      for (const i of range(0, 25)) socket.send(`${i}`)
      expect(numbers(heard('drop').map(({ data }) => data))).toEqual(range(0, 15))
      await server.restart()
      await server.until(() => server.received.length === 10)
      expect(numbers(server.received.map(({ data }) => data))).toEqual(range(15, 25))
    })
  })

  test.each([1, 2])(
    '200 messages a second both ways stay in order across 20 random resets (seed %i)',
    async seed => {
      const random = dice(seed)
      const server = await start()
      const proxy = await proxied(server.port)
      const { socket, heard, until } = connect(proxy.url('/sink'), { retry: () => random() * 20 })
      let up = 0
      let down = 0
      const load = setInterval(() => {
        // Long enough that a reset can come in the middle of one.
        socket.send(`${up++} ${'x'.repeat(random() * 2_000)}`)
        if (server.clients.length) server.clients.at(-1)?.send(`${down++} ${'y'.repeat(random() * 2_000)}`)
      }, 5)
      atEnd(() => clearInterval(load))
      for (const reset of range(1, 21)) {
        await until(() => heard('open').length >= reset)
        // After some messages, half of the time at a byte in the middle of one.
        const goal = server.received.length + 1 + random() * 8
        await server.until(() => server.received.length >= goal)
        if (random() < 0.5) proxy.reset()
        else
          proxy.connections.at(-1)?.cutAfter(1 + Math.floor(random() * 3_000), random() < 0.5 ? 'up' : 'down')
        await until(() => heard('close').length >= reset)
      }
      clearInterval(load)
      await until(() => heard('open').length > 20)
      socket.send(`${up++}`)
      await server.until(() => numbers([server.received.at(-1)?.data])[0] === up - 1)
      server.push(`${down++}`)
      await until(() => numbers(heard('text').slice(-1))[0] === down - 1)

      const received = numbers(server.received.map(({ data }) => data))
      const texts = numbers(heard('text'))
      console.info(
        `${name}, seed ${seed}, unknown over 20 resets: ${up - received.length} of ${up} up, ${down - texts.length} of ${down} down`,
      )
      expect(disorder(received)).toEqual([])
      expect(disorder(texts)).toEqual([])
      // Nothing is missing but what was in flight when a connection was reset.
      expect(runs(received)).toBeLessThanOrEqual(21)
      expect(runs(texts)).toBeLessThanOrEqual(21)
      expect(heard('open')).toHaveLength(21)
      expect(heard('drop')).toEqual([])
      expect(socket.stats).toMatchObject({
        sent: up + socket.stats.reclaimed,
        received: texts.length,
        queued: 0,
      })
    },
    20_000,
  )

  test('abandoned sockets do not crash the process when the network ends them', async () => {
    const crash = vi.fn()
    process.on('uncaughtException', crash)
    atEnd(() => process.off('uncaughtException', crash))
    // It takes connections and says nothing, until it is killed.
    const taken = new Set<net.Socket>()
    const hole = net.createServer(client => {
      taken.add(client)
      client.on('error', () => {})
      client.on('close', () => taken.delete(client))
    })
    hole.listen(0, '127.0.0.1')
    await once(hole, 'listening')
    atEnd(() => {
      hole.close()
      for (const client of taken) client.destroy()
    })
    const { port } = hole.address() as net.AddressInfo
    const { socket, natives, heard, until } = connect(`ws://127.0.0.1:${port}`, { retry: () => 0 })
    for (const n of range(1, 51)) {
      socket.reconnect(n)
      await until(() => natives.length > n)
    }
    expect(heard('error').map(({ code }) => code)).toEqual(Array(50).fill('RECONNECT_REQUESTED'))
    for (const client of taken) client.resetAndDestroy()
    socket.close()
    expect(heard('error')).toHaveLength(50)

    // The same with connections that were open.
    const server = await start()
    const proxy = await proxied(server.port)
    const open = connect(proxy.url('/echo'), { retry: () => 0 })
    for (const n of range(1, 21)) {
      await open.until(() => open.heard('open').length === n)
      proxy.connections.at(-1)?.freeze()
      open.socket.reconnect()
    }
    await open.until(() => open.heard('open').length === 21)
    for (const connection of proxy.connections.slice(0, -1)) connection.reset()
    await Promise.all(proxy.connections.slice(0, -1).map(({ closed }) => closed))
    open.socket.send('still here')
    await open.until(() => open.heard('text').length)
    expect(open.heard('close')).toHaveLength(20)
    expect(crash.mock.calls).toEqual([])
  })

  test('after 200 lost connections there is one connection, and after close() none', async () => {
    const server = await start()
    const proxy = await proxied(server.port)
    const pending = () => process.getActiveResourcesInfo().filter(what => what === 'Timeout').length
    let listening = 0
    const { socket, natives, heard, until } = connect(proxy.url('/echo'), {
      retry: () => 0,
      heartbeat: { message: 'ping', isReply: data => data === 'ping' },
      wake: tell => {
        listening++
        const timer = setInterval(() => tell('wake'), 200)
        return () => {
          listening--
          clearInterval(timer)
        }
      },
    })
    const ways = [
      () => proxy.reset(),
      () => proxy.end(),
      () => server.terminateAll(),
      () => server.closeAll(4000),
      () => socket.reconnect(),
    ]
    for (const n of range(0, 200)) {
      await until(() => heard('open').length === n + 1)
      socket.send(`${n}`, { ttl: 60_000 })
      await until(() => heard('text').includes(`${n}`))
      ways[n % ways.length]?.()
      await until(() => heard('close').length === n + 1)
    }
    await until(() => heard('open').length === 201)
    expect(listening).toBe(1)
    await server.until(() => server.clients.length === 1)
    expect(natives.filter(({ readyState }) => readyState < 2)).toHaveLength(1)
    expect(numbers(heard('text'))).toEqual(range(0, 200))
    expect(socket.stats).toMatchObject({ attempts: 201, connections: 201, dropped: 0, queued: 0 })

    socket.close()
    await until(() => socket.state.name === 'closed')
    await server.until(() => server.clients.length === 0)
    while (proxy.connections.length) await proxy.connections[0]?.closed
    expect(listening).toBe(0)
    // The runner has timers of its own now and then, short ones.
    const patience = performance.now() + 1_000
    while (pending() && performance.now() < patience) await new Promise(setImmediate)
    expect(pending()).toBe(0)
    expect(natives).toHaveLength(201)
  })
})
