import { describe, expect, test, vi } from 'vitest'
import { createSocket } from '../../src/index.ts'
import { createOutbox, overSocket } from '../../src/outbox.ts'
import { fresh, sent, server } from '../support/setup.ts'
import { MemoryStorage } from './fakes.ts'

fresh()

const start = () => {
  const socket = createSocket('wss://push.test/orders', {
    retry: () => 100,
    wake: false,
    WebSocket: server.WebSocket as never,
  })
  const storage = new MemoryStorage()
  const outbox = createOutbox(storage)
  outbox.on('problem', () => {})
  const orders = overSocket(socket, outbox, {
    encode: (data, id) => JSON.stringify({ id, data }),
    acknowledged: text => JSON.parse(text).ack,
  })
  return { socket, storage, orders }
}

const settled = () => vi.advanceTimersByTimeAsync(1)

const idsOf = () => sent(server.latest).map(text => JSON.parse(String(text)).id)
const dataOf = () => sent(server.latest).map(text => JSON.parse(String(text)).data)

describe('a message of an outbox over a plain socket', () => {
  test('is sent again with the same id on the next connection, in order, until it is acknowledged', async () => {
    const { orders, storage } = start()
    server.latest.accept()
    const outcomes = [orders.send(1), orders.send(2), orders.send(3)]
    await settled()
    expect(dataOf()).toEqual([1, 2, 3])
    const [first, second, third] = idsOf()
    server.latest.send(JSON.stringify({ ack: second }))
    server.latest.drop()
    await vi.advanceTimersByTimeAsync(100)
    server.latest.accept()
    await settled()
    expect(idsOf()).toEqual([first, third])
    for (const ack of [first, third]) server.latest.send(JSON.stringify({ ack }))
    expect(await Promise.all(outcomes)).toEqual(Array(3).fill({ status: 'delivered' }))
    await settled()
    expect(storage.records.size).toBe(0)
  })

  test('that the socket does not accept now is sent as soon as it does, before later ones', async () => {
    const { orders, socket } = start()
    server.latest.accept()
    await settled()
    vi.spyOn(socket, 'send').mockReturnValueOnce('dropped')
    orders.send(1)
    await settled()
    expect(dataOf()).toEqual([])
    await vi.advanceTimersByTimeAsync(500)
    orders.send(2)
    await settled()
    expect(dataOf()).toEqual([1, 2])
  })

  test('stays in the outbox if the socket is closed before it is acknowledged', async () => {
    const { orders, socket, storage } = start()
    server.latest.accept()
    const outcome = orders.send(1)
    await settled()
    socket.close()
    await vi.advanceTimersByTimeAsync(10_000)
    expect(await outcome).toEqual({ status: 'stored' })
    expect(storage.records.size).toBe(1)
  })

  test('with unknown options rejects, and so does one that JSON cannot represent', async () => {
    const { orders } = start()
    await expect(orders.send(1, { tll: 1 } as object)).rejects.toThrow(
      "send has no option 'tll'. Did you mean 'ttl'?",
    )
    await expect(orders.send(undefined)).rejects.toThrow(TypeError)
  })
})
