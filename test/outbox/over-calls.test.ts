import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { calls, jsonRpc } from '../../src/calls.ts'
import { createSocket } from '../../src/index.ts'
import { createOutbox, overCalls } from '../../src/outbox.ts'
import { cleanUp, cleanup } from '../support/cleanup.ts'
import { eventually } from '../support/eventually.ts'
import { MemoryStorage } from './fakes.ts'

cleanUp()

/** A server that carries out each idempotency key once. `deaf`: it carries out, and cuts the connection instead of an answer. */
const startServer = async () => {
  const done = new Map<string, unknown>()
  const requests: any[] = []
  const server = {
    done,
    requests,
    deaf: false,
    url: '',
  }
  const wss = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(wss, 'listening')
  server.url = `ws://127.0.0.1:${(wss.address() as AddressInfo).port}`
  wss.on('connection', client => {
    client.on('message', data => {
      const { id, method, params } = JSON.parse(String(data))
      requests.push({ method, params })
      const { idempotencyKey, ...order } = params
      if (order.buy === 0) {
        client.send(JSON.stringify({ jsonrpc: '2.0', id, error: { code: 1, message: 'nothing' } }))
        return
      }
      if (!done.has(idempotencyKey)) done.set(idempotencyKey, order)
      if (server.deaf) client.terminate()
      else client.send(JSON.stringify({ jsonrpc: '2.0', id, result: { done: done.size } }))
    })
  })
  cleanup(() => {
    for (const client of wss.clients) client.terminate()
    wss.close()
  })
  return server
}

const open = (url: string, storage: MemoryStorage) => {
  const socket = createSocket(url, { WebSocket: WebSocket as never, wake: false, retry: () => 5 })
  cleanup(() => socket.close())
  const outbox = createOutbox(storage)
  outbox.on('problem', () => {})
  const api = calls<any>(socket, jsonRpc())
  return { socket, outbox, orders: overCalls(api, outbox) }
}

describe('a call with an outbox', () => {
  test('resolves with the result, and is deleted', async () => {
    const { url } = await startServer()
    const storage = new MemoryStorage()
    const { orders } = open(url, storage)
    expect(await orders.call('order', { buy: 3 })).toEqual({ status: 'delivered', result: { done: 1 } })
    await eventually(() => expect(storage.records.size).toBe(0))
  })

  test('that the server has carried out, and not answered, is made again by the next page with the same key', async () => {
    const server = await startServer()
    server.deaf = true
    const storage = new MemoryStorage()
    const gone = open(server.url, storage)
    const lost = gone.orders.call('order', { buy: 3 })
    await eventually(() => expect(server.done.size).toBe(1))
    gone.socket.close()
    expect(await lost).toEqual({ status: 'stored' })
    server.deaf = false
    const next = open(server.url, storage)
    await next.orders.call('order', { buy: 4 })
    expect([...server.done.values()]).toEqual([{ buy: 3 }, { buy: 4 }])
    expect(server.requests.length).toBeGreaterThan(2)
    await eventually(() => expect(storage.records.size).toBe(0))
  })

  test('that the server refuses is dropped with the error of the server', async () => {
    const { url } = await startServer()
    const storage = new MemoryStorage()
    const { orders } = open(url, storage)
    expect(await orders.call('order', { buy: 0 })).toMatchObject({
      status: 'dropped',
      reason: 'refused',
      error: { message: 'nothing' },
    })
    await eventually(() => expect(storage.records.size).toBe(0))
  })

  test('whose parameters have no place for the key rejects, and is not stored', async () => {
    const { url } = await startServer()
    const storage = new MemoryStorage()
    const { orders } = open(url, storage)
    await expect(orders.call('order', [3])).rejects.toThrow(TypeError)
    await expect(orders.call('order', {}, { again: 'never' } as object)).rejects.toThrow(
      "call has no option 'again'",
    )
    expect(storage.records.size).toBe(0)
  })
})
