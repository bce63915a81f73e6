// Invocations of Azure's client: events that are answered with a value.
import { WebPubSubClient } from '@azure/web-pubsub-client'
import { describe, expect, test, vi } from 'vitest'
import type { ReliableServerOptions } from '../../src/server.ts'
import { cleanUp, cleanup } from '../support/cleanup.ts'
import { join, startNode } from './server-rig.ts'

cleanUp()

const connectAzure = async (url: string) => {
  const client = new WebPubSubClient(url, { messageRetryOptions: { maxRetries: 0 }, autoReconnect: false })
  cleanup(() => client.stop())
  await client.start()
  return client
}

const setup = async (onInvoke?: ReliableServerOptions['onInvoke'], more: ReliableServerOptions = {}) => {
  const node = await startNode({ ...(onInvoke && { onInvoke }), ...more })
  return { ...node, client: await connectAzure(node.url) }
}

describe("invokeEvent() of Azure's client", () => {
  test.each([
    ['text', 'hello', 'text', 'HELLO', 'HELLO'],
    ['JSON', { qty: 3 }, 'json', { id: 7 }, { id: 7 }],
    ['bytes', new Uint8Array([1, 2]).buffer, 'binary', new Uint8Array([3, 4]), new Uint8Array([3, 4]).buffer],
    ['nothing', 'hello', 'text', undefined, undefined],
    // Azure's client ignores a response whose data is null.
    ['null', 'hello', 'text', null, undefined],
  ] as const)('resolves with %s that the handler returns', async (_, sent, dataType, returned, received) => {
    const heard: unknown[] = []
    const { client, server, errors } = await setup(({ event, data }, session) => {
      heard.push(event, dataType === 'binary' ? [...(data as Uint8Array)] : data)
      session.send('an effect')
      return returned
    })
    const effect = new Promise(resolve => client.on('server-message', ({ message }) => resolve(message.data)))
    const { data } = await client.invokeEvent('order', sent as never, dataType)
    expect(data).toEqual(received)
    expect(heard).toEqual(['order', dataType === 'binary' ? [1, 2] : sent])
    expect(await effect).toBe('an effect')
    expect([server.stats.received, errors]).toEqual([1, []])
  })

  test('rejects with the name of the error that the handler throws, no effect of the handler happens, and the session continues', async () => {
    const { client, server, errors } = await setup(({ data }, session) => {
      session.send('an effect')
      if (data === 'wrong') throw new RangeError('a secret')
      return 'right'
    })
    const heard: unknown[] = []
    client.on('server-message', ({ message }) => heard.push(message.data))
    await expect(client.invokeEvent('order', 'wrong', 'text')).rejects.toMatchObject({
      errorDetail: { name: 'RangeError', message: 'the message was not handled' },
    })
    expect((await client.invokeEvent('order', 'x', 'text')).data).toBe('right')
    await vi.waitUntil(() => heard.length)
    expect(heard).toEqual(['an effect'])
    expect(errors).toMatchObject([{ message: 'a secret' }])
    expect(server.stats).toMatchObject({ received: 1, failed: 1, violations: 0 })
  })

  test('rejects with NotFound on a server without a handler, and the session continues', async () => {
    const { client, server } = await setup(undefined, { onMessage: () => {} })
    await expect(client.invokeEvent('order', 'x', 'text')).rejects.toMatchObject({
      errorDetail: { name: 'NotFound' },
    })
    await client.sendEvent('order', 'x', 'text')
    expect(server.stats).toMatchObject({ connections: 1, received: 1, violations: 0 })
  })

  test('rejects with TooLarge for data that the server does not accept', async () => {
    const { client } = await setup(() => 'right', { maxMessageBytes: 100 })
    await expect(client.invokeEvent('order', 'x'.repeat(200), 'text')).rejects.toMatchObject({
      errorDetail: { name: 'TooLarge' },
    })
  })

  test('rejects with an error for a result that JSON cannot represent', async () => {
    const { client, errors } = await setup(() => ({ big: 1n }))
    await expect(client.invokeEvent('order', 'x', 'text')).rejects.toMatchObject({
      errorDetail: { name: 'TypeError' },
    })
    expect(errors).toHaveLength(1)
  })
})

describe('an invocation', () => {
  test('that is canceled while another one is processed is not processed', async () => {
    const heard: unknown[] = []
    let finish = () => {}
    const onInvoke = ({ data }: { data: unknown }) => {
      heard.push(data)
      return new Promise<void>(resolve => (finish = resolve))
    }
    const { url } = await startNode({ onInvoke })
    const peer = await join(url)
    const invoke = (invocationId: string) =>
      peer.send({
        type: 'invoke',
        invocationId,
        target: 'event',
        event: 'e',
        dataType: 'text',
        data: invocationId,
      })
    for (const id of ['a', 'b', 'c']) invoke(id)
    for (const invocationId of ['a', 'b', 'nobody']) peer.send({ type: 'cancelInvocation', invocationId })
    peer.send({ type: 'ping' })
    await peer.get(({ type }) => type === 'pong')
    finish()
    await vi.waitUntil(() => heard.length === 2)
    finish()
    expect(await peer.get(({ invocationId }) => invocationId === 'c')).toEqual({
      type: 'invokeResponse',
      invocationId: 'c',
      success: true,
    })
    expect(heard).toEqual(['a', 'c'])
  })

  test.each([
    ['without an event', {}],
    ['of a group', { event: 'e', target: 'group' }],
    ['with data of an unknown type', { event: 'e', dataType: 'xml', data: 'x' }],
  ])('%s is answered with BadRequest', async (_, frame) => {
    const { url } = await startNode({ onInvoke: () => {} })
    const peer = await join(url)
    peer.send({ type: 'invoke', invocationId: '1', ...frame })
    expect(await peer.get(({ type }) => type === 'invokeResponse')).toMatchObject({
      invocationId: '1',
      success: false,
      error: { name: 'BadRequest' },
    })
  })

  test.each([
    ['invoke', undefined],
    ['invoke', 7],
    ['invoke', ''],
    ['cancelInvocation', { toString: 1 }],
  ])('in a frame %s with the id %j ends the session', async (type, invocationId) => {
    const { url } = await startNode({ onInvoke: () => {} })
    const peer = await join(url)
    peer.send({ type, invocationId, event: 'e' })
    const end = await peer.closed()
    expect([end.code, end.reason]).toEqual([1008, expect.stringContaining('invocationId')])
  })
})
