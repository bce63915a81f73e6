// Pages that are reloaded repeatedly, with a real server.
import { expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { createReliableSocket } from '../../src/reliable.ts'
import { cleanUp, cleanup } from '../support/cleanup.ts'
import { eventually } from '../support/eventually.ts'
import { startNode } from './server-rig.ts'

cleanUp()

test('a page that is reloaded all the time acknowledges what it receives, and gets the outcome of all that it sent', async () => {
  const orders: unknown[] = []
  const { url, server } = await startNode({
    maxUnacknowledged: 200,
    onMessage: ({ data }) => void orders.push(data),
  })
  const received: unknown[] = []
  const outcomes = new Map<unknown, string>()
  const gaps: unknown[] = []
  let order = 0
  let saved: string | null = null
  const load = async () => {
    let isUnloaded = false
    const socket = createReliableSocket(url, {
      WebSocket: WebSocket as never,
      saved,
      retry: () => 10,
      wake: false,
    })
    cleanup(() => socket.close())
    // After it was left, a page ignores messages, and the results of its promises and events.
    socket.on('message', ({ data }) => {
      if (!isUnloaded) received.push(data)
    })
    socket.on('gap', gap => gaps.push(gap))
    const note = (data: unknown, status: string) => {
      if (!isUnloaded) outcomes.set(data, status)
    }
    socket.on('outcome', ({ data, status }) => note(data, status))
    await new Promise(resolve => socket.once('open', resolve))
    return {
      socket,
      send() {
        const data = ++order
        socket.send(data).then(({ status }) => note(data, status))
      },
      unload() {
        saved = socket.save()
        isUnloaded = true
        socket.close()
      },
    }
  }

  let page = await load()
  const id = page.socket.connectionId as string
  const total = 1_000
  for (let n = 1; n <= total; n++) {
    await server.send(id, n)
    if (n % 2) page.send()
    if (n % 50 === 0) {
      // In the middle of the stream, long before an acknowledgement is due.
      await eventually(() => expect(received.length).toBeGreaterThanOrEqual(n - 25), 1)
      page.unload()
      page = await load()
    }
  }
  expect(gaps).toEqual([])
  await eventually(() => expect(received).toHaveLength(total))
  await eventually(() => expect(outcomes.size).toBe(order))
  expect(gaps).toEqual([])
  expect(received).toEqual(Array.from({ length: total }, (_, i) => i + 1))
  expect(orders).toEqual(Array.from({ length: order }, (_, i) => i + 1))
  expect(new Set(outcomes.values())).toEqual(new Set(['delivered']))
  // Each reload repeats at most the messages in flight.
  expect(server.stats.sent).toBeLessThan(2 * total)
})
